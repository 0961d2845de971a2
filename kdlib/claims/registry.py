"""The registry of the statistics that decide the paper's claims and the controls.

`STATISTICS.compute(name, tables)` gives a `Statistic`, as the `definition` of its claim says. A table or a column that
is missing is `Lacking`; rows that are missing leave seeds without a value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from traceback import walk_tb
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:  # pandas takes long to import, and the names of the sections are wanted before
    import numpy as np
    from pandas import DataFrame, Series

Sections = Mapping[str, "Mapping[str, DataFrame]"]


class Lacking(KeyError):
    """A data set, a section or a table that a statistic takes and that was not run; its argument names it."""


class LackingColumn(Lacking):
    """A column that a statistic takes and that no table of a page has, as one that an older version made may not."""


class Section(dict[str, "DataFrame"]):
    """The tables of a section by name, of which one that is not there is `Lacking`."""

    def __missing__(self, name: str) -> "DataFrame":
        raise Lacking(name)


def of_seeds(sections: Sections, wanted: "Callable[[Series], Series]") -> Sections:
    """Tables cut down to the rows of the teacher seeds that are wanted; rows that belong to no seed stay."""
    return {
        section: {name: rows[wanted(rows["seed"])] if "seed" in rows else rows for name, rows in part.items()}
        for section, part in sections.items()
    }


@dataclass(frozen=True)
class Tables:
    """The tables of one data set, as `tables["entropy"]["teachers"]`; `others` holds those of further data sets."""

    dataset: str
    sections: Sections
    others: Mapping[str, Sections] = field(default_factory=dict)

    def __getitem__(self, section: str) -> Section:
        if section not in self.sections:
            raise Lacking(section)
        return Section(self.sections[section])

    def of(self, dataset: str) -> "Tables":
        """The tables of another data set."""
        if dataset not in self.others:
            raise Lacking(dataset)
        return Tables(dataset, self.others[dataset])

    def without(self, seed: int) -> "Tables":
        """The tables without the rows of a teacher seed, those of the other data sets too."""
        own, *others = (of_seeds(part, lambda seeds: seeds != seed) for part in (self.sections, *self.others.values()))
        return Tables(self.dataset, own, dict(zip(self.others, others, strict=True)))


@dataclass(frozen=True, eq=False)
class Statistic:
    """Numbers that decide a claim or control on one data set, with what a reader must know beside them.

    `values`: floats indexed by teacher seed; of a claim of the kind `every` a column for each thing looked at
    (temperatures, sizes), of what has no seeds one number at 0. What has no value is nan or absent. `note`: what a
    reader must know beside the values, empty if nothing; `caution`, what nobody may overlook. `terms`: of values
    that are made of two numbers, the means of both over the seeds that have a value. `ranks`: of values that are
    rank correlations, for each seed what `inference.permutation_p` takes. `cells`: of values that are means over
    cells, those, a column for each cell. `percents`: of values that are a percentage minus another, both, in
    columns `a` and `b`. `resolution`: how far below and how far above the values what they stand for may lie, where
    they are known coarsely or are bounds, of ratios as logarithms; so far their mean has to lie above or below the
    null value. `candidates`: among how many settings the other seeds chose for each seed, 0 where nothing is
    chosen. `to_explain`, of a control: for each seed what there is to explain, of which the values are a share; its
    interval has to lie above the null value of its unit (0, of a ratio 1), or there is nothing.
    """

    values: "Series | DataFrame"
    note: str = ""
    caution: str = ""
    terms: tuple[float, float] | None = None
    ranks: "Mapping[int, Sequence[np.ndarray]] | None" = None
    cells: "DataFrame | None" = None
    percents: "DataFrame | None" = None
    resolution: tuple[float, float] = (0.0, 0.0)
    candidates: int = 0
    to_explain: "Series | None" = None

    @property
    def has_value(self) -> bool:
        """True if any value is known."""
        return bool(self.values.notna().to_numpy().any())

    def noted(self, *said: str) -> "Statistic":
        """Copy with texts added to the note, if any value is known; empty texts are left out."""
        return self._saying(*said) if self.has_value else self

    def cautioned(self, caution: str) -> "Statistic":
        """Copy with a caution, if any value is known."""
        return replace(self, caution=caution) if self.has_value else self

    def explained(self, reason: str) -> "Statistic":
        """In the note why what has no value has none, if there is a seed without one."""
        lacking = not self.has_value or self.values.isna().to_numpy().any()
        return self._saying(reason) if lacking else self

    def without(self, seed: int) -> "Statistic":
        """Copy with one teacher seed left out."""
        return replace(self, values=self.values.drop(index=seed, errors="ignore"))

    def _saying(self, *said: str) -> "Statistic":
        return replace(self, note="; ".join(filter(None, [self.note, *said])))


Function = Callable[[Tables], Statistic]


class Registry(Mapping[str, Function]):
    """Mapping of statistics by name, filled when the first is looked up, by the functions given to `filled_by`."""

    def __init__(self) -> None:
        self._known: dict[str, Function] = {}
        self._unasked: list[Callable[[], None]] = []

    def filled_by(self, source: Callable[[], None]) -> Callable[[], None]:
        """Decorator of a function that, when it is called, enters statistics."""
        self._unasked.append(source)
        return source

    def enter(self, function: Function) -> None:
        """Add a statistic under its function's name. Raises `InputError` for a name that another module has taken."""
        name = function.__name__
        there = self._known.get(name, function).__module__
        if there != function.__module__:
            raise InputError(
                f"two statistics are called {name!r}, in {there} and in {function.__module__}: give one another name"
            )
        self._known[name] = function

    def compute(self, name: str, tables: Tables) -> Statistic:
        """The statistic that a function of this name gives of some tables.

        Raises `Lacking` for a data set, section, table or column that it takes and that is not there, `InputError` for
        a name that no function has. Any other `KeyError` is a fault of the function, and goes on.
        """
        known = self._all()
        if name not in known:
            raise InputError(f"no statistic is called {name!r}: the `statistics.py` of a section would define it")
        try:
            return known[name](tables)
        except Lacking:
            raise
        except KeyError as error:
            if not _of_a_column(error):
                raise
            raise LackingColumn(error.args[0]) from error

    def _all(self) -> dict[str, Function]:
        while self._unasked:
            self._unasked[-1]()
            self._unasked.pop()  # not before: where it fails, the next that looks something up is told so too
        return self._known

    def __getitem__(self, name: str) -> Function:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _of_a_column(error: KeyError) -> bool:
    """Whether pandas did not find a label that is a text, or some: not a key of the statistic's own, nor a number."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return frame.f_globals["__name__"].startswith("pandas.") and isinstance(error.args[0], str)


STATISTICS = Registry()


def statistic(function: Function) -> Function:
    """Enter a function in the registry under its own name, the `statistic` of a claim."""
    STATISTICS.enter(function)
    return function


def of_teachers(function: Function) -> Function:
    """Mark a statistic of a section that has students too, in which none of them has a part."""
    function.of_teachers = True
    return function


def is_of_teachers(name: str) -> bool:
    """True of a statistic that longer training of students cannot change, though its section has some."""
    return getattr(STATISTICS[name], "of_teachers", False)
