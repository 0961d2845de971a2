"""The figures of all sections by name, as notebooks draw them: `kdlib.figures.taken_for(...)`."""

from typing import Any

from ..sections import find, names


def __getattr__(name: str) -> Any:
    return find("figures", name)


def __dir__() -> list[str]:
    return names("figures")
