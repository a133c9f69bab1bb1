"""Pages of HTML as files that can be looked at, `tests/views/pages`: `python -m tests.support.html_pages` writes them.

`parsed` reads a page as a browser does, as far as a test needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from reconciler.views.table import Display, render
from tests.support.paths import REPOSITORY
from tests.support.reports import FLEET_STATUS, place
from tests.support.screens_of_plans import PLANS
from tests.support.screens_of_work import WORK

FOLDER = REPOSITORY / "tests/views/pages"
COMMAND = "python -m tests.support.html_pages"
PAGES: Mapping[str, object] = {
    "plan": PLANS["plan"],
    "show": PLANS["show"],
    "status": PLANS["status"],
    "forecast": PLANS["forecast"],
    "outcome": WORK["outcome-failed"],
    "fleet-status": FLEET_STATUS,
}
"""Name to report."""
VOID = frozenset({"meta"})
TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "article",
        "header",
        "section",
        "nav",
        "h1",
        "h2",
        "h3",
        "p",
        "dl",
        "div",
        "dt",
        "dd",
        "ul",
        "li",
        "a",
        "strong",
        "span",
        "code",
        "pre",
        "details",
        "summary",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "svg",
        "g",
        "desc",
        "rect",
        "line",
        "path",
        "text",
    ]
)
ATTRIBUTES = frozenset(
    [
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "id",
        "aria-labelledby",
        "aria-label",
        "aria-hidden",
        "role",
        "tabindex",
        "scope",
        "href",
        "width",
        "height",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "d",
        "rx",
        "viewbox",
        "preserveaspectratio",
        "overflow",
        "fill",
        "stroke",
        "stroke-width",
        "stroke-dasharray",
        "stroke-opacity",
        "vector-effect",
        "text-anchor",
        "font-family",
        "font-size",
        "font-weight",
    ]
)
"""Of all templates. None takes a text of others."""
_VALUE = re.compile(r"[A-Za-z0-9 ,.%;:'=#/()-]*")


@dataclass
class Element:
    """An element, with its attributes, its children and all text in it, in order."""

    tag: str
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    texts: list[str | Element] = field(default_factory=list)

    def all(self, *tags: str) -> Iterator[Element]:
        """Every element below it with such a tag, in order; without tags, all of them."""
        for child in self.children:
            if not tags or child.tag in tags:
                yield child
            yield from child.all(*tags)

    @property
    def text(self) -> str:
        """What is written in it."""
        return "".join(one if isinstance(one, str) else one.text for one in self.texts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("")]
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        self.open[-1].texts.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> in {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)


def parsed(text: str) -> Element:
    """The page; AssertionError where an element is not ended where it should be, or something else is in it."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert [one.tag for one in reader.open] == [""]
    assert reader.others == []
    return reader.open[0]


def check_page(text: str) -> Element:
    """The page; fail where it has an element or an attribute that no template has."""
    page = parsed(text)
    assert {one.tag for one in page.all()} <= TAGS
    for one in page.all():
        for name, value in one.attributes.items():
            assert name in ATTRIBUTES
            assert _VALUE.fullmatch(value or ""), (name, value)
    return page


def page_of(report: object) -> str:
    """The page of a report."""
    return render(report, "html", Display(place))


def pages() -> dict[str, str]:
    """The name of each file to its text."""
    return {f"{name}.html": page_of(report) for name, report in PAGES.items()}


def words(texts: Iterable[str]) -> str:
    """Texts as one, blanks and line breaks alike."""
    return " ".join(" ".join(texts).split())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
