"""Files that the real sops wrote, decrypted without it: the same values, and whatever was changed is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.keys.age import AGE_KEY, AGE_KEY_FILE, AgeKeys
from reconciler.keys.sops import SopsKeySource
from reconciler.model import KeyReference
from reconciler.model.keys import KeyFile
from tests.support.pki import make_ca
from tests.support.tools import find_age, find_tool

PEM = make_ca("Root").issue("client").key_pem.decode()


@dataclass
class Folder:
    """Files of a folder, and a PATH without any program."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        return KeyFile((self.folder / path).read_bytes()[:limit])

    def read_own(self, path: str) -> bytes:
        if not Path(path).exists():
            raise FileError("it does not exist", code=Code.FILE_MISSING)
        return Path(path).read_bytes()

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        raise AssertionError(f"{command} was started for at most {limit} bytes")

    def has(self, program: str) -> bool:
        return program != "sops"

    def write(self, name: str, text: str, *options: str) -> Path:
        """A file that the real sops encrypted for the age key of this folder."""
        path = self.folder / name
        path.write_text(text)
        self.sops("--encrypt", "--age", self.recipient, *options, "--in-place", name)
        assert "PRIVATE KEY" not in path.read_text()
        return path

    def sops(self, *words: str) -> bytes:
        """What the real sops prints."""
        environment = {**self.environment, "HOME": str(self.folder), "PATH": os.defpath}
        command = [str(find_tool("sops")), *words]
        return subprocess.run(command, check=True, capture_output=True, cwd=self.folder, env=environment).stdout

    @property
    def recipient(self) -> str:
        return recipient_of(self.environment[AGE_KEY])

    def open(self, name: str, *extract: str) -> bytes:
        """The key that mtlsctl reads from a file."""
        options = {"sops": name} | ({"extract": " ".join(extract)} if extract else {})
        source = SopsKeySource(self, self, AgeKeys(self.read_own, self.environment))
        return source.open(KeyReference("sops", options)).pem

    def refused(self, name: str, *extract: str) -> KeySourceError:
        """Why it does not read it; nothing secret is in that."""
        with pytest.raises(KeySourceError) as caught:
            self.open(name, *extract)
        text = f"{caught.value.message} {caught.value.hint}"
        assert "AGE-SECRET-KEY" not in text
        assert PEM.splitlines()[1] not in text
        return caught.value


def age_key() -> str:
    made = subprocess.run([find_age() / "age-keygen"], check=True, capture_output=True, text=True)
    return made.stdout


def other_key() -> str:
    """The line with the key of another one."""
    return age_key().splitlines()[-1]


def recipient_of(key: str) -> str:
    """For whom to encrypt."""
    return next(line for line in key.splitlines() if "public key" in line).split(": ")[1]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder, and an age key in the environment."""
    return Folder(tmp_path, {AGE_KEY: age_key()})


INDENTED = PEM.replace("\n", "\n      ").rstrip()
YAML = f"""\
# who: the payments team
billing:
    # the key of billing
    key: |
      {INDENTED}
    note_unencrypted: 'it''s "plain"'   # said why
numbers: [1, -7, 1.5, 1e3, 0x1f, 1_000, 0.1, 12345678901234567, true, no, null, ~, "5", 2026-11-29, ""]
numbers_unencrypted: [1, -7, 1.5, 1e3, 1e300, 0x1f, 0o17, 017, 1_000, 0.1, .5, 5., 089, .inf, 1e-7]
words_unencrypted: [true, no, Yes, null, ~, "5", 'x', y]
list:
    - a: 1
      b: [x, {{c: "ünï → ✓"}}]
    # a comment in a list
    - |
        two
        lines
empty: {{}}
nothing: []
"""
ESCAPED = PEM.replace("\n", "\\n")
FORMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "YAML": ("a.yaml", YAML, ("billing", "key")),
    "YML of several documents": ("a.yml", f"{YAML}---\nother: 1\n", ("billing", "key")),
    "YAML with an anchor": (
        "a.yaml",
        f"x_key: &x |\n      {INDENTED}\nbilling:\n  key: *x\n  <<: {{a: 1}}\n",
        ("billing", "key"),
    ),
    "JSON": (
        "a.json",
        json.dumps(
            {
                "billing": {"key": PEM, "note_unencrypted": 'it\'s "plain"\n', "port": 8443},
                "numbers": [1, -7, 1.5, 1e3, 1e300, 2**53 + 1, 1e-7, True, False, None, "", "ü ✓"],
                "numbers_unencrypted": [1, 1.0, -0.5, 1e21, 1e-9, 2**70, True, None, ""],
                "empty": {},
            }
        ),
        ("billing", "key"),
    ),
    "dotenv": (
        "a.env",
        f"# a comment\nA=1\nBILLING_key={ESCAPED}\nB_unencrypted=x=y\n",
        ("BILLING_key",),
    ),
    "a whole file": ("key.pem", PEM, ()),
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "no option": (),
    "encrypted suffix": ("--encrypted-suffix", "key"),
    "unencrypted suffix": ("--unencrypted-suffix", "note_unencrypted"),
    "encrypted regex": ("--encrypted-regex", "(?i)key$|^data$"),
    "unencrypted regex": ("--unencrypted-regex", "^numbers"),
    "a MAC of what is encrypted": ("--mac-only-encrypted", "--encrypted-regex", "(?i)key$|^data$"),
    "two recipients": (),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_what_sops_wrote_is_read_as_sops_reads_it(folder: Folder, form: str, options: str) -> None:
    """Comments, numbers, truth values and what is not encrypted: all is in the MAC, so all has to be read alike."""
    name, text, extract = FORMS[form]
    words = OPTIONS[options]
    if options == "two recipients":
        words = ("--age", f"{recipient_of(age_key())},{folder.recipient}")
    folder.write(name, text, *words)
    by_sops = folder.sops(
        "--decrypt", *(["--extract", "".join(f'["{key}"]' for key in extract)] if extract else []), name
    )
    assert folder.open(name, *extract) == by_sops
    assert by_sops.decode().strip() == PEM.strip()


def test_an_age_key_is_found_where_sops_finds_it(folder: Folder, tmp_path: Path) -> None:
    """In the variable, in the file that a variable names, and in the file of the user; all of them are tried."""
    folder.write("key.pem", PEM)
    key, home = folder.environment[AGE_KEY], tmp_path / "home"
    default = home / (".config" if sys.platform != "darwin" else "Library/Application Support") / "sops/age/keys.txt"
    for path in (default, tmp_path / "ours.txt", tmp_path / "xdg/sops/age/keys.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)
    line = next(line for line in key.splitlines() if not line.startswith("#"))
    for environment in (
        {AGE_KEY: line},
        {AGE_KEY: f"{other_key()} {line}"},
        {AGE_KEY: other_key(), "HOME": str(home)},
        {AGE_KEY_FILE: str(tmp_path / "ours.txt")},
        {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path / "xdg")},
    ):
        folder.environment = environment
        assert folder.open("key.pem") == PEM.encode()


NO_KEY: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, "is encrypted with age, and no age key was found"),
    "only those of plugins": ({AGE_KEY: "AGE-PLUGIN-YUBIKEY-1QQ"}, "no age key was found"),
    "damaged": ({AGE_KEY: "AGE-SECRET-KEY-1QQQQ"}, "an age key in SOPS_AGE_KEY is damaged"),
    "no such file": ({AGE_KEY_FILE: "/nowhere/keys.txt"}, "the file of age keys can't be read"),
}


@pytest.mark.parametrize("case", NO_KEY)
def test_without_the_age_key_it_says_where_one_is_looked_for(folder: Folder, case: str) -> None:
    """And not a part of one that is damaged."""
    folder.write("key.pem", PEM)
    folder.environment, message = NO_KEY[case]
    assert message in folder.refused("key.pem").message


def test_the_age_key_of_someone_else_decrypts_nothing(folder: Folder) -> None:
    """The finding says how many were tried, and where they come from."""
    folder.write("a.yaml", YAML)
    folder.environment[AGE_KEY] = f"{other_key()}\n{other_key()}"
    error = folder.refused("a.yaml", "billing", "key")
    assert "could not be decrypted with any of the 2 age keys that were found" in error.message
    assert "$SOPS_AGE_KEY" in str(error.hint)


def _swapped(text: str) -> str:
    """Two values of the same type in each other's place."""
    first, second = [match[0] for match in re.finditer(r"ENC\[[^]]*type:int\]", text)][:2]
    return text.replace(first, "@").replace(second, first).replace("@", second)


def _first(text: str) -> str:
    """The first value that is a text."""
    return next(re.finditer(r"ENC\[[^]]*type:str\]", text))[0]


Change = Callable[[str], str]
CHANGES: dict[str, Change] = {
    "another ciphertext": lambda text: re.sub(r"(key: ENC\[AES256_GCM,data:)(.)", _other_letter, text, count=1),
    "two values swapped": _swapped,
    "a value removed": lambda text: re.sub(r"\n    - ENC\[[^\n]*type:int\]", "", text, count=1),
    "a value in clear added": lambda text: f"added: 1\n{text}",
    "a value in clear instead": lambda text: re.sub(r"c: ENC\[.*\]", "c: x", text),
    "a value in clear changed": lambda text: text.replace('it\'s "plain"', 'it\'s "other"'),
    "a number in clear changed": lambda text: text.replace("- 1e+300", "- 1e+301"),
    "a key renamed": lambda text: text.replace("    key: ENC", "    kex: ENC"),
    "another table": lambda text: text.replace("billing:", "payments:"),
    "the MAC of another": lambda text: re.sub(r"(mac: ENC\[AES256_GCM,data:)(.)", _other_letter, text),
    "a value as the MAC": lambda text: re.sub(r"mac: ENC.*", lambda _: f"mac: {_first(text)}", text),
    "no MAC": lambda text: re.sub(r"mac: ENC.*", 'mac: ""', text),
    "a MAC in clear": lambda text: re.sub(r"mac: ENC.*", f"mac: {'A' * 128}", text),
    "another date": lambda text: text.replace('lastmodified: "2', 'lastmodified: "3'),
    "a MAC of less": lambda text: text.replace("sops:\n", "sops:\n    mac_only_encrypted: true\n"),
    "half of a value": lambda text: text.replace("type:float]", ""),
}


def _other_letter(match: re.Match[str]) -> str:
    return match[1] + ("B" if match[2] == "A" else "A")


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_changed_is_refused(folder: Folder, change: str) -> None:
    """Whoever can write to the repository can't put another key, or a part of another file, in its place."""
    path = folder.write("a.yaml", YAML)
    text = CHANGES[change](path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    error = folder.refused("a.yaml", "billing", "key")
    assert (error.code, error.is_absent) == (Code.KEY_FILE_DAMAGED, False)
    with pytest.raises(subprocess.CalledProcessError):  # nor does sops itself read it
        folder.sops("--decrypt", "a.yaml")


FOR_SOPS: dict[str, tuple[str, Change, str]] = {
    "PGP": ("a.json", lambda text: text.replace('"age": [', '"pgp": ['), "it is encrypted for pgp, not for age"),
    "a cloud": ("a.yaml", lambda text: text.replace("    age:", "    gcp_kms:"), "encrypted for gcp_kms, not for age"),
    "dotenv for KMS": (
        "a.env",
        lambda text: text.replace("sops_age__", "sops_kms__"),
        "encrypted for kms, not for age",
    ),
    "no recipient": ("a.yaml", lambda text: text.replace("    age:", "    nobody:"), "encrypted for no one"),
    "not encrypted": ("a.yaml", lambda _: YAML, "'a.yaml' is not encrypted by sops"),
    "dotenv in clear": ("a.env", lambda _: "A=1\n", "is not encrypted by sops"),
    "a key in clear": ("key.pem", lambda _: PEM, "it is not as sops writes it"),
    "not UTF-8": ("a.json", lambda _: "\udcff", "it is not as sops writes it"),
    "broken YAML": ("a.yaml", lambda text: text + "\n  - [", "it is not YAML as sops writes it"),
    "a list": ("a.json", lambda _: "[]", "is not encrypted by sops"),
    "deep JSON": ("a.json", lambda _: '{"a":' * 100_000, "it is not as sops writes it"),
    "deep YAML": ("a.yaml", lambda _: "[" * 100_000, "it is not YAML as sops writes it"),
    "a key twice": ("a.json", lambda text: text.replace('"sops": {', '"billing": 1, "sops": {'), "it has a key twice"),
    "aliases without end": (
        "a.yaml",
        lambda _: (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{to}: &{to} [{','.join([f'*{of}'] * 9)}]\n" for of, to in zip("abcdefgh", "bcdefghi", strict=True)
            )
        ),
        "it has more than 20,000 values",
    ),
    "an alias of itself": ("a.yaml", lambda _: "a: &a [*a]\n", "it is not as sops writes it"),
    "a tag": ("a.yaml", lambda text: f"x: !!binary aGk=\n{text}", "it has a YAML tag, 'binary'"),
    "a long number": (
        "a.json",
        lambda text: text.replace("{", f'{{"n": {"9" * 5000},', 1),
        "changed by something else",
    ),
}


@pytest.mark.parametrize("case", FOR_SOPS)
def test_what_only_sops_can_read_says_that_it_is_needed(folder: Folder, case: str) -> None:
    """With the reason, and quickly, whatever the file has."""
    name, change, message = FOR_SOPS[case]
    text = next(text for other, text, _ in FORMS.values() if other == name)
    path = folder.write(name, text)
    path.write_text(change(path.read_text()), errors="surrogateescape")
    began = time.monotonic()
    error = folder.refused(name, *(() if name == "key.pem" else ("billing", "key")))
    assert message in error.message
    assert time.monotonic() - began < 5
    if error.code is Code.KEY_UNAVAILABLE:
        assert "sops is not installed, and without it" in error.message
        assert "install sops" in str(error.hint)


def test_groups_of_recipients_are_for_sops(folder: Folder) -> None:
    """Their data key is in several parts, of which none is the key."""
    groups = [{"age": [folder.recipient]}, {"age": [recipient_of(age_key())]}]
    (folder.folder / ".sops.yaml").write_text(json.dumps({"creation_rules": [{"key_groups": groups}]}))
    (folder.folder / "a.yaml").write_text(YAML)
    folder.sops("--encrypt", "--in-place", "a.yaml")
    assert "is encrypted for key_groups, not for age" in folder.refused("a.yaml", "billing", "key").message


@pytest.mark.parametrize(
    ("name", "extract", "message"),
    [
        ("a.yaml", (), "it needs `extract`"),
        ("key.pem", ("data",), "it has no keys for `extract`"),
        ("a.yaml", ("billing",), "'a.yaml' has nothing there"),
        ("a.yaml", ("billing", "kex"), "'a.yaml' has nothing there"),
        ("a.yaml", ("numbers",), "'a.yaml' has nothing there"),
        ("a.yaml", ("sops", "mac"), "'a.yaml' has nothing there"),
        ("a.yaml", ("words_unencrypted",), "'a.yaml' has nothing there"),
    ],
)
def test_extract_names_one_value(folder: Folder, name: str, extract: tuple[str, ...], message: str) -> None:
    """No list, no table, and nothing of what sops adds."""
    folder.write(name, PEM if name == "key.pem" else YAML)
    assert message in folder.refused(name, *extract).message


def test_a_value_that_the_mac_leaves_out_is_no_key(folder: Folder) -> None:
    """With `--mac-only-encrypted` anyone could have written what is in clear."""
    folder.write("a.yaml", YAML, "--mac-only-encrypted")
    assert "has nothing there" in folder.refused("a.yaml", "billing", "note_unencrypted").message


@pytest.mark.parametrize("library", ["pyrage", "yaml"])
def test_without_the_extra_it_says_what_to_install(
    folder: Folder, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, for either library."""
    folder.write("a.yaml", YAML)
    monkeypatch.setitem(sys.modules, library, None)
    error = folder.refused("a.yaml", "billing", "key")
    assert error.message == "this private key needs sops, or pyrage and PyYAML, and they are not installed"
    assert "pipx install --force '.[sops]'" in str(error.hint)
