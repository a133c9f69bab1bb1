"""One call and its replies: what counts as an answer, what is retried, what is waited for, and what is never shown."""

from __future__ import annotations

import gzip
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from reconciler.findings.errors import ReconcilerError
from reconciler.model.errors import StoreError, UnknownStoreError
from reconciler.stores.cloudflare.client import ATTEMPTS, DEFAULT_BOUNDS, ApiCall, Client, backoff_s, send_patiently
from reconciler.stores.cloudflare.errors import NoAnswer, Operation, UnusableReply
from tests.support.cloudflare_server import (
    ACCESS,
    TOKEN,
    FakeTime,
    Fault,
    answer,
    limited,
    lost,
    make_client,
    make_server,
    make_store,
    refuse,
    refusing,
    reset,
    success,
    torn,
    unsent,
)
from tests.support.store_contract import LEAVES, leaf

LIST = ApiCall(Operation.LIST, "GET", ACCESS.certificates_path, {"page": 1, "per_page": 50})
DELETE = ApiCall(Operation.DELETE, "DELETE", ACCESS.certificates_path + "/x")


def replying(*responses: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """A client whose calls get these replies, in order."""
    left = iter(responses)
    return lambda _: next(left)


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "said", "again"),
    [
        pytest.param(
            httpx.Response(200, text="<html>hello"),
            "an HTML page instead of the API's JSON (HTTP 200)",
            True,
            id="a page",
        ),
        pytest.param(
            httpx.Response(200, text='{"success": tr'),
            "something else instead of the API's JSON",
            True,
            id="half a reply",
        ),
        pytest.param(httpx.Response(200, text=""), "something else instead of the API's JSON", True, id="nothing"),
        pytest.param(
            httpx.Response(200, text="[]"), "something else instead of the API's JSON", True, id="JSON of another shape"
        ),
        pytest.param(
            httpx.Response(200, content=b"\xff\xfe"), "something else instead of the API's JSON", True, id="no text"
        ),
        pytest.param(
            httpx.Response(403, text=" <html>blocked"),
            "an HTML page instead of the API's JSON (HTTP 403)",
            False,
            id="a firewall",
        ),
        pytest.param(
            httpx.Response(404, text="{}"), "something else instead of the API's JSON", False, id="another server's 404"
        ),
        pytest.param(httpx.Response(502, text="<html>"), "failed with HTTP 502", True, id="a gateway"),
        pytest.param(refuse(500, 10001, "Unable to authenticate"), "500: 10001 Unable", True, id="a server's error"),
        pytest.param(
            httpx.Response(302, headers={"location": "https://evil.example/x"}),
            "to evil.example",
            False,
            id="a redirect",
        ),
        pytest.param(httpx.Response(301, headers={"location": "/x"}), "(HTTP 301)", False, id="one on the same host"),
        pytest.param(httpx.Response(307, headers={"location": "http://[x"}), "(HTTP 307)", False, id="one to nowhere"),
        pytest.param(
            httpx.Response(200, headers={"content-encoding": "gzip"}, content=iter([b"no gzip"])),
            "was lost",
            True,
            id="no gzip",
        ),
        pytest.param(
            httpx.Response(200, headers={"content-encoding": "gzip"}, content=iter([gzip.compress(b"{}")[:-1]])),
            "was lost",
            True,
            id="half a gzip",
        ),
        pytest.param(
            httpx.Response(200, headers={"content-encoding": "br"}, content=iter([b"x"])),
            "did not ask for",
            False,
            id="another encoding",
        ),
        pytest.param(
            httpx.Response(200, headers={"content-encoding": "gzip, gzip"}, content=iter([b"x"])),
            "did not ask for",
            False,
            id="gzip in gzip",
        ),
        pytest.param(
            httpx.Response(200, headers={"content-encoding": "gzip"}, content=iter([b""])),
            "something else instead of the API's JSON",
            True,
            id="an empty gzip",
        ),
    ],
)
def test_what_is_no_answer(response: httpx.Response, said: str, again: bool) -> None:
    """Each message says what came instead; a call that would fail in the same way is not retried."""
    with pytest.raises(NoAnswer) as caught:
        make_client(replying(response)).send(LIST)
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.lasting is not again


@pytest.mark.parametrize("cut", [1, 100, 10_000])
def test_a_packed_reply_is_what_was_packed(cut: int) -> None:
    """However it is cut into pieces on its way."""
    body = success([{"id": str(number)} for number in range(20_000)]).content
    packed = gzip.compress(body)
    pieces = iter([packed[at : at + cut] for at in range(0, len(packed), cut)])
    client = make_client(lambda _: httpx.Response(200, headers={"Content-Encoding": "GZIP"}, content=pieces))
    assert client.send(LIST).result == [{"id": str(number)} for number in range(20_000)]


def test_a_reply_without_end_is_cut() -> None:
    """Bytes are counted while they arrive."""
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield b" " * 1000

    client = make_client(
        lambda _: httpx.Response(200, content=endless()), bounds=replace(DEFAULT_BOUNDS, body_bytes=5000)
    )
    with pytest.raises(UnusableReply, match="larger than"):
        client.send(LIST)
    assert len(sent) < 10


def test_a_reply_that_drips_is_cut() -> None:
    """The time is checked while the reply arrives."""
    time = FakeTime()

    def dripping() -> Iterator[bytes]:
        for _ in range(1000):
            time.at += 10
            yield b" "

    with pytest.raises(NoAnswer, match="was not complete after 120 s"):
        make_client(lambda _: httpx.Response(200, content=dripping()), time).send(LIST)


def test_a_success_that_says_it_is_none_is_a_refusal() -> None:
    """200 with `success: false`."""
    with pytest.raises(UnknownStoreError, match="4711"):
        make_client(replying(refuse(200, 4711, "no"))).send(LIST)


def test_the_request_is_the_apis() -> None:
    """Token, path and query; nothing is sent to any other host."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return success([])

    client = make_client(handler)
    client.send(LIST)
    (request,) = seen
    assert str(request.url) == f"{ACCESS.base_url}{ACCESS.certificates_path}?page=1&per_page=50"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith("mtlsctl/")
    assert client.calls == 1


def test_no_cookie_is_kept() -> None:
    """Cloudflare sets some, but the API needs only a token."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        response = success([])
        response.headers["set-cookie"] = "__cf_bm=1; path=/"
        return response

    client = make_client(handler)
    for _ in range(2):
        client.send(LIST)
    assert not any("cookie" in request.headers for request in seen)


# --- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [LIST, DELETE], ids=lambda call: call.method)
@pytest.mark.parametrize(
    "fault",
    [answer(500), answer(503), answer(200, text="<html>"), reset, unsent],
    ids=["500", "503", "page", "reset", "unsent"],
)
def test_reading_and_deleting_are_tried_again(call: ApiCall, fault: Fault) -> None:
    """Five attempts in total, with growing pauses."""
    time, server = FakeTime(), make_server()
    server.fail(call.method, *[fault] * ATTEMPTS)
    client = make_client(server.handle, time)
    with pytest.raises(NoAnswer):
        send_patiently(client, call, lambda: 0.5)
    assert client.calls == ATTEMPTS
    assert time.sleeps == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("random", [0.0, 0.5, 1.0])
def test_pauses_are_spread(random: float) -> None:
    """By half in both directions, so that jobs that failed together don't retry together."""
    assert backoff_s(1, random) == 0.25 + 0.5 * random


def test_an_answer_ends_the_attempts() -> None:
    """One failure costs one more call."""
    server = make_server()
    server.fail("GET", answer(502))
    client = make_client(server.handle)
    assert send_patiently(client, LIST, lambda: 0.5).result == []
    assert client.calls == 2


def test_a_delete_whose_reply_was_lost_is_done() -> None:
    """The second attempt finds nothing, because the first one deleted it."""
    for fault in (lost, torn):
        server = make_server()
        store = make_store(server)
        entry = store.upload(leaf(LEAVES[0]))
        server.fail("DELETE", fault)
        store.delete(entry.id)
        assert server.store.list_entries().entries == ()


# --- the rate limit ---------------------------------------------------------------------------------------------------


def test_retry_after_is_obeyed_in_full_and_said() -> None:
    """A 429 is not a failure; the same call is made again, even an upload, because nothing was done."""
    time, server, told = FakeTime(), make_server(), list[str]()
    server.fail("GET", limited("287"), limited())
    client = make_client(server.handle, time, tell=told.append)
    assert client.send(LIST).result == []
    assert time.sleeps == [287.0, 2.0]
    assert told == [
        "waiting 287 s for Cloudflare's rate limit, until 12:21:27 UTC",
        "waiting 2 s for Cloudflare's rate limit, until 12:21:29 UTC",
    ]
    assert client.calls == 3


def test_a_busy_server_is_given_the_time_that_it_asks_for() -> None:
    """503 with `Retry-After`."""
    time, server = FakeTime(), make_server()
    server.fail("GET", answer(503, headers={"retry-after": "40"}))
    send_patiently(make_client(server.handle, time), LIST, lambda: 0.5)
    assert sum(time.sleeps) == 40.0


def test_a_run_waits_no_longer_than_it_may() -> None:
    """All waits together; then the error says so, and no call is made."""
    time, server = FakeTime(), make_server()
    server.fail("GET", limited("300"), limited("300"), limited("301"))
    client = make_client(server.handle, time, bounds=replace(DEFAULT_BOUNDS, max_wait_s=900))
    with pytest.raises(StoreError, match="a wait of 301 s") as caught:
        client.send(LIST)
    assert caught.value.code == "rate-limited"
    assert "`--max-wait 16m`" in (caught.value.hint or "")
    assert client.calls == 3
    with pytest.raises(StoreError, match="longer than this run may"):
        client.send(LIST)
    assert client.calls == 3


def test_the_window_is_waited_for_before_it_is_spent() -> None:
    """The client stops before the header reaches 0, so there is no 429."""
    time = FakeTime()
    left = iter([3, 2, 9])
    server = make_server()
    server.headers = lambda: {"Ratelimit": f'"default";r={next(left)};t=30', "Ratelimit-Policy": '"default";q=10;w=30'}
    client = make_client(server.handle, time)
    for _ in range(3):
        client.send(LIST)
    assert time.sleeps == [30.0]


def test_a_run_ends_in_time() -> None:
    """Even if each call has time left; a wait that would exceed the limit is not started."""
    time, server = FakeTime(), make_server()
    client = make_client(server.handle, time, bounds=replace(DEFAULT_BOUNDS, run_s=100))
    client.send(LIST)
    with pytest.raises(StoreError, match="time limit of 100 s"):
        client.sleep(101)
    time.at += 101
    with pytest.raises(StoreError, match="time limit of 100 s") as caught:
        client.send(LIST)
    assert caught.value.code == "store-timeout"
    assert client.calls == 1


def test_closing_ends_every_wait() -> None:
    """Ctrl-C ends a wait for the rate limit."""
    server = make_server()
    server.fail("GET", limited("300"))
    waiting = threading.Event()
    real = make_client(server.handle)
    client = Client(
        ACCESS,
        replace(real._time, sleep=None),
        tell=lambda _: waiting.set(),
        transport=httpx.MockTransport(server.handle),
    )
    errors: list[StoreError] = []

    def wait() -> None:
        try:
            client.send(LIST)
        except StoreError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    client.close()
    thread.join(10)
    assert [error.code for error in errors] == ["store-closed"]


def test_ten_threads_share_one_limit() -> None:
    """No thread makes a call beyond the reserve."""
    server = make_server()
    lock, used = threading.Lock(), [0]

    def headers() -> dict[str, str]:
        with lock:
            used[0] += 1
            return {"Ratelimit": f'"default";r={60 - used[0]};t=300', "Ratelimit-Policy": '"default";q=60;w=300'}

    server.headers = headers
    client = make_client(server.handle, bounds=replace(DEFAULT_BOUNDS, max_wait_s=10))
    errors: list[str] = []

    def work() -> None:
        try:
            while True:
                client.send(LIST)
        except StoreError as error:
            errors.append(error.code)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (client.calls, errors) == (58, ["rate-limited"] * 10)


# --- secrets ----------------------------------------------------------------------------------------------------------

KEY = LEAVES[0].key_pem.decode()
QUOTES = f"your request was: Bearer {TOKEN} " + KEY.replace("\n", "\\n")

FAULTS: dict[str, list[Fault]] = {
    "a refusal": [refusing(400, 4711, QUOTES)],
    "a known refusal": [refusing(400, 1400, "unable to parse certificate " + QUOTES)],
    "a page": [answer(403, text="<html>" + QUOTES)],
    "a page as a success": [answer(200, text="<html>" + QUOTES)] * 2,
    "broken JSON": [answer(200, text='{"success": true, "result": "' + QUOTES)] * 2,
    "JSON of another shape": [answer(200, text='{"success": "' + TOKEN + '", "errors": "' + TOKEN + '"}')] * 2,
    "a server's error": [answer(500, text=QUOTES)] * 2,
    "a server's error in the envelope": [refusing(500, 1, QUOTES)] * 2,
    "a redirect": [answer(302, headers={"location": f"https://evil.example/?{TOKEN}"})],
    "no connection": [unsent] * ATTEMPTS,
    "a lost reply": [reset] * 2,
    "no certificate": [lambda _, __: success({"name": QUOTES})] * 2,
    "another certificate": [lambda _, __: success({"id": "1", "name": TOKEN, "certificates": KEY})],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_no_secret_is_ever_shown(faults: list[Fault], caplog: pytest.LogCaptureFixture) -> None:
    """Not in the error, its causes, its repr or a log, whatever the server quotes."""
    caplog.set_level(0)
    server = make_server()
    server.fail("POST", *faults)
    store = make_store(server)
    with pytest.raises(ReconcilerError) as caught:
        store.upload(leaf(LEAVES[0]))
    error = caught.value
    text = "".join(traceback.format_exception(error)) + f"{error!r} {error.hint} {error.diagnostics()} {caplog.text}"
    text += repr(store) + repr(vars(store)) + repr(vars(vars(store)["_client"]))
    flat = text.replace("\\n", "").replace("\n", "")
    body = "".join(KEY.splitlines()[1:-1])
    assert TOKEN not in text
    for start in range(48, 80):  # where the private number of a P-256 key is
        assert body[start : start + 12] not in flat


def test_the_first_retry_after_a_long_silence_is_reported() -> None:
    """The pause before it is short, but the call took 30 seconds in vain. Short failures are only logged."""
    told: list[str] = []
    time = FakeTime()

    def silent(_: httpx.Request) -> httpx.Response:
        time.sleep(DEFAULT_BOUNDS.read_s)
        raise httpx.ReadTimeout("timed out")

    client = make_client(silent, time, tell=told.append)
    with pytest.raises(NoAnswer):
        send_patiently(client, LIST, lambda: 0.0)
    assert told[0] == "Cloudflare did not answer within 30 s; retrying (1 of 4)"
    assert len(told) == ATTEMPTS - 1
    told.clear()

    def refused(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NoAnswer):
        send_patiently(make_client(refused, time, tell=told.append), LIST, lambda: 0.0)
    assert told == [line for line in told if line.startswith("waiting")]


@pytest.mark.parametrize("path", ["", "/cf"])
def test_a_reply_that_is_no_answer_points_at_an_odd_base_url(path: str) -> None:
    """A path without /client/v4 may be a company's gateway, so it is mentioned only once something is wrong."""
    access = replace(ACCESS, base_url=f"https://gateway.example{path}")
    for response in (httpx.Response(404, text="<html>"), refuse(404, 7003, "Could not route to /x")):
        with pytest.raises(StoreError) as caught:
            make_client(replying(response), access=access).send(LIST)
        assert "ends with /client/v4" in (caught.value.hint or "")
