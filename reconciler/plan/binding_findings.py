"""The findings about bindings and wrangler files: message, place and hint of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.escape import printable, to_paste, toml_text
from reconciler.findings.values import dataclass
from reconciler.model import (
    BindingAddress,
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredWorker,
    EnvironmentName,
    FoundBinding,
    Identity,
    StoreSettings,
    WranglerEnvironment,
    WranglerFile,
)
from reconciler.model.accounts import account_problem
from reconciler.model.stores import ACCOUNT_VARIABLE
from reconciler.model.words import environment_path
from reconciler.x509.certificates import rfc3339

_MOST_COMPARED = 30
"""The most environments of a file that a hint compares: with ten thousand names that would take minutes."""

PAGES_ENVIRONMENTS = ("preview", "production")
"""The only environments that wrangler accepts in the file of a Pages project."""


def bindings_table(label: str, environment: EnvironmentName) -> str:
    """The header of the table in mtls.toml that declares the bindings of an environment."""
    return f"[workers.{label}{'' if environment is None else f'.env.{toml_key(environment)}'}.bindings]"


def declared_at(declaration: Declaration, at: BindingAddress) -> Pointer:
    """Where mtls.toml declares a binding."""
    where: tuple[str | int, ...] = ("workers", at.worker)
    where += ("bindings",) if at.environment is None else ("env", at.environment, "bindings")
    return Pointer(declaration.path, (*where, at.binding), at_key=True)


def to_declare(declaration: Declaration, at: BindingAddress, value: str, say: Callable[[str], str]) -> str:
    """A hint with the lines of mtls.toml that declare a binding; of a table that is there without its header.

    `value` as TOML; `say` makes the sentence of where the lines belong, such as "to `[workers.checkout.bindings]`".
    """
    table, line = bindings_table(at.worker, at.environment), f"{toml_key(at.binding)} = {value}"
    worker = declaration.workers.get(at.worker)
    is_there = worker is not None and at.environment in worker.environments
    where, lines = (f"to `{table}`", (line,)) if is_there else ("to mtls.toml", (table, line))
    return to_paste(say(where), lines, names=(at.environment, at.binding))


@dataclass(frozen=True, slots=True)
class Site:
    """One environment of one Worker, declared and found."""

    declaration: Declaration
    worker: DeclaredWorker
    file: WranglerFile
    environment: EnvironmentName
    found: WranglerEnvironment

    @property
    def text(self) -> str:
        """The place in words, for a message."""
        return self.address("").site.text

    def address(self, binding: str) -> BindingAddress:
        """Where one of its bindings is."""
        return BindingAddress(self.worker.label, self.file.path, self.environment, BindingName(binding))

    def declared_at(self, binding: str | None = None) -> Pointer:
        """Where mtls.toml declares it."""
        where: tuple[str | int, ...] = ("workers", self.worker.label)
        where += ("bindings",) if self.environment is None else ("env", self.environment, "bindings")
        return Pointer(self.declaration.path, where + ((binding,) if binding else ()), at_key=binding is not None)


def account_id_declared(site: Site, binding: BindingName, text: str) -> Diagnostic:
    """Rule 7: a store with an ID prefix of its own does not bind an ID from an account."""
    store = site.declaration.store
    message = f"{binding} refers to {text}, an ID from a Cloudflare account, but this project uses {store.title}"
    hint = f'set `kind = "cloudflare"` in `[store]`, or bind an ID that begins with {store.kind.traits.id_prefix}'
    return Diagnostic(Severity.ERROR, Code.ACCOUNT_ID_DECLARED, message, site.declared_at(binding), hint)


def account_id_in_file(
    store: StoreSettings, file: WranglerFile, keys: tuple[str | int, ...], found: FoundBinding
) -> Diagnostic:
    """Rule 7: with such a store, a file that has an ID from an account is not changed."""
    message = (
        f"{file.path} has {found.certificate_id}, an ID from a Cloudflare account, but this project uses"
        f" {store.title}; the file is not changed"
    )
    hint = 'set `kind = "cloudflare"` in `[store]`, or replace that ID with a placeholder'
    pointer = Pointer(file.path, (*keys, "mtls_certificates", found.index, "certificate_id"))
    return Diagnostic(Severity.ERROR, Code.ACCOUNT_ID_IN_FILE, message, pointer, hint)


def account_differs(site: Site, account_id: str) -> Diagnostic:
    """The environment belongs to another account, where these IDs do not exist. What is not an ID is not shown."""
    problem = account_problem(site.found.account_id or "")
    if problem is not None:
        message = f"the `account_id` of {site.text} {problem.cause}"
        hint = f"{problem.hint}; or remove the line, so that wrangler takes {ACCOUNT_VARIABLE}"
        return Diagnostic(Severity.ERROR, Code.ACCOUNT_MALFORMED, message, site.declared_at(), hint)
    message = f"{site.text} uses the account {site.found.account_id}, but this project uses {account_id}"
    hint = "declare that environment in an mtls.toml of its own, with its account in `[store]`"
    return Diagnostic(Severity.ERROR, Code.ACCOUNT_DIFFERS, message, site.declared_at(), hint)


def unknown_entry(site: Site, binding: BindingName, text: str, *, asked: bool) -> Diagnostic:
    """Rule 6: a declared ID that the list lacks, and that was requested by itself and not found, or not requested."""
    message = f"{binding} refers to {text}, but {site.declaration.store.title} has no certificate with this ID"
    if not asked:
        message = (
            f"{binding} refers to {text}, which is not in the list of uploaded certificates (not looked up by itself)"
        )
    hint = "look up the current ID where that certificate is managed; it may have been replaced or deleted there"
    return Diagnostic(Severity.ERROR, Code.UNKNOWN_ENTRY, message, site.declared_at(binding), hint)


def ids_not_asked(declaration: Declaration | None, asked: int, unasked: int) -> Diagnostic:
    """Rule 6: the list lacks more IDs than one run requests by themselves, so the others count as unknown."""
    message = (
        f"{asked + unasked} IDs of bindings are not in the list of uploaded certificates; {asked} were looked up"
        f" one by one, the other {unasked} were not checked and count as unknown"
    )
    hint = "check that the account is the right one, and correct the IDs"
    where = Pointer(declaration.path, ("workers",)) if declaration is not None else None
    return Diagnostic(Severity.WARNING, Code.IDS_NOT_ASKED, message, where, hint)


def id_of_other_stack(site: Site, binding: BindingName, text: str, identity: Identity) -> Diagnostic:
    """A certificate of another stack, so of other people, that a Worker is about to get."""
    message = f"{binding} in {site.text} gets {text}, which is {identity.text}: another stack manages it"
    stack = identity.stack or ""
    hint = (
        f"if {stack!r} is a former name of this stack, add it to `former_stacks`; else ask those who manage that stack"
        " whether this Worker may use its certificate"
    )
    return Diagnostic(Severity.WARNING, Code.ID_OF_OTHER_STACK, message, site.declared_at(binding), hint)


def binding_to_ca(site: Site, binding: BindingName, text: str) -> Diagnostic:
    """A declared ID of a CA; a Worker can use client certificates only."""
    message = f"{binding} refers to {text}, which is a CA; a Worker can't use a CA"
    return Diagnostic(
        Severity.ERROR, Code.BINDING_TO_CA, message, site.declared_at(binding), "bind the ID of a client certificate"
    )


def target_expired(
    site: Site, binding: BindingName, target: str, ended: datetime, certificate: CertificateName | None
) -> Diagnostic:
    """Rule 10: no binding is changed to a certificate that every origin refuses."""
    message = f"{binding} in {site.text} is not changed: {target} expired on {rfc3339(ended)}"
    what = "replace the certificate file with" if certificate else "declare the ID of"
    hint = f"{what} a valid certificate"
    where = site.declared_at(binding)
    return Diagnostic(Severity.ERROR, Code.CERTIFICATE_EXPIRED, message, where, hint, certificate)


def bound_before_valid(
    site: Site, binding: BindingName, target: str, begins: datetime, certificate: CertificateName | None
) -> Diagnostic:
    """Rule 10: no valid certificate is bound, so the binding is changed although the new one is not valid yet."""
    message = (
        f"{binding} in {site.text} moves to {target}, which is not valid before {rfc3339(begins)};"
        " no valid certificate is bound there now"
    )
    hint = "calls through it fail until then; if they must work earlier, get a certificate that is valid now"
    return Diagnostic(Severity.WARNING, Code.BOUND_BEFORE_VALID, message, site.declared_at(binding), hint, certificate)


def validity_unknown(site: Site, binding: BindingName, target: str, certificate: CertificateName | None) -> Diagnostic:
    """Rule 10: no valid certificate is bound, so the binding is changed although the new dates are unknown."""
    message = f"{binding} in {site.text} moves to {target}, whose validity dates could not be read"
    hint = "check in the Cloudflare dashboard when it is valid"
    return Diagnostic(Severity.WARNING, Code.VALIDITY_UNKNOWN, message, site.declared_at(binding), hint, certificate)


def binding_name_taken(site: Site, binding: BindingName) -> Diagnostic:
    """wrangler refuses a name that two bindings of one environment have."""
    message = f"{binding} is already a binding of another kind in {site.text}: {site.found.taken[binding]}"
    hint = "choose another name; wrangler refuses two bindings with the same name"
    return Diagnostic(Severity.ERROR, Code.BINDING_NAME_TAKEN, message, site.declared_at(binding), hint)


def unknown_environment(site: Site) -> Diagnostic:
    """A declared environment that the file lacks. It is not created: a misspelled one would be a new Worker."""
    name, file = site.environment, site.file
    known = [other for other in file.environments if other is not None]
    near = get_close_matches(name or "", known, n=1) if len(known) <= _MOST_COMPARED else []
    hint = (
        f"did you mean `{printable(near[0])}`?"
        if near
        else f"add [env.{name}] to {file.path}; mtlsctl does not create it"
    )
    message = f"{file.path} has no environment {name!r}"
    pointer = Pointer(site.declaration.path, ("workers", site.worker.label, "env", name or ""), at_key=True)
    return Diagnostic(Severity.ERROR, Code.UNKNOWN_ENVIRONMENT, message, pointer, hint)


def pages_environment(site: Site) -> Diagnostic:
    """A Pages project has two environments, and wrangler refuses any other."""
    message = f"{site.file.path} is of a Pages project, which can't have the environment {site.environment!r}"
    hint = f"declare {' or '.join(PAGES_ENVIRONMENTS)}, or the top level"
    return Diagnostic(Severity.ERROR, Code.PAGES_ENVIRONMENT, message, site.declared_at(), hint)


def undeclared_binding(at: BindingAddress, index: int, owner: CertificateName, *, ca: bool = False) -> Diagnostic:
    """Rule 3: an undeclared binding to a certificate of this stack. `ca`: to a CA, so it can't be declared either."""
    where: tuple[str | int, ...] = environment_path(at.environment)
    message = f"{at.binding} in {at.site.text} uses a certificate of {owner!r}, but is not declared; it is not changed"
    hint = f"declare it: run `mtlsctl init --update`; or remove it from {printable(at.config)}"
    if ca:
        hint = f"a Worker can't use a CA: write the ID of a client certificate there, or remove it from {at.config}"
    pointer = Pointer(at.config, (*where, "mtls_certificates", index))
    return Diagnostic(Severity.WARNING, Code.UNDECLARED_BINDING, message, pointer, hint)


def placeholder_left(declaration: Declaration, at: BindingAddress, text: str, found: str, where: Pointer) -> Diagnostic:
    """An undeclared binding that was never given an ID: wrangler refuses to deploy it. `text`: the binding, `found`:
    what it has instead of an ID."""
    name = CertificateName(at.binding.lower().replace("_", "-"))  # of a certificate with this name, if there is one
    hint = bind_some(declaration, at, name if name in declaration.certificates else None)
    return Diagnostic(Severity.WARNING, Code.PLACEHOLDER_LEFT, f"{text} has the placeholder {found!r}", where, hint)


def unknown_left(declaration: Declaration, at: BindingAddress, text: str, found: str, where: Pointer) -> Diagnostic:
    """An undeclared binding with an ID that was requested by itself and not found: wrangler refuses to deploy it."""
    message = f"{text} has {found}, which no uploaded certificate has"
    return Diagnostic(Severity.WARNING, Code.ENTRY_MISSING, message, where, bind_some(declaration, at))


def bind_some(declaration: Declaration, at: BindingAddress, name: CertificateName | None = None) -> str:
    """How to declare a binding that has no valid ID. `name`: the certificate that it probably means."""
    first = "" if name is not None else "declare its certificate in `[certificates.NAME]` if it is new, then "
    remove = f"remove the binding from {printable(at.config)}"
    return to_declare(
        declaration,
        at,
        f'"{name or "NAME"}"',
        lambda where: f"{first}add this {where}, and run `mtlsctl apply`; or {remove}",
    )


def undeclared_environment(
    declaration: Declaration, worker: DeclaredWorker, file: WranglerFile, environment: str
) -> Diagnostic:
    """Rule 3: wrangler deploys such an environment without certificates, with no more than a warning."""
    message = f"{file.path} has the environment {environment!r}, for which mtls.toml declares nothing"
    lines = [
        bindings_table(worker.label, environment),
        *(_binding_line(binding) for binding in worker.environments.get(None, ())),
    ]
    what = (
        "wrangler does not inherit mtls_certificates: add these lines to mtls.toml, or only the first if this"
        " environment needs no certificate"
    )
    has = len(file.environments[environment].bindings) if environment in file.environments else 0
    hint = to_paste(what, lines, names=(environment,))
    if has:
        bindings = f"{has} binding{'' if has == 1 else 's'}"
        hint = f"run `mtlsctl init --update`, which declares it with what it has ({bindings})"
    pointer = Pointer(declaration.path, ("workers", worker.label))
    return Diagnostic(Severity.WARNING, Code.UNDECLARED_ENVIRONMENT, message, pointer, hint)


def previews_unmanaged(file: WranglerFile) -> Diagnostic:
    """`previews` has bindings of its own; they are not inherited either."""
    message = f"{file.path} has `previews`, whose mtls_certificates mtlsctl does not write"
    hint = "write the IDs there by hand: `mtlsctl output NAME` prints them; a certificate whose ID is there is kept"
    severity = Severity.WARNING if file.previews else Severity.INFO
    return Diagnostic(severity, Code.PREVIEWS_UNMANAGED, message, Pointer(file.path, ("previews",)), hint)


def rebuild_needed(file: WranglerFile, built: str) -> Diagnostic:
    """wrangler deploys a file that a build generated, which has other IDs."""
    message = f"wrangler deploys {built}, which a build generates from {file.path}; it does not have these IDs"
    hint = "build again after `mtlsctl apply`, then deploy"
    return Diagnostic(Severity.WARNING, Code.REBUILD_NEEDED, message, Pointer(file.path), hint)


def toml_key(name: str) -> str:
    """A key of TOML that means this name, on one line."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else toml_text(name)


def _binding_line(declared: DeclaredBinding) -> str:
    match declared.target:
        case ByCertificate(certificate):
            value = f'"{certificate}"'
        case ById(entry):
            value = f'{{ id = "{entry}" }}'
    return f"{toml_key(declared.binding)} = {value}"
