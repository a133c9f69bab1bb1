"""The rules about one value of mtls.toml. Each takes the text as written and gives it back, or raises Refused.

The patterns beside them are what the JSON Schema shows; where a rule is finer than a pattern can say, the rule holds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit

from reconciler.desired.wording import Suggestions, listed, looks_like_key, quoted_value
from reconciler.findings.codes import Code
from reconciler.model import Deployer, StoreKind


class Refused(ValueError):
    """A value breaks a rule. `says` goes after the value's name: "must be ..."; it quotes nothing secret.

    `of_key`: the rule is about the key, not about its value. Never leaves this room: it becomes a diagnostic.
    """

    def __init__(self, code: Code, says: str, *, hint: str | None = None, of_key: bool = False) -> None:
        super().__init__(says)
        self.code = code
        self.says = says
        self.hint = hint
        self.of_key = of_key


def accepts(rule: Callable[[str], str], text: str) -> bool:
    """Whether a rule about one value takes a text, for those who would write it."""
    try:
        rule(text)
    except Refused:
        return False
    return True


VERSION = 1
"""The version of the format that this room reads."""

STACK_PATTERN = "^[a-z0-9][a-z0-9-]{0,31}$"
NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,47}$"
ACCOUNT_ID_PATTERN = "^[0-9a-f]{32}$"
ENTRY_ID_PATTERN = "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
# Draft 07 knows no Unicode classes, so the schema lets every sign through that is not ASCII.
BINDING_PATTERN = r"^(?:[A-Za-z_$]|[^\x00-\x7f])(?:[A-Za-z0-9_$]|[^\x00-\x7f])*$"
_VERSION_CLAUSE = " *(?:[~=!<>]=|[<>]) *[0-9][0-9A-Za-z.!+*_-]* *"
REQUIRED_VERSION_PATTERN = f"^{_VERSION_CLAUSE}(?:,{_VERSION_CLAUSE})*$"
URL_PATTERN = r"^https://[^\s/?#@\\]+(?:[/?#]\S*)?$"
CERTIFICATE_PATH_PATTERN = r"^[^/\\\x00-\x1f\x7f](?:[^\\\x00-\x1f\x7f]*[^/\\\x00-\x1f\x7f])?$"
CONFIG_PATH_PATTERN = r"^[^/\\\x00-\x1f\x7f][^\\\x00-\x1f\x7f]*$"
CONFIG_SUFFIXES = (".toml", ".json", ".jsonc")

_LONGEST_TEXT = 100
_ENTRY_ID = re.compile(ENTRY_ID_PATTERN[1:-1])
_URL = re.compile(URL_PATTERN[1:-1])
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")

# Unicode's Other_ID_Start and Other_ID_Continue, which ECMAScript's identifiers include, and the joiners it adds.
_OTHER_START = frozenset("\u1885\u1886\u2118\u212e\u309b\u309c")
_OTHER_CONTINUE = frozenset("\u00b7\u0387\u19da\u200c\u200d\u30fb\uff65") | {chr(n) for n in range(0x1369, 0x1372)}
_START_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"})
_CONTINUE_CATEGORIES = _START_CATEGORIES | {"Mn", "Mc", "Nd", "Pc"}


def check_version(number: int) -> int:
    """Only this version; a newer one stops the reading before it comes here."""
    if number != VERSION:
        raise Refused(Code.UNSUPPORTED_VERSION, f"must be {VERSION}", hint=f"write `version = {VERSION}`")
    return number


def check_required_version(text: str) -> str:
    """A version specifier of PEP 440. Not `===`, which compares texts and not versions."""
    if len(text) <= _LONGEST_TEXT and re.fullmatch(REQUIRED_VERSION_PATTERN[1:-1], text):
        # Imported only for files that have the key: reading mtls.toml needs it for nothing else.
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            pass
        else:
            return text
    raise Refused(
        Code.BAD_REQUIRED_VERSION,
        "must be a version specifier, such as `>=0.1,<1`",
        hint="write one or more of `>=`, `<=`, `>`, `<`, `==`, `!=` or `~=`, each with a version, joined by commas",
    )


def is_satisfied(required: str, version: str) -> bool:
    """Whether a version is in a checked specifier. A pre-release counts where PEP 440 orders it, as any other version.

    So 0.2.0rc1 satisfies `>=0.1`, but not `>=0.2`, which it comes before.
    """
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(required).contains(version, prereleases=True)


def name_rule(what: str, longest: int, *, of_key: bool = False) -> Callable[[str], str]:
    """A rule for names that go into marks: lower-case letters, digits and dashes."""
    form = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{longest - 1}}}")
    says = f"is no {what}: 1 to {longest} of a-z, 0-9 and -, the first no dash"

    def check(text: str) -> str:
        if form.fullmatch(text):
            return text
        near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        hint = f"for example {quoted_value(near)}" if form.fullmatch(near) else None
        raise Refused(Code.BAD_NAME, says, hint=hint, of_key=of_key)

    return check


def check_environment_name(text: str) -> str:
    """Any name that can be shown: wrangler decides what an environment may be called."""
    if not text:
        says = "is no environment: the name is empty"
        raise Refused(
            Code.BAD_NAME, says, hint="the top-level environment's table is `[workers.LABEL.bindings]`", of_key=True
        )
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        says = f"is no environment name: at most {_LONGEST_TEXT} characters that can be shown"
        raise Refused(Code.BAD_NAME, says, of_key=True)
    return text


def check_binding_name(text: str) -> str:
    """An ECMAScript identifier: code says `env.NAME`. Reserved words may stand after a dot, so they are fine."""
    if text and _starts_identifier(text[0]) and all(_continues_identifier(sign) for sign in text[1:]):
        return text
    near = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    hint = f"for example {quoted_value(near)}" if near and not near[0].isdigit() else None
    says = "is no binding name: it must be a JavaScript identifier, since code says `env.NAME`"
    raise Refused(Code.BAD_BINDING_NAME, says, hint=hint, of_key=True)


def _starts_identifier(sign: str) -> bool:
    # U+2E2F is a letter by category, and taken out of identifiers by Unicode's Pattern_Syntax.
    return (
        sign in "$_" or sign in _OTHER_START or (unicodedata.category(sign) in _START_CATEGORIES and sign != "\u2e2f")
    )


def _continues_identifier(sign: str) -> bool:
    return _starts_identifier(sign) or sign in _OTHER_CONTINUE or unicodedata.category(sign) in _CONTINUE_CATEGORIES


def check_store_kind(text: str) -> str:
    """One of the stores there are."""
    return check_known(text, [kind.value for kind in StoreKind])


def check_deployer(text: str) -> str:
    """One of the ways to deploy there are."""
    return check_known(text, [one.value for one in Deployer])


def check_known(text: str, known: list[str]) -> str:
    """One of a closed list."""
    if text in known:
        return text
    raise Refused(Code.UNKNOWN_VALUE, f"must be one of {listed(known)}", hint=Suggestions().did_you_mean(text, known))


def check_account_id(text: str) -> str:
    """32 hexadecimal digits. Never shown: a token may stand there by mistake."""
    if re.fullmatch("[0-9a-f]{32}", text):
        return text
    raise Refused(
        Code.BAD_ACCOUNT_ID,
        "must be a Cloudflare account id: 32 of 0-9 and a-f",
        hint="it stands in the address of the account's dashboard; a token never belongs into this file",
    )


def check_entry_id(text: str) -> str:
    """A dashed UUID."""
    if _ENTRY_ID.fullmatch(text):
        return text
    says = "must be a certificate id, a UUID of 36 characters with dashes"
    raise Refused(Code.BAD_ENTRY_ID, says, hint="`wrangler mtls-certificate list` shows the ids of an account")


def check_text(text: str) -> str:
    """A text for a report."""
    if 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and not text.isspace():
        return text
    raise Refused(Code.BAD_TEXT, f"must be 1 to {_LONGEST_TEXT} characters that can be shown, on one line")


def check_superseded(text: str) -> str:
    """An id, or a name in the store, which may be nearly anything but as long as a key."""
    if 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and not text.isspace():
        return text
    raise Refused(Code.BAD_TEXT, "must be an id or a name, on one line and not empty")


def check_url(text: str) -> str:
    """An https URL without user info. Never shown: there may be a password in it."""
    try:
        parts = urlsplit(text) if _URL.fullmatch(text) else None
        usable = parts is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and text.isprintable():
        return text
    if text.startswith("https://") and "@" in text.removeprefix("https://").split("/", 1)[0]:
        says = "must not have a user name or password in it"
        raise Refused(Code.BAD_URL, says, hint="the client certificate is what the origin is shown")
    hint = "mutual TLS needs https://" if text.startswith("http://") else None
    raise Refused(Code.BAD_URL, 'must be a URL such as "https://billing.example:8443/health"', hint=hint)


def check_certificate_path(text: str) -> str:
    """A file below the project's root, as far as the text can tell; `..` may lead up to the git root."""
    _check_relative(text)
    if text.endswith("/") or text.rsplit("/", 1)[-1] in {".", ".."}:
        raise Refused(Code.BAD_PATH, "must name a file, not a folder")
    return text


def check_config_path(text: str) -> str:
    """A wrangler file, or a folder that has one. A folder with a dot in its name ends in `/`."""
    _check_relative(text)
    name = text.rsplit("/", 1)[-1]
    if name in {"", ".", ".."} or "." not in name or name.endswith(CONFIG_SUFFIXES):
        return text
    says = f"must be a wrangler file ({', '.join(CONFIG_SUFFIXES)}) or a folder that has one"
    hint = "a configuration in code can't be edited; a folder with a dot in its name is written with a / at the end"
    raise Refused(Code.BAD_PATH, says, hint=hint)


def check_key_path(text: str) -> str:
    """A path to a private key, which may lie outside of the tree; never shown, for it may be the key."""
    if looks_like_key(text):
        raise Refused(Code.PRIVATE_KEY_IN_FILE, KEY_IN_FILE, hint=KEY_IN_FILE_HINT)
    if not text or _CONTROL.search(text):
        raise Refused(Code.BAD_PATH, "must be the path of a private key file")
    if text.startswith("~"):
        raise Refused(Code.BAD_PATH, "begins with `~`, which only a shell understands", hint="write the whole path")
    return text


KEY_IN_FILE = "holds a private key itself; name a file or an environment variable"
KEY_IN_FILE_HINT = (
    'write private_key = "path/to/it.key" or private_key = { env = "NAME" }; if the file was ever shared, '
    "the key is not secret any more: replace it"
)


def _check_relative(text: str) -> None:
    """What every path inside the tree keeps; where links lead is checked when the file is opened."""
    if looks_like_key(text):
        raise Refused(Code.BAD_PATH, "holds a certificate itself; write it to a file and name that")
    if not text or _CONTROL.search(text):
        raise Refused(Code.BAD_PATH, "must be a path on one line, and not empty")
    if text.startswith(("/", "~")) or _DRIVE.match(text):
        raise Refused(
            Code.BAD_PATH, "must be relative to the folder of this file", hint="only a private_key may lie outside"
        )
    if "\\" in text:
        raise Refused(
            Code.BAD_PATH, "must be written with `/`", hint=f"write {quoted_value(text.replace(chr(92), '/'))}"
        )
    # Some file systems do not tell upper from lower case.
    if ".git" in text.lower().split("/"):
        raise Refused(Code.BAD_PATH, "must not lie below `.git`")
