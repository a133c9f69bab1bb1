"""Compares the plan found now with the one that was reviewed, change by change, for a person. Decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import assert_never

from reconciler.findings.differences import Comparison, Differences, FieldDifference, PlanDifference
from reconciler.model import BindingChange, CertificateName, Change, Deploy, Retire, Update, Upload, Verify
from reconciler.model.words import environment_text
from reconciler.plan.assessment import BindingRow, CertificateRow, EntryRow, Held, SiteRow, Unseen, UpdateRow
from reconciler.plan.differences import changed_texts
from reconciler.plan.facts import PublicFacts
from reconciler.plan.plan import Plan, SavedPlan, change_key
from reconciler.x509.certificates import rfc3339

_Facts = Mapping[CertificateName, PublicFacts]

MOST = 30
"""Differences that are told; a person reads no more, and each takes a millisecond."""

_NO_NEWS = frozenset(
    {"certificate", "path", "owner", "subject_alternative_names", "content_digest", "key_type", "key_size"}
)
"""Facts that say nothing about another certificate, or are told in another way."""


def compare_plans(
    found: Plan, saved: Plan | SavedPlan, changes: Iterable[Change], reviewed: Iterable[Change]
) -> Differences:
    """What differs between these changes of the plan found now and those of the saved one.

    Two changes at one place are one difference. Added ones come before those that are gone.
    """
    before, after = {change_identity(one): one for one in reviewed}, {change_identity(one): one for one in changes}
    allowed = {*before, *(change_identity(_ended(one)) for one in before.values())}
    added = [one for key, one in after.items() if key not in allowed]
    gone = [one for key, one in before.items() if not {key, change_identity(_ended(one))} & after.keys()]
    pairs = _pairs(added, gone)
    paired = {id(one) for pair in pairs for one in pair}
    told = [
        *((Comparison.DIFFERENT, new, old) for old, new in pairs),
        *((Comparison.ADDED, one, None) for one in added if id(one) not in paired),
        *((Comparison.GONE, one, None) for one in gone if id(one) not in paired),
    ]
    now = {one.certificate: one for one in found.certificates} if pairs else {}
    then = {one.certificate: one for one in saved.certificates or ()}
    shown = tuple(
        _told(
            kind,
            change,
            fields=None if old is None else _fields(old, change, then, now),
            detail=_why_gone(change, found) if kind is Comparison.GONE else None,
        )
        for kind, change, old in told[:MOST]
    )
    return Differences(shown, len(told) - len(shown))


def change_identity(change: Change) -> tuple[tuple[str, str], ...]:
    """What makes two changes the same, as a value to look up."""
    return tuple(sorted(change_key(change).items()))


def name_of(change: Change) -> str:
    """The change in words, with its place."""
    match change:
        case Upload():
            return f"upload {change.certificate}"
        case BindingChange():
            place = f"{change.at.config} ({environment_text(change.at.environment)})"
            return f"{change.action} {change.at.binding} in {place}"
        case Deploy():
            return f"deploy {change.at.config} ({environment_text(change.at.environment)}) as {change.script}"
        case Update():
            return f"update {change.at.text}"
        case Verify():
            return f"verify {change.certificate} at {change.origin} before the {change.before}"
        case Retire():
            return f"retire {change.entry.id} of {change.certificate}"
        case _:
            assert_never(change)


def _ended(change: Change) -> Change:
    """A deploy without the gradual deployment that it would end: that may have ended by itself."""
    return replace(change, serving=()) if isinstance(change, Deploy) else change


def _pairs(added: Sequence[Change], gone: Sequence[Change]) -> list[tuple[Change, Change]]:
    """The changes that are at one place in both plans, before and after; a place with several has no pair."""
    before, after = _by_place(gone), _by_place(added)
    return [
        (before[place][0], ones[0])
        for place, ones in after.items()
        if len(ones) == 1 and len(before.get(place, ())) == 1
    ]


def _by_place(changes: Iterable[Change]) -> Mapping[tuple[object, ...], list[Change]]:
    places: dict[tuple[object, ...], list[Change]] = defaultdict(list)
    for change in changes:
        places[_place(change)].append(change)
    return places


def _place(change: Change) -> tuple[object, ...]:
    match change:
        case Upload():
            return ("upload", change.certificate)
        case BindingChange():
            return ("bind", change.at.config, change.at.environment, change.at.binding)
        case Deploy():
            return ("deploy", change.at.config, change.at.environment)
        case Update():
            return ("update", *change.at.place)
        case Verify():
            return ("verify", change.certificate, change.before)
        case Retire():
            return ("retire", change.entry.id)
        case _:
            assert_never(change)


def _told(
    kind: Comparison, change: Change, *, fields: tuple[FieldDifference, ...] | None, detail: str | None
) -> PlanDifference:
    site = change.at if isinstance(change, BindingChange | Deploy) else None
    return PlanDifference(
        difference=kind,
        action=change.action,
        what=name_of(change),
        certificate=change.certificate,
        worker=site.worker if site is not None else None,
        config=site.config if site is not None else None,
        environment=site.environment if site is not None else None,
        binding=change.at.binding if isinstance(change, BindingChange) else None,
        entry=change.entry.id if isinstance(change, Retire) else None,
        fields=fields,
        detail=detail,
    )


def _fields(old: Change, new: Change, then: _Facts, now: _Facts) -> tuple[FieldDifference, ...]:
    """What differs between two changes at one place; of an upload also between the two certificates."""
    before, after = _texts(old), _texts(new)
    if isinstance(new, Upload) and new.certificate in then and new.certificate in now:
        was, will = then[new.certificate], now[new.certificate]
        before |= _facts(was, other=will)
        after |= _facts(will, other=was)
    return tuple(FieldDifference(key, before.get(key), after.get(key)) for key in changed_texts(before, after))


def _texts(change: Change) -> dict[str, str]:
    """The fields that are compared, in words of the JSON documents; without those of its place."""
    key = change_key(change)
    texts = {"action": key["action"]}
    if isinstance(change, Deploy):
        texts |= {"script": change.script} | ({"ends": key["over"]} if "over" in key else {})
        used = ((one.binding, one.later or one.digest or one.id) for one in change.bindings)
        return texts | {f"presents {binding}": text for binding, text in used if text is not None}
    if isinstance(change, BindingChange | Update) and change.certificate is not None:
        texts["certificate"] = change.certificate
    names = {"digest": "content_digest", "leaf": "leaf", "id": "id", "before": "before", "remote": "remote"}
    if isinstance(change, Verify):
        names = {"digest": "content_digest", "origin": "origin"}
    return texts | {names[one]: text for one, text in key.items() if one in names}


def _facts(facts: PublicFacts, *, other: PublicFacts) -> dict[str, str]:
    """The facts as texts; of the alternative names those that the other certificate lacks."""
    names = [one for one in facts.subject_alternative_names if one not in other.subject_alternative_names]
    texts = {key: rfc3339(value) if isinstance(value, datetime) else str(value) for key, value in _told_of(facts)}
    return texts | ({"subject_alternative_names": ", ".join(names)} if names else {})


def _told_of(facts: PublicFacts) -> Iterator[tuple[str, object]]:
    for key, value in asdict(facts).items():
        if key not in _NO_NEWS and value is not None:
            yield key, value


def _why_gone(change: Change, found: Plan) -> str | None:
    """Why the plan found now lacks a change; None if it was made meanwhile, or is not needed any more."""
    key = change_identity(change)
    wait = next((one for one in found.waiting if change_identity(one.change) == key), None)
    if wait is not None:
        return f"it waits: {wait.detail}"
    verdicts = [row.verdict for row in found.assessment.rows if _row_place(row) == _place(change)]
    codes = [problem.code for verdict in verdicts if isinstance(verdict, Held) for problem in verdict.by]
    if codes:
        return f"held by {', '.join(dict.fromkeys(codes))}"
    return "it could not be checked" if any(isinstance(verdict, Unseen) for verdict in verdicts) else None


def _row_place(row: CertificateRow | BindingRow | SiteRow | UpdateRow | EntryRow) -> tuple[object, ...]:
    match row:
        case CertificateRow():
            return ("upload", row.name)
        case BindingRow():
            return ("bind", row.at.config, row.at.environment, row.at.binding)
        case SiteRow():
            return ("deploy", row.at.config, row.at.environment)
        case UpdateRow():
            return ("update", *row.at.place)
        case EntryRow():
            return ("retire", row.entry.id)
        case _:
            assert_never(row)
