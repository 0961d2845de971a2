"""The store: results on disk, each under the digest of the configuration that it answers.

A unit (a teacher run, a student, a measurement) is one safetensors file, `store/<kind>/<key>.safetensors`. Its key is
the sha256 of kind, recipe version and configuration; its header holds the configuration, the provenance and a
checksum over all of it. Files are written under a temporary name and renamed, so a killed process leaves no half unit
and two processes can share a store. What was read and does not verify is reported, removed and computed again; what
cannot be read (no permission, an error of the disk or the network) stays, and stops the run.
"""

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import paths
from ..errors import InputError, StoreError
from ..training.identity import canonical_json, identity_digest

if TYPE_CHECKING:  # it takes long to import, and names and sizes of units are wanted without
    import pyarrow
    from torch import Tensor

Row = dict[str, str | bytes]

# Bumped by hand when the numbers that a kind of unit holds would change for the same configuration.
RECIPE_VERSIONS = {"teacher": 1, "responses": 1, "student": 1, "measure": 1, "activations": 1}
UNPUBLISHED = "units"  # folder of the results with units that no page has used yet
IN_HAND = "in-hand"  # folder of the store in which processes say what they are computing
LEASE = 180  # seconds without a sign of life after which a process elsewhere counts as dead: file systems cache times
IMPORTED = "taken-in"  # folder of the store that holds another machine's units
PROVENANCE_ONLY = {"teacher"}  # kinds too large to publish or to send: their provenance is, without their tensors


@dataclass(frozen=True)
class Unit:
    """A stored result: named tensors, the configuration that they answer, and how they came about."""

    kind: str
    config: dict[str, Any]
    tensors: dict[str, "Tensor"]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name under which the unit is stored: see `unit_key`."""
        return unit_key(self.kind, self.config)


def unit_key(kind: str, config: dict[str, Any]) -> str:
    """The name under which a unit is stored: 32 hex digits of sha256 over kind, recipe version and configuration."""
    identity = {"kind": kind, "recipe": RECIPE_VERSIONS[kind], "config": config}
    return identity_digest(identity)[:32]


def to_bytes(unit: Unit) -> bytes:
    """The content of a unit's file: safetensors, with configuration, provenance and checksum in its header."""
    import safetensors.torch
    import torch

    plain = torch.contiguous_format  # strides too: those of a single element may be anything
    tensors = {name: tensor.detach().cpu().clone(memory_format=plain) for name, tensor in unit.tensors.items()}
    header = {"kind": unit.kind, "config": canonical_json(unit.config), "provenance": canonical_json(unit.provenance)}
    return _in_order(safetensors.torch.save(tensors, {**header, "sha256": _checksum(header, tensors)}))


def _in_order(payload: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes metadata in another order each time."""
    start = 8 + int.from_bytes(payload[:8], "little")
    header = canonical_json(json.loads(payload[8:start])).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header + payload[start:]


def from_bytes(payload: bytes) -> Unit:
    """The unit in a file's bytes. Raises `ValueError` if anything in it is not as it was written.

    Without memory for it, `MemoryError`: that says nothing of the bytes.
    """
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(payload)
        length = int.from_bytes(payload[:8], "little")
        text = payload[8 : 8 + length]
        if not text.rstrip(b" ").endswith(b"}"):  # its padding is outside of the checksum
            raise ValueError("header differs")
        header = json.loads(text)["__metadata__"]
        checksum = header.pop("sha256")
        if checksum != _checksum(header, tensors):
            raise ValueError("checksum differs")
        return Unit(header["kind"], json.loads(header["config"]), tensors, json.loads(header["provenance"]))
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"damaged ({error})") from error


def published_units(path: Path) -> dict[str, bytes]:
    """Bytes of every unit in a Parquet file of results/, by key, not verified yet.

    A file that has not changed is read once by a process. Raises `OSError`, `ValueError` or `KeyError` if it cannot be
    read.
    """
    file = path.stat()
    return _units_in(path, file.st_ino, file.st_size, file.st_mtime_ns).copy()


@lru_cache(maxsize=64)
def _units_in(path: Path, *_: int) -> dict[str, bytes]:
    import pyarrow.parquet as parquet

    rows = parquet.read_table(path, columns=["key", "payload"]).to_pylist()
    return {row["key"]: row["payload"] for row in rows}


def verified_units(path: Path) -> dict[str, bytes]:
    """Bytes of every unit in a Parquet file of results/, by key, each of them verified.

    Raises `OSError`, `ValueError` or `KeyError` if the file cannot be read or holds a damaged unit.
    """
    units = _units_in.__wrapped__(path)  # as they are on the disk now
    for key, payload in units.items():
        _verified(payload, key)
    return units


def check_holds_no_export(folder: Path) -> None:
    """Raise `InputError` where a folder holds an export of a store already."""
    if any(folder.glob("units-*.parquet")):
        raise InputError(f"{folder} holds an export already: remove it, or choose another folder")


def _parts(rows: Iterable[dict[str, Any]], part_bytes: int) -> Iterator[list[dict[str, Any]]]:
    part, size = [], 0
    for row in rows:
        part.append(row)
        size += len(row["payload"])
        if size >= part_bytes:
            yield part
            part, size = [], 0
    if part:
        yield part


def _bytes_of(path: Path) -> bytes:
    """The bytes of a unit's file. Raises `FileNotFoundError`, and `ValueError` where it is there and cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"unreadable ({error.strerror})") from error


def read_unit(path: Path) -> Unit:
    """The unit in a file of the store, verified.

    Raises `FileNotFoundError`, and `ValueError` where the file is there and cannot be read, or is damaged.
    """
    return _verified(_bytes_of(path), path.stem)


def _verified(payload: bytes, key: str) -> Unit:
    """The unit in a file's bytes. Raises `ValueError` if it is damaged, or has another key."""
    unit = from_bytes(payload)
    if unit.key != key:
        raise ValueError("of another configuration or recipe")
    return unit


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be read ({os.strerror(error.errno)}); nothing was removed. Run again where that passes, ask "
        "whose store it is, or choose another (KDLIB_STORE, --store)"
    )


def _provenance(file: BinaryIO) -> dict[str, Any] | None:
    try:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return json.loads(header["__metadata__"]["provenance"])
    except (OSError, ValueError, KeyError, OverflowError, MemoryError):
        return None


def _checksum(header: dict[str, str], tensors: dict[str, "Tensor"]) -> str:
    import torch

    digest = hashlib.sha256(canonical_json(header).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b"")
    return digest.hexdigest()


def as_parquet(rows: "list[Row] | pyarrow.Table", compression: str = "zstd") -> bytes:
    """Content of a Parquet file of rows `key`, `kind`, `payload`, as `Store.parquet_rows` gives them, or of a table."""
    import pyarrow
    import pyarrow.parquet as parquet

    content = io.BytesIO()
    table = rows if isinstance(rows, pyarrow.Table) else pyarrow.Table.from_pylist(rows)
    parquet.write_table(table, content, compression=compression)
    return content.getvalue()


class Store:
    """Units on disk: the writable folder `root`, above the read-only layers `results/` and imported files.

    A unit that any of them holds is not computed again; without the project there are no `results/`. `rules`: digests
    of all sections' rules, which each unit that is computed for this store records.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        results: Path | str | None = None,
        *,
        rules: Mapping[str, str] | None = None,
    ) -> None:
        self.rules = rules or {}
        self.root = paths.as_folder(paths.at_home(root), "store") if root else paths.store_dir()
        project = paths.checkout()
        self.results = Path(results) if results else project and project / "results"

    def recording(self, rules: Mapping[str, str]) -> "Store":
        """Another view of the same folders, whose new units record these digests of rules."""
        return Store(self.root, self.results, rules=rules)

    def path(self, kind: str, config: dict[str, Any]) -> Path:
        """File of a unit in the writable folder, whether it is there or not."""
        return self.root / kind / f"{unit_key(kind, config)}.safetensors"

    def get(self, kind: str, config: dict[str, Any]) -> Unit | None:
        """The verified unit, or None where it is missing or damaged (which is said on standard error).

        Raises `StoreError` where it is there and cannot be read, or is damaged and cannot be removed.
        """
        path = self.path(kind, config)
        try:
            return _verified(path.read_bytes(), path.stem)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unreadable(path, error) from error
        except ValueError as error:
            try:
                path.unlink(missing_ok=True)
            except OSError as kept:  # such as in a store that can only be read
                raise StoreError(
                    f"{path} is {error}, and cannot be replaced ({kept.strerror}): ask whose store it is, or choose "
                    "another (KDLIB_STORE, --store)"
                ) from kept
            print(f"store: {kind}/{path.name} is {error}: it will be computed again", file=sys.stderr)
        if kind not in PROVENANCE_ONLY and (payload := self._published.get(path.stem)):
            try:
                return _verified(payload, path.stem)
            except ValueError as error:
                print(f"store: published unit {path.stem} is {error}: it will be computed again", file=sys.stderr)
                del self._published[path.stem]
        return None

    def has(self, kind: str, config: dict[str, Any]) -> bool:
        """True if the store or a layer under it holds a unit with its tensors; it is not verified here."""
        path = self.path(kind, config)
        return path.exists() or (kind not in PROVENANCE_ONLY and path.stem in self._published)

    def provenance(self, kind: str, config: dict[str, Any]) -> dict[str, Any] | None:
        """Provenance of a unit, from its header alone: no tensor is read or verified. None where it is not stored."""
        path = self.path(kind, config)
        with suppress(OSError), open(path, "rb") as file:
            return _provenance(file)
        payload = self._published.get(path.stem)
        return _provenance(io.BytesIO(payload)) if payload else None

    def parquet_rows(self, keys: Iterable[str]) -> Iterator[dict[str, str | bytes]]:
        """Rows `key`, `kind`, `payload` (bytes) of units for a Parquet file of results/ or of an export.

        Units that are not stored are left out; damaged ones too, which standard error names. A unit of a kind in
        `PROVENANCE_ONLY` comes without its tensors.
        """
        wanted = set(keys)
        here = {path.stem: path for path in self.paths() if path.stem in wanted}
        for key in sorted(wanted & {*here, *self._published}):
            try:
                payload = _bytes_of(here[key]) if key in here else self._published[key]
                unit = _verified(payload, key)
            except FileNotFoundError:  # removed meanwhile
                continue
            except ValueError as error:
                print(f"store: {key} is {error}: left out", file=sys.stderr)
                continue
            if unit.kind in PROVENANCE_ONLY and unit.tensors:
                payload = self._provenance_bytes(unit)
            yield {"key": key, "kind": unit.kind, "payload": payload}

    def _provenance_bytes(self, unit: Unit) -> bytes:
        """Bytes of a unit without its tensors: as published already, maybe from when headers had no fixed order."""
        bare = replace(unit, tensors={})
        with suppress(KeyError, ValueError):
            published = self._published[unit.key]
            if from_bytes(published) == bare:
                return published
        return to_bytes(bare)

    def put(self, unit: Unit) -> Unit:
        """Write a unit atomically, and return it. Raises `StoreError` if the disk is full or may not be written."""
        self._write(self.path(unit.kind, unit.config), to_bytes(unit))
        return unit

    @contextmanager
    def alone(self, what: str, identity: dict[str, Any]) -> Iterator[None]:
        """While it lasts, no other process that shares this store computes what has this identity, on any machine.

        A second one says `what` it waits for on standard error, until the first has ended or was killed; then it finds
        in the store what that one has finished. Where the store can only be read, nobody computes into it from here.
        """
        if self.is_read_only:
            yield
            return
        from filelock import SoftFileLease, Timeout

        name = identity_digest(identity)[:32]
        place = self.root / IN_HAND / f"{name}.lock"
        lease = SoftFileLease(place, lease_duration=LEASE)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            lease.acquire(timeout=1)
        except Timeout:
            print(f"{what}: another process computes the same; waiting for it", file=sys.stderr)
            lease.acquire(poll_interval=1)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lease.release()

    def _write(self, path: Path, content: bytes) -> None:
        try:
            paths.write_whole(path, content)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"the store {self.root} cannot be written: {error.strerror}. What is in it stays valid; make room or "
            "choose another (KDLIB_STORE, --store), and run again to go on."
        )

    @property
    def is_read_only(self) -> bool:
        """True if the store is there, and this process may not write to it."""
        return self.root.is_dir() and not os.access(self.root, os.W_OK)

    def check_room(self, needed: int) -> None:
        """Check that the store can be written and has `needed` bytes of room; else raise `InputError`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".room.{os.getpid()}.{secrets.token_hex(4)}"
            probe.write_bytes(b"0")
            probe.unlink()
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            free, reason = -1, error.strerror if error.errno != errno.ENOSPC else "no room"
        else:
            reason = f"{free >> 20} MiB of room, about {needed >> 20} MiB needed"
        if free < needed:
            raise InputError(f"the store {self.root} cannot take the results ({reason}): make room or set KDLIB_STORE")

    def paths(self) -> Iterator[Path]:
        """Files of all units in the writable folder, sorted by kind and key."""
        yield from sorted(self.root.glob("*/[!.]*.safetensors"))

    def verify(self) -> tuple[list[Path], list[tuple[Path, str]]]:
        """Read and verify every unit: returns the sound files, and the damaged ones with what is wrong.

        Imported files are verified too, and named only among the damaged ones.
        """
        sound, damaged = [], []
        for file in self._imported_files():
            try:
                verified_units(file)
            except (OSError, ValueError, KeyError) as error:
                damaged.append((file, str(error)))
        for path in self.paths():
            try:
                read_unit(path)
                sound.append(path)
            except FileNotFoundError:  # removed meanwhile, as by `store remove`
                continue
            except ValueError as error:
                damaged.append((path, str(error)))
        return sound, damaged

    def export(self, folder: Path, part_bytes: int) -> list[Path]:
        """Write all that was computed here into Parquet files of about `part_bytes` each, for `import_file` elsewhere.

        Returns the files. Raises `InputError` where the folder holds another export, or the store nothing.
        """
        check_holds_no_export(folder)
        nothing = InputError(f"the store {self.root} holds no sound unit: there is nothing to export")
        if not any(self.paths()):
            raise nothing
        files = []
        for part in _parts(self.parquet_rows(path.stem for path in self.paths()), part_bytes):
            files.append(folder / f"units-{len(files) + 1:03}.parquet")
            paths.write_whole(files[-1], as_parquet(part))
        if not files:
            raise nothing
        return files

    def import_file(self, file: Path) -> int:
        """Add a file of `export` as a read-only layer under the store; returns its number of units.

        Units that a layer holds already are not kept a second time. Raises `InputError` if the file cannot be read or
        holds a damaged unit.
        """
        if not file.is_file():
            raise InputError(f"there is no file {file}")
        import pyarrow
        import pyarrow.parquet as parquet

        try:
            units = verified_units(file)
            new = parquet.read_table(file).filter(pyarrow.array([key not in self._published for key in units]))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{file} is no file of `kdlib store export`, or damaged ({error}): send it again"
            ) from None
        if len(new):
            name = hashlib.sha256("".join(new["key"].to_pylist()).encode()).hexdigest()[:32]
            self._write(self.root / IMPORTED / f"{name}.parquet", as_parquet(new))
        vars(self).pop("_published", None)
        return len(units)

    def _imported_files(self) -> list[Path]:
        return sorted(self.root.glob(f"{IMPORTED}/[!.]*.parquet"))

    @cached_property
    def _published(self) -> dict[str, bytes]:
        """Units of all layers by key. What a page was made of comes first: a page made anew names the same origins."""
        units: dict[str, bytes] = {}
        files = self.results.glob("*/[!.]*.parquet") if self.results else []
        published = sorted(files, key=lambda file: (file.parent.name == UNPUBLISHED, file))
        for file in (*published, *self._imported_files()):
            try:
                units = published_units(file) | units
            except (OSError, ValueError, KeyError) as error:
                if isinstance(error, OSError) and error.errno:  # pyarrow's own, of damage, has no number
                    raise _unreadable(file, error) from error
                print(f"store: {file} is damaged ({error}): what it held will be computed again", file=sys.stderr)
        return units
