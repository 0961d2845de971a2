"""The line beneath a figure, and the run statistics: every unit counted once, every command one that works."""

import re
import shlex

import pytest

from kdlib.book import origins
from kdlib.book.pages import page_record, read
from kdlib.book.rerun import as_recorded
from kdlib.progress import format_duration
from kdlib.sections import SECTIONS
from kdlib.sections.asked import parse_parameters
from kdlib.study.settings import differing, resolve

from ..conftest import ROOT

CELLS = {"kdlib": {"tables": ["cells"]}}


def record(section: str = "missing_class", dataset: str = "digits", units: dict | None = None) -> dict:
    units = {"a": 10.0, "b": 20.0} if units is None else units
    kind = {"kind": "student", "what": "general_student", "units": 2, "parameters": 6090, "seconds": 30.0}
    return {
        "section": section,
        "dataset": dataset,
        "title": dataset.upper(),
        "settings": as_recorded(resolve({"dataset": dataset, "profile": "quick"})),
        "tables": {"cells": "missing_class,temperature\n0,3.0\n0,9.0\n6,3.0\n6,9.0\n", "taken_for": "a\n1\n"},
        "units": units,
        "cost": {
            "seconds": sum(units.values()),
            "units": {"student": len(units)},
            "devices": ["cpu, a <processor>"],
            "torch": ["2"],
            "python": ["3"],
            "commits": ["abc"],
            "finished": "2026-01-02T03:04:05",
            "peak_memory_mib": 500,
            "by_kind": [kind | {"peak_memory_mib": 500}],
        },
    }


def test_a_cell_leads_to_the_tables_that_it_shows_and_to_no_other():
    line = origins.line(record(), {}, {"kdlib": {"tables": ["taken_for", "of_another_section"]}})
    assert "taken_for.csv" in line and "cells.csv" not in line and "another" not in line
    assert origins.line(record(), {}, {"tags": ["hide-input"]}) == ""
    drawn = origins.line(record(), {}, {"mystnb": {"figure": {"name": "umap"}}})
    assert "· command</summary>" in drawn and "<code>kdlib run " in drawn and ".csv" not in drawn


def test_the_line_says_seeds_profile_device_units_day_commit_and_cost():
    line = origins.line(record(), {}, CELLS)
    for part in ("3 teacher seeds", "profile quick", "a &lt;processor&gt;", "2 units", "2026-01-02", "abc", "30 s"):
        assert part in line


def test_what_is_said_of_spread_is_explained_and_nothing_else_of_the_line_changes():
    def opened(seeds: int, shown: str) -> tuple[str, str]:
        made = record()
        made["settings"] |= {"seeds": seeds}
        summary, _, rest = origins.line(made, {}, CELLS, shown).partition("</summary>")
        return summary, rest.replace(f" -p seeds={seeds}", "")  # that of a number which the profile does not have

    plain, half_widths, alone = opened(3, "1.0"), opened(3, "1.0\xa0±\xa00.1"), opened(1, "0.0\xa0[0.0,\xa00.4]")
    assert "mean ± half-width of the 95% t interval over 3 teacher seeds" in half_widths[0]
    assert "±" not in plain[0] and "±" not in alone[0] and "Wilson" in alone[0] and "1 teacher seed," in alone[0]
    assert plain[1] == half_widths[1] == alone[1] and "a &lt;processor&gt; · 2 units" in plain[1]


def test_each_cell_of_the_missing_class_tables_has_its_command_and_the_command_is_valid():
    line = origins.line(record(), {}, {"kdlib": {"tables": ["cells"], "cells_again": True}})
    commands = [c for c in re.findall(r"<code>(.*?)</code>", line) if c.endswith("--fresh")]
    assert len(commands) == len(set(commands)) == 4
    words = commands[-1].split()
    assert words[:3] == ["kdlib", "compute", "missing_class"]
    parameters = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    given = parse_parameters("missing_class", "digits", "quick", parameters)
    settings = resolve(given, SECTIONS["missing_class"].parameters)
    assert settings.missing_classes == (6,) and settings.temperatures == (9.0,)


def test_parameters_given_by_hand_are_part_of_the_command():
    given = {"dataset": "digits", "profile": "quick", "temperatures": [3, 9], "examples": 200}
    assert origins.command(record(), given).endswith("-p 'temperatures=[3,9]' -p examples=200")


def test_every_command_of_a_reference_page_runs_with_what_the_page_was_run_with():
    """Profiles changed after pages were published."""
    for path in (ROOT / "book").glob("*/*.ipynb"):
        page = read(path)
        made, own = page_record(page), page.metadata["parameters"]
        words = shlex.split(origins.command(made, own))
        given = parse_parameters(made["section"], words[4], words[6], [word for word in words[7:] if word != "-p"])
        section = SECTIONS[made["section"]]
        now = as_recorded(resolve(given, section.accepted))
        taken = {*section.accepted, *given} - {*made["clipped"]}
        assert words[:3] == ["kdlib", "run", made["section"]]
        assert differing(now, made["settings"], taken) == []
        last = max(now[name] for name in ("teacher_epochs", "sweet_spot_epochs") if name in section.accepted)
        kept = [[epoch for epoch in run["kept_epochs"] if epoch <= last] for run in (now, made["settings"])]
        assert kept[0] == kept[1]  # which follow the epochs that are given
        if "sweet_spot_epochs" in section.accepted:  # weights of these are kept: part of the teachers' keys
            assert now["spread_settings"] == made["settings"]["spread_settings"]


def test_a_command_names_no_parameter_that_its_profile_has():
    assert origins.command(record(), {}) == "kdlib run missing_class --dataset digits --profile quick"
    changed = record()
    changed["settings"] |= {"student_epochs": 3, "profile": "quick"}
    assert origins.command(changed, {}).endswith("--profile quick -p student_epochs=3")
    assert origins.command(changed, {}, student_epochs=7).endswith("--profile quick -p student_epochs=7")


@pytest.mark.parametrize(
    "given",
    [{"temperatures": [3, 9]}, {"selections": ["random"]}, {"spread_settings": [[64, 1]]}, {"missing_classes": []}],
)
def test_a_commands_parameters_are_read_back_as_they_were(given):
    words = origins.parameter_words(given)
    settings = resolve({"profile": "smoke"} | dict(word.split("=", 1) for word in words if word != "-p"))
    for name, value in given.items():
        assert getattr(settings, name) == tuple(tuple(v) if isinstance(v, list) else v for v in value)


def test_a_unit_that_several_pages_use_counts_once_in_the_total():
    pages = [record(units={"a": 3600.0, "b": 3600.0}), record("entropy", units={"b": 3600.0, "c": 7200.0})]
    assert "**4.0 h** of one CPU core" in origins.report(pages)


@pytest.mark.parametrize(("seconds", "text"), [(4, "4 s"), (300, "5 min"), (7200, "2.0 h")])
def test_times_are_spoken(seconds, text):
    assert format_duration(seconds) == text
