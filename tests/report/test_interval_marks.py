"""The drawing of an estimate says the same as its verdict."""

import math
import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlib.claims.intervals import Interval, ratio_interval, t_interval
from kdlib.report.interval_marks import Axis, axis_over, common_axis, interval_mark, verdict_mark

from ..claims.test_claims import APART, GREATER, LESS, RATIO, SIZED, WITHIN, claim, judge

values = st.lists(st.floats(0.1, 50), min_size=2, max_size=5)


def places(svg: str) -> dict[str, list[float]]:
    """In per cent of the width: of the interval's ends, the dot, where the claim puts it, the paper's diamond."""
    drawn = BeautifulSoup(svg, "html.parser")

    def of(selector: str, *names: str) -> list[float]:
        found = drawn.select(selector)
        return [float(part[name].rstrip("%")) for part in found for name in names]

    start, width = of(".wanted", "x"), of(".wanted", "width")
    return {
        "interval": of(".interval", "x1", "x2"),
        "edges": of(".edge", "x1"),
        "mean": of("circle", "cx"),
        "wanted": start + [a + b for a, b in zip(start, width, strict=True)],
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
@given(values, st.sampled_from([GREATER, LESS, RATIO, WITHIN]))
def test_the_interval_lies_in_the_shade_beside_it_or_across_its_edge_as_the_verdict_says(found, made_up):
    verdict, at = drawn(made_up, found if made_up is RATIO else [v - 10 for v in found])
    low, high = at["interval"] or at["mean"] * 2
    first, last = at["wanted"]
    rounding = 0.11  # of two places to a tenth of a per cent
    if verdict == "reproduced":
        assert first - rounding <= low and high <= last + rounding
    elif verdict == "contradicted":
        assert high <= first + rounding or low >= last - rounding
    elif at["interval"]:  # of equal seeds there is none
        assert any(low - rounding <= edge <= high + rounding for edge in at["edges"])


def test_of_a_difference_the_shade_lies_outside_of_the_bounds():
    verdict, at = drawn(APART, [2.0, 2.1, 1.9])
    left, right, end_of_left, end_of_right = at["wanted"]
    assert verdict == "contradicted" and (left, end_of_right) == (0, 100)
    assert end_of_left <= at["interval"][0] and at["interval"][1] <= right


def test_the_papers_size_is_drawn_where_it_gives_one():
    _, at = drawn(SIZED, [5.0, 5.1, 4.9])
    assert at["paper"] == [95.0] and at["edges"] == [5.0]
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


@pytest.mark.parametrize("found", [[2.0], [2.0, 2.0, 2.0]])
def test_where_there_is_no_interval_the_dot_is_hollow(found):
    svg = interval_mark(t_interval(found), Axis(0, 4))
    at = places(svg)
    assert at["mean"] == [50.0] and at["interval"] == [] and "class='hollow' fill='none'" in svg
    assert "hollow" not in interval_mark(t_interval([2.0, 2.1]), Axis(0, 4))


def test_the_drawing_is_hidden_from_screen_readers_and_shows_without_a_style_sheet():
    svg = interval_mark(
        ratio_interval([1.0, 2.0]), axis_over([Interval(1, 0.5, 4, 2)], [1.0], "ratio"), (1.0, math.inf)
    )
    assert re.match(r"<svg [^>]*stroke='currentColor'[^>]*aria-hidden='true'", svg)
