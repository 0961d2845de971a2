import pytest

from kdlib import open_study
from kdlib.book.record import digest

from .faults import SECTIONS, Copy, kill_engine, kill_workers


@pytest.mark.book
@pytest.mark.long
def test_make_book_goes_on_after_kill_9_to_the_tables_of_an_undisturbed_computation(tmp_path):
    studies = {section: open_study(section, {"profile": "smoke"}) for section in SECTIONS}
    expected = {section: digest(study.tables()) for section, study in studies.items()}
    copy = Copy(tmp_path / "copy")
    assert kill_engine(copy, expected, duration=20, kills=3, seed=0, in_a_row=3) == 3, copy.tail()
    assert kill_workers(copy, expected, kills=1, seed=0) == 1, copy.tail()
    print("4 faults tried, 4 survived")
