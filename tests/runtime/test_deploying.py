"""Running wrangler for a deploy, with a script in its place that misbehaves: nothing hangs or leaks."""

from __future__ import annotations

import base64
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.findings.errors import DeployError, ReconcilerError
from reconciler.findings.secrets import HIDDEN
from reconciler.runtime.deploying import WranglerDeployer
from tests.support.store_contract import LEAVES

TOKEN = "cfut_0123456789abcdefghijklmnopqrstuvwxyz"
KEY = LEAVES[0].key_pem.decode()


@dataclass
class Site:
    """A folder with a script in place of wrangler."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def deployer(self, script: str, *, longest_s: float = 60.0, pauses_s: tuple[float, ...] = ()) -> WranglerDeployer:
        path = self.folder / "wrangler.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        environ = {"PATH": os.defpath, "MTLSCTL_WRANGLER": str(path), "CLOUDFLARE_API_TOKEN": TOKEN, **self.environ}
        withheld = frozenset({"BILLING_KEY"})
        address = "https://api.example/client/v4"
        return WranglerDeployer(self.folder, self.folder, environ, withheld, "a" * 32, address, longest_s, pauses_s)

    def deploy(self, script: str, **more: float) -> str | None:
        return self.deployer(script, **more).deploy("wrangler.toml", None, "shop")  # type: ignore[arg-type]

    def fails(self, script: str, **more: float) -> DeployError:
        with pytest.raises(DeployError) as caught:
            self.deploy(script, **more)
        return caught.value


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return Site(tmp_path)


def test_the_version_is_read_from_the_output_file(site: Site) -> None:
    """Its last deploy event counts; lines that are no events don't matter."""
    told = '{"type":"deploy","version_id":"%s"}'
    lines = [told % "v1", told % "v2", "{", "[1]", '{"type":"deploy","version_id":7}', '{"type":"deploy"}']
    assert site.deploy("\n".join(f"echo '{line}' >> $WRANGLER_OUTPUT_FILE_PATH" for line in lines)) == "v2"


@pytest.mark.parametrize(
    "script",
    [
        ":",
        "head -c 900000 /dev/zero | tr '\\0' '[' > $WRANGLER_OUTPUT_FILE_PATH",
        "head -c 5000000 /dev/zero > $WRANGLER_OUTPUT_FILE_PATH",
        "mkdir $WRANGLER_OUTPUT_FILE_PATH",
        "head -c 5000000 /dev/zero | tr '\\0' 'x'",
    ],
    ids=["nothing", "endless nesting", "5 MB of nothing", "a folder", "5 MB on one line"],
)
def test_an_output_that_is_no_output_tells_no_version(site: Site, script: str) -> None:
    """And this is not an error: the live version is read anyway."""
    assert site.deploy(script) is None


def test_a_program_that_hangs_is_ended(site: Site) -> None:
    """With everything it started; the error has its last output."""
    error = site.fails("echo building for ever; sleep 600 & wait", longest_s=0.5)
    assert "did not finish within" in error.message


def test_giving_up_ends_what_is_under_way_in_any_thread(site: Site) -> None:
    """An interrupted run does not wait for wrangler, and no process is left."""
    fifo = site.folder / "fifo"
    os.mkfifo(fifo)
    deployer = site.deployer(f"exec 5>{fifo}; echo begun >&5; sleep 600 & wait")
    ended: list[DeployError] = []

    def deploy() -> None:
        try:
            deployer.deploy("wrangler.toml", None, "shop")
        except DeployError as error:
            ended.append(error)

    thread = threading.Thread(target=deploy, daemon=True)
    thread.start()
    with fifo.open() as pipe:  # ends when the last process that holds it has ended
        assert pipe.readline() == "begun\n"
        deployer.give_up()
        assert pipe.read() == ""
    thread.join(60)
    assert len(ended) == 1
    assert list((site.folder / "tmp").iterdir()) == []


def test_nothing_begins_after_giving_up(site: Site) -> None:
    """Queued deploys end at once."""
    deployer = site.deployer("sleep 600 & wait")
    deployer.give_up()
    with pytest.raises(DeployError):
        deployer.deploy("wrangler.toml", None, "shop")


def test_a_secret_in_its_words_is_not_quoted(site: Site) -> None:
    """Neither the token nor a key that the build found, nor a part of either."""
    site.environ["BILLING_KEY"] = KEY
    (site.folder / "key.pem").write_text(KEY)
    leaks = ("echo token $CLOUDFLARE_API_TOKEN", "tail -n 2 key.pem", f"echo '{TOKEN[5:25]}'")
    error = site.fails("; ".join(("echo '[ERROR] Build failed'", *leaks, "exit 1")))
    assert error.message.count(HIDDEN) >= 2
    assert "Build failed" in error.message
    assert TOKEN[5:25] not in error.message
    assert not any(line in error.message for line in KEY.splitlines())


def test_its_words_are_cut_to_what_one_reads(site: Site) -> None:
    """A bundler may print a whole module as one line."""
    error = site.fails("echo '[ERROR] Build failed'; head -c 300000 /dev/zero | tr '\\0' 'x'; exit 1")
    assert "Build failed" in error.message
    assert len(error.message) < 2000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BILLING_KEY", "declared"),
        ("OTHER", KEY),
        ("OTHER", KEY.replace("\n", "\\n")),
        ("OTHER", base64.b64encode(KEY.encode()).decode()),
        ("AWS_SECRET_ACCESS_KEY", "of another cloud"),
        ("GITHUB_TOKEN", "of the forge"),
        ("CF_API_TOKEN", "another token"),
        ("WRANGLER_CI_MATCH_TAG", "tag"),
        ("WRANGLER_OUTPUT_FILE_DIRECTORY", "somewhere"),
    ],
)
def test_what_is_no_business_of_a_build_is_withheld(site: Site, name: str, value: str) -> None:
    """Private keys under any name, secrets of others, and variables that select another Worker."""
    site.environ |= {name: value, "MTLSCTL_PASS": "OTHER,BILLING_KEY"}
    assert site.deploy(f'test -z "${{{name}+set}}"') is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLOUDFLARE_API_BASE_URL", "https://api.example/client/v4"),
        ("CLOUDFLARE_ACCOUNT_ID", "a" * 32),
        ("CLOUDFLARE_API_KEY", "not-used"),
        ("CLOUDFLARE_EMAIL", ""),
        ("CF_EMAIL", "unset"),
        ("CLOUDFLARE_ENV", ""),
        ("HTTPS_PROXY", ""),
        ("https_proxy", ""),
        ("NODE_TLS_REJECT_UNAUTHORIZED", "1"),
        ("WRANGLER_API_ENVIRONMENT", "production"),
    ],
)
@pytest.mark.parametrize("before", [None, "of an attacker"], ids=["unset", "set"])
def test_what_leads_the_token_is_settled_before_wrangler_reads_an_env_file(
    site: Site, name: str, value: str, before: str | None
) -> None:
    """What a `.env` file of the repository could set; a global key without an address leaves the token in use."""
    if before is not None and "proxy" not in name.lower():
        site.environ[name] = before
    assert site.deploy(f'test "${{{name}-unset}}" = "{value}"') is None


def test_the_proxy_of_the_operator_stays(site: Site) -> None:
    """Written in either case, it is passed on in both."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        site.environ = {name: "http://proxy.example:3128"}
        assert (
            site.deploy('test "$HTTPS_PROXY$https_proxy" = http://proxy.example:3128http://proxy.example:3128') is None
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CERTIFICATE", LEAVES[0].certificate_pem.decode()),
        ("CERTIFICATE", base64.b64encode(LEAVES[0].certificate_pem).decode()),
        ("NODE_OPTIONS", "--max-old-space-size=1"),
    ],
)
def test_what_a_build_may_need_is_passed_on(site: Site, name: str, value: str) -> None:
    """What Node needs, and what the operator names."""
    site.environ |= {name: value, "MTLSCTL_PASS": "OTHER, CERT*"}
    assert site.deploy(f'test -n "${{{name}+set}}"') is None


def test_whatever_a_ci_system_calls_the_worker_the_one_that_was_decided_on_is_deployed(site: Site) -> None:
    """Workers Builds would make wrangler use the name of the Worker that is connected to the repository."""
    site.environ["WRANGLER_CI_OVERRIDE_NAME"] = "another"
    assert site.deploy('test "$WRANGLER_CI_OVERRIDE_NAME" = shop') is None


def test_an_upload_that_workers_have_not_seen_yet_is_waited_for(site: Site) -> None:
    """100143 a moment after an upload is a lag; the third attempt succeeds."""
    count = site.folder / "count"
    script = f"echo x >> {count}; test $(wc -l < {count}) -ge 3 || {{ echo 'not found. [code: 100143]'; exit 1; }}"
    assert site.deploy(script, pauses_s=(0.0, 0.0, 0.0)) is None  # type: ignore[arg-type]


def test_what_workers_never_see_fails_and_says_so(site: Site) -> None:
    """After the last pause; any other error is reported at once."""
    count = site.folder / "count"
    error = site.fails(f"echo x >> {count}; echo 'not found. [code: 100143]'; exit 1", pauses_s=(0.0,))  # type: ignore[arg-type]
    assert "100143" in error.message
    assert "a moment" in str(error.hint)
    assert count.read_text() == "x\nx\n"
    site.fails(f"echo x >> {count}; exit 1", pauses_s=(0.0,))  # type: ignore[arg-type]
    assert count.read_text() == "x\nx\nx\n"


# --- before anything is changed -------------------------------------------------------------------------------------


def refused(site: Site, script: str) -> ReconcilerError:
    """The error of a wrangler that can't be used."""
    with pytest.raises(ReconcilerError) as caught:
        site.deployer(script).demand_programs(["wrangler.toml"])
    assert caught.value.code == "program-missing"
    return caught.value


@pytest.mark.parametrize("script", ["echo 4.164.0", "echo ' wrangler 10.0.1 (update available 11.0.0)'", ":"])
def test_a_wrangler_that_runs_and_is_not_too_old_is_enough(site: Site, script: str) -> None:
    """One that does not tell its version is not judged; it gets neither the token nor a key."""
    site.environ["BILLING_KEY"] = KEY
    site.deployer(f"{script}; env > seen").demand_programs(["wrangler.toml", "other/wrangler.toml"])
    seen = re.findall(r"(?m)^\w+=", (site.folder / "seen").read_text())
    assert not {"CLOUDFLARE_API_TOKEN=", "BILLING_KEY="} & set(seen)


def test_a_wrangler_that_is_too_old_is_named_with_its_version(site: Site) -> None:
    """The newer one that npm offers is not its version."""
    error = refused(site, "echo ' wrangler 3.114.2 (update available 4.10.0)'")
    assert error.message.startswith("wrangler 3.114.2 is too old to deploy with")
    assert "npm install --save-dev wrangler@4" in str(error.hint)


def test_without_node_the_hint_is_to_install_it(site: Site) -> None:
    """As `env node` ends."""
    error = refused(site, "exec /usr/bin/env no-such-node")
    assert (error.hint, "no-such-node" in error.message) == ("install Node, which wrangler needs on the PATH", True)


def test_an_old_node_is_reported_in_the_words_of_wrangler(site: Site) -> None:
    """It refuses to start."""
    error = refused(site, "echo 'Wrangler requires at least Node.js v22'; exit 1")
    assert "requires at least Node.js v22" in error.message


def test_each_file_without_a_wrangler_counts(site: Site) -> None:
    """By the folders above it, and the PATH."""
    deployer = site.deployer(":")
    deployer.environ = {"PATH": str(site.folder)}
    with pytest.raises(ReconcilerError, match=r"not found, so a/wrangler.toml and 1 more can't be deployed"):
        deployer.demand_programs(["a/wrangler.toml", "b/wrangler.toml", "a/wrangler.toml"])
