"""`mtlsctl renew`, from the command line to the file: what is chosen, what is shown, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from reconciler.findings.errors import KeySourceError
from reconciler.issuers.context import IssuerContext
from reconciler.keys import age
from reconciler.model.key_places import SinkOptions
from reconciler.model.renewal import DeclaredIssuer, Issuer
from reconciler.runs.ci import github, gitlab
from reconciler.views.table import Display, render
from reconciler.web import vault
from reconciler.x509.certificates import key_digest
from reconciler.x509.files import parse_file
from tests.support import reports
from tests.support.cli import Project, make_project
from tests.support.pki import make_ca
from tests.support.renewing import CaIssuer, Gate, MemorySink

NOW = datetime.now(UTC).replace(microsecond=0)
CA = make_ca("Root", not_before=NOW - timedelta(days=400)).issue_ca("Internal CA", not_before=NOW - timedelta(days=400))
MTLS = """\
version = 1
stack = "payments"

[issuers.internal]
kind = "command"
command = ["./sign.sh"]

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
owner = "team-payments"

[certificates.billing.renew]
issuer = "internal"
sink = { file = "/keys" }

[certificates.partner]
certificate = "certs/partner.pem"
private_key = { env = "PARTNER_KEY" }
"""


class Ports:
    """What the sink and the issuer of a run are, in memory."""

    def __init__(self) -> None:
        self.sink = MemorySink(Gate())
        self.issuer = CaIssuer(Gate(), CA, clock=lambda: NOW)
        self.contexts: list[IssuerContext] = []

    def open_sink(self, options: SinkOptions, certificate: str, context: object) -> MemorySink:
        assert (certificate, context is not None) == ("payments_billing", True)
        return self.sink

    def open_issuer(self, declared: DeclaredIssuer, context: IssuerContext) -> Issuer:
        assert declared.name == "internal"
        self.contexts.append(context)
        return self.issuer


@pytest.fixture
def ports() -> Iterator[Ports]:
    """The ports in memory, in place of the real ones."""
    made = Ports()
    with (
        mock.patch("reconciler.runs.renew.open_sink", made.open_sink),
        mock.patch("reconciler.issuers.open_issuer", made.open_issuer),
    ):
        yield made


def put(project: Project, name: str, left: timedelta) -> None:
    """A certificate of 90 days of which so much is left, and its key."""
    issued = CA.issue(name, not_before=NOW + left - timedelta(days=90), not_after=NOW + left)
    project.write(f"certs/{name}.pem", issued.chain_pem)
    project.environ[f"{name.upper()}_KEY"] = issued.key_pem.decode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two certificates that are due, of which one declares `renew`."""
    made = make_project(tmp_path, MTLS, "")
    for name in ("billing", "partner"):
        put(made, name, timedelta(days=3))
    return made


def test_what_is_due_is_renewed_and_the_rest_is_named(project: Project, ports: Ports) -> None:
    """The new certificate is in its file, its key in its slot, and both are in no output."""
    old = project.read("certs/billing.pem")
    done = project.run("renew", "--due")
    assert done.code == 0
    new = parse_file(project.read("certs/billing.pem").encode(), "certs/billing.pem")
    assert project.read("certs/billing.pem") != old
    ((slot, key),) = ports.sink.keys.items()
    assert slot.key == key_digest(new.leaf)
    assert "ok: billing: due since" in done.out
    assert "Due, but without `renew`, so you renew them: partner." in done.out
    assert "Commit certs/billing.pem." in done.out
    written = b"".join(path.read_bytes() for path in project.folder.rglob("*") if path.is_file())
    body = key.splitlines()[1]
    assert body not in written
    assert body.decode() not in done.out + done.err


def test_a_second_run_has_nothing_to_do(project: Project, ports: Ports) -> None:
    """What is in the file is not due, whatever is bound."""
    project.run("renew", "--due")
    again = project.run("renew", "--due", "--format", "json")
    assert again.code == 0
    assert again.json["certificates"] == []
    assert [one["certificate"] for one in again.json["manual"]] == ["partner"]
    assert len(ports.issuer.issued) == 1


def test_a_name_is_renewed_although_it_is_not_due(project: Project, ports: Ports) -> None:
    """And nothing else is."""
    put(project, "billing", timedelta(days=80))
    assert project.run("renew", "--due", "--format", "json").json["certificates"] == []
    (step,) = project.run("renew", "bill*", "--format", "json").json["certificates"]
    assert (step["status"], step["reason"]) == ("renewed", "named")
    assert step["after"]["serial"] != step["before"]["serial"]
    assert {one["attribute"] for one in step["differences"]} >= {"serial", "not_after", "key", "fingerprint"}


def test_a_dry_run_asks_no_one_and_changes_nothing(project: Project, ports: Ports) -> None:
    """Not even the folder of a run is made."""
    old = project.read("certs/billing.pem")
    done = project.run("renew", "--due", "--dry-run")
    assert done.code == 0
    assert "would renew: billing" in done.out
    assert project.read("certs/billing.pem") == old
    assert ports.contexts == []
    assert not (project.folder / ".mtlsctl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "these are due: billing"),
        (("biling",), "did you mean `billing`?"),
        (("partner",), "it declares no `renew`"),
    ],
    ids=["no-name", "unknown", "without-renew"],
)
def test_wrong_use_says_what_to_write(project: Project, ports: Ports, words: tuple[str, ...], said: str) -> None:
    """Exit 64, before anything is done."""
    done = project.run("renew", *words)
    assert done.code == 64
    assert said in " ".join(done.err.split())
    assert ports.contexts == []


EVENTS = {
    "pull-request": {"GITHUB_EVENT_NAME": "pull_request"},
    "pull-request-target": {"GITHUB_EVENT_NAME": "pull_request_target"},
    "after-a-fork": {"GITHUB_EVENT_NAME": "workflow_run"},
    "unknown": {"GITHUB_EVENT_NAME": "a\x1b[2Jnew one"},
    "merge-request": {"CI_PIPELINE_SOURCE": "merge_request_event"},
    "child-of-a-merge-request": {"CI_PIPELINE_SOURCE": "parent_pipeline", "CI_MERGE_REQUEST_IID": "7"},
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("words", [("--due",), ("billing", "--allow-commands"), ("--due", "--dry-run")], ids=" ".join)
def test_it_never_runs_on_a_pull_request(project: Project, ports: Ports, name: str, words: tuple[str, ...]) -> None:
    """Whoever opens one could change the issuer and its commands."""
    project.environ |= EVENTS[name]
    done = project.run("renew", *words)
    assert done.code == 3
    assert "may not be merged yet" in " ".join(done.err.split())
    assert "\x1b" not in done.err
    assert ports.contexts == []


def test_it_runs_on_a_schedule(project: Project, ports: Ports) -> None:
    """Whose checkout is that of the main branch."""
    project.environ["GITHUB_EVENT_NAME"] = "schedule"
    assert project.run("renew", "--due").code == 0


def test_a_freeze_does_not_hold_a_renewal(project: Project, ports: Ports) -> None:
    """It changes no production."""
    project.write("mtls.toml", MTLS + '\n[[policy.freeze]]\nstart = "2020-01-01"\nend = "2099-01-01"\n')
    assert project.run("renew", "--due").code == 0


def test_commands_need_their_option(project: Project, ports: Ports) -> None:
    """The issuer gets no way to start a program without it."""
    project.run("renew", "billing")
    project.run("renew", "billing", "--allow-commands")
    assert [context.output is not None for context in ports.contexts] == [False, True]


SECRETS = (
    *(*vault.SECRETS, age.AGE_KEY, *github.TOKENS, *gitlab.TOKENS, "GH_TOKEN", "AWS_SECRET_ACCESS_KEY"),
    *("CLOUDFLARE_API_TOKEN", "BILLING_KEY", "PARTNER_KEY", "CI_JOB_TOKEN"),
)


@pytest.mark.parametrize("passed", [(), ("VAULT_TOKEN", "GITHUB_TOKEN")], ids=["nothing-passed", "two-passed"])
def test_a_signing_program_gets_no_token_and_no_key_but_those_that_are_passed(
    project: Project, passed: tuple[str, ...]
) -> None:
    """It prints no certificate; what it was given is in a file."""
    project.write("sign.sh", "#!/bin/sh\nenv > given.txt\n").chmod(0o700)
    project.write("mtls.toml", MTLS.replace('sign.sh"]', f'sign.sh"]\nenv = {json.dumps(passed)}'))
    project.environ |= {name: "secret" for name in SECRETS if name not in project.environ} | {"MY_CA": "internal"}
    with mock.patch("reconciler.runs.renew.open_sink", return_value=MemorySink(Gate())):
        done = project.run("renew", "billing", "--allow-commands")
    assert "printed nothing" in done.out
    given = {line.partition("=")[0] for line in project.read("given.txt").splitlines()}
    assert given & {*SECRETS, "MY_CA"} == {*passed, "MY_CA"}


def test_what_fails_changes_no_file_and_the_rest_goes_on(project: Project, ports: Ports) -> None:
    """Exit 1; the next run goes on with the same key."""
    ports.issuer.lost = 1
    old = project.read("certs/billing.pem")
    failed = project.run("renew", "--due")
    assert failed.code == 1
    assert "FAILED: billing" in failed.out
    assert project.read("certs/billing.pem") == old
    done = project.run("renew", "--due", "--format", "json")
    assert done.json["certificates"][0]["continued"]
    assert "issued-twice" in done.err
    assert [one["code"] for one in done.json["diagnostics"] if one["code"] == "issued-twice"]


@pytest.mark.parametrize("width", [60, 80, None])
def test_a_finding_that_is_shown_at_once_is_not_shown_again_on_the_same_terminal(width: int | None) -> None:
    """A file or a pipe has all of them, and no line of a terminal is too long."""
    (step, *_) = reports.RENEWALS.steps
    done = replace(reports.RENEWALS, steps=(step,), reported=step.findings)
    text = render(done, "text", Display(reports.place, width=width))
    assert ("issued-twice" in text) == (width is None)
    assert width is None or max(map(len, text.splitlines())) <= width


def test_an_interrupt_says_that_the_issuer_was_asked(project: Project, ports: Ports) -> None:
    """Exit 130; the history has no end of it, and the next run goes on with the same key."""

    def interrupt(_: object) -> bytes:
        raise KeyboardInterrupt

    with mock.patch.object(ports.issuer, "alter_and_sign", interrupt):
        done = project.run("renew", "--due")
    assert done.code == 130
    said = " ".join(done.out.split())
    assert "INTERRUPTED: billing" in said
    assert "after the issuer was asked" in said
    assert "run the same command again to continue" in said
    (step,) = project.run("history", "--format", "json").json["runs"][0]["steps"]
    assert step["status"] == "unfinished"
    assert project.run("renew", "--due", "--format", "json").json["certificates"][0]["continued"]


def test_a_missing_file_is_made_and_plan_says_so_before(project: Project, ports: Ports) -> None:
    """With a declared subject."""
    project.write("mtls.toml", MTLS.replace("sink = {", 'subject = "CN=billing"\nsink = {'))
    (project.folder / "certs/billing.pem").unlink()
    assert "mtlsctl renew billing" in " ".join(project.run("plan").out.split())
    done = project.run("renew", "--due", "--format", "json")
    assert done.json["certificates"][0]["reason"] == "missing"
    assert "CN=billing" in done.json["certificates"][0]["after"]["subject"]


@pytest.mark.parametrize("words", [("plan",), ("status",), ("validate",)], ids=" ".join)
def test_hints_name_renew_where_it_is_the_fix(project: Project, words: tuple[str, ...]) -> None:
    """Of a certificate that declares it; of others they are as before."""
    put(project, "billing", timedelta(days=-1))
    said = " ".join(project.run(*words).out.split())
    assert "mtlsctl renew billing" in said
    assert "mtlsctl renew partner" not in said


def test_status_ends_with_the_command_that_renews_what_is_due(project: Project, ports: Ports) -> None:
    """By name if it is one; not of what you renew yourself, nor once the file has the next certificate."""
    said = project.run("status").out.splitlines()
    assert "1 certificate to renew. Next: mtlsctl renew billing" in said
    own = MTLS[MTLS.index("[certificates.billing]") : MTLS.index("[certificates.partner]")]
    put(project, "second", timedelta(days=-1))
    project.write("mtls.toml", MTLS + own.replace("billing", "second").replace("BILLING", "SECOND"))
    assert "2 certificates to renew. Next: mtlsctl renew --due" in project.run("status").out.splitlines()
    project.write("mtls.toml", MTLS)
    project.run("renew", "--due")
    assert "to renew" not in project.run("status").out


def test_the_history_has_who_issued_what(project: Project, ports: Ports) -> None:
    """Both serial numbers, the issuer, and never a key."""
    (step,) = project.run("renew", "--due", "--format", "json", "--record", "record.json").json["certificates"]
    (run,) = project.run("history", "--format", "json").json["runs"]
    assert (run["command"], run["ended"], run["plan_digest"]) == ("renew", "done", "")
    (kept,) = run["steps"]
    assert kept["change"] == {
        "action": "renew",
        "phase": "renew",
        "certificate": "billing",
        "before": step["before"]["fingerprint"],
        "serial": step["before"]["serial"],
        "issuer": "internal",
    }
    assert kept["renewed"]["fingerprint"] == step["after"]["fingerprint"]
    assert json.loads(project.read("record.json"))["runs"] == [run]
    for shown in ("text", "markdown"):
        assert step["after"]["serial"] in project.run("history", "--format", shown).out


def test_a_sink_that_cannot_be_opened_fails_its_certificate(project: Project, ports: Ports) -> None:
    """Its file stays as it is."""
    with mock.patch("reconciler.runs.renew.open_sink", side_effect=KeySourceError("no such sink")):
        done = project.run("renew", "--due")
    assert done.code == 1
    assert "no such sink" in done.out
    assert project.run("history").out.count("FAILED") == 1


def test_one_run_at_a_time(project: Project, ports: Ports) -> None:
    """Exit 6 while another run holds the lock of the checkout."""
    from reconciler.runs.project import open_project

    other = open_project(None, cwd=project.folder, environ=project.environ)
    with other.lock(command="apply", timeout_s=0, waiting=print):
        assert project.run("renew", "--due").code == 6
    assert ports.contexts == []
