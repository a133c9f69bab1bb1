"""Names that would act on whoever reads them, in every place that is shown: they are shown, and do nothing.

`tests/hostile.py` has the names and says what an output may not have. In process, for there are some hundreds of runs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from reconciler.cli.commands import load_command
from reconciler.findings.escape import printable, toml_text
from reconciler.model import StoreSettings
from reconciler.stores.database import FileDatabase
from reconciler.stores.local import LocalStore
from reconciler.system.clock import SystemClock
from tests.support.cli import MTLS, WRANGLER, Project, Result
from tests.support.hostile import DOCUMENTED, FEW, LONG, NAMES, check_texts
from tests.support.html_pages import check_page
from tests.support.pki import BEGIN, END
from tests.support.worlds import issued


def formats(command: str) -> list[tuple[str, ...]]:
    """The options for each format that the table of views has for a command."""
    params: list[Any] = [param for param in load_command(command).params if param.name == "format"]
    return [("--format", choice) for param in params for choice in param.type_descriptor.choices]


def ways(command: str) -> list[tuple[str, ...]]:
    """The options for each way to show what a command reports."""
    return [("--color", "always"), ("--verbose",), *formats(command)]


def check_in_turn(project: Project, *commands: str, turn: int) -> None:
    """Each command in one of its ways, in another one at the next turn."""
    for command in commands:
        words = command.split()
        check(project.run(*words, *ways(words[0])[turn % len(ways(words[0]))]))


def toml(text: str) -> str:
    """A text as TOML and JSON write it."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def check(result: Result) -> None:
    """A documented end, and an output that does nothing; a calendar ends its lines by two signs."""
    assert result.code in DOCUMENTED
    check_texts(result.out.replace("\r\n", "\n"), result.err)
    if result.out.startswith("<!DOCTYPE html>"):
        check_page(result.out)


@pytest.mark.parametrize("name", [*NAMES.values(), *FEW.values(), LONG], ids=[*NAMES, *FEW, "900 kB"])
def test_what_is_printable_is_one_harmless_line(name: str) -> None:
    """Everything passes here on its way out; an emoji and an umlaut stay what they are. `~~~` is text behind a word."""
    for text in (name, name * 2, f"a{name}", f"#{name}", f":{name}", f" {name}"):
        assert "\n" not in printable(text)
        before = "x " if name == NAMES["the end of a block"] else ""
        check_texts(before + printable(text), f"  {before}{printable(text)}")
    assert printable("grün 🦊 a::b # [x] ## x") == "grün 🦊 a::b # [x] ## x"


IN_MTLS: dict[str, Callable[[str], str]] = {
    "the stack": lambda name: MTLS.replace('"payments"', toml(name)),
    "a former stack": lambda name: MTLS.replace("[cert", f"former_stacks = [{toml(name)}]\n[cert", 1),
    "an unknown key": lambda name: f"{toml(name)} = 1\n{MTLS}",
    "an unknown table": lambda name: f"{MTLS}[{toml(name)}.{toml(name)}]\n",
    "a certificate": lambda name: f'{MTLS}[certificates.{toml(name)}]\ncertificate = "certs/billing.pem"\n',
    "a certificate's file": lambda name: MTLS.replace('"certs/billing.pem"', toml(f"certs/{name}.pem")),
    "a key's file": lambda name: MTLS.replace('{ env = "BILLING_KEY" }', toml(f"keys/{name}.key")),
    "a key's variable": lambda name: MTLS.replace('"BILLING_KEY"', toml(name)),
    "a key's source": lambda name: MTLS.replace("env =", f"{toml(name)} ="),
    "an owner": lambda name: MTLS.replace("private_key", f"owner = {toml(name)}\nprivate_key"),
    "a URL": lambda name: MTLS.replace("private_key", f"verify = {toml('https://a.example/' + name)}\nprivate_key"),
    "a grace": lambda name: f"{MTLS}[policy]\ngrace = {toml(name)}\n",
    "what is superseded": lambda name: MTLS.replace("private_key", f"supersedes = [{toml(name)}]\nprivate_key"),
    "an account": lambda name: f'{MTLS}[store]\nkind = "cloudflare"\naccount_id = {toml(name)}\n',
    "a store": lambda name: f"{MTLS}[store]\nkind = {toml(name)}\n",
    "a Worker": lambda name: f'{MTLS}[workers.{toml(name)}]\nconfig = "wrangler.toml"\n',
    "a Worker's file": lambda name: MTLS.replace('"wrangler.toml"', toml(f"{name}.toml")),
    "a binding": lambda name: f'{MTLS}{toml(name)} = "billing"\n',
    "what a binding presents": lambda name: MTLS.replace('BILLING = "billing"', f"BILLING = {toml(name)}"),
    "an id to bind": lambda name: MTLS.replace('BILLING = "billing"', f"BILLING = {{ id = {toml(name)} }}"),
    "an environment": lambda name: f'{MTLS}[workers.checkout.env.{toml(name)}.bindings]\nA = "billing"\n',
}


def entry(name: str) -> str:
    return f"{{ binding = {toml(name)}, certificate_id = '' }},"


IN_WRANGLER: dict[str, Callable[[str], str]] = {
    "the Worker's name": lambda name: WRANGLER.replace('"checkout"', toml(name)),
    "the account": lambda name: f"account_id = {toml(name)}\n{WRANGLER}",
    "a binding": lambda name: f"{WRANGLER}[[mtls_certificates]]\nbinding = {toml(name)}\ncertificate_id = ''\n",
    "an id": lambda name: WRANGLER.replace('"<CERTIFICATE_ID>"', toml(name)),
    "an environment": lambda name: f"{WRANGLER}[env.{toml(name)}.vars]\nA = 1\n",
    "an environment of another kind": lambda name: f"{WRANGLER}[env]\n{toml(name)} = 1\n",
    "a binding twice": lambda name: (
        WRANGLER + f"[[mtls_certificates]]\nbinding = {toml(name)}\ncertificate_id=''\n" * 2
    ),
    "a bad key": lambda name: f"{WRANGLER}{toml(name)} = = 1\n",
    "a real id": lambda name: (
        WRANGLER.replace('"<CERTIFICATE_ID>"', '"2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"') + f"[env.{toml(name)}]\n"
    ),
}


@pytest.mark.parametrize("place", IN_MTLS)
def test_a_name_in_mtls_toml_is_shown_and_does_nothing(project: Project, place: str) -> None:
    """Every key and value of the format."""
    for turn, name in enumerate([*FEW.values(), LONG], list(IN_MTLS).index(place)):
        project.write("mtls.toml", IN_MTLS[place](name))
        check_in_turn(project, "plan", "validate", "status", turn=turn)


@pytest.mark.parametrize("place", IN_WRANGLER)
def test_a_name_in_a_wrangler_file_is_shown_and_does_nothing(project: Project, place: str) -> None:
    """What the tool reads of it, and what it quotes of what it can't read."""
    for turn, name in enumerate([*FEW.values(), "n" * 200_000], list(IN_WRANGLER).index(place)):
        project.write("wrangler.toml", IN_WRANGLER[place](name))
        check_in_turn(project, "plan", "apply --yes", "status", "explain checkout", turn=turn)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_of_a_file_is_shown_and_does_nothing(project: Project, name: str) -> None:
    """Files that are there: certificate, wrangler file, key, and what the sweep finds."""
    name = name.replace("/", "_")[:60]
    project.write("mtls.toml", MTLS + '[policy]\ngrace = "0s"\n')
    project.run("apply", "--yes")
    entry = project.run("output", "billing").out.strip()
    project.certificate("billing", 2)
    project.run("apply", "--yes", "--phase", "upload", "--phase", "bind")
    project.write(f"{name}/wrangler.toml", f"# {entry}\n")
    for command in (["plan"], ["explain", entry]):
        for shown in ways(command[0]):
            check(project.run(*command, *shown))
    project.write(f"certs/{name}.pem", "no certificate")
    project.write(f"{name}.toml", "name = = 1")
    project.write(f"{name}.key", "no key")
    declared = MTLS.replace('"certs/billing.pem"', toml(f"certs/{name}.pem")).replace(
        '"wrangler.toml"', toml(f"{name}.toml")
    )
    for text in (declared, MTLS.replace('{ env = "BILLING_KEY" }', toml(f"{name}.key"))):
        project.write("mtls.toml", text)
        for command in (["validate"], ["apply", "--yes"], ["doctor"]):
            check(project.run(*command, "--format", "json"))
            check(project.run(*command))


COMMANDS = (
    *("plan", "plan --offline", "plan --out -", "status", "drift"),
    *("forecast", "forecast --offline", "explain billing", "explain BILLING", "validate", "doctor", "verify --offline"),
    *("output billing", "export", "init --update", "retire billing --yes", "history", "apply --yes", "schema"),
    *("show ../plan.json", "apply ../plan.json", "completion bash", "dev checkout"),
)


@pytest.mark.parametrize("name", FEW.values(), ids=FEW)
def test_a_name_in_every_place_at_once_does_nothing_in_any_command(project: Project, name: str) -> None:
    """Whatever may have such a name has it: owner, entries, environment, Worker, redirect, tracked key, mtls.toml."""
    project.write(f"{name.replace('/', '_')[:60]}.key", issued(1).key_pem)
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=project.folder, check=True)
    store = LocalStore(FileDatabase(project.folder), clock=SystemClock(), limit=StoreSettings().limit)
    entries = [
        store.seed(type_=kind, name=name, ca=False, certificates=issued(number).certificate_pem.decode())
        for number, kind in ((2, "custom"), (1, "custom"), (3, name))
    ]
    declared = f'owner = {toml_text(printable(name)[:60])}\nsupersedes = ["{entries[0].id}"]\nprivate_key'
    project.write("mtls.toml", MTLS.replace("private_key", declared))
    wrangler = WRANGLER.replace('"checkout"', toml_text(name)) + f"[env.{toml_text(name[:90])}.vars]\nA = 1\n"
    project.write("wrangler.toml", wrangler)
    project.write(".wrangler/deploy/config.json", json.dumps({"configPath": f"../../../{name}.json"}))
    assert project.run("plan", "--out", "../plan.json").code == 0
    for command in COMMANDS:
        words = command.split()
        for shown in ((), *formats(words[0])):
            check(project.run(*words, *shown))


def certificate(name: str) -> bytes:
    """A certificate that has a name wherever a certificate can have one; of 64 bytes, for that is the most."""
    name = name.encode()[:64].decode(errors="ignore")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)])
    issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name, _validate=False)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(BEGIN).not_valid_after(END)
    ascii_name = name.encode("ascii", errors="replace").decode()
    alternatives = [x509.DNSName(ascii_name), x509.UniformResourceIdentifier(ascii_name), x509.RFC822Name(ascii_name)]
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_in_a_certificate_is_shown_and_does_nothing(project: Project, name: str) -> None:
    """Findings, and the differences between the old certificate and the new one."""
    project.run("apply", "--yes")
    project.write("certs/billing.pem", certificate(name))
    for command in (["plan"], ["validate"], ["apply", "--yes"], ["explain", "billing"]):
        for shown in ways(command[0]):
            check(project.run(*command, *shown))


ARGUMENTS = (
    ["{}"],
    ["plan", "{}"],
    ["plan", "--only", "{}"],
    ["plan", "--at", "{}"],
    ["plan", "--format", "{}"],
    ["plan", "--{}"],
    ["plan", "--allow-deletes", "{}"],
    ["--file", "{}", "plan"],
    ["--color", "{}", "plan"],
    ["show", "{}"],
    ["apply", "{}"],
    ["apply", "--phase", "{}"],
    ["apply", "--digest", "{}"],
    ["apply", "--yes", "--override-freeze", "{}"],
    ["plan", "--override-protect", "{}"],
    ["apply", "--lock-timeout", "{}"],
    ["explain", "{}"],
    ["output", "{}"],
    ["retire", "{}"],
    ["schema", "{}"],
    ["schema", "--out", "{}/x"],
    ["history", "--limit", "{}"],
    ["plan", "--out", "no/such/{}"],
)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_an_argument_is_shown_and_does_nothing(project: Project, arguments: list[str]) -> None:
    """What is wrong with it is said, and none is taken for a command."""
    for name in [*FEW.values(), "\udcff\udc9b31m", "n" * 100_000]:
        for shown in ((), ("--format", "json"), ("--verbose",)):
            check(project.run(*(argument.replace("{}", name) for argument in arguments), *shown))
