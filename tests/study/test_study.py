"""A study: what it computes, what it reads, and that the number of workers changes nothing."""

import copy
import errno
import math
import os
import pickle
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from joblib.externals.loky import get_reusable_executor

import kdlib
from kdlib import paths, present
from kdlib.book.record import digest, record
from kdlib.claims import rules
from kdlib.data import registry
from kdlib.sections.penultimate_layer import experiment as penultimate_layer
from kdlib.sections.rival_explanations.experiment import gradient_norms
from kdlib.study import workers
from kdlib.study.limits import limits
from kdlib.study.store import from_bytes, unit_key
from kdlib.training import devices, models, students, teachers


def study(store, section="missing_class"):
    return kdlib.open_study(section, {}, dataset="digits", profile="smoke", seeds=1, store=kdlib.Store(store))


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A study computed by one worker, and its tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_WORKERS", "1")
        one = study(tmp_path_factory.mktemp("computed"))
        return one, one.tables()


def test_two_workers_give_the_tables_of_one_bit_for_bit(computed, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    assert digest(study(tmp_path).tables()) == digest(computed[1])


def test_a_student_records_which_training_of_its_teacher_taught_it(computed, tmp_path):
    one = computed[0]
    taught = [unit["responses"] for unit in one.provenance().values() if unit["kind"] == "student"]
    assert {len(names) for names in taught} == {1} and len({*map(tuple, taught)}) == 2  # of the small and large teacher
    assert len({tuple(names.items()) for names in taught}) == 2  # and each was trained once
    student = one.student(one.teacher("small", 0), 9.0)
    logits = one.responses(student)
    other = logits + 1e-3
    (name, digest), (same, changed) = (
        *workers.taught_by(student, one.dataset, logits).items(),
        *workers.taught_by(student, one.dataset, other).items(),
    )
    assert name == same and digest != changed
    assert workers.taught_by(replace(student, alpha=0.0), one.dataset, logits) == {}


def test_what_is_in_the_store_is_not_computed_again(computed, monkeypatch):
    monkeypatch.setattr(teachers, "train_teacher", lambda *_: pytest.fail("a teacher was trained again"))
    monkeypatch.setattr(students, "distill_each", lambda *_: pytest.fail("a student was trained again"))
    assert digest(study(computed[0].store.root).tables()) == digest(computed[1])


def test_a_cell_computed_alone_is_the_cell_of_the_sweep(computed, tmp_path):
    whole = computed[1]["cells"]
    alone = kdlib.open_study(
        "missing_class",
        {"temperatures": [9], "missing_classes": [6]},
        profile="smoke",
        seeds=1,
        store=kdlib.Store(tmp_path / "b"),
    ).tables()["cells"]
    same = whole[(whole.temperature == 9) & (whole.missing_class == 6)].reset_index(drop=True)
    assert len(alone) == 2
    assert alone.equals(same)


def test_a_damaged_measure_of_a_student_is_computed_again(tmp_path):
    own = study(tmp_path)
    student = own.student(own.teacher("small", 0), 9)

    def measure() -> torch.Tensor:
        return own.measure_students("gradient_norms", [student], gradient_norms)[0]["soft"]

    first = measure()
    [path] = (tmp_path / "measure").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 255]))
    assert torch.equal(measure(), first)


def test_a_student_of_hard_labels_or_of_uniform_soft_ones_is_the_same_without_its_teacher(tmp_path):
    def students(own):
        hard = own.student(own.teacher("small", 0), 9, network="baseline_student", alpha=0.0)
        uniform = replace(hard, alpha=0.9, logit_scale=0.0)
        return [hard, uniform, replace(hard, examples_per_class=10, selection="random")]

    without = study(tmp_path / "a")
    alone = without.student_results(students(without))
    assert not (tmp_path / "a" / "teacher").exists() or not list((tmp_path / "a" / "teacher").iterdir())
    taught = study(tmp_path / "b")
    taught.train_teachers([taught.teacher("small", 0)])
    for one, other in zip(alone, taught.student_results(students(taught)), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    chosen = replace(students(without)[0], examples_per_class=10)  # by its teacher's entropy
    assert chosen.needs_responses and not any(s.needs_responses for s in students(without))


def taught_by_a_system(**changes):
    """Changes to a student that a system of a reader's own teaches, registered here."""
    parameters = (kdlib.Parameter("weight", 1.0, "me", of="total"), kdlib.Parameter("hard", 0.1, "me", of="total"))
    about = {"title": "t", "reference": "r", "kind": "B", "main": "weight", "grid": (1.0,), "verified": "nothing"}
    kdlib.register_system(kdlib.System(name="mine", parameters=parameters, **about, **changes))
    return {"system": "mine"}


REFUSED = {
    "temperature": (lambda: {"temperature": 0.0}, "temperature must be positive and finite, got 0.0"),
    "nan": (lambda: {"temperature": math.nan}, "temperature must be positive and finite, got nan"),
    "epoch": (lambda: {"teacher_epoch": 99}, "teacher_epoch 99 cannot be used; allowed: a whole number from 1 to 2"),
    "epoch as text": (lambda: {"teacher_epoch": "a"}, "teacher_epoch 'a' cannot be used"),
    "half of an epoch": (lambda: {"epochs": np.float64(1.5)}, "epochs 1.5 cannot be used; allowed: a whole number"),
    "one for each student": (
        lambda: taught_by_a_system(loss=lambda z, v, y, *, temperature: (z - v).square().mean(-1)),
        r"the loss of your system 'mine' must give .* it gave \[2\]",
    ),
    "one for all": (
        lambda: taught_by_a_system(loss=lambda z, v, y, *, temperature: (z - v).square().mean()),
        r"the loss of your system 'mine' must give .* it gave \[\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_student_that_cannot_be_trained_is_refused_before_its_teacher_is_trained(case, tmp_path, monkeypatch):
    monkeypatch.setattr(teachers, "train_teacher", lambda *_: pytest.fail("a teacher was trained"))
    changes, message = REFUSED[case]
    own = study(tmp_path)
    student = replace(own.student(own.teacher("large", 0), 9), **changes())
    for ask in (own.student_results, lambda wanted: own.measure_students("gradient_norms", wanted, gradient_norms)):
        with pytest.raises(kdlib.InputError, match=message):
            ask([student])
        with pytest.raises(kdlib.InputError, match="a student's configuration is needed, such as"):
            ask(["student"])


def test_sections_share_their_teachers(tmp_path):
    units = [set(), set()]
    for used, section in zip(units, ("entropy", "missing_class"), strict=True):
        one = study(tmp_path, section)
        one.tables()
        used |= {key for key, about in one.used.items() if about["kind"] in ("teacher", "measure")}
    assert units[0] & units[1]
    assert len(list((tmp_path / "teacher").iterdir())) == 2


def test_a_projection_can_be_made_where_the_teachers_are_not(tmp_path, monkeypatch):
    there = study(tmp_path / "there", "penultimate_layer")
    tables = digest(there.tables())
    here = study(tmp_path / "here", "penultimate_layer")
    for file in there.store.export(tmp_path / "sent", 2**20):
        here.store.import_file(file)
    monkeypatch.setattr(teachers, "train_teacher", lambda *_: pytest.fail("a teacher was trained"))
    assert digest(here.tables()) == tables
    for _, _, _, teacher, epoch in penultimate_layer.settings(here, 0):
        turned = penultimate_layer._turned_activations(here, teacher, epoch).double()
        whole = penultimate_layer._activations(there, teacher, epoch).double()
        assert turned.shape[1] <= len(whole)
        assert torch.allclose(torch.cdist(turned, turned), torch.cdist(whole, whole), atol=1e-4)
    assert len(present.umap_points(here)) == sum(len(penultimate_layer.shown_members(here)) for _ in range(4))


def test_every_unit_says_what_it_opened_the_test_split_for(computed):
    opened = {(about["kind"], tuple(about["test_openings"])) for about in computed[0].provenance().values()}
    assert opened == {
        ("student", ("student: confusion matrix of the trained student",)),
        ("teacher", ("teacher: accuracy and responses at the last epoch",)),
        ("measure", ("entropy: accuracy of the teachers, confidence on the shown class",)),
    }


@pytest.mark.parametrize("count", ["1", "2"])
def test_every_unit_says_at_which_commit_and_by_which_rules_it_was_computed(count, tmp_path, monkeypatch):
    """Whichever process computed it: of one section and of all, since another may use it."""
    monkeypatch.setenv("KDLIB_WORKERS", count)
    monkeypatch.setenv("KDLIB_COMMIT", "0123abc")
    devices._commit.cache_clear()
    own = study(tmp_path)
    get_reusable_executor().shutdown()  # workers of another test know another commit
    tables = own.tables()
    get_reusable_executor().shutdown()
    devices._commit.cache_clear()
    said = [from_bytes(path.read_bytes()) for path in own.store.paths()]
    assert {unit.kind for unit in said} >= {"teacher", "student"}
    assert all(unit.provenance["rules"] == rules.digests() for unit in said)
    assert {unit.provenance["commit"] for unit in said} == {"0123abc"}
    assert set(rules.digests()) == set(kdlib.sections.SECTIONS)
    content = record(own, tables).content
    assert content["rules"] == rules.digests()["missing_class"]
    assert content["cost"]["computed_by"] == [
        {"commit": "0123abc", "rules": content["rules"], "units": len(content["units"])}
    ]


def test_what_a_teacher_takes_in_the_store_is_known_beforehand_and_nothing_is_needed_of_what_is_stored(
    tmp_path, monkeypatch
):
    one = study(tmp_path)
    teacher = one.teacher("large", 0)
    run = one.teacher_result(teacher)
    counted = [value for name, value in run.items() if "logits" in name or name.startswith("weights/")]
    assert teachers.stored_bytes(teacher, one.dataset) == sum(4 * value.numel() for value in counted)
    needed = []
    monkeypatch.setattr(kdlib.Store, "check_room", lambda self, size: needed.append(size))
    study(tmp_path).tables()
    study(tmp_path)
    assert needed[0] > 64 * 2**20 > 2**20 == needed[1]


def test_a_study_can_be_copied_and_sent_to_another_process(computed):
    one, expected = computed
    assert digest(copy.deepcopy(one).tables()) == digest(pickle.loads(pickle.dumps(one)).tables()) == digest(expected)


def test_a_store_that_can_only_be_read_shows_what_it_holds_and_refuses_the_rest_before_any_work(computed, monkeypatch):
    """Such as a teacher's, which a class shares."""
    one, expected = computed

    def refuse(path, content):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != one.store.root)
    monkeypatch.setattr(paths, "write_whole", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert digest(study(one.store.root).tables()) == digest(expected)
    assert not list(one.store.root.glob("*/*.lock"))
    with pytest.raises(kdlib.InputError, match=r"cannot take the results \(Permission denied\)"):
        kdlib.open_study("missing_class", {}, profile="smoke", seeds=1, temperatures=[5], store=one.store)


def test_a_killed_worker_costs_what_it_had_in_hand_and_the_rest_goes_on(computed, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    one = study(tmp_path)
    train, killed = one._parallel, []

    def kill_one(task, arguments, title):
        if arguments and not killed:
            killed.append(title)
            train(task, arguments[:1], title)
            train(_die, [0, 1], title)
        train(task, arguments, title)

    monkeypatch.setattr(one, "_parallel", kill_one)
    assert digest(one.tables()) == digest(computed[1])
    assert killed and "a worker was killed; going on with what the store lacks" in capfd.readouterr().err


@pytest.mark.long
def test_workers_that_are_killed_again_and_again_are_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    one = study(tmp_path)
    parallel = one._parallel
    monkeypatch.setattr(one, "_parallel", lambda task, arguments, title: parallel(_die, [0, 1], title))
    with pytest.raises(kdlib.StoreError, match="workers were killed 3 times.*KDLIB_WORKERS to fewer"):
        one.tables()


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_live_on_although_they_keep_freed_memory(tmp_path, monkeypatch):
    def task(*arguments: object) -> None:
        os.kept = [*getattr(os, "kept", []), bytearray(b"1") * (400 << 20)]  # of the process: a task comes pickled
        (tmp_path / f"{os.getpid()}-{arguments[-1]}").touch()
        time.sleep(1.2)  # joblib looks every second

    monkeypatch.setenv("KDLIB_WORKERS", "2")
    study(tmp_path / "store")._parallel(task, list(range(6)), "tasks")
    assert len({path.name.partition("-")[0] for path in tmp_path.glob("*-?")}) == 2


def test_a_worker_reads_the_data_set_once_for_all_its_tasks(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    log = tmp_path / "read"
    log.mkdir()

    def load(root):
        (log / f"{os.getpid()}.{time.monotonic_ns()}").touch()
        return registry.find_source("digits").load(root)

    monkeypatch.setitem(registry._sources, "logged", registry.Source(load, title="logged"))
    kdlib.open_study("missing_class", {}, dataset="logged", profile="smoke", store=kdlib.Store(tmp_path / "s")).tables()
    readers = [path.name.partition(".")[0] for path in log.iterdir()]
    assert len(readers) == len(set(readers)) <= 3


def test_a_worker_takes_no_data_set_for_another_of_the_same_content(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    monkeypatch.setitem(registry._sources, "copied", registry.Source(registry.find_source("digits").load, title="copy"))
    for name in ("digits", "copied"):
        one = kdlib.open_study("missing_class", {}, dataset=name, profile="smoke", store=kdlib.Store(tmp_path / name))
        teachers = [one.teacher(capacity, 0) for capacity in ("small", "large")]
        one.train_teachers(teachers)
        assert all(one.is_stored(teacher) for teacher in teachers)


def test_a_network_registered_here_alone_is_trained_in_workers_and_is_part_of_what_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_networks", {})
    one = study(tmp_path)
    teacher = replace(one.teacher("small", 0), network="narrow")
    keys = set()
    for width in (4, 6):
        kdlib.register_network("narrow", kdlib.Architecture(widths=(width,)))
        monkeypatch.setenv("KDLIB_WORKERS", "2")
        one.train_teachers([teacher, replace(teacher, seed=1)])
        assert one.teacher_result(teacher)["weights/2/features.0.weight"].shape[0] == width
        keys.add(unit_key("teacher", teacher.config(one.dataset)))
    assert len(keys) == 2


def test_a_plug_ins_network_is_trained_in_workers_that_import_it_by_themselves(tmp_path, monkeypatch):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "mine.py").write_text("import kdlib\nkdlib.register_network('narrow', kdlib.Architecture((4,)))")
    monkeypatch.setenv("KDLIB_PLUGINS", str(folder))
    one = study(tmp_path / "store")
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    wanted = [replace(one.teacher("small", 0), network="narrow", seed=seed) for seed in (0, 1)]
    one.train_teachers(wanted)
    assert all(map(one.is_stored, wanted)) and models.registered_networks() == {}
    kdlib.register_network("narrow", kdlib.Architecture((6,)))  # in its place, here alone
    assert models.registered_networks() == {"narrow": kdlib.Architecture((6,))}


def test_identities_of_the_networks_of_table_7_do_not_depend_on_this(tmp_path):
    one = study(tmp_path)
    config = one.student(one.teacher("small", 0), 9).config(one.dataset)
    assert "architecture" not in config and "architecture" not in config["teacher"]


@pytest.mark.parametrize("name", ["small_teacher", "assistant"])
def test_a_role_cannot_be_registered_as_a_network(name):
    with pytest.raises(kdlib.InputError, match="that is a role; choose another name"):
        kdlib.register_network(name, kdlib.Architecture())


def test_a_student_is_trained_from_responses_that_were_kept_without_their_teacher(tmp_path):
    """In bf16 they take half of the room, and the student is the same bit for bit."""
    small = {"profile": "smoke", "seeds": 1, "temperatures": [9], "missing_classes": [0], "precision": "bf16"}
    whole, bare = kdlib.Store(tmp_path / "whole"), kdlib.Store(tmp_path / "bare")
    results = []
    for place in (whole, bare):
        study = kdlib.open_study("missing_class", small, store=place)
        teacher = study.teacher("small", 0)
        if place is whole:
            study.train_teachers([teacher])
            kept = workers.store_responses(whole, whole.get("teacher", teacher.config(study.dataset)), teacher.epochs)
            assert kept.tensors["logits"].dtype == torch.bfloat16
            bare.put(kept)
        results += study.student_results([study.student(teacher, 9, missing_class=0)])
    assert not list((tmp_path / "bare").glob("teacher/*"))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_an_export_with_responses_trains_further_students_elsewhere_without_training_their_teacher(
    tmp_path, monkeypatch
):
    small = {"profile": "smoke", "seeds": 1, "temperatures": [9], "missing_classes": [0]}
    whole, elsewhere = kdlib.Store(tmp_path / "whole"), kdlib.Store(tmp_path / "elsewhere")
    study = kdlib.open_study("missing_class", small, store=whole)
    student = study.student(study.teacher("small", 0), 9, missing_class=0)
    [there] = study.student_results([student])
    workers.store_last_responses(whole)
    workers.store_last_responses(whole)  # once is enough
    assert len([path for path in whole.paths() if path.parent.name == "responses"]) == 1
    for path in (whole.root / "student").iterdir():
        path.unlink()
    [file] = whole.export(tmp_path / "sent", part_bytes=2**30)
    elsewhere.import_file(file)
    monkeypatch.setattr(teachers, "train_teacher", lambda *_: pytest.fail("a teacher was trained again"))
    monkeypatch.setenv("KDLIB_WORKERS", "1")
    [here] = kdlib.open_study("missing_class", small, store=elsewhere).student_results([student])
    assert all(torch.equal(there[name], here[name]) for name in there)


@pytest.mark.parametrize(
    ("held_out", "tested", "said"),
    [
        (
            1,
            1,
            [
                "1 validation example in the",
                "1 test example in the smallest class: accuracy on it moves in steps of 100",
            ],
        ),
        (
            0,
            4,
            [
                "0 validation examples in the",
                "4 test examples in the smallest class: accuracy on it moves in steps of 25",
            ],
        ),
        (2, 10, []),
    ],
)
def test_a_class_with_few_held_out_examples_is_named_with_what_that_means(held_out, tested, said):
    labels = torch.tensor([0] * held_out + [1] * 5)
    few = SimpleNamespace(
        readings=[],
        labels=labels,
        validation=torch.arange(len(labels)),
        smallest_test_class=tested,
        shape=(1, 8, 8),
        classes=3,
        seen_in_training=0,
    )
    assert [note[: len(words)] for note, words in zip(limits(few), said, strict=True)] == said


@pytest.mark.parametrize("seen", [0, 3])
def test_validation_images_that_are_as_good_as_in_training_are_counted(seen):
    own = SimpleNamespace(
        readings=[],
        labels=torch.arange(40) % 2,
        validation=torch.arange(30, 40),
        smallest_test_class=20,
        shape=(1, 8, 8),
        classes=3,
        seen_in_training=seen,
    )
    said = [f"{seen} of 10 validation images equal a training image or are of its group"] * bool(seen)
    assert [note[: len(words)] for note, words in zip(limits(own), said, strict=True)] == said


@pytest.mark.parametrize(("classes", "named"), [(2, True), (3, False)])
def test_of_two_classes_it_is_said_that_none_is_like_another(classes, named):
    own = SimpleNamespace(
        readings=[],
        labels=torch.arange(60) % classes,
        validation=torch.arange(30, 60),
        smallest_test_class=20,
        shape=(1, 8, 8),
        classes=classes,
        seen_in_training=0,
    )
    assert any(note.startswith("two classes: ") for note in limits(own)) == named


def test_a_study_is_asked_for_what_it_has_in_one_line(tmp_path):
    here = kdlib.open_study("entropy", {"profile": "smoke"}, store=str(tmp_path))
    teacher = here.teacher("small", 0)
    for ask, message in (
        (lambda: here.teacher("big", 0), "capacity 'big' cannot be used; allowed: small, large"),
        (lambda: here.student(teacher, "warm"), "temperature must be positive and finite, got 'warm'"),
        (lambda: here.student_results(here.student(teacher, 9)), "a list of students is needed"),
    ):
        with pytest.raises(kdlib.InputError, match=message):
            ask()
    assert not here.is_stored(teacher)


def test_no_stand_in_is_called_no_teacher_of_the_readers_own(tmp_path):
    with pytest.raises(kdlib.InputError, match="^unknown parameter large_teacher; allowed: dataset"):
        kdlib.open_study("penultimate_layer", {"profile": "smoke", "large_teacher": None}, store=tmp_path)
