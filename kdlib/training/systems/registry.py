"""Which systems there are, by name, and each one's term as a public function."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...data import plugins
from ...errors import InputError
from ..arguments import axes, fraction, instance, label_range, positive, whole
from ..devices import own_defaults
from . import decoupled, scale_free, scheduled, taught, teacher_free
from .system import System

BUILTIN = {
    system.name: system
    for module in (taught, teacher_free, scheduled, decoupled, scale_free)
    for system in module.SYSTEMS
}
TRIED_AT_ONCE = 3  # students that a reader's own loss is tried on: more than the two examples of each
_registered: dict[str, System] = {}
_of_plugins: set[str] = set()  # registered by plug-ins, which every process imports by itself


def register_system(system: System) -> None:
    """Make a distillation system known by its name, as `system` of a `Student` and to `system_loss`.

    Its loss is called with logits [B, C] of one student, and with [K, B, C] of several at once: it must give the same
    numbers, [..., B, 1], for either, as with dim=-1 for the classes. Before it trains it is tried on both.
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


def check_own(classes: int, device: torch.device) -> list[System]:
    """The systems that kdlib does not bring, each tried on examples of so many classes: see `check_loss`."""
    found = list(_registered.values())
    for system in found:
        check_loss(system, classes, device)
    return found


@own_defaults()
def check_loss(system: System, classes: int, device: torch.device) -> None:
    """Try a system's loss on two examples of so many classes: for one student, and for several at once as stacks do.

    Raises `InputError` for a term that fails, is not finite or has another shape than [2, 1], and where several
    students' terms, states, or gradients in closed form are not those of each student alone.
    """
    students = range(TRIED_AT_ONCE)
    z, v = torch.randn(2, len(students), 2, classes, generator=torch.Generator().manual_seed(0)).to(device)
    labels = torch.tensor([0, 1], device=device).expand(len(students), -1)
    settings = [{"temperature": (k + 1) * (system.temperature or 4.0)} | system.defaults("term") for k in students]
    together = {
        name: torch.tensor([float(own[name]) for own in settings], device=device)[:, None, None] for name in settings[0]
    }
    what, z = f"the loss of your system {system.name!r}", z.requires_grad_()
    with _failing(what):
        moving = {"progress": torch.tensor(0.5, device=device)} if system.timed else {}
        state = {"state": system.state.start(classes).to(device)} if system.state else {}
        each = [system.loss(z[k], v[k], labels[k], **settings[k], **moving, **state) for k in students]
    for term in each:
        if not isinstance(term, Tensor) or term.shape != (2, 1) or not term.isfinite().all():
            got = f"{list(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
            got = f"{term[~term.isfinite()][0].item()}" if got == "[2, 1]" else got
            raise InputError(
                f"{what} must give a finite number for each example, [B, 1]; of two examples it gave {got}"
            )
    with _failing(f"{what}, for several students at once, [K, B, C],"):
        state = {name: torch.stack([start] * len(students)) for name, start in state.items()}
        terms = system.loss(z, v, labels, **together, **moving, **state)
    if not _agree(terms, torch.stack(each)):
        raise InputError(
            f"{what} gives other numbers for several students at once, [K, B, C], than for each alone, [B, C]: use "
            "dim=-1 for the classes and dim=-2 for the examples, and no random numbers"
        )
    if state:
        _check_changes(system, state["state"], z.detach(), labels)
    if not system.gradient or classes == 2:  # where that of logits without a scale is 0, and nothing but rounding
        return
    what = f"the gradient of your system {system.name!r}"
    with _failing(what):
        fixed = system.gradient.fixed(v, labels, **together)
        found = system.gradient.by_logits(z.detach(), fixed, labels, **together)
        [expected] = torch.autograd.grad(terms.mean(-2).sum(), z)
    if not _agree(found, expected):
        raise InputError(
            f"{what} is not that of its loss, averaged over the examples of each student, [K, B, C]: use dim=-1 for "
            "the classes, and divide by z.shape[-2]; or leave it out"
        )


def _check_changes(system: System, states: Tensor, z: Tensor, labels: Tensor) -> None:
    """Raise `InputError` where a state is counted otherwise for several students at once than for each: see `State`."""
    what = f"the state of your system {system.name!r}"

    def changed(part: slice) -> Tensor:
        found = states[part].clone()
        if system.state.count:
            system.state.count(found, z[part], labels[part])
        if system.state.turn:
            system.state.turn(found)
        return found

    with _failing(what):
        together, each = changed(slice(None)), [changed(slice(k, k + 1)) for k in range(len(states))]
    if not _agree(together, torch.cat(each)):
        raise InputError(
            f"{what} is changed otherwise for several students at once, [K, ...], than for each alone: count(state, "
            "student logits [K, B, C], labels [K, B]) and turn(state) must hold for any K"
        )


@contextmanager
def _failing(what: str) -> Iterator[None]:
    """Whatever a reader's own function raises is one `InputError`."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{what} fails: {plugins.told(error)}") from error


def _agree(found: Any, expected: Tensor) -> bool:
    """Whether these are the same numbers but for rounding."""
    least = 1e-5 + 1e-3 * expected.abs().max().item()
    alike = isinstance(found, Tensor) and found.shape == expected.shape
    return alike and torch.allclose(found.float(), expected.float(), rtol=1e-3, atol=least)


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
