import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """kdlib flushes them for speed, for the whole process; hypothesis needs them."""
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    """No test touches the user's store, and none depends on the user's profile."""
    monkeypatch.setenv("KDLIB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("KDLIB_ROOT", str(ROOT))
    monkeypatch.setenv("KDLIB_WORKERS", "1")  # tests run side by side already
    monkeypatch.delenv("KDLIB_PROFILE", raising=False)


@pytest.fixture(scope="session")
def digits():
    import kdlib

    return kdlib.load_dataset("digits", examples=400)


@pytest.fixture(scope="session")
def tiny_teacher():
    from kdlib import Teacher

    return Teacher("small_teacher", seed=0, epochs=2, batch_size=64)


@pytest.fixture(scope="session")
def tiny_run(digits, tiny_teacher):
    from kdlib import train_teacher, use_threads

    use_threads(1)
    return train_teacher(tiny_teacher, digits)
