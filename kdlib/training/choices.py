"""Names that parameters may have. It imports nothing, so that a parameter is checked before torch is imported."""

PRECISIONS = ("fp32", "bf16")
SEEDINGS = ("common", "configuration")
ENGINES = ("loop", "stacked")
SELECTIONS = {"entropy": "highest", "lowest": "lowest", "random": "random"}
