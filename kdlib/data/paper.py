"""The paper's printed tables, as they stand in data/paper."""

import pandas as pd

from .. import paths
from ..errors import InputError

_SOFT_LABELS = ["example", "class", "soft_label"]
_ACCURACIES = ["missing_class", "teacher", "temperature", "accuracy_percent"]
_COLUMNS = {
    1: _SOFT_LABELS[1:],
    **dict.fromkeys((2, 3), _SOFT_LABELS),
    **dict.fromkeys((4, 5, 6), _ACCURACIES),
    7: ["dataset", "role", "conv", "dense", "dropout", "batch_norm", "parameters"],
}
_MISSING_CLASS_TABLES = {"mnist": 4, "fashion_mnist": 5, "cifar10": 6}
_COUNTS = ("conv", "dense", "parameters")  # of table 7, where a cell may be empty


def paper_table(number: int) -> pd.DataFrame:
    """A printed table, 1 to 7: one row for each printed cell (table 7: for each network).

    Tables 1 to 3 hold probabilities, 4 to 6 percentages; the columns are described in data/paper/README.md. What is not
    legible in table 7 is NA. Raises `InputError` for another number, and for a file that is not this table.
    """
    if number not in _COLUMNS:
        raise InputError(f"the paper has no table {number!r}; allowed: {min(_COLUMNS)} to {max(_COLUMNS)}")
    path = paths.paper_dir() / f"table{number}.csv"
    try:
        table = pd.read_csv(path)
        if list(table.columns) != _COLUMNS[number]:
            raise ValueError(f"its columns must be {', '.join(_COLUMNS[number])}")
        return table.astype({name: "Int64" for name in _COUNTS if name in table})
    except ValueError as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path} is not the paper's table {number}: {said}. Restore it from the repository") from error


def missing_class_table(dataset: str) -> pd.DataFrame | None:
    """The paper's accuracies on the missing class (tables 4 to 6, percent), None for a data set that it does not have.

    Columns: `missing_class`, `teacher`, `temperature`, `accuracy_percent`; 120 rows.
    """
    number = _MISSING_CLASS_TABLES.get(dataset)
    return None if number is None else paper_table(number)
