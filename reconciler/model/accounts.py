"""The one rule for account IDs, wherever one is written: a variable, mtls.toml, a wrangler file, an option."""

from __future__ import annotations

import re

from reconciler.findings.values import dataclass

_ID = re.compile(r"[0-9a-f]{32}")
_PLACEHOLDER = re.compile(
    r"[<>{}$%]|\.\.\.|\b(?:todo|your|change|replace|example|placeholder)|x{4}|account[-_ ]?id", re.I
)
_TOKEN = re.compile(r"cf[a-z]{1,3}_.*|[A-Za-z0-9_-]{40,}")
_COPY = "copy the 32 hexadecimal digits from the URL of the account's dashboard"


@dataclass(frozen=True, slots=True)
class AccountProblem:
    """Why a text is not an account ID. `cause` completes "the account ID ...". The text is in neither: it may be a
    token."""

    cause: str
    hint: str


def account_problem(text: str) -> AccountProblem | None:
    """Why the text is not the ID of an account, or None if it has the form of one: 32 digits of 0-9 and a-f.

    Nothing is repaired, because wrangler and other tools read the same text as it is.
    """
    if _ID.fullmatch(text):
        return None
    bare = text.strip()
    if _ID.fullmatch(bare) or (_ID.fullmatch(bare.lower()) and bare != text):
        what = "ends with a line break" if text.rstrip("\r\n") == bare != text else "has white space around it"
        return AccountProblem(
            what, "set it again without the white space, which often comes from a file or from copying"
        )
    if bare[:1] in {'"', "'"} or bare[-1:] in {'"', "'"}:
        return AccountProblem("contains quotes", "set it again without quotes")
    if _ID.fullmatch(bare.lower()):
        return AccountProblem("has upper-case letters", "write it in lower case, as Cloudflare does")
    if "@" in bare:
        return AccountProblem("is a mail address", _COPY)
    if _PLACEHOLDER.search(bare):
        return AccountProblem("is still a placeholder", f"replace it: {_COPY}")
    if _TOKEN.fullmatch(bare):
        hint = f"{_COPY}; if this is a token and others could read it, replace the token"
        return AccountProblem("looks like an API token", hint)
    if _ID.fullmatch(bare.replace("-", "").lower()):
        return AccountProblem("has dashes, like the ID of a certificate", _COPY)
    if re.fullmatch(r"[0-9a-fA-F]+", bare):
        return AccountProblem(f"has {len(bare)} digits instead of 32", _COPY)
    return AccountProblem("is not 32 digits of 0-9 and a-f", _COPY)
