"""An export that grows while a campaign runs: a few files of bounded size, each whole at any time."""

from collections.abc import Sequence
from pathlib import Path

from .. import paths
from ..errors import InputError
from .store import Row, Store, as_parquet, verified_units

UNITS, RESPONSES = "units", "responses"  # beginnings of the files' names
ROOM_FOR_FORM = 1 << 16  # bytes of a file that are not its units


class Parcels:
    """Files of a folder with what a store holds, for `Store.import_file`: a machine may go away at any moment.

    Units come first; responses of teachers, which are large, take the files that are left. What an earlier campaign
    left in the folder is kept. Raises `InputError` if a file there is damaged or cannot be read.
    Arguments: `files`, how many at most, each of at most `file_bytes`.
    """

    def __init__(self, store: Store, folder: Path, files: int, file_bytes: int) -> None:
        self.store, self.folder, self.files, self.file_bytes = store, folder, files, file_bytes
        self.left_out = 0  # units for which no file has room
        self._parts: list[list[Row]] = []
        self._sent: set[str] = set()
        self._written: list[int] = []  # units in each file as it is on disk
        self._responses: list[str] = []  # keys of those that are in files
        for path in parcels_in(folder):
            try:
                verified_units(path)
                rows = read_rows(path)
            except (OSError, ValueError, KeyError) as error:
                raise InputError(
                    f"{path} is damaged or cannot be read ({error}): choose another folder, or remove what is damaged"
                ) from None
            if path.name.startswith(UNITS):
                self._parts.append(rows)
                self._written.append(len(rows))
                self._sent |= {row["key"] for row in rows}

    @property
    def _room(self) -> int:
        """Number of files that units have left for responses."""
        return self.files - len(self._parts)

    def update(self, responses: Sequence[str] = ()) -> None:
        """Add what the store has computed since, and the units `responses` (keys) in their order, as many as fit."""
        self.left_out = 0
        new = [path.stem for path in self.store.paths() if path.parent.name != RESPONSES]
        for row in self.store.parquet_rows(key for key in new if key not in self._sent):
            if not self._fits(row, self._parts):
                if not self._room:
                    self.left_out += 1
                    continue
                self._parts.append([])
                self._written.append(0)
            self._parts[-1].append(row)
            self._sent.add(row["key"])
        self._remove_responses(self._room)
        for k, part in enumerate(self._parts):
            if len(part) > self._written[k]:
                self._write(UNITS, k + 1, part)
                self._written[k] = len(part)
        parts = self._pack(list(dict.fromkeys(responses)))
        keys = [row["key"] for part in parts for row in part]
        if keys != self._responses:
            for k, part in enumerate(parts, start=1):
                self._write(RESPONSES, k, part)
            self._remove_responses(len(parts))
            self._responses = keys

    def _pack(self, keys: Sequence[str]) -> list[list[Row]]:
        """Rows of responses in their order, divided into as many files as there is room for."""
        parts: list[list[Row]] = []
        found = {row["key"]: row for row in self.store.parquet_rows(keys)}
        for key in filter(found.get, keys):
            if not self._fits(found[key], parts):
                if len(parts) == self._room:
                    break
                parts.append([])
            parts[-1].append(found[key])
        return parts

    def _fits(self, row: Row, parts: list[list[Row]]) -> bool:
        """Whether the last of some files has room for a row, by the bytes of its units before they are compressed."""
        taken = sum(len(own["payload"]) for own in parts[-1]) if parts else self.file_bytes
        return taken + len(row["payload"]) <= self.file_bytes - ROOM_FOR_FORM

    def _remove_responses(self, kept: int) -> None:
        for path in self.folder.glob(f"{RESPONSES}-*.parquet"):
            if int(path.stem.rpartition("-")[2]) > kept:
                path.unlink()

    def _write(self, kind: str, number: int, rows: list[Row]) -> None:
        paths.write_whole(self.folder / f"{kind}-{number:03}.parquet", as_parquet(rows))


def parcels_in(folder: Path) -> list[Path]:
    """Files of a folder that `Parcels` or `Store.export` wrote, units before responses."""
    return [path for kind in (UNITS, RESPONSES) for path in sorted(folder.glob(f"{kind}-*.parquet"))]


def read_rows(path: Path) -> list[Row]:
    """Rows `key`, `kind`, `payload` of a file as `Store.parquet_rows` gave them."""
    import pyarrow.parquet as parquet

    return parquet.read_table(path).to_pylist()
