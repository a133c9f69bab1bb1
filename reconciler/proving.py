"""Proves pairs at declared origins: the files that an origin names, the connections, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.core.certificate_files import MAX_CHAIN_BYTES, parse_file
from reconciler.core.certificates import Bundle
from reconciler.core.model import Origin
from reconciler.core.ports import FileReader
from reconciler.core.proof.ports import Pair, Prober, Target
from reconciler.core.proof.proofs import Proof
from reconciler.core.proof.rules import judge
from reconciler.core.proof.trust import roots_of


@dataclass(frozen=True, slots=True)
class Proving:
    """The port `OriginProver` over the files of a project; `prober` is asked for only where it is needed."""

    files: FileReader
    prober: Callable[[], Prober]

    def prove(self, origin: Origin, pair: Pair) -> Proof:
        """The proof; ReconcilerError where the file of `ca` can't be used."""
        seen = self.prober().probe(Target(origin.url, load_roots(self.files, origin), origin.expect_status), pair)
        return Proof(origin.url, seen, judge(seen))


def load_roots(files: FileReader, origin: Origin) -> Bundle | None:
    """What the origin's own certificate is checked by; None: the roots of this machine."""
    return None if origin.ca is None else roots_of(load_cas(files, origin.ca), origin.ca)


def load_cas(files: FileReader, path: str) -> Bundle:
    """The certificates of a file of CAs; ReconcilerError where it can't be used."""
    return parse_file(files.read(path, limit=MAX_CHAIN_BYTES), path)
