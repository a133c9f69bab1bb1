"""Hostile files through the real command line: it ends by itself, with little work, in a documented code, harmlessly.

How a file is read is tested where it is read; here is only what every reader promises.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.support.cli import MTLS, Project
from tests.support.hostile import MAX_CALLS, check_run, check_texts, find_harm
from tests.support.hostile_files import (
    CERTIFICATE_FILES,
    JSON_FILES,
    KEYS,
    MTLS_FILES,
    WRANGLER_FILES,
    large_rsa,
    large_rsa_pem,
)
from tests.support.measured import HangingError, Measured, measure, measure_counted
from tests.support.sizes import sampled
from tests.support.worlds import issued


def run(project: Project, *arguments: str, **environ: str) -> Measured:
    """`mtlsctl ARGUMENTS` as a process of its own."""
    return measure_counted(arguments, folder=project.folder, environ={**project.environ, **environ})


def test_harm_is_seen() -> None:
    """The judge of the outputs can fail."""
    for text in (
        "a\x1b[2Jb",
        "\u202e",
        "a\n ::error::",
        "x ##[error]",
        "\x9b",
        "a\rb",
        "Traceback (most recent call last):",
    ):
        assert find_harm(text), ascii(text)
    assert find_harm("\x1b[31mred\x1b[0m äöü € 🦊 a::b # [x]\n") is None


def test_what_hangs_and_what_costs_is_seen(tmp_path: Path) -> None:
    """The measure can fail: a process that waits is ended, and memory is the child's own."""
    with pytest.raises(HangingError):
        measure(["/bin/sh", "-c", "sleep 60"], folder=tmp_path, timeout_s=0.2)
    small = measure_counted(["--version"], folder=tmp_path)
    assert 5 < small.peak_mb < 60
    assert small.calls is not None
    assert 10_000 < small.calls < MAX_CALLS


@pytest.mark.parametrize("name", sampled(MTLS_FILES))
def test_a_hostile_mtls_toml_costs_little(project: Project, name: str) -> None:
    """Caps and counts before anything is made of it; what is wrong is told in text and in JSON."""
    given = project.write("mtls.toml", MTLS_FILES[name]())
    check_run(run(project, "plan", "--format", "json"), given=given.stat().st_size)


@pytest.mark.parametrize("name", sampled(WRANGLER_FILES))
def test_a_hostile_wrangler_toml_costs_little(project: Project, name: str) -> None:
    """The same caps, at a quarter of the size."""
    given = project.write("wrangler.toml", WRANGLER_FILES[name]())
    check_run(run(project, "plan", "--format", "json"), given=given.stat().st_size)


@pytest.mark.parametrize("name", sampled(JSON_FILES))
def test_a_hostile_wrangler_jsonc_costs_little(project: Project, name: str) -> None:
    """JSON has its own reader and its own bombs."""
    project.write("mtls.toml", MTLS.replace("wrangler.toml", "wrangler.jsonc"))
    given = project.write("wrangler.jsonc", JSON_FILES[name]())
    check_run(run(project, "plan", "--format", "json"), given=given.stat().st_size)


def declare(names: list[str], *, key: str) -> str:
    """An mtls.toml with a certificate for each of these files."""
    tables = [
        f'[certificates.c{number}]\ncertificate = "certs/c{number}.pem"\nprivate_key = {{ env = "{key}{number}" }}\n'
        for number, _ in enumerate(names)
    ]
    return 'version = 1\nstack = "a"\n' + "".join(tables)


def test_hostile_certificates_cost_little_all_together(project: Project) -> None:
    """Each is refused alone and by name; the good one beside them is planned."""
    names = [*CERTIFICATE_FILES, "good"]
    given = 0
    for number, name in enumerate(names[:-1]):
        given += project.write(f"certs/c{number}.pem", CERTIFICATE_FILES[name]()).stat().st_size
    project.write(f"certs/c{len(names) - 1}.pem", project.read("certs/billing.pem"))
    project.write("mtls.toml", declare(names, key="K"))
    result = run(project, "plan")
    check_run(result, codes=frozenset({5}), given=given)
    out = result.out.decode()
    assert f"\n  c{len(names) - 1}  new\n    + upload  needs $K" in out
    assert "1 upload" in out
    assert all(f"certs/c{number}.pem" in out for number, _ in enumerate(names[:-1]))


def test_one_hostile_certificate_named_thousands_of_times_is_told_in_full_once(project: Project) -> None:
    """Two hundred findings for each of four thousand names would be half a gigabyte."""
    project.write("certs/bad.pem", CERTIFICATE_FILES["only beginnings"]())
    names = "".join(f"[certificates.c{number}]\ncertificate='certs/bad.pem'\n" for number in range(4000))
    given = project.write("mtls.toml", f"version = 1\nstack = 'a'\n{names}")
    result = run(project, "plan", "--format", "json")
    check_run(result, codes=frozenset({1}), given=given.stat().st_size)
    assert len(result.out) < 3_000_000


@pytest.mark.parametrize("command", ["validate", "drift"])
def test_one_good_file_named_thousands_of_times_is_checked_once(project: Project, command: str) -> None:
    """A chain of 8 certificates; what is found in it is told of each name."""
    project.write("certs/chain.pem", b"".join(issued(number).certificate_pem for number in range(1, 9)))
    names = "".join(f"[certificates.c{number}]\ncertificate='certs/chain.pem'\n" for number in range(2000))
    given = project.write("mtls.toml", f"version = 1\nstack = 'a'\n{names}")
    check_run(run(project, command), given=given.stat().st_size)


NAMED = {
    "15,000 Workers of one file": "[workers.w{0}]\nconfig = 'wrangler.toml'\n",
    "3,000 names that are nearly right": (
        "[workers.x{0}]\nconfig = 'wrangler.toml'\n[workers.x{0}.env.e{0}.bindings]\nB = 'biling{0}'\n"
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_thousands_of_workers_of_one_file_cost_little(project: Project, name: str) -> None:
    """Each is refused, with what was probably meant."""
    count = int(name.split()[0].replace(",", ""))
    text = MTLS + "".join(NAMED[name].format(number) for number in range(count))
    given = project.write("mtls.toml", text)
    check_run(run(project, "validate"), codes=frozenset({1}), given=given.stat().st_size)


def test_one_content_as_leaf_and_ca_is_told_shortly(project: Project) -> None:
    """A sentence names some of the certificates, not thousands in each of thousands."""
    names = "".join(
        f"[certificates.c{number}]\ncertificate='certs/billing.pem'\nca={str(number % 2 == 0).lower()}\n"
        for number in range(3000)
    )
    given = project.write("mtls.toml", f"version = 1\nstack = 'a'\n{names}")
    result = run(project, "plan", "--format", "json")
    check_run(result, codes=frozenset({1}), given=given.stat().st_size)
    assert len(result.out) < 4_500_000  # each certificate has its public facts, too


def test_hostile_keys_cost_little_all_together(project: Project) -> None:
    """None is quoted, none is uploaded."""
    project.write("mtls.toml", declare(list(KEYS), key="K"))
    environ = {}
    for number, name in enumerate(KEYS):
        project.write(f"certs/c{number}.pem", project.read("certs/billing.pem") + "\n" * number)
        content = KEYS[name]()
        environ[f"K{number}"] = content if isinstance(content, str) else content.decode("latin-1")
    for command in (["validate", "--format", "json"], ["apply", "--yes"]):
        check_run(run(project, *command, **environ), codes=frozenset({1, 5}))
    assert not (project.folder / ".mtlsctl/store.db").exists()


def test_a_key_that_takes_a_second_to_sign_is_refused_before_it_signs(project: Project) -> None:
    """Certificate and key belong together, and no origin would take them."""
    assert large_rsa().key_size > 15_000
    project.write("certs/billing.pem", CERTIFICATE_FILES["an RSA key of 15,636 bits"]())
    result = run(project, "validate", BILLING_KEY=large_rsa_pem().decode())
    check_run(result, codes=frozenset({1}))
    assert "origins refuse RSA keys above 8192 bits" in result.out.decode()


@pytest.mark.parametrize("path", ["mtls.toml", "wrangler.toml", "certs/billing.pem", "certs/billing.key", "plan.json"])
def test_a_sparse_gigabyte_is_not_read(project: Project, path: str) -> None:
    """The size that is read is capped, whatever the file system says."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', '"certs/billing.key"'))
    with (project.folder / path).open("wb") as file:
        file.truncate(1 << 30)
    command = ["show", "plan.json"] if path == "plan.json" else ["validate"]
    result = run(project, *command)
    check_run(result, codes=frozenset({1}))
    assert "is larger than" in (result.out + result.err).decode()


def test_a_thousand_arguments_and_globs_cost_little(project: Project) -> None:
    """The command line is input too."""
    names = [argument for number in range(1000) for argument in ("--only", f"x{number}*")]
    check_run(run(project, "plan", *names), codes=frozenset({64}))
    check_run(run(project, "plan", "--only", "*a" * 30 + "b"), codes=frozenset({64}))
    check_run(run(project, "plan", "--only", "[" * 100_000), codes=frozenset({64}))


def test_a_large_environment_costs_little(project: Project) -> None:
    """A thousand variables, and a folder list with a thousand folders."""
    folders = os.pathsep.join(f"/no/such/folder/{number}" for number in range(1000))
    noise = {f"V{number}": "x" * 100 for number in range(1000)}
    result = run(project, "plan", MTLSCTL_KEY_DIRS=folders, **noise)
    check_run(result, codes=frozenset({0}))


def test_help_is_harmless_too(project: Project) -> None:
    """With colour asked for, and with none."""
    for arguments in (["--help"], ["plan", "--help"], ["--color", "always", "plan"], ["--color", "never", "plan"]):
        result = run(project, *arguments)
        check_texts(result.out.decode(), result.err.decode())
        assert result.code == 0


def test_a_compressed_plan_is_no_plan(project: Project) -> None:
    """As everything that is not what it is called."""
    project.write("plan.json", gzip.compress(b"{}" * 1000))
    check_run(run(project, "show", "plan.json"), codes=frozenset({1}))
