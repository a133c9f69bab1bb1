"""`mtlsctl dev`: the user's Worker on real workerd calls origins with the real certificate, and nothing of it
remains."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.cli import Project
from tests.support.origins import BEGIN, TODAY, client, client_ca, origin, server_ca
from tests.support.paths import REPOSITORY
from tests.support.runtime_programs import install_wrangler, node_path
from tests.support.wrangler_readers import find_node

MTLS = """\
version = 1
stack = "shop"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
verify = { url = "https://localhost/health", ca = "certs/origin.pem" }

[workers.checkout]
config = "apps/checkout/wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"

[workers.checkout.env.staging.bindings]
BILLING = "billing"
PARTNER = { id = "10ca1000-3135-49e3-b30d-14f06f7221a7" }
"""

WRANGLER = """\
name = "checkout"
main = "src/index.ts"
compatibility_date = "2026-11-01"
vars = { GREETING = "hé", LIMITS = { most = 3 } }

[[mtls_certificates]]
binding = "BILLING"
certificate_id = "<CERTIFICATE_ID>"

[env.staging]
kv_namespaces = [{ binding = "KV", id = "abc" }]
r2_buckets = [{ binding = "FILES", bucket_name = "files" }]
mtls_certificates = [{ binding = "STRAY", certificate_id = "10ca1000-3135-49e3-b30d-14f06f7221a7" }]
[env.staging.secrets]
required = ["API_KEY"]
"""

SOURCE = """\
import { inspect } from "./inspect";
export default {
  async fetch(request: Request, env: any): Promise<Response> {
    const url = new URL(request.url).searchParams.get("url");
    console.log("asked \\x1b[31m");
    return url ? await env.BILLING.fetch(url) : Response.json(inspect(env));
  }
}
"""

INSPECT = """\
import process from "node:process";
export const inspect = (env: any) => [Object.keys(env).sort(), env.GREETING, env.LIMITS, process.env];
"""


@dataclass
class Running:
    """A running `mtlsctl dev`."""

    process: subprocess.Popen[str]
    errors: Path
    port: int = 0

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """The Worker's answer: status and body."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            return reply.status, reply.read()

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Its exit code, and its output from the second line on."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        return self.process.wait(), out, self.errors.read_text()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A Worker in TypeScript, in its own folder, with wrangler as a package at the root of the tree."""
    find_node()
    made = Project(tmp_path, {"PATH": node_path(), "TMPDIR": str(tmp_path / "tmp")})
    (tmp_path / ".git").mkdir()
    (tmp_path / "tmp").mkdir()
    made.write("mtls.toml", MTLS)
    made.write("apps/checkout/wrangler.toml", WRANGLER)
    made.write("apps/checkout/src/index.ts", SOURCE)
    made.write("apps/checkout/src/inspect.ts", INSPECT)
    made.write("certs/billing.pem", client("billing").chain_pem)
    made.write("certs/origin.pem", server_ca().certificate_pem)
    made.environ["BILLING_KEY"] = client("billing").key_pem.decode()
    made.environ["CLOUDFLARE_API_TOKEN"] = "canary-token"
    install_wrangler(tmp_path)
    return made


@contextlib.contextmanager
def started(project: Project, *arguments: str) -> Iterator[Running]:
    """`mtlsctl dev checkout` in its own process."""
    command = [sys.executable, "-m", "reconciler", "dev", "checkout", "--port", "0", *arguments]
    errors = project.folder / "stderr.txt"
    with errors.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=project.folder,
            env={**project.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    with process:
        try:
            yield Running(process, errors)
        finally:
            process.kill()


@contextlib.contextmanager
def dev(project: Project, *arguments: str) -> Iterator[Running]:
    """`mtlsctl dev checkout`, once it is ready."""
    with started(project, *arguments) as running:
        assert running.process.stdout is not None
        first = running.process.stdout.readline()
        found = re.search(r"answers on http://127\.0\.0\.1:(\d+)", first)
        assert found, first + running.errors.read_text()
        running.port = int(found[1])
        yield running


def test_the_users_worker_calls_an_origin_with_the_real_certificate(project: Project) -> None:
    """With `env.BILLING.fetch(url)`, as when it is deployed; `verify.ca` makes the origin's root trusted."""
    with origin() as running, dev(project) as worker:
        assert worker.get(f"/?url={running.url}") == (200, b"ok")
        assert running.seen == [client("billing").certificate.serial_number]
        code, out, err = worker.end()
    assert code == 130
    assert "  BILLING  uses billing, which expires " in out
    assert "asked \\x1b[31m" in out
    assert "Traceback" not in err


def test_variables_are_served_and_nothing_of_this_machines_environment(project: Project) -> None:
    """Texts and values, in the Worker as wrangler builds it."""
    project.write(
        "apps/checkout/wrangler.toml", WRANGLER.replace("vars", 'compatibility_flags = ["nodejs_compat"]\nvars', 1)
    )
    with dev(project) as worker:
        names, greeting, limits, seen = json.loads(worker.get("/")[1])
    assert names == ["BILLING", "GREETING", "LIMITS"]
    assert (greeting, limits) == ("hé", {"most": 3})
    assert not {"BILLING_KEY", "CLOUDFLARE_API_TOKEN", "PATH"} & set(seen)


def test_what_a_build_tool_made_is_run_where_wrangler_would_deploy_it(project: Project) -> None:
    """The target of a redirect, which has the code; the declared file has the bindings."""
    project.write("apps/checkout/.wrangler/deploy/config.json", '{"configPath": "../../dist/wrangler.json"}')
    made = {"name": "checkout", "main": "index.js", "compatibility_date": "2026-11-01", "no_bundle": True}
    project.write("apps/checkout/dist/wrangler.json", json.dumps(made))
    source = 'export default { fetch: async (request, env) => new Response("built: " + Object.keys(env)) };'
    project.write("apps/checkout/dist/index.js", source)
    with dev(project) as worker:
        assert worker.get("/")[1] == b"built: BILLING"


def test_an_origin_that_refuses_is_explained_on_stderr(project: Project) -> None:
    """The Worker only gets "internal error", as when it is deployed."""
    project.write("certs/billing.pem", server_ca().issue("x", key=client("billing").key).chain_pem)
    with origin() as running, dev(project) as worker:
        assert worker.get(f"/?url={running.url}")[0] == 500
        _, _, err = worker.end()
    assert "a call failed: the origin ended the handshake with unknown_ca" in err
    assert "stack: " not in err


def test_what_cant_be_served_is_named_at_once_with_its_place(project: Project) -> None:
    """By name and kind; for example a binding by id, an undeclared certificate, or an unavailable key."""
    del project.environ["BILLING_KEY"]
    result = project.run("dev", "checkout", "--env", "staging", "--port", "0")
    assert result.code == 1
    told = re.findall(r"error\[(.+?)\]: (\w+).*\n  at +(.+?):", result.err)
    file = "apps/checkout/wrangler.toml"
    assert sorted(told) == [
        ("dev-unserved", "API_KEY", file),
        ("dev-unserved", "FILES", file),
        ("dev-unserved", "KV", file),
        ("dev-unserved", "PARTNER", "mtls.toml"),
        ("dev-unserved", "STRAY", file),
        ("key-unavailable", "BILLING", "mtls.toml"),
    ]
    assert "KV (kv_namespace) can't be served here\n  at   apps/checkout/wrangler.toml:11:1" in result.err
    assert 'export BILLING_KEY="$(cat KEY)"' in result.err


def test_a_worker_runs_without_what_cant_be_served_where_that_is_wanted(project: Project) -> None:
    """What is missing is reported; a declared binding that the wrangler file lacks is served anyway."""
    with origin() as running, dev(project, "--env", "staging", "--without-unserved") as worker:
        assert worker.get(f"/?url={running.url}")[1] == b"ok"
        assert json.loads(worker.get("/")[1])[0] == ["BILLING"]
        _, _, err = worker.end()
    assert err.count("; the Worker runs without it") == 5


def files_with(folder: Path, secret: str) -> list[str]:
    """The files in a folder that contain a text, except those of packages."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "node_modules"]
        found += [name for name in names if secret.encode() in Path(place, name).read_bytes()]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_stays_however_it_ends(project: Project, number: signal.Signals) -> None:
    """No file has the key, neither during the run nor afterwards; no temporary folder, process or open port remains."""
    secret = client("billing").key_pem.decode().splitlines()[2]
    with dev(project) as worker:
        worker.get("/")
        assert files_with(project.folder, secret) == []
        assert list((project.folder / "tmp").iterdir()) == []
        code, out, err = worker.end(number)
    assert code == (-9 if number is signal.SIGKILL else 130)
    assert secret not in out + err
    assert files_with(project.folder, secret) == []
    assert list((project.folder / "tmp").iterdir()) == []
    assert not accepts(worker.port)


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from descendants(child)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="descriptors are looked at in /proc")
def test_no_file_that_workerd_keeps_open_has_the_key(project: Project) -> None:
    """Not the one in memory, either, that it was started with: other programs of the user could read it there."""
    secret = client("billing").key_pem.splitlines()[2]
    with origin() as running, dev(project) as worker:
        assert worker.get("/")[0] == 200
        opened = [one for pid in descendants(worker.process.pid) for one in Path(f"/proc/{pid}/fd").iterdir()]
        contents = [one.read_bytes() for one in opened if one.is_file()]
        assert any("memfd" in str(one.readlink()) for one in opened)
        assert not any(secret in content for content in contents)
        assert worker.get(f"/?url={running.url}") == (200, b"ok")


@pytest.mark.parametrize("headers", [{"Host": "attacker.example"}, {"Origin": "http://attacker.example"}])
def test_a_web_page_of_somebody_else_gets_no_answer(project: Project, headers: dict[str, str]) -> None:
    """A host name that the user allows is answered."""
    with dev(project, "--allow-host", "shop.example") as worker:
        assert worker.get("/", **headers)[0] == (421 if "Host" in headers else 403)
        assert worker.get("/", Host=f"shop.example:{worker.port}")[0] == 200


def accepts(port: int) -> bool:
    """True if someone still listens there, after time to end, because after SIGKILL the keeper ends it."""
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.recv(1)  # ends when the listener's process does
        except OSError:
            return False
    return True


def test_the_private_folder_of_a_build_is_closed_to_others_and_gone_when_it_fails(project: Project) -> None:
    """A build script of the project checks it from inside, with its environment; it sees no key and no token."""
    looking = "find $TMPDIR -name 'mtlsctl-dev-*' -printf '%m\\n' > seen.txt; env > environment.txt; exit 3"
    text = project.read("apps/checkout/wrangler.toml")
    project.write("apps/checkout/wrangler.toml", f"{text}\n[build]\ncommand = {json.dumps(looking)}\n")
    with started(project) as worker:
        assert worker.process.wait() == 1
        assert "error[dev-bundle]: wrangler could not build this Worker" in worker.errors.read_text()
    assert project.read("apps/checkout/seen.txt").split() == ["700"]
    assert not {"canary-token", "BILLING_KEY"} & set(re.split(r"[=\n]", project.read("apps/checkout/environment.txt")))
    assert list((project.folder / "tmp").iterdir()) == []


def test_what_wrangler_says_of_a_broken_worker_is_shown(project: Project) -> None:
    """Its own output, indented, without colours."""
    project.write("apps/checkout/src/index.ts", "export default {")
    result = project.run("dev", "checkout", "--port", "0")
    assert result.code == 1
    assert re.search(r"\n    \| .*src/index\.ts:1:16", result.err)
    assert "\x1b" not in result.err


def test_what_workerd_says_of_a_worker_that_does_not_start_is_shown(project: Project) -> None:
    """For example an exception at its top level."""
    project.write("apps/checkout/src/index.ts", "throw new Error('at the start'); export default {};")
    result = project.run("dev", "checkout", "--port", "0")
    assert result.code == 1
    assert "error[dev-not-started]" in result.err
    assert "at the start" in result.err


def test_what_does_not_keep_a_worker_from_running_is_said(project: Project) -> None:
    """An unknown date, static assets, secrets in a file, an expired certificate: the origin decides."""
    old = client_ca().issue("old", key=client("billing").key, not_before=BEGIN, not_after=TODAY - timedelta(days=1))
    project.write("certs/billing.pem", old.chain_pem)
    project.write("apps/checkout/public/index.html", "x")
    project.write("apps/checkout/.dev.vars", "API_KEY=canary")
    text = project.read("apps/checkout/wrangler.toml").replace("2026-11-01", "2999-01-01")
    project.write("apps/checkout/wrangler.toml", f'{text}\n[assets]\ndirectory = "public"\n')
    with dev(project) as worker:
        assert worker.get("/")[0] == 200
        _, _, err = worker.end()
    assert sorted(re.findall(r"warning\[(.+)\]", err)) == [
        "certificate-expired",
        "dev-assets",
        "dev-date-capped",
        "dev-secrets",
    ]
    assert "has 2999-01-01" in err
    assert "canary" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["chekout"], 64, "did you mean `checkout`?"),
        (["checkout", "--env", "prod"], 64, "has no environment 'prod'"),
        (["checkout", "--port", "70000"], 64, "less than or equal to 65535"),
        (["checkout", "--allow-host", "http://shop.example"], 64, "is not a host name"),
        ([], 64, "Missing argument 'WORKER'"),
    ],
)
def test_wrong_use_is_told_before_anything_is_made(
    project: Project, arguments: list[str], code: int, words: str
) -> None:
    """With the valid names."""
    result = project.run("dev", *arguments)
    assert result.code == code
    assert words in result.err
    assert not (project.folder / "apps/checkout/.wrangler").exists()


def test_a_port_that_is_taken_is_told_before_anything_is_made(project: Project) -> None:
    """The Worker is not built first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = project.run("dev", "checkout", "--port", str(taken.getsockname()[1]))
    assert result.code == 1
    assert "error[address]" in result.err
    assert not (project.folder / "apps/checkout/.wrangler").exists()


def test_a_pair_that_is_none_is_an_error(project: Project) -> None:
    """An old workerd would start with it, and send no certificate."""
    project.environ["BILLING_KEY"] = client("other").key_pem.decode()
    result = project.run("dev", "checkout", "--port", "0", "--without-unserved")
    assert result.code == 1
    assert "error[key-mismatch]: $BILLING_KEY for " in result.err


@pytest.mark.parametrize("variable", ["MTLSCTL_WRANGLER", "MTLSCTL_WORKERD"])
def test_a_program_that_is_not_there_is_named(project: Project, variable: str) -> None:
    """And how to install it."""
    project.environ[variable] = "/no/such/program"
    result = project.run("dev", "checkout", "--port", "0")
    assert result.code == 1
    assert f"error[program-missing]: {variable} is '/no/such/program'" in result.err


def test_without_wrangler_there_is_a_hint(project: Project) -> None:
    """In a project without it."""
    (project.folder / "node_modules").unlink()
    project.environ["PATH"] = "/nowhere"
    result = project.run("dev", "checkout", "--port", "0")
    assert result.code == 1
    assert "npm install wrangler" in result.err


def test_a_pages_project_is_refused(project: Project) -> None:
    """It has its own runtime."""
    project.write("apps/checkout/wrangler.toml", 'name = "x"\npages_build_output_dir = "out"\n')
    result = project.run("dev", "checkout", "--port", "0")
    assert result.code == 1
    assert "error[dev-pages]" in result.err
