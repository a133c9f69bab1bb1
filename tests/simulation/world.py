"""A world in memory: one store, a clock, checkouts; and runs of the tool, as the command line does them."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.findings.errors import ReconcilerError
from reconciler.model import BindingChange, Change, Phase
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.plan.live import DeployChoice
from reconciler.plan.outcome import Step
from reconciler.plan.plan import Plan
from reconciler.plan.policy import PATIENCE
from reconciler.records.base import to_json
from reconciler.records.plan import plan_document
from reconciler.records.saved_plan import read_plan
from reconciler.runs.apply import apply as carry_out
from reconciler.runs.plan import Planned, PlanRequest, plan, plan_approved
from reconciler.runs.project import Project
from reconciler.stores.local import parse_upload
from reconciler.views.json.diagnostics import diagnostics_document
from reconciler.views.json.outcome import outcome_document
from tests.simulation.account import CONFIG_ID
from tests.simulation.facts import deployed, digest, parses
from tests.simulation.gate import Crash, Fault, Gate, Mode, Seen
from tests.simulation.pool import CAS, LEAVES, NOW, content
from tests.simulation.ports import GatedClock, GatedEnvironment, GatedFiles, GatedLines, GatedLock
from tests.simulation.record import Recorder, Row, Run, Snapshot
from tests.simulation.spec import (
    CONFIG,
    DECLARATION,
    FORMER_STACK,
    OTHER_STACK,
    STACK,
    ZONE,
    ZONE_ID,
    Spec,
    certificate_path,
    key_path,
    key_variable,
)
from tests.simulation.stock import EmbeddedStock, Stock
from tests.support.memory import MemoryClock, NoDeployers, NoProvers

MakeStock = Callable[[MemoryClock], Stock]
_ID = re.compile(rb'("?certificate_id"?\s*[=:]\s*")[^"]*(")')
DAMAGED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@dataclass
class Checkout:
    """One copy of the tree on some machine: what it declares, its files, its keys, its journal."""

    spec: Spec
    tree: dict[str, bytes] = field(default_factory=dict, repr=False)
    environ: dict[str, str] = field(default_factory=dict, repr=False)
    journal: bytearray = field(default_factory=bytearray)

    def save(self) -> None:
        """Write mtls.toml, and every certificate and key as the declaration has them."""
        self.tree[DECLARATION] = self.spec.render()
        for name, certificate in self.spec.certificates.items():
            number = certificate.content
            self.tree[certificate_path(name)] = content(number).pem.encode() if number is not None else DAMAGED
        self.hand_out_keys()

    def hand_out_keys(self) -> None:
        """Put the right key where each certificate's key is declared to be."""
        for name, certificate in self.spec.certificates.items():
            if certificate.content is not None and not certificate.ca:
                key = content(certificate.content).key
                self.environ[key_variable(name)] = key
                self.tree[key_path(name)] = key.encode()

    def copy(self) -> Checkout:
        """Another checkout of the same state, with a journal of its own."""
        return Checkout(self.spec.copy(), dict(self.tree), dict(self.environ))

    @property
    def wranglers(self) -> list[str]:
        """The wrangler files that it declares."""
        return [worker.config for worker in self.spec.workers.values()]


@dataclass(frozen=True)
class Ask:
    """What a run is asked for. `saved`: a plan to apply; `retires`: what to retire without its grace.

    Without `apply` it is a plan; `patience`: one that counts what `apply` would wait for.
    """

    apply: bool = True
    saved: bytes | None = field(default=None, repr=False)
    retires: str | None = None
    patience: bool = True


APPLY, LOOK, LOOK_AHEAD = Ask(), Ask(apply=False, patience=False), Ask(apply=False)


class World:
    """One store and one clock for everybody."""

    def __init__(self, stock: MakeStock = EmbeddedStock, *, begins: datetime = NOW) -> None:
        self.clock = MemoryClock(begins)
        self.stock = stock(self.clock)
        self.main = Checkout(Spec(account=self.stock.account))
        self.history: list[Checkout] = []
        self.ask = APPLY  # of the next run

    def rows(self) -> dict[str, Row]:
        """What is stored, read past the tool."""
        return self.stock.rows()

    def put(self, number: int, name: str) -> None:
        """Somebody uploads a content under a name; nothing where the store has it."""
        if digest(content(number).pem) not in {digest(row.pem) for row in self.rows().values()}:
            ca = number in CAS
            key = None if ca else PrivateKey(content(number).key.encode())
            self.stock.put(NewEntry(name, ca, parse_upload(content(number).pem), key))

    def copy(self) -> World:
        """The same world again, to try another fault in."""
        again = World(self.stock.copy)
        again.clock.time = self.clock.time
        again.main = self.main.copy()
        again.main.journal = bytearray(self.main.journal)
        return again

    def manage(self, number: int) -> None:
        """Gateway makes an entry of its own; nothing where the store has the content."""
        self.stock.manage(content(number).pem)

    def take(self, entry: str) -> None:
        """Somebody deletes an entry, where that is possible."""
        self.stock.take(entry)

    def deploy(self) -> None:
        """Somebody deploys every Worker whose file can be read, as far as the store has what it names."""
        for path in self.main.wranglers:
            data = self.main.tree[path]
            if parses(path, data):
                self.stock.deploy(deployed(path, data))

    def pass_time(self, time: timedelta) -> None:
        """Time passes; or, where it is negative, the clock of this side is set back."""
        self.clock.time += time
        self.stock.pass_time(time)

    # --- a run ------------------------------------------------------------------------------------------------------

    def run(self, checkout: Checkout, fault: Fault | None = None, ask: Ask = APPLY) -> Result:
        """`mtlsctl apply --yes` (or what is asked) in a checkout, with at most one fault; never raises what the run
        raised."""
        recorder = Recorder(self.rows, lambda: checkout.tree, self.clock.now)
        gate = Gate(fault)
        gate.meddle = _Meddler(self, checkout, recorder).meddle
        told = _Told()
        project = self._project(checkout, gate, recorder, told.texts.append)
        before = self._snapshot(checkout)
        try:
            former = (FORMER_STACK,) if FORMER_STACK.encode() in checkout.tree.get(DECLARATION, b"") else ()
            _command(project, told, ask, former)
        except Crash:
            told.ended = "crashed"
        except KeyboardInterrupt:
            told.ended = "interrupted"
        except ReconcilerError as error:
            told.error(error, project)
        except Exception:  # noqa: BLE001 - a bug, which the judges report
            told.bug = traceback.format_exc()
        after = self._snapshot(checkout)
        told.texts.append(after.journal[len(before.journal) :].decode())
        run = Run(
            now=self.clock.time,
            before=before,
            after=after,
            did=recorder,
            texts=tuple(told.texts),
            bug=told.bug,
            torn=fault is not None and fault.mode in (Mode.FAIL, Mode.CRASH_HALF),
            ended=told.ended,
            digest=told.digest,
            saved=ask.saved,
            retires=ask.retires,
        )
        return Result(run, told.changes, told.waiting, told.binds, told.document, gate.seen, gate.met)

    def _snapshot(self, checkout: Checkout) -> Snapshot:
        return Snapshot(
            self.rows(), dict(checkout.tree), bytes(checkout.journal), self.stock.mtls(), self.stock.trusted()
        )

    def _project(self, checkout: Checkout, gate: Gate, recorder: Recorder, tell: Callable[[str], None]) -> Project:
        return Project(
            folder=Path("/simulated"),
            name=DECLARATION,
            environ=GatedEnvironment(checkout.environ, gate),
            files=GatedFiles(checkout.tree, gate=gate, recorder=recorder),
            stores=self.stock.stores(gate, recorder, tell),
            lines=GatedLines(checkout.journal, gate),
            lock=GatedLock(gate),
            clock=GatedClock(self.clock.now, self.pass_time, gate),
            deployers=NoDeployers(),
            provers=NoProvers(),
        )


@dataclass(frozen=True)
class Result:
    """A run, for the judges; and what the story goes on from. `changes` None: it did not come to a plan.

    `binds`: when the first binding that waits may be made. `plan`: the plan as `--out` saves it.
    """

    run: Run
    changes: tuple[Change, ...] | None
    waiting: int
    binds: datetime | None
    plan: str | None
    seen: list[Seen]
    met: str | None


@dataclass
class _Told:
    """What a run said, in every form, for the search for keys."""

    texts: list[str] = field(default_factory=list)
    changes: tuple[Change, ...] | None = None
    waiting: int = 0
    binds: datetime | None = None
    document: str | None = None
    digest: str | None = None
    ended: str = "nothing to do"
    bug: str | None = None

    def error(self, error: ReconcilerError, project: Project) -> None:
        """An error that stopped the run: every text of it and of its causes, and its document."""
        self.ended = f"stopped: {error.message}"
        current: BaseException | None = error
        while current is not None:
            self.texts += [str(current), repr(current), repr(vars(current))]
            current = current.__cause__ or current.__context__
        self.texts.append(to_json(diagnostics_document(error.diagnostics(), project.place)))

    def planned(self, made: Plan, project: Project) -> None:
        """The plan of the run."""
        self.changes, self.waiting, self.digest = made.changes, len(made.waiting), made.digest
        times = [one.until for one in made.waiting if isinstance(one.change, BindingChange)]
        self.binds = min((time for time in times if time is not None), default=None)
        self.document = to_json(plan_document(made, project.place))
        self.texts.append(self.document)


def _command(project: Project, told: _Told, ask: Ask, former: tuple[str, ...]) -> None:
    """As `mtlsctl apply --yes --prune`: under the lock, plan, carry out where there is something to do, tidy up where
    not. It takes over from every former stack."""
    with project.lock(command="apply", timeout_s=0, waiting=lambda _: None):
        planned = _plan(project, ask, former)
        told.planned(planned.plan, project)
        if not ask.apply:
            return
        if not planned.plan.changes:
            project.files.tidy()
        else:
            phases = tuple(Phase) if ask.retires is None else (Phase.RETIRE,)
            outcome = carry_out(project, planned, _Silent(), phases)
            told.ended = f"ended with {outcome.exit_code}"
            told.texts.append(to_json(outcome_document(outcome, project.place)))


def _plan(project: Project, ask: Ask, former: tuple[str, ...]) -> Planned:
    if ask.saved is not None:
        return plan_approved(project, read_plan(ask.saved, "plan.json"))
    if ask.retires is not None:
        return plan(project, PlanRequest(retire=ask.retires, skip_grace=True, prune=True, take_over=former))
    patience = PATIENCE if ask.patience else timedelta()
    return plan(project, PlanRequest(patience=patience, prune=True, take_over=former, deploy=_UPDATES))


_UPDATES = DeployChoice(hyperdrives=frozenset({CONFIG, CONFIG_ID}), zones=frozenset({ZONE, ZONE_ID}))
"""The Hyperdrive configuration and the hostnames are updated; who deploys Workers is somebody else."""


class _Silent:
    """Watches and says nothing."""

    def started(self, change: Change) -> None:
        pass

    def finished(self, step: Step) -> None:
        pass


MEDDLERS = 3
BY_HAND = "<BY_HAND>"


@dataclass(frozen=True)
class _Meddler:
    """Somebody else, who is faster by one effect."""

    world: World
    checkout: Checkout
    recorder: Recorder

    def meddle(self, name: str, subject: str, which: int) -> None:
        """Change just what the effect is about: take its upload away, delete its entry, edit its file."""
        before = self.world.rows()
        if name == "store.upload":
            self._upload(subject, which)
        elif name in ("store.delete", "store.get") and subject in before:
            self.world.take(subject)
        elif name in ("file.read", "file.replace") and subject in self.checkout.wranglers:
            data = self.checkout.tree[subject]
            self.checkout.tree[subject] = with_ids(data, BY_HAND) if which else data + comment(subject, "by hand")
            self.recorder.edited.add(subject)
        elif name in ("hyperdrive.get", "hyperdrive.read"):
            self.world.stock.set_mtls({**self.world.stock.mtls(), "sslmode": "require", "hand": str(which)})
            self.recorder.moved = True
        elif name == "hostnames.read":
            lists = self.world.stock.trusted()
            for ca in [row.id for row in before.values() if row.ca]:
                kept = () if which % 2 else lists.get(ca, ())
                self.world.stock.trust(ca, (*kept, f"hand{which}.example.com"))
            self.recorder.listed = True
        elif name == "clock.wait" and self.checkout.wranglers:
            self.meddle("file.replace", self.checkout.wranglers[which % len(self.checkout.wranglers)], 1)
        self.recorder.touched |= before.keys() ^ self.world.rows().keys()

    def _upload(self, pem: str, which: int) -> None:
        """The same content, as another checkout, a person, or another stack would put it there."""
        number = next(number for number in (*LEAVES, *CAS) if digest(content(number).pem) == digest(pem))
        name = (mark_of(STACK, "alpha", number), "by-hand", mark_of(OTHER_STACK, "alpha", number))[which % MEDDLERS]
        self.world.put(number, name)


def mark_of(stack: str, name: str, number: int) -> str:
    """The mark of a content."""
    return f"{stack}.{name}.{digest(content(number).pem)[:12]}"


def with_ids(data: bytes, new: str, count: int = 0) -> bytes:
    """A wrangler file in which every id, or the first `count`, is another."""
    return _ID.sub(rb"\g<1>" + new.encode() + rb"\2", data, count=count)


def comment(path: str, text: str) -> bytes:
    """A line that a person adds to a wrangler file."""
    return f"{'//' if path.endswith('.jsonc') else '#'} foreign: {text}\n".encode()
