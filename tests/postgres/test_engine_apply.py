"""The engine with the real program: runs of `apply` that are cut in the middle, against the emulator."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, RecordedCall
from reconciler.system.clock import SystemClock
from tests.support.cli import Project
from tests.support.emulated import TOKEN, make_state
from tests.support.fleet_workers import works
from tests.support.postgres import Postgres
from tests.support.worlds import issued_now

STACKS, CERTIFICATES = ("a", "b", "c", "d"), 3


class Uploads:
    """Tells of the uploads to an emulator."""

    def __init__(self, state: EmulatorState) -> None:
        self._made, self._record = threading.Semaphore(0), state.record
        state.record = self._note  # type: ignore[method-assign]

    def wait(self, number: int) -> None:
        """Return after so many more uploads."""
        for _ in range(number):
            assert self._made.acquire(timeout=60)

    def _note(self, call: RecordedCall) -> None:
        self._record(call)
        if call.method == "POST":
            self._made.release()


def make_stacks(folder: Path, environ: dict[str, str]) -> list[Project]:
    """The stacks, and their keys in the environment."""
    projects = []
    for index, name in enumerate(STACKS):
        text = f'version = 1\nstack = "{name}"\n[store]\nkind = "cloudflare"\naccount_id = "{ACCOUNT_ID}"\n'
        project = Project(folder / "stacks" / name, environ)
        for number in range(CERTIFICATES):
            key = f"KEY_{name.upper()}_{number}"
            pair = issued_now(100 + index * CERTIFICATES + number)
            text += f'[certificates.c{number}]\ncertificate = "c{number}.pem"\nprivate_key = {{ env = "{key}" }}\n'
            project.write(f"c{number}.pem", pair.certificate_pem)
            environ[key] = pair.key_pem.decode()
        project.write("mtls.toml", text)
        projects.append(project)
    return projects


def test_cut_runs_of_apply_upload_nothing_twice(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is killed while its children upload; another one finishes, and there is nothing left to do."""
    state = make_state()
    state.clock = SystemClock()
    state.settings.latency_s = 0.2
    uploads = Uploads(state)
    with running(state) as api, works(server, url, tmp_path, command=("apply", "--yes")) as fleet:
        environ = {"CLOUDFLARE_API_BASE_URL": api, "CLOUDFLARE_API_TOKEN": TOKEN}
        projects = make_stacks(tmp_path, environ)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        for name in STACKS:
            fleet.engine.defer("act", name)
        fleet.start(1)
        uploads.wait(2)
        fleet.kill(0)
        fleet.start(1)
        fleet.wait_until_idle(*STACKS)
        assert fleet.counted("overlap") == {}
        assert fleet.end()[1] == 0
        plans = [project.run("plan", "--detailed-exitcode").code for project in projects]
    assert plans == [0] * len(STACKS)
    uploads_made = Counter(call.status for call in state.calls if call.method == "POST")
    assert uploads_made == {200: len(STACKS) * CERTIFICATES}  # a second one would be refused
