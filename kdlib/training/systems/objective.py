"""What students in training minimise: a system's term and the hard labels, with the training's progress and state."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..devices import adam
from ..flat import FlatWeights
from ..losses import hard_loss
from .registry import find_system


class Objective:
    """Loss of students that are trained together by one system: its value, or its gradient by their logits.

    Progress and state are tensors that are changed in place: a step can be captured in a CUDA graph. Arguments:
    `students`, K of one system; `labels` [N] of all examples; `logits`, for each student its target logits [N, C];
    `steps` of the whole training.
    """

    def __init__(self, students: Sequence[Any], labels: Tensor, logits: Sequence[Tensor], steps: int) -> None:
        self.system = find_system(students[0].system)
        self.labels, self.logits, self.steps = labels, logits, steps
        self.values = [self.system.values_of(s) | {"temperature": s.temperature} for s in students]
        self.of_term = ("temperature", *self.system.defaults("term"))
        self.taken = torch.zeros((), device=labels.device)  # steps so far
        self.state = None
        if kind := self.system.state:
            self.state = torch.stack([kind.start(logits[0].shape[1])] * len(students)).to(labels.device)
            if kind.learned:
                self._learn(students[0].learning_rate)

    def _learn(self, learning_rate: float) -> None:
        """Let an optimiser have the state, which autograd then reaches as a leaf, and its gradient."""
        shape = self.state.shape
        self.learned = FlatWeights([self.state.flatten(1)[:, None]], torch.float32)
        vector, self.optimizer = self.learned.vector, adam([self.learned.vector], learning_rate)
        self.state, gradient = (self.learned.views(flat)[0].view(shape) for flat in (vector, vector.grad))
        self.state.requires_grad_().grad = gradient

    def value(self, batch: Tensor, outputs: Tensor) -> Tensor:
        """Mean loss of a student that is trained alone, for autograd: indices `batch` [B], outputs [B, C] -> scalar."""
        state = None if self.state is None else self.state[0]
        return self._loss(outputs, self.logits[0][batch], self.labels[batch], self.values[0], state).mean()

    def stack(self) -> None:
        """Prepare for `gradient`: all settings as tensors, and what of the gradient depends on no student, once."""
        device, students = self.labels.device, len(self.values)
        self.settings = {
            name: torch.tensor([float(values[name]) for values in self.values], device=device)[:, None, None]
            for name in self.values[0]
        }
        self.rows = torch.arange(students, device=device)[:, None]
        self.fixed = torch.stack(list(self.logits))  # K N C
        if self.system.gradient:
            labels = self.labels.expand(students, -1)
            self.fixed = self.system.gradient.fixed(self.fixed, labels, **self._of_term(self.settings))

    def gradient(self, outputs: Tensor, batch: Tensor, part: slice = slice(None)) -> Tensor:
        """Gradient of each student's mean loss by its logits, for all students or a part of them.

        Arguments: `outputs` [k, B, C] in fp32, detached; indices `batch` [k, B]; `part`, which students these are.
        Returns [k, B, C]: in closed form where the system has one, else by autograd over the logits alone.
        """
        labels, fixed = self.labels[batch], self.fixed[self.rows[part], batch]
        settings = {name: values[part] for name, values in self.settings.items()}
        if self.system.gradient:
            found = self.system.gradient.by_logits(outputs, fixed, labels, **self._of_term(settings))
            if "weight" in settings:
                wrong = F.softmax(outputs, dim=-1) - F.one_hot(labels, outputs.shape[-1])
                weight = settings["weight"] * self._warmed_up(settings)
                found = settings["hard"] * wrong / outputs.shape[-2] + weight * found
        else:
            with torch.enable_grad():
                outputs.requires_grad_()
                state = None if self.state is None else self.state[part]
                loss = self._loss(outputs, fixed, labels, settings, state).mean(-2).sum()
            if self.system.state and self.system.state.learned:
                found, of_state = torch.autograd.grad(loss, (outputs, state))
                self.state.grad[part] = of_state
            else:
                [found] = torch.autograd.grad(loss, (outputs,))
        self.count(outputs.detach(), batch, part)
        return found

    def count(self, outputs: Tensor, batch: Tensor, part: slice = slice(None)) -> None:
        """Let a state that counts what students answer take note: `outputs` [k, B, C] of a part on `batch` [k, B]."""
        if self.system.state and self.system.state.count:
            self.system.state.count(self.state[part], outputs, self.labels[batch])

    def advance(self) -> None:
        """Let progress, and a state that is learned, follow a step of all students."""
        if self.system.state and self.system.state.learned:
            self.optimizer.step()
            self.learned.vector.grad.zero_()
        self.taken += 1

    def end_epoch(self) -> None:
        """Let a state that is counted over an epoch begin the next one."""
        if self.system.state and self.system.state.turn:
            self.system.state.turn(self.state)

    def _loss(
        self, outputs: Tensor, logits: Tensor, labels: Tensor, values: Mapping[str, Any], state: Tensor | None
    ) -> Tensor:
        """Loss of each example, [..., B, 1]."""
        moving = {"progress": self.taken / self.steps} if self.system.timed else {}
        moving |= {} if state is None else {"state": state}
        term = self.system.loss(outputs, logits, labels, **self._of_term(values), **moving)
        if "weight" not in values:
            return term
        return values["hard"] * hard_loss(outputs, labels) + values["weight"] * self._warmed_up(values) * term

    def _of_term(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in self.of_term}

    def _warmed_up(self, values: Mapping[str, Any]) -> Tensor | float:
        """Share of the term's weight that holds at this step."""
        if "warmup" not in values:
            return 1.0
        progress, warmup = self.taken / self.steps, values["warmup"]
        return torch.where(progress < warmup, progress / warmup, 1.0)
