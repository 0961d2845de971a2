"""Data sets, and the paper's printed numbers."""

from . import _torchvision, sources  # the latter registers the data sets known from the start

_torchvision.make_importable()
