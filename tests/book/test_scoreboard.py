"""The scoreboard's own texts, from the reference pages in the repository."""

import json
import re
from collections import Counter

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from kdlib import InputError
from kdlib.book import assembly, present, scoreboard
from kdlib.book.pages import executed, page_record, read
from kdlib.book.record import read_tables
from kdlib.claims import rules
from kdlib.claims.claim import Claim
from kdlib.claims.claims import DECIDED, VERDICTS, Verdict, load_claims
from kdlib.report.verdict_table import anchor
from kdlib.sections.rival_explanations.tables import TAUGHT_BY

from ..conftest import ROOT, as_project

NAME = "fashion_mnist"


@pytest.fixture(scope="module")
def records():
    return [page_record(read(path)) for path in executed() if path.parent.name == NAME]


def board(records) -> scoreboard.Scoreboard:
    return scoreboard.Scoreboard(records, {(record["dataset"], record["section"]): {} for record in records})


def test_without_a_page_there_are_no_claims_to_choose_from():
    assert "scoreboard.js" not in board([]).page()


def test_the_first_seeds_are_those_and_what_has_no_seed_stays():
    by_seed, plain = pd.DataFrame({"seed": [0, 1, 2], "value": [5, 6, 7]}), pd.DataFrame({"value": [8]})
    found = scoreboard.first_seeds({"a": {"entropy": {"by_seed": by_seed, "plain": plain}}}, 2)["a"]["entropy"]
    assert found["by_seed"].value.tolist() == [5, 6] and found["plain"].value.tolist() == [8]


def test_all_seeds_are_as_good_as_no_choice_of_them(records):
    tables = {NAME: {record["section"]: read_tables(record) for record in records}}
    count = records[0]["settings"]["seeds"]
    assert scoreboard.verdicts(records, scoreboard.first_seeds(tables, count)) == scoreboard.verdicts(records, tables)


def test_a_data_set_with_more_than_the_first_seeds_says_which_verdicts_that_changed(records, monkeypatch):
    count = records[0]["settings"]["seeds"]
    monkeypatch.setattr(scoreboard, "FIRST_SEEDS", count)
    assert "seeds alone" not in board(records).page()
    monkeypatch.setattr(scoreboard, "FIRST_SEEDS", 2)
    page = board(records).page()
    assert f"with the first 2 of its\n{count} seeds alone" in page
    rows = page.partition("| claim | 2 seeds")[2].partition("|---|---|---|\n")[2].partition("\n:::")[0].splitlines()
    changed = [[cell.split(":")[0].strip() for cell in row.strip("|").split("|")[1:3]] for row in rows]
    assert changed and all(was != now for was, now in changed)
    assert f", {len(changed)} would be others" in page


def test_the_landing_page_says_what_teachers_add_with_the_numbers_of_the_controls_page(records):
    summary = board(records).summary()
    full = next(read_tables(record)["full"] for record in records if record["section"] == "rival_explanations")
    alone, gains = present.full_accuracy_gains(full)
    head = summary.partition("Does it pay to have a teacher at all")[2].partition("```{raw} html")[0]
    said = " ".join(head.split())
    for teacher, gain in gains.items():
        ahead, behind = int(gain.low > 0), int(gain.high < 0)
        by = TAUGHT_BY[teacher]
        assert f"{by} ahead on {ahead} of 1 data sets, behind on {behind}, undecided on {1 - ahead - behind}" in said
    table = BeautifulSoup(summary, "html.parser").find("th", string="the small teacher").find_parent("table")
    assert present.format_interval(alone, "%") in table.tbody.th.get_text()
    assert [cell.get_text() for cell in table.select("thead th")][1:] == [*TAUGHT_BY.values()]
    for cell, by in zip(table.select("tbody td"), TAUGHT_BY, strict=True):
        assert f"{gains[by]} points" in cell.get_text() if by in gains else cell.get_text() == "–"
    assert all("labels alone at" in cell.get_text() for cell in table.select("tbody td")[:2])


def test_the_landing_page_counts_the_verdicts_of_its_matrix(records):
    summary = board(records).summary()
    badges = BeautifulSoup(summary, "html.parser").select_one("table.verdict-matrix").select("span.verdict")
    shown = Counter(badge.get_text() for badge in badges)
    said = re.search(r"each on each data set: (.*) \(\[what these words say\]\(#verdicts\)\)\.\n", summary)[1]
    counted = {kind: int(count) for count, kind in (part.split(" ", 1) for part in said.split(", "))}
    unjudged = counted.pop("without a verdict", 0)
    assert counted == {kind: shown[kind] for kind in VERDICTS[:5]} and sum(counted.values()) > 0
    assert unjudged == shown.total() - sum(counted.values())


def test_the_landing_page_names_a_readers_own_data_sets_beside_those_of_the_paper(records):
    own = [record | {"dataset": "mine", "title": "My own", "family": "cifar10"} for record in records]
    both, paper = (" ".join(board(pages).summary().split()) for pages in ([*records, *own], records))
    assert "Data sets of a reader's own: [My own](#scoreboard-mine) (networks: CIFAR-10's)." in both
    assert "a reader's own" not in paper


@pytest.mark.parametrize(
    ("changed", "run"),
    [
        ({"profile": "smoke"}, "`smoke`, whose numbers mean nothing"),
        ({"large_teacher": "mine"}, "`paper-cpu` with `large_teacher=mine`"),
        (
            {"profile": "smoke", "small_teacher": "mine"},
            "`smoke` with `small_teacher=mine`, whose numbers mean nothing",
        ),
        ({"device": "cuda"}, None),
    ],
)
def test_a_data_set_whose_pages_were_not_run_alike_says_so_wherever_its_verdicts_stand(records, changed, run):
    """On the landing page, on each section's page and on the scoreboard, each says which pages and what that means."""

    def changed_in(record):
        return record | {"settings": record["settings"] | changed} if record["section"] == "entropy" else record

    two = [record for record in records if record["section"] in ("entropy", "missing_class")]
    mixed = board([changed_in(record) for record in two])
    for shown in (mixed.summary(), mixed.page(), mixed.of_section("entropy"), mixed.of_section("missing_class")):
        said = " ".join(shown.split())
        assert ("Its pages were not run alike: profile " in said) == (run is not None)
        assert run is None or f"profile {run} (Entropy of the response)" in said


def test_numbers_of_a_profile_that_only_tries_the_code_are_said_to_mean_nothing(records):
    [page] = [record for record in records if record["section"] == "entropy"]
    tried = page | {"settings": page["settings"] | {"profile": "smoke"}}
    assert "Profile `smoke`, whose numbers mean nothing (" in board([tried]).summary()
    assert "mean nothing" not in board([page]).summary()


def test_a_book_of_some_data_sets_alone_takes_their_pages_alone(monkeypatch, tmp_path):
    reference = [path for path in executed() if path.is_relative_to(ROOT / "book")]  # whatever was run here
    there = [assembly.read_page(path) for path in reference if path.stem == "entropy"]
    taken = []
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    monkeypatch.setattr(assembly, "find_pages", lambda: there)
    monkeypatch.setattr(assembly, "assemble", lambda pages, source: taken.extend(pages) or board([]))
    assert next(assembly.make(build=False, only=[NAME])) == "1 executed pages, 0 data sets"
    assert [page.record["dataset"] for page in taken] == [NAME]
    with pytest.raises(InputError, match="^no page of 'digits' is there: `kdlib run all --dataset digits` makes them$"):
        next(assembly.make(build=False, only=[NAME, "digits"]))


def test_without_controls_nothing_is_said_of_what_teachers_add(records):
    others = [record for record in records if record["section"] != "rival_explanations"]
    summary = board(others).summary()
    assert "they were not run yet" in summary and "the small teacher adds" not in summary


def related(gains: dict[str, float], seeds: int = 3, rival_length: int = 16) -> dict[str, pd.DataFrame]:
    """Tables of related systems: each student's lead over labels alone, about 0.1 points from seed to seed."""
    arm = {
        "teacher": "large",
        "weights": "default",
        "full": True,
        "examples_per_class": 100.0,
        "length": 1,
        "value": 1.0,
    }
    free = arm | {"system": "labels_alone", "teacher": "none"}
    cells, missing = [], []
    for seed in range(seeds):
        for length in {1, rival_length}:
            spent = {f"operations_{cost}": float(length) for cost in ("total", "given_teacher")}
            reached = {"accuracy": 90.0, "validation_accuracy": 90.0 + length}
            cells.append(free | spent | reached | {"seed": seed, "length": length})
        for system, gain in ({"rbkd": -1.0} | gains).items():
            spent = {"operations_total": 8.0, "operations_given_teacher": 1.0}
            own = arm | spent | {"seed": seed, "system": system, "accuracy": 90 + gain + 0.1 * seed}
            cells.append(own)
            missing.append(own | {"raw": 0.0, "corrected": 0.0})
    return {"cells": pd.DataFrame(cells), "missing": pd.DataFrame(missing)}


OUTCOMES = {
    "one beats": (
        related({"dkd": 2.0}),
        r"\*\*one of 2 arms beats labels alone\*\* \(`dkd`, .*: 2.10 \[1.85, 2.35\] \(n = 3\)",
    ),
    "several beat": (
        related({"dkd": 2.0, "dist": 3.0}),
        r"\*\*2 of 3 arms beat labels alone\*\*: `dist`, `dkd` \(farthest ahead `dist`, .*: 3.10 \[2.85, 3.35\]",
    ),
    "none beats": (
        related({"dkd": -0.5}),
        r"\*\*none of 2 arms is shown to beat labels alone\*\* \(least behind `dkd`, .*: -0.40 \[-0.65, -0.15\]"
        ".*behind: 2, undecided: 0",
    ),
    "no rival was trained as long": (
        related({"dkd": 2.0}, rival_length=4),
        r"\*\*no arm is shown .*; 2 arms cannot be compared: .*, at least 50% of theirs, and 1 of them leads",
    ),
    "one seed": (related({"dkd": 2.0}, seeds=1), "not decided .*: one seed gives no interval"),
}


@pytest.mark.parametrize(("tables", "said"), OUTCOMES.values(), ids=OUTCOMES)
def test_the_landing_page_answers_in_one_sentence_which_system_beats_labels_alone(tables, said, records):
    ran = next(record for record in records if record["section"] == "rival_explanations")
    texts = {name: table.to_csv(index=False) for name, table in tables.items()}
    settings = {"system_teachers": ["large"], "trials": 1, "label_lengths": [1, 4, 16]} | ran["settings"]
    own = ran | {"section": "related_systems", "tables": texts, "settings": settings}
    summary = board([own]).summary()
    (line,) = (line for line in summary.splitlines() if line.startswith("- **Fashion-MNIST**: At equal total"))
    assert re.search(said, line)
    assert len(re.findall(r"\.(?!\d)", line)) == 1 and line.endswith(".")


@pytest.fixture(scope="module")
def whole(records):
    return board(records)


def test_without_related_systems_the_landing_page_says_that_they_were_not_run(whole):
    assert "- Not run on Fashion-MNIST." in whole.summary()


def test_every_verdict_is_there_for_a_program_with_its_numbers(whole):
    rows = json.loads(json.dumps(whole.rows(), allow_nan=False))
    verdicts = {v.claim: v for v in whole.verdicts[NAME]}
    assert {row["claim"] for row in rows} == set(verdicts) and {row["dataset"] for row in rows} == {NAME}
    for row in rows:
        own = verdicts[row["claim"]]
        assert (row["verdict"], row["adjusted"], row["stands_among_all"]) == (own.verdict, own.adjusted, own.stands)
        if row["kind"] == "direction" and row["mean"] is not None and len(row["values"]) > 1:
            assert len(row["values"]) == row["n"] and row["low"] <= row["mean"] <= row["high"]
            assert set(row["left_out"]) <= set(row["values"])
    every = next(row for row in rows if row["claim"] == "entropy-order")
    assert [len(things) for things in every["values"].values()] == [6] * 3


def test_what_holds_by_construction_is_counted_apart_and_what_stands_among_all_beside_it(whole):
    head, _, row = (line for line in whole.summary().splitlines() if line.startswith(("| claims on", "|---|", "| [")))
    counts = dict(zip(head.strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))
    entries = {c.id: c for c in load_claims()}
    found = whole.verdicts[NAME]
    assert int(counts["by construction"]) == sum(bool(entries[v.claim].by_construction) for v in found)
    assert int(counts["stand among all"]) == sum(v.stands for v in found)
    own = sum(v.verdict == "reproduced" and entries[v.claim].own for v in found)
    assert counts["reproduced"].startswith(f"{own} + ")


def test_a_decided_verdict_on_a_sections_page_says_how_long_was_trained_and_what_could_overturn_it(whole, records):
    table = BeautifulSoup(whole.of_section("missing_class"), "html.parser").find("table")
    settings = records[0]["settings"]
    cells = [cell for cell in table.select("tbody td") if cell.select_one(".verdict")]
    decided = [
        c for c in cells if c.select_one(".verdict").get_text() in ("reproduced", "direction only", "contradicted")
    ]
    assert decided
    for cell in decided:
        said = cell.select_one("details").get_text()
        assert f"Teachers trained for {settings['teacher_epochs']} epochs, students for" in said
        assert re.search(r"cheapest run that could overturn it: kdlib run (missing_class|all) .* -p \w+=\d+", said)


def test_a_decided_claim_of_the_scoreboard_opens_to_the_training_length_its_premise_and_what_could_overturn_it(whole):
    page, entries = BeautifulSoup(whole.page(), "html.parser"), {claim.id: claim for claim in load_claims()}
    for verdict in whole.verdicts[NAME]:
        if verdict.verdict in (*DECIDED, "premise not met") and verdict.estimate is not None:
            said = page.find(id=anchor(NAME, verdict.claim)).select_one("details").get_text()
            fixed = entries[verdict.claim].by_construction or entries[verdict.claim].kind in ("existence", "exact")
            assert ("The cheapest run that could overturn it: kdlib run" in said) != bool(fixed)
            assert "Teachers trained for" in said and verdict.premise in said


def claim_of(statistic: str) -> Claim:
    return next(claim for claim in load_claims() if claim.statistic == statistic)


OF_STUDENTS, OF_TEACHERS = claim_of("general_student_gain"), claim_of("correlation_of_entropy_with_batch_size")


@pytest.mark.parametrize(
    ("verdict", "claim", "changed"),
    [
        (Verdict("x", NAME, "undecided", seeds_needed=5), OF_STUDENTS, {"seeds": 5}),
        (Verdict("x", NAME, "premise not met", seeds_needed=4), OF_STUDENTS, {"seeds": 5}),
        (Verdict("x", NAME, "undecided", seeds_needed=9), OF_STUDENTS, {"student_epochs": 20}),
        (Verdict("x", NAME, "reproduced", left_out=((0, "undecided"),)), OF_TEACHERS, {"seeds": 5}),
        (Verdict("x", NAME, "contradicted"), OF_STUDENTS, {"student_epochs": 20}),
        (Verdict("x", NAME, "contradicted"), OF_TEACHERS, {"teacher_epochs": 50}),
        (Verdict("x", NAME, "reproduced"), claim_of("networks_with_the_printed_count"), {}),
        (Verdict("x", NAME, "reproduced"), claim_of("confidence_slope_in_temperature"), {}),
    ],
)
def test_the_cheapest_run_is_of_the_protocols_seeds_where_they_decide_and_else_of_longer_training(
    verdict, claim, changed
):
    parameters = ["seeds", "student_epochs", "teacher_epochs"]
    settings = {"dataset": NAME, "seeds": 3, "student_epochs": 3, "teacher_epochs": 10}
    assert scoreboard._overturning(verdict, claim, settings, parameters) == changed
    if changed == {"student_epochs": 20}:
        assert scoreboard._overturning(verdict, claim, settings, ["teacher_epochs"]) == {"teacher_epochs": 50}
        trained = settings | {"student_epochs": 20, "teacher_epochs": 50}
        assert scoreboard._overturning(verdict, claim, trained, parameters) == {"seeds": 5}
        assert scoreboard._overturning(verdict, claim, trained | {"seeds": 5}, parameters) == {}


def test_a_run_of_more_seeds_is_one_of_every_section(whole):
    page = BeautifulSoup(whole.page(), "html.parser")
    commands = [code.get_text() for code in page.select("code") if " -p seeds=" in code.get_text()]
    assert commands and all(command.startswith(f"kdlib run all --dataset {NAME} ") for command in commands)


def test_the_scoreboard_says_what_stands_among_all_and_at_a_second_look(whole):
    page = " ".join(whole.page().split())
    assert "stand when all are taken together (Benjamini and Hochberg, 5%)" in page
    assert "at 2.5%, the level of each of two (Bonferroni)" in page and "One vote for each sentence: " in page


def test_only_numbers_that_had_been_seen_before_are_looked_at_twice(records):
    def seen(rules_recorded: str | None, seeds: int, commits: list[str]) -> bool:
        told = rules.digests()["entropy"] if rules_recorded == "now" else rules_recorded
        record = next(r for r in records if r["section"] == "entropy")
        cost = record["cost"] | {"commits": commits, "computed_by": [{"commit": "c", "rules": told, "units": 1}]}
        made = record | {"cost": cost, "settings": record["settings"] | {"seeds": seeds}}
        return "As a second look" in board([made]).page()

    assert not seen("now", 3, ["a", "b"]) and not seen("now", 5, ["a"])
    assert seen("other", 3, ["a"]) and seen(None, 3, ["a"]) and seen("now", 5, ["a", "b"])
