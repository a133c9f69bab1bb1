"""A proposal as the text of an mtls.toml, commented for whoever reads it first; what others named is data in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import tomlkit
from tomlkit.items import Comment, Item, Table

from reconciler.findings.escape import printable
from reconciler.model import ByCertificate, ById, CertificateName, StoreSettings
from reconciler.plan.binding_findings import bindings_table, toml_key
from reconciler.takeover.proposed import (
    Proposal,
    ProposedBinding,
    ProposedCertificate,
    ProposedEnvironment,
    ProposedWorker,
    Suggestion,
)

SCHEMA_LINE = "#:schema ./schemas/mtls.schema.json"

HEAD = """\
Which client certificates exist, and which binding of which Worker presents which of them.
`mtlsctl plan` shows what differs from the store and the wrangler files, and why; `mtlsctl apply` makes it so.
"""

POLICY = """\
[policy]                  # all optional; these are the defaults
renew_before = "30d"      # or a share of the lifetime, "33%"; default: the smaller of 30 days and a third
grace = "7d"              # an entry that was replaced stays at least this long
prune = false             # true: an entry goes when its certificate leaves this file
max_deletes = 10          # of more, the rest waits until `mtlsctl apply --allow-deletes N`
check_live = false        # true: every plan, drift and status reads the live Workers of the account
"""

CERTIFICATES = """\
Certificates. Each is found in the store by its content: nothing is uploaded, and no private key is needed now.
A key is needed when the certificate is renewed: then replace the file, take the # from `private_key`, and apply.
`supersedes` hands the entry of today over, so that it is retired once its successor is bound everywhere.
"""

EXPORTED = """\
Certificates, each an entry of the store. Its PEM belongs where `certificate` says, and is written there by
`mtlsctl export --certificates FOLDER`. A private key is needed only when a renewed certificate is uploaded.
`supersedes` hands the entry of today over, so that it is retired once its successor is bound everywhere.
"""

SUGGESTIONS = """\
Certificates of this tree that no Worker here presents. Take the # away to have one kept here, and bind it below.
"""

WORKERS = """\
Workers. A table for each environment of a wrangler file; what is a comment can't be declared as it is.
"""

EXAMPLE = """\
[certificates.billing]
certificate = "certs/billing.pem"           # PEM, leaf first, then its intermediates; public, so it lies in the tree
private_key = { env = "BILLING_KEY" }       # or a path, "certs/billing.key"; needed only while uploading

[workers.checkout]
config = "wrangler.toml"                    # or .json, .jsonc; one table like this for each Worker

[workers.checkout.bindings]                 # its top level; wrangler does not inherit these, so an environment has
BILLING = "billing"                         # its own: [workers.checkout.env.staging.bindings]
"""

_MOST_SUGGESTED = 20


def write_declaration(proposal: Proposal, *, about: str = CERTIFICATES) -> str:
    """The whole file. `about`: the words before the certificates."""
    document = tomlkit.document()
    _add_lines(document, HEAD)
    document.append(None, tomlkit.nl())
    document.append("version", 1)
    document.append("stack", _with(tomlkit.item(proposal.stack), "the owner mark on all that is uploaded from here"))
    document.append(None, tomlkit.nl())
    document.append("store", _store(proposal.store))
    _add_lines(document, POLICY)
    document.append(None, tomlkit.nl())
    if proposal.is_empty and not proposal.suggestions:
        _add_lines(document, EXAMPLE)
    return f"{SCHEMA_LINE}\n{tomlkit.dumps(document)}{write_tables(proposal, about=about)}".rstrip("\n") + "\n"


def write_tables(proposal: Proposal, *, about: str = "") -> str:
    """The tables of certificates and Workers alone; with `about` also the words that explain each part."""
    document = tomlkit.document()
    if proposal.certificates:
        if about:
            _add_lines(document, about)
            document.append(None, tomlkit.nl())
        tables = tomlkit.table(is_super_table=True)
        for certificate in proposal.certificates:
            tables.append(certificate.name, _certificate(certificate))
        document.append("certificates", tables)
    for line in (*_suggestion_lines(proposal.suggestions), *_other_lines(proposal.others)):
        document.append(None, _comment(line) if line else tomlkit.nl())
    new = [worker for worker in proposal.workers if not worker.known]
    if new:
        if about:
            _add_lines(document, WORKERS)
            document.append(None, tomlkit.nl())
        tables = tomlkit.table(is_super_table=True)
        for worker in new:
            tables.append(worker.label, _worker(worker))
        document.append("workers", tables)
    return tomlkit.dumps(document)


# --- certificates ---------------------------------------------------------------------------------------------------


def _store(store: StoreSettings) -> Table:
    table = tomlkit.table()
    kind = tomlkit.item(store.kind.value)
    table.append("kind", kind if store.kind.traits.has_accounts else _with(kind, store.kind.traits.about))
    if store.account_id is not None:
        table.append(
            "account_id",
            _with(tomlkit.item(store.account_id), f"the token: {store.kind.traits.token_variable}, never here"),
        )
    if store.limit != StoreSettings().limit:
        table.append("limit", store.limit)
    table.append(None, tomlkit.nl())
    return table


def _certificate(certificate: ProposedCertificate) -> Table:
    table = tomlkit.table()
    table.append(None, _comment(_about(certificate)))
    table.append("certificate", certificate.path)
    if certificate.ca:
        table.append("ca", True)
    else:
        table.append(None, _comment(_key_line(certificate.name, certificate.key)))
    if certificate.supersedes:
        table.append("supersedes", list(certificate.supersedes))
    table.append(None, tomlkit.nl())
    return table


def _about(certificate: ProposedCertificate) -> str:
    entry = certificate.entry
    parts = [f"{entry.name!r}" if entry.name else "without a name"]
    if entry.uploaded_on is not None:
        parts.append(f"uploaded {entry.uploaded_on:%Y-%m-%d}")
    if entry.bundle is not None:
        parts.append(f"ends {entry.bundle.ends:%Y-%m-%d}")
    if not certificate.ca and certificate.uses is not None:
        parts.append(f"bound {certificate.uses} time{'' if certificate.uses == 1 else 's'}")
    return ", ".join(parts)


def _key_line(name: CertificateName, key: str | None) -> str:
    if key is not None:
        return f"private_key = {_string(key)}"
    return f'private_key = {{ env = "{re.sub("-", "_", name).upper()}_KEY" }}'


def _suggestion_lines(suggestions: tuple[Suggestion, ...]) -> Iterator[str]:
    if not suggestions:
        return
    yield from SUGGESTIONS.splitlines()
    yield ""
    for one in suggestions[:_MOST_SUGGESTED]:
        yield f"[certificates.{one.name}] # {one.why}"
        yield f"certificate = {_string(one.path)}"
        yield _key_line(one.name, one.key)
        yield ""
    if len(suggestions) > _MOST_SUGGESTED:
        yield f"... and {len(suggestions) - _MOST_SUGGESTED} more"
        yield ""


def _other_lines(others: tuple[str, ...]) -> Iterator[str]:
    if others:
        yield "Not to be declared here:"
        yield from (f"- {line}" for line in others)
        yield ""


# --- Workers --------------------------------------------------------------------------------------------------------


def _worker(worker: ProposedWorker) -> Table:
    table = tomlkit.table()
    table.append("config", worker.config)
    if not worker.exclusive:
        remark = "some binding there can't be declared, and must not be taken for one that is gone"
        table.append("exclusive", _with(tomlkit.item(value=False), remark))
    table.append(None, tomlkit.nl())
    last = table
    environments = tomlkit.table(is_super_table=True)
    for environment in worker.environments:
        if not environment.is_declared:
            continue
        last = _bindings(environment)
        if environment.name is None:
            table.append("bindings", last)
        else:
            environments.append(environment.name, tomlkit.table(is_super_table=True).append("bindings", last))
    if environments:
        table.append("env", environments)
    for environment in worker.environments:
        if not environment.is_declared:
            for line in undeclared_lines(worker, environment):
                last.append(None, _comment(line) if line else tomlkit.nl())
    return table


def _bindings(environment: ProposedEnvironment) -> Table:
    table = tomlkit.table()
    for binding in environment.bindings:
        if binding.target is None:
            table.append(None, _comment(_doubtful_line(binding)))
        else:
            table.append(binding.binding, _with(target_item(binding.target), binding.remark))
    table.append(None, tomlkit.nl())
    return table


def undeclared_lines(worker: ProposedWorker, environment: ProposedEnvironment) -> Iterator[str]:
    """A table of which nothing can be declared, without the # before each line; an empty line at its end."""
    if environment.remark:
        yield environment.remark
    yield bindings_table(worker.label, environment.name)
    yield from (_doubtful_line(binding) for binding in environment.bindings)
    yield ""


def binding_line(binding: ProposedBinding) -> str:
    """One line of a bindings table as it stands in a file; a comment where nothing can be declared yet."""
    if binding.target is None:
        return f"# {printable(_doubtful_line(binding))}"
    line = f"{toml_key(binding.binding)} = {target_item(binding.target).as_string()}"
    return f"{line} # {printable(binding.remark)}" if binding.remark else line


def _doubtful_line(binding: ProposedBinding) -> str:
    value = target_item(binding.guess).as_string() if binding.guess is not None else '"NAME"'
    line = f"{toml_key(binding.binding)} = {value}"
    return f"{line} # {binding.remark}" if binding.remark else line


def target_item(target: ByCertificate | ById) -> Item:
    """The value of a binding."""
    match target:
        case ByCertificate(certificate):
            return tomlkit.item(str(certificate))
        case ById(entry):
            return tomlkit.value(f'{{ id = "{entry}" }}')


# --- pieces ---------------------------------------------------------------------------------------------------------


def _comment(text: str) -> Comment:
    """A comment of one line."""
    return tomlkit.comment(printable(text))


def _with(item: Item, remark: str) -> Item:
    if remark:
        item.comment(printable(remark))
    return item


def _string(text: str) -> str:
    return tomlkit.item(text).as_string()


def _add_lines(document: tomlkit.TOMLDocument, lines: str | Iterable[str]) -> None:
    for line in lines.splitlines() if isinstance(lines, str) else lines:
        document.append(None, tomlkit.comment(line) if line else tomlkit.nl())
