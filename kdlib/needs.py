"""What a machine lacks for computing, said in seconds: this module imports nothing that may be lacking itself."""

import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
IMPORTED_AS = {"scikit-learn": "sklearn", "pyyaml": "yaml", "pillow": "PIL"}


def requirements() -> list[str]:
    """The package's own requirements, such as "torch>=2.4": without those of notebooks, book and tests."""
    if PYPROJECT.is_file():
        return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [text for text in metadata.requires("kdlib") or [] if "extra ==" not in text]


def report() -> tuple[list[str], list[str]]:
    """Lines that say of each required module whether it can be imported here, and what is lacking or too old, by name.

    A version newer than those that are wanted may well do, and is told in its line alone.
    """
    lines, lacking = [], []
    for requirement in requirements():
        name = re.match(r"[\w.-]+", requirement)[0]
        module = IMPORTED_AS.get(name, name)
        try:
            found = importlib.import_module(module)
            version = getattr(found, "__version__", None) or metadata.version(name)
            if _numbers(version) < _numbers(_least(requirement)):
                lacking.append(f"{name} ({version} is too old)")
                version += "  TOO OLD"
        except Exception as error:  # one that is there and broken is lacking too
            lacking.append(name)
            version = f"LACKING ({type(error).__name__}: {error})"
        lines.append(f"{module:12} {version}  (wanted: {requirement})")
    return lines, lacking


def _least(requirement: str) -> str:
    """The lowest version that a requirement allows; empty where it names none."""
    named = re.search(r">=\s*([\d.]+)", requirement)
    return named[1] if named else ""


def _numbers(version: str) -> list[int]:
    """A version as numbers: its build (2.13.0+cpu), and that it comes before a release (2.4.0a0), make it no older."""
    return [*map(int, re.findall(r"\d+", re.split(r"[+a-z]", version)[0])), 0, 0, 0][:3]
