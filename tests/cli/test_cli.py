"""The command line: what it prints where, and what it ends with."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.commands import COMMANDS
from reconciler.version import __version__
from tests.support.cli import MTLS, WRANGLER, Project, make_project, run
from tests.support.paths import REPOSITORY
from tests.support.trees import git
from tests.support.worlds import REAL_ID, issued_now

EMBEDDED_ID = re.compile(r"10ca1000-[0-9a-f-]{27}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The same project as elsewhere, whose certificates are valid whenever the tests run."""
    return make_project(tmp_path, issue=issued_now)


@pytest.fixture
def applied(project: Project) -> Project:
    """The same, applied."""
    assert project.run("apply", "--yes").code == 0
    return project


def test_plan_shows_what_would_happen_and_why_and_changes_nothing(project: Project) -> None:
    """The plan names upload and rebind with their reasons; not even the store's folder is made."""
    result = project.run("plan")
    assert result.code == 0
    assert "\n  billing  new\n    + upload  needs $BILLING_KEY\n" in result.out
    assert "    ~ checkout  top level  BILLING  <CERTIFICATE_ID> -> new  placeholder\n" in result.out
    assert "\npayments: 1 upload, 1 config change  the local store\n" in result.out
    assert result.err == ""
    assert sorted(path.name for path in project.folder.iterdir()) == ["certs", "mtls.toml", "wrangler.toml"]


def test_plan_needs_no_private_key(project: Project) -> None:
    """A pull request has no keys, and gets the same plan."""
    with_key = project.run("plan").out
    project.environ.clear()
    assert project.run("plan").out == with_key


def test_apply_uploads_and_writes_the_id_and_nothing_else(project: Project) -> None:
    """One id stands where the placeholder stood; every other byte is as it was."""
    result = project.run("apply", "--yes")
    assert result.code == 0
    assert "Done: 1 certificate uploaded, 1 binding written." in result.out
    after = project.read("wrangler.toml")
    assert EMBEDDED_ID.sub("<CERTIFICATE_ID>", after) == WRANGLER
    assert EMBEDDED_ID.search(after)


def test_a_second_plan_is_empty(applied: Project) -> None:
    """Running it twice changes nothing the second time."""
    result = applied.run("plan", "--detailed-exitcode", "--format", "json")
    assert result.code == 0
    assert result.json["changes"] == []
    assert applied.run("apply").code == 0


def test_a_rotation_binds_the_new_entry_and_lets_the_old_one_wait(applied: Project) -> None:
    """The old entry stays until its grace is over."""
    old = EMBEDDED_ID.findall(applied.read("wrangler.toml"))
    applied.certificate("billing", 2)
    assert applied.run("apply", "--yes").code == 0
    assert EMBEDDED_ID.findall(applied.read("wrangler.toml")) != old
    plan = applied.run("plan", "--format", "json").json
    assert plan["changes"] == []
    (waiting,) = plan["waiting"]
    assert (waiting["entry"], waiting["condition"]) == (old[0], "grace")
    assert waiting["until"].endswith("Z")


def test_a_revert_needs_no_key_and_no_upload(applied: Project) -> None:
    """The previous entry is bound again by its content."""
    before = applied.read("wrangler.toml")
    applied.certificate("billing", 2)
    applied.run("apply", "--yes")
    applied.certificate("billing", 1)
    applied.environ.clear()
    result = applied.run("apply", "--yes")
    assert result.code == 0
    assert "newer-entry" in result.out
    assert applied.read("wrangler.toml") == before


def test_apply_without_a_terminal_refuses_to_change_anything_on_a_guess(project: Project) -> None:
    """Exit 64, nothing changed, and the hint names `--yes`."""
    result = project.run("apply")
    assert result.code == 64
    assert "--yes" in result.err
    assert project.read("wrangler.toml") == WRANGLER


def test_phase_carries_out_only_that_phase(project: Project) -> None:
    """Uploads first, in one job; bindings in another."""
    first = project.run("apply", "--yes", "--phase", "upload", "--format", "json").json
    assert [step["change"]["action"] for step in first["done"]] == ["upload"]
    assert [step["change"]["action"] for step in first["not_started"]] == ["rebind"]
    assert project.read("wrangler.toml") == WRANGLER
    assert project.run("apply", "--yes", "--phase", "bind").code == 0
    assert EMBEDDED_ID.search(project.read("wrangler.toml"))


def test_phase_bind_alone_says_that_it_is_blocked_by_the_missing_upload(project: Project) -> None:
    """Nothing could be bound, and that is no success."""
    result = project.run("apply", "--yes", "--phase", "bind")
    assert result.code == 3
    assert project.read("wrangler.toml") == WRANGLER


def test_a_key_that_is_missing_stops_its_certificate_before_anything_changes(project: Project) -> None:
    """Exit 1: nothing could be done; the message names the variable."""
    project.environ.clear()
    result = project.run("apply", "--yes")
    assert result.code == 1
    assert "BILLING_KEY" in result.out
    assert project.read("wrangler.toml") == WRANGLER


def test_a_key_of_another_certificate_is_never_uploaded(project: Project) -> None:
    """The pair is proved before the upload."""
    project.environ["BILLING_KEY"] = issued_now(9).key_pem.decode()
    result = project.run("apply", "--yes")
    assert result.code == 1
    assert not (project.folder / ".mtlsctl" / "store.db").exists()


def test_one_bad_certificate_stops_itself_and_not_the_others(project: Project) -> None:
    """Exit 5: the other one is uploaded and bound."""
    extra = '[certificates.bad]\ncertificate = "certs/bad.pem"\nprivate_key = { env = "BAD" }\n'
    project.write("mtls.toml", MTLS + extra)
    project.write("certs/bad.pem", "no certificate")
    result = project.run("apply", "--yes")
    assert result.code == 5
    assert "certs/bad.pem" in result.out
    assert EMBEDDED_ID.search(project.read("wrangler.toml"))


def test_the_embedded_store_leaves_a_file_with_a_real_accounts_id_alone(project: Project) -> None:
    """A first apply by mistake against a live project: exit 3, and the file is as it was."""
    live = WRANGLER.replace("<CERTIFICATE_ID>", REAL_ID)
    project.write("wrangler.toml", live)
    result = project.run("apply", "--yes")
    assert result.code == 3
    assert "an ID from a Cloudflare account" in result.out
    assert project.read("wrangler.toml") == live


def test_every_problem_of_the_file_is_said_in_one_run_with_its_place(project: Project) -> None:
    """Unknown key, bad reference: both, with line and column."""
    broken = MTLS.replace("private_key", "privat_key").replace('BILLING = "billing"', 'BILLING = "biling"')
    project.write("mtls.toml", broken)
    result = project.run("plan")
    assert result.code == 1
    assert "mtls.toml:6:1" in result.err
    assert "did you mean `private_key`?" in result.err
    assert "mtls.toml:12:" in result.err
    assert result.out == ""


def test_json_errors_are_a_document_on_stdout(project: Project) -> None:
    """A pipeline reads the findings where it reads the plan."""
    project.write("mtls.toml", "version = 1\nstack = \n")
    document = project.run("plan", "--format", "json").json
    assert document["format"] == "mtlsctl.diagnostics/1"
    (problem,) = document["diagnostics"]
    assert (problem["path"], problem["line"]) == ("mtls.toml", 2)


def test_places_lead_from_the_working_directory(project: Project) -> None:
    """Run from a folder below, paths start with `..`, so that they can be opened."""
    (project.folder / ".git").mkdir()
    (project.folder / "src").mkdir()
    project.write("mtls.toml", MTLS.replace("private_key", "privat_key"))
    assert "at   ../mtls.toml:6:1" in project.run("plan", folder="src").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "--nope"], "--nope"),
        (["nope"], "nope"),
        (["plan", "--format", "yaml"], "yaml"),
        (["plan", "--only", "nope"], "matches no declared certificate"),
        (["plan", "--file", "nope.toml"], "does not exist"),
        (["plan", "--at", "tomorrow"], "'tomorrow' is not a date\n  fix  write 2027-01-31, or '2027-01-31 12:00'"),
        (["plan", "--at", "2027-02-30"], "'2027-02-30' is not a date"),
        (["plan", "--allow-deletes", "-1"], "--allow-deletes"),
        (["apply", "--phase", "nope"], "nope"),
        (["schema", "nope"], "nope"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_ends_with_64_and_names_what_is_wrong(project: Project, arguments: list[str], said: str) -> None:
    """Never 2, which means that changes are pending."""
    result = project.run(*arguments)
    assert result.code == 64
    assert said in result.err
    assert "Traceback" not in result.err


def test_without_a_file_the_hint_says_where_it_is_looked_for(tmp_path: Path) -> None:
    """A new user's first call."""
    result = run(tmp_path, {}, "plan")
    assert result.code == 64
    assert "mtls.toml was not found here" in result.err


def test_global_options_are_taken_before_and_after_the_command(project: Project) -> None:
    """Both orders give the same."""
    other = project.write("other.toml", MTLS.replace('stack = "payments"', 'stack = "other"'))
    before = project.run("--file", other.name, "plan").out
    assert "\nother: 1 upload" in before
    assert project.run("plan", "-f", other.name).out == before


def test_detailed_exitcode_says_that_changes_are_pending(project: Project) -> None:
    """2 only when asked for."""
    assert project.run("plan", "--detailed-exitcode").code == 2
    assert project.run("plan").code == 0


def test_offline_reads_files_only(applied: Project) -> None:
    """Without the store nothing is certain about a stored id."""
    result = applied.run("plan", "--offline")
    assert result.code == 0
    assert "OFFLINE" in result.out
    assert "? whether its ID is the current one: BILLING of checkout (top level)" in result.out


def test_offline_calls_no_certificate_uploaded_and_shows_no_empty_sentence(project: Project) -> None:
    """A binding with a placeholder changes either way; whether there is an upload for it, only the store knows."""
    lines = project.run("plan", "--offline").out.splitlines()
    assert "  billing  upload unknown" in lines
    assert "  ? whether it is uploaded: billing" in lines
    assert "." not in lines


def test_offline_works_without_an_account(project: Project) -> None:
    """Neither account nor token are needed to check files; what is missing for the rest is said before any call."""
    project.write("mtls.toml", MTLS + '[store]\nkind = "cloudflare"\n')
    assert project.run("plan", "--offline").code == 0
    assert project.run("validate").code == 0
    for code in ("account-missing", "token-missing"):
        online = project.run("plan")
        assert online.code == 1
        assert code in online.err
        assert "plan --offline" in online.err
        project.environ["CLOUDFLARE_ACCOUNT_ID"] = "0" * 32


def test_at_looks_into_the_future(applied: Project) -> None:
    """What will be due, and what will be over; never applied."""
    result = applied.run("plan", "--at", "2099-01-01")
    assert "AS OF 2099-01-01" in result.out
    assert "expired" in result.out


def test_plan_out_saves_the_json_plan_whatever_is_printed(project: Project) -> None:
    """Text for the person, the file for the pipeline."""
    result = project.run("plan", "--out", "plan.json")
    assert "1 upload" in result.out
    assert '"format": "mtlsctl.plan/1"' in project.read("plan.json")


def test_out_writes_the_same_as_stdout(project: Project) -> None:
    """For validate and apply."""
    result = project.run("validate", "--format", "json", "--out", "report.json")
    assert project.read("report.json") == result.out


def test_validate_names_everything_that_is_wrong_with_certificate_key_and_file(project: Project) -> None:
    """Key of another certificate, a wrangler file without the environment."""
    project.environ["BILLING_KEY"] = issued_now(9).key_pem.decode()
    project.write("mtls.toml", MTLS + '[workers.checkout.env.stagin.bindings]\nBILLING = "billing"\n')
    project.write("wrangler.toml", WRANGLER + "[env.staging.vars]\nX = 1\n")
    result = project.run("validate")
    assert result.code == 1
    assert "error[unknown-environment]" in result.out
    assert "did you mean `staging`?" in result.out
    assert result.out.count("error[") == 2


def test_validate_says_what_it_could_not_check(project: Project) -> None:
    """No key at hand is no error, but it is said."""
    project.environ.clear()
    result = project.run("validate")
    assert result.code == 0
    assert "info[key-not-checked]" in result.out


def test_validate_reports_a_private_key_that_git_tracks(project: Project) -> None:
    """Whoever can read the repository has the key."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', '"certs/billing.key"'))
    project.write("certs/billing.key", issued_now(1).key_pem).chmod(0o600)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.invalid"]
    for command in (["init", "-q"], ["add", "certs/billing.key"]):
        subprocess.run([*git, *command], cwd=project.folder, check=True)
    result = project.run("validate")
    assert result.code == 1
    assert "error[key-in-git]" in result.out


def test_validate_reports_a_tracked_key_file_that_is_not_declared(project: Project) -> None:
    """The key is declared as a variable, and its file lies in the folder of the certificate; the content decides."""
    project.write("certs/billing.key", issued_now(1).key_pem).chmod(0o600)
    project.write("certs/ca.pem", issued_now(1).certificate_pem)
    project.write("certs/local.key", issued_now(1).key_pem).chmod(0o600)
    for command in (["init", "-q"], ["add", "certs/billing.key", "certs/ca.pem"]):
        subprocess.run(["git", *command], cwd=project.folder, check=True)
    result = project.run("validate", "--format", "json")
    found = [one["path"] for one in result.json["diagnostics"] if one["code"] == "key-in-git"]
    assert (result.code, found) == (1, ["certs/billing.key"])


def test_a_key_file_that_others_can_read_is_a_warning(project: Project) -> None:
    """Said by apply, which opens it; the run goes on."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', '"certs/billing.key"'))
    project.write("certs/billing.key", issued_now(1).key_pem).chmod(0o644)
    result = project.run("apply", "--yes")
    assert result.code == 0
    assert "warning[key-readable]" in result.out


def test_colour_is_used_only_where_asked_for(project: Project) -> None:
    """No terminal, no colour; `--color always` has it, and the signs are there either way."""
    assert "\x1b[" not in project.run("plan").out
    coloured = project.run("plan", "--color", "always").out
    assert "    \x1b[32m+ upload\x1b[0m " in coloured


def test_names_of_others_never_act_on_the_terminal(project: Project) -> None:
    """An id in a wrangler file with an escape sequence and a direction mark is shown as text."""
    project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", "\\u001b[2Jx\\u202ey\\n::error::z"))
    result = project.run("plan")
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out
    assert r"\x1b[2Jx\u202ey\x0a::error::z" in result.out
    assert not any(line.lstrip().startswith("::") for line in result.out.splitlines())


def test_every_command_has_help_with_an_example(tmp_path: Path) -> None:
    """`--help` of each says how it is used."""
    listed = run(tmp_path, {}, "--help").out.partition("Global options:")[0]
    commands = re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)
    assert commands == list(COMMANDS)
    for command in commands:
        result = run(tmp_path, {}, command, "--help")
        assert result.code == 0
        assert f"Example: mtlsctl {command}" in result.out


def test_version_is_told_before_and_after_a_command(tmp_path: Path) -> None:
    """And alone."""
    assert run(tmp_path, {}, "--version").out == f"mtlsctl {__version__}\n"
    assert run(tmp_path, {}, "plan", "--version").out == f"mtlsctl {__version__}\n"


def test_an_unexpected_exception_becomes_a_report_without_values(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, and no message of the exception, which might quote a key."""

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the canary " + issued_now(1).key_pem.decode())

    monkeypatch.setattr("reconciler.cli.session.open_project", explode)
    result = project.run("plan")
    assert result.code == 1
    assert "error[bug]" in result.err
    assert "canary" not in result.err
    path = re.search(r"\S+mtlsctl-bug-\S+\.txt", result.err)
    assert path is not None
    report = Path(path.group())
    assert "RuntimeError" in report.read_text()
    assert "canary" not in report.read_text()
    assert report.stat().st_mode & 0o077 == 0
    report.unlink()


def _at_terminal(project: Project, answer: bytes) -> tuple[int, bytes]:
    """`mtlsctl apply` as a process at a terminal that answers its question."""
    master, slave = pty.openpty()
    environment = {"PATH": os.environ["PATH"]} | project.environ
    command = [sys.executable, "-m", "reconciler", "apply"]
    process = subprocess.Popen(
        command, cwd=project.folder, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    seen = b""
    try:
        while b"[y/N]" not in seen:
            seen += os.read(master, 4096)
        os.write(master, answer)
        while chunk := os.read(master, 4096):
            seen += chunk
    except OSError:
        pass  # the process has closed its end
    finally:
        os.close(master)
    return process.wait(), seen


def test_at_a_terminal_apply_asks_and_yes_goes_on(project: Project) -> None:
    """The plan is shown, the question asked; what went well is counted."""
    code, seen = _at_terminal(project, b"y\n")
    assert code == 0
    assert b"Done: 1 certificate uploaded, 1 binding written." in seen


def test_at_a_terminal_no_changes_nothing_and_ends_with_1(project: Project) -> None:
    """An approval declined."""
    code, seen = _at_terminal(project, b"n\n")
    assert code == 1
    assert b"declined" in seen
    assert project.read("wrangler.toml") == WRANGLER


def test_end_of_input_at_the_question_is_a_no(project: Project) -> None:
    """Ctrl-D declines; it is no interrupt."""
    code, seen = _at_terminal(project, b"\x04")
    assert code == 1
    assert b"declined" in seen


def _shell(project: Project, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in the project, where `mtlsctl` is this one."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    script = f'mtlsctl() {{ "{sys.executable}" -m reconciler "$@"; }}; {line}'
    return subprocess.run(
        ["sh", "-c", script],
        cwd=project.folder,
        env=environment | project.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("mtlsctl plan >&-", 0, ""),
        ("mtlsctl apply <&-", 64, "--yes"),
        ("mtlsctl plan 2>&-", 0, ""),
        ("mtlsctl plan >/dev/full", 1, "could not be written"),
        ("mkdir gone; cd gone; rmdir ../gone; mtlsctl plan", 64, "working directory"),
        ("mtlsctl apply --yes --verbose 2>/dev/full", 0, ""),
    ],
)
def test_odd_streams_and_folders_are_no_bugs(project: Project, line: str, code: int, said: str) -> None:
    """Closed, full or gone: a sentence and a code, never a bug report."""
    done = _shell(project, line)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "error[bug]" not in done.stderr


def test_a_stream_that_can_not_hold_a_sign_is_no_bug(project: Project) -> None:
    """An owner's snowman on an ASCII stream stops nothing."""
    owned = 'certificate = "certs/billing.pem"\nowner = "\u2603"'
    project.write("mtls.toml", MTLS.replace('certificate = "certs/billing.pem"', owned))
    done = _shell(project, "mtlsctl status billing", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\n  owner " in done.stdout


def test_a_missing_certificate_file_is_shown_where_it_is_named(project: Project) -> None:
    """Not in the file that is not there."""
    (project.folder / "certs/billing.pem").unlink()
    assert "at   mtls.toml:5:15" in project.run("plan").out


def test_a_file_written_by_out_has_no_colours(project: Project) -> None:
    """They are for the terminal."""
    result = project.run("status", "--color", "always", "--out", "status.txt")
    assert "\x1b[" in result.out
    assert "\x1b" not in project.read("status.txt")


def test_without_a_command_the_help_is_shown(project: Project) -> None:
    """Not an error."""
    result = project.run()
    assert result.code == 0
    assert "Every day:" in result.out


@pytest.mark.parametrize(
    "out", ["mtls.toml", "wrangler.toml", "certs/billing.pem", "certs/new.key", ".mtlsctl/store.db", ".git/config"]
)
def test_out_never_overwrites_what_is_worked_with(project: Project, out: str) -> None:
    """A slip of the pen costs no key, no configuration and no store."""
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    for command in (["plan"], ["status"], ["validate"]):
        result = project.run(*command, "--out", out)
        assert result.code == 1
        assert "error[out-refused]" in result.err
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", [["plan"], ["status"], ["apply", "--yes"]], ids=" ".join)
def test_an_empty_out_is_wrong_use_before_anything_is_done(project: Project, command: list[str]) -> None:
    """As of a variable of a script that is not set."""
    before = project.read("wrangler.toml")
    result = project.run(*command, "--out", "")
    assert (result.code, "`--out` is empty" in result.err, project.read("wrangler.toml")) == (64, True, before)


@pytest.mark.parametrize(("command", "saves"), [(["apply"], True), (["retire", "billing", "--now"], False)])
def test_without_a_terminal_a_saved_plan_comes_before_yes(project: Project, command: list[str], saves: bool) -> None:
    """It is what a pipeline should use; a deletion by `retire` can't be saved."""
    project.run("apply", "--yes")
    project.certificate("billing", 4)
    if not saves:
        project.run("apply", "--yes")
    result = project.run(*command)
    assert (result.code, "again with `--yes`" in result.err) == (64, True)
    assert ("`mtlsctl plan --out`" in result.err) == saves


@pytest.mark.parametrize(
    "place", ["plan.json", "folder/plan.json", "tracked.json", "folder/../plan.json", "repository/new.json"]
)
def test_out_writes_to_no_place_that_a_pull_request_has_prepared(project: Project, tmp_path: Path, place: str) -> None:
    """A link, a folder that is one, and a file that git tracks; whatever is there stays."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    target = outside / "plan.json"
    target.write_text("mine")
    (project.folder / "plan.json").symlink_to(target)
    (project.folder / "folder").symlink_to(outside)
    project.write("tracked.json", "mine")
    git(project.folder, "init", "--quiet")
    git(project.folder, "add", "tracked.json")
    git(outside, "init", "--quiet", "repository")
    (project.folder / "repository").symlink_to(outside / "repository")
    for command in ("plan", "status", "validate"):
        result = project.run(command, "--out", place)
        assert (result.code, "error[out-refused]" in result.err) == (1, True)
    assert (target.read_text(), project.read("tracked.json")) == ("mine", "mine")


def test_out_replaces_its_own_file_in_a_checkout(project: Project) -> None:
    """A file that git does not track, written by an earlier run."""
    git(project.folder, "init", "--quiet")
    assert [project.run("plan", "--out", "plan.json").code for _ in range(2)] == [0, 0]


def test_out_replaces_no_file_that_git_cannot_tell_about(project: Project) -> None:
    """As where it is missing; a new file can't be one that it tracks."""
    (project.folder / ".git").mkdir()
    assert project.run("plan", "--out", "plan.json").code == 0
    refused = project.run("plan", "--out", "plan.json")
    assert (refused.code, "git could not be asked" in refused.err) == (1, True)


def test_a_full_disk_is_no_bug_where_output_is_not_buffered(project: Project) -> None:
    """As in most container images."""
    done = _shell(project, "mtlsctl plan >/dev/full", PYTHONUNBUFFERED="1")
    assert done.returncode == 1
    assert "error[output]" in done.stderr
