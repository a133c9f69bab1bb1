"""Parses durations, renew-before and shares of mtls.toml: "7d", "1d12h", "33%"."""

from __future__ import annotations

import re
from datetime import timedelta

from reconciler.desired.rules import Refused
from reconciler.findings.codes import Code
from reconciler.model import RenewBefore

DURATION_PATTERN = "^(?:[0-9]{1,10}[wdhms])+$"
RENEW_BEFORE_PATTERN = "^(?:(?:[0-9]{1,10}[wdhms])+|[1-9][0-9]?%)$"
SHARE_PATTERN = "^(?:100|[1-9]?[0-9])%$"

_LONGEST = timedelta(days=36_500)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]{1,10})([wdhms])")
_DURATION = re.compile(r"(?:[0-9]{1,10}[wdhms])+")
_SHARE = re.compile(r"(-?[0-9]{1,9})%")
_FORM = 'a duration: whole numbers with w, d, h, m or s, such as "7d" or "1d12h"'


def parse_duration(text: str) -> timedelta:
    """The duration, from 0 to 100 years. Raises Refused for anything else."""
    if not _DURATION.fullmatch(text):
        raise Refused(Code.BAD_DURATION, f"must be {_FORM}", hint=_unit_hint(text))
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST.total_seconds():
        raise Refused(Code.OUT_OF_RANGE, "must be at most 36500d (100 years)")
    return timedelta(seconds=seconds)


def check_lifetime(text: str) -> str:
    """A duration of a certificate."""
    if not parse_duration(text):
        raise Refused(Code.OUT_OF_RANGE, "must be longer than 0s: no certificate is valid for no time")
    return text


def parse_renew_before(text: str) -> RenewBefore:
    """A duration, or a share of the lifetime from 1% to 99%. Raises Refused for anything else."""
    share = _SHARE.fullmatch(text)
    if share is None:
        if text.endswith("%") or not _DURATION.fullmatch(text):
            message = f'must be {_FORM}, or a share of the lifetime such as "33%"'
            raise Refused(Code.BAD_DURATION, message, hint=_unit_hint(text))
        return RenewBefore(duration=parse_duration(text))
    percent = int(share[1])
    if not 1 <= percent <= 99:
        raise Refused(Code.OUT_OF_RANGE, "must be between 1% and 99% of the lifetime")
    return RenewBefore(share=percent / 100)


def parse_share(text: str) -> int:
    """A share in percent, from 0 to 100. Raises Refused for anything else."""
    if not re.fullmatch(SHARE_PATTERN[1:-1], text):
        number = re.fullmatch(r"\s*([0-9]{1,9})\s*", text)
        hint = f"write {number[1]} without quotes" if number is not None else None
        raise Refused(Code.OUT_OF_RANGE, 'must be a number, or a share from "0%" to "100%"', hint=hint)
    return int(text[:-1])


def _unit_hint(text: str) -> str | None:
    """The right form of what other tools accept: "7 days", "7", "7D". None if it is not one of these."""
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*([A-Za-z]*)\s*", text)
    if found is None:
        return None
    unit = found[2].lower()[:1] or "d"
    return f'write "{found[1]}{unit}"' if unit in _SECONDS and found[2].lower() not in {"month", "months"} else None
