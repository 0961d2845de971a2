"""Response-based knowledge distillation: data sets, teachers, students, measures, and the paper's claims."""

from . import explore, figures, present
from . import sources as _sources  # registers the data sets known from the start
from .claims import evaluate, load_claims, scoreboard
from .data import Dataset, load_dataset, register_dataset, select_examples
from .devices import find_device, use_threads
from .errors import InputError, StoreError
from .losses import entropy, kd_loss, label_smoothing_labels, label_smoothing_loss, soft_labels
from .measures import (
    Interval,
    confusion,
    correct_bias,
    distance_to_label_smoothing,
    penultimate_projection,
    ratio_interval,
    t_interval,
    variance_in_response,
    wilson_interval,
    within_between_scatter,
)
from .models import TABLE7, Architecture, build_model, count_parameters, register_network
from .opening import open_study
from .record import record, verdicts
from .settings import Settings, resolve
from .store import Store
from .students import Student, distill
from .study import Study
from .teachers import Teacher, responses, train_teacher

__version__ = "0.1.0"
