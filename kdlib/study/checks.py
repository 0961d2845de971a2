"""What each parameter may be: a check, and the words in which an error says what is allowed."""

import ast
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InputError
from ..training.choices import PRECISIONS, SEEDINGS, SELECTIONS, STAND_INS, SYSTEM_TEACHERS, TRIALS

LONGEST = 10_000  # hours of a duration


def check(name: str, value: Any) -> Any:
    """A parameter's value as `Settings` holds it. Raises `InputError`, naming what is allowed."""
    own, allowed = _CHECKS[name]
    try:
        return own(_literal(value))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name}={value!r} cannot be used; allowed: {allowed}") from None


def asked_workers() -> int | None:
    """KDLIB_WORKERS, None where it is not set. Raises `InputError` for what is no number of processes."""
    text = os.environ.get("KDLIB_WORKERS")
    if text and not (text.isdecimal() and int(text) >= 1):
        raise InputError(f"KDLIB_WORKERS={text!r} cannot be used; allowed: a whole number from 1")
    return int(text) if text else None


def duration(text: str) -> float:
    """Seconds of a duration such as "90s", "8m" or "1h30m". Raises `InputError` for anything else, and for none.

    A timer cannot be set to more than some years; `LONGEST` is far below that.
    """
    parts = re.fullmatch(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?", text.strip())
    hours, minutes, seconds = (int(part or 0) for part in (parts.groups() if parts else "000"))
    seconds += 60 * minutes + 3600 * hours
    if not 0 < seconds <= 3600 * LONGEST:
        words = f"hours, minutes and seconds, such as 90s, 8m or 1h30m, to {LONGEST}h"
        raise InputError(f"{text!r} is no duration; allowed: {words}")
    return float(seconds)


def _literal(value: Any) -> Any:
    """papermill passes `1e-3` and `[3, 9]` as strings: read them as what they say, arrays and ranges as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, range):
        return [*value]
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return value
    return value


def _number(low: float, high: float, *, strict: bool = False) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError
        if not low <= value <= high or (strict and value == low):
            raise ValueError
        return float(value)

    return check


def _integer(low: int, high: int = 10**9) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or value != int(value) or not low <= value <= high:
            raise ValueError
        return int(value)

    return check


def _sequence(check: Callable[[Any], Any], *, empty: bool = False, ordered: bool = True) -> Callable[[Any], tuple]:
    """Different values, of which `ordered` ones come out sorted: their order means nothing, and decides no key."""

    def check_all(value: Any) -> tuple:
        if isinstance(value, Mapping):
            raise ValueError
        if isinstance(value, str):  # words without quotation marks, as a shell leaves them
            value = [word.strip() for word in value.strip().removeprefix("[").removesuffix("]").split(",")]
        items = tuple(check(_literal(item)) for item in (value if isinstance(value, list | tuple) else [value]))
        if (not items and not empty) or len(set(items)) != len(items):
            raise ValueError
        return tuple(sorted(items)) if ordered else items

    return check_all


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return check


def _or_all(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value == "all" else check(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _pair(value: Any) -> tuple[int, int]:
    batch_size, epochs = value
    return _integer(1)(batch_size), _integer(1)(epochs)


def _name(value: Any) -> str:
    """Whether a teacher of this name was added, `own_teachers.find` sees."""
    if not isinstance(value, str) or not value.isidentifier():
        raise ValueError
    return value


def _device(value: Any) -> str:
    """Its form; whether it is there, `find_device` sees."""
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", value):
        raise ValueError
    return value


_COUNTS = "a list of different whole numbers from 1"
_CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "seeds": (_integer(1, 100), "a whole number from 1 to 100"),
    "temperatures": (
        _sequence(_number(0, 1e6, strict=True)),
        "a list of different positive numbers, such as [3, 6, 9, 12, 15, 20]",
    ),
    "alpha": (_number(0, 1), "a number from 0 to 1"),
    "t_squared": (_flag, "true or false"),
    "examples": (_or_all(_integer(20)), "a whole number of training examples from 20, or all"),
    "test_examples": (_or_all(_integer(20)), "a whole number of test examples from 20, or all"),
    "learning_rate": (_number(0, 10, strict=True), "a positive number, such as 1e-3"),
    "precision": (_one_of(*PRECISIONS), " or ".join(PRECISIONS)),
    "teacher_epochs": (_integer(1, 10_000), "a whole number from 1"),
    "teacher_batch_size": (_integer(1), "a whole number from 1"),
    "kept_epochs": (_sequence(_integer(1), empty=True), _COUNTS + ", or [] for all"),
    "student_epochs": (_integer(1, 10_000), "a whole number from 1"),
    "student_batch_size": (_integer(1), "a whole number from 1"),
    "missing_classes": (_sequence(_integer(0), empty=True), "a list of different class indices, or [] for all"),
    "examples_per_class": (_sequence(_integer(1)), _COUNTS),
    "selections": (_sequence(_one_of(*SELECTIONS), ordered=False), f"a list of {', '.join(SELECTIONS)}"),
    "batch_sizes": (_sequence(_integer(1)), _COUNTS),
    "sweet_spot_epochs": (_integer(1, 10_000), "a whole number from 1"),
    "spread_settings": (_sequence(_pair, ordered=False), "a list of pairs [batch size, epochs]"),
    "system_teachers": (
        _sequence(_one_of(*SYSTEM_TEACHERS), ordered=False),
        f"a list of {', '.join(SYSTEM_TEACHERS)}",
    ),
    "trials": (_integer(1, TRIALS), f"a whole number from 1 to {TRIALS}"),
    "label_lengths": (_sequence(_integer(1)), _COUNTS),
    "seeding": (_one_of(*SEEDINGS), " or ".join(SEEDINGS)),
    "accuracy_floor": (_number(0, 1), "a number from 0 to 1"),
    **{name: (_name, f"{name}, or a teacher that `kdlib teacher add` added") for name in STAND_INS},
    "device": (_device, "auto, cpu, cuda, cuda:N or mps"),
}
