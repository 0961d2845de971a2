"""The registry of the statistics that decide the paper's claims and the controls.

`STATISTICS[name](tables)` gives a float Series indexed by teacher seed, as the `definition` of its claim says; a seed
without a value is nan or absent. Statistics of the kinds `existence` and `exact` are indexed by what they look at
(sizes, temperatures), or by 0. `attrs["note"]` says what a reader must know beside the numbers. A table that is missing
is a `KeyError`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas takes long to import, and the names of the sections are wanted before
    from pandas import DataFrame, Series

Sections = Mapping[str, "Mapping[str, DataFrame]"]


@dataclass(frozen=True)
class Tables:
    """The tables of one data set, as `tables["entropy"]["teachers"]`; `others` holds those of further data sets."""

    dataset: str
    sections: Sections
    others: Mapping[str, Sections] = field(default_factory=dict)

    def __getitem__(self, section: str) -> "Mapping[str, DataFrame]":
        return self.sections[section]


Statistic = Callable[[Tables], "Series"]


class Registry(Mapping[str, Statistic]):
    """Mapping of statistics by name, filled when the first is looked up, by the functions given to `filled_by`."""

    def __init__(self) -> None:
        self._known: dict[str, Statistic] = {}
        self._unasked: list[Callable[[], None]] = []

    def filled_by(self, source: Callable[[], None]) -> Callable[[], None]:
        """Decorator of a function that, when it is called, enters statistics."""
        self._unasked.append(source)
        return source

    def enter(self, function: Statistic) -> None:
        """Add a statistic under its function's name."""
        self._known[function.__name__] = function

    def _all(self) -> dict[str, Statistic]:
        while self._unasked:
            self._unasked.pop()()
        return self._known

    def __getitem__(self, name: str) -> Statistic:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


STATISTICS = Registry()


def statistic(function: Statistic) -> Statistic:
    """Enter a function in the registry under its own name, the `statistic` of a claim."""
    STATISTICS.enter(function)
    return function
