"""`mtlsctl verify --level edge`: what a throw-away Worker at Cloudflare proves, and that nothing of it is left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from reconciler.emulator.app import PREFIX
from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.emulator.tokens import ALL, Permission, Token
from reconciler.findings.errors import ReconcilerError
from reconciler.model import CertificateName, EntryId, Origin
from reconciler.model.edge import (
    OLDEST,
    EntryUnseen,
    ListedWorker,
    ProbeWorker,
    is_probe_name,
    probe_name,
)
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.proof.levels import LevelResult
from reconciler.runs.verify.edge import PAUSES_S, UNSEEN_PAUSES_S, Edge
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.edge import CloudflareEdge
from reconciler.system.clock import SystemClock
from reconciler.web.http import Address, Answer
from reconciler.workerd.reaching import EDGE_WORKER
from tests.runs.test_verify import levels, put
from tests.servers.certificates import pki
from tests.servers.programs import nginx
from tests.support.cli import Project
from tests.support.emulated import DirectTransport, make_state
from tests.support.origins import client, origin, server_ca
from tests.support.pki import NOW
from tests.support.store_contract import LEAVES, SetClock, leaf
from tests.support.workers_dev import WorkersDev

MINUTE = timedelta(minutes=1)
TOKEN = "a-token-of-the-tests"
MTLS = """\
version = 1
stack = "payments"

[store]
kind = "cloudflare"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
verify = "https://localhost:PORT/health"
"""
EDGE = ("verify", "--level", "edge", "--format", "json")


def project_at(folder: Path, url: str, port: int = 1) -> Project:
    """A project whose certificate is accepted by origins; its account is at `url`."""
    account = {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID, "CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_API_BASE_URL": url}
    made = Project(folder, account)
    made.write("mtls.toml", MTLS.replace("PORT", str(port)))
    made.write("certs/billing.pem", client("right").chain_pem)
    made.environ["BILLING_KEY"] = client("right").key_pem.decode()
    return made


def uploaded(project: Project) -> Project:
    """The same, with its certificate at Cloudflare, and its key no longer here."""
    result = project.run("apply", "--yes", "--phase", "upload")
    assert result.code == 0, result.err
    project.environ.pop("BILLING_KEY")
    return project


def edge(project: Project) -> dict[str, object]:
    """The level of the only certificate, as JSON."""
    (level,) = project.run(*EDGE).json["certificates"][0]["levels"]
    assert isinstance(level, dict)
    return level


# --- with a real Worker and a real origin -----------------------------------------------------------------------------


@pytest.fixture
def cloudflare() -> WorkersDev:
    """An account whose Workers run."""
    return WorkersDev(new_state(SystemClock()), server_ca().certificate_pem.decode())


def test_the_origin_sees_the_uploaded_certificate(cloudflare: WorkersDev, tmp_path: Path) -> None:
    """Once, without its key here; nothing is left of the Worker, and no one else is told its secret."""
    with cloudflare.running() as url, origin() as there:
        project = uploaded(project_at(tmp_path, url, there.port))
        result = project.run(*EDGE, "--verbose")
    assert (result.code, levels(result)) == (0, {"edge": "proved answered"})
    assert there.seen == [client("right").certificate.serial_number]
    assert cloudflare.state.account().holders.workers == {}
    (secret,) = cloudflare.secrets
    assert len(secret) >= 43
    calls = [str(call) for call in cloudflare.state.calls]
    assert not any(secret in text for text in (result.out, result.err, *calls, str(cloudflare.answers)))
    assert not any(secret in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_an_origin_that_refuses_the_uploaded_certificate_refutes_it(cloudflare: WorkersDev, tmp_path: Path) -> None:
    """By its page. The file and the key that are here do not matter."""
    files = tmp_path / "origin"
    files.mkdir()
    pki().write(files)
    with cloudflare.running() as url, nginx(files, "on") as port:
        project = project_at(tmp_path / "project", url, port)
        put(project, "wrong CA")
        result = uploaded(project).run(*EDGE)
    assert (result.code, levels(result)) == (1, {"edge": "refuted rejected"})


def test_only_who_has_the_secret_is_answered(cloudflare: WorkersDev, tmp_path: Path) -> None:
    """Without it, or with another, the Worker calls nothing and looks as if it did not exist."""
    with cloudflare.running() as url, origin() as there:
        uploaded(project_at(tmp_path, url, there.port))
        (entry,) = cloudflare.state.account().entries()
        worker = ProbeWorker(LEFT, EDGE_WORKER, entry.id, there.url, 10_000, "right")
        account = CloudflareEdge(Client(access(url), Time(SystemClock().now)), access(url), lambda: 0.5)
        account.deploy(worker)
        address = f"{url.partition('/client/')[0]}/workers.dev/{LEFT}"
        assert httpx.get(address, headers={"authorization": "Bearer right"}).status_code == 404  # not published yet
        account.publish(LEFT)
        told = [httpx.get(address)]
        told += [httpx.get(address, headers={"authorization": given}) for given in ("right", "Bearer righ", "Bearer x")]
        assert {(one.status_code, one.content) for one in told} == {(404, b"")}
        assert there.seen == []
        assert json.loads(account.call(LEFT, "right")) == {"status": 200, "body": "ok", "proxied": False}
    assert len(there.seen) == 1


def test_a_worker_is_called_on_workers_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its own host, over TLS, with the secret in a header. Only an emulator on this machine answers for it."""
    called: list[tuple[str, Mapping[str, str]]] = []

    class Http:
        def __init__(self, address: Address, *_: object) -> None:
            called.append((address.base_url, address.headers))

        def get(self, path: str) -> Answer:
            return Answer(200, {}, path.encode())

    monkeypatch.setattr("reconciler.stores.cloudflare.edge.Http", Http)
    far = Access("https://api.example/client/v4", ACCOUNT_ID, TOKEN)
    transport = DirectTransport(make_state(SetClock()))
    account = CloudflareEdge(Client(far, Time(SetClock().now), transport=transport), far, lambda: 0.5)
    account.demand_subdomain()
    assert account.call(LEFT, "hidden") == b"/"
    assert called == [(f"https://{LEFT}.emulator.workers.dev", {"authorization": "Bearer hidden"})]


WORKER = """
[policy]
verify_before = "bind"

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
"""


def with_gate(project: Project) -> Project:
    """The same, with a Worker that may use the certificate only if that is proved at the edge."""
    project.write("wrangler.toml", 'name = "checkout"\n')
    project.write("mtls.toml", project.read("mtls.toml") + WORKER)
    return project


def test_apply_binds_what_the_origin_accepts_from_the_edge(cloudflare: WorkersDev, tmp_path: Path) -> None:
    """Upload, prove, bind: in one run. After it, nothing is planned."""
    with cloudflare.running() as url, origin() as there:
        project = with_gate(project_at(tmp_path, url, there.port))
        told = project.run("plan", "--format", "json").json["calls"]
        cloudflare.state.calls.clear()
        result = project.run("apply", "--yes")
        assert len(cloudflare.state.calls) == told["apply"]
        assert project.run("plan", "--detailed-exitcode").code == 0
    assert (result.code, there.seen) == (0, [client("right").certificate.serial_number])
    (entry,) = cloudflare.state.account().entries()
    assert entry.id in project.read("wrangler.toml")
    assert cloudflare.state.account().holders.workers == {}
    assert not any(secret in result.out + result.err for secret in cloudflare.secrets)


@pytest.mark.parametrize("event", [{}, {"GITHUB_EVENT_NAME": "pull_request"}], ids=["by hand", "pull request"])
def test_apply_binds_nothing_that_was_not_proved_at_the_edge(tmp_path: Path, event: dict[str, str]) -> None:
    """The emulator alone runs no Workers; for a pull request nothing is deployed at all."""
    state = new_state(SystemClock())
    with running(state) as url:
        project = with_gate(uploaded(project_at(tmp_path, url)))
        state.calls.clear()
        project.environ.update(event)
        result = project.run("apply", "--yes")
    assert result.code == (1 if event else 3)
    assert project.read("wrangler.toml") == 'name = "checkout"\n'
    deployed = [call for call in state.calls if call.method == "PUT"]
    assert bool(deployed) is not bool(event)
    assert ("does not run for" if event else "could not be verified from Cloudflare") in result.out + result.err


def test_doctor_names_the_permission_that_the_proofs_of_apply_need(tmp_path: Path) -> None:
    """Only where they are declared; whether the token has it is unknown until something is deployed."""
    with emulated(tmp_path) as (_, project):
        assert "Workers Scripts Write" not in project.run("doctor", "--format", "json").out
        told = with_gate(project).run("doctor", "--format", "json").out
    assert "Workers Scripts Write: unknown; needed for `apply`, to prove certificates at the edge" in told


# --- where nothing can be proved --------------------------------------------------------------------------------------


@contextmanager
def emulated(tmp_path: Path) -> Iterator[tuple[EmulatorState, Project]]:
    """An account whose Workers do not run, and a project with its certificate there."""
    state = new_state(SystemClock())
    with running(state) as url:
        yield state, uploaded(project_at(tmp_path, url))


def test_an_emulator_without_workers_proves_nothing(tmp_path: Path) -> None:
    """3, with the reason; the Worker was deployed and deleted."""
    with emulated(tmp_path) as (state, project):
        result = project.run(*EDGE)
    assert (result.code, levels(result)) == (3, {"edge": "inconclusive inconclusive"})
    assert "the emulator runs no Workers" in result.out
    assert state.account().holders.workers == {}


def test_an_account_without_workers_dev_is_told_what_to_do(tmp_path: Path) -> None:
    """3, and nothing is deployed."""
    with emulated(tmp_path) as (state, project):
        state.settings.subdomain = ""
        level = edge(project)
    assert (level["standing"], level["why"]) == ("inconclusive", "the account has no workers.dev subdomain")
    assert "open Workers & Pages in the dashboard" in str(level["hint"])
    assert not [call for call in state.calls if call.method == "PUT"]


def test_a_token_that_may_not_deploy_is_told_the_permission(tmp_path: Path) -> None:
    """3: the permission to write Workers, which no other level needs."""
    with emulated(tmp_path) as (state, project):
        state.access.tokens[TOKEN] = Token(ALL - {Permission.WORKERS_WRITE})
        level = edge(project)
    assert level["standing"] == "inconclusive"
    assert "no permission to deploy a throw-away Worker" in str(level["why"])
    assert "`Workers Scripts Write` (in the dashboard: Account > Workers Scripts > Edit)" in str(level["hint"])
    assert level["diagnostics"] == []


def test_what_is_not_uploaded_can_not_be_tried(tmp_path: Path) -> None:
    """3, before anything is deployed."""
    state = new_state(SystemClock())
    with running(state) as url:
        result = project_at(tmp_path, url).run(*EDGE)
    assert (result.code, levels(result)) == (3, {"edge": "skipped not-stored"})


def test_the_local_store_has_no_edge(tmp_path: Path) -> None:
    """3, and what to use instead."""
    project = project_at(tmp_path, "")
    project.write("mtls.toml", project.read("mtls.toml").replace('"cloudflare"', '"local"'))
    assert project.run("apply", "--yes").code == 0
    result, text = project.run(*EDGE), project.run("verify", "--level", "edge")
    assert (result.code, levels(result)) == (3, {"edge": "skipped no-edge"})
    assert "the local store has no edge: it runs no Workers and keeps no keys" in text.out
    assert "use `--level runtime`" in text.out
    assert text.out.endswith("mtlsctl verify billing --level edge\n")


def test_the_edge_is_not_called_unless_asked_for(tmp_path: Path) -> None:
    """`verify` alone deploys nothing."""
    with emulated(tmp_path) as (state, project):
        state.calls.clear()
        assert "edge" not in levels(project.run("verify", "--format", "json"))
    assert {call.method for call in state.calls} == {"GET"}


@pytest.mark.parametrize(
    "event",
    [{"GITHUB_EVENT_NAME": "pull_request"}, {"CI_PIPELINE_SOURCE": "merge_request_event"}],
    ids=["GitHub", "GitLab"],
)
def test_nothing_is_deployed_for_a_pull_request(tmp_path: Path, event: dict[str, str]) -> None:
    """Its mtls.toml would say what is called with the uploaded certificate."""
    with emulated(tmp_path) as (state, project):
        state.calls.clear()
        project.environ.update(event)
        result = project.run("verify", "--level", "edge")
    assert (result.code, state.calls) == (3, [])
    assert "`mtlsctl verify --level edge` does not run for" in result.err


# --- the account fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.SERVER_ERROR, FaultKind.SERVER_ERROR_AFTER])
def test_a_call_that_fails_once_is_made_again(method: str, kind: FaultKind) -> None:
    """It changes nothing more: the name is the same."""
    clock = SetClock()
    state = make_state(clock)
    entry = state.account().store.upload(leaf(LEAVES[0]))
    state.account().added(entry)
    time = Time(clock.now, monotonic=lambda: clock.now().timestamp(), sleep=lambda _: None)
    client_ = Client(access(f"http://127.0.0.1{PREFIX}"), time, transport=DirectTransport(state))
    account = CloudflareEdge(client_, access(f"http://127.0.0.1{PREFIX}"), lambda: 0.5)
    state.faults.add(Fault(kind, method=method))
    account.deploy(ProbeWorker(LEFT, b"", entry.id, "https://a.example/", 1, "hidden"))
    account.publish(LEFT)
    assert account.has_probe_bindings(LEFT)
    clock.time += 5 * MINUTE
    (found,) = account.workers()
    assert found.age is not None
    assert (found.name, round(found.age / MINUTE)) == (LEFT, 5)  # the header Date has whole seconds
    state.account().holders.workers[LEFT].versions[-1]["resources"] = {"bindings": []}
    assert not account.has_probe_bindings(LEFT)
    account.delete(LEFT)
    account.delete(LEFT)
    assert not account.has_probe_bindings(LEFT)
    assert state.account().holders.workers == {}


# --- kills, and what is left ------------------------------------------------------------------------------------------


def access(url: str) -> Access:
    """The access to the emulated account."""
    return Access(url, ACCOUNT_ID, TOKEN, is_loopback=True)


class Killed(BaseException):
    """The process ended."""


_T = TypeVar("_T")


@dataclass
class Account:
    """An account in memory: its Workers with when they were made. `kill_at` ends the run at that effect, and `fail_at`
    lets only that one fail."""

    workers_there: dict[str, datetime | None] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    """Workers with other bindings than those of a throw-away Worker."""
    now: datetime = NOW
    kill_at: int | None = None
    fail_at: int | None = None
    after: bool = False
    done: int = 0
    unseen: int = 0
    answers: list[bytes | ReconcilerError] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    deployed: list[ProbeWorker] = field(default_factory=list)

    def _effect(self, value: _T) -> _T:
        self.done += 1
        if self.kill_at is not None and self.done >= self.kill_at:
            raise Killed
        if self.done == self.fail_at:
            raise StoreError("it failed", hint="wait")
        return value

    def _end(self) -> None:
        if self.after and self.kill_at is not None and self.done + 1 >= self.kill_at:
            self.done += 1
            raise Killed

    def demand_subdomain(self) -> None:
        self._effect(None)

    def workers(self) -> tuple[ListedWorker, ...]:
        every = self.workers_there.items()
        return self._effect(tuple(ListedWorker(name, self.now - made if made else None) for name, made in every))

    def has_probe_bindings(self, name: str) -> bool:
        return self._effect(name in self.workers_there and name not in self.others)

    def deploy(self, worker: ProbeWorker) -> None:
        assert worker.name not in self.workers_there, "a Worker was overwritten"
        self._effect(None)
        if self.unseen:
            self.unseen -= 1
            raise EntryUnseen("not known yet", number=100143)
        self.workers_there[worker.name] = self.now
        self.deployed.append(worker)
        self._end()

    def publish(self, name: str) -> None:
        assert name in self.workers_there
        self._effect(None)
        self._end()

    def call(self, name: str, secret: str) -> bytes:
        assert secret == self.deployed[-1].secret
        self._effect(None)
        self._end()
        answer = self.answers.pop(0) if self.answers else b'{"status": 200}'
        if isinstance(answer, ReconcilerError):
            raise answer
        return answer

    def delete(self, name: str) -> None:
        self._effect(None)
        self.workers_there.pop(name, None)
        self.deleted.append(name)
        self._end()

    def wait_until(self, time: datetime) -> None:
        """The clock's."""
        self.waits.append((time - self.now).total_seconds())
        self.now = time


@dataclass
class ClockOf:
    """The clock of an account."""

    account: Account

    def now(self) -> datetime:
        return self.account.now

    def wait_until(self, time: datetime) -> None:
        self.account.wait_until(time)


def prove(account: Account) -> LevelResult:
    """The level in one new run."""
    run = Edge(account, "payments", ClockOf(account), lambda _: None)
    return run.prove(CertificateName("billing"), Origin("https://billing.example/"), EntryId("an-id"))


EFFECTS = 6
LEFT = probe_name("payments", "0123456789ab")
SPARED: dict[str, tuple[timedelta | None, bool]] = {
    "of a parallel run": (OLDEST - timedelta(seconds=1), True),
    "of unknown age": (None, True),
    "with other bindings": (3 * OLDEST, False),
}


def test_an_effect_is_counted_for_each_that_a_run_has() -> None:
    """The kills below reach every effect."""
    account = Account()
    assert prove(account).verdict == "answered"
    assert (account.done, account.workers_there) == (EFFECTS, {})


@pytest.mark.parametrize("nth", range(1, EFFECTS + 1))
def test_an_effect_that_fails_is_never_a_proof_and_leaves_no_worker_unreported(nth: int) -> None:
    """A call is made again; a deletion that failed is reported; everything else leaves the proof open."""
    account = Account({"checkout": NOW}, fail_at=nth)
    result = prove(account)
    assert result.standing == ("proved" if nth >= EFFECTS - 1 else "inconclusive")
    assert (result.why, result.hint) == ("it failed", "wait") or result.standing == "proved"
    assert bool(account.workers_there.keys() - {"checkout"}) is bool(result.findings) is (nth == EFFECTS)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, EFFECTS + 1))
def test_what_a_killed_run_leaves_is_deleted_by_the_next_run_after_an_hour(*, nth: int, after: bool) -> None:
    """Never before, and never another Worker."""
    mine = {"checkout": NOW - 9 * OLDEST, "mtlsctl-probe-payments": NOW - 9 * OLDEST}
    account = Account(dict(mine), kill_at=nth, after=after)
    with pytest.raises(Killed):
        prove(account)
    left = set(account.workers_there) - set(mine)
    account.kill_at = None
    prove(account)
    assert set(account.workers_there) == {*mine, *left}  # a parallel run might still need it
    account.now += OLDEST
    prove(account)
    assert account.workers_there == mine
    assert not {*mine} & {*account.deleted}


def test_ctrl_c_deletes_the_worker() -> None:
    """While its answer is waited for."""

    class Interrupted(Account):
        def wait_until(self, time: datetime) -> None:
            raise KeyboardInterrupt

    account = Interrupted(answers=[b"<html>"])
    with pytest.raises(KeyboardInterrupt):
        prove(account)
    assert (len(account.deployed), account.workers_there) == (1, {})


@pytest.mark.parametrize("nth", range(1, 4))
def test_a_kill_while_a_leftover_is_deleted_leaves_it_to_the_next_run(nth: int) -> None:
    """Reading its bindings and deleting it are effects like all others."""
    account = Account({LEFT: NOW - 2 * OLDEST}, kill_at=2 + nth)
    with pytest.raises(Killed):
        prove(account)
    account.kill_at = None
    account.now += OLDEST
    prove(account)
    assert account.workers_there == {}


@pytest.mark.parametrize("why", SPARED)
def test_a_worker_that_may_not_be_left_over_is_kept(why: str) -> None:
    """Its name alone decides nothing."""
    age, own = SPARED[why]
    account = Account({LEFT: None if age is None else NOW - age}, set() if own else {LEFT})
    prove(account)
    assert set(account.workers_there) == {LEFT}


@pytest.mark.parametrize(
    ("name", "stack", "fits"),
    [
        (LEFT, "payments", True),
        (LEFT, "pay", False),
        (LEFT, "payment.", False),
        (probe_name("payments-0123456789ab", "0123456789ab"), "payments", False),
        (f"{LEFT}\n", "payments", False),
        (LEFT.upper(), "payments", False),
        (f"x-{LEFT}", "payments", False),
        ("mtlsctl-probe-payments-123", "payments", False),
    ],
)
def test_a_name_fits_only_its_stack(name: str, stack: str, *, fits: bool) -> None:
    """Also if the name of one stack begins with that of another."""
    assert is_probe_name(name, stack) is fits


def test_a_name_fits_into_a_host_name() -> None:
    """63 characters; the name of a stack has at most 32."""
    assert len(probe_name("x" * 32, "0" * 12)) <= 63


# --- delays -----------------------------------------------------------------------------------------------------------


def test_the_first_answer_of_the_worker_itself_counts() -> None:
    """Until then, workers.dev answers with errors, or with pages of its own."""
    account = Account(answers=[StoreError("404"), b"<html>", b'{"x": 1}', b"[]", b'{"status": 403, "body": ""}'])
    result = prove(account)
    assert (result.standing, result.reach and result.reach.status) == ("inconclusive", 403)
    assert account.waits == list(PAUSES_S[:4])


@pytest.mark.parametrize(
    ("answer", "why"),
    [(StoreError("it answered with 404"), "it answered with 404"), (b"<html>", "something other than the Worker")],
    ids=["an error", "a page"],
)
def test_a_worker_that_never_answers_leaves_it_open(answer: bytes | ReconcilerError, why: str) -> None:
    """After a minute; it is deleted all the same."""
    account = Account(answers=[answer] * 20)
    result = prove(account)
    assert result.standing == "inconclusive"
    assert why in result.why
    assert account.waits == list(PAUSES_S)
    assert account.workers_there == {}


@pytest.mark.parametrize(("lag", "verdict"), [(3, "answered"), (99, "inconclusive")])
def test_a_certificate_that_workers_do_not_know_yet_is_waited_for(lag: int, verdict: str) -> None:
    """For half a minute."""
    account = Account(unseen=lag)
    assert prove(account).verdict == verdict
    assert account.waits == list(UNSEEN_PAUSES_S[:lag])
    assert account.workers_there == {}


def test_a_refused_deploy_deletes_nothing() -> None:
    """There is no Worker then, and the token may not delete one."""

    class Refusing(Account):
        def deploy(self, worker: ProbeWorker) -> None:
            raise StoreRefused("no", number=10000, hint="grant it")

    account = Refusing()
    assert (prove(account).hint, account.deleted) == ("grant it", [])


def test_a_worker_that_can_not_be_deleted_is_reported() -> None:
    """With its name and what to do; the verdict does not change."""

    class Keeping(Account):
        def delete(self, name: str) -> None:
            raise StoreError(f"no answer about {name}")

    account = Keeping()
    result = prove(account)
    (name,) = account.workers_there
    (finding,) = result.findings
    assert (result.standing, finding.code, finding.severity) == ("proved", "edge-worker-left", "warning")
    assert f"the throw-away Worker {name} could not be deleted: no answer" in finding.message
    assert f"`wrangler delete --name {name}`" in (finding.hint or "")


def test_an_existing_worker_is_never_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However unlikely its name is."""
    names = iter(["0123456789ab", "ba9876543210"])
    monkeypatch.setattr("reconciler.runs.verify.edge.token_hex", lambda _: next(names))
    account = Account({LEFT: NOW})
    prove(account)
    assert [worker.name for worker in account.deployed] == [probe_name("payments", "ba9876543210")]


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"status": 200}, "proved answered"),
        ({"status": 302}, "proved answered"),
        ({"status": 400, "body": "The SSL certificate error"}, "refuted rejected"),
        ({"status": 400, "body": "No required SSL certificate was sent"}, "refuted not-sent"),
        ({"status": 525}, "refuted rejected"),
        ({"status": 526}, "inconclusive server-untrusted"),
        ({"status": 520}, "inconclusive inconclusive"),
        ({"status": 521}, "inconclusive unreachable"),
        ({"status": 522}, "inconclusive unreachable"),
        ({"status": 530}, "inconclusive unreachable"),
        ({"status": 500}, "inconclusive inconclusive"),
        ({"status": 403, "proxied": True}, "inconclusive inconclusive"),
        ({"error": "Error: internal error", "name": "Error"}, "inconclusive inconclusive"),
        ({"error": "TimeoutError", "name": "TimeoutError"}, "inconclusive unreachable"),
    ],
    ids=str,
)
def test_each_answer_has_its_verdict(answer: dict[str, object], verdict: str) -> None:
    """Statuses of Cloudflare itself say what it got of the origin."""
    result = prove(Account(answers=[json.dumps(answer).encode()]))
    assert f"{result.standing} {result.verdict}" == verdict
    assert result.standing == "proved" or result.hint is not None or "error" in answer
