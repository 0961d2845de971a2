"""The statistics that decide the paper's claims: one module for each notebook, one function for each statistic.

`STATISTICS[name](tables)` gives a float Series indexed by teacher seed, as claims.yml's `definition` says; a seed
without a value is nan or absent. Statistics of the kinds `existence` and `exact` are indexed by what they look at
(sizes, temperatures), or by 0. `attrs["note"]` says what a reader must know beside the numbers. A table that is missing
is a `KeyError`. A module that registers further statistics is imported here.
"""

from . import entropy, example_efficiency, missing_class, penultimate_layer, rival_explanations, sweet_spot
from .common import STATISTICS, Tables

__all__ = [
    "STATISTICS",
    "Tables",
    "entropy",
    "example_efficiency",
    "missing_class",
    "penultimate_layer",
    "rival_explanations",
    "sweet_spot",
]
