"""The API of GitHub: its lists, and the address of an enterprise server."""

from __future__ import annotations

from contextlib import closing

import pytest

from reconciler.forges.github import open_github
from reconciler.model.web import WebError
from tests.support import forges
from tests.support.forges import TOKEN, Reply, Request


def test_a_list_without_an_end_is_an_error() -> None:
    """A list that is not whole must not look so: an issue would be opened twice."""
    fake = forges.GitHub()
    endless: Reply = (200, {"link": '<x>; rel="next"'}, [])

    def answer(request: Request) -> Reply:
        fake.requests.append(request)
        return endless if request.method == "GET" else (200, {}, {"data": {"viewer": {"login": "me"}}})

    fake.answer = answer  # type: ignore[method-assign]
    with fake.running() as url:
        github = open_github(url, "acme/shop", TOKEN, lambda _: None)
        with closing(github), pytest.raises(WebError, match="more than 100 pages"):
            list(github.issues("label"))


def test_the_api_of_an_enterprise_server_is_below_a_path() -> None:
    """REST below /api/v3, GraphQL next to it."""
    fake = forges.GitHub()
    with fake.running() as url, closing(open_github(f"{url}/api/v3", "acme/shop", TOKEN, lambda _: None)) as github:
        with pytest.raises(WebError):
            list(github.comments(7))
        with pytest.raises(WebError):
            github.changed_files(7)
    assert [one.path for one in fake.requests] == ["/api/graphql", "/api/v3/repos/acme/shop/pulls/7/files"]
