"""The one table of views: which function shows which report in which format.

A row names its report and its function as `module:name`, so nothing is imported until it is shown: text needs no JSON
document, and the entry of the command line can show an error. A new format of a report is one function and one row
here; the command's help and its error for an unknown format follow.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from reconciler.findings.diagnostics import Resolve, known_place
from reconciler.findings.values import dataclass
from reconciler.views.text.style import PLAIN, Style

_REPORTS, _TEXT, _JSON = "reconciler.reports", "reconciler.views.text", "reconciler.views.json"
_MARKDOWN, _HTML = "reconciler.views.markdown", "reconciler.views.html"
_GITLAB = "reconciler.views.gitlab"

VIEWS: dict[tuple[str, str], str] = {
    ("reconciler.plan.plan:Plan", "text"): f"{_TEXT}.plan:show_plan",
    ("reconciler.plan.plan:Plan", "json"): f"{_JSON}.records:show_plan",
    ("reconciler.plan.plan:Plan", "markdown"): f"{_MARKDOWN}.plan:show_plan",
    ("reconciler.plan.plan:Plan", "html"): f"{_HTML}.plan:show_plan",
    ("reconciler.plan.plan:Plan", "codequality"): f"{_GITLAB}.codequality:show_code_quality",
    ("reconciler.plan.plan:Plan", "junit"): f"{_GITLAB}.junit:show_junit",
    ("reconciler.plan.plan:Plan", "terraform"): f"{_GITLAB}.terraform:show_counts",
    ("reconciler.plan.plan:SavedPlan", "text"): f"{_TEXT}.plan:show_saved_plan",
    ("reconciler.plan.plan:SavedPlan", "json"): f"{_JSON}.records:show_saved_plan",
    ("reconciler.plan.plan:SavedPlan", "markdown"): f"{_MARKDOWN}.plan:show_saved_plan",
    ("reconciler.plan.plan:SavedPlan", "html"): f"{_HTML}.plan:show_plan",
    ("reconciler.plan.plan:SavedPlan", "codequality"): f"{_GITLAB}.codequality:show_code_quality",
    ("reconciler.plan.plan:SavedPlan", "junit"): f"{_GITLAB}.junit:show_junit",
    ("reconciler.plan.plan:SavedPlan", "terraform"): f"{_GITLAB}.terraform:show_counts",
    ("reconciler.plan.inputs:Recording", "json"): f"{_JSON}.records:show_recording",
    (f"{_REPORTS}.left:Applied", "text"): f"{_TEXT}.outcome:show_applied",
    (f"{_REPORTS}.left:Applied", "json"): f"{_JSON}.outcome:show_applied",
    (f"{_REPORTS}.left:Applied", "markdown"): f"{_MARKDOWN}.outcome:show_applied_page",
    (f"{_REPORTS}.left:Applied", "html"): f"{_HTML}.outcome:show_applied_page",
    (f"{_REPORTS}.left:Applied", "codequality"): f"{_GITLAB}.codequality:show_code_quality",
    (f"{_REPORTS}.left:Applied", "junit"): f"{_GITLAB}.junit:show_junit",
    (f"{_REPORTS}.status:Status", "text"): f"{_TEXT}.status:show_status",
    (f"{_REPORTS}.status:Status", "json"): f"{_JSON}.status:show_status",
    (f"{_REPORTS}.status:Status", "markdown"): f"{_MARKDOWN}.status:show_status_page",
    (f"{_REPORTS}.status:Status", "html"): f"{_HTML}.status:show_status_page",
    (f"{_REPORTS}.status:Status", "ics"): "reconciler.views.ics.calendar:show_status",
    (f"{_REPORTS}.metrics:Metrics", "prometheus"): "reconciler.views.prometheus.metrics:show_metrics",
    (f"{_REPORTS}.explain:Explanation", "text"): f"{_TEXT}.explain:show_explanation",
    (f"{_REPORTS}.explain:Explanation", "json"): f"{_JSON}.explain:show_explanation",
    ("reconciler.findings.codes:Code", "text"): f"{_TEXT}.codes:show_code",
    ("reconciler.findings.codes:Code", "json"): f"{_JSON}.codes:show_code",
    ("reconciler.model.changes:Condition", "text"): f"{_TEXT}.codes:show_condition",
    ("reconciler.model.changes:Condition", "json"): f"{_JSON}.codes:show_condition",
    (f"{_REPORTS}.current:Current", "text"): f"{_TEXT}.status:show_current",
    (f"{_REPORTS}.current:Current", "json"): f"{_JSON}.status:show_current",
    (f"{_REPORTS}.drift:Drift", "text"): f"{_TEXT}.drift:show_drift",
    (f"{_REPORTS}.drift:Drift", "json"): f"{_JSON}.drift:show_drift",
    (f"{_REPORTS}.drift:Drift", "markdown"): f"{_MARKDOWN}.drift:show_drift_page",
    (f"{_REPORTS}.drift:Drift", "html"): f"{_HTML}.drift:show_drift_page",
    (f"{_REPORTS}.drift:Drift", "codequality"): f"{_GITLAB}.codequality:show_code_quality",
    (f"{_REPORTS}.drift:Drift", "junit"): f"{_GITLAB}.junit:show_junit",
    (f"{_REPORTS}.guard:Guard", "text"): f"{_TEXT}.guard:show_guard",
    (f"{_REPORTS}.guard:Guard", "json"): f"{_JSON}.guard:show_guard",
    (f"{_REPORTS}.forecast:Forecast", "text"): f"{_TEXT}.forecast:show_forecast",
    (f"{_REPORTS}.forecast:Forecast", "json"): f"{_JSON}.forecast:show_forecast",
    (f"{_REPORTS}.forecast:Forecast", "markdown"): f"{_MARKDOWN}.forecast:show_forecast_page",
    (f"{_REPORTS}.forecast:Forecast", "html"): f"{_HTML}.forecast:show_forecast_page",
    ("reconciler.proof.levels:Verification", "text"): f"{_TEXT}.verify:show_verification",
    ("reconciler.proof.levels:Verification", "json"): f"{_JSON}.verify:show_verification",
    ("reconciler.records.history:HistoryDocument", "text"): f"{_TEXT}.history:show_history",
    ("reconciler.records.history:HistoryDocument", "json"): f"{_JSON}.records:show_history",
    ("reconciler.records.history:HistoryDocument", "markdown"): f"{_MARKDOWN}.history:show_history",
    ("reconciler.takeover.adoption:Adoption", "text"): f"{_TEXT}.adoption:show_adoption",
    ("reconciler.takeover.adoption:Adoption", "json"): f"{_JSON}.takeover:show_adoption",
    ("reconciler.takeover.proposed:Proposal", "toml"): "reconciler.views.toml.proposal:show_proposal",
    ("reconciler.takeover.proposed:Proposal", "json"): f"{_JSON}.takeover:show_proposal",
    ("reconciler.plan.renewing:Renewals", "text"): f"{_TEXT}.renew:show_renewals",
    ("reconciler.plan.renewing:Renewals", "json"): f"{_JSON}.renew:show_renewals",
    ("reconciler.plan.renewing:Renewals", "markdown"): f"{_MARKDOWN}.renew:show_renewals_page",
    (f"{_REPORTS}.checks:Validation", "text"): f"{_TEXT}.checks:show_validation",
    (f"{_REPORTS}.checks:Validation", "json"): f"{_JSON}.diagnostics:show_diagnostics",
    (f"{_REPORTS}.checks:Validation", "markdown"): f"{_MARKDOWN}.checks:show_validation_page",
    (f"{_REPORTS}.checks:Validation", "codequality"): f"{_GITLAB}.codequality:show_code_quality",
    (f"{_REPORTS}.checks:Validation", "junit"): f"{_GITLAB}.junit:show_junit",
    (f"{_REPORTS}.checks:Checkup", "text"): f"{_TEXT}.checks:show_checkup",
    (f"{_REPORTS}.checks:Checkup", "json"): f"{_JSON}.diagnostics:show_diagnostics",
    (f"{_REPORTS}.checks:RunFailure", "text"): f"{_TEXT}.findings:show_failure",
    (f"{_REPORTS}.checks:RunFailure", "json"): f"{_JSON}.diagnostics:show_diagnostics",
    (f"{_REPORTS}.checks:RunFailure", "markdown"): f"{_MARKDOWN}.checks:show_failure_page",
    (f"{_REPORTS}.checks:RunFailure", "html"): f"{_HTML}.checks:show_failure_page",
    (f"{_REPORTS}.checks:RunFailure", "codequality"): f"{_GITLAB}.codequality:show_code_quality",
    (f"{_REPORTS}.checks:RunFailure", "junit"): f"{_GITLAB}.junit:show_junit",
    (f"{_REPORTS}.stacks:Stacks", "text"): f"{_TEXT}.stacks:show_stacks",
    (f"{_REPORTS}.stacks:Stacks", "json"): f"{_JSON}.stacks:show_stacks",
    (f"{_REPORTS}.stacks:Stacks", "markdown"): f"{_MARKDOWN}.stacks:show_stacks",
    (f"{_REPORTS}.stacks:Stacks", "html"): f"{_HTML}.stacks:show_stacks",
    (f"{_REPORTS}.stacks:Stacks", "prometheus"): "reconciler.views.prometheus.metrics:show_stacks",
    (f"{_REPORTS}.fleet:FleetList", "text"): f"{_TEXT}.fleet:show_list",
    (f"{_REPORTS}.fleet:FleetList", "json"): f"{_JSON}.fleet:show_list",
    (f"{_REPORTS}.fleet:FleetStatus", "text"): f"{_TEXT}.fleet:show_fleet",
    (f"{_REPORTS}.fleet:FleetStatus", "json"): f"{_JSON}.fleet:show_fleet",
    (f"{_REPORTS}.fleet:FleetStatus", "markdown"): f"{_MARKDOWN}.fleet:show_fleet",
    (f"{_REPORTS}.fleet:FleetStatus", "html"): f"{_HTML}.fleet:show_fleet",
    (f"{_REPORTS}.fleet:FleetStatus", "prometheus"): "reconciler.views.prometheus.metrics:show_fleet",
    (f"{_REPORTS}.fleet:FleetHistory", "text"): f"{_TEXT}.fleet:show_history",
    (f"{_REPORTS}.fleet:FleetHistory", "json"): f"{_JSON}.fleet:show_history",
    (f"{_REPORTS}.log:LogLine", "text"): f"{_TEXT}.log:show_line",
    (f"{_REPORTS}.log:LogLine", "json"): f"{_JSON}.log:show_line",
}
"""`(report, format)` to the function that shows it. The first format of a report is its default."""


MOST_CHARACTERS = 60_000
"""Of a page of Markdown. GitHub takes 65,536 in a comment, and who posts the page may add lines of their own."""


@dataclass(frozen=True, slots=True)
class Display:
    """What a report is shown on. `place` finds where a finding is; `folder` leads from the working directory to the
    folder of mtls.toml, so that places can be opened from there. `width`: the columns of the terminal; None shows
    everything whole, for a file or a pipe. `most_characters`: of a page of Markdown, which may be a comment. `file`:
    mtls.toml, from the root of the repository.
    """

    place: Resolve = known_place
    style: Style = PLAIN
    folder: str = ""
    width: int | None = None
    most_characters: int = MOST_CHARACTERS
    file: str = "mtls.toml"


View = Callable[[object, Display], str]


def formats_of(*reports: type) -> tuple[str, ...]:
    """The formats that any of these reports can be shown in, the default first."""
    names = [_name(report) for report in reports]
    return tuple(dict.fromkeys(shown for name in names for report, shown in VIEWS if report == name))


def render(report: object, format: str, display: Display) -> str:  # noqa: A002 - the word of the option
    """The report in a format. KeyError where it can't be shown in that one."""
    return load(type(report), format)(report, display)


def load(report: type, format: str) -> View:  # noqa: A002 - the word of the option
    """The function that shows such a report. ReconcilerError if what it needs is not installed."""
    module, _, name = VIEWS[_name(report), format].partition(":")
    view: View = getattr(import_module(module), name)
    return view


def _name(report: type) -> str:
    return f"{report.__module__}:{report.__qualname__}"
