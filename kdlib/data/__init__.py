"""Data sets, and the paper's printed numbers."""

from . import sources  # registers the data sets known from the start, whichever module is asked for first
