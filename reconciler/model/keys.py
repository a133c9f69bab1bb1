"""The interface of key sources: the name, the model of the table in mtls.toml, and the access to files.

The parser of mtls.toml and the key sources import this module, and not each other. It must not open anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class KeySourceKind:
    """One key source as the parser knows it.

    `shape` is the model of its table in `private_key`: frozen, without extra keys, and with one required key that has
    the name of the source. The validated table becomes `KeyReference.options`. `bare`: a plain string means
    `{ name = string }`; only one source can have this.
    """

    name: str
    shape: type[BaseModel]
    bare: bool = False


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The content of a private key file. `readable_by_others`: its group or everyone can read it."""

    data: bytes = field(repr=False)
    readable_by_others: bool = False


class KeyFiles(Protocol):
    """The port that reads private key files."""

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        """The whole file, and whether others can read it, by the opened descriptor.

        `path` is as written in mtls.toml. FileError, never with content, if the file is missing, is longer than `limit`
        bytes, is not a regular file, is inside `.git`, or is outside the tree and outside the folders that the operator
        listed, with links resolved.
        """


@dataclass(frozen=True, slots=True)
class KeyContext:
    """The inputs of key sources. `environment` may contain secrets, so it is never shown."""

    files: KeyFiles
    environment: Mapping[str, str] = field(repr=False)
