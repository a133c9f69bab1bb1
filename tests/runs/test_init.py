"""`init`: what it finds in a tree and a store, what it writes, what it never does, and what it says."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from jsonschema import Draft202012Validator

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.model import StoreKind
from reconciler.system.clock import SystemClock
from tests.cli.test_canaries import search
from tests.support.cli import WRANGLER, Project, Result
from tests.support.emulated import account_environ
from tests.support.pki import Issued, make_ca
from tests.support.trees import git
from tests.support.worlds import issued
from tests.views.test_schemas import SCHEMAS

_CA = make_ca("Init")
LEAVES = [_CA.issue(f"leaf-{number}") for number in range(4)]
BY_INTERMEDIATE = _CA.issue_ca("Between").issue("chained")
UNKNOWN = "deadbeef-0000-4000-8000-000000000000"


class Account:
    """An account in the emulator, and a project that is to be taken over."""

    def __init__(self, folder: Path, url: str, state: EmulatorState) -> None:
        self.state = state
        environ = account_environ(url)
        self.project = Project(folder, environ)

    def upload(self, leaf: Issued, name: str, *, ca: bool = False, pem: bytes | None = None) -> str:
        """An entry, as somebody uploaded it by hand; its id."""
        text = (pem or leaf.certificate_pem).decode()
        entry = self.state.account().store.seed(type_="custom", name=name, ca=ca, certificates=text)
        self.state.account().added(entry)
        return entry.id

    def init(self, *arguments: str) -> Result:
        """`init --from .`, which must succeed."""
        result = self.project.run("init", "--from", ".", "--stack", "shop", *arguments)
        assert result.code == 0, result.out + result.err
        return result

    def report(self, *arguments: str) -> dict[str, Any]:
        """The same as a document."""
        return self.init("--format", "json", *arguments).json

    def codes(self, report: dict[str, Any]) -> list[str]:
        """The codes of its findings, without what is said of the throw-away certificates."""
        return sorted(one["code"] for one in report["findings"] if one["code"] not in {"chain-incomplete"})

    @property
    def declared(self) -> dict[str, Any]:
        """mtls.toml."""
        return tomli.loads(self.project.read("mtls.toml"))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = new_state(SystemClock())
    with running(state) as url:
        yield Account(tmp_path, url, state)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty folder with a name, without any account."""
    folder = tmp_path / "Shop App"
    folder.mkdir()
    return Project(folder)


def wrangler(**ids: str) -> str:
    """A wrangler.toml with these bindings."""
    head = WRANGLER.partition("[[")[0]
    return head + "".join(
        f'[[mtls_certificates]]\nbinding = "{name}"\ncertificate_id = "{text}"\n' for name, text in ids.items()
    )


# --- an empty folder ------------------------------------------------------------------------------------------------


def test_init_makes_a_file_that_plans_empty_and_needs_no_account(project: Project) -> None:
    """The stack from the folder's name; without a terminal nothing is asked."""
    result = project.run("init")
    assert (result.code, result.err) == (0, "")
    assert tomli.loads(project.read("mtls.toml")) == {
        "version": 1,
        "stack": "shop-app",
        "store": {"kind": "local"},
    }
    assert result.out.startswith("Wrote mtls.toml, schemas/mtls.schema.json, .mtlsctl/\n")
    assert "`mtlsctl plan` has no changes." in result.out
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_the_schema_lies_where_the_first_line_says(project: Project) -> None:
    """Beside the file, and fresh."""
    project.run("init")
    first = project.read("mtls.toml").splitlines()[0]
    assert first == "#:schema ./schemas/mtls.schema.json"
    assert project.read("schemas/mtls.schema.json") == (SCHEMAS / "mtls.schema.json").read_text()


def test_a_schema_that_is_there_stays(project: Project) -> None:
    """It may be somebody's own."""
    project.write("schemas/mtls.schema.json", "{}")
    assert project.run("init").code == 0
    assert project.read("schemas/mtls.schema.json") == "{}"


def test_git_does_not_see_the_folder_of_the_tool(project: Project) -> None:
    """Everything else is to be committed."""
    git(project.folder, "init", "-q")
    project.run("init")
    done = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=project.folder, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["??", "mtls.toml", "??", "schemas/mtls.schema.json"]
    assert (project.folder / ".mtlsctl").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_an_mtls_toml_that_is_there_is_never_overwritten(project: Project, there: str) -> None:
    """Whatever it is, and nothing else is written."""
    path = project.folder / "mtls.toml"
    if there == "file":
        path.write_text("mine")
    elif there == "link":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
    result = project.run("init")
    assert result.code == 1
    assert "error[file-exists]" in result.err
    assert "--update" in result.err
    assert [entry.name for entry in project.folder.iterdir()] == ["mtls.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stack", "My Stack"], "use a name such as `--stack my-stack`"),
        (["--stack", ""], "is not a valid stack name"),
        (["--account", "x"], "`--account` is not an account ID: it is not 32 digits"),
        (["--from", "nowhere"], "is not a folder of this tree"),
        (["--from", ".."], "is not a folder of this tree"),
        (["--certificates", "/certs"], "is not a folder that mtls.toml can name"),
        (["--update"], "mtls.toml was not found here"),
        (["--file", "no/such/mtls.toml"], "the folder of no/such/mtls.toml does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_said_and_writes_nothing(project: Project, arguments: list[str], said: str) -> None:
    """Exit 64."""
    result = project.run("init", *arguments)
    assert (result.code, result.out) == (64, "")
    assert said in result.err
    assert list(project.folder.iterdir()) == []


def test_update_takes_no_other_stack_or_store(project: Project) -> None:
    """mtls.toml says them."""
    project.run("init")
    assert project.run("init", "--update", "--stack", "x").code == 64
    assert project.run("init", "--update", "--store", "local").code == 64


def test_an_account_without_a_token_is_an_error_that_names_the_other_store(project: Project) -> None:
    """Ids of an account in a wrangler file speak for the account's store."""
    project.write("wrangler.toml", wrangler(BILLING=UNKNOWN))
    result = project.run("init", "--from", ".")
    assert (result.code, result.out) == (1, "")
    assert "`--store local`" in result.err
    assert not (project.folder / "mtls.toml").exists()
    local = project.run("init", "--from", ".", "--store", "local")
    assert local.code == 0
    assert "warning[id-of-other-store]" in local.out


def test_what_the_embedded_store_has_is_taken_over_again(project: Project) -> None:
    """Its mtls.toml was lost: the same stack has to be named as the same, and then nothing changes."""
    project.write("wrangler.toml", WRANGLER)
    project.certificate("billing", 1)
    assert project.run("init", "--from", ".").code == 0
    text = project.read("mtls.toml")
    start = text.index("# [certificates.billing]")
    rest = (
        text[start:].replace("# [", "[").replace("# cert", "cert").replace("# priv", "priv").replace("# BILL", "BILL")
    )
    project.write("mtls.toml", text[:start] + rest)
    assert project.run("apply", "--yes").code == 0
    (project.folder / "mtls.toml").unlink()
    refused = project.run("init", "--from", ".")
    assert (refused.code, refused.out) == (3, "")
    assert "error[stack-taken]: 1 uploaded certificate belongs to a stack 'shop-app'" in refused.err
    assert not (project.folder / "mtls.toml").exists()
    assert project.run("init", "--from", ".", "--same-stack").code == 0
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert project.run("drift").code == 0
    assert list(tomli.loads(project.read("mtls.toml"))["certificates"]) == ["billing"]


def test_an_mtls_toml_in_a_parent_folder_is_noted(project: Project) -> None:
    """From now on the new one is taken here."""
    git(project.folder, "init", "-q")
    project.run("init")
    (project.folder / "apps/shop").mkdir(parents=True)
    result = project.run("init", "--stack", "other", folder="apps/shop")
    assert result.code == 0
    assert "warning[file-above]: ../../mtls.toml also exists" in result.out
    assert "file-above" not in project.run("init", "--file", "second.toml").out


# --- an account -----------------------------------------------------------------------------------------------------


def test_what_was_done_by_hand_is_adopted_and_the_plan_is_empty(account: Account) -> None:
    """Matched by content, bound by name; no upload, no key, no wrangler file touched, and no call that changes."""
    one, two = account.upload(LEAVES[0], "Billing (prod)"), account.upload(LEAVES[1], "ledger")
    project = account.project
    project.write("certs/b.pem", LEAVES[0].certificate_pem)
    project.write("certs/b.key", LEAVES[0].key_pem)
    project.write("apps/shop/wrangler.toml", wrangler(BILLING=one, LEDGER=two))
    before = project.read("apps/shop/wrangler.toml")
    report = account.report()
    assert account.declared["certificates"] == {"billing-prod": {"certificate": "certs/b.pem", "supersedes": [one]}}
    assert account.declared["workers"] == {
        "checkout": {
            "config": "apps/shop/wrangler.toml",
            "bindings": {"BILLING": "billing-prod", "LEDGER": {"id": two}},
        }
    }
    assert account.declared["store"] == {"kind": "cloudflare", "account_id": ACCOUNT_ID}
    assert '# private_key = "certs/b.key"' in project.read("mtls.toml")
    assert report["changes"] == []
    assert account.codes(report) == ["entry-foreign"]
    assert project.read("apps/shop/wrangler.toml") == before
    assert {call.method for call in account.state.calls} == {"GET"}
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_the_first_hour_ends_with_a_rotation(account: Account) -> None:
    """Adopted, then renewed: the old entry was handed over, so it waits to be retired."""
    one = account.upload(LEAVES[0], "billing")
    project = account.project
    project.write("billing.pem", LEAVES[0].certificate_pem)
    project.write("wrangler.toml", wrangler(BILLING=one))
    account.init()
    project.write("billing.pem", LEAVES[1].certificate_pem)
    project.write("mtls.toml", project.read("mtls.toml").replace("# private_key", "private_key"))
    project.environ["BILLING_KEY"] = LEAVES[1].key_pem.decode()
    result = project.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    plan = project.run("plan", "--format", "json").json
    assert plan["changes"] == []
    assert [wait["entry"] for wait in plan["waiting"]] == [one]


def test_the_list_is_read_once_and_each_unknown_id_asked_for_once(account: Account) -> None:
    """Proposal and plan look at the same moment."""
    one = account.upload(LEAVES[0], "x")
    account.project.write("wrangler.toml", wrangler(A=one, B=UNKNOWN))
    account.init()
    paths = [call.path.rpartition("/")[2] for call in account.state.calls]
    assert sorted(paths) == sorted(["configs", "mtls_certificates", UNKNOWN])


def test_a_stack_that_marks_entries_already_is_refused(account: Account) -> None:
    """Two files with one mark would each retire what the other uploads; nothing is written."""
    digest = issued(1).bundle.digest[:12]
    account.upload(issued(1), f"shop.billing.{digest}")
    result = account.project.run("init", "--from", ".", "--stack", "shop", "--format", "json")
    assert result.code == 3
    assert [one["code"] for one in result.json["diagnostics"]] == ["stack-taken"]
    assert not (account.project.folder / "mtls.toml").exists()
    assert account.project.run("init", "--stack", "other").code == 0


def test_a_name_that_only_looks_like_a_mark_is_nobody(account: Account) -> None:
    """Its last part must fit its content."""
    account.upload(LEAVES[0], "shop.billing.000000000000")
    account.init()


def test_the_account_is_that_of_the_wrangler_files_where_nothing_else_names_one(account: Account) -> None:
    """Where they all name the same."""
    one = account.upload(LEAVES[0], "x")
    del account.project.environ["CLOUDFLARE_ACCOUNT_ID"]
    account.project.write("wrangler.toml", f'account_id = "{ACCOUNT_ID}"\n' + wrangler(A=one))
    account.init()
    assert account.declared["store"]["account_id"] == ACCOUNT_ID


def test_planted_faults_are_found_with_their_places(account: Account) -> None:
    """An id that was pasted wrong, one that nobody has, a CA's, a placeholder, an environment that was forgotten."""
    one, ca = account.upload(LEAVES[0], "billing"), account.upload(_CA, "ca", ca=True)
    slip = one[:-1] + ("0" if one[-1] != "0" else "1")
    project = account.project
    project.write("b.pem", LEAVES[0].certificate_pem)
    text = wrangler(BILLING=one, SLIP=slip, GONE=UNKNOWN, CA=ca, LATER="<ID>") + '[env.staging]\nname = "x"\n'
    project.write("wrangler.toml", text)
    report = account.report()
    assert account.codes(report) == [
        "entry-is-ca",
        "entry-missing",
        "entry-missing",
        "placeholder-left",
        "undeclared-environment",
    ]
    by_line = {one["line"]: one for one in report["findings"] if one.get("path") == "wrangler.toml"}
    lines = text.splitlines()
    assert {number: lines[number - 1] for number in by_line} == {
        number: line for number, line in enumerate(lines, 1) if any(bad in line for bad in (slip, UNKNOWN, ca, "<ID>"))
    }
    (found,) = [one for one in report["findings"] if slip in one["message"]]
    assert f"did you mean {one} (billing)?" in found["hint"]
    assert report["changes"] == []


# --- what is found in a tree ----------------------------------------------------------------------------------------


def bound_in(account: Account, *paths: str) -> str:
    """Wrangler files in all of these places, all with one binding."""
    one = account.upload(LEAVES[0], "x")
    for path in paths:
        text = wrangler(A=one)
        if not path.endswith(".toml"):
            text = json.dumps({"name": "j", "mtls_certificates": [{"binding": "A", "certificate_id": one}]})
        account.project.write(path, text)
    return one


def configs_of(account: Account) -> list[str]:
    """The wrangler files that were declared."""
    return sorted(worker["config"] for worker in account.declared.get("workers", {}).values())


def test_files_of_every_format_are_found_however_deep(account: Account) -> None:
    """And those of other names, which wrangler takes with `-c`."""
    paths = ["a/wrangler.toml", "b/c/d/wrangler.json", "e/wrangler.jsonc", "f/wrangler.prod.toml"]
    bound_in(account, *paths)
    account.init()
    assert configs_of(account) == paths


def test_what_is_not_written_by_people_is_left_out(account: Account) -> None:
    """Modules, what wrangler made, what a build made and wrangler is redirected to, and what git ignores."""
    git(account.project.folder, "init", "-q")
    generated = ["node_modules/x/wrangler.toml", "app/.wrangler/tmp/wrangler.json", "app/dist/wrangler.json"]
    bound_in(account, "app/wrangler.jsonc", "out/wrangler.toml", *generated)
    account.project.write("app/.wrangler/deploy/config.json", '{"configPath": "../../dist/wrangler.json"}')
    account.project.write(".gitignore", "out/\n")
    report = account.report()
    assert configs_of(account) == ["app/wrangler.jsonc"]
    (ignored,) = [one for one in report["findings"] if one["code"] == "ignored-by-git"]
    assert "out/wrangler.toml" in ignored["message"]


def test_a_file_that_wrangler_would_not_choose_is_pointed_out(account: Account) -> None:
    """Beside another one it is left out; below another one it may be deployed with `-c`, so it is taken."""
    bound_in(account, "a/wrangler.toml", "a/wrangler.json", "b/wrangler.json", "b/sub/wrangler.toml")
    report = account.report()
    assert configs_of(account) == ["a/wrangler.json", "b/sub/wrangler.toml", "b/wrangler.json"]
    assert account.codes(report) == ["config-shadowed", "entry-foreign", "left-out"]


def test_one_file_by_two_names_is_declared_once_by_its_own(account: Account) -> None:
    """A link is not another Worker."""
    bound_in(account, "z/wrangler.toml")
    (account.project.folder / "a").mkdir()
    (account.project.folder / "a/wrangler.toml").symlink_to("../z/wrangler.toml")
    account.init()
    assert configs_of(account) == ["z/wrangler.toml"]


def test_a_file_that_can_not_be_read_is_left_out_and_the_others_are_taken(account: Account) -> None:
    """It is said, with its line; one that is only called like a wrangler file is nobody's concern."""
    bound_in(account, "a/wrangler.toml")
    account.project.write("b/wrangler.toml", "name = \n")
    account.project.write("c/wrangler-notes.toml", "name = \n")
    report = account.report()
    assert configs_of(account) == ["a/wrangler.toml"]
    (found,) = [one for one in report["findings"] if one["code"] == "left-out"]
    assert (found["path"], found["line"]) == ("b/wrangler.toml", 1)


def test_a_name_that_is_no_text_is_left_out(account: Account) -> None:
    """mtls.toml could not have it."""
    one = bound_in(account, "a/wrangler.toml")
    odd = os.fsencode(account.project.folder) + b"/\xff"
    os.mkdir(odd)  # noqa: PTH102 - no Path has these bytes for sure
    Path(os.fsdecode(odd), "wrangler.toml").write_text(wrangler(A=one))
    report = account.report()
    assert configs_of(account) == ["a/wrangler.toml"]
    (found,) = [one for one in report["findings"] if one["code"] == "left-out"]
    assert "its name is not valid UTF-8" in found["message"]


def test_a_key_that_was_pasted_for_an_id_is_never_quoted(account: Account) -> None:
    """Nor one that became the name of an environment, or of a binding; the files are left out and said."""
    key = issued(1).key_pem.decode()
    line = "".join(key.splitlines()[1:-1])
    project = account.project
    project.write("a/wrangler.toml", wrangler(A=key.replace("\n", "\\n")))
    project.write("b/wrangler.toml", wrangler(A=UNKNOWN) + f'[env."{line}"]\nname = "x"\n')
    project.write("c/wrangler.toml", wrangler(**{line: UNKNOWN}))
    results = [account.init(), project.run("init", "--update", "--format", "json"), project.run("drift", "--unused")]
    assert results[0].out.count("warning[left-out]") == 3
    search(project, results, (1,), tuple(f"{name}/wrangler.toml" for name in "abc"))


def test_only_what_is_below_the_folder_of_from_is_taken(account: Account) -> None:
    """Paths are relative to mtls.toml all the same."""
    bound_in(account, "a/wrangler.toml", "b/wrangler.toml")
    assert account.project.run("init", "--from", "b").code == 0
    assert configs_of(account) == ["b/wrangler.toml"]


def test_an_mtls_toml_in_a_subfolder_names_files_above_it_within_the_repository(account: Account) -> None:
    """`--from ..`, up to the git root."""
    git(account.project.folder, "init", "-q")
    bound_in(account, "apps/a/wrangler.toml")
    (account.project.folder / "infra").mkdir()
    assert account.project.run("init", "--from", "..", folder="infra").code == 0
    inner = Project(account.project.folder / "infra", account.project.environ)
    assert tomli.loads(inner.read("mtls.toml"))["workers"]["checkout"]["config"] == "../apps/a/wrangler.toml"
    assert inner.run("plan", "--detailed-exitcode").code == 0


def test_a_folder_that_can_not_be_listed_is_said(account: Account) -> None:
    """What is in it is not taken over."""
    if os.geteuid() == 0:
        pytest.skip("root may list every folder")
    bound_in(account, "a/wrangler.toml", "secret/wrangler.toml")
    (account.project.folder / "secret").chmod(0)
    try:
        report = account.report()
    finally:
        (account.project.folder / "secret").chmod(0o700)
    assert account.codes(report).count("left-out") == 1


def test_certificates_are_found_by_content_and_ignored_or_differing_ones_pointed_out(account: Account) -> None:
    """A file that git ignores, and one with another chain than the store's."""
    git(account.project.folder, "init", "-q")
    one, two = account.upload(LEAVES[0], "one"), account.upload(BY_INTERMEDIATE, "two")
    project = account.project
    project.write("wrangler.toml", wrangler(ONE=one, TWO=two))
    project.write("certs/one.pem", LEAVES[0].certificate_pem)
    project.write("two.crt", BY_INTERMEDIATE.chain_pem)
    project.write(".gitignore", "certs/\n")
    report = account.report()
    assert account.declared["workers"]["checkout"]["bindings"] == {"ONE": {"id": one}, "TWO": {"id": two}}
    codes = account.codes(report)
    assert (codes.count("ignored-by-git"), codes.count("chain-differs")) == (1, 1)
    assert report["changes"] == []


def test_certificates_that_only_the_store_has_can_be_written(account: Account) -> None:
    """They are public. Then they are declared, and the plan is empty; nothing that is there is overwritten."""
    one, two = account.upload(LEAVES[0], "one"), account.upload(LEAVES[1], "two")
    project = account.project
    project.write("wrangler.toml", wrangler(ONE=one, TWO=two))
    project.write("certs/one.pem", LEAVES[2].certificate_pem)
    report = account.report("--certificates", "certs")
    assert {one["certificate"]: one["path"] for one in report["certificates"]} == {
        "one": "certs/one-2.pem",
        "two": "certs/two.pem",
    }
    assert project.read("certs/two.pem") == LEAVES[1].certificate_pem.decode()
    assert project.read("certs/one.pem") == LEAVES[2].certificate_pem.decode()
    assert report["written"] == [
        "mtls.toml",
        "certs/one-2.pem",
        "certs/two.pem",
        "schemas/mtls.schema.json",
        ".mtlsctl/",
    ]
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_a_link_that_leads_out_of_the_tree_is_not_written_through(account: Account, tmp_path: Path) -> None:
    """Not for certificates either; and nothing else was written."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (account.project.folder / "certs").symlink_to(outside)
    account.project.write("wrangler.toml", wrangler(ONE=account.upload(LEAVES[0], "one")))
    result = account.project.run("init", "--from", ".", "--certificates", "certs")
    assert result.code == 1
    assert "error[file-outside]" in result.err
    assert list(outside.iterdir()) == []
    assert not (account.project.folder / "mtls.toml").exists()


# --- what it says ---------------------------------------------------------------------------------------------------


def test_the_plan_shows_nothing_that_the_report_did_not_announce(account: Account) -> None:
    """Every finding of the plan stands in the report, word for word."""
    one = account.upload(BY_INTERMEDIATE, "one", pem=BY_INTERMEDIATE.chain_pem)
    account.project.write("one.pem", BY_INTERMEDIATE.chain_pem)
    account.project.write("wrangler.toml", wrangler(ONE=one, BAD=UNKNOWN) + "[env.staging]\n[env.other.vars]\nA = 1\n")
    report = account.report()
    plan = account.project.run("plan", "--format", "json").json
    assert plan["changes"] == report["changes"] == []
    assert plan["diagnostics"]
    assert all(problem in report["findings"] for problem in plan["diagnostics"])
    drift = account.project.run("drift", "--unused", "--format", "json").json
    told = [(one["code"], one["message"]) for one in report["findings"]]
    assert drift["findings"]
    assert all((one["code"], one["message"]) in told for one in (*drift["findings"], *drift["diagnostics"]))


def test_the_report_fits_its_schema_and_out_writes_the_same(account: Account) -> None:
    """With findings and bindings of both sorts."""
    account.project.write("one.pem", LEAVES[0].certificate_pem)
    ids = {"ONE": account.upload(LEAVES[0], "one"), "TWO": account.upload(LEAVES[1], "two"), "BAD": "TODO"}
    account.project.write("wrangler.toml", wrangler(**ids))
    result = account.init("--format", "json", "--out", "report.json")
    validator = Draft202012Validator(json.loads((SCHEMAS / "init.schema.json").read_text()))
    assert list(validator.iter_errors(result.json)) == []
    assert account.project.read("report.json") == result.out
    assert [set(one) for one in result.json["bindings"]] == [
        {"worker", "config", "binding", "certificate"},
        {"worker", "config", "binding", "entry"},
    ]


def test_text_says_what_was_taken_what_is_left_and_what_comes_next(account: Account) -> None:
    """Findings first, the way on last."""
    account.project.write("one.pem", LEAVES[0].certificate_pem)
    ids = {"ONE": account.upload(LEAVES[0], "one"), "TWO": account.upload(LEAVES[1], "two"), "BAD": "TODO"}
    account.project.write("wrangler.toml", wrangler(**ids))
    out = account.init().out
    assert "warning[placeholder-left]: BAD in wrangler.toml (top level)" in out
    assert "  1 certificate, matched to a file by its content\n" in out
    assert "  2 bindings of 1 Worker\n  1 certificate bound by its ID\n" in out
    assert out.index("warning[") < out.index("Wrote mtls.toml") < out.index("`mtlsctl plan` has no changes.")
    assert "Next:\n  mtlsctl plan" in out


def test_update_adds_and_says_what_it_added(account: Account) -> None:
    """The file that is there keeps its lines; a second time adds nothing."""
    bound_in(account, "a/wrangler.toml")
    account.init()
    text = account.project.read("mtls.toml").replace('stack = "shop"', 'stack = "shop" # ours')
    account.project.write("mtls.toml", text)
    more = account.upload(LEAVES[1], "more")
    account.project.write("b/wrangler.toml", wrangler(MORE=more))
    result = account.project.run("init", "--update")
    assert result.code == 0
    assert "Added to mtls.toml\n" in result.out
    added = account.project.read("mtls.toml")
    assert added.startswith(text.rstrip("\n"))
    assert configs_of(account) == ["a/wrangler.toml", "b/wrangler.toml"]
    again = account.project.run("init", "--update", "--format", "json").json
    assert (again["written"], again["updated"], again["bindings"]) == ([], True, [])
    assert account.project.read("mtls.toml") == added
    assert account.project.run("plan", "--detailed-exitcode").code == 0


def test_update_adds_the_rest_while_one_declared_wrangler_file_is_broken(account: Account) -> None:
    """That file is named once, with its line, and keeps its tables; the exit code is 5, or 1 if nothing was added."""
    bound_in(account, "a/wrangler.toml")
    account.init()
    account.project.write("a/wrangler.toml", "name = \n")
    account.project.write("b/wrangler.toml", wrangler(MORE=account.upload(LEAVES[1], "more")))
    result = account.project.run("init", "--update", "--format", "json")
    assert (result.code, result.json["written"]) == (5, ["mtls.toml"])
    (found,) = [one for one in result.json["findings"] if one.get("path") == "a/wrangler.toml"]
    assert (found["code"], found["severity"], found["line"]) == ("wrangler-syntax", "error", 1)
    assert configs_of(account) == ["a/wrangler.toml", "b/wrangler.toml"]
    assert account.project.run("init", "--update").code == 1


def test_update_can_write_the_certificates_of_new_workers(account: Account) -> None:
    """As a first `init` can."""
    account.init()
    account.project.write("b/wrangler.toml", wrangler(MORE=account.upload(LEAVES[1], "more")))
    result = account.project.run("init", "--update", "--certificates", "certs")
    assert result.code == 0, result.err
    assert account.declared["certificates"]["more"]["certificate"] == "certs/more.pem"
    assert account.project.run("plan", "--detailed-exitcode").code == 0


def test_no_key_of_the_tree_or_the_environment_is_ever_shown_or_read(account: Account) -> None:
    """Keys lie beside certificates, in files that are called like certificates, and in variables."""
    project = account.project
    one = account.upload(issued(1), "one")
    project.write("certs/one.pem", issued(1).certificate_pem)
    project.write("certs/one.key", issued(1).key_pem).chmod(0o600)
    project.write("certs/key.pem", issued(2).key_pem)
    project.write("certs/both.pem", issued(3).certificate_pem + issued(3).key_pem)
    project.environ["ONE_KEY"] = issued(1).key_pem.decode()
    project.write("wrangler.toml", wrangler(ONE=one, TWO=UNKNOWN))
    results = [account.init("--verbose"), project.run("init", "--update", "--format", "json"), project.run("export")]
    results.append(project.run("export", "--format", "json"))
    search(project, results, (1, 2, 3), ("certs/one.key", "certs/key.pem", "certs/both.pem"))


def test_a_private_key_file_is_never_opened(account: Account) -> None:
    """Its name is enough: one that can't be read hinders nobody."""
    project = account.project
    project.write("certs/one.pem", LEAVES[0].certificate_pem)
    os.mkfifo(project.folder / "certs/other.key")
    (project.folder / "certs/one.key").symlink_to("/nonexistent/one.key")
    project.write("wrangler.toml", wrangler(ONE=account.upload(LEAVES[0], "one")))
    account.init()


# --- questions ------------------------------------------------------------------------------------------------------


def at_a_terminal(folder: Path, answers: str, *arguments: str) -> tuple[int, str]:
    """`mtlsctl init` at a terminal where somebody types these answers; exit code and all that is seen."""
    master, slave = pty.openpty()
    os.write(master, answers.encode())
    command = [sys.executable, "-m", "reconciler", "init", *arguments]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1"}
    with subprocess.Popen(command, cwd=folder, env=environ, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # Linux says so where the other side has been closed
                break
            if not part:
                break
            seen += part
    os.close(master)
    return process.returncode, seen.decode()


def test_at_a_terminal_it_asks_little_and_explains_itself(project: Project) -> None:
    """Stack and store; an empty answer is the default."""
    code, seen = at_a_terminal(project.folder, "payments\n\n")
    assert code == 0
    assert "A stack is everything that this mtls.toml manages." in seen
    assert "Name of the stack [shop-app]: " in seen
    assert f"Store: {' or '.join(StoreKind)} [local]: " in seen
    assert tomli.loads(project.read("mtls.toml"))["stack"] == "payments"


def test_an_answer_that_is_none_is_asked_for_again(project: Project) -> None:
    """A stack that can't be one, a store that there is not."""
    code, seen = at_a_terminal(project.folder, "My Team\nteam\nsqlite\nlocal\n")
    assert code == 0
    assert "'My Team' is not a valid stack name" in seen
    assert f"please answer {' or '.join(StoreKind)}" in seen
    assert tomli.loads(project.read("mtls.toml"))["stack"] == "team"


def test_what_the_command_line_says_is_not_asked(project: Project) -> None:
    """Flags are answers."""
    code, seen = at_a_terminal(project.folder, "", "--stack", "x", "--store", "local")
    assert code == 0
    assert "Name of the stack" not in seen


def test_no_answer_writes_nothing(project: Project) -> None:
    """Ctrl-D."""
    code, seen = at_a_terminal(project.folder, "\x04")
    assert code == 1
    assert "nothing was written" in seen
    assert list(project.folder.iterdir()) == []


def test_certificates_are_written_for_what_was_bound_by_id_before(account: Account) -> None:
    """`--update --certificates` declares them, reports the line to change, and names all files to commit."""
    one = account.upload(LEAVES[0], "billing")
    account.project.write("wrangler.toml", wrangler(BILLING=one))
    first = " ".join(account.init().out.split())
    assert "it has no file in this folder or below: to write and declare them, run `mtlsctl init --update" in first
    result = account.project.run("init", "--update", "--certificates", "certs")
    assert result.code == 0
    assert "[by-id-declared]" in result.out
    assert "git add mtls.toml certs/billing.pem" in result.out
    assert account.declared["certificates"] == {"billing": {"certificate": "certs/billing.pem", "supersedes": [one]}}
    text = account.project.read("mtls.toml").replace(f'{{ id = "{one}" }}', '"billing"')
    account.project.write("mtls.toml", text)
    again = account.project.run("init", "--update")
    assert "[by-id-declared]" not in again.out
    assert account.project.run("plan", "--detailed-exitcode").code == 0


def test_certificates_outside_of_the_folder_to_search_are_matched(account: Account) -> None:
    """Those in use only: what else is there was not to be adopted."""
    one = account.upload(LEAVES[0], "billing")
    account.project.write("apps/shop/wrangler.toml", wrangler(BILLING=one))
    account.project.write("infra/certs/billing.pem", LEAVES[0].certificate_pem.decode())
    account.project.write("infra/certs/other.pem", LEAVES[1].certificate_pem.decode())
    result = account.project.run("init", "--from", "apps", "--stack", "shop")
    assert result.code == 0
    assert account.declared["certificates"]["billing"]["certificate"] == "infra/certs/billing.pem"
    assert "infra/certs/other.pem" not in account.project.read("mtls.toml")


def test_an_update_does_not_claim_to_have_everything_while_something_is_left(account: Account) -> None:
    """A placeholder that is not declared is reported above."""
    one = account.upload(LEAVES[0], "billing")
    account.project.write("wrangler.toml", wrangler(BILLING=one, LATER="<TODO>"))
    account.project.write("certs/billing.pem", LEAVES[0].certificate_pem.decode())
    account.init()
    result = account.project.run("init", "--update")
    assert "[placeholder-left]" in result.out
    assert "Nothing can be added to mtls.toml. What is left is above" in result.out
    assert "git add" not in result.out


# --- what a clone needs ---------------------------------------------------------------------------------------------


def test_each_written_file_is_named_like_its_table(account: Account) -> None:
    """Also of two uploads with one name, in whatever order their IDs are: else a renewal overwrites the wrong file."""
    for leaf in LEAVES[:3]:
        binding = f"LEDGER_{leaf.certificate.serial_number}"
        account.project.write(f"{binding.lower()}/wrangler.toml", wrangler(**{binding: account.upload(leaf, "ledger")}))
    account.init("--certificates", "certs")
    paths = {name: one["certificate"] for name, one in account.declared["certificates"].items()}
    assert paths == {name: f"certs/{name}.pem" for name in ("ledger", "ledger-2", "ledger-3")}


def test_init_names_every_file_that_a_clone_lacks(account: Account) -> None:
    """Also a certificate file that was there, and after `--update` what an earlier run wrote; no key."""
    git(account.project.folder, "init", "-q")
    account.project.write("infra/fraud.pem", LEAVES[0].certificate_pem)
    account.project.write("infra/fraud.key", LEAVES[0].key_pem)
    account.project.write("wrangler.toml", wrangler(FRAUD=account.upload(LEAVES[0], "fraud")))
    git(account.project.folder, "add", "wrangler.toml")
    assert "git add mtls.toml schemas/mtls.schema.json infra/fraud.pem  " in account.init().out
    again = account.project.run("init", "--update")
    assert "git add mtls.toml schemas/mtls.schema.json infra/fraud.pem  " in again.out


def test_init_reports_a_key_that_git_tracks_and_does_not_propose_it(account: Account) -> None:
    """`validate` would fail by it; the fix names the file."""
    git(account.project.folder, "init", "-q")
    account.project.write("certs/billing.pem", LEAVES[0].certificate_pem)
    account.project.write("certs/billing.key", LEAVES[0].key_pem)
    account.project.write("wrangler.toml", wrangler(BILLING=account.upload(LEAVES[0], "billing")))
    git(account.project.folder, "add", "certs/billing.key")
    out = account.init().out
    assert "error[key-in-git]" in out
    assert "git rm --cached -- certs/billing.key" in " ".join(out.split())
    assert 'private_key = { env = "BILLING_KEY" }' in account.project.read("mtls.toml")
