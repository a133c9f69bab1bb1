"""The comment of a plan on a pull request of GitHub, against a fake of its API on loopback."""

from __future__ import annotations

import pytest

from tests.support.ci import Bench
from tests.support.forges import TOKEN, GitHub

MARKER = "<!-- mtlsctl:plan:payments -->"
NEXT = "c" * 40


def test_a_plan_is_one_comment_that_later_runs_update(bench: Bench) -> None:
    """Found by its marker, and edited in place."""
    bench.ci("plan")
    bench.ci("plan", run=51, commit=NEXT)
    assert len(bench.own) == 1
    first, second, title = bench.own[0].split("\n")[:3]
    assert first == MARKER
    assert second == f"<!-- mtlsctl:run:51.1:{NEXT} -->"
    assert title.startswith("### mtlsctl plan `payments`: ")
    assert "Commit `cccccccccccc`" in bench.own[0]
    assert "digest `sha256:" in bench.own[0]


def test_without_changes_there_is_no_comment_unless_one_exists(bench: Bench) -> None:
    """With `changes`, the default; one that is there says so."""
    bench.ci("plan")
    assert bench.project.run("apply", "--yes").code == 0
    done = bench.ci("plan", run=51)
    assert done.code == 0
    assert "### mtlsctl plan `payments`: no changes" in bench.own[0]
    bench.github.comments.clear()
    bench.ci("plan", run=52)
    assert bench.own == []
    bench.ci("plan", "--comment", "always", run=53)
    assert len(bench.own) == 1


def test_comment_never_asks_nothing_of_the_forge(bench: Bench) -> None:
    """No read, no write."""
    assert bench.ci("plan", "--comment", "never").code == 0
    assert bench.github.requests == []


def test_an_error_is_worth_a_comment_without_changes(bench: Bench) -> None:
    """A reviewer has to see it."""
    bench.project.write("certs/billing.pem", "broken")
    assert bench.ci("plan").code == 1
    assert "**1 error" in bench.own[0]


def test_each_key_has_a_comment_of_its_own(bench: Bench) -> None:
    """Also keys that differ only in characters that no marker can have."""
    for key in ("staging", "a -->", "a --<", "a" * 500, "a" * 501):
        bench.ci("plan", "--comment-key", key)
        bench.ci("plan", "--comment-key", key, run=51)
    assert len(bench.own) == 5
    firsts = [body.partition("\n")[0] for body in bench.own]
    assert len(set(firsts)) == 5
    assert all(first.endswith(" -->") and first.count("-->") == 1 for first in firsts)


@pytest.mark.parametrize(
    ("login", "body"),
    [
        ("mallory", f"{MARKER}\n<!-- mtlsctl:run:1.1:{NEXT} -->\nmine"),
        ("github-actions", f"{MARKER}\nmine"),
        ("github-actions[bot]", f"Look: {MARKER}"),
        ("github-actions[bot]", f" {MARKER}\n"),
        ("github-actions[bot]", f"{MARKER} and more"),
        ("github-actions[bot]", f"> quoted\n{MARKER}"),
    ],
)
def test_only_an_own_comment_that_begins_with_the_marker_is_updated(bench: Bench, login: str, body: str) -> None:
    """The marker in other people's comments, or within a text, does nothing."""
    bench.github.comment(body, login=login)
    bench.ci("plan")
    assert len(bench.own) == 2
    assert bench.own[0] == body


def test_the_comment_is_found_on_any_page(bench: Bench) -> None:
    """And the address of the next page is not taken from the answer."""
    bench.ci("plan")
    bench.github.comments[:0] = [{**bench.github.comments[0], "id": 90 + n, "body": "hello"} for n in range(8)]
    bench.github.per_page = 3
    bench.ci("plan", run=51, commit=NEXT)
    assert len(bench.own) == 9
    assert NEXT in bench.own[8]


@pytest.mark.parametrize(("run", "attempt"), [(49, 1), (49, 9), (50, 1)])
def test_a_run_that_ends_late_does_not_overwrite_a_newer_one(bench: Bench, run: int, attempt: int) -> None:
    """Runs are numbered as they begin, and a run that is repeated counts its attempts."""
    bench.ci("plan", run=50, attempt=2)
    before = list(bench.own)
    done = bench.ci("plan", run=run, attempt=attempt, commit=NEXT)
    assert done.code == 0
    assert bench.own == before


def test_a_failed_run_marks_the_comment_of_an_older_commit(bench: Bench) -> None:
    """Once, with the plan below it; and a run of the older commit that ends later leaves it."""
    bench.ci("plan")
    text = bench.project.read("mtls.toml")
    bench.project.write("mtls.toml", "broken")
    for run in (51, 52):
        assert bench.ci("plan", run=run, commit=NEXT).code == 1
    assert len(bench.own) == 1
    assert bench.own[0].startswith(f"{MARKER}\n<!-- mtlsctl:run:51.1:")
    assert bench.own[0].count("**This comment belongs to an older commit.**") == 1
    assert "The run for commit `cccccccccccc` failed" in bench.own[0]
    assert "### mtlsctl plan `payments`: " in bench.own[0]
    bench.project.write("mtls.toml", text)
    bench.ci("plan", run=50, attempt=2)
    assert "older commit" in bench.own[0]
    bench.ci("plan", run=53, commit="d" * 40)
    assert "older commit" not in bench.own[0]


def test_a_failed_run_of_the_same_commit_marks_nothing(bench: Bench) -> None:
    """The plan in the comment is still of what is there."""
    bench.ci("plan")
    before = list(bench.own)
    bench.project.write("mtls.toml", "broken")
    bench.ci("plan", attempt=2)
    assert bench.own == before


def test_a_failed_run_leaves_comments_that_may_be_of_another_stack(bench: Bench) -> None:
    """Of an mtls.toml that can't be read, the stack is unknown; with a key it is not."""
    bench.ci("plan")
    bench.ci("plan", "--comment-key", "staging")
    bench.project.write("mtls.toml", "broken")
    bench.ci("plan", run=51, commit=NEXT)
    assert not any("older commit" in body for body in bench.own)
    bench.ci("plan", "--comment-key", "staging", run=51, commit=NEXT)
    assert ["older commit" in body for body in bench.own] == [False, True]


def test_a_token_that_may_not_write_is_a_note(bench: Bench) -> None:
    """As on the pull request of a fork: never a failure."""
    bench.github.may_write = False
    done = bench.ci("plan")
    assert done.code == 0
    assert "info[forge]" in done.err
    assert "pull-requests: write" in done.err
    assert bench.outputs["comment-url"] == ""


def test_without_a_token_nothing_is_asked(bench: Bench) -> None:
    """The summary and the outputs are written all the same."""
    done = bench.ci("plan", GITHUB_TOKEN="")
    assert done.code == 0
    assert "no comment was written" in done.err
    assert bench.github.requests == []
    assert bench.outputs["changes"] == "2"


@pytest.mark.parametrize("status", [404, 410, 422, 429, 500, 503])
@pytest.mark.parametrize("what", ["POST /graphql", "GET /repos", "POST /repos"])
def test_a_forge_that_refuses_fails_no_plan(bench: Bench, what: str, status: int) -> None:
    """It is a warning, after a few attempts."""
    for _ in range(20):
        bench.github.fail(what, status, retry_after="0")
    done = bench.ci("plan")
    assert done.code == 0
    assert "warning[forge]" in done.err
    assert len(bench.github.requests) <= 12


def test_a_comment_whose_answer_was_lost_is_not_written_twice(bench: Bench) -> None:
    """It is searched again first."""
    bench.github.fail("POST /repos", 502, after=True)
    assert bench.ci("plan").code == 0
    assert len(bench.own) == 1
    assert bench.outputs["comment-url"] != ""


def test_a_comment_that_was_deleted_meanwhile_is_written_again(bench: Bench) -> None:
    """It is missing when it is edited."""
    bench.ci("plan")
    bench.github.fail("PATCH", 404)
    bench.ci("plan", run=51, commit=NEXT)
    assert NEXT in bench.own[0]


def test_a_comment_that_is_too_long_has_the_counts_and_the_link(bench: Bench) -> None:
    """As the forge says so."""
    bench.github.most = 600
    assert bench.ci("plan").code == 0
    assert "### mtlsctl plan `payments`: 1 upload" in bench.own[0]
    assert "Too long to show here" in bench.own[0]
    assert "https://github.com/acme/shop/actions/runs/50" in bench.own[0]


def test_no_redirect_gets_the_token(bench: Bench) -> None:
    """The forge's address is the only one that is called."""
    other = GitHub()
    with other.running() as address:
        bench.github.fail("POST /graphql", 307, location=f"{address}/graphql")
        done = bench.ci("plan")
    assert "warning[forge]" in done.err
    assert other.requests == []


@pytest.mark.parametrize(
    "url", ["http://api.example", "ftp://127.0.0.1", "https://user@api.example", "x", "http://127.0.0.1.evil.example"]
)
def test_an_address_that_is_not_safe_is_not_called(bench: Bench, url: str) -> None:
    """The token would be readable on the way."""
    done = bench.ci("plan", GITHUB_API_URL=url)
    assert done.code == 0
    assert "GITHUB_API_URL is not the https address" in done.err


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN} ", f"{TOKEN}\u00e9", f"Bearer\r\nX: {TOKEN}"])
def test_a_token_that_fits_no_header_is_not_shown(bench: Bench, token: str) -> None:
    """The message names the variable."""
    done = bench.ci("plan", MTLSCTL_CI_GITHUB_TOKEN=token)
    assert "MTLSCTL_CI_GITHUB_TOKEN has spaces" in done.err
    assert TOKEN not in done.out + done.err


@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_the_token_is_in_nothing_that_is_written(bench: Bench, status: int) -> None:
    """Not in the log, an error, the summary, an output or a comment."""
    if status != 200:
        bench.github.fail("POST /graphql", status)
    done = bench.ci("plan", "--verbose")
    texts = [done.out, done.err, bench.runner("summary"), bench.runner("outputs"), *bench.own]
    assert not any(TOKEN[4:24] in text for text in texts)
    assert all(TOKEN in str(one.headers) for one in bench.github.requests)
    assert not any(TOKEN in one.path or TOKEN in str(one.body) for one in bench.github.requests)


def test_of_two_comments_the_newer_one_is_kept(bench: Bench) -> None:
    """Two runs at the same time may have written two; the other one then leads to it."""
    bench.ci("plan", run=52)
    older = bench.own[0].replace("run:52.1", "run:51.1")
    bench.github.comments.insert(0, {**bench.github.comments[0], "id": 99, "body": older})
    bench.ci("plan", run=53, commit=NEXT)
    assert bench.own[0] == "Another comment on this pull request has the plan."
    assert NEXT in bench.own[1]


def test_a_comment_that_a_newer_run_wrote_is_still_the_output(bench: Bench) -> None:
    """Its address is what a later step needs."""
    bench.ci("plan", run=52)
    bench.ci("plan", run=51)
    assert bench.outputs["comment-url"].endswith("#issuecomment-1")


def test_a_huge_plan_fits_the_forge_and_is_whole_in_the_summary(bench: Bench) -> None:
    """With the limit that GitHub has; the counts and the link are in the comment."""
    names = [f"B{number}_{'X' * 90}" for number in range(600)]
    mtls = bench.project.read("mtls.toml") + "".join(f'{name} = "billing"\n' for name in names)
    bench.project.write("mtls.toml", mtls)
    done = bench.ci("plan")
    assert done.code == 0
    assert "[forge]" not in done.err
    assert 50_000 < len(bench.own[0]) <= bench.github.most
    assert "601 config changes" in bench.own[0]
    assert "actions/runs/50" in bench.own[0]
    assert not all(name in bench.own[0] for name in names)
    summary = bench.runner("summary")
    assert all(name in summary for name in names)
    assert len(summary.encode()) < 900_000
