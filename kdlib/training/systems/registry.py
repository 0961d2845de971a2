"""Which systems there are, by name, and each one's term as a public function."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...data import plugins
from ...errors import InputError
from ..arguments import axes, fraction, instance, label_range, positive, whole
from . import decoupled, scale_free, scheduled, taught, teacher_free
from .system import System

BUILTIN = {
    system.name: system
    for module in (taught, teacher_free, scheduled, decoupled, scale_free)
    for system in module.SYSTEMS
}
_registered: dict[str, System] = {}
_of_plugins: set[str] = set()  # registered by plug-ins, which every process imports by itself


def register_system(system: System) -> None:
    """Make a distillation system known by its name, as `system` of a `Student` and to `system_loss`.

    Raises `InputError` for the name of a system that kdlib brings or that another plug-in has, and for an entry that
    does not hold together.
    """
    instance("a system", system, System, "kdlib.System(name=..., loss=..., ...)")
    instance("a system's name", system.name, str, "'my_system'")
    if system.name in BUILTIN:
        raise InputError(f"a system cannot be registered as {system.name!r}: kdlib brings it. Give yours another name")
    system.check()
    plugins.claim("system", system.name, _registered)
    _registered[system.name] = system
    (_of_plugins.add if plugins.running() else _of_plugins.discard)(system.name)


def find_system(name: str) -> System:
    """The distillation system of a name. Raises `InputError` for an unknown one, naming those that there are."""
    known = systems()
    instance("the name of a system", name, str, "'rbkd'")
    if name not in known:
        raise InputError(
            f"unknown system {name!r}; allowed: {', '.join(known)} "
            f"(kdlib.register_system in a file of plugins/ adds your own){plugins.failures()}"
        )
    return known[name]


def systems() -> dict[str, System]:
    """All distillation systems by name: those that kdlib brings, then those that were registered."""
    return BUILTIN | _registered


def check_own(classes: int) -> list[System]:
    """The systems that kdlib does not bring, each of whose terms was tried on two examples of so many classes.

    Raises `InputError` for a term that fails, is not finite or has another shape than [2, 1].
    """
    found = list(_registered.values())
    logits = torch.linspace(-1, 1, 2 * classes).reshape(2, classes)
    for system in found:
        values = system.defaults("term")
        values |= {"progress": torch.tensor(0.5)} if system.timed else {}
        values |= {"state": system.state.start(classes)} if system.state else {}
        labels, temperature = torch.tensor([0, 1]), system.temperature or 4.0
        try:
            term = system.loss(logits, logits.flip(1), labels, temperature=temperature, **values)
        except Exception as error:
            raise InputError(f"the loss of your system {system.name!r} fails: {plugins.told(error)}") from error
        if not isinstance(term, Tensor) or term.shape != (2, 1) or not term.isfinite().all():
            got = f"{list(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
            raise InputError(
                f"the loss of your system {system.name!r} must give a finite number for each example, [B, 1]; of two "
                f"examples it gave {got}"
            )
    return found


def is_own(name: str) -> bool:
    """True if a system was registered, by a plug-in or in this process, and is none that kdlib brings."""
    return name in _registered


def registered_systems() -> dict[str, System]:
    """Distillation systems that were given to `register_system` in this process, by name: no plug-in has them."""
    return {name: system for name, system in _registered.items() if name not in _of_plugins}


def system_identity(name: str) -> dict[str, Any]:
    """The part of a student's identity that describes its system beside the name: its version.

    Not the first one of a system that kdlib brings, under which its students were published.
    """
    version = find_system(name).version
    return {} if name in BUILTIN and version == 1 else {"system_version": version}


def parameters_in_order(system: str, given: Mapping[str, float] | tuple) -> tuple[tuple[str, float], ...]:
    """Parameters of a system in one form for each meaning: sorted by name, as floats, without those at their defaults.

    Raises `InputError` for an unknown system or parameter, and for a value that is not allowed.
    """
    found = find_system(system)
    try:
        values = dict(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"parameters {given!r} cannot be used; allowed: a dictionary of numbers by name") from error
    found.check_parameters(values)
    if doubled := [name for name in values if name in found.fields]:
        raise InputError(f"{doubled[0]} is a field of Student: give it there, not among the parameters of {system}")
    defaults = found.defaults()
    return tuple(sorted((name, float(value)) for name, value in values.items() if value != defaults[name]))


def arranged(student: Any) -> Any:
    """The `Student` that a student of a system is: of one that only changes who teaches, another teacher's.

    Such a system makes another teacher or takes another epoch, and its student is one of equation 4: "rbkd". What it
    makes goes on from the teacher as it was after the student's `teacher_epoch`, as if its training had ended there.
    Raises `InputError` for an unknown system or parameter, and for a value that is not allowed.
    """
    found, given = find_system(student.system), parameters_in_order(student.system, student.parameters)
    if not found.path:
        return replace(student, parameters=given)
    teacher, epoch = student.teacher, student.teacher_epoch
    values = found.defaults("teacher") | dict(given)
    whole("the epoch that teaches", epoch, min(1, teacher.epochs), teacher.epochs)
    stopped = taught.stopped_after(teacher, epoch)
    teaching, epoch = found.path(replace(student, teacher=stopped), **values)
    teaching = teacher if teaching == stopped else teaching
    return replace(student, teacher=teaching, teacher_epoch=epoch, system="rbkd", parameters=())


def system_loss(
    system: str,
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    progress: float = 0.0,
    state: Tensor | None = None,
    **parameters: float | Tensor,
) -> Tensor:
    """Distillation term of a system for each example, in nats where it is a divergence: as its source defines it.

    T^2 is in it where the source has it. What a system only teaches otherwise has equation 4 of the paper as its term,
    `teacher_logits` being what it teaches. The weights of term and hard labels in a student's loss are not part of it.

    Arguments: both logits [B, C], `labels` [B]; `temperature` > 0; `progress` of the training from 0 to 1, and `state`
    (default: that of the first step), for systems that have them; `parameters` as `kdlib systems` lists them, numbers
    or tensors [B]. Returns [B]. Raises `InputError` for another name, parameter, shape, type or range.
    """
    found = find_system(system)
    axes(
        student_logits=(student_logits, "B C"),
        teacher_logits=(teacher_logits, "B C"),
        labels=(labels, "B"),
        least={"B": 1, "C": 2},
    )
    label_range(labels, student_logits.shape[1])
    positive("temperature", temperature)
    fraction("progress", progress)
    values = found.defaults("term")
    if unknown := [name for name in parameters if name not in values]:
        allowed = ", ".join(values) or "none"
        raise InputError(f"the term of {system} has no parameter {unknown[0]!r}; allowed: {allowed}")
    found.check_parameters(parameters)
    for name, value in parameters.items():
        if isinstance(value, Tensor) and value.shape not in ((), labels.shape):
            raise InputError(f"{name} {list(value.shape)} cannot be used; allowed: a number, or {list(labels.shape)}")
    values |= {k: v[:, None] if isinstance(v, Tensor) and v.dim() == 1 else v for k, v in parameters.items()}
    if found.timed:
        values["progress"] = torch.tensor(progress, device=student_logits.device)
    if found.state:
        start = found.state.start(student_logits.shape[1]).to(student_logits)
        values["state"] = start if state is None else state
        axes(state=(values["state"], " ".join(map(str, start.shape)) or "..."))
    return found.loss(student_logits, teacher_logits, labels, temperature=temperature, **values)[:, 0]
