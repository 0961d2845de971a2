"""What a unit is known by: the content of its configuration, in one spelling.

THE RULE for a field that is added to a configuration (`Teacher`, `Student`, `Architecture`) once units were published:
declare it with `added(default, before=...)`, where `before` is the value that all earlier units had, which is the
default unless said otherwise. A configuration at that value is the one that was there before: the field is no part of
its identity, and every key and seed of an earlier unit stays. A field without `added` moves them all, and
`tests/training/test_identity.py` fails.
"""

import json
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any


def canonical(value: Any) -> str:
    """JSON with one spelling for each value: sorted names, no spaces. Raises `ValueError` for what is not finite."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def added(default: Any, before: Any = MISSING) -> Any:
    """A dataclass field that came after units were published: see the rule at the head of this module.

    Arguments: `default`, as of any field; `before`, what held for all units until then (default: `default`).
    """
    return field(default=default, metadata={"before": default if before is MISSING else before})


def content(configuration: Any) -> dict[str, Any]:
    """The fields of a frozen dataclass that belong to its identity, by name; dataclasses within it likewise."""
    found = {}
    for one in fields(configuration):
        value = getattr(configuration, one.name)
        if "before" in one.metadata and value == one.metadata["before"]:
            continue
        found[one.name] = content(value) if is_dataclass(value) else value
    return found
