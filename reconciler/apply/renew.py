"""Renews one certificate: new key into its slot, ask the issuer, check, replace the file, remove what nothing needs.

Replacing the certificate file is the only commit point: the file selects its slot by its public key. A run that was
stopped before it left a slot with a larger number than the selected one; the next run goes on with the key in it, so
that the issuer is not asked for a certificate of another key without need. So does a file that was replaced by hand or
reverted, but then the issuer has a certificate for that key. Nothing is resumed from memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from reconciler.apply.renewing import RenewWork, RenewWorld, demand_acceptable, read_answer
from reconciler.findings.codes import Code, Severity
from reconciler.findings.errors import InputError, IssuerError, LockedError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import Desired
from reconciler.model.key_places import CertificateSlots, Slot, sink_text
from reconciler.model.renewal import SearchableIssuer, SigningRequest
from reconciler.plan.renewing import Renewable, RenewStatus, RenewStep, find_dates, is_useful
from reconciler.x509.certificates import Bundle, key_digest, key_kind, public_key_of
from reconciler.x509.requests import (
    MADE_KINDS,
    CertificateProfile,
    SigningKey,
    alternative_names,
    make_key,
    make_request,
    profile_of,
    read_key,
)

_NEW = (".pem", ".crt", ".cer")
"""The endings of certificate files that are created."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A key in its slot. `answer`: the certificate that was issued for it already."""

    key: SigningKey
    slot: Slot
    answer: Bundle | None = None


def renew_certificate(
    item: Renewable, text: bytes | None, desired: Desired, world: RenewWorld, *, new_key: bool = False
) -> RenewStep:
    """How the renewal of one certificate ended; errors and an interrupt are part of it, except LockedError.

    `text`: its file; None: there is none yet. `new_key`: pending slots are not used, because their keys leaked or are
    damaged.
    """
    renewal = item.declared.renew
    if renewal is None:
        raise ValueError(item.name)
    work = RenewWork(item, renewal, desired, world)
    try:
        return _renew(work, text, new_key=new_key)
    except LockedError:
        raise
    except KeyboardInterrupt:
        ended = work.done or RenewStep(item, RenewStatus.INTERRUPTED, asked=work.asked)
        return replace(ended, findings=tuple(work.findings), interrupted=True)
    except ReconcilerError as error:
        found = tuple(replace(one, certificate=item.name, where=one.where or work.where) for one in error.diagnostics())
        problems = tuple(one for one in found if one.is_error)
        work.findings.extend(one for one in found if not one.is_error)
        return RenewStep(item, RenewStatus.FAILED, findings=tuple(work.findings), problems=problems, asked=work.asked)


def _renew(work: RenewWork, text: bytes | None, *, new_key: bool) -> RenewStep:
    world, present = work.world, work.item.present
    wanted, kind = _wanted(work), _kind(work)
    _demand_place(work, is_new=text is None)
    world.issuer.demand()
    digest = None if present is None else key_digest(present.leaf)
    known = tuple(sorted(world.sink.slots()))
    slots = CertificateSlots(known, max((slot for slot in known if slot.key == digest), default=None))
    old = None if new_key else _unfinished(work, slots, kind)
    for slot in slots.pending:
        if old is None or slot != old.slot:
            _report_unused(work, slot)
    pair = old or _new_pair(work, slots, kind)
    answer = pair.answer
    if answer is None:
        world.demand_lock()
        answer = _ask(work, _request(work, wanted, pair.key), pair.slot if old is None else None)
    after = demand_acceptable(work, wanted, pair.key, answer)
    world.demand_lock()
    data = answer.pem().encode()
    if text is None:
        world.files.create(work.item.declared.path, data)
    else:
        world.files.replace(work.item.declared.path, old=text, new=data)
    work.done = RenewStep(
        work.item,
        RenewStatus.RENEWED,
        after=answer,
        slot=pair.slot.text,
        continued=old is not None,
        asked=work.asked,
    )
    removed = tuple(_remove(work, slots, pair.slot))
    work.findings.extend(find_dates(after, work.item.name, world.now()))
    return replace(work.done, removed=removed, findings=tuple(work.findings))


# --- what is asked for ----------------------------------------------------------------------------------------------


def _wanted(work: RenewWork) -> CertificateProfile:
    try:
        return profile_of(work.item.present, work.renewal.subject, work.renewal.names)
    except ValueError as error:
        hint = "declare `subject` and `names` in its `renew`"
        raise InputError(
            [work.finding(Severity.ERROR, Code.NOTHING_TO_ASK, f"{work.item.name!r}: {error}", hint)]
        ) from error


def _kind(work: RenewWork) -> str:
    """The type of the new key."""
    present = work.item.present
    kind = work.renewal.key or (MADE_KINDS[0] if present is None else key_kind(public_key_of(present.leaf)))
    if kind not in MADE_KINDS:
        message = f"the certificate of {work.item.name!r} has a key of type {kind}, which mtlsctl does not create"
        hint = f'declare another one in its `renew`, such as key = "{MADE_KINDS[0]}"'
        raise InputError([work.finding(Severity.ERROR, Code.NOTHING_TO_ASK, message, hint)])
    return kind


def _demand_place(work: RenewWork, *, is_new: bool) -> None:
    """An error if the certificate file can't be written, or a new one would have the name of something else."""
    path = work.item.declared.path
    if is_new and not path.lower().endswith(_NEW):
        endings = ", ".join(f"*{end}" for end in _NEW)
        message = f"{path} does not exist, and mtlsctl creates certificate files only with one of the names {endings}"
        hint = "name such a file in `certificate`; or create this one yourself, with the first certificate"
        raise InputError([work.finding(Severity.ERROR, Code.BAD_PATH, message, hint)])
    work.world.files.demand_writable(path, new=is_new)


def _request(work: RenewWork, wanted: CertificateProfile, key: SigningKey) -> SigningRequest:
    return SigningRequest(
        certificate=work.item.name,
        csr=make_request(wanted, key),
        key=key.digest,
        common_name=wanted.common_name,
        dns_names=alternative_names(wanted, "DNS"),
        ip_addresses=alternative_names(wanted, "IP"),
        uris=alternative_names(wanted, "URI"),
        emails=alternative_names(wanted, "email"),
        lifetime=work.renewal.lifetime,
    )


def _ask(work: RenewWork, request: SigningRequest, new: Slot | None) -> Bundle:
    """The issuer's answer. If it surely issued nothing, the slot of a key that this run made is removed again: else the
    next run would have to report that a certificate may exist."""
    work.asked = True
    try:
        answer = work.world.issuer.issue(request)
    except IssuerError as error:
        work.asked = error.is_open
        if new is not None and not error.is_open:
            with contextlib.suppress(ReconcilerError):
                work.world.sink.remove(new)
        raise
    return read_answer(work, answer)


# --- what earlier runs left -----------------------------------------------------------------------------------------


def _unfinished(work: RenewWork, slots: CertificateSlots, kind: str) -> _Pair | None:
    """The key of a renewal that was not finished, to go on with. None if a new one is to be made: there is none of the
    wanted type, or it was in use, as the issuer has a certificate for it that can't be the next one."""
    if not slots.pending:
        return None
    slot = slots.pending[0]
    key = _read_pending(work, slot)
    if key.kind != kind:
        return None
    issuer = work.world.issuer
    if not isinstance(issuer, SearchableIssuer):
        _report_again(work, slot)
        return _Pair(key, slot)
    found = work.find(issuer, slot)
    if found is None:
        return _Pair(key, slot)
    answer = None if found.is_revoked else read_answer(work, found.pem)
    is_next = answer is not None and is_useful(work.desired, work.item.name, answer, work.world.now())
    return _Pair(key, slot, answer) if is_next else None


def _read_pending(work: RenewWork, slot: Slot) -> SigningKey:
    again = f"run `mtlsctl renew {work.item.name} --new-key`, which leaves that key unused"
    try:
        key = read_key(work.world.sink.read(slot))
    except InputError as error:
        message = f"the slot {slot.text} in {sink_text(work.renewal.sink)} has no usable key: {error.message}"
        raise InputError([work.finding(Severity.ERROR, error.code, message, again)]) from error
    if key.digest != slot.key:
        message = f"the slot {slot.text} in {sink_text(work.renewal.sink)} has the key of another slot"
        raise InputError([work.finding(Severity.ERROR, Code.KEY_MISMATCH, message, again)])
    return key


def _new_pair(work: RenewWork, slots: CertificateSlots, kind: str) -> _Pair:
    key = make_key(kind)
    slot = slots.next(key.digest)
    work.world.demand_lock()
    work.world.sink.write(slot, key.pem)
    return _Pair(key, slot)


def _report_unused(work: RenewWork, slot: Slot) -> None:
    """Report the certificate of a slot whose key this run does not use, unless the issuer says that there is none."""
    issuer = work.world.issuer
    if isinstance(issuer, SearchableIssuer):
        found = work.find(issuer, slot)
        if found is not None and not found.is_revoked:
            _report(work, slot, "got", "this run uses another key")
    else:
        _report(work, slot, "may have got", "this run uses another key")


def _report_again(work: RenewWork, slot: Slot) -> None:
    """Report that the issuer, which can't say what it issued, is asked again with the key of a slot."""
    name, path = work.item.name, work.item.declared.path
    more = f". If {path} was reverted or replaced, that key was in use: run `mtlsctl renew {name} --new-key`"
    is_there = work.item.present is not None
    _report(work, slot, "may have got", "this run uses the same key", more if is_there else "")


def _report(work: RenewWork, slot: Slot, what: str, now: str, more: str = "") -> None:
    message = (
        f"an earlier run {what} a certificate of {work.item.name!r} that is not in {work.item.declared.path}, and"
        f" {now}; the hash of its public key is {slot.key}"
    )
    hint = f"if you don't want it, revoke it at the issuer {work.renewal.issuer!r}{more}"
    work.report(work.finding(Severity.WARNING, Code.ISSUED_TWICE, message, hint))


def _remove(work: RenewWork, slots: CertificateSlots, used: Slot) -> Iterator[str]:
    """Remove the slots that nothing needs. The previous one stays, for a branch or a revert that has the old file."""
    selected = slots.selected
    before = () if selected is None else (slot for slot in slots.known if slot.number < selected.number)
    for slot in (*before, *(slot for slot in slots.pending if slot != used)):
        try:
            work.world.sink.remove(slot)
        except ReconcilerError as error:
            message = f"{work.item.name!r} is renewed, but the slot {slot.text} was not removed: {error.message}"
            hint = "no action needed: the next renewal removes it; if its key leaked, remove it by hand"
            work.findings.append(work.finding(Severity.WARNING, Code.KEYS_LEFT, message, hint))
        else:
            yield slot.text
