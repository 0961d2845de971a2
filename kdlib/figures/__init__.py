"""The figures of the pages: a module for each notebook, and what they share in `drawing`."""

from .entropy import (
    between_one_hot_and_label_smoothing,
    entropy_against_epochs,
    entropy_against_temperature,
    soft_labels,
    variance_against_temperature,
)
from .example_efficiency import accuracy_against_examples, selections_compared
from .missing_class import missing_class_curves, missing_class_heatmaps, taken_for
from .penultimate_layer import penultimate_layer, tightness
from .rival_explanations import (
    controls,
    entropy_against_updates,
    gradient_norms,
    missing_class_against_training,
    t_squared,
)
from .sweet_spot import accuracy_against_updates, baseline_student, entropy_of_the_large_teacher, sweet_spot_map
