"""Tables of examples: rows of pixels in CSV and ARFF files, pictures in the Parquet files of Hugging Face."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from .. import registry
from .arrays import damaged
from .parts import Options, Part, listed
from .pictures import decode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

LABELS = ("label", "labels", "class", "target", "y", "digit")  # the names of the column of labels
NUMBERS = ("id", "imageid", "index", "idx", "unnamed: 0")  # columns that count the rows
CLEARLY = 1.1  # times smoother must one order of colours be than the other


def read_csv(path: Path, options: Options, labelled: bool = True) -> tuple[Part | None, list[str]]:
    """Read rows of pixels with their labels, as Kaggle has them; None for a file without a column of labels.

    Arguments: `labelled`, whether labels are needed. Raises `InputError`, naming line and column, for what is lacking
    or no number.
    """
    import pandas as pd

    try:
        headed = _has_header(path)
        table = pd.read_csv(path, header=0 if headed else None, low_memory=False)
    except (OSError, ValueError, EOFError) as error:  # pandas' own errors too
        raise damaged(path, error) from error
    table.columns = [str(column) for column in table.columns]
    if len(table.columns) == 1:
        text = str(table.columns[0] if headed else table.iloc[0, 0])
        seen = next((repr(mark) for mark in ";\t|" if mark in text), "something else")
        raise InputError(f"{path} has one column: its values must be separated by commas, and are by {seen}")
    if headed and (again := np.flatnonzero((table == table.columns).all(axis=1))).size:
        raise InputError(f"{path}: line {again[0] + 2} is the header again: remove it")
    return _rows(table, path, options, 2 if headed else 1, headed, labelled)


def _has_header(path: Path) -> bool:
    """Whether the first line of a CSV file holds names: anything that is no number."""
    import pandas as pd

    first = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0]
    return bool(pd.to_numeric(first, errors="coerce").isna().any())


def read_arff(path: Path, options: Options) -> tuple[Part, list[str]]:
    """Read rows of pixels with a nominal attribute of labels, as OpenML has them."""
    import pandas as pd
    from scipy.io import arff

    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip().lower() == "@data":
                    break
            first = next((line for line in file if line.strip() and not line.startswith("%")), "")
        if first.lstrip().startswith("{"):
            raise InputError(f"{path} is sparse (rows in braces), which is not read: save it as a dense ARFF file")
        content, meta = arff.loadarff(path)
    except InputError:
        raise
    except Exception as error:  # scipy's own, and what its parsing comes upon
        raise damaged(path, error) from error
    nominal = [name for name in meta.names() if meta[name][0] == "nominal"]
    table = pd.DataFrame({name: content[name] for name in meta.names()})
    for name in nominal:
        table[name] = table[name].str.decode("utf-8").replace("?", None)
    if options.label is None and not any(name.lower() in LABELS for name in meta.names()) and len(nominal) == 1:
        options = Options(**vars(options) | {"label": nominal[0]})
    part, said = _rows(table, path, options, 1, True, True)
    return part, said


def read_parquet(paths: Sequence[Path], options: Options, labelled: bool = True) -> tuple[Part | None, list[str]]:
    """Read pictures with labels from the Parquet files of one part, as Hugging Face has them; or rows of pixels.

    The pictures are a column of structs with `bytes`, or of bytes. None where all labels are -1, as in a test part
    whose labels are kept back, or rows have no column of them. Arguments: `labelled`, whether labels are needed: then
    it raises `InputError` instead, as it does for what is lacking or no picture.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = pyarrow.concat_tables([parquet.read_table(path) for path in paths])
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise damaged(paths[0], error) from error
    path = paths[0]
    held = [field.name for field in table.schema if _holds_pictures(field.type)]
    if not held:
        for field in table.schema:
            is_named = field.name.lower() in LABELS or field.name in (options.label, options.group)
            if field.type in (pyarrow.string(), pyarrow.large_string()) and not is_named:
                value = next((str(v) for v in table[field.name] if v.is_valid), "")
                what = "addresses" if "://" in value else "words"
                raise InputError(
                    f"{path}: the column {field.name!r} holds {what} ({value[:40]!r}); the pictures themselves are "
                    "needed, as bytes"
                )
        return _rows(table.to_pandas(), path, options, 1, True, labelled)
    if len(held) > 1:
        raise InputError(f"{path} has several columns of pictures ({listed(held)}): keep one")
    column = _label_column([name for name in table.column_names if name != held[0]], path, options)
    values = table[held[0]].to_pylist()
    contents = [value.get("bytes") if isinstance(value, dict) else value for value in values]
    if (lacking := next((i for i, content in enumerate(contents) if not content), None)) is not None:
        raise InputError(f"{path}: the picture of row {lacking} has no bytes, only a name: the pictures are needed")
    labels = table[column].to_numpy()
    if labels.dtype.kind in "iu" and len(labels) and (labels == -1).all():
        if labelled:
            raise InputError(
                f"{path} has no labels: all in the column {column!r} are -1, as where they are kept back. Give a file "
                "that has them, or name the column that does with `--label`"
            )
        return None, [f"{path.name} has no labels (all are -1), and is left aside: no accuracy can be measured on it"]
    places = [f"{path.name}, row {i}" for i in range(len(contents))]
    images, said = decode(list(zip(places, contents, strict=True)), options.size, options.workers)
    groups = _groups(table.column_names, lambda name: table[name].to_numpy(), path, options, 0)
    names = _class_names(table.schema, column) if labels.dtype.kind in "iu" else None
    registry.check_class_names(names or ())
    said = [f"pictures are the column {held[0]!r}, labels {column!r}", *said]
    return Part(images, labels, names, groups, places, ("label", "size")), said


def _holds_pictures(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)


def _class_names(schema: "pyarrow.Schema", column: str) -> tuple[str, ...] | None:
    """Names of classes that Hugging Face's `datasets` wrote into a Parquet file, if it did."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[column]["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def _label_column(columns: Sequence[str], path: Path, options: Options) -> str:
    """The column of labels: the one that was named, or whose name says so, or the only one."""
    if options.label is not None:
        if options.label not in columns:
            raise InputError(f"{path} has no column {options.label!r}; its columns: {listed(columns)}")
        return options.label
    found = [name for name in columns if name.lower() in LABELS]
    if len(found) == 1 or len(columns) == 1:
        return (found or list(columns))[0]
    raise InputError(f"{path}: which column holds the labels? `--label COLUMN` says it; its columns: {listed(columns)}")


def _groups(columns: Sequence[str], values: Any, path: Path, options: Options, first: int) -> np.ndarray | None:
    """The group of each row in words, if a column of them was named; `first`, the number of the first row."""
    import pandas as pd

    if options.group is None:
        return None
    if options.group not in columns:
        raise InputError(f"{path} has no column {options.group!r} of groups; its columns: {listed(columns)}")
    given = np.asarray(values(options.group))
    groups = np.char.strip(given.astype(str))
    if (lacking := pd.isna(given) | (groups == "")).any():
        raise InputError(
            f"{path}: row {first + lacking.argmax()} has no value in the column {options.group!r} of groups: each "
            "example needs one, if only of its own"
        )
    return groups


def _rows(
    table: "pd.DataFrame", path: Path, options: Options, first: int, headed: bool, labelled: bool
) -> tuple[Part | None, list[str]]:
    """Rows of pixels with their labels, from whichever file; `first`, the number of the line of the first row."""
    if not len(table):
        raise InputError(f"{path} has no rows")
    columns, said = list(table.columns), []
    if headed and not labelled and options.label not in columns and not any(c.lower() in LABELS for c in columns):
        note = f"{path.name} has no column of labels, and is left aside: no accuracy can be measured on it"
        return None, [note]
    if not headed and options.label is None:
        options = Options(**vars(options) | {"label": columns[0]})
        said.append("it has no header: the first column is taken as the labels")
    label = _label_column(columns, path, options)
    groups = _groups(columns, lambda name: table[name].to_numpy(), path, options, first)
    numbers = [c for c in columns if c.lower() in NUMBERS and c not in (label, options.group)]
    if numbers:
        said.append(f"passed over: {listed(numbers)}, which counts the rows")
    pixels = table.drop(columns=[label, *numbers, *([options.group] if options.group else [])])
    _check_cells(table[[label, *pixels.columns]], path, first)
    said.append(f"labels are the column {label!r}, pixels the other {pixels.shape[1]:,}")
    places = [f"{path.name}, line {first + i}" for i in range(len(table))]
    return Part(pixels.to_numpy(), table[label].to_numpy(), None, groups, places, ("label",)), said


def _check_cells(table: "pd.DataFrame", path: Path, first: int) -> None:
    """Every cell has a value, and every pixel is a number."""
    label, *pixels = table.columns
    lacking = table.isna()
    if lacking.to_numpy().any():
        row, column = np.argwhere(lacking.to_numpy())[0]
        raise InputError(f"{path}: row {row + first} has no value in the column {table.columns[column]!r}")
    words = [c for c in pixels if table[c].dtype.kind not in "buif"]
    if words:
        value = next((v for v in table[words[0]] if not _is_number(v)), table[words[0]].iloc[0])
        raise InputError(
            f"{path}: the column {words[0]!r} holds {str(value)[:40]!r}, which is no value of a pixel. `--label` and "
            "`--group` name the columns that are none"
        )


def _is_number(value: object) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def shaped(rows: np.ndarray, shape: tuple[int, ...] | None, place: str) -> tuple[np.ndarray, str]:
    """Rows of pixels [N, values] as images, and how: by a shape that was given, else as squares, grey or of 3 colours.

    Of colours the order is tried that makes neighbouring pixels the more alike. Raises `InputError` where none is
    clearly meant.
    """
    count = rows.shape[1]
    if rows.dtype.kind == "i" and rows.size and rows.min() >= 0 and rows.max() <= 255:
        rows = rows.astype(np.uint8)
    if shape is not None:
        if int(np.prod(shape)) != count:
            raise InputError(f"--shape {'x'.join(map(str, shape))}: {place} has {count:,} pixels")
        return rows.reshape(-1, *shape), f"a row is read as {' x '.join(map(str, shape))}, as was said"
    side = round(count**0.5)
    if side**2 == count:
        return rows.reshape(-1, side, side), f"a row of {count:,} is read as {side} x {side} grey pixels"
    side = round((count / 3) ** 0.5)
    if 3 * side**2 != count:
        raise InputError(
            f"{place} has {count:,} pixels, which are no square of grey ones or of 3 colours. `--shape "
            "HEIGHTxWIDTH` says what they are, or `--shape 3xHEIGHTxWIDTH`, or `--shape HEIGHTxWIDTHx3`"
        )
    some = rows[: 2**24 // count].astype(np.float32)
    planes, pixels = some.reshape(-1, 3, side, side), some.reshape(-1, side, side, 3)
    rough = {
        "colour by colour": float(np.abs(np.diff(planes, axis=3)).mean() + np.abs(np.diff(planes, axis=2)).mean()),
        "pixel by pixel": float(np.abs(np.diff(pixels, axis=2)).mean() + np.abs(np.diff(pixels, axis=1)).mean()),
    }
    order = min(rough, key=rough.__getitem__)
    if max(rough.values()) < CLEARLY * rough[order]:
        raise InputError(
            f"{place}: a row of {count:,} pixels is 3 colours of {side} x {side}, and which way round is not clear: "
            f"`--shape 3x{side}x{side}` (colour by colour) or `--shape {side}x{side}x3` (pixel by pixel) says it"
        )
    images = rows.reshape(-1, 3, side, side) if order == "colour by colour" else rows.reshape(-1, side, side, 3)
    return (
        images,
        f"a row of {count:,} is read as 3 colours of {side} x {side}, {order}: so neighbours are alike",
    )
