"""Everything that is computed, on a second device: no tensor is left behind on the CPU, or read there unasked."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils import backend_registration

from kdlib.book import present
from kdlib.sections import SECTIONS
from kdlib.sections.opening import open_study
from kdlib.study.plan import make_plan
from kdlib.study.store import Store
from kdlib.training import devices, loop, models, own_teachers, stacked, teachers

from .. import accelerator
from ..accelerator import Accelerator
from ..conftest import TRAINED_SECTIONS

pytestmark = [
    pytest.mark.xdist_group("accelerator"),
    pytest.mark.skipif(
        not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
        reason="this version of torch knows no device that is written in Python",
    ),
]


@pytest.fixture(scope="module")
def process():
    """A process that knows the accelerator from its start: PyTorch counts devices at the first gradient."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=accelerator.device) as pool:
        yield pool


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """One on the CPU and one on the accelerator: what several sections use is trained once."""
    return [tmp_path_factory.mktemp(name) for name in ("cpu", "accelerator")]


@contextmanager
def on(remote: bool) -> Iterator[None]:
    """The CPU or the accelerator as `device="auto"`, with an Adam and convolutions that both have.

    The fused Adam rounds otherwise, and so do the products that a CPU makes of a convolution.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (teachers, loop, stacked):
            patch.setattr(module, "adam", partial(torch.optim.Adam, fused=False))
        patch.setattr(models, "is_small", lambda images: False)
        if not remote:
            yield
            return
        patch.setattr(devices, "find_device", lambda name="auto": accelerator.device())
        patch.setitem(teachers.MICRO_BATCH, accelerator.NAME, teachers.MICRO_BATCH["cpu"])
        with Accelerator():
            yield


def tables(section: str, store: str, remote: bool) -> dict[str, pd.DataFrame]:
    with on(remote):
        study = open_study(section, {}, profile="smoke", store=Store(store))
        assert (study.dataset.images.device.type == accelerator.NAME) == remote
        return study.tables()


@pytest.mark.parametrize("section", TRAINED_SECTIONS)
def test_a_section_on_an_accelerator_with_the_cpus_kernels_gives_the_cpus_tables(section, stores, process):
    expected, found = (
        process.submit(tables, section, str(store), remote).result()
        for store, remote in zip(stores, (False, True), strict=True)
    )
    assert found.keys() == expected.keys()
    for name in expected:
        pd.testing.assert_frame_equal(found[name], expected[name], rtol=1e-6, atol=1e-6)


def planned(store: str) -> list[float]:
    with on(remote=True):
        studies = [open_study(section, {}, profile="smoke", store=Store(store)) for section in SECTIONS]
        return [cost.seconds for cost in make_plan(studies).costs.values()]


def test_a_plan_is_made_on_an_accelerator(process, tmp_path):
    costs = process.submit(planned, str(tmp_path)).result()
    assert len(costs) > 100 and min(costs) > 0


def pictures() -> None:
    with on(remote=True):
        study = open_study("penultimate_layer", {}, profile="smoke")
        assert isinstance(study.shown_images(), np.ndarray)
        assert isinstance(present.projected_images(study), np.ndarray)


def test_what_figures_show_of_the_examples_comes_from_an_accelerator_as_arrays(process):
    process.submit(pictures).result()


def answered_there(folder: str) -> tuple[str, str]:
    """Digests of what a network answers on the accelerator, and of what the same one does on the CPU."""
    network, own = torch.nn.Linear(64, 10), []
    for name in ("there", "here"):
        place = accelerator.device() if name == "there" else torch.device("cpu")
        own_teachers.register_teacher(name, lambda images, place=place: network(images.flatten(1)).to(place))
        with on(remote=True), pytest.MonkeyPatch.context() as patch:
            patch.setenv("KDLIB_DATA", folder)
            own_teachers.add(name, "digits")
            own.append(own_teachers.find(name))
    return own[0].sha256, own[1].sha256


def test_a_registered_network_may_answer_on_an_accelerator(process, tmp_path):
    there, here = process.submit(answered_there, str(tmp_path)).result()
    assert there == here


def strangers() -> None:
    with Accelerator():
        there = torch.ones(3, device=accelerator.device())
        assert (there + 1).sum().item() == 6 and there.cpu().numpy().sum() == 3
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match=r"use Tensor.cpu\(\)"):
            there.numpy()


def test_the_accelerators_tensors_and_the_cpus_do_not_mix(process):
    process.submit(strangers).result()
