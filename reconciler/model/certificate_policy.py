"""The values of `[policy.certificates]`: which certificates may be uploaded."""

from __future__ import annotations

from datetime import timedelta

from reconciler.findings.values import dataclass

EXTENSIONS = {
    "authorityInfoAccess": "1.3.6.1.5.5.7.1.1",
    "authorityKeyIdentifier": "2.5.29.35",
    "basicConstraints": "2.5.29.19",
    "certificatePolicies": "2.5.29.32",
    "cRLDistributionPoints": "2.5.29.31",
    "extendedKeyUsage": "2.5.29.37",
    "keyUsage": "2.5.29.15",
    "subjectAltName": "2.5.29.17",
    "subjectKeyIdentifier": "2.5.29.14",
}
"""The names of RFC 5280 for extensions, with their object identifiers."""

USAGES = {
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "OCSPSigning": "1.3.6.1.5.5.7.3.9",
}
"""The same for values of extendedKeyUsage."""

RULES = (
    "max_lifetime",
    "keys",
    "issuers",
    "extended_key_usage",
    "extensions",
    "key_reuse",
    "names",
    "common_names",
)
"""The keys of `[policy.certificates]` that are rules."""


@dataclass(frozen=True, slots=True)
class AllowedKey:
    """A type of key, as `key_kind` names it; of RSA alone `at_least` so many bits."""

    kind: str
    at_least: int = 0

    def __str__(self) -> str:
        return f"{self.kind} >= {self.at_least}" if self.at_least else self.kind

    def covers(self, other: AllowedKey) -> bool:
        """Whether it allows every key that the other one allows."""
        return self.kind == other.kind and self.at_least <= other.at_least


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """`[policy.certificates]`. What is empty or None is no rule.

    `issuers`: whole names (RFC 4514), common names, or fingerprints of CAs as 64 hex digits. `extended_key_usage` and
    `extensions` are required; their values are object identifiers. `key_reuse` False: no two certificates may have one
    key. `names` and `common_names` are globs. `warn_only`: the rules that only warn.
    """

    max_lifetime: timedelta | None = None
    keys: tuple[AllowedKey, ...] = ()
    issuers: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    key_reuse: bool = True
    names: tuple[str, ...] = ()
    common_names: tuple[str, ...] = ()
    warn_only: frozenset[str] = frozenset()

    @property
    def in_force(self) -> frozenset[str]:
        """The rules that there are, also those that only warn."""
        return frozenset(rule for rule in RULES if getattr(self, rule) != getattr(NO_RULES, rule))


NO_RULES = CertificatePolicy()
