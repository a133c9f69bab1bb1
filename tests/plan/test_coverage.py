"""What a plan says that it did not look at, the keys that `apply` will need, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from reconciler.model import (
    DeclaredCertificate,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    Gate,
    Hyperdrives,
    KeyReference,
    Live,
    LiveVersion,
    LiveWorker,
    Origin,
    StoreKind,
    Sweep,
    User,
    UserKind,
    WranglerFile,
)
from reconciler.plan.coverage import Area
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.plan.users import find_uses
from tests.plan.test_retire_live import real
from tests.support.worlds import actual, certificate, days_ago, desired, entry, file, plan_of, uid, worker

NEW = replace(entry(1, 1, "@billing", age=20), id=real(1))
OLD = replace(entry(2, 2, "@billing", age=40), id=real(2))
SHOP = LiveWorker("shop", (LiveVersion("v1", {"BILLING": real(1)}, 100.0),))
BOTH = frozenset({NEW.id, OLD.id})
WORKER = worker(tables={None: {"BILLING": "billing"}})


def wrangler(entry_id: EntryId = NEW.id, script: str | None = "shop") -> WranglerFile:
    return file({None: {"BILLING": entry_id}}, script=script)


@dataclass(frozen=True)
class Look:
    """A world of one Worker in an account, whose certificate is stored; what was looked at; and what was not."""

    what: str
    not_checked: tuple[str, ...]
    live: Live | None = None
    entries: tuple[Entry, ...] | None = (NEW,)
    sweep: Sweep | None = None
    found: WranglerFile = field(default_factory=wrangler)
    wanted: Desired = field(default_factory=lambda: desired({"billing": 1}, [WORKER], store=StoreKind.CLOUDFLARE))

    def plan(self) -> Plan:
        return plan_of(self.wanted, actual(self.entries, {"checkout": self.found}, sweep=self.sweep, live=self.live))


LOOKED = Live(workers={"shop": SHOP}, users_of=BOTH)
LOOKS = [
    Look("nobody asked what is live", ("live-workers", "other-users")),
    Look("everything was read", (), LOOKED),
    Look("its Worker is known not to be there", (), replace(LOOKED, workers={"shop": None})),
    Look("only other Workers were read", ("live-workers",), replace(LOOKED, workers={"other": SHOP})),
    Look(
        "its Worker could not be read",
        ("live-workers: some live Workers could not be read: shop: no right",),
        replace(LOOKED, workers={}, unread={"shop": "no right"}),
    ),
    Look("the other users were not asked for", ("other-users",), replace(LOOKED, users_of=frozenset())),
    Look(
        "the other users could not be read",
        ("other-users: some other users of certificates could not be read: the list of X: no right",),
        replace(LOOKED, users_unread={"the list of X": "no right"}),
    ),
    Look(
        "its Worker is declared not to be live",
        ("other-users",),
        wanted=desired({"billing": 1}, [replace(WORKER, undeployed=frozenset({None}))], store=StoreKind.CLOUDFLARE),
    ),
    Look("its wrangler file gives it no name", ("other-users",), found=wrangler(script=None)),
    Look(
        "an old entry is kept by something else than the tree",
        ("tree",),
        LOOKED,
        (replace(NEW, uploaded_on=days_ago(2)), OLD),
    ),
    Look("an old entry, and the tree was searched", (), LOOKED, (NEW, OLD), Sweep()),
    Look("an upload is planned", ("live-workers", "keys"), entries=()),
    Look("offline", ("store", "live-workers"), entries=None),
    Look(
        "the local store, whose certificates are never live",
        (),
        entries=(entry(1, 1, "@billing"),),
        found=wrangler(uid(1)),
        wanted=desired({"billing": 1}, [WORKER]),
    ),
    Look("nothing is declared", (), wanted=desired({}, store=StoreKind.CLOUDFLARE), entries=()),
]


@pytest.mark.parametrize("look", LOOKS, ids=[look.what for look in LOOKS])
def test_a_plan_says_what_was_not_looked_at(look: Look) -> None:
    """And of what could not be read, why; never of what has nothing to do with it."""
    found = look.plan().not_checked
    assert tuple(f"{one.area}: {one.detail}" if one.reason else one.area.value for one in found) == look.not_checked


def test_what_was_not_asked_for_has_the_command_that_asks() -> None:
    """What was asked for and could not be read has none: the same again would not help."""
    by_area = {one.area: one.command("plan") for look in LOOKS for one in look.plan().not_checked if not one.reason}
    assert by_area == {
        Area.LIVE_WORKERS: "mtlsctl plan --live",
        Area.OTHER_USERS: "mtlsctl plan --live",
        Area.TREE: None,
        Area.KEYS: "mtlsctl validate",
        Area.STORE: "mtlsctl plan",
    }
    failed = [one for look in LOOKS for one in look.plan().not_checked if one.reason]
    assert {one.command("status") for one in failed} == {None}


# --- keys -----------------------------------------------------------------------------------------------------------

ORIGIN = Origin("https://billing.example")


def test_what_was_read_for_old_certificates_alone_is_called_so() -> None:
    """Before a deletion the users of that one upload are read, and of no other."""
    for read, partly in ((frozenset({OLD.id}), True), (frozenset[EntryId](), False)):
        plan = Look("", (), replace(LOOKED, users_of=read)).plan()
        (found,) = [one for one in plan.not_checked if one.area is Area.OTHER_USERS]
        assert found.partly is partly
        assert ("old certificates alone" in found.detail) is partly


@pytest.mark.parametrize(
    ("ca", "read", "expected"),
    [
        (False, Hyperdrives(), None),
        (True, Hyperdrives(), "hostnames were not read; they may use old CAs"),
        (False, Hyperdrives(unread=("no right", None)), "Hyperdrive configurations and hostnames were not read"),
    ],
)
def test_hyperdrive_that_was_read_for_what_is_declared_is_not_called_unread(
    ca: bool, read: Hyperdrives, expected: str | None
) -> None:
    """What is left are the hostnames, which use CAs alone."""
    wanted = desired({"billing": 1}, declared=[certificate("billing", ca=ca)], store=StoreKind.CLOUDFLARE)
    plan = plan_of(wanted, replace(actual([replace(NEW, ca=ca)]), hyperdrives=read))
    found = [one.detail for one in plan.not_checked if one.area is Area.OTHER_USERS]
    assert len(found) == (expected is not None)
    assert all(detail.startswith(expected or "") for detail in found)


def keyed(name: str, source: str = "env", **settings: object) -> DeclaredCertificate:
    """A certificate whose key has a source of its own."""
    return certificate(name, key=KeyReference(source, {source: f"{name}-key", "token": "not shown"}), **settings)


def keys(
    contents: Mapping[str, int], declared: list[DeclaredCertificate], *entries: Entry, bound: int | None = None
) -> list[tuple[str, dict[str, str], list[str]]]:
    """The keys that a plan lists: certificate, source, and what needs it."""
    tables: dict[EnvironmentName, dict[str, str]] = {None: {"BILLING": "billing"}}
    wanted = desired(contents, [worker(tables=tables)], declared=declared)
    files = {"checkout": file({None: {"BILLING": uid(bound)}} if bound else {})}
    found = plan_of(wanted, actual(entries, files)).keys
    return [(one.certificate, dict(one.source.options), [str(action) for action in one.actions]) for one in found]


def test_an_upload_needs_the_key_that_mtls_toml_names() -> None:
    """By its source alone: no other option of it is shown."""
    declared = [keyed("billing"), keyed("ledger", "file")]
    assert keys({"billing": 1, "ledger": 2}, declared) == [
        ("billing", {"env": "billing-key"}, ["upload"]),
        ("ledger", {"file": "ledger-key"}, ["upload"]),
    ]


def test_what_is_stored_needs_no_key() -> None:
    """A revert, and every day on which nothing is uploaded."""
    assert keys({"billing": 1}, [keyed("billing")], entry(1, 1, "@billing")) == []


def test_of_one_content_the_key_is_listed_that_is_opened() -> None:
    """The first by name that has one."""
    declared = [keyed("aaa"), keyed("billing")]
    assert keys({"aaa": 1, "billing": 1}, declared) == [("aaa", {"env": "aaa-key"}, ["upload"])]
    assert keys({"aaa": 1, "billing": 1}, [certificate("aaa", key=None), keyed("billing")]) == [
        ("billing", {"env": "billing-key"}, ["upload"])
    ]


def test_a_ca_needs_no_key() -> None:
    """It has none."""
    assert keys({"billing": 1, "root": 2}, [keyed("billing"), certificate("root", ca=True, key=None)]) == [
        ("billing", {"env": "billing-key"}, ["upload"])
    ]


def test_a_proof_needs_the_key_too() -> None:
    """Before the upload, and before the old one is deleted, when nothing is uploaded any more."""
    declared = [keyed("billing", verify=ORIGIN, verify_before=frozenset(Gate))]
    assert keys({"billing": 1}, declared) == [("billing", {"env": "billing-key"}, ["verify", "upload"])]
    entries = [entry(1, 1, "@billing", age=20), entry(2, 2, "@billing", age=40)]
    assert keys({"billing": 1}, declared, *entries, bound=1) == [("billing", {"env": "billing-key"}, ["verify"])]


# --- what comes next ------------------------------------------------------------------------------------------------


def following(plan: Plan, *options: str) -> str | None:
    """What to run after the plan of a `mtlsctl plan` that was given what `apply` is to be given, too."""
    return replace(plan, apply_with=options).next_command


def test_after_changes_comes_apply_with_the_same_selection() -> None:
    """As it has to be typed."""
    plan = plan_of(desired({"billing": 1}, [WORKER]), actual([], {"checkout": wrangler()}), only=("b*",))
    assert following(plan, "--only", "b*") == "mtlsctl apply --only 'b*'"
    assert following(plan, "my plan.json") == "mtlsctl apply 'my plan.json'"


def test_a_plan_that_can_not_be_applied_is_followed_by_one_that_can() -> None:
    """`--offline` and `--at` are for looking."""
    offline = plan_of(desired({"billing": 1}, [WORKER]), actual(None, {"checkout": wrangler()}), only=("billing",))
    assert following(offline) == "mtlsctl plan --only billing"
    later = plan_of(desired({"billing": 1}, [WORKER]), actual([], {"checkout": wrangler()}), at=True)
    assert following(later) == "mtlsctl plan"


def test_after_no_changes_comes_the_look_at_what_is_live() -> None:
    """After a revert the files are right, and every live Worker may still use the other certificate."""
    assert following(LOOKS[0].plan()) == "mtlsctl plan --live"
    assert following(replace(LOOKS[0].plan(), partial=("billing",))) == "mtlsctl plan --live --only billing"


def test_where_all_was_read_and_nothing_differs_nothing_comes_next() -> None:
    """Nor where reading failed: the reason is what to act on."""
    assert following(LOOKS[1].plan()) is None
    failed = next(look for look in LOOKS if look.what == "its Worker could not be read")
    assert following(failed.plan()) is None


def test_live_workers_with_another_id_are_to_be_deployed() -> None:
    """What a revert leaves."""
    stale = LiveWorker("shop", (LiveVersion("v1", {"BILLING": real(2)}, 100.0),))
    wanted = desired({"billing": 1}, [WORKER], store=StoreKind.CLOUDFLARE)
    there = actual([NEW], {"checkout": wrangler()}, live=replace(LOOKED, workers={"shop": stale}))
    assert following(plan_of(wanted, there, show_live=True)) == "mtlsctl apply --deploy"


def test_errors_have_to_be_fixed_first() -> None:
    """The findings say how."""
    broken = desired({"billing": 1}, [worker(tables={None: {"BILLING": f"id:{real(9)}"}})], store=StoreKind.CLOUDFLARE)
    there = actual([], {"checkout": wrangler()}, asked={real(9): None})
    only_errors = replace(plan_of(broken, there), changes=())
    assert any(problem.is_error for problem in only_errors.diagnostics)
    assert following(only_errors) is None


def test_the_plan_of_apply_itself_is_followed_by_nothing() -> None:
    """It asks."""
    assert LOOKS[0].plan().next_command is None


# --- who else uses a certificate --------------------------------------------------------------------------------------

DB = User(UserKind.HYPERDRIVE, "db", "1")


def uses(live: Live | None, sweep: Sweep | None = None) -> list[tuple[EntryId, Role, str]]:
    """What else uses the two entries of a world."""
    look = Look("", (), live, (NEW, OLD), sweep)
    return [(use.entry.id, use.role, use.user.text) for use in find_uses(look.plan().assessment)]


def test_other_users_are_named_of_the_current_certificate_and_of_old_ones() -> None:
    """Each with what it is."""
    live = replace(LOOKED, users={NEW.id: (DB,), OLD.id: (replace(DB, name="archive"),)})
    assert uses(live) == [
        (NEW.id, Role.CURRENT, "the Hyperdrive configuration db"),
        (OLD.id, Role.SUPERSEDED, "the Hyperdrive configuration archive"),
    ]


def test_declared_workers_are_users_of_old_certificates_only() -> None:
    """Of the current one their bindings have rows already."""
    other = LiveWorker("other", (LiveVersion("v1", {"A": NEW.id}, 100.0), LiveVersion("v0", {"A": OLD.id}, None)))
    stale = LiveWorker("shop", (LiveVersion("v2", {"BILLING": NEW.id}, 90.0), LiveVersion("v1", {"X": OLD.id}, 10.0)))
    pages = LiveWorker("pages/site/production", (LiveVersion("production", {"P": OLD.id}, 100.0),))
    workers = {"shop": stale, "other": other, "pages/site/production": pages, "gone": None}
    assert uses(replace(LOOKED, workers=workers)) == [
        (NEW.id, Role.CURRENT, "the Worker other (live)"),
        (OLD.id, Role.SUPERSEDED, "the Worker shop (live)"),
        (OLD.id, Role.SUPERSEDED, "the Worker other (after a rollback)"),
        (OLD.id, Role.SUPERSEDED, "the Pages project site/production (live)"),
    ]


def test_a_service_is_named_only_where_nothing_more_exact_is_known() -> None:
    """`the service workers` says nothing that a Worker does not say better."""
    service = User(UserKind.SERVICE, "workers", detail="active")
    assert uses(replace(LOOKED, users={OLD.id: (service,)})) == [
        (OLD.id, Role.SUPERSEDED, "the service workers (active)")
    ]
    assert uses(replace(LOOKED, users={OLD.id: (service, DB)})) == [
        (OLD.id, Role.SUPERSEDED, "the Hyperdrive configuration db")
    ]


def test_files_that_name_an_old_certificate_are_users() -> None:
    """Wherever they are in the tree."""
    assert uses(None, Sweep(mentions={OLD.id: ("b/mtls.toml",)})) == [(OLD.id, Role.SUPERSEDED, "the file b/mtls.toml")]


def test_where_nobody_looked_nobody_is_named() -> None:
    """And the plan says that nobody looked."""
    assert uses(None) == []
