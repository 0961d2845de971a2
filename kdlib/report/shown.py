"""A data set's own names and images in figures and tables: names as they are written, images of any channels."""

import numpy as np
import pandas as pd


class Literal(pd.DataFrame):
    """A table in whose text a notebook looks for no mathematics between dollar signs."""

    def _repr_html_(self) -> str:
        with pd.option_context("display.html.use_mathjax", False):
            return super()._repr_html_()


def in_figure(name: str) -> str:
    """A name for matplotlib, which would read what stands between two dollar signs as mathematics."""
    return name.replace("$", r"\$")


def in_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table itself, as a `Literal` where a head of a row or column holds a dollar sign."""
    heads = (str(head) for axis in (table.index, table.columns) for head in axis)
    return Literal(table) if any("$" in head for head in heads) else table


def as_picture(image: np.ndarray) -> np.ndarray:
    """An image [C, H, W] in [0, 1] as one that can be seen, [H, W] or [H, W, 3].

    Three channels are colours; of any other number the mean is shown.
    """
    return np.moveaxis(image, 0, -1) if len(image) == 3 else image.mean(0, dtype=image.dtype)


def ticks(count: int, most: int = 20) -> range:
    """Positions that are named beside an axis: every one, or every k-th where names would meet."""
    return range(0, count, -(-count // most))
