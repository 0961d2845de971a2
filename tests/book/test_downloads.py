"""What can be taken away: complete, checkable, the same bytes every time; launch links only where they lead."""

import hashlib
import json
import zipfile

import pytest

from kdlib.book import downloads


def record(section: str = "entropy") -> dict:
    return {"section": section, "dataset": "digits", "tables": {"shown": "a,b\n1,2\n"}, "units": {}, "digest": "x"}


def test_an_archive_is_the_same_bytes_every_time_and_its_manifest_is_right(tmp_path):
    archives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        downloads.write([record(), record("missing_class")], tmp_path / name)
        archives.append(tmp_path / name / "archives" / "digits.zip")
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as archive:
        manifest = json.loads(archive.read("MANIFEST.json"))
        assert set(manifest) == set(archive.namelist()) - {"MANIFEST.json"}
        assert {"rules/RULES.md", "rules/entropy/claims.yml", "entropy/shown.csv", "missing_class/record.json"} <= set(
            manifest
        )
        for name, digest in manifest.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


def test_tables_and_both_files_of_the_source_are_there(tmp_path):
    downloads.write([record()], tmp_path)
    assert (tmp_path / "tables/digits/entropy/shown.csv").read_text() == "a,b\n1,2\n"
    assert (tmp_path / "sources/entropy.ipynb").exists() and (tmp_path / "sources/entropy.py").exists()


@pytest.mark.parametrize("address", ["https://github.com/ada/book", "https://github.com/ada/book.git/"])
def test_with_a_repository_the_notebook_can_be_launched(address):
    shown = downloads.links(record(), {"url": address, "branch": "main"})
    assert "https://mybinder.org/v2/gh/ada/book/main?labpath=notebooks%2Fentropy.ipynb" in shown
    assert "https://colab.research.google.com/github/ada/book/blob/main/notebooks/entropy.ipynb" in shown


@pytest.mark.parametrize("repository", [{}, {"url": ""}, {"url": "https://example.org/ada/book"}])
def test_without_one_nothing_is_launched(repository):
    shown = downloads.links(record(), repository)
    assert "mybinder" not in shown and "colab" not in shown and "entropy.ipynb" in shown
