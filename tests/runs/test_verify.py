"""`mtlsctl verify`: each level, skipped levels, and the exit code."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.servers import listening_socket, port_of
from tests.servers.certificates import pki
from tests.servers.programs import nginx
from tests.servers.python_tls import ANSWER, serve, server_context
from tests.support.cli import Project, Result
from tests.support.paths import REPOSITORY
from tests.support.pki import Authority, make_ca
from tests.support.proving import folder_with_files
from tests.support.runtime_programs import install_wrangler, node_path
from tests.support.terminals import in_terminal

SCHEMA = REPOSITORY / "schemas" / "verify.schema.json"
WRANGLER = """\
name = "checkout"
main = "index.js"
compatibility_date = "2026-01-01"

[[mtls_certificates]]
binding = "BILLING"
certificate_id = "<CERTIFICATE_ID>"

[env.staging]
"""
MTLS = """\
version = 1
stack = "payments"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
verify = { url = "https://localhost:PORT/health", ca = "certs/root.pem", client_ca = "certs/clients.pem" }

[certificates.partner]
certificate = "certs/clients.pem"
ca = true

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
"""


def put(project: Project, client: str) -> None:
    """Use a client of `pki` as the certificate of the project."""
    project.write("certs/billing.pem", pki().clients[client].chain)
    project.environ["BILLING_KEY"] = pki().clients[client].key.decode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The right client, and no origin yet; neither wrangler nor workerd."""
    made = Project(tmp_path / "project", {"PATH": "/nowhere"})
    made.write("wrangler.toml", WRANGLER)
    made.write("index.js", "export default { fetch: () => new Response() };\n")
    made.write("certs/root.pem", pki().server_root.certificate_pem)
    made.write("certs/clients.pem", pki().client_root.certificate_pem)
    made.write("mtls.toml", MTLS.replace("PORT", "1"))
    put(made, "right")
    return made


@contextmanager
def at_origin(
    project: Project, tmp_path: Path, verify: ssl.VerifyMode = ssl.CERT_REQUIRED, requests: list[bytes] | None = None
) -> Iterator[None]:
    """An origin, and an mtls.toml that names it."""
    files = tmp_path / "origin"
    files.mkdir(exist_ok=True)
    context = server_context(folder_with_files(files), verify, ssl.TLSVersion.TLSv1_3)
    with serve(context, ANSWER, requests) as port:
        project.write("mtls.toml", MTLS.replace("PORT", str(port)))
        yield


def levels(result: Result, certificate: str = "billing") -> dict[str, str]:
    """`{"origin": "proved accepted", ...}` of a JSON document that fits its schema."""
    document: dict[str, Any] = result.json
    assert list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(document)) == []
    assert document["exit_code"] == result.code
    (found,) = [proof for proof in document["certificates"] if proof["certificate"] == certificate]
    return {
        level["level"]: f"{level['standing']} {level.get('skipped', level['verdict'])}" for level in found["levels"]
    }


def verify(project: Project, *arguments: str) -> Result:
    """The command's JSON."""
    return project.run("verify", *arguments, "--format", "json")


# --- exit codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "client", "code", "origin"),
    [
        (ssl.CERT_REQUIRED, "right", 0, "proved accepted"),
        (ssl.CERT_OPTIONAL, "right", 0, "proved optional"),
        (ssl.CERT_REQUIRED, "expired", 1, "refuted rejected"),
        (ssl.CERT_REQUIRED, "mismatched key", 1, "refuted not-sent"),
        (ssl.CERT_NONE, "right", 1, "refuted not-requested"),
    ],
)
def test_the_verdict_of_the_origin_decides(
    project: Project, tmp_path: Path, mode: ssl.VerifyMode, client: str, code: int, origin: str
) -> None:
    """0 if proved, with a warning if the proof is weak; 1 if refuted."""
    put(project, client)
    with at_origin(project, tmp_path, mode):
        result = verify(project, "--level", "origin")
    assert (result.code, levels(result)) == (code, {"origin": origin})


def test_an_origin_that_is_not_there_leaves_it_open(project: Project) -> None:
    """3: neither proved nor refuted."""
    with closing(listening_socket()) as free:
        port = port_of(free)
    project.write("mtls.toml", MTLS.replace("PORT", str(port)))
    result = verify(project, "--level", "origin")
    assert (result.code, levels(result)) == (3, {"origin": "inconclusive unreachable"})


def test_an_origin_that_this_machine_does_not_trust_leaves_it_open(project: Project, tmp_path: Path) -> None:
    """Without `ca`, the roots of the machine count."""
    with at_origin(project, tmp_path):
        project.write("mtls.toml", project.read("mtls.toml").replace('ca = "certs/root.pem", ', ""))
        result = verify(project, "--level", "origin")
    assert (result.code, levels(result)) == (3, {"origin": "inconclusive server-untrusted"})


# --- skipped levels -------------------------------------------------------------------------------------------------


def test_what_can_not_be_run_says_so_and_counts_neither_way(project: Project, tmp_path: Path) -> None:
    """Neither wrangler nor workerd is installed: this is no failure and no proof."""
    with at_origin(project, tmp_path):
        result = verify(project, "--run-project")
    assert result.code == 0
    assert levels(result) == {
        "files": "proved in-order",
        "wrangler": "skipped not-stored",
        "origin": "proved accepted",
        "runtime": "skipped no-program",
    }


@pytest.mark.parametrize("level", ["wrangler", "runtime"])
def test_a_level_that_is_asked_for_by_name_must_be_run(project: Project, tmp_path: Path, level: str) -> None:
    """Otherwise the result is open."""
    with at_origin(project, tmp_path):
        result = verify(project, "--level", level)
    assert result.code == 3
    assert levels(result)[level].startswith("skipped")


def test_without_the_key_the_origin_is_open(project: Project, tmp_path: Path) -> None:
    """The message names the missing key; the certificate file is checked anyway."""
    project.environ.pop("BILLING_KEY")
    with at_origin(project, tmp_path):
        result, text = verify(project), project.run("verify")
    assert (result.code, text.code) == (3, 3)
    assert levels(result)["files"] == "proved in-order"
    assert levels(result)["origin"] == levels(result)["runtime"] == "skipped no-key"
    assert "its key is not available: the environment variable BILLING_KEY is not set" in text.out
    assert "Required but skipped: billing (origin), billing (runtime)." in text.out


def test_without_an_origin_there_is_nothing_to_prove_there(project: Project) -> None:
    """And that is not a failure, unless the level was requested."""
    text = project.read("mtls.toml")
    project.write("mtls.toml", "\n".join(line for line in text.splitlines() if not line.startswith("verify")))
    assert levels(verify(project))["origin"] == "skipped not-declared"
    assert verify(project).code == 0
    assert verify(project, "--level", "origin").code == 3


def test_offline_sends_nothing(project: Project, tmp_path: Path) -> None:
    """No connection is made, not even to Cloudflare."""
    requests: list[bytes] = []
    with at_origin(project, tmp_path, requests=requests):
        result = verify(project, "--offline")
    assert requests == []
    assert set(levels(result)) == {"files", "wrangler"}
    assert not (project.folder / ".mtlsctl").exists()


# --- the files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("certs/clients.pem", "client"), "ends at an issuer that is not in certs/clients.pem"),
        (("certs/root.pem", "leaf"), "certs/root.pem contains no root"),
        (("certs/root.pem", "gone"), "'certs/root.pem' does not exist"),
        (("certs/billing.pem", "gone"), "'certs/billing.pem' does not exist"),
    ],
    ids=["wrong client CA", "no root", "no file of roots", "no certificate"],
)
def test_files_that_are_wrong_are_refuted(project: Project, change: tuple[str, str], said: str) -> None:
    """All files of a declared certificate are checked; `validate` reports the same."""
    path, what = change
    content = {"client": make_ca("Other").certificate_pem, "leaf": pki().clients["right"].chain, "gone": b""}[what]
    if what == "gone":
        (project.folder / path).unlink()
    else:
        project.write(path, content)
    text = MTLS.partition("[certificates.partner]")[0] + MTLS[MTLS.index("[workers") :]
    project.write("mtls.toml", text.replace("PORT", "1"))
    result, told = verify(project, "--level", "files"), project.run("verify", "--level", "files")
    assert (result.code, levels(result)) == (1, {"files": "refuted faulty"})
    assert said in told.out
    validated = project.run("validate")
    assert validated.code == 1
    assert said in validated.out


# --- which certificates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["biling"], "fix  did you mean `billing`?"),
        (["partner"], "is a CA, which a Worker can't use"),
        (["--offline", "--level", "origin"], "`--offline` sends nothing, but the level origin does"),
    ],
)
def test_what_does_not_fit_is_wrong_use(project: Project, arguments: list[str], said: str) -> None:
    """64, and nothing is sent."""
    result = project.run("verify", *arguments)
    assert result.code == 64
    assert said in result.err


def test_names_may_be_globs_and_cas_are_left_out(project: Project) -> None:
    """Each certificate is proved once."""
    result = verify(project, "b*", "billing", "--level", "files")
    assert [proof["certificate"] for proof in result.json["certificates"]] == ["billing"]


def test_nothing_to_prove_is_said(project: Project) -> None:
    """A project without a client certificate."""
    project.write("mtls.toml", 'version = 1\nstack = "payments"\n')
    result = project.run("verify")
    assert result.code == 0
    assert "Nothing to verify: mtls.toml declares no client certificate." in result.out


# --- wrangler and workerd -------------------------------------------------------------------------------------------


@pytest.fixture
def with_programs(project: Project) -> Project:
    """The project's own wrangler, and workerd with it."""
    install_wrangler(project.folder)
    project.environ["PATH"] = node_path()
    return project


def test_wrangler_is_asked_what_it_would_deploy(with_programs: Project) -> None:
    """The ID of the certificate, a placeholder, another ID, or nothing: by the real wrangler."""
    project = with_programs
    offline = ("--level", "wrangler", "--offline")
    assert levels(verify(project, "--level", "wrangler"))["wrangler"] == "skipped not-stored"
    assert levels(verify(project, *offline))["wrangler"] == "refuted not-bound"

    assert project.run("apply", "--yes").code == 0
    bound = project.read("wrangler.toml")
    result = verify(project, "--level", "wrangler")
    assert (result.code, levels(result)) == (0, {"wrangler": "proved same-ids"})
    (run,) = result.json["certificates"][0]["levels"][0]["dry_runs"]
    assert run["found"] == run["wanted"] == project.run("output", "billing").out.strip()

    other = "10ca1000-0000-4000-8000-000000000001"
    project.write("wrangler.toml", bound.replace(run["found"], other))
    assert levels(verify(project, "--level", "wrangler"))["wrangler"] == "refuted other-ids"
    assert levels(verify(project, *offline))["wrangler"] == "proved same-ids"

    # wrangler only warns that an environment does not inherit the binding, and deploys without it.
    project.write("wrangler.toml", bound)
    project.write(
        "mtls.toml", project.read("mtls.toml") + '\n[workers.checkout.env.staging.bindings]\nBILLING = "billing"\n'
    )
    result = project.run("verify", "--level", "wrangler")
    assert result.code == 1
    assert "absent: wrangler would deploy without BILLING in wrangler.toml (staging)" in result.out


@pytest.fixture
def project_with_traps(project: Project, tmp_path: Path) -> Project:
    """Each program that a pull request may bring leaves a trace; the Worker is bound, so nothing else holds a level."""
    assert project.run("apply", "--yes").code == 0
    (tmp_path / "ran").mkdir()
    for name in ("node_modules/.bin/wrangler", "node_modules/.bin/workerd"):
        project.write(name, f'#!/bin/sh\necho > "{tmp_path}/ran/${{0##*/}}"\nexit 1\n').chmod(0o700)
    project.environ["MTLSCTL_WORKERD"] = str(project.folder / "node_modules/.bin/workerd")
    project.environ["PATH"] = "/usr/bin:/bin"
    return project


NOT_ALLOWED = {
    "files": "proved in-order",
    "wrangler": "skipped not-allowed",
    "origin": "proved accepted",
    "runtime": "skipped not-allowed",
}


def test_nothing_of_the_checkout_is_run_unless_the_operator_says_so(
    project_with_traps: Project, tmp_path: Path
) -> None:
    """A level that was not run is reported with the reason and what to do, and never as passed."""
    project = project_with_traps
    with at_origin(project, tmp_path):
        result, text = verify(project), project.run("verify")
        offline = verify(project, "--offline")
        assert list((tmp_path / "ran").iterdir()) == []
    assert (result.code, levels(result)) == (0, NOT_ALLOWED)
    assert levels(offline) == {"files": "proved in-order", "wrangler": "skipped not-allowed"}
    assert "2 passed, 2 skipped." in text.out
    assert "wrangler and runtime run programs of this checkout: add --run-project if you trust it." in text.out
    assert "skipped: it runs the project's wrangler and its build, and that was not allowed" in text.out
    assert "fix  run it with `--level runtime` or `--run-project`, if you trust this checkout" in text.out


@pytest.mark.parametrize(
    ("arguments", "environ", "runs"),
    [
        (["--run-project"], {}, True),
        (["--level", "wrangler"], {}, True),
        (["--level", "wrangler", "--offline"], {}, True),
        ([], {"MTLSCTL_RUN_PROJECT": "1"}, True),
        ([], {"MTLSCTL_RUN_PROJECT": "0"}, False),
        ([], {"MTLSCTL_RUN_PROJECT": "true"}, False),
        ([], {"CI": "true"}, False),
        (["--level", "files"], {}, False),
        (["--level", "origin"], {}, False),
        (["--level", "files", "--run-project"], {}, False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list | dict) else "",
)
def test_the_operator_says_so_by_an_option_a_level_or_a_variable(
    project_with_traps: Project, tmp_path: Path, arguments: list[str], environ: dict[str, str], runs: bool
) -> None:
    """`MTLSCTL_RUN_PROJECT` is 1, as the variables of other permissions."""
    project_with_traps.environ |= environ
    with at_origin(project_with_traps, tmp_path):
        verify(project_with_traps, *arguments)
    assert (tmp_path / "ran/wrangler").exists() is runs
    assert (tmp_path / "ran/workerd").exists() is (runs and "--level" not in arguments)


@pytest.mark.parametrize(("answer", "runs"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_at_a_terminal_a_person_is_asked(project_with_traps: Project, tmp_path: Path, answer: str, runs: bool) -> None:
    """Once, and only where the answer makes a difference."""
    project = project_with_traps
    with at_origin(project, tmp_path), in_terminal(project, "verify") as run:
        assert not (tmp_path / "ran/wrangler").exists()
        run.until(r"Run them\? \[y/N\]: ")
        run.press(f"{answer}\n")
        run.end()
    assert (tmp_path / "ran/wrangler").exists() is runs
    assert run.seen.count("Run them?") == 1


@pytest.mark.parametrize("arguments", [("--level", "files"), ("--run-project",), ("--offline", "partner-*")])
def test_nobody_is_asked_where_the_answer_makes_no_difference(
    project_with_traps: Project, arguments: tuple[str, ...]
) -> None:
    """Nothing of the checkout would be run, or it was said already."""
    with in_terminal(project_with_traps, "verify", *arguments) as run:
        run.end()
    assert "Run them?" not in run.seen


def test_a_worker_that_wrangler_can_not_make_leaves_it_open(with_programs: Project) -> None:
    """The hint has wrangler's own output."""
    project = with_programs
    assert project.run("apply", "--yes").code == 0
    project.write("index.js", "export default {")
    result = verify(project, "--level", "wrangler")
    assert (result.code, levels(result)) == (3, {"wrangler": "inconclusive inconclusive"})


def test_a_real_worker_reaches_the_origin(with_programs: Project, tmp_path: Path) -> None:
    """Or it does not: a wrong certificate is refused there, too."""
    project = with_programs
    with at_origin(project, tmp_path):
        result = verify(project, "--level", "runtime")
        assert (result.code, levels(result)) == (0, {"runtime": "proved answered"})
        put(project, "expired")
        result = verify(project, "--level", "runtime")
        assert (result.code, levels(result)) == (1, {"runtime": "refuted rejected"})


def test_wrangler_sees_no_key_and_no_token(project: Project, tmp_path: Path) -> None:
    """Its environment has only what programs need to run."""
    seen = tmp_path / "seen"
    fake = project.write("fake/wrangler", f'#!/bin/sh\nenv > "{seen}"\nprintf "%s " "$@" >> "{seen}"\nexit 1\n')
    fake.chmod(0o700)
    project.environ |= {"MTLSCTL_WRANGLER": str(fake), "CLOUDFLARE_API_TOKEN": "t0ken-t0ken", "PATH": "/usr/bin:/bin"}
    result = verify(project, "--level", "wrangler", "--offline")
    assert levels(result) == {"wrangler": "inconclusive inconclusive"}
    assert "--dry-run" in seen.read_text()
    assert "BILLING_KEY" not in seen.read_text()
    assert "t0ken" not in seen.read_text()


# --- what a stranger sends ------------------------------------------------------------------------------------------


def _named(name: str) -> Authority:
    """A CA that no one trusts, valid as long as the one that the origin trusts."""
    root = pki().client_root.certificate
    return make_ca(name, not_before=root.not_valid_before_utc, not_after=root.not_valid_after_utc)


def test_what_an_origin_says_never_acts_on_the_terminal(project: Project, tmp_path: Path) -> None:
    """The names of its CAs are escaped in text and in JSON, and of many only some are shown."""
    files = tmp_path / "origin"
    files.mkdir()
    folder = folder_with_files(files)
    strange = b"".join(_named(f"\x1b[31mEvil {number}\n::error::").certificate_pem for number in range(30))
    (folder / "clients.pem").write_bytes(strange + pki().client_root.certificate_pem)
    with nginx(folder, "on") as port:
        project.write("mtls.toml", MTLS.replace("PORT", str(port)))
        text, document = project.run("verify", "--level", "origin"), verify(project, "--level", "origin")
    assert (text.code, document.code) == (0, 0)
    assert "\x1b" not in text.out + document.out
    assert "\n::error" not in text.out
    assert r"CN=\x1b[31mEvil 0\x0a::error::" in text.out
    assert "and 28 more" in text.out
    request = document.json["certificates"][0]["levels"][0]["connections"][0]["request"]
    assert (len(request["authorities"]), request["authorities_total"]) == (20, 31)


def test_an_issuer_that_the_origin_does_not_name_is_a_warning(project: Project, tmp_path: Path) -> None:
    """nginx may trust more CAs than it names, so the verdict does not change."""
    files = tmp_path / "origin"
    files.mkdir()
    folder = folder_with_files(files)
    (folder / "trusted.pem").write_bytes(pki().client_root.certificate_pem)
    (folder / "clients.pem").write_bytes(_named("Named alone").certificate_pem)
    with nginx(folder, "on", more="ssl_trusted_certificate trusted.pem;") as port:
        project.write("mtls.toml", MTLS.replace("PORT", str(port)))
        result = verify(project, "--level", "origin")
    assert (result.code, levels(result)) == (0, {"origin": "proved accepted"})
    assert [item["code"] for item in result.json["certificates"][0]["levels"][0]["diagnostics"]] == ["issuer-not-named"]


def test_the_report_can_be_written_to_a_file(project: Project, tmp_path: Path) -> None:
    """The same as on stdout."""
    with at_origin(project, tmp_path):
        result = verify(project, "--level", "origin", "--out", "proofs.json")
    assert project.read("proofs.json") == result.out
