"""Building a Worker with a script in place of wrangler that misbehaves: nothing hangs or remains."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.runtime.bundling import BundleFailed, bundle


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder; temporary files are created in it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path


def make(folder: Path, script: str, *, longest_s: float = 60.0) -> bytes:
    """The result of a script in place of wrangler; afterwards no temporary folder remains."""
    program = folder / "wrangler.sh"
    program.write_text(f"#!/bin/sh\nform=$4\n{script}\n")
    program.chmod(0o700)
    environ = {"PATH": os.defpath, "CLOUDFLARE_API_TOKEN": "canary", "BILLING_KEY": "canary"}
    lines: list[str] = []
    try:
        return bundle(
            program, folder / "wrangler.toml", "prod", environ=environ, on_line=lines.append, longest_s=longest_s
        )
    finally:
        assert list((folder / "tmp").iterdir()) == []


def test_the_form_is_what_wrangler_writes_to_its_file(folder: Path) -> None:
    """It gets the file and the environment, and no secret."""
    made = make(folder, 'env > "$form"; echo "$@" >> "$form"').decode()
    assert "canary" not in made
    assert f"--config {folder}/wrangler.toml --env=prod" in made
    assert "deploy --dry-run --outfile" in made


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (":", "(no output)"),
        ("echo all is well", "all is well"),
        ("echo '\033[31m\u2718 [ERROR] no such file\033[0m'; exit 1", "[ERROR] no such file"),
        ("head -c 5000000 /dev/zero | tr '\\0' x; exit 1", "xxx"),
        ("yes 'and so on' | head -n 100000; echo ERROR: the end; exit 1", "ERROR: the end"),
        ('mkdir "$form"', "(no output)"),
    ],
    ids=["nothing made", "words only", "an error", "5 MB on one line", "100,000 lines", "a folder"],
)
def test_what_it_said_is_told_in_bounds_where_it_made_nothing(folder: Path, script: str, words: str) -> None:
    """From its first error on."""
    with pytest.raises(BundleFailed) as caught:
        make(folder, script)
    assert words in str(caught.value.hint)
    assert len(str(caught.value.hint)) < 6000
    assert "\033" not in str(caught.value.hint)


def test_a_program_that_hangs_is_ended(folder: Path) -> None:
    """With everything it started; the error has its output."""
    with pytest.raises(BundleFailed, match="did not finish within") as caught:
        make(folder, "echo building for ever; sleep 600 & wait", longest_s=0.5)
    assert "building for ever" in str(caught.value.hint)


def test_an_endless_form_is_not_read_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Worker has a few megabytes."""
    monkeypatch.setattr("reconciler.runtime.bundling._MOST", 1000)
    assert len(make(folder, 'head -c 1000 /dev/zero > "$form"')) == 1000
    with pytest.raises(BundleFailed, match="more than 1,000 bytes"):
        make(folder, 'head -c 1001 /dev/zero > "$form"')
