"""Proves pairs at declared origins: the files that an origin names, the connections, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.model import Origin
from reconciler.model.ports import FileReader
from reconciler.proof.ports import Pair, Prober, Target
from reconciler.proof.proofs import Proof
from reconciler.proof.rules import judge
from reconciler.proof.trust import roots_of
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import MAX_CHAIN_BYTES, parse_file


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
