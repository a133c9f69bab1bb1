"""Calls an origin from a real Worker, through a binding that sends a certificate."""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from reconciler.findings.values import dataclass
from reconciler.proof.reach import FORBIDDEN, OriginCall, Reach, Reached
from reconciler.runtime.find import find_workerd
from reconciler.runtime.workerd import NotStarted, listen, serving
from reconciler.workerd.reaching import judge, reaching_config, refused

_MOST_ANSWER = 65_536


@dataclass(frozen=True, slots=True)
class LocalRuntime:
    """workerd on this machine, found from the first of these places that leads to one, up to `root`.

    Several calls may be made at once. Nothing in the networks of `deny` is called.
    """

    places: Sequence[Path]
    root: Path
    environ: Mapping[str, str] = field(repr=False)
    timeout_s: float = 10.0
    deny: tuple[str, ...] = FORBIDDEN

    def call(self, call: OriginCall) -> Reach:
        """The result of the call; one that says nothing about the certificate is made once more.

        An old workerd keeps connections that an origin has closed already, and some origins close without an error.
        """
        found = (find_workerd(place, self.root, self.environ) for place in self.places)
        workerd = next(filter(None, found), None)
        if workerd is None:
            return Reach(
                Reached.NOT_RUN,
                "workerd was not found; install wrangler, which includes it, or run `npm install workerd`",
            )
        reach = self._call(workerd, call)
        return self._call(workerd, call) if reach.reached is Reached.INCONCLUSIVE else reach

    def _call(self, workerd: Path, call: OriginCall) -> Reach:
        lines: list[str] = []
        answer = b""
        try:
            with listen(0) as listening:
                port: int = listening.getsockname()[1]
                config = reaching_config(call, port=port, timeout_s=self.timeout_s, deny=self.deny)
                with serving(
                    workerd, config, listening, environ=self.environ, on_out=lambda _: None, on_err=lines.append
                ):
                    answer = self._ask(port)
        except NotStarted as error:
            return refused(error.lines)
        return judge(answer, lines)  # all lines are complete, because workerd has ended

    def _ask(self, port: int) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self.timeout_s + 10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read(_MOST_ANSWER)
        except (OSError, http.client.HTTPException):
            return b""
        finally:
            connection.close()
