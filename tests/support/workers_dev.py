"""workers.dev in small: real workerd answers for the Workers of an emulated account, with what Cloudflare would keep.

The emulator forgets keys and code. This hears what is uploaded to it, and runs the Worker that is called, for one
request.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState
from reconciler.emulator.wire import Reply, Request
from reconciler.model.ports import PrivateKey
from reconciler.runtime.workerd import listen, serving
from reconciler.workerd.config import BindingIdentity, ServedWorker, Variable, write_config
from reconciler.workerd.door import hosts_at
from reconciler.workerd.form import Module, ModuleKind
from tests.support.runtime_programs import workerd


@dataclass
class WorkersDev:
    """`trusted`: PEM of roots of origins, as if they were public. `texts`: all that Workers and their callers got."""

    state: EmulatorState
    trusted: str
    pairs: dict[str, tuple[str, str]] = field(default_factory=dict)
    workers: dict[str, ServedWorker] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    lag: int = 0
    """So many calls find nothing yet."""

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """The base URL of the account's API."""
        workerd()
        self.state.run_worker = self.run
        with running(self.state, self.hear) as url:
            yield url

    def hear(self, request: Request, reply: Reply) -> None:
        """Keep what the account was given."""
        last = request.path.rpartition("/")[2]
        if request.method == "POST" and last == "mtls_certificates" and reply.status == 200:
            body, result = json.loads(request.body), json.loads(reply.body)["result"]
            self.pairs[result["id"]] = (body["certificates"], body["private_key"])
        elif request.method == "PUT" and "/workers/scripts/" in request.path and reply.status == 200:
            self.workers[last] = self._served(request)
        elif request.method == "DELETE":
            self.workers.pop(last, None)

    def _served(self, request: Request) -> ServedWorker:
        parts = {part.name: part.body for part in request.parts()}
        metadata = json.loads(parts["metadata"])
        bindings: list[tuple[str, BindingIdentity | Variable]] = []
        for one in metadata["bindings"]:
            if one["type"] == "mtls_certificate":
                chain, key = self.pairs[one["certificate_id"]]
                identity = BindingIdentity(chain, PrivateKey(key.encode()), (self.trusted,), only_these=True)
                bindings.append((one["name"], identity))
            else:
                bindings.append((one["name"], Variable(one["text"])))
                self.secrets += [one["text"]] * (one["type"] == "secret_text")
        main = metadata["main_module"]
        return ServedWorker([Module(main, ModuleKind.ES, parts[main])], bindings, metadata["compatibility_date"])

    def run(self, name: str, request: Request) -> Reply:
        """The answer of a Worker to one request."""
        if self.lag:
            self.lag -= 1
            return Reply(404, b"There is nothing here yet")
        lines: list[str] = []
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(listen(0))
            port = listening.getsockname()[1]
            config = write_config(self.workers[name], hosts_at(port))
            hear = lines.append
            stack.enter_context(serving(workerd(), config, listening, environ={}, on_out=hear, on_err=hear))
            connection = stack.enter_context(
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))
            )
            sent = {key: value for key, value in request.headers.items() if key == "authorization"}
            connection.request(request.method, "/", headers=sent)
            answer = connection.getresponse()
            self.answers.append(answer.read())
            return Reply(answer.status, self.answers[-1])
