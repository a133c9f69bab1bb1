"""What runs do with a certificate that renews itself: `apply` opens the key that its file selects, from each sink."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.keys.sinks import open_sink
from reconciler.model import CertificateName
from reconciler.model.key_places import FileSink, KeyReference, KeySlots, Slot
from reconciler.model.renewal import KeySink
from reconciler.runs.plan import PlanRequest, plan
from reconciler.runs.project import project_at
from reconciler.x509.certificates import key_digest
from reconciler.x509.files import parse_file
from tests.cli.test_canaries import windows
from tests.keys.test_sinks import with_sops
from tests.support.cli import MTLS, Project, make_project
from tests.support.worlds import issued

WATCHED = """\
#!/bin/sh
# keeps keys, and notes what others could see of each start
{ printf '%s\\n' "$@"; env; ls -R /tmp/mtlsctl* 2>/dev/null; } >> "$SEEN"
umask 077
case $1 in
    write) mkdir -p "$KEPT/$2" && cat > "$KEPT/.new" && mv "$KEPT/.new" "$KEPT/$2/$3" ;;
    read) cat "$KEPT/$2/$3" ;;
    list) ! test -d "$KEPT/$2" || ls "$KEPT/$2" ;;
    remove) rm "$KEPT/$2/$3" ;;
esac
"""

COMMAND = """{ command = {
  write = ["./keep.sh", "write", "{certificate}", "{slot}"],
  read = ["./keep.sh", "read", "{certificate}", "{slot}"],
  list = ["./keep.sh", "list", "{certificate}"],
  remove = ["./keep.sh", "remove", "{certificate}", "{slot}"],
} }"""
SINKS = {"file": '{ file = "keys" }', "sops": '{ sops = "secrets" }', "command": COMMAND}

READING = (
    ["plan"],
    ["plan", "--offline"],
    ["plan", "--format", "json", "--out", "plan.json"],
    ["show", "plan.json"],
    ["explain", "billing"],
    ["validate"],
    ["status"],
    ["drift"],
    ["doctor"],
    ["init", "--update"],
)


def renewing(folder: Path, kind: str, key: str = "") -> Project:
    """A project whose certificate renews itself into this sink. `key`: the line of `private_key`."""
    table = f'[certificates.billing.renew]\nissuer = "internal"\nsink = {SINKS[kind]}\n\n'
    text = MTLS.replace('private_key = { env = "BILLING_KEY" }\n', key).replace(
        "[workers.checkout]", f"{table}[workers.checkout]"
    )
    project = make_project(folder, f'{text}\n[issuers.internal]\nkind = "command"\ncommand = ["./sign.sh"]\n')
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    project.write(".gitignore", "/keys/\n/.mtlsctl/\n")
    project.write("keep.sh", WATCHED).chmod(0o755)
    elsewhere = folder.parent / f"{folder.name}-kept"
    elsewhere.mkdir()
    project.environ = {"KEPT": str(elsewhere), "SEEN": str(folder / "seen"), "PATH": os.environ["PATH"]}
    if kind == "sops":
        project.environ |= with_sops(folder)
    return project


def sink_of(project: Project) -> KeySink:
    """The sink of the certificate, as a run that may start commands opens it."""
    opened = project_at(project.folder / "mtls.toml", environ=project.environ)
    opened.allow_commands = True
    renew = opened.declaration()[0].certificates[CertificateName("billing")].renew
    assert renew is not None
    return open_sink(renew.sink, "payments_billing", opened.key_context)


def slot_of(number: int, content: int) -> Slot:
    """The slot of the key of a test certificate."""
    key = key_digest(parse_file(issued(content).certificate_pem, "x.pem").leaf)
    assert key is not None
    return Slot(number, key)


def put(project: Project, number: int, content: int) -> None:
    """Put the key of a test certificate into a slot."""
    sink_of(project).write(slot_of(number, content), issued(content).key_pem)


@pytest.mark.parametrize("kind", SINKS)
def test_apply_uploads_the_key_that_the_certificate_file_selects(tmp_path: Path, kind: str) -> None:
    """Not the newest one, which is of a renewal that was not finished; and after the file is replaced, that one."""
    project = renewing(tmp_path / "project", kind)
    put(project, 1, 1)
    put(project, 2, 2)
    assert project.run("apply", "--yes", "--allow-commands").code == 0
    project.write("certs/billing.pem", issued(2).certificate_pem)
    result = project.run("apply", "--yes", "--allow-commands", "--format", "json")
    assert result.code == 0, result.out + result.err
    assert [step["change"]["action"] for step in result.json["done"]] == ["upload", "rebind"]


@pytest.mark.parametrize("kind", SINKS)
def test_no_key_of_a_sink_is_in_what_is_written_or_seen(tmp_path: Path, kind: str) -> None:
    """Nor in the arguments or the environment of a program, while it runs."""
    project = renewing(tmp_path / "project", kind)
    put(project, 1, 1)
    commands = [*READING, ["apply", "--yes", "--allow-commands", "--verbose"], ["verify"], ["history"]]
    results = [project.run(*words, "--log-format", "json") for words in commands]
    assert [(words[0], one.code) for words, one in zip(commands, results, strict=True) if one.code not in (0, 2)] == []
    texts = [one.out + one.err for one in results]
    own = {tmp_path / "project/keys/payments_billing" / slot_of(1, 1).text, tmp_path / "project/.mtlsctl/store.db"}
    texts += [path.read_text("latin-1") for path in project.folder.rglob("*") if path.is_file() and path not in own]
    for text in texts:
        flat = text.replace("\\n", "").replace("\n", "")
        assert not any(window in flat for window in windows(issued(1)))
    assert (kind == "command") == (tmp_path / "project/seen").exists()


@pytest.mark.parametrize("kind", ["sops", "command"])
def test_what_only_reads_starts_nothing_of_a_sink(tmp_path: Path, kind: str) -> None:
    """Neither `sops`, whose file says which service it asks, nor a command; `apply` only if it may."""
    project = renewing(tmp_path / "project", kind)
    put(project, 1, 1)
    started = project.write("bin/sops", '#!/bin/sh\ntouch "$STARTED"\nexit 1\n')
    started.chmod(0o755)
    project.write("keep.sh", started.read_bytes()).chmod(0o755)
    mark = tmp_path / "started"
    project.environ |= {"PATH": f"{started.parent}:{os.defpath}", "STARTED": str(mark)}
    for words in READING:
        assert project.run(*words).code in (0, 2), words
    assert not mark.exists()
    failed = project.run("apply", "--yes")
    assert (failed.code, mark.exists()) == (1, kind == "sops")
    assert "key-unavailable" in failed.out


@pytest.mark.parametrize("kind", SINKS)
def test_a_certificate_whose_key_is_in_no_slot_says_how_to_get_one(tmp_path: Path, kind: str) -> None:
    """Before anything of it is changed."""
    project = renewing(tmp_path / "project", kind)
    put(project, 1, 2)
    before = project.read("wrangler.toml")
    result = project.run("apply", "--yes", "--allow-commands")
    assert (result.code, project.read("wrangler.toml")) == (1, before)
    told = " ".join(result.out.split())
    assert "has no key that belongs to the certificate file of 'billing'" in told
    assert "run `mtlsctl renew billing`" in told
    assert "at mtls.toml:" in told


def test_before_its_first_renewal_the_declared_key_counts(tmp_path: Path) -> None:
    """And its variable is known before the question."""
    project = renewing(tmp_path / "project", "file", 'private_key = { env = "BILLING_KEY" }\n')
    assert key_needed(project).variables == ("BILLING_KEY",)
    project.environ["BILLING_KEY"] = issued(1).key_pem.decode()
    assert project.run("apply", "--yes").code == 0


@pytest.mark.parametrize("kind", SINKS)
def test_a_plan_knows_whether_a_sink_needs_commands(tmp_path: Path, kind: str) -> None:
    """So that `apply` can warn before the question, as for a key that a command prints."""
    project = renewing(tmp_path / "project", kind)
    assert key_needed(project).needs_command == (kind == "command")
    if kind == "command":
        told = " ".join(project.run("apply", "--yes").out.split())
        assert "to allow them, add `--allow-commands`" in told


def key_needed(project: Project) -> KeyReference:
    """Where the key is that a plan needs."""
    (key,) = plan(project_at(project.folder / "mtls.toml", environ=project.environ), PlanRequest()).plan.keys
    return key.source


def test_a_key_in_a_slot_of_another_certificate_is_not_uploaded(tmp_path: Path) -> None:
    """A slot whose name lies about its key is found out before anything changes."""
    project = renewing(tmp_path / "project", "file")
    sink_of(project).write(slot_of(1, 1), issued(2).key_pem)
    result = project.run("apply", "--yes")
    assert result.code == 1
    assert "error[key-mismatch]" in result.out


def test_the_keys_of_two_stacks_in_one_sink_are_apart_and_found_again_after_a_rename(tmp_path: Path) -> None:
    """Certificates of the same name would else share keys, and each renewal remove those of the other."""
    project = renewing(tmp_path / "project", "file")
    put(project, 1, 1)
    text = (project.folder / "mtls.toml").read_text()
    project.write("mtls.toml", text.replace('stack = "payments"', 'stack = "other"'))
    result = project.run("apply", "--yes")
    assert "has no key that belongs to the certificate file" in " ".join(result.out.split())
    project.write("mtls.toml", text.replace('stack = "payments"', 'stack = "other"\nformer_stacks = ["payments"]'))
    assert project.run("apply", "--yes").code == 0


def test_keys_are_kept_by_the_account_and_found_where_they_were_before_it_was_declared() -> None:
    """A stack of the same name in another account has others. A new key is kept under the first name."""
    slots = KeySlots("billing", FileSink("keys"), stacks=("payments", "old"))
    assert slots.owners == ("payments_billing", "old_billing")
    assert replace(slots, account="0123abcd" + "0" * 24).owners == (
        *("0123abcd_payments_billing", "payments_billing"),
        *("0123abcd_old_billing", "old_billing"),
    )


def test_validate_finds_the_key_in_files_and_says_what_it_did_not_read(tmp_path: Path) -> None:
    """A pull request can't make it start sops."""
    for kind in ("file", "sops"):
        project = renewing(tmp_path / kind, kind)
        put(project, 1, 1)
        result = project.run("validate")
        assert (result.code, "info[key-not-checked]" in result.out) == (0, kind == "sops")
    assert "this command reads no key of `sops secrets`" in " ".join(result.out.split())


def test_validate_takes_a_slot_that_is_not_here_as_one_of_another_machine(tmp_path: Path) -> None:
    """The job of a pull request has no keys; a plan says where the key will be."""
    project = renewing(tmp_path / "project", "file")
    result = project.run("validate")
    assert (result.code, "normal on a pull request" in " ".join(result.out.split())) == (0, True)
    assert "needs file keys" in " ".join(project.run("plan", "--wide").out.split())


@pytest.mark.parametrize("kind", ["file", "sops"])
@pytest.mark.parametrize("command", ["validate", "doctor"])
def test_a_key_in_clear_in_a_slot_that_git_tracks_is_an_error(tmp_path: Path, kind: str, command: str) -> None:
    """Somebody added it by force, or decrypted it there."""
    project = renewing(tmp_path / "project", kind)
    put(project, 1, 1)
    subprocess.run(["git", "-C", str(project.folder), "add", "--force", "."], check=True)
    tracked = f"{'keys' if kind == 'file' else 'secrets'}/payments_billing/{slot_of(1, 1).text}"
    result = project.run(command)
    assert ("key-in-git" in result.out) == (kind == "file")
    project.write(tracked, issued(1).key_pem)
    result = project.run(command, "--wide")
    assert "error[key-in-git]" in result.out
    assert tracked in result.out
