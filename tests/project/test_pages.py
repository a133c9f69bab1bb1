"""The tutorial and the how-to pages are true: their commands run, in their order, and print what is shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import tomli
import yaml

from reconciler.emulator.app import PREFIX
from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState, new_state
from reconciler.system.clock import SystemClock
from tests.support.cli import Project
from tests.support.emulated import account_environ
from tests.support.pages import NOT_RUN, blocks, not_printed, run_page
from tests.support.paths import REPOSITORY
from tests.support.runtime_programs import install_wrangler, node_path
from tests.support.tools import find_age, find_tool
from tests.support.vault import TOKEN as VAULT_TOKEN
from tests.support.vault_pki import Engine, PkiVault, Role
from tests.support.worlds import issued
from tests.support.wrangler_readers import MODULES

DOCS = REPOSITORY / "docs"
PAGES = [DOCS / "tutorial.md", *sorted(DOCS.glob("how-to/*.md"))]
ids = pytest.mark.parametrize

MTLS = """\
version = 1
stack = "payments"

[store]
kind = "cloudflare"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[workers.checkout]
config = "workers/checkout/wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
"""

WRANGLER = """\
name = "checkout"
main = "src/index.js"
compatibility_date = "2026-11-01"

mtls_certificates = [
  { binding = "BILLING", certificate_id = "<CERTIFICATE_ID>" }, # written by mtlsctl
]
"""

WORKER = """\
export default {
  async fetch(request, env) {
    return await env.BILLING.fetch("https://billing.example:8443/");
  }
};
"""


class Reader:
    """Where a reader of a page is: a repository, an account in the emulator, and renewed certificates at home."""

    def __init__(self, folder: Path, url: str, state: EmulatorState) -> None:
        self.folder, self.url, self.state = folder / "payments", url, state
        self.home = folder / "home"
        self.folder.mkdir()
        self.home.mkdir()
        self.environ = {
            "HOME": str(self.home),
            "CI": "true",
            "NO_COLOR": "1",
            "WRANGLER_SEND_METRICS": "false",
            **account_environ(url),
        }
        self.git("config", "--global", "init.defaultBranch", "main")
        self.git("config", "--global", "user.name", "Reader")
        self.git("config", "--global", "user.email", "reader@mtls.example")
        for number, name in enumerate(("renewed", "renewed-again", "third", "fourth", "fifth"), start=2):
            (self.home / name).mkdir()
            (self.home / name / "billing.pem").write_bytes(issued(number).certificate_pem)
            (self.home / name / "billing.key").write_bytes(issued(number).key_pem)

    def git(self, *arguments: str) -> None:
        """A git command in the repository."""
        subprocess.run(
            ["git", *arguments], cwd=self.folder, env={**os.environ, **self.environ}, check=True, capture_output=True
        )

    @property
    def project(self) -> Project:
        """The same for commands in process."""
        return Project(self.folder, dict(self.environ))

    def write(self) -> None:
        """What the how-to pages begin with, before anything was uploaded."""
        files = {"mtls.toml": MTLS, "workers/checkout/wrangler.toml": WRANGLER, "workers/checkout/src/index.js": WORKER}
        for path, text in {**files, ".gitignore": "node_modules\n*.key\n"}.items():
            self.project.write(path, text)
        self.project.write("certs/billing.pem", issued(1).certificate_pem)
        self.environ["BILLING_KEY"] = issued(1).key_pem.decode()
        self.git("init")

    def commit(self) -> None:
        """Everything."""
        self.git("add", ".")
        self.git("commit", "-m", "Certificates")

    def apply_and_deploy(self) -> None:
        """One certificate is uploaded, bound and used by a live Worker."""
        assert self.project.run("apply", "--yes").code == 0
        (entry,) = self.state.account().entries()
        self.deploy(entry.id)
        self.commit()

    def deploy(self, entry: str) -> None:
        """A live version of the Worker uses this certificate, as `wrangler deploy` would make it."""
        body = {"worker": "checkout", "bindings": {"BILLING": entry}}
        httpx.post(f"{self.url.removesuffix(PREFIX)}/_emulator/bind", json=body).raise_for_status()


def nothing(reader: Reader) -> None:
    """An empty folder."""


def by_hand(reader: Reader) -> None:
    """A Worker whose certificate was uploaded by hand, and whose ID is in its wrangler file; no mtls.toml."""
    reader.write()
    (reader.folder / "mtls.toml").unlink()
    entry = reader.state.account().store.seed(
        type_="custom", name="billing", ca=False, certificates=issued(1).certificate_pem.decode()
    )
    reader.state.account().added(entry)
    reader.project.write("workers/checkout/wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", entry.id))
    reader.deploy(entry.id)
    reader.commit()


def declared(reader: Reader) -> None:
    """One certificate is uploaded, bound, and used by a live Worker; all of it is committed."""
    reader.write()
    reader.apply_and_deploy()


def renewed(reader: Reader) -> None:
    """The same, and the certificate was renewed in a commit of its own, and deployed."""
    declared(reader)
    reader.project.write("certs/billing.pem", issued(2).certificate_pem)
    reader.environ["BILLING_KEY"] = issued(2).key_pem.decode()
    assert reader.project.run("apply", "--yes").code == 0
    reader.deploy(reader.project.run("output", "billing").out.strip())
    reader.git("commit", "-am", "Renew billing")
    del reader.environ["BILLING_KEY"]


STARTS: dict[str, Callable[[Reader], None]] = {
    "tutorial.md": nothing,
    "adopt.md": by_hand,
    "emulator.md": nothing,
    "roll-back.md": renewed,
}
"""What a page begins with, where that is not `declared`."""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    state, vault = new_state(SystemClock()), PkiVault(pki={"pki": Engine({"mtls-clients": Role("client-1")})})
    vault.put("mtls/billing", private_key=issued(3).key_pem.decode())
    with running(state) as url, vault.running() as address:
        reader = Reader(tmp_path, url, state)
        reader.environ |= {"VAULT_ADDR": address, "VAULT_TOKEN": VAULT_TOKEN}
        yield reader


def read(page: Path, reader: Reader) -> None:
    """Do what a page says."""
    STARTS.get(page.name, declared)(reader)
    shutil.copy(REPOSITORY / "examples/throwaway.py", reader.home)
    replaced = {"127.0.0.1:8787": reader.url.split("/")[2]}
    printed = run_page(page, reader.folder, reader.environ, replaced=replaced)
    assert list(not_printed(page, printed)) == []


def runs(page: Path, program: str) -> bool:
    """A block that is run has this program in it."""
    return any(program in (block.shell or "") for block in blocks(page))


@ids("page", [page for page in PAGES if not runs(page, "npx wrangler")], ids=lambda page: page.stem)
def test_the_commands_of_a_page_work(page: Path, reader: Reader) -> None:
    """Each block ends well, after the blocks before it."""
    if runs(page, "sops "):
        folders = (find_tool("sops").parent, find_age(), os.environ["PATH"])
        reader.environ["PATH"] = os.pathsep.join(map(str, folders))
    read(page, reader)


@ids("page", [page for page in PAGES if runs(page, "npx wrangler")], ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_with_wrangler(page: Path, reader: Reader) -> None:
    """The same with the real one, which comes from npm."""
    install_wrangler(reader.folder)
    reader.environ |= {"PATH": node_path(), "NODE_PROGRAMS": str(MODULES / ".bin")}
    read(page, reader)


@ids("page", PAGES, ids=lambda page: page.stem)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    """By one of few reasons, so that no command is left out by the way."""
    notes = [block.note for block in blocks(page) if block.note]
    assert {note.partition(": ")[0] for note in notes} <= {"not run", "writes", "adds to"}
    assert {note.removeprefix("not run: ") for note in notes if note.startswith("not run")} <= NOT_RUN


def test_every_block_of_commands_is_found() -> None:
    """An indented block, or one of another shell, would be left out."""
    for page in PAGES:
        fences = re.findall(r"(?m)^\s*(?:```|~~~).+$", page.read_text())
        assert len(fences) == sum(block.language != "test" for block in blocks(page)), page.name
        assert not {"bash", "shell", "console"} & {block.language for block in blocks(page)}, page.name
    assert not set(STARTS) - {page.name for page in PAGES}


@ids("page", PAGES, ids=lambda page: page.stem)
def test_the_files_of_a_page_can_be_read(page: Path) -> None:
    """TOML and YAML, to copy."""
    for block in blocks(page):
        match block.language:
            case "toml":
                tomli.loads(block.text)
            case "yaml":
                list(yaml.safe_load_all(block.text))
            case _:
                pass


# --- the runner itself ----------------------------------------------------------------------------------------------


@ids(
    ("block", "ends"),
    [
        ("true\n", True),
        ("false\n", False),
        ("false | true\n", False),
        ("false  # exit code 1\ntrue\n", True),
        ("true   # exit code 1\ntrue\n", False),
        ("echo $UNSET\n", False),
    ],
)
def test_a_page_fails_with_its_first_wrong_command(tmp_path: Path, block: str, ends: bool) -> None:
    """Also in a pipe, with an exit code that is not as said, and for a variable that nothing sets."""
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{block}```\n")
    if ends:
        assert list(run_page(page, tmp_path, {}, replaced={})) == [1]
    else:
        with pytest.raises(AssertionError, match="ends with 1"):
            run_page(page, tmp_path, {}, replaced={})


def test_what_a_page_shows_has_to_be_printed(tmp_path: Path) -> None:
    """But for IDs, numbers and what is left out."""
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\necho uploaded 1 as deadbeef-0000, ok\n```\n\n```text\nuploaded 22 as 0badc0de...\nno\n```\n"
    )
    assert list(not_printed(page, run_page(page, tmp_path, {}, replaced={}))) == ["no"]


def test_comments_write_files_and_commands_that_no_reader_sees_run(tmp_path: Path) -> None:
    """And a block that is not run is not."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- writes: a/b.txt -->\n```toml\nx = 1\n```\n<!-- adds to: a/b.txt -->\n```toml\ny = 2\n```\n"
        "<!-- in the test: echo z >> a/b.txt -->\n<!-- not run: needs a cluster -->\n```sh\nrm a/b.txt\n```\n"
    )
    run_page(page, tmp_path, {}, replaced={})
    assert (tmp_path / "a/b.txt").read_text() == "x = 1\n\ny = 2\nz\n"
