"""Calls to a forge: how long they wait, what they repeat, and what their errors say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from reconciler.forges.github import GitHub, open_github
from reconciler.model.forges import ForgeError, Refusal
from reconciler.web.http import Address, ForgeHttp, check_base_url
from tests.support import forges
from tests.support.forges import TOKEN, Reply, Request


@dataclass
class Asked:
    """The fake, the calls to it, and all waits."""

    fake: forges.GitHub
    http: ForgeHttp
    waits: list[float] = field(default_factory=list)

    @property
    def github(self) -> GitHub:
        return GitHub(self.http, "acme/shop")


@pytest.fixture
def asked() -> Iterator[Asked]:
    """No test waits."""
    fake, waits = forges.GitHub(), list[float]()
    with fake.running() as url:
        address = Address("GitHub", url, {"authorization": f"Bearer {TOKEN}"})
        with closing(ForgeHttp(address, lambda _: None, waits.append)) as http:
            yield Asked(fake, http, waits)


def test_a_refused_call_is_repeated_after_the_time_that_the_forge_names(asked: Asked) -> None:
    """A comment was not written, so it can be written again."""
    asked.fake.fail("POST /repos", 429, retry_after="7")
    assert asked.github.add_comment(7, "text").body == "text"
    assert asked.waits == [7.0]


@pytest.mark.parametrize("limit", [{"retry_after": "3"}, {"x_ratelimit_remaining": "0"}])
def test_a_rate_limit_can_be_a_403(asked: Asked, limit: dict[str, str]) -> None:
    """GitHub answers so; without these headers it means that the token may not."""
    asked.fake.fail("GET", 403, **limit)  # type: ignore[arg-type]
    assert asked.github.changed_files(7) == frozenset()
    assert len(asked.waits) == 1
    asked.fake.fail("GET", 403)
    with pytest.raises(ForgeError) as error:
        asked.github.changed_files(7)
    assert error.value.refusal is Refusal.DENIED


def test_no_run_waits_longer_than_a_minute(asked: Asked) -> None:
    """In all: what is published is not worth more of a job's time."""
    for _ in range(9):
        asked.fake.fail("GET", 429, retry_after="25")
    for _ in range(2):
        with pytest.raises(ForgeError, match="its rate limit is reached"):
            asked.github.changed_files(7)
    assert asked.waits == [25.0, 25.0]
    asked.fake.failures.clear()
    asked.fake.fail("GET", 429, retry_after="3600")
    with pytest.raises(ForgeError, match="its rate limit is reached"):
        asked.github.changed_files(7)


def test_a_read_is_repeated_after_an_error_of_the_server(asked: Asked) -> None:
    """A few times, with growing pauses."""
    for _ in range(9):
        asked.fake.fail("GET", 500)
    with pytest.raises(ForgeError, match="it answered with 500") as error:
        asked.github.changed_files(7)
    assert error.value.refusal is Refusal.UNKNOWN
    assert asked.waits == [1.0, 2.0, 4.0]


def test_a_comment_is_not_repeated_after_an_error_of_the_server(asked: Asked) -> None:
    """It may have been written."""
    asked.fake.fail("POST /repos", 502)
    with pytest.raises(ForgeError):
        asked.github.add_comment(7, "text")
    assert asked.waits == []


@pytest.mark.parametrize("body", [None, "text", {"data": None, "errors": ["x"]}, [[[]]], [{"id": "x"}]])
def test_an_answer_of_another_form_is_an_error_that_does_not_show_it(asked: Asked, body: object) -> None:
    """As of a proxy that answers with a page of its own."""
    asked.fake.failures.append(("GET", (200, {}, body), False))
    with pytest.raises(ForgeError, match="is not what its API promises") as error:
        asked.github.changed_files(7)
    assert "text" not in error.value.message


def test_a_forge_that_does_not_answer_is_an_error(asked: Asked) -> None:
    """Nothing listens there."""
    address = Address("GitHub", "http://127.0.0.1:1", {"authorization": f"Bearer {TOKEN}"})
    http = ForgeHttp(address, lambda _: None, asked.waits.append)
    with closing(http), pytest.raises(ForgeError, match="it did not answer") as error:
        GitHub(http, "acme/shop").changed_files(7)
    assert TOKEN not in repr(address) + repr(error.value)


def test_an_answer_that_is_too_long_is_not_read(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever the server sends."""
    monkeypatch.setattr("reconciler.web.http._MOST_BYTES", 1000)
    asked.fake.files = ["x" * 2000]
    with pytest.raises(ForgeError, match="not completely"):
        asked.github.changed_files(7)


def test_a_list_without_an_end_is_an_error(asked: Asked) -> None:
    """A list that is not whole must not look so: an issue would be opened twice."""
    endless: Reply = (200, {"link": '<x>; rel="next"'}, [])

    def answer(request: Request) -> Reply:
        asked.fake.requests.append(request)
        return endless if request.method == "GET" else (200, {}, {"data": {"viewer": {"login": "me"}}})

    asked.fake.answer = answer  # type: ignore[method-assign]
    with pytest.raises(ForgeError, match="more than 100 pages"):
        list(asked.github.issues("label"))


def test_the_api_of_an_enterprise_server_is_below_a_path() -> None:
    """REST below /api/v3, GraphQL next to it."""
    fake = forges.GitHub()
    with fake.running() as url, closing(open_github(f"{url}/api/v3", "acme/shop", TOKEN, lambda _: None)) as github:
        with pytest.raises(ForgeError):
            list(github.comments(7))
        with pytest.raises(ForgeError):
            github.changed_files(7)
    assert [one.path for one in fake.requests] == ["/api/graphql", "/api/v3/repos/acme/shop/pulls/7/files"]


@pytest.mark.parametrize(
    "url", ["https://api.github.com/", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"]
)
def test_an_address_is_https_or_on_this_machine(url: str) -> None:
    """Without the slash at its end."""
    assert check_base_url("GITHUB_API_URL", url) == url.rstrip("/")
