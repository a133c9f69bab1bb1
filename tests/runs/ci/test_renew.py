"""`ci FORGE renew`: one pull request for each certificate, whatever happened to the job before."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from reconciler.findings.errors import ReconcilerError
from reconciler.model.key_places import Slot, SopsSink
from reconciler.x509.certificates import key_digest
from reconciler.x509.files import parse_file
from tests.support.cli import Project, Result, make_project
from tests.support.forges import TOKEN, FakeRepository, GitHub
from tests.support.gitlab import GitLab
from tests.support.pki import make_ca
from tests.support.renewing import CaIssuer, Gate, Killed

NOW = datetime.now(UTC).replace(microsecond=0)
CA = make_ca("Root", not_before=NOW - timedelta(days=400)).issue_ca("Internal CA", not_before=NOW - timedelta(days=400))
BRANCH = "mtlsctl/renew/payments/billing"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_TOKEN": TOKEN,
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_EVENT_NAME": "schedule",
    "GITHUB_REF": "refs/heads/main",
}
GITLAB = {
    "GITLAB_CI": "true",
    "MTLSCTL_RENEW_TOKEN": TOKEN,
    "MTLSCTL_CI_GITLAB_TOKEN": "that-of-notes",
    "CI_PROJECT_ID": "42",
    "CI_PIPELINE_SOURCE": "schedule",
    "CI_COMMIT_BRANCH": "main",
}
MTLS = """\
version = 1
stack = "payments"

[issuers.internal]
kind = "command"
command = ["./sign.sh"]
"""
CERTIFICATE = """
[certificates.{name}]
certificate = "certs/{name}.pem"

[certificates.{name}.renew]
issuer = "internal"
sink = {{ sops = "secrets" }}
"""


class TreeSink:
    """A sink in the tree, whose keys are hidden by turning them around."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def slots(self) -> frozenset[Slot]:
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return frozenset(slot for slot in map(Slot.parse, names) if slot is not None)

    def read(self, slot: Slot) -> bytes:
        return (self.folder / slot.text).read_bytes()[::-1]

    def write(self, slot: Slot, key: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / slot.text).write_bytes(key[::-1])

    def remove(self, slot: Slot) -> None:
        (self.folder / slot.text).unlink(missing_ok=True)


@dataclass
class Job:
    """A project in a job on a schedule, in a git checkout; the issuer is in memory."""

    project: Project
    forge: FakeRepository
    issuer: CaIssuer

    def renew(self, **environ: str) -> Result:
        """`mtlsctl ci FORGE renew` on a schedule. The token is never shown or written."""
        name, fixed = ("gitlab", GITLAB) if isinstance(self.forge, GitLab) else ("github", GITHUB)
        before = dict(self.project.environ)
        urls = {"GITHUB_API_URL": self.forge.url, "CI_API_V4_URL": f"{self.forge.url}/api/v4"}
        self.project.environ.update({**fixed, **urls, "CI_PROJECT_DIR": str(self.project.folder), **environ})
        try:
            done = self.project.run("ci", name, "renew")
        finally:
            self.project.environ = before
        written = (path for path in self.project.folder.rglob("*") if path.is_file())
        assert not any(TOKEN.encode() in path.read_bytes() for path in written)
        assert TOKEN not in done.out + done.err
        return done

    def merge(self, state: str = "merged") -> None:
        """Merge all pull requests, or close them."""
        for pull in self.forge.pulls:
            self.forge.head_of(pull)
            pull["state"] = state

    def checkout(self, message: str = "Begin") -> None:
        """Commit what is there, as a merge did, and give the forge the same commit."""
        folder = self.project.folder
        git(folder, "add", "mtls.toml", "certs", *(["secrets"] if (folder / "secrets").is_dir() else []))
        git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
        names = git(folder, "ls-files").splitlines()
        files = {name: (folder / name).read_bytes() for name in names}
        self.forge.commit(git(folder, "rev-parse", "HEAD"), files, message)

    def fresh(self) -> None:
        """A new runner: what the job wrote is gone."""
        git(self.project.folder, "reset", "--quiet", "--hard")
        git(self.project.folder, "clean", "--quiet", "-fd", "secrets", "certs")


def headers_of(status: int) -> dict[str, str]:
    """Those of an answer with an error. A call that may be repeated would have to wait for too long."""
    return {"retry_after": "9999"} if status >= 429 else {"location": "http://evil.example/"}


def git(folder: Path, *words: str) -> str:
    """What git prints."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(params=[GitHub, GitLab])
def job(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Job]:
    """Two certificates that are due, in a checkout of the main branch."""
    project = make_project(
        tmp_path, MTLS + "".join(CERTIFICATE.format(name=name) for name in ("billing", "ledger")), ""
    )
    for name in ("billing", "ledger"):
        issued = CA.issue(name, not_before=NOW - timedelta(days=87), not_after=NOW + timedelta(days=3))
        project.write(f"certs/{name}.pem", issued.chain_pem)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    forge: FakeRepository = request.param()
    made = Job(project, forge, CaIssuer(Gate(), CA, clock=lambda: NOW))
    made.checkout()

    def open_sink(options: SopsSink, certificate: str, context: object) -> TreeSink:
        return TreeSink(tmp_path / options.sops / certificate)

    with (
        forge.running(),
        mock.patch("reconciler.runs.renew.open_sink", open_sink),
        mock.patch("reconciler.issuers.open_issuer", return_value=made.issuer),
    ):
        yield made


def test_each_certificate_has_a_pull_request_with_its_files_alone(job: Job) -> None:
    """On top of the checked-out commit: the certificate file and its encrypted key."""
    done = job.renew()
    assert done.code == 0
    assert [(one["head"], one["base"]) for one in job.forge.pulls] == [
        (BRANCH, "main"),
        ("mtlsctl/renew/payments/ledger", "main"),
    ]
    base = job.forge.trees[f"tree-{git(job.project.folder, 'rev-parse', 'HEAD')}"]
    files = job.forge.files_of(BRANCH)
    changed = {path for path, data in files.items() if base.get(path) != data}
    new = parse_file(files["certs/billing.pem"], "certs/billing.pem")
    assert changed == {"certs/billing.pem", f"secrets/payments_billing/0001-{key_digest(new.leaf)}"}
    commit = job.forge.commits[job.forge.branches[BRANCH]]
    assert commit["parents"] == [git(job.project.folder, "rev-parse", "HEAD")]
    body = str(job.forge.pulls[0]["body"])
    assert new.facts().serial in body
    assert "`not after`" in body
    assert "PRIVATE KEY" not in body + done.out + done.err


def test_a_run_that_finds_it_open_issues_nothing(job: Job) -> None:
    """It is left as it is."""
    job.renew()
    job.fresh()
    calls = len(job.forge.requests)
    again = job.renew()
    assert again.code == 0
    assert len(job.issuer.issued) == 2
    assert f"Already open: {job.forge.noun} 30 for billing" in again.out
    assert {one.method for one in job.forge.requests[calls:]} == {"GET"}


def test_after_the_merge_the_next_renewal_gets_the_same_branch(job: Job) -> None:
    """Also if nobody removed it; the old key is removed in the same commit."""
    for number in (1, 2, 3):
        job.issuer.clock = lambda number=number: NOW - timedelta(days=60) + timedelta(seconds=number)  # type: ignore[misc]
        job.issuer.lifetime = timedelta(days=61)
        job.renew()
        job.merge()
        for name, data in {**job.forge.files_of(BRANCH)}.items():
            job.project.write(name, data)
        git(job.project.folder, "add", "-A", "certs", "secrets")
        job.checkout()
    slots = [path for path in job.forge.files_of(BRANCH) if path.startswith("secrets/payments_billing/")]
    assert [path.rpartition("/")[2][:4] for path in sorted(slots)] == ["0002", "0003"]
    assert sum(one["head"] == BRANCH for one in job.forge.pulls) == 3


IN_ACCOUNT = "mtlsctl/renew/aaaaaaaa/payments/billing"


def in_account(job: Job) -> None:
    """The stack is of an account."""
    text = job.project.read("mtls.toml")
    store = f'[store]\nkind = "cloudflare"\naccount_id = "{"a" * 32}"\n\n[issuers'
    job.project.write("mtls.toml", text.replace("[issuers", store, 1))
    job.checkout()


def test_stacks_of_one_name_in_two_accounts_have_branches_of_their_own(job: Job) -> None:
    """Each is found again. An account of the environment is no difference: its files are the same."""
    job.renew(CLOUDFLARE_ACCOUNT_ID="b" * 32)
    job.fresh()
    in_account(job)
    job.merge()
    for _ in range(2):
        assert job.renew(CLOUDFLARE_ACCOUNT_ID="b" * 32).code == 0
        job.fresh()
    heads = [one["head"] for one in job.forge.pulls]
    assert heads == [BRANCH, BRANCH.replace("billing", "ledger"), IN_ACCOUNT, IN_ACCOUNT.replace("billing", "ledger")]


@pytest.mark.parametrize(
    ("state", "uses_older"),
    [("open", True), ("closed", True), ("without a pull request", True), ("deleted", False), ("merged", False)],
)
def test_a_branch_without_an_account_serves_until_it_is_merged_or_deleted(
    job: Job, state: str, *, uses_older: bool
) -> None:
    """An earlier version made it: nothing is issued twice, and what was declined is not proposed again."""
    job.renew()
    job.fresh()
    in_account(job)
    (pull,) = (one for one in job.forge.pulls if one["head"] == BRANCH)
    match state:
        case "closed":
            pull["state"] = "closed"
        case "merged":
            pull["state"] = "merged"
        case "deleted":
            pull["state"] = "closed"
            del job.forge.branches[BRANCH]
        case "without a pull request":
            job.forge.pulls.remove(pull)
    done = job.renew()
    assert done.code == 0, done
    assert (IN_ACCOUNT in job.forge.branches) is not uses_older
    assert len(job.issuer.issued) == (2 if uses_older else 3)
    assert (state == "closed") == (f"delete the branch {BRANCH}" in " ".join(done.out.split()))


def test_one_that_was_closed_without_a_merge_is_not_made_again(job: Job) -> None:
    """Until its branch is deleted."""
    job.renew()
    job.fresh()
    job.forge.pulls[0]["state"] = "closed"
    done = job.renew()
    assert len(job.issuer.issued) == 2
    assert "was closed without a merge" in " ".join(done.out.split())
    del job.forge.branches[BRANCH]
    job.renew()
    assert len(job.issuer.issued) == 3


@pytest.mark.parametrize("what", ["writes", "opens"])
@pytest.mark.parametrize(
    ("status", "after"), [*((status, False) for status in (301, 403, 404, 409, 429, 500)), (502, True)]
)
def test_a_call_that_fails_is_an_error_and_the_next_job_goes_on(
    job: Job, what: str, status: int, *, after: bool
) -> None:
    """What was issued for nothing is reported; the other certificate has its pull request. `after`: the forge did what
    it was asked, and its answer was lost."""
    job.forge.fail(getattr(job.forge, what), status, after=after, **headers_of(status))
    failed = job.renew()
    assert failed.code in {1, 5}
    assert f"has no {job.forge.noun}" in " ".join(failed.out.split())
    is_open, is_written = after and what == "opens", after or what == "opens"
    assert (BRANCH in {one["head"] for one in job.forge.pulls}) is is_open
    job.fresh()
    again = job.renew()
    assert again.code == 0
    assert sorted(one["head"] for one in job.forge.pulls) == [BRANCH, "mtlsctl/renew/payments/ledger"]
    assert ("issued-twice" in again.out) is not is_written
    assert len(job.issuer.issued) == (2 if is_written else 3)


@pytest.mark.parametrize(("status", "after"), [(403, False), (429, False), (500, False), (502, True)])
@pytest.mark.parametrize("is_left", [False, True], ids=["new", "left-by-a-merge"])
def test_a_branch_that_can_not_be_created_asks_no_issuer(job: Job, status: int, *, after: bool, is_left: bool) -> None:
    """Another job could do the same. The next one asks once."""
    if is_left:
        job.renew()
        job.merge()
        job.fresh()
    issued = len(job.issuer.issued)
    job.forge.fail(job.forge.claims, status, after=after, **headers_of(status))
    assert job.renew().code in {1, 5}
    assert len(job.issuer.issued) == issued + 1
    job.fresh()
    assert job.renew().code == 0
    assert len(job.issuer.issued) == issued + 2
    assert {one["head"] for one in job.forge.pulls if one["state"] == "open"} == {
        BRANCH,
        "mtlsctl/renew/payments/ledger",
    }


def test_an_issuer_that_can_not_be_opened_leaves_no_branch(job: Job) -> None:
    """Else the next job would report a certificate that was never asked for."""
    with mock.patch("reconciler.issuers.open_issuer", side_effect=ReconcilerError("no", hint="x")):
        assert job.renew().code == 1
    assert job.forge.branches == {}
    assert "issued-twice" not in job.renew().out


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_job_that_dies_while_it_asks_is_reported_by_the_next(job: Job, *, before: bool) -> None:
    """Its key is lost with its runner, so a new one is made."""
    job.issuer.gate.kill_at, job.issuer.gate.before = 0, before
    with pytest.raises(Killed):
        job.renew()
    assert job.forge.branches[BRANCH] == git(job.project.folder, "rev-parse", "HEAD")
    job.fresh()
    job.issuer.gate.kill_at = None
    done = job.renew()
    assert done.code == 0
    assert "issued-twice" in done.out
    assert len(job.forge.pulls) == 2


@pytest.mark.parametrize("before", [True, False], ids=["while-it-asks", "while-it-proposes"])
def test_a_job_that_is_interrupted_says_what_became_of_its_renewals(job: Job, *, before: bool) -> None:
    """Its branch stays, and no other certificate is next."""
    name = type(job.forge).__name__
    opens = mock.patch(f"reconciler.forges.{name.lower()}.{name}.open_pull", side_effect=KeyboardInterrupt)
    asks = mock.patch.object(job.issuer, "alter_and_sign", side_effect=KeyboardInterrupt)
    with asks if before else opens:
        done = job.renew()
    assert done.code == 130
    assert ("INTERRUPTED: billing" if before else "ok: billing") in done.out
    assert "not started: ledger" in done.out
    assert list(job.forge.branches) == [BRANCH]


@pytest.mark.parametrize("state", ["merged", "closed"])
def test_a_job_that_dies_is_reported_whatever_became_of_the_pull_request_before(job: Job, state: str) -> None:
    """The branch has another commit than the one that was merged or closed, so it is of the job that died."""
    job.renew()
    job.merge(state)
    if state == "closed":
        job.forge.branches.clear()
    job.fresh()
    job.issuer.gate.kill_at = len(job.issuer.gate.seen)
    with pytest.raises(Killed):
        job.renew()
    job.fresh()
    job.issuer.gate.kill_at = None
    done = job.renew()
    assert done.code == 0
    assert "issued-twice" in done.out
    assert "closed without a merge" not in done.out
    assert len(job.forge.pulls) == 4


def test_a_job_that_dies_is_reported_where_the_merge_made_no_commit(job: Job) -> None:
    """Its branch begins at the newest commit of the base branch, which is the one that was merged."""
    job.renew()
    job.fresh()
    job.forge.branches[BRANCH] = git(job.project.folder, "rev-parse", "HEAD")
    job.merge()
    assert "issued-twice" in job.renew().out


def test_a_commit_after_an_earlier_merge_gets_its_pull_request(job: Job) -> None:
    """Of a job that died in between: nothing is issued again, and no new key is lost."""
    job.renew()
    job.merge()
    job.fresh()
    job.forge.fail(job.forge.opens, 403)
    job.renew()
    issued, commit = len(job.issuer.issued), job.forge.branches[BRANCH]
    job.fresh()
    done = job.renew()
    assert "issued-twice" not in done.out
    assert len(job.issuer.issued) == issued
    assert job.forge.branches[BRANCH] == commit
    assert job.forge.pulls[-1]["head"] == BRANCH


def test_a_branch_that_begins_at_an_earlier_renewal_is_not_taken_for_one(job: Job) -> None:
    """A squashed merge is the newest commit of the base branch, with the message of the renewal before."""
    job.renew()
    merged = job.forge.files_of(BRANCH)
    message = job.forge.commits[job.forge.branches.pop(BRANCH)]["message"]
    job.merge()
    job.fresh()
    renewed = CA.issue("billing", not_before=NOW - timedelta(days=87), not_after=NOW + timedelta(days=2))
    job.project.write("certs/billing.pem", renewed.chain_pem)
    job.checkout(message)
    job.forge.branches[BRANCH] = git(job.project.folder, "rev-parse", "HEAD")
    done = job.renew()
    assert "issued-twice" in done.out
    assert job.forge.files_of(BRANCH)["certs/billing.pem"] not in (merged["certs/billing.pem"], renewed.chain_pem)


def test_a_renewal_that_asked_no_one_leaves_no_branch(job: Job) -> None:
    """So the next job has nothing to report."""
    job.issuer.missing = "no token"
    assert job.renew().code == 1
    assert job.forge.branches == {}


@pytest.mark.parametrize(
    ("event", "source"),
    [
        ("pull_request", "merge_request_event"),
        ("pull_request_target", "external_pull_request_event"),
        ("workflow_run", "ondemand_dast_scan"),
    ],
)
def test_it_never_runs_on_a_pull_request(job: Job, event: str, source: str) -> None:
    """Exit 3, before the forge or the issuer is asked."""
    is_gitlab = isinstance(job.forge, GitLab)
    environ = {"CI_PIPELINE_SOURCE": source} if is_gitlab else {"GITHUB_EVENT_NAME": event}
    assert job.renew(**environ).code == 3
    assert job.forge.requests == []
    assert job.issuer.requests == []


@pytest.mark.parametrize(
    "environ",
    [
        {"GITHUB_TOKEN": "", **dict.fromkeys(("MTLSCTL_RENEW_TOKEN", "MTLSCTL_CI_GITLAB_TOKEN"), "")},
        {"GITHUB_REF": "refs/tags/v1", "CI_COMMIT_BRANCH": ""},
    ],
    ids=["no-token", "no-branch"],
)
def test_what_it_needs_is_said_before_anything_is_asked_for(job: Job, environ: dict[str, str]) -> None:
    """Wrong use, exit 64."""
    assert job.renew(**environ).code == 64
    assert job.issuer.requests == []
