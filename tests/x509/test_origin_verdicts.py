"""Preflight and real origins agree: what an origin refuses has a finding, and what all accept has none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.x509.certificates import Bundle
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.preflight import check_for_upload
from tests.servers.judging import JUDGES, ORIGINS, REACHED, is_of_this_machine, judged, reached, stored
from tests.servers.lenient import ACCEPTED
from tests.support.odd_clients import KINDS
from tests.support.sizes import FULL

DOZEN = (
    "P-256",
    "P-256 written out",
    "intermediate P-256 written out",
    "RSA 2048",
    "RSA 8192",
    "SHA-1",
    "damaged",
    "unknown critical extension",
    "name constraints kept",
    "name constraints broken",
    "path length broken",
    "until 9999",
)
"""What is judged again in each `make test`, and by programs of other versions than those of the table."""

STRICTER = {
    "Ed25519": "Cloudflare documents RSA and ECDSA for uploads, and nothing else",
    "intermediate Ed25519": "the same",
    "serial 0": "the X.509 library of this tool announces that it will refuse it",
    "intermediate serial 0": "the same",
    "the root along": "Cloudflare and origins have no use for it",
    "a stranger along": "the same",
    "out of order": "TLS 1.2 demands the order (RFC 5246 section 7.4.2), and Cloudflare the leaf first",
}
"""What all origins accept and preflight does not pass silently, with the reason."""


ONLY_A_NOTE = {"cross-signed, the other first"}
"""What is right where the origin trusts the other root: `chain-second-path` says so."""

ONLY_A_WARNING = {"no intermediate"}
"""What all refuse here, but not where the origin trusts the issuer itself."""


def findings(kind: str) -> list[Diagnostic] | None:
    """What is reported before an upload, notes left out; None for what is not read at all."""
    made = KINDS[kind]()
    try:
        bundle = Bundle(made.ders)
    except ValueError:
        return None
    found = check_for_upload(bundle, ca=False, path="client.pem", now=datetime.now(UTC))
    found += check_pair(bundle, made.key_pem, where=None)
    return [one for one in found if one.severity is not Severity.INFO]


@pytest.mark.parametrize("kind", KINDS)
def test_preflight_reports_what_an_origin_refuses_and_nothing_else(kind: str) -> None:
    """What every judge refuses is an error."""
    verdicts = set(stored()[1][kind].values())
    found = findings(kind)
    if found is None:
        assert verdicts != {ACCEPTED}
    elif verdicts == {ACCEPTED}:
        assert bool(found) == (kind in STRICTER), found
    elif kind in ONLY_A_NOTE:
        assert found == []
    else:
        assert found
        is_right_elsewhere = ACCEPTED in verdicts or kind in ONLY_A_WARNING
        assert is_right_elsewhere or any(one.is_error for one in found), found


def test_the_table_has_every_kind_and_the_exceptions_are_kinds() -> None:
    """`python -m tests.servers.judging` writes it again."""
    assert list(stored()[1]) == list(KINDS)
    assert {*STRICTER, *ONLY_A_NOTE, *ONLY_A_WARNING, *DOZEN} <= set(KINDS)
    assert {judge for row in stored()[1].values() for judge in row} == set(JUDGES)


@pytest.mark.parametrize("origin", ORIGINS)
def test_origins_judge_as_the_table_says(origin: str) -> None:
    """All kinds in `make slow` where the programs are those of the table, else a dozen."""
    kinds = KINDS if FULL and is_of_this_machine(origin) else DOZEN
    found = judged(origin, kinds)
    table = stored()[1]
    assert found == {kind: {judge: table[kind][judge] for judge in row} for kind, row in found.items()}


@pytest.mark.parametrize("origin", REACHED)
def test_a_worker_reaches_origins_as_the_table_says(origin: str) -> None:
    """With the runtime of Cloudflare as the client."""
    kinds = KINDS if FULL and is_of_this_machine(origin) and is_of_this_machine("workerd") else DOZEN
    found = reached(origin, kinds)
    table = stored()[1]
    assert found == {kind: {judge: table[kind][judge] for judge in row} for kind, row in found.items()}
