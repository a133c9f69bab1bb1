"""The Cloudflare store when calls fail: whatever is lost on the way, the account has each content exactly once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from reconciler.apply.run import Run
from reconciler.apply.uploads import _find_content
from reconciler.model import CertificateName, Declaration, Desired, Entry, EntryId, Listing, Reason, Upload
from reconciler.model.errors import (
    AlreadyStored,
    EntryInUse,
    EntryNotFound,
    StoreError,
    StoreRefused,
    StoreStopped,
    UnknownStoreError,
)
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.stores.cloudflare.errors import NoAnswer, PermissionLacking
from reconciler.stores.cloudflare.listing import LAG_PAUSES_S
from reconciler.stores.cloudflare.store import IN_USE_PATIENCE_S, CloudflareStore
from tests.support.cloudflare_server import (
    ACCESS,
    FakeTime,
    Fault,
    Respond,
    answer,
    limited,
    lost,
    make_client,
    make_server,
    make_store,
    refusing,
    reset,
    shown,
    success,
    torn,
    unsent,
)
from tests.support.store_contract import CAS, LEAVES, authority, leaf, pem


def posts(calls: Sequence[str]) -> int:
    return sum(call.startswith("POST") for call in calls)


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_an_upload_sends_what_wrangler_sends() -> None:
    """The same four fields, as JSON."""
    server = make_server()
    make_store(server).upload(leaf(LEAVES[0]))
    assert json.loads(server.bodies[0]) == {
        "ca": False,
        "certificates": pem(LEAVES[0]),
        "name": "payments.billing",
        "private_key": LEAVES[0].key_pem.decode(),
    }


def test_what_there_is_not_is_absent() -> None:
    """A CA has no key, an unnamed entry no name; null would mean something else."""
    server = make_server()
    make_store(server).upload(authority(pem(CAS[0]), name=""))
    assert json.loads(server.bodies[0]) == {"ca": True, "certificates": pem(CAS[0])}


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(NewEntry("x", ca=False, bundle=LEAVES[0].bundle), id="a leaf without its key"),
        pytest.param(
            NewEntry("x", ca=False, bundle=LEAVES[0].bundle, key=PrivateKey(b"\xff" + LEAVES[0].key_pem)),
            id="no PEM",
        ),
    ],
)
def test_what_is_certainly_wrong_leaves_no_machine(new: NewEntry) -> None:
    """A call would be wasted. A key in the wrong field can't happen: certificates are sent as they were parsed."""
    server = make_server()
    with pytest.raises(StoreRefused):
        make_store(server).upload(new)
    assert server.calls == []


# --- lost replies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "sent"),
    [
        pytest.param([lost], 1, id="done, reply lost"),
        pytest.param([torn], 1, id="done, reply torn"),
        pytest.param([reset], 2, id="not done, reply lost"),
        pytest.param([answer(502, text="<html>")], 2, id="a gateway's error"),
        pytest.param([refusing(500, 10001, "internal")], 2, id="a server's error"),
        pytest.param([answer(200, text="<html>")], 2, id="a page"),
        pytest.param([reset, lost], 2, id="done by the second, reply lost"),
        pytest.param([unsent], 2, id="never sent"),
        pytest.param([unsent, unsent, lost], 3, id="never sent, then done"),
        pytest.param([limited("5")], 2, id="refused by the limit"),
    ],
)
def test_an_upload_whose_reply_is_lost_is_made_exactly_once(faults: list[Fault], sent: int) -> None:
    """The list is checked before it is sent again; the entry is returned as if nothing had happened."""
    server = make_server()
    server.fail("POST", *faults)
    entry = make_store(server).upload(leaf(LEAVES[0]))
    assert server.store.list_entries().entries == (entry,)
    assert posts(server.calls) == sent


def test_an_upload_that_never_gets_a_reply_says_so() -> None:
    """Two attempts are enough; the next run finds it by its content."""
    server = make_server()
    server.fail("POST", reset, reset)
    with pytest.raises(StoreError, match="it is unknown whether") as caught:
        make_store(server).upload(leaf(LEAVES[0]))
    assert "not uploaded twice" in (caught.value.hint or "")
    assert posts(server.calls) == 2


def test_an_upload_that_a_firewall_refuses_is_not_sent_again() -> None:
    """The firewall would refuse it again."""
    server = make_server()
    server.fail("POST", answer(403, text="<html>"))
    with pytest.raises(NoAnswer, match="HTML"):
        make_store(server).upload(leaf(LEAVES[0]))
    assert server.calls == server.calls[:1]


def test_a_lost_reply_and_a_list_that_lags() -> None:
    """Not seen in the list, it is sent again and refused; then the list is read until it shows it."""
    server, time = make_server(), FakeTime()
    server.lag = 3
    server.fail("POST", lost)
    store = make_store(server, time)
    with pytest.raises(AlreadyStored) as caught:
        store.upload(leaf(LEAVES[0]))
    assert caught.value.entry == server.store.list_entries().entries[0]
    assert posts(server.calls) == 2


def test_somebody_elses_upload_is_not_taken_for_the_own() -> None:
    """The content exists under another name, so the caller must check it."""
    server = make_server()

    def overtaken(request: httpx.Request, respond: Respond) -> httpx.Response:
        server.store.upload(leaf(LEAVES[0], name="other.billing"))
        return reset(request, respond)

    server.fail("POST", overtaken)
    with pytest.raises(AlreadyStored) as caught:
        make_store(server).upload(leaf(LEAVES[0]))
    assert caught.value.number == 1471


# --- the list after a change ------------------------------------------------------------------------------------------


def test_1471_waits_until_the_list_shows_the_content() -> None:
    """Up to a minute, with growing pauses; the refusal has the entry."""
    server, time = make_server(), FakeTime()
    entry = server.store.upload(leaf(LEAVES[0], name="by hand"))
    server.hidden[entry.id] = 3
    store = make_store(server, time)
    with pytest.raises(AlreadyStored) as caught:
        store.upload(leaf(LEAVES[0]))
    assert caught.value.entry == entry
    assert tuple(time.sleeps) == LAG_PAUSES_S[:3]


def test_long_waits_are_told() -> None:
    """For a list that lags, a use that lingers, or a server that is down; the user knows what a run waits for."""
    server, time, told = make_server(), FakeTime(), list[str]()
    store = CloudflareStore(make_client(server.handle, time, tell=told.append), ACCESS.certificates_path, lambda: 0.5)
    entry = server.store.upload(leaf(LEAVES[0], name="by hand"))
    server.hidden[entry.id] = 1
    with pytest.raises(AlreadyStored):
        store.upload(leaf(LEAVES[0]))
    server.in_use[entry.id] = 1
    server.fail("GET", *[answer(502)] * 3)
    store.delete(entry.id)
    assert [line.split(":")[0] for line in told] == ["waiting 1 s", "waiting 1 s", "waiting 2 s", "waiting 1 s"]
    assert "Cloudflare says that 'payments.billing' is stored, but does not list it yet" in told[0]
    assert "failed with HTTP 502" in told[1]
    assert entry.id in told[3]
    assert "while in use" in told[3]


def test_1471_is_not_looked_for_twice() -> None:
    """An earlier list of the run is used again: a hundred such uploads would else read two thousand pages."""
    server = make_server()
    entries = [server.store.upload(leaf(issued, name="by hand")) for issued in LEAVES[:3]]
    store = make_store(server)
    for issued, entry in zip(LEAVES, entries, strict=False):
        with pytest.raises(AlreadyStored) as caught:
            store.upload(leaf(issued))
        assert caught.value.entry == entry
    assert [call.split()[0] for call in server.calls] == ["POST", "GET", "POST", "POST"]


def test_1471_does_not_wait_for_ever() -> None:
    """After a minute there is no entry in the refusal."""
    server, time = make_server(), FakeTime()
    entry = server.store.upload(leaf(LEAVES[0], name="by hand"))
    server.hidden[entry.id] = 1000
    store = make_store(server, time)
    with pytest.raises(AlreadyStored) as caught:
        store.upload(leaf(LEAVES[0]))
    assert caught.value.entry is None
    assert sum(time.sleeps) == 60.0
    assert store.list_entries().entries == ()
    assert sum(time.sleeps) == 60.0


def test_a_list_that_lags_shows_the_own_changes() -> None:
    """Without another call; changes of others appear once the list shows them."""
    server, time = make_server(), FakeTime()
    server.lag = 100
    store = make_store(server, time)
    kept, gone = (store.upload(leaf(issued)) for issued in LEAVES[:2])
    store.delete(gone.id)
    assert store.list_entries().entries == (kept,)
    assert time.sleeps == []
    stale = {"page": 1, "per_page": 50, "total_count": 2, "total_pages": 1}
    server.fail("GET", lambda _, __: success([shown(kept), shown(gone)], result_info=stale))
    assert store.list_entries().entries == (kept,)


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"name": "payments.billin"}, "a different name"),
        ({"ca": True}, "a different ca flag"),
        ({"certificates": pem(LEAVES[1])}, "a different content"),
        ({"certificates": "no PEM", "name": ""}, "a different content and name"),
    ],
)
def test_an_upload_that_comes_back_otherwise_is_an_error(other: dict[str, object], said: str) -> None:
    """With its ID, because it exists in the account now."""
    server = make_server()

    server.fail("POST", lambda _, respond: success({**json.loads(respond().content)["result"], **other}))
    with pytest.raises(StoreError, match=said) as caught:
        make_store(server).upload(leaf(LEAVES[0]))
    (entry,) = server.store.list_entries().entries
    assert entry.id in caught.value.message
    assert caught.value.code == "upload-differs"


def test_a_reply_with_an_id_alone_is_completed() -> None:
    """Every field of it may be missing."""
    server = make_server()
    server.fail("POST", lambda _, respond: success({"id": json.loads(respond().content)["result"]["id"]}))
    entry = make_store(server).upload(leaf(LEAVES[0]))
    assert server.store.list_entries().entries == (entry,)


def test_a_reply_without_an_id_is_looked_up() -> None:
    """It counts as no reply."""
    server = make_server()
    server.fail("POST", lambda _, respond: success({"name": "x"}) if respond() else respond())
    entry = make_store(server).upload(leaf(LEAVES[0]))
    assert server.store.list_entries().entries == (entry,)


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_a_use_that_lingers_is_waited_for() -> None:
    """The last Worker is deleted, and Cloudflare does not know it yet."""
    server, time = make_server(), FakeTime()
    store = make_store(server, time)
    entry = store.upload(leaf(LEAVES[0]))
    server.in_use[entry.id] = 3
    store.delete(entry.id)
    assert server.store.list_entries().entries == ()
    assert time.sleeps == [1.0, 2.0, 4.0]


def test_a_use_that_stays_is_said_and_costs_a_run_a_minute_at_most() -> None:
    """Not a minute for each certificate: of a hundred, all may be in use."""
    server, time = make_server(), FakeTime()
    store = make_store(server, time)
    for issued in LEAVES[:3]:
        entry = store.upload(leaf(issued))
        server.in_use[entry.id] = 1000
        with pytest.raises(EntryInUse, match="while in use"):
            store.delete(entry.id)
    assert sum(time.sleeps) <= IN_USE_PATIENCE_S
    assert len(server.store.list_entries().entries) == 3


@pytest.mark.parametrize("fault", [refusing(400, 1400, "Certificate already deleted"), refusing(400, 1472, "gone")])
def test_what_is_deleted_already_is_not_found(fault: Fault) -> None:
    """Whatever code precedes the text."""
    server = make_server()
    store = make_store(server)
    entry = store.upload(leaf(LEAVES[0]))
    server.fail("DELETE", fault)
    with pytest.raises(EntryNotFound):
        store.delete(entry.id)


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (refusing(400, 4711, "Tuesdays only"), UnknownStoreError),
        (refusing(403, 10000, "Authentication error"), PermissionLacking),
    ],
)
def test_an_answer_that_would_be_the_same_each_time_stops_all_changes(fault: Fault, kind: type[StoreError]) -> None:
    """Only reads are sent afterwards; the first error is shown unchanged."""
    server = make_server()
    server.fail("POST", fault)
    store = make_store(server)
    with pytest.raises(kind):
        store.upload(leaf(LEAVES[0]))
    entry = server.store.upload(leaf(LEAVES[2]))
    before = len(server.calls)
    for change in (lambda: store.upload(leaf(LEAVES[1])), lambda: store.delete(entry.id)):
        with pytest.raises(StoreStopped, match="skipped: an earlier error from Cloudflare stopped this run"):
            change()
    assert len(server.calls) == before
    assert store.list_entries().entries == (entry,)


def test_a_refusal_of_one_certificate_stops_no_other() -> None:
    """It concerns only that one."""
    server = make_server()
    server.fail("POST", refusing(400, 1400, "unable to parse certificate"))
    store = make_store(server)
    with pytest.raises(StoreRefused):
        store.upload(leaf(LEAVES[0]))
    assert store.upload(leaf(LEAVES[1])).name == "payments.billing"


def test_a_content_that_stays_unseen_is_said_with_its_kin() -> None:
    """Cloudflare may mean the same leaf with another chain; the user can decide."""
    name = CertificateName("billing")
    kin = Entry(EntryId("kin-id"), name="by hand", certificates=pem(LEAVES[0]) + pem(CAS[0]))
    bundle = LEAVES[0].bundle
    run = SimpleNamespace(
        world=SimpleNamespace(store=SimpleNamespace(list_entries=lambda: Listing((kin,)))),
        desired=Desired(Declaration("mtls.toml", "payments"), {name: bundle}),
    )
    upload = Upload(name, bundle.digest, "payments.billing.x", (Reason.MISSING,))
    with pytest.raises(StoreError, match=r"does not show it; with the same leaf it shows kin-id \('by hand'\)"):
        _find_content(cast(Run, run), upload, AlreadyStored("no", number=1471), ca=False)
