"""What students in training minimise: a system's term and the hard labels, with the training's progress and state."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..devices import adam
from ..flat import flatten
from .registry import find_system
from .terms import hard


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
                self.vector, [self.state] = flatten([self.state])
                self.optimizer = adam([self.vector], students[0].learning_rate)

    def value(self, outputs: Tensor, batch: Tensor) -> Tensor:
        """Mean loss of a student that is trained alone, for autograd: outputs [B, C], indices `batch` [B] -> scalar."""
        state = None if self.state is None else self.state[0]
        return self._loss(outputs, self.logits[0][batch], self.labels[batch], self.values[0], state).mean()

    def stack(self) -> None:
        """Prepare for `gradient`: all settings as tensors, and what of the gradient depends on no student, once."""
        device, students = self.labels.device, len(self.values)
        self.settings = {
            name: torch.tensor([values[name] for values in self.values], device=device)[:, None, None]
            for name in self.values[0]
        }
        self.rows = torch.arange(students, device=device)[:, None]
        self.fixed = torch.stack(list(self.logits))  # K N C
        if self.system.gradient:
            labels = self.labels.expand(students, -1)
            self.fixed = self.system.gradient.fixed(self.fixed, labels, **self._of_term(self.settings))

    def gradient(self, outputs: Tensor, batch: Tensor) -> Tensor:
        """Gradient of each student's mean loss by its logits, and one step of progress and state.

        Arguments: `outputs` [K, B, C] in fp32, detached; indices `batch` [K, B]. Returns [K, B, C]: in closed form
        where the system has one, else by autograd over the logits alone.
        """
        labels, fixed = self.labels[batch], self.fixed[self.rows, batch]
        if self.system.gradient:
            found = self.system.gradient.by_logits(outputs, fixed, labels, **self._of_term(self.settings))
            if "weight" in self.settings:
                wrong = F.softmax(outputs, dim=-1) - F.one_hot(labels, outputs.shape[-1])
                weight = self.settings["weight"] * self._warmed_up(self.settings)
                found = self.settings["hard"] * wrong / outputs.shape[-2] + weight * found
        else:
            outputs.requires_grad_()
            self._loss(outputs, fixed, labels, self.settings, self.state).mean(-2).sum().backward()
            found = outputs.grad
        self.advance(outputs.detach(), batch)
        return found

    def advance(self, outputs: Tensor, batch: Tensor) -> None:
        """Let progress and state follow a step: outputs [K, B, C] that it was taken on, indices `batch` [K, B]."""
        kind = self.system.state
        if kind and kind.learned:
            self.optimizer.step()
            self.vector.grad.zero_()
        if kind and kind.count:
            kind.count(self.state, outputs, self.labels[batch])
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
        return values["hard"] * hard(outputs, labels) + values["weight"] * self._warmed_up(values) * term

    def _of_term(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in self.of_term}

    def _warmed_up(self, values: Mapping[str, Any]) -> Tensor | float:
        """Share of the term's weight that holds at this step."""
        if "warmup" not in values:
            return 1.0
        progress, warmup = self.taken / self.steps, values["warmup"]
        return torch.where(progress < warmup, progress / warmup, 1.0)
