"""What a fleet remembers, in one private file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from reconciler.findings.values import dataclass
from reconciler.model.fleet import Pause, StackKey, StackRow
from reconciler.private.folder import FOLDER
from reconciler.records.fleet import MAX_BYTES, read_record, record_text
from reconciler.system.state_file import StateFile

STATE_NAME = "fleet.json"


def state_file(folder: Path, named: Path | None) -> StateFile:
    """The file of `--state`, else the one in `.mtlsctl/` next to fleet.toml."""
    return StateFile(named if named is not None else folder / FOLDER / STATE_NAME)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The port `FleetRecord` over a file."""

    file: StateFile
    fleet: str

    def rows(self) -> Sequence[StackRow]:
        """As `FleetRecord`."""
        data = self.file.read(limit=MAX_BYTES)
        return () if data is None else read_record(data, str(self.file.path), self.fleet)

    def put(self, rows: Iterable[StackRow], *, leave_out: Iterable[StackKey] = ()) -> None:
        """As `FleetRecord`."""
        known = {row.key: row for row in (*self.rows(), *rows)}
        for key in leave_out:
            known.pop(key, None)
        self.file.write(record_text(self.fleet, known.values()))

    def later(self) -> Mapping[tuple[str, str], datetime]:
        """As `FleetRecord`: none."""
        return {}

    def queue(self) -> None:
        """None: one pass has no workers."""

    def pauses(self) -> Mapping[StackKey, Pause]:
        """As `FleetRecord`: none."""
        return {}

    def locked(self) -> AbstractContextManager[None]:
        """As `FleetRecord`."""
        return self.file.locked("`mtlsctl fleet run`")
