"""Before a release is built: its tag, version, changelog and metadata say the same, and the changelog is in order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

HERE = "https://git.example/platform/mtlsctl"
PYPROJECT = f'[project]\nname = "mtlsctl"\n[project.urls]\nSource = "{HERE}/"\n'
CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-12-01\n"
VERSION = '__version__ = "1.2.0"\n'


def check(
    folder: Path, *, tag: str = "v1.2.0", version: str = VERSION, changelog: str = CHANGELOG, pyproject: str = PYPROJECT
) -> tuple[int, str]:
    """What the script answers in a project with these files."""
    files = {"reconciler/version.py": version, "CHANGELOG.md": changelog, "pyproject.toml": pyproject}
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    (folder / ".ci").mkdir()
    script = shutil.copy(REPOSITORY / ".ci/check_release.py", folder / ".ci")
    done = subprocess.run([sys.executable, script, tag, HERE], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_release_with_one_name_is_built(tmp_path: Path) -> None:
    """Tag, version, changelog and address agree."""
    assert check(tmp_path) == (0, "")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tag": "v1.2.1"}, "the tag is v1.2.1, and reconciler/version.py has 1.2.0"),
        ({"tag": "1.2.0"}, "the tag is 1.2.0"),
        ({"version": '__version__ = "1.2.0rc1"\n', "tag": "v1.2.0rc1"}, "no heading `## 1.2.0rc1 - YYYY-MM-DD`"),
        ({"changelog": "## Unreleased\n"}, "no heading `## 1.2.0 - YYYY-MM-DD`"),
        ({"changelog": "## 1.2.0\n"}, "no heading `## 1.2.0 - YYYY-MM-DD`"),
        ({"pyproject": "[project]\n"}, f'add `Source = "{HERE}"` to pyproject.toml'),
        ({"pyproject": f'[project.urls]\nSource = "{HERE}-fork"\n[project]\n'}, "no address in [project.urls]"),
    ],
)
def test_a_release_that_differs_in_one_place_is_not_built(tmp_path: Path, given: dict[str, str], says: str) -> None:
    """One sentence, with what to do."""
    code, printed = check(tmp_path, **given)
    assert code == 1
    assert says in printed
    assert printed.count("error: ") == 1


# --- the changelog ----------------------------------------------------------------------------------------------------

SECTIONS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_changelog_is_kept_as_its_format_says() -> None:
    """The newest version first, with its date; in each the known sections, in their order, none of them empty."""
    versions = re.split(r"(?m)^## ", (REPOSITORY / "CHANGELOG.md").read_text())[1:]
    heads = [version.partition("\n")[0] for version in versions]
    assert heads[0] == "Unreleased"
    dates = [re.fullmatch(r"\S+ - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]]
    assert all(dates)
    assert sorted((date[1] for date in dates if date), reverse=True) == [date[1] for date in dates if date]
    for version in versions:
        sections = dict(re.findall(r"(?ms)^### (.+?)\n(.*?)(?=^### |\Z)", version))
        assert list(sections) == [name for name in SECTIONS if name in sections]
        assert all(text.strip().startswith("- ") for text in sections.values())
