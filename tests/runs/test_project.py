"""One project for one run: mtls.toml and private keys are read when they are asked for, and never kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.findings.errors import InputError, KeySourceError
from reconciler.model import CertificateName
from reconciler.runs.project import Project, open_project
from tests.support.cli import MTLS, make_project

BILLING = CertificateName("billing")
ACCOUNT, OTHER = "a" * 32, "b" * 32


def opened(folder: Path, environ: dict[str, str] | None = None) -> Project:
    """The project of a folder."""
    return open_project(None, cwd=folder, environ=environ or {})


def test_each_call_reads_mtls_toml_as_it_is_then(tmp_path: Path) -> None:
    """What git changes while a run goes on is seen by the plan before a delete."""
    there = make_project(tmp_path)
    project = opened(tmp_path)
    assert project.declaration()[0].stack == "payments"
    there.write("mtls.toml", MTLS.replace('"payments"', '"refunds"'))
    assert project.declaration()[0].stack == "refunds"
    there.write("mtls.toml", "version = 1\n")
    with pytest.raises(InputError):
        project.declaration()


@pytest.mark.parametrize(
    ("store", "account"),
    [
        pytest.param("", None, id="the local store has none"),
        pytest.param('kind = "cloudflare"', OTHER, id="left open by the file"),
        pytest.param(f'kind = "cloudflare"\naccount_id = "{ACCOUNT}"', ACCOUNT, id="said by the file"),
    ],
)
def test_the_environment_gives_the_account_only_where_the_file_leaves_it_open(
    store: str, account: str | None, tmp_path: Path
) -> None:
    """And the store has accounts."""
    make_project(tmp_path, MTLS.replace("\n[certificates", f"\n[store]\n{store}\n\n[certificates", 1))
    declaration, _ = opened(tmp_path, {"CLOUDFLARE_ACCOUNT_ID": OTHER}).declaration()
    assert declaration.store.account_id == account


def test_a_key_is_opened_by_each_call_for_it(tmp_path: Path) -> None:
    """So that none is kept for longer than its use."""
    environ = dict(make_project(tmp_path).environ)
    project = opened(tmp_path, environ)
    billing = project.declaration()[0].certificates[BILLING]
    key = project.key_of(billing)
    assert key is not None
    assert key.pem.decode() == environ.pop("BILLING_KEY")
    with pytest.raises(KeySourceError):
        project.key_of(billing)


def test_a_certificate_without_a_private_key_has_no_key(tmp_path: Path) -> None:
    """It is not asked for anywhere."""
    make_project(tmp_path, MTLS.replace('private_key = { env = "BILLING_KEY" }\n', ""))
    project = opened(tmp_path)
    assert project.key_of(project.declaration()[0].certificates[BILLING]) is None
