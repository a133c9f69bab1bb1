"""Private keys in files: `private_key = "certs/x.key"` or `{ file = "certs/x.key" }`.

The port that reads a key file checks that its place is allowed, and that it is a regular file within the size limit.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.findings.escape import shell_word
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration, SecretSource
from reconciler.model import KeyReference
from reconciler.model.keys import KeyFiles, KeySourceKind
from reconciler.model.ports import PrivateKey
from reconciler.x509.pem import MAX_KEY_BYTES

_PATH = "relative to the folder of mtls.toml; outside the tree only in the folders listed in MTLSCTL_KEY_DIRS."


class FileKey(KeyTable):
    """A private key in a file."""

    file: Annotated[str, Field(min_length=1, max_length=4096, description=f"Path to the key file, {_PATH}")]


class Pkcs12Key(KeyTable):
    """A private key in a PKCS#12 file."""

    pkcs12: Annotated[
        str, Field(min_length=1, max_length=4096, description=f"Path to the PKCS#12 file (.p12 or .pfx), {_PATH}")
    ]


_MAX_PKCS12_BYTES = 100_000
"""A key, its certificate and a chain; as PEM they may have 100 kB."""

_NEVER_KEYS = {
    Code.FILE_NOT_REGULAR: Code.FILE_NOT_REGULAR,
    Code.FILE_IN_GIT: Code.FILE_IN_GIT,
    Code.FILE_TOO_LARGE: Code.KEY_TOO_LARGE,
}
"""The codes of files that are here and can't be a key on any machine; in other cases the key may be elsewhere."""


@dataclass(frozen=True, slots=True)
class FileKeySource(SecretSource):
    """Reads keys through this port. `limit`: the largest file, in bytes."""

    files: KeyFiles
    limit: int = MAX_KEY_BYTES

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key, with the finding `key-readable` if others can read its file too.

        KeySourceError if the port can't read it: `key-unavailable` if it may be on another machine.
        """
        path = reference.options[reference.source]
        try:
            found = self.files.read_key(path, limit=self.limit)
        except FileError as error:
            hint = error.hint or 'create the key file there, or use another key source: private_key = { env = "NAME" }'
            code = _NEVER_KEYS.get(error.code)
            raise KeySourceError(error.message, hint=hint, where=error.where or Place(path), code=code) from error
        return PrivateKey(found.data, (_readable(path),) if found.readable_by_others else ())


def _readable(path: str) -> Diagnostic:
    message = "this private key file is readable by its group or by everyone on this machine"
    return Diagnostic(Severity.WARNING, Code.KEY_READABLE, message, Place(path), f"chmod 600 {shell_word(path)}")


SOURCE = Registration(
    KeySourceKind("file", FileKey, bare=True, is_path=True), lambda context: FileKeySource(context.files)
)
PKCS12 = Registration(
    KeySourceKind("pkcs12", Pkcs12Key, is_path=True, is_local=False),
    lambda context: FileKeySource(context.files, limit=_MAX_PKCS12_BYTES),
)
