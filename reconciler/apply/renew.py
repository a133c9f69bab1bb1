"""Renews one certificate: new key into its slot, ask the issuer, check, replace the file, remove what nothing needs.

Replacing the certificate file is the only commit point: the file selects its slot by its public key. A run that was
stopped before it left a slot with a larger number than the selected one; the next run goes on with the key in it, so
that the issuer is not asked for a certificate of another key without need. Nothing is resumed from memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError, IssuerError, LockedError, ReconcilerError
from reconciler.model import Desired, Gate
from reconciler.model.key_places import CertificateSlots, Slot, sink_text
from reconciler.model.ports import PrivateKey
from reconciler.model.renewal import Issuer, KeySink, Renewal, SigningRequest
from reconciler.plan.certificate_policy import judge_policy
from reconciler.plan.gates import has_gate
from reconciler.plan.renewing import Renewable, RenewStatus, RenewStep, find_age, find_dates, is_useful
from reconciler.proof.ports import ClientIdentity, OriginProver
from reconciler.proof.proofs import proof_problem, proof_warnings
from reconciler.x509.certificates import Bundle, key_digest, key_kind, public_key_of
from reconciler.x509.files import parse_file
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.preflight import check_for_upload
from reconciler.x509.requests import (
    MADE_KINDS,
    SigningKey,
    Wanted,
    alternative_names,
    check_answer,
    make_key,
    make_request,
    read_key,
    wanted_of,
)


class CertificateFiles(Protocol):
    """The certificate files of the tree; as the `Files` of a project."""

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        """Replace the content `old` by `new` in one step; FileChangedError if the file is no longer `old`."""

    def create(self, path: str, data: bytes) -> None:
        """Create a file in one step; FileError if something is there."""


@dataclass(frozen=True, slots=True)
class RenewWorld:
    """The ports of the renewal of one certificate.

    `report`: shows a finding at once, before the effect that it is about, because the run may be killed after it.
    `demand_lock`: raises LockedError once the lock is lost; asked before each effect.
    """

    sink: KeySink
    issuer: Issuer
    files: CertificateFiles
    prover: OriginProver
    now: Callable[[], datetime]
    report: Callable[[Diagnostic], None]
    demand_lock: Callable[[], None]


@dataclass(slots=True)
class _Work:
    """One renewal. `findings` grows while it goes on."""

    item: Renewable
    renewal: Renewal
    desired: Desired
    world: RenewWorld
    findings: list[Diagnostic] = field(default_factory=list)
    asked: bool = False

    @property
    def where(self) -> Pointer:
        """The place of findings about it."""
        return Pointer(self.desired.declaration.path, ("certificates", self.item.name, "renew"))

    def finding(self, severity: Severity, code: Code, message: str, hint: str) -> Diagnostic:
        return Diagnostic(severity, code, message, self.where, hint, self.item.name)

    def report(self, found: Diagnostic) -> None:
        self.findings.append(found)
        self.world.report(found)


def renew_certificate(
    item: Renewable, text: bytes | None, desired: Desired, world: RenewWorld, *, new_key: bool = False
) -> RenewStep:
    """How the renewal of one certificate ended; errors are part of it, except LockedError.

    `text`: its file; None: there is none yet. `new_key`: pending slots are not used, because their keys leaked or are
    damaged.
    """
    renewal = item.declared.renew
    if renewal is None:
        raise ValueError(item.name)
    work = _Work(item, renewal, desired, world)
    try:
        return _renew(work, text, new_key=new_key)
    except LockedError:
        raise
    except ReconcilerError as error:
        found = tuple(replace(one, certificate=item.name, where=one.where or work.where) for one in error.diagnostics())
        problems = tuple(one for one in found if one.is_error)
        work.findings.extend(one for one in found if not one.is_error)
        return RenewStep(item, RenewStatus.FAILED, findings=tuple(work.findings), problems=problems, asked=work.asked)


def _renew(work: _Work, text: bytes | None, *, new_key: bool) -> RenewStep:
    world, present = work.world, work.item.present
    wanted, kind = _wanted(work), _kind(work)
    world.issuer.demand()
    digest = None if present is None else key_digest(present.leaf)
    known = tuple(sorted(world.sink.slots()))
    slots = CertificateSlots(known, max((slot for slot in known if slot.key == digest), default=None))
    old = None if new_key else _pending_key(work, slots, kind)
    for slot in slots.pending:
        if (old is None or slot != slots.pending[0]) and _may_be_issued(work, slot):
            work.report(_issued_twice(work, slot, "with another key"))
    if old is None:
        key = make_key(kind)
        slot, answer = slots.next(key.digest), None
        world.demand_lock()
        world.sink.write(slot, key.pem)
    else:
        key, slot = old, slots.pending[0]
        answer = _answer_of_before(work, key, slot, is_replaced=slots.selected is None)
    if answer is None:
        world.demand_lock()
        answer = _ask(work, _request(work, wanted, key), slot if old is None else None)
    after = _check(work, wanted, key, answer)
    world.demand_lock()
    data = answer.pem().encode()
    if text is None:
        world.files.create(work.item.declared.path, data)
    else:
        world.files.replace(work.item.declared.path, old=text, new=data)
    removed = tuple(_remove(work, slots, slot))
    work.findings.extend(find_dates(after, work.item.name, world.now()))
    return RenewStep(
        work.item,
        RenewStatus.RENEWED,
        after=answer,
        slot=slot.text,
        continued=old is not None,
        asked=work.asked,
        removed=removed,
        findings=tuple(work.findings),
    )


# --- what is asked for ----------------------------------------------------------------------------------------------


def _wanted(work: _Work) -> Wanted:
    try:
        return wanted_of(work.item.present, work.renewal.subject, work.renewal.names)
    except ValueError as error:
        hint = "declare `subject` and `names` in its `renew`"
        raise InputError(
            [work.finding(Severity.ERROR, Code.NOTHING_TO_ASK, f"{work.item.name!r}: {error}", hint)]
        ) from error


def _kind(work: _Work) -> str:
    """The type of the new key."""
    present = work.item.present
    kind = work.renewal.key or (MADE_KINDS[0] if present is None else key_kind(public_key_of(present.leaf)))
    if kind not in MADE_KINDS:
        message = f"the certificate of {work.item.name!r} has a key of type {kind}, which mtlsctl does not create"
        hint = f'declare another one in its `renew`, such as key = "{MADE_KINDS[0]}"'
        raise InputError([work.finding(Severity.ERROR, Code.NOTHING_TO_ASK, message, hint)])
    return kind


def _request(work: _Work, wanted: Wanted, key: SigningKey) -> SigningRequest:
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


def _ask(work: _Work, request: SigningRequest, new: Slot | None) -> Bundle:
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
    return _read(work, answer)


# --- what earlier runs left -----------------------------------------------------------------------------------------


def _pending_key(work: _Work, slots: CertificateSlots, kind: str) -> SigningKey | None:
    """The key of a renewal that was not finished, to go on with; None if there is none of the wanted type."""
    if not slots.pending:
        return None
    slot, again = slots.pending[0], f"run `mtlsctl renew {work.item.name} --new-key`, which leaves that key unused"
    try:
        key = read_key(work.world.sink.read(slot))
    except InputError as error:
        message = f"the slot {slot.text} in {sink_text(work.renewal.sink)} has no usable key: {error.message}"
        raise InputError([work.finding(Severity.ERROR, error.code, message, again)]) from error
    if key.digest != slot.key:
        message = f"the slot {slot.text} in {sink_text(work.renewal.sink)} has the key of another slot"
        raise InputError([work.finding(Severity.ERROR, Code.KEY_MISMATCH, message, again)])
    return key if key.kind == kind else None


def _answer_of_before(work: _Work, key: SigningKey, slot: Slot, *, is_replaced: bool) -> Bundle | None:
    """The certificate that was issued for a pending key; None if the issuer has to be asked, again or for the first
    time. That it may be issued twice is reported before."""
    issuer = work.world.issuer
    found = issuer.find(key.digest) if issuer.can_find else None
    if found is not None:
        answer = _read(work, found)
        if is_useful(work.desired, work.item.name, answer, work.world.now()):
            return answer
    if found is not None or not issuer.can_find:
        work.report(_issued_twice(work, slot, "with the same key", is_replaced=is_replaced))
    return None


def _may_be_issued(work: _Work, slot: Slot) -> bool:
    issuer = work.world.issuer
    return not issuer.can_find or issuer.find(slot.key) is not None


def _issued_twice(work: _Work, slot: Slot, how: str, *, is_replaced: bool = False) -> Diagnostic:
    """The finding. `is_replaced`: the key of the certificate file is in no slot, though there are slots."""
    was = "was" if work.world.issuer.can_find else "may have been"
    message = (
        f"a certificate of {work.item.name!r} {was} issued by an earlier run {how}, and is not used: the hash of its"
        f" public key is {slot.key}"
    )
    hint = f"if you don't want it, revoke it at the issuer {work.renewal.issuer!r}"
    if work.item.present is not None and is_replaced:
        hint += (
            f"; if the certificate file was replaced by hand, such as after a leak, that key may have been in use: run"
            f" `mtlsctl renew {work.item.name} --new-key`"
        )
    return work.finding(Severity.WARNING, Code.ISSUED_TWICE, message, hint)


def _remove(work: _Work, slots: CertificateSlots, used: Slot) -> Iterator[str]:
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


# --- the answer -----------------------------------------------------------------------------------------------------


def _read(work: _Work, answer: bytes) -> Bundle:
    try:
        return parse_file(answer, work.item.declared.path)
    except InputError as error:
        message = f"the answer of the issuer {work.renewal.issuer!r} is no certificate: {error.message}"
        raise IssuerError(
            message, hint="it must be PEM: the certificate first, then its chain", is_open=True
        ) from error


def _check(work: _Work, wanted: Wanted, key: SigningKey, answer: Bundle) -> Desired:
    """The desired state with the new certificate. InputError if it must not take the place of the present one."""
    item, desired, now = work.item, work.desired, work.world.now()
    after = replace(desired, bundles={**desired.bundles, item.name: answer})
    found = [
        *check_pair(answer, key.pem, where=None),
        *check_for_upload(answer, ca=False, path=item.declared.path, now=now),
        *check_answer(wanted, answer, where=work.where),
        *find_age(item, answer, work.where),
        *judge_policy(after, None, now).get(item.name, ()),
    ]
    _demand_good(work, found)
    if answer.not_before <= now:
        _demand_good(work, _prove(work, after, PrivateKey(key.pem)))
    return after


def _demand_good(work: _Work, found: Iterable[Diagnostic]) -> None:
    """Keep warnings; InputError for errors, which says that nothing is changed and how to go on."""
    found = [replace(one, where=work.where, certificate=work.item.name) for one in found]
    errors = [one for one in found if one.is_error]
    work.findings.extend(one for one in found if not one.is_error)
    if errors:
        kept = f"{work.item.declared.path} is not changed, and the next `mtlsctl renew` goes on with the same key"
        raise InputError([replace(one, hint=f"{one.hint}; {kept}" if one.hint else kept) for one in errors])


def _prove(work: _Work, after: Desired, key: PrivateKey) -> Iterator[Diagnostic]:
    """The proof at the origin that an upload of the new pair would need."""
    name, origin = work.item.name, work.item.declared.verify
    if origin is None or not has_gate(after.declaration, name, Gate.UPLOAD):
        return
    bundle = after.bundles[name]
    proof = work.world.prover.prove(origin, ClientIdentity(bundle, key))
    yield from proof_warnings(name, proof, bundle, work.where)
    problem = proof_problem(name, proof, work.where)
    if problem is not None:
        yield problem
