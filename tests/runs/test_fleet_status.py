"""`fleet status`: how every stack is, from what is remembered; no server is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.runs.test_several import BROKEN
from tests.support.estates import TOKENS, Estate, make_estate

STATE = ".mtlsctl/fleet.json"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    """One stack in each account, checked once."""
    with make_estate(tmp_path / "checkout", stacks=3) as made:
        for folder, account in (("one/s1", 0), ("two/s2", 1)):
            made.apply(folder, account)
        made.run("fleet", "run")
        made.state.calls.clear()
        yield made


def states(estate: Estate, *words: str) -> dict[str, str]:
    """The state of each stack, in the order of the report."""
    found = estate.run("fleet", "status", "--format", "json", *words).json["stacks"]
    return {one.get("stack") or one["file"]: one["state"] for one in found}


def remember(estate: Estate, before: str, after: str) -> None:
    """Change what is remembered."""
    text = re.sub(before, after, estate.read(STATE))
    assert text != estate.read(STATE)
    estate.write(STATE, text)


def test_every_stack_has_its_state_and_the_exit_code_is_the_strongest(estate: Estate) -> None:
    """As of the last check; nothing is asked now."""
    result = estate.run("fleet", "status")
    assert result.code == 2
    assert states(estate) == {"s3": "changes", "s1": "ok", "s2": "ok"}
    assert result.out.splitlines()[-1] == "acme: 3 stacks: 1 with changes, 2 ok."
    assert re.search(r"^changes +s3 +\d+[sm] ago +2 changes +- +cccccccc +in \d+[sm]$", result.out, re.MULTILINE)
    assert estate.state.calls == []
    estate.apply("three/s3", 2)
    estate.run("fleet", "run", "--all")
    assert estate.run("fleet", "status").code == 0


def test_failures_come_first_and_each_says_what_is_wrong(estate: Estate) -> None:
    """A vanished stack, a broken file, a failed check, one that was never checked."""
    (estate.folder / "one/s1/mtls.toml").unlink()
    estate.write("two/s2/mtls.toml", BROKEN)
    estate.stack(1, 5)
    del estate.environ["TOKEN_2"]
    estate.run("fleet", "run", "--all", "--only", "three/*")
    result = estate.run("fleet", "status")
    assert result.code == 1
    assert states(estate) == {"s1": "vanished", "s2": "broken", "s3": "failed", "s5": "not-checked"}
    assert "s3: the variable TOKEN_2 is not set" in result.out
    assert "s5: it was never checked" in result.out


def test_what_was_not_checked_for_two_intervals_is_not_known_to_be_well(estate: Estate) -> None:
    """It is red, whatever it was."""
    remember(estate, r'"time": "\d{4}', '"time": "2020')
    assert states(estate) == {"s1": "not-checked", "s2": "not-checked", "s3": "not-checked"}
    assert estate.run("fleet", "status").code == 1
    assert "s2, s3: it was not checked for two intervals" in estate.run("fleet", "status").out  # said once


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ('act = "none"', 'not allowed by `act = "none"` of [defaults] at fleet.toml:5:1'),
        ('act = "all"\nmax_acts = 0', "not done: `max_acts = 0` of [defaults] allows no change"),
        (
            'act = "all"\ndeny = [{ cron = "* * * * *", for = "2h", why = "audit" }]',
            "not done: `deny` at fleet.toml:6:9 holds, and no end was found (audit)",
        ),
        ('act = "all"', None),
    ],
)
def test_what_holds_the_changes_of_a_stack_is_shown(estate: Estate, after: str, message: str | None) -> None:
    """As fleet.toml is now, also if no pass ran since."""
    estate.write("fleet.toml", estate.read("fleet.toml").replace('act = "retire"', after))
    found = {one["stack"]: one for one in estate.run("fleet", "status", "--format", "json").json["stacks"]}
    assert (found["s3"]["state"], found["s3"].get("message"), found["s1"].get("message")) == ("changes", message, None)


def test_a_failed_act_is_a_failure_until_the_next_check(estate: Estate) -> None:
    """Though the check before it was well."""
    time = json.loads(estate.read(STATE))["stacks"][0]["look"]["time"]
    act = f'"act": {{"time": "{time}", "kind": "retire", "state": "failed", "message": "no answer"}},'
    remember(estate, r'("stack": "s1",)', rf"\1 {act}")
    assert states(estate)["s1"] == "failed"
    assert "s1: no answer" in estate.run("fleet", "status").out
    estate.run("fleet", "run", "--all")
    assert states(estate)["s1"] == "ok"


def test_a_pass_and_the_status_report_the_same_drift(tmp_path: Path) -> None:
    """With what differs, as when a newer checkout uploaded a certificate."""
    with make_estate(tmp_path / "checkout", stacks=1) as made:
        made.apply("one/s1", 0)
        wrangler = made.read("one/s1/wrangler.toml")
        made.put("one/s1", 1, 501)
        made.apply("one/s1", 0)
        made.put("one/s1", 1, 1)
        made.write("one/s1/wrangler.toml", wrangler)
        done, shown = made.run("fleet", "run", "--all"), made.run("fleet", "status")
        assert (done.code, shown.code) == (2, 2)
        assert "1 stack: 1 with drift." in done.out
        assert all(
            "was uploaded after the declared certificate" in " ".join(one.out.split()) for one in (done, shown)
        ), done.out + shown.out


def test_stacks_with_one_name_have_their_account(estate: Estate) -> None:
    """At every width: a narrow terminal has no column for it, nor has the line that says what is wrong."""
    estate.write("two/s2/mtls.toml", estate.read("two/s2/mtls.toml").replace('"s2"', '"s1"'))
    found = estate.run("fleet", "status").out
    assert re.search(r"^ok +s1 \(shop\) +\d", found, re.MULTILINE)
    assert "\ns1 (bbbbbbbb): it was never checked\n" in found
    assert re.search(r"^changes +s3 +\d", found, re.MULTILINE)


def test_files_with_one_name_in_one_account_are_told_apart_by_their_path(estate: Estate) -> None:
    """And are one series, because Prometheus refuses the whole page with one that is there twice."""
    estate.stack(1, 5)
    estate.write("two/s5/mtls.toml", estate.read("two/s5/mtls.toml").replace('"s5"', '"s2"'))
    found = " ".join(estate.run("fleet", "status").out.split())
    for one, other in (("two/s2", "two/s5"), ("two/s5", "two/s2")):
        assert f"broken s2 ({one}/mtls.toml)" in found
        assert f"s2 ({one}/mtls.toml): the stack 's2' is also that of {other}/mtls.toml" in found
    lines = estate.run("fleet", "status", "--format", "prometheus").out.splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    assert 'mtlsctl_fleet_stack_ok{stack="s2",account="bbbbbbbb"} 0' in lines


def test_what_is_wrong_with_a_file_is_shown_as_long_as_it_is_wrong(estate: Estate) -> None:
    """Not until the next check: `fleet status` reads the files itself."""
    estate.stack(1, 5)
    estate.run("fleet", "run")
    text = estate.read("two/s5/mtls.toml")
    estate.write("two/s5/mtls.toml", text.replace('"s5"', '"s2"'))
    estate.run("fleet", "run", "--all")
    assert estate.run("fleet", "status").out.count("the stack 's2' is also that of") == 2
    estate.write("two/s5/mtls.toml", text)
    assert states(estate) == {"s3": "changes", "s5": "changes", "s1": "ok", "s2": "ok"}
    assert "is also that of" not in estate.run("fleet", "status").out


def test_a_selection_shows_only_its_stacks(estate: Estate) -> None:
    """And no alarm about others."""
    (estate.folder / "two/s2/mtls.toml").unlink()
    assert states(estate, "--tag", "first") == {"s1": "ok"}
    assert states(estate)["s2"] == "vanished"


@pytest.mark.parametrize("words", ["--tag first", "--only one/*", "--only s1", "--tag first --only *1", "--exclude s2"])
def test_a_vanished_stack_is_still_selected(estate: Estate, words: str) -> None:
    """By its name, its file, and the tags that it had: else no pass over a part of the fleet would miss it."""
    (estate.folder / "one/s1/mtls.toml").unlink()
    assert states(estate, *words.split())["s1"] == "vanished"
    for command in ("run", "plan"):
        result = estate.run("fleet", command, *words.split(), "--format", "json")
        alarms = [one["stack"] for one in result.json["stacks"] if one["exit_code"] == 1 and "stack" in one]
        assert (alarms, result.code in {1, 5}) == (["s1"], True)
    assert "s1" not in states(estate, "--exclude", "s1")
    assert estate.run("fleet", "status", "--tag", "frist").code == 64


def test_a_vanished_stack_whose_tags_are_unknown_is_selected_by_any_tag(estate: Estate) -> None:
    """What an earlier version remembered has none: one alarm too many is better than none."""
    remember(estate, r'"tags": \[[^]]*\]', '"tags": null')
    (estate.folder / "two/s2/mtls.toml").unlink()
    assert states(estate, "--tag", "first") == {"s2": "vanished", "s1": "ok"}


def test_a_list_of_a_stack_that_vanished_says_so(estate: Estate) -> None:
    """It is not misspelled."""
    (estate.folder / "two/s2/mtls.toml").unlink()
    result = estate.run("fleet", "list", "--only", "s2")
    said = " ".join(result.err.split())
    assert (result.code, "remembered, and not found now: s2 (bbbbbbbb)" in said) == (1, True)


@pytest.mark.parametrize("shown", ["text", "json", "markdown", "html", "prometheus"])
def test_no_format_has_a_token(estate: Estate, shown: str) -> None:
    """Each has all stacks."""
    result = estate.run("fleet", "status", "--format", shown, "--out", f"../status.{shown}")
    assert (estate.folder.parent / f"status.{shown}").read_text().strip() in result.out
    assert all(f"s{number}" in result.out for number in (1, 2, 3))
    assert [token for token in TOKENS if token in result.out] == []


def test_metrics_have_only_the_labels_of_a_stack(estate: Estate) -> None:
    """The account by its short name; nothing of a certificate."""
    text = estate.run("fleet", "status", "--format", "prometheus").out
    families = {one.name: one.samples for one in text_string_to_metric_families(text)}
    assert {name: sorted({label for one in samples for label in one.labels}) for name, samples in families.items()} == {
        "mtlsctl_fleet_stacks": ["fleet", "state"],
        "mtlsctl_fleet_stack_ok": ["account", "stack"],
        "mtlsctl_fleet_stack_last_look_timestamp_seconds": ["account", "stack"],
        "mtlsctl_fleet_stack_last_success_timestamp_seconds": ["account", "stack"],
        "mtlsctl_fleet_stack_outage_timestamp_seconds": ["account", "stack"],
        "mtlsctl_fleet_stack_changes": ["account", "action", "stack"],
        "mtlsctl_fleet_stack_renewals": ["account", "stack"],
        "mtlsctl_fleet_stack_drift": ["account", "stack"],
        "mtlsctl_fleet_stack_paused_until_timestamp_seconds": [],
        "mtlsctl_fleet_made_timestamp_seconds": ["fleet"],
    }
    first = families["mtlsctl_fleet_stack_ok"][1]
    assert (first.labels, first.value) == ({"stack": "s1", "account": "shop"}, 1)


def test_the_document_is_what_is_remembered_and_more(estate: Estate) -> None:
    """Both fit one schema."""
    remembered = {one["stack"]: one for one in json.loads(estate.read(STATE))["stacks"]}
    for one in estate.run("fleet", "status", "--format", "json").json["stacks"]:
        assert remembered[one["stack"]].items() <= one.items()
        assert {"state", "due", "allowed", "account_name"} <= one.keys()
