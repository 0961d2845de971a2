"""The parameters of a run: what was given, then the profile's value; checked before any work."""

import html
import os
import re
import reprlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..data.registry import find_source
from ..errors import InputError
from ..paths import load_toml
from ..training.choices import STAND_INS
from .checks import check

PROFILES_FILE = Path(__file__).with_name("profiles.toml")
DEFAULT_PROFILE = "quick"
# Parameters that change no recipe of a number: devices differ in the order of sums alone.
WITHOUT_EFFECT = {"dataset", "profile", "device", "accuracy_floor"}
# Parameters that came after pages were published, with the value that holds for a record without them.
BEFORE = {"seeding": "configuration"} | {name: name for name in STAND_INS}
# Parameters that say how much is run, and of what.
_COUNTED = {
    "seeds": "teacher seeds",
    "examples": "training examples",
    "test_examples": "test examples",
    "teacher_epochs": "epochs for both teachers",
    "sweet_spot_epochs": "epochs on the way to the sweet spot",
    "student_epochs": "epochs for students",
    "kept_epochs": "kept epochs",
    "temperatures": "temperatures",
    "missing_classes": "missing classes",
    "examples_per_class": "numbers of examples",
    "selections": "ways to choose examples",
    "batch_sizes": "batch sizes",
    "system_teachers": "teachers of systems",
    "trials": "trials of each system",
    "label_lengths": "lengths of students of labels alone",
}


@dataclass(frozen=True)
class Settings:
    """Every parameter of the sections, resolved. Accuracies are fractions, learning rates Adam's."""

    dataset: str  # a data set known to kdlib
    profile: str  # smoke, quick, paper-cpu or paper
    seeds: int  # teacher seeds: 0 .. seeds - 1
    temperatures: tuple[float, ...]  # of distillation
    alpha: float  # weight of the KL term in equation 4
    t_squared: bool  # multiply the KL term by T^2 (equation 4 does not)
    examples: int | None  # stratified subset of the training split; None: all
    test_examples: int | None  # of the test split; only the smoke profile takes fewer than all
    learning_rate: float
    precision: str  # of all training: fp32, or bf16 with fp32 weights
    teacher_epochs: int
    teacher_batch_size: int
    kept_epochs: tuple[int, ...]  # epochs whose responses are kept; empty: all
    student_epochs: int
    student_batch_size: int
    missing_classes: tuple[int, ...]  # removed in turn; empty: every class
    examples_per_class: tuple[int, ...]  # clipped to what the data set has
    selections: tuple[str, ...]  # how examples are chosen
    batch_sizes: tuple[int, ...]  # of the large teacher on the way to the sweet spot
    sweet_spot_epochs: int  # of those runs
    system_teachers: tuple[str, ...]  # from which systems start: small, large, large_sweet
    trials: int  # of each system's main weight, the published one being the first
    label_lengths: tuple[int, ...]  # of students of labels alone, as multiples of the student's epochs
    spread_settings: tuple[tuple[int, int], ...]  # pairs (batch size, epochs) of the penultimate layer
    seeding: str  # of students: common random numbers, or those of the whole configuration (see `Student.seed`)
    accuracy_floor: float  # on validation, that every teacher must pass
    device: str  # auto, cpu, cuda, cuda:N, mps
    small_teacher: str  # a teacher of the reader's own in its place, or as it is called: that of table 7
    large_teacher: str  # likewise

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{name}</th><td>{html.escape(_show(value))}</td></tr>"
            for name, value in asdict(self).items()
        )
        return f"<details><summary>All resolved parameters</summary><table class='settings'>{rows}</table></details>"


def resolve(parameters: Mapping[str, Any], allowed: Iterable[str] | None = None, **given: Any) -> Settings:
    """Check parameters; what is not given is as in the profile: the one given, else KDLIB_PROFILE, else `quick`.

    Arguments: `parameters`, such as a notebook's `globals()`; names that start with `_`, what IPython puts there and
    what cannot be a parameter (modules, functions, tables of an earlier run) are passed over, any other unknown name is
    an error. So is of a notebook's variables one that a cell of parameters sets, or papermill; others are the reader's
    own, and standard error names those that are nearly a parameter's name. Values may be strings that read as a value
    ("1e-3", "[3, 9]"), as papermill's `-p` gives them. None means: the profile's. `given` adds to `parameters`.
    `allowed`: the names that make sense (default: every field of `Settings`).
    Raises `InputError`: what was wrong, and what is allowed. Whether a device is on this machine is not looked at.
    """
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise InputError(f"parameters {reprlib.repr(parameters)} cannot be used; allowed: a dictionary by name")
    allowed = tuple(allowed or (f.name for f in fields(Settings)))
    named = {k: v for k, v in {**parameters, **given}.items() if k in allowed or not _belongs_to_notebook(k, v)}
    own = _readers_own(parameters, allowed) - set(given)
    for name in sorted(own & set(named)):
        if near := get_close_matches(name, allowed, 1, 0.85):
            print(f"{name} is a variable of your own, and no parameter; {near[0]} is one", file=sys.stderr)
    named = {k: v for k, v in named.items() if k not in own}
    unknown = sorted(set(named) - set(allowed))
    if unknown:
        raise InputError(
            f"unknown parameter{'s' * (len(unknown) > 1)} {', '.join(unknown)}; allowed: {', '.join(allowed)}"
        )
    named = {k: v for k, v in named.items() if v is not None}
    profile = named.pop("profile", None) or default_profile()
    dataset = named.pop("dataset", "digits")
    if not isinstance(dataset, str):
        raise InputError(f"dataset, a {type(dataset).__name__}, cannot be used; allowed: a name, such as 'digits'")
    find_source(dataset)
    values = profile_values(str(profile), dataset)
    for name, value in named.items():
        values[name] = check(name, value)
    if not values["sweet_spot_epochs"]:
        values["sweet_spot_epochs"] = values["teacher_epochs"]
    last = max(values["teacher_epochs"], values["sweet_spot_epochs"])
    if "kept_epochs" not in named:  # the profile's grid follows the epochs that were asked for
        values["kept_epochs"] = tuple(e for e in values["kept_epochs"] if e <= last)
        if values["kept_epochs"]:
            values["kept_epochs"] = tuple(
                sorted({*values["kept_epochs"], values["teacher_epochs"], values["sweet_spot_epochs"]})
            )
    epochs, kept = values["sweet_spot_epochs"], values["kept_epochs"]
    if "spread_settings" not in named:
        values["spread_settings"] = tuple(dict.fromkeys((b, min(e, epochs)) for b, e in values["spread_settings"]))
    elif not {e for _, e in values["spread_settings"]} <= {e for e in kept or range(1, epochs + 1) if e <= epochs}:
        allowed_epochs = ", ".join(str(e) for e in kept if e <= epochs) or f"1 to {epochs}"
        raise InputError(
            f"spread_settings={[list(pair) for pair in values['spread_settings']]}: responses are kept after epochs "
            f"{allowed_epochs} of the large teacher's runs"
        )
    return Settings(dataset=dataset, profile=str(profile), **values)


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Names of those parameters that have an effect and differ between the settings of two runs.

    A parameter that neither of them had yet differs in none.
    """
    ours, theirs = BEFORE | dict(ours), BEFORE | dict(theirs)
    return [name for name in names if name not in WITHOUT_EFFECT and ours.get(name) != theirs.get(name)]


def reductions(values: Mapping[str, Any], names: Iterable[str], clipped: Iterable[str] = ()) -> list[str]:
    """Differences of a run from profile `paper`, in words: "3 of 5 teacher seeds", "alpha 0.5, not 0.99".

    Arguments: `values`, a run's resolved settings; `names` of those that its section uses; `clipped`, names of the
    grids that were clipped to what the data set has, which is no reduction.
    """
    full, found = profile_values("paper", values["dataset"]), []
    full["sweet_spot_epochs"] = full["sweet_spot_epochs"] or full["teacher_epochs"]
    values = BEFORE | dict(values)
    for name in (n for n in names if n not in {"dataset", "profile", "device", *clipped}):
        ours = None if values[name] is None else check(name, values[name])  # a page's record has lists for tuples
        whole = full[name]
        if ours == whole:
            continue
        more = not isinstance(ours, tuple) and whole and name in _COUNTED and ours > whole
        if name not in _COUNTED or more:
            found.append(f"{name.replace('_', ' ')} {_show(ours)}, not {_show(whole)}")
        elif not whole:  # all there are
            found.append(f"{_count(ours)} {_COUNTED[name]}, not all")
        elif isinstance(whole, tuple) and not set(ours) < set(whole):
            found.append(f"{_COUNTED[name]} {_show(ours)}, not {_show(whole)}")
        else:
            found.append(f"{_count(ours)} of {_count(whole)} {_COUNTED[name]}")
    return found


def _count(value: int | tuple) -> int:
    return len(value) if isinstance(value, tuple) else value


def default_profile() -> str:
    """Name of the profile that is used where none is given: KDLIB_PROFILE, else "quick"."""
    return os.environ.get("KDLIB_PROFILE") or DEFAULT_PROFILE


def profile_names() -> list[str]:
    """Names of all profiles, in the file's order."""
    return list(_profiles())


def profile_values(profile: str, dataset: str) -> dict[str, Any]:
    """All values that a profile sets for a data set. Raises `InputError` for an unknown profile, or a wrong value."""
    tables = _profiles()
    if profile not in tables:
        raise InputError(f"unknown profile {profile!r}; allowed: {', '.join(tables)}")
    table = tables[profile]
    merged = {k: v for k, v in table.items() if not isinstance(v, dict)} | table.get(dataset, {})
    defaults = {
        "examples": None,
        "test_examples": None,
        "t_squared": False,
        "kept_epochs": (),
        "missing_classes": (),
        "sweet_spot_epochs": 0,
        "seeding": "common",
        "device": "auto",
        **{name: name for name in STAND_INS},
    }
    parameters = {field.name for field in fields(Settings)} - {"dataset", "profile"}
    if unknown := set(merged) - parameters:
        raise InputError(f"profile {profile} sets {', '.join(sorted(unknown))}, which no parameter is called")
    if lacking := parameters - set(defaults) - set(merged):
        raise InputError(f"profile {profile} of {PROFILES_FILE} lacks {', '.join(sorted(lacking))}")
    if merged.get("examples") == 0:
        del merged["examples"]
    try:
        checked = {name: check(name, value) for name, value in merged.items()}
    except InputError as error:
        raise InputError(f"profile {profile} of {PROFILES_FILE}: {error}") from None
    return defaults | checked


def _profiles() -> dict[str, dict[str, Any]]:
    """Each profile's table. Raises `InputError` where a value stands in no profile, or the file cannot be read."""
    tables = load_toml(PROFILES_FILE)
    if outside := [name for name, table in tables.items() if not isinstance(table, dict)]:
        raise InputError(f"{PROFILES_FILE}: {outside[0]} stands in no profile: put it under a line such as [quick]")
    return tables


def _belongs_to_notebook(name: str, value: Any) -> bool:
    """Whether a global of a notebook is none of its parameters."""
    return (
        name.startswith("_")
        or name in ("In", "Out", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")
        or not _plain(value)
    )


def _readers_own(variables: Mapping[str, Any], allowed: tuple[str, ...]) -> set[str]:
    """Of a notebook's variables those that were never meant as parameters: none where it is no notebook's globals.

    IPython keeps what its cells said in `In`; what a start-up file sets, none of them does.
    """
    if "__builtins__" not in variables and "In" not in variables:
        return set()
    meant = set()
    for text in variables.get("In") or ():
        names = set(re.findall(r"(?:^|;\s*)(\w+)\s*(?::[^=\n]+)?=(?!=)", text, re.MULTILINE))
        if names & {*allowed} or text.startswith("# Parameters"):  # papermill's cell begins with these words
            meant |= names
    return set(variables) - {*allowed} - meant


def _plain(value: Any) -> bool:
    """Whether a value is of a kind that papermill can pass: None, a number, text, or a list or dictionary of these."""
    if isinstance(value, Mapping):
        return all(_plain(item) for item in value.values())
    if isinstance(value, list | tuple | set):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        pairs = any(isinstance(v, tuple) for v in value)
        return ", ".join(" × ".join(map(_show, v)) if pairs else _show(v) for v in value) or "all"
    if isinstance(value, float):
        return f"{value:g}"
    return "all" if value is None else str(value)
