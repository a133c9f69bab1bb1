"""Which Worker uses which certificate, as a picture that GitHub and GitLab draw from Mermaid in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reconciler.plan.plan import Plan
from reconciler.views.text.lines import counted

MOST_EDGES = 30
_LONGEST = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._/-]")


def show_bindings(plans: Iterable[Plan]) -> str:
    """A block of Markdown with an arrow from each declared certificate to each binding; empty without bindings.

    Of more than `MOST_EDGES` the first ones, and how many more there are.
    """
    edges = [edge for plan in plans for edge in _edges(plan)]
    if not edges:
        return ""
    names = dict.fromkeys(name for edge in edges[:MOST_EDGES] for name in edge)
    nodes = {name: f"n{number}" for number, name in enumerate(names)}
    lines = [f'  {node}["{_label(text)}"]' for (_, text), node in nodes.items()]
    lines += [f"  {nodes[source]} --> {nodes[target]}" for source, target in edges[:MOST_EDGES]]
    more = len(edges) - MOST_EDGES
    rest = f"\n{counted(more, 'more binding')} not shown.\n" if more > 0 else ""
    return "\n".join(("```mermaid", "flowchart LR", *lines, "```", "")) + rest


_Node = tuple[str, str]
"""Its kind with the stack, so that a certificate and a Worker of one name are two; and its text."""


def _edges(plan: Plan) -> Iterator[tuple[_Node, _Node]]:
    for row in plan.assessment.bindings:
        if row.declared is not None:
            source = row.certificate or row.wanted or row.found_id
            at = "/".join(filter(None, (row.at.worker, row.at.environment, row.at.binding)))
            if source is not None:
                yield (f"certificate {plan.stack}", source), (f"binding {plan.stack} {row.at.config}", at)
    for use in plan.assessment.updates:
        if use.certificate is not None:
            kind, holder, part = use.at.place
            at = f"{use.at.kind}/{use.at.label}/{part}"
            yield (f"certificate {plan.stack}", use.certificate), (f"{kind} {plan.stack} {holder}", at)


def _label(text: str) -> str:
    """A name in which nothing means anything to Mermaid, HTML or Markdown."""
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"
    return _UNSAFE.sub(lambda sign: f"#{ord(sign[0])};", shown)
