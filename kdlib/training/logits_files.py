"""Files of a teacher's logits: NumPy's .npz, safetensors, and Parquet by index."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import plugins
from ..errors import InputError

Parts = dict[str, tuple[Tensor, Tensor | None]]

# Names that the arrays of a part may have, and its labels.
LOGITS = {part: (part, f"{part}_logits", f"logits_{part}") for part in ("train", "test")}
LABELS = {part: (f"{part}_labels", f"y_{part}") for part in ("train", "test")}
COLUMNS = ("split", "index", "logits")
NEEDED = "train [N, C] and test [N, C], and maybe, to be held against the data set's, train_labels and test_labels"


def read(path: Path) -> Parts:
    """Logits, and labels where there are any, of the training and the test images, in the data set's order.

    An .npz or .safetensors file has arrays `train` and `test` (or `train_logits`, `test_logits`), maybe `train_labels`
    and `test_labels`; a Parquet file a row for each image, in any order, with columns `split` (train or test), `index`
    from 0, `logits` (a list) and maybe `label`. Raises `InputError` for any other file, and for one that is damaged.
    """
    readers: dict[str, Callable[[Path], Parts]] = {
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
        return readers[path.suffix.lower()](path)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read as logits: {plugins.told(error, path)}") from error


def _read_npz(path: Path) -> Parts:
    with np.load(path, allow_pickle=False) as file:
        return _parts({name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files})


def _read_safetensors(path: Path) -> Parts:
    from safetensors.torch import load_file

    return _parts(load_file(path))


def _parts(arrays: Mapping[str, Tensor]) -> Parts:
    found: Parts = {}
    for part in LOGITS:
        logits, labels = (
            next((arrays[name] for name in names[part] if name in arrays), None) for names in (LOGITS, LABELS)
        )
        if logits is None:
            raise InputError(f"there is no array {part!r} among {', '.join(arrays) or 'none'}; needed: {NEEDED}")
        found[part] = logits, labels
    return found


def _read_parquet(path: Path) -> Parts:
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
    return {part: _part_of(table.filter(splits == part), part) for part in LOGITS}


def _part_of(table: Any, part: str) -> tuple[Tensor, Tensor | None]:
    """The rows of a part by their index. Raises `InputError` unless these are 0 to N - 1, each once."""
    index = table["index"].to_numpy()
    order = index.argsort(kind="stable")
    if not np.array_equal(index[order], np.arange(len(index))):
        raise InputError(f"the {len(index)} {part} rows must have the indices from 0 to {len(index) - 1}, each once")
    rows = table["logits"].combine_chunks()
    widths = np.diff(np.asarray(rows.offsets)) if hasattr(rows, "offsets") else np.array([rows.type.list_size])
    if not len(index) or len({*widths.tolist()}) != 1:
        raise InputError(f"the {len(index)} {part} rows must have equally many logits each")
    logits = torch.from_numpy(rows.flatten().to_numpy(zero_copy_only=False).reshape(len(index), -1)[order])
    labels = torch.from_numpy(table["label"].to_numpy()[order]) if "label" in table.column_names else None
    return logits, labels
