"""Saved plans: an approval that is compared, never an order that is executed unchecked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.findings.errors import InputError
from reconciler.records.plan import PlanDocument
from reconciler.records.saved_plan import _plan, read_plan
from reconciler.views.table import Display, render
from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.hostile import check_texts
from tests.support.reports import PLAN, sealed

SECOND = """
[certificates.ledger]
certificate = "certs/ledger.pem"
private_key = { env = "LEDGER_KEY" }
"""
TWO = MTLS.replace("[workers.checkout]", SECOND + "\n[workers.checkout]") + 'LEDGER = "ledger"\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two certificates, two bindings, and their plan saved as plan.json."""
    project = make_project(tmp_path, TWO)
    project.certificate("ledger", 2)
    assert project.run("plan", "--out", "plan.json").code == 0
    return project


def stored(project: Project) -> list[str]:
    """The uploaded certificates."""
    return [item["certificate"] for item in project.run("plan", "--format", "json").json["adopted"]]


def test_a_saved_plan_is_applied_without_asking(project: Project) -> None:
    """The plan was reviewed, so no `--yes` is needed."""
    result = project.run("apply", "plan.json")
    assert result.code == 0
    assert "Done: 2 certificates uploaded, 2 bindings written." in result.out
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_a_retried_job_goes_on_with_the_same_plan(project: Project) -> None:
    """Changes that were made meanwhile may be missing now."""
    project.run("apply", "plan.json", "--phase", "upload")
    assert project.run("apply", "plan.json").code == 0
    again = project.run("apply", "plan.json")
    assert (again.code, "No changes" in again.out) == (0, True)


def test_a_change_that_the_plan_does_not_have_makes_it_stale_and_changes_nothing(project: Project) -> None:
    """The certificate was replaced after the review: exit 4."""
    project.certificate("ledger", 3)
    result = project.run("apply", "plan.json")
    assert result.code == 4
    assert (
        "has changes that are not in the saved plan: upload ledger (another one than in the saved plan)" in result.err
    )
    assert stored(project) == []
    assert project.read("wrangler.toml") == WRANGLER


def test_a_stale_plan_tells_every_difference_as_text_and_as_json(project: Project) -> None:
    """What is another one, with its fields; what is new; and what is gone, with the reason."""
    project.certificate("ledger", 3)
    project.write("certs/billing.pem", "no certificate")
    project.write("mtls.toml", TWO + 'OTHER = "ledger"\n')
    result = project.run("apply", "plan.json", "--format", "json")
    told = {one["what"]: one for one in result.json["differences"]}
    assert (result.code, "more_differences" in result.json) == (4, False)
    assert [(one["difference"], what) for what, one in told.items()] == [
        ("different", "upload ledger"),
        ("different", "bind LEDGER in wrangler.toml (top level)"),
        ("added", "bind OTHER in wrangler.toml (top level)"),
        ("gone", "upload billing"),
        ("gone", "rebind BILLING in wrangler.toml (top level)"),
    ]
    fields = {one["field"]: (one["reviewed"], one["found"]) for one in told["upload ledger"]["fields"]}
    assert fields["subject"] == ("CN=client-2", "CN=client-3")
    assert told["upload billing"]["detail"].startswith("held by ")
    assert (told["bind OTHER in wrangler.toml (top level)"]["config"], stored(project)) == ("wrangler.toml", [])
    text = project.run("apply", "plan.json").err
    assert "  ~ different: upload ledger\n      content digest: " in text
    assert "\n      subject: CN=client-2 -> CN=client-3\n" in text
    assert "\n  + added: bind OTHER in wrangler.toml (top level)\n" in text
    assert "\n  - gone: upload billing (held by " in text
    assert text.index("- gone") < text.index("error[stale-plan]")


def test_of_many_differences_the_others_are_counted(project: Project) -> None:
    """In text and JSON."""
    project.write("mtls.toml", TWO + "".join(f'B{number} = "ledger"\n' for number in range(40)))
    assert project.run("apply", "plan.json", "--format", "json").json["more_differences"] == 10
    assert "\n  and 10 more differences\n" in project.run("apply", "plan.json").err


def test_a_plan_of_others_acts_on_no_terminal_when_it_is_compared(project: Project) -> None:
    """Its hash is right, so it is read; and shown as what it is."""
    evil = "\x1b[2J\n::error::x##[error]\u202e"
    document = json.loads(project.read("plan.json"))
    for one in document["certificates"]:
        one.update(subject=evil, issuer=evil, subject_alternative_names=[evil])
    for change in document["changes"]:
        if change["action"] == "bind":
            change.update(binding=evil, config=evil)
    read = PlanDocument.model_validate_json(json.dumps(document))
    document["digest"] = _plan(read, "plan.json").digest
    project.write("plan.json", sealed(document))
    project.certificate("ledger", 3)
    result = project.run("apply", "plan.json")
    assert (result.code, "subject:" in result.err, "- gone: bind" in result.err) == (4, True, True)
    check_texts(result.err)
    check_texts(project.run("apply", "plan.json", "--format", "json").out)


def test_a_digest_that_is_not_found_is_compared_with_the_plan_that_it_is_of(project: Project) -> None:
    """Some of it is done: that is what differs."""
    digest = json.loads(project.read("plan.json"))["digest"]
    project.run("apply", "plan.json", "--phase", "upload")
    result = project.run("apply", "plan.json", "--digest", digest)
    assert result.code == 4
    assert "- gone: upload billing (made already, or not needed any more)" in result.err
    other = project.run("apply", "plan.json", "--digest", "sha256:" + "0" * 64)
    assert (other.code, f"plan.json has the digest {digest}, not" in other.err) == (4, True)


def test_a_digest_alone_says_how_to_see_what_differs(project: Project) -> None:
    """There is nothing to compare it with."""
    result = project.run("apply", "--yes", "--digest", "sha256:" + "0" * 64)
    assert (result.code, "compared with" in result.err) == (4, False)
    assert "keep the reviewed plan (`mtlsctl plan --out FILE`)" in result.err


def test_a_file_edited_after_the_review_makes_it_stale(project: Project) -> None:
    """The previous id is part of the approval."""
    project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", "something else"))
    assert project.run("apply", "plan.json").code == 4


def test_foreign_entries_other_bytes_and_times_do_not_make_it_stale(project: Project, tmp_path: Path) -> None:
    """Only the compared parts count."""
    project.write("wrangler.toml", "# a comment\n" + WRANGLER)
    other = make_project(tmp_path / "other", MTLS.replace("payments", "shop"))
    other.certificate("billing", 7)
    (project.folder / ".mtlsctl").mkdir(mode=0o700)
    assert other.run("apply", "--yes").code == 0
    (other.folder / ".mtlsctl/store.db").rename(project.folder / ".mtlsctl/store.db")
    assert project.run("apply", "plan.json").code == 0


def test_what_was_waiting_in_the_plan_stays_waiting(project: Project) -> None:
    """Its grace may be over by now, but no one approved its deletion."""
    project.run("apply", "plan.json")
    project.certificate("billing", 4)
    project.run("apply", "--yes")
    project.run("plan", "--out", "waiting.json")
    project.write("mtls.toml", TWO + '[policy]\ngrace = "0s"\n')
    assert project.run("plan", "--format", "json").json["summary"]["retire"] == 1
    result = project.run("apply", "waiting.json", "--format", "json")
    assert result.code == 0
    assert result.json["done"] == []
    assert [item["condition"] for item in result.json["waiting"]] == ["not-in-plan"]


def test_approved_retires_are_carried_out_whatever_else_could_go_by_now(project: Project) -> None:
    """A plan made with `--allow-deletes` has its own number."""
    project.run("apply", "plan.json")
    for number in (4, 5):
        project.certificate("billing", number)
        project.run("apply", "--yes")
    project.write("mtls.toml", TWO + '[policy]\ngrace = "0s"\nmax_deletes = 0\n')
    assert project.run("plan", "--allow-deletes", "2", "--out", "deletes.json").code == 0
    done = project.run("apply", "deletes.json", "--format", "json").json["done"]
    assert [step["change"]["action"] for step in done] == ["retire", "retire"]


def _tamper(edit: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def apply_to(text: str) -> str:
        document = json.loads(text)
        edit(document)
        return json.dumps(document)

    return apply_to


TAMPERED: dict[str, tuple[Callable[[str], str], int, str]] = {
    "a change is removed": (_tamper(lambda plan: plan["changes"].pop()), 4, "changed after it was saved"),
    "a binding is renamed": (
        _tamper(lambda plan: plan["changes"][-1].update(binding="EVIL")),
        4,
        "changed after it was saved",
    ),
    "the digest is another": (_tamper(lambda plan: plan.update(digest="sha256:0")), 4, "changed after it was saved"),
    "another stack": (_tamper(lambda plan: plan.update(stack="other")), 4, "changed after it was saved"),
    "another store": (_tamper(lambda plan: plan["store"].update(kind="cloudflare")), 4, "changed after it was saved"),
    "another time": (_tamper(lambda plan: plan.update(made="2026-01-01T00:00:00Z")), 4, "changed after it was saved"),
    "a Worker is called otherwise": (
        _tamper(lambda plan: plan["changes"][-1].update(worker="harmless")),
        4,
        "changed after it was saved",
    ),
    "a certificate is called otherwise": (
        _tamper(lambda plan: plan["changes"][0].update(certificate="harmless")),
        4,
        "changed after it was saved",
    ),
    "another commit": (_tamper(lambda plan: plan.update(commit="0" * 40)), 4, "changed after it was saved"),
    "a finding is added": (
        _tamper(lambda plan: plan["diagnostics"].append({"severity": "info", "code": "x", "message": "all is well"})),
        4,
        "changed after it was saved",
    ),
    "no hash": (_tamper(lambda plan: plan.pop("content_hash")), 4, "changed after it was saved"),
    "an unknown key": (_tamper(lambda plan: plan.update(evil=1)), 1, "not a saved plan"),
    "another format": (_tamper(lambda plan: plan.update(format="mtlsctl.plan/2")), 1, "not a saved plan"),
    "an action that does not exist": (_tamper(lambda plan: plan["changes"][0].update(action="rm")), 1, "not a saved"),
    "half of it": (lambda text: text[: len(text) // 2], 1, "not a saved plan"),
    "nothing": (lambda _: "", 1, "not a saved plan"),
    "an array": (lambda _: "[]", 1, "not a saved plan"),
    "far too deep": (lambda _: "[" * 100_000, 1, "not a saved plan"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_plan_executes_nothing(project: Project, how: str) -> None:
    """Whatever was changed in it, nothing of it runs."""
    tamper, code, said = TAMPERED[how]
    project.write("plan.json", tamper(project.read("plan.json")))
    result = project.run("apply", "plan.json")
    assert result.code == code
    assert said in result.err
    assert stored(project) == []
    assert project.read("wrangler.toml") == WRANGLER
    assert project.run("show", "plan.json").code == code


def test_a_plan_that_was_forged_whole_is_still_only_compared(project: Project) -> None:
    """With a correct digest of invented changes: they are not among the changes found now."""
    project.run("plan", "--only", "ledger", "--out", "other.json")
    forged = json.loads(project.read("other.json"))
    del forged["partial"]
    project.write("forged.json", sealed(forged))
    result = project.run("apply", "forged.json")
    assert result.code == 4
    assert stored(project) == []


@pytest.mark.parametrize(
    ("age", "options", "code"),
    [
        (timedelta(days=6, hours=23), [], 0),
        (timedelta(days=7, hours=1), [], 4),
        (timedelta(days=29), ["--max-age", "30d"], 0),
        (timedelta(hours=2), ["--max-age", "1h"], 4),
        (timedelta(minutes=-4), [], 0),
        (timedelta(minutes=-6), [], 4),
        (timedelta(0), ["--max-age", "soon"], 64),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_plan_is_applied_only_while_it_is_recent(
    project: Project, age: timedelta, options: list[str], code: int
) -> None:
    """7 days, or as the command line says; one from the future has a wrong clock, or a forger."""
    made = datetime.now(UTC) - age
    document = json.loads(project.read("plan.json"))
    project.write("old.json", sealed({**document, "made": made.isoformat().replace("+00:00", "Z")}))
    assert project.run("apply", "old.json", *options).code == code


def test_who_reads_a_plan_hears_where_it_is_from_and_that_it_is_not_signed(project: Project) -> None:
    """`show` has it in the plan, `apply` on stderr; what is not signed is on stderr, so that a document stays one."""
    document = json.loads(project.read("plan.json"))
    project.write("plan.json", sealed({**document, "commit": "0123456789abcdef" * 2 + "01234567"}))
    assert "at commit 0123456789ab. It is not signed" in project.run("apply", "plan.json").err
    shown = project.run("show", "plan.json")
    assert "at commit 0123456789ab\n" in shown.out
    assert shown.err.startswith("plan.json is not signed: ")


def test_the_text_of_a_saved_plan_says_when_and_of_which_commit_it_was_made(project: Project) -> None:
    """A pipeline shows it to those who approve it, and stderr is not in it."""
    document = json.loads(project.read("plan.json"))
    made, commit = "2026-11-28T14:05:00Z", "0123456789abcdef" * 2 + "01234567"
    project.write("plan.json", sealed({**document, "made": made, "commit": commit}))
    assert "\nmade: 2026-11-28 14:05 UTC at commit 0123456789ab\n" in project.run("show", "plan.json").out
    project.write("plan.json", sealed({**document, "made": made, "commit": None}))
    assert "\nmade: 2026-11-28 14:05 UTC\n" in project.run("show", "plan.json").out


@pytest.mark.parametrize("option", [["--offline"], ["--at", "2030-01-01"]], ids=" ".join)
def test_a_plan_for_looking_can_not_be_applied(project: Project, option: list[str]) -> None:
    """The error names the option."""
    project.run("plan", *option, "--out", "look.json")
    result = project.run("apply", "look.json")
    assert result.code == 1
    assert option[0] in result.err
    assert stored(project) == []


def test_a_partial_plan_applies_that_part_alone(project: Project) -> None:
    """`--only` is saved in the plan."""
    project.run("plan", "--only", "ledger", "--out", "part.json")
    assert project.run("apply", "part.json").code == 0
    assert stored(project) == ["ledger"]


def test_a_partial_plan_of_a_certificate_that_is_gone_is_stale(project: Project) -> None:
    """The name was not typed now, so it is not wrong use: exit 4."""
    project.run("plan", "--only", "ledger", "--out", "part.json")
    project.write("mtls.toml", MTLS)
    assert project.run("apply", "part.json").code == 4


def test_an_approval_covers_a_declared_remote(project: Project) -> None:
    """Another `remote` is another change."""
    project.write(
        "mtls.toml", TWO.replace('BILLING = "billing"', 'BILLING = { certificate = "billing", remote = true }')
    )
    result = project.run("apply", "plan.json")
    assert result.code == 4
    assert project.read("wrangler.toml") == WRANGLER


def test_only_and_a_saved_plan_together_are_wrong_use(project: Project) -> None:
    """The plan has its own selection."""
    assert project.run("apply", "plan.json", "--only", "ledger").code == 64


def test_digest_demands_exactly_that_plan(project: Project) -> None:
    """For a pipeline that passes a digest instead of a file."""
    digest = json.loads(project.read("plan.json"))["digest"]
    wrong = project.run("apply", "--yes", "--digest", "sha256:" + "0" * 64)
    assert (wrong.code, stored(project)) == (4, [])
    assert "mtlsctl plan --format json" in wrong.err
    assert project.run("apply", "--yes", "--digest", digest).code == 0
    assert project.run("apply", "--yes", "--digest", digest).code == 4


def test_show_prints_what_plan_printed_and_reads_nothing_else(project: Project, tmp_path: Path) -> None:
    """Text and JSON, outside the project."""
    project.write("mtls.toml", TWO.replace("[certificates.billing]", '[certificates.billing]\nowner = "team-payments"'))
    text = project.run("plan", "--out", "plan.json").out.replace("apply plan.json", "apply")
    assert "owner team-payments" in text
    saved = project.read("plan.json")
    away = Project(tmp_path / "away")
    away.write("plan.json", saved)
    shown = away.run("show", "plan.json")
    assert shown.code == 0
    assert shown.out.startswith(text.partition("Next:")[0])
    assert shown.out.endswith("Next: mtlsctl apply plan.json\n")
    assert f"digest: {json.loads(saved)['digest']}" in shown.out
    assert away.run("show", "plan.json", "--format", "json").out == saved


def test_show_of_a_rotation_with_waiting_entries_says_the_same(project: Project) -> None:
    """Differences, retires, waiting certificates and due dates are preserved."""
    project.run("apply", "plan.json")
    project.certificate("billing", 4)
    project.run("apply", "--yes")
    project.certificate("ledger", 5)
    project.write(
        "mtls.toml", TWO.replace('certificate = "certs/billing.pem"', 'certificate = "certs/billing.pem"\ngrace = "0s"')
    )
    printed = project.run("plan", "--out", "plan.json").out
    assert "    - delete  10ca1000-" in printed
    assert "(old) kept" in printed
    assert project.run("show", "plan.json").out.startswith(printed.partition("Next:")[0])


def _with(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Sets a key of a document, such as `due.0.not_after`."""

    def change(document: Any) -> None:
        *above, last = path.split(".")
        for part in above:
            document = document[int(part) if part.isdigit() else part]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_with("odd", 1), "odd"),
        (_with("store.odd", 1), "store.odd"),
        (_with("changes.1.odd", 1), "changes.1.odd"),
        (_with("changes.1.differences.0.odd", 1), "changes.1.differences.0.odd"),
        (_with("quota.leaf.odd", 1), "quota.leaf.odd"),
        (_with("quota.leaf.now", "many"), "quota.leaf.now"),
        (_with("calls.odd", 1), "calls.odd"),
        (_with("live.0.live.0.odd", 1), "live.0.live.0.odd"),
        (_with("due.0.odd", 1), "due.0.odd"),
        (_with("certificates.0.odd", 1), "certificates.0.odd"),
        (_with("certificates.0.not_after", "2027-01-01T00:00:00"), "certificates.0"),
        (_with("certificates.0.subject", None), "certificates.0.subject"),
        (_with("due.0.not_after", "2027-10-24T12:00:00"), "due.0"),
        (_with("due.0.renew_from", "soon"), "due.0.renew_from"),
        (_with("made", "2027-10-24T12:00:00"), "made"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_plan_is_read_strictly_in_all_of_its_parts(change: Callable[[dict[str, Any]], None], where: str) -> None:
    """No unknown key, no value of another type, no time without a zone; the message names the place."""
    document = json.loads(render(PLAN, "json", Display()))
    change(document)
    with pytest.raises(InputError, match=f"plan.json is not a saved plan.*: {re.escape(where)}: "):
        read_plan(json.dumps(document).encode(), "plan.json")


def test_a_plan_file_that_is_not_there_is_named(project: Project) -> None:
    """Exit 1, with the path."""
    result = project.run("apply", "nope.json")
    assert result.code == 1
    assert "nope.json" in result.err


def test_a_finding_that_another_version_saved_is_shown_with_its_own_code(project: Project) -> None:
    """Nothing in an approved plan is left out, even if this version does not know it."""
    document = json.loads(project.read("plan.json"))
    document["diagnostics"] = [
        {"severity": "warning", "code": "of-next-year", "message": "it rains"},
        {"severity": "warning", "code": "renewal-due", "message": "it is due"},
    ]
    project.write("plan.json", sealed(document))
    shown = project.run("show", "plan.json")
    assert shown.code == 0
    assert "warning[unknown-finding]: of-next-year: it rains" in shown.out
    assert "warning[renewal-due]: it is due" in shown.out
