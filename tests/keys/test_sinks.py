"""What every sink of keys keeps to, with the real `sops`, real files and real programs; and what each adds to it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.findings.errors import KeySourceError
from reconciler.keys.command_sink import ProgramSlots
from reconciler.keys.file_sinks import FileSlots, SopsSlots
from reconciler.keys.sinks import open_sink
from reconciler.model.key_places import CommandSink, FileSink, SinkOptions, Slot, SopsSink, VaultSink
from reconciler.model.keys import KeyContext
from reconciler.model.renewal import KeySink
from reconciler.runs.project import project_at
from tests.support import vault
from tests.support.paths import REPOSITORY
from tests.support.renewing import Gate, MemorySink
from tests.support.sinks import MemoryKeyFolders
from tests.support.tools import find_age, find_tool
from tests.support.worlds import issued

KEYS = [issued(number).key_pem for number in range(3)]
SLOTS = [Slot(number + 1, f"{number:064x}") for number in range(3)]

Open = Callable[[str], KeySink]
"""The sink with the keys of this certificate."""

PROGRAM = """\
umask 077
case $1 in
    write) mkdir -p "$KEPT/$2" && cat > "$KEPT/.new" && mv "$KEPT/.new" "$KEPT/$2/$3" ;;
    read) cat "$KEPT/$2/$3" ;;
    list) ! test -d "$KEPT/$2" || ls "$KEPT/$2" ;;
    remove) rm "$KEPT/$2/$3" ;;
esac
"""


def by_program(script: str) -> CommandSink:
    """The sink of a shell script that gets the verb, the certificate and the slot."""

    def words(verb: str) -> tuple[str, ...]:
        return ("sh", "-c", script, "sh", verb, "{certificate}", *([] if verb == "list" else ["{slot}"]))

    return CommandSink(words("write"), words("read"), words("list"), words("remove"))


def make_checkout(folder: Path) -> Path:
    """A repository with an mtls.toml; git ignores `keys`."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / "mtls.toml").write_text('version = 1\nstack = "payments"\n')
    (folder / ".gitignore").write_text("/keys/\n")
    return folder


def with_sops(checkout: Path, folder: str = "secrets/") -> dict[str, str]:
    """A creation rule for this folder, and the environment with the age key that decrypts."""
    made = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True)
    rule = {"path_regex": f"^{folder}", "age": made.stderr.split(":")[1].strip()}
    (checkout / ".sops.yaml").write_text(json.dumps({"creation_rules": [rule]}))
    return {
        "PATH": os.pathsep.join((str(find_tool("sops").parent), str(find_age()), os.defpath)),
        "SOPS_AGE_KEY": made.stdout,
    }


def context(checkout: Path, environ: Mapping[str, str], *, allow_commands: bool = True) -> KeyContext:
    """The inputs of sinks in this checkout, as a run has them."""
    project = project_at(checkout / "mtls.toml", environ=environ)
    project.allow_commands = allow_commands
    return project.key_context


@dataclass(frozen=True)
class Direct:
    """Programs without what a run does around them, which takes longer than they do."""

    folder: Path
    environ: Mapping[str, str]

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        done = subprocess.run(
            command, cwd=self.folder, env=dict(self.environ), input=stdin or b"", capture_output=True, check=False
        )
        if done.returncode or len(done.stdout) > limit:
            raise KeySourceError(f"{command[0]} failed", hint="look")
        return done.stdout.removesuffix(b"\n")

    def has(self, program: str) -> bool:
        return True


def quick(checkout: Path, environ: Mapping[str, str]) -> KeyContext:
    """The inputs of sinks whose programs are started at once."""
    return replace(context(checkout, environ), programs=Direct(checkout, environ))


@pytest.fixture(params=["memory", "file", "file in the tree", "sops", "vault", "command"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Each sink, empty."""
    if request.param == "vault":
        policy = {"secret/data/mtls/*": ("create", "read"), "secret/metadata/mtls/*": ("list", "delete")}
        with vault.Vault(tokens={vault.TOKEN: policy}).running() as url:
            yield opened_by(request.param, tmp_path, {"VAULT_ADDR": url, "VAULT_TOKEN": vault.TOKEN})
        return
    yield opened_by(request.param, tmp_path, {})


def opened_by(kind: str, tmp_path: Path, environ: Mapping[str, str]) -> Open:
    """The sinks of a kind, in this folder."""
    checkout, elsewhere = make_checkout(tmp_path / "checkout"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "memory":
        sinks = defaultdict[str, MemorySink](lambda: MemorySink(Gate()))
        return sinks.__getitem__
    environ = {"MTLSCTL_KEY_DIRS": str(elsewhere), "KEPT": str(elsewhere), "PATH": os.environ["PATH"], **environ}
    if kind == "sops":
        environ |= with_sops(checkout)
    options: Mapping[str, SinkOptions] = {
        "file": FileSink(str(elsewhere / "keys")),
        "file in the tree": FileSink("keys"),
        "sops": SopsSink("secrets/mtls"),
        "vault": VaultSink("mtls"),
        "command": by_program(PROGRAM),
    }
    return lambda certificate: open_sink(options[kind], certificate, quick(checkout, environ))


def test_a_key_is_where_it_was_put(opening: Open) -> None:
    """Also for the sink that a later run opens; until it is removed."""
    sink = opening("billing")
    assert sink.slots() == frozenset()
    for slot, key in zip(SLOTS, KEYS, strict=True):
        sink.write(slot, key)
    later = opening("billing")
    assert later.slots() == frozenset(SLOTS)
    assert [later.read(slot).strip() for slot in SLOTS] == [key.strip() for key in KEYS]
    later.remove(SLOTS[0])
    assert sink.slots() == frozenset(SLOTS[1:])
    with pytest.raises(KeySourceError):
        sink.read(SLOTS[0])


def test_a_slot_is_written_once(opening: Open) -> None:
    """The first key stays; the error shows neither."""
    sink = opening("billing")
    sink.write(SLOTS[0], KEYS[0])
    with pytest.raises(KeySourceError) as caught:
        sink.write(SLOTS[0], KEYS[1])
    assert sink.read(SLOTS[0]).strip() == KEYS[0].strip()
    assert "PRIVATE" not in str(caught.value) + str(caught.value.hint)


def test_a_slot_is_removed_twice_without_an_error(opening: Open) -> None:
    """A killed run is repeated."""
    sink = opening("billing")
    sink.write(SLOTS[0], KEYS[0])
    sink.remove(SLOTS[0])
    sink.remove(SLOTS[0])
    assert sink.slots() == frozenset()


def test_certificates_that_share_a_sink_never_see_each_others_slots(opening: Open) -> None:
    """Not even where one name begins with the other, and the slot is the same."""
    first, second = opening("billing"), opening("billing-2")
    first.write(SLOTS[0], KEYS[0])
    assert second.slots() == frozenset()
    second.write(SLOTS[0], KEYS[1])
    second.write(SLOTS[1], KEYS[1])
    second.remove(SLOTS[0])
    assert (first.slots(), first.read(SLOTS[0]).strip()) == (frozenset(SLOTS[:1]), KEYS[0].strip())


@pytest.mark.parametrize(
    "text",
    ["0001", f"00001-{'0' * 64}", f"1-{'0' * 64}", f"0001-{'G' * 64}", f"0001-{'0' * 64}.pem", f"0001-{'0' * 64}\n"],
)
def test_only_the_one_name_of_a_slot_is_a_slot(text: str) -> None:
    """Two names of one slot would be two keys."""
    assert Slot.parse(text) is None


# --- files ----------------------------------------------------------------------------------------------------------


def file_sink(tmp_path: Path, folder: str = "keys", **environ: str) -> KeySink:
    """A sink in this folder, of a checkout that ignores `keys`."""
    checkout = tmp_path if (tmp_path / ".git").exists() else make_checkout(tmp_path)
    return open_sink(FileSink(folder), "billing", context(checkout, {"PATH": os.environ["PATH"], **environ}))


def test_a_key_in_clear_is_for_this_user_alone(tmp_path: Path) -> None:
    """Folder and file, whatever the umask is."""
    before = os.umask(0)
    try:
        file_sink(tmp_path).write(SLOTS[0], KEYS[0])
    finally:
        os.umask(before)
    file = tmp_path / "keys/billing" / SLOTS[0].text
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, *list(file.parents)[:2])] == [0o600, 0o700, 0o700]


@pytest.mark.parametrize("ignored", ["", "*.pem", f"/open/billing/{SLOTS[0].text}", "/open/\n!/open/"])
def test_a_key_in_clear_is_not_written_where_git_would_track_it(tmp_path: Path, ignored: str) -> None:
    """Nor where git would track its temporary file; nothing is made there then."""
    checkout = make_checkout(tmp_path)
    (checkout / ".gitignore").write_text(ignored)
    with pytest.raises(KeySourceError, match="git does not ignore 'open'"):
        file_sink(tmp_path, "open").write(SLOTS[0], KEYS[0])
    assert not (checkout / "open").exists()


def test_a_folder_outside_that_is_in_another_repository_is_one_of_git_too(tmp_path: Path) -> None:
    """Such as a home folder with dotfiles."""
    other = tmp_path / "other"
    subprocess.run(["git", "init", "--quiet", str(other)], check=True)
    (other / "keys").mkdir()
    checkout = make_checkout(tmp_path / "checkout")
    sink = file_sink(checkout, str(other / "keys"), MTLSCTL_KEY_DIRS=str(other / "keys"))
    with pytest.raises(KeySourceError, match="git does not ignore"):
        sink.write(SLOTS[0], KEYS[0])


def test_a_key_in_clear_is_not_written_where_git_can_not_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not knowing is no leave."""
    checkout = make_checkout(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KeySourceError, match="unknown whether git ignores 'keys'"):
        file_sink(checkout).write(SLOTS[0], KEYS[0])


@pytest.mark.parametrize("folder", ["../outside", "/nowhere/keys", ".git/keys", "link", "/proc/self/keys"])
def test_a_folder_where_no_key_may_be_is_refused(tmp_path: Path, folder: str) -> None:
    """For every verb, as for key files."""
    checkout = make_checkout(tmp_path / "checkout")
    (tmp_path / "outside").mkdir()
    (checkout / "link").symlink_to("../outside")
    sink = file_sink(checkout, folder)
    for call in (sink.slots, lambda: sink.read(SLOTS[0]), lambda: sink.write(SLOTS[0], KEYS[0])):
        with pytest.raises(KeySourceError):
            call()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("what", ["the folder of the certificate", "the slot"])
def test_links_below_the_folder_are_not_followed(tmp_path: Path, what: str) -> None:
    """Who can write into the folder can't make one certificate use another's key."""
    checkout = make_checkout(tmp_path)
    there = checkout / "keys/other" / SLOTS[0].text
    there.parent.mkdir(parents=True)
    there.write_bytes(KEYS[0])
    if what == "the slot":
        (checkout / "keys/billing").mkdir()
        (checkout / "keys/billing" / SLOTS[0].text).symlink_to(there)
    else:
        (checkout / "keys/billing").symlink_to("other")
        with pytest.raises(KeySourceError, match="not followed"):
            file_sink(checkout).slots()
        with pytest.raises(KeySourceError):
            file_sink(checkout).write(SLOTS[1], KEYS[1])
        with pytest.raises(KeySourceError):
            file_sink(checkout).remove(SLOTS[0])
    with pytest.raises(KeySourceError):
        file_sink(checkout).read(SLOTS[0])
    assert there.read_bytes() == KEYS[0]


def test_a_folder_that_is_not_mounted_is_no_empty_one(tmp_path: Path) -> None:
    """A new key for every certificate would be the outcome."""
    checkout = make_checkout(tmp_path / "checkout")
    place = tmp_path / "volume"
    sink = file_sink(checkout, str(place / "keys"), MTLSCTL_KEY_DIRS=str(place))
    for call in (sink.slots, lambda: sink.write(SLOTS[0], KEYS[0])):
        with pytest.raises(KeySourceError, match="is no folder"):
            call()
    place.mkdir()
    assert sink.slots() == frozenset()


def test_a_folder_that_can_not_be_listed_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root no mode keeps a list away, so the system is told to."""
    sink = file_sink(tmp_path)
    sink.write(SLOTS[0], KEYS[0])

    def refuse(place: int | Path) -> list[str]:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(KeySourceError, match="could not be read"):
        sink.slots()


def test_a_file_of_another_name_is_no_slot(tmp_path: Path) -> None:
    """Backups of editors, notes, and what has another name for a slot."""
    sink = file_sink(tmp_path)
    sink.write(SLOTS[0], KEYS[0])
    for name in ("README", f"{SLOTS[1].text}.bak", f"0{SLOTS[1].text}", ".DS_Store", "\udcff\n"):
        (tmp_path / "keys/billing" / name).write_text("x")
    assert sink.slots() == {SLOTS[0]}


KILLED = """
import os, pathlib, sys
from reconciler.keys.sinks import open_sink
from reconciler.model.key_places import FileSink, Slot, SopsSink
from reconciler.runs.project import project_at

def die(*_, **__):
    os.kill(os.getpid(), 9)

setattr(os, sys.argv[1], die)
context = project_at(pathlib.Path("mtls.toml").absolute(), environ=os.environ).key_context
sink = {"file": FileSink("keys"), "sops": SopsSink("secrets")}[sys.argv[2]]
open_sink(sink, "billing", context).write(Slot(1, "0" * 64), sys.stdin.buffer.read())
"""


@pytest.mark.parametrize("step", ["fsync", "link"])
@pytest.mark.parametrize("kind", ["file", "sops"])
def test_a_killed_write_leaves_no_slot_and_the_next_one_tidies_up(tmp_path: Path, kind: str, step: str) -> None:
    """A slot is there as a whole, or it is not; and no temporary file of a key stays for ever."""
    checkout = make_checkout(tmp_path)
    (checkout / "keys/billing").mkdir(parents=True)
    (checkout / "secrets/billing").mkdir(parents=True)
    environ = {**os.environ, **with_sops(checkout), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", KILLED, step, kind]
    killed = subprocess.run(command, cwd=checkout, env=environ, input=KEYS[0], check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = {"file": "keys", "sops": "secrets"}[kind]
    options = FileSink(folder) if kind == "file" else SopsSink(folder)
    sink = open_sink(options, "billing", quick(checkout, environ))
    assert len(list((checkout / folder / "billing").iterdir())) == 1
    assert sink.slots() == frozenset()
    sink.write(SLOTS[1], KEYS[1])
    assert [path.name for path in (checkout / folder / "billing").iterdir()] == [SLOTS[1].text]


# --- programs -------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """Programs that answer what a test says; what they were asked, and given."""

    answers: list[bytes] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    given: list[bytes | None] = field(default_factory=list)

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        assert limit > 0
        self.commands.append([*command])
        self.given.append(stdin)
        return self.answers[len(self.commands) - 1] if self.answers else b""

    def has(self, program: str) -> bool:
        return True


def test_names_are_put_into_the_arguments_and_the_key_into_standard_input() -> None:
    """Wherever they are in a word; nothing else of it changes, and no shell sees it."""
    asked = Asked([b"", b"done", SLOTS[0].text.encode(), KEYS[0]])
    put = ("put", "x/{certificate}/{slot}.pem", "$HOME `id` {other} {slot}")
    ProgramSlots(CommandSink(put, ("get", "{slot}"), ("ls", "{certificate}"), ("rm",)), "billing", asked).write(
        SLOTS[0], KEYS[0]
    )
    name = SLOTS[0].text
    assert asked.commands == [
        ["ls", "billing"],
        ["put", f"x/billing/{name}.pem", f"$HOME `id` {{other}} {name}"],
        ["ls", "billing"],
        ["get", name],
    ]
    assert asked.given == [None, KEYS[0], None, None]


@pytest.mark.parametrize(
    ("printed", "where"),
    [
        (f"{SLOTS[0].text}\nunexpected", "in line 2"),
        (f"{SLOTS[0].text}\n\n{SLOTS[1].text}", "in line 2"),
        (f"{SLOTS[0].text}\r\n{SLOTS[1].text}", "in line 1"),
        (f" {SLOTS[0].text}", "in line 1"),
        (f"{SLOTS[0].text}\n{SLOTS[0].text}", "a slot twice"),
        ("-----BEGIN PRIVATE KEY-----", "in line 1"),
        ("\x1b[2J\ufffd", "in line 1"),
    ],
)
def test_a_list_of_anything_but_slots_is_an_error(printed: str, where: str) -> None:
    """And nothing of it is shown."""
    sink = ProgramSlots(by_program(""), "billing", Asked([printed.encode()]))
    with pytest.raises(KeySourceError) as caught:
        sink.slots()
    assert where in str(caught.value)
    assert not any(line in f"{caught.value} {caught.value.hint}" for line in printed.split())


@pytest.mark.parametrize(
    "script",
    [
        PROGRAM.replace("cat >", "head -c 100 >"),
        PROGRAM.replace('&& mv "$KEPT/.new" "$KEPT/$2/$3"', ""),
        PROGRAM.replace('read) cat "$KEPT/$2/$3"', "read) true"),
        PROGRAM.replace("write) ", "write) false && "),
        PROGRAM.replace("list) ", 'list) test $1 = "" && '),
    ],
    ids=["keeps half", "keeps nothing", "reads nothing", "fails", "can't list"],
)
def test_a_program_that_did_not_keep_the_key_is_found_out(tmp_path: Path, script: str) -> None:
    """Before any certificate is asked for."""
    checkout = make_checkout(tmp_path)
    sink = open_sink(
        by_program(script), "billing", context(checkout, {"PATH": os.environ["PATH"], "KEPT": str(tmp_path)})
    )
    with pytest.raises(KeySourceError) as caught:
        sink.write(SLOTS[0], KEYS[0])
    assert "PRIVATE" not in f"{caught.value} {caught.value.hint}"


def test_programs_of_a_sink_are_started_only_if_the_run_may(tmp_path: Path) -> None:
    """For no verb."""
    ran = tmp_path / "ran"
    options = by_program(f"touch {shlex.quote(str(ran))}")
    sink = open_sink(options, "billing", context(make_checkout(tmp_path), dict(os.environ), allow_commands=False))
    for call in (
        sink.slots,
        lambda: sink.read(SLOTS[0]),
        lambda: sink.write(SLOTS[0], KEYS[0]),
        lambda: sink.remove(SLOTS[0]),
    ):
        with pytest.raises(KeySourceError, match="may not start the commands") as caught:
            call()
        assert "`--allow-commands`" in (caught.value.hint or "")
    assert not ran.exists()


# --- sops -----------------------------------------------------------------------------------------------------------


def sops_sink(asked: Asked) -> SopsSlots:
    """A sink over folders in memory, and programs that answer what a test says."""
    return SopsSlots(FileSlots(MemoryKeyFolders(), "secrets", "billing"), asked)


ENCRYPTED = b'{"data": "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]", "sops": {}}'


def test_sops_gets_the_key_through_its_standard_input() -> None:
    """Neither a file nor an argument has it; what it encrypted is decrypted before it is written."""
    asked = Asked([ENCRYPTED, KEYS[0]])
    sink = sops_sink(asked)
    sink.write(SLOTS[0], KEYS[0])
    named = ["--filename-override", f"secrets/billing/{SLOTS[0].text}", "--input-type", "binary"]
    assert asked.commands == [
        ["sops", "--encrypt", *named, "/dev/stdin"],
        ["sops", "--decrypt", *named, "--output-type", "binary", "/dev/stdin"],
    ]
    assert asked.given == [KEYS[0], ENCRYPTED]
    assert sink.files.content(SLOTS[0], 1000) == ENCRYPTED + b"\n"


@pytest.mark.parametrize(
    "printed",
    [
        KEYS[0],
        b"",
        json.dumps({"data": KEYS[0].decode(), "sops": {}}).encode(),
        ENCRYPTED.replace(b'"sops": {}', b'"sops": {}, "more": 1'),
        ENCRYPTED.replace(b'"sops": {}', b'"other": {}'),
        ENCRYPTED.replace(b"{}", b'{"x": "' + KEYS[0].splitlines()[1] + b'"}'),
        b"[" * 100_000,
    ],
    ids=["clear", "nothing", "clear in JSON", "more", "no sops", "clear in a comment", "deep"],
)
def test_what_is_not_encrypted_is_not_written(printed: bytes) -> None:
    """Whatever the creation rules of .sops.yaml say, or whichever program is called sops."""
    sink = sops_sink(Asked([printed, KEYS[0]]))
    with pytest.raises(KeySourceError, match="is not encrypted") as caught:
        sink.write(SLOTS[0], KEYS[0])
    assert "PRIVATE" not in f"{caught.value} {caught.value.hint}"
    assert sink.slots() == frozenset()


def test_what_does_not_decrypt_to_the_same_key_is_not_written() -> None:
    sink = sops_sink(Asked([ENCRYPTED, KEYS[1]]))
    with pytest.raises(KeySourceError, match="is not the key"):
        sink.write(SLOTS[0], KEYS[0])
    assert sink.slots() == frozenset()


def test_a_path_without_a_creation_rule_is_named(tmp_path: Path) -> None:
    """By the real sops, which refuses it; no folder is made."""
    checkout = make_checkout(tmp_path)
    sink = open_sink(SopsSink("other"), "billing", context(checkout, with_sops(checkout)))
    with pytest.raises(KeySourceError) as caught:
        sink.write(SLOTS[0], KEYS[0])
    assert f".sops.yaml needs a creation rule for 'other/billing/{SLOTS[0].text}'" in (caught.value.hint or "")
    assert not (checkout / "other").exists()


def test_a_key_that_this_machine_can_not_decrypt_is_not_written(tmp_path: Path) -> None:
    """A recipient that nobody has the key of would lose the key."""
    checkout = make_checkout(tmp_path)
    environ = with_sops(checkout) | {"SOPS_AGE_KEY": ""}
    sink = open_sink(SopsSink("secrets"), "billing", context(checkout, environ))
    with pytest.raises(KeySourceError, match="'sops' failed with exit code"):
        sink.write(SLOTS[0], KEYS[0])
    assert sink.slots() == frozenset()


def test_creation_rules_of_a_folder_above_count(tmp_path: Path) -> None:
    """As sops finds them: of the next .sops.yaml, relative to its folder; options for names of YAML change nothing."""
    checkout = make_checkout(tmp_path)
    environ = with_sops(checkout, "stacks/payments/secrets/")
    rules = json.loads((checkout / ".sops.yaml").read_text())
    rules["creation_rules"][0]["encrypted_regex"] = "^password$"
    (checkout / ".sops.yaml").write_text(json.dumps(rules))
    stack = checkout / "stacks/payments"
    stack.mkdir(parents=True)
    (stack / "mtls.toml").write_text('version = 1\nstack = "payments"\n')
    sink = open_sink(SopsSink("./secrets"), "billing", context(stack, environ))
    sink.write(SLOTS[0], KEYS[0])
    written = (stack / "secrets/billing" / SLOTS[0].text).read_bytes()
    assert KEYS[0].splitlines()[1] not in written
    assert sink.read(SLOTS[0]).strip() == KEYS[0].strip()


def test_slots_are_listed_without_sops(tmp_path: Path) -> None:
    """By the names of their files."""
    sink = sops_sink(asked := Asked())
    sink.files.create(SLOTS[0], ENCRYPTED, in_clear=False)
    assert (sink.slots(), asked.commands) == (frozenset(SLOTS[:1]), [])
