"""Metrics as Prometheus reads them, in the text format 0.0.4; also what node-exporter's textfile collector takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from reconciler.findings.escape import printable
from reconciler.reports.fleet import FleetStatus, fleet_families
from reconciler.reports.metrics import Family, Metrics, Sample
from reconciler.reports.stacks import Stacks
from reconciler.views.table import Display

PREFIX = "mtlsctl_"


def show_metrics(metrics: Metrics, _display: Display) -> str:
    """All families."""
    return render_metrics(metrics.families)


def show_stacks(stacks: Stacks, _display: Display) -> str:
    """The metrics of all stacks, each family once; of a stack that failed there are none, so that an alert on missing
    metrics fires."""
    families: dict[str, Family] = {}
    for family in (one for result in stacks.results for one in _families(result.report)):
        known = families.get(family.name)
        families[family.name] = family if known is None else replace(known, samples=(*known.samples, *family.samples))
    return render_metrics(families.values())


def show_fleet(status: FleetStatus, _display: Display) -> str:
    """The metrics of a fleet."""
    return render_metrics(fleet_families(status))


def _families(report: object) -> tuple[Family, ...]:
    return report.families if isinstance(report, Metrics) else ()


def render_metrics(families: Iterable[Family]) -> str:
    """Every family with its help, its type, and its samples; it ends with a newline, as the format demands."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    name = f"{PREFIX}{family.name}"
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} gauge"
    yield from (_line(name, sample) for sample in family.samples)


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels)
    return f"{name}{{{labels}}} {_number(sample.value)}"


def _escaped(value: str) -> str:
    """One line of visible characters, as everywhere; then as the format writes a backslash and a quotation mark."""
    return printable(value).replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    """Whole numbers as such; times have fractions where a share of a lifetime was taken."""
    return str(int(value)) if value == int(value) else repr(float(value))
