"""When a stack is checked, what may be done there, and which stacks are missed: rules of values and a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from reconciler.desired.fleet import parse_fleet
from reconciler.findings.diagnostics import Place
from reconciler.model import Act, CertificateName, Change, Phase, Reason
from reconciler.model.fleet import Acted, ActState, DenyRule, Look, LookState, StackRow
from reconciler.plan.fleet import (
    ActWork,
    Circumstances,
    Permit,
    denied,
    deny_text,
    find_missed,
    find_work,
    is_due,
    is_overdue,
    last_turn,
    needed_act,
    offset_of,
    permit,
)
from tests.desired.test_fleet import WHOLE
from tests.support.reports import BIND, DEPLOY, REBIND, RETIRE, UNBIND, UPLOAD

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = ("a" * 32, "shop")
BERLIN = ZoneInfo("Europe/Berlin")
FLEET = parse_fleet(WHOLE.encode(), "fleet.toml")[0]


def row(stack: str, time: datetime | None = NOW, file: str = "") -> StackRow:
    """A stack that was checked at this time."""
    look = None if time is None else Look(time, LookState.OK)
    return StackRow(KEY[0], stack, file or f"{stack}/mtls.toml", look)


# --- looks ----------------------------------------------------------------------------------------------------------


def test_an_offset_is_stable_and_spread_over_the_interval() -> None:
    """So that not all stacks are checked at the full hour. The number is a promise to who reads it in a table."""
    assert offset_of(KEY, HOUR) == timedelta(seconds=943)
    minutes = Counter(int(offset_of((KEY[0], f"s{number}"), HOUR).total_seconds() // 600) for number in range(600))
    assert set(minutes) == set(range(6))
    assert max(minutes.values()) < 150
    assert offset_of(KEY, HOUR) != offset_of(("b" * 32, "shop"), HOUR)


def test_a_stack_is_due_once_in_each_interval() -> None:
    """From its turn on, until it was checked."""
    turn = last_turn(KEY, HOUR, NOW)
    assert NOW - HOUR < turn <= NOW
    assert last_turn(KEY, HOUR, turn) == turn
    assert last_turn(KEY, HOUR, turn - timedelta(seconds=1)) == turn - HOUR
    assert is_due(None, KEY, HOUR, NOW)
    assert is_due(row("shop", None), KEY, HOUR, NOW)
    assert is_due(row("shop", turn - timedelta(seconds=1)), KEY, HOUR, NOW)
    assert not is_due(row("shop", turn), KEY, HOUR, NOW)
    assert not is_due(row("shop", turn), KEY, HOUR, turn + HOUR - timedelta(seconds=1))
    assert is_due(row("shop", turn), KEY, HOUR, turn + HOUR)


@pytest.mark.parametrize(
    ("state", "ago", "due"),
    [
        (ActState.BEGUN, 1, True),
        (ActState.INTERRUPTED, 0, True),
        (ActState.INTERRUPTED, 1, False),
        (ActState.DONE, 0, False),
    ],
)
def test_a_stack_whose_act_did_not_end_is_due_until_it_is_looked_at(state: ActState, ago: int, due: bool) -> None:
    """Whether its process was killed or interrupted."""
    time = last_turn(KEY, HOUR, NOW) + timedelta(minutes=1)
    act = Acted(time - timedelta(minutes=ago), Act.ROTATE, state)
    assert is_due(replace(row("shop", time), act=act), KEY, HOUR, time) is due


@pytest.mark.parametrize(("age", "overdue"), [(0, False), (120, False), (121, True)])
def test_a_stack_is_overdue_after_two_intervals(age: int, overdue: bool) -> None:
    """One that was never checked always is."""
    assert is_overdue(row("shop", NOW - timedelta(minutes=age)), HOUR, NOW) is overdue
    assert is_overdue(row("shop", None), HOUR, NOW)


# --- acts -----------------------------------------------------------------------------------------------------------


def at(text: str) -> datetime:
    """A time in Berlin; with `*` the second one of that name."""
    local = datetime.strptime(text.removesuffix("*"), "%Y-%m-%d %H:%M").replace(tzinfo=BERLIN)
    return local.replace(fold=int(text.endswith("*")))


WEEKEND = DenyRule("0 16 * * 5", timedelta(hours=64), BERLIN, "weekend")
NIGHT = DenyRule("30 2 * * *", HOUR, BERLIN)
NIGHTS = (DenyRule("0 22 * * *", timedelta(hours=8), BERLIN), DenyRule("0 6 * * *", timedelta(hours=2), BERLIN))


@pytest.mark.parametrize(
    ("rules", "time", "until"),
    [
        ((), "2026-11-28 12:00", None),
        ((WEEKEND,), "2026-11-27 15:59", None),
        ((WEEKEND,), "2026-11-27 16:00", "2026-11-30 08:00"),
        ((WEEKEND,), "2026-11-30 07:59", "2026-11-30 08:00"),
        ((WEEKEND,), "2026-11-30 08:00", None),
        (NIGHTS, "2026-11-28 23:00", "2026-11-29 08:00"),
        (NIGHTS, "2026-11-28 06:30", "2026-11-28 08:00"),
        (NIGHTS, "2026-11-28 12:00", None),
        ((NIGHT,), "2026-10-25 02:30", "2026-10-25 03:30"),
        ((NIGHT,), "2026-10-25 02:10*", "2026-10-25 03:30"),
        ((NIGHT,), "2026-10-25 02:29", None),
        ((NIGHT,), "2026-03-29 03:10", "2026-03-29 03:30"),
        ((DenyRule("* 9-16 * * *", HOUR, BERLIN),), "2026-11-28 12:00", "2026-11-28 17:59"),
        ((DenyRule("0 0 * 12 *", timedelta(hours=24), BERLIN),), "2026-12-03 12:00", "2027-01-01 00:00"),
        ((DenyRule("* * * * *", HOUR, UTC),), "2026-11-28 12:00", "never"),
        ((DenyRule("0 0 * * *", timedelta(hours=24), BERLIN),), "2026-11-28 12:00", "never"),
    ],
)
def test_a_deny_holds_from_its_start_for_its_length(rules: tuple[DenyRule, ...], time: str, until: str | None) -> None:
    """By local clocks; every doubt about one makes it longer. What follows without a gap is one time."""
    found = denied(rules, at(time))
    if until is None:
        assert found is None
    else:
        assert found is not None
        assert found.until == (None if until == "never" else at(until))


def test_a_deny_that_does_not_end_is_described_so() -> None:
    """Not by some day on which it holds as well."""
    found = denied((DenyRule("0 0 * * *", timedelta(hours=24), UTC),), NOW)
    assert found is not None
    assert deny_text(found, "X") == "`deny` at X holds, and no end was found"


def test_a_deny_is_described_with_its_place_its_end_and_its_reason() -> None:
    """So that no one has to compute it from a cron expression."""
    found = denied((WEEKEND,), at("2026-11-28 12:00"))
    assert found is not None
    expected = "`deny` at fleet.toml:7:9 holds until 2026-11-30 07:00 UTC (weekend)"
    assert deny_text(found, Place("fleet.toml", 7, 9)) == expected


CALM = Circumstances(None, shrunk=False, left=1)


@pytest.mark.parametrize(
    ("rule", "declared", "state", "around", "expected"),
    [
        ("none", "all", "changes", CALM, Permit(Act.NONE, "not allowed by X")),
        ("retire", "none", "ok", CALM, Permit(Act.NONE, 'not allowed by `[fleet] act = "none"` of its mtls.toml')),
        ("retire", "all", "changes", CALM, Permit(Act.RETIRE, "allowed by X")),
        ("all", "rotate", "drift", CALM, Permit(Act.ROTATE, 'allowed by `[fleet] act = "rotate"` of its mtls.toml')),
        ("all", "all", "blocked", CALM, Permit(Act.ALL, "allowed by X")),
        ("all", "all", "failed", CALM, Permit(Act.NONE, "not done: the stack could not be planned")),
        (
            *("all", "all", "ok", Circumstances(None, shrunk=True, left=1)),
            Permit(Act.NONE, "not done: fewer than half of the known stacks were found"),
        ),
        (
            *("all", "all", "ok", Circumstances("`deny` holds", shrunk=False, left=1)),
            Permit(Act.NONE, "not done: `deny` holds"),
        ),
        (
            *("all", "all", "ok", Circumstances(None, shrunk=False, left=0)),
            Permit(Act.NONE, "waits for its next check: a pass changes no more stacks than `max_acts = 20`"),
        ),
    ],
)
def test_what_may_be_done_has_the_rule_that_decided(
    rule: str, declared: str, state: str, around: Circumstances, expected: Permit
) -> None:
    """The first that forbids it, or the one that allows it."""
    assert permit(FLEET, Act(rule), Act(declared), LookState(state), around, source="X") == expected


@pytest.mark.parametrize("one", Act)
@pytest.mark.parametrize("other", Act)
def test_two_limits_allow_what_both_allow(one: Act, other: Act) -> None:
    """Neither widens the other."""
    both = one.narrowed(other)
    assert [what for what in Act if both.allows(what)] == [
        what for what in Act if one.allows(what) and other.allows(what)
    ]


NEW = replace(UPLOAD, certificate=CertificateName("new"), reasons=(Reason.MISSING,))
OLD = replace(REBIND, certificate=UPLOAD.certificate)
DUE = (CertificateName("due"),)
FILES = (Phase.UPLOAD, Phase.BIND, Phase.RETIRE)
DELETES = (Phase.RETIRE,)


@pytest.mark.parametrize(
    ("changes", "due", "forge", "needs", "phases"),
    [
        ((), (), True, None, ((), (), ())),
        ((DEPLOY,), (), True, None, ((), (), ())),
        ((RETIRE,), (), False, Act.RETIRE, (DELETES, DELETES, DELETES)),
        ((UPLOAD, OLD), (), True, Act.ROTATE, ((), FILES, FILES)),
        ((UPLOAD, OLD), (), False, None, ((), (), ())),
        ((UPLOAD,), (), False, Act.ROTATE, ((), FILES, FILES)),
        ((NEW,), (), True, Act.ALL, ((), (), FILES)),
        ((NEW, UPLOAD, OLD), (), True, Act.ROTATE, ((), FILES, FILES)),
        ((UPLOAD, BIND), (), True, Act.ALL, ((), (), FILES)),
        ((UNBIND,), (), True, Act.ALL, ((), (), FILES)),
        ((UPLOAD, OLD, RETIRE), (), False, Act.RETIRE, (DELETES, DELETES, DELETES)),
        ((), DUE, True, Act.ROTATE, ((), (), ())),
        ((), DUE, False, None, ((), (), ())),
        ((UPLOAD,), DUE, False, Act.ROTATE, ((), FILES, FILES)),
    ],
)
def test_what_is_allowed_is_what_is_done_and_what_becomes_a_job(
    changes: tuple[Change, ...],
    due: tuple[CertificateName, ...],
    forge: bool,
    needs: Act | None,
    phases: tuple[tuple[Phase, ...], ...],
) -> None:
    """The phases for `retire`, `rotate` and `all`; without a forge nothing that changes files, with the reason."""
    no_forge = None if forge else "no forge"
    works = [find_work(changes, due, act, no_forge) for act in (Act.RETIRE, Act.ROTATE, Act.ALL)]
    assert tuple(work.phases for work in works) == phases
    assert [work.renewals for work in works] == [(), *([due if forge else ()] * 2)]
    assert needed_act(changes, due, no_forge) is needs
    is_held = not forge and (due or OLD in changes)
    assert [work.held for work in works] == [None, *(["no forge" if is_held else None] * 2)]
    assert find_work(changes, due, Act.NONE, no_forge) == ActWork()


def test_a_rotation_leaves_out_the_certificates_that_are_new() -> None:
    """The others are rotated."""
    assert find_work((NEW, UPLOAD, OLD), (), Act.ROTATE, None).new == {NEW.certificate}
    assert find_work((NEW, UPLOAD, OLD), (), Act.ALL, None).new == frozenset()


# --- alarms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "broken", "retired", "vanished", "shrunk"),
    [
        ("abcd", "", "", "", False),
        ("abc", "", "", "d", False),
        ("ab", "", "", "cd", False),
        ("a", "", "", "bcd", True),
        ("", "", "", "abcd", True),
        ("a", "bc", "", "d", False),
        ("ab", "", "cd", "", False),
        ("", "", "abcd", "", False),
    ],
)
def test_a_known_stack_that_is_not_found_is_missed(
    found: str, broken: str, retired: str, vanished: str, shrunk: bool
) -> None:
    """Unless its file is there and can't be read, or it left for good."""
    rows = [row(name) for name in "abcd"]
    files = {f"{name}/mtls.toml": None for name in broken}
    missed = find_missed(rows, {(KEY[0], name) for name in found}, files, {(KEY[0], name) for name in retired})
    assert "".join(one.stack for one in missed.vanished) == vanished
    assert "".join(stack for _, stack in missed.retired) == retired
    assert missed.shrunk is shrunk


def test_a_stack_of_the_same_name_in_another_account_is_another_one() -> None:
    """It does not hide that this one is missing."""
    missed = find_missed([row("a")], {("b" * 32, "a")}, {}, ())
    assert [one.stack for one in missed.vanished] == ["a"]
