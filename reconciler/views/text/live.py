"""What serves, beside what the wrangler file names and what mtls.toml wants, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.findings.escape import printable
from reconciler.model import Deploy
from reconciler.model.words import environment_text
from reconciler.plan.live import LiveBinding, LiveState
from reconciler.views.text.style import Style

_SIGNS = {
    LiveState.IN_SYNC: "=",
    LiveState.NEEDS_DEPLOY: "!",
    LiveState.SPLIT: "%",
    LiveState.NOT_DEPLOYED: "o",
    LiveState.UNKNOWN: "?",
}
_WORDS = {
    LiveState.IN_SYNC: "serves what the file names",
    LiveState.NEEDS_DEPLOY: "needs a deploy",
    LiveState.SPLIT: "a gradual deployment is under way",
    LiveState.NOT_DEPLOYED: "does not serve",
    LiveState.UNKNOWN: "not known",
}


def live_lines(rows: Sequence[LiveBinding] | None, style: Style) -> Iterator[str]:
    """Who presents which certificate right now. Nothing where nobody asked."""
    if rows is None:
        return
    yield ""
    yield style.bold("live (what serving versions present now):")
    if not rows:
        yield "  no declared binding"
    for row in rows:
        yield from _row_lines(row, style)
    deploys = dict.fromkeys((row.at.config, row.at.environment) for row in rows if row.state is LiveState.NEEDS_DEPLOY)
    if deploys:
        yield style.change(f"  {len(deploys)} still to deploy: " + "; ".join(_place(*one) for one in deploys))


def _row_lines(row: LiveBinding, style: Style) -> Iterator[str]:
    paint = style.good if row.state is LiveState.IN_SYNC else style.change
    subject = f"{printable(row.at.binding)} in {_place(row.at.config, row.at.environment)}"
    name = f" = {printable(row.certificate)}" if row.certificate else ""
    said = f"{_WORDS[row.state]}{f': {printable(row.detail)}' if row.detail else ''}"
    yield f"{paint(f'  {_SIGNS[row.state]}')} {subject}{name}  {style.dim(f'({said})')}"
    if row.state is LiveState.IN_SYNC and row.desired in (None, row.file):
        yield f"            everywhere: {_id(row.file)}"
        return
    if row.desired is not None or row.certificate is not None:
        yield f"            wanted: {_id(row.desired) if row.desired else '(not stored yet)'}"
    yield f"            file:   {_id(row.file)}"
    for one in row.live:
        yield f"            live:   {_id(one.id)}  {style.dim(f'(version {printable(one.version)}, {one.share:g} %)')}"


def deploy_lines(deploy: Deploy) -> Iterator[str]:
    """What changes for the traffic of one Worker."""
    for one in deploy.bindings:
        if one.differs:
            now = " and ".join(_id(live) for live in dict.fromkeys(one.live)) or "nothing"
            after = _id(one.id) if one.id or one.digest is None else "(known after the upload)"
            yield f"            {printable(one.binding)}: {now} -> {after}"


def _id(text: str | None) -> str:
    return "none" if text is None else printable(text) or '""'


def _place(config: str, environment: str | None) -> str:
    return f"{printable(config)} ({printable(environment_text(environment))})"
