"""Opening a study: what was asked for is checked against the data set and the store, before any work."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..claims import rules
from ..data.dataset import Dataset, load_dataset
from ..errors import InputError
from ..study import workers
from ..study.limits import limits
from ..study.settings import Settings
from ..study.store import Store
from ..study.study import CAPACITIES, Section, Study
from ..training import devices, own_teachers, teachers
from ..training.config import Student, Teacher
from ..training.systems.registry import check_own
from . import SECTIONS, part
from .asked import checked


def open_study(
    section: str,
    parameters: Mapping[str, Any],
    *,
    store: Store | Path | str | None = None,
    like: Study | None = None,
    **given: Any,
) -> Study:
    """Check all parameters of a section, load its data set, and see that the store has room: before any work.

    Arguments: `section`, one of `SECTIONS`; `parameters`, such as a notebook's `globals()` (see `settings.resolve`);
    `store`, or its folder; `like`, a study whose data set is shared instead of read again, if it was opened with the
    same parameters for it.
    Torch is made deterministic for the whole process, on a CPU with one thread (see `kdlib.configure_cpu`).
    Raises `InputError` for whatever cannot be used as asked.
    """
    settings = checked(section, parameters, **given)
    by_hand = {k for k, v in {**parameters, **given}.items() if v is not None}
    device = devices.find_device(settings.device)
    devices.check_precision(device, settings.precision)
    load_arguments = {
        "name": settings.dataset,
        "examples": settings.examples,
        "test_examples": settings.test_examples,
        "clip": "examples" not in by_hand,
        "device": device,
    }
    shared = like is not None and like.load_arguments == load_arguments
    dataset = like.dataset if shared else load_dataset(**load_arguments)
    settings, clipped = _fit(settings, dataset, by_hand)
    if settings.large_teacher != CAPACITIES["large"] and settings.system_teachers == ("large_sweet",):
        raise InputError(
            f"system_teachers=['large_sweet'] cannot be used with large_teacher={settings.large_teacher}: it was not "
            "trained here, and has no sweet spot. Allowed besides: small, large"
        )
    devices.make_deterministic(device)
    if isinstance(store, str | Path):
        store = Store(store)
    store = store if store and store.rules else (store or Store()).recording(rules.digests())
    experiment = part(section, "experiment")
    definition = Section(section, experiment.units, experiment.tables)
    said = [*limits(dataset), *_own_teachers(section, settings, dataset, store)]
    if "system_teachers" in SECTIONS[section].parameters:
        said += [
            f"{s.name} is a system of your own: {s.title}, version {s.version}"
            for s in check_own(dataset.classes, device)
        ]
    about = (definition, settings, dataset, store, clipped, said)
    first = Study(*about)  # of its own: what it reads counts as used by no page
    needed = _room_needed(first, *first.units())
    if needed or not store.is_read_only:
        store.check_room(max(needed, 2**20))
    study = Study(*about)
    study.load_arguments = load_arguments
    return study


def open_studies(given: Mapping[str, Mapping[str, Any]], store: Path | None) -> list[Study]:
    """The studies of sections with their parameters by name: all are checked before anything is computed."""
    studies: list[Study] = []
    shared = Store(store).recording(rules.digests())  # one object: what is published is read once
    for name, own in given.items():
        studies.append(open_study(name, own, store=shared, like=studies[0] if studies else None))
    return studies


def _own_teachers(section: str, settings: Settings, dataset: Dataset, store: Store) -> list[str]:
    """Put into the store what it lacks of the reader's own teachers; what is to be said of them."""
    said = []
    for capacity, role in CAPACITIES.items():
        if (name := getattr(settings, role)) == role:
            continue
        found = own_teachers.find(name, dataset.name)
        for seed in range(settings.seeds):
            config = found.configuration(seed).config(dataset)
            if not store.has("teacher", config):
                workers.compute_and_store(
                    store, "teacher", config, dataset, partial(own_teachers.run_of, found, dataset)
                )
        said.append(
            f"the {capacity} teacher is {found.describe()}. It is one for all seeds: intervals hold what its students "
            "differ by, and not what another teacher of its kind would"
        )
    about = SECTIONS[section].own_teacher
    if said and about:
        said.append(about)
    return said


def _room_needed(study: Study, runs: list[Teacher], wanted: list[Student]) -> int:
    """Bytes of what the store lacks of a section: its teachers' tensors; the rest is small beside the fixed part.

    0 where it has all teachers and students, as where somebody's store is shared and can only be read.
    """
    lacking = [student for student in wanted if not study.is_stored(student)]
    new = study.lacking_teachers([*runs, *(student.teacher for student in lacking if student.needs_responses)])
    return sum(teachers.stored_bytes(run, study.dataset) for run in new) + 64 * 2**20 * bool(new or lacking)


def _fit(settings: Settings, dataset: Dataset, by_hand: set[str]) -> tuple[Settings, dict[str, str]]:
    """Clip the profile's grids to what the data set has; refuse what was asked for by hand and is not there.

    Returns the settings, and for each grid that was clipped, by name, what is left and why.
    """
    clipped = {}
    settings = replace(settings, examples=len(dataset.labels) if dataset.subset else None)
    if settings.test_examples is not None and dataset.test_size < settings.test_examples:  # all there are
        settings = replace(settings, test_examples=None)
    if any(c >= dataset.classes for c in settings.missing_classes):
        if "missing_classes" in by_hand:
            asked, last = list(settings.missing_classes), dataset.classes - 1
            raise InputError(f"missing_classes={asked}: {dataset.name} has classes 0 to {last}")
        there = tuple(c for c in settings.missing_classes if c < dataset.classes)
        clipped["missing_classes"] = f"{', '.join(map(str, there)) or 'every one'}: there are {dataset.classes} classes"
        settings = replace(settings, missing_classes=there)
    available = int(torch.bincount(dataset.labels[dataset.train]).min())
    for name, limit, what in (
        ("examples_per_class", available, "training examples in the smallest class"),
        ("batch_sizes", len(dataset.train), "training examples"),
    ):
        values = getattr(settings, name)
        if all(v <= limit for v in values):
            continue
        if name in by_hand:
            raise InputError(f"{name}={list(values)}: {dataset.name} has {limit} {what}")
        kept = tuple(v for v in values if v <= limit) or (limit,)
        clipped[name] = f"{', '.join(map(str, kept))}: there are {limit} {what}"
        settings = replace(settings, **{name: kept})
    pairs, limit = settings.spread_settings, len(dataset.train)
    if any(batch_size > limit for batch_size, _ in pairs):
        if "spread_settings" in by_hand:
            raise InputError(f"spread_settings={list(map(list, pairs))}: {dataset.name} has {limit} training examples")
        pairs = tuple(pair for pair in pairs if pair[0] <= limit) or ((limit, pairs[0][1]),)
        shown = ", ".join(f"{batch_size} × {epochs}" for batch_size, epochs in pairs)
        clipped["spread_settings"] = f"{shown}: there are {limit} training examples"
        settings = replace(settings, spread_settings=pairs)
    return settings, clipped
