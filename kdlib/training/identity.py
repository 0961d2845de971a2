"""Identity of a unit: the fields of its configuration, as canonical JSON.

THE RULE for a field that is added to a configuration (`Teacher`, `Student`, `Architecture`) once units were published:
declare it with `added_field(default, before=...)`, where `before` is the value that all earlier units had, which is
the default unless said otherwise. A configuration at that value is the one that was there before: the field is no part
of its identity, and every key and seed of an earlier unit stays. A field without `added_field` moves them all, and
`tests/training/test_identity.py` fails.
"""

import hashlib
import json
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON text that is equal for equal values: sorted names, no spaces. Raises `ValueError` for nan and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity_digest(value: Any) -> str:
    """Digest that equal configurations share: sha256 over their `canonical_json`, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def with_plain_numbers(configuration: Any) -> None:
    """Put Python's numbers in the place of NumPy's and torch's, which JSON does not know, in a frozen dataclass."""
    for one in fields(configuration):
        value = getattr(configuration, one.name)
        if getattr(value, "shape", None) == ():
            object.__setattr__(configuration, one.name, value.item())


def added_field(default: Any, before: Any = MISSING) -> Any:
    """A dataclass field that was added after units were published: see the rule at the head of this module.

    Arguments: `default`, as of any field; `before`, what held for all units until then (default: `default`).
    """
    return field(default=default, metadata={"before": default if before is MISSING else before})


def identity_fields(configuration: Any) -> dict[str, Any]:
    """Values of the fields of a dataclass that belong to its identity, by name; of dataclasses within it likewise.

    A field of `added_field` that has the value of all earlier units is left out.
    """
    values = {}
    for one in fields(configuration):
        value = getattr(configuration, one.name)
        if "before" in one.metadata and value == one.metadata["before"]:
            continue
        values[one.name] = identity_fields(value) if is_dataclass(value) else value
    return values
