"""The tests behind the verdicts against other ways to compute them, and what no rule may do, whatever its kind."""

import math
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas import DataFrame, Series
from scipy import stats

from kdlib.claims.claims import judge
from kdlib.claims.inference import (
    benjamini_hochberg,
    by_chance,
    equivalence_p,
    hierarchical_bootstrap,
    joint_p,
    logits_of_percents,
    of_blocks,
    one_order_p,
    permutation_p,
    rank_products,
    seeds_needed,
    spread_of_chosen,
    t_tails,
)
from kdlib.claims.intervals import t_interval
from kdlib.claims.registry import Statistic

from .test_claims import GREATER, LESS, RATIO, SIZED, SIZED_LESS, WITHIN, WITHIN_RATIO, claim

EVERY = claim("every", side="greater")
DIFFERENCE = claim("difference", null_value=2, margin=1)
RANKED = claim("direction", side="greater", unit="rank correlation")
ORDER = ["contradicted", "undecided", "direction only", "reproduced"]
DECIDED = {"reproduced", "direction only", "contradicted"}
SIDED = [GREATER, LESS, RATIO, SIZED, SIZED_LESS, EVERY]
seeds = st.lists(st.floats(-20, 20), min_size=2, max_size=6)


def found(made_up, values) -> Statistic:
    """Values as the statistic of a claim of any kind; ratios are their exponentials."""
    values = np.exp(np.asarray(values) / 10) if made_up.unit == "ratio" else np.asarray(values, dtype=float)
    if made_up.kind == "every":
        return Statistic(DataFrame({3: values, 9: values + 1, 20: 2 * values}))
    return Statistic(Series(values))


def verdict(made_up, values) -> str:
    return judge(made_up, "mnist", found(made_up, values)).verdict


@pytest.mark.parametrize("made_up", SIDED, ids=lambda c: f"{c.kind}-{c.side}-{c.unit}-{c.value}")
@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0, 20))
def test_moving_all_seeds_alike_to_the_claimed_side_never_makes_the_verdict_worse(made_up, values, by):
    further = [v + (by if made_up.side == "greater" else -by) for v in values]
    assert ORDER.index(verdict(made_up, further)) >= ORDER.index(verdict(made_up, values))


@pytest.mark.parametrize(
    "made_up", [*SIDED, WITHIN, WITHIN_RATIO, DIFFERENCE], ids=lambda c: f"{c.kind}-{c.side}-{c.unit}"
)
@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0, 0.999))
@example([0.0, *[1e-99] * 4], 0.0)
def test_seeds_that_agree_more_never_unmake_a_decision(made_up, values, share):
    mean = np.mean(values)
    agreeing = [mean + share * (v - mean) for v in values]
    noisy = verdict(made_up, values)
    if noisy in DECIDED:
        assert verdict(made_up, agreeing) == noisy


def ranked(orders: list[tuple[int, ...]]) -> Statistic:
    ranks = {seed: [rank_products((range(len(order)), order))] for seed, order in enumerate(orders)}
    return Statistic(Series({seed: np.trace(own[0]) for seed, own in ranks.items()}).round(12), ranks=ranks)


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 3), st.integers(2, 6))
def test_orders_nearer_to_the_claimed_one_never_make_the_verdict_worse(order, i, n):
    nearer = list(order)
    nearer[i : i + 2] = sorted(nearer[i : i + 2])
    before, after = (judge(RANKED, "mnist", ranked([o] * n)).verdict for o in (order, nearer))
    assert ORDER.index(after) >= ORDER.index(before)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.permutations(range(5)), min_size=2, max_size=5))
def test_where_noisy_seeds_reproduce_so_many_of_the_best_of_them_do(orders):
    best = max(orders, key=lambda order: np.trace(rank_products((range(5), order))))
    if judge(RANKED, "mnist", ranked(orders)).verdict == "reproduced":
        assert judge(RANKED, "mnist", ranked([best] * len(orders))).verdict == "reproduced"


def test_three_seeds_of_equal_rank_correlation_decide_as_three_that_nearly_agree():
    equal, one_less = [(0, 1, 3, 2)] * 3, [(0, 1, 3, 2)] * 2 + [(1, 0, 3, 2)]
    assert [round(float(v), 1) for v in ranked(one_less).values] == [0.8, 0.8, 0.6]
    assert (
        judge(RANKED, "mnist", ranked(equal)).verdict
        == judge(RANKED, "mnist", ranked(one_less)).verdict
        == "reproduced"
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=7, unique=True), st.floats(-5, 5))
def test_p_values_are_those_of_scipys_t_test(values, null):
    above, below = t_tails(values, null)
    if np.std(values) > 1e-6:
        assert above == pytest.approx(min(1, 2 * stats.ttest_1samp(values, null, alternative="greater").pvalue))
        assert below == pytest.approx(min(1, 2 * stats.ttest_1samp(values, null, alternative="less").pvalue))
        interval = t_interval(values)
        if min(abs(interval.low - null), abs(interval.high - null)) > 1e-6:
            assert (min(above, below) <= 0.05) == (not interval.low <= null <= interval.high)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=7, unique=True))
def test_an_equivalence_has_the_p_value_that_its_interval_implies(values):
    interval = t_interval(values)
    supports, opposes = equivalence_p(values, -3, 3)
    if min(abs(end - bound) for end in (interval.low, interval.high) for bound in (-3, 3)) > 1e-6:
        assert (supports <= 0.05) == (interval.low > -3 and interval.high < 3)
        assert (opposes <= 0.05) == (interval.high < -3 or interval.low > 3)


def test_where_nothing_is_ranked_no_order_is_unlikely():
    """As of two classes, which leave one pair."""
    assert permutation_p([[np.zeros((0, 0))], [np.zeros((0, 0))]]) == (1.0, 1.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.permutations(range(4)), min_size=1, max_size=3))
def test_the_permutation_test_is_that_of_all_orders_of_all_seeds(orders):
    found = [stats.spearmanr(range(4), order).statistic for order in orders]
    one = np.array([stats.spearmanr(range(4), order).statistic for order in permutations(range(4))])
    sums = np.array([sum(parts) for parts in product(one, repeat=len(orders))])
    above, below = permutation_p([[rank_products((range(4), order))] for order in orders])
    assert above == pytest.approx(min(1, 2 * (sums >= sum(found) - 1e-9).mean()))
    assert below == pytest.approx(min(1, 2 * (sums <= sum(found) + 1e-9).mean()))


def test_a_drawn_permutation_test_agrees_with_the_exact_one_of_rank_correlation():
    order = [5, 0, 3, 9, 1, 8, 2, 6, 11, 4, 10, 7]
    above, below = permutation_p([[rank_products((range(12), order))]])
    exact = stats.permutation_test(
        (order,),
        lambda y: stats.spearmanr(range(12), y).statistic,
        permutation_type="pairings",
        n_resamples=20000,
        rng=1,
    )
    assert min(above, below) == pytest.approx(exact.pvalue, abs=0.01)
    assert permutation_p([[rank_products((range(12), order))]]) == (above, below)


def test_a_mean_of_correlations_permutes_its_pairs_together():
    x, y, z = range(5), [1, 0, 2, 4, 3], [0, 2, 1, 3, 4]
    matrix = rank_products((x, y), (x, z))
    both = np.mean([stats.spearmanr(x, other).statistic for other in (y, z)])
    assert np.trace(matrix) == pytest.approx(both)
    order = [3, 1, 4, 0, 2]
    permuted = np.mean([stats.spearmanr([x[i] for i in order], other).statistic for other in (y, z)])
    assert matrix[np.arange(5), order].sum() == pytest.approx(permuted)


def test_too_few_numbers_or_constant_ones_have_no_rank_correlation():
    assert np.isnan(rank_products(([1, 2], [1, 2]))).all()
    assert np.isnan(rank_products(([1, 2, 3], [4, 4, 4]))).all()


def test_blocks_are_permuted_whole():
    x, y = np.arange(12), np.random.default_rng(0).permutation(12)
    blocks = of_blocks(rank_products((x, y)), 4)
    order = [2, 0, 3, 1]
    moved = x.reshape(4, 3)[order].ravel()
    assert blocks[np.arange(4), order].sum() == pytest.approx(stats.spearmanr(moved, y).statistic)


def in_blocks(order: tuple[int, ...], far: float = 3) -> np.ndarray:
    """Matrix of blocks of three numbers that are so far from each other: blocks in this order, numbers backwards."""
    x = np.array([far * block + number for block in range(len(order)) for number in (0, 1, 2)])
    y = np.array([far * block + number for block in order for number in (2, 1, 0)])
    return of_blocks(rank_products((x, y)), len(order))


@pytest.mark.parametrize(
    "matrix", [rank_products((range(5), (1, 0, 2, 4, 3))), in_blocks((1, 0, 3, 2)), np.array([[0.3]]), np.zeros((0, 0))]
)
def test_the_trace_has_the_mean_and_the_variance_of_all_orders(matrix):
    n = len(matrix)
    traces = [matrix[np.arange(n), list(order)].sum() for order in permutations(range(n))]
    assert by_chance(matrix) == pytest.approx((np.mean(traces), np.var(traces)))


def alike(matrix: np.ndarray, seeds: int) -> Statistic:
    return Statistic(Series([np.trace(matrix)] * seeds), ranks={seed: [matrix] for seed in range(seeds)})


@pytest.mark.parametrize(("order", "far"), [((4, 1, 2, 0, 3), 3), ((0, 2, 3, 4, 1), 3), ((1, 3, 2, 0), 0.01)])
def test_so_many_seeds_of_one_order_of_blocks_decide_as_are_said_to(order, far):
    matrix = in_blocks(order, far)
    needed = judge(RANKED, "mnist", alike(matrix, 2)).seeds_needed
    few, enough = (judge(RANKED, "mnist", alike(matrix, needed + more)).verdict for more in (-3, 3))
    assert few == "undecided" and enough in DECIDED


def test_where_other_seeds_and_other_orders_point_to_different_sides_no_number_of_seeds_decides():
    """What is opposed within the blocks makes the correlation negative, but less than most orders of the blocks."""
    matrix = in_blocks((0, 1, 3, 2), far=0.01)
    assert by_chance(matrix)[0] < np.trace(matrix) < 0
    assert judge(RANKED, "mnist", alike(matrix, 10)).verdict == "undecided"
    assert judge(RANKED, "mnist", alike(matrix, 3)).seeds_needed is None


def test_joint_p_values_are_bonferronis_of_the_weakest_and_of_the_worst():
    assert joint_p([(0.01, 1.0), (0.015, 1.0)]) == (0.03, 1.0)
    assert joint_p([(0.01, 1.0), (1.0, 0.02)]) == (1.0, 0.04)


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 34), (0.8, 15), (1.0, 10), (2.0, 5)])
def test_the_seeds_needed_are_those_of_the_tables_of_power(effect, seeds):
    """Of the two-sided one-sample t test at 5% and 80%, as in Cohen (1988) and G*Power."""
    assert seeds_needed(effect) == seeds
    assert seeds_needed(-effect) is None  # it lies on the other side


def test_without_an_effect_no_number_of_seeds_would_do():
    assert seeds_needed(0.0) is None and seeds_needed(0.01) is None and seeds_needed(math.nan) is None


@pytest.mark.parametrize("effect", [1e3, 1e9, 1e300, math.inf])
def test_where_seeds_agree_all_but_wholly_two_are_enough(effect):
    assert seeds_needed(effect) == 2


def test_adjusted_p_values_are_benjamini_and_hochbergs():
    tails = {"a": (0.01, 1.0), "b": (0.04, 1.0), "c": (0.03, 1.0)}
    assert benjamini_hochberg(tails) == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.04})
    assert benjamini_hochberg({}) == {}


def test_sure_losers_do_not_make_it_easier_to_win():
    alone = benjamini_hochberg({"near": (0.03, 1.0), "none": (0.6, 1.0), "other": (0.9, 1.0)})
    beside = benjamini_hochberg(
        {"near": (0.03, 1.0), "none": (0.6, 1.0), "other": (0.9, 1.0)} | dict.fromkeys(range(40), (1.0, 1e-06))
    )
    assert beside["near"] > alone["near"] > 0.05 and beside[0] <= 0.05


def test_the_bootstrap_draws_seeds_and_cells():
    assert hierarchical_bootstrap(np.full((3, 4), 2.0)).low == hierarchical_bootstrap(np.full((3, 4), 2.0)).high == 2
    by_seed = hierarchical_bootstrap(np.array([[0.0] * 9, [3.0] * 9, [6.0] * 9]))
    assert (by_seed.low, by_seed.mean, by_seed.high) == (0, 3, 6)
    within = hierarchical_bootstrap(np.array([[0.0, 6.0] * 5] * 3))
    assert 1 < within.low < 3 < within.high < 5


def test_the_bootstrap_takes_cells_for_the_same_in_every_seed_so_that_more_seeds_do_not_narrow_it():
    cells = [0.0, 1.0, 5.0, 6.0]
    one, many = (hierarchical_bootstrap(np.array([cells] * seeds)) for seeds in (1, 30))
    assert (one.low, one.high) == pytest.approx((many.low, many.high), abs=0.26)


def test_percentages_at_the_ends_have_finite_logits():
    assert logits_of_percents(np.array([50.0]))[0] == 0
    assert logits_of_percents(np.array([0.0]))[0] == pytest.approx(-logits_of_percents(np.array([100.0]))[0])


def test_of_every_thing_the_joint_intervals_are_counted_and_the_weakest_is_shown():
    values = DataFrame({3: [5.0, 5.1, 4.9], 9: [1.0, -1.0, 0.5], 20: [8.0, 8.1, 7.9]}).rename_axis(
        columns="temperature"
    )
    some = judge(EVERY, "mnist", Statistic(values))
    assert (
        some.verdict == "undecided"
        and some.note == "2 of 3 by joint intervals, 0 the other way; weakest at temperature 9"
    )
    assert some.estimate.high - some.estimate.low > np.ptp(t_interval([1.0, -1.0, 0.5]).shown_ends(None))
    assert judge(EVERY, "mnist", Statistic(values[[3, 20]])).verdict == "reproduced"
    assert judge(EVERY, "mnist", Statistic(values.assign(x=[-5.0, -5.1, -4.9]))).verdict == "contradicted"
    assert judge(EVERY, "mnist", Statistic(values[:1])).verdict == "one seed, no verdict"
    assert judge(replace(EVERY, side="less"), "mnist", Statistic(-values[[3, 20]])).verdict == "reproduced"


def test_a_lead_that_each_thing_has_alone_but_not_all_together_is_undecided():
    each = DataFrame({t: [1.0, 2.0, 1.5] for t in range(6)})
    assert judge(GREATER, "mnist", Statistic(each[0])).verdict == "reproduced"
    assert judge(EVERY, "mnist", Statistic(each)).verdict == "undecided"


def test_coarse_numbers_that_agree_decide_only_beyond_what_they_resolve():
    assert judge(GREATER, "mnist", Statistic(Series([0.1] * 3), resolution=(0.2, 0.2))).verdict == "undecided"
    assert judge(GREATER, "mnist", Statistic(Series([0.3] * 3), resolution=(0.2, 0.2))).verdict == "reproduced"
    assert judge(GREATER, "mnist", Statistic(Series([-0.3] * 3), resolution=(0.2, 0.2))).verdict == "contradicted"


def test_a_bound_counts_towards_its_own_side_alone():
    """What may lie any way below decides nothing above, however far the values are, and the other way round."""
    least, most = (0.0, math.inf), (math.inf, 0.0)
    verdicts = [
        judge(GREATER, "mnist", Statistic(Series([sign * 9.0] * 3), resolution=ends)).verdict
        for ends in (least, most)
        for sign in (1, -1)
    ]
    assert verdicts == ["reproduced", "undecided", "undecided", "contradicted"]
    assert judge(GREATER, "mnist", Statistic(Series([9.0, 8.0, 9.5]), resolution=most)).seeds_needed is None


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("candidates", [4, 28])
def test_what_other_seeds_choose_from_noise_is_decided_in_one_case_of_twenty(seeds, candidates):
    own = np.random.default_rng(1).standard_normal((20_000, candidates, seeds))
    best = (own.sum(axis=2, keepdims=True) - own).argmax(axis=1)[:, None]
    values = np.take_along_axis(own, best, axis=1)[:, 0] - own.mean(axis=1)
    t = values.mean(axis=1) / values.std(axis=1, ddof=1) * math.sqrt(seeds)
    spread = spread_of_chosen(seeds, candidates)
    wrong = [float((stats.t.sf(abs(t) / by, seeds - 1) <= 0.025).mean()) for by in (1, spread)]
    assert wrong[0] > 0.06 and 0.03 < wrong[1] < 0.06
    p = t_tails(values[0], 0.0, spread)
    assert min(p) == pytest.approx(2 * stats.t.sf(abs(t[0]) / spread, seeds - 1))


def test_the_interval_of_what_other_seeds_chose_holds_the_null_value_where_it_is_not_decided():
    for shift in np.linspace(0, 6, 40):
        values = Series([1.0, 2.0, 0.5, 1.4, -0.3]) + shift
        result = judge(GREATER, "mnist", Statistic(values, candidates=28))
        assert (result.estimate.low > 0) == (result.verdict == "reproduced")
        assert result.estimate.high - result.estimate.low > np.ptp(t_interval(values.tolist()).shown_ends(None))


def test_one_seed_or_one_candidate_leaves_nothing_to_chance():
    assert spread_of_chosen(1, 28) == spread_of_chosen(3, 1) == spread_of_chosen(3, 0) == 1


def test_a_verdict_that_leaves_with_a_seed_says_with_which():
    result = judge(GREATER, "mnist", Statistic(Series([1.0, 1.2, 0.9, -0.1], index=[0, 1, 2, 7])))
    assert result.verdict == "undecided" and result.left_out == ((7, "reproduced"),)
    assert "Without seed 7 it would be reproduced" in result.remarks()
    assert judge(GREATER, "mnist", Statistic(Series([1.0, 1.1]))).left_out == ()


def test_an_undecided_verdict_says_how_many_seeds_would_decide_it():
    result = judge(GREATER, "mnist", Statistic(Series([1.0, -1.0, 1.5])))
    assert result.seeds_needed == seeds_needed(np.mean([1, -1, 1.5]) / np.std([1, -1, 1.5], ddof=1))
    assert any(f", {result.seeds_needed} seeds decide it four times in five" in said for said in result.remarks())
    nothing = judge(GREATER, "mnist", Statistic(Series([1.0, -1.0, 0.0])))
    assert nothing.seeds_needed is None
    assert "If effect and spread are as measured, not even 1,000 seeds would decide it" in nothing.remarks()


def test_of_every_thing_the_seeds_needed_are_those_of_what_is_judged():
    values = DataFrame({3: [1.0, 2.0, 0.5], 9: [5.0, 5.0, 5.0], 20: [math.nan] * 3})
    result = judge(EVERY, "mnist", Statistic(values))
    two = judge(EVERY, "mnist", Statistic(values[[3, 9]]))
    assert result.verdict == "undecided" and result.seeds_needed == two.seeds_needed
    apart = values[3].mean() / values[3].std()
    assert two.seeds_needed == seeds_needed(apart, level=0.05 / 2)  # seeds that agree wholly are no hindrance


def test_of_ratios_of_every_thing_the_seeds_needed_are_those_of_the_logarithms():
    ratios = DataFrame({3: [1.1, 1.4, 0.9], 9: [1.5, 2.5, 1.2]})
    result = judge(replace(EVERY, unit="ratio", null_value=1), "mnist", Statistic(ratios))
    logs = judge(EVERY, "mnist", Statistic(np.log(ratios)))
    assert result.verdict == logs.verdict == "undecided" and result.seeds_needed == logs.seeds_needed is not None


def test_the_seeds_needed_of_coarse_numbers_are_those_that_carry_the_mean_beyond_what_they_resolve():
    values = Series([1.0, 2.0, 0.5])
    for resolution, mean in ((0.0, values.mean()), (0.9, values.mean() - 0.9), (2.0, 0.0)):
        result = judge(GREATER, "mnist", Statistic(values, resolution=(resolution, resolution)))
        assert result.seeds_needed == seeds_needed(mean / values.std())
    assert result.verdict == "undecided" and result.seeds_needed is None
    below = judge(GREATER, "mnist", Statistic(-values, resolution=(0.9, 0.9)))
    assert below.seeds_needed == seeds_needed((values.mean() - 0.9) / values.std())


def test_the_seeds_needed_of_an_equivalence_are_those_that_leave_out_both_bounds_four_times_in_five():
    within = replace(GREATER, kind="equivalence", side=None, margin=5.0)
    values = Series([-5.0, 5.0, 0.0])  # a standard deviation of 5 around the middle
    needed = judge(within, "mnist", Statistic(values)).seeds_needed
    random = np.random.default_rng(2)

    def share_decided(n: int) -> float:
        drawn = random.normal(0, 5, (20_000, n))
        half = stats.t.isf(0.025, n - 1) * drawn.std(axis=1, ddof=1) / math.sqrt(n)
        return float((abs(drawn.mean(axis=1)) + half < 5).mean())

    assert share_decided(needed - 1) < 0.81 and share_decided(needed) > 0.79


def test_a_seed_left_out_and_a_second_look_take_the_premise_with_them():
    claim = replace(
        GREATER, premise={"statistic": "x", "side": "greater", "null_value": 0, "unit": "nats", "words": "it is so"}
    )
    firm, premise = Statistic(Series([2.4, 2.5, 2.6, 2.5])), Statistic(Series([0.007, 0.010, 0.024, 0.011]))
    assert 0.025 < min(t_tails(premise.values, 0.0)) < 0.05
    result = judge(claim, "mnist", firm, premise=premise)
    assert (result.verdict, result.two_looks) == ("reproduced", "premise not met")
    assert {verdict for _, verdict in result.left_out} == {"premise not met"}
    unmet = judge(claim, "mnist", firm, premise=Statistic(Series([-0.1, 0.1, 0.0, 0.05])))
    assert unmet.two_looks == "premise not met" and unmet.left_out == ()


def test_a_verdict_of_a_second_look_is_at_half_the_level():
    close = [0.7, 1.0, 2.4, 1.1]
    result = judge(GREATER, "mnist", Statistic(Series(close)))
    p = stats.ttest_1samp(close, 0).pvalue
    assert 0.025 < p < 0.05 and (result.verdict, result.two_looks) == ("reproduced", "undecided")
    said = "As the second of two looks, each at 2.5%: undecided"
    assert said in result.remarks(second_look=True) and said not in result.remarks()


def test_one_order_of_four_settings_for_all_seeds_is_no_less_likely_the_more_seeds_agree():
    """What four settings have by chance all seeds have: seeds that agree are no evidence of a fifth."""
    same = [rank_products((range(4), range(4)))]
    for seeds in (1, 3, 5):
        assert one_order_p([same] * seeds) == pytest.approx(2 / 24)
    assert min(permutation_p([same] * 5)) < 0.001
    assert one_order_p([same, [rank_products((range(3), range(3)))]]) is None
