"""The drawing of an estimate says the same as its verdict."""

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlib.claims import judge
from kdlib.interval_marks import Axis, axis_over, common_axis, interval_mark, verdict_mark
from kdlib.measures import Interval, ratio_interval, t_interval

from .test_claims import GREATER, RATIO, SIZED, WITHIN, claim

values = st.lists(st.floats(0.1, 50), min_size=2, max_size=5)


def places(svg: str) -> dict[str, list[float]]:
    """In per cent of the width: of the interval's ends, the null value's line, the bounds, the paper's diamond."""
    drawn = BeautifulSoup(svg, "html.parser")

    def of(selector: str, *names: str) -> list[float]:
        found = drawn.select(selector)
        return [float(part[name].rstrip("%")) for part in found for name in names]

    start, width = of(".bounds", "x"), of(".bounds", "width")
    return {
        "interval": of(".interval", "x1", "x2"),
        "null": of(".null", "x1"),
        "mean": of("circle", "cx"),
        "bounds": start + [a + b for a, b in zip(start, width, strict=True)],
        "paper": of("svg.paper", "x"),
    }


def drawn(made_up, found: list[float]) -> tuple[str, dict[str, list[float]]]:
    verdict = judge(made_up, "mnist", found)
    return verdict.verdict, places(verdict_mark(made_up, verdict, common_axis([(made_up, verdict)])))


def test_an_axis_runs_from_its_lowest_to_its_highest_and_holds_what_lies_beyond_at_its_ends():
    axis = Axis(-2, 6)
    assert [axis.at(v) for v in (-2, 2, 6)] == pytest.approx([5, 50, 95])
    assert (axis.at(-9), axis.at(9)) == (axis.at(-2), axis.at(6))


def test_on_the_log_axis_the_geometric_mean_stands_in_the_middle():
    assert Axis(0.5, 8, log=True).at(2) == pytest.approx(50)


def test_one_value_alone_stands_in_the_middle():
    assert Axis(3, 3).at(3) == 50


@settings(deadline=None)  # the machine is shared
@given(values)
def test_the_line_of_no_effect_crosses_the_interval_where_the_verdict_is_undecided(found):
    for made_up in (GREATER, RATIO):
        shifted = [v - 10 for v in found] if made_up is GREATER else found
        verdict, at = drawn(made_up, shifted)
        low, high = at["interval"]
        rounding = 0.06
        if verdict == "undecided":
            assert low - rounding <= at["null"][0] <= high + rounding
        elif verdict == "reproduced":
            assert at["null"][0] <= low + rounding
        else:
            assert at["null"][0] >= high - rounding


@settings(deadline=None)  # the machine is shared
@given(values)
def test_the_interval_lies_within_the_shaded_bounds_where_the_verdict_is_reproduced(found):
    verdict, at = drawn(WITHIN, found)
    inside = at["bounds"][0] - 0.2 <= at["interval"][0] and at["interval"][1] <= at["bounds"][1] + 0.2
    assert inside or verdict != "reproduced"


def test_the_papers_size_is_drawn_where_it_gives_one():
    _, at = drawn(SIZED, [5.0, 5.1, 4.9])
    assert at["paper"] == [95.0] and at["null"] == [5.0]
    assert drawn(GREATER, [5.0, 5.1, 4.9])[1]["paper"] == []


def test_rank_correlations_share_the_axis_from_minus_one_to_one():
    ranks = claim("direction", side="greater", unit="rank correlation")
    verdict = judge(ranks, "mnist", [0.0, 0.1, 0.2])
    assert common_axis([(ranks, verdict)]) == Axis(-1, 1)


def test_nothing_is_drawn_without_an_estimate_or_where_units_differ():
    lacking = judge(GREATER, "mnist", [float("nan")])
    assert common_axis([(GREATER, lacking)]) is None and verdict_mark(GREATER, lacking, Axis(0, 1)) == ""
    two = [(made_up, judge(made_up, "mnist", [1.0, 2.0])) for made_up in (GREATER, RATIO)]
    assert common_axis(two) is None


def test_a_single_seed_is_a_dot():
    at = places(interval_mark(t_interval([2.0]), Axis(0, 4), null=0.0))
    assert at["mean"] == [50.0] and at["interval"] == [50.0, 50.0]


def test_the_drawing_is_hidden_from_screen_readers_and_shows_without_a_style_sheet():
    svg = interval_mark(ratio_interval([1.0, 2.0]), axis_over([Interval(1, 0.5, 4, 2)], [1.0], "ratio"), null=1.0)
    assert re.match(r"<svg [^>]*stroke='currentColor'[^>]*aria-hidden='true'", svg)
