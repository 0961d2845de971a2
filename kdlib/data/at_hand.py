"""Which data are at hand now, by their digest: what pages and the workflow are held against."""

from functools import cache

from ..errors import DataNotFoundError
from .dataset import load_dataset
from .registry import dataset_names


@cache
def digest(name: str, examples: int | None = None, test_examples: int | None = None) -> str | None:
    """`Dataset.digest` of a data set as it is read now, of so many examples as `load_dataset` takes.

    None where it is not here: unknown, or its files are not found. Raises `InputError` where it cannot be used.
    """
    if name not in dataset_names():
        return None
    try:
        return load_dataset(name, examples=examples, test_examples=test_examples, clip=True).digest
    except DataNotFoundError:
        return None
