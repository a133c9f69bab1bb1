"""The inputs of a plan with pseudonyms for every name, so that the plan stays the same but for them.

Whatever is text is replaced, unless it is a word of a format: a field that is added to a type later is replaced, too.
The same text gets the same pseudonym, and pseudonyms sort as the texts did, because plans are sorted by names.
Certificates are written again by `x509/reissue.py`. The result is checked: it must give the same plan.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, is_dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from functools import cache, partial
from hashlib import sha256
from posixpath import splitext
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import (
    BindingName,
    BrokenFile,
    CertificateName,
    Change,
    Declaration,
    DeclaredCertificate,
    DeclaredWorker,
    Entry,
    EntryId,
    KeyReference,
    Live,
    LiveVersion,
    LiveWorker,
    Origin,
    Policy,
    StoreKind,
    StoreSettings,
    Sweep,
    User,
    UserKind,
    WorkerLabel,
    WranglerEnvironment,
    WranglerFile,
)
from reconciler.model.accounts import account_problem
from reconciler.model.certificate_policy import AllowedKey, CertificatePolicy
from reconciler.model.found import Built, FoundBinding, needle_of
from reconciler.model.hostnames import CaList, DeclaredZone, FoundZone, HostnamesAddress
from reconciler.model.hyperdrive import DeclaredHyperdrive, HyperdriveAddress, HyperdriveConfig, HyperdriveField
from reconciler.model.identifiers import IdKind, kind_of_id
from reconciler.model.key_places import KeySlots
from reconciler.model.live import PAGES
from reconciler.model.ownership import mark_name, read_mark
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.inputs import PlanInputs, replay
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan, Selection
from reconciler.records.recording import without_texts
from reconciler.x509.certificates import Bundle, issuer_text, quiet, stored_fields
from reconciler.x509.reissue import CannotReissueError, MakeRsa, Reissuer, texts_of


class TextRole(Enum):
    """What a text is, by which it is replaced. The value begins its pseudonym."""

    KEEP = ""
    TEXT = "text"
    CERTIFICATE = "certificate"
    WORKER = "worker"
    BINDING = "BINDING"
    ENVIRONMENT = "environment"
    STACK = "stack"
    SCRIPT = "script"
    OWNER = "owner"
    PATH = "path"
    ACCOUNT = "account"
    URL = "origin"
    ID = "id"
    ENTRY = "entry"
    IN_CERTIFICATE = "name"
    HOST = "host"
    ANY = "any"  # the name of a certificate, an ID, or the name of an upload


_Roles = TextRole | tuple[TextRole, TextRole]
"""Of a mapping or a pair: the role of the first, and of the second."""

_OF_TYPES: Mapping[object, TextRole] = {
    CertificateName: TextRole.CERTIFICATE,
    EntryId: TextRole.ID,
    WorkerLabel: TextRole.WORKER,
    BindingName: TextRole.BINDING,
}
_OF_FIELDS: Mapping[tuple[type, str], _Roles] = {
    (Declaration, "path"): TextRole.PATH,
    (Declaration, "stack"): TextRole.STACK,
    (Declaration, "former_stacks"): TextRole.STACK,
    (StoreSettings, "account_id"): TextRole.ACCOUNT,
    (KeySlots, "account"): TextRole.ACCOUNT,
    (AllowedKey, "kind"): TextRole.KEEP,
    (CertificatePolicy, "extended_key_usage"): TextRole.KEEP,
    (CertificatePolicy, "extensions"): TextRole.KEEP,
    (CertificatePolicy, "warn_only"): TextRole.KEEP,
    (DeclaredCertificate, "path"): TextRole.PATH,
    (DeclaredCertificate, "supersedes"): TextRole.ANY,
    (DeclaredCertificate, "owner"): TextRole.OWNER,
    (KeyReference, "source"): TextRole.KEEP,
    (KeyReference, "options"): (TextRole.KEEP, TextRole.TEXT),
    (Origin, "url"): TextRole.URL,
    (Origin, "ca"): TextRole.PATH,
    (Origin, "client_ca"): TextRole.PATH,
    (DeclaredWorker, "config"): TextRole.PATH,
    (DeclaredWorker, "environments"): (TextRole.ENVIRONMENT, TextRole.TEXT),
    (DeclaredWorker, "undeployed"): TextRole.ENVIRONMENT,
    (DeclaredHyperdrive, "config"): TextRole.SCRIPT,  # an ID or a name, as of the configuration itself
    (DeclaredHyperdrive, "sslmode"): TextRole.KEEP,
    (DeclaredZone, "zone"): TextRole.SCRIPT,  # as of a configuration
    (DeclaredZone, "cas"): (TextRole.CERTIFICATE, TextRole.HOST),
    (FoundZone, "declared"): TextRole.SCRIPT,
    (FoundZone, "ids"): TextRole.SCRIPT,
    (CaList, "zone"): TextRole.SCRIPT,
    (CaList, "names"): TextRole.HOST,
    (DeployChoice, "zones"): TextRole.SCRIPT,
    (HyperdriveConfig, "id"): TextRole.SCRIPT,
    (HyperdriveConfig, "name"): TextRole.SCRIPT,
    (DeployChoice, "hyperdrives"): TextRole.SCRIPT,
    (WranglerFile, "path"): TextRole.PATH,
    (WranglerFile, "environments"): (TextRole.ENVIRONMENT, TextRole.TEXT),
    (WranglerFile, "worker_name"): TextRole.SCRIPT,
    (WranglerEnvironment, "name"): TextRole.ENVIRONMENT,
    (WranglerEnvironment, "taken"): (TextRole.BINDING, TextRole.TEXT),
    (WranglerEnvironment, "account_id"): TextRole.ACCOUNT,
    (WranglerEnvironment, "script"): TextRole.SCRIPT,
    (FoundBinding, "binding"): TextRole.BINDING,
    (FoundBinding, "certificate_id"): TextRole.ID,
    (Built, "path"): TextRole.PATH,
    (Built, "bindings"): (TextRole.BINDING, TextRole.ID),
    (Built, "script"): TextRole.SCRIPT,
    (Entry, "name"): TextRole.ENTRY,
    (Entry, "type"): TextRole.KEEP,
    (Entry, "signature"): TextRole.KEEP,
    (BrokenFile, "path"): TextRole.PATH,
    (Sweep, "mentions"): (TextRole.ID, TextRole.PATH),
    (Sweep, "unread"): TextRole.PATH,
    (LiveVersion, "bindings"): (TextRole.BINDING, TextRole.ID),
    (LiveWorker, "script"): TextRole.SCRIPT,
    (Live, "workers"): (TextRole.SCRIPT, TextRole.TEXT),
    (Live, "unread"): (TextRole.SCRIPT, TextRole.TEXT),
    (Live, "users_unread"): (TextRole.SCRIPT, TextRole.TEXT),
    (User, "id"): TextRole.SCRIPT,
    (Diagnostic, "certificate"): TextRole.CERTIFICATE,
    (Selection, "retire"): TextRole.ANY,
    (PlanOptions, "skip_grace"): TextRole.ANY,
    (PlanOptions, "ignore_rollback"): TextRole.ANY,
    (PlanOptions, "take_over"): TextRole.STACK,
    (PlanOptions, "unprotected"): TextRole.ANY,
    (DeployChoice, "split"): TextRole.SCRIPT,
}
"""Every other text is `TEXT`."""

_NAMED_ELSEWHERE = frozenset({UserKind.HOSTNAMES, UserKind.HYPERDRIVE})
"""The users that are read in another place, too."""

_PATTERNS: Mapping[tuple[type, str], tuple[TextRole, ...]] = {
    (Policy, "protect"): (TextRole.CERTIFICATE, TextRole.ENTRY),
    (Policy, "always_protect"): (TextRole.CERTIFICATE, TextRole.ENTRY),
    (Selection, "only"): (TextRole.CERTIFICATE,),
    (CertificatePolicy, "names"): (TextRole.CERTIFICATE,),
    (CertificatePolicy, "common_names"): (TextRole.IN_CERTIFICATE,),
}
"""Globs, and what they match: each becomes the pseudonyms of all that it matches."""

_EMPTY = frozenset({""})
_WORDS: Mapping[TextRole, frozenset[str]] = {
    TextRole.PATH: _EMPTY | {"mtls.toml"},
    TextRole.ENVIRONMENT: _EMPTY | {"production", "preview"},
    TextRole.SCRIPT: _EMPTY | {one.value for one in UserKind},
}
"""What is not replaced, because it means something to wrangler or here, and nothing about anyone."""
_PREFIXES = tuple(prefix.replace("-", "") for one in StoreKind if (prefix := one.traits.id_prefix) is not None)
_SUFFIXES = {".toml", ".json", ".jsonc", ".pem", ".crt", ".cer", ".key"}
_HEX = re.compile("[0-9a-f]")


def with_pseudonyms(inputs: PlanInputs, make_rsa: MakeRsa) -> PlanInputs:
    """The same inputs with pseudonyms. ReconcilerError if they can't be replaced so that the plan stays the same."""
    inputs = replace(without_texts(inputs), commit=None)
    with quiet():
        try:
            names = _Pseudonyms(make_rsa)
            names.walk(inputs)
            names.settle()
            made = names.walk(inputs)
        except CannotReissueError as error:
            raise _refused(str(error)) from error
        if names.outline(replay(inputs)) != names.outline(replay(made), is_done=True):
            raise _refused("something that the plan depends on is lost with the names")
    return made


def _refused(why: str) -> ReconcilerError:
    return ReconcilerError(
        f"no recording was made: the names in it can't be replaced ({why})",
        hint="record without `--pseudonyms`, and send the file privately",
        code=Code.RECORDING_FILE,
    )


@dataclass(slots=True)
class _Pseudonyms:
    """Replaces the texts of values. Until `settle`, it only collects them and changes nothing."""

    make_rsa: MakeRsa
    texts: dict[TextRole, set[str]] = field(default_factory=lambda: defaultdict(set))
    bundles: dict[Bundle, None] = field(default_factory=dict)
    chosen: dict[tuple[TextRole, str], str] = field(default_factory=dict)
    reissuer: Reissuer | None = None

    def settle(self) -> None:
        """Choose the pseudonyms of everything that was collected."""
        for bundle in self.bundles:
            self.texts[TextRole.IN_CERTIFICATE].update(texts_of(bundle))
        for role, texts in self.texts.items():
            found = sorted({_canonical(role, text) for text in texts})
            width = len(str(len(found)))
            for number, text in enumerate(found, start=1):
                self.chosen[role, text] = _pseudonym(role, text, number, width)
        ders = dict.fromkeys(der for bundle in self.bundles for der in bundle.ders)
        self.reissuer = Reissuer(ders, self.make_rsa, partial(self.text, TextRole.IN_CERTIFICATE))

    def text(self, role: TextRole, text: str) -> str:
        """The pseudonym of a text."""
        if self.reissuer is None and not self.chosen:
            self.texts[role].add(text)
            return text
        for one in (TextRole.CERTIFICATE, TextRole.ID, TextRole.ENTRY) if role is TextRole.ANY else ():
            if (one, _canonical(one, text)) in self.chosen:
                return self.text(one, text)
        if role is TextRole.KEEP or text in _kept(role):
            return text
        if role is TextRole.ENTRY and (TextRole.CERTIFICATE, text) in self.chosen:
            return self.chosen[TextRole.CERTIFICATE, text]  # `protect` and `supersedes` name both
        if role is TextRole.SCRIPT and text.startswith(PAGES):
            project, slash, side = text.removeprefix(PAGES).rpartition("/")
            return f"{PAGES}{self.text(role, project or side)}{slash}{side if project else ''}"
        found = self.chosen.get((role, _canonical(role, text)))
        if found is None:
            found = self.chosen[role, _canonical(role, text)] = f"{role.value or 'text'}-more-{len(self.chosen)}"
        return _shaped(text, found) if role is TextRole.ID else found

    def walk(self, value: PlanInputs) -> PlanInputs:
        """The value with every text replaced."""
        made = self._walk(PlanInputs, value, TextRole.TEXT)
        assert isinstance(made, PlanInputs)  # noqa: S101 - it is a copy
        return made

    def _walk(self, kind: Any, value: Any, roles: _Roles) -> Any:
        if kind in _OF_TYPES:
            return self.text(_OF_TYPES[kind], value)
        origin, parts = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            kinds = [one for one in parts if isinstance(value, get_origin(one) or getattr(one, "__supertype__", one))]
            return self._walk(kinds[0], value, roles) if kinds or not isinstance(value, int) else value  # for a float
        if isinstance(value, str) and not isinstance(value, Enum):
            return self.text(roles if isinstance(roles, TextRole) else roles[1], value)
        if isinstance(value, Bundle):
            return self._bundle(value)
        if isinstance(value, Mapping):
            first, second = roles if isinstance(roles, tuple) else (roles, roles)
            return {self._walk(parts[0], key, first): self._walk(parts[1], one, second) for key, one in value.items()}
        if origin is tuple and parts[-1] is not Ellipsis and isinstance(roles, tuple):
            return tuple(self._walk(part, one, role) for part, one, role in zip(parts, value, roles, strict=True))
        if isinstance(value, tuple | frozenset):
            return type(value)(self._walk(parts[0], one, roles) for one in value)
        return self._fields(value) if is_dataclass(value) else value

    def _fields(self, value: Any) -> Any:
        kind: type = type(value)
        hints = _hints(kind)
        made: dict[str, object] = {}
        for name in value.__dataclass_fields__:
            if (kind, name) in _PATTERNS:
                made[name] = self._patterns(getattr(value, name), _PATTERNS[kind, name])
            elif (kind, name) == (HyperdriveConfig, "mtls"):
                made[name] = {key: self._of_mtls(key, one) for key, one in value.mtls.items()}
            elif (kind, name) == (CertificatePolicy, "issuers"):
                made[name] = self._issuers(value.issuers)
            elif not (isinstance(value, Entry | Diagnostic) and name in _OWN[type(value)]):
                made[name] = self._walk(hints[name], getattr(value, name), _OF_FIELDS.get((kind, name), TextRole.TEXT))
        if isinstance(value, Entry):
            made |= self._entry(value)
        if isinstance(value, Diagnostic):
            made |= self._diagnostic(value)
        if isinstance(value, User) and value.kind in _NAMED_ELSEWHERE:
            made["name"] = self._name_of_user(value)
        if isinstance(value, BrokenFile) and value.text is not None:
            made["text"] = b" ".join(
                needle_of(EntryId(self.text(TextRole.ID, one.decode()))) for one in value.text.split()
            )
        return replace(value, **made)

    def _name_of_user(self, user: User) -> str:
        """The name as what was read has it, so that the same user is found once: joined hostnames one by one."""
        if user.kind is not UserKind.HOSTNAMES:
            return self.text(TextRole.SCRIPT, user.name)
        names, more, number = user.name.partition(" and ")  # as `names_text` joins them
        return ", ".join(self.text(TextRole.HOST, one) for one in names.split(", ")) + more + number

    def _of_mtls(self, key: str, value: object) -> object:
        """A value of a Hyperdrive configuration: an ID, its mode, or something that nothing here knows."""
        if not isinstance(value, str) or key == HyperdriveField.SSLMODE.key:
            return value
        is_id = key in {one.key for one in HyperdriveField}
        return self.text(TextRole.ID if is_id else TextRole.TEXT, value)

    def _bundle(self, bundle: Bundle) -> Bundle:
        if self.reissuer is None:
            self.bundles[bundle] = None
            return bundle
        return self.reissuer.bundle(bundle)

    def _entry(self, entry: Entry) -> dict[str, str]:
        """What depends on the certificates: them, what the store derives from them, and the mark in the name."""
        bundle, mark = entry.bundle, read_mark(entry)
        if mark is not None:
            stack = self.text(TextRole.STACK, mark.stack)
            name = CertificateName(self.text(TextRole.CERTIFICATE, mark.certificate))
        if bundle is None:
            issuer = self.text(TextRole.TEXT, entry.issuer) if entry.issuer else ""
            return {"name": self.text(TextRole.ENTRY, entry.name), "certificates": "", "issuer": issuer}
        written = self._bundle(bundle)
        serials = {str(one.serial_number): str(two.serial_number) for one, two in _pairs(bundle, written)}
        return {
            "name": self.text(TextRole.ENTRY, entry.name) if mark is None else mark_name(stack, name, written.digest),
            "certificates": written.pem(),
            "issuer": stored_fields(written).issuer if entry.issuer else "",
            "serial_number": serials.get(entry.serial_number, "1" if entry.serial_number else ""),
        }

    def _diagnostic(self, finding: Diagnostic) -> dict[str, object]:
        """What a finding means, without its words; and only its file."""
        number = self.text(TextRole.TEXT, finding.message)
        where = None if finding.where is None else Place(self.text(TextRole.PATH, finding.where.path))
        return {"message": f"{finding.code.meaning} ({number})", "where": where, "hint": None}

    def _patterns(self, globs: Iterable[str], roles: tuple[TextRole, ...]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for number, glob in enumerate(globs, start=1):
            texts = [(role, text) for role in roles for text in sorted(self.texts[role]) if fnmatchcase(text, glob)]
            found |= dict.fromkeys(self.text(*one) for one in texts) or {f"unmatched-{number}": None}
        return tuple(found)

    def _issuers(self, issuers: tuple[str, ...]) -> tuple[str, ...]:
        """As `_patterns`, of names and fingerprints of CAs."""
        if self.reissuer is None or not issuers:
            return issuers
        known: dict[str, str] = {
            text: self.text(TextRole.IN_CERTIFICATE, text) for text in self.texts[TextRole.IN_CERTIFICATE]
        }
        for bundle in self.bundles:
            written = self._bundle(bundle)
            known |= {issuer_text(one): issuer_text(two) for one, two in _pairs(bundle, written)}
            pairs = zip(bundle.ders, written.ders, strict=True)
            known |= {sha256(one).hexdigest(): sha256(two).hexdigest() for one, two in pairs}
        return tuple(known.get(one, f"unmatched-{number}") for number, one in enumerate(issuers, start=1))

    # --- the check --------------------------------------------------------------------------------------------------

    def outline(self, plan: Plan, *, is_done: bool = False) -> Counter[tuple[object, ...]]:
        """What must be the same in both plans, in pseudonyms: changes, what waits, and the codes of findings."""
        told: Counter[tuple[object, ...]] = Counter((one.code, one.severity) for one in plan.diagnostics)
        told.update(self._change(one, is_done) for one in plan.changes)
        told.update((*self._change(one.change, is_done), one.condition, one.until) for one in plan.waiting)
        return told

    def _change(self, change: Change, is_done: bool) -> tuple[object, ...]:
        def named(role: TextRole, text: str | None) -> str | None:
            return text if text is None or is_done else self.text(role, text)

        at = getattr(change, "at", None)
        entry = getattr(change, "entry", None)
        is_drive = isinstance(at, HyperdriveAddress)
        is_mode = isinstance(at, HyperdriveAddress) and at.field is HyperdriveField.SSLMODE
        before = named(TextRole.KEEP if is_mode else TextRole.ID, getattr(change, "before", None))
        return (
            change.action,
            getattr(change, "reasons", ()),
            named(TextRole.CERTIFICATE, change.certificate),
            named(TextRole.SCRIPT if is_drive else TextRole.PATH, getattr(at, "config", None)),
            named(TextRole.ENVIRONMENT, getattr(at, "environment", None)),
            named(TextRole.BINDING, getattr(at, "binding", None)),
            named(TextRole.ID, getattr(entry, "id", None)),
            before if at is not None else None,
            named(TextRole.SCRIPT, at.zone_id if isinstance(at, HostnamesAddress) else None),
            frozenset(named(TextRole.HOST, one) for one in getattr(change, "names", ())),
        )


_OWN: Mapping[type, frozenset[str]] = {
    Entry: frozenset({"name", "certificates", "issuer", "serial_number"}),
    Diagnostic: frozenset({"message", "where", "hint"}),
}
"""The fields that are not replaced one by one."""


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _pairs(old: Bundle, new: Bundle) -> Iterator[tuple[Any, Any]]:
    return zip(old.certificates, new.certificates, strict=True)


def _kept(role: TextRole) -> Iterable[str]:
    return _WORDS.get(role, _EMPTY)


def _canonical(role: TextRole, text: str) -> str:
    """The text that stands for all that mean the same: an ID or a hostname however it is written."""
    if role is TextRole.HOST:
        return text.lower()
    is_id = role is TextRole.ID and kind_of_id(text) is not IdKind.PLACEHOLDER
    return text.strip().lower().replace("-", "") if is_id else text


def _pseudonym(role: TextRole, text: str, number: int, width: int) -> str:
    counted = f"{role.value}-{number:0{width}}"
    match role:
        case TextRole.BINDING:
            return counted.replace("-", "_")
        case TextRole.PATH:
            suffix = splitext(text)[1].lower()
            return counted + (suffix if suffix in _SUFFIXES else "")
        case TextRole.ACCOUNT if account_problem(text) is None:
            return f"{number:032x}"
        case TextRole.URL:
            return f"https://{counted}.example/"
        case TextRole.ID if kind_of_id(text) is IdKind.PLACEHOLDER:
            return f"<{counted}>"
        case TextRole.ID:
            first = text[:8] if text.startswith(_PREFIXES) else f"{number:08x}"
            return f"{first}{number & 0xFFFF:04x}40008000{number:012x}"
        case _:
            return counted


def _shaped(text: str, digits: str) -> str:
    """The digits of a pseudonym, written as the ID is: with its dashes, letter case and white space."""
    if digits.startswith("<"):
        return digits
    left = iter(digits)
    made = "".join(next(left) if _HEX.fullmatch(one.lower()) else one for one in text)
    return made.upper() if text.strip() != text.strip().lower() else made
