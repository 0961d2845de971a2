"""Response-based knowledge distillation: data sets, teachers, students, measures, and the paper's claims.

Each name is imported when it is first asked for: what needs no torch, such as `kdlib --help`, does not wait for it.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("kdlib needs Linux or macOS: on Windows, install it within WSL (`wsl --install`)")

from . import sections  # says where the statistics are

# With any of these the OpenMP that comes with torch binds the process that imports it to one core, and so all workers.
for _name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"):
    os.environ.pop(_name, None)

if TYPE_CHECKING:
    from .book import explore, figures, present
    from .book.record import record, verdicts
    from .claims.claims import evaluate, load_claims, scoreboard
    from .claims.intervals import Interval, ratio_interval, t_interval, wilson_interval
    from .data.dataset import Dataset, load_dataset, select_examples
    from .data.registry import register_dataset
    from .data.shapes import draw_shapes
    from .errors import InputError, StoreError
    from .sections.opening import open_study
    from .study.settings import Settings, resolve
    from .study.store import Store
    from .study.study import Study
    from .training.config import Student, Teacher
    from .training.devices import configure_cpu, find_device
    from .training.losses import entropy, kd_loss, label_smoothing_labels, label_smoothing_loss, soft_labels
    from .training.measures import (
        confusion,
        correct_bias,
        distance_to_label_smoothing,
        penultimate_projection,
        variance_in_response,
        within_between_scatter,
    )
    from .training.models import TABLE7, Architecture, build_model, count_parameters, register_network
    from .training.own_teachers import register_teacher
    from .training.students import distill
    from .training.systems.registry import register_system, system_loss
    from .training.systems.system import Gradient, Parameter, State, System
    from .training.teachers import responses, train_teacher

__version__ = "0.1.0"

_FOLDERS = ("book", "claims", "data", "report", "study", "training")
_SHOWN = "explore figures present"  # modules, which notebooks use by these names
# Where each name is; a test holds the imports above to it.
_PLACES = {
    "book": _SHOWN,
    "book.record": "record verdicts",
    "claims.claims": "evaluate load_claims scoreboard",
    "claims.intervals": "Interval ratio_interval t_interval wilson_interval",
    "data.dataset": "Dataset load_dataset select_examples",
    "data.registry": "register_dataset",
    "data.shapes": "draw_shapes",
    "errors": "InputError StoreError",
    "sections.opening": "open_study",
    "study.settings": "Settings resolve",
    "study.store": "Store",
    "study.study": "Study",
    "training.config": "Student Teacher",
    "training.devices": "find_device configure_cpu",
    "training.losses": "entropy kd_loss label_smoothing_labels label_smoothing_loss soft_labels",
    "training.measures": "confusion correct_bias distance_to_label_smoothing penultimate_projection "
    "variance_in_response within_between_scatter",
    "training.models": "TABLE7 Architecture build_model count_parameters register_network",
    "training.own_teachers": "register_teacher",
    "training.students": "distill",
    "training.systems.registry": "register_system system_loss",
    "training.systems.system": "Gradient Parameter State System",
    "training.teachers": "responses train_teacher",
}
_MODULE = {name: module for module, names in _PLACES.items() for name in names.split()}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return import_module(f".{name}", __name__)
    if name not in _MODULE:
        raise AttributeError(f"module 'kdlib' has no attribute {name!r}")
    module = import_module(f".{_MODULE[name]}", __name__)
    if name in _SHOWN.split():
        import_module(f".{name}", module.__name__)  # which makes it an attribute of its folder
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
