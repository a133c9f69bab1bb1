"""What `mtlsctl ci` asks of a forge, such as GitHub or GitLab: comments on a pull request, and issues.

A pull request is also what GitLab calls a merge request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


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
    url: str = ""


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
