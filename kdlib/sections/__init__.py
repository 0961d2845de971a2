"""One module for each section of the paper, and one for the controls: the units it needs, and tidy tables from them.

Each has `tables(study)`, a dictionary of DataFrames with one row for each cell and teacher seed. Accuracies in tables
are percent, entropies nats, confidences probabilities.
"""

from . import entropy, example_efficiency, missing_class, penultimate_layer, rival_explanations, sweet_spot

SECTIONS = {
    "entropy": entropy,
    "missing_class": missing_class,
    "example_efficiency": example_efficiency,
    "penultimate_layer": penultimate_layer,
    "sweet_spot": sweet_spot,
    "rival_explanations": rival_explanations,
}
_TEACHERS = (
    "dataset", "profile", "seeds", "examples", "teacher_epochs", "teacher_batch_size", "learning_rate", "precision",
    "device",
)  # fmt: skip
_STUDENTS = ("alpha", "t_squared", "student_epochs", "student_batch_size")
_SWEET_SPOT = ("batch_sizes", "sweet_spot_epochs")
_EXAMPLES = ("examples_per_class", "selections")

# The parameters of each section's notebook.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "entropy": (*_TEACHERS, "temperatures"),
    "missing_class": (*_TEACHERS, "temperatures", "missing_classes", *_STUDENTS),
    "example_efficiency": (*_TEACHERS, *_EXAMPLES, *_SWEET_SPOT, *_STUDENTS),
    "penultimate_layer": (*_TEACHERS, "sweet_spot_epochs", "spread_settings"),
    "sweet_spot": (*_TEACHERS, "temperatures", "missing_classes", *_SWEET_SPOT, *_STUDENTS),
    "rival_explanations": (
        *_TEACHERS,
        "temperatures",
        "missing_classes",
        *_EXAMPLES,
        *_SWEET_SPOT,
        "spread_settings",
        "alpha",
        "student_epochs",
        "student_batch_size",
    ),  # fmt: skip
}
