"""A plug-in for nbval (`pytest --nbval -p tests.notebooks.strictly`): what it passes over by itself is compared too.

That is pictures, and all that a cell without an execution count shows.
"""

import pytest

PICTURES = ("image/png", "image/jpeg")


def pytest_collection_modifyitems(items):
    for item in items:
        item.parent.skip_compare = tuple(kind for kind in item.parent.skip_compare if kind not in PICTURES)


def pytest_runtest_setup(item):
    if item.cell.execution_count is None:
        pytest.fail("this cell was never executed: there is nothing to compare with", pytrace=False)
