"""Renewing one certificate: what is asked for, what is accepted, and what a kill at any moment leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError
from reconciler.model import Gate as ProofGate
from reconciler.model import Origin, Policy
from reconciler.model.certificate_policy import CertificatePolicy
from reconciler.model.key_places import FileSink, Slot
from reconciler.model.renewal import Renewal
from reconciler.plan.renewing import RenewStatus
from reconciler.proof.observations import End, Observation, Seen, Shown
from reconciler.proof.ports import ClientIdentity
from reconciler.proof.proofs import Proof
from reconciler.proof.verdicts import Judgement, Verdict
from reconciler.x509.certificates import key_digest, key_kind
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.requests import make_key
from tests.support.pki import DAY, NOW, Authority, Issued, make_ca
from tests.support.renewing import PATH, Killed, RenewScene, SearchableCa

CA = make_ca("Root").issue_ca("Renewing CA")
DECLARED = Renewal("internal", FileSink("keys"), subject="CN=billing,O=Example", names=("DNS:billing.example",))
NAMES = (x509.DNSName("billing.example"), x509.UniformResourceIdentifier("spiffe://example/billing"))


def old(ca: Authority = CA, key: str = "ec256") -> Issued:
    """A certificate that is due."""
    return ca.issue("billing", key=key, san=NAMES, not_before=NOW - 60 * DAY, not_after=NOW + DAY)


def scene(**settings: object) -> RenewScene:
    """A certificate that is due, whose key is in no slot yet."""
    return RenewScene(CA, old(), **settings)  # type: ignore[arg-type]


def codes(found: object) -> list[str]:
    """The codes of findings."""
    assert isinstance(found, tuple | list)
    return [one.code for one in found]


# --- kills ----------------------------------------------------------------------------------------------------------


def renewed_once(one: RenewScene) -> RenewScene:
    """The same after its first renewal, and when it is due again: its sink has the slot of its file."""
    one.run()
    one.time += 59 * DAY
    one.issuer.issued.clear()
    return one


def is_renewed(one: RenewScene) -> bool:
    """Whether its file has a certificate that was issued in this scene: then no schedule renews it again."""
    return one.files.tree[PATH] in [pem for _, pem in one.issuer.issued]


def assert_whole(one: RenewScene) -> None:
    """One certificate file, its key in its slot, they match; nothing was issued twice without being reported."""
    assert len(one.selected()) == 1
    reported = sum(found.code is Code.ISSUED_TWICE for found in one.reports)
    assert len(one.issuer.issued) - 1 <= reported


EFFECTS = 7


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("can_find", [True, False], ids=["finds", "cannot-find"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("again", [-1, 1, 2, 3], ids=["once", "at-read", "at-issue", "at-replace"])
def test_a_kill_at_any_effect_loses_nothing(*, before: bool, can_find: bool, first: bool, again: int) -> None:
    """Kill a run before or after each effect, once or in the next run again; then run to the end."""
    reached = 0
    for index in range(EFFECTS):
        one = scene(can_find=can_find)
        one = one if first else renewed_once(one)
        one.reports.clear()
        kills = [index] if again < 0 else [index, again]
        for kill_at in kills:
            if is_renewed(one):
                break
            try:
                one.run(kill_at, before=before)
            except Killed:
                reached += 1
        if not is_renewed(one):
            assert one.run().status is RenewStatus.RENEWED
        assert_whole(one)
        if can_find and again < 0:
            assert len(one.issuer.issued) == 1
    assert reached >= 4


def test_every_effect_of_a_renewal_is_a_point_to_kill_at() -> None:
    """So that the kills above reach all of them."""
    one = renewed_once(renewed_once(scene(can_find=True)))
    one.run()
    assert one.gate.seen == ["slots", "write", "issue", "replace", "remove"]
    one.time += 59 * DAY
    with pytest.raises(Killed):
        one.run(2, before=False)
    one.run()
    assert one.gate.seen == ["slots", "read", "find", "replace", "remove"]
    assert len(one.gate.seen) < EFFECTS


@pytest.mark.parametrize("can_find", [True, False], ids=["finds", "cannot-find"])
def test_a_lost_answer_is_found_or_asked_again_with_the_same_key(*, can_find: bool) -> None:
    """The key stays in its slot, the file as it is, and the next run goes on."""
    one = scene(can_find=can_find)
    one.issuer.lost = 1
    text = one.files.tree[PATH]
    failed = one.run()
    assert failed.status is RenewStatus.FAILED
    assert codes(failed.problems) == [Code.ISSUER]
    assert one.files.tree[PATH] == text
    done = one.run()
    assert done.status is RenewStatus.RENEWED
    assert done.continued
    assert len({request.key for request in one.issuer.requests}) == 1
    assert codes(one.reports) == ([] if can_find else [Code.ISSUED_TWICE])
    assert len(one.issuer.issued) == (1 if can_find else 2)
    assert_whole(one)


def test_a_refused_request_leaves_no_key_and_nothing_to_report() -> None:
    """Nothing was issued, so the next run starts again; a key of before stays where it is."""
    one = scene()
    one.issuer.refused = 1
    assert codes(one.run().problems) == [Code.ISSUER]
    assert one.sink.keys == {}
    one.issuer.lost = 1
    one.run()
    one.issuer.refused = 1
    assert not one.run().asked
    assert len(one.sink.keys) == 1
    assert one.run().status is RenewStatus.RENEWED
    assert codes(one.reports) == [Code.ISSUED_TWICE, Code.ISSUED_TWICE]


def test_a_second_issue_is_reported_before_the_issuer_is_asked() -> None:
    """A run that is killed while it asks again has reported it."""
    one = scene()
    with pytest.raises(Killed):
        one.run(2)
    with pytest.raises(Killed):
        one.run(2)
    assert one.gate.seen == ["slots", "read", "issue"]
    assert codes(one.reports) == [Code.ISSUED_TWICE]
    assert one.run().status is RenewStatus.RENEWED


@pytest.mark.parametrize(
    ("at", "before", "ended"),
    [
        (1, False, (RenewStatus.INTERRUPTED, False, True)),
        (2, False, (RenewStatus.INTERRUPTED, True, True)),
        (3, True, (RenewStatus.INTERRUPTED, True, True)),
        (4, True, (RenewStatus.RENEWED, True, True)),
    ],
    ids=["key-in-its-slot", "issuer-asked", "not-replaced", "replaced"],
)
def test_an_interrupted_renewal_says_how_far_it_came(*, at: int, before: bool, ended: tuple[object, ...]) -> None:
    """And the next run goes on."""
    one = renewed_once(renewed_once(scene()))
    one.gate.end = KeyboardInterrupt
    step = one.run(at, before=before)
    assert (step.status, step.asked, step.interrupted) == ended
    assert (step.slot is not None) == (step.status is RenewStatus.RENEWED) == is_renewed(one)
    if not is_renewed(one):
        assert one.run().continued
    assert_whole(one)


# --- slots ----------------------------------------------------------------------------------------------------------


def test_the_previous_slot_stays_until_the_next_renewal() -> None:
    """A branch, or a revert, that has the old file finds its key."""
    one = scene()
    numbers = []
    for _ in range(4):
        one.run()
        numbers.append(sorted(slot.number for slot in one.sink.keys))
        one.time += 59 * DAY
    assert numbers == [[1], [1, 2], [2, 3], [3, 4]]


def test_a_branch_with_the_old_file_uses_the_certificate_that_was_issued_meanwhile() -> None:
    """Two checkouts that share a sink do not renew twice, where the issuer can be searched."""
    one = renewed_once(scene(can_find=True))
    text = one.files.tree[PATH]
    one.run()
    new = one.files.tree[PATH]
    one.files.tree[PATH] = text
    done = one.run()
    assert done.continued
    assert one.files.tree[PATH] == new
    assert len(one.issuer.issued) == 1


def make_due(one: RenewScene) -> None:
    """What was issued is due itself."""
    one.time += 59 * DAY


def replace_by_hand(one: RenewScene) -> None:
    """As after a leak: what was issued is older than the file."""
    one.time += DAY
    one.files.tree[PATH] = CA.issue("billing", san=NAMES, not_before=one.time, not_after=one.time + DAY).chain_pem


def revoke(one: RenewScene) -> None:
    """What was issued is revoked."""
    assert isinstance(one.issuer, SearchableCa)
    one.issuer.revoked |= {key for key, _ in one.issuer.issued}


@pytest.mark.parametrize("change", [make_due, replace_by_hand, revoke], ids=["due", "replaced", "revoked"])
def test_a_key_of_before_is_not_used_again_where_the_issuer_finds_its_certificate(
    change: Callable[[RenewScene], None],
) -> None:
    """It was in use, or may have been, if its certificate can't be the next one."""
    one = scene(can_find=True)
    one.issuer.lost = 0 if change is replace_by_hand else 1
    one.run()
    (before,) = one.sink.keys
    change(one)
    done = one.run()
    assert (done.status, done.continued) == (RenewStatus.RENEWED, False)
    assert len(one.issuer.issued) == 2
    assert (one.issuer.requests[-1].key != before.key, before in one.sink.keys) == (True, False)
    assert codes(one.reports) == ([] if change is revoke else [Code.ISSUED_TWICE])
    assert one.gate.seen.count("find") == 1


@pytest.mark.parametrize("can_find", [True, False], ids=["finds", "cannot-find"])
def test_new_key_leaves_pending_keys_unused_and_removes_them(*, can_find: bool) -> None:
    """For a key that leaked; what may have been issued for it is reported."""
    one = scene(can_find=can_find)
    one.issuer.lost = 1
    one.run()
    leaked = set(one.sink.keys)
    assert one.run(new_key=True).status is RenewStatus.RENEWED
    assert not leaked & set(one.sink.keys)
    assert one.bundle is not None
    assert key_digest(one.bundle.leaf) not in {slot.key for slot in leaked}
    assert codes(one.reports) == [Code.ISSUED_TWICE]


def test_new_key_reports_nothing_that_the_issuer_never_issued() -> None:
    """An issuer that can be searched knows."""
    one = scene(can_find=True)
    with pytest.raises(Killed):
        one.run(1, before=False)
    assert one.run(new_key=True).status is RenewStatus.RENEWED
    assert one.reports == []


def test_a_pending_key_of_another_type_is_not_used() -> None:
    """The declared type counts, also where the run of before had another one."""
    one = scene()
    one.issuer.lost = 1
    one.run()
    one.renew = replace(one.renew, key="EC P-384")
    assert one.run().status is RenewStatus.RENEWED
    assert one.bundle is not None
    assert key_kind(one.bundle.leaf.public_key()) == "EC P-384"
    assert len(one.sink.keys) == 1
    assert codes(one.reports) == [Code.ISSUED_TWICE]


@pytest.mark.parametrize("content", ["other", "broken"])
def test_a_pending_slot_without_its_key_is_an_error_that_names_new_key(content: str) -> None:
    """Nothing is asked for with a key of which it is unknown whose it is."""
    one = scene()
    pem = make_key("EC P-256").pem if content == "other" else b"-----BEGIN PRIVATE KEY-----\nAAAA\n"
    one.sink.keys[Slot(3, "0" * 64)] = pem
    failed = one.run()
    assert failed.status is RenewStatus.FAILED
    assert "--new-key" in str(failed.problems[0].hint)
    assert not one.issuer.requests


def test_a_number_that_has_no_next_is_an_error_before_a_key_is_made() -> None:
    """A slot above it would have a name that no run reads."""
    one = scene()
    last = Slot(999_999_999, "0" * 64)
    one.sink.keys[last] = b""
    failed = one.run(new_key=True)
    assert "the largest number" in failed.problems[0].message
    assert (list(one.sink.keys), one.issuer.issued) == ([last], [])


@pytest.mark.parametrize("is_reverted", [True, False], ids=["reverted", "replaced"])
def test_a_key_of_before_is_pointed_out_where_the_issuer_cannot_be_searched(*, is_reverted: bool) -> None:
    """The key of the slot may have been in use: after a revert, or with a file from elsewhere."""
    one = renewed_once(scene()) if is_reverted else scene()
    text = one.files.tree[PATH]
    one.run()
    one.files.tree[PATH] = text
    again = one.run()
    (found,) = (found for found in again.findings if found.code is Code.ISSUED_TWICE)
    assert f"If {PATH} was reverted or replaced, that key was in use: run `mtlsctl renew billing" in str(found.hint)


def test_a_slot_that_cannot_be_removed_is_a_warning() -> None:
    """The renewal is done all the same."""
    one = renewed_once(renewed_once(scene()))
    one.sink.cannot_remove = True
    done = one.run()
    assert done.status is RenewStatus.RENEWED
    assert codes(done.findings) == [Code.KEYS_LEFT]


# --- what is asked for ----------------------------------------------------------------------------------------------


def test_the_request_repeats_the_present_certificate_with_a_new_key() -> None:
    """Subject, names and usages; the key has the type of the present one, and is a new one."""
    one = scene()
    present = one.bundle
    assert present is not None
    one.run()
    csr = x509.load_pem_x509_csr(one.issuer.requests[0].csr)
    assert csr.subject == present.leaf.subject
    for kind in (x509.SubjectAlternativeName, x509.KeyUsage, x509.ExtendedKeyUsage):
        assert csr.extensions.get_extension_for_class(kind).value == (
            present.leaf.extensions.get_extension_for_class(kind).value
        )
    request = one.issuer.requests[0]
    assert (request.common_name, request.dns_names, request.uris) == (
        "billing",
        ("billing.example",),
        ("spiffe://example/billing",),
    )
    assert one.bundle is not None
    assert key_digest(one.bundle.leaf) != key_digest(present.leaf)


def test_the_first_certificate_is_made_from_what_is_declared() -> None:
    """There is no file yet."""
    one = RenewScene(CA, None, DECLARED)
    done = one.run()
    assert done.status is RenewStatus.RENEWED
    assert one.bundle is not None
    assert one.bundle.facts().subject == "CN=billing,O=Example"
    assert {one.attribute for one in done.differences} >= {"subject", "not_after", "key", "fingerprint"}
    assert_whole(one)


def test_a_first_certificate_without_a_subject_is_an_error_before_anything_is_done() -> None:
    """No key is made."""
    one = RenewScene(CA, None)
    failed = one.run()
    assert codes(failed.problems) == [Code.NOTHING_TO_ASK]
    assert one.gate.seen == []


def test_a_key_type_that_is_not_made_is_an_error_that_names_one() -> None:
    """An Ed25519 key is not replaced by another type unasked."""
    one = RenewScene(CA, old(key="ed25519"))
    failed = one.run()
    assert codes(failed.problems) == [Code.NOTHING_TO_ASK]
    assert 'key = "EC P-256"' in str(failed.problems[0].hint)


def test_an_issuer_that_cannot_be_used_is_reported_before_a_key_is_made() -> None:
    """Nothing is left behind."""
    one = scene()
    one.issuer.missing = "no token"
    assert codes(one.run().problems) == [Code.ISSUER]
    assert one.gate.seen == []


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "old"])
def test_a_file_that_cannot_be_written_is_reported_before_the_issuer_is_asked(*, is_new: bool) -> None:
    """Nothing is left behind."""
    one = RenewScene(CA, None, DECLARED) if is_new else scene()
    one.files.unwritable = FileError("certs/billing.pem is read-only", code=Code.FILE_UNWRITABLE)
    assert codes(one.run().problems) == [Code.FILE_UNWRITABLE]
    assert one.gate.seen == []


@pytest.mark.parametrize("path", ["certs/billing.key", "certs/billing", ".github/workflows/billing.yml"])
def test_a_first_certificate_is_not_created_under_the_name_of_something_else(path: str) -> None:
    """One that is there already may have any name."""
    one = RenewScene(CA, None, DECLARED, path=path)
    assert codes(one.run().problems) == [Code.BAD_PATH]
    assert one.gate.seen == []
    one.files.tree[path] = old().chain_pem
    assert one.run().status is RenewStatus.RENEWED


# --- what is accepted -----------------------------------------------------------------------------------------------


ANSWERS: dict[str, tuple[dict[str, object], Code]] = {
    "another-subject": (
        {"_subject_name": x509.Name.from_rfc4514_string("CN=other")},
        Code.RENEWAL_DIFFERS,
    ),
    "no-names": ({"_extensions": []}, Code.RENEWAL_DIFFERS),
    "older": ({"_not_valid_before": (NOW - 90 * DAY).replace(tzinfo=None)}, Code.RENEWAL_DIFFERS),
    "expired": (
        {
            "_not_valid_before": (NOW - 59 * DAY).replace(tzinfo=None),
            "_not_valid_after": (NOW - DAY).replace(tzinfo=None),
        },
        Code.CERTIFICATE_EXPIRED,
    ),
    "another-key": ({"_public_key": make_ca("other").certificate.public_key()}, Code.KEY_MISMATCH),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_what_was_asked_changes_no_file(name: str) -> None:
    """Its key stays in its slot, and the error says how to go on."""
    changed, code = ANSWERS[name]
    one = scene()

    def alter(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        for attribute, value in changed.items():
            setattr(builder, attribute, value)
        return builder

    one.issuer.alter = alter
    text = one.files.tree[PATH]
    failed = one.run()
    assert failed.status is RenewStatus.FAILED
    assert code in codes(failed.problems)
    assert ["goes on with the same key" in str(problem.hint) for problem in failed.problems].count(True) == 1
    assert one.files.tree[PATH] == text
    assert len(one.sink.keys) == 1
    assert "after a revert" not in str([problem.hint for problem in failed.problems])  # as for an upload


@pytest.mark.parametrize("answer", [b"", b"Internal Server Error", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_an_answer_that_is_no_certificate_is_the_issuers_fault(answer: bytes) -> None:
    """It is never written anywhere."""
    one = scene()
    one.issuer.alter_and_sign = lambda csr: answer  # type: ignore[method-assign]
    failed = one.run()
    assert codes(failed.problems) == [Code.ISSUER]
    assert "internal" in failed.problems[0].message


def test_an_answer_with_a_private_key_in_it_is_refused() -> None:
    """A certificate file is public; nothing of the key is shown."""
    one = scene()
    key = make_key("EC P-256").pem
    one.issuer.alter_and_sign = lambda csr: old().certificate_pem + key  # type: ignore[method-assign]
    failed = one.run()
    assert codes(failed.problems) == [Code.ISSUER]
    assert key.splitlines()[1].decode() not in repr(failed)


def test_the_policy_for_certificates_holds_for_an_answer() -> None:
    """As for any certificate, before the file is replaced."""
    one = scene(policy=Policy(certificates=CertificatePolicy(max_lifetime=timedelta(days=10))))
    text = one.files.tree[PATH]
    assert codes(one.run().problems) == [Code.POLICY_LIFETIME]
    assert one.files.tree[PATH] == text


def test_the_parts_of_a_subject_may_come_in_another_order() -> None:
    """Go's CAs sort them."""
    one = scene(renew=Renewal("internal", FileSink("keys"), subject="CN=billing,OU=Pay,O=Example"))
    one.issuer.alter = lambda builder: _set(
        builder, "_subject_name", x509.Name.from_rfc4514_string("CN=billing,O=Example,OU=Pay")
    )
    assert one.run().status is RenewStatus.RENEWED


def _set(builder: x509.CertificateBuilder, attribute: str, value: object) -> x509.CertificateBuilder:
    setattr(builder, attribute, value)
    return builder


def test_a_certificate_that_is_valid_later_is_accepted_with_a_warning() -> None:
    """`apply` binds it when it is valid; the proof at the origin is made then, too."""
    origin = Origin("https://billing.example/")
    one = scene(settings={"verify": origin, "verify_before": frozenset({ProofGate.UPLOAD})})
    one.issuer.clock = lambda: NOW + timedelta(hours=1)
    done = one.run()
    assert done.status is RenewStatus.RENEWED
    assert Code.CERTIFICATE_NOT_YET_VALID in codes(done.findings)


class Origins:
    """Gives one verdict, and remembers the pairs that it was shown."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict, self.seen = verdict, list[ClientIdentity]()

    def prove(self, origin: Origin, pair: ClientIdentity) -> Proof:
        """The proof, as an origin would end it."""
        self.seen.append(pair)
        alert = "unknown_ca" if self.verdict is Verdict.REJECTED else None
        seen = Seen(Observation(Shown.OURS, End.ALERT, alert=alert))
        return Proof(origin.url, seen, Judgement(self.verdict, "x", "why"))


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.REJECTED, Verdict.INCONCLUSIVE])
def test_the_new_pair_is_proved_at_its_origin_before_the_file_is_replaced(verdict: Verdict) -> None:
    """Where its upload needs that; the key stays in its slot for the next run."""
    one = scene(settings={"verify": Origin("https://billing.example/"), "verify_before": frozenset({ProofGate.UPLOAD})})
    origins, text = Origins(verdict), one.files.tree[PATH]
    one.world = replace(one.world, prover=origins)
    done = one.run()
    (pair,) = origins.seen
    assert not check_pair(pair.bundle, pair.key.pem, where=None)
    assert pair.bundle.pem().encode() == one.issuer.issued[0][1]
    assert (done.status is RenewStatus.RENEWED) == (verdict is Verdict.ACCEPTED)
    assert (one.files.tree[PATH] != text) == (verdict is Verdict.ACCEPTED)
    assert [slot.number for slot in one.sink.keys] == [1]


def test_nothing_is_proved_where_no_upload_needs_it() -> None:
    """A `verify` alone is for `mtlsctl verify`."""
    one = scene(settings={"verify": Origin("https://billing.example/"), "verify_before": frozenset({ProofGate.RETIRE})})
    assert one.run().status is RenewStatus.RENEWED


def test_a_shorter_certificate_is_a_warning() -> None:
    """A team may move to certificates of hours while the present one is valid for months."""
    long = CA.issue("billing", san=NAMES, not_after=NOW + 300 * DAY)
    done = RenewScene(CA, long).run()
    assert done.status is RenewStatus.RENEWED
    assert codes(done.findings) == [Code.RENEWAL_ENDS_EARLIER]


def test_a_file_that_was_changed_meanwhile_is_not_replaced() -> None:
    """The key stays in its slot for the next run."""
    one = scene()
    item_text = one.files.tree[PATH]

    def change(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        one.files.tree[PATH] = old().chain_pem
        return builder

    one.issuer.alter = change
    failed = one.run()
    assert failed.status is RenewStatus.FAILED
    assert codes(failed.problems) == [Code.FILE_CHANGED]
    assert one.files.tree[PATH] != item_text
