"""A small data set that is drawn here: coloured shapes, as a folder of pictures by class."""

import math
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from .. import paths
from ..errors import InputError

if TYPE_CHECKING:
    from numpy.random import Generator
    from PIL.Image import Image

CLASSES = ("circle", "cross", "ellipse", "rectangle", "square", "star", "triangle")
SIDE = 16  # pixels
FINER = 4  # times as large is drawn, and made smaller: edges are smooth
MOST_TURNED = 0.25  # radians
NOISE = 12  # standard deviation of a pixel's, in brightness from 0 to 255


def draw_shapes(folder: Path | str, *, per_class: int = 80, seed: int = 0) -> Path:
    """Draw a folder of PNG pictures by class, 16 x 16 pixels in colour, and return its path.

    Each shows one shape of random place, size, turn and colour on noise; circle and ellipse are alike, so are square
    and rectangle. One seed draws the same pictures. Raises `InputError` for numbers that are none, and for a folder
    that is there already or cannot be one.
    """
    import numpy as np

    for what, number, least in (("per_class", per_class, 1), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
            raise InputError(f"{what}={number!r} cannot be used; allowed: a whole number from {least}")
    folder = paths.as_folder(paths.at_home(folder), "the folder")
    if folder.exists():
        raise InputError(f"{folder} is there already: name a folder that is not, for the pictures to be drawn")
    if not paths.can_be_written(folder):
        raise InputError(f"{folder} cannot be made: there is no permission to write there. Change it, or name another")
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            _picture(name, rng).save(folder / name / f"{number:04}.png")
    return folder


def _picture(name: str, rng: "Generator") -> "Image":
    import numpy as np
    from PIL import Image, ImageDraw

    back, front = rng.integers(0, 110, 3), rng.integers(146, 256, 3)
    large = Image.new("RGB", (SIDE * FINER, SIDE * FINER), tuple(map(int, back)))
    radius, turn = rng.uniform(5.5, 7), rng.uniform(-MOST_TURNED, MOST_TURNED)
    place = rng.uniform(radius + 0.5, SIDE - radius - 0.5, 2)
    turned = [_turned(corner, turn) for corner in _outline(name)]
    corners = [tuple(FINER * (place + radius * np.array(corner))) for corner in turned]
    ImageDraw.Draw(large).polygon(corners, fill=tuple(map(int, front)))
    pixels = np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=float)
    return Image.fromarray((pixels + rng.normal(0, NOISE, pixels.shape)).clip(0, 255).astype(np.uint8))


def _turned(corner: tuple[float, float], turn: float) -> tuple[float, float]:
    (x, y), sine, cosine = corner, math.sin(turn), math.cos(turn)
    return cosine * x - sine * y, sine * x + cosine * y


def _outline(name: str) -> list[tuple[float, float]]:
    """Corners of a shape within the unit circle."""
    if name in ("circle", "ellipse"):
        flat = 1.0 if name == "circle" else 0.55
        return [(x, flat * y) for x, y in _around(40)]
    if name in ("square", "rectangle"):
        wide, high = (0.8, 0.8) if name == "square" else (1.0, 0.5)
        return [(wide, high), (-wide, high), (-wide, -high), (wide, -high)]
    if name == "triangle":
        return _around(3)
    if name == "star":
        return [(x * r, y * r) for (x, y), r in zip(_around(10), (1.0, 0.45) * 5, strict=True)]
    arm = 0.3
    quarter = [(1.0, -arm), (1.0, arm), (arm, arm)]
    return [_turned(corner, k * math.pi / 2) for k in range(4) for corner in quarter]


def _around(count: int) -> list[tuple[float, float]]:
    return [(math.cos(2 * math.pi * k / count), math.sin(2 * math.pi * k / count)) for k in range(count)]
