"""Names that parameters may have. It needs no torch, so that what is asked for is checked before it is imported."""

import os

from ..errors import InputError

PRECISIONS = ("fp32", "bf16")
SEEDINGS = ("common", "configuration")
ENGINES = ("loop", "stacked")
SYSTEM_TEACHERS = ("small", "large", "large_sweet")
STAND_INS = ("small_teacher", "large_teacher")  # roles of table 7, and parameters, that a teacher of one's own may take
TRIALS = 3  # most trials of a system's main weight: every grid has as many values
TEMPERATURE = 9.0  # of whatever is shown, compared or searched at one: that of the paper's tables 2 and 3
SELECTIONS = {"entropy": "highest", "lowest": "lowest", "random": "random"}


def requested_engine() -> str | None:
    """KDLIB_ENGINE, None where it is not set. Raises `InputError` for an engine that does not exist."""
    engine = os.environ.get("KDLIB_ENGINE") or None
    if engine not in (None, *ENGINES):
        raise InputError(f"KDLIB_ENGINE={engine!r} cannot be used; allowed: {', '.join(ENGINES)}")
    return engine
