"""The differences of two certificates, attribute by attribute; PEM text is not compared."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

from reconciler.model import Difference
from reconciler.x509.certificates import Bundle


@lru_cache(maxsize=4096)
def certificate_differences(before: Bundle, after: Bundle) -> tuple[Difference, ...]:
    """The attributes of the leaf that changed, in the order of `CertificateFacts`. Call it only on pairs that differ.

    deepdiff is imported here because its import takes longer than a plan without differences.
    """
    from deepdiff import DeepDiff

    old, new = _as_text(before), _as_text(after)
    changed = DeepDiff(old, new, view="tree").get("values_changed", ())
    touched = {change.path(output_format="list")[0] for change in changed}
    return tuple(Difference(key, old[key] or None, new[key] or None) for key in old if key in touched)


def _as_text(bundle: Bundle) -> dict[str, str]:
    facts = asdict(bundle.facts())
    return {key: ", ".join(value) if isinstance(value, tuple) else value for key, value in facts.items()}
