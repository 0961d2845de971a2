"""Progress that a person can follow: bars in a terminal, plain lines elsewhere; times in words."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
PLAIN = "{desc}: {n_fmt}/{total_fmt} after {elapsed}, {remaining} to go\n"


def progress(items: Iterable[Item], title: str, total: int | None = None) -> Iterable[Item]:
    """Iterate over items, with the progress on standard error: a bar in a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        return tqdm(items, title, total, leave=False)
    return tqdm(items, title, total, mininterval=10, delay=5, maxinterval=10, bar_format=PLAIN, leave=False)


def format_duration(seconds: float) -> str:
    """A duration in words, from seconds: "42 s", "7 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
