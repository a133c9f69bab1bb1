"""A proposal as the text of an mtls.toml, with comments. Names from others are escaped.

The file outlives many rotations, so no comment has anything that changes: no date but the end of an old upload, no
count, no current ID.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import tomlkit
from tomlkit.items import Comment, Item, Table

from reconciler.findings.escape import printable
from reconciler.model import (
    ByCertificate,
    ById,
    CertificateName,
    DeclaredHyperdrive,
    DeclaredZone,
    Entry,
    StoreSettings,
)
from reconciler.plan.binding_findings import bindings_table, toml_key
from reconciler.takeover.findings import facts_of
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
Which client certificates exist, and which binding of which Worker uses which of them.
`mtlsctl plan` shows what differs from what is uploaded and from the wrangler files; `mtlsctl apply` changes it.
"""

POLICY = """\
[policy]                  # all optional; these are the defaults
renew_before = "30d"      # or a share of the lifetime, "33%"; default: the smaller of 30 days and a third
grace = "7d"              # keep a replaced certificate at least this long
prune = false             # true: `mtlsctl apply --prune` may delete certificates that were removed from this file
max_deletes = 10          # delete at most this many in one run; `mtlsctl apply --allow-deletes N` allows more
check_live = false        # true: every plan, drift and status reads the live Workers of the account
"""

CERTIFICATES = """\
Certificates. To renew one, replace its file and run `mtlsctl apply`. Only that upload needs `private_key`; where the
line is a comment, remove its #. `supersedes` lists uploads that mtlsctl did not make: it deletes each of them once a
renewed certificate is used instead.
"""

EXPORTED = """\
Certificates. `mtlsctl export --certificates FOLDER` writes the PEM file of each to where `certificate` says.
To renew one, replace its file and run `mtlsctl apply`. Only that upload needs `private_key`; where the line is a
comment, remove its #. `supersedes` lists uploads that mtlsctl did not make: it deletes each of them once a renewed
certificate is used instead.
"""

SUGGESTIONS = """\
Certificate files that `mtlsctl init` found. To manage one here, remove the # from its lines, and bind it below.
"""

WORKERS = """\
Workers. A table for each environment of a wrangler file. A binding that is a comment could not be declared as it was.
"""

HYPERDRIVES = """\
Hyperdrive configurations. `mtlsctl apply --deploy` updates them; what is left out, such as `sslmode`, stays as it is.
"""

HOSTNAMES = """\
Hostnames that trust a CA for client certificates. `mtlsctl apply --deploy` adds them; no hostname is ever removed.
"""

EXAMPLE = """\
[certificates.billing]
certificate = "certs/billing.pem"           # PEM, leaf first, then its intermediates; public, so commit it
private_key = { env = "BILLING_KEY" }       # or a path, "certs/billing.key"; needed only while uploading

[workers.checkout]
config = "wrangler.toml"                    # or .json, .jsonc; one table like this for each Worker

[workers.checkout.bindings]                 # its top level; wrangler does not inherit these, so an environment has
BILLING = "billing"                         # its own: [workers.checkout.env.staging.bindings]
"""

_MOST_SUGGESTED = 20


def write_declaration(proposal: Proposal, *, about: str = CERTIFICATES) -> str:
    """The text of the whole file. `about`: the comment before the certificates."""
    document = tomlkit.document()
    _add_lines(document, HEAD)
    document.append(None, tomlkit.nl())
    document.append("version", 1)
    document.append("stack", _with(tomlkit.item(proposal.stack), "marks everything that is uploaded from here"))
    document.append(None, tomlkit.nl())
    document.append("store", _store(proposal.store))
    _add_lines(document, POLICY)
    document.append(None, tomlkit.nl())
    if proposal.is_empty and not proposal.suggestions:
        _add_lines(document, EXAMPLE)
    return f"{SCHEMA_LINE}\n{tomlkit.dumps(document)}{write_tables(proposal, about=about)}".rstrip("\n") + "\n"


def write_tables(proposal: Proposal, *, about: str = "") -> str:
    """The text of the certificate and Worker tables; with `about`, also the comments that explain each part."""
    document = tomlkit.document()
    _add_tables(document, "certificates", about, {one.name: _certificate(one) for one in proposal.certificates})
    for line in (*_suggestion_lines(proposal.suggestions), *_other_lines(proposal.others)):
        document.append(None, _comment(line) if line else tomlkit.nl())
    parts: tuple[tuple[str, str, Mapping[str, Table]], ...] = (
        ("workers", WORKERS, {one.label: _worker(one) for one in proposal.workers if not one.known}),
        ("hyperdrive", HYPERDRIVES, {one.label: _hyperdrive(one) for one in proposal.hyperdrives}),
        ("hostnames", HOSTNAMES, {one.zone: _zone(one) for one in proposal.zones}),
    )
    for key, comment, made in parts:
        _add_tables(document, key, comment if about else "", made)
    return tomlkit.dumps(document)


def _add_tables(document: tomlkit.TOMLDocument, key: str, about: str, made: Mapping[str, Table]) -> None:
    """Add the tables under one key, if there are any, with a comment before them."""
    if not made:
        return
    if about:
        _add_lines(document, about)
        document.append(None, tomlkit.nl())
    tables = tomlkit.table(is_super_table=True)
    for name, table in made.items():
        tables.append(name, table)
    document.append(key, tables)


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
    table.append("certificate", certificate.path)
    if certificate.ca:
        table.append("ca", True)
    else:
        table.append(None, _comment(_key_line(certificate.name, certificate.key)))
    if certificate.supersedes:
        table.append("supersedes", _with(tomlkit.item(list(certificate.supersedes)), _named(certificate.entry)))
    table.append(None, tomlkit.nl())
    return table


def _hyperdrive(declared: DeclaredHyperdrive) -> Table:
    table = tomlkit.table()
    table.append("config", declared.config)
    for field, name in declared.certificates.items():
        table.append(field.value, str(name))
    table.append(None, tomlkit.nl())
    return table


def _zone(zone: DeclaredZone) -> Table:
    table = tomlkit.table()
    for ca, names in zone.cas.items():
        table.append(str(ca), tomlkit.item(list(names)))
    table.append(None, tomlkit.nl())
    return table


def _named(entry: Entry) -> str:
    """What an uploaded certificate is, for a comment at its ID; none of it can change."""
    return ", ".join(filter(None, (repr(entry.name) if entry.name else "", facts_of(entry))))


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
        yield f"[certificates.{one.name}]"
        yield f"certificate = {_string(one.path)}"
        yield _key_line(one.name, one.key)
        yield ""
    if len(suggestions) > _MOST_SUGGESTED:
        yield f"Only the first {_MOST_SUGGESTED} files are listed."
        yield ""


def _other_lines(others: tuple[str, ...]) -> Iterator[str]:
    if others:
        yield "Left out of this export:"
        yield from (f"- {line}" for line in others)
        yield ""


# --- Workers --------------------------------------------------------------------------------------------------------


def _worker(worker: ProposedWorker) -> Table:
    table = tomlkit.table()
    table.append("config", worker.config)
    if not worker.exclusive:
        table.append("exclusive", _with(tomlkit.item(value=False), "never remove a binding that is not declared here"))
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
    """Yield the lines of a table that can't be declared, without the # before each, and an empty line at the end."""
    if environment.remark:
        yield environment.remark
    yield bindings_table(worker.label, environment.name)
    yield from (_doubtful_line(binding) for binding in environment.bindings)
    yield ""


def binding_line(binding: ProposedBinding) -> str:
    """One line of a bindings table; a comment if it can't be declared yet."""
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
