"""`mtlsctl emulator`: its output, its refusals, its exit, and what it keeps."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reconciler.cli import commands
from reconciler.emulator import server
from reconciler.emulator.settings import Settings
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from tests.emulator.test_certificates import PATH, error_of, upload
from tests.emulator.test_workers import certificate, put, serving
from tests.support.cli import Result, run
from tests.support.emulated import client_of
from tests.support.paths import REPOSITORY
from tests.support.store_contract import LEAVES, SetClock

PORT = ("--port", "0")


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A running process, and the variables that it prints to export."""
    command = [sys.executable, "-m", "reconciler", "emulator", *PORT, *arguments]
    environment = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        variables = {found[1]: found[2] for line in lines if (found := re.match(r"export (\w+)=(.*)", line))}
        try:
            yield process, variables
        finally:
            process.kill()


def test_it_serves_until_ctrl_c(tmp_path: Path) -> None:
    """Its output is enough to use it; it ends with 130 and without a traceback."""
    with started(tmp_path) as (process, variables):
        assert variables["CLOUDFLARE_ACCOUNT_ID"] == ACCOUNT_ID
        headers = {"authorization": f"Bearer {variables['CLOUDFLARE_API_TOKEN']}"}
        url = f"{variables['CLOUDFLARE_API_BASE_URL']}/accounts/{ACCOUNT_ID}{PATH}"
        reply = httpx.get(url, headers=headers)
        assert reply.json()["result"] == []
        assert reply.headers["ratelimit-policy"] == '"default";q=1200;w=300'
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in told


class Served:
    """In place of the server: records what it should serve, and where, and ends at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[EmulatorState] = []
        listen = server.listen
        monkeypatch.setattr(server, "listen", lambda _host, port: listen("127.0.0.1", port))
        monkeypatch.setattr(server, "serve", lambda state, _listening, **_: self.states.append(state))

    @property
    def state(self) -> EmulatorState:
        """The state that it should serve."""
        (state,) = self.states
        return state


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    return Served(monkeypatch)


def test_everything_can_be_set_by_flags(tmp_path: Path, served: Served) -> None:
    """Lags, limits, faults and the account."""
    (tmp_path / "faults.json").write_text('[{"kind": "reset", "times": 2}]')
    lags = ("--list-lag", "5", "--binding-lag", "2", "--in-use-lag", "30", "--latency", "50")
    more = ("--leaf-limit", "7", "--rate-limit", "120/6s", "--faults", "faults.json", "--account", "f" * 32)
    done = run(tmp_path, {}, "emulator", *PORT, *lags, *more)
    assert done.code == 0, done.err
    assert f"CLOUDFLARE_ACCOUNT_ID={'f' * 32}\n" in done.out
    wanted = Settings(latency_s=0.05, list_lag_s=5, binding_lag_s=2, in_use_lag_s=30, leaf_limit=7)
    assert served.state.settings == wanted
    assert served.state.limiter.headers("me", SetClock().now())["Ratelimit"] == '"default";r=120;t=6'
    assert [fault.times for fault in served.state.faults.pending] == [2]


def test_faults_can_come_from_a_seed_and_the_limit_can_be_off(tmp_path: Path, served: Served) -> None:
    """Without a file."""
    assert run(tmp_path, {}, "emulator", *PORT, "--faults", "seed:7", "--rate-limit", "off").code == 0
    assert served.state.limiter.limit is None


def test_a_token_comes_from_the_environment_and_is_not_shown(tmp_path: Path, served: Served) -> None:
    """Then no other token is accepted."""
    done = run(tmp_path, {"EMULATOR_TOKEN": "sesame"}, "emulator", *PORT)
    assert 'CLOUDFLARE_API_TOKEN="$EMULATOR_TOKEN"' in done.out
    assert "sesame" not in done.out + done.err
    assert client_of(served.state, token="sesame").get(PATH).status_code == 200
    assert error_of(client_of(served.state, token="other").get(PATH))[1] == 9106


def test_listening_for_others_is_said_loudly(tmp_path: Path, served: Served) -> None:
    """With a louder warning if there is no token."""
    done = run(tmp_path, {}, "emulator", *PORT, "--host", "0.0.0.0")  # noqa: S104 - nothing listens there
    assert "WARNING: listening on 0.0.0.0, so anyone at all" in done.err
    assert "WARNING" not in run(tmp_path, {}, "emulator", *PORT).err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--rate-limit", "many"), 64, "is not a valid limit"),
        (("--account", "mine"), 64, "is not a valid account ID"),
        (("--faults", "none.json"), 1, "can't read 'none.json'"),
        (("--faults", "bad.json"), 64, "bad.json: "),
        (("--faults", "odd.json"), 64, "unknown fault 'surprise'"),
        (("--store", "bad.json/below"), 1, "can't create the folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, served: Served, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """With a hint, and nothing is served."""
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "odd.json").write_text('[{"kind": "surprise"}]')
    done = run(tmp_path, {}, "emulator", *PORT, *arguments)
    assert (done.code, served.states) == (code, [])
    assert message in done.err
    assert "  fix  " in done.err


def test_a_port_that_is_taken_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """Not a bug of mtlsctl."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done: Result = run(tmp_path, {}, "emulator", "--port", str(taken.getsockname()[1]))
    assert done.code == 1
    assert "error[address]: can't listen on 127.0.0.1 port" in done.err


def test_without_uvicorn_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of mtlsctl works without it."""
    monkeypatch.delitem(sys.modules, "reconciler.emulator.server")
    monkeypatch.delitem(sys.modules, "reconciler.cli.emulator")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(commands, "load_command", commands.load_command.__wrapped__)
    done = run(tmp_path, {}, "emulator", *PORT)
    assert done.code == 1
    assert "pipx install --force '.[emulator]'" in done.err


def test_a_folder_keeps_certificates_and_workers(tmp_path: Path) -> None:
    """A second emulator with the same folder continues with its state."""
    api = client_of(new_state(SetClock(), folder=tmp_path))
    one, two = (upload(api, issued)["id"] for issued in LEAVES[:2])
    version = put(api, certificate(one)).json()["result"]["deploymentId"]
    again = client_of(new_state(SetClock(), folder=tmp_path))
    assert [entry["id"] for entry in again.get(PATH).json()["result"]] == [one, two]
    assert serving(again) == {version: 100}
    assert again.delete(f"{PATH}/{one}").status_code == 400
    assert again.delete(f"{PATH}/{two}").status_code == 200
    assert "PRIVATE KEY" not in "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )


def test_a_broken_folder_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """Not a bug of mtlsctl."""
    put(client_of(new_state(SetClock(), folder=tmp_path)))
    (tmp_path / ACCOUNT_ID / "emulator.json").write_text("{}")
    done = run(tmp_path, {}, "emulator", *PORT, "--store", ".")
    assert done.code == 1
    assert "remove its folder to start with an empty account" in done.err


@pytest.mark.parametrize("name", [ACCOUNT_ID, f"{ACCOUNT_ID}/emulator.json"])
def test_a_folder_with_links_is_refused(tmp_path: Path, name: str) -> None:
    """A checkout may have brought them; what they lead to stays as it is."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ACCOUNT_ID).mkdir(parents=True)
    put(client_of(new_state(SetClock(), folder=elsewhere)))
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    place = tmp_path / "here" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere / name)
    done = run(tmp_path, {}, "emulator", *PORT, "--store", "here")
    assert done.code == 1
    assert "is a symbolic link" in done.err
    assert {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()} == before
