"""Processes that share the work: they end when the one that started them has ended, however that came about."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker
from threading import Thread, current_thread, main_thread
from typing import Any

from .. import paths

PAUSE = 0.5  # seconds between two looks for the parent


def of_this_process() -> dict[str, Any]:
    """Arguments of a pool of joblib's, whose workers then end with this process."""
    _import_alike()
    if current_thread() is main_thread():
        _start_trackers()
    return {"initializer": end_with, "initargs": (os.getpid(),)}


@contextmanager
def fresh(count: int = 1, prepare: Callable | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of so many processes that share nothing with this one; what ends the context early ends them at once.

    Arguments: `prepare` is called with `arguments` in each process first.
    """
    _import_alike()
    context = multiprocessing.get_context("spawn")
    begin, others = (os.getpid(), prepare, *arguments), set(multiprocessing.active_children())
    with ProcessPoolExecutor(count, context, initializer=end_with, initargs=begin) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise


def end_with(parent: int, prepare: Callable | None = None, *arguments: Any) -> None:
    """From now on this process ends as soon as its parent has: the work in hand is lost, and nobody waited for it.

    Arguments: `parent`, the process id of the one that started this one; `prepare`, called with `arguments` afterwards.
    """
    Thread(target=_watch, args=(parent,), daemon=True).start()
    if prepare:
        prepare(*arguments)


def load_ipython_extension(_: object) -> None:
    """Let a kernel end with the process that started it: it is named to IPython as an extension.

    By itself ipykernel notices the end only where process 1 adopts orphans, which a user's systemd does in its stead.
    """
    end_with(int(os.environ["JPY_PARENT_PID"]))


def _import_alike() -> None:
    """Let new processes look in the working folder only if this one does: after `-m` Python looks there first.

    A reader's own random.py, say, would be imported in the place of Python's.
    """
    if sys.path[:1] not in ([""], [str(paths.working_dir())]):
        os.environ["PYTHONSAFEPATH"] = "1"


@cache
def _start_trackers() -> None:
    """Start what keeps account of semaphores, for joblib and the standard library, so that no closed terminal ends it.

    It ignores SIGINT and SIGTERM by itself, and not SIGHUP: a second one would find names that it does not know. What a
    worker leaves that was told to end it removes, and need not tell. To be called in the main thread, which alone may
    say what becomes of a signal.
    """
    from joblib.externals.loky.backend import resource_tracker as of_joblib

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a new process inherits, as its environment
    told = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [told, "ignore:resource_tracker:UserWarning"]))
    try:
        of_joblib.ensure_running()
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)
        os.environ.pop("PYTHONWARNINGS") if told is None else os.environ.update(PYTHONWARNINGS=told)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PAUSE)
    os._exit(1)
