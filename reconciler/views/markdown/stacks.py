"""A run over several stacks as Markdown: one table to judge by, and the page of each stack folded."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.checks import RunFailure
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.views.markdown.page import charred, code, findings, table, words
from reconciler.views.table import Display, formats_of, render
from reconciler.views.text.lines import counted
from reconciler.views.text.stacks import by_urgency, count_stacks, display_of, state_of, summary_of

_SPARE = 500
"""Characters for what is said about stacks that are left out."""


def show_stacks(stacks: Stacks, display: Display) -> str:
    """The table, failures first; then as many pages as fit, in the same order."""
    found = by_urgency(stacks)
    rows = [[words(state_of(one)), _name(one), code(one.file), words(summary_of(one.report))] for one in found]
    text = "\n\n".join((f"### mtlsctl {stacks.command}: {count_stacks(stacks)}", *table(_HEADS, rows)))
    left = 0
    for result in found:
        folded = f"\n\n{_folded(result, display)}"
        if len(text) + len(folded) <= display.most_characters - _SPARE:
            text += folded
        else:
            left += 1
    more = f"\n\n{counted(left, 'stack')} too long to show here: see the log of this run." if left else ""
    return f"{text}{more}\n"


_HEADS = ("", "Stack", "File", "Result")


def _name(result: StackResult) -> str:
    return code(result.stack) if result.stack is not None else ""


def _folded(result: StackResult, display: Display) -> str:
    title = f"<code>{charred(result.file)}</code>: {charred(state_of(result))}"
    body = "\n\n".join(_page(result, display_of(result, display)))
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _page(result: StackResult, display: Display) -> Iterator[str]:
    if result.note:
        yield words(result.note)
    if isinstance(result.report, RunFailure):
        yield from findings(result.report.diagnostics, display)
    elif "markdown" in formats_of(type(result.report)):
        yield render(result.report, "markdown", display).strip("\n")
