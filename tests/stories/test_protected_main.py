"""A team's whole way by pull requests: main is protected, the plan is reviewed, and only a pipeline has the tokens.

Every step is a clone of its own, as on a runner. Nothing but what was pushed leads from one to the next.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import reconciler.runs.project as projects
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from tests.emulator.test_wrangler import Bench as Wrangler
from tests.support.ci import Bench
from tests.support.cli import Project, Result
from tests.support.emulated import TOKEN, make_state
from tests.support.forges import GitHub
from tests.support.pki import DAY, Issued
from tests.support.store_contract import LEAVES, SetClock
from tests.support.wrangler_readers import MODULES, find_node

MTLS = f"""\
version = 1
stack = "payments"
store = {{ kind = "cloudflare", account_id = "{ACCOUNT_ID}" }}
policy = {{ grace = "7d", rollback_versions = 0 }}

[certificates.billing]
certificate = "certs/billing.pem"
private_key = {{ env = "BILLING_KEY" }}

[workers.tiny]
config = "wrangler.toml"
deploy = "wrangler"

[workers.tiny.bindings]
MY_CERT = "billing"
"""
READING = "a-token-that-may-only-read"
READ = frozenset(one for one in Permission if one.value.endswith("Read"))

# As on a forge: main takes merges of the forge alone. A branch is for everyone.
PROTECTED = """\
#!/bin/sh
while read -r old new name; do
  test "$name" != refs/heads/main || test "$MERGED_BY_FORGE" = 1 || { echo "main is protected" >&2; exit 1; }
done
"""


@dataclass
class Forge:
    """A repository whose main is protected, an account, and a place for the clones of runners."""

    folder: Path
    state: EmulatorState
    url: str
    clock: SetClock
    github: GitHub
    secrets: dict[str, str] = field(default_factory=dict)
    clones: int = 0
    runs: int = 0

    def git(self, *arguments: str, at: Path, merging: bool = False, code: int = 0) -> str:
        """git, without anything of this machine's configuration."""
        who = ["-c", "user.name=team", "-c", "user.email=team@mtls.example", "-c", "core.hooksPath=hooks"]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        environ |= {"MERGED_BY_FORGE": "1"} if merging else {}
        done = subprocess.run(
            ["git", *who, *arguments], cwd=at, env=environ, check=False, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def clone(self, branch: str, token: str | None = None, **secrets: str) -> Project:
        """A runner's checkout of a branch, with a token or none, and the keys that its job is given."""
        self.clones += 1
        folder = self.folder / f"clone-{self.clones}"
        self.git("clone", "--quiet", "--branch", branch, "origin.git", folder.name, at=self.folder)
        environ = {
            "CLOUDFLARE_API_BASE_URL": self.url,
            "MTLSCTL_WRANGLER": str(MODULES / ".bin" / "wrangler"),
            "PATH": os.pathsep.join((str(Path(find_node()).parent), os.defpath)),
            **({"CLOUDFLARE_API_TOKEN": token} if token else {}),
            **secrets,
        }
        return Project(folder, environ)

    def push(self, project: Project, branch: str, message: str) -> None:
        """A branch with what is in this checkout."""
        self.git("checkout", "--quiet", "-B", branch, at=project.folder)
        self.git("add", "--all", at=project.folder)
        self.git("commit", "--quiet", "--message", message, at=project.folder)
        self.git("push", "--quiet", "--force", "origin", branch, at=project.folder)

    def merge(self, branch: str) -> None:
        """The forge merges a pull request."""
        project = self.clone("main")
        self.git("merge", "--quiet", "--no-ff", "--message", f"merge {branch}", f"origin/{branch}", at=project.folder)
        self.git("push", "--quiet", "origin", "main", at=project.folder, merging=True)

    def propose(self, issued: Issued, branch: str) -> None:
        """A developer proposes a certificate; its key goes to the secrets of the protected environment."""
        project = self.clone("main")
        project.write("certs/billing.pem", issued.certificate_pem)
        self.push(project, branch, f"billing is {issued.bundle.fingerprint[:12]}")
        self.secrets["BILLING_KEY"] = issued.key_pem.decode()

    def review(self, branch: str) -> list[str]:
        """The plan on the pull request, with the token that may only read: what would be done, and the comment."""
        bench = Bench(self.clone(branch, READING), self.github)
        head = self.git("rev-parse", "HEAD", at=bench.project.folder).strip()
        self.runs += 1
        assert bench.ci("validate", run=self.runs, commit=head).code == 0
        done = bench.ci("plan", "--deploy", run=self.runs, commit=head)
        assert done.code == 0, done.out + done.err
        plan = json.loads(Path(bench.outputs["plan"]).read_text())
        return [change["action"] for change in plan["changes"]]

    @property
    def comment(self) -> str:
        """The only comment on the pull request."""
        (found,) = self.github.comments
        return str(found["body"])

    def approve(self) -> bytes:
        """The first job on main: the plan that a reviewer approves."""
        project = self.clone("main", READING)
        result = project.run("plan", "--deploy", "--live", "--out", "../plan.json")
        assert result.code == 0, result.out + result.err
        return (self.folder / "plan.json").read_bytes()

    def apply(self, plan: bytes) -> Result:
        """The second job on main, after the approval: exactly that plan; the ids come back as a pull request."""
        project = self.clone("main", TOKEN, **self.secrets)
        (self.folder / "approved.json").write_bytes(plan)
        result = project.run("apply", "../approved.json", "--format", "json")
        if self.git("status", "--porcelain", "--untracked-files=no", at=project.folder):
            self.push(project, "ids", "Write the IDs of mtlsctl apply")
            self.merge("ids")
        return result

    def roll_out(self, branch: str) -> list[str]:
        """Merge, approve, apply; what was done."""
        self.merge(branch)
        result = self.apply(self.approve())
        assert result.code == 0, result.out + result.err
        return [step["change"]["action"] for step in result.json["done"]]

    def serving(self) -> set[str]:
        """The fingerprints of the certificates that live versions use."""
        account = self.state.account()
        held = [entry for entry in account.store.list_entries().entries if entry.id in account.held()]
        return {entry.bundle.fingerprint for entry in held if entry.bundle is not None}

    def stored(self) -> int:
        """How many certificates the account holds."""
        return len(self.state.account().store.list_entries().entries)


@pytest.fixture
def forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """A Worker that is deployed, with a placeholder; main is protected from now on."""
    find_node()
    clock = SetClock()
    monkeypatch.setattr(projects, "SystemClock", lambda: clock)
    state = make_state(clock)
    state.access.tokens.update({TOKEN: Token(), READING: Token(READ)})
    github = GitHub()
    with running(state) as url, github.running():
        made = Forge(tmp_path, state, url, clock, github)
        (tmp_path / "origin.git").mkdir()
        made.git("init", "--quiet", "--bare", "--initial-branch", "main", at=tmp_path / "origin.git")
        made.git("clone", "--quiet", "origin.git", "first", at=tmp_path)
        first = Project(tmp_path / "first")
        Wrangler(first.folder, url, state).bind("<CERTIFICATE_ID>")
        first.write("mtls.toml", MTLS)
        first.write("certs/billing.pem", LEAVES[0].certificate_pem)
        made.secrets["BILLING_KEY"] = LEAVES[0].key_pem.decode()
        made.push(first, "main", "a Worker and its certificate")
        hook = tmp_path / "origin.git/hooks/pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(PROTECTED)
        hook.chmod(0o755)
        yield made


def test_a_renewal_goes_by_pull_requests_alone_and_comes_back_by_a_revert(forge: Forge) -> None:
    """Plan, approval, apply, ids back, deploy; a revert in a second run; forward again; then the old one is deleted."""
    assert "main is protected" in _push_to_main(forge)
    assert forge.apply(forge.approve()).code == 0
    Wrangler(forge.clone("main").folder, forge.url, forge.state).passes("deploy")  # at first it is the team's own
    old, new = (leaf.bundle.fingerprint for leaf in LEAVES[:2])
    assert forge.serving() == {old}

    forge.propose(LEAVES[1], "renewal")
    assert forge.review("renewal") == ["upload", "rebind", "deploy"]
    assert "1 upload, 1 config change, 1 deploy" in forge.comment
    assert forge.review("renewal") == ["upload", "rebind", "deploy"]  # pushed again: the same comment
    assert forge.roll_out("renewal") == ["upload", "rebind", "deploy"]
    assert forge.serving() == {new}
    assert forge.review("main") == []
    assert "no changes" in forge.comment

    approved = forge.approve()
    reverting = forge.clone("main")
    forge.git("revert", "--no-edit", "--mainline", "1", _merge_of(forge, reverting, "renewal"), at=reverting.folder)
    forge.git("push", "--quiet", "origin", "HEAD:undo", at=reverting.folder)
    forge.secrets.clear()  # nobody has the old key any more
    assert forge.review("undo") == ["rebind", "deploy"]
    forge.merge("undo")
    assert forge.apply(approved).code == 4  # of the time before the revert
    assert forge.serving() == {new}
    assert forge.apply(forge.approve()).code == 0
    assert forge.serving() == {old}

    again = forge.clone("main")
    forge.git("revert", "--no-edit", "--mainline", "1", _merge_of(forge, again, "undo"), at=again.folder)
    forge.git("push", "--quiet", "origin", "HEAD:again", at=again.folder)
    assert forge.roll_out("again") == ["rebind", "deploy"]
    assert (forge.serving(), forge.stored()) == ({new}, 2)

    forge.clock.time += 3 * DAY
    assert forge.apply(forge.approve()).json["done"] == []  # the grace period is not over
    forge.clock.time += 5 * DAY
    done = forge.apply(forge.approve())
    assert [step["change"]["action"] for step in done.json["done"]] == ["retire"]
    assert (forge.serving(), forge.stored()) == ({new}, 1)
    assert forge.review("main") == []


def _push_to_main(forge: Forge) -> str:
    """What a developer hears who pushes to main."""
    project = forge.clone("main")
    project.write("certs/billing.pem", LEAVES[2].certificate_pem)
    forge.git("commit", "--quiet", "--all", "--message", "in a hurry", at=project.folder)
    return forge.git("push", "origin", "main", at=project.folder, code=1)


def _merge_of(forge: Forge, project: Project, branch: str) -> str:
    """The commit that merged a branch."""
    return forge.git("log", "-1", "--format=%H", "--grep", f"merge {branch}", at=project.folder).strip()
