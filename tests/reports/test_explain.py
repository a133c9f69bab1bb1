"""`explain`: what is said of certificates, bindings, Workers and entries, and why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import UsageError
from reconciler.model import Action, Actual, Condition, Desired, Entry, EntryId, KeyReference, Policy, StoreKind, Sweep
from reconciler.plan.inventory import Preference, Role
from reconciler.plan.retire import CONDITIONS
from reconciler.plan.wording import REQUIREMENTS
from reconciler.reports.explain import Explanation, NameKind, explain
from reconciler.views.text.explain import render_explanation
from reconciler.views.text.style import PLAIN
from tests.cli.test_canaries import search
from tests.support.cli import Project
from tests.support.pki import NOW
from tests.support.worlds import (
    CONFIG,
    REAL_ID,
    actual,
    bundle,
    certificate,
    desired,
    entry,
    file,
    issued,
    plan_of,
    uid,
    worker,
)

BILLING = worker("checkout", {None: {"BILLING": "billing"}})
HOSTILE = "\x1b[2Jx\u202ey\n::error::z"


def tell(name: str, wanted: Desired, there: Actual) -> Explanation:
    """What there is to say of a name in a world."""
    return explain(name, plan_of(wanted, there))


def bound(**ids: str) -> Actual:
    """A store with entry 1 for billing, and a wrangler file with these ids."""
    return actual([entry(1, 1, "@billing")], {"checkout": file({None: ids})})


# --- certificates ---------------------------------------------------------------------------------------------------


def test_a_certificate_that_is_missing_is_uploaded_and_needs_its_key() -> None:
    """What, why, from where the key comes; file and content are named."""
    (story,) = tell("billing", desired({"billing": 1}), actual()).certificates
    assert story.action is Action.UPLOAD
    assert story.why == "no uploaded certificate has this content"
    assert (story.key_needed, story.key_why) == (True, "the upload needs it, from env KEY")
    assert (story.path, story.digest, story.fingerprint) == (
        "certs/billing.pem",
        bundle(1).digest,
        bundle(1).fingerprint,
    )


@pytest.mark.parametrize(("name", "ours"), [("@billing", True), ("by hand", False)], ids=["ours", "adopted"])
def test_a_stored_certificate_needs_no_key(name: str, ours: bool) -> None:
    """Whoever uploaded it."""
    (story,) = tell("billing", desired({"billing": 1}), actual([entry(1, 1, name)])).certificates
    assert (story.action, story.ours, story.key_needed) == (None, ours, False)
    assert story.why == f"{uid(1)} is the only upload with this content"


@pytest.mark.parametrize(
    ("entries", "at", "chosen"),
    [
        ([entry(1, 1, "a")], uid(9), Preference.ONLY),
        ([entry(1, 1, "a"), entry(2, 1, "@billing")], uid(1), Preference.BOUND),
        ([entry(2, 1, "a"), entry(1, 1, "@billing")], uid(9), Preference.MARKED),
        ([entry(2, 1, "a", age=1), entry(1, 1, "b", age=2)], uid(9), Preference.OLDEST),
        ([entry(2, 1, "a"), entry(1, 1, "b")], uid(9), Preference.FIRST_ID),
    ],
    ids=lambda value: value if isinstance(value, Preference) else "",
)
def test_why_that_one_of_several_entries(entries: list[Entry], at: str, chosen: Preference) -> None:
    """The first preference by which it won; in every row it is entry 1."""
    there = actual(entries, {"checkout": file({None: {"BILLING": at}})})
    (story,) = tell("billing", desired({"billing": 1}, [BILLING]), there).certificates
    assert story.entry is not None
    assert (story.entry.id, story.chosen) == (uid(1), chosen)


@pytest.mark.parametrize(
    ("settings", "needed", "why"),
    [
        ({"ca": True, "key": None}, False, "a CA has no private key"),
        ({"key": None}, True, "mtls.toml has no `private_key` for it"),
    ],
    ids=["a CA", "no key declared"],
)
def test_a_certificate_without_a_key_says_so(settings: dict[str, object], needed: bool, why: str) -> None:
    """Nothing to open; an upload that is missing its key needs one, as the finding says."""
    wanted = desired({"billing": 1}, declared=[certificate("billing", **settings)])
    (story,) = tell("billing", wanted, actual()).certificates
    assert (story.key_needed, story.key_why) == (needed, why)


def test_a_blocked_certificate_says_what_blocks_it() -> None:
    """The message of the finding is the reason, and the finding is shown."""
    wanted = desired({"billing": 1}, declared=[certificate("billing", key=None)])
    told = tell("billing", wanted, actual())
    (story,) = told.certificates
    assert story.action is None
    assert "has no `private_key`" in story.why
    assert [problem.code for problem in told.diagnostics if problem.severity == "error"] == ["key-missing"]


@pytest.mark.parametrize(
    ("entries", "severity"),
    [([], "warning"), ([entry(1, 1, "@billing")], "info")],
    ids=["before its upload", "once it is uploaded"],
)
def test_a_superseded_id_that_the_store_lacks_is_always_explained(entries: list[Entry], severity: str) -> None:
    """After the handover nothing else reports it, and the line can be removed."""
    wanted = desired({"billing": 1, "ledger": 2}, declared=[certificate("billing", supersedes=(uid(9),))])

    def notes(name: str) -> list[Diagnostic]:
        return [one for one in tell(name, wanted, actual(entries)).diagnostics if one.code == "supersedes-nothing"]

    (found,) = notes("billing")
    assert found.severity == severity
    assert "remove it if that certificate was deleted already" in (found.hint or "")
    assert notes("ledger") == []


def test_certificates_with_the_same_content_are_named() -> None:
    """They share one entry and one upload."""
    (story,) = tell("billing", desired({"aaa": 1, "billing": 1}), actual()).certificates
    assert story.action is Action.UPLOAD
    assert story.shared_with == ("aaa",)


# --- bindings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A world with one binding and what is said of it."""

    rule: str
    there: Actual
    action: Action | None
    why: str
    wanted: Desired = field(default_factory=lambda: desired({"billing": 1}, [BILLING]))


BINDINGS = [
    Row("in place", bound(BILLING=uid(1)), None, f"{CONFIG} has {uid(1)}, the current ID of billing"),
    Row("missing", bound(), Action.BIND, f"{CONFIG} does not have this binding"),
    Row("a placeholder", bound(BILLING="<ID>"), Action.REBIND, f"{CONFIG} has <ID>, which is a placeholder"),
    Row("an empty id", bound(BILLING=""), Action.REBIND, f"{CONFIG} has an empty ID, which is a placeholder"),
    Row(
        "an unknown id",
        bound(BILLING=uid(7)),
        Action.REBIND,
        f"{CONFIG} has {uid(7)}, which is not the ID of an uploaded certificate",
    ),
    Row(
        "an older entry",
        actual(
            [entry(1, 1, "@billing", age=1), entry(2, 2, "@billing")], {"checkout": file({None: {"BILLING": uid(2)}})}
        ),
        Action.REBIND,
        f"{CONFIG} has {uid(2)}, another version of billing",
    ),
    Row(
        "somebody else's entry",
        actual([entry(1, 1, "@billing"), entry(2, 2, "by hand")], {"checkout": file({None: {"BILLING": uid(2)}})}),
        Action.REBIND,
        f"{CONFIG} has {uid(2)}, which is not an uploaded version of billing",
    ),
    Row(
        "no longer declared",
        bound(BILLING=uid(1)),
        Action.UNBIND,
        "mtls.toml does not declare it, and it uses billing of this stack",
        desired({"billing": 1}, [worker("checkout", {None: {}})]),
    ),
    Row(
        "none of ours",
        actual([], {"checkout": file({None: {"BILLING": uid(5)}})}),
        None,
        f"mtls.toml does not declare it, and {uid(5)} is not managed here",
        desired({"billing": 1}, [worker("checkout", {None: {}})]),
    ),
    Row(
        "in an environment that nobody declares",
        actual([entry(1, 1, "@billing")], {"checkout": file({"prod": {"BILLING": uid(1)}})}),
        None,
        f"BILLING in {CONFIG} (prod) uses a certificate of 'billing', but is not declared; it is not changed",
        desired({"billing": 1}, [worker("checkout", {None: {}})]),
    ),
    Row(
        "a real account's id",
        bound(BILLING=REAL_ID),
        None,
        f"{CONFIG} has {REAL_ID}, an ID from a Cloudflare account, but this project uses the local store;"
        " the file is not changed",
    ),
    Row(
        "a name that is taken",
        actual([entry(1, 1, "@billing")], {"checkout": file({}, taken={None: {"BILLING": "KV namespace"}})}),
        None,
        f"BILLING is already a binding of another kind in {CONFIG} (top level): KV namespace",
    ),
    Row(
        "an environment that is missing",
        actual([entry(1, 1, "@billing")], {"checkout": file({})}),
        None,
        f"{CONFIG} has no environment 'prod'",
        desired({"billing": 1}, [worker("checkout", {"prod": {"BILLING": "billing"}})]),
    ),
    Row(
        "an id that nobody knows",
        bound(BILLING="<ID>"),
        None,
        f"BILLING refers to {uid(8)}, but the local store has no certificate with this ID",
        desired({}, [worker("checkout", {None: {"BILLING": f"id:{uid(8)}"}})]),
    ),
    Row(
        "an id that is managed elsewhere",
        bound(BILLING=uid(1)),
        None,
        f"{CONFIG} has {uid(1)}, the ID in mtls.toml: billing of the stack payments (CN=client-1)",
        desired({}, [worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}})]),
    ),
    Row(
        "no room in the account",
        actual([entry(5, 5, "other")], {"checkout": file({None: {"BILLING": REAL_ID}})}),
        None,
        "'billing' can't be uploaded: the quota for certificates (1) is reached",
        desired({"billing": 1}, [BILLING], store=StoreKind.CLOUDFLARE, limit=1),
    ),
]


@pytest.mark.parametrize("row", BINDINGS, ids=lambda row: row.rule)
def test_why_a_binding_changes_or_not(row: Row) -> None:
    """What would happen, and the reason in one clause."""
    (story,) = tell("BILLING", row.wanted, row.there).bindings
    assert (story.action, story.why) == (row.action, row.why)


def test_the_errors_of_one_binding_are_not_told_of_another() -> None:
    """The same file, another environment."""
    workers = [worker("checkout", {None: {"BILLING": "billing"}, "prod": {"OTHER": "billing"}})]
    there = actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}})})
    told = tell("checkout", desired({"billing": 1}, workers), there)
    assert [(story.at.binding, len(story.problems)) for story in told.bindings] == [("BILLING", 0), ("OTHER", 1)]
    assert told.certificates == ()


# --- entries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "role"),
    [
        (1, Role.CURRENT),
        (2, Role.SUPERSEDED),
        (3, Role.NEWER),
        (4, Role.ORPHANED),
        (5, Role.OTHER_STACK),
        (6, Role.FOREIGN),
        (7, Role.DUPLICATE),
        (8, Role.UNDECIDED),
        (9, Role.UNKNOWN),
    ],
    ids=str,
)
def test_what_an_entry_is(number: int, role: Role) -> None:
    """Every role, in one world."""
    entries = [
        entry(1, 1, "@billing", age=10),
        entry(2, 2, "@billing", age=20),
        entry(3, 3, "@billing", age=5),
        entry(4, 4, "@gone"),
        entry(5, 5, "@billing", stack="others"),
        entry(6, 6, "by hand"),
        entry(7, 1, "again"),
        entry(8, 8, "@bad"),
    ]
    there = actual(entries, {"checkout": file({None: {"LOST": uid(9)}})})
    (story,) = tell(uid(number), desired({"billing": 1, "bad": None}, [worker("checkout", {None: {}})]), there).entries
    assert story.role is role


def test_every_condition_is_judged_and_none_is_left_out_after_the_first() -> None:
    """Those that hold, those that do not with until when, those that were not looked at yet."""
    there = actual(
        [entry(1, 1, "@billing", age=1), entry(2, 2, "@billing")], {"checkout": file({None: {"BILLING": uid(2)}})}
    )
    (story,) = tell(uid(2), desired({"billing": 1}, [BILLING]), there).entries
    assert [judged.condition for judged in story.conditions] == [condition for condition, _ in CONDITIONS]
    by_condition = {judged.condition: judged for judged in story.conditions}
    failing = {condition for condition, judged in by_condition.items() if judged.holds is False}
    assert failing == {Condition.BINDINGS_PENDING, Condition.BOUND_IN_FILE, Condition.GRACE}
    assert by_condition[Condition.GRACE].until == NOW + timedelta(days=6)
    assert by_condition[Condition.NAMED_IN_FILE].holds is None
    assert story.what == "waits to be retired"


def test_of_a_removed_certificate_only_conditions_about_what_it_has_are_shown() -> None:
    """It has no successor, no declared binding, no account; JSON has all conditions, which then hold."""
    told = tell(uid(2), desired({}), actual([entry(2, 2, "@partner", age=1)]))
    (story,) = told.entries
    assert [judged.condition for judged in story.conditions] == [condition for condition, _ in CONDITIONS]
    about_others = {one.condition for one in story.conditions if not one.applies}
    assert about_others == {
        Condition.NOT_TAKEN_OVER,
        Condition.CLOCK_SKEW,  # a store on this machine has no other clock
        Condition.STILL_TRUSTED,  # it is not a CA
        Condition.SUCCESSOR_MISSING,
        Condition.SUCCESSOR_NOT_VALID,
        Condition.BINDINGS_PENDING,
        Condition.NOT_DEPLOYED,
        Condition.PROTECTED,  # its name is not
    }
    assert "successor" not in render_explanation(told, PLAIN)


@pytest.mark.parametrize(
    ("sweep", "condition"),
    [
        (Sweep(mentions={uid(2): ("other/wrangler.toml",)}), Condition.NAMED_IN_FILE),
        (Sweep(unread=("other/wrangler.json",)), Condition.UNCHECKED),
        (None, Condition.UNCHECKED),
    ],
    ids=["named elsewhere", "not everything was seen", "not searched"],
)
def test_the_tree_counts_once_the_rest_holds(sweep: Sweep | None, condition: Condition) -> None:
    """What the search through the tree found is the last word."""
    entries = [entry(1, 1, "@billing", age=20), entry(2, 2, "@billing")]
    there = actual(entries, {"checkout": file({None: {"BILLING": uid(1)}})}, sweep=sweep)
    (story,) = tell(uid(2), desired({"billing": 1}, [BILLING]), there).entries
    assert [judged.condition for judged in story.conditions if not judged.holds] == [condition]


def test_an_entry_that_can_go_says_so_and_one_over_the_limit_waits_for_the_next_run() -> None:
    """All conditions hold; `max_deletes` is one more."""
    entries = [entry(1, 1, "@billing", age=20), entry(2, 2, "@billing"), entry(3, 3, "@billing", age=29)]
    there = actual(entries, {"checkout": file({None: {"BILLING": uid(1)}})})
    wanted = desired({"billing": 1}, [BILLING], policy=Policy(max_deletes=1))
    told = {story.id: story for story in tell("billing", wanted, there).entries}
    assert told[uid(2)].what == "would be retired"
    assert all(judged.holds for judged in told[uid(2)].conditions)
    assert [judged.condition for judged in told[uid(3)].conditions if not judged.holds] == [Condition.MAX_DELETES]


def test_every_condition_has_words() -> None:
    """One that a plan can wait for and nobody can read would be a riddle."""
    assert {condition for condition, _ in CONDITIONS} | {Condition.MAX_DELETES} <= set(REQUIREMENTS)


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_name_of_several_things_explains_them_all() -> None:
    """A certificate, a Worker and a binding may be called the same."""
    wanted = desired({"billing": 1}, [worker("billing", {None: {"billing": "billing"}})])
    told = tell("billing", wanted, actual([entry(1, 1, "@billing")], {"billing": file({None: {"billing": uid(1)}})}))
    assert told.subjects == (NameKind.CERTIFICATE, NameKind.BINDING, NameKind.WORKER)
    assert (len(told.certificates), len(told.bindings)) == (1, 1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BILING", "did you mean `BILLING`?"),
        ("chekout", "did you mean `checkout`?"),
        (uid(1)[:-1] + "2", f"did you mean `{uid(1)}`?"),
        ("biling", "did you mean `billing`?"),
        (
            "zzzzzz",
            (
                "if it was a certificate that was removed from mtls.toml and deleted, `mtlsctl history` shows when;"
                " else use one of these: BILLING, billing, checkout"
            ),
        ),
        (uid(1).upper(), f"did you mean `{uid(1)}`?"),
    ],
)
def test_an_unknown_name_is_answered_with_what_was_probably_meant(name: str, hint: str) -> None:
    """Certificates, bindings, Workers and ids are all looked through."""
    with pytest.raises(UsageError) as caught:
        tell(name, desired({"billing": 1}, [BILLING]), bound(BILLING=uid(1)))
    assert caught.value.hint == hint


def test_the_name_of_an_upload_is_enough_if_only_one_has_it() -> None:
    """As `plan` and `status` show it."""
    there = actual([entry(1, 1, "@billing")])
    (stored,) = there.listing.entries if there.listing is not None else ()
    assert tell(stored.name, desired({"billing": 1}, [BILLING]), there).name == stored.id


def test_a_short_id_is_enough_if_it_is_of_one_certificate_only() -> None:
    """As a terminal shows it, from 8 characters on."""
    there = actual([entry(1, 1, "@billing"), replace(entry(2, 2, "@billing", age=40), id=EntryId(REAL_ID))])
    for name in (REAL_ID[:8], REAL_ID[:13], REAL_ID):
        told = tell(name, desired({"billing": 1}), there)
        assert (told.name, told.subjects, [one.id for one in told.entries]) == (REAL_ID, (NameKind.ENTRY,), [REAL_ID])
    both = actual([*there.listing.entries, entry(3, 3)]) if there.listing else there
    for name in (REAL_ID[:7], uid(1)[:8]):
        with pytest.raises(UsageError):
            tell(name, desired({"billing": 1}), both)


def test_a_removed_certificate_is_explained_by_its_name() -> None:
    """As long as it is uploaded; plan and status call it by that name."""
    told = tell("partner", desired({}), actual([entry(2, 2, "@partner", age=1)]))
    assert (told.subjects, told.certificates, [one.id for one in told.entries]) == (
        (NameKind.CERTIFICATE,),
        (),
        [uid(2)],
    )
    assert render_explanation(told, PLAIN).startswith("partner is a certificate that was removed from mtls.toml\n")


def test_an_unknown_id_may_be_of_a_deleted_certificate() -> None:
    """The history of the checkout has it."""
    with pytest.raises(UsageError) as caught:
        tell("168e175b-aaaa-4bbb-8ccc-123456789abc", desired({"billing": 1}), bound())
    assert "`mtlsctl history`" in (caught.value.hint or "")


# --- text -----------------------------------------------------------------------------------------------------------


def test_hostile_names_are_text() -> None:
    """Bindings, environments, ids, files, entries' names and owners are others' words."""
    owned = certificate("billing", owner=HOSTILE, key=KeyReference("file", {"file": HOSTILE}))
    tables = {None: {"BILLING": "billing"}, HOSTILE: {HOSTILE: "billing"}}
    wanted = desired({"billing": 1}, [worker("checkout", tables)], declared=[owned])
    found = file({None: {"BILLING": HOSTILE}, HOSTILE: {HOSTILE: HOSTILE, "X": HOSTILE}}, path=HOSTILE)
    for entries in ([], [entry(1, 1, HOSTILE)]):
        there = actual(entries, {"checkout": found})
        for name in ("billing", "checkout", HOSTILE, "X"):
            text = render_explanation(tell(name, wanted, there), PLAIN)
            assert "\x1b" not in text
            assert "\u202e" not in text
            assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_conditions_say_holds_or_why_not_and_until_when(project: Project) -> None:
    """At the command line, after a rotation."""
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    project.run("apply", "--yes")
    project.environ.clear()
    result = project.run("explain", "billing")
    assert result.code == 0
    assert "      NOT YET  its grace period is over [grace]\n               until 20" in result.out
    assert "      not checked yet, in this order: named-in-file, unchecked\n      the other 12 hold\n" in result.out
    assert "key         not needed: it is already uploaded" in result.out


def test_json_says_the_same(project: Project) -> None:
    """With stable words beside the sentences."""
    document = project.run("explain", "BILLING", "--format", "json").json
    assert document["format"] == "mtlsctl.explain/1"
    assert document["subjects"] == ["binding"]
    (binding,) = document["bindings"]
    assert (binding["action"], binding["found"], binding["certificate"]) == ("rebind", "<CERTIFICATE_ID>", "billing")
    (story,) = document["certificates"]
    assert (story["action"], story["key_needed"]) == ("upload", True)


def test_an_unknown_name_ends_with_64(project: Project) -> None:
    """And whatever it is, it is shown as text."""
    result = project.run("explain", HOSTILE)
    assert (result.code, result.out) == (64, "")
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err


def test_no_key_ever_shows(project: Project) -> None:
    """Before and after apply, and where the certificate's file is a key."""
    results = [project.run("explain", "billing", "--verbose")]
    project.run("apply", "--yes")
    results += [project.run("explain", "billing", "--format", "json"), project.run("explain", "checkout")]
    project.write("certs/billing.pem", issued(1).key_pem)
    results.append(project.run("explain", "billing"))
    search(project, results, (1,), ("certs/billing.pem",))


def test_an_upload_is_explained_by_its_name_if_no_other_has_it() -> None:
    """As all reports show that name; of several, their IDs are listed."""
    plan = plan_of(desired({}), actual([entry(1, 1, "old test"), entry(2, 2, "twin"), entry(3, 3, "twin")]))
    assert [story.id for story in explain("old test", plan).entries] == [uid(1)]
    with pytest.raises(UsageError, match="2 uploaded certificates have the name 'twin'"):
        explain("twin", plan)
