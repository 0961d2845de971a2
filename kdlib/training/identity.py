"""How what decides a result is spelled, so that it can be named by its digest."""

import json
from typing import Any


def canonical(value: Any) -> str:
    """JSON with one spelling for each value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
