"""The paper's main statements: what the landing page shows first, and what is computed first where time is short."""

from typing import NamedTuple


class Statement(NamedTuple):
    """The claims that decide a sentence about the paper, and the words that stand beside it.

    Arguments: ids of `claims`, of which the first that applies to a data set decides; what is `measured` (may be
    empty); the sentence in `short`, as a clause that stands alone.
    """

    claims: tuple[str, ...]
    measured: str = ""
    short: str = ""


HEADLINES = {
    "A larger teacher's responses have less entropy, at every temperature.": Statement(
        ("entropy-order",),
        "small minus large teacher, at the temperature where it is least clear; joint interval over all",
        "the larger teacher's responses have less entropy, at every temperature",
    ),
    "Students of the small teacher recognise a class that they never saw.": Statement(
        ("small-knows",),
        "accuracy on that class, minus that of a guess",
        "the small teacher's students recognise a class that they never saw",
    ),
    "Students of the large teacher do worse than a guess.": Statement(
        ("large-fails",),
        "accuracy on that class, minus that of a guess",
        "the large teacher's students do worse than a guess on a class that they never saw",
    ),
    "Those of the small teacher recognise it better.": Statement(
        ("missing-mnist", "missing-fashion", "missing-cifar10"),
        "accuracy on that class, small minus large teacher",
        "of a class that they never saw the small teacher's students recognise more than the large one's",
    ),
    "The higher the entropy, the better the missing class is recognised.": Statement(
        ("entropy-is-similarity",),
        "rank correlation of the teacher's entropy with accuracy on that class, over teachers and temperatures; "
        "a higher temperature also takes weight from the soft labels",
        "the higher the entropy, the better a missing class is recognised",
    ),
    "With equally many examples and epochs the small teacher's student does better.": Statement(
        ("efficiency-order",),
        "accuracy, small minus large teacher; examples of highest entropy",
        "at equal examples and epochs the small teacher's student does better",
    ),
    "With equally many examples and steps the small teacher's student does better (our reading).": Statement(
        ("efficiency-order-equal-steps",),
        "accuracy, small minus large teacher; examples of highest entropy",
        "at equal examples and steps the small teacher's student does better",
    ),
    "For equal accuracy the large teacher's student needs 10 (MNIST), 15 (Fashion-MNIST) and 18 (CIFAR-10) times the "
    "examples.": Statement(
        ("efficiency-10x", "efficiency-15x", "efficiency-18x"),
        "examples of highest entropy needed, large over small teacher, at equal epochs",
        "the large teacher's student needs 10 to 18 times the examples, at equal epochs",
    ),
    "The same at equal steps (our reading).": Statement(
        ("efficiency-equal-steps",),
        "examples of highest entropy needed, large over small teacher, at equal steps",
        "the large teacher's student needs 10 to 18 times the examples, at equal steps",
    ),
    "The large teacher's clusters in the penultimate layer are tighter.": Statement(
        ("tighter-clusters",),
        "scatter within classes, small over large teacher",
        "the large teacher's clusters in the penultimate layer are tighter",
    ),
    "Larger batches raise the entropy of the large teacher's responses.": Statement(
        ("entropy-up-with-batch",),
        "rank correlation of batch size with entropy",
        "larger batches raise the entropy of the large teacher's responses",
    ),
    "They do so beyond what fewer updates explain (our reading).": Statement(
        ("entropy-batch-beyond-updates",),
        "the same, given the number of updates",
        "larger batches raise the responses' entropy beyond what fewer updates explain",
    ),
    "At its sweet spot the large teacher teaches the single-layer student better.": Statement(
        ("baseline-student",),
        "accuracy at the sweet spot minus without, mean over temperatures",
        "at its sweet spot the large teacher teaches the single-layer student better",
    ),
    "At its sweet spot the large teacher teaches the general student better.": Statement(
        ("sweet-spot-general",),
        "accuracy at the sweet spot minus without, all examples",
        "at its sweet spot the large teacher teaches the general student better",
    ),
    "It does so better than the labels alone would (our reading).": Statement(
        ("sweet-spot-general-labels-alone",),
        "accuracy at the sweet spot minus labels alone, all examples",
        "at its sweet spot the large teacher teaches better than the labels alone would",
    ),
    "The gap in capacity is not the root cause: teachers of equal accuracy teach alike, within half a point (our "
    "reading).": Statement(
        ("gap-not-root-cause",),
        "student's accuracy, small minus large teacher",
        "teachers of equal accuracy teach alike, within half a point",
    ),
}
