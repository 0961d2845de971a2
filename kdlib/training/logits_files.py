"""Files of a teacher's logits: NumPy's .npz, safetensors, and Parquet by index."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import forms, plugins
from ..errors import InputError

Parts = dict[str, tuple[Tensor, Tensor | None]]

# Names that the arrays of a part may have, and its labels.
LOGITS = {part: (part, f"{part}_logits", f"logits_{part}") for part in ("train", "test")}
LABELS = {part: (f"{part}_labels", f"y_{part}") for part in ("train", "test")}
COLUMNS = ("split", "index", "logits")
NEEDED = "train [N, C] and test [N, C], and maybe, to be held against the data set's, train_labels and test_labels"


def read(path: Path, class_names: Sequence[str] = ()) -> Parts:
    """Logits, and labels where there are any, of the training and the test images, in the data set's order.

    An .npz or .safetensors file has arrays `train` and `test` (or `train_logits`, `test_logits`), maybe `train_labels`
    and `test_labels`, and whatever else; a Parquet file a row for each image, in any order, with columns `split` (train
    or test), `index` from 0, `logits` (a list) and maybe `label`. Labels are as in a data set, integers from 0, or
    words of `class_names`. Raises `InputError` for any other file, and for one that is damaged.
    """
    readers: dict[str, Callable[[Path, Sequence[str]], Parts]] = {
        ".npz": _read_npz,
        ".safetensors": _read_safetensors,
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
    }
    if not path.is_file():
        raise InputError(f"{path} is no file; needed: a file of logits ({', '.join(readers)})")
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no file that is read here; allowed: {', '.join(readers)}")
    try:
        return readers[path.suffix.lower()](path, class_names)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read as logits: {plugins.told(error, path)}") from error


def _read_npz(path: Path, class_names: Sequence[str]) -> Parts:
    with np.load(path, allow_pickle=False) as file:
        return _parts(file, class_names)


def _read_safetensors(path: Path, class_names: Sequence[str]) -> Parts:
    from safetensors.torch import load_file

    return _parts(load_file(path), class_names)


def _parts(arrays: Mapping[str, Any], class_names: Sequence[str]) -> Parts:
    """The parts among arrays, of which no other is looked at."""
    found: Parts = {}
    for part in LOGITS:
        logits, labels = (
            next((_array(arrays, name) for name in names[part] if name in arrays), None) for names in (LOGITS, LABELS)
        )
        if logits is None:
            raise InputError(f"there is no array {part!r} among {', '.join(arrays) or 'none'}; needed: {NEEDED}")
        found[part] = _logits(logits, part), None if labels is None else _labels(labels, part, class_names)
    return found


def _array(arrays: Mapping[str, Any], name: str) -> Any:
    try:
        return arrays[name]
    except ValueError as error:  # of NumPy, for Python's objects: nothing is unpickled here
        raise InputError(
            f"array {name!r} cannot be read ({plugins.told(error)}): store floats, and labels as integers or as words, "
            "np.array(words, dtype=str)"
        ) from error


def _logits(logits: np.ndarray | Tensor, part: str) -> Tensor:
    if isinstance(logits, Tensor):
        return logits
    if logits.dtype.kind not in "biuf":
        raise InputError(f"{part} logits are {logits.dtype}; allowed: floats")
    wide = logits.dtype.kind == "f" and logits.dtype.itemsize > 8
    kind = np.float64 if wide else logits.dtype.newbyteorder("=")  # torch knows no others
    return torch.from_numpy(np.ascontiguousarray(logits, kind))


def _labels(labels: np.ndarray | Tensor, part: str, class_names: Sequence[str]) -> Tensor:
    """Labels [N] as integers. Raises `InputError`, naming the row, for what is no class, and where there is none."""
    labels = np.atleast_1d(labels.double() if isinstance(labels, Tensor) and labels.is_floating_point() else labels)
    if labels.dtype.kind in "OSU":  # words, and None where a row of a Parquet file has none
        numbers = {name: k for k, name in enumerate(class_names)}
        words = [w.decode(errors="replace") if isinstance(w, bytes) else w for w in labels.reshape(-1).tolist()]
        for row, word in enumerate(words):
            if word not in numbers:
                shown = ", ".join(class_names[: forms.NAMED]) + ", ..." * (len(class_names) > forms.NAMED)
                raise InputError(
                    f"{part} labels: row {row} has {word!r}; allowed: integers from 0, or words of {shown}"
                )
        labels = np.array([numbers[word] for word in words]).reshape(labels.shape)
    if labels.dtype.kind == "f" and len(wrong := np.argwhere(~(np.isfinite(labels) & (labels == np.round(labels))))):
        first = tuple(wrong[0])
        raise InputError(f"{part} labels: row {first[0]} has {labels[first]:g}; allowed: integers from 0")
    labels = labels.astype(np.uint8) if labels.dtype.kind == "b" else labels
    return torch.from_numpy(forms.read_labels(labels, f"{part} labels")[0].astype(np.int64))


def _read_parquet(path: Path, class_names: Sequence[str]) -> Parts:
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    if lacking := [name for name in COLUMNS if name not in table.column_names]:
        raise InputError(
            f"there is no column {lacking[0]!r} among {', '.join(table.column_names)}; needed: {', '.join(COLUMNS)}, "
            "and maybe label"
        )
    splits = np.array(table["split"].to_pylist())
    if other := sorted({*splits.tolist()} - {*LOGITS}):
        raise InputError(f"split {other[0]!r} cannot be used; allowed: {', '.join(LOGITS)}")
    return {part: _part_of(table.filter(splits == part), part, class_names) for part in LOGITS}


def _part_of(table: Any, part: str, class_names: Sequence[str]) -> tuple[Tensor, Tensor | None]:
    """The rows of a part by their index. Raises `InputError` unless these are 0 to N - 1, each once."""
    index = table["index"].to_numpy()
    order = index.argsort(kind="stable")
    if not np.array_equal(index[order], np.arange(len(index))):
        raise InputError(f"the {len(index)} {part} rows must have the indices from 0 to {len(index) - 1}, each once")
    rows = table["logits"].combine_chunks()
    widths = np.diff(np.asarray(rows.offsets)) if hasattr(rows, "offsets") else np.array([rows.type.list_size])
    if not len(index) or len({*widths.tolist()}) != 1:
        raise InputError(f"the {len(index)} {part} rows must have equally many logits each")
    logits = _logits(rows.flatten().to_numpy(zero_copy_only=False).reshape(len(index), -1)[order], part)
    if "label" not in table.column_names:
        return logits, None
    return logits, _labels(table["label"].to_numpy()[order], part, class_names)
