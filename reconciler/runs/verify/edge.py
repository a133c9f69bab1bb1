"""The level `edge`: a throw-away Worker at Cloudflare calls the origin with the uploaded certificate.

It proves Cloudflare's copy of certificate and key, and that the origin lets Cloudflare's addresses in. One Worker for
each proof, deleted at once; what a killed run left is deleted by a later one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import field, replace
from datetime import timedelta
from secrets import token_hex, token_urlsafe

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Declaration, EntryId, Origin
from reconciler.model.edge import OLDEST, EdgeAccount, EntryUnseen, ProbeWorker, is_probe_name, probe_name
from reconciler.model.errors import StoreRefused
from reconciler.model.ports import Clock
from reconciler.proof.levels import Level, LevelResult, Skip, skip
from reconciler.proof.reach import Reach, Reached
from reconciler.proof.runtime import judge_edge
from reconciler.proof.verdicts import ProofStatus
from reconciler.runs.operator import demand_merged
from reconciler.runs.project import Project
from reconciler.workerd.reaching import EDGE_WORKER
from reconciler.workerd.reaching import judge_edge as read_answer

UNSEEN_PAUSES_S = (1, 2, 4, 8, 15)
"""Until Workers know a certificate that was just uploaded."""
PAUSES_S = (1, 2, 4, 8, 15, 15, 15)
"""Until workers.dev knows a Worker that was just deployed."""
_TIMEOUT_MS = 10_000


@dataclass(slots=True)
class Edge:
    """The throw-away Workers of one run. `account` None: the store has no edge."""

    account: EdgeAccount | None
    stack: str
    clock: Clock
    log: Callable[[str], None]
    _names: set[str] = field(default_factory=set, init=False)
    _is_open: bool = field(default=False, init=False)
    _closed: LevelResult | None = field(default=None, init=False)

    def prove(self, certificate: CertificateName, origin: Origin, entry: EntryId) -> LevelResult:
        """The result of one call of the origin with this uploaded certificate. Never an error."""
        if self.account is None:
            why = "the local store has no edge: it runs no Workers and keeps no keys"
            return skip(Level.EDGE, Skip.NO_EDGE, why, "use `--level runtime`, or an account of Cloudflare")
        if not self._is_open:
            self._is_open, self._closed = True, self._open(self.account)
        return self._closed or self._prove(self.account, certificate, origin, entry)

    def _open(self, account: EdgeAccount) -> LevelResult | None:
        """Delete what an earlier run left. The result of the level if the edge can't be used."""
        try:
            account.demand_subdomain()
            for one in account.workers():
                self._names.add(one.name)
                is_old = one.age is not None and one.age >= OLDEST
                if is_probe_name(one.name, self.stack) and is_old and account.has_probe_bindings(one.name):
                    account.delete(one.name)
                    self.log(f"Deleted the Worker {one.name}, which an earlier run left")
        except ReconcilerError as error:
            return _not_made(error)
        return None

    def _prove(self, account: EdgeAccount, certificate: CertificateName, origin: Origin, entry: EntryId) -> LevelResult:
        name = probe_name(self.stack, token_hex(6))
        while name in self._names:
            name = probe_name(self.stack, token_hex(6))
        worker = ProbeWorker(name, EDGE_WORKER, entry, origin.url, _TIMEOUT_MS, token_urlsafe(32))
        left: list[Diagnostic] = []
        self.log(f"Calling {origin.url} from the edge, by the Worker {name}")
        try:
            with ExitStack() as after:
                after.callback(self._delete, account, name, certificate, left)
                try:
                    self._deploy(account, worker)
                except StoreRefused:
                    after.pop_all()  # nothing was deployed
                    raise
                account.publish(name)
                result = judge_edge(self._call(account, worker), origin.expect_status)
        except ReconcilerError as error:
            result = _not_made(error)
        return replace(result, findings=tuple(left))

    def _deploy(self, account: EdgeAccount, worker: ProbeWorker) -> None:
        for pause_s in UNSEEN_PAUSES_S:
            try:
                return account.deploy(worker)
            except EntryUnseen:
                self._wait(pause_s)
        return account.deploy(worker)

    def _call(self, account: EdgeAccount, worker: ProbeWorker) -> Reach:
        """The result of the first answer of the Worker itself. ReconcilerError if it never answers."""
        for pause_s in (*PAUSES_S, None):
            try:
                reach = read_answer(account.call(worker.name, worker.secret))
            except ReconcilerError:
                if pause_s is None:
                    raise
                reach = None
            if reach is not None:
                return reach
            if pause_s is not None:
                self._wait(pause_s)
        return Reach(Reached.INCONCLUSIVE, "something other than the Worker answered at its address")

    def _wait(self, seconds: float) -> None:
        self.clock.wait_until(self.clock.now() + timedelta(seconds=seconds))

    def _delete(self, account: EdgeAccount, name: str, certificate: CertificateName, left: list[Diagnostic]) -> None:
        try:
            account.delete(name)
        except ReconcilerError as error:
            message = f"the throw-away Worker {name} could not be deleted: {error.message}"
            hint = f"run `wrangler delete --name {name}`; a run after an hour deletes it, too"
            left.append(Diagnostic(Severity.WARNING, Code.EDGE_WORKER_LEFT, message, None, hint, certificate))


def open_edge(project: Project, declaration: Declaration, log: Callable[[str], None]) -> Edge:
    """The throw-away Workers for one run; makes no call. GuardError in a pipeline whose checkout is not merged."""
    demand_merged(project.environ, "verify --level edge")
    return Edge(project.provers.edge(declaration.store), declaration.stack, project.clock, log)


def _not_made(error: ReconcilerError) -> LevelResult:
    return LevelResult(Level.EDGE, ProofStatus.INCONCLUSIVE, str(Reached.INCONCLUSIVE), error.message, error.hint)
