"""`output`: the id of a certificate's entry, alone on a line, or an error that says what to do."""

from __future__ import annotations

import re

import pytest

from tests.cli.test_canaries import search
from tests.support.cli import MTLS, Project
from tests.support.worlds import bundle, issued

ID = re.compile(r"10ca1000-[0-9a-f-]{27}")


def test_the_id_stands_alone_on_a_line(project: Project) -> None:
    """So that `$(mtlsctl output billing)` is the id, and no key is needed for it."""
    project.run("apply", "--yes")
    project.environ.clear()
    result = project.run("output", "billing")
    assert result.code == 0
    assert ID.fullmatch(result.out.removesuffix("\n"))
    assert result.out.strip() in project.read("wrangler.toml")
    assert result.err == ""


def test_json_has_what_others_ask_for(project: Project) -> None:
    """The id and name of the entry, what it holds, and until when."""
    project.run("apply", "--yes")
    document = project.run("output", "billing", "--format", "json").json
    assert document.pop("id") == project.run("output", "billing").out.strip()
    assert document == {
        "format": "mtlsctl.output/1",
        "certificate": "billing",
        "name": f"payments.billing.{bundle(1).digest[:12]}",
        "fingerprint": bundle(1).fingerprint,
        "content_digest": bundle(1).digest,
        "not_after": bundle(1).not_after.isoformat().replace("+00:00", "Z"),
    }


def test_after_a_renewal_it_is_the_new_entry_only_once_that_is_stored(project: Project) -> None:
    """The old id would be a lie as soon as the file has changed."""
    project.run("apply", "--yes")
    old = project.run("output", "billing").out
    project.certificate("billing", 2)
    assert project.run("output", "billing").code == 1
    project.run("apply", "--yes")
    assert project.run("output", "billing").out not in ("", old)


def test_not_stored_yet_is_an_error_with_a_hint(project: Project) -> None:
    """Nothing on stdout that a pipeline could take for an id."""
    result = project.run("output", "billing")
    assert (result.code, result.out) == (1, "")
    assert "error[not-stored]" in result.err
    assert "mtls.toml:4" in result.err
    assert "mtlsctl apply" in result.err


def test_what_stands_in_the_way_is_told(project: Project) -> None:
    """A bad file is the reason, and `apply` alone would not help."""
    project.write("certs/billing.pem", "no certificate")
    result = project.run("output", "billing")
    assert (result.code, result.out) == (1, "")
    assert "certs/billing.pem" in result.err
    document = project.run("output", "billing", "--format", "json").json
    assert document["format"] == "mtlsctl.diagnostics/1"
    assert document["valid"] is False


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("biling", "did you mean `billing`?"),
        ("BILLING", "did you mean `billing`?"),
        ("quite-another", "use one of these: billing, partner-ca"),
        ("*", "use one of these: billing, partner-ca"),
        ("x" * 10_000, "use one of these: billing, partner-ca"),
        ("\x1b[2Jx\u202ey\n::error::z", r"'\x1b[2Jx\u202ey\n::error::z'"),
    ],
    ids=["misspelt", "in capitals", "like none", "a glob", "very long", "hostile"],
)
def test_an_unknown_name_is_wrong_use(project: Project, name: str, said: str) -> None:
    """64, with what was probably meant; a binding's name is not a certificate's."""
    project.write("mtls.toml", MTLS + '[certificates.partner-ca]\ncertificate = "certs/ca.pem"\nca = true\n')
    result = project.run("output", name)
    assert (result.code, result.out) == (64, "")
    assert said in result.err
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err


def test_no_key_ever_shows(project: Project) -> None:
    """Not even where the certificate's file is a key."""
    project.run("apply", "--yes")
    results = [project.run("output", "billing", "--verbose"), project.run("output", "billing", "--format", "json")]
    project.write("certs/billing.pem", issued(1).key_pem)
    results.append(project.run("output", "billing"))
    search(project, results, (1,), ("certs/billing.pem",))
