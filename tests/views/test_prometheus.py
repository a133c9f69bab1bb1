"""`status --format prometheus`: judged by Prometheus' own parser; and the example's alert rules, by what it writes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reconciler.findings.escape import printable
from reconciler.model import Action, Actual, Condition, Desired, Entry, Policy, StoreKind, StoreSettings
from reconciler.reports.fleet import fleet_families
from reconciler.reports.metrics import make_metrics
from reconciler.reports.status import Standing
from reconciler.system.atomic import leftover_of
from reconciler.views.prometheus.metrics import render_metrics
from tests.cli.test_canaries import search
from tests.servers import find_program
from tests.support.cli import MTLS, Project
from tests.support.paths import REPOSITORY
from tests.support.pki import DAY, END, NOW, make_ca
from tests.support.reference import watched
from tests.support.reports import FLEET_STATUS
from tests.support.worlds import actual, certificate, days_ago, desired, entry, file, issued, plan_of, uid, worker

EXAMPLE = REPOSITORY / "examples/prometheus"
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
HOSTILE = 'a\\b"c\n\x1b[2J\u202e::error:: ##[group]} 1\n# TYPE'
ROOT = make_ca("Root")
PAST = ROOT.issue("past", not_before=NOW - 90 * DAY, not_after=NOW - DAY)

Series = dict[str, float]
"""`name{label,label}` to the value; labels as `key=value`, without the stack."""


def read(text: str) -> Series:
    """What Prometheus makes of a text: every sample once, in families with help and type."""
    series: Series = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True), family.name
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sample.labels.items() if key != "stack")
            name = f"{sample.name.removeprefix('mtlsctl_')}{{{labels}}}"
            assert name not in series
            assert sample.labels["stack"] == "payments"
            series[name] = sample.value
    return series


def metrics(wanted: Desired, there: Actual, days: float = 0) -> Series:
    """The metrics of a world, so many days after NOW."""
    plan = plan_of(wanted, there, now=NOW + days * DAY)
    return read(render_metrics(make_metrics(plan, "1.2.3")))


def of(name: str, series: Series) -> dict[str, float]:
    """The samples of one metric, by their labels."""
    return {key[len(name) + 1 : -1]: value for key, value in series.items() if key.startswith(f"{name}{{")}


def stored(number: int, name: str, age: float = 30) -> Entry:
    """An entry that has expired."""
    return Entry(uid(number), name, certificates=PAST.certificate_pem.decode(), uploaded_on=days_ago(age))


def marked() -> str:
    """Our mark for the expired one."""
    return f"payments.billing.{PAST.bundle.digest[:12]}"


# --- certificates ---------------------------------------------------------------------------------------------------


def test_each_certificate_has_its_dates_its_owner_and_its_entry() -> None:
    """Times are seconds since 1970."""
    wanted = desired({"billing": 1}, [BILLING], declared=[certificate("billing", owner="team-payments")])
    found = metrics(wanted, actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}})}))
    who = "certificate=billing,owner=team-payments"
    assert of("certificate_not_after_timestamp_seconds", found) == {who: END.timestamp()}
    assert of("certificate_renew_from_timestamp_seconds", found) == {who: (END - 30 * DAY).timestamp()}
    assert of("certificate_bound_not_after_timestamp_seconds", found) == {who: END.timestamp()}
    assert of("certificate_stored", found) == {who: 1}
    assert of("certificate_usable", found) == {who: 1}
    assert of("certificate_info", found) == {f"{who},entry={uid(1)}": 1}


def test_a_file_that_can_not_be_used_has_no_dates_and_says_so() -> None:
    """A date that is not there can't raise an alarm, so something else has to."""
    found = metrics(desired({"billing": None}), actual())
    assert of("certificate_not_after_timestamp_seconds", found) == {}
    assert of("certificate_usable", found) == {"certificate=billing,owner=": 0}


@pytest.mark.parametrize(
    ("ids", "entries", "bound_end", "expired"),
    [
        ({"BILLING": uid(1)}, [entry(1, 1, "@billing")], END, 0),
        ({"BILLING": uid(2)}, [entry(1, 1, "@billing", age=1), stored(2, marked())], NOW - DAY, 1),
        ({"BILLING": uid(2)}, [stored(2, marked())], NOW - DAY, 1),
        ({"BILLING": uid(2)}, [entry(1, 1, "@billing"), stored(2, "by hand")], NOW - DAY, 1),
        ({"BILLING": uid(1), "MORE": uid(2)}, [entry(1, 1, "@billing", age=1), stored(2, marked())], NOW - DAY, 1),
        ({"BILLING": uid(1), "MORE": uid(1)}, [entry(1, 1, "@billing")], END, 0),
        ({"BILLING": "<ID>", "MORE": uid(1)}, [entry(1, 1, "by hand")], END, 0),
        ({"BILLING": uid(9)}, [entry(1, 1, "@billing")], None, 0),
        ({"BILLING": "<ID>"}, [entry(1, 1, "@billing")], None, 0),
        ({}, [entry(1, 1, "@billing")], None, 0),
    ],
    ids=[
        "its own entry",
        "renewed, stored, and the old one bound still",
        "renewed, not stored, and the old one bound still",
        "the entry of somebody else where ours should be",
        "a second binding that nobody declares, with the old one",
        "a second binding that nobody declares, with the present one",
        "a second binding that nobody declares, with the present one under another name",
        "an id that the store does not know",
        "a placeholder",
        "nothing",
    ],
)
def test_what_is_bound_is_told_apart_from_what_is_declared(
    ids: dict[str, str], entries: list[Entry], bound_end: object, expired: int
) -> None:
    """The declared certificate is fine in each of these; the wrangler file may not be."""
    there = actual(entries, {"checkout": file({None: ids})}, asked={uid(9): None})
    found = metrics(desired({"billing": 1}, [BILLING]), there)
    who = "certificate=billing,owner="
    assert of("certificate_not_after_timestamp_seconds", found) == {who: END.timestamp()}
    ends = {} if bound_end is None else {who: bound_end.timestamp()}  # type: ignore[attr-defined]
    assert of("certificate_bound_not_after_timestamp_seconds", found) == ends
    assert of("certificate_expired_bindings", found) == {who: expired, "certificate=,owner=": 0}


def test_an_expired_entry_of_nobody_declared_is_counted_without_a_name() -> None:
    """Bound by id, in an environment that declares it so."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"OTHER": f"id:{uid(2)}"}})])
    there = actual([entry(1, 1, "@billing"), stored(2, "by hand")], {"checkout": file({None: {"OTHER": uid(2)}})})
    found = of("certificate_expired_bindings", metrics(wanted, there))
    assert found == {"certificate=billing,owner=": 0, "certificate=,owner=": 1}


def test_the_last_second_of_a_bound_certificate_has_not_expired() -> None:
    """As everywhere."""
    there = actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}})})
    for days, expired in ((335, 0), (335.001, 1)):
        found = metrics(desired({"billing": 1}, [BILLING]), there, days)
        assert of("certificate_expired_bindings", found)["certificate=billing,owner="] == expired


def test_bindings_are_counted_by_how_they_stand() -> None:
    """Every word has a sample, so that none comes out of nothing."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"A": "billing", "B": "billing", "C": "billing"}})])
    there = actual([entry(1, 1, "@billing")], {"checkout": file({None: {"A": uid(1), "B": "<ID>", "D": uid(1)}})})
    found = of("certificate_bindings", metrics(wanted, there))
    assert {key.rpartition("=")[2]: count for key, count in found.items()} == {
        Standing.IN_PLACE: 1,
        Standing.WAITING: 0,
        Standing.OTHER_ID: 1,
        Standing.MISSING: 1,
        Standing.UNDECLARED: 1,
        Standing.UNREAD: 0,
    }


def test_what_is_bound_by_its_id_has_series_that_say_who_manages_it() -> None:
    """Its end raises the same alarms; an old certificate of this stack is managed here."""
    tables = {None: {"A": f"id:{uid(2)}", "B": f"id:{uid(2)}"}, "staging": {"C": f"id:{uid(4)}", "D": f"id:{uid(5)}"}}
    wanted = desired({"billing": 1}, [worker("checkout", tables)])
    theirs, newer = (entry(number, number, "@ledger", age=30 - number, stack="books") for number in (2, 3))
    old = entry(4, 4, "@billing", age=60)
    files = {"checkout": file({None: {"A": uid(2), "B": uid(2)}, "staging": {"C": uid(4), "D": uid(5)}})}
    there = actual([entry(1, 1, "@billing"), theirs, newer, old], files, asked={uid(5): None})
    found = metrics(wanted, there)
    books = f"entry={uid(2)},name={theirs.name},managed=elsewhere,managed_by=books"
    ours = f"entry={uid(4)},name={old.name},managed=here,managed_by=payments"
    unknown = f"entry={uid(5)},name=,managed=elsewhere,managed_by="
    ends = {books: END.timestamp(), ours: END.timestamp()}
    assert of("entry_not_after_timestamp_seconds", found) == ends
    assert of("entry_renew_from_timestamp_seconds", found) == {
        key: end - (30 * DAY).total_seconds() for key, end in ends.items()
    }
    assert of("entry_outdated", found) == {books: 1, ours: 1, unknown: 0}
    assert of("entry_bindings", found) == {books: 2, ours: 1, unknown: 1}


# --- the stack ------------------------------------------------------------------------------------------------------


def test_changes_waits_findings_and_quota_are_counted() -> None:
    """A renewal that is not applied, an old entry in its grace, an orphan, and a CA."""
    wanted = desired({"billing": 3, "new": 4}, [BILLING], limit=50)
    entries = [entry(1, 1, "@new", age=1), entry(2, 2, "@gone"), entry(3, 3, "@billing", age=1), entry(5, 5, ca=True)]
    entries.append(entry(6, 6, "@billing", age=60))
    found = metrics(wanted, actual(entries, {"checkout": file({None: {"BILLING": uid(6)}})}))
    assert {key: count for key, count in of("pending_changes", found).items() if count} == {
        "action=upload": 1,
        "action=rebind": 1,
    }
    assert {key: count for key, count in of("waiting_entries", found).items() if count} == {
        "condition=successor-missing": 1,
        "condition=prune-off": 1,
        "condition=bindings-pending": 1,
    }
    assert of("store_entries", found) == {"kind=leaf": 4, "kind=ca": 1}
    assert of("store_entries_limit", found) == {"kind=leaf": 50, "kind=ca": 5}
    assert of("last_run_timestamp_seconds", found) == {"": NOW.timestamp()}
    assert of("build_info", found) == {"version=1.2.3": 1}
    assert set(of("findings", found)) == {"severity=error", "severity=warning", "severity=info"}


def test_closed_lists_are_whole() -> None:
    """Where nothing is, 0 stands."""
    found = metrics(desired({}), actual())
    assert of("pending_changes", found) == {f"action={action}": 0 for action in Action}
    assert of("waiting_entries", found) == {f"condition={condition}": 0 for condition in Condition}


def test_an_account_is_a_label_of_each_sample() -> None:
    """The same stack in two accounts, on one machine, is two."""
    wanted = desired({"billing": 1})
    store = StoreSettings(StoreKind.CLOUDFLARE, "0" * 32)
    wanted = replace(wanted, declaration=replace(wanted.declaration, store=store, policy=Policy()))
    found = metrics(wanted, actual())
    assert found
    assert all(re.search(rf"[{{,]account={'0' * 32}[,}}]", key) for key in found)


def test_what_others_wrote_stays_inside_of_its_label() -> None:
    """Quotation marks, backslashes, line ends and what a CI runner obeys."""
    wanted = desired({"billing": 1}, declared=[certificate("billing", owner=HOSTILE)])
    there = actual()
    plan = plan_of(wanted, there)
    text = render_metrics(make_metrics(plan, "1"))
    assert of("certificate_usable", read(text)) == {f"certificate=billing,owner={printable(HOSTILE)}": 1}
    assert all(re.match(r"# (HELP|TYPE) mtlsctl_|mtlsctl_", line) for line in text.splitlines())
    assert text.endswith("\n")


# --- at the command line --------------------------------------------------------------------------------------------


def test_out_writes_the_same_for_the_textfile_collector(project: Project) -> None:
    """Another user reads it; nothing is left beside it; a name that a killed run leaves is none that is collected."""
    project.run("apply", "--yes")
    project.environ.clear()
    (project.folder / "metrics").mkdir()
    result = project.run("status", "--format", "prometheus", "--out", "metrics/mtlsctl.prom")
    assert (result.code, result.err) == (0, "")
    assert project.read("metrics/mtlsctl.prom") == result.out
    assert of("certificate_stored", read(result.out)) == {"certificate=billing,owner=": 1}
    assert [path.name for path in (project.folder / "metrics").iterdir()] == ["mtlsctl.prom"]
    assert (project.folder / "metrics/mtlsctl.prom").stat().st_mode & 0o044
    assert leftover_of(".mtlsctl.prom.mtlsctl-0123abcd.tmp") == "mtlsctl.prom"


def test_an_error_of_one_certificate_ends_with_1_and_is_written_all_the_same(project: Project) -> None:
    """Else its own alarm could never ring."""
    project.write("mtls.toml", MTLS + '[certificates.bad]\ncertificate = "certs/bad.pem"\nca = true\n')
    result = project.run("status", "--format", "prometheus", "--out", "x.prom")
    assert result.code == 1
    found = read(project.read("x.prom"))
    assert found["findings{severity=error}"] == 1
    assert found["certificate_usable{certificate=bad,owner=}"] == 0


def test_a_run_that_can_not_look_leaves_the_old_file(project: Project) -> None:
    """Its time gets old, which is an alarm; a file without certificates would look like peace."""
    project.run("status", "--format", "prometheus", "--out", "x.prom")
    before = project.read("x.prom")
    project.write(".mtlsctl/store.db", "no database")
    result = project.run("status", "--format", "prometheus", "--out", "x.prom")
    assert (result.code, result.out) == (1, "")
    assert "error[" in result.err
    assert project.read("x.prom") == before


def test_no_key_and_no_token_ever_shows(project: Project) -> None:
    """Metrics are for everybody."""
    project.environ["CLOUDFLARE_API_TOKEN"] = "canary-token-value"
    result = project.run("status", "--format", "prometheus", "--out", "x.prom")
    search(project, [result], (1,), ())
    assert "canary-token-value" not in result.out + result.err
    assert issued(1).key_pem.decode() not in result.out


# --- the example's alerts -------------------------------------------------------------------------------------------


def load(name: str) -> Any:
    """A YAML file of the example."""
    return yaml.safe_load((EXAMPLE / name).read_text())


def rules(which: str) -> list[dict[str, Any]]:
    """Every alert rule of a file."""
    return [rule for group in load(f"{which}.yml")["groups"] for rule in group["rules"]]


def written(which: str) -> Mapping[str, set[str]]:
    """Every metric that `status`, or `fleet status`, writes, with its labels."""
    text = render_metrics(make_metrics(watched(), "1") if which == "alerts" else fleet_families(FLEET_STATUS))
    return {
        family.name: {label for sample in family.samples for label in sample.labels}
        for family in text_string_to_metric_families(text)
    }


NOT_USED = {
    "alerts": {"certificate_stored", "certificate_info", "certificate_bindings", "entry_bindings", "build_info"},
    "fleet": {
        "fleet_stack_last_look_timestamp_seconds",
        "fleet_stack_paused_until_timestamp_seconds",
        *(f"fleet_queue_{name}" for name in ("running", "waiting", "stalled", "lost")),
        "fleet_longest_act_seconds",
        "budget_remaining",
        "budget_wait_seconds",
    },
}
"""The metrics of each file that wake no one."""
both = pytest.mark.parametrize("which", NOT_USED)
WORDS = {"time", "sum", "absent"}
"""What PromQL itself has, of what the rules use."""


def named(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric of an expression with the labels that it is asked for; every other word must be PromQL's."""
    bare = re.sub(r"without \([^)]*\)", "", re.sub(r'"[^"]*"', '""', expression))
    for name, matchers in re.findall(r"\b([a-z_:][a-z0-9_:]*)\b(?:\{([^}]*)\})?", bare):
        if name not in WORDS:
            yield name, set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", matchers))


@both
def test_the_rules_name_only_metrics_and_labels_that_status_writes(which: str) -> None:
    """And each metric about which somebody should be woken stands in one of them."""
    known = written(which)
    used: set[str] = set()
    for rule in rules(which):
        found = dict(named(rule["expr"]))
        assert found, rule["alert"]
        assert found.keys() <= known.keys(), rule["alert"]
        assert all(labels <= known[name] for name, labels in found.items()), rule["alert"]
        used |= found.keys()
    assert {name.removeprefix("mtlsctl_") for name in known.keys() - used} == NOT_USED[which]


@both
def test_the_texts_of_the_rules_use_labels_that_their_metrics_have(which: str) -> None:
    """An empty word in an alarm at night helps nobody."""
    known = written(which)
    for rule in rules(which):
        metrics_of = [known[name] for name, _ in named(rule["expr"])]
        gone = {label for part in re.findall(r"without \(([^)]*)\)", rule["expr"]) for label in part.split(", ")}
        labels = set.intersection(*metrics_of) - gone if "absent" not in rule["expr"] else set()
        texts = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.([a-z_]+)", texts)) <= labels, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description"} <= rule["annotations"].keys()


def test_conditions_in_the_rules_are_conditions() -> None:
    """A word that was misspelt would never match."""
    asked = [
        word
        for rule in rules("alerts")
        for text in re.findall(r'condition=~"([^"]+)"', rule["expr"])
        for word in text.split("|")
    ]
    assert asked
    assert set(asked) <= set(Condition)


@both
def test_each_rule_has_a_test_for_promtool_over_metrics_that_are_written(which: str) -> None:
    """Made to fire, and silent where all is well."""
    known, tests = written(which), load(f"{which}.test.yml")["tests"]
    fired = {one["alertname"] for test in tests for one in test.get("alert_rule_test", ()) if one["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules(which)}
    for test in tests:
        for series in test.get("input_series", ()):
            name, _, labels = series["series"].partition("{")
            assert set(re.findall(r"([a-z_]+)=", labels)) <= known[name]


@pytest.mark.parametrize(
    "arguments",
    [
        (word, "rules", file)
        for name in NOT_USED
        for word, file in (("check", f"{name}.yml"), ("test", f"{name}.test.yml"))
    ],
)
def test_promtool_agrees_with_the_rules_and_their_tests(arguments: tuple[str, ...]) -> None:
    """The real program, which a user has."""
    program = find_program("promtool")
    result = subprocess.run([program, *arguments], cwd=EXAMPLE, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout.count("FAILED")) == (0, 0), result.stdout + result.stderr
