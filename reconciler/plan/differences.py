"""The differences of two certificates, or of two changes, attribute by attribute; PEM text is not compared."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

from reconciler.model import Difference
from reconciler.x509.certificates import Bundle


@lru_cache(maxsize=4096)
def certificate_differences(before: Bundle | None, after: Bundle) -> tuple[Difference, ...]:
    """The attributes of the leaf that changed, in the order of `CertificateFacts`. Only for pairs that differ.

    `before` None: there was no certificate, so every attribute is new.
    """
    new = _as_text(after)
    old = dict.fromkeys(new, "") if before is None else _as_text(before)
    return tuple(Difference(key, old[key] or None, new[key] or None) for key in changed_texts(old, new))


def changed_texts(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    """The keys whose values differ, or that only one of two has, in their order.

    deepdiff is imported here because its import takes longer than a plan without differences. It compares texts of
    several lines line by line, for minutes if others wrote them to that end, so it gets none.
    """
    from deepdiff import DeepDiff

    old, new = ({key: text.replace("\n", "\\n") for key, text in one.items()} for one in (before, after))
    found = DeepDiff(old, new, view="tree").values()
    touched = {change.path(output_format="list")[0] for changes in found for change in changes}
    return tuple(key for key in dict.fromkeys((*before, *after)) if key in touched)


def _as_text(bundle: Bundle) -> dict[str, str]:
    facts = asdict(bundle.facts())
    return {key: ", ".join(value) if isinstance(value, tuple) else value for key, value in facts.items()}
