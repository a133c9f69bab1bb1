"""What must hold of the calls that a run made to an account, whatever became of them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.facts import Declared, digest
from tests.simulation.record import Run


def no_upload_is_repeated_blindly(run: Run, _: Declared) -> Iterator[str]:
    """After an answer that leaves it open, the account is looked through before the same is sent again."""
    open_: set[str] = set()
    for sent in run.did.sent:
        if sent.name == "store.list" and sent.clear:
            open_.clear()
        elif sent.name == "store.upload":
            if sent.subject in open_:
                yield f"{digest(sent.subject)[:12]} was sent again without a look"
            if not sent.clear:
                open_.add(sent.subject)


def no_update_is_repeated_blindly(run: Run, _: Declared) -> Iterator[str]:
    """After an answer that leaves it open, a Hyperdrive configuration or list is read before it is updated again."""
    for what, reads, update in (
        ("the Hyperdrive configuration", "hyperdrive.read", "hyperdrive.update"),
        ("the list of a CA", "hostnames.read", "hostnames.add"),
    ):
        is_open = False
        for sent in run.did.sent:
            if sent.name == reads and sent.clear:
                is_open = False
            elif sent.name == update:
                if is_open:
                    yield f"{what} was updated again without a look"
                is_open = not sent.clear


def nothing_is_let_go_that_is_live(run: Run, means: Declared) -> Iterator[str]:
    """No delete is even sent of what something uses, or may use again; and each entry is read before."""
    read: set[str] = set()
    for sent in run.did.sent:
        if sent.name == "store.get":
            read.add(sent.subject)
        elif sent.name == "store.delete":
            if sent.subject not in read:
                yield f"a delete of {sent.subject} was sent, which had not been read"
            if sent.back is not None and sent.back <= means.rollback and sent.subject not in run.did.touched:
                when = f"{sent.back} deployments ago" if sent.back else "right then"
                yield f"a delete of {sent.subject} was sent, which was presented {when}"
