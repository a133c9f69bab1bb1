"""What `mtlsctl ci` asks of a forge, such as GitHub or GitLab: comments on a pull request, and issues.

A pull request is also what GitLab calls a merge request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Protocol

from reconciler.findings.values import dataclass


class ForgeName(StrEnum):
    """The forges that mtlsctl knows."""

    GITHUB = "github"
    GITLAB = "gitlab"


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment that the token's own user wrote on a pull request. `url`: where a browser shows it."""

    id: int
    body: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue that the token's own user opened."""

    number: int
    title: str
    body: str
    is_open: bool


class PullState(StrEnum):
    """Whether a pull request waits for its merge, was merged, or was closed without that."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request. `head`: the newest commit in it, which stays the same once it is merged or closed. `url`: where
    a browser shows it."""

    number: int
    state: PullState
    head: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of a commit, by its path from the root of the repository. `content` None: it is removed."""

    path: str
    content: bytes | None = field(repr=False)


class Proposals(Protocol):
    """Branches and pull requests of one repository, with one token. Every call but `close` may raise WebError.

    `pull_noun`: what a pull request is called there.
    """

    pull_noun: str

    def close(self) -> None:
        """Close the connections."""

    def branch(self, name: str) -> str | None:
        """The commit of a branch; None if there is no such branch."""

    def message_of(self, commit: str) -> str:
        """The message of a commit."""

    def newest_pull(self, branch: str) -> PullRequest | None:
        """The newest pull request from a branch of this repository, open or not; None if there is none."""

    def create_branch(self, name: str, commit: str) -> None:
        """Create a branch; an error if it exists."""

    def remove_branch(self, name: str) -> None:
        """Remove a branch."""

    def commit(self, branch: str, parent: str, message: str, changes: Sequence[FileChange]) -> None:
        """Let a branch have a new commit on top of `parent` with these changes alone, whatever it had. In one step: it
        has the whole commit or is as before. A branch that does not exist is created."""

    def open_pull(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Open a pull request from a branch to `base`."""


class Forge(Protocol):
    """One repository on a forge, with one token. Every call but `close` may raise WebError."""

    def close(self) -> None:
        """Close the connections."""

    def comments(self, pull: int) -> Iterable[Comment]:
        """The own comments on a pull request, over all pages."""

    def add_comment(self, pull: int, body: str) -> Comment:
        """Write a comment on a pull request."""

    def edit_comment(self, pull: int, comment: int, body: str) -> Comment:
        """Replace the text of an own comment."""

    def changed_files(self, pull: int) -> frozenset[str]:
        """The paths of the files that a pull request changes; of very many, the first ones."""

    def issues(self, label: str) -> Iterable[Issue]:
        """The own issues with a label, open and closed, over all pages."""

    def add_issue(self, title: str, body: str, label: str) -> Issue:
        """Open an issue."""

    def edit_issue(self, issue: int, title: str, body: str, *, is_open: bool) -> Issue:
        """Replace title and text of an own issue, and open or close it."""

    def add_issue_comment(self, issue: int, body: str) -> None:
        """Write a comment on an issue."""
