"""Rules that are newer than a page's numbers are found in the git history, dated, and told by exactly its page."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from kdlib.book import newer_rules
from kdlib.book.history import History
from kdlib.claims import rules
from kdlib.claims.claims import Claim
from kdlib.sections import SECTIONS

from ..conftest import rules_in

FIRST, LATER, LAST = "2031-01-02", "2031-03-04", "2031-05-06"
SIDE = ("- id: temperature-softens", "side: less", "side: greater")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A git repository that holds the rules, in one commit."""
    rules_in(tmp_path, monkeypatch)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, FIRST)
    return tmp_path


def git(root: Path, *arguments: str, **environment: str) -> str:
    who = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | who | environment)
    return done.stdout.strip()


def commit(root: Path, date: str) -> str:
    """Commit all that there is on a day; the commit's name as units record it."""
    git(root, "add", "--all")
    day = f"{date}T12:00:00+00:00"
    git(root, "commit", "--quiet", "--message", "Rules", GIT_AUTHOR_DATE=day, GIT_COMMITTER_DATE=day)
    return git(root, "describe", "--always", "--abbrev=12")


def change(root: Path, claim: str, was: str, now: str, section: str = "entropy", kind: str = "claims") -> None:
    path = root / "kdlib" / "sections" / section / f"{kind}.yml"
    head, start, rest = path.read_text().partition(f"{claim}\n")
    assert start and was in rest
    path.write_text(head + start + rest.replace(was, now, 1))


def head(root: Path) -> str:
    return git(root, "describe", "--always", "--abbrev=12")


def page(section: str, *commits: str, recorded: str | None = None, judged: str | None = None, dataset="mnist") -> dict:
    """The record of a page, judged now unless said otherwise, whose units are of these commits."""
    return {
        "section": section,
        "dataset": dataset,
        "rules": judged or rules.digests()[section],
        "cost": {
            "commits": sorted(commits),
            "computed_by": [{"commit": c, "rules": recorded, "units": 1} for c in commits],
        },
    }


def lines(root: Path, record: dict) -> list[str]:
    return list(newer_rules.lines(newer_rules.standing(record, History(root))))


def test_rules_that_are_as_old_as_the_numbers_are_not_spoken_of(project):
    for section in SECTIONS:
        found = newer_rules.standing(page(section, head(project)), History(project))
        assert (found.judged_by_these, found.changes, found.untold) == (True, (), ())
        assert newer_rules.note(found, pytest.fail) == ""


@pytest.mark.parametrize("commits", [1, 2])
def test_a_changed_rule_makes_exactly_its_sections_page_say_so_with_the_date(project, commits):
    before = head(project)
    change(project, *SIDE)
    after = commit(project, LATER)
    change(project, "- id: t-squared", "title: The", "title: That", "rival_explanations", "controls")
    commit(project, LAST)
    own = (before, after)[:commits]
    [said] = lines(project, page("entropy", *own))
    assert said == f"1 rule is newer than some numbers of this page ({LATER}): temperature-softens"
    assert [section for section in SECTIONS if lines(project, page(section, *own))] == ["entropy"]
    assert lines(project, page("entropy", after)) == []


def test_the_page_gives_the_verdict_by_the_earlier_rule_where_it_is_another(project):
    before = head(project)
    change(project, *SIDE)
    commit(project, LATER)
    found = newer_rules.standing(page("entropy", before), History(project))

    def judge(dataset: str, rule: Claim) -> str:
        return {"less": "reproduced", "greater": "contradicted"}[rule.side]

    note = newer_rules.note(found, judge)
    assert f"({LATER})" in note.splitlines()[0]
    assert "- *A higher temperature lowers the confidence*: reproduced, now contradicted" in note
    assert "side was less, is greater" in note
    assert "Where a verdict by the earlier rules can be computed, it is the same." in newer_rules.note(
        found, lambda *_: "undecided"
    )


def test_of_a_rule_with_another_measure_no_earlier_verdict_is_computed(project):
    before = head(project)
    change(project, SIDE[0], "the least-squares slope", "twice the least-squares slope")
    commit(project, LATER)
    found = newer_rules.standing(page("entropy", before), History(project))
    note = newer_rules.note(found, lambda *_: pytest.fail("judged"))
    assert f"described otherwise before {LATER}" in note and "training split: the least-squares slope" in note


def test_a_rule_that_is_not_committed_is_newer_without_a_date(project):
    change(project, *SIDE)
    assert lines(project, page("entropy", head(project))) == [
        "1 rule is newer than some numbers of this page (not committed): temperature-softens"
    ]


@pytest.mark.parametrize(
    ("was", "now", "what", "name"),
    [
        ("- id: temperature-softens", "- id: made-up", {"new", "dropped"}, {"made-up", "temperature-softens"}),
        ("title: A higher temperature lowers", "title: Heat lowers", {"reworded"}, {"temperature-softens"}),
        ("datasets: [mnist, ", "datasets: [", {"changed"}, {"temperature-softens"}),
        ("datasets: [mnist, fashion_mnist, cifar10, other]", "datasets: [mnist]", set(), set()),
    ],
)
def test_new_dropped_and_reworded_rules_are_told_apart_and_only_for_data_sets_that_they_bear_on(
    was, now, what, name, project
):
    before = head(project)
    path = project / "kdlib" / "sections" / "entropy" / "claims.yml"
    path.write_text(path.read_text().replace(was, now, 1))
    commit(project, LATER)
    changes = newer_rules.standing(page("entropy", before), History(project)).changes
    deciding = [c for c in changes if c.what != "reworded" or "reworded" in what]
    assert ({c.what for c in deciding}, {c.entry["id"] for c in deciding}) == (what, name)
    assert {c.date for c in changes} <= {LATER}


def test_a_field_that_no_entry_had_was_no_rule_then_and_a_new_value_of_one_that_some_had_is_newer(project):
    path = project / "kdlib" / "sections" / "sweet_spot" / "claims.yml"
    name = "- id: sweet-spot-general"
    change(project, name, "also: [rival_explanations]", "also: [entropy]", "sweet_spot")
    assert [c.entry["id"] for c in newer_rules.standing(page("sweet_spot", head(project)), History(project)).newer] == [
        name.removeprefix("- id: ")
    ]
    texts = {file: file.read_text() for file in path.parent.parent.glob("*/claims.yml")}
    for file, text in texts.items():
        file.write_text("".join(line for line in text.splitlines(True) if "also:" not in line))
    without = commit(project, LATER)
    for file, text in texts.items():
        file.write_text(text)
    assert newer_rules.standing(page("sweet_spot", without), History(project)).changes == ()


def test_a_premise_is_newer_than_numbers_of_a_time_when_no_claim_had_one(project):
    texts = {file: file.read_text() for file in (project / "kdlib" / "sections").glob("*/claims.yml")}
    for file, text in texts.items():
        file.write_text(re.sub(r"(?m)^  premise:\n(    .*\n)+", "", text))
    without = commit(project, LATER)
    for file, text in texts.items():
        file.write_text(text)
    found = newer_rules.standing(page("sweet_spot", without), History(project))
    assert [(c.entry["id"], c.earlier[0]["premise"]) for c in found.newer] == [("gap-offset", None)]
    note = newer_rules.note(found, lambda dataset, rule: "premise not met" if rule.premise else "reproduced")
    assert ": reproduced, now premise not met" in note
    assert "premise was not there, is “without the sweet spot" in note


def test_by_an_earlier_premise_whose_statistic_is_gone_no_verdict_is_computed():
    (entry,) = (e for e in rules.read()["claims"] if e["id"] == "gap-offset")
    earlier = {**entry, "premise": {**entry["premise"], "statistic": "one_that_no_section_defines_any_more"}}
    assert newer_rules.same_measure(entry, entry) and not newer_rules.same_measure(earlier, entry)


def test_without_a_history_it_cannot_be_told_unless_the_units_recorded_their_rules(project):
    before, digest = head(project), rules.digests()["entropy"]
    shutil.rmtree(project / ".git")
    assert lines(project, page("entropy", before, recorded=digest)) == []
    [said] = lines(project, page("entropy", before, "abcdef123456"))
    assert said.startswith("it cannot be told which rules") and said.endswith("there is no git history here")
    found = newer_rules.standing(page("entropy", before), History(project))
    assert "It cannot be told" in newer_rules.note(found, pytest.fail)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("{}-dirty", "files were not committed"),
        ("unknown", "the git history here does not hold it"),
        ("abcdef123456", "the git history here does not hold it"),
    ],
)
def test_of_units_without_a_commit_in_the_history_it_is_said_that_it_cannot_be_told(name, why, project):
    [said] = lines(project, page("entropy", name.format(head(project))))
    assert said.startswith("it cannot be told which rules were there") and said.endswith(why)


def shallow(project: Path, place: Path, _: pytest.MonkeyPatch) -> None:
    git(project, "clone", "--quiet", "--depth", "1", f"file://{project}", str(place))


def partial(project: Path, place: Path, _: pytest.MonkeyPatch) -> None:
    git(project, "config", "uploadpack.allowFilter", "true")
    git(project, "clone", "--quiet", "--filter", "blob:none", f"file://{project}", str(place))
    git(place, "remote", "set-url", "origin", "file:///nowhere")  # as without a network


def of_another_user(project: Path, place: Path, _: pytest.MonkeyPatch) -> None:
    if os.geteuid():
        pytest.skip("giving a folder away needs root")
    git(project, "clone", "--quiet", f"file://{project}", str(place))
    for path in (place, place / ".git"):
        os.chown(path, 12345, 12345)


def without_git(project: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(project, "clone", "--quiet", f"file://{project}", str(place))
    monkeypatch.setenv("PATH", "/nowhere")


def within_another(project: Path, place: Path, _: pytest.MonkeyPatch) -> None:
    """What a set-up cut short left of its own history makes git look further up."""
    (place / ".git").mkdir(parents=True)
    shutil.copytree(project / "kdlib", place / "kdlib")


def of_a_hook(project: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a hook git names the repository that it is about in the environment."""
    place.mkdir()
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (shallow, "the git history here is cut off, as of a shallow clone (`git fetch --unshallow` brings the rest)"),
        (partial, "lacks files, as of a partial clone (`git fetch --refetch --no-filter` brings them)"),
        (of_another_user, "/inner`, if you trust it)"),
        (without_git, "git is not installed here"),
        (within_another, "there is no git history here"),
        (of_a_hook, "there is no git history here"),
    ],
)
def test_a_history_that_is_not_there_or_not_whole_proves_nothing(made, why, project, monkeypatch):
    """Its oldest commit would be taken for the one that changed the rules, or another project's for the rules'."""
    before = head(project)
    change(project, *SIDE)
    after, place = commit(project, LATER), project / "inner"
    made(project, place, monkeypatch)
    [said] = lines(place, page("entropy", before, after))
    assert said.startswith("it cannot be told which rules were there when its units were computed: ")
    assert said.endswith(why) and History(place).commit_of_rules() is None


def test_a_commit_that_another_one_stands_in_for_is_taken_as_it_was(project):
    before = head(project)
    change(project, *SIDE)
    after = commit(project, LATER)
    git(project, "replace", before, after)
    [said] = lines(project, page("entropy", before))
    assert said == f"1 rule is newer than some numbers of this page ({LATER}): temperature-softens"


def test_where_a_project_is_a_worktree_of_another_its_history_is_read(project):
    git(project, "worktree", "add", "--quiet", "--detach", "inner")
    assert lines(project / "inner", page("entropy", head(project))) == []


def test_rules_of_files_that_were_not_committed_then_are_found_by_the_digest_that_the_units_recorded(project):
    first, dirty = rules.digests()["entropy"], f"{head(project)}-dirty"
    change(project, *SIDE)
    committed_later = rules.digests()["entropy"]
    commit(project, LATER)
    assert lines(project, page("entropy", dirty, recorded=committed_later)) == []
    assert lines(project, page("entropy", dirty, recorded=first)) == [
        f"1 rule is newer than some numbers of this page ({LATER}): temperature-softens"
    ]


def test_units_that_recorded_other_rules_than_their_commit_holds_are_not_believed(project):
    before = head(project)
    change(project, *SIDE)
    commit(project, LATER)
    newer, contradiction = lines(project, page("entropy", before, recorded=rules.digests()["entropy"]))
    assert newer.endswith("temperature-softens")
    assert before in contradiction and contradiction.endswith("they recorded others than it holds")


def test_rules_of_the_old_place_are_read_and_so_are_records_of_whole_files(project):
    """Before each section had a file of its own; pages recorded sha256 of the two files."""
    entries, old = rules.read(), project / "data" / "paper"
    old.mkdir(parents=True)
    for kind in rules.KINDS:
        (old / f"{kind}.yml").write_text(yaml.safe_dump(entries[kind]))
        for path in (project / "kdlib" / "sections").glob(f"*/{kind}.yml"):
            path.rename(path.with_suffix(".kept"))
    whole = {kind: hashlib.sha256((old / f"{kind}.yml").read_bytes()).hexdigest() for kind in rules.KINDS}
    before = commit(project, LATER)
    shutil.rmtree(old)
    for path in (project / "kdlib" / "sections").glob("*/*.kept"):
        path.rename(path.with_suffix(".yml"))
    commit(project, LAST)
    record = {"section": "entropy", "dataset": "mnist", "cost": {"commits": [before]}, **whole}
    found = newer_rules.standing(record, History(project))
    assert (found.judged_by_these, found.changes, found.untold) == (True, (), ())
    found = newer_rules.standing(record | {"claims": "0" * 64}, History(project))
    assert found.judged_by_these is None and "by which rules it was judged" in found.untold[0]


def test_a_page_that_was_judged_by_other_rules_says_so(project):
    judged = rules.digests()["entropy"]
    change(project, *SIDE)
    commit(project, LATER)
    found = newer_rules.standing(page("entropy", head(project), judged=judged), History(project))
    assert found.judged_by_these is False
    assert "The verdicts on this page are by earlier rules" in newer_rules.note(found, pytest.fail)
