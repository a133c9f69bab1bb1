"""The rules of the reconciler, a row each, and the stories behind them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from cryptography import x509

from reconciler.model import (
    Actual,
    Built,
    CertificateName,
    Desired,
    EntryId,
    FoundBinding,
    Policy,
    StoreKind,
    StoreSettings,
    Sweep,
    WranglerFile,
)
from reconciler.model.ownership import mark_name
from reconciler.plan import inventory
from reconciler.plan.assess import judge
from reconciler.plan.plan import make_plan
from reconciler.x509.certificates import parse_stored, subject_text
from tests.support.pki import NOW, make_ca
from tests.support.worlds import (
    CONFIG,
    REAL_ID,
    actual,
    certificate,
    codes,
    desired,
    entry,
    file,
    plan_of,
    shown,
    uid,
    waits,
    worker,
)

BILLING = worker("checkout", {None: {"BILLING": "billing"}})


@dataclass(frozen=True)
class Row:
    """A world and what its plan must say; what is not named must be empty."""

    rule: str
    wanted: Desired
    there: Actual
    changes: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)


def bound(number: int, **more: str) -> dict[str, WranglerFile]:
    """Wrangler files of the one Worker, with BILLING bound to an id."""
    return {"checkout": file({None: {"BILLING": uid(number), **more}})}


OPEN = {"checkout": file({})}
PRUNE = Policy(prune=True)

WANTED = [
    Row(
        "1: a certificate that the store lacks is uploaded and bound",
        desired({"billing": 1}, [BILLING]),
        actual([], OPEN),
        ["upload billing missing", "bind BILLING missing"],
    ),
    Row(
        "1: two certificates with one content share one entry, marked for the first by name",
        desired({"b": 1, "a": 1}, [worker("checkout", {None: {"A": "a", "B": "b"}})]),
        actual([], OPEN),
        ["upload a missing", "bind A missing", "bind B missing"],
    ),
    Row(
        "1: an entry with the right content and another `ca` is an error",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, ca=True)], OPEN),
        findings=["entry-ca-differs"],
    ),
    Row(
        "1: an entry with the right content that Cloudflare manages is an error",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, type="gateway_managed")], OPEN),
        findings=["entry-managed"],
    ),
    Row(
        "1: one content declared as CA and as leaf is an error, and neither is uploaded",
        desired({"a": 1, "b": 1}, declared=[certificate("b", ca=True, key=None)]),
        actual(),
        findings=["same-content", "same-content"],
    ),
    Row(
        "1: of several entries the bound one is taken",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing", age=9), entry(2, 1, "old", age=1)], bound(2)),
        adopted=[uid(2)],
    ),
    Row(
        "1: of several unbound entries the marked one is taken",
        desired({"billing": 1}),
        actual([entry(1, 1, "old", age=9), entry(2, 1, "@billing", age=1)]),
        adopted=[uid(2)],
    ),
    Row(
        "1: of several unmarked entries the oldest is taken",
        desired({"billing": 1}),
        actual([entry(1, 1, "x", age=1), entry(2, 1, "y", age=9)]),
        adopted=[uid(2)],
    ),
    Row(
        "1: of several as old entries the first by id is taken",
        desired({"billing": 1}),
        actual([entry(2, 1, "x"), entry(1, 1, "y")]),
        adopted=[uid(1)],
    ),
    Row(
        "2: a wanted entry is adopted under whatever name, and only bound",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "made by hand")], OPEN),
        ["bind BILLING missing"],
        adopted=[uid(1)],
    ),
    Row(
        "2: the content of another stack's entry is an error",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing", stack="other")], OPEN),
        findings=["entry-of-other-stack"],
    ),
    Row(
        "2: a former stack's entry is adopted",
        desired({"billing": 1}, [BILLING], former_stacks=("other",)),
        actual([entry(1, 1, "@billing", stack="other")], bound(1)),
        adopted=[uid(1)],
    ),
    Row(
        "2: a name that only looks like another stack's mark is no mark",
        desired({"billing": 1}),
        actual([entry(1, 1, "other.billing.000000000000")]),
        adopted=[uid(1)],
    ),
]

BOUND = [
    Row(
        "3: an id of an older entry of the same certificate is rebound",
        desired({"billing": 2}, [BILLING]),
        actual([entry(1, 1, "@billing"), entry(2, 2, "@billing", age=1)], bound(1)),
        ["rebind BILLING content-changed"],
        ["billing bindings-pending"],
        adopted=[uid(2)],
    ),
    Row(
        "3: the id of an entry of something else is rebound",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing"), entry(7, 7, "foreign")], bound(7)),
        ["rebind BILLING wrong-id"],
        adopted=[uid(1)],
    ),
    Row(
        "3: a placeholder is rebound",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": "<CERTIFICATE_ID>"}})}),
        ["rebind BILLING placeholder-id"],
        adopted=[uid(1)],
    ),
    Row(
        "3: an undeclared binding of ours in a declared environment is unbound",
        desired({"billing": 1}, [worker("checkout", {None: {}})]),
        actual([entry(1, 1, "@billing")], bound(1)),
        ["unbind BILLING removed"],
        adopted=[uid(1)],
    ),
    Row(
        "3: an undeclared binding of nobody we know stays",
        desired({"billing": 1}, [worker("checkout", {None: {}})]),
        actual([entry(1, 1, "@billing"), entry(7, 7, "foreign")], bound(7)),
        adopted=[uid(1)],
    ),
    Row(
        "3: an undeclared binding of a handed-over entry is unbound",
        desired(
            {"billing": 1}, [worker("checkout", {None: {}})], declared=[certificate("billing", supersedes=("old",))]
        ),
        actual([entry(1, 1, "@billing", age=1), entry(7, 7, "old")], bound(7)),
        ["unbind BILLING removed"],
        ["billing bound-in-file"],
        adopted=[uid(1)],
    ),
    Row(
        "3: an undeclared binding of an adopted entry is not ours by its mark: it stays and is said",
        desired({"billing": 1}, [worker("checkout", {None: {}})]),
        actual([entry(1, 1, "made by hand")], bound(1)),
        findings=["undeclared-binding"],
        adopted=[uid(1)],
    ),
    Row(
        "3: a binding of ours in an environment that nothing declares is a finding and stays",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}, "staging": {"B": uid(1)}})}),
        findings=["undeclared-binding", "undeclared-environment"],
        adopted=[uid(1)],
    ),
    Row(
        "3: a top level that nothing declares is left alone and said",
        desired({"billing": 1}, [worker("checkout", {"staging": {"BILLING": "billing"}})]),
        actual([entry(1, 1, "@billing")], {"checkout": file({None: {"B": uid(1)}, "staging": {"BILLING": uid(1)}})}),
        findings=["undeclared-binding"],
        adopted=[uid(1)],
    ),
    Row(
        "3: an undeclared environment is a warning while the top level has bindings",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}, "staging": {}})}),
        findings=["undeclared-environment"],
        adopted=[uid(1)],
    ),
    Row(
        "3: an empty declared table silences that warning",
        desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}, "staging": {}})]),
        actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}, "staging": {}})}),
        adopted=[uid(1)],
    ),
    Row(
        "3: no warning where the top level has none",
        desired({"billing": 1}, [worker("checkout", {"staging": {"BILLING": "billing"}})]),
        actual([entry(1, 1, "@billing")], {"checkout": file({"staging": {"BILLING": uid(1)}, "dev": {}})}),
        adopted=[uid(1)],
    ),
    Row(
        "3: an environment that another label of the same file declares is declared",
        desired({"billing": 1}, [BILLING, worker("checkout-staging", {"staging": {"BILLING": "billing"}})]),
        actual(
            [entry(1, 1, "@billing")],
            dict.fromkeys(
                ("checkout", "checkout-staging"), file({None: {"BILLING": uid(1)}, "staging": {"BILLING": uid(1)}})
            ),
        ),
        adopted=[uid(1)],
    ),
    Row(
        "3: a declared environment that the file lacks is an error and is never created",
        desired({"billing": 1}, [worker("checkout", {"stagign": {"BILLING": "billing"}})]),
        actual([entry(1, 1, "@billing")], {"checkout": file({"staging": {}})}),
        findings=["unknown-environment"],
        adopted=[uid(1)],
    ),
    Row(
        "3: with `exclusive = false` nothing is unbound, and it is said",
        desired({"billing": 1}, [worker("checkout", {None: {}}, exclusive=False)]),
        actual([entry(1, 1, "@billing")], bound(1)),
        findings=["undeclared-binding"],
        adopted=[uid(1)],
    ),
    Row(
        "3: a name that another kind of binding has is an error",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], {"checkout": file({}, taken={None: {"BILLING": "kv_namespaces"}})}),
        findings=["binding-name-taken"],
        adopted=[uid(1)],
    ),
]

LEAVING = [
    Row(
        "4: an older marked entry is superseded, and retired when all is safe",
        desired({"billing": 2}, [BILLING]),
        actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=8)], bound(2)),
        ["retire billing superseded"],
        adopted=[uid(2)],
    ),
    Row(
        "4: an entry uploaded after the declared one is newer, and kept",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=8)], bound(1)),
        findings=["newer-entry"],
        adopted=[uid(1)],
    ),
    Row(
        "4: an entry uploaded in the same moment is not older, and kept",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=30)], bound(1)),
        findings=["newer-entry"],
        adopted=[uid(1)],
    ),
    Row(
        "4: a foreign entry handed over by id is superseded",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=(uid(1),))]),
        actual([entry(1, 1, "by hand"), entry(2, 2, "@billing", age=8)], bound(2)),
        ["retire billing superseded"],
        adopted=[uid(2)],
    ),
    Row(
        "4: a foreign entry handed over by its name is superseded",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=("by hand",))]),
        actual([entry(1, 1, "by hand"), entry(2, 2, "@billing", age=8)], bound(2)),
        ["retire billing superseded"],
        adopted=[uid(2)],
    ),
    Row(
        "4: a handed-over name that two entries have hands nothing over",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=("twin",))]),
        actual([entry(1, 1, "twin"), entry(3, 3, "twin"), entry(2, 2, "@billing", age=8)], bound(2)),
        findings=["supersedes-ambiguous"],
        adopted=[uid(2)],
    ),
    Row(
        "4: a handed-over entry that is newer than the current one is kept",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=("by hand",))]),
        actual([entry(1, 1, "by hand", age=1), entry(2, 2, "@billing", age=8)], bound(2)),
        findings=["newer-entry"],
        adopted=[uid(2)],
    ),
    Row(
        "4: an id in `supersedes` that is not in the store is a warning before the certificate is uploaded",
        desired({"billing": 2}, declared=[certificate("billing", supersedes=(uid(1),))]),
        actual([entry(3, 3, "by hand"), entry(4, 4, "@ledger", stack="other")]),
        ["upload billing missing"],
        findings=["supersedes-nothing"],
    ),
    Row(
        "4: one item that is not in the store is a warning though another one is",
        desired({"billing": 2}, declared=[certificate("billing", supersedes=("by hand", "by hnd"))]),
        actual([entry(1, 1, "by hand")]),
        ["upload billing content-changed"],
        ["billing successor-missing"],
        findings=["supersedes-nothing"],
    ),
    Row(
        "4: a handed-over id that was deleted is not reported once the certificate is uploaded",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=(uid(1),))]),
        actual([entry(2, 2, "@billing", age=8)], bound(2)),
        adopted=[uid(2)],
    ),
    Row(
        "4: nor while a renewal of the certificate is not uploaded yet",
        desired({"billing": 3}, [BILLING], declared=[certificate("billing", supersedes=(uid(1),))]),
        actual([entry(2, 2, "@billing", age=8)], bound(2)),
        ["upload billing content-changed", "rebind BILLING content-changed"],
        ["billing successor-missing"],
    ),
    Row(
        "4: nor once the certificate is stored under another name",
        desired({"billing": 2}, declared=[certificate("billing", supersedes=("older", "by hand"))]),
        actual([entry(2, 2, "by hand")]),
        adopted=[uid(2)],
    ),
    Row(
        "4: nor a former name all of whose entries were deleted",
        desired({"billing": 2}, declared=[certificate("billing", supersedes=("invoices",))]),
        actual([entry(2, 2, "@billing")]),
        adopted=[uid(2)],
    ),
    Row(
        "4: nor while the certificate's file can't be read, for it may be stored",
        desired({"billing": None}, declared=[certificate("billing", supersedes=("older",))]),
        actual([entry(2, 2, "by hand")]),
    ),
    Row(
        "4: another stack's entry can't be handed over",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=(uid(1),))]),
        actual([entry(1, 1, "@x", stack="other"), entry(2, 2, "@billing", age=8)], bound(2)),
        findings=["supersedes-refused"],
        adopted=[uid(2)],
    ),
    Row(
        "4: a CA can't be handed over to a leaf",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=(uid(1),))]),
        actual([entry(1, 1, "ca", ca=True), entry(2, 2, "@billing", age=8)], bound(2)),
        findings=["supersedes-refused"],
        adopted=[uid(2)],
    ),
    Row(
        "4: entries under a former name of a certificate are superseded",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", supersedes=("invoices",))]),
        actual([entry(1, 1, "@invoices"), entry(2, 2, "@billing", age=8)], bound(2)),
        ["retire billing superseded"],
        adopted=[uid(2)],
    ),
    Row(
        "4: entries of a former stack are superseded for certificates declared here",
        desired({"billing": 2}, [BILLING], former_stacks=("shop",)),
        actual([entry(1, 1, "@billing", stack="shop"), entry(2, 2, "@billing", age=8)], bound(2)),
        ["retire billing superseded"],
        adopted=[uid(2)],
    ),
    Row(
        "4: entries of a former stack for anything else are not ours",
        desired({"billing": 2}, [BILLING], former_stacks=("shop",), policy=PRUNE),
        actual([entry(1, 1, "@ledger", stack="shop"), entry(2, 2, "@billing", age=8)], bound(2)),
        adopted=[uid(2)],
        findings=["former-stack-left"],
    ),
    Row(
        "4: an orphan stays without `prune`",
        desired({"billing": 2}, [BILLING]),
        actual([entry(1, 1, "@ledger"), entry(2, 2, "@billing", age=8)], bound(2)),
        waiting=["ledger prune-off"],
        adopted=[uid(2)],
    ),
    Row(
        "4: an orphan goes with `prune`",
        desired({"billing": 2}, [BILLING], policy=PRUNE),
        actual([entry(1, 1, "@ledger"), entry(2, 2, "@billing", age=8)], bound(2)),
        ["retire ledger orphaned"],
        findings=["policy-weak"],
        adopted=[uid(2)],
    ),
    Row(
        "4: foreign entries and marks that do not match their content are nobody's orphans",
        desired({"billing": 2}, [BILLING], policy=PRUNE),
        actual([entry(1, 1, "x"), entry(3, 3, "payments.ledger.000000000000"), entry(2, 2, "@billing")], bound(2)),
        adopted=[uid(2)],
    ),
]

LIVE_IDS = ("2458ce5a-0000-4000-8000-000000000001", "2458ce5a-0000-4000-8000-000000000002")
OLD_AND_NEW = [entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=8)]

SAFE = [
    Row(
        "5: the successor has to be stored",
        desired({"billing": 2}, [BILLING]),
        actual([entry(1, 1, "@billing")], bound(1)),
        ["upload billing content-changed", "rebind BILLING content-changed"],
        ["billing successor-missing"],
    ),
    Row(
        "5: the content of every declared certificate has to be known",
        desired({"billing": 2, "ledger": None}, [BILLING]),
        actual(OLD_AND_NEW, bound(2)),
        waiting=["billing content-unknown"],
        adopted=[uid(2)],
    ),
    Row(
        "5: an entry that another declared certificate has is not superseded",
        desired({"billing": 2, "legacy": 1}, [BILLING]),
        actual(OLD_AND_NEW, bound(2)),
        adopted=[uid(2), uid(1)],
    ),
    Row(
        "5: a binding that names it by id keeps it",
        desired({"billing": 2}, [worker("checkout", {None: {"BILLING": "billing"}, "old": {"B": f"id:{uid(1)}"}})]),
        actual(OLD_AND_NEW, {"checkout": file({None: {"BILLING": uid(2)}, "old": {}})}),
        ["bind B missing"],
        ["billing declared-by-id"],
        ["by-id-outdated"],
        adopted=[uid(2)],
    ),
    Row(
        "5: every declared binding of its certificate has to name the current entry",
        desired({"billing": 2}, [worker("checkout", {None: {"BILLING": "billing", "SECOND": "billing"}})]),
        actual(OLD_AND_NEW, bound(2)),
        ["bind SECOND missing"],
        ["billing bindings-pending"],
        adopted=[uid(2)],
    ),
    Row(
        "5: no declared wrangler file may have its id, even in an environment that nothing declares",
        desired({"billing": 2}, [BILLING]),
        actual(OLD_AND_NEW, {"checkout": file({None: {"BILLING": uid(2)}, "staging": {"X": uid(1)}})}),
        waiting=["billing bound-in-file"],
        findings=["undeclared-binding", "undeclared-environment"],
        adopted=[uid(2)],
    ),
    Row(
        "5: no file of the tree may name its id",
        desired({"billing": 2}, [BILLING]),
        actual(OLD_AND_NEW, bound(2), sweep=Sweep({uid(1): ("apps/other/wrangler.jsonc",)})),
        waiting=["billing named-in-file"],
        adopted=[uid(2)],
    ),
    Row(
        "5: a tree that could not be looked through keeps it",
        desired({"billing": 2}, [BILLING]),
        actual(OLD_AND_NEW, bound(2), sweep=Sweep(unread=("other/wrangler.json",))),
        waiting=["billing unchecked"],
        adopted=[uid(2)],
    ),
    Row(
        "5: a tree that was not looked through keeps it",
        desired({"billing": 2}, [BILLING]),
        actual(OLD_AND_NEW, bound(2), sweep=None),
        waiting=["billing unchecked"],
        adopted=[uid(2)],
    ),
    Row(
        "5: grace counts from the successor's upload",
        desired({"billing": 2}, [BILLING]),
        actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=6.9)], bound(2)),
        waiting=["billing grace"],
        adopted=[uid(2)],
    ),
    Row(
        "5: grace counts from an orphan's own upload",
        desired({"billing": 2}, [BILLING], policy=PRUNE),
        actual([entry(1, 1, "@ledger", age=6.9), entry(2, 2, "@billing", age=30)], bound(2)),
        waiting=["ledger grace"],
        findings=["stack-shared", "policy-weak"],
        adopted=[uid(2)],
    ),
    Row(
        "5: a certificate's own grace goes over the policy's",
        desired({"billing": 2}, [BILLING], declared=[certificate("billing", grace=timedelta(hours=1))]),
        actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=0.1)], bound(2)),
        ["retire billing superseded"],
        findings=["policy-weak"],
        adopted=[uid(2)],
    ),
    Row(
        "5: an upload time that the store does not tell keeps it",
        desired({"billing": 2}, [BILLING], policy=PRUNE),
        actual([replace(entry(1, 1, "@ledger"), uploaded_on=None), entry(2, 2, "@billing")], bound(2)),
        waiting=["ledger grace"],
        findings=["policy-weak"],
        adopted=[uid(2)],
    ),
    Row(
        "5: a list that moved while it was read keeps it",
        desired({"billing": 2}, [BILLING]),
        actual(OLD_AND_NEW, bound(2), stable=False),
        waiting=["billing listing-unstable"],
        adopted=[uid(2)],
    ),
    *(
        Row(
            f"5: a clock that is {ahead} before the store's keeps it",
            desired({"billing": 2}, [BILLING]),
            actual(OLD_AND_NEW, bound(2), ahead=ahead),
            waiting=["billing clock-skew"],
            adopted=[uid(2)],
            findings=findings,
        )
        for ahead, findings in (
            (timedelta(days=8), ["clock-wrong"]),
            (timedelta(minutes=-6), ["clock-wrong"]),
            (None, list[str]()),
        )
    ),
    Row(
        "5: a clock that differs by less than five minutes keeps nothing",
        desired({"billing": 2}, [BILLING]),
        actual(OLD_AND_NEW, bound(2), ahead=timedelta(minutes=-4)),
        ["retire billing superseded"],
        adopted=[uid(2)],
    ),
    Row(
        "5: what live Workers present can't be seen, so in an account nothing is retired",
        desired({"billing": 2}, [BILLING], store=StoreKind.CLOUDFLARE),
        actual(
            [replace(OLD_AND_NEW[0], id=EntryId(LIVE_IDS[0])), replace(OLD_AND_NEW[1], id=EntryId(LIVE_IDS[1]))],
            {"checkout": file({None: {"BILLING": LIVE_IDS[1]}})},
        ),
        waiting=["billing live-unchecked"],
        adopted=[LIVE_IDS[1]],
    ),
    Row(
        "5: of more than max_deletes the rest waits, the oldest go first",
        desired({"billing": 2}, [BILLING], policy=Policy(max_deletes=1)),
        actual([entry(3, 3, "@billing", age=20), entry(1, 1, "@billing", age=30), OLD_AND_NEW[1]], bound(2)),
        ["retire billing superseded"],
        ["billing max-deletes"],
        adopted=[uid(2)],
    ),
]

IDS = [
    Row(
        "6: an id that neither the list nor the question knows is unknown",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], bound(9), asked={uid(9): None}),
        ["rebind BILLING unknown-id"],
        adopted=[uid(1)],
    ),
    Row(
        "6: an id that the list lacks and the question finds is known",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], bound(9), asked={uid(9): entry(9, 9, "new")}),
        ["rebind BILLING wrong-id"],
        adopted=[uid(1)],
    ),
    Row(
        "6: a declared id that the list lacks and the question finds can be bound",
        desired({}, [worker("checkout", {None: {"LEDGER": f"id:{uid(9)}"}})]),
        actual([], OPEN, asked={uid(9): entry(9, 9, "new")}),
        ["bind LEDGER missing"],
    ),
    Row(
        "6: a declared id that nobody knows is an error",
        desired({}, [worker("checkout", {None: {"LEDGER": f"id:{uid(9)}"}})]),
        actual([], OPEN, asked={uid(9): None}),
        findings=["unknown-entry"],
    ),
    Row(
        "6: of many ids that the list lacks, those that were not asked for count as unknown, and a warning says so",
        desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing", "LEDGER": f"id:{uid(8)}"}})]),
        actual([entry(1, 1, "@billing")], bound(9), asked={uid(7): None}, unasked=[uid(8), uid(9)]),
        ["rebind BILLING unknown-id"],
        adopted=[uid(1)],
        findings=["unknown-entry", "ids-not-asked"],
    ),
    Row(
        "6: a declared id of a CA is an error",
        desired({}, [worker("checkout", {None: {"LEDGER": f"id:{uid(9)}"}})]),
        actual([entry(9, 9, ca=True)], OPEN),
        findings=["binding-to-ca"],
    ),
    Row(
        "6: offline another id than the declared one is wrong, not unknown: nobody was asked",
        desired({}, [worker("checkout", {None: {"LEDGER": f"id:{uid(9)}"}})]),
        actual(None, {"checkout": file({None: {"LEDGER": uid(8)}})}),
        ["rebind LEDGER wrong-id"],
    ),
    Row(
        "7: the embedded store changes nothing in a file with a real account's id",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": REAL_ID}})}),
        findings=["account-id-in-file"],
        adopted=[uid(1)],
    ),
    Row(
        "7: not even beside it, in another environment",
        desired({"billing": 1}, [BILLING]),
        actual([entry(1, 1, "@billing")], {"checkout": file({"live": {"X": REAL_ID}})}),
        findings=["account-id-in-file", "undeclared-environment"],
        adopted=[uid(1)],
    ),
    Row(
        "7: not even beside one in previews, which is never written",
        desired({"billing": 1}, [BILLING]),
        actual(
            [entry(1, 1, "@billing")],
            {"checkout": replace(file({}), previews=(FoundBinding("X", REAL_ID, 0),))},
        ),
        findings=["account-id-in-file", "previews-unmanaged"],
        adopted=[uid(1)],
    ),
    Row(
        "7: a real account's id with blanks, in capitals or without dashes is no placeholder",
        desired({"billing": 1}, [BILLING]),
        actual(
            [entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": f" {REAL_ID.upper().replace('-', '')} "}})}
        ),
        findings=["account-id-in-file"],
        adopted=[uid(1)],
    ),
    Row(
        "7: the embedded store does not bind a real account's id",
        desired({}, [worker("checkout", {None: {"LEDGER": f"id:{REAL_ID}"}})]),
        actual([], OPEN),
        findings=["account-id-declared"],
    ),
    Row(
        "7: a real account's id that is declared and stands there already is no matter",
        desired({}, [worker("checkout", {None: {"LEDGER": f"id:{REAL_ID}"}})]),
        actual([], {"checkout": file({None: {"LEDGER": REAL_ID}})}),
    ),
    Row(
        "7: to the Cloudflare store an embedded id is a placeholder",
        desired({"billing": 1}, [BILLING], store=StoreKind.CLOUDFLARE),
        actual([replace(entry(1, 1, "@billing"), id=EntryId(REAL_ID))], bound(9)),
        ["rebind BILLING placeholder-id"],
        adopted=[REAL_ID],
    ),
    Row(
        "8: a bad certificate stops itself and its bindings, not the others",
        desired({"billing": 1, "bad": None}, [worker("checkout", {None: {"BAD": "bad", "BILLING": "billing"}})]),
        actual([], OPEN),
        ["upload billing missing", "bind BILLING missing"],
    ),
    Row(
        "8: a certificate that has to be uploaded and names no key is an error of its own",
        desired({"billing": 1, "bare": 2}, [BILLING], declared=[certificate("bare", key=None)]),
        actual([], OPEN),
        ["upload billing missing", "bind BILLING missing"],
        findings=["key-missing"],
    ),
    Row(
        "9: what is stored needs no key",
        desired({"bare": 2}, declared=[certificate("bare", key=None)]),
        actual([entry(2, 2, "@bare")]),
        adopted=[uid(2)],
    ),
    Row(
        "quota: what does not fit is not uploaded, nor bound",
        desired({"a": 1, "b": 2}, [worker("checkout", {None: {"A": "a", "B": "b"}})], limit=2),
        actual([entry(7, 7, "foreign")], OPEN),
        ["upload a missing", "bind A missing"],
        findings=["quota"],
    ),
]

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
STORED = [entry(1, 1, "@billing")]
IN_PLACE = file({None: {"BILLING": uid(1)}, "preview": {}, "staging": {}})


def of_account(found: WranglerFile, account: str, top_level: str | None = None) -> WranglerFile:
    """The same file with an account id in every environment; `top_level`: another one there."""
    environments = {name: replace(there, account_id=account) for name, there in found.environments.items()}
    if top_level is not None:
        environments[None] = replace(environments[None], account_id=top_level)
    return replace(found, environments=environments)


def in_account(wanted: Desired) -> Desired:
    """The same on the Cloudflare store of ACCOUNT."""
    store = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT)
    return replace(wanted, declaration=replace(wanted.declaration, store=store))


AROUND = [
    Row(
        "a declared environment of another account is an error, and nothing is bound in it",
        in_account(desired({"billing": 1}, [BILLING])),
        actual([replace(STORED[0], id=EntryId(REAL_ID))], {"checkout": of_account(file({}), "f" * 32)}),
        findings=["account-differs"],
        adopted=[REAL_ID],
    ),
    Row(
        "what a wrangler file has instead of an account's ID is an error of its own",
        in_account(desired({"billing": 1}, [BILLING])),
        actual([replace(STORED[0], id=EntryId(REAL_ID))], {"checkout": of_account(file({}), "<< todo >>")}),
        findings=["account-malformed"],
        adopted=[REAL_ID],
    ),
    Row(
        "an undeclared environment of another account is nobody's business",
        in_account(desired({"billing": 1}, [worker("checkout", {"staging": {}})])),
        actual(
            [replace(STORED[0], id=EntryId(REAL_ID))],
            {"checkout": of_account(file({"staging": {}}), ACCOUNT, top_level="f" * 32)},
        ),
        adopted=[REAL_ID],
    ),
    Row(
        "the embedded store has no account to compare",
        desired({"billing": 1}, [BILLING]),
        actual(STORED, {"checkout": of_account(file({None: {"BILLING": uid(1)}}), ACCOUNT)}),
        adopted=[uid(1)],
    ),
    Row(
        "a Pages project takes preview and production only",
        desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}, "preview": {}, "staging": {}})]),
        actual(STORED, {"checkout": replace(IN_PLACE, pages=True)}),
        findings=["pages-environment"],
        adopted=[uid(1)],
    ),
    Row(
        "previews are said to be out of reach while the top level has bindings",
        desired({"billing": 1}, [BILLING]),
        actual(STORED, {"checkout": replace(file({None: {"BILLING": uid(1)}}), previews=())}),
        findings=["previews-unmanaged"],
        adopted=[uid(1)],
    ),
    Row(
        "an entry that previews name is kept",
        desired({"billing": 2}, [BILLING]),
        actual(
            OLD_AND_NEW,
            {"checkout": replace(file({None: {"BILLING": uid(2)}}), previews=(FoundBinding("X", uid(1), 0),))},
        ),
        waiting=["billing bound-in-file"],
        findings=["previews-unmanaged"],
        adopted=[uid(2)],
    ),
    Row(
        "a build that has the ids needs no word",
        desired({"billing": 1}, [BILLING]),
        actual(
            STORED,
            {
                "checkout": replace(
                    file({None: {"BILLING": uid(1)}}), built=Built("dist/w.json", frozenset({("BILLING", uid(1))}))
                )
            },
        ),
        adopted=[uid(1)],
    ),
    Row(
        "a build that lacks the ids has to be made again",
        desired({"billing": 1}, [BILLING]),
        actual(
            STORED,
            {"checkout": replace(file({None: {"BILLING": uid(1)}}), built=Built("dist/w.json", frozenset()))},
        ),
        findings=["rebuild-needed"],
        adopted=[uid(1)],
    ),
]

ROWS = [*AROUND, *WANTED, *BOUND, *LEAVING, *SAFE, *IDS]


@pytest.mark.parametrize("row", ROWS, ids=[row.rule for row in ROWS])
def test_a_rule_gives_exactly_these_changes_waits_and_findings(row: Row) -> None:
    """Each row is one rule; what it does not name must not be in the plan."""
    plan = plan_of(row.wanted, row.there)
    assert shown(plan) == row.changes
    assert waits(plan) == row.waiting
    assert sorted(codes(plan)) == sorted(row.findings)
    assert [item.entry.id for item in plan.adopted] == row.adopted


def test_a_leaf_that_is_stored_with_another_chain_is_a_warning() -> None:
    """Another content digest, so it is uploaded; the store may see it otherwise."""
    ca = make_ca("Chain Root").issue_ca("Chain Issuer")
    leaf = ca.issue("leaf")
    alone, chained = parse_stored(leaf.certificate_pem.decode()), parse_stored(leaf.chain_pem.decode())
    assert alone is not None
    assert chained is not None
    wanted = replace(desired({"billing": 1}), bundles={CertificateName("billing"): chained})
    plan = plan_of(wanted, actual([replace(entry(1, 1, "by hand"), certificates=alone.pem())]))
    assert shown(plan) == ["upload billing missing"]
    assert "same-leaf" in codes(plan)


def test_an_old_job_run_again_deletes_nothing_that_a_newer_checkout_uploaded() -> None:
    """An older checkout declares old content; the newer entry stays, however long ago it came."""
    old_checkout = desired({"billing": 1}, [BILLING])
    there = actual([entry(1, 1, "@billing", age=300), entry(2, 2, "@billing", age=100)], bound(1))
    assert shown(plan_of(old_checkout, there)) == []


def test_a_revert_rebinds_the_previous_entry_and_keeps_the_way_forward() -> None:
    """A reverted file needs no key and no upload, and forward again needs none either."""
    there = actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=1)], bound(2))
    back = plan_of(desired({"billing": 1}, [BILLING]), there)
    assert shown(back) == ["rebind BILLING content-changed"]
    assert codes(back) == ["newer-entry"]
    forward = plan_of(
        desired({"billing": 2}, [BILLING]), actual(there.listing.entries if there.listing else (), bound(1))
    )
    assert shown(forward) == ["rebind BILLING content-changed"]


def test_a_renamed_certificate_uploads_nothing_and_keeps_its_entry() -> None:
    """The mark still says the old name; the content is what counts."""
    plan = plan_of(
        desired({"invoices": 1}, [worker("checkout", {None: {"BILLING": "invoices"}})], policy=PRUNE),
        actual([entry(1, 1, "@billing")], bound(1)),
    )
    assert shown(plan) == []
    assert [item.ours for item in plan.adopted] == [True]


def test_a_ca_of_another_stack_is_not_to_be_bound() -> None:
    """No Worker can use it, so the hint names what can be done."""
    wanted = desired({"root": 1}, declared=[certificate("root", ca=True, key=None)])
    (problem,) = plan_of(wanted, actual([entry(1, 1, "@root", stack="shop", ca=True)])).diagnostics
    assert str(problem.code) == "entry-of-other-stack"
    assert "let 'shop' declare what uses it" in (problem.hint or "")
    assert "id =" not in (problem.hint or "")


def test_a_renamed_stack_without_former_stacks_is_an_error_and_never_a_second_upload() -> None:
    """The old name is another stack until `former_stacks` says otherwise."""
    there = actual([entry(1, 1, "@billing", stack="shop")], bound(1))
    assert codes(plan_of(desired({"billing": 1}, [BILLING]), there)) == ["entry-of-other-stack"]
    assert shown(plan_of(desired({"billing": 1}, [BILLING], former_stacks=("shop",)), there)) == []


def test_a_file_that_another_stack_binds_in_keeps_the_other_stacks_binding() -> None:
    """Its entry has no mark of ours, so its binding is nothing to us."""
    there = actual([entry(1, 1, "@billing"), entry(2, 2, "@x", stack="other")], bound(1, X=uid(2)))
    plan = plan_of(desired({"billing": 1}, [BILLING]), there)
    assert (shown(plan), codes(plan)) == ([], [])


def test_allow_deletes_lets_more_go_and_fewer() -> None:
    """`--allow-deletes N` stands over max_deletes in both directions."""
    old = [entry(number, number, "@billing", age=30 + number) for number in (3, 4, 5)]
    there = actual([*old, entry(2, 2, "@billing", age=8)], bound(2))
    wanted = desired({"billing": 2}, [BILLING], policy=Policy(max_deletes=1))
    assert [len(plan_of(wanted, there, allow_deletes=n).changes) for n in (0, 2, 9)] == [0, 2, 3]


def test_an_orphan_whose_shared_content_was_just_rotated_keeps_its_grace() -> None:
    """Its mark names a certificate that is gone; another one with the same content presented it until now."""
    issuer = make_ca("Shared")
    old, new = (issuer.issue("shared client") for _ in range(2))
    entries = [
        replace(entry(1, 1), name="", certificates=old.certificate_pem.decode()),
        replace(entry(2, 2, age=0.1), name="", certificates=new.certificate_pem.decode()),
    ]
    marks = ("gone", "billing")
    entries = [
        replace(one, name=mark_name("payments", CertificateName(mark), one.bundle.digest if one.bundle else ""))
        for one, mark in zip(entries, marks, strict=True)
    ]
    wanted = replace(desired({"billing": 2}, [BILLING], policy=PRUNE), bundles={CertificateName("billing"): new.bundle})
    plan = plan_of(wanted, actual(entries, bound(2)))
    assert waits(plan) == ["gone grace"]


def test_orphans_are_compared_with_what_came_later_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that drops all of its certificates must not cost the square of their number."""
    read: list[object] = []

    def counted(leaf: x509.Certificate) -> str:
        read.append(leaf)
        return subject_text(leaf)

    monkeypatch.setattr(inventory, "subject_text", counted)
    entries = [entry(number, number % 9, f"@gone-{number}") for number in range(1, 60)]
    assert len(plan_of(desired({}), actual(entries)).waiting) == len(entries)
    assert len(read) <= 4 * len(entries)  # for each look at the store, as an entry and as what may renew another


def test_waiting_for_grace_says_until_when() -> None:
    """The later of both uploads plus the grace."""
    there = actual([entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=2)], bound(2))
    (wait,) = plan_of(desired({"billing": 2}, [BILLING]), there).waiting
    assert wait.until == NOW + timedelta(days=5)


def test_only_plans_the_named_certificate_with_its_bindings_and_retires() -> None:
    """Nothing else of the file is planned, and the plan knows that it is partial."""
    wanted = desired({"a": 1, "b": 2}, [worker("checkout", {None: {"A": "a", "B": "b"}})])
    plan = plan_of(wanted, actual([], OPEN), only=("a*",))
    assert shown(plan) == ["upload a missing", "bind A missing"]
    assert plan.partial == ("a*",)


def test_an_offline_plan_says_what_files_can_tell_and_marks_the_rest() -> None:
    """A missing binding and a placeholder are certain; another id is not."""
    wanted = desired({"a": 1}, [worker("checkout", {None: {"A": "a", "B": "a", "C": "a"}})])
    plan = plan_of(wanted, actual(None, {"checkout": file({None: {"B": "<ID>", "C": uid(1)}})}))
    assert shown(plan) == ["bind A missing", "rebind B placeholder-id"]
    assert [(item.certificate, item.at and item.at.binding) for item in plan.unknown] == [("a", None), ("a", "C")]
    assert plan.quota is None


@pytest.mark.parametrize("exclusive", [True, False])
def test_an_offline_plan_names_each_undeclared_binding_that_may_be_removed(*, exclusive: bool) -> None:
    """Not a placeholder, nor one of a Worker that another stack may declare."""
    checkout = replace(worker("checkout", {None: {}}), exclusive=exclusive)
    there = actual(None, {"checkout": file({None: {"A": uid(1), "B": "<ID>"}})})
    unknown = [item.at.binding for item in plan_of(desired({}, [checkout]), there).unknown if item.at is not None]
    assert unknown == (["A"] if exclusive else [])


def test_updates_name_the_attributes_that_differ_and_no_others() -> None:
    """Same issuer and dates: those are not listed."""
    there = actual([entry(1, 1, "@billing")], bound(1))
    upload, rebind = plan_of(desired({"billing": 2}, [BILLING]), there).changes
    changed = [item.attribute for item in upload.differences]  # type: ignore[union-attr]
    assert changed == ["subject", "serial_number", "serial", "key", "fingerprint"]
    assert rebind.differences == upload.differences  # type: ignore[union-attr]


def test_quota_counts_now_peak_and_after_and_no_managed_entries() -> None:
    """Create first, retire last: the peak is what has to fit."""
    managed = entry(8, 8, type="access_managed", ca=True)
    there = actual([*OLD_AND_NEW, entry(7, 7, "foreign"), managed], bound(2))
    quota = plan_of(desired({"billing": 2, "new": 3}, [BILLING]), there).quota
    assert quota is not None
    assert (quota.leaf.now, quota.leaf.peak, quota.leaf.after, quota.leaf.limit) == (3, 4, 3, 1000)
    assert (quota.ca.now, quota.ca.limit) == (0, 5)


def test_the_digest_ignores_times_and_foreign_entries_and_sees_every_compared_part() -> None:
    """Same changes, same digest; another id before, another digest."""
    wanted = desired({"billing": 1}, [BILLING])
    first = plan_of(wanted, actual([], OPEN))
    again = plan_of(wanted, actual([entry(7, 7, "foreign")], OPEN), now=NOW + timedelta(hours=1))
    other = plan_of(wanted, actual([], {"checkout": file({None: {"BILLING": "x"}})}))
    assert first.digest == again.digest != other.digest


def test_the_order_is_create_bind_retire_and_stable_inside() -> None:
    """Bindings follow by file, environment and name, whatever the order of the declaration."""
    workers = [
        worker("z", {None: {"Z": "b", "A": "b"}}, config="a/wrangler.toml"),
        worker("a", {"x": {"Q": "a"}, None: {"R": "a"}}),
    ]
    files = {"z": file({}, path="a/wrangler.toml"), "a": file({"x": {}})}
    plan = plan_of(desired({"b": 2, "a": 1}, workers), actual([], files))
    assert [change.split()[1] for change in shown(plan)] == ["a", "b", "A", "Z", "R", "Q"]
    assert {change.at.config for change in plan.changes[2:4]} == {"a/wrangler.toml"}  # type: ignore[union-attr]
    assert {change.at.config for change in plan.changes[4:]} == {CONFIG}  # type: ignore[union-attr]


def test_an_undeclared_environment_gets_the_lines_to_add() -> None:
    """What the top level binds, as a table to paste; names that need quotes have them."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing", "L": f"id:{uid(9)}"}})])
    there = actual(None, {"checkout": file({None: {}, "my env": {}})})
    hint = next(
        problem.hint for problem in plan_of(wanted, there).diagnostics if problem.code == "undeclared-environment"
    )
    assert hint is not None
    assert hint.splitlines()[1:] == [
        '[workers.checkout.env."my env".bindings]',
        'BILLING = "billing"',
        f'L = {{ id = "{uid(9)}" }}',
    ]


def test_an_undeclared_environment_with_bindings_of_its_own_is_for_init() -> None:
    """Those of the top level may be others."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}})])
    there = actual(None, {"checkout": file({None: {}, "live": {"OLD": uid(9)}})})
    found = [one.hint for one in plan_of(wanted, there).diagnostics if one.code == "undeclared-environment"]
    assert found == ["run `mtlsctl init --update`, which declares it with what it has (1 binding)"]


@pytest.mark.parametrize("environment", [None, "staging"])
@pytest.mark.parametrize("offline", [False, True])
def test_an_undeclared_placeholder_is_reported_by_every_plan(*, offline: bool, environment: str | None) -> None:
    """Wrangler refuses to deploy it; whether its environment is declared or not, and without an account, too."""
    tables: dict[str | None, dict[str, str]] = {None: {"BILLING": uid(1)}}
    tables[environment] = {**tables.get(environment, {}), "SMS_GATEWAY": "<ID>"}
    there = actual([entry(1, 1, "@billing")], {"checkout": file(tables)})
    there = replace(there, listing=None) if offline else there
    plan = make_plan(judge(desired({"billing": 1}, [BILLING]), there, NOW))
    (found,) = [one for one in plan.diagnostics if one.code == "placeholder-left"]
    assert found.message.startswith("SMS_GATEWAY in ")
    lines = ['SMS_GATEWAY = "NAME"']
    if environment is not None:
        lines.insert(0, "[workers.checkout.env.staging.bindings]")
    assert str(found.hint).splitlines()[1:] == lines
