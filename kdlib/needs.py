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
    """Lines that say of each required module whether it can be imported here, and the names of those that cannot."""
    lines, lacking = [], []
    for requirement in requirements():
        name = re.match(r"[\w.-]+", requirement)[0]
        module = IMPORTED_AS.get(name, name)
        try:
            found = importlib.import_module(module)
            version = getattr(found, "__version__", None) or metadata.version(name)
        except Exception as error:  # one that is there and broken is lacking too
            lacking.append(name)
            version = f"LACKING ({type(error).__name__}: {error})"
        lines.append(f"{module:12} {version}  (wanted: {requirement})")
    return lines, lacking
