"""The findings about a proposal: what could not be declared, and how to make that possible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.escape import shell_word
from reconciler.model import (
    CertificateName,
    Entry,
    EntryId,
    EnvironmentName,
    HyperdriveConfig,
    HyperdriveField,
    User,
    UserKind,
    WranglerFile,
)
from reconciler.model.ownership import CUSTOM, is_other_stacks, read_mark
from reconciler.model.words import environment_text, names_text
from reconciler.takeover.names import common_name
from reconciler.takeover.proposed import FoundCertificate
from reconciler.takeover.scene import Scene, UndeclaredBinding
from reconciler.x509.certificates import rfc3339

_MOST_NAMED = 5


def by_id(entry: Entry, uses: int, alike: Sequence[FoundCertificate]) -> Iterator[Diagnostic]:
    """Why an entry in use is bound by its ID, although files of the tree have its leaf (`alike`)."""
    told = f"{entry.id} ({entry.name or 'no name'}), bound {uses} time{'' if uses == 1 else 's'}"
    same = [file for file in alike if entry.bundle is not None and file.bundle.digest == entry.bundle.digest]
    if same and all(file.ignored for file in same):
        path = same[0].path
        message = f"{path} contains the certificate {told}, but git ignores the file, so other checkouts lack it"
        hint = f"a certificate is public: run `git add -f {shell_word(path)}`, declare it, and bind it by its name"
        yield Diagnostic(Severity.WARNING, Code.IGNORED_BY_GIT, message, Place(path), hint)
    elif alike and not same:
        path = alike[0].path
        message = f"{path} contains the leaf of {told}, but another chain, so it is bound by its ID"
        hint = (
            f"bind it by its name after the next renewal, or put the uploaded chain into {path}:"
            " `mtlsctl export --certificates FOLDER` writes it"
        )
        yield Diagnostic(Severity.WARNING, Code.CHAIN_DIFFERS, message, Place(path), hint)


def undeclarable(site: UndeclaredBinding) -> Diagnostic:
    """A binding whose name mtls.toml does not allow."""
    message = (
        f"the name of {site.text} is not a JavaScript identifier, so mtls.toml can't declare it; it is left as it is"
    )
    hint = "rename it in the wrangler file and in the code, for example to MY_CERT; until then, change its ID by hand"
    return Diagnostic(Severity.WARNING, Code.BINDING_UNDECLARABLE, message, site.pointer, hint)


def lacks(file: WranglerFile, environment: EnvironmentName, missing: Iterable[str]) -> Diagnostic:
    """An environment that has only some of the bindings of the top level."""
    names = ", ".join(missing)
    message = f"{file.path} ({environment_text(environment)}) lacks some bindings of the top level: {names}"
    hint = "wrangler does not inherit mtls_certificates; if the code uses them there, declare them there"
    where = Pointer(file.path, ("env", environment or "", "mtls_certificates"))
    return Diagnostic(Severity.INFO, Code.ENVIRONMENT_LACKS, message, where, hint)


def name_twice(scene: Scene, proposed: Mapping[EntryId, CertificateName]) -> Iterator[Diagnostic]:
    """Yield a warning for each name that several entries have, unless all of them are declared already.

    `proposed`: the name in mtls.toml of each entry that is new there.
    """
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for entry in scene.listing.entries:
        if entry.name and entry.type == CUSTOM:
            by_name[entry.name].append(entry)
    known = {*scene.stock.owned, *(entry.id for entry in scene.stock.current.values())}
    known |= scene.bound_by_id.keys()
    for name, entries in sorted(by_name.items()):
        if len(entries) > 1 and not known.issuperset(entry.id for entry in entries):
            told = names_text([_told(scene, one, proposed.get(one.id)) for one in entries], _MOST_NAMED)
            message = f"{len(entries)} uploaded certificates have the name {name!r}: {told}"
            hint = (
                "if the later one is the renewal of the earlier, change the bindings of the earlier one in mtls.toml to"
                " it; if both are needed, no action is needed"
            )
            yield Diagnostic(Severity.WARNING, Code.NAME_TWICE, message, None, hint)


def _told(scene: Scene, entry: Entry, name: CertificateName | None) -> str:
    """An upload as one of several with its name: what tells them apart, where it is bound, and its name here."""
    used = [
        f"{found.binding} in {file.path} ({environment_text(environment.name)})"
        for file in scene.configs
        for environment in file.environments.values()
        for found in environment.bindings
        if found.certificate_id == entry.id
    ]
    more = f" and {len(used) - 1} more" if len(used) > 1 else ""
    facts = (
        facts_of(entry),
        f"bound by {used[0]}{more}" if used else "not bound here",
        f"declared as {name!r}" if name is not None else "",
    )
    return f"{entry.id} ({', '.join(filter(None, facts))})"


def facts_of(entry: Entry) -> str:
    """The common name and the last day of a certificate, which never change; empty if it can't be read."""
    if entry.bundle is None:
        return ""
    name = common_name(entry.bundle)
    ends = f"ends {rfc3339(entry.bundle.not_after)[:10]}"
    return f"CN={name}, {ends}" if name else ends


def left_of_hyperdrive(scene: Scene, config: HyperdriveConfig, field: HyperdriveField, entry: Entry) -> Diagnostic:
    """A certificate that a Hyperdrive configuration uses, and that could not be declared."""
    user, mark = User(UserKind.HYPERDRIVE, config.name or config.id), read_mark(entry)
    told = f"{user.text} uses {entry.id} ({entry.name or 'no name'}) as its {field.text}, which is not declared"
    if mark is not None and is_other_stacks(mark, scene.desired.declaration):
        message = f"{told}: it is managed by the stack {mark.stack!r}"
        hint = f"let {mark.stack!r} declare the configuration; if that is a former name, add it to `former_stacks`"
    elif scene.can_be_ours(entry):
        message = f"{told}: no file of this folder has it"
        hint = "to write and declare it, run `mtlsctl init --update --certificates certs`"
    else:
        message, hint = f"{told}: it can't be declared as it is", "it stays as it is"
    return Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, None, hint)


def unusable_path(path: str) -> Diagnostic:
    """A wrangler file whose path mtls.toml does not allow."""
    message = f"{path!r} is left out: mtls.toml does not allow such a path"
    hint = "rename the folder or the file: a path must be a single line, with / and without \\"
    return Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, None, hint)
