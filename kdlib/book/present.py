"""The tables and sentences of all sections by name, as notebooks show them: `kdlib.present.teachers(...)`."""

from typing import Any

from ..claims.rows import last_epoch
from ..report.formatting import (
    Markdown,
    by_temperature,
    first_seed,
    format_interval,
    mean_and_half_width,
    mean_over_seeds,
    page_verdicts,
)
from ..sections import find, names

__all__ = [
    "Markdown",
    "by_temperature",
    "first_seed",
    "last_epoch",
    "mean_and_half_width",
    "mean_over_seeds",
    "page_verdicts",
    "format_interval",
]


def __getattr__(name: str) -> Any:
    return find("tables", name)


def __dir__() -> list[str]:
    return sorted({*__all__, *names("tables")})
