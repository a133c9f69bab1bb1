"""Decrypts the files that sops writes (YAML, JSON, dotenv, and whole files of other kinds) without the program.

Nothing of a file is returned before its MAC was compared, which is over all of its values: who changes, adds or removes
one changes it, and the place of each is part of its own encryption. What is read in another way here than by sops gives
another MAC, so it is refused. As getsops/sops 3.13: sops.go, aes/cipher.go, stores/.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.findings.values import dataclass

if TYPE_CHECKING:
    from yaml import Node

Tree = str | bytes | list["Tree"] | dict[str, "Tree"] | None
"""A document, in the order of its file. Bytes are a number or a truth value, as the MAC counts it."""

_BINARY = ("data",)
"""Where sops puts the content of a file that is neither YAML, JSON nor dotenv."""

_MOST_VALUES = 20_000
_PREFIX = "ENC[AES256_GCM,"
_VALUE = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]"
)
_METADATA = "sops"
_NOT_AGE = ("pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "key_groups")
_ENTRY = re.compile(r"([a-z_]+)__list_([0-9]+)__map_([a-z_]+)")


class UnknownForm(Exception):
    """Not as sops writes it, or with a part that only sops itself knows. The message completes "the file ..."."""


class NotEncrypted(Exception):
    """The file has nothing of sops."""


class Damaged(Exception):
    """A value or the MAC does not fit: the file is damaged, or was changed after it was encrypted."""


@dataclass(frozen=True, slots=True)
class SopsFile:
    """A file before it is decrypted. `for_age`: its data key, encrypted for age recipients. `for_others`: the kinds of
    its other recipients."""

    documents: tuple[dict[str, Tree], ...]
    for_age: tuple[str, ...]
    for_others: tuple[str, ...]
    mac: str
    last_modified: str
    is_mac_of_encrypted: bool
    is_binary: bool


def read_file(path: str, data: bytes) -> SopsFile:
    """The file, in the form that its name says. NotEncrypted, or UnknownForm if it is not as sops writes it."""
    try:
        text = data.decode()
        if path.endswith((".yaml", ".yml")):
            return _nested(_read_yaml(text))
        if path.endswith(".env"):
            return _flat(_read_dotenv(text))
        if path.endswith(".ini"):
            raise UnknownForm("is an INI file")
        return _nested((_read_json(text),), is_binary=not path.endswith(".json"))
    except (ValueError, RecursionError) as error:
        raise UnknownForm("is not as sops writes it") from error


def decrypt(file: SopsFile, data_key: bytes, extract: Sequence[str] = ()) -> bytes | None:
    """The value at the end of these keys, or the whole file if it is a binary one; None if no text is there.

    Damaged if a value or the MAC does not fit.
    """
    wanted = _BINARY if file.is_binary else tuple(extract)
    mac = hashlib.sha512(hashlib.sha256(b"sops").digest() if file.is_mac_of_encrypted else b"")
    found = None
    for number, document in enumerate(file.documents):
        for path, in_list, leaf in _leaves(document):
            is_encrypted = isinstance(leaf, str) and leaf.startswith(_PREFIX)
            value, kind = _decrypted(str(leaf), data_key, path) if is_encrypted else (_encoded(leaf), "")
            if kind != "comment" and (is_encrypted or not file.is_mac_of_encrypted):
                mac.update(value)
                if (path, in_list, number) == (wanted, False, 0):
                    found = value
    recorded, _ = _decrypted(file.mac, data_key, (file.last_modified,), end="")
    if not hmac.compare_digest(recorded, mac.hexdigest().upper().encode()):
        raise Damaged
    return found


def _decrypted(text: str, data_key: bytes, path: Sequence[str], *, end: str = ":") -> tuple[bytes, str]:
    """An encrypted value, and its type."""
    parts = _VALUE.fullmatch(text)
    if parts is None:
        raise Damaged
    try:
        data, nonce, tag = (base64.b64decode(parts[number]) for number in (1, 2, 3))
        return AESGCM(data_key).decrypt(nonce, data + tag, _encoded(":".join(path) + end)), parts[4]
    except (InvalidTag, ValueError) as error:
        raise Damaged from error


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")


def _leaves(
    tree: Tree, path: tuple[str, ...] = (), in_list: bool = False
) -> Iterator[tuple[tuple[str, ...], bool, str | bytes]]:
    """Every value with its keys, in the order of the file; places in a list count as no key. Without null."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key), in_list)
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value, path, True)
    elif tree is not None:
        yield path, in_list, tree


# --- what sops adds to a file ---------------------------------------------------------------------------------------


def _nested(documents: tuple[dict[str, Tree], ...], *, is_binary: bool = False) -> SopsFile:
    """A file whose metadata are a table of the first document."""
    metadata = documents[0].get(_METADATA) if documents else None
    if not isinstance(metadata, dict):
        raise NotEncrypted
    entries = metadata.get("age")
    for_age = [_text(one, "enc") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return SopsFile(
        tuple({key: value for key, value in one.items() if key != _METADATA} for one in documents),
        tuple(for_age),
        tuple(name for name in _NOT_AGE if metadata.get(name)),
        _text(metadata, "mac"),
        _text(metadata, "lastmodified"),
        metadata.get("mac_only_encrypted") in (b"True", "true"),
        is_binary,
    )


def _flat(document: Mapping[str, str]) -> SopsFile:
    """A file whose metadata are lines that begin with `sops_`."""
    prefix = f"{_METADATA}_"
    metadata = {key.removeprefix(prefix): value for key, value in document.items() if key.startswith(prefix)}
    if not metadata:
        raise NotEncrypted
    entries = {match: value for key, value in metadata.items() if (match := _ENTRY.match(key))}
    return SopsFile(
        ({key: value for key, value in document.items() if not key.startswith(prefix)},),
        tuple(value for match, value in entries.items() if (match[1], match[3]) == ("age", "enc")),
        tuple(name for name in _NOT_AGE if any(match[1] == name for match in entries)),
        metadata.get("mac", ""),
        metadata.get("lastmodified", ""),
        metadata.get("mac_only_encrypted") == "true",
        is_binary=False,
    )


def _text(table: Mapping[str, Tree], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


# --- the forms of files ---------------------------------------------------------------------------------------------


def _read_json(text: str) -> dict[str, Tree]:
    def whole(digits: str) -> bytes:
        number = int(digits) if len(digits) < 25 else 2**64
        return str(number).encode() if -(2**63) <= number < 2**63 else _float(digits)

    tree = json.loads(text, object_pairs_hook=_table, parse_int=whole, parse_float=_float, parse_constant=_float)
    if not isinstance(tree, dict):
        raise NotEncrypted
    return {key: _of_json(value) for key, value in tree.items()}


def _of_json(value: object) -> Tree:
    """A value of JSON; numbers are bytes already."""
    if isinstance(value, bool):
        return str(value).encode()
    if isinstance(value, dict):
        return {key: _of_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_of_json(part) for part in value]
    return value if isinstance(value, str | bytes) else None


def _table(pairs: Sequence[tuple[str, Tree]]) -> dict[str, Tree]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise UnknownForm("has a key twice")
    return table


def _float(digits: str) -> bytes:
    """A number as Go writes it without an exponent, with as few digits as tell it from its neighbours."""
    text = format(Decimal(repr(float(digits))), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


def _read_dotenv(text: str) -> dict[str, str]:
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    if not all("=" in line for line in lines):
        raise UnknownForm("is not as sops writes it")
    pairs = [(key, value.replace("\\n", "\n")) for key, _, value in (line.partition("=") for line in lines)]
    _table(pairs)
    return dict(pairs)


def _read_yaml(text: str) -> tuple[dict[str, Tree], ...]:
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one is missing where there is no wheel
    # What a word without quotes means is left to us: sops reads YAML 1.2, more or less, and this library YAML 1.1.
    loader = type("Loader", (base,), {"yaml_implicit_resolvers": {}})
    left = [_MOST_VALUES]
    try:
        trees = [_of_yaml(node, left) for node in yaml.compose_all(text, Loader=loader)]
    except yaml.YAMLError as error:
        raise UnknownForm("is not YAML as sops writes it") from error
    documents = tuple(tree for tree in trees if isinstance(tree, dict))
    if len(documents) < len(trees):
        raise UnknownForm("has a document that is not a table")
    return documents


def _of_yaml(node: Node, left: list[int]) -> Tree:
    """A value of YAML. `left`: how many more there may be, so that aliases can't make one file endless."""
    from yaml import ScalarNode, SequenceNode

    left[0] -= 1
    if left[0] < 0:
        raise UnknownForm(f"has more than {_MOST_VALUES:,} values")
    if isinstance(node, ScalarNode):
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "float" and _FLOAT.fullmatch(node.value):  # sops writes this before one without a fraction
            return _float(node.value)
        if kind not in {"str", "merge"}:
            raise UnknownForm(f"has a YAML tag, {kind[:20]!r}")
        return _plain_word(node.value) if not node.style and kind == "str" else node.value
    if isinstance(node, SequenceNode):
        return [_of_yaml(item, left) for item in node.value]
    keys = [_of_yaml(key, left) for key, _ in node.value]
    if not all(isinstance(key, str) for key in keys):
        raise UnknownForm("has a key that is not a text")
    return _table([(str(key), _of_yaml(value, left)) for key, (_, value) in zip(keys, node.value, strict=True)])


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[-+][0-9:]{5})")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bytes | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), b"True"),
    **dict.fromkeys(("false", "False", "FALSE"), b"False"),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), b"+Inf"),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), b"-Inf"),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), b"NaN"),
}


def _plain_word(word: str) -> Tree:
    """What a word without quotes means, as go.yaml.in/yaml/v3: resolve.go."""
    if word in _WORDS:
        return _WORDS[word]
    if word[0] not in "+-.0123456789":
        return word
    if _DATE.fullmatch(word):  # sops writes each as a time of RFC 3339, and counts that text
        return word.encode()
    digits = word.replace("_", "")
    if _INTEGER.fullmatch(digits):
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
        number = int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
        return str(number).encode() if -(2**63) <= number < 2**63 else _float(str(number))
    return _float(digits) if _FLOAT.fullmatch(digits) else word
