"""The sinks of private keys: where `mtlsctl renew` puts new ones, and where `apply` finds them.

A sink shows no key, and judges none. A new one is a class in a file of its own, and a row in `open_sink`.
"""

from __future__ import annotations

from typing import assert_never

from reconciler.keys.command_sink import ProgramSlots
from reconciler.keys.file_sinks import FileSlots, SopsSlots
from reconciler.keys.sops import open_sops
from reconciler.keys.vault import VaultKeySink
from reconciler.model.key_places import CommandSink, FileSink, SinkOptions, SopsSink, VaultSink
from reconciler.model.keys import KeyContext
from reconciler.model.renewal import KeySink


def open_sink(options: SinkOptions, owner: str, context: KeyContext) -> KeySink:
    """The sink with the keys of one certificate, `KeySlots.owners`; nothing is read or started yet."""
    match options:
        case FileSink(folder):
            return FileSlots(context.folders, folder, owner)
        case SopsSink(folder):
            files = FileSlots(context.folders, folder, owner)
            return SopsSlots(files, context.programs, open_sops(context))
        case VaultSink():
            return VaultKeySink(options, owner, context.vault)
        case CommandSink():
            return ProgramSlots(options, owner, context.programs if context.allow_commands else None)
        case _:
            assert_never(options)
