"""What a distillation system is: its loss, its parameters with their origins, what it needs, what is our reading of it.

Losses see the logits of one student [B, C] or of K students at once [K, B, C]. Quantities of an example keep the class
axis, [..., B, 1], and parameters are numbers or tensors that broadcast against them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...errors import InputError
from ..arguments import flag, instance, one_of, positive, whole

KINDS = {
    "A": "another target, prepared once",
    "B": "another loss of the logits and labels",
    "C": "another training loop, teacher or network",
}
PARTS = ("term", "total", "targets", "teacher", "loop")  # what a parameter may decide
NEEDS = ("responses", "labels", "epochs", "weights")  # what of a teacher and data a system may need


@dataclass(frozen=True)
class Parameter:
    """A number that a system has beside the temperature: its default, where that is from, and what is allowed."""

    name: str
    default: float
    origin: str
    of: str = "term"  # one of `PARTS`; "total": it weighs the term and the hard labels
    least: float = 0.0
    most: float = math.inf

    def check_types(self) -> None:
        """Raise `InputError` for a name or origin that is no text, and for a range whose ends are no numbers."""
        instance("a parameter's name", self.name, str, "'weight'")
        instance(f"the origin of the parameter {self.name}", self.origin, str, "'my own choice'")
        for end in (self.least, self.most):
            instance(f"for the range of the parameter {self.name} a number", end, float | int, "0.0")

    def check(self, system: str, value: Any) -> None:
        """Raise `InputError` for a value that is no number in the parameter's range."""
        ends = (value.min().item(), value.max().item()) if isinstance(value, Tensor) and value.numel() else (value,)
        if not all(isinstance(n, int | float) and math.isfinite(n) and self.least <= n <= self.most for n in ends):
            low = f" from {self.least:g}" if self.least > -math.inf else ""
            allowed = f"a number{low}" + (f" to {self.most:g}" if self.most < math.inf else "")
            raise InputError(f"{system}: {self.name}={value!r} cannot be used; allowed: {allowed}")


@dataclass(frozen=True)
class State:
    """A tensor that a system keeps of each student during its training; no part of the trained student.

    `start(classes)` gives its first value. A `learned` one is moved by Adam at the student's learning rate, by the
    loss's gradient; another is changed in place by `count(state, student logits, labels)` at each step and by
    `turn(state)` at the end of each epoch, both of which see K students at once, [K, ...].
    """

    start: Callable[[int], Tensor]
    learned: bool = False
    count: Callable[[Tensor, Tensor, Tensor], None] | None = None
    turn: Callable[[Tensor], None] | None = None


@dataclass(frozen=True)
class Gradient:
    """A term's gradient in closed form, in two parts: what no student enters, and the rest.

    `fixed(teacher logits [..., N, C], labels [..., N], temperature=, **parameters)` [..., N, C] is computed once for
    all examples. `by_logits(student logits [..., B, C], fixed [..., B, C], labels [..., B], temperature=,
    **parameters)` [..., B, C] is the gradient of the term's mean over the batch.
    """

    fixed: Callable[..., Tensor]
    by_logits: Callable[..., Tensor]


# Types of the parts of a system, with an example of each.
TYPES: dict[str, tuple[Any, str]] = {
    "title": (str, "'My system'"),
    "reference": (str, "'hinton2015distilling'"),
    "verified": (str, "'nothing'"),
    "reading": (str, "'all formulas'"),
    "loss": (Callable, "a function of student logits, teacher logits, labels and temperature"),
    "parameters": (tuple | list, "(kdlib.Parameter('weight', 1.0, 'my own', of='total'), ...)"),
    "grid": (tuple | list, "(0.3, 1.0, 3.0)"),
    "fields": (tuple | list, "('alpha',)"),
    "needs": (tuple | list, "('responses', 'labels')"),
    "state": (State | None, "kdlib.State(start) or None"),
    "gradient": (Gradient | None, "kdlib.Gradient(fixed, by_logits) or None"),
    **dict.fromkeys(("prepare", "epochs", "path"), (Callable | None, "a function or None")),
}


@dataclass(frozen=True)
class System:
    """A way to teach a student, as its source defines it, in the form that both engines train with.

    `loss(student logits, teacher logits, labels, temperature=, **parameters)` gives the distillation term of each
    example, [..., B, 1]; a system with a `state` or that is `timed` gets `state` or `progress` too. With parameters
    "of total" a student's loss is hard * cross-entropy + weight * term, the weight rising from 0 over the share
    `warmup` of the training; without any, it is the term.
    """

    name: str
    title: str
    reference: str  # key in the book's bibliography
    kind: str  # one of `KINDS`
    loss: Callable[..., Tensor]
    parameters: tuple[Parameter, ...]
    main: str  # the parameter that is tuned on validation
    grid: tuple[float, ...]  # its values there; after the default that with more weight on the labels is tried
    verified: str  # what of it was read where
    reading: str = ""  # what is this companion's own reading or choice
    temperature: float | None = None  # as published; None: that of the study
    fields: tuple[str, ...] = ()  # parameters that are fields of `Student`
    needs: tuple[str, ...] = ("responses",)  # some of `NEEDS`
    timed: bool = False  # its loss depends on the progress of the training, from 0 to 1
    coupled: bool = False  # an example's term depends on the others of its batch
    divided: bool = False  # the general student is divided between two networks: see `divided`
    state: State | None = None
    gradient: Gradient | None = None  # None: by autograd over the logits
    prepare: Callable[..., Tensor] | None = None  # (logits [N, C], labels [N], members, student) -> targets [N, C]
    epochs: Callable[..., tuple[int, ...]] | None = None  # (kept epochs, epoch, ...) -> those whose logits are averaged
    path: Callable[..., tuple[Any, int]] | None = None  # (student of the last epoch, ...) -> teacher, epoch that teach
    version: int = 1  # to be raised where what it computes, or a default, changes: part of its students' identity

    def defaults(self, *of: str) -> dict[str, float]:
        """Default values of the parameters by name; with arguments, of those that belong to these parts alone."""
        return {p.name: p.default for p in self.parameters if not of or p.of in of}

    def check(self) -> None:
        """Raise `InputError` for an entry that does not hold together."""
        if not self.name.isidentifier():
            raise InputError(f"a system's name must be an identifier, got {self.name!r}")
        self._check_types()
        defaults = self.defaults()
        one_of("the kind of a system", self.kind, KINDS)
        one_of("the main parameter of a system", self.main, defaults)
        for parameter in self.parameters:
            one_of(f"what the parameter {parameter.name} decides", parameter.of, PARTS)
        for need in self.needs:
            one_of("what a system needs", need, NEEDS)
        for name in self.fields:
            one_of("a field of a student that a system has", name, defaults)
        self.check_parameters(defaults)
        for value in self.grid:
            self.check_parameters({self.main: value})
        total = self.defaults("total")
        if total and not {"hard", "weight"} <= {*total}:
            raise InputError(f"{self.name} weighs by {', '.join(total)} alone: of total it needs both hard and weight")

    def _check_types(self) -> None:
        for name, (kind, example) in TYPES.items():
            instance(f"for the {name} of a system another type", getattr(self, name), kind, example)
        for parameter in self.parameters:
            instance("a parameter of a system", parameter, Parameter, "kdlib.Parameter('weight', 1.0, 'my own')")
            parameter.check_types()
        functions = {"start": self.state.start} if self.state else {}
        functions |= {name: f for name in ("count", "turn") if (f := getattr(self.state, name, None)) is not None}
        functions |= vars(self.gradient) if self.gradient else {}
        for name, function in functions.items():
            instance(f"for {name} a function", function, Callable, "that of a system of kdlib's")
        if self.temperature is not None:
            positive("the temperature of a system", self.temperature)
        for name in ("timed", "coupled", "divided"):
            flag(name, getattr(self, name))
        whole("the version of a system", self.version, 1)

    def check_parameters(self, given: Mapping[str, Any]) -> None:
        """Raise `InputError` for parameters that the system does not have, or values that it does not take."""
        known = {p.name: p for p in self.parameters}
        if unknown := [name for name in given if name not in known]:
            allowed = ", ".join(known) or "none"
            raise InputError(f"{self.name} has no parameter {unknown[0]!r}; allowed: {allowed}")
        for name, value in given.items():
            known[name].check(self.name, value)

    def values_of(self, student: Any) -> dict[str, Any]:
        """All parameters by name as a student has them: its own, its fields, else the defaults."""
        return self.defaults() | dict(student.parameters) | {name: getattr(student, name) for name in self.fields}

    @property
    def only_teaches_otherwise(self) -> bool:
        """True if the student itself is trained by equation 4 as ever, from another teacher or another epoch."""
        return self.path is not None
