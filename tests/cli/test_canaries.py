"""No key is ever in anything the tool writes or shows: a canary key is planted and everything is searched."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.cli import MTLS, Project, Result
from tests.support.origins import origin, server_ca
from tests.support.pki import Issued, make_ca
from tests.support.worlds import issued

WINDOW = 20
SECRET = slice(48, 91)
"""Where the private number stands in the base64 of a P-256 key; before it is the same for all, after it is public."""


def windows(key: Issued) -> set[str]:
    """Every run of 20 characters of a key's secret, wherever its lines break."""
    return windows_of(key.key_pem)


def windows_of(pem: bytes) -> set[str]:
    """The same of a key in PEM."""
    body = "".join(line for line in pem.decode().splitlines() if not line.startswith("-"))
    secret = body[SECRET]
    return {secret[start : start + WINDOW] for start in range(len(secret) - WINDOW + 1)}


def search(
    project: Project,
    results: list[Result],
    numbers: tuple[int, ...],
    allowed: tuple[str, ...],
    more: Iterable[str] = (),
) -> None:
    """Fail where any window of a key, or of `more`, is in an output, or in a file that is not the key's own."""
    canaries = set(more).union(*(windows(issued(number)) for number in numbers))
    texts = {f"output {index}": result.out + result.err for index, result in enumerate(results)}
    for path in project.folder.rglob("*"):
        if path.is_file() and path.relative_to(project.folder).as_posix() not in allowed:
            texts[str(path)] = path.read_bytes().decode("latin-1")
    for where, text in texts.items():
        flat = text.replace("\\n", "").replace("\n", "").replace("\r", "")
        found = next((window for window in canaries if window in flat or window in text), None)
        assert found is None, f"a part of a private key is in {where}"


LOGS = (("--verbose",), ("--log-format", "json"))
"""The log shows all that a run does, so it is where a key would be seen first."""

EVERYTHING = (
    ["validate"],
    ["plan"],
    ["plan", "--format", "json", "--out", "plan.json"],
    ["show", "plan.json"],
    ["plan", "--record-inputs", "recording.json"],
    ["replay", "recording.json", "--format", "json"],
    ["explain", "billing"],
    ["apply", "--yes", "--format", "json", "--out", "outcome.json", "--record", "record.json"],
    ["plan", "--offline"],
    ["status"],
    ["status", "--format", "json"],
    ["explain", "BILLING", "--format", "json"],
    ["output", "billing", "--format", "json"],
    ["doctor"],
    ["history", "--format", "json"],
    ["history", "--format", "markdown", "--since", "1d"],
    ["verify", "--run-project"],
    ["verify", "--run-project", "--format", "json"],
)


SECOND = """
[certificates.second]
certificate = "certs/second.pem"
private_key = "certs/second.key"
"""


def test_canaries_are_found_where_they_are(project: Project) -> None:
    """The search itself can fail: a leaked key is seen."""
    project.write("leak.txt", issued(1).key_pem)
    with pytest.raises(AssertionError, match=r"leak\.txt"):
        search(project, [], (1,), ())


@pytest.mark.parametrize("log", LOGS, ids=["text", "json"])
def test_keys_in_the_environment_reach_no_output_and_no_file(project: Project, log: tuple[str, ...]) -> None:
    """A first apply and a rotation, every command, every format, and what is logged of them."""
    results = [project.run(*arguments, *log) for arguments in EVERYTHING]
    project.certificate("billing", 2)
    results += [project.run(*arguments, *log) for arguments in EVERYTHING]
    assert "".join(result.err for result in results).count("upload billing") == 4
    assert [result.code for result in results] == [0] * len(results)
    search(project, results, (1, 2), ())


@pytest.mark.parametrize("log", LOGS, ids=["text", "json"])
def test_keys_in_files_reach_nothing_but_those_files(project: Project, log: tuple[str, ...]) -> None:
    """The store's file among what is searched, and the temporary files that are gone."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', '"certs/billing.key"'))
    project.environ.clear()
    project.write("certs/billing.key", issued(1).key_pem).chmod(0o600)
    results = [project.run(*arguments, *log) for arguments in EVERYTHING]
    assert (project.folder / ".mtlsctl/store.db").exists()
    search(project, results, (1,), ("certs/billing.key",))


@pytest.mark.parametrize("in_memory", [True, False], ids=["file in memory", "file in a folder"])
def test_a_proof_leaves_the_key_nowhere(project: Project, in_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TLS library takes files only; whatever it was given is gone, and the origin's answer quotes no key."""
    temporary = project.folder / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with origin() as running:
        url = f'{{ url = "{running.url}", ca = "roots.pem" }}'
        project.write("mtls.toml", MTLS.replace("private_key", f"verify = {url}\nprivate_key"))
        project.write("roots.pem", server_ca().certificate_pem)
        commands = (["verify"], ["verify", "--format", "json", "--out", "proofs.json"])
        results = [project.run(*arguments, *log) for arguments, log in zip(commands, LOGS, strict=True)]
    assert all(f"GET {running.url}" in result.err for result in results)
    assert ["origin    rejected" in result.out or '"rejected"' in result.out for result in results] == [True, True]
    assert list(temporary.iterdir()) == []
    search(project, results, (1,), ())


KEY = issued(1).key_pem.decode()
ONE_LINE = KEY.replace("\n", "\\n")
BODY = "".join(KEY.splitlines()[1:-1])

MISTAKES = {
    "the key stands in mtls.toml": {"mtls.toml": MTLS.replace('{ env = "BILLING_KEY" }', f'"""{KEY}"""')},
    "the key is the name of a variable": {"mtls.toml": MTLS.replace('"BILLING_KEY"', f'"{ONE_LINE}"')},
    "the key is an unknown key of mtls.toml": {"mtls.toml": MTLS + f'[policy]\n"{ONE_LINE}" = 1\n'},
    "the key is a stray line of mtls.toml": {"mtls.toml": MTLS + KEY},
    "the key is the certificate": {"certs/billing.pem": KEY},
    "the key stands beside the certificate": {"certs/billing.pem": issued(1).certificate_pem.decode() + KEY},
    "the key is cut short": {"certs/billing.pem": KEY[:150]},
    "the key is an id of the wrangler file": {
        "wrangler.toml": f'[[mtls_certificates]]\nbinding = "B"\ncertificate_id = """{KEY}"""\nx = \n'
    },
    "the key is a whole id of the wrangler file": {
        "wrangler.toml": f'[[mtls_certificates]]\nbinding = "BILLING"\ncertificate_id = """{KEY}"""\n'
    },
    "the key is an id of the wrangler file on one line": {
        "wrangler.toml": f'[[mtls_certificates]]\nbinding = "B"\ncertificate_id = "{ONE_LINE.split("-----")[2]}"\n'
    },
    "the key is the name of an environment": {"wrangler.toml": f'[env."{ONE_LINE}"]\nname = "x"\n'},
    "the key's lines are the name of an environment": {
        "wrangler.toml": f'[env."{ONE_LINE.split("-----")[2]}"]\nname = "x"\n'
    },
    "the key's lines are an unknown key": {"mtls.toml": MTLS + f'[policy]\n"{BODY}" = 1\n'},
    "the key's lines are the name of a certificate": {
        "mtls.toml": MTLS + f'[certificates."{BODY}"]\ncertificate = "x"\n'
    },
    "the key's lines are superseded": {
        "mtls.toml": MTLS.replace("private_key", f'supersedes = ["{BODY}"]\nprivate_key', 1)
    },
    "the key is a stray line of the wrangler file": {"wrangler.toml": KEY},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_key_in_the_wrong_place_is_never_quoted(project: Project, mistake: str) -> None:
    """What people paste by mistake is named, not shown."""
    files = MISTAKES[mistake]
    for path, text in files.items():
        project.write(path, text)
    results = [
        project.run(*command, "--format", form, *log)
        for command, (form, log) in itertools.product(
            (["validate"], ["plan", "--record-inputs", "recording.json"], ["apply", "--yes"]),
            zip(("text", "json"), LOGS, strict=True),
        )
    ]
    assert all(result.code in (1, 5) for result in results)
    if (project.folder / "recording.json").exists():
        results.append(project.run("replay", "recording.json", "--format", "json"))
    search(project, results, (1,), tuple(files))


CANARY = "canary-3f9a1c7e"
SECRETS = {
    ".dev.vars": f'API_KEY="{CANARY}"\nOTHER={CANARY}\n',
    "credentials.json": f'{{"type": "service_account", "private": "{CANARY}", {CANARY}}}',
    "config.toml": f'password = "{CANARY}"\nname = {CANARY}\n',
    "id.pem": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END OPENSSH PRIVATE KEY-----\n",
}
"""Files of secrets as they are in a tree, each with something that a parser stumbles over."""


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_tree_that_is_declared_as_something_else_is_never_quoted(project: Project, name: str) -> None:
    """A line of a pull request can name any file; what is wrong with it is told without its text."""
    suffix = ".toml" if name != "credentials.json" else ".json"
    for declared, text in (("certs/secret.pem", "certificate"), (f"secret{suffix}", "config")):
        project.write(declared, SECRETS[name])
        old = '"certs/billing.pem"' if text == "certificate" else '"wrangler.toml"'
        project.write("mtls.toml", MTLS.replace(old, f'"{declared}"'))
        for command in (
            ["plan", "--verbose", "--record-inputs", "recording.json"],
            ["validate", "--format", "json"],
            ["apply", "--yes"],
            ["doctor"],
        ):
            result = project.run(*command)
            assert CANARY not in result.out + result.err, (declared, command)
        recording = project.folder / "recording.json"
        assert not recording.exists() or CANARY not in recording.read_text()


@pytest.mark.parametrize("text", [KEY[:120], KEY.replace("E", "F"), KEY + KEY, KEY.replace("PRIVATE", "PUBLIC")])
def test_a_broken_key_is_never_quoted(project: Project, text: str) -> None:
    """Truncated, garbled, twice, mislabelled."""
    project.environ["BILLING_KEY"] = text
    commands = (["validate"], ["apply", "--yes"])
    results = [project.run(*command, *log) for command, log in itertools.product(commands, LOGS)]
    assert [result.code for result in results] == [1] * 4
    search(project, results, (1,), ())


def test_no_child_sees_a_key_in_its_environment_or_arguments(project: Project) -> None:
    """git, the only program that is ever started, writes down here what it is given."""
    (project.folder / ".git").mkdir()
    project.write("mtls.toml", MTLS + SECOND)
    project.write("certs/second.pem", issued(2).certificate_pem)
    project.write("certs/second.key", issued(2).key_pem).chmod(0o600)
    seen = project.folder / "seen.txt"
    fake = f'#!/bin/sh\nenv >> "{seen}"\nprintf "%s " "$@" >> "{seen}"\nexit 1\n'
    project.write("bin/git", fake).chmod(0o700)
    project.environ["PATH"] = f"{project.folder / 'bin'}:{os.environ['PATH']}"
    results = [project.run(*arguments) for arguments in EVERYTHING]
    assert "ls-files" in seen.read_text()
    assert "BILLING_KEY" not in seen.read_text()
    search(project, results, (1, 2), ("certs/second.key",))


RENEW = """
[issuers.internal]
kind = "command"
command = ["./sign.sh"]

[issuers.other]
kind = "step"
url = "https://ca.internal.example"
provisioner = "mtlsctl"
password = { env = "STEP_PASSWORD" }

[certificates.billing.renew]
issuer = "internal"
sink = { file = "keys" }
"""
SIGN = """\
#!/bin/sh
env >> given.txt
test -e refuse && exit 1
openssl x509 -req -in /dev/stdin -CA ca/ca.pem -CAkey ca/ca.key -days 30 -copy_extensions copyall
"""
TOKENS = ("VAULT_TOKEN", "VAULT_ID_TOKEN", "SOPS_AGE_KEY", "GITHUB_TOKEN", "CLOUDFLARE_API_TOKEN", "STEP_PASSWORD")


def slots(project: Project) -> dict[str, bytes]:
    """The files of the sink."""
    files = project.folder.glob("keys/*/*")
    return {path.relative_to(project.folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("log", LOGS, ids=["text", "json"])
def test_a_renewal_leaves_keys_in_the_sink_alone_and_tokens_nowhere(project: Project, log: tuple[str, ...]) -> None:
    """New keys, and what the run has for issuers and sinks: not in what the issuer's program is given, either."""
    ca = make_ca("Internal CA")
    project.write("ca/ca.pem", ca.certificate.public_bytes(Encoding.PEM))
    project.write("ca/ca.key", ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    project.write("sign.sh", SIGN).chmod(0o700)
    project.write("mtls.toml", MTLS + RENEW)
    project.environ |= dict.fromkeys(TOKENS, CANARY)
    renew = ["renew", "billing", "--allow-commands"]
    results = [project.run(*command, *log) for command in ([*renew, "--dry-run"], renew, ["apply", "--yes"])]
    canaries = set().union(*map(windows_of, slots(project).values()))
    project.write("refuse", "")
    results += [project.run(*renew, "--format", form, *log) for form in ("text", "markdown")]
    (project.folder / "refuse").unlink()
    results += [
        project.run(*command, *log)
        for command in (
            [*renew, "--format", "json", "--out", "renewed.json", "--record", "record.json"],
            [*renew, "--new-key"],
            ["history", "--format", "json"],
            ["explain", "billing"],
        )
    ]
    assert [result.code for result in results] == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    kept = slots(project)
    assert len(kept) == 2
    search(project, results, (1,), tuple(kept), more=canaries.union(*map(windows_of, kept.values())))
    assert project.read("given.txt").count("PATH=") == 5
    texts = [path.read_bytes().decode("latin-1") for path in project.folder.rglob("*") if path.is_file()]
    assert [text for text in (*texts, *(one.out + one.err for one in results)) if CANARY in text] == []
