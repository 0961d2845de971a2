"""A deadline holds, whether estimates are right or wrong, and costs nothing that is stored."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdlib
from kdlib.claims import headlines
from kdlib.sections import SECTIONS, order
from kdlib.sections.sweet_spot.experiment import search_cells
from kdlib.study import plan, workers
from kdlib.study.checks import duration
from kdlib.study.deadline import Deadline, OutOfTime, Queue

SMALL = {"profile": "smoke", "teacher_epochs": 1, "student_epochs": 1, "temperatures": [9], "missing_classes": [0]}


def study(section="missing_class", **given):
    own = {name: value for name, value in (SMALL | given).items() if name in SECTIONS[section].parameters}
    return kdlib.open_study(section, own)


@given(hours=st.integers(0, 30), minutes=st.integers(0, 90), seconds=st.integers(0, 200))
def test_a_duration_is_the_sum_of_its_parts(hours, minutes, seconds):
    total = 3600 * hours + 60 * minutes + seconds
    text = "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n)
    if total:
        assert duration(text) == total


@pytest.mark.parametrize(
    "text", ["", "8", "8 m", "m", "0s", "-5m", "1.5h", "30m1h", "8m!", "eight minutes", "10001h", 40 * "9" + "s", "²s"]
)
def test_what_is_no_duration_is_one_clear_line(text):
    with pytest.raises(kdlib.InputError, match=r"is no duration; allowed: .* such as 90s, 8m or 1h30m, to 10000h$"):
        duration(text)


def test_what_is_expected_of_a_task_follows_what_its_kind_took():
    deadline = Deadline(100)
    assert deadline.expected("students", 10) == 10 and deadline.expected("entropy", 0) == 0
    deadline.learn("students", 10, 30)
    deadline.learn("students", 10, 10)
    deadline.learn("entropy", 0, 6)
    assert deadline.expected("students", 10) == 20 and deadline.expected("teachers", 10) == 10
    assert deadline.expected("entropy", 0) == 6
    assert deadline.allows("students", 49) and not deadline.allows("students", 51)


def test_a_queue_passes_over_what_is_too_long_and_says_that_something_is_left():
    queue = Queue(Deadline(100), "students", [10, 1000, 20])
    assert list(queue) == [0, 2]
    with pytest.raises(OutOfTime):
        queue.check_all_begun()
    everything = Queue(None, "students", [10, 1000, 20])
    assert list(everything) == [0, 1, 2]
    everything.check_all_begun()


def test_after_the_end_nothing_is_begun():
    assert list(Queue(Deadline(0), "students", [0.0])) == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_unit_that_would_not_end_in_time_is_not_begun(count):
    one = study(seeds=1)
    one.workers, one.deadline = count, Deadline(1000)
    one.cost = lambda unit: 1.0 if unit == one.teacher("small", 0) else 2000.0
    begun = time.monotonic()
    with pytest.raises(OutOfTime):
        one.train_teachers([one.teacher("large", 0), one.teacher("small", 0)])
    assert [one.is_stored(one.teacher(name, 0)) for name in ("small", "large")] == [True, False]
    assert time.monotonic() - begun < 1000


def test_what_runs_at_the_end_is_stopped_and_what_is_stored_stays(monkeypatch):
    """Also while a unit is read: it is not taken for a damaged one, and removed."""
    one = study(seeds=1)
    teacher = one.teacher("small", 0)
    one.train_teachers([teacher])
    monkeypatch.setattr("kdlib.study.store._checksum", lambda *_: time.sleep(60))
    deadline, begun = Deadline(0.3), time.monotonic()
    with pytest.raises(OutOfTime), deadline.enforced():
        one.store.get("teacher", teacher.config(one.dataset))
    assert time.monotonic() - begun < 30
    monkeypatch.undo()
    assert one.is_stored(teacher)


def test_workers_that_are_busy_at_the_end_are_stopped():
    one = study(seeds=1)
    one.workers = 2
    deadline, begun = Deadline(4), time.monotonic()
    with pytest.raises(OutOfTime), deadline.enforced():
        one._parallel(_sleep, [0, 1], "tasks")
    assert time.monotonic() - begun < 60


def _sleep(*_):
    time.sleep(120)


def test_a_group_reads_each_teachers_run_once(monkeypatch):
    one = study("sweet_spot", seeds=1, sweet_spot_epochs=2, teacher_epochs=2)
    group = [student for _, student in search_cells(one, "general_student")]
    one.train_teachers({s.teacher for s in group})
    expected = [workers.responses(one.store, one.dataset, s) for s in group]
    read, get = [], one.store.get
    monkeypatch.setattr(one.store, "get", lambda kind, config: read.append(kind) or get(kind, config))
    found = workers.responses_of_each(one.store, one.dataset, group)
    assert len({s.teacher for s in group}) < len(group) and read == ["teacher"] * len({s.teacher for s in group})
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


# The order of value.


def studies(*sections, **given):
    return [study(section, **given) for section in sections]


def test_headlines_come_first_then_what_is_undecided_and_of_each_the_first_seeds(monkeypatch):
    sections = ("penultimate_layer", "entropy", "missing_class")
    monkeypatch.setattr(order, "HEADLINES", {"one": headlines.Statement(("missing-mnist",))})
    monkeypatch.setattr(order, "published_undecided", lambda dataset: {"entropy-order"})
    found = [(s.reason, s.seeds, s.section) for s in order.stages(studies(*sections))]
    assert found == [
        *[("headline", seeds, "missing_class") for seeds in (1, 2)],
        *[("undecided", seeds, "entropy") for seeds in (1, 2)],
        *[("rest", seeds, "penultimate_layer") for seeds in (1, 2)],
    ]


def test_of_one_seed_sections_come_first_that_need_fewer_students_for_a_claim():
    sections = ("rival_explanations", "missing_class", "entropy")
    found = [(s.seeds, s.section) for s in order.stages(studies(*sections))]
    assert found == [(seeds, section) for seeds in (1, 2) for section in reversed(sections)]


def test_every_headline_is_a_claim_that_some_section_decides():
    known = {claim.id for claim in kdlib.load_claims()}
    assert {claim for statement in headlines.HEADLINES.values() for claim in statement.claims} <= known


def test_what_is_published_says_which_claims_are_undecided():
    """As the scoreboard does, from the tables alone: a data set without any has no verdict yet."""
    undecided = order.published_undecided("mnist")
    assert undecided and undecided < order.published_undecided("digits")


def test_once_a_stage_is_done_a_page_with_so_many_seeds_trains_nothing_more():
    [whole] = studies("sweet_spot", seeds=2)
    stages = order.stages([whole])
    stages[0].study(whole).tables()
    first = study("sweet_spot", seeds=1)
    assert order.lacking(first) == ([], []) and plan.missing_by_section([first]) == [([], [])]
    assert any(order.lacking(whole))


def test_in_order_of_value_everything_is_computed_that_time_allows_and_a_later_call_goes_on():
    whole = studies("missing_class", "entropy")
    done = []
    order.compute_within(whole, order.stages(whole), Deadline(-1), done.append)
    assert done == [] and not any(whole[0].store.paths())
    order.compute_within(whole, order.stages(whole), Deadline(3600), done.append)
    assert done == order.stages(whole) and order.left(whole) == ""
    assert set(plan.compare_estimates(whole)) == set()  # the order needs estimates, and keeps none for `plan`
