"""The journal: its content, its permissions, and its state after a run is killed or a disk is full."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.apply import World, apply_plan
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError
from reconciler.model import (
    Action,
    BindingAddress,
    BindingChange,
    BindingName,
    CertificateName,
    Reason,
    Retire,
    StoreSettings,
    Upload,
    WorkerLabel,
)
from reconciler.plan.outcome import Step, StepStatus
from reconciler.private.folder import open_file
from reconciler.records.journal import Actor, RunFinished, RunStarted, StepFinished, StepStarted
from reconciler.runs.journal import Journal, read_journal
from reconciler.system import journal as system_journal
from reconciler.system.journal import JournalFile
from tests.support.memory import MemoryClock, MemoryFiles, MemoryKeys, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import CONFIG, actual, desired, entry, file, issued, plan_of, uid, worker

PLAN_DIGEST = "sha256:" + "ab" * 32
UPLOAD = Upload(CertificateName("billing"), "12" * 32, "payments.billing.121212121212", (Reason.MISSING,))
REBIND = BindingChange(
    Action.REBIND,
    BindingAddress(WorkerLabel("checkout"), "workers/checkout/wrangler.toml", "staging", BindingName("BILLING")),
    (Reason.CONTENT_CHANGED,),
    certificate=CertificateName("billing"),
    digest="12" * 32,
    before=uid(1),
)
RETIRE = Retire(entry(1, 1), CertificateName("billing"), "34" * 32, (Reason.SUPERSEDED,))


def journal(folder: Path, *, max_bytes: int = 5_000_000, run: str = "0123456789ab") -> Journal:
    return Journal(JournalFile(folder, max_bytes=max_bytes), clock=MemoryClock(), new_run=lambda: run)


def begin(written: Journal, command: str = "apply") -> Journal:
    written.begin(command=command, stack="payments", plan_digest=PLAN_DIGEST, actor=Actor(user="anna", host="laptop"))
    return written


def file_of(folder: Path) -> Path:
    return folder / ".mtlsctl/journal.jsonl"


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file_of(folder).read_text().splitlines()]


# --- what is written -------------------------------------------------------------------------------------------------


def test_each_step_is_written_as_it_starts_and_as_it_ends(tmp_path: Path) -> None:
    """In order, with the identity of the change and its result."""
    written = begin(journal(tmp_path))
    problem = Diagnostic(Severity.ERROR, Code.FILE_CHANGED, "it changed")
    for step in (
        Step(UPLOAD, StepStatus.DONE, entry=uid(2)),
        Step(REBIND, StepStatus.FAILED, problem=problem),
        Step(RETIRE, StepStatus.DONE, entry=uid(1), note="it was already deleted"),
    ):
        written.started(step.change)
        written.finished(step)
    written.end(exit_code=5, interrupted=False)
    head = {"format": "mtlsctl.journal/1", "run": "0123456789ab", "time": "2026-11-23T12:00:00Z"}
    upload = {"action": "upload", "phase": "upload", "certificate": "billing", "content_digest": "12" * 32}
    rebind = {
        "action": "rebind",
        "phase": "bind",
        "certificate": "billing",
        "content_digest": "12" * 32,
        "worker": "checkout",
        "config": "workers/checkout/wrangler.toml",
        "environment": "staging",
        "binding": "BILLING",
        "before": uid(1),
    }
    retire = {
        "action": "retire",
        "phase": "retire",
        "certificate": "billing",
        "content_digest": "34" * 32,
        "before": uid(1),
        "serial": RETIRE.entry.serial,
    }
    run = {"command": "apply", "version": "0.1.0", "stack": "payments", "plan_digest": PLAN_DIGEST, "pid": os.getpid()}
    actor = {"actor": {"user": "anna", "host": "laptop"}}
    failed = {"code": "file-changed", "message": "it changed"}
    gone = "it was already deleted"
    assert lines(tmp_path) == [
        head | {"event": "run-started"} | run | actor,
        head | {"event": "step-started", "change": upload},
        head | {"event": "step-finished", "change": upload, "status": "done", "entry": uid(2)},
        head | {"event": "step-started", "change": rebind},
        head | {"event": "step-finished", "change": rebind, "status": "failed", "problem": failed},
        head | {"event": "step-started", "change": retire},
        head | {"event": "step-finished", "change": retire, "status": "done", "entry": uid(1), "note": gone},
        head | {"event": "run-finished", "exit_code": 5, "interrupted": False},
    ]


def test_what_begins_is_synced_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By then the file has the lines in full: of the run, of steps that begin together, and of the end."""
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(file_of(tmp_path).read_bytes()))
    written = begin(journal(tmp_path))
    written.started(UPLOAD)
    written.started(REBIND)
    assert [data.count(b"\n") for data in seen] == [1]
    written.settle()
    written.finished(Step(UPLOAD, StepStatus.DONE, entry=uid(2)))
    written.end(exit_code=0, interrupted=False)
    assert [data.count(b"\n") for data in seen] == [1, 3, 5]
    assert all(data.endswith(b"\n") for data in seen)


@pytest.mark.parametrize("key", [1, 2], ids=["its key", "the key of another certificate"])
def test_a_real_run_leaves_no_key_in_the_journal(tmp_path: Path, key: int) -> None:
    """Not 20 characters of it, whether the run succeeds or fails because of the key."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})])
    plan = plan_of(wanted, actual(files={"checkout": file({None: {"BILLING": "<CERTIFICATE_ID>"}})}))
    text = '[[mtls_certificates]]\nbinding = "BILLING"\ncertificate_id = "<CERTIFICATE_ID>"\n'
    written = begin(journal(tmp_path))
    world = World(
        store=open_in_memory(StoreSettings(), clock=MemoryClock()),
        files=MemoryFiles({CONFIG: text.encode()}),
        keys={"env": MemoryKeys({"KEY": issued(key).key_pem})},
        observer=written,
        still_safe=lambda _: frozenset(),
        deployer=NoDeployer,
        prover=NoProver(),
        now=lambda: NOW,
    )
    outcome = apply_plan(plan, wanted, world)
    written.end(exit_code=outcome.exit_code, interrupted=outcome.interrupted)
    ended = [event.status for event in read_journal(tmp_path).events if isinstance(event, StepFinished)]
    assert ended == ([StepStatus.DONE, StepStatus.DONE] if key == 1 else [StepStatus.FAILED])
    found = file_of(tmp_path).read_text()
    secret = "".join(issued(key).key_pem.decode().splitlines()[1:-1])
    assert not any(secret[at : at + 20] in found for at in range(len(secret) - 20))
    assert "PRIVATE" not in found


def test_it_is_for_this_user_and_not_for_git(tmp_path: Path) -> None:
    """Like everything in that folder."""
    begin(journal(tmp_path))
    assert stat.S_IMODE((tmp_path / ".mtlsctl").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    assert (tmp_path / ".mtlsctl/.gitignore").read_text() == "*\n"


def test_hostile_names_are_escaped_in_the_file(tmp_path: Path) -> None:
    """Users may `cat` the file; and an event is always one line."""
    begin(journal(tmp_path), "a\x1b[2J\n::error::\u202e\x7fb")
    data = file_of(tmp_path).read_bytes()
    assert data.isascii()
    assert data.decode().removesuffix("\n").isprintable()
    (event,) = read_journal(tmp_path).events
    assert isinstance(event, RunStarted)
    assert event.command == "a\x1b[2J\n::error::\u202e\x7fb"


# --- killed runs, full disks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 40, 0.5], ids=["its newline", "some of its end", "half of it"])
def test_a_torn_line_is_ended_and_the_next_run_is_whole(tmp_path: Path, cut: float) -> None:
    """Only the line that the killed run was writing is lost, and only if it was cut off."""
    begin(journal(tmp_path, run="first")).started(UPLOAD)
    data = file_of(tmp_path).read_bytes()
    last = len(data.splitlines(keepends=True)[-1])
    file_of(tmp_path).write_bytes(data[: -int(cut * last if cut < 1 else cut)])
    before = read_journal(tmp_path)
    begin(journal(tmp_path, run="second"))
    after = read_journal(tmp_path)
    assert [event.run for event in after.events] == ["first"] * (2 if cut == 1 else 1) + ["second"]
    assert (after.torn, after.unknown) == (before.torn, 0) == (0 if cut == 1 else 1, 0)


def test_nothing_is_done_when_the_run_cannot_be_written_down(tmp_path: Path) -> None:
    """If the folder can't be created, the run stops before its first change and says why."""
    with pytest.raises(FileError) as caught:
        begin(journal(tmp_path / "missing"))
    assert str(caught.value.where) == ".mtlsctl/journal.jsonl"
    assert caught.value.hint


def test_a_full_disk_stops_the_next_step_and_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is not made if its start can't be written; one that was made is reported, with a warning."""
    written = begin(journal(tmp_path))
    written.started(UPLOAD)
    with monkeypatch.context() as full:
        full.setattr(os, "write", _full_disk(os.write, room=30))
        written.finished(Step(UPLOAD, StepStatus.DONE, entry=uid(2)))
        with pytest.raises(FileError, match="No space left") as caught:
            written.started(REBIND)
    assert caught.value.hint == "free some disk space, then run again"
    written.end(exit_code=5, interrupted=False)
    (warning,) = written.findings
    assert (warning.severity, warning.code) == (Severity.WARNING, "journal-incomplete")
    read = read_journal(tmp_path)
    assert [type(event) for event in read.events] == [RunStarted, StepStarted, RunFinished]
    assert read.torn == 1


def _full_disk(write: Callable[[int, bytes], int], *, room: int) -> Callable[[int, bytes], int]:
    """A disk with room for a few more bytes, which accepts a part before it reports that it is full."""
    left = room

    def full(descriptor: int, data: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "full")
        done = write(descriptor, data[:left])
        left -= done
        return done

    return full


@pytest.mark.parametrize("name", [".mtlsctl", ".mtlsctl/journal.jsonl"])
def test_links_are_not_followed(tmp_path: Path, name: str) -> None:
    """A checkout may contain a link to anywhere: nothing is read or written there."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    (elsewhere / ".mtlsctl").mkdir(parents=True)
    file_of(elsewhere).write_text("theirs")
    if name != ".mtlsctl":
        (root / ".mtlsctl").mkdir()
    (root / name).symlink_to(elsewhere / name)
    for use in (lambda: begin(journal(root)), lambda: read_journal(root)):
        with pytest.raises(FileError, match="link"):
            use()
    assert file_of(elsewhere).read_text() == "theirs"


def test_a_pipe_does_not_make_it_hang(tmp_path: Path) -> None:
    """Only a regular file can be a journal."""
    (tmp_path / ".mtlsctl").mkdir()
    os.mkfifo(file_of(tmp_path))
    for use in (lambda: begin(journal(tmp_path)), lambda: read_journal(tmp_path)):
        with pytest.raises(FileError, match="not the kind of file"):
            use()


def test_a_journal_that_is_removed_meanwhile_is_begun_again(tmp_path: Path) -> None:
    """As by `git clean` in another terminal: the lines after that are kept."""
    written = begin(journal(tmp_path))
    shutil.rmtree(tmp_path / ".mtlsctl")
    written.started(UPLOAD)
    written.settle()
    assert [type(event) for event in read_journal(tmp_path).events] == [StepStarted]


def test_the_journal_is_opened_once_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand uploads write two thousand lines."""
    opened: list[str] = []

    def count(folder: Path, name: str, flags: int) -> int:
        opened.append(name)
        return open_file(folder, name, flags)

    written = begin(journal(tmp_path))
    monkeypatch.setattr(system_journal, "open_file", count)
    for _ in range(3):
        written.started(UPLOAD)
        written.settle()
        written.finished(Step(UPLOAD, StepStatus.DONE, entry=uid(2)))
    written.end(exit_code=0, interrupted=False)
    assert opened == []
    assert len(lines(tmp_path)) == 8


# --- how much is kept ------------------------------------------------------------------------------------------------


def test_a_large_journal_becomes_the_older_one(tmp_path: Path) -> None:
    """When a run begins, never during one; one older journal is kept, and read first."""
    for run in ("one", "two", "three"):
        written = begin(journal(tmp_path, max_bytes=10, run=run))
        written.started(UPLOAD)
    assert sorted(place.name for place in (tmp_path / ".mtlsctl").iterdir()) == [
        ".gitignore",
        "journal.1.jsonl",
        "journal.jsonl",
    ]
    assert [event.run for event in read_journal(tmp_path).events] == ["two", "two", "three", "three"]


def test_a_small_journal_stays(tmp_path: Path) -> None:
    """All its runs in one file."""
    for run in ("one", "two"):
        begin(journal(tmp_path, run=run))
    assert [event.run for event in read_journal(tmp_path).events] == ["one", "two"]
    assert not file_of(tmp_path).with_name("journal.1.jsonl").exists()


def test_a_journal_that_moves_while_it_is_read_is_read_once(tmp_path: Path) -> None:
    """Both names may lead to the same file for a reader at the moment of the rename."""
    begin(journal(tmp_path))
    os.link(file_of(tmp_path), file_of(tmp_path).with_name("journal.1.jsonl"))
    assert len(read_journal(tmp_path).events) == 1


def test_of_a_huge_file_only_the_end_is_read(tmp_path: Path) -> None:
    """From the start of a line; the file came with the checkout, because mtlsctl makes none of this size."""
    (tmp_path / ".mtlsctl").mkdir()
    with file_of(tmp_path).open("wb") as huge:
        huge.truncate(1 << 33)
    begin(journal(tmp_path, max_bytes=1 << 34))
    read = read_journal(tmp_path)
    assert len(read.events) == 1


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """Before the first run there is no history."""
    assert read_journal(tmp_path).events == ()
    assert list(tmp_path.iterdir()) == []
