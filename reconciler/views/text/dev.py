"""What a person sees while a Worker runs on this machine: where it answers, and what it and workerd print."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reconciler.findings.escape import printable
from reconciler.views.text.status import time_text
from reconciler.views.text.style import Style

_LONGEST = 4000


def render_running(
    worker: str, where: str, url: str, presented: Iterable[tuple[str, str, datetime]], style: Style
) -> str:
    """Where the Worker answers, and which binding presents what: pairs of binding and certificate, with its end."""
    lines = [style.bold(f"{printable(worker)} ({printable(where)}) answers on {url}")]
    rows = [(printable(binding), printable(name), ends) for binding, name, ends in presented]
    width = max((len(binding) for binding, _, _ in rows), default=0)
    lines += [f"  {binding:<{width}}  presents {name}, which ends {time_text(ends)}" for binding, name, ends in rows]
    if not rows:
        lines.append(style.warn("  no binding of it presents a certificate"))
    return "\n".join(lines) + "\n"


def render_line(line: str) -> str:
    """A line that a Worker printed: it may be anything, and acts on no terminal."""
    return printable(line[:_LONGEST])
