"""Rules by section: each claim in its place, and a digest that says what the entries say and nothing else."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from kdlib import InputError
from kdlib.claims import rules
from kdlib.claims.claims import load_claims
from kdlib.sections import SECTIONS

from ..conftest import rules_in


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A copy of the rules to change."""
    rules_in(tmp_path, monkeypatch)
    return tmp_path / "kdlib" / "sections"


def change(path: Path, was: str, now: str) -> None:
    assert was in path.read_text()
    path.write_text(path.read_text().replace(was, now, 1))


def test_each_claim_is_listed_once_in_the_papers_order_and_stands_once_in_a_sections_folder():
    listed = yaml.safe_load(rules.ORDER.read_text())
    assert [claim.id for claim in load_claims()] == listed
    assert set(Counter(listed).values()) == {1}
    texts = [path.read_text() for (_, kind), path in rules.files().items() if kind == "claims"]
    assert len(texts) == len(SECTIONS) and not any("\n  notebook:" in text for text in texts)


def test_a_claim_that_is_not_listed_comes_last(folder):
    change(folder / "entropy" / "claims.yml", "- id: temperature-softens", "- id: made-up")
    assert load_claims()[-1].id == "made-up"


@pytest.mark.parametrize("spoiled", [b"- id: [\n", b"- id: \xff\n", b"\tid: x\n"], ids=["cut", "latin-1", "tab"])
def test_a_file_that_is_no_yaml_is_named_in_one_line(spoiled, folder):
    path = folder / "entropy" / "claims.yml"
    path.write_bytes(spoiled)
    with pytest.raises(InputError, match=f"^{path} (cannot be read as YAML|is no text in UTF-8): .+") as raised:
        load_claims()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("- id:", "- idd:", "must be a list of entries, each with an `id`"),
        ("- id:", "x:\n- id:", "must be a list of entries"),
        ("  kind:", "  knid:", "rule .* of entropy: got an unexpected keyword argument 'knid'"),
    ],
)
def test_an_entry_that_is_no_claim_is_named_in_one_line(was, now, message, folder):
    change(folder / "entropy" / "claims.yml", was, now)
    with pytest.raises(InputError, match=message):
        load_claims()


@pytest.mark.parametrize("spoiled", ["", "a: 1\n", "- [a]\n"])
def test_an_order_that_is_no_list_is_named_in_one_line(spoiled, tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "ORDER", tmp_path / "order.yml")
    rules.ORDER.write_text(spoiled)
    with pytest.raises(InputError, match=f"^{rules.ORDER} must be a list of the claims' `id`s$"):
        rules.read()


def test_every_section_has_rules():
    assert set(rules.digests()) == set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_comment_changes_no_digest(section, folder):
    before = rules.digests()
    change(folder / section / "claims.yml", "- id:", "# a comment\n- id:")
    assert rules.digests() == before


def test_the_order_of_entries_changes_no_digest(folder):
    path, before = folder / "entropy" / "claims.yml", rules.digests()
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text())[::-1]))
    assert rules.digests() == before


@pytest.mark.parametrize("section", SECTIONS)
def test_a_claim_changes_the_digest_of_its_own_section_alone(section, folder):
    before = rules.digests()
    change(folder / section / "claims.yml", "  kind: direction", "  kind: existence")
    assert {name for name, digest in rules.digests().items() if digest != before[name]} == {section}


def test_a_control_belongs_to_the_section_whose_tables_decide_it(folder):
    before = rules.digests()
    change(folder / "rival_explanations" / "controls.yml", "title: No teacher at all", "title: None at all")
    assert {name for name, digest in rules.digests().items() if digest != before[name]} == {"sweet_spot"}


def test_rules_that_have_not_changed_are_not_parsed_again():
    rules.read()
    parsed = rules._load_rules.cache_info().misses
    assert rules.read() == rules.read()
    assert rules._load_rules.cache_info().misses == parsed


def test_what_is_read_of_another_file_may_be_changed_and_read_again(tmp_path):
    (tmp_path / "toc.yml").write_text("parts: []")
    rules.load_yaml(tmp_path / "toc.yml")["parts"].append("found")
    assert rules.load_yaml(tmp_path / "toc.yml") == {"parts": []}
