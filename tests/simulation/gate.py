"""The one gate: every effect of a run passes it, is counted, and at one of them the world goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Crash(BaseException):
    """The process died here: nobody catches it, and nothing tidies up."""


class Mode(StrEnum):
    """What goes wrong at an effect. `which` of the fault picks among several of a kind."""

    FAIL = "fail"
    """It does not happen, and says so."""
    LOST = "lost"
    """It happens, and says that it did not: the reply was lost."""
    CRASH_BEFORE = "crash-before"
    CRASH_HALF = "crash-half"
    """The process dies in the middle: a temporary file, half a line."""
    CRASH_AFTER = "crash-after"
    INTERRUPT_BEFORE = "interrupt-before"
    INTERRUPT_AFTER = "interrupt-after"
    """Ctrl-C, or SIGTERM."""
    MEDDLE = "meddle"
    """Somebody else was faster: changes just what the effect is about."""


_CRASHES = frozenset({Mode.CRASH_BEFORE, Mode.CRASH_HALF, Mode.CRASH_AFTER})


@dataclass(frozen=True, slots=True)
class Fault:
    """At the `at`-th effect of a run, counted from 1, this goes wrong; with `kind`, at the `at`-th of that name."""

    at: int
    mode: Mode
    which: int = 0
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One effect that passed, and how many ways there are for it to go wrong."""

    name: str
    fails: int
    lost: int
    half: bool

    def faults(self, at: int, meddlers: int) -> list[Fault]:
        """Every fault there is at this effect."""
        modes = [Mode.CRASH_BEFORE, Mode.CRASH_AFTER, Mode.INTERRUPT_BEFORE, Mode.INTERRUPT_AFTER]
        modes += [Mode.CRASH_HALF] if self.half else []
        found = [Fault(at, mode) for mode in modes]
        found += [Fault(at, Mode.FAIL, which) for which in range(self.fails)]
        found += [Fault(at, Mode.LOST, which) for which in range(self.lost)]
        return found + [Fault(at, Mode.MEDDLE, which) for which in range(meddlers)]


def no_meddling(_name: str, _subject: str, _which: int) -> None:
    """Nobody else is there."""


@dataclass
class Gate:
    """The gate of one run. `meddle` is called with the effect's name, its subject and the fault's variant."""

    fault: Fault | None = None
    meddle: Callable[[str, str, int], None] = no_meddling
    seen: list[Seen] = field(default_factory=list)
    met: str | None = None
    dead: bool = False

    def passes(
        self,
        name: str,
        subject: str,
        effect: Callable[[], T],
        *,
        fails: Sequence[Callable[[], T]] = (),
        lost: Sequence[Callable[[], T]] = (),
        half: Callable[[], None] | None = None,
    ) -> T:
        """The effect's result, or what the fault makes of it.

        A failure is called in the place of the effect: it raises, or gives what the caller is told instead.
        """
        if self.dead:
            raise Crash
        self.seen.append(Seen(name, len(fails), len(lost), half is not None))
        fault = self.fault
        if fault is None or not self._is_at(fault, name):
            return effect()
        self.met = f"{fault.mode} ({fault.which}) at effect {len(self.seen)}, {name} {_short(subject)}".rstrip()
        if fault.mode in _CRASHES:
            return self._crash(fault.mode, effect, half)
        return self._go_wrong(fault, name, subject, effect, fails, lost)

    def _is_at(self, fault: Fault, name: str) -> bool:
        if fault.kind not in ("", name):
            return False
        return fault.at == (sum(seen.name == name for seen in self.seen) if fault.kind else len(self.seen))

    def _crash(self, mode: Mode, effect: Callable[[], T], half: Callable[[], None] | None) -> T:
        if mode is Mode.CRASH_AFTER:
            effect()
        if mode is Mode.CRASH_HALF and half is not None:
            half()
        self.dead = True
        raise Crash

    def _go_wrong(
        self,
        fault: Fault,
        name: str,
        subject: str,
        effect: Callable[[], T],
        fails: Sequence[Callable[[], T]],
        lost: Sequence[Callable[[], T]],
    ) -> T:
        match fault.mode:
            case Mode.FAIL if fails:
                return fails[fault.which % len(fails)]()
            case Mode.LOST if lost:
                effect()
                return lost[fault.which % len(lost)]()
            case Mode.INTERRUPT_BEFORE:
                raise KeyboardInterrupt
            case Mode.INTERRUPT_AFTER:
                effect()
                raise KeyboardInterrupt
            case Mode.MEDDLE:
                self.meddle(name, subject, fault.which)
        return effect()


def _short(subject: str) -> str:
    """A subject for a person; the text of a certificate is none."""
    return "" if subject.startswith("-----") else subject
