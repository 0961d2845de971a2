"""A study's students by distillation systems: who teaches them, what is trained for them, and what that costs."""

from dataclasses import replace

import pytest
import torch

import kdlib
from kdlib import InputError, Parameter, System, Teacher, register_system
from kdlib.sections.rival_explanations import experiment as rival_explanations
from kdlib.study import workers
from kdlib.study.plan import missing_by_section
from kdlib.training.systems.registry import systems

from ..conftest import command_line

TEMPERATURE = 4.0


@pytest.fixture
def study(tmp_path):
    settings = {"profile": "smoke", "seeds": 1, "teacher_epochs": 2, "student_epochs": 1}
    return kdlib.open_study("missing_class", settings, dataset="digits", store=kdlib.Store(tmp_path))


def test_every_system_trains_a_student_from_what_the_store_lacks_and_then_lacks_nothing(study, monkeypatch):
    teacher = study.teacher("large", 0)
    wanted = [study.student(teacher, TEMPERATURE, system=name) for name in systems()]
    results = study.student_results(wanted)
    for student, result in zip(wanted, results, strict=True):
        assert result["confusion"].sum() == study.dataset.test_size and study.is_stored(student)
        assert student.system == "rbkd" or student.config(study.dataset)["system"] == student.system
    monkeypatch.setattr(study, "_compute_missing", lambda *_: pytest.fail("something was trained again"))
    again = study.student_results(wanted)
    assert all(torch.equal(a["confusion"], b["confusion"]) for a, b in zip(results, again, strict=True))


def test_a_system_that_only_changes_who_teaches_has_students_of_equation_4(study):
    teacher = study.teacher("large", 0)
    taught = {name: study.student(teacher, TEMPERATURE, system=name) for name, s in systems().items() if s.path}
    assert all(student.system == "rbkd" and not student.parameters for student in taught.values())
    assert taught["half_way_checkpoint"] == study.student(teacher, TEMPERATURE, epoch=1)
    assert taught["takd"].teacher.taught_by == teacher
    assert taught["tfkd_self"].teacher.network == "general_student"
    assert taught["class_distance"].teacher.class_distance == 0.1
    assert taught["mcmi"].teacher.continues == teacher and taught["mcmi"].teacher.information == -0.15


@pytest.mark.parametrize(
    ("name", "parameters"), [("takd", {}), ("takd", {"assistants": 2}), ("mcmi", {}), ("class_distance", {})]
)
def test_a_teacher_that_a_system_makes_goes_on_from_the_epoch_that_teaches_and_not_from_a_later_one(
    name, parameters, study
):
    def behind(teacher: Teacher) -> list[Teacher]:
        return [teacher, *(one for before in teacher.builds_on for one in behind(before))]

    long = study.teacher("large", 0)
    short = replace(long, epochs=1, kept_epochs=(1,), checkpoints=(1,))
    found = study.student(long, TEMPERATURE, 1, system=name, parameters=parameters)
    assert found == study.student(short, TEMPERATURE, system=name, parameters=parameters)
    assert long not in behind(found.teacher) and set(behind(found.teacher)) <= set(study.teachers)


@pytest.mark.parametrize("name", ["takd", "mcmi", "class_distance", "tfkd_self"])
def test_no_teacher_is_made_of_an_epoch_that_its_training_does_not_reach(name, study):
    with pytest.raises(InputError, match="the epoch that teaches.*3"):
        study.student(study.teacher("large", 0), TEMPERATURE, 3, system=name)


@pytest.mark.parametrize(("name", "parameters"), [("half_way_checkpoint", {}), ("takd", {"assistants": 0})])
def test_where_the_teacher_itself_teaches_its_own_run_is_taken_whatever_the_epoch(name, parameters, study):
    teacher = study.teacher("large", 0)
    assert study.student(teacher, TEMPERATURE, 1, system=name, parameters=parameters).teacher == teacher


def test_a_teacher_that_a_system_makes_keeps_the_responses_of_the_epoch_that_teaches_alone(study):
    teacher = study.teacher("large", 0)
    for name in systems():
        student = study.student(teacher, TEMPERATURE, system=name)
        if student.teacher != teacher:
            assert student.teacher.epochs_with_responses == (student.teacher_epoch,) == (student.teacher.epochs,), name
    early = study.student(teacher, TEMPERATURE, 1, system="class_distance")
    assert (early.teacher.epochs, early.teacher_epoch) == (1, 1)


def test_a_students_copy_of_itself_is_trained_as_the_student_is(study):
    start = study.teacher("large", 0)
    student = study.student(start, TEMPERATURE, system="tfkd_self", epochs=3, batch_size=16, learning_rate=1e-2)
    first = student.teacher
    assert (first.network, first.seed, student.teacher_epoch) == (student.network, start.seed, 3)
    for name in ("epochs", "batch_size", "learning_rate", "precision"):
        assert getattr(first, name) == getattr(student, name)


def test_the_parameters_of_a_path_are_given_as_any_others(study):
    teacher = study.teacher("large", 0)
    twice = study.student(teacher, TEMPERATURE, system="takd", parameters={"assistants": 2}).teacher
    assert (twice.network, twice.taught_by.network) == ("second_assistant", "assistant")
    assert twice.taught_by.taught_by == teacher
    direct = study.student(teacher, TEMPERATURE, system="takd", parameters={"assistants": 0})
    assert direct == study.student(teacher, TEMPERATURE)
    strong = study.student(teacher, TEMPERATURE, system="class_distance", parameters={"distance": 1.0})
    assert strong.teacher.class_distance == 1.0
    tuned = study.student(teacher, TEMPERATURE, system="dkd", parameters={"beta": 2.0})
    assert tuned.parameters == (("beta", 2.0),)
    with pytest.raises(InputError, match="takd: assistants=3 cannot be used; allowed: a number from 0 to 2"):
        study.student(teacher, TEMPERATURE, system="takd", parameters={"assistants": 3})
    with pytest.raises(InputError, match="unknown system 'kd2'"):
        study.student(teacher, TEMPERATURE, system="kd2")


def test_takds_assistant_is_that_of_the_rival_explanations(study):
    found = study.student(study.teacher("large", 0), rival_explanations.TEMPERATURE, system="takd")
    assert found == rival_explanations._through(study, rival_explanations._assistant(study, 0))


def test_an_assistant_is_trained_from_stored_responses_without_its_teacher(study, tmp_path):
    student = study.student(study.teacher("large", 0), TEMPERATURE, system="takd")
    result = study.student_results([student])[0]
    above = student.teacher.taught_by
    sent = workers.store_responses(study.store, study.store.get("teacher", above.config(study.dataset)), above.epochs)
    home = type(study)(study.definition, study.settings, study.dataset, kdlib.Store(tmp_path / "home"), {}, [])
    assert home.lacking_teachers([student.teacher]) == [above, student.teacher]
    home.store.put(sent)
    assert home.lacking_teachers([student.teacher]) == [student.teacher]
    assert torch.equal(home.student_results([student])[0]["confusion"], result["confusion"])
    assert not home.is_stored(above) and home.is_stored(student.teacher)


def test_snapshots_are_the_mean_of_the_logits_after_their_epochs(study):
    teacher = study.teacher("large", 0)
    student = study.student(teacher, TEMPERATURE, system="snapshots", parameters={"snapshots": 2})
    assert student.response_epochs == (1, 2)
    run = study.teacher_result(teacher)
    assert torch.equal(study.responses(student), run["logits"].mean(0))
    one = study.student(teacher, TEMPERATURE, system="snapshots", parameters={"snapshots": 1})
    assert torch.equal(study.responses(one), run["logits"][-1])


def test_what_a_system_costs_is_told_with_the_teachers_training_and_without_it(study):
    teacher = study.teacher("large", 0)
    for name, own in (("dkd", False), ("label_smoothing", True), ("takd", False), ("tfkd_self", True)):
        cost = study.operations(study.student(teacher, TEMPERATURE, system=name), given=[teacher])
        assert (cost["total"] == cost["given_teacher"]) == own, name
    dkd, takd = (study.operations(study.student(teacher, TEMPERATURE, system=n), [teacher]) for n in ("dkd", "takd"))
    assert takd["given_teacher"] > dkd["given_teacher"]


def test_what_is_planned_for_a_system_includes_all_that_its_teacher_builds_on(study):
    teacher = study.teacher("large", 0)
    student = study.student(teacher, TEMPERATURE, system="takd", parameters={"assistants": 2})
    second, first = student.teacher, student.teacher.taught_by
    study.definition = replace(study.definition, units=lambda study: ([], [student]))
    assert missing_by_section([study]) == [([teacher, first, second], [student])]
    study.train_teachers([first])
    assert missing_by_section([study]) == [([second], [student])]
    study.student_results([student])
    assert missing_by_section([study]) == [([], [])]


def test_a_system_registered_here_alone_is_trained_in_workers(study, monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    register_system(
        System(
            name="squares",
            title="Squared differences",
            reference="bucila2006compression",
            kind="B",
            loss=lambda z, v, y, *, temperature: (z - v).square().sum(-1, keepdim=True),
            parameters=(Parameter("weight", 1.0, "this test", of="total"), Parameter("hard", 0.0, "it", of="total")),
            main="weight",
            grid=(0.5, 1.0, 2.0),
            verified="nothing",
        )
    )
    teacher = study.teacher("small", 0)
    wanted = [study.student(teacher, 4.0, system="squares", epochs=epochs) for epochs in (1, 2)]  # two tasks
    assert all(r["confusion"].sum() == study.dataset.test_size for r in study.student_results(wanted))


PLUGIN = """
import kdlib

LOG = open(__file__)  # which no process can give to another


def squares(z, v, y, *, temperature):
    return (z - v).square().sum(-1, keepdim=True) * (LOG.closed + 1)


kdlib.register_system(
    kdlib.System(
        name="squares_of_mine",
        title="Squared differences",
        reference="mine",
        kind="B",
        loss=squares,
        parameters=(kdlib.Parameter("weight", 1.0, "me", of="total"), kdlib.Parameter("hard", 0.0, "me", of="total")),
        main="weight",
        grid=(0.5, 1.0, 2.0),
        verified="nothing",
    )
)
"""


def test_a_plug_ins_system_is_listed_and_trained_in_workers_that_import_it_by_themselves(study, tmp_path, monkeypatch):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "my_system.py").write_text(PLUGIN)
    monkeypatch.setenv("KDLIB_PLUGINS", str(folder))
    listed = command_line("systems")
    assert listed.returncode == 0 and "squares_of_mine" in listed.stdout
    monkeypatch.setenv("KDLIB_WORKERS", "2")
    teacher = study.teacher("small", 0)
    wanted = [study.student(teacher, 4.0, system="squares_of_mine", epochs=epochs) for epochs in (1, 2)]  # two tasks
    assert all(r["confusion"].sum() == study.dataset.test_size for r in study.student_results(wanted))
