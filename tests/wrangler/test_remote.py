"""`remote` of a binding: kept if it is not declared, set if it is, and nothing else changed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import tomli

from reconciler.findings.errors import EditRefused
from reconciler.wrangler.edit import SetBinding, edit_wrangler
from reconciler.wrangler.read import read_wrangler
from tests.support.cli import MTLS, Project, make_project
from tests.support.strategies_toml import wrangler_toml

MANY_LINES = b"""{
\t"mtls_certificates": [
\t\t{
\t\t\t"binding": "A",
\t\t\t"certificate_id": "1", // id
\t\t},
\t],
}
"""
MANY_LINES_AFTER = MANY_LINES.replace(b"// id\n", b'// id\n\t\t\t"remote": true,\n')

ROWS = {
    "a section": (
        "w.toml",
        b'[[mtls_certificates]]\nbinding = "A"\ncertificate_id = "1" # note\n\n[vars]\n',
        b'[[mtls_certificates]]\nbinding = "A"\ncertificate_id = "1" # note\nremote = true\n\n[vars]\n',
    ),
    "a section at the end without a newline, CRLF, indented": (
        "w.toml",
        b'[[mtls_certificates]]\r\n  binding = "A"\r\n  certificate_id = "1"',
        b'[[mtls_certificates]]\r\n  binding = "A"\r\n  certificate_id = "1"\r\n  remote = true',
    ),
    "an inline table": (
        "w.toml",
        b'mtls_certificates = [{ binding = "A", certificate_id = "1" }] # note\n',
        b'mtls_certificates = [{ binding = "A", certificate_id = "1", remote = true }] # note\n',
    ),
    "a section with the other value": (
        "w.toml",
        b'[[mtls_certificates]]\nremote=false # why\nbinding = "A"\ncertificate_id = "1"\n',
        b'[[mtls_certificates]]\nremote=true # why\nbinding = "A"\ncertificate_id = "1"\n',
    ),
    "a section with the same value": (
        "w.toml",
        b'[[mtls_certificates]]\nremote = true\nbinding = "A"\ncertificate_id = "1"\n',
        b'[[mtls_certificates]]\nremote = true\nbinding = "A"\ncertificate_id = "1"\n',
    ),
    "an object on one line": (
        "w.jsonc",
        b'{"mtls_certificates":[{"binding":"A","certificate_id":"1"}]}',
        b'{"mtls_certificates":[{"binding":"A","certificate_id":"1","remote":true}]}',
    ),
    "an object on many lines with a trailing comma and a comment": ("w.jsonc", MANY_LINES, MANY_LINES_AFTER),
    "an object with the other value": (
        "w.json",
        b'{"mtls_certificates": [{"remote": false, "binding": "A", "certificate_id": "1"}]}',
        b'{"mtls_certificates": [{"remote": true, "binding": "A", "certificate_id": "1"}]}',
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_remote_is_set_in_the_layout_of_the_binding(row: str) -> None:
    """`remote` is set, and every other byte is unchanged."""
    path, before, after = ROWS[row]
    assert edit_wrangler(path, before, [SetBinding(None, "A", "1", remote=True)]) == after


@pytest.mark.parametrize("row", ROWS)
def test_remote_that_is_not_declared_is_kept(row: str) -> None:
    """A new ID keeps the `remote`."""
    path, before, after = ROWS[row]
    for data in (before, after):
        edited = edit_wrangler(path, data, [SetBinding(None, "A", "2")])
        assert edited == data.replace(b'"1"', b'"2"')


@pytest.mark.parametrize("path", ["w.toml", "w.jsonc"])
def test_a_new_binding_gets_its_remote_in_one_edit(path: str) -> None:
    """The binding is added, and `remote` is set."""
    data = b"" if path == "w.toml" else b"{}"
    edited = edit_wrangler(path, data, [SetBinding(None, "A", "1", remote=False)])
    (found,) = read_wrangler(path, edited).environments[None].bindings
    assert (found.certificate_id, found.remote) == ("1", False)
    assert b"remote" not in edited  # false is the default, so it is not written
    edited = edit_wrangler(path, edited, [SetBinding(None, "A", "1", remote=True)])
    assert read_wrangler(path, edited).environments[None].bindings[0].remote


def test_a_remote_that_is_not_a_boolean_is_refused() -> None:
    """wrangler refuses it too."""
    data = b'[[mtls_certificates]]\nbinding = "A"\ncertificate_id = "1"\nremote = "yes"\n'
    with pytest.raises(EditRefused, match="can't be changed"):
        edit_wrangler("w.toml", data, [SetBinding(None, "A", "1", remote=True)])


@pytest.mark.parametrize("seed", range(300))
def test_in_any_layout_remote_changes_only_its_binding(seed: int) -> None:
    """An independent parser reads all other values as before."""
    data = wrangler_toml(Random(seed))  # noqa: S311 - a seed, not a secret
    file = read_wrangler("w.toml", data)
    for name, environment in file.environments.items():
        for found in environment.bindings:
            wanted = not found.remote
            edited = edit_wrangler("w.toml", data, [SetBinding(name, found.binding, found.certificate_id, wanted)])
            table = tomli.loads(edited.decode("utf-8-sig"))
            holder = table if name is None else table["env"][name]
            assert holder["mtls_certificates"][found.index].pop("remote") is wanted
            before = tomli.loads(data.decode("utf-8-sig"))
            (before if name is None else before["env"][name])["mtls_certificates"][found.index].pop("remote", None)
            assert repr(table) == repr(before)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(
        tmp_path, MTLS.replace('BILLING = "billing"', 'BILLING = { certificate = "billing", remote = true }')
    )


def test_a_declared_remote_is_written_and_the_second_plan_is_empty(project: Project) -> None:
    """It is written together with the ID."""
    assert project.run("apply", "--yes").code == 0
    assert project.read("wrangler.toml").endswith("remote = true\n")
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_a_remote_changed_by_hand_is_set_back(project: Project) -> None:
    """The ID stays, and the reason is `remote-differs`."""
    project.run("apply", "--yes")
    project.write("wrangler.toml", project.read("wrangler.toml").replace("remote = true", "remote = false"))
    plan = project.run("plan", "--format", "json").json
    (change,) = plan["changes"]
    assert (change["action"], change["reasons"], change["remote"]) == ("rebind", ["remote-differs"], True)
    assert change["before"] == change["after"]
    assert project.run("apply", "--yes").code == 0
    assert project.read("wrangler.toml").endswith("remote = true\n")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{ certificate = "biling" }', "did you mean"),
        ('{ certificate = "billing", remot = true }', "did you mean `remote`?"),
        ('{ certificate = "billing", remote = 1 }', "remote"),
        ("{ remote = true }", "id"),
        ('{ certificate = "billing", id = "9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11" }', "certificate"),
    ],
)
def test_a_wrong_binding_table_is_reported_with_its_place(project: Project, value: str, words: str) -> None:
    """Unknown certificate, unknown key, wrong type, neither or both keys."""
    project.write("mtls.toml", MTLS.replace('BILLING = "billing"', f"BILLING = {value}"))
    result = project.run("validate")
    assert result.code == 1
    assert words in result.out + result.err
    assert "mtls.toml:12:" in result.out + result.err
