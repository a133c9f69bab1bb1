"""What an act writes into files becomes a pull request, found again by its branch; the checkout is never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileChangedError, FileError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import EntryId, Sweep
from reconciler.model.fleet import StackKey
from reconciler.model.forges import FileChange, ForgeName, Proposals, PullRequest, PullState
from reconciler.model.keys import KeyFile, KeyFolders
from reconciler.model.web import Refusal, WebError
from reconciler.runs.ci.renew import ProposalTarget, head_of_checkout
from reconciler.runs.fleet.listed import named_files
from reconciler.runs.fleet.opened import OpenedFleet, read_secret
from reconciler.runs.project import Project, ProjectTree
from reconciler.system.git import GitProblem, NotThere, changed_since


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """The port `ProjectTree` over another one: what is written is kept here, and read back from here."""

    files: ProjectTree
    written: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def root(self) -> Path:
        """As `ProjectTree`."""
        return self.files.root

    @property
    def key_folders(self) -> KeyFolders:
        """As `ProjectTree`."""
        return self.files.key_folders

    def read(self, path: str, *, limit: int) -> bytes:
        """As `FileReader`."""
        found = self.written.get(self.files.identity(path))
        return self.files.read(path, limit=limit) if found is None else found

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        """As `Files`."""
        if self.read(path, limit=len(old)) != old:
            raise FileChangedError(f"{path!r} was changed during this run", hint="run this again", where=Place(path))
        self.written[self.files.identity(path)] = new

    def create(self, path: str, data: bytes) -> None:
        """As `ProjectTree`."""
        folder, _, name = path.rpartition("/")
        if self.files.identity(path) in self.written or name in (self.files.files_in(folder or ".") or ()):
            raise FileError(f"{path!r} already exists", hint="move it away", where=Place(path), code=Code.FILE_EXISTS)
        self.written[self.files.identity(path)] = data

    def demand_writable(self, path: str, *, new: bool) -> None:
        """As `ProjectTree`, of a new file, which is to be committed; no other is written into the tree."""
        if new:
            self.files.demand_writable(path, new=True)

    def changes(self) -> tuple[FileChange, ...]:
        """What was written, by paths from the root of the repository."""
        return tuple(FileChange(path, data) for path, data in sorted(self.written.items()))

    def identity(self, path: str) -> str:
        """As `FileReader`."""
        return self.files.identity(path)

    def files_in(self, folder: str) -> frozenset[str] | None:
        """As `FileReader`."""
        return self.files.files_in(folder)

    def folders_up(self, path: str) -> tuple[str, ...]:
        """As `FileReader`."""
        return self.files.folders_up(path)

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        """As `FileReader`; of the files as they are, so that what only a pull request removes is still used."""
        return self.files.sweep(ids)

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        """As `KeyFiles`."""
        return self.files.read_key(path, limit=limit)

    def tidy(self) -> None:
        """Nothing to remove."""


def open_forge(opened: OpenedFleet, environ: Mapping[str, str], tell: Callable[[str], None]) -> Proposals | None:
    """The forge of fleet.toml; None if it has none. ReconcilerError for a token or an address that can't be used."""
    from reconciler.forges import github, gitlab
    from reconciler.web.http import check_base_url, check_token

    forge = opened.fleet.forge
    if forge is None:
        return None
    is_gitlab = forge.kind is ForgeName.GITLAB
    public = gitlab.API_URL if is_gitlab else github.API_URL
    token = check_token("`token` of [forge]", read_secret(forge.token, environ, opened, ("forge", "token")))
    base_url = check_base_url("`url` of [forge]", forge.url or public, "correct it, or leave it out")
    opens = gitlab.open_gitlab if is_gitlab else github.open_github
    return opens(base_url, forge.repository, token, tell)


def find_target(forge: Proposals, base: str, project: Project) -> ProposalTarget:
    """Where changes of a stack are proposed. ReconcilerError, before anything is changed, if its files differ from the
    commit that is checked out, or if the forge does not have that commit or the branch `base`."""
    commit, changed = head_of_checkout(project), changed_since(project.files.root, "HEAD")
    if isinstance(changed, GitProblem):
        raise ReconcilerError(changed.message, hint=changed.hint, code=Code.GIT_UNREADABLE)
    names = (*named_files(project), project.within)
    found = sorted(
        path
        for path in (frozenset() if isinstance(changed, NotThere) else changed)
        if any(path == name or path.startswith(f"{name}/wrangler.") for name in names)
    )
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        message = f"{found[0]}{more} differ{'' if more else 's'} from the commit {commit[:8]}; nothing was changed"
        hint = "commit and push it, or undo it: a pull request begins at the commit that is checked out"
        raise ReconcilerError(message, hint=hint, code=Code.FLEET_UNCOMMITTED)
    if forge.branch(base) is None:
        message = f"the forge has no branch {base} that this token can read; nothing was changed"
        hint = "check the repository and `base` in `[forge]`, and the rights of the token"
        raise ReconcilerError(message, hint=hint, code=Code.FORGE)
    try:
        forge.message_of(commit)
    except WebError as error:
        if error.refusal is not Refusal.MISSING:
            raise
        message = f"the commit {commit[:8]} that is checked out is not on the forge; nothing was changed"
        raise ReconcilerError(message, hint="push it, then run this again", code=Code.FORGE) from error
    return ProposalTarget(forge, commit, base)


def branch_of(key: StackKey) -> str:
    """The branch of the changes of a stack: each has one."""
    return f"mtlsctl/apply/{key[0][:8]}/{key[1]}"


def propose_files(
    target: ProposalTarget, branch: str, title: str, body: str, changes: Sequence[FileChange]
) -> tuple[PullRequest, bool]:
    """The pull request with these changes on top of the commit of `target`: the one that there is, also if it was
    merged or closed, unless it was closed and its branch deleted, or made again since; an open one with other changes
    gets these; else a new one. And whether anything was changed."""
    forge, digest = target.forge, hashlib.sha256()
    for one in changes:
        digest.update(f"{one.path}\0{len(one.content or b'')}\0".encode() + (one.content or b""))
    mark = f"Changes: sha256:{digest.hexdigest()}"
    pull, there = forge.newest_pull(branch), forge.branch(branch)
    is_wanted_again = pull is not None and pull.state is PullState.CLOSED and there != pull.head
    if pull is not None and not is_wanted_again:
        # GitLab updates the head of an open one a while after its branch.
        newest = (there if pull.state is PullState.OPEN else None) or pull.head
        if mark in forge.message_of(newest).splitlines():
            return pull, False
    forge.commit(branch, target.commit, f"{title}\n\n{mark}", changes)
    if pull is not None and pull.state is PullState.OPEN:
        return pull, True
    return forge.open_pull(branch, target.base, title, body), True
