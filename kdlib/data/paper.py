"""The paper's printed tables, as they stand in data/paper."""

import pandas as pd

from .. import paths
from ..errors import InputError

_TABLES = range(1, 8)
_MISSING_CLASS_TABLES = {"mnist": 4, "fashion_mnist": 5, "cifar10": 6}
_COUNTS = ("conv", "dense", "parameters")  # of table 7, where a cell may be empty


def paper_table(number: int) -> pd.DataFrame:
    """A printed table, 1 to 7: one row for each printed cell (table 7: for each network).

    Tables 1 to 3 hold probabilities, 4 to 6 percentages; the columns are described in data/paper/README.md. What is not
    legible in table 7 is NA. Raises `InputError` for another number.
    """
    if number not in _TABLES:
        raise InputError(f"the paper has no table {number!r}; allowed: {_TABLES.start} to {_TABLES.stop - 1}")
    table = pd.read_csv(paths.paper_dir() / f"table{number}.csv")
    return table.astype({name: "Int64" for name in _COUNTS if name in table})


def missing_class_table(dataset: str) -> pd.DataFrame | None:
    """The paper's accuracies on the missing class (tables 4 to 6, percent), None for a data set that it does not have.

    Columns: `missing_class`, `teacher`, `temperature`, `accuracy_percent`; 120 rows.
    """
    number = _MISSING_CLASS_TABLES.get(dataset)
    return None if number is None else paper_table(number)
