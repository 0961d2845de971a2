"""An export that grows: every file is whole at any time, none is too large, and nothing that fits is left behind."""

import os

import pytest
import torch

import kdlib
from kdlib.study.parcels import ROOM_FOR_FORM, Parcels, parcels_in, read_rows
from kdlib.study.store import Store, Unit, published_units, unit_key

KIB = 1 << 10


def unit(kind: str, number: int, size: int = 8 * KIB) -> Unit:
    numbers = torch.Generator().manual_seed(number)
    return Unit(kind, {"n": number}, {"x": torch.randint(256, (size,), generator=numbers, dtype=torch.uint8)}, {})


def key(kind: str, number: int) -> str:
    return unit_key(kind, {"n": number})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", tmp_path / "results")


def parcels(store, tmp_path, files=4, file_bytes=ROOM_FOR_FORM + 20 * KIB):
    return Parcels(store, tmp_path / "out", files, file_bytes)


def sent(tmp_path, kind="units") -> list[str]:
    return [k for path in parcels_in(tmp_path / "out") if path.name.startswith(kind) for k in published_units(path)]


def test_what_is_new_is_added_and_files_stay_below_their_size(store, tmp_path):
    out = parcels(store, tmp_path)
    for number in range(5):
        store.put(unit("student", number))
        out.update()
        assert set(sent(tmp_path)) == {key("student", n) for n in range(number + 1)}
    files = parcels_in(tmp_path / "out")
    assert [len(read_rows(path)) for path in files] == [2, 2, 1]
    assert all(path.stat().st_size <= out.file_bytes for path in files)


def test_an_empty_store_takes_what_was_exported(store, tmp_path):
    out = parcels(store, tmp_path)
    for number in range(3):
        store.put(unit("student", number))
    store.put(unit("responses", 0))
    out.update([key("responses", 0)])
    elsewhere = Store(tmp_path / "elsewhere", tmp_path / "results")
    assert sum(elsewhere.import_file(path) for path in parcels_in(tmp_path / "out")) == 4
    for kind, number in (("student", 2), ("responses", 0)):
        found = elsewhere.get(kind, {"n": number})
        assert torch.equal(found.tensors["x"], unit(kind, number).tensors["x"])


def test_responses_take_the_files_that_are_left_in_their_order_and_give_way_to_units(store, tmp_path):
    out = parcels(store, tmp_path, files=3)
    for number in range(8):
        store.put(unit("responses", number))
    wanted = [key("responses", number) for number in (7, 0, 6, 1, 5, 2, 4)]
    store.put(unit("student", 0))
    out.update(wanted)
    assert sent(tmp_path, "responses") == wanted[:4] and len(parcels_in(tmp_path / "out")) == 3
    for number in range(1, 4):
        store.put(unit("student", number))
    out.update(wanted[1:])
    assert sent(tmp_path, "responses") == wanted[1:3] and len(sent(tmp_path)) == 4
    for number in range(4, 9):
        store.put(unit("student", number))
    out.update(wanted)
    assert sent(tmp_path, "responses") == [] and len(sent(tmp_path)) == 6 and out.left_out == 3


def test_responses_that_several_students_need_are_sent_once(store, tmp_path):
    store.put(unit("responses", 0))
    parcels(store, tmp_path).update([key("responses", 0)] * 2)
    [file] = parcels_in(tmp_path / "out")
    assert [row["key"] for row in read_rows(file)] == [key("responses", 0)]


def test_what_was_in_the_folder_is_kept_by_a_store_that_lacks_it(store, tmp_path):
    store.put(unit("student", 0))
    parcels(store, tmp_path).update()
    other = Store(tmp_path / "other", tmp_path / "results")
    other.put(unit("student", 1))
    parcels(other, tmp_path).update()
    assert set(sent(tmp_path)) == {key("student", n) for n in (0, 1)}


def test_a_kill_while_a_file_is_written_leaves_the_file_before_it(store, tmp_path, monkeypatch):
    """And the next export writes what that one could not."""
    out = parcels(store, tmp_path)
    store.put(unit("student", 0))
    out.update()
    store.put(unit("student", 1))

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", die)
        out.update()
    assert sent(tmp_path) == [key("student", 0)]
    out.update()
    assert set(sent(tmp_path)) == {key("student", n) for n in (0, 1)}


def test_a_damaged_file_in_the_folder_is_one_clear_error(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "units-001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(kdlib.InputError, match="units-001.parquet is damaged .*choose another folder"):
        parcels(store, tmp_path)
