"""The paper's main statements: what the landing page shows first, and what is computed first where time is short."""

# The paper in some sentences, each with the claims that decide it (the first that applies to a data set), and with
# what is measured.
HEADLINES: dict[str, tuple[tuple[str, ...], str]] = {
    "A larger teacher's responses have less entropy, at every temperature.": (
        ("entropy-order",),
        "small minus large teacher, at the temperature where it is least clear; joint interval over all",
    ),
    "Students of the small teacher recognise a class that they never saw.": (
        ("small-knows",),
        "accuracy on that class, minus that of a guess",
    ),
    "Students of the large teacher do not.": (
        ("large-fails",),
        "accuracy on that class, minus that of a guess",
    ),
    "Those of the small teacher recognise it better.": (
        ("missing-mnist", "missing-fashion", "missing-cifar10"),
        "accuracy on that class, small minus large teacher",
    ),
    "The higher the entropy, the better the missing class is recognised.": (
        ("entropy-is-similarity",),
        "rank correlation of the teacher's entropy with accuracy on that class, over teachers and temperatures; "
        "a higher temperature also takes weight from the soft labels",
    ),
    "With equally many examples and epochs the small teacher's student does better.": (
        ("efficiency-order",),
        "accuracy, small minus large teacher; examples of highest entropy",
    ),
    "With equally many examples and steps the small teacher's student does better (our reading).": (
        ("efficiency-order-equal-steps",),
        "accuracy, small minus large teacher; examples of highest entropy",
    ),
    "For equal accuracy the large teacher's student needs 10 (MNIST), 15 (Fashion-MNIST) and 18 (CIFAR-10) times the "
    "examples.": (
        ("efficiency-10x", "efficiency-15x", "efficiency-18x"),
        "examples of highest entropy needed, large over small teacher, at equal epochs",
    ),
    "The same at equal steps (our reading).": (
        ("efficiency-equal-steps",),
        "examples of highest entropy needed, large over small teacher, at equal steps",
    ),
    "The large teacher's clusters in the penultimate layer are tighter.": (
        ("tighter-clusters",),
        "scatter within classes, small over large teacher",
    ),
    "Larger batches raise the entropy of the large teacher's responses.": (
        ("entropy-up-with-batch",),
        "rank correlation of batch size with entropy",
    ),
    "They do so beyond what fewer updates explain (our reading).": (
        ("entropy-batch-beyond-updates",),
        "the same, given the number of updates",
    ),
    "At its sweet spot the large teacher teaches the single-layer student better.": (
        ("baseline-student",),
        "accuracy at the sweet spot minus without, mean over temperatures",
    ),
    "At its sweet spot the large teacher teaches the general student better.": (
        ("sweet-spot-general",),
        "accuracy at the sweet spot minus without, all examples",
    ),
    "It does so better than the labels alone would (our reading).": (
        ("sweet-spot-general-labels-alone",),
        "accuracy at the sweet spot minus labels alone, all examples",
    ),
    "The gap in capacity is not the root cause: teachers of equal accuracy teach alike, within half a point (our "
    "reading).": (
        ("gap-not-root-cause",),
        "student's accuracy, small minus large teacher",
    ),
}
