"""Going back is `git revert`: in a real repository, on the embedded store and on an account, without any key.

OLD is declared, stored and bound; then NEW takes its place. Every test goes on from there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.findings.exits import ExitCode
from reconciler.model import CertificateName, StoreSettings
from reconciler.model.ports import Store
from reconciler.plan.plan import exit_code_of
from reconciler.system.clock import SystemClock
from tests.support.cli import Project, Result
from tests.support.embedded import open_store
from tests.support.emulated import TOKEN, client_of, make_state
from tests.support.pki import DAY, NOW, Issued, make_ca
from tests.support.store_contract import SetClock
from tests.support.worlds import actual, codes, desired, entry, file, plan_of, shown, uid, worker

ROOT = make_ca("Root")
OLD = ROOT.issue("client", not_before=NOW - 60 * DAY)
NEW = ROOT.issue("client", not_before=NOW - 10 * DAY)
NEXT = ROOT.issue("client", not_before=NOW - DAY)
NAMES = {OLD.bundle.digest: "OLD", NEW.bundle.digest: "NEW", NEXT.bundle.digest: "NEXT"}

MTLS = """\
version = 1
stack = "payments"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[workers.checkout]
config = "checkout/wrangler.toml"
deployed = false

[workers.checkout.bindings]
BILLING = "billing"

[workers.checkout.env.staging.bindings]
BILLING = "billing"

[workers.ledger]
config = "ledger/wrangler.jsonc"
deployed = false

[workers.ledger.bindings]
PAY = "billing"
"""

CHECKOUT = """\
name = "checkout" # one line for each binding
mtls_certificates = [{ binding = "BILLING", certificate_id = "<ID>" }]
[env.staging]
mtls_certificates = [{ binding = "BILLING", certificate_id = "<ID>" }]
"""

LEDGER = '{ "name": "ledger", /* kept */ "mtls_certificates": [{ "binding": "PAY", "certificate_id": "<ID>" }] }\n'
FILES = ("checkout/wrangler.toml", "ledger/wrangler.jsonc")


@dataclass
class Site:
    """A repository with its store. `state` None: the embedded store."""

    project: Project
    state: EmulatorState | None
    bound: dict[str, dict[str, str]] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        """git, without anything of this machine's configuration."""
        who = ["-c", "user.name=team", "-c", "user.email=team@mtls.example", "-c", "core.hooksPath=/dev/null"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.project.folder, check=True, capture_output=True, text=True
        )
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def declare(self, issued: Issued) -> None:
        """Put a certificate into the tree, committed, and its key at hand."""
        self.project.write("certs/billing.pem", issued.certificate_pem)
        self.project.environ["BILLING_KEY"] = issued.key_pem.decode()
        self.commit(f"billing is {NAMES[issued.bundle.digest]}")

    def roll_out(self) -> None:
        """Apply, and commit the ids. What the wrangler files are then is kept under the certificate's name."""
        self.apply()
        self.commit("ids")
        (name,) = {name for name in NAMES.values() if name in self.git("log", "-1", "--skip=1", "--format=%s")}
        self.bound[name] = self.files()

    def apply(self) -> Result:
        result = self.project.run("apply", "--yes")
        assert result.code == 0, result.out + result.err
        return result

    def lose_the_key(self) -> None:
        """An emergency finds nobody who has it."""
        del self.project.environ["BILLING_KEY"]

    def files(self) -> dict[str, str]:
        """The wrangler files."""
        return {path: self.project.read(path) for path in FILES}

    def entries(self) -> list[str]:
        """What the store holds, by name of the content."""
        held = self.store().list_entries().entries
        return sorted(NAMES[one.bundle.digest] for one in held if one.bundle is not None)

    def store(self) -> Store:
        if self.state is not None:
            return self.state.account().store
        return open_store(StoreSettings(), root=self.project.folder, clock=SystemClock())

    def changes(self) -> list[str]:
        """The plan in short, made by whoever has no key: `rebind BILLING`, sorted."""
        environ = {name: value for name, value in self.project.environ.items() if name != "BILLING_KEY"}
        plan = replace(self.project, environ=environ).run("plan", "--format", "json").json
        return sorted(f"{one['action']} {one.get('binding', one['certificate'])}" for one in plan["changes"])

    def delete(self, issued: Issued) -> None:
        """The entry is gone, as after its grace."""
        (gone,) = [one for one in self.store().list_entries().entries if one.bundle == issued.bundle]
        if self.state is None:
            self.store().delete(gone.id)
        else:
            client_of(self.state).delete(f"/mtls_certificates/{gone.id}").raise_for_status()


REBINDS = ["rebind BILLING", "rebind BILLING", "rebind PAY"]


@pytest.fixture(params=["embedded", "cloudflare"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """OLD was rolled out, then NEW; each in two commits, the certificate and the ids."""
    folder = tmp_path / "repository"
    folder.mkdir()
    project = Project(folder)
    clock = SetClock(NOW - 50 * DAY)
    state = make_state(clock) if request.param == "cloudflare" else None
    store = f'[store]\nkind = "cloudflare"\naccount_id = "{ACCOUNT_ID}"\n' if state else ""
    for path, text in (("mtls.toml", MTLS + store), (FILES[0], CHECKOUT), (FILES[1], LEDGER)):
        project.write(path, text)
    made = Site(project, state)
    made.git("init", "--quiet", "--initial-branch", "main")
    if state is None:
        yield rotated(made, clock)
        return
    with running(state) as url:
        project.environ.update(CLOUDFLARE_API_BASE_URL=url, CLOUDFLARE_API_TOKEN=TOKEN)
        yield rotated(made, clock)


def rotated(site: Site, clock: SetClock) -> Site:
    site.declare(OLD)
    site.roll_out()
    clock.time += 41 * DAY
    site.declare(NEW)
    site.roll_out()
    return site


# --- while the previous entry lasts ---------------------------------------------------------------------------------


def test_reverting_the_renewal_rebinds_everywhere_and_does_nothing_else(site: Site) -> None:
    """The certificate alone was reverted: every binding goes back, to the byte; no key is at hand."""
    site.lose_the_key()
    site.git("revert", "--no-edit", "HEAD~1")
    assert site.changes() == REBINDS
    result = site.apply()
    assert "+ upload" not in result.out
    assert site.files() == site.bound["OLD"]
    assert site.changes() == []


def test_going_back_sends_nothing_to_an_account(site: Site) -> None:
    """Only questions: no upload, no delete. (The embedded store is not written to either.)"""
    site.lose_the_key()
    site.git("revert", "--no-edit", "HEAD~1")
    store = site.project.folder / ".mtlsctl/store.db"
    before = site.store().list_entries()
    data = store.read_bytes() if site.state is None else b""
    if site.state is not None:
        site.state.calls.clear()
    site.apply()
    assert site.store().list_entries() == before
    if site.state is None:
        assert store.read_bytes() == data
    else:
        assert {call.method for call in site.state.calls} == {"GET"}


def test_reverting_both_commits_leaves_nothing_to_do(site: Site) -> None:
    """The ids came back with the certificate: what is left is to deploy."""
    site.lose_the_key()
    site.git("revert", "--no-edit", "HEAD", "HEAD~1")
    assert site.files() == site.bound["OLD"]
    assert site.project.run("plan", "--detailed-exitcode").code == 0


def test_the_newer_entry_is_kept_for_the_way_forward_however_long(site: Site) -> None:
    """Neither its grace nor any later day lets it go; the plan says that it is there, and why it stays."""
    site.lose_the_key()
    site.git("revert", "--no-edit", "HEAD~1")
    site.apply()
    site.commit("ids of the way back")
    for day in ("2027-03-01", "2099-01-01"):
        plan = site.project.run("plan", "--at", day, "--format", "json").json
        assert (plan["changes"], plan["waiting"]) == ([], [])
        assert "newer-entry" in {finding["code"] for finding in plan["diagnostics"]}
    site.apply()
    assert site.entries() == ["NEW", "OLD"]


def test_reverting_the_revert_goes_forward_without_a_key_too(site: Site) -> None:
    """Then the old entry is superseded as before, and waits."""
    site.lose_the_key()
    site.git("revert", "--no-edit", "HEAD~1")
    site.apply()
    site.commit("ids of the way back")
    site.git("revert", "--no-edit", "HEAD~1")
    assert [change for change in site.changes() if not change.startswith("retire")] == REBINDS
    result = site.apply()
    assert "+ upload" not in result.out
    assert site.files() == site.bound["NEW"]
    assert "NEW" in site.entries()


def test_the_entry_that_was_gone_back_from_goes_once_a_later_one_is_declared(site: Site) -> None:
    """A third certificate supersedes both; whichever is bound waits for its grace."""
    site.git("revert", "--no-edit", "HEAD~1")
    site.apply()
    site.commit("ids of the way back")
    if site.state is not None:
        site.state.clock.time = SystemClock().now()  # type: ignore[attr-defined]
    site.declare(NEXT)
    site.roll_out()
    waiting = site.project.run("plan", "--format", "json").json["waiting"]
    assert sorted(one["condition"] for one in waiting) == ["grace", "grace"]
    assert site.entries() == ["NEW", "NEXT", "OLD"]


def test_an_older_checkout_changes_nothing_in_the_store(site: Site) -> None:
    """A job of yesterday that runs again today: its own files, and no entry lost."""
    site.lose_the_key()
    site.git("checkout", "--quiet", "HEAD~2")
    assert site.changes() == []
    site.apply()
    assert site.entries() == ["NEW", "OLD"]


# --- when the previous entry is gone --------------------------------------------------------------------------------


def test_when_the_entry_is_gone_the_plan_says_so_and_what_to_do(site: Site) -> None:
    """Before anybody looks for a key in an emergency."""
    site.delete(OLD)
    site.git("revert", "--no-edit", "HEAD~1")
    assert site.changes() == [*REBINDS, "upload billing"]
    plan = site.project.run("plan").out
    assert (
        "warning[previous-entry-gone]: 'billing' goes back to an older certificate, valid from 2026-09-24 12:00 UTC"
        in plan
    )
    assert "  billing  goes back to an older certificate" in plan
    assert (
        "  fix  if it was deleted because its key leaked, do not upload it again; after any other revert, make" in plan
    )


@pytest.mark.parametrize(("at_hand", "code"), [(None, "key-unavailable"), (NEW, "key-mismatch")], ids=["none", "new"])
def test_without_the_old_key_nothing_is_cut_off(site: Site, at_hand: Issued | None, code: str) -> None:
    """What is bound stays bound, to the byte, and its entry stays in the store."""
    site.delete(OLD)
    site.git("revert", "--no-edit", "HEAD~1")
    site.lose_the_key()
    if at_hand is not None:
        site.project.environ["BILLING_KEY"] = at_hand.key_pem.decode()
    result = site.project.run("apply", "--yes")
    assert result.code == 1
    assert f"error[{code}]" in result.out + result.err
    assert "warning[previous-entry-gone]" in result.out
    assert site.files() == site.bound["NEW"]
    assert site.entries() == ["NEW"]


def test_with_the_old_key_the_way_back_is_an_upload(site: Site) -> None:
    """A new entry with the old content; the newer one is superseded by it, and waits for its grace."""
    site.delete(OLD)
    site.git("revert", "--no-edit", "HEAD~1")
    site.project.environ["BILLING_KEY"] = OLD.key_pem.decode()
    if site.state is not None:
        site.state.clock.time = SystemClock().now()  # type: ignore[attr-defined]
    site.apply()
    assert site.changes() == []
    assert site.entries() == ["NEW", "OLD"]
    (wait,) = site.project.run("plan", "--format", "json").json["waiting"]
    assert (wait["condition"], wait["certificate"]) == ("grace", "billing")
    assert site.files() not in site.bound.values()


def test_reverting_the_revert_ends_it_without_a_key(site: Site) -> None:
    """Forward, because there is no way back: everything is in place still."""
    site.delete(OLD)
    site.git("revert", "--no-edit", "HEAD~1")
    site.lose_the_key()
    assert site.project.run("apply", "--yes").code == 1
    site.git("revert", "--no-edit", "HEAD")
    assert site.changes() == []
    assert site.files() == site.bound["NEW"]


def test_a_new_certificate_is_the_other_way_forward(site: Site) -> None:
    """It is no going back, so nothing of that is said."""
    site.delete(OLD)
    if site.state is not None:
        site.state.clock.time = SystemClock().now()  # type: ignore[attr-defined]
    site.declare(NEXT)
    assert "previous-entry-gone" not in site.project.run("plan").out
    site.apply()
    assert site.entries() == ["NEW", "NEXT"]
    assert site.changes() == []


# --- the rules of it ------------------------------------------------------------------------------------------------


def test_going_back_to_what_has_expired_meanwhile_is_refused() -> None:
    """Every origin refuses it, so what is bound stays bound (rule 10)."""
    past = ROOT.issue("client", not_before=NOW - 90 * DAY, not_after=NOW - DAY)
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}})])
    wanted = replace(wanted, bundles={CertificateName("billing"): past.bundle})
    previous = entry(1, 1, f"payments.billing.{past.bundle.digest[:12]}", age=80)
    previous = replace(previous, certificates=past.certificate_pem.decode())
    there = actual([previous, entry(2, 2, "@billing", age=2)], {"checkout": file({None: {"BILLING": uid(2)}})})
    plan = plan_of(wanted, there)
    assert shown(plan) == []
    assert set(codes(plan)) == {"certificate-expired", "newer-entry"}
    assert exit_code_of(plan.diagnostics) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("begins", "said"),
    [(timedelta(seconds=-1), True), (timedelta(0), False), (timedelta(seconds=1), False)],
    ids=["older", "of the same second", "newer"],
)
def test_only_an_older_certificate_goes_back(begins: timedelta, said: bool) -> None:
    """By the moment from which it is valid, compared with the newest entry that it takes the place of."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}})])
    fresh = ROOT.issue("client", not_before=NOW - 30 * DAY + begins).bundle
    wanted = replace(wanted, bundles={CertificateName("billing"): fresh})
    there = actual([entry(2, 2, "@billing", age=2)], {"checkout": file({None: {"BILLING": uid(2)}})})
    assert ("previous-entry-gone" in codes(plan_of(wanted, there))) is said
