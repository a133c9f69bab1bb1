"""Findings as text: below them is where to read more about them."""

from __future__ import annotations

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings

DUE = Diagnostic(Severity.WARNING, Code.RENEWAL_DUE, "'billing' ends soon")
ALSO_DUE = Diagnostic(Severity.WARNING, Code.RENEWAL_DUE, "'ledger' ends soon")
FULL = Diagnostic(Severity.ERROR, Code.QUOTA, "the account is full", hint="delete something")
NOTE = Diagnostic(Severity.INFO, Code.KEY_NOT_CHECKED, "the key was not checked")
WRONG_USE = Diagnostic(Severity.ERROR, Code.USAGE, "No such command 'x'.", hint="run `mtlsctl --help`")


def test_findings_of_one_code_end_with_the_command_that_explains_it() -> None:
    """To copy."""
    assert show_findings([DUE, ALSO_DUE], Display()).splitlines()[-1] == "About a finding: mtlsctl explain renewal-due"


def test_findings_of_several_codes_end_with_one_line_for_all() -> None:
    """The codes are in brackets above it."""
    shown = show_findings([DUE, FULL, NOTE], Display()).splitlines()
    assert shown[-1] == "About a finding: mtlsctl explain CODE"
    assert "".join(shown).count("mtlsctl explain") == 1


def test_notes_are_not_worth_a_line() -> None:
    """Nor is nothing."""
    assert show_findings([NOTE], Display()) == "info[key-not-checked]: the key was not checked"
    assert show_findings([], Display()) == ""


def test_wrong_use_leads_to_the_help_alone() -> None:
    """Its code says no more than its message."""
    assert "explain" not in show_findings([WRONG_USE], Display())
