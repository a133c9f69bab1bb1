"""Pages of HTML in a real browser: nothing is cut off or drawn over something else, on a phone and on a wide screen.

The page is in a frame of another page, whose script measures it. The page itself has none, and its policy allows none.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.views.html.page import COLOURS
from tests.servers import missing
from tests.support.html_pages import PAGES, page_of
from tests.views.test_html import many

pytestmark = pytest.mark.xdist_group("browser")  # which is started once for each width
TEXTS = {**PAGES, "many": many(60, 20)}
WINDOWS = {"a phone, dark": (360, True), "a wide screen, light": (1400, False)}
"""The width of the page, and the scheme of the reader."""

_MEASURE = """\
<!DOCTYPE html><meta charset="utf-8">
{frames}
<script>
function measure(page) {{
  const root = page.documentElement, found = {{ touching: [], cut: [] }};
  for (const one of page.querySelectorAll("details")) one.open = true;
  for (const picture of page.querySelectorAll("svg[role=img]")) {{
    const frame = picture.getBoundingClientRect();
    const texts = [...picture.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
    for (const [text, box] of texts) {{
      if (box.left < frame.left - 1 || box.right > frame.right + 1) found.cut.push(text);
      for (const [other, there] of texts) {{
        if (box !== there && box.left < there.right && there.left < box.right && box.top + 3 < there.bottom - 3
            && there.top + 3 < box.bottom - 3) found.touching.push(text + " / " + other);
      }}
    }}
  }}
  const all = [...page.querySelectorAll("*")], wide = all.filter((one) => getComputedStyle(one).overflowX === "auto");
  const scrolled = wide.filter((one) => one.scrollWidth > one.clientWidth);
  return {{ ...found, scrolled: scrolled.length, over: root.scrollWidth - root.clientWidth,
    unreached: scrolled.filter((one) => one.tabIndex !== 0).length,
    pictures: page.querySelectorAll("svg[role=img]").length,
    ground: getComputedStyle(page.body).backgroundColor, ink: getComputedStyle(page.body).color }};
}}
onload = () => {{
  const frames = [...document.querySelectorAll("iframe")];
  const found = Object.fromEntries(frames.map((one) => [one.title, measure(one.contentDocument)]));
  const shown = document.createElement("pre");
  shown.id = "found";
  shown.textContent = JSON.stringify(found);
  document.body.append(shown);
}};
</script>
"""
_FRAME = '<iframe title="{name}" srcdoc="{page}" style="width: {width}px; height: 900px; border: 0"></iframe>'


def find_browser() -> str:
    """The browser; Chromium and Chrome have the same options."""
    found = filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser")))
    return next(found, None) or missing("Chromium is not installed; tests/servers/setup does it")


@dataclass(frozen=True)
class Window:
    """What was measured of each page by its name."""

    dark: bool
    found: Mapping[str, Mapping[str, object]]


def measure(folder: Path, width: int, *, dark: bool) -> Mapping[str, Mapping[str, object]]:
    """What the browser measured of each page, in a frame of such a width."""
    browser, file = find_browser(), folder / "frames.html"
    pages = ((name, html.escape(page_of(report))) for name, report in TEXTS.items())
    frames = "\n".join(_FRAME.format(name=name, page=page, width=width) for name, page in pages)
    file.write_text(_MEASURE.format(frames=frames))
    options = ["--headless=new", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder / 'profile'}"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    options += [f"--blink-settings=preferredColorScheme={int(not dark)}", "--virtual-time-budget=20000", "--dump-dom"]
    command = [browser, *options, f"--window-size={width + 40},1000", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    result: Mapping[str, Mapping[str, object]] = json.loads(html.unescape(found[1]))
    return result


@pytest.fixture(scope="module", params=list(WINDOWS.values()), ids=list(WINDOWS))
def window(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Window:
    """A browser with all pages, one after the other."""
    width, dark = request.param
    return Window(dark, measure(tmp_path_factory.mktemp("browser"), width, dark=dark))


def rgb(colour: str) -> str:
    """A colour as a browser names it."""
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_cut_off_and_no_text_touches_another(window: Window, name: str) -> None:
    """The page is as wide as the window; what is wider scrolls on its own, and is reached by the keyboard."""
    found = window.found[name]
    assert found["over"] == 0
    assert (found["cut"], found["touching"]) == ([], [])
    assert found["unreached"] == 0
    assert window.dark or not found["scrolled"]  # on a wide screen all of it is in sight
    assert found["pictures"] or name in {"outcome", "fleet-status"}


def test_a_page_follows_the_scheme_of_its_reader(window: Window) -> None:
    """With the colours whose contrast another test computes."""
    for found in window.found.values():
        assert found["ground"] == rgb(COLOURS["paper"][window.dark])
        assert found["ink"] == rgb(COLOURS["ink"][window.dark])
