"""A deadline: what is not expected to be done by then is not begun, and what runs nevertheless is stopped.

Estimates of a plan are corrected by what the tasks of each kind have taken so far. The store makes stopping safe: a
unit is written whole or not at all.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class OutOfTime(BaseException):
    """Raised where work ends because of a deadline: what is stored stays valid, and a later call goes on.

    No `Exception`, as KeyboardInterrupt is none: raised while a unit is read, it does not make it a damaged one.
    """


@dataclass
class _Spent:
    """Tasks of a kind that are done: their number, what was estimated for them, and what they took, in seconds."""

    tasks: int = 0
    estimated: float = 0.0
    seconds: float = 0.0


class Deadline:
    """The end of the time that some work has: `seconds` from now. `after_task` is called after each task."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.after_task: Callable[[], object] = lambda: None
        self._spent: dict[str, _Spent] = {}

    @property
    def remaining(self) -> float:
        """Seconds that are left, negative once the time is over."""
        return self.ends - time.monotonic()

    def expected(self, kind: str, estimate: float) -> float:
        """Seconds that a task is expected to take: its estimate, as wrong as those of its kind were so far.

        Without an estimate (0) it is the mean of its kind, and 0 for the first.
        """
        spent = self._spent.get(kind, _Spent())
        if not estimate:
            return spent.seconds / max(1, spent.tasks)
        return estimate * (spent.seconds / spent.estimated if spent.estimated else 1.0)

    def allows(self, kind: str, estimate: float) -> bool:
        """True if a task of a kind is expected to end in time when it is begun now."""
        return 0 < self.remaining >= self.expected(kind, estimate)

    def learn(self, kind: str, estimate: float, seconds: float) -> None:
        """Take into account what a task of a kind took, for which `estimate` seconds were expected by the plan."""
        spent = self._spent.setdefault(kind, _Spent())
        spent.tasks += 1
        spent.estimated += estimate
        spent.seconds += seconds

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Context in which `OutOfTime` is raised when the time is over, whatever this process is about (main thread).

        For estimates that were wrong: a task is left where it is, at most the unit in hand is lost.
        """

        def stop(*_: Any) -> None:
            raise OutOfTime

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, self.remaining))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


class Queue:
    """Tasks of a kind in their order: iterating gives the positions of those that may begin, each when it is asked for.

    Arguments: `estimates`, seconds for each task. Without a deadline all may begin. `left` counts those that may not.
    """

    def __init__(self, deadline: Deadline | None, kind: str, estimates: Sequence[float]) -> None:
        self.deadline, self.kind, self.estimates, self.left = deadline, kind, estimates, 0

    def __iter__(self) -> Iterator[int]:
        for position, estimate in enumerate(self.estimates):
            if self.deadline is None or self.deadline.allows(self.kind, estimate):
                yield position
            else:
                self.left += 1

    def done(self, position: int, seconds: float) -> None:
        """Take note of what a task has taken."""
        if self.deadline:
            self.deadline.learn(self.kind, self.estimates[position], seconds)
            self.deadline.after_task()

    def check_all_begun(self) -> None:
        """Raise `OutOfTime` if a task was left."""
        if self.left:
            raise OutOfTime
