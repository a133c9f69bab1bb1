"""What live Workers and other users of certificates use, read from the emulated account, never from a mock."""

from __future__ import annotations

from datetime import datetime

import httpx
import pytest

from reconciler.emulator.app import PREFIX
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.model import Entry, EntryId, Live, LiveQuestion, User, UserKind
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.store import CloudflareReader
from tests.emulator.test_certificates import upload
from tests.emulator.test_workers import certificate, deploy, multipart, post_version, put
from tests.support.emulated import TOKEN, DirectTransport, client_of, make_state
from tests.support.store_contract import LEAVES, SetClock


@pytest.fixture
def state() -> EmulatorState:
    return make_state(SetClock())


@pytest.fixture
def api(state: EmulatorState) -> httpx.Client:
    return client_of(state)


@pytest.fixture
def ids(api: httpx.Client) -> list[EntryId]:
    """The IDs of three certificates of the account."""
    return [EntryId(upload(api, leaf)["id"]) for leaf in LEAVES[:3]]


def reader_of(state: EmulatorState) -> CloudflareReader:
    access = Access(f"http://127.0.0.1{PREFIX}", ACCOUNT_ID, TOKEN, is_loopback=True)
    clock = SetClock()
    client = Client(access, Time(now=clock.now, sleep=lambda _: None), transport=DirectTransport(state))
    return CloudflareReader(client, access.certificates_path, lambda: 0.5)


def look(
    state: EmulatorState, *targets: str, retiring: tuple[EntryId, ...] = (), back: int = 1, ca: bool = False
) -> Live:
    entries = tuple(Entry(entry_id, ca=ca) for entry_id in retiring)
    return reader_of(state).live().look(LiveQuestion(targets, entries, back))


def presents(live: Live, script: str) -> list[tuple[float | None, dict[str, EntryId]]]:
    worker = live.workers[script]
    assert worker is not None
    return [(version.share, dict(version.bindings)) for version in worker.versions]


HOSTNAMES = User(UserKind.HOSTNAMES, "a.example, b.example", "zone-1")


def add_hostnames(api: httpx.Client, ca: EntryId) -> None:
    """Two hostnames of a zone that accept clients of a CA."""
    url = f"http://emulator{PREFIX}/zones/zone-1/certificate_authorities/hostname_associations"
    api.put(url, json={"mtls_certificate_id": ca, "hostnames": ["a.example", "b.example"]})


def add_hyperdrive(api: httpx.Client, entry_id: EntryId) -> User:
    """A Hyperdrive configuration that uses a certificate."""
    mtls = {"mtls_certificate_id": entry_id}
    made = api.post("/hyperdrive/configs", json={"name": "db", "origin": {}, "mtls": mtls}).json()["result"]
    return User(UserKind.HYPERDRIVE, "db", made["id"])


def test_the_serving_version_counts_and_not_the_latest_upload(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """`settings` would show the last upload, but traffic reaches the deployed version."""
    put(api, certificate(ids[0]))
    post_version(api, certificate(ids[1]))
    assert presents(look(state, "shop"), "shop") == [(100, {"MY_CERT": ids[0]})]


def test_both_versions_of_a_gradual_deployment_serve(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """Each with its share."""
    put(api, certificate(ids[0]))
    old = api.get("/workers/scripts/shop/deployments").json()["result"]["deployments"][0]["versions"][0]["version_id"]
    new = post_version(api, certificate(ids[1]))
    deploy(api, **{old: 90, new: 10})
    assert sorted(presents(look(state, "shop"), "shop")) == [(10, {"MY_CERT": ids[1]}), (90, {"MY_CERT": ids[0]})]


@pytest.mark.parametrize(("back", "seen"), [(0, {2}), (1, {1, 2}), (2, {0, 1, 2})])
def test_earlier_deployments_are_looked_at_as_far_as_one_may_go_back(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId], back: int, seen: set[int]
) -> None:
    """And only if something may be retired."""
    for entry_id in ids:
        put(api, certificate(entry_id))
    live = look(state, "shop", retiring=(EntryId("0" * 36),), back=back)
    assert {ids.index(bindings["MY_CERT"]) for _, bindings in presents(live, "shop")} == seen
    assert [share for share, _ in presents(live, "shop")] == [100, *[None] * back]
    assert len(presents(look(state, "shop", back=back), "shop")) == 1


def test_each_version_has_its_newest_deployment_and_when_that_was_made(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """The second of three was deployed twice; the one that is live is not also one that one may go back to."""
    for entry_id in ids:
        put(api, certificate(entry_id))
    first, second, third = (str(version["id"]) for version in state.account().holders.workers["shop"].versions)
    deploy(api, **{second: 100})
    deploy(api, **{third: 60, second: 40})
    deploy(api, **{third: 100})
    listed = api.get("/workers/scripts/shop/deployments").json()["result"]["deployments"]
    worker = look(state, "shop", retiring=(EntryId("0" * 36),), back=9).workers["shop"]
    assert worker is not None
    assert {version.id: (version.share, version.deployments_ago) for version in worker.versions} == {
        third: (100, 0),
        second: (None, 1),
        first: (None, 5),
    }
    for version in worker.versions:
        assert version.deployed_on == datetime.fromisoformat(listed[version.deployments_ago or 0]["created_on"])


def test_a_worker_that_is_not_there_is_known_not_to_be_there(state: EmulatorState) -> None:
    """None, and nothing unread."""
    live = look(state, "nobody")
    assert live.workers == {"nobody": None}
    assert live.unread == {}


def test_only_declared_workers_are_asked_about_unless_something_may_be_retired(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """Two calls for one Worker; before a retire, every Worker of the account."""
    put(api, certificate(ids[0]))
    before = len(state.calls)
    assert look(state, "nobody").workers == {"nobody": None}
    assert len(state.calls) - before == 1
    assert not look(state, "shop").whole
    assert len(state.calls) - before == 3
    live = look(state, "nobody", retiring=(ids[1],))
    assert live.whole
    assert set(live.workers) == {"nobody", "shop"}


def test_a_version_is_read_once_in_a_run(state: EmulatorState, api: httpx.Client, ids: list[EntryId]) -> None:
    """A version never changes; the second read only gets the deployments."""
    put(api, certificate(ids[0]))
    live = reader_of(state).live()
    live.look(LiveQuestion(("shop",)))
    before = len(state.calls)
    assert live.look(LiveQuestion(("shop",))).workers["shop"] is not None
    assert len(state.calls) - before == 1


@pytest.mark.parametrize(
    ("missing", "unread", "says"),
    [
        (Permission.WORKERS_READ, "shop", "Workers Scripts Read"),
        (Permission.WORKERS_READ, "the list of Workers", "Workers Scripts Read"),
        (Permission.HYPERDRIVE_READ, "the list of Hyperdrive configurations", "Hyperdrive Read"),
        (Permission.ZONE_READ, "the hostname associations", "Zone Read"),
    ],
)
def test_a_missing_permission_is_a_doubt_that_names_it(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId], missing: Permission, unread: str, says: str
) -> None:
    """Never "nothing uses it"."""
    put(api, certificate(ids[0]))
    both = {missing, Permission(missing.replace("Read", "Write"))}
    state.access.tokens[TOKEN] = Token(frozenset(Permission) - both)
    live = look(state, "shop", retiring=(ids[1],), ca=True)
    assert says in live.unread[unread]


def test_hyperdrive_configurations_are_users(state: EmulatorState, api: httpx.Client, ids: list[EntryId]) -> None:
    """Of leaves and of CAs, by the names of the configurations."""
    db = add_hyperdrive(api, ids[0])
    assert look(state, retiring=(ids[0], ids[1])).users == {ids[0]: (db,)}
    assert db.text == "the Hyperdrive configuration db"


def test_hostnames_of_a_ca_are_users(state: EmulatorState, api: httpx.Client, ids: list[EntryId]) -> None:
    """Zone by zone, and only asked for CAs."""
    add_hostnames(api, ids[0])
    assert look(state, retiring=(ids[0],), ca=True).users == {ids[0]: (HOSTNAMES,)}
    assert HOSTNAMES.text == "the hostnames a.example, b.example"
    before = len(state.calls)
    look(state, retiring=(ids[1],))
    assert not any("/zones" in call.path for call in list(state.calls)[before:])


def test_a_service_that_only_the_associations_name_is_a_user(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """The API does not say which part of it uses the certificate; that some part does is enough."""
    put(api, certificate(ids[0]))
    (service,) = look(state, retiring=(ids[0],)).users[ids[0]]
    assert (service.kind, service.text) == (UserKind.SERVICE, "the service workers (active)")


def test_users_of_certificates_that_stay_are_read_without_any_other_worker(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """One list for all Hyperdrive configurations, the zones only for CAs, and no question to every certificate."""
    db = add_hyperdrive(api, ids[0])
    add_hostnames(api, ids[1])
    before = len(state.calls)
    live = reader_of(state).live().look(LiveQuestion((), using=(Entry(ids[0]), Entry(ids[1], ca=True))))
    assert live.users == {ids[0]: (db,), ids[1]: (HOSTNAMES,)}
    assert live.users_of == {ids[0], ids[1]}
    assert not live.whole
    paths = [call.path.rpartition("/")[2] for call in list(state.calls)[before:]]
    assert paths == ["configs", "zones", "hostname_associations"]


@pytest.mark.parametrize(
    ("missing", "retiring_ca", "keeps"),
    [
        (Permission.HYPERDRIVE_READ, False, True),
        (Permission.ZONE_READ, False, False),
        (Permission.ZONE_READ, True, True),
    ],
    ids=["any leaf may be in Hyperdrive", "no leaf can be a CA of hostnames", "a CA can"],
)
def test_a_list_of_users_that_can_not_be_read_keeps_only_what_could_be_in_it(
    state: EmulatorState, ids: list[EntryId], missing: Permission, retiring_ca: bool, keeps: bool
) -> None:
    """A declared CA whose hostnames are unknown is no reason to keep an old leaf."""
    both = {missing, Permission(missing.replace("Read", "Write"))}
    state.access.tokens[TOKEN] = Token(frozenset(Permission) - both)
    question = LiveQuestion((), (Entry(ids[0], ca=retiring_ca),), using=(Entry(ids[1], ca=True),))
    live = reader_of(state).live().look(question)
    assert len(live.users_unread) == 1
    assert (set(live.users_unread) <= set(live.unread)) is keeps


def test_a_worker_that_was_never_deployed_presents_its_latest_upload(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """It has nothing else, and an uncertain use keeps a certificate."""
    put(api, certificate(ids[0]))
    next(iter(state.accounts.values())).holders.workers["shop"].deployments.clear()
    assert presents(look(state, "shop"), "shop") == [(None, {"MY_CERT": ids[0]})]


def test_a_reply_without_bindings_is_a_doubt_and_not_an_empty_worker(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """A version without bindings in the reply would look as if it used nothing."""
    put(api, certificate(ids[0]))
    worker = next(iter(state.accounts.values())).holders.workers["shop"]
    del worker.versions[0]["resources"]
    live = look(state, "shop")
    assert "shop" in live.unread
    assert live.workers == {}


def test_more_deployments_than_are_listed_are_a_doubt(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """Only ten are certain to be listed, so deeper rollbacks can't be checked."""
    for number in range(10):
        put(api, certificate(ids[number % 2]))
    assert look(state, "shop", retiring=(ids[2],), back=9).unread == {}
    assert "rollback_versions" in look(state, "shop", retiring=(ids[2],), back=10).unread["shop"]


def test_the_two_sides_of_a_pages_project_are_told_apart(
    state: EmulatorState, api: httpx.Client, ids: list[EntryId]
) -> None:
    """Production is also the side of the top level."""
    projects = next(iter(state.accounts.values())).holders.pages
    sides = {"production": {"mtls_certificates": {"A": {"certificate_id": ids[0]}}}, "preview": {}}
    projects["site"] = {"name": "site", "production_branch": "main", "deployment_configs": sides}
    live = look(state, "pages/site/production", "pages/site/preview")
    assert presents(live, "pages/site/production") == [(100, {"A": ids[0]})]
    assert presents(live, "pages/site/preview") == [(100, {})]


def test_bindings_of_other_kinds_are_left_out(state: EmulatorState, api: httpx.Client, ids: list[EntryId]) -> None:
    """Secrets, buckets and others are not relevant here."""
    files = multipart([certificate(ids[0]), {"type": "secret_text", "name": "S", "text": "canary"}])
    api.put("/workers/scripts/shop", files=files)
    assert presents(look(state, "shop"), "shop") == [(100, {"MY_CERT": ids[0]})]
