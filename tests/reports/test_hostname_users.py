"""What reports show of hostnames that are declared: users of a CA like any other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model import Live, Policy, User, UserKind
from reconciler.model.hostnames import FoundZone
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan
from reconciler.reports.drift import DriftFinding, State
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.explain import explain
from reconciler.reports.forecast import make_forecast
from reconciler.reports.metrics import make_metrics
from reconciler.reports.status import make_status
from reconciler.views.markdown.mermaid import show_bindings
from reconciler.views.table import Display, render
from tests.plan.test_hostnames import API, AT, NEW, OLD, PAY, ZONE, ZONE_ID, plan_of, trusted
from tests.support.reports import place
from tests.support.worlds import uid


def rotated(*lists: tuple[int, list[str]], asked: bool = False) -> Plan:
    """Both CAs are uploaded; these hostnames trust them."""
    policy = Policy(grace=timedelta(0))
    return plan_of({"root": 2}, [OLD, NEW], trusted(*lists), choice=DeployChoice(everybody=asked), policy=policy)


def findings(plan: Plan) -> list[DriftFinding]:
    """What drifted, but for what is ready to be deleted."""
    return [one for one in join_live(make_drift(plan), plan).findings if one.fails]


@pytest.mark.parametrize("asked", [False, True])
def test_a_hostname_that_does_not_trust_the_ca_has_drifted_whatever_the_run_was_asked_for(asked: bool) -> None:
    """Once for each CA and zone, with the command that fixes it."""
    (one,) = findings(rotated((1, [API, PAY]), (2, [API]), asked=asked))
    assert (one.key, one.state, one.expected, one.found) == (
        f"hostnames:{ZONE_ID}:root",
        State.CHANGED,
        uid(2),
        uid(1),
    )
    assert one.message == f"in the zone example.com, pay.example.com does not trust root, {uid(2)}"
    assert one.hint == "run `mtlsctl apply --deploy`: it takes effect at once"


def test_hostnames_that_trust_both_cas_are_in_sync() -> None:
    """Clients move; the old CA is no drift, though its hostnames are read as users of it."""
    plan = rotated((1, [API, PAY]), (2, [API, PAY]))
    live = Live(users={uid(1): (User(UserKind.HOSTNAMES, f"{API}, {PAY}", ZONE_ID),)}, whole=True)
    seen = replace(plan.assessment, actual=replace(plan.assessment.actual, live=live))
    assert findings(replace(plan, assessment=seen)) == []
    assert make_drift(plan).in_sync == 2


def test_hostnames_whose_ca_is_not_uploaded_follow_it() -> None:
    """One finding, for the certificate."""
    plan = plan_of({"root": 2}, [OLD], trusted((1, [API, PAY])))
    (one,) = make_drift(plan).findings
    assert (one.key, one.follows) == ("certificate:root", (f"hostnames:{ZONE_ID}:root",))


@pytest.mark.parametrize(
    ("lists", "entry"), [([(1, [API, PAY])], uid(1)), ([(1, [API, PAY]), (2, [API, PAY])], uid(2)), ([], None)]
)
def test_calls_fail_when_the_newest_ca_that_all_trust_ends(
    lists: list[tuple[int, list[str]]], entry: str | None
) -> None:
    """Not when the declared one does."""
    (outage,) = make_status(rotated(*lists)).outages
    assert (outage.at, outage.entry, outage.is_live) == (AT, entry, entry is not None)


def test_a_status_names_what_trusts_a_ca_and_why_the_old_one_stays() -> None:
    """Without `--live`, because it was read."""
    status = make_status(rotated((1, [API]), (2, [API, PAY])))
    assert [(use.entry.id, use.user.text) for use in status.uses] == [
        (uid(1), "the hostnames api.example.com"),
        (uid(2), "the hostnames api.example.com, pay.example.com"),
    ]
    told = " ".join(render(status, "text", Display(place)).split())
    assert "hostnames still trust it: api.example.com (zone example.com)" in told
    assert "first the hostnames of the zone example.com that trust root." in told


def test_what_could_not_be_read_is_not_taken_for_unused() -> None:
    """A date that is not known is no good news."""
    plan = plan_of({"root": 2}, [OLD, NEW], FoundZone(ZONE, unread=("no answer", "wait")))
    told = " ".join(render(make_status(plan), "text", Display(place)).split())
    assert "1 setting of Hyperdrive or hostnames could not be read, so no outage can be predicted." in told


def test_metrics_have_a_series_for_its_outage() -> None:
    """With the same labels as those of bindings."""
    family = next(one for one in make_metrics(rotated((2, [API, PAY])), "1") if one.name == "outage_timestamp_seconds")
    (sample,) = family.samples
    labels = dict(sample.labels)
    assert (labels["worker"], labels["binding"]) == ("hostnames/example.com", "root")


@pytest.mark.parametrize("name", [ZONE, API, "root", uid(1)])
def test_it_is_explained_by_its_zone_hostname_certificate_or_id(name: str) -> None:
    """What would happen, and why."""
    told = explain(name, rotated((1, [API, PAY]), asked=True))
    (story,) = told.updates
    assert (story.what, story.why) == ("would be added: api.example.com, pay.example.com", f"they trust {uid(1)}")
    assert "Hostnames" in render(told, "text", Display(place))


def test_a_forecast_keeps_the_old_ca_until_a_person_ends_its_trust() -> None:
    """It takes one of the five places to the end, also after the next renewal."""
    plan = rotated((1, [API]), (2, [API, PAY]))
    told = make_forecast(plan, 5000)
    assert told.ca is not None
    assert (told.ca.now, told.ca.end > 2) == (2, True)
    assert any("hostnames trust an old CA" in text for text in told.assumptions)
    assert any("hostnames still trust it: api.example.com" in text for text in told.assumptions)


def test_pictures_have_it_as_a_user() -> None:
    """Next to the bindings."""
    assert "zone/example.com/root" in show_bindings([rotated((2, [API, PAY]))])
