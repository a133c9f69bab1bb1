"""The rules about one value of mtls.toml. Each takes the text as written and returns it, or raises Refused.

The patterns are for the JSON Schema. A rule can be stricter than its pattern; the parser enforces the rule.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit

from reconciler.desired.wording import Suggestions, listed, looks_like_key, quoted_value
from reconciler.findings.codes import Code
from reconciler.model.accounts import account_problem
from reconciler.model.hostnames import is_zone_id
from reconciler.model.templates import template_of


class Refused(ValueError):
    """A value breaks a rule. `message` follows the value's name ("must be ...") and never quotes a secret.

    `of_key`: the rule is about the key, not its value. Used only in this package, where it becomes a diagnostic.
    """

    def __init__(self, code: Code, message: str, *, hint: str | None = None, of_key: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.of_key = of_key


def accepts(rule: Callable[[str], str], text: str) -> bool:
    """Whether a rule accepts a text; for callers that generate mtls.toml."""
    try:
        rule(text)
    except Refused:
        return False
    return True


VERSION = 1
"""The version of the file format that is supported."""

STACK_PATTERN = "^[a-z0-9][a-z0-9-]{0,31}$"
NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,47}$"
GLOB_PATTERN = r"^[a-z0-9*?\[][a-z0-9*?\[\]!-]*$"
LONGEST_GLOB = 64
ACCOUNT_ID_PATTERN = "^[0-9a-f]{32}$"
ENTRY_ID_PATTERN = "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
# Draft 07 has no Unicode classes, so the schema accepts every character outside ASCII.
BINDING_PATTERN = r"^(?:[A-Za-z_$]|[^\x00-\x7f])(?:[A-Za-z0-9_$]|[^\x00-\x7f])*$"
_VERSION_CLAUSE = " *(?:[~=!<>]=|[<>]) *[0-9][0-9A-Za-z.!+*_-]* *"
REQUIRED_VERSION_PATTERN = f"^{_VERSION_CLAUSE}(?:,{_VERSION_CLAUSE})*$"
URL_PATTERN = r"^https://[^\s/?#@\\]+(?:[/?#]\S*)?$"
CERTIFICATE_PATH_PATTERN = r"^[^/\\\x00-\x1f\x7f](?:[^\\\x00-\x1f\x7f]*[^/\\\x00-\x1f\x7f])?$"
CONFIG_PATH_PATTERN = r"^[^/\\\x00-\x1f\x7f][^\\\x00-\x1f\x7f]*$"
HOSTNAME_PATTERN = r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}"
ZONE_PATTERN = f"^(?:[0-9a-f]{{32}}|{HOSTNAME_PATTERN})$"
CONFIG_SUFFIXES = (".toml", ".json", ".jsonc")

_LONGEST_TEXT = 100
_ENTRY_ID = re.compile(ENTRY_ID_PATTERN[1:-1])
_URL = re.compile(URL_PATTERN[1:-1])
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){HOSTNAME_PATTERN}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")

# Unicode's Other_ID_Start and Other_ID_Continue, which ECMAScript identifiers include, and the joiners it adds.
_OTHER_START = frozenset("\u1885\u1886\u2118\u212e\u309b\u309c")
_OTHER_CONTINUE = frozenset("\u00b7\u0387\u19da\u200c\u200d\u30fb\uff65") | {chr(n) for n in range(0x1369, 0x1372)}
_START_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"})
_CONTINUE_CATEGORIES = _START_CATEGORIES | {"Mn", "Mc", "Nd", "Pc"}


def check_version(number: int) -> int:
    """The supported version; a newer one is refused before this check."""
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
    """A rule for names that are part of marks: lower-case letters, digits and dashes."""
    form = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{longest - 1}}}")
    message = f"is not a valid {what}: use 1 to {longest} of a-z, 0-9 and -, and don't begin with -"

    def check(text: str) -> str:
        if form.fullmatch(text):
            return text
        near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        hint = f"use {quoted_value(near)}, for example" if form.fullmatch(near) else None
        raise Refused(Code.BAD_NAME, message, hint=hint, of_key=of_key)

    return check


def check_glob(text: str) -> str:
    """A name of a certificate, or a glob for names: no other text matches one, so it is misspelled."""
    if len(text) <= LONGEST_GLOB and re.fullmatch(GLOB_PATTERN[1:-1], text):
        return text
    message = f"must be a certificate name or a glob for names: 1 to {LONGEST_GLOB} of a-z, 0-9, -, *, ?, [, ] and !"
    raise Refused(Code.BAD_NAME, message, hint='write the name as it is in `[certificates.NAME]`, or "ledger*"')


def check_environment_name(text: str) -> str:
    """Any printable name: wrangler decides which environment names are valid."""
    if not text:
        hint = "use `[workers.LABEL.bindings]` for the top-level environment"
        raise Refused(Code.BAD_NAME, "is not a valid environment name: it is empty", hint=hint, of_key=True)
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        message = f"is not a valid environment name: use at most {_LONGEST_TEXT} printable characters"
        raise Refused(Code.BAD_NAME, message, of_key=True)
    return text


def check_binding_name(text: str) -> str:
    """An ECMAScript identifier, because code uses `env.NAME`. Reserved words are allowed, as they are after a dot."""
    if text and _starts_identifier(text[0]) and all(_continues_identifier(char) for char in text[1:]):
        return text
    near = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    hint = f"use {quoted_value(near)}, for example" if near and not near[0].isdigit() else None
    message = "is not a valid binding name: it must be a JavaScript identifier, because code uses `env.NAME`"
    raise Refused(Code.BAD_BINDING_NAME, message, hint=hint, of_key=True)


def _starts_identifier(char: str) -> bool:
    # U+2E2F is a letter by category, but Unicode's Pattern_Syntax excludes it from identifiers.
    return (
        char in "$_" or char in _OTHER_START or (unicodedata.category(char) in _START_CATEGORIES and char != "\u2e2f")
    )


def _continues_identifier(char: str) -> bool:
    return _starts_identifier(char) or char in _OTHER_CONTINUE or unicodedata.category(char) in _CONTINUE_CATEGORIES


def check_hyperdrive(text: str) -> str:
    """The ID or the name of a Hyperdrive configuration. Names can be nearly anything, but not as long as a key."""
    if 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and not text.isspace():
        return text
    message = f"must be the ID or name of a Hyperdrive configuration: 1 to {_LONGEST_TEXT} printable characters"
    hint = "run `wrangler hyperdrive list` to see those of an account"
    raise Refused(Code.BAD_TEXT, message, hint=hint)


def check_zone(text: str) -> str:
    """The ID or the name of a zone."""
    if is_zone_id(text) or _HOSTNAME.fullmatch(text):
        return text
    message = "must be the ID of a zone (32 hexadecimal digits), or its name in lower case"
    hint = 'write it in quotes, such as `[hostnames."example.com"]`'
    raise Refused(Code.BAD_TEXT, message, hint=hint, of_key=True)


def check_hostname(text: str) -> str:
    """A hostname of a zone, alone and in lower case, as Cloudflare lists it."""
    if _HOSTNAME.fullmatch(text):
        return text
    found = re.search(HOSTNAME_PATTERN, text.lower()) if len(text) <= _LONGEST_TEXT else None
    hint = f"write {quoted_value(found[0])}" if found is not None else None
    if "*" in text:
        hint = "wildcards are not possible here: list each hostname"
    message = "must be a hostname in lower case, such as api.example.com, without a scheme, port or path"
    raise Refused(Code.BAD_TEXT, message, hint=hint)


def check_known(text: str, known: list[str]) -> str:
    """A word of a closed list."""
    if text in known:
        return text
    raise Refused(Code.UNKNOWN_VALUE, f"must be one of {listed(known)}", hint=Suggestions().did_you_mean(text, known))


def check_account_id(text: str) -> str:
    """32 hexadecimal digits. Never shown: it may be a token that was pasted by mistake."""
    problem = account_problem(text)
    if problem is None:
        return text
    hint = f"{problem.hint}; never put an API token into this file"
    raise Refused(Code.BAD_ACCOUNT_ID, f"must be a Cloudflare account ID, but it {problem.cause}", hint=hint)


def check_entry_id(text: str) -> str:
    """A dashed UUID."""
    if _ENTRY_ID.fullmatch(text):
        return text
    message = "must be a certificate ID: a UUID of 36 characters with dashes"
    raise Refused(Code.BAD_ENTRY_ID, message, hint="run `wrangler mtls-certificate list` to see the IDs of an account")


def check_text(text: str) -> str:
    """A short text to show in reports."""
    if 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and not text.isspace():
        return text
    raise Refused(Code.BAD_TEXT, f"must have 1 to {_LONGEST_TEXT} printable characters, on one line")


def check_superseded(text: str) -> str:
    """An ID or a name of an uploaded certificate. Names can be nearly anything, but not as long as a key."""
    if 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and not text.isspace():
        return text
    raise Refused(Code.BAD_TEXT, f"must be an ID or a name: 1 to {_LONGEST_TEXT} printable characters, on one line")


def check_url(text: str) -> str:
    """An https URL without user info. Never shown: it may contain a password."""
    try:
        parts = urlsplit(text) if _URL.fullmatch(text) else None
        usable = parts is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and text.isprintable():
        return text
    if text.startswith("https://") and "@" in text.removeprefix("https://").split("/", 1)[0]:
        message = "must not contain a user name or password"
        raise Refused(Code.BAD_URL, message, hint="remove them: the origin identifies the client by its certificate")
    hint = "use https://, which mutual TLS needs" if text.startswith("http://") else None
    raise Refused(Code.BAD_URL, 'must be a URL such as "https://billing.example:8443/health"', hint=hint)


def check_certificate_path(text: str) -> str:
    """A path to a file in the tree, judged by its text alone; `..` can lead up to the git root."""
    check_relative(text)
    if text.endswith("/") or text.rsplit("/", 1)[-1] in {".", ".."}:
        raise Refused(Code.BAD_PATH, "must name a file, not a folder")
    return text


def check_config_path(text: str) -> str:
    """A path to a wrangler file, or to a folder that contains one. A folder with a dot in its name ends with `/`."""
    check_relative(text)
    name = text.rsplit("/", 1)[-1]
    if name in {"", ".", ".."} or "." not in name or name.endswith(CONFIG_SUFFIXES):
        return text
    message = f"must be a wrangler file ({', '.join(CONFIG_SUFFIXES)}) or a folder that contains one"
    made = template_of(name)
    if made is not None and made.endswith(CONFIG_SUFFIXES):
        hint = (
            f"this is a template: name the file that is made from it ({quoted_value(made)}), and run mtlsctl after that"
        )
        raise Refused(Code.BAD_PATH, message, hint=hint)
    hint = "use one of these formats: configuration in code can't be edited; add / to a folder with a dot in its name"
    raise Refused(Code.BAD_PATH, message, hint=hint)


def check_key_path(text: str) -> str:
    """A path to a private key, which can be outside the tree. Never shown: it may be the key itself."""
    if looks_like_key(text):
        raise Refused(Code.PRIVATE_KEY_IN_FILE, KEY_IN_FILE, hint=KEY_IN_FILE_HINT)
    if not text or _CONTROL.search(text):
        raise Refused(Code.BAD_PATH, "must be the path to a private key file")
    if text.startswith("~"):
        raise Refused(Code.BAD_PATH, "begins with `~`, which only a shell expands", hint="write the full path")
    return text


def check_tree_folder(text: str) -> str:
    """A path to a folder of the tree; never shown, as that of a private key."""
    check_relative(check_key_path(text))
    return text


KEY_IN_FILE = "contains a private key, which must never be in this file"
KEY_IN_FILE_HINT = (
    'write private_key = "path/to/it.key" or private_key = { env = "NAME" }; if the file was ever shared, '
    "the key is no longer secret: replace it"
)
KEY_IN_FLEET_HINT = (
    "remove it: the mtls.toml of each stack names the place of its keys; if the file was ever shared, the key is no "
    "longer secret: replace it"
)
SHAPE = "looks like an API token or a line of a private key, which must never be in this file"
SHAPE_HINT = (
    "remove it: the token is read from CLOUDFLARE_API_TOKEN, a key from a file or a variable; "
    "if the file was ever shared, revoke the token or replace the key. If it is neither, choose a shorter name"
)
SHAPE_IN_FLEET_HINT = (
    'remove it: write { env = "CF_TOKEN_PROD" } or { file = "PATH" }, the place of the token; if the file was ever '
    "shared, revoke the token. If it is not a token, choose a shorter name"
)


def check_relative(text: str) -> None:
    """The rules for every path in the tree. Where links lead is checked when the file is opened."""
    if looks_like_key(text):
        hint = "write the certificate to a file and use the path of that file"
        raise Refused(Code.BAD_PATH, "contains a certificate, but must be a path", hint=hint)
    if not text or _CONTROL.search(text):
        raise Refused(Code.BAD_PATH, "must be a path: not empty, without line breaks or control characters")
    if text.startswith(("/", "~")) or _DRIVE.match(text):
        hint = "use a relative path; only a private_key can be outside the tree"
        raise Refused(Code.BAD_PATH, "must be relative to the folder of this file", hint=hint)
    if "\\" in text:
        hint = f"write {quoted_value(text.replace(chr(92), '/'))}"
        raise Refused(Code.BAD_PATH, "must use `/` between folders", hint=hint)
    # Some file systems ignore case.
    if ".git" in text.lower().split("/"):
        raise Refused(Code.BAD_PATH, "must not be inside `.git`")
