"""The codes of everything that can be wrong with mtls.toml: stable words for JSON, each with what it stands for.

Only the list; what raises them is beside it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """A stable code; `description` is one sentence for the documentation."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    # the file as a whole
    TOO_LARGE = "too-large", "The file is larger than 1 MB."
    TOO_DEEP = "too-deep", "A key of more than 32 parts, values nested more than 32 deep, or more than 30,000 of them."
    NOT_UTF8 = "not-utf8", "The file is not UTF-8 text."
    TOML_SYNTAX = "toml-syntax", "The file is no valid TOML; only the first such error can be told."
    TOO_MANY = "too-many-findings", "The file has more findings than are shown; the rest is only counted."
    UNSUPPORTED_VERSION = "unsupported-version", "The file's `version` is one that this mtlsctl does not know."
    PRIVATE_KEY_IN_FILE = "private-key-in-file", "A private key itself stands in the file, where only its place may."

    # one table
    UNKNOWN_KEY = "unknown-key", "A key that the format does not have."
    MISSING_KEY = "missing-key", "A key that must be there is not."
    WRONG_TYPE = "wrong-type", "A value of another TOML type than the key takes."

    # one value
    BAD_NAME = "bad-name", "A stack, certificate, worker or environment name that does not have the form of one."
    BAD_TEXT = "bad-text", "A text that is empty, too long, or has characters that can't be shown."
    BAD_DURATION = "bad-duration", "A value that is no duration such as 7d."
    OUT_OF_RANGE = "out-of-range", "A number, duration or share outside of what the key allows."
    UNKNOWN_VALUE = "unknown-value", "A value outside of the closed list that the key takes."
    BAD_ACCOUNT_ID = "bad-account-id", "A value that is no Cloudflare account id."
    BAD_PATH = "bad-path", "A path that is absolute, not written with /, under .git, or of no supported kind of file."
    BAD_URL = "bad-url", "A value that is no https:// URL, or one with a user name or password in it."
    BAD_BINDING_NAME = "bad-binding-name", "A binding name that is no JavaScript identifier."
    BAD_ENTRY_ID = "bad-entry-id", "A value that is no certificate id, which is a UUID with dashes."
    BAD_VALUE = "bad-value", "A value that its key source, or its binding, does not take."
    BAD_KEY_SOURCE = "bad-key-source", "A private_key that does not name exactly one known key source."

    # between values
    DUPLICATE_VALUE = "duplicate-value", "A list that names the same thing twice."
    FORMER_STACK_IS_STACK = "former-stack-is-stack", "A former stack that is the present one."
    SUPERSEDES_DECLARED = "supersedes-declared", "A certificate that supersedes itself or another declared one by name."
    SUPERSEDED_TWICE = "superseded-twice", "Two certificates that hand over the same entry."
    NOT_FOR_CA = "not-for-ca", "A key that has no meaning for a certificate with `ca = true`."
    VERIFY_MISSING = (
        "verify-missing",
        "A certificate that is to be proved before a step, without `verify` that says where.",
    )
    UNKNOWN_CERTIFICATE = "unknown-certificate", "A binding to a certificate that is not declared."
    CA_BOUND = "ca-bound", "A binding to a certificate with `ca = true`; a Worker can only present a leaf."
    ENVIRONMENT_DECLARED_TWICE = (
        "environment-declared-twice",
        "The same environment of the same wrangler file is declared under two labels.",
    )
    ACCOUNT_ID_UNUSED = "account-id-unused", "Warning: an account id is given, but the store has no accounts."
