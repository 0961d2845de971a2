"""Published pages and results belong together, every kind of rot is noticed, and a run can be held against them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as parquet
import pytest
import torch
from scipy import stats

from kdlib import InputError, load_claims, sections
from kdlib.book import against_reference, assembly, pages, verification
from kdlib.claims import comparison
from kdlib.claims.intervals import wilson_interval
from kdlib.sections.opening import open_study
from kdlib.study import store

from ..conftest import ROOT, as_project, command_line, one_kernel, rules_in
from ..sections.test_statistics import example_efficiency_tables

pytestmark = pytest.mark.xdist_group("reference")
SECTIONS = ("entropy", "missing_class")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A project with two reference pages of digits at smoke size."""
    copy = tmp_path_factory.mktemp("reference")
    as_project(copy)
    for name in ("book", "notebooks", "data/paper"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.ipynb" if name == "book" else "_"))
    with one_kernel(**environment(copy)):
        for section in SECTIONS:
            done = run(copy, "run", section, "--profile", "smoke", "--publish")
            assert done.returncode == 0, done.stderr[-3000:]
    return copy


@pytest.fixture
def project(published, tmp_path, monkeypatch):
    """A copy of it to spoil, without the store: as in a fresh clone."""
    copy = tmp_path / "project"
    shutil.copytree(published, copy, ignore=shutil.ignore_patterns("store", "_build"))
    monkeypatch.setenv("KDLIB_ROOT", str(copy))
    rules_in(copy, monkeypatch)
    return copy


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    return command_line(*arguments, **environment(root))


def environment(root: Path) -> dict[str, str]:
    return {"KDLIB_ROOT": str(root), "KDLIB_STORE": str(root / "store"), "KDLIB_WORKERS": "1"}


def test_a_fresh_clone_verifies_in_seconds_and_lists_the_openings_of_the_test_split(project):
    command = [sys.executable, "-m", "kdlib", "verify"]
    start = time.monotonic()
    # The copy has rules in its kdlib/ but no code: this one's is named.
    own = os.environ | environment(project) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=own, cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - start < 30
    opened = [line for line in done.stdout.splitlines() if line.startswith("test split opened by book/digits/")]
    assert any("missing_class.ipynb: student: confusion matrix" in line for line in opened)
    assert any("entropy.ipynb: teacher: accuracy" in line for line in opened)


def test_the_published_tables_and_units_are_those_of_the_page(project):
    for section in SECTIONS:
        folder = project / "results" / "digits"
        page = nbformat.read(project / "book" / "digits" / f"{section}.ipynb", as_version=4)
        content = verification.page_record(page)
        assert {p.stem: p.read_text() for p in (folder / section).glob("*.csv")} == content["tables"]
        assert (folder / f"{section}.parquet").stat().st_size < 2**20


def test_a_page_that_is_published_again_from_the_results_alone_keeps_its_units_and_what_they_cost(project):
    def state() -> tuple:
        content = verification.page_record(nbformat.read(project / "book/digits/missing_class.ipynb", as_version=4))
        return content, store.published_units(project / "results/digits/missing_class.parquet")

    before = state()
    done = run(project, "run", "missing_class", "--profile", "smoke", "--publish")
    assert done.returncode == 0, done.stderr[-3000:]
    assert state() == before
    assert not (project / "store" / "teacher").exists()


def edit_page(project: Path, change: Callable[[nbformat.NotebookNode], None]) -> None:
    path = project / "book" / "digits" / "missing_class.ipynb"
    page = nbformat.read(path, as_version=4)
    change(page)
    nbformat.write(page, path)


def edited_number(project: Path) -> None:
    path = project / "results" / "digits" / "missing_class" / "cells.csv"
    table = pd.read_csv(path)
    table.loc[0, "raw"] += 0.1
    table.to_csv(path, index=False)


def edited_output(project: Path) -> None:
    def change(page: nbformat.NotebookNode) -> None:
        shown = next(o for c in page.cells for o in c.get("outputs", []) if "text/markdown" in o.get("data", {}))
        shown["data"]["text/markdown"] = shown["data"]["text/markdown"].replace("Students", "All students")

    edit_page(project, change)


def edited_record(project: Path) -> None:
    def change(page: nbformat.NotebookNode) -> None:
        content = verification.page_record(page)
        content["tables"]["cells"] = content["tables"]["cells"].replace("small", "large")
        page.metadata["kdlib"]["outputs"] = verification.outputs_digest(page)

    edit_page(project, change)


def swapped_table(project: Path) -> None:
    folder = project / "results" / "digits" / "entropy"
    a, b = folder / "entropy.csv", folder / "variance.csv"
    first, second = a.read_text(), b.read_text()
    a.write_text(second)
    b.write_text(first)


def lost_table(project: Path) -> None:
    (project / "results" / "digits" / "entropy" / "entropy.csv").unlink()


def stale_page(project: Path) -> None:
    for suffix in ("py", "ipynb"):
        path = project / "notebooks" / f"missing_class.{suffix}"
        path.write_text(path.read_text().replace("One class is taken out", "One class is left out"))


def cut_page(project: Path) -> None:
    path = project / "book" / "digits" / "entropy.ipynb"
    path.write_bytes(path.read_bytes()[:-1000])


def cleared_outputs(project: Path) -> None:
    edit_page(project, lambda page: [cell.update(outputs=[]) for cell in page.cells if cell.cell_type == "code"])


def copied_page(project: Path) -> None:
    folder = project / "book" / "digits"
    shutil.copy(folder / "entropy.ipynb", folder / "entropy-Copy1.ipynb")


def page_of_another_branch(project: Path) -> None:
    def change(page: nbformat.NotebookNode) -> None:
        verification.page_record(page)["section"] = "missing_classes"

    edit_page(project, change)


def page_of_another_version(project: Path) -> None:
    edit_page(project, lambda page: verification.page_record(page).pop("cost"))


def changed_claim(project: Path) -> None:
    change_rule(project, "entropy/claims.yml", "side: less", "side: greater")


def changed_control(project: Path) -> None:
    """It stands with the rival explanations; the tables of the missing class decide it."""
    change_rule(project, "rival_explanations/controls.yml", "- id: bias\n", "- id: bias\n  notebook: missing_class\n")


def change_rule(project: Path, name: str, was: str, now: str) -> None:
    path = project / "kdlib" / "sections" / name
    assert was in path.read_text()
    path.write_text(path.read_text().replace(was, now, 1))


def another_commit(project: Path) -> None:
    def change(page: nbformat.NotebookNode) -> None:
        verification.page_record(page)["cost"]["computed_by"][0]["commit"] = "0123456789ab"
        page.metadata["kdlib"]["outputs"] = verification.outputs_digest(page)

    edit_page(project, change)


def cut_units(project: Path) -> None:
    path = project / "results" / "digits" / "missing_class.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def without_a_unit(project: Path) -> None:
    path = project / "results" / "digits" / "missing_class.parquet"
    parquet.write_table(parquet.read_table(path)[1:], path)


def units_of_another_page(project: Path) -> None:
    folder = project / "results" / "digits"
    both = [parquet.read_table(folder / f"{name}.parquet") for name in SECTIONS]
    parquet.write_table(pyarrow.concat_tables(both), folder / "entropy.parquet")


def student_of_a_teacher_trained_again(project: Path) -> None:
    path = project / "results" / "digits" / "missing_class.parquet"
    rows, units = parquet.read_table(path).to_pylist(), {}
    for k, row in enumerate(rows):
        unit = units[k] = store.from_bytes(row["payload"])
        if unit.provenance.get("responses"):
            last = k
    provenance = units[last].provenance
    other = {teacher: digest[::-1] for teacher, digest in provenance["responses"].items()}
    rows[last]["payload"] = store.to_bytes(replace(units[last], provenance=provenance | {"responses": other}))
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def removed_page(project: Path) -> None:
    (project / "book" / "digits" / "entropy.ipynb").unlink()


@pytest.mark.parametrize(
    ("rot", "message"),
    [
        (edited_number, "results/digits/missing_class/cells.csv is not the table of the page"),
        (edited_output, "book/digits/missing_class.ipynb was edited after it ran"),
        (edited_record, "book/digits/missing_class.ipynb carries other tables than it ran with"),
        (swapped_table, "results/digits/entropy/variance.csv is not the table of the page"),
        (lost_table, "results/digits/entropy/entropy.csv is not the table of the page"),
        (stale_page, "book/digits/missing_class.ipynb is stale"),
        (cut_page, "book/digits/entropy.ipynb cannot be read"),
        (cleared_outputs, "book/digits/missing_class.ipynb has no record"),
        (
            copied_page,
            "book/digits/entropy-Copy1.ipynb lies where no page belongs, its place is book/digits/entropy.ipynb",
        ),
        (page_of_another_branch, "book/digits/missing_class.ipynb is of a section 'missing_classes'"),
        (
            page_of_another_version,
            "book/digits/missing_class.ipynb cannot be used: another version of kdlib made it, without",
        ),
        (changed_claim, "book/digits/entropy.ipynb was judged by other rules"),
        (changed_control, "book/digits/missing_class.ipynb was judged by other rules"),
        (another_commit, "results/digits/missing_class.parquet: its units name other commits or rules"),
        (cut_units, "results/digits/missing_class.parquet is missing or damaged"),
        (without_a_unit, "results/digits/missing_class.parquet lacks 1 of the units that the page was made from"),
        (units_of_another_page, "results/digits/entropy.parquet holds units that the page did not use"),
        (
            student_of_a_teacher_trained_again,
            "results/digits/missing_class.parquet: of 1 of its teachers, students were taught by two trainings",
        ),
        (removed_page, "results/digits/entropy belongs to no reference page"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_kind_of_rot_is_noticed(rot, message, project):
    assert verification.problems() == []
    rot(project)
    assert any(line.startswith(message) for line in verification.problems())


@pytest.mark.parametrize(
    "rot", [cut_page, cleared_outputs, copied_page, page_of_another_branch, page_of_another_version]
)
def test_the_book_takes_no_page_but_its_own_and_says_which(rot, project):
    assert len(assembly.find_pages()) == len(SECTIONS)
    rot(project)
    with pytest.raises(InputError, match=r"^book/digits/\S+\.ipynb .*\bremove it"):
        assembly.find_pages()
    assert len(list(pages.records())) == len(SECTIONS) - (rot is not copied_page)


def test_a_comment_among_the_rules_is_no_rot(project):
    change_rule(project, "entropy/claims.yml", "- id:", "# a comment\n- id:")
    assert verification.problems() == []


def test_the_reference_pages_of_this_repository_belong_together():
    """Pages that were run here, in _build, may be stale: they are their owner's."""
    assert [line for line in verification.problems() if not line.startswith("_build/")] == []


def test_a_run_of_the_same_profile_agrees_with_the_reference(published):
    done = run(published, "compare", "--dataset", "digits", "--profile", "smoke", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) > 10 and not any(row["differs"] for row in rows)
    assert {row["change"] for row in rows} == {0, 1}  # a difference, a ratio
    assert done.stderr == ""
    lacking = run(published, "compare", "--dataset", "mnist")
    assert lacking.returncode == 2 and "kdlib run all --dataset mnist" in lacking.stderr


def test_a_run_with_another_parameter_is_compared_and_what_was_changed_is_said(project):
    assert run(project, "run", "missing_class", "--profile", "smoke", "-p", "student_epochs=1").returncode == 0
    done = run(project, "compare", "--dataset", "digits", "--profile", "smoke", "--json")
    assert done.stderr == "not the same run: missing_class: student_epochs is 1 here, 2 there\n"
    assert any(row["change"] not in (0, 1) for row in json.loads(done.stdout))


def test_a_ratio_is_compared_on_the_log_scale():
    found = comparison._welch_of_ratios(np.array([2.0, 4.0, 8.0]), np.array([1.0, 2.0, 4.0]))
    turned = comparison._welch_of_ratios(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0]))
    assert (found["ours"], found["reference"], found["change"]) == pytest.approx((4, 2, 2))
    assert (turned["change"], turned["low"], turned["p"]) == pytest.approx((1 / 2, 1 / found["high"], found["p"]))


@pytest.mark.parametrize("test", [comparison._welch, comparison._welch_of_ratios])
def test_seeds_that_agree_but_for_rounding_differ_where_their_means_do(test):
    """The mean of three numbers of one size need not be that of five, nor are sums the same in each order."""
    three, five = np.array([98.1] * 3), np.array([98.1] * 5)
    assert three.mean() != five.mean()
    assert test(three, five)["p"] == test(five, three)["p"] == 1
    rounded = np.array([98.1, np.nextafter(98.1, 99), 98.1])
    assert test(rounded, five)["p"] == 1 and test(rounded, five + 0.1)["p"] == 0


def test_only_statistics_of_teacher_seeds_are_compared():
    kinds = {c.statistic: c.kind for c in load_claims()}
    tables = {"example_efficiency": example_efficiency_tables()}
    found = set(comparison.compare("mnist", tables, tables).statistic)
    assert found and {kinds.get(name) for name in found} <= {"direction", "equivalence"}
    assert "sizes_at_which_the_small_teacher_leads" not in found


def test_a_cell_that_is_computed_afresh_is_the_stored_one_bit_for_bit(published):
    cell = ("-p", "temperatures=9", "-p", "missing_classes=6")
    done = run(published, "compute", "missing_class", "--profile", "smoke", *cell, "--fresh")
    assert done.returncode == 0, done.stderr
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == ["identical, 2 seeds"] * 2


def test_where_no_cell_is_stored_there_is_nothing_to_compute_afresh(project):
    done = run(project, "compute", "missing_class", "--profile", "smoke", "-p", "temperatures=8", "--fresh")
    assert done.returncode == 2 and "no student with these parameters is stored" in done.stderr


CELL = {"temperatures": [9], "missing_classes": [6], "examples": 200, "seeds": 3}


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A study of a single cell of each teacher, computed."""
    study = open_study("missing_class", CELL, profile="smoke", store=store.Store(tmp_path_factory.mktemp("cell")))
    study.tables()
    return study


def mistake(counts: torch.Tensor, examples: int) -> None:
    """Let so many examples of each class but 6 be taken for another than they were."""
    for c in (c for c in range(10) if c != 6):
        moved = min(examples, int(counts[c, c]))
        counts[c, c] -= moved
        counts[c, (c + 1) % 10] += moved


def spoil(study, monkeypatch, examples: int, seeds: set[int], elsewhere: dict[str, set[int]], origin: dict) -> None:
    """Let the store hold other students of these seeds, and other origins of what was trained `elsewhere`, by kind."""
    get, provenance = study.store.get, study.store.provenance

    def seed_of(kind, config):
        return (config if kind == "teacher" else config["teacher"])["seed"]

    def changed(kind, config):
        return origin if kind in elsewhere and seed_of(kind, config) in elsewhere[kind] else {}

    def spoiled(kind, config):
        unit = get(kind, config)
        if unit is None or kind != "student":
            return unit
        if seed_of(kind, config) in seeds:
            for name in ("confusion", "corrected"):
                mistake(unit.tensors[name], examples)
        return replace(unit, provenance=unit.provenance | changed(kind, config))

    def told(kind, config):
        return provenance(kind, config) | changed(kind, config)

    monkeypatch.setattr(study.store, "get", spoiled)
    monkeypatch.setattr(study.store, "provenance", told)


ALL = {0, 1, 2}


@pytest.mark.parametrize(
    ("examples", "seeds", "elsewhere", "said", "failed"),
    [
        (0, ALL, {"student": ALL}, "identical, 3 seeds", 0),
        (1, {0}, {"student": ALL}, "as expected of another device", 0),
        (1, {0}, {"teacher": ALL}, "as expected of another device", 0),
        (99, ALL, {"student": ALL}, "UNEXPECTED also of another device", 2),
        (1, {0}, {}, "DIFFERS on one device", 2),
        (1, {0}, {"student": {1, 2}}, "DIFFERS on one device", 2),
        (1, {1}, {"student": {1, 2}}, "as expected of another device", 0),
    ],
)
@pytest.mark.parametrize("origin", [{"device": "another"}, {"torch": "0.1"}, {"threads": 7}])
def test_a_cell_holds_by_its_bits_on_one_device_and_by_what_its_seeds_let_be_expected_on_another(
    examples, seeds, elsewhere, said, failed, origin, cell, monkeypatch
):
    spoil(cell, monkeypatch, examples, seeds, elsewhere, origin)
    lines: list[str] = []
    assert against_reference.recompute(cell, lines.append) == failed
    assert [line.split(": ")[1].split(";")[0] for line in lines] == [said] * 2


def test_one_seed_is_held_against_all_that_are_stored(cell, monkeypatch):
    alone = open_study("missing_class", CELL | {"seeds": 1}, profile="smoke", store=cell.store)
    spoil(alone, monkeypatch, 1, {0}, {"student": ALL}, {"device": "another"})
    lines: list[str] = []
    assert against_reference.recompute(alone, lines.append) == 0
    assert all("as expected of another device" in line and "(n = 3) expected" in line for line in lines)


def test_of_a_cell_that_is_stored_in_part_that_part_is_compared(cell, tmp_path):
    own = store.Store(tmp_path / "part")
    open_study("missing_class", CELL | {"seeds": 1}, profile="smoke", store=own).tables()
    lines: list[str] = []
    study = open_study("missing_class", CELL, profile="smoke", store=own)
    assert against_reference.recompute(study, lines.append) == 0
    assert all(line.endswith("(2 of 3 seeds not stored): identical, 1 seed") for line in lines)


def test_cells_of_a_section_have_names_of_their_own():
    for section in sections.SECTIONS:
        if not (wanted := open_study(section, {}, profile="smoke").units()[1]):
            continue  # it measures teachers
        cells = against_reference._cells(list(dict.fromkeys(wanted)))
        names = [against_reference._name(one[0]) for one in cells]
        assert len(names) == len(set(names)) and {len(one) for one in cells} == {2}, section


def test_what_is_expected_of_further_seeds_is_students_prediction_interval_and_without_spread_wilsons():
    def result(right: int) -> dict[str, torch.Tensor]:
        counts = torch.tensor([[right, 40 - right], [0, 60]])
        return {"confusion": counts, "corrected": counts}

    stored = [result(k) for k in (10, 12, 14)]
    for further in (1, 3):
        name, expected, now = comparison.prediction_intervals(stored, [result(16)] * further, 0)[0]
        half = stats.t.ppf(1 - 0.025 / 4, 2) * 5 * np.sqrt(1 / 3 + 1 / further)  # of 25, 30 and 35 percent
        assert (name, now) == ("raw", pytest.approx(40))
        assert (expected.mean, expected.low, expected.high) == pytest.approx((30, 30 - half, 30 + half))
    _, expected, _ = comparison.prediction_intervals([result(10)] * 2, [result(10)], 0)[0]
    share = wilson_interval(10, 40, 1 - 0.05 / 4)  # the cell has four accuracies
    assert (expected.mean, expected.low, expected.high) == pytest.approx((25, 100 * share.low, 100 * share.high))
    [(name, expected, now)] = comparison.prediction_intervals([result(10)], [result(20)], None)
    assert (name, expected.mean, now) == ("test accuracy", pytest.approx(70), pytest.approx(80))
    assert np.isnan(expected.low)


def test_a_class_without_test_examples_has_no_accuracy_to_expect():
    counts = torch.tensor([[0, 0], [0, 60]])
    results = [{"confusion": counts, "corrected": counts}] * 2
    found = comparison.prediction_intervals(results, results, 0)
    assert [name for name, *_ in found] == ["others", "others corrected"]


def tables_with(raw: dict[int, float]) -> dict[str, dict[str, pd.DataFrame]]:
    rows = [
        {"seed": seed, "teacher": teacher, "temperature": 9.0, "missing_class": 0, "raw": value, "corrected": 50.0}
        for seed, gap in raw.items()
        for teacher, value in (("small", 50.0 + gap), ("large", 50.0))
    ]
    return {"missing_class": {"cells": pd.DataFrame(rows), "taken_for": pd.DataFrame({"predicted": range(10)})}}


@pytest.mark.parametrize(
    ("ours", "differs"),
    [
        ({0: 10.0, 1: 11.0, 2: 12.0}, False),
        ({0: 40.0, 1: 41.0, 2: 42.0}, True),
        ({0: 40.0}, False),  # one seed says nothing
    ],
)
def test_a_statistic_differs_only_by_more_than_its_seeds_explain(ours, differs):
    reference = tables_with({0: 10.5, 1: 11.5, 2: 12.5})
    found = comparison.compare("digits", tables_with(ours), reference).set_index("statistic")
    assert found.loc["missing_class_accuracy_difference", "differs"] == differs


@pytest.mark.parametrize(
    ("p", "expected"),
    [([0.01, 0.04, 0.03], [True, False, False]), ([0.01, 0.02, np.nan], [True, True, False]), ([0.9], [False])],
)
def test_holm_rejects_step_by_step(p, expected):
    assert comparison._holm(p).tolist() == expected


def test_damage_in_units_that_no_page_has_used_is_noticed(project):
    from kdlib.study.store import Store, Unit

    source = Store(project / "store")
    source.put(Unit("measure", {"measure": "sum", "data": "0"}, {"sum": torch.tensor(1.0)}, {"seconds": 0.0}))
    (file,) = source.export(project / "results" / "units", 1 << 20)
    shutil.rmtree(project / "store")
    assert verification.problems() == []
    table = parquet.read_table(file)
    payload = bytearray(table["payload"][0].as_py())
    payload[-1] ^= 1
    parquet.write_table(table.set_column(2, "payload", pyarrow.array([bytes(payload)], pyarrow.binary())), file)
    assert verification.problems() == ["results/units/units-001.parquet is damaged"]
