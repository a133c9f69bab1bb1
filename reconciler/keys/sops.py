"""Private keys in a file that SOPS encrypted: `{ sops = "secrets/mtls.yaml", extract = ["billing", "key"] }`.

The user's own `sops` decrypts it, and finds what it needs for that where it always does: age, PGP, or a cloud service.
Which of these it asks is said in the file, so it is started only where the operator trusts it, never on a pull request.
Where `sops` is not installed, files for age are decrypted here, with the same age keys.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.findings.escape import shell_word
from reconciler.findings.values import dataclass
from reconciler.keys.age import AgeKeys
from reconciler.keys.registration import KeyTable, Registration, SecretSource, missing_extra
from reconciler.keys.sops_files import Damaged, NotEncrypted, UnknownForm, decrypt, read_file
from reconciler.model import KeyReference
from reconciler.model.keys import KeyContext, KeyFiles, KeySourceKind, Programs
from reconciler.model.ports import PrivateKey
from reconciler.x509.pem import MAX_KEY_BYTES

_MAX_BYTES = 1_000_000
INSTALL = "install sops on the PATH of this run: https://getsops.io"


class SopsKey(KeyTable):
    """A private key in a file that SOPS encrypted."""

    sops: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="Path to the encrypted file, relative to the folder of mtls.toml. Your own `sops` decrypts it;"
            " without it, mtlsctl decrypts files for age.",
        ),
    ]
    extract: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=255, pattern=r'^[^"\\\[\]\x00-\x1f]+$')]] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Where the key is in a YAML, JSON or .env file: the keys that lead there. Without it, the whole"
            " file is the private key.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SopsKeySource(SecretSource):
    """Decrypts files of the tree with the user's `sops`, or without it, files for age."""

    files: KeyFiles
    programs: Programs
    age: AgeKeys

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the decrypted file. KeySourceError if the file can't be read or decrypted."""
        return PrivateKey(self._decrypted(reference))

    def _decrypted(self, reference: KeyReference) -> bytes:
        path = reference.options["sops"]
        try:
            data = self.files.read_key(path, limit=_MAX_BYTES).data  # sops itself would follow it to any place
        except FileError as error:
            raise KeySourceError(error.message, hint=error.hint, where=error.where) from error
        extract = shlex.split(reference.options.get("extract", ""))
        output = self._by_sops(path, extract) if self.programs.has("sops") else self.without_sops(path, data, extract)
        if not output.strip():
            raise KeySourceError(f"{path!r} has nothing there", hint="check `extract`", code=Code.KEY_EMPTY)
        return output

    def _by_sops(self, path: str, extract: Sequence[str]) -> bytes:
        words = ["--extract", "".join(f'["{key}"]' for key in extract)] if extract else []
        return self.programs.output(
            ["sops", "--decrypt", *words, path if path.startswith("/") else f"./{path}"], limit=MAX_KEY_BYTES
        )

    def without_sops(self, path: str, data: bytes, extract: Sequence[str]) -> bytes:
        """What is in a file for age. KeySourceError as of `open`."""
        try:
            file = read_file(path, data)
            if not file.for_age:
                raise UnknownForm(f"is encrypted for {' and '.join(file.for_others) or 'no one'}, not for age")
            if file.is_binary == bool(extract):
                raise UnknownForm("has no keys for `extract`" if extract else "needs `extract`, which names one value")
            data_key = self.age.decrypt([one.encode() for one in file.for_age], repr(path))
            return decrypt(file, data_key, extract) or b""
        except ModuleNotFoundError as error:
            raise missing_extra("sops", "sops, or pyrage and PyYAML, and they are not installed") from error
        except NotEncrypted as error:
            raise KeySourceError(
                f"{path!r} is not encrypted by sops",
                hint=f"encrypt it: sops encrypt --in-place {shell_word(path)}",
                code=Code.KEY_FILE_DAMAGED,
            ) from error
        except UnknownForm as error:
            raise KeySourceError(
                f"sops is not installed, and without it {path!r} can't be read: it {error}", hint=INSTALL
            ) from error
        except Damaged as error:
            raise KeySourceError(
                f"{path!r} is damaged, or was changed by something else than sops: its MAC or a value does not match",
                hint="restore the file from the history of git, or encrypt the key again",
                code=Code.KEY_FILE_DAMAGED,
            ) from error


def open_sops(context: KeyContext) -> SopsKeySource:
    """The source for a run; nothing is read yet."""
    return SopsKeySource(context.files, context.programs, AgeKeys(context.read_own, context.environment))


SOURCE = Registration(KeySourceKind("sops", SopsKey, is_path=True, is_local=False), open_sops)
