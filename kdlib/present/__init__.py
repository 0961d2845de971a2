"""Tables and sentences of the pages: a module for each notebook, and what they share in `common`."""

from ..statistics.common import last_epoch
from .common import (
    Text,
    by_temperature,
    first_seed,
    mean_and_half_width,
    mean_over_seeds,
    page_verdicts,
    spoken,
)
from .entropy import (
    confidence_on_shown_class,
    entropy_finding,
    label_smoothing_table,
    printed_soft_labels,
    soft_labels_beside_paper,
    table7,
    table7_rows,
    teachers,
)
from .example_efficiency import efficiency, efficiency_finding, examples_ratio_finding
from .missing_class import missing_class, missing_class_beside_paper, missing_class_finding, missing_class_summary
from .penultimate_layer import tightness, tightness_finding
from .rival_explanations import (
    assistants,
    control_finding,
    control_findings,
    full_accuracy,
    full_accuracy_finding,
    full_accuracy_gains,
    labels_alone_finding,
    labels_alone_leads,
    spread_and_missing_class,
)
from .sweet_spot import chosen_pairs, missing_at_sweet_spot, sweet_spot_finding
