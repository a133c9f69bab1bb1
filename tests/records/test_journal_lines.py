"""Reading a journal's bytes, which may be torn, of another version, or anything."""

from __future__ import annotations

import pytest

from reconciler.records.journal import read_events

GOOD = (
    b'{"format":"mtlsctl.journal/1","run":"r","time":"2026-11-23T12:00:00Z","event":"run-finished",'
    b'"exit_code":0,"interrupted":false}'
)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        GOOD[:-1],
        GOOD[:-1] + b',"x":' + b"[" * 50_000,
        GOOD[:-1] + b',"x":"' + b"a" * 100_000 + b'"}',
    ],
    ids=["a brace", "no UTF-8", "deep", "cut", "cut and deep", "long"],
)
def test_torn_lines_are_counted_and_left_out(line: bytes) -> None:
    """Whatever is between two good lines, both are read."""
    read = read_events(GOOD + b"\n" + line + b"\n\n" + GOOD)
    assert (len(read.events), read.torn, read.unknown) == (2, 1, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"journal/1", b"journal/2"),
        (b"run-finished", b"run-paused"),
        (b":00Z", b":00"),
        (b":00Z", b":00+02:00"),
        (b"2026-11-23T12:00:00Z", b"0001-01-01T00:00:00+14:00"),
        (b'"exit_code":0', b'"exit_code":' + b"9" * 100),
        (b"false", b"{}"),
    ],
    ids=["version", "event", "no zone", "not UTC", "before all time", "large", "type"],
)
def test_lines_of_other_versions_are_counted_and_left_out(old: bytes, new: bytes) -> None:
    """They are whole, but unknown to this version."""
    read = read_events(GOOD + b"\n" + GOOD.replace(old, new) + b"\n" + GOOD)
    assert (len(read.events), read.torn, read.unknown) == (2, 0, 1)


def test_keys_of_a_later_version_are_passed_over() -> None:
    """An event with additional keys is still that event."""
    (event,) = read_events(GOOD[:-1] + b',"later":1}').events
    assert event.event == "run-finished"
