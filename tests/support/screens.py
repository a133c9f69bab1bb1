"""What a terminal shows of each report, at several widths, as files that can be looked at: `tests/views/screens`.

`python -m tests.support.screens` writes them again. To add a report, add a row to the table of a `screens_of_*` module.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.views.table import Display, render
from tests.support.paths import REPOSITORY
from tests.support.reports import FLEET_HISTORY, FLEET_LIST, FLEET_STATUS, place
from tests.support.screens_of_plans import PLANS
from tests.support.screens_of_work import WORK

FOLDER = REPOSITORY / "tests/views/screens"
WIDTHS: Mapping[str, int | None] = {"60": 60, "80": 80, "120": 120, "200": 200, "wide": None}
"""Names of widths; `wide` is a file, a pipe or `--wide`."""
COMMAND = "python -m tests.support.screens"

SCREENS: Mapping[str, object] = {
    **WORK,
    **PLANS,
    "fleet-list": FLEET_LIST,
    "fleet-status": FLEET_STATUS,
    "fleet-history": FLEET_HISTORY,
}
"""Name to report."""


def screen(name: str, width: int | None) -> str:
    """What is on a terminal of this width."""
    return render(SCREENS[name], "text", Display(place, width=width))


def screens() -> dict[str, str]:
    """The path in the folder to the text, of every report at every width."""
    return {f"{name}/{label}.txt": screen(name, width) for name in SCREENS for label, width in WIDTHS.items()}


if __name__ == "__main__":
    made = screens()
    for left in {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*")} - made.keys():
        (FOLDER / left).unlink()
    for name, text in made.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text)
