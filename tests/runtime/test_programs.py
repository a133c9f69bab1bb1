"""The output of a program: all of it or an error, and nothing of it, or of its environment, anywhere else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from reconciler.findings.errors import KeySourceError, NotStartedError
from reconciler.runtime.programs import output
from tests.support.pki import make_ca

KEY = make_ca("Root").issue("client").key_pem.decode()


def run(
    folder: Path,
    code: str,
    *,
    environ: dict[str, str] | None = None,
    limit: int = 13_000,
    longest_s: float = 60.0,
    passed: frozenset[str] = frozenset(),
) -> bytes:
    """The output of a Python program."""
    return output(
        [sys.executable, "-c", code],
        folder=folder,
        environ=environ or {},
        withheld=frozenset({"OTHER_KEY"}),
        limit=limit,
        longest_s=longest_s,
        passed=passed,
    )


def test_the_output_is_what_the_program_prints(tmp_path: Path) -> None:
    """To its standard output, in the folder of mtls.toml; its standard error is nobody's business."""
    (tmp_path / "here").write_text(KEY)
    code = "import sys; print(open('here').read(), end=''); print('unlocking', file=sys.stderr)"
    assert run(tmp_path, code) == KEY.strip().encode()


def test_it_gets_what_password_managers_need_and_no_key_or_token_of_cloudflare(tmp_path: Path) -> None:
    """Nor a variable with a key that is declared, or that has the text of one."""
    environ = {"OP_SESSION": "s", "HOME": "/h", "CLOUDFLARE_API_TOKEN": "t", "OTHER_KEY": "k", "SPARE": KEY}
    environ |= {"MTLSCTL_CI_GITHUB_TOKEN": "t", "MTLSCTL_CI_GITLAB_TOKEN": "t", "MTLSCTL_RENEW_TOKEN": "t"}
    seen = json.loads(run(tmp_path, "import json, os; print(json.dumps(dict(os.environ)))", environ=environ))
    assert seen.items() >= {"OP_SESSION": "s", "HOME": "/h"}.items()
    assert not {"CLOUDFLARE_API_TOKEN", "OTHER_KEY", "SPARE"} & set(seen)
    assert not [name for name in seen if name.startswith("MTLSCTL_CI_")]


def test_it_gets_what_is_passed_whatever_that_is(tmp_path: Path) -> None:
    """Also what is withheld otherwise."""
    environ = {"CLOUDFLARE_API_TOKEN": "t", "OTHER_KEY": "k", "SPARE": KEY}
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = json.loads(run(tmp_path, code, environ=environ, passed=frozenset({"OTHER_KEY", "SPARE"})))
    assert {"OTHER_KEY": "k", "SPARE": KEY}.items() <= seen.items()
    assert "CLOUDFLARE_API_TOKEN" not in seen


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (f"print({KEY!r}); raise SystemExit(3)", "failed with exit code 3"),
        (f"import sys; print({KEY!r}, file=sys.stderr); raise SystemExit(1)", "failed with exit code 1"),
        ("print('k' * 300); print('k' * 300)", "printed more than 400 bytes"),
        ("import signal; print('k', flush=True); signal.pause()", "did not end within 1 s"),
    ],
)
def test_a_program_that_fails_gives_no_key_and_shows_nothing(tmp_path: Path, code: str, message: str) -> None:
    """Not even what it wrote to its standard error, which may have the key."""
    with pytest.raises(KeySourceError, match=message) as refused:
        run(tmp_path, code, limit=400, longest_s=1.0)
    assert KEY.splitlines()[1] not in refused.value.message
    assert refused.value.hint is not None


def test_an_endless_output_is_stopped(tmp_path: Path) -> None:
    """It does not fill the memory, and the program does not go on."""
    with pytest.raises(KeySourceError, match="printed more than"):
        run(tmp_path, "while True: print('k' * 1000)")


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(KeySourceError, match="the command 'no-such-program' could not be started") as refused:
        output(["no-such-program"], folder=tmp_path, environ={}, withheld=frozenset(), limit=1)
    assert refused.value.hint == "install it, or check its name and the PATH"


@pytest.mark.parametrize(
    "code", ["import sys; sys.exit(127)", "import sys; print('jq: not found', file=sys.stderr); sys.exit(127)"]
)
def test_a_program_that_misses_another_one_was_started(tmp_path: Path, code: str) -> None:
    """Shells end with 127 for that, too, whatever they did before: an issuer may have signed by then."""
    with pytest.raises(KeySourceError, match="failed with exit code") as failed:
        run(tmp_path, code)
    assert not isinstance(failed.value, NotStartedError)


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", None], ids=["interpreter", "file"])
def test_a_program_that_could_not_be_started_did_nothing(tmp_path: Path, text: str | None) -> None:
    """It is told apart, so that nothing is said about what it may have done."""
    if text is not None:
        (tmp_path / "sign.sh").write_text(text)
        (tmp_path / "sign.sh").chmod(0o755)
    with pytest.raises(NotStartedError):
        output(["./sign.sh"], folder=tmp_path, environ={}, withheld=frozenset(), limit=10)
