"""One comment on a pull request, kept up to date: found by a hidden marker among the own comments, and never twice.

The first line of the comment is the marker with its key, the second says of which run and commit it is.
"""

from __future__ import annotations

import hashlib
import re

from reconciler.findings.values import dataclass
from reconciler.model.forges import Comment, Forge
from reconciler.model.web import Refusal, WebError

_SAFE_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RUN = re.compile(r"<!-- mtlsctl:run:(\d{1,18})\.(\d{1,18}):([0-9a-f]{0,64}) -->")
_LINE = re.compile(r"\r?\n")
OLD = "**This comment belongs to an older commit.**"


@dataclass(frozen=True, slots=True)
class RunOf:
    """Which run wrote something: `number` and `attempt` grow from run to run. `commit`: of the pull request's head.
    `url`: where a browser shows the run."""

    number: int
    attempt: int
    commit: str
    url: str = ""

    @property
    def order(self) -> tuple[int, int]:
        """Later runs are greater."""
        return (self.number, self.attempt)


def safe_key(key: str) -> str:
    """A key that can't end a hidden line, at most 64 characters; two keys never have the same one."""
    if _SAFE_KEY.fullmatch(key):
        return key
    digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    return f"{_UNSAFE.sub('-', key)[:48]}-{digest}"


def marker_of(kind: str, key: str) -> str:
    """The hidden line by which a text is found again."""
    return f"<!-- mtlsctl:{kind}:{safe_key(key)} -->"


def is_marked(body: str, marker: str) -> bool:
    """Whether a text begins with this marker, alone on its line."""
    return _LINE.split(body, maxsplit=1)[0] == marker


def keep_comment(
    forge: Forge, pull: int, marker: str, run: RunOf, body: str, *, or_short: str, only_if_there: bool
) -> Comment | None:
    """The comment, now with this body unless a newer run wrote it; None if there is none, and none is wanted.

    `or_short`: the body if the forge finds the other too long. WebError if it can't be written.
    """
    text = _marked(marker, run, body)
    for attempt in range(2):
        there = _find(forge, pull, marker)
        if there is None and only_if_there:
            return None
        if there is not None and _order_of(there) > run.order:
            return there
        try:
            if there is None:
                return forge.add_comment(pull, text)
            return there if there.body == text else forge.edit_comment(pull, there.id, text)
        except WebError as error:
            if error.refusal is Refusal.INVALID:
                text = _marked(marker, run, or_short)
            elif error.refusal not in {Refusal.UNKNOWN, Refusal.MISSING}:
                raise
            if attempt:
                raise
    raise AssertionError  # the second attempt returns or raises


def mark_as_old(forge: Forge, pull: int, marker: str, run: RunOf, why: str) -> Comment | None:
    """Write above an existing comment of another commit that it is old; None if there is none. `why`: Markdown."""
    there = _find(forge, pull, marker)
    written = None if there is None else _run_of(there)
    if there is None or written is None or written.commit == run.commit or written.order > run.order:
        return None
    _, _, rest = _split(there.body)
    if rest.startswith(OLD):
        rest = rest.partition("\n\n")[2]
    # The run of the marker is ours: an older one that ends later must not say that its plan is the newest.
    return forge.edit_comment(pull, there.id, _marked(marker, run, f"{OLD} {why}\n\n{rest}"))


def only_marker(forge: Forge, pull: int, kind: str) -> str | None:
    """The marker of the only own comment of a kind; None if there is none, or if there are several."""
    firsts = [_LINE.split(one.body, maxsplit=1)[0] for one in forge.comments(pull)]
    found = [first for first in firsts if re.fullmatch(rf"<!-- mtlsctl:{kind}:{_SAFE_KEY.pattern} -->", first)]
    return found[0] if len(found) == 1 else None


def _marked(marker: str, run: RunOf, body: str) -> str:
    return f"{marker}\n<!-- mtlsctl:run:{run.number}.{run.attempt}:{run.commit} -->\n{body}"


def _find(forge: Forge, pull: int, marker: str) -> Comment | None:
    """The own comment with a marker. Of several, which runs at the same time wrote, the newest; the others lose their
    marker."""
    found = sorted((one for one in forge.comments(pull) if is_marked(one.body, marker)), key=_order_of)
    for other in found[:-1]:
        forge.edit_comment(pull, other.id, "Another comment on this pull request has the plan.")
    return found[-1] if found else None


def _split(body: str) -> tuple[str, str, str]:
    first, second, rest = (*_LINE.split(body, maxsplit=2), "", "")[:3]
    return first, second, rest.replace("\r\n", "\n")


def _run_of(comment: Comment) -> RunOf | None:
    found = _RUN.fullmatch(_split(comment.body)[1])
    return RunOf(int(found[1]), int(found[2]), found[3]) if found is not None else None


def _order_of(comment: Comment) -> tuple[int, int]:
    """Of the run that wrote a comment; before all others if it does not say which."""
    written = _run_of(comment)
    return written.order if written is not None else (0, 0)
