"""What a key source looks like from outside: its name, its shape in mtls.toml, and the file access it is handed.

The parser of mtls.toml and the key sources both see this room and not each other. It must not open anything.
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

    `shape` is the table that `private_key` takes, a frozen model that forbids extra keys and has one required key,
    named as the source; the validated table becomes `KeyReference.options`. `bare`: a plain string stands for
    `{ name = string }`; exactly one source may say so.
    """

    name: str
    shape: type[BaseModel]
    bare: bool = False


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private key file, read. `readable_by_others`: its mode lets its group or everyone read it."""

    data: bytes = field(repr=False)
    readable_by_others: bool = False


class KeyFiles(Protocol):
    """The only way to a private key file."""

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        """The whole file, and who else may read it, told by the opened descriptor.

        `path` is as written in mtls.toml. FileError, never with content, where the file is missing, longer than
        `limit` bytes, no regular file, below `.git`, or, links resolved, neither inside the tree nor inside a folder
        that the operator named.
        """


@dataclass(frozen=True, slots=True)
class KeyContext:
    """What the key sources may use. `environment` may hold secrets, so it is never shown."""

    files: KeyFiles
    environment: Mapping[str, str] = field(repr=False)
