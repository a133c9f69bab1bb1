"""Renewals in a pipeline: one pull request for each certificate, found again by its branch.

The order keeps a killed job from hiding anything: look for the branch, create it, renew, commit, open the pull request.
A branch without the commit of a renewal is of a job that ended in between; the issuer may have been asked by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model.forges import FileChange, Proposals, PullState
from reconciler.model.key_places import SopsSink
from reconciler.plan.renewing import Renewable, RenewalProposal, Renewals, RenewStatus, RenewStep
from reconciler.runs.journal import Keep
from reconciler.runs.project import Project
from reconciler.runs.renew import RenewRequest, preview, renew
from reconciler.system.git import GitProblem, ask_tracked, head_of
from reconciler.views.markdown.renew import show_renewals_page
from reconciler.views.table import Display
from reconciler.x509.files import MAX_CHAIN_BYTES

_MOST_SLOT_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ProposalTarget:
    """Where renewals are proposed: `commit` is checked out, and `base` is the branch that it is of."""

    forge: Proposals
    commit: str
    base: str


def propose(
    project: Project,
    checkout: ProposalTarget,
    tell: Callable[[str], None],
    *,
    lock_timeout_s: float,
    keep: Keep,
    names: tuple[str, ...] = (),
) -> Renewals:
    """Renew what is due and has no pull request yet, and open one for each. `names`: of these alone, if there are
    some."""
    shown = preview(project, RenewRequest(names, due=True))
    run = _ProposalRun(project, checkout, shown)
    names = tuple(step.item.name for step in shown.steps if run.is_wanted(step.item))
    if not names:
        return replace(shown, steps=(), dry_run=False, findings=(*shown.findings, *run.findings), proposals=run.known)
    with project.lock(command="renew", timeout_s=lock_timeout_s, waiting=tell) as held:
        done = renew(
            project,
            RenewRequest(names, due=True),
            tell,
            lambda found: tell(f"warning: {found.message}"),
            demand_lock=held,
            keep=keep,
            before=run.claim,
            after=run.open,
        )
    findings = tuple(dict.fromkeys((*shown.findings, *run.findings, *done.findings)))
    return replace(done, manual=shown.manual, findings=findings, proposals=run.known)


def head_of_checkout(project: Project) -> str:
    """The commit that is checked out. ReconcilerError if git can't say it."""
    found = head_of(project.files.root)
    if isinstance(found, GitProblem):
        raise ReconcilerError(found.message, hint=found.hint, code=Code.GIT_UNREADABLE)
    return found


@dataclass(slots=True)
class _ProposalRun:
    """One run over what is due. `known`: the pull requests so far. `claimed`: branches that are there and have no
    renewal; `left`: those that a merge left."""

    project: Project
    checkout: ProposalTarget
    shown: Renewals
    known: tuple[RenewalProposal, ...] = ()
    findings: list[Diagnostic] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    _branches: dict[str, str] = field(default_factory=dict)

    def branch(self, item: Renewable) -> str:
        """The branch of a renewal: each account, stack and certificate has one. One that an earlier version made, which
        has no account in its name, serves until it is merged or deleted."""
        if item.name not in self._branches:
            named = older = f"{self.shown.stack}/{item.name}"
            account = _declared_account(self.project)
            if account is not None and not self._is_in_use(f"{_PREFIX}{older}"):
                named = f"{account[:8]}/{older}"
            self._branches[item.name] = f"{_PREFIX}{named}"
        return self._branches[item.name]

    def _is_in_use(self, branch: str) -> bool:
        pull, head = self.checkout.forge.newest_pull(branch), self.checkout.forge.branch(branch)
        if pull is None or pull.state is PullState.OPEN:
            return pull is not None or head is not None
        return head is not None and (pull.state is PullState.CLOSED or pull.head != head)

    def is_wanted(self, item: Renewable) -> bool:
        """Whether a certificate has to be renewed: nobody is asked about it yet."""
        forge, branch, noun = self.checkout.forge, self.branch(item), self.checkout.forge.pull_noun
        pull, head = forge.newest_pull(branch), forge.branch(branch)
        if pull is not None and pull.state is PullState.OPEN:
            self._add(item, pull.number, pull.url, opened=False)
            return False
        if head is None:
            return True
        # A later job that did not end created the branch, at the commit that was merged if no one has changed it since.
        if pull is not None and (
            pull.head != head or (pull.state is PullState.MERGED and head == self.checkout.commit)
        ):
            pull = None
        if pull is not None and pull.state is PullState.CLOSED:
            message = f"the renewal of {item.name!r} was closed without a merge, so it is not renewed again: {pull.url}"
            self.findings.append(_warning(self, item, message, f"to renew it all the same, delete the branch {branch}"))
            return False
        if pull is None and _replaces(item) in forge.message_of(head).splitlines():
            body = f"Renewed by a job that ended before it opened this {noun}; the commit has the new certificate."
            made = forge.open_pull(branch, self.checkout.base, _title(item), body)
            self._add(item, made.number, made.url, opened=True)
            return False
        if pull is None:
            message = (
                f"an earlier job began to renew {item.name!r} and did not end, so a certificate may have been issued"
                " that no one uses"
            )
            hint = "look for it at the issuer by its subject and time, and revoke it if you don't want it"
            self.findings.append(_warning(self, item, message, hint, Code.ISSUED_TWICE))
        (self.claimed if pull is None else self.left).add(branch)
        return True

    def claim(self, item: Renewable) -> None:
        """Create the branch before anything is asked for, so that no other job does the same."""
        branch, forge = self.branch(item), self.checkout.forge
        if branch in self.claimed:
            return
        if branch in self.left:
            forge.remove_branch(branch)
        forge.create_branch(branch, self.checkout.commit)

    def open(self, step: RenewStep) -> RenewStep:
        """Commit what a renewal changed, and open its pull request."""
        item, forge = step.item, self.checkout.forge
        branch = self.branch(item)
        try:
            if step.status is not RenewStatus.RENEWED:
                if not step.asked:
                    forge.remove_branch(branch)
                return step
            forge.commit(branch, self.checkout.commit, _message(step), tuple(self._changes(step)))
            made = forge.open_pull(branch, self.checkout.base, _title(item), self._body(step))
        except ReconcilerError as error:
            where = Pointer(self.project.name, ("certificates", item.name, "renew"))
            message = f"{item.name!r} has no {forge.pull_noun}: {error.message}"
            problem = Diagnostic(Severity.ERROR, Code.FORGE, message, where, error.hint or _AGAIN, item.name)
            return replace(step, status=RenewStatus.FAILED, problems=(*step.problems, problem))
        self._add(item, made.number, made.url, opened=True)
        return step

    def _add(self, item: Renewable, number: int, url: str, *, opened: bool) -> None:
        noun = self.checkout.forge.pull_noun
        self.known = (*self.known, RenewalProposal(item.name, self.branch(item), number, url, opened, noun))

    def _body(self, step: RenewStep) -> str:
        one = Renewals(self.shown.stack, self.shown.made, (step,))
        return show_renewals_page(one, Display(place=self.project.place))

    def _changes(self, step: RenewStep) -> Iterator[FileChange]:
        """The files that a renewal touched: that of the certificate, and encrypted keys in the tree."""
        files, declared = self.project.files, step.item.declared
        yield FileChange(files.identity(declared.path), files.read(declared.path, limit=MAX_CHAIN_BYTES))
        slots = declared.key.slots if declared.key is not None else None
        if slots is None or not isinstance(slots.sink, SopsSink):
            return
        folder = f"{slots.sink.sops}/{slots.owners[0]}"
        if step.slot is not None:
            path = f"{folder}/{step.slot}"
            yield FileChange(files.identity(path), files.read(path, limit=_MOST_SLOT_BYTES))
        removed = {self.project.folder / folder / slot: f"{folder}/{slot}" for slot in step.removed}
        tracked = ask_tracked(removed).yes
        yield from (FileChange(files.identity(path), None) for place, path in removed.items() if place in tracked)


_PREFIX = "mtlsctl/renew/"


def _declared_account(project: Project) -> str | None:
    """The account in mtls.toml itself: one of the environment is of the run, and the files are the same for each."""
    return replace(project, environ={}).declaration()[0].store.account_id


_AGAIN = "run the job again; if the sink is in the tree, its new key is lost with this runner, and a new one is made"


def _title(item: Renewable) -> str:
    return f"Renew the certificate {item.name}"


def _message(step: RenewStep) -> str:
    parts = [_title(step.item), _replaces(step.item)]
    if step.after is not None:
        facts = step.after.facts()
        parts.insert(1, f"Serial {facts.serial}, valid until {facts.not_after}, issued by {step.issuer}.")
    return "\n\n".join(parts)


def _replaces(item: Renewable) -> str:
    """The line by which a commit is known as the renewal that is due now. A merge may leave an earlier one, with the
    same title, as the newest commit of the base branch, where a new branch begins."""
    return f"Replaces: {'no certificate' if item.present is None else f'sha256:{item.present.digest}'}"


def _warning(run: _ProposalRun, item: Renewable, message: str, hint: str, code: Code = Code.FORGE) -> Diagnostic:
    where = Pointer(run.project.name, ("certificates", item.name, "renew"))
    return Diagnostic(Severity.WARNING, code, message, where, hint, item.name)
