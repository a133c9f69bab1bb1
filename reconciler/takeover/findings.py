"""What is said of a proposal: what could not be taken over as it is, and what makes it possible."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.model import Entry, EnvironmentName, Listing, WranglerFile
from reconciler.model.ownership import CUSTOM
from reconciler.model.words import environment_text
from reconciler.takeover.proposed import FoundCertificate
from reconciler.takeover.scene import UndeclaredBinding

_MOST_NAMED = 5


def by_id(entry: Entry, uses: int, alike: Sequence[FoundCertificate]) -> Iterator[Diagnostic]:
    """Why an entry in use is bound by its id, where files of the tree have its leaf (`alike`), and yet will not do."""
    told = f"{entry.id} ({entry.name or 'no name'}), bound {uses} time{'' if uses == 1 else 's'}"
    same = [file for file in alike if entry.bundle is not None and file.bundle.digest == entry.bundle.digest]
    if same and all(file.ignored for file in same):
        path = same[0].path
        message = f"{path} has the certificate of {told}, but git ignores it: other checkouts would not have it"
        hint = f"a certificate is public: git add -f {shlex.quote(path)}; then declare it, and bind it by its name"
        yield Diagnostic(Severity.WARNING, Code.IGNORED_BY_GIT, message, Place(path), hint)
    elif alike and not same:
        path = alike[0].path
        message = f"{path} has the leaf of {told}, but another chain; so that is bound by its id"
        hint = f"bind it by its name once it is renewed; or put into {path} what is stored: `mtlsctl export` has it"
        yield Diagnostic(Severity.WARNING, Code.CHAIN_DIFFERS, message, Place(path), hint)


def undeclarable(site: UndeclaredBinding) -> Diagnostic:
    """A binding whose name mtls.toml can't have."""
    message = f"{site.text} has a name that is no JavaScript identifier, so mtls.toml can't have it; it is left alone"
    hint = "give it a name such as MY_CERT in the wrangler file and in the code; until then its id is kept by hand"
    return Diagnostic(Severity.WARNING, Code.BINDING_UNDECLARABLE, message, site.pointer, hint)


def lacks(file: WranglerFile, environment: EnvironmentName, missing: Iterable[str]) -> Diagnostic:
    """An environment that has some of the bindings of the top level and not the others."""
    names = ", ".join(missing)
    message = f"{file.path} ({environment_text(environment)}) has not all bindings of the top level: {names}"
    hint = "wrangler does not inherit mtls_certificates; if the code calls them there, declare them there"
    where = Pointer(file.path, ("env", environment or "", "mtls_certificates"))
    return Diagnostic(Severity.INFO, Code.ENVIRONMENT_LACKS, message, where, hint)


def name_twice(listing: Listing, used: Iterable[str]) -> Iterator[Diagnostic]:
    """Names that several entries have: uploaded again by hand, and perhaps not bound everywhere."""
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for entry in listing.entries:
        if entry.name and entry.type == CUSTOM:
            by_name[entry.name].append(entry)
    in_use = set(used)
    for name, entries in sorted(by_name.items()):
        if len(entries) > 1:
            told = [f"{one.id}{'' if one.id in in_use else ' (bound nowhere here)'}" for one in entries[:_MOST_NAMED]]
            more = f" and {len(entries) - _MOST_NAMED} more" if len(entries) > _MOST_NAMED else ""
            message = f"{len(entries)} entries are called {name!r}: {', '.join(told)}{more}"
            hint = "where the later one is the renewal of the earlier, move the bindings over to it in mtls.toml"
            yield Diagnostic(Severity.WARNING, Code.NAME_TWICE, message, None, hint)


def unusable_path(path: str) -> Diagnostic:
    """A wrangler file whose path can't be written into mtls.toml."""
    message = f"{path!r} is left out: such a path can't stand in mtls.toml"
    hint = "rename the folder or the file; paths there are on one line, with / and without \\"
    return Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, None, hint)
