"""The main job of mtlsctl, step by step, on the local store: no account, no network, nothing left behind.

`make demo` runs it. Every command is the real one, run in a temporary copy of examples/rotation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parent
sys.path.insert(0, str(EXAMPLES))

import throwaway  # noqa: E402 - a neighbour, not a package


def main() -> None:
    """Tell the story; stop at the first thing that is not as told."""
    with tempfile.TemporaryDirectory(prefix="mtlsctl-demo-") as temporary:
        project = Path(temporary) / "invoices"
        shutil.copytree(EXAMPLES / "rotation", project, ignore=shutil.ignore_patterns("certs", ".mtlsctl", "README.md"))
        story(project)


def story(project: Path) -> None:
    """First apply, nothing left to do, a rotation, the way back."""
    certificate = project / "certs" / "billing.pem"

    say("A Worker calls a service that requires a client certificate: env.BILLING.fetch(...).")
    say("mtls.toml declares the certificate, and the binding of the Worker that uses it:")
    show(project / "mtls.toml")
    say("wrangler.toml has no ID yet. By hand you would upload the pair and paste the ID here:")
    show(project / "wrangler.toml")

    say("We make a throw-away certificate with its key, and ask what would happen. `plan` needs no key:")
    throwaway.make(certificate.parent, "billing")
    mtlsctl(project, "plan")

    say("`apply` does it. (--yes: a demo has no one to ask.)")
    mtlsctl(project, "apply", "--yes")
    say("The ID is in wrangler.toml. Comments, order and every other byte are as they were:")
    show(project / "wrangler.toml")
    first = (project / "wrangler.toml").read_bytes()

    say("Again: nothing left to do. --detailed-exitcode would end with 2 if there were.")
    mtlsctl(project, "plan", "--detailed-exitcode")

    say("A year later the certificate is renewed, with a new key. The plan says what differs, as X.509, not as text:")
    previous = certificate.read_bytes()
    throwaway.make(certificate.parent, "billing")
    mtlsctl(project, "apply", "--yes")
    say("The old certificate was not deleted, because a Worker may still use it. The rest is done:")
    mtlsctl(project, "plan", "--detailed-exitcode")

    say("The new one causes trouble? Revert the file. The old one is found by its content: no key, no upload:")
    certificate.write_bytes(previous)
    (certificate.parent / "billing.key").unlink()
    mtlsctl(project, "apply", "--yes")
    expect((project / "wrangler.toml").read_bytes() == first, "wrangler.toml is as it was before the rotation")
    say("wrangler.toml is, to the byte, what it was before the rotation. That is all. See README.md for the rest.")


def say(text: str) -> None:
    """A line of the story."""
    bold, end = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}# {text}{end}", flush=True)


def show(file: Path) -> None:
    """A file, indented."""
    for line in file.read_text(encoding="utf-8").rstrip().splitlines():
        print(f"    {line}".rstrip(), flush=True)


def mtlsctl(project: Path, *arguments: str) -> None:
    """Run the real command, as a user would."""
    print(f"\n$ mtlsctl {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "reconciler", *arguments]
    done = subprocess.run(command, cwd=project, env=os.environ, check=False)
    expect(done.returncode == 0, f"`mtlsctl {' '.join(arguments)}` ends with 0, not {done.returncode}")


def expect(claim: bool, text: str) -> None:
    """The demo is a test too."""
    if not claim:
        raise SystemExit(f"the demo expected that {text}")


if __name__ == "__main__":
    main()
