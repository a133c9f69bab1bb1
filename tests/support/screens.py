"""What a terminal shows of each report, at several widths, as files that can be looked at: `tests/views/screens`.

`python -m tests.support.screens` writes them again. To add a report, add a row to the table of a `screens_of_*` module.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.views.table import Display, render
from tests.support.paths import REPOSITORY
from tests.support.reports import place
from tests.support.screens_of_work import WORK

FOLDER = REPOSITORY / "tests/views/screens"
WIDTHS = (60, 80, 120, 200)
COMMAND = "python -m tests.support.screens"

SCREENS: Mapping[str, object] = {**WORK}
"""Name to report."""


def screens() -> dict[str, str]:
    """File name to text, of every report at every width."""
    return {
        f"{name}-{width}.txt": render(report, "text", Display(place, width=width))
        for name, report in SCREENS.items()
        for width in WIDTHS
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    made = screens()
    for name, text in made.items():
        (FOLDER / name).write_text(text)
    for left in {path.name for path in FOLDER.iterdir()} - made.keys():
        (FOLDER / left).unlink()
