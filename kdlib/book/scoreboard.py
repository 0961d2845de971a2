"""What was found: the scoreboard, and its summaries on the landing page and on each section's."""

import html
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ..claims import rules
from ..claims.claims import (
    DECIDED,
    LOOKS,
    VERDICTS,
    Claim,
    Computed,
    Verdict,
    count_verdicts,
    evaluate,
    load_claims,
    votes,
)
from ..claims.controls import Control, find, findings
from ..claims.headlines import HEADLINES, Statement
from ..claims.inference import LEVEL
from ..claims.intervals import Interval
from ..claims.registry import Tables, is_of_teachers, of_seeds
from ..claims.rows import last_epoch
from ..data.registry import find_source, known_names
from ..report.formatting import as_written, format_interval
from ..report.interval_marks import LEGEND, axis_over, interval_mark
from ..report.verdict_table import Matrix, Rivals, VerdictMatrix, VerdictTable, estimate
from ..sections import SECTIONS
from ..sections.related_systems.tables import equal_compute_finding
from ..sections.rival_explanations.tables import TAUGHT_BY, full_accuracy_gains, labels_alone_leads
from ..study.settings import BEFORE, differing, profile_values, reductions
from ..training.choices import STAND_INS
from . import downloads, origins
from .record import read_tables, training_length

SectionsOf = dict[str, dict[str, dict[str, pd.DataFrame]]]  # tables by data set, section and name
NO_PAGE = "No page has been executed yet: `make book` runs the sections on the embedded digits."

MEANINGLESS = ("smoke",)  # profiles that only try the code
FIRST_SEEDS = 3  # that every page had at first: of a data set carried on to more, the scoreboard says what that changed
MATRIX_SIGNS = (
    "*n*: teacher seeds. *Paper*: the size that it gives. –: not judged on this data set. *But see*: a control that "
    f"explains the result otherwise. {LEGEND} A row has one axis."
)
SCRIPT = "<script src='../_static/scoreboard.js' defer></script>"


def verdicts(
    records: Sequence[dict[str, Any]], tables: SectionsOf | None = None, computed: Computed | None = None
) -> dict[str, list[Verdict]]:
    """The verdicts on every claim, for each data set, from the tables of its pages that were run alike.

    `tables`: those of the records, where they have been read; `computed`, as of `judge_dataset`.
    """
    tables = tables or tables_of(records)
    return {name: judge_dataset(records, tables, name, computed=computed) for name in tables}


def judge_dataset(
    records: Sequence[dict[str, Any]],
    tables: SectionsOf,
    dataset: str,
    claims: Sequence[Claim] | None = None,
    computed: Computed | None = None,
) -> list[Verdict]:
    """The verdicts on a data set, of some claims or of all as they are now.

    Arguments: `tables` of the `records`; `computed`, statistics of these that are kept between calls.
    """
    settings = {(r["dataset"], r["section"]): r["settings"] for r in records}

    def alike(notebook: str, other: str, section: str) -> bool:
        own = settings.get((dataset, notebook))
        shared = {*SECTIONS[notebook].accepted} & {*SECTIONS[section].accepted}
        return own is None or not differing(own, settings[other, section], shared)

    others = {other: t for other, t in tables.items() if other != dataset}
    return evaluate(dataset, tables[dataset], others, alike, claims, computed)


class Scoreboard:
    """Verdicts of all data sets, and the texts made from them.

    Arguments: `records` of the pages; `given`, by data set and section, the parameters that each was executed with.
    """

    def __init__(self, records: Sequence[dict[str, Any]], given: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        self.records, self.given = records, given
        self.tables = tables_of(records)
        self._computed: Computed = {}
        self.verdicts = verdicts(records, self.tables, self._computed)
        self.titles = {r["dataset"]: r["title"] for r in records}
        found = {name: findings(name, tables) for name, tables in self.tables.items()}
        self.rivals = {name: Rivals(own, name) for name, own in found.items() if own}
        self.seen_before = _seen_before(records)

    def judge(self, dataset: str, rule: Claim | Control) -> str:
        """The verdict by a claim's rule, whichever it is, or the outcome of a control."""
        if isinstance(rule, Claim):
            return judge_dataset(self.records, self.tables, dataset, [rule], self._computed)[0].verdict
        return find(rule, Tables(dataset, self.tables[dataset])).outcome

    def short_table(self) -> Iterator[str]:
        """Lines for a terminal: counts, and the claims that matter most."""
        shown = {claim for statement in HEADLINES.values() for claim in statement.claims}
        units = {claim.id: claim.unit for claim in load_claims()}
        for name, judged in self.verdicts.items():
            yield f"{name}: {count_verdicts(judged)}"
            for v in judged:
                if v.claim in shown:
                    yield f"  {v.claim:22} {estimate(v, units[v.claim]):34} {v.verdict}"

    def page(self) -> str:
        """Every claim on every data set."""
        claims = load_claims()
        lines = [
            "# Scoreboard",
            "",
            f"{sum(not c.derived for c in claims)} claims of the paper, of which "
            f"{sum(bool(c.by_construction) for c in claims)} hold by construction and are counted apart, and "
            f"{sum(c.derived for c in claims)} readings",
            "of its text and tables: the paper's value where it prints one, what was measured here with its 95%",
            "interval over *n* teacher seeds, and the verdict by a rule. A page on which a rule is newer than some of",
            "its numbers says so at its top. Some claims are made for some data sets only.",
            "Where a [control](sections/rival_explanations.md) explains a result that came out as claimed, the last",
            "column says so. A claim opens to its sentence, its measure, its rule, and the command that makes its page",
            "again from what is stored; `kdlib compute`, with the same section and options and `--fresh`, trains its",
            "students again and compares. With a verdict stands the cheapest run that could overturn it: where more",
            "seeds could, five of the whole data set; else a longer training, first of students, then of teachers.",
            "`kdlib scoreboard --json` has every verdict with its numbers.",
            f"All rules: {downloads.links_to_rules('..')}.",
            "",
            f"{LEGEND} Each row has an axis of its own.",
            "",
        ]
        for name, found in self.verdicts.items():
            table = VerdictTable(found, self.rivals.get(name), self._places(name), SECTIONS, self._reach)._repr_html_()
            lines += [f"({_label(name)})=", f"## {as_written(self.titles[name])}", "", self._scale(name), ""]
            lines += [*self._among_all(name), *self._changed_by_seeds(name), *_raw(table), ""]
        return "\n".join([*lines, *(_raw(SCRIPT) if self.verdicts else ())])

    def _among_all(self, dataset: str) -> Iterator[str]:
        """How many verdicts stand among all and as a second look, and how the paper's sentences vote."""
        own = {claim.id for claim in load_claims() if claim.own}
        found = [
            v for v in self.verdicts[dataset] if v.claim in own and v.verdict in DECIDED and v.adjusted is not None
        ]
        looks = sum(v.two_looks == v.verdict for v in found)
        words = Counter(votes(self.verdicts[dataset]).values())
        cast = ", ".join(f"{words[kind]} {kind}" for kind in VERDICTS if words[kind]) or "none yet"
        yield f"Of {len(found)} decided verdicts on the paper's own claims {sum(v.stands for v in found)} stand when"
        yield f"all are taken together (Benjamini and Hochberg, {100 * LEVEL:g}%)."
        if dataset in self.seen_before:
            yield f"As a second look, at {100 * LEVEL / LOOKS:g}%, the level of each of two (Bonferroni), {looks} do:"
            yield "the numbers had been seen before rules changed or seeds were added, some of them more than once, for"
            yield "which this is no bound."
        yield f"One vote for each sentence: {cast}."
        yield ""

    def rows(self) -> list[dict[str, Any]]:
        """Every verdict with its numbers, as `kdlib scoreboard --json` writes them."""
        entries = {claim.id: claim for claim in load_claims()}
        return [_row(entries[v.claim], v) for found in self.verdicts.values() for v in found]

    def summary(self) -> str:
        """For the landing page: how many claims fared how, and the paper's main statements on each data set."""
        if not self.records:
            return NO_PAGE
        entries, kinds = {claim.id: claim for claim in load_claims()}, VERDICTS[:5]
        heads = (*kinds, "not judged", "stand among all", "by construction")
        lines = [f"| claims on | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
        for name, found in self.verdicts.items():
            counted = [(v, entries[v.claim]) for v in found if not entries[v.claim].by_construction]
            of_kind = [[c.derived for v, c in counted if v.verdict == kind] for kind in kinds]
            of_kind.append([c.derived for v, c in counted if v.verdict not in kinds])
            counts = [f"{len(own) - sum(own)} + {sum(own)}" for own in of_kind]
            counts += [sum(v.stands for v, c in counted if c.own), len(found) - len(counted)]
            lines.append(f"| [{as_written(self.titles[name])}](#{_label(name)}) | {' | '.join(map(str, counts))} |")
        matrix = self._matrix(HEADLINES, self.verdicts, "")
        decided = Counter(v.verdict for own in matrix.deciding().values() for v in own.values() if v)
        unjudged = decided.total() - sum(decided[kind] for kind in kinds)
        return "\n".join(
            [
                "The paper's main statements, each on each data set: "
                + f"{', '.join(f'{decided[kind]} {kind}' for kind in kinds)}"
                + f", {unjudged} without a verdict" * bool(unjudged)
                + " ([what these words say](#verdicts)).",
                f"{self._trained()} In short (in italics where it holds in direction, but not in the paper's size):",
                "",
                *matrix.in_short(),
                "",
                "What was measured, with its 95% interval over teacher seeds:",
                "",
                *_raw(matrix._repr_html_()),
                "",
                self._signs(self.verdicts),
                "",
                *self._own_sets(),
                *self._beside_labels_alone(),
                "",
                *self._at_equal_compute(),
                "",
                "All claims by verdict: in each cell the paper's own and, after the plus, readings of its text and",
                "tables. Not judged: mostly not run, or not tested. Stand among all: of the paper's own, how many",
                "verdicts remain when all are taken together. What holds by construction is counted apart:",
                "",
                *lines,
                "",
                "Claim by claim: [the scoreboard](scoreboard.md), and",
                "[what the last publication changed](changes.md). What was run, and what was cut against profile",
                "`paper`, which has the paper's grids, and numbers of our own where it prints none:",
                "",
                *(f"- **{as_written(self.titles[name])}**: {self._scale(name)}" for name in self.verdicts),
            ]
        )

    def _trained(self) -> str:
        """A sentence: how many epochs the networks of each data set were trained for, beside the paper's."""
        said = []
        for name, title in self.titles.items():
            own = [r for r in self.records if r["dataset"] == name]
            epochs = [
                sorted({r["settings"][length] for r in own if length in SECTIONS[r["section"]].parameters})
                for length in ("teacher_epochs", "student_epochs")
            ]
            said.append(f"{as_written(title)} " + " / ".join(" or ".join(map(str, part)) for part in epochs if part))
        full = profile_values("paper", "mnist")
        return (
            f"Teachers and students were trained for so many epochs: {', '.join(said)}; by the protocol it is "
            f"{full['teacher_epochs']} / {full['student_epochs']}."
        )

    def _own_sets(self) -> Iterator[str]:
        """Which of the data sets are a reader's own, and how far a verdict on one of them goes."""
        own = [name for name in self.titles if name not in known_names()]
        if not own:
            return
        families = {r["dataset"]: find_source(r["family"]).title for r in self.records}
        shown = ", ".join(f"[{as_written(self.titles[n])}](#{_label(n)}) (networks: {families[n]}'s)" for n in own)
        yield f"Data sets of a reader's own: {shown}. The paper did not see them: a verdict there says"
        yield "whether its statement holds on such data too, with networks that were chosen for other images, and not"
        yield "whether the paper's numbers are right. A size that the paper gives is for its own sets alone."
        yield ""

    def _beside_labels_alone(self) -> Iterator[str]:
        """A table: of each data set whose controls were run, what each teacher adds to students of labels alone."""
        ran = {name: part["rival_explanations"] for name, part in self.tables.items() if "rival_explanations" in part}
        found = {name: full_accuracy_gains(controls["full"]) for name, controls in ran.items()}
        if not found:
            yield "Whether it pays to have a teacher at all, the rival explanations say; they were not run yet."
            return
        axis = axis_over([gain for _, gains in found.values() for gain in gains.values()], [0.0], None)
        rows = {
            f"{html.escape(self.titles[name])}<br><small>labels alone {format_interval(alone, '%')}</small>": [
                f"{interval_mark(gains[by], axis)}<small>{gains[by]} points<br>"
                f"{labels_alone_leads(ran[name]['selection'], by)}</small>"
                if by in gains
                else "–"
                for by in TAUGHT_BY
            ]
            for name, (alone, gains) in found.items()
        }
        each = {by: [gains[by] for _, gains in found.values() if by in gains] for by in TAUGHT_BY}
        said = "; ".join(f"{TAUGHT_BY[by]} {_ahead_and_behind(gains)}" for by, gains in each.items() if gains)
        yield "Does it pay to have a teacher at all, where no class is missing? By how many points of test accuracy"
        yield "students differ from those of labels alone, with all examples at T = 9; uniform soft labels are those of"
        yield f"a teacher that says nothing. By their intervals: {said} (one axis for all rows). Below them: with which"
        yield "numbers of random examples students are ahead at equal steps (validation accuracy; each lead by its own"
        yield "95% interval: some may be chance)."
        yield ""
        yield from _raw(Matrix("data set", list(TAUGHT_BY.values()), rows)._repr_html_())

    def _at_equal_compute(self) -> Iterator[str]:
        """A sentence for each data set: which system, if any, beats labels alone at equal total computation."""
        yield "And any other system of distillation? Does one beat a student that spends the same computation, the"
        yield "teacher's training included, on the labels alone? In points of test accuracy with the 95% interval;"
        yield "given a trained teacher, and at which cost, is on [a page of its own](sections/related_systems.md):"
        yield ""
        ran = {name: tables["related_systems"] for name, tables in self.tables.items() if "related_systems" in tables}
        for name, own in ran.items():
            said = equal_compute_finding(own["cells"], own["missing"], ["total"])
            yield f"- **{as_written(self.titles[name])}**: {said}"
        if lacking := [as_written(title) for name, title in self.titles.items() if name not in ran]:
            yield f"- Not run on {', '.join(lacking)}."

    def of_section(self, section: str) -> str:
        """For a section's page: its claims on each data set that was run."""
        own = [c for c in load_claims() if c.notebook == section and c.kind != "not_tested"]
        shown = {c.id: c.title + " (our reading)" * c.derived for c in own}
        claims = {t: Statement(tuple(c for c in shown if shown[c] == t)) for t in dict.fromkeys(shown.values())}
        ran = {r["dataset"] for r in self.records if r["section"] == section}
        found = {name: judged for name, judged in self.verdicts.items() if name in ran}
        if not found:
            return f"*No data set has been run for this section yet: `kdlib run {section} --dataset ...`.*"
        return "\n".join([*_raw(self._matrix(claims, found, "../")._repr_html_()), "", self._signs(found)])

    def _signs(self, shown: Iterable[str]) -> str:
        """What a matrix of these data sets needs to be read."""
        lacking = [as_written(self.titles[name]) for name in shown if "rival_explanations" not in self.tables[name]]
        unrun = f" Rival explanations have not been run on {', '.join(lacking)}: no *but see* there says nothing."
        mixed = [
            f" {as_written(self.titles[name])}: {self._mixed(name)}" for name in shown if len(self._by_run(name)) > 1
        ]
        return MATRIX_SIGNS + unrun * bool(lacking) + "".join(mixed)

    def _matrix(
        self, statements: Mapping[str, Statement], found: Mapping[str, Sequence[Verdict]], up: str
    ) -> VerdictMatrix:
        rivals = {name: replace(own, folder=up + own.folder) for name, own in self.rivals.items()}
        return VerdictMatrix(statements, found, self.titles, rivals, f"{up}scoreboard.html", self._reach)

    def _reach(self, verdict: Verdict) -> str:
        """HTML on how far a verdict goes: how long was trained, what a referee asks, what could overturn it."""
        claim = next(claim for claim in load_claims() if claim.id == verdict.claim)
        section = claim.notebook
        record = next((r for r in self.records if (r["dataset"], r["section"]) == (verdict.dataset, section)), None)
        if record is None or verdict.verdict not in (*DECIDED, "undecided", "premise not met"):
            return ""
        said = [
            training_length(record["settings"], section),
            *map(html.escape, verdict.remarks(second_look=verdict.dataset in self.seen_before)),
        ]
        if change := _overturning(verdict, claim, record["settings"], SECTIONS[section].parameters):
            given, every = self.given[verdict.dataset, section], ""
            if "seeds" in change:  # not of one section: a data set goes on as a whole
                every = "all"
            else:  # all students are trained anew: with common random numbers
                record = {**record, "settings": {**record["settings"], "seeding": "common"}}
                given = {name: value for name, value in given.items() if name != "seeding"}
            command = html.escape(origins.command(record, given, section=every, **change))
            said.append(f"The cheapest run that could overturn it: <code>{command}</code>")
        return ". ".join(said)

    def _scale(self, dataset: str) -> str:
        """What was run of a data set: its profiles, what they cut, and which teachers miss the accuracy floor."""
        own = [r for r in self.records if r["dataset"] == dataset]
        by_run = self._by_run(dataset)
        sentences = [self._mixed(dataset)] if len(by_run) > 1 else []
        for run, records in by_run.items():
            cut = [
                words
                for r in records
                for words in reductions(
                    r["settings"], (*SECTIONS[r["section"]].accepted, "test_examples"), r.get("clipped", ())
                )
            ]
            sentences.append(f"Profile {run}" + (f" ({', '.join(dict.fromkeys(cut))})." if cut else "."))
        floors = [r["settings"]["accuracy_floor"] for r in own if r["section"] == "entropy"]
        missed = [line for floor in floors for line in _below_floor(self.tables[dataset]["entropy"]["teachers"], floor)]
        if missed:
            sentences.append(f"Below the accuracy floor, and counted nevertheless: {'; '.join(missed)}.")
        return " ".join(sentences)

    def _by_run(self, dataset: str) -> dict[str, list[dict[str, Any]]]:
        """The records of a data set's pages by what they were run with: profile, and teachers of a reader's own."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self.records:
            if record["dataset"] == dataset:
                found.setdefault(_run_of(record), []).append(record)
        return found

    def _mixed(self, dataset: str) -> str:
        """Sentences on a data set whose pages were run in several ways: which, and what that means for its verdicts."""
        labels = {
            run: "; ".join(SECTIONS[r["section"]].label for r in own) for run, own in self._by_run(dataset).items()
        }
        runs = ", ".join(f"profile {run} ({own})" for run, own in labels.items())
        how = "by the page of its own section, and one that takes several pages where these were run alike"
        return f"Its pages were not run alike: {runs}. A claim is judged {how}."

    def _changed_by_seeds(self, dataset: str) -> Iterator[str]:
        """Which verdicts the first seeds alone would have given otherwise, where a data set has more."""
        count = max(r["settings"]["seeds"] for r in self.records if r["dataset"] == dataset)
        if count <= FIRST_SEEDS:
            return
        first = judge_dataset(self.records, first_seeds(self.tables, FIRST_SEEDS), dataset)
        pairs = [(was, now) for was, now in zip(first, self.verdicts[dataset], strict=True) if now.verdict in VERDICTS]
        changed = [(was, now) for was, now in pairs if was.verdict != now.verdict]
        yield f"Of {len(pairs)} verdicts, {len(changed)} would be others with the first {FIRST_SEEDS} of its"
        yield f"{count} seeds alone (with the sweet spots that all of them choose). Profile `paper-cpu` had three at"
        yield "first; a data set goes on to the protocol's five as a whole and at once, whatever the further seeds say."
        yield ""
        if changed:
            claims = {claim.id: claim for claim in load_claims()}
            yield ":::{dropdown} The verdicts that changed with the number of seeds"
            yield f"| claim | {FIRST_SEEDS} seeds | {count} seeds |"
            yield "|---|---|---|"
            for pair in changed:
                claim = claims[pair[0].claim]
                said = (f"{v.verdict}: {estimate(v, claim.unit)}" for v in pair)
                yield f"| {claim.title} | {' | '.join(said)} |"
            yield from (":::", "")

    def _places(self, dataset: str) -> dict[str, tuple[str, str]]:
        """The page of each section, and the command that makes it again."""
        return {
            r["section"]: (f"{dataset}/{r['section']}.html", origins.command(r, self.given[dataset, r["section"]]))
            for r in self.records
            if r["dataset"] == dataset
        }


def _ahead_and_behind(gains: Sequence[Interval]) -> str:
    """Words on what is added on data sets, by intervals: "ahead on 0 of 4 data sets, behind on 2, undecided on 2"."""
    ahead, behind = sum(gain.low > 0 for gain in gains), sum(gain.high < 0 for gain in gains)
    return f"ahead on {ahead} of {len(gains)} data sets, behind on {behind}, undecided on {len(gains) - ahead - behind}"


def _seen_before(records: Sequence[Mapping[str, Any]]) -> set[str]:
    """The data sets whose numbers had been seen before rules changed, or before seeds were added."""
    told, found = rules.digests(), set()
    for record in records:
        by = [part["rules"] for part in record["cost"].get("computed_by", [{"rules": None}])]
        added = record["settings"]["seeds"] > FIRST_SEEDS and len(record["cost"]["commits"]) > 1
        if added or any(recorded != told.get(record["section"]) for recorded in by):
            found.add(record["dataset"])
    return found


def _run_of(record: Mapping[str, Any]) -> str:
    """A page's profile, and who stands in the place of its teachers, as the scoreboard says it."""
    settings = BEFORE | dict(record["settings"])
    own = [f"`{name}={settings[name]}`" for name in STAND_INS if settings[name] != name]
    profile = settings["profile"]
    meaning = ", whose numbers mean nothing" * (profile in MEANINGLESS)
    return f"`{profile}`{' with ' * bool(own)}{' and '.join(own)}{meaning}"


def _overturning(
    verdict: Verdict, claim: Claim, settings: Mapping[str, Any], parameters: Sequence[str]
) -> dict[str, int]:
    """The parameter to change for the cheapest run that could give another verdict; empty where none is known.

    The protocol's number of seeds, and no other, where so many would decide it or meet its premise, or where a seed
    left out changes the verdict; else as long a training as profile `paper` has, of students, where they have a part in
    it, before that of teachers. What holds by construction, or has no seeds, no run of this book can overturn.
    """
    if claim.by_construction or claim.kind in ("existence", "exact"):
        return {}
    full = profile_values("paper", settings["dataset"])
    more = {"seeds": full["seeds"]} if settings["seeds"] < full["seeds"] else {}
    if more and (verdict.left_out or (verdict.seeds_needed or math.inf) <= full["seeds"]):
        return more
    longer = ["teacher_epochs"] if is_of_teachers(claim.statistic) else ["student_epochs", "teacher_epochs"]
    for name in longer:
        if name in parameters and settings[name] < full[name]:
            return {name: full[name]}
    return more


def _row(claim: Claim, verdict: Verdict) -> dict[str, Any]:
    """A verdict for a program to read."""
    estimate = verdict.estimate
    numbers = {name: _finite(getattr(estimate, name, None)) for name in ("mean", "low", "high")}
    return {
        "dataset": verdict.dataset,
        "claim": claim.id,
        "sentence": claim.sentence,
        "kind": claim.kind,
        "derived": claim.derived,
        "by_construction": bool(claim.by_construction),
        "statistic": claim.statistic,
        "values": {str(k): dict(v) if isinstance(v, tuple) else v for k, v in verdict.values},
        **numbers,
        "n": estimate and estimate.n,
        "p": verdict.p,
        "adjusted": verdict.adjusted,
        "verdict": verdict.verdict,
        "stands_among_all": verdict.stands,
        "second_of_two_looks": verdict.two_looks or None,
        "premise": verdict.premise or None,
        "left_out": {str(seed): other for seed, other in verdict.left_out},
        "seeds_needed": verdict.seeds_needed,
        "note": verdict.said,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def first_seeds(tables: SectionsOf, count: int) -> SectionsOf:
    """Tables cut down to the rows of the first teacher seeds; rows that belong to no seed stay."""
    return {name: of_seeds(sections, lambda seeds: seeds < count) for name, sections in tables.items()}


def tables_of(records: Sequence[Mapping[str, Any]]) -> SectionsOf:
    """The tables of pages, by data set and section."""
    tables: SectionsOf = {}
    for record in records:
        tables.setdefault(record["dataset"], {})[record["section"]] = read_tables(record)
    return tables


def _below_floor(table: pd.DataFrame, floor: float) -> Iterator[str]:
    """Teachers of an entropy page whose validation accuracy at the last epoch is below the floor (a fraction)."""
    last = last_epoch(table)
    for row in last[last.validation_accuracy < 100 * floor].itertuples():
        missed = (
            f"{row.validation_accuracy:.2f}% on validation (floor {100 * floor:g}%), {row.test_accuracy:.2f}% on test"
        )
        yield f"{row.teacher} teacher, seed {row.seed}, {missed}"


def _label(dataset: str) -> str:
    return f"scoreboard-{dataset.replace('_', '-')}"


def _raw(text: str) -> list[str]:
    return ["```{raw} html", text, "```"]
