"""Sixty Workers in three formats, set up by hand with the real wrangler, faults and all, and taken over unchanged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import tomli

from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState, new_state
from reconciler.system.clock import SystemClock
from reconciler.wrangler.edit import RemoveBinding, SetBinding, edit_wrangler
from reconciler.x509.certificates import parse_stored
from tests.emulator.test_wrangler import Bench
from tests.project.test_examples import EXAMPLES
from tests.stories.test_monorepo import DECLARED, FILES, Bindings, bound, values_of
from tests.support.cli import Project, Result
from tests.support.emulated import TOKEN
from tests.support.pki import Issued, make_ca, make_key
from tests.support.wrangler_readers import find_node

pytestmark = pytest.mark.xdist_group("takeover-monorepo")  # its world takes a minute of wrangler: one worker has it

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
"""The account that one of the wrangler files names; wrangler obeys it before any variable."""

Place = tuple[str, str, str]
"""File, environment ("" is the top level), binding."""

# --- what the teams did ---------------------------------------------------------------------------------------------

UPLOADED = {
    "gateway": "Gateway (prod)",
    "gateway-staging": "Gateway (staging)",
    "billing": "billing",
    "billing-2025": "billing",
    "billing-staging": "billing staging",
    "ledger": "ledger",
    "ledger-staging": "ledger staging",
    "bank": "Bank",
    "bank-sandbox": "Bank sandbox",
    "warehouse": "warehouse",
    "partner": "partner",
    "customs": "customs",
    "legacy": "do not delete?",
    "deleted": "old",
}
"""What each certificate is called in the account; the second upload of billing is the renewal of the first."""

EXPIRED = {"customs", "ledger-staging"}
ONE_KEY = {"partner", "customs"}
IN_TREE = UPLOADED.keys() - {"bank-sandbox", "deleted"} | {"new"}
IGNORED = "certs/ledger.pem"
WITH_CHAIN = "warehouse"

OLD_BILLING: set[Place] = {(f"apps/{app}", "", "BILLING") for app in ("vouchers", "gift-cards", "webhooks")}
"""Where nobody has put the renewed certificate yet."""

WRONG = {
    "slip": ("apps/labels", "", "PARTNER"),
    "capitals": ("apps/recalls", "", "CUSTOMS"),
    "ca": ("apps/tracking", "", "PARTNER"),
    "deleted": ("apps/depots", "", "WAREHOUSE"),
    "other-stack": ("apps/quality", "", "LEDGER"),
}
PLACEHOLDERS: set[Place] = {
    ("apps/catalogue", "", "PARTNER"),
    ("apps/fx-rates", "", "BANK"),
    ("apps/returns", "", "WAREHOUSE"),
    ("apps/admin", "staging", "GATEWAY"),
    ("apps/admin", "staging", "LEDGER"),
}
FORGOTTEN = {("apps/audit-log", "staging"), ("apps/reviews", "staging"), ("apps/month-end", "staging")}


OTHER_ACCOUNT = ("apps/drivers/wrangler.json", "staging")
"""An environment that says so itself: what is bound there is none of this account's business."""
THEIRS = "7c1b5a3e-5f0f-4d61-9f5e-2f4b9a1c6d70"


def app_of(path: str) -> str:
    """The folder of a wrangler file."""
    return path.rpartition("/")[0]


def make_certificates() -> dict[str, Issued]:
    """Every certificate, two of them expired, two with one key, one under an intermediate."""
    ca = make_ca("Harbour Root")
    between = ca.issue_ca("Harbour Issuing")
    now = SystemClock().now()
    shared = make_key()
    made = {}
    for name in sorted({*UPLOADED, "new", "logistics"}):
        ends = now + timedelta(days=-3 if name in EXPIRED else 300)
        issuer = between if name == WITH_CHAIN else ca
        key = shared if name in ONE_KEY else make_key()
        made[name] = issuer.issue(name, key=key, not_before=now - timedelta(days=60), not_after=ends)
    return made | {"partner-ca": make_ca("Partner CA")}


@dataclass(frozen=True)
class Repository:
    """The repository of the company after a year of work by hand, and its account."""

    bench: Bench
    certificates: dict[str, Issued]
    ids: dict[str, str]

    @property
    def folder(self) -> Path:
        return self.bench.folder

    @property
    def state(self) -> EmulatorState:
        return self.bench.state

    def project(self) -> Project:
        """The same, as mtlsctl sees it; no private key is in the environment."""
        environ = {"CLOUDFLARE_API_BASE_URL": self.bench.url, "CLOUDFLARE_API_TOKEN": TOKEN}
        return Project(self.folder, environ)

    def bound(self) -> dict[str, Bindings]:
        """What every wrangler file says, read by readers that are not ours."""
        return {path: bound(values_of(path, (self.folder / path).read_bytes())) for path in FILES}


def set_up(bench: Bench) -> Repository:
    """Certificates into the account by wrangler, ids pasted into the files, some Workers deployed."""
    for part in ("apps", "src"):
        shutil.copytree(EXAMPLES / "monorepo" / part, bench.folder / part)
    certificates = make_certificates()
    write_certificates(bench.folder, certificates)
    repository = Repository(bench, certificates, upload_all(bench, certificates))
    shutil.rmtree(bench.folder / "uploads")
    for path in FILES:
        paste(repository, path)
    subprocess.run(["git", "init", "-q"], cwd=bench.folder, check=True)
    return repository


def write_certificates(folder: Path, certificates: dict[str, Issued]) -> None:
    """What is committed, and beside it what is not."""
    (folder / "certs").mkdir()
    for name in {*IN_TREE, "partner-ca"}:
        one = certificates[name]
        pem = one.chain_pem if name == WITH_CHAIN else one.certificate_pem
        (folder / "certs" / f"{name}.pem").write_bytes(pem)
        (folder / "certs" / f"{name}.key").write_bytes(one.key_pem)
    (folder / ".gitignore").write_text(f"*.key\n{IGNORED}\nlogs/\n.wrangler/\n")


def upload_all(bench: Bench, certificates: dict[str, Issued]) -> dict[str, str]:
    """The id of every certificate, as wrangler tells it; two uploads at a time, but a renewal after what it renews."""
    digest = certificates["logistics"].bundle.digest[:12]
    names = {**UPLOADED, "logistics": f"logistics.ledger.{digest}"}

    def upload(name: str) -> tuple[str, str]:
        folder = bench.folder / "uploads" / name
        folder.mkdir(parents=True)
        (folder / "cert.pem").write_bytes(certificates[name].certificate_pem)
        (folder / "key.pem").write_bytes(certificates[name].key_pem)
        files = ("--cert", f"uploads/{name}/cert.pem", "--key", f"uploads/{name}/key.pem")
        told = bench.passes("mtls-certificate", "upload", *files, "--name", names[name])
        return name, str(re.findall(r"ID: (\S+)", told)[0])

    first = upload("billing-2025")
    with ThreadPoolExecutor(max_workers=2) as pool:
        ids = dict([first, *pool.map(upload, names.keys() - {"billing-2025"})])
    ca = ("cert", "upload", "certificate-authority", "--ca-cert", "certs/partner-ca.pem", "--name", "Partner CA")
    ids["partner-ca"] = str(re.findall(r"ID: (\S+)", bench.passes(*ca))[0])
    bench.passes("mtls-certificate", "delete", "--id", ids["deleted"])
    return ids


def paste(repository: Repository, path: str) -> None:
    """The ids into one file, right or wrong, as its team did it."""
    target = repository.folder / path
    data, app = target.read_bytes(), app_of(path)
    for environment, table in DECLARED[path].items():
        for binding, certificate in table.items():
            name = environment or None
            if (app, environment) in FORGOTTEN:
                data = edit_wrangler(path, data, [RemoveBinding(name, binding)])
            elif (path, environment) == OTHER_ACCOUNT:
                data = edit_wrangler(path, data, [SetBinding(name, binding, THEIRS)])
            elif (app, environment, binding) not in PLACEHOLDERS:
                text = pasted(repository.ids, (app, environment, binding), certificate)
                data = edit_wrangler(path, data, [SetBinding(name, binding, text)])
    target.write_bytes(data)


def pasted(ids: dict[str, str], place: Place, certificate: str) -> str:
    """The id that somebody pasted at a place."""
    right = ids["billing-2025" if place in OLD_BILLING else certificate]
    wrong = next((how for how, where in WRONG.items() if where == place), None)
    slip = right[:9] + ("0" if right[9] != "0" else "1") + right[10:]
    others = {"ca": ids["partner-ca"], "deleted": ids["deleted"], "other-stack": ids["logistics"]}
    return {"slip": slip, "capitals": right.upper(), **others}.get(wrong or "", right)


# --- taken over -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TakenOver:
    """The repository after `init --from .`, with what it said."""

    repository: Repository
    before: dict[str, bytes]
    result: Result
    calls: tuple[str, ...]

    @cached_property
    def report(self) -> dict[str, Any]:
        return self.result.json

    @cached_property
    def declared(self) -> dict[str, Any]:
        """mtls.toml."""
        return tomli.loads((self.repository.folder / "mtls.toml").read_text())

    def found(self, code: str) -> list[str]:
        """The messages of all findings with a code."""
        return [one["message"] for one in self.report["findings"] if one["code"] == code]

    def places(self, code: str) -> set[Place]:
        """The bindings that findings with a code are about."""
        return {place_of(message) for message in self.found(code)}


def place_of(message: str) -> Place:
    """`BILLING in apps/x/wrangler.toml (staging) ...`."""
    found = re.match(r"(\S+) in (\S+) \((top level|\S+)\)", message)
    assert found is not None, message
    return app_of(found[2]), "" if found[3] == "top level" else found[3], found[1]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TakenOver]:
    """Set up once, taken over once."""
    find_node()
    state = new_state(SystemClock(), account_id=ACCOUNT)
    with running(state) as url:
        repository = set_up(Bench(tmp_path_factory.mktemp("harbour"), url, state, ACCOUNT))
        before = {path: (repository.folder / path).read_bytes() for path in FILES}
        state.calls.clear()
        arguments = ("--from", ".", "--stack", "harbour", "--account", ACCOUNT, "--format", "json")
        result = repository.project().run("init", *arguments)
        assert result.code == 0, result.out + result.err
        yield TakenOver(repository, before, result, tuple(call.method for call in state.calls))


def test_the_world_is_as_large_and_as_faulty_as_it_says(taken: TakenOver) -> None:
    """Sixty Workers, a third of each format, all with bindings; wrangler serves some of them, and refuses a bad id."""
    world = taken.repository.bound()
    assert Counter(Path(path).suffix for path in world) == {".toml": 20, ".json": 20, ".jsonc": 20}
    assert all(world.values())
    bench = taken.repository.bench
    for app, environment in (("payroll", ""), ("wallet", "staging"), ("subscriptions", "")):
        (path,) = [path for path in FILES if app_of(path) == f"apps/{app}"]
        bench.passes("deploy", "-c", path, f"--env={environment}")
    served = {taken.repository.ids[name] for name in ("bank", "bank-sandbox", "billing-staging", "billing")}
    assert bench.state.account(ACCOUNT).held() == served
    assert "[code: 100143]" in bench.fails("deploy", "-c", "apps/labels/wrangler.json")


def test_taking_over_changes_nothing_and_calls_nothing_that_could(taken: TakenOver) -> None:
    """No wrangler file, no entry; and no private key was asked for."""
    assert {path: (taken.repository.folder / path).read_bytes() for path in FILES} == taken.before
    assert set(taken.calls) == {"GET"}
    assert taken.result.err == ""


def test_the_plan_has_no_change_and_says_nothing_that_the_report_did_not(taken: TakenOver) -> None:
    """Word for word."""
    plan = taken.repository.project().run("plan", "--detailed-exitcode", "--format", "json")
    assert (plan.code, plan.json["changes"], taken.report["changes"]) == (0, [], [])
    assert plan.json["diagnostics"]
    assert [problem for problem in plan.json["diagnostics"] if problem not in taken.report["findings"]] == []


def test_every_binding_that_was_right_is_declared_as_it_is(taken: TakenOver) -> None:
    """By its certificate where the tree has its file, else by its id; each presents what it presented."""
    ids = set(taken.repository.ids.values()) - {taken.repository.ids["deleted"], taken.repository.ids["partner-ca"]}
    right = {
        (path, environment, binding): text
        for path, tables in taken.repository.bound().items()
        for environment, table in tables.items()
        for binding, text in table.items()
        if text in ids
    }
    assert declared_ids(taken) == right
    everything = sum(len(table) for tables in DECLARED.values() for table in tables.values())
    forgotten = sum(len(DECLARED[path][name]) for path in FILES for app, name in FORGOTTEN if app_of(path) == app)
    wrong = len(WRONG) - 1  # that of another stack is right, only not ours
    assert len(right) == everything - forgotten - len(PLACEHOLDERS) - wrong - len(DECLARED[OTHER_ACCOUNT[0]]["staging"])


def declared_ids(taken: TakenOver) -> dict[Place, str]:
    """What mtls.toml declares, by file, environment and binding; a certificate by the entry with its file's content."""
    by_digest = {
        bundle.digest: entry.id
        for entry in taken.repository.state.account(ACCOUNT).entries()
        if (bundle := parse_stored(entry.certificates)) is not None
    }
    entry_of: dict[str, str] = {}
    for name, one in taken.declared["certificates"].items():
        bundle = parse_stored((taken.repository.folder / one["certificate"]).read_text())
        assert bundle is not None
        entry_of[name] = by_digest[bundle.digest]
    found: dict[Place, str] = {}
    for worker in taken.declared["workers"].values():
        for environment, table in {"": worker, **worker.get("env", {})}.items():
            for binding, target in table.get("bindings", {}).items():
                known = target["id"] if isinstance(target, dict) else entry_of[target]
                found[worker["config"], environment, binding] = known
    return found


def test_certificates_are_called_as_their_entries_and_handed_over(taken: TakenOver) -> None:
    """Matched by content; what git ignores, and what has another chain, is not declared."""
    ids = taken.repository.ids
    names = {
        "gateway-prod": "gateway",
        "gateway-staging": "gateway-staging",
        "billing": "billing",
        "billing-2": "billing-2025",
        "billing-staging": "billing-staging",
        "ledger-staging": "ledger-staging",
        "bank": "bank",
        "partner": "partner",
        "customs": "customs",
    }
    expected: dict[str, dict[str, object]] = {
        name: {"certificate": f"certs/{certificate}.pem", "supersedes": [ids[certificate]]}
        for name, certificate in names.items()
    }
    expected["partner-ca"] = {"certificate": "certs/partner-ca.pem", "ca": True, "supersedes": [ids["partner-ca"]]}
    assert taken.declared["certificates"] == expected


def test_every_planted_fault_is_found_and_nothing_else(taken: TakenOver) -> None:
    """Ids, placeholders, environments, names, dates, keys, files."""
    assert taken.places("placeholder-left") == PLACEHOLDERS
    assert taken.places("entry-missing") == {WRONG["slip"], WRONG["capitals"], WRONG["deleted"]}
    assert taken.places("entry-is-ca") == {WRONG["ca"]}
    ids = taken.repository.ids
    assert len(taken.found("bound-expired")) == len(EXPIRED)
    (shared,) = taken.found("key-shared")
    assert all(ids[name] in shared for name in ONE_KEY)
    (twice,) = taken.found("name-twice")
    assert all(ids[name] in twice for name in ("billing", "billing-2025"))
    (unreferenced,) = taken.found("entry-unreferenced")
    assert ids["legacy"] in unreferenced
    (ignored,) = taken.found("ignored-by-git")
    assert ids["ledger"] in ignored
    (differs,) = taken.found("chain-differs")
    assert ids[WITH_CHAIN] in differs
    foreign = {name for name, one in ids.items() for text in taken.found("entry-foreign") if one in text}
    assert foreign == {"bank-sandbox", "ledger", "warehouse", "logistics"}
    (left_out,) = taken.found("left-out")
    assert left_out.startswith("apps/drivers/wrangler.json (staging) is left out: it uses the account ")
    planted = {"placeholder-left", "entry-missing", "entry-is-ca", "key-shared", "name-twice"}
    planted |= {"entry-unreferenced", "ignored-by-git", "chain-differs", "entry-foreign", "left-out"}
    environments = {"undeclared-environment", "environment-lacks"}
    (undeclared,) = taken.found("undeclared-binding")  # the plan's word for the CA that is bound
    assert place_of(undeclared) == WRONG["ca"]
    of_the_plan = {"bound-expired", "undeclared-binding"}
    assert {one["code"] for one in taken.report["findings"]} - of_the_plan == planted | environments
    assert not any(one["severity"] == "error" for one in taken.report["findings"])


def test_every_forgotten_environment_is_found(taken: TakenOver) -> None:
    """Read by readers that are not ours: the top level has bindings, and the environment has none, or not all."""
    without, some = set(), set()
    for path, tables in taken.repository.bound().items():
        values = values_of(path, (taken.repository.folder / path).read_bytes())
        for environment in values.get("env", {}):
            if tables.get("") and not tables.get(environment):
                without.add((path, environment))
            elif tables.get("", {}).keys() - tables.get(environment, {}).keys():
                some.add((path, environment))
    assert {(path, environment) for path, environment in without if (app_of(path), environment) in FORGOTTEN}
    undeclared = {
        re.match(r"(\S+) has the environment '(\S+)'", text) for text in taken.found("undeclared-environment")
    }
    nothing_right = {("apps/admin/wrangler.jsonc", "staging")}  # placeholders alone
    assert {(found[1], found[2]) for found in undeclared if found} == without | nothing_right
    lacking = {re.match(r"(\S+) \((\S+)\)", text) for text in taken.found("environment-lacks")}
    assert {(found[1], found[2]) for found in lacking if found} == some


def test_drift_says_the_same_of_the_result(taken: TakenOver) -> None:
    """`drift --unused` has every fault again, with its fix; what is declared, by ID too, has not drifted."""
    project = taken.repository.project()
    whole = project.run("drift", "--unused", "--format", "json")
    findings = whole.json["findings"]
    assert whole.code == 2
    assert Counter(one["code"] for one in findings) == {
        "placeholder-left": 5,
        "entry-missing": 3,
        "entry-is-ca": 1,
        "key-shared": 1,
        "entry-unreferenced": 1,
    }
    assert len({one["key"] for one in findings}) == len(findings)
    assert Counter(one["code"] for one in whole.json["diagnostics"])["entry-foreign"] == 4
    (slip,) = [one for one in findings if "apps/labels" in one.get("path", "")]
    assert f"did you mean {taken.repository.ids['partner']} (partner)?" in slip["hint"]
    drift = project.run("drift", "--format", "json")
    assert (drift.code, drift.json["findings"]) == (0, [])


def with_what_was_meant(text: str) -> str:
    """The file with the # taken from each line that has a guess, and from the table above it."""
    lines = text.splitlines(keepends=True)
    head = 0
    for number, line in enumerate(lines):
        head = number if "[workers." in line else head
        if re.match(r'# \w+ = ("[a-z0-9-]+"|\{ id = .* \}) # was (the placeholder|\S+, which)', line):
            lines[number] = line.removeprefix("# ")
            lines[head] = lines[head].removeprefix("# ")
    return "".join(lines)


def test_the_comments_are_what_was_meant_and_apply_mends_it(taken: TakenOver, tmp_path: Path) -> None:
    """With the # taken from lines that name a certificate, a plan has just those, and applying it leaves none."""
    folder = tmp_path / "harbour"
    shutil.copytree(taken.repository.folder, folder, ignore=shutil.ignore_patterns("logs"))
    project = Project(folder, dict(taken.repository.project().environ))
    project.write("mtls.toml", with_what_was_meant(project.read("mtls.toml")))
    plan = project.run("plan", "--format", "json").json
    assert {(change["action"], app_of(change["config"]), change["binding"]) for change in plan["changes"]} == {
        ("rebind", "apps/labels", "PARTNER"),
        ("rebind", "apps/catalogue", "PARTNER"),
        ("rebind", "apps/fx-rates", "BANK"),
        ("rebind", "apps/returns", "WAREHOUSE"),
        ("rebind", "apps/admin", "LEDGER"),
    }
    # What was meant for CUSTOMS of apps/recalls has expired: that binding is held, and stays as it is (rule 10).
    held = [one for one in plan["diagnostics"] if one["code"] == "certificate-expired" and one["severity"] == "error"]
    assert [one["certificate"] for one in held] == ["customs"]
    assert project.run("apply", "--yes").code == 5
    assert project.run("plan", "--format", "json").json["changes"] == []
    again = json.loads(project.run("drift", "--unused", "--format", "json").out)
    unknown = re.compile(r" has \S+, which (no uploaded certificate has|is not a valid ID|is not in the list)")
    assert [one["state"] for one in again["findings"] if unknown.search(one["message"])] == ["changed", "unexpected"]
