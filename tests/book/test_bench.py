"""The benchmark: it runs end to end, counts operations right, and compares like with like."""

import sys

import numpy as np
import pytest
import torch

from kdlib import Architecture, InputError, build_model, register_dataset, register_network
from kdlib.book import bench, performance, tries
from kdlib.training import devices
from kdlib.training.models import training_operations

from ..data.test_data import write_kmnist


def test_operations_of_a_network_are_those_of_its_products():
    register_network("counted", Architecture(widths=(4, 6), strides=(2, 1), dense=(5,)))
    model = build_model("counted", shape=(1, 8, 8), classes=3)
    first, second, dense, head = (2 * n for n in (4 * 16 * 9, 6 * 16 * 9 * 4, 96 * 5, 5 * 3))
    assert training_operations(model, (1, 8, 8)) == 2 * first + 3 * (second + dense + head)


def test_the_small_teacher_of_mnist_takes_a_third_of_a_gigaflop_an_example():
    operations = training_operations(build_model("small_teacher"), (1, 28, 28))
    assert operations == pytest.approx(3 * 2 * 49 * 512 * 256 * 9, rel=0.02)


@pytest.mark.parametrize("source", ["torchvision", "tensors"])
def test_on_an_accelerator_a_users_loop_is_timed_on_some_steps_and_scaled(source, tmp_path, monkeypatch):
    """With torchvision's examples, or tensors where it is not installed; a part of a training tells no accuracy."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    write_kmnist(tmp_path)
    if source == "tensors":
        monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(bench, "USER_STEPS", 1)
    monkeypatch.setattr(bench, "FIRST_STEPS", 1)
    monkeypatch.setattr(bench, "BATCH", 8)
    monkeypatch.setattr(bench.Job, "on_cpu", False)
    monkeypatch.setattr(devices, "cores", lambda: 1)
    job = bench.Job("kmnist", "cpu", 1)
    found = bench.time_user_loop(job, "small_teacher", bench.train(job, "small_teacher"), "baseline_student", True)
    assert found["accuracies"] == [] and found["examples_from"] == [source]
    assert len(found["seconds"]) == len(bench.SAMPLE) and min(found["seconds"]) > 0


@pytest.mark.parametrize(("system", "start"), [("linux", "fork"), ("darwin", "spawn")])
def test_a_users_loader_starts_its_processes_as_in_a_script_on_that_system(system, start, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    assert bench._start_of_loaders() == start


def test_a_row_that_was_scaled_from_some_steps_says_so():
    row = {"row": "sweep", "way": "user", "network": "general_student", "table4_seconds": 60.0, "gain": 1.0}
    row |= {"steps": 100, "trained": 6, "accuracy_difference": None, "accuracies": []}
    assert "(100 steps of 6 students, scaled)" in performance.line(row) and "points" not in performance.line(row)
    assert performance._sweep(row)[0]["from"] == "100 steps of 6 students, scaled"


def test_the_estimate_for_the_whole_grid_calls_itself_one():
    row = {"row": "grid", "seconds": 7200.0, "workers": 1, "seeds": 5, "units": {"teacher": 50, "student": 10_000}}
    assert performance.line(row).startswith("estimate for the paper's whole grid with 5 teacher seeds (50 teachers, ")


@pytest.mark.parametrize("capacity", bench.CAPACITIES)
def test_the_profile_of_a_step_knows_the_names_of_what_takes_its_time(capacity):
    """On pictures of MNIST's size and a whole batch, where the products are most of a step."""
    images = np.random.default_rng(0).integers(0, 256, (160, 28, 28), dtype=np.uint8)
    labels = np.arange(160) % 10
    register_dataset("profiled", lambda root: (images, labels, images[:20], labels[:20]))
    seconds = bench._profiled_seconds(bench.Job("profiled", "cpu", 1), capacity)
    assert list(seconds) == [*bench.PARTS, "else"] and min(seconds.values()) > 0
    assert seconds["products"] > sum(seconds.values()) / 3 and seconds["else"] < sum(seconds.values()) / 6


@pytest.mark.long
def test_a_benchmark_runs_end_to_end_and_its_rows_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    write_kmnist(tmp_path)
    monkeypatch.setitem(bench.PARITY, "seeds", range(2))
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(tries, "REPEATS", 2)
    rows = list(bench.run("kmnist", "cpu"))
    tried = [row for row in rows if row["row"] == "try"]
    assert bool(tried) == devices.has_bf16_instructions(torch.device("cpu"))
    rows = [row for row in rows if row["row"] != "try"]
    steps_and_sweeps = ["student step", *["sweep"] * 3] * 2
    assert [row["row"] for row in rows] == [
        "machine",
        *["teacher step", "teacher profile"] * 2,
        *steps_and_sweeps,
        *["parity"] * 4,
    ]
    sweeps = [row for row in rows if row["row"] == "sweep"]
    assert [row["way"] for row in sweeps] == ["user", "cached", "kdlib"] * 2
    assert rows[0]["kind"] == ("cpu" if devices.has_bf16_instructions(torch.device("cpu")) else "cpu-without-bf16")
    assert rows[0]["bf16"] > rows[0]["fp32"] / 3, "no product of bf16 is left to slow loops"
    for row in sweeps:
        assert row["table4_seconds"] > 0 and len(row["accuracies"]) == row["trained"] == 6
    for row in (sweeps[0], sweeps[3]):
        assert row["gain"] == 1 and row["accuracy_difference"] == [0, 0, 0]
    assert all(row["share"] > 0 for row in rows if row["row"].endswith("step"))
    for row in (row for row in rows if row["row"] == "teacher profile"):
        assert sum(row["parts"].values()) == pytest.approx(1) and row["products_share"] > 0
    parities = [row["differences"] for row in rows if row["row"] == "parity"]
    assert [list(found) for found in parities[:2]] == [
        ["accuracy", "entropy"],
        ["accuracy", "missing class", "corrected"],
    ]
    assert all(one["n"] == 2 for found in parities for one in found.values())
    assert all(any(one["spread"] > 0 for one in found.values()) for found in parities[::2])
    assert all(len(performance.line(row)) > 60 for row in rows)

    monkeypatch.setattr(performance, "_folder", lambda: tmp_path / "performance")
    assert "No benchmark is kept" in performance.report()
    performance.save(rows, "kmnist")
    report = performance.report()
    assert report.startswith("## KMNIST on ") and report.count("<table") == 5 and "The try was not measured" in report


@pytest.mark.parametrize("spoiled", ['[{"row": "mach', "[]", "{}", '[{"row": "machine"}]', "7"])
def test_a_kept_benchmark_that_was_spoiled_is_one_line(spoiled, tmp_path, monkeypatch):
    monkeypatch.setattr(performance, "_folder", lambda: tmp_path)
    (tmp_path / "mnist-cpu.json").write_text(spoiled)
    with pytest.raises(
        InputError, match=rf"^{tmp_path / 'mnist-cpu.json'} holds no benchmark \(.*\): `kdlib bench --save`"
    ):
        performance.report()


def test_what_was_tried_for_a_step_is_timed_beside_what_is_kept(monkeypatch):
    monkeypatch.setattr(tries, "REPEATS", 2)
    rows = tries.measure()
    assert len({(row["kept"], row["lost"]) for row in rows}) == len(rows) == 6
    assert all(0 < seconds < 1 for row in rows for seconds in row["seconds"])
    assert all(row["kept"] in performance.line(row) for row in rows)
