"""What a command costs: CPU, peak memory, calls of functions, and whether it ends by itself.

A process counts the memory of whoever started it as its own until it has loaded its program, so nothing could be
measured from a test run of some hundred megabytes. This file is therefore also a program: a small process that starts
one command and writes down what the system says of it.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

CLI = (str(Path(sys.executable).with_name("mtlsctl")),)
"""The command as it is installed beside this interpreter."""

_COUNTED = (sys.executable, "-P", str(Path(__file__).with_name("counted.py")))

PATIENCE_S = 120.0
"""Of the clock on the wall, for what takes a second or two on a quick machine: whoever needs longer hangs."""

_MAX_MEMORY = 8 << 30
"""Of address space: far above every aim, and low enough that a bomb that goes off hurts nothing else."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a command. `code` is negative where a signal ended it. `calls` None: they were not counted."""

    code: int
    out: bytes
    err: bytes
    cpu_s: float
    peak_mb: float
    calls: int | None = None


class HangingError(AssertionError):
    """A command that did not end in time."""


def measure(
    command: Sequence[str], *, folder: Path, environ: Mapping[str, str] | None = None, timeout_s: float = PATIENCE_S
) -> Measured:
    """Run a command to its end, with what it cost. HangingError after `timeout_s`; then it is ended."""
    with tempfile.TemporaryDirectory() as name:
        out, err, report = (Path(name) / part for part in ("out", "err", "report"))
        launcher = [sys.executable, "-I", "-S", __file__, str(report), *command]
        environment = {"PATH": os.environ.get("PATH", ""), **(environ or {})}
        with (
            out.open("wb") as out_file,
            err.open("wb") as err_file,
            subprocess.Popen(
                launcher,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                start_new_session=True,
            ) as started,
        ):
            try:
                started.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                raise HangingError(f"{shlex.join(command)[:100]} did not end in {timeout_s} s") from None
        told = json.loads(report.read_text())
        return Measured(told["code"], out.read_bytes(), err.read_bytes(), told["cpu_s"], told["peak_mb"])


def measure_counted(arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str] | None = None) -> Measured:
    """`mtlsctl ARGUMENTS` as a process of its own, its calls counted, which takes half as much CPU again."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "calls"
        result = measure([*_COUNTED, str(report), *arguments], folder=folder, environ=environ)
        return replace(result, calls=int(report.read_text()))


def _run(command: Sequence[str]) -> dict[str, float]:
    """Start the command, wait for it, and say what it cost."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
        os.execv(command[0], list(command))  # noqa: S606 - a command of the tests, no shell
    _, status, usage = os.wait4(child, 0)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return {
        "code": os.waitstatus_to_exitcode(status),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * unit / 1e6,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_run(sys.argv[2:])))
