"""Certificates that a program signs: what it is given, and what is said of a program that gives none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from reconciler.findings.errors import IssuerError, KeySourceError, NotStartedError
from reconciler.issuers import open_issuer
from reconciler.issuers.context import IssuerContext
from reconciler.model import KeyReference
from reconciler.model.renewal import (
    CommandIssuer,
    DeclaredIssuer,
    Issuer,
    SearchableIssuer,
    SigningRequest,
    StepIssuer,
)
from reconciler.web.vault import Vault

REQUEST = SigningRequest("billing", b"the request", "5", "billing")


def refuse(reference: KeyReference) -> bytes:
    """A program's issuer needs no secret."""
    raise AssertionError(reference)


def issuer(output: Callable[[Sequence[str], bytes], bytes] | None) -> Issuer:
    """The issuer of `./sign.sh --days 90`, whose output is that of a function."""
    declared = DeclaredIssuer("own", CommandIssuer(("./sign.sh", "--days", "90")))
    return open_issuer(declared, IssuerContext(lambda path: path.encode(), refuse, Vault({}), output, lambda _: None))


def test_it_is_given_the_request_alone() -> None:
    """On its standard input; what it prints is the answer."""
    asked: list[tuple[Sequence[str], bytes]] = []

    def output(command: Sequence[str], stdin: bytes) -> bytes:
        asked.append((command, stdin))
        return b"a certificate"

    assert issuer(output).issue(REQUEST) == b"a certificate"
    assert asked == [(("./sign.sh", "--days", "90"), b"the request")]


def test_issuers_that_keep_no_list_are_not_searched() -> None:
    """A renewal asks them again instead, and reports that."""
    step = StepIssuer("https://ca.internal.example", "mtlsctl", KeyReference("env", {"env": "STEP_PASSWORD"}))
    context = IssuerContext(lambda path: path.encode(), refuse, Vault({}), None, lambda _: None)
    opened = (issuer(None), open_issuer(DeclaredIssuer("internal", step), context))
    assert [isinstance(one, SearchableIssuer) for one in opened] == [False, False]


def test_without_leave_for_commands_it_is_refused_before_anything_is_done() -> None:
    """And the option is named."""
    with pytest.raises(IssuerError, match="may not be run here") as refused:
        issuer(None).demand()
    assert "--allow-commands" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("error", "is_open"),
    [
        (KeySourceError("the command './sign.sh' failed with exit code 1"), True),
        (NotStartedError("the command './sign.sh' could not be started"), False),
    ],
    ids=["failed", "not started"],
)
def test_a_program_that_failed_may_have_signed_and_one_that_did_not_start_has_not(
    error: KeySourceError, *, is_open: bool
) -> None:
    """So only after the first may the next run issue twice."""

    def output(command: Sequence[str], stdin: bytes) -> bytes:
        raise error

    with pytest.raises(IssuerError, match="sign") as failed:
        issuer(output).issue(REQUEST)
    assert failed.value.is_open is is_open


def test_a_program_that_prints_nothing_is_told_what_to_print() -> None:
    """It may have signed."""
    with pytest.raises(IssuerError, match="printed nothing") as failed:
        issuer(lambda command, stdin: b" \n").issue(REQUEST)
    assert failed.value.is_open
