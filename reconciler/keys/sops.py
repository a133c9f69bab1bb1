"""Private keys in a file that SOPS encrypted: `{ sops = "secrets/mtls.yaml", extract = ["billing", "key"] }`.

The user's own `sops` decrypts it, and finds what it needs for that where it always does: age, PGP, or a cloud service.
Which of these it asks is said in the file, so it is started only where the operator trusts it, never on a pull request.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.keys.registration import Registration
from reconciler.model import KeyReference
from reconciler.model.keys import KeyContext, KeyFiles, KeySourceKind, Programs
from reconciler.model.ports import PrivateKey
from reconciler.x509.pem import MAX_KEY_BYTES

_MAX_BYTES = 1_000_000


class SopsKey(BaseModel):
    """A private key in a file that SOPS encrypted."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    sops: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="Path to the encrypted file, relative to the folder of mtls.toml. Your own `sops` decrypts it.",
        ),
    ]
    extract: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=255, pattern=r'^[^"\\\[\]\x00-\x1f]+$')]] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Where the key is in a YAML or JSON file: the keys that lead there. Without it, the whole file"
            " is the private key.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SopsKeySource:
    """Decrypts files of the tree with the user's `sops`."""

    files: KeyFiles
    programs: Programs

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the decrypted file. KeySourceError if the file can't be read, or `sops` can't decrypt it."""
        return PrivateKey(self._decrypted(reference))

    def passphrase(self, reference: KeyReference) -> bytes:
        """What is there in the decrypted file."""
        return self._decrypted(reference).rstrip(b"\r\n")

    def _decrypted(self, reference: KeyReference) -> bytes:
        path = reference.options["sops"]
        try:
            self.files.read_key(path, limit=_MAX_BYTES)  # sops itself would follow it to any place
        except FileError as error:
            raise KeySourceError(error.message, hint=error.hint, where=error.where) from error
        keys = shlex.split(reference.options.get("extract", ""))
        extract = ["--extract", "".join(f'["{key}"]' for key in keys)] if keys else []
        output = self.programs.output(
            ["sops", "--decrypt", *extract, path if path.startswith("/") else f"./{path}"], limit=MAX_KEY_BYTES
        )
        if not output.strip():
            raise KeySourceError(f"{path!r} has nothing there", hint="check `extract`", code=Code.KEY_EMPTY)
        return output


def _open(context: KeyContext) -> SopsKeySource:
    return SopsKeySource(context.files, context.programs)


SOURCE = Registration(KeySourceKind("sops", SopsKey, is_path=True, is_local=False), _open)
