"""What reports show of Hyperdrive configurations that are declared: users like any other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.model import HyperdriveAddress, HyperdriveField, Policy
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan
from reconciler.reports.drift import DriftFinding, State
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import join_unused
from reconciler.reports.explain import explain
from reconciler.reports.forecast import make_forecast
from reconciler.reports.metrics import make_metrics
from reconciler.reports.status import make_status
from reconciler.views.markdown.mermaid import show_bindings
from reconciler.views.table import Display, render
from tests.plan.test_hyperdrives import DB, NEW, OLD, declared, plan_of, uses
from tests.support.reports import place
from tests.support.worlds import entry, uid

ROOT = entry(3, 3, "@root", ca=True)
AT = HyperdriveAddress("db", DB, HyperdriveField.CERTIFICATE)


def rotated(used: int, *, mode: str = "require", asked: bool = False) -> Plan:
    """The new certificate is uploaded; the configuration uses this one."""
    return plan_of(
        {"billing": 2},
        [declared(certificate="billing", sslmode="verify-full")],
        [OLD, NEW],
        [uses(used, mode=mode)],
        choice=DeployChoice(everybody=asked),
        policy=Policy(grace=timedelta(0)),
    )


def findings(plan: Plan) -> list[DriftFinding]:
    """What drifted, but for what is ready to be deleted."""
    return [one for one in join_live(make_drift(plan), plan).findings if one.fails]


@pytest.mark.parametrize("asked", [False, True])
def test_a_configuration_that_differs_has_drifted_whatever_the_run_was_asked_for(asked: bool) -> None:
    """Once for each field, with the command that fixes it."""
    found = {one.key: one for one in findings(rotated(1, asked=asked))}
    assert found.keys() == {f"hyperdrive:{DB}:certificate", f"hyperdrive:{DB}:sslmode"}
    one = found[f"hyperdrive:{DB}:certificate"]
    assert (one.state, one.expected, one.found, one.certificate) == (State.CHANGED, uid(2), uid(1), "billing")
    assert one.hint == "run `mtlsctl apply --deploy`: it takes effect at once"
    assert make_drift(rotated(1, asked=asked)).exit_code == 2


def test_a_configuration_as_declared_is_in_sync() -> None:
    """Each field counts."""
    plan = rotated(2, mode="verify-full")
    assert (findings(plan), make_drift(plan).in_sync) == ([], 3)


def test_a_configuration_whose_certificate_is_not_uploaded_follows_it() -> None:
    """One finding, for the certificate."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD], [uses(1)])
    (one,) = make_drift(plan).findings
    assert (one.key, one.follows) == ("certificate:billing", (f"hyperdrive:{DB}:certificate",))


def test_calls_fail_when_what_is_in_use_ends() -> None:
    """Not when the declared certificate does."""
    (outage,) = make_status(rotated(1)).outages
    assert (outage.at, outage.entry, outage.is_live) == (AT, uid(1), True)


def test_a_status_names_what_uses_a_certificate() -> None:
    """Without `--live`, because it was read."""
    (use,) = make_status(rotated(2)).uses
    assert use.user.text == "the Hyperdrive configuration warehouse"
    assert "first the client certificate of the Hyperdrive configuration db." in render(
        make_status(rotated(2)), "text", Display(place)
    )


def test_metrics_have_a_series_for_its_outage() -> None:
    """With the same labels as those of bindings."""
    family = next(one for one in make_metrics(rotated(1), "1") if one.name == "outage_timestamp_seconds")
    (sample,) = family.samples
    assert dict(sample.labels)["worker"] == "hyperdrive/db"
    assert dict(sample.labels)["binding"] == "certificate"


@pytest.mark.parametrize("name", ["db", "warehouse", "billing", uid(1)])
def test_it_is_explained_by_its_label_name_certificate_or_id(name: str) -> None:
    """What would happen, and why."""
    told = explain(name, rotated(1))
    story = next(one for one in told.updates if one.at == AT)
    assert story.what == "waits"
    assert "`mtlsctl apply --deploy`" in story.why
    assert "Hyperdrive" in render(told, "text", Display(place))


def test_a_certificate_that_only_hyperdrive_uses_is_not_unused() -> None:
    """No binding has it."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [NEW], [uses()])
    assert plan.assessment.actual.sweep is not None
    assert [one.key for one in join_unused(make_drift(plan), plan, plan.assessment.actual.sweep).findings] == [
        f"hyperdrive:{DB}:certificate"
    ]


def test_a_forecast_supposes_that_it_moves() -> None:
    """The old certificate is deleted within it."""
    forecast = make_forecast(rotated(1), 30)
    assert forecast.leaf is not None
    assert (forecast.leaf.now, forecast.leaf.end) == (2, 1)


def test_a_picture_has_it() -> None:
    """Next to the bindings."""
    assert "Hyperdrive/db/certificate" in show_bindings([rotated(2)])
