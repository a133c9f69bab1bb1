"""What docs/how-to/renew-sinks.md says works: its mtls.toml, its .sops.yaml, and the recipe for `pass`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.desired import parse_declaration
from reconciler.keys import KINDS
from reconciler.keys.sinks import open_sink
from reconciler.model.key_places import CommandSink, FileSink, SinkOptions, SopsSink
from reconciler.model.renewal import KeySink
from tests.keys.test_sinks import KEYS, SLOTS, make_checkout, quick, with_sops
from tests.support.pages import blocks
from tests.support.paths import REPOSITORY

PAGE = REPOSITORY / "docs/how-to/renew-sinks.md"
MTLS = """\
version = 1
stack = "payments"

[issuers.internal]
kind = "command"
command = ["./sign.sh"]

[certificates.billing]
certificate = "billing.pem"

"""


def sinks() -> Iterator[SinkOptions]:
    """The sink of each example, as mtls.toml has it."""
    for block in blocks(PAGE):
        if block.language == "toml":
            text = (
                block.text
                if "issuer =" in block.text
                else f'[certificates.billing.renew]\nissuer = "internal"\n{block.text}'
            )
            declaration, _ = parse_declaration((MTLS + text).encode(), "mtls.toml", KINDS)
            (declared,) = declaration.certificates.values()
            assert declared.renew is not None
            yield declared.renew.sink


def command_of(program: str) -> CommandSink:
    """The recipe whose `read` is this program."""
    return next(one for one in sinks() if isinstance(one, CommandSink) and one.read[0] == program)


def keeps(sink: KeySink) -> None:
    """Whether a key is written, found, and removed; in a sink that is empty."""
    assert sink.slots() == frozenset()
    sink.write(SLOTS[0], KEYS[0])
    sink.write(SLOTS[1], KEYS[1])
    sink.remove(SLOTS[0])
    assert (sink.slots(), sink.read(SLOTS[1]).strip()) == (frozenset(SLOTS[1:2]), KEYS[1].strip())


def test_every_example_is_a_sink() -> None:
    assert {type(one) for one in sinks()} == {SopsSink, FileSink, CommandSink}


def test_the_creation_rule_of_the_page_encrypts(tmp_path: Path) -> None:
    """With the reader's own age key instead of the page's."""
    checkout = make_checkout(tmp_path)
    environ = with_sops(checkout)
    (recipient,) = re.findall(r"age1\w+", (checkout / ".sops.yaml").read_text())
    (rules,) = (block.text for block in blocks(PAGE) if block.language == "yaml")
    (checkout / ".sops.yaml").write_text(re.sub(r"age1\w+", recipient, rules))
    (options,) = (one for one in sinks() if isinstance(one, SopsSink))
    keeps(open_sink(options, "billing", quick(checkout, environ)))


def test_the_recipe_for_pass_keeps_keys(tmp_path: Path) -> None:
    """With the real one, where it is installed."""
    if shutil.which("pass") is None or shutil.which("gpg") is None:
        pytest.skip("pass is not installed")
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    environ = {"PATH": os.environ["PATH"], "GNUPGHOME": str(home), "HOME": str(tmp_path)}
    made = [
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "mtlsctl@mtls.example",
        "default",
        "default",
        "never",
    ]
    for command in (made, ["pass", "init", "mtlsctl@mtls.example"]):
        subprocess.run(command, env=environ, check=True, capture_output=True)
    try:
        for certificate in ("billing", "billing-2"):
            keeps(open_sink(command_of("pass"), certificate, quick(make_checkout(tmp_path / "checkout"), environ)))
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=environ, check=True)


PRETENDED = """\
#!/bin/sh
case "$*" in
    "secrets list --filter=labels.mtlsctl=billing --format=value(name.basename())")
        printf 'mtls-billing-%s\\n' "$SLOT" ;;
    "item list --vault=mtls --tags=mtlsctl/billing --format=json")
        printf '[{"title": "billing.%s"}]' "$SLOT" ;;
    *) exit 1 ;;
esac
"""


@pytest.mark.parametrize("program", ["gcloud", "op"])
def test_the_other_recipes_take_the_slot_out_of_a_list_and_fail_with_their_program(
    tmp_path: Path, program: str
) -> None:
    """A program in its place prints what theirs is documented to print."""
    if program == "op" and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    pretended = tmp_path / "bin" / program
    pretended.parent.mkdir()
    pretended.write_text(PRETENDED)
    pretended.chmod(0o755)
    checkout = make_checkout(tmp_path / "checkout")
    environ = {"PATH": f"{pretended.parent}:{os.environ['PATH']}", "SLOT": SLOTS[0].text}
    assert open_sink(command_of(program), "billing", quick(checkout, environ)).slots() == frozenset(SLOTS[:1])
    with pytest.raises(Exception, match="sh failed"):
        open_sink(command_of(program), "other", quick(checkout, environ)).slots()
