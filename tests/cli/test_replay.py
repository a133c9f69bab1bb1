"""`plan --record-inputs` and `replay`: the same plan, from the file alone, with no effect."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.plan.plan import Plan
from reconciler.views.table import formats_of
from tests.support.cli import MTLS, Project, Result
from tests.support.pki import make_ca


def record(project: Project, *options: str) -> Result:
    result = project.run("plan", "--record-inputs", "recording.json", *options)
    assert (project.folder / "recording.json").exists(), result.err
    return result


def alone(project: Project, tmp_path: Path) -> Project:
    """Another folder with nothing but the recording."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(project.folder / "recording.json", folder)
    return Project(folder)


def without_what_applies(document: dict[str, Any]) -> dict[str, Any]:
    """A plan but for what says that it can, or can't, be applied."""
    return {key: value for key, value in document.items() if key not in {"next_command", "replayed", "content_hash"}}


def test_a_replay_is_the_plan_that_was_recorded_with_its_places(project: Project, tmp_path: Path) -> None:
    """In another folder, without mtls.toml, certificates or a store."""
    project.write("mtls.toml", MTLS + '[certificates.broken]\ncertificate = "certs/none.pem"\n')
    plan = record(project, "--format", "json")
    here = alone(project, tmp_path)
    replayed = here.run("replay", "recording.json", "--format", "json")
    assert (replayed.code, plan.code) == (5, 5)
    assert without_what_applies(replayed.json) == without_what_applies(plan.json)
    assert replayed.json["replayed"] is True
    assert {one["line"] for one in replayed.json["diagnostics"] if one["code"] == "file-missing"} == {14}
    assert "recorded by mtlsctl" in replayed.err
    assert [path.name for path in here.folder.iterdir()] == ["recording.json"]


@pytest.mark.parametrize("form", formats_of(Plan))
def test_a_replay_is_shown_in_every_format_of_a_plan_and_says_what_it_is(project: Project, form: str) -> None:
    """Where a person reads it, it says that it can't be applied, and names no command that would."""
    record(project)
    result = project.run("replay", "recording.json", "--format", form, "--out", "shown")
    assert result.code == 0
    if form in {"text", "markdown", "html"}:
        assert "REPLAYED from a recording" in result.out
        assert "mtlsctl apply" not in result.out
    assert project.read("shown").strip() == result.out.strip()


def test_a_replay_of_a_preview_is_one_of_what_was_recorded(project: Project) -> None:
    """Not of now; offline it says what is unknown."""
    record(project, "--at", "2026-12-24", "--offline")
    shown = project.run("replay", "recording.json").out
    assert "AS OF 2026-12-24 00:00 UTC: a preview with the files and uploads that were recorded" in shown
    assert "OFFLINE: only files were read" in shown


def test_a_replay_explains_what_was_planned(project: Project) -> None:
    """As `explain` would have at that time."""
    record(project)
    for form in ("text", "json"):
        explained = project.run("explain", "billing", "--format", form)
        replayed = project.run("replay", "recording.json", "--explain", "billing", "--format", form)
        assert (replayed.code, replayed.out) == (0, explained.out)
    assert project.run("replay", "recording.json", "--explain", "nobody").code == 64
    assert project.run("replay", "recording.json", "--explain", "billing", "--format", "html").code == 64


def test_another_policy_is_that_of_another_mtls_toml(project: Project) -> None:
    """Here one that allows no key of this type; its own findings are at their lines."""
    record(project)
    project.write("strict.toml", 'version = 1\nstack = "x"\n[policy]\n[policy.certificates]\nkeys = ["RSA >= 2048"]\n')
    result = project.run("replay", "recording.json", "--policy", "strict.toml", "--format", "json")
    assert result.code == 3
    assert [one["code"] for one in result.json["diagnostics"] if one["severity"] == "error"] == ["policy-key-type"]
    project.write("strict.toml", 'version = 1\nstack = "x"\n[policy]\ngrace = "soon"\n')
    bad = project.run("replay", "recording.json", "--policy", "strict.toml")
    assert (bad.code, "strict.toml:4:9" in bad.err) == (1, True)
    assert project.run("replay", "recording.json", "--policy", "missing.toml").code == 1


def test_limits_of_the_operator_stay_in_force_under_another_policy(project: Project) -> None:
    """They were recorded with the plan, and no file loosens them."""
    project.environ |= {"MTLSCTL_MIN_GRACE": "9d", "MTLSCTL_PROTECT": "billing"}
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    project.run("apply", "--yes")
    record(project)
    project.write("loose.toml", 'version = 1\nstack = "x"\n[policy]\ngrace = "0s"\n')
    result = project.run("replay", "recording.json", "--policy", "loose.toml", "--format", "json")
    assert [(one["action"], one["condition"]) for one in result.json["waiting"]] == [("retire", "grace")]
    assert "9d" in result.json["waiting"][0]["detail"]


def test_neither_a_recording_nor_a_replayed_plan_can_be_applied(project: Project) -> None:
    """And nothing was changed."""
    record(project)
    project.run("replay", "recording.json", "--format", "json", "--out", "replayed.json")
    before = project.read("wrangler.toml")
    for file, code in (("recording.json", "plan-file"), ("replayed.json", "plan-for-looking")):
        result = project.run("apply", file, "--yes", "--format", "json")
        assert (result.code, result.json["diagnostics"][0]["code"]) == (1, code)
    assert project.read("wrangler.toml") == before
    shown = project.run("show", "replayed.json")
    assert (shown.code, "REPLAYED" in shown.out) == (0, True)


def test_a_recording_in_the_tree_keeps_no_old_certificate(project: Project) -> None:
    """It names its ID, as other documents of mtlsctl do, and is no configuration."""
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    project.run("apply", "--yes")
    record(project)
    (old,) = [one for one in project.run("plan", "--format", "json").json["waiting"] if one["action"] == "retire"]
    assert old["before"] in project.read("recording.json")
    assert project.run("retire", "billing", "--now", "--yes").code == 0


def test_pseudonyms_hide_every_name_and_change_nothing_else(project: Project) -> None:
    """Also those in wrangler files, in the tree, and in the certificates."""
    text = MTLS.replace("private_key", 'owner = "acme-team"\nverify = "https://acme-bank.example/"\nprivate_key')
    project.write("mtls.toml", text)
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    plan = record(project, "--pseudonyms", "--format", "json")
    shown = project.read("recording.json")
    for name in ("billing", "BILLING", "checkout", "payments", "acme", "client-", "Test Root", "wrangler.toml"):
        assert name not in shown, name
    replayed = project.run("replay", "recording.json", "--format", "json")
    assert replayed.code == plan.code == 0
    assert replayed.json["summary"] == plan.json["summary"]
    assert replayed.json["quota"] == plan.json["quota"]
    assert [one["reasons"] for one in replayed.json["changes"]] == [one["reasons"] for one in plan.json["changes"]]
    assert "with pseudonyms" in replayed.err
    assert "certificate-1" in project.run("replay", "recording.json", "--explain", "certificate-1").out
    assert "commit" not in replayed.json


def test_a_certificate_that_can_t_be_written_without_names_is_named_and_nothing_is_recorded(project: Project) -> None:
    """As one with a key of a type that is no longer used."""
    odd = make_ca("Acme").issue("acme", key="dsa1024")
    project.write("certs/billing.pem", odd.certificate_pem)
    result = project.run("plan", "--record-inputs", "recording.json", "--pseudonyms")
    assert (result.code, "CN=acme: the type of its key" in result.err) == (1, True)
    assert not (project.folder / "recording.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--record-inputs", ""],
        ["plan", "--record-inputs", "-"],
        ["plan", "--record-inputs", "plan.json", "--out", "./plan.json"],
        ["plan", "--record-inputs", "recording.json", "--all"],
        ["plan", "--pseudonyms"],
        ["replay"],
        ["replay", "recording.json", "other.json"],
    ],
)
def test_wrong_use_ends_with_64_and_writes_nothing(project: Project, arguments: list[str]) -> None:
    """Before anything is read."""
    assert project.run(*arguments).code == 64
    assert not list(project.folder.glob("*.json"))


@pytest.mark.parametrize("name", ["certs/billing.pem", "mtls.toml", ".mtlsctl/x.json", "key.db"])
def test_a_recording_never_replaces_an_input(project: Project, name: str) -> None:
    """As `--out` never does."""
    result = project.run("plan", "--record-inputs", name)
    assert (result.code, "out-refused" in result.err) == (1, True)


def test_files_that_are_no_recording_end_with_one_error(project: Project) -> None:
    """Missing, a folder, too large, the record of a run."""
    project.run("apply", "--yes", "--record", "record.json")
    project.write("large.json", b" " * 20_000_001)
    for name in ("missing.json", "certs", "large.json", "record.json", "mtls.toml"):
        result = project.run("replay", name)
        assert (result.code, result.err.count("error["), result.out) == (1, 1, ""), name


def texts_replaced(value: Any, text: str) -> Any:
    """The same document with another text wherever there is one."""
    if isinstance(value, dict):
        return {key: one if key in {"kind", "format"} else texts_replaced(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [texts_replaced(one, text) for one in value]
    return text if isinstance(value, str) and "BEGIN" not in value and "T" not in value[8:12] else value


HOSTILE = "\x1b]0;pwned\x07\x1b[2J\n::error::<script>alert(1)</script>\u202e{{x}}`@everyone`"
FREE = ("owner", "stack", "script", "worker_name", "message", "hint", "version", "path", "commit", "issuer", "why")


@pytest.mark.parametrize("field", [None, *FREE])
def test_nothing_in_a_hostile_recording_acts_on_a_terminal_a_page_or_a_runner(
    project: Project, field: str | None
) -> None:
    """Every text of it alone, and all together; it is shown without harm, or refused."""
    project.write("certs/billing.pem", make_ca(HOSTILE[:20]).issue(HOSTILE[:20]).certificate_pem)
    project.write("mtls.toml", MTLS.replace("private_key", 'owner = "team"\nprivate_key'))
    record(project)
    document = json.loads(project.read("recording.json"))

    def poisoned(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: poisoned(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [poisoned(one, key) for one in value]
        return HOSTILE if key == field and isinstance(value, str | None) else value

    bad = poisoned(document) if field is not None else texts_replaced(document, HOSTILE)
    project.write("recording.json", json.dumps(bad))
    for form in formats_of(Plan):
        result = project.run("replay", "recording.json", "--format", form)
        assert result.code in {0, 1, 5}
        shown = result.out + result.err
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "<script>" not in result.out or form not in {"html", "junit"}
        assert not any(line.startswith("::error") for line in shown.splitlines())
        assert "Traceback" not in shown


def test_a_recording_whose_parts_do_not_fit_together_is_refused(project: Project) -> None:
    """As one that was edited: a Worker that nothing declares."""
    record(project)
    document = json.loads(project.read("recording.json"))
    document["inputs"]["desired"]["declaration"]["certificates"] = {}
    project.write("recording.json", json.dumps(document))
    result = project.run("replay", "recording.json")
    assert (result.code, "its parts do not fit together" in result.err) == (1, True)
