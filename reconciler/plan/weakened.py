"""Which settings of mtls.toml protect less than at another revision of it.

A table of guards, whose order is the order shown. Knows nothing of git: it is handed both declarations, as they are in
their files, without the limits of the operator.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import islice, product
from operator import gt, ne
from typing import TypeVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import Declaration, DeclaredWorker, Gate, Policy
from reconciler.model.certificate_policy import EXTENSIONS, USAGES, AllowedKey, CertificatePolicy
from reconciler.model.freezes import Once, Weekly
from reconciler.model.words import environment_path
from reconciler.plan.policy import duration_text, most_unbinds

Keys = tuple[str, ...]

_MOST_NAMED = 3
_LONGEST_SHOWN = 200
_DEFAULT_CONFIGS = frozenset({"wrangler.toml", "wrangler.json", "wrangler.jsonc"})
_MOST_MOVED = 1000
"""Pairs of a Worker that is gone and one that is new. More at once are no change that a person can review."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Weakened:
    """One setting that protects less than before. `path`: its keys in mtls.toml, joined by dots; `effect`: so what."""

    guard: str
    before: str
    after: str
    path: str
    keys: Keys = field(default=(), compare=False)
    effect: str = field(default="", compare=False)


def find_weakened(before: Declaration, after: Declaration) -> tuple[Weakened, ...]:
    """The guards that are weaker in `after`, in the order of the table."""
    known = (before, *_moved(before, after))
    return tuple(dict.fromkeys(one for guard in GUARDS for old in known for one in guard(old, after)))


def _moved(before: Declaration, after: Declaration) -> Iterator[Declaration]:
    """The first declaration, as if a Worker that is gone were one that is new: it may have another label and file."""
    labels, files = set(before.workers), set(map(_file, before.workers.values()))
    new = [one for one in after.workers.values() if one.label not in labels or _file(one) not in files]
    there = {(one.label, _file(one)) for one in after.workers.values()}
    gone = [one for one in before.workers.values() if (one.label, _file(one)) not in there]
    for one, other in islice(product(gone, new), _MOST_MOVED):
        yield replace(before, workers={other.label: replace(one, label=other.label, config=other.config)})


def weakened_findings(found: Iterable[Weakened], path: str, revision: str) -> Iterator[Diagnostic]:
    """A warning for each guard, however many places it has. `path`: of mtls.toml; `revision`: the one compared with."""
    places: dict[str, list[Weakened]] = {}
    for one in found:
        places.setdefault(one.guard, []).append(one)
    for first, *others in places.values():
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        also = f" (also {', '.join(f'`{one.path}`' for one in others[:_MOST_NAMED])}{more})" if others else ""
        yield Diagnostic(
            Severity.WARNING,
            Code.GUARD_WEAKENED,
            f"`{first.path}` is weaker than at {revision}: {_short(first.before)} -> {_short(first.after)}{also}, so"
            f" {first.effect}",
            Pointer(path, first.keys),
            "check that this is meant, and that the same change does not remove what it protected",
        )


def _short(text: str) -> str:
    """A value as a sentence can have it; the document has all of it."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


# --- how a guard is compared ------------------------------------------------------------------------------------------

Guard = Callable[[Declaration, Declaration], Iterator[Weakened]]
"""The places where one setting is weaker in the second declaration."""


def _guard(
    name: str,
    effect: str,
    read: Callable[[Declaration], Mapping[Keys, _T]],
    is_weaker: Callable[[_T, _T], bool],
    show: Callable[[_T], str],
    *,
    fallback: Callable[[Declaration], _T] | None = None,
    where: Callable[[Keys, Declaration], Keys] = lambda keys, _: keys,
) -> Guard:
    """A row. `read`: the values, by what they are of. `fallback`: the value of what has none; without it, only what is
    in both declarations is compared. `where`: the keys of a value in mtls.toml."""

    def compare(before: Declaration, after: Declaration) -> Iterator[Weakened]:
        old, new = read(before), read(after)
        places: set[Keys] = set()
        for keys in dict.fromkeys((*new, *old)):
            if fallback is not None:
                was, now = old.get(keys, fallback(before)), new.get(keys, fallback(after))
            elif keys in old and keys in new:
                was, now = old[keys], new[keys]
            else:
                continue
            place = where(keys, after)
            if place not in places and is_weaker(was, now):
                places.add(place)
                yield Weakened(name, show(was), show(now), _dotted(place), place, effect)

    return compare


def _setting(
    name: str,
    effect: str,
    read: Callable[[Policy], _T],
    is_weaker: Callable[[_T, _T], bool],
    show: Callable[[_T], str],
) -> Guard:
    """A row for a key of `[policy]`."""
    return _guard(name, effect, lambda one: {("policy", name): read(one.policy)}, is_weaker, show)


def _rule(
    name: str,
    effect: str,
    read: Callable[[CertificatePolicy], _T],
    is_weaker: Callable[[_T, _T], bool],
    show: Callable[[_T], str],
) -> Guard:
    """A row for a key of `[policy.certificates]`."""
    keys = ("policy", "certificates", name)
    return _guard(name, effect, lambda one: {keys: read(one.policy.certificates)}, is_weaker, show)


def _dotted(keys: Keys) -> str:
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in keys)


def _has_more(before: Collection[str], after: Collection[str]) -> bool:
    return not set(after) <= set(before)


def _has_less(before: Collection[str], after: Collection[str]) -> bool:
    return not set(before) <= set(after)


def _is_on(before: bool, after: bool) -> bool:
    return after and not before


def _is_off(before: bool, after: bool) -> bool:
    return before and not after


def _allows_more(covers: Callable[[_T, _T], bool]) -> Callable[[Sequence[_T], Sequence[_T]], bool]:
    """A comparison of lists of what is allowed, of which an empty one allows everything."""

    def is_weaker(before: Sequence[_T], after: Sequence[_T]) -> bool:
        if not before or not after:
            return bool(before)
        return not all(any(covers(one, other) for one in before) for other in after)

    return is_weaker


def _glob_covers(glob: str, other: str) -> bool:
    """Whether a glob surely matches all that the other one matches; without `?` and `[...]`, each `*` is one text."""
    is_simple = not set("?[") & set(glob) and "[" not in other
    return glob == other or (is_simple and fnmatchcase(other, glob))


def _true_or_false(value: object) -> str:
    return str(value).lower()


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def _names(known: Mapping[str, str]) -> Callable[[Sequence[str]], str]:
    names = {identifier: word for word, identifier in known.items()}
    return lambda values: _listed(names.get(one, one) for one in values)


# --- what is read -----------------------------------------------------------------------------------------------------


def _graces(declaration: Declaration) -> dict[Keys, timedelta]:
    found: dict[Keys, timedelta] = {("policy", "grace"): declaration.policy.grace}
    for name, one in declaration.certificates.items():
        if one.grace is not None:
            found["certificates", name, "grace"] = one.grace
    return found


def _gates(declaration: Declaration) -> dict[Keys, frozenset[Gate]]:
    found: dict[Keys, frozenset[Gate]] = {("policy", "verify_before"): declaration.policy.verify_before}
    for name, one in declaration.certificates.items():
        if one.verify_before is not None:
            found["certificates", name, "verify_before"] = one.verify_before
    return found


@dataclass(frozen=True, slots=True)
class _Unbinds:
    """`max_unbinds` as it is written, and the number that it means."""

    setting: int | None
    number: int

    def __str__(self) -> str:
        return f"{self.number} by default" if self.setting is None else str(self.number)


def _unbinds(declaration: Declaration) -> dict[Keys, _Unbinds]:
    count = sum(len(found) for worker in declaration.workers.values() for found in worker.environments.values())
    policy = declaration.policy
    return {("policy", "max_unbinds"): _Unbinds(policy.max_unbinds, most_unbinds(policy, count))}


def _removes_more(before: _Unbinds, after: _Unbinds) -> bool:
    return before.setting != after.setting and before.number < after.number


def _deletes(policy: Policy) -> tuple[int | None, int | None]:
    return policy.max_deletes, policy.max_deletes_share


def _deletes_more(before: tuple[int | None, int | None], after: tuple[int | None, int | None]) -> bool:
    """Whether the number or the share is larger, or no limit any more."""
    pairs = zip(before, after, strict=True)
    return any(was is not None and (now is None or now > was) for was, now in pairs)


def _deletes_text(most: tuple[int | None, int | None]) -> str:
    count, share = most
    texts = [*([] if count is None else [str(count)]), *([] if share is None else [f"{share}%"])]
    return " and ".join(texts) or "no limit"


def _protects_less(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    return not all(any(fnmatchcase(name, glob) for glob in after) for name in before)


def _handed_over(before: Declaration, after: Declaration) -> Iterator[Weakened]:
    """Uploads of others that a protected certificate replaces, and that another one replaces now."""
    was, now = _replaced_by(before), _replaced_by(after)
    for upload, name in now.items():
        old = was.get(upload)
        if old is not None and _is_protected(old, before) and not _is_protected(name, after):
            keys: Keys = ("certificates", name, "supersedes")
            yield Weakened("supersedes", old, name, _dotted(keys), keys, f"{upload} is not protected any more")


def _replaced_by(declaration: Declaration) -> dict[str, str]:
    return {upload: name for name, one in declaration.certificates.items() for upload in one.supersedes}


def _is_protected(name: str, declaration: Declaration) -> bool:
    return any(fnmatchcase(name, glob) for glob in declaration.policy.protect)


def _freezes(policy: Policy) -> tuple[str, ...]:
    """Each freeze in one text; its reason does not count."""
    return tuple(f"{_freeze_text(one.when)} {one.zone}" for one in policy.freezes)


def _freeze_text(when: Once | Weekly) -> str:
    if isinstance(when, Once):
        return f"{when.begins:%Y-%m-%d %H:%M} to {when.ends:%Y-%m-%d %H:%M}"
    return f"every {_weekly_text(when.begins)} to {_weekly_text(when.ends)}"


def _weekly_text(time: timedelta) -> str:
    return f"{_DAYS[time.days % 7]} {time.seconds // 3600:02}:{time.seconds % 3600 // 60:02}"


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


# A Worker is known by its file and by its label: else a change of one of them would hide what is loosened with it.


def _of_workers(read: Callable[[DeclaredWorker], Mapping[Keys, _T]]) -> Callable[[Declaration], dict[Keys, _T]]:
    """A function that gives the values of each Worker, by both of its names."""
    return lambda declaration: {
        (*name, *keys): value
        for worker in declaration.workers.values()
        for name in (("file", _file(worker)), ("label", worker.label))
        for keys, value in read(worker).items()
    }


def _file(worker: DeclaredWorker) -> str:
    """The file, or its folder if that is enough to find it."""
    folder, _, name = posixpath.normpath(worker.config).rpartition("/")
    return folder or "." if name in _DEFAULT_CONFIGS else posixpath.normpath(worker.config)


def _deployed(worker: DeclaredWorker) -> dict[Keys, bool]:
    environments = {None: None, **dict.fromkeys(worker.environments), **dict.fromkeys(worker.undeployed)}
    return {environment_path(environment): environment not in worker.undeployed for environment in environments}


def _of_worker(key: str) -> Callable[[Keys, Declaration], Keys]:
    """A function from a Worker and an environment to the keys of a setting."""

    def where(keys: Keys, declaration: Declaration) -> Keys:
        kind, name, *environment = keys
        files = {_file(worker): worker.label for worker in reversed(tuple(declaration.workers.values()))}
        return ("workers", files[name] if kind == "file" else name, *environment, key)

    return where


def _only_warns(before: CertificatePolicy, after: CertificatePolicy) -> bool:
    return bool((after.warn_only - before.warn_only) & before.in_force & after.in_force)


GUARDS: tuple[Guard, ...] = (
    _guard(
        "stack",
        "what was uploaded under the earlier name is no longer managed here",
        lambda one: {("stack",): one.stack},
        ne,
        str,
    ),
    _guard(
        "former_stacks",
        "uploads of these stacks count as its own, and can be deleted with `--take-over`",
        lambda one: {("former_stacks",): one.former_stacks},
        _has_more,
        _listed,
    ),
    _setting(
        "prune",
        "uploads of certificates that were removed from mtls.toml can be deleted",
        lambda one: one.prune,
        _is_on,
        _true_or_false,
    ),
    _guard(
        "grace",
        "old certificates are deleted earlier",
        _graces,
        gt,
        duration_text,
        fallback=lambda one: one.policy.grace,
    ),
    _setting("max_deletes", "one run can delete more certificates", _deletes, _deletes_more, _deletes_text),
    _setting("protect", "uploads of these names can be deleted", lambda one: one.protect, _protects_less, _listed),
    _handed_over,
    _setting("freeze", "changes are made in times that were frozen", _freezes, _has_less, _listed),
    _guard("max_unbinds", "one run can remove more bindings", _unbinds, _removes_more, str),
    _setting(
        "rollback_versions",
        "certificates of fewer earlier deployments are kept",
        lambda one: one.rollback_versions,
        gt,
        str,
    ),
    _setting("check_live", "plans no longer read live Workers", lambda one: one.check_live, _is_off, _true_or_false),
    _guard(
        "deployed",
        "its live version does not keep an old certificate",
        _of_workers(_deployed),
        _is_off,
        _true_or_false,
        where=_of_worker("deployed"),
    ),
    _guard(
        "exclusive",
        "bindings that are not declared here can be removed from this file",
        _of_workers(lambda worker: {(): worker.exclusive}),
        _is_on,
        _true_or_false,
        where=_of_worker("exclusive"),
    ),
    _guard(
        "verify_before",
        "certificates are uploaded, bound or deleted without this proof",
        _gates,
        _has_less,
        lambda gates: _listed(sorted(gates)),
        fallback=lambda one: one.policy.verify_before,
    ),
    _rule(
        "max_lifetime",
        "certificates can be valid for longer",
        lambda one: (one.max_lifetime,) if one.max_lifetime is not None else (),
        _allows_more(lambda most, other: other <= most),
        lambda most: _listed(map(duration_text, most)),
    ),
    _rule("keys", "more types of keys are allowed", lambda one: one.keys, _allows_more(AllowedKey.covers), _listed),
    _rule("issuers", "more issuers are allowed", lambda one: one.issuers, _allows_more(str.__eq__), _listed),
    _rule(
        "extended_key_usage",
        "certificates need less in extendedKeyUsage",
        lambda one: one.extended_key_usage,
        _has_less,
        _names(USAGES),
    ),
    _rule(
        "extensions", "certificates need fewer extensions", lambda one: one.extensions, _has_less, _names(EXTENSIONS)
    ),
    _rule("key_reuse", "several certificates can have one key", lambda one: one.key_reuse, _is_on, _true_or_false),
    _rule("names", "certificates can have more names", lambda one: one.names, _allows_more(_glob_covers), _listed),
    _rule(
        "common_names",
        "more common names are allowed",
        lambda one: one.common_names,
        _allows_more(_glob_covers),
        _listed,
    ),
    _rule(
        "warn_only",
        "certificates that break these rules are uploaded",
        lambda one: one,
        _only_warns,
        lambda one: _listed(sorted(one.warn_only)),
    ),
)
"""A new setting that protects something is one row here."""
