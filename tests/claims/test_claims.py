"""The rules of RULES.md, on made-up values on all sides of them."""

import dataclasses
import math
from itertools import product

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kdlib.book.scoreboard import verdicts
from kdlib.claims import claims
from kdlib.claims.claims import Claim, Verdict, evaluate, load_claims, scoreboard, votes
from kdlib.claims.controls import Finding, load_controls
from kdlib.claims.headlines import HEADLINES, Statement
from kdlib.claims.inference import benjamini_hochberg
from kdlib.claims.intervals import ratio_interval, t_interval
from kdlib.claims.registry import Lacking, Statistic
from kdlib.data.paper import missing_class_table, paper_table
from kdlib.errors import InputError
from kdlib.report.verdict_table import Rivals, VerdictMatrix, VerdictTable, estimate
from kdlib.sections import order
from kdlib.study.settings import resolve


def claim(kind: str, **changes) -> Claim:
    fields = {field.name: None for field in dataclasses.fields(Claim) if field.default is dataclasses.MISSING}
    fields |= {"id": "made-up", "kind": kind, "datasets": ["mnist", "other"], "unit": "points", "null_value": 0}
    return Claim(**(fields | changes))


def judge(made_up: Claim, dataset: str, values: list[float]) -> Verdict:
    return claims.judge(made_up, dataset, Statistic(pd.Series(values, dtype=float)))


GREATER = claim("direction", side="greater")
LESS = claim("direction", side="less")
RATIO = claim("direction", side="greater", unit="ratio", null_value=1)
SIZED = claim("direction", side="greater", value={"mnist": 10})
SIZED_LESS = claim("direction", side="less", value={"mnist": -10})
WITHIN = claim("equivalence", null_value=2, margin=1)
APART = claim("difference", null_value=2, margin=1)
WITHIN_RATIO = claim("equivalence", unit="ratio", null_value=1, margin=0.25)
EXACT = claim("exact", value=0.5, margin=0.01, null_value=None)
FOUND = claim("existence", null_value=0.1)


@pytest.mark.parametrize(
    ("made_up", "values", "verdict"),
    [
        (GREATER, [1, 1.1, 0.9], "reproduced"),
        (GREATER, [1, -1, 0.5], "undecided"),
        (GREATER, [-1, -1.1, -0.9], "contradicted"),
        (GREATER, [0, 0, 0], "undecided"),
        (LESS, [-1, -1.1, -0.9], "reproduced"),
        (LESS, [1, -1, 0.5], "undecided"),
        (LESS, [1, 1.1, 0.9], "contradicted"),
        (RATIO, [2, 2.2, 1.8], "reproduced"),
        (RATIO, [2, 0.5, 1], "undecided"),
        (RATIO, [0.5, 0.45, 0.55], "contradicted"),
        (SIZED, [5, 5.1, 4.9], "direction only"),
        (SIZED, [10, 10.1, 9.9], "reproduced"),
        (SIZED, [10, 10, 10], "reproduced"),
        (SIZED, [9, 9.5, 10], "direction only"),  # a wide interval reaches no further than its mean
        (SIZED, [20, 20.1, 19.9], "reproduced"),
        (SIZED, [20, -20, 1], "undecided"),
        (SIZED, [-20, -20.1, -19.9], "contradicted"),
        (SIZED_LESS, [-5, -5.1, -4.9], "direction only"),
        (SIZED_LESS, [-9, -9.5, -10], "direction only"),
        (SIZED_LESS, [-10, -10.5, -11], "reproduced"),
        (SIZED_LESS, [20, 20.1, 19.9], "contradicted"),
        (WITHIN, [2, 2.1, 1.9], "reproduced"),
        (WITHIN, [3, 3.1, 2.9], "undecided"),
        (WITHIN, [4, 4.1, 3.9], "contradicted"),
        (WITHIN, [0, 0.1, -0.1], "contradicted"),
        (WITHIN, [1, 3, 2], "undecided"),
        (WITHIN, [2.8, 2.81, 2.82], "reproduced"),
        (WITHIN, [2, 2, 2], "reproduced"),
        (APART, [2, 2.1, 1.9], "contradicted"),
        (APART, [4, 4.1, 3.9], "reproduced"),
        (APART, [1, 3, 2], "undecided"),
        (WITHIN_RATIO, [1, 1.05, 0.95], "reproduced"),
        (WITHIN_RATIO, [0.801, 0.80101, 0.80102], "reproduced"),
        (WITHIN_RATIO, [0.799, 0.79901, 0.79902], "contradicted"),
        (WITHIN_RATIO, [1.249, 1.24901, 1.24902], "reproduced"),
        (WITHIN_RATIO, [1.251, 1.25101, 1.25102], "contradicted"),
        (WITHIN_RATIO, [1, 1.5, 1.2], "undecided"),
        (EXACT, [0.505], "reproduced"),
        (EXACT, [0.52], "contradicted"),
        (EXACT, [0.5, 0.48], "contradicted"),
        (FOUND, [0.2, 0.3], "reproduced"),
        (FOUND, [0.2, 0.1], "contradicted"),
        (FOUND, [0.2], "reproduced"),
        (claim("not_tested", reason="because"), [], "not tested"),
    ],
)
def test_verdict_follows_the_rule(made_up, values, verdict):
    assert judge(made_up, "mnist", values).verdict == verdict


@pytest.mark.parametrize("made_up", [GREATER, LESS, RATIO, SIZED, WITHIN, WITHIN_RATIO])
def test_one_seed_gives_an_estimate_and_no_verdict(made_up):
    verdict = judge(made_up, "mnist", [5.0])
    assert verdict.verdict == "one seed, no verdict"
    assert (verdict.estimate.mean, verdict.estimate.n) == (pytest.approx(5), 1)


@pytest.mark.parametrize("made_up", [GREATER, RATIO, WITHIN, EXACT, FOUND])
@pytest.mark.parametrize("values", [[], [math.nan], [math.nan, math.inf]])
def test_no_value_gives_no_verdict(made_up, values):
    verdict = judge(made_up, "mnist", values)
    assert (verdict.verdict, verdict.estimate) == ("no verdict", None)
    assert verdict.note


def test_seeds_without_a_value_are_left_out_and_counted():
    verdict = judge(GREATER, "mnist", [1, math.nan, 1.1, 0.9])
    assert (verdict.verdict, verdict.estimate.n) == ("reproduced", 3)
    assert verdict.note == "1 of 4 without a value"


def test_a_size_judges_only_the_data_set_that_it_is_given_for():
    values = [5, 5.1, 4.9]
    assert judge(SIZED, "mnist", values).paper == 10
    other = judge(SIZED, "digits", values)
    assert (other.verdict, other.paper) == ("direction only", None)
    assert judge(SIZED, "digits", [-5, -5.1, -4.9]).verdict == "contradicted"
    assert "no size for this data set" in SIZED.rule("digits") and "mean reaches 10" in SIZED.rule("mnist")


def test_a_size_on_the_other_side_is_said_to_contradict_the_claim():
    made_up = claim("direction", side="greater", null_value=0, value={"mnist": -7.3})
    assert "which the paper's own -7.3 does not" in made_up.rule("mnist")


def test_what_has_no_seeds_says_what_was_found():
    assert judge(FOUND, "mnist", [0.2]).note == "0.2, above 0.1"
    assert judge(FOUND, "mnist", [0.05]).note == "0.05, not above 0.1"


samples = st.lists(st.floats(-100, 100), min_size=2, max_size=6)


@settings(max_examples=50, deadline=None)
@given(samples, st.floats(-10, 10))
def test_moving_the_values_across_the_null_value_flips_the_verdict(values, null):
    made_up = claim("direction", side="greater", null_value=null)
    interval = t_interval(values)
    assume(min(abs(interval.low - null), abs(interval.high - null)) > 1e-6)  # mirroring rounds
    assume(interval.high - interval.low > 1e-6)
    flipped = {"reproduced": "contradicted", "contradicted": "reproduced", "undecided": "undecided"}
    verdict = judge(made_up, "mnist", values).verdict
    assert judge(made_up, "mnist", [2 * null - v for v in values]).verdict == flipped[verdict]
    opposite = dataclasses.replace(made_up, side="less")
    assert judge(opposite, "mnist", values).verdict == flipped[verdict]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=6))
def test_ratios_are_judged_by_the_t_interval_of_their_logarithms(ratios):
    logs = t_interval([math.log(r) for r in ratios])
    estimate = judge(RATIO, "mnist", ratios).estimate
    for end in ("mean", "low", "high"):
        assert getattr(estimate, end) == pytest.approx(math.exp(getattr(logs, end)))
    assert estimate == ratio_interval(ratios)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=6))
def test_inverting_the_ratios_flips_the_verdict(ratios):
    interval = t_interval([math.log(r) for r in ratios])
    assume(min(abs(interval.low), abs(interval.high)) > 1e-6)
    flipped = {"reproduced": "contradicted", "contradicted": "reproduced", "undecided": "undecided"}
    assert judge(RATIO, "mnist", [1 / r for r in ratios]).verdict == flipped[judge(RATIO, "mnist", ratios).verdict]


@settings(max_examples=50, deadline=None)
@given(samples, st.floats(0, 50))
def test_a_larger_margin_never_unmakes_an_equivalence(values, more):
    wider = dataclasses.replace(WITHIN, margin=WITHIN.margin + more)
    order = ["contradicted", "undecided", "reproduced"]
    narrow, wide = (order.index(judge(c, "mnist", values).verdict) for c in (WITHIN, wider))
    assert wide >= narrow


def test_ratio_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="positive"):
        judge(RATIO, "mnist", [1.0, -1.0])


def test_the_paper_itself_would_reproduce_its_own_sizes():
    for c in load_claims():
        for dataset in set(c.datasets) - {"other"}:
            size = c.paper_value(dataset)
            if c.kind != "direction" or size is None:
                continue
            on_side = size > c.null_value if c.side == "greater" else size < c.null_value
            expected = "reproduced" if on_side else "contradicted"
            about = [c.null_value + factor * (size - c.null_value) for factor in (1.001, 1.002, 1.003)]
            assert judge(c, dataset, about).verdict == expected, (c.id, dataset)


def test_existence_claims_have_a_threshold():
    assert all(isinstance(c.null_value, int | float) for c in load_claims() if c.kind == "existence")


def test_claims_of_a_notebook_that_has_not_been_run_are_not_yet_run():
    verdicts = evaluate("mnist", {})
    untested = {c.id for c in load_claims() if c.kind == "not_tested"}
    assert {v.claim for v in verdicts if v.verdict != "not yet run"} == untested & {v.claim for v in verdicts}
    assert {v.note for v in verdicts if v.claim in ("counts", "examples-differ")} == {"lacks entropy"}


def test_claims_that_take_no_table_are_decided_once_their_notebook_has_been_run():
    verdicts = {v.claim: v for v in evaluate("mnist", {"entropy": {}})}
    decided = {name for name, v in verdicts.items() if v.verdict not in ("not yet run", "not tested")}
    assert decided == {"ls-labels", "ls-is-rbkd", "variance-rows-printed", "variance-columns-printed", "counts"}
    assert verdicts["examples-differ"].note == "lacks shown"
    assert verdicts["counts"].verdict == verdicts["ls-labels"].verdict == verdicts["ls-is-rbkd"].verdict == "reproduced"


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10"])
def test_every_network_has_the_printed_count(dataset):
    (counts,) = (v for v in evaluate(dataset, {"entropy": {}}) if v.claim == "counts")
    assert counts.verdict == "reproduced"


@pytest.mark.parametrize(("dataset", "group"), [("cifar10", "cifar10"), ("digits", "other"), ("my_own", "other")])
def test_only_claims_of_the_data_sets_group_are_evaluated(dataset, group):
    assert [v.claim for v in evaluate(dataset, {})] == [c.id for c in load_claims() if group in c.datasets]


SHOWN = pd.DataFrame(
    [(s, t, mean + 0.001 * s * mean, 0.1, 0.6) for s in range(3) for t, mean in (("small", 0.2), ("large", 0.41))],
    columns=["seed", "teacher", "mean", "low", "high"],
)


def efficiency_tables(rows: list[tuple[int, str, int, float]]) -> dict:
    """Curves at equal epochs of examples selected by entropy, and nothing else."""
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "examples_per_class", "validation_accuracy"])
    return {"example_efficiency": {"cells": cells.assign(full=False, selection="entropy", budget="epochs")}}


def test_statistics_that_are_kept_between_calls_give_the_same_verdicts_and_are_computed_once(monkeypatch):
    tables, kept = {"entropy": {"shown": SHOWN}}, {}
    first = evaluate("mnist", tables, computed=kept)
    assert first == evaluate("mnist", tables)

    def lacking(name, tables):
        raise Lacking(name)

    monkeypatch.setattr(claims.STATISTICS, "compute", lacking)
    again = {v.claim: v for v in evaluate("mnist", tables, computed=kept) if v.estimate}
    assert "soft-labels-small" in again and again == {v.claim: v for v in first if v.estimate}


def test_tables_are_turned_into_verdicts():
    verdicts = {v.claim: v for v in evaluate("mnist", {"entropy": {"shown": SHOWN}})}
    small = verdicts["soft-labels-small"]
    assert small.verdict == "reproduced"
    assert (small.estimate.mean, small.estimate.n, small.paper) == (pytest.approx(0.2002), 3, 0.2002)
    assert verdicts["soft-labels-difference"].verdict == "direction only"  # 0.21 falls short of 0.2108
    assert verdicts["variance-rows"].note == "lacks variance"


def test_a_bound_is_noted_beside_the_verdict():
    flat = [(s, t, n, level) for s in range(2) for t, level in (("small", 90.0), ("large", 50.0)) for n in (5, 10)]
    verdicts = {v.claim: v for v in evaluate("mnist", efficiency_tables(flat))}
    ratio = verdicts["efficiency-10x"]
    assert (ratio.estimate.mean, ratio.verdict) == (pytest.approx(2), "direction only")
    assert ratio.note == "only a bound in 2 of 2 seeds"


def test_other_data_sets_serve_the_claims_that_compare_two():
    def tables(factor: float) -> dict:
        rows = [
            (seed, teacher, n, math.log(n / right))
            for seed in range(3)
            for teacher, right in (("small", 1), ("large", factor * (1 + seed * factor / 1000)))
            for n in (5, 50, 500)
        ]
        return efficiency_tables(rows)

    (growth,) = (v for v in evaluate("cifar10", tables(8), {"fashion_mnist": tables(4)}) if v.claim.startswith("gap-g"))
    assert (growth.verdict, growth.estimate.mean) == ("reproduced", pytest.approx(2, rel=0.01))
    (growth,) = (v for v in evaluate("cifar10", tables(8)) if v.claim.startswith("gap-g"))
    assert (growth.verdict, growth.note) == ("not yet run", "lacks fashion_mnist")


def test_a_lead_at_every_size_needs_seeds_to_have_a_verdict():
    def at_every_size(seeds: int) -> Verdict:
        rows = [(s, t, n, level) for s in range(seeds) for t, level in (("small", 90), ("large", 50)) for n in (5, 10)]
        return {v.claim: v for v in evaluate("mnist", efficiency_tables(rows))}["efficiency-order-every-size"]

    assert (at_every_size(2).verdict, at_every_size(1).verdict) == ("reproduced", "one seed, no verdict")
    assert at_every_size(2).note == "2 of 2 by joint intervals, 0 the other way; weakest at examples per class 5"


def tables_with(confidence: float) -> dict:
    """Of an entropy page: the small teacher's similarity labels vary more, the large teacher is so much more sure."""
    keys = [(s, t) for s in range(3) for t in ("small", "large")]
    variance = pd.DataFrame(
        [(s, t, 9, (2 + s / 9) if t == "small" else 1) for s, t in keys],
        columns=["seed", "teacher", "temperature", "row_variance"],
    )
    entropy = pd.DataFrame(
        [(s, t, 9, 1, "train", 1.0, 0.5 + (confidence + s / 99) * (t == "large")) for s, t in keys],
        columns=["seed", "teacher", "temperature", "epoch", "split", "entropy", "confidence"],
    )
    return {"variance": variance, "entropy": entropy}


@pytest.mark.parametrize(
    ("confidence", "verdict"), [(0.1, "reproduced"), (-0.1, "premise not met"), (-0.01, "premise not met")]
)
def test_a_claim_is_judged_only_where_the_interval_of_its_premise_lies_on_the_premises_side(confidence, verdict):
    found = {v.claim: v for v in evaluate("mnist", {"entropy": tables_with(confidence)})}["variance-rows"]
    assert found.verdict == verdict
    if verdict == "reproduced":
        assert found.premise.startswith("Premise met: at T = 9 the large teacher is the more confident one: 0.1")
    else:
        assert found.premise.endswith("But for it: reproduced") and not found.stands and found.adjusted is None
    assert found.seeds_needed is None


def test_a_premise_that_is_undecided_on_its_own_side_says_how_many_seeds_would_meet_it(monkeypatch):
    found = {}
    for confidence in (0.0, -0.02, -0.1):  # undecided on its side, undecided on the other, decided against it
        tables = {"entropy": tables_with(confidence)}
        monkeypatch.setattr(order, "published_tables", lambda folder, tables=tables: tables)
        verdict = {v.claim: v for v in evaluate("mnist", tables)}["variance-rows"]
        assert verdict.verdict == "premise not met"
        found[confidence] = verdict.seeds_needed, "variance-rows" in order.published_undecided("mnist")
        assert any("seeds meet it four times in five" in said for said in verdict.remarks()) == found[confidence][1]
    assert found[-0.02] == found[-0.1] == (None, False)
    needed, undecided = found[0.0]
    assert needed > 3 and undecided


KNOWN = "no verdict before its premise is known"
RUN = (
    "after `kdlib run entropy --dataset mnist`, with the profile and parameters of example_efficiency, the scoreboard "
    "has it"
)


def full_data_tables() -> dict:
    """Of a page on examples: with all of them the small teacher's students are two to four points ahead."""
    rows = [(s, t, 90 + (2 + s) * (t == "small")) for s in range(3) for t in ("small", "large")]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "test_accuracy"])
    return {"cells": cells.assign(full=True, examples_per_class=50, selection="entropy", budget="epochs")}


@pytest.mark.parametrize(
    ("lacking", "note"),
    [
        ("the section", f"{KNOWN} (lacks entropy: {RUN})"),
        ("the same settings", f"{KNOWN} (lacks entropy with the same settings: {RUN})"),
        ("a table", f"{KNOWN} (lacks entropy: {RUN})"),  # which is called as its section is
        ("a column", f"{KNOWN} (lacks epoch)"),
        ("a temperature", f"{KNOWN} (3 of 3 without a value)"),
        ("other seeds", f"{KNOWN} (one seed, no verdict)"),
        ("nothing", ""),
    ],
)
def test_a_claim_whose_premise_is_not_known_has_no_verdict_and_says_what_would_help(lacking, note):
    """It may be that the claim does not speak of these teachers, whatever its own number is."""
    entropy = tables_with(0)["entropy"]
    entropy["entropy"] += (1 + entropy["seed"] / 9) * (entropy["teacher"] == "small")
    changed = {
        "a column": lambda: entropy.drop(columns="epoch"),
        "a temperature": lambda: entropy.assign(temperature=3),
        "other seeds": lambda: entropy[entropy["seed"] == 0],
    }
    tables = {"example_efficiency": full_data_tables(), "entropy": {"entropy": changed.get(lacking, entropy.copy)()}}
    if lacking == "a table":
        tables["entropy"] = {}
    if lacking == "the section":
        del tables["entropy"]
    alike = (lambda *about: True) if lacking != "the same settings" else (lambda own, name, section: own == section)
    found = {v.claim: v for v in evaluate("mnist", tables, alike=alike)}["small-teaches-better"]
    assert found.estimate.mean == pytest.approx(3) and len(found.values) == 3  # what was measured is shown
    if lacking == "nothing":
        assert found.verdict == "reproduced" and found.premise.startswith("Premise met") and KNOWN not in found.note
        return
    assert found.verdict == "no verdict" and found.note.split("; hier")[0] == note
    assert found.p is found.adjusted is found.seeds_needed is None and found.left_out == () and found.two_looks == ""
    assert [*found.remarks()] == ["Premise: at T = 9 the small teacher is the more confused one; not known here"]


def test_a_command_in_a_note_is_set_as_code():
    tables = {"example_efficiency": full_data_tables()}
    verdicts = [v for v in evaluate("mnist", tables) if v.claim == "small-teaches-better"]
    statements = {"It is so.": Statement(("small-teaches-better",))}
    matrix = VerdictMatrix(statements, {"mnist": verdicts}, {"mnist": "MNIST"}, {}, "board")
    for shown in (VerdictTable(verdicts)._repr_html_(), matrix._repr_html_()):
        assert "<code>kdlib run entropy --dataset mnist</code>" in shown


def test_p_values_are_adjusted_among_the_papers_own_claims_that_hold_by_no_construction():
    found = evaluate("mnist", {"entropy": {"shown": SHOWN}})
    entries = {c.id: c for c in load_claims()}
    adjusted = {v.claim for v in found if v.adjusted is not None}
    assert adjusted == {"soft-labels-small", "soft-labels-large"}
    assert all(entries[name].own for name in adjusted)
    assert next(v for v in found if v.claim == "soft-labels-difference").p is not None  # a reading


def test_p_values_of_other_sources_claims_are_adjusted_among_those_of_their_section():
    gains = {"label_smoothing": 1.0, "alr": 0.4, "ols": 0.9}
    rows = [
        {"seed": s, "teacher": "none", "system": name, "weights": "default", "full": True, "length": 1}
        | {"accuracy": 80 + gains.get(name, 0) * (1 + 0.2 * s)}
        for s, name in product(range(3), ("labels_alone", *gains))
    ]
    found = evaluate("mnist", {"related_systems": {"cells": pd.DataFrame(rows)}})
    judged = {v.claim: v for v in found if v.adjusted is not None}
    assert set(judged) == {"label-smoothing-gain", "alr-gain", "ols-gain"}
    tails = {name: v.tails for name, v in judged.items()}
    assert {name: v.adjusted for name, v in judged.items()} == pytest.approx(benjamini_hochberg(tails))
    assert {v.family for v in judged.values()} == {"of related_systems"}


def test_a_sentence_has_the_vote_of_the_weakest_of_its_own_claims():
    def of(**verdicts: str) -> list[Verdict]:
        return [Verdict(name.replace("_", "-"), "mnist", verdict) for name, verdict in verdicts.items()]

    sentence = next(c.sentence for c in load_claims() if c.id == "small-knows")
    assert votes(of(small_knows="reproduced", large_fails="undecided")) == {sentence: "undecided"}
    assert votes(of(small_knows="direction only", large_fails="reproduced")) == {sentence: "direction only"}
    assert votes(of(small_knows="contradicted", large_fails="undecided")) == {sentence: "contradicted"}
    assert votes(of(small_knows="premise not met", counts="reproduced", missing_falls_with_T="contradicted")) == {}


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        ({}, True),
        ({"profile": "quick", "device": "cpu", "accuracy_floor": 0.5}, True),
        ({"student_epochs": 7}, True),  # of no teacher
        ({"teacher_epochs": 7}, False),
        ({"examples": 3000}, False),
    ],
)
def test_a_claim_joins_two_pages_only_where_the_parameters_that_they_share_are_equal(changed, judged):
    rows = [(s, t, T) for s in range(3) for t in ("small", "large") for T in (3, 9)]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "temperature"])
    own = {
        "missing_class": {"cells": cells.assign(missing_class=0, raw=range(12), corrected=1, teacher_entropy=1)},
        "entropy": {"variance": cells.assign(row_variance=range(12))},
    }
    settings = dataclasses.asdict(resolve({"profile": "smoke"}))
    records = [
        {
            "dataset": "digits",
            "section": section,
            "tables": {name: table.to_csv(index=False) for name, table in tables.items()},
            "settings": settings | (changed if section == "entropy" else {}),
        }
        for section, tables in own.items()
    ]
    found = {v.claim: v for v in verdicts(records)["digits"]}["more-variance-better"]
    assert (found.verdict != "not comparable") == judged
    assert judged or found.note == "lacks entropy with the same settings"


def test_scoreboard_has_a_row_for_each_verdict():
    verdicts = evaluate("mnist", {"entropy": {"shown": SHOWN}}) + evaluate("digits", {})
    board = scoreboard(verdicts).set_index(["dataset", "id"])
    assert len(board) == len(verdicts)
    row = board.loc[("mnist", "soft-labels-large")]
    assert (row["section"], row["notebook"], row["paper"], row["n"]) == ("3.3, Table 3", "entropy", 0.411, 3)
    assert row["here"] == "0.4104 [0.4094, 0.4114] (n = 3)"
    assert row["sentence"].startswith("Soft-labels generated by a large capacity teacher")
    lacking = board.loc[("digits", "entropy-order")]
    assert (lacking["verdict"], lacking["here"]) == ("not yet run", "")
    assert pd.isna(lacking["n"])
    assert pd.isna(lacking["paper"])


def test_scoreboard_of_nothing_has_its_columns():
    board = scoreboard([])
    assert board.empty
    assert {"id", "section", "sentence", "paper", "here", "n", "verdict"} <= set(board)


@pytest.mark.parametrize(("number", "rows"), [(1, 10), (2, 50), (3, 50), (4, 120), (5, 120), (6, 120), (7, 10)])
def test_paper_tables_are_read(number, rows):
    assert len(paper_table(number)) == rows


@pytest.mark.parametrize("number", [0, 8, "4"])
def test_unknown_paper_table_says_what_is_allowed(number):
    with pytest.raises(InputError, match="1 to 7"):
        paper_table(number)


def test_illegible_counts_of_table_7_are_missing():
    table = paper_table(7).set_index(["dataset", "role"])
    assert table.loc[("mnist", "baseline_student"), "parameters"] == 7850
    assert pd.isna(table.loc[("fashion_mnist", "baseline_student"), "parameters"])


def test_missing_class_tables_are_those_of_the_data_set():
    for dataset, number in (("mnist", 4), ("fashion_mnist", 5), ("cifar10", 6)):
        pd.testing.assert_frame_equal(missing_class_table(dataset), paper_table(number))
    assert missing_class_table("digits") is None


def test_a_claim_whose_pages_were_run_otherwise_says_so_where_its_number_would_stand():
    unlike = Verdict("gap-grows-with-complexity", "fashion_mnist", "not comparable", note="lacks mnist")
    assert estimate(unlike) == "lacks mnist"
    assert estimate(dataclasses.replace(unlike, verdict="not yet run")) == ""


def test_a_statement_has_what_its_claim_notes_beside_the_estimate():
    found = Verdict(
        "missing-mnist", "mnist", "direction only", t_interval([60.0, 65.0, 70.0]), note="small 76%, large 11%"
    )
    matrix = VerdictMatrix(
        {"It is so.": Statement(("missing-mnist",))}, {"mnist": [found]}, {"mnist": "MNIST"}, {}, "board"
    )
    notes = matrix._repr_html_().partition("<details>")[2]
    assert "small 76%, large 11%" in notes


def test_in_short_statements_stand_by_where_they_hold_and_an_undecided_one_alone():
    control = next(c for c in load_controls() if "efficiency-order-equal-steps" in c.claims)
    told = {
        "entropy-up-with-batch": ("reproduced", "reproduced"),
        "efficiency-order-equal-steps": ("direction only", "contradicted"),
        "baseline-student": ("contradicted", "undecided"),
        "tighter-clusters": ("premise not met", "undecided"),
    }
    found = {
        name: [Verdict(claim, name, words[i], t_interval([1.0, 2.0])) for claim, words in told.items()]
        for i, name in enumerate(("one", "two"))
    }
    statements = {f"So {claim}.": Statement((claim,), short=f"it is {claim}") for claim in told}
    rivals = {"one": Rivals([Finding(control, "explains", None, "", None)])}
    matrix = VerdictMatrix(statements, found, {"one": "A_set", "two": "B"}, rivals, "board")
    assert [*matrix.in_short()] == [
        "- As claimed wherever it is decided:",
        r"  - it is entropy-up-with-batch (A\_set, B)",
        "- As claimed on some data sets, the opposite on others:",
        r"  - it is efficiency-order-equal-steps (*A\_set*; the opposite on B; but see a control on A\_set)",
        "- The opposite wherever it is decided:",
        r"  - it is baseline-student (A\_set)",
        "- Decided nowhere:",
        "  - it is tighter-clusters",
    ]


def test_each_main_statement_has_its_clause_for_the_summary():
    assert all(statement.short and not statement.short.endswith(".") for statement in HEADLINES.values())


def test_a_statement_names_the_unit_of_its_numbers_once_where_all_have_the_same():
    def shown(*units: str) -> tuple[int, int]:
        claims = [next(c for c in load_claims() if c.unit == unit and c.kind != "not_tested") for unit in units]
        found = {c.id: [Verdict(c.id, "mnist", "undecided", t_interval([0.1, 0.2, 0.4]))] for c in claims}
        titles = dict.fromkeys(found, "MNIST")
        head, *cells = VerdictMatrix({"So.": Statement((*found,))}, found, titles, {}, "b")._repr_html_().split("<td")
        return sum(unit in head for unit in units), sum(unit in "".join(cells) for unit in units)

    assert shown("percentage points") == (1, 0)
    assert shown("probability", "rank correlation") == (0, 2)


def test_a_size_that_an_undecided_interval_leaves_out_is_named_in_the_matrix():
    def shown(values: list[float]) -> str:
        found = Verdict("efficiency-10x", "mnist", "undecided", ratio_interval(values), 10.0)
        statements = {"So many.": Statement(("efficiency-10x",))}
        return VerdictMatrix(statements, {"mnist": [found]}, {"mnist": "MNIST"}, {}, "board")._repr_html_()

    outside = "The paper's size lies outside of the interval."
    assert outside in shown([0.9, 1.0, 1.2]) and outside not in shown([0.1, 1.0, 20.0])


def test_a_size_of_the_paper_that_its_own_claim_forbids_is_named_where_the_claim_is_contradicted():
    itself = "The paper's own size contradicts it, too."
    statements = {"So it is.": Statement(("small-effective-throughout",))}
    for dataset, size, verdict, named in (
        ("cifar10", -5.4, "contradicted", True),
        ("cifar10", -5.4, "undecided", False),
        ("mnist", 84.25, "contradicted", False),
    ):
        found = Verdict("small-effective-throughout", dataset, verdict, t_interval([-9.0, -9.1, -9.2]), size)
        assert (itself in VerdictMatrix(statements, {dataset: [found]}, {dataset: "D"}, {}, "b")._repr_html_()) == named
        assert (itself in VerdictTable([found])._repr_html_()) == named


def test_the_rule_of_a_rank_correlation_names_its_permutation_test():
    ranks = [claim.rule("mnist") for claim in load_claims() if claim.unit == "rank correlation"]
    assert ranks and all("permutation test" in rule for rule in ranks)


def test_a_rule_names_its_premise():
    with_premise = [claim for claim in load_claims() if claim.premise]
    assert with_premise and all(c.rule("mnist").endswith(f"Its premise: {c.premise['words']}.") for c in with_premise)
