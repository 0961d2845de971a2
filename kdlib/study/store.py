"""What was computed, kept under the digest of what was asked for.

A unit (a teacher run, a student, a measurement) is one safetensors file, `store/<kind>/<key>.safetensors`. Its key is
the sha256 of kind, recipe version and configuration; its header holds the configuration, the provenance and a
checksum over all of it. Files are written under a temporary name and renamed, so a killed process leaves no half unit
and two processes can share a store. What does not verify on reading is reported, removed and computed again.
"""

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import paths
from ..errors import InputError, StoreError
from ..training.identity import canonical

if TYPE_CHECKING:  # it takes long to import, and names and sizes of units are wanted without
    from torch import Tensor

# Bumped by hand when the numbers that a kind of unit holds would change for the same configuration.
RECIPES = {"teacher": 1, "responses": 1, "student": 1, "measure": 1, "activations": 1}
TAKEN_IN = "taken-in"  # folder of the store that holds another machine's units
ORIGINS_ONLY = {"teacher"}  # too large to publish or to send: only how they came about is kept, without their tensors


@dataclass(frozen=True)
class Unit:
    """A stored result: named tensors, the configuration that they answer, and how they came about."""

    kind: str
    config: dict[str, Any]
    tensors: dict[str, "Tensor"]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return unit_key(self.kind, self.config)


def unit_key(kind: str, config: dict[str, Any]) -> str:
    """The name under which a unit is stored."""
    identity = {"kind": kind, "recipe": RECIPES[kind], "config": config}
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:32]


def to_bytes(unit: Unit) -> bytes:
    """A unit as the content of its file."""
    import safetensors.torch
    import torch

    plain = torch.contiguous_format  # strides too: those of a single element may be anything
    tensors = {name: tensor.detach().cpu().clone(memory_format=plain) for name, tensor in unit.tensors.items()}
    header = {"kind": unit.kind, "config": canonical(unit.config), "provenance": canonical(unit.provenance)}
    return safetensors.torch.save(tensors, {**header, "sha256": _checksum(header, tensors)})


def from_bytes(payload: bytes) -> Unit:
    """The unit in a file's bytes. Raises `ValueError` if anything in it is not as it was written."""
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
    except Exception as error:
        raise ValueError(f"damaged ({error})") from error


def published_units(path: Path) -> dict[str, bytes]:
    """Key and bytes of every unit in a file of results/. One that is damaged: `OSError`, `ValueError` or `KeyError`."""
    import pyarrow.parquet as parquet

    rows = parquet.read_table(path, columns=["key", "payload"]).to_pylist()
    return {row["key"]: row["payload"] for row in rows}


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


def _answer(payload: bytes, key: str) -> Unit:
    """The unit in a file's bytes, if it is the one of this key; else `ValueError`."""
    unit = from_bytes(payload)
    if unit.key != key:
        raise ValueError("of another configuration or recipe")
    return unit


def _provenance(file: BinaryIO) -> dict[str, Any] | None:
    try:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return json.loads(header["__metadata__"]["provenance"])
    except (OSError, ValueError, KeyError, OverflowError, MemoryError):
        return None


def _checksum(header: dict[str, str], tensors: dict[str, "Tensor"]) -> str:
    import torch

    digest = hashlib.sha256(canonical(header).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b"")
    return digest.hexdigest()


class Store:
    """Units on disk. `results/` of the project, and what another machine computed, are read-only layers under it.

    What they hold is not computed again.
    """

    def __init__(self, root: Path | str | None = None, results: Path | str | None = None) -> None:
        self.root = Path(root) if root else paths.store_dir()
        self.results = Path(results) if results else paths.project_root() / "results"

    def path(self, kind: str, config: dict[str, Any]) -> Path:
        return self.root / kind / f"{unit_key(kind, config)}.safetensors"

    def get(self, kind: str, config: dict[str, Any]) -> Unit | None:
        """The verified unit, or None where it is missing or damaged (which is said on standard error)."""
        path = self.path(kind, config)
        try:
            return _answer(path.read_bytes(), path.stem)
        except FileNotFoundError:
            pass
        except ValueError as error:
            print(f"store: {kind}/{path.name} is {error}: it will be computed again", file=sys.stderr)
            path.unlink(missing_ok=True)
        if kind not in ORIGINS_ONLY and (payload := self._published.get(path.stem)):
            try:
                return _answer(payload, path.stem)
            except ValueError as error:
                print(f"store: published unit {path.stem} is {error}: it will be computed again", file=sys.stderr)
                del self._published[path.stem]
        return None

    def has(self, kind: str, config: dict[str, Any]) -> bool:
        path = self.path(kind, config)
        return path.exists() or (kind not in ORIGINS_ONLY and path.stem in self._published)

    def provenance(self, kind: str, config: dict[str, Any]) -> dict[str, Any] | None:
        """How a unit came about, here or for `results/`, from its header alone: no tensor is read or checked."""
        path = self.path(kind, config)
        with suppress(OSError), open(path, "rb") as file:
            return _provenance(file)
        payload = self._published.get(path.stem)
        return _provenance(io.BytesIO(payload)) if payload else None

    def publishable(self, keys: Iterable[str]) -> Iterator[dict[str, str | bytes]]:
        """Rows of a file of `results/`: each unit's key, kind and bytes, from the store or from such a file itself.

        A unit that neither holds is left out; one that is damaged, or of another recipe, too, which is said.
        """
        wanted = set(keys)
        here = {path.stem: path for path in self.paths() if path.stem in wanted}
        for key in sorted(wanted & {*here, *self._published}):
            payload = here[key].read_bytes() if key in here else self._published[key]
            try:
                unit = _answer(payload, key)
            except ValueError as error:
                print(f"store: {key} is {error}: left out", file=sys.stderr)
                continue
            if unit.kind in ORIGINS_ONLY and unit.tensors:
                payload = self._origin(unit)
            yield {"key": key, "kind": unit.kind, "payload": payload}

    def _origin(self, unit: Unit) -> bytes:
        """A unit without its tensors: published bytes that say the same, since each new header has another order."""
        origin = replace(unit, tensors={})
        with suppress(KeyError, ValueError):
            published = self._published[unit.key]
            if from_bytes(published) == origin:
                return published
        return to_bytes(origin)

    def put(self, unit: Unit) -> Unit:
        """Write a unit atomically. Raises `StoreError` if the disk is full or may not be written."""
        self._write(self.path(unit.kind, unit.config), to_bytes(unit))
        return unit

    def _write(self, path: Path, content: bytes) -> None:
        try:
            paths.write_whole(path, content)
        except OSError as error:
            raise StoreError(
                f"the store {self.root} cannot be written: {error.strerror}. What is in it stays valid; make room "
                "or choose another (KDLIB_STORE, --store), and run again to go on."
            ) from error

    def check_room(self, needed: int) -> None:
        """Raise `InputError` if the store cannot be written or has less than `needed` bytes of room."""
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
        yield from sorted(self.root.glob("*/*.safetensors"))

    def verify(self) -> tuple[list[Path], list[tuple[Path, str]]]:
        """Every unit's file, read and checked: the sound ones, and the damaged ones with what is wrong.

        Of files that were taken in, those that cannot be read or hold a damaged unit.
        """
        sound, damaged = [], []
        for file in self._taken_in():
            try:
                for key, payload in published_units(file).items():
                    _answer(payload, key)
            except (OSError, ValueError, KeyError) as error:
                damaged.append((file, str(error)))
        for path in self.paths():
            try:
                _answer(path.read_bytes(), path.stem)
                sound.append(path)
            except ValueError as error:
                damaged.append((path, str(error)))
        return sound, damaged

    def export(self, folder: Path, part_bytes: int) -> list[Path]:
        """All that was computed here in files of about so many bytes, as `results/` has it: for `take_in` elsewhere.

        Raises `InputError` where the folder holds another export, or the store nothing.
        """
        if any(folder.glob("units-*.parquet")):
            raise InputError(f"{folder} holds an export already: remove it, or choose another folder")
        nothing = InputError(f"the store {self.root} holds no sound unit: there is nothing to export")
        if not any(self.paths()):
            raise nothing
        import pyarrow
        import pyarrow.parquet as parquet

        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for part in _parts(self.publishable(path.stem for path in self.paths()), part_bytes):
            files.append(folder / f"units-{len(files) + 1:03}.parquet")
            parquet.write_table(pyarrow.Table.from_pylist(part), files[-1])
        if not files:
            raise nothing
        return files

    def take_in(self, file: Path) -> int:
        """Lay a file of `export` beneath the store. Returns its number of units; `InputError` if any is damaged."""
        if not file.is_file():
            raise InputError(f"there is no file {file}")
        try:
            units = published_units(file)
            for key, payload in units.items():
                _answer(payload, key)
            content = file.read_bytes()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{file} is no file of `kdlib store export`, or damaged ({error}): send it again"
            ) from None
        self._write(self.root / TAKEN_IN / f"{hashlib.sha256(content).hexdigest()[:32]}.parquet", content)
        vars(self).pop("_published", None)
        return len(units)

    def _taken_in(self) -> list[Path]:
        return sorted(self.root.glob(f"{TAKEN_IN}/*.parquet"))

    @cached_property
    def _published(self) -> dict[str, bytes]:
        units: dict[str, bytes] = {}
        for file in (*sorted(self.results.glob("*/*.parquet")), *self._taken_in()):
            try:
                units |= published_units(file)
            except (OSError, ValueError, KeyError) as error:
                print(f"store: {file} is damaged ({error}): what it held will be computed again", file=sys.stderr)
        return units
