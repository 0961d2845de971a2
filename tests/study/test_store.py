import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest
import safetensors.torch
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from kdlib import InputError, Store, StoreError, Student, Teacher, open_study
from kdlib.study import store
from kdlib.study.store import Unit, from_bytes, to_bytes, unit_key
from kdlib.training import teachers

from ..conftest import command_line

SMALL = {
    "profile": "smoke",
    "seeds": 1,
    "temperatures": [9],
    "missing_classes": [0],
    "teacher_epochs": 1,
    "student_epochs": 1,
}
TINY = Unit(
    "student",
    {"alpha": 0.99, "teacher": {"seed": 1}},
    {"confusion": torch.arange(6).view(2, 3), "bias": torch.tensor(0.5), "none": torch.empty(0, 3)},
    {"seconds": 1.5},
)
PAYLOAD = to_bytes(TINY)
HEADER = int.from_bytes(PAYLOAD[:8], "little")

FLIPS = {
    "in the header's length": lambda size, header: 0,
    "in the header": lambda size, header: 8 + header // 2,
    "in the tensors": lambda size, header: (8 + header + size) // 2,
    "in the last byte": lambda size, header: size - 1,
}
CUTS = {"by a byte": -1, "by half": 0.5, "inside of the header": 40, "inside of the length": 5, "to nothing": 0}


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    monkeypatch.setenv("KDLIB_WORKERS", "1")


@pytest.fixture
def empty(tmp_path) -> Store:
    return Store(tmp_path / "units", tmp_path / "results")


def a_study(place: Store, section: str = "missing_class"):
    return open_study(section, SMALL, store=place)


def of_each_kind(study) -> dict[str, dict[str, torch.Tensor]]:
    """One unit of each kind, as a study gets it from its store."""
    teacher = study.teacher("small", 0)
    return {
        "teacher": study.teacher_result(teacher),
        "student": study.student_results([study.student(teacher, 9)])[0],
        "measure": study.measure("sum", {}, lambda: {"sum": study.teacher_result(teacher)["logits"].sum()}),
    }


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A folder that holds one unit of each kind, and what they are."""
    place = tmp_path_factory.mktemp("computed")
    return place, of_each_kind(a_study(Store(place)))


def flipped(payload: bytes, position: int, mask: int = 1) -> bytes:
    return payload[:position] + bytes([payload[position] ^ mask]) + payload[position + 1 :]


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return {type(None): 1, str: f"{value}_", tuple: (1,)}[type(value)]


def test_a_unit_comes_back_as_it_was_put(empty):
    empty.put(TINY)
    unit = empty.get("student", TINY.config)
    assert_same(unit.tensors, TINY.tensors)
    assert (unit.kind, unit.config, unit.provenance) == (TINY.kind, TINY.config, TINY.provenance)
    assert empty.has("student", TINY.config)
    assert empty.verify() == ([empty.path("student", TINY.config)], [])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("layout", [lambda t: t, torch.t, lambda t: t[:, 1], lambda t: t[:1, 1], lambda t: t[0, 1]])
def test_a_tensor_of_any_layout_and_type_comes_back(layout, dtype, empty):
    tensor = layout(torch.arange(6).view(2, 3).to(dtype))
    empty.put(Unit("measure", {}, {"t": tensor}))
    assert torch.equal(empty.get("measure", {}).tensors["t"], tensor)


def test_what_was_never_put_is_not_there(empty):
    assert empty.get("student", TINY.config) is None
    assert not empty.has("student", TINY.config)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Teacher)])
def test_the_key_of_a_teacher_and_of_its_students_depends_on_each_of_its_fields(name, digits):
    teacher = Teacher("small_teacher", 0, 2, 64)
    value = teacher if name in ("taught_by", "continues") else changed(getattr(teacher, name))
    other = dataclasses.replace(teacher, **{name: value})
    assert unit_key("teacher", teacher.config(digits)) != unit_key("teacher", other.config(digits))
    ours, theirs = (Student(t, 1, 9.0).config(digits) for t in (teacher, other))
    assert unit_key("student", ours) != unit_key("student", theirs)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Student) if f.name != "teacher"])
def test_the_key_of_a_student_depends_on_each_of_its_fields(name, digits, tiny_teacher):
    student = Student(tiny_teacher, 1, 9.0, system="dkd")  # which has parameters
    named = {"system": "rbkd", "parameters": (("beta", 2.0),)}
    other = dataclasses.replace(student, **{name: named.get(name) or changed(getattr(student, name))})
    assert unit_key("student", student.config(digits)) != unit_key("student", other.config(digits))


def test_the_key_depends_on_the_data(digits, tiny_teacher):
    other = dataclasses.replace(digits, digest="0" * 64)
    assert unit_key("teacher", tiny_teacher.config(digits)) != unit_key("teacher", tiny_teacher.config(other))


def test_the_key_depends_on_kind_and_recipe_and_not_on_the_order_of_names(monkeypatch):
    config = {"a": 1, "b": {"c": 2, "d": 3}}
    key = unit_key("teacher", config)
    assert unit_key("teacher", {"b": {"d": 3, "c": 2}, "a": 1}) == key
    assert unit_key("student", config) != key
    monkeypatch.setitem(store.RECIPE_VERSIONS, "teacher", store.RECIPE_VERSIONS["teacher"] + 1)
    assert unit_key("teacher", config) != key


def test_a_unit_of_an_older_recipe_is_not_used(empty, monkeypatch):
    empty.put(TINY)
    monkeypatch.setitem(store.RECIPE_VERSIONS, "student", store.RECIPE_VERSIONS["student"] + 1)
    assert empty.get("student", TINY.config) is None


def test_every_flipped_bit_is_noticed():
    for position in range(len(PAYLOAD)):
        for bit in range(8):
            with pytest.raises(ValueError, match="damaged"):
                from_bytes(flipped(PAYLOAD, position, 1 << bit))


@given(st.integers(0, len(PAYLOAD) - 1), st.integers(1, 255))
@example(7 + HEADER, ord(" ") ^ ord("\t"))  # the header's padding
def test_a_changed_byte_is_noticed(position, mask):
    with pytest.raises(ValueError, match="damaged"):
        from_bytes(flipped(PAYLOAD, position, mask))


@given(st.integers(0, len(PAYLOAD) - 1), st.binary(min_size=1, max_size=9))
def test_a_cut_or_lengthened_file_is_noticed(length, more):
    for payload in (PAYLOAD[:length], PAYLOAD + more):
        with pytest.raises(ValueError, match="damaged"):
            from_bytes(payload)


@pytest.mark.parametrize("kind", ["teacher", "student", "measure"])
@pytest.mark.parametrize("damage", [*FLIPS, *CUTS])
def test_a_damaged_file_is_reported_listed_and_computed_again(damage, kind, computed, tmp_path, capsys):
    place, expected = computed
    copy = Store(shutil.copytree(place, tmp_path / "copy"))
    study = a_study(copy)
    [path] = [p for p in copy.paths() if p.parent.name == kind]
    payload = path.read_bytes()
    if damage in FLIPS:
        position = FLIPS[damage](len(payload), int.from_bytes(payload[:8], "little"))
        path.write_bytes(flipped(payload, position))
    else:
        cut = CUTS[damage]
        path.write_bytes(payload[: int(len(payload) * cut) if isinstance(cut, float) else cut])

    assert [p for p, _ in copy.verify()[1]] == [path]
    capsys.readouterr()
    assert_same(of_each_kind(study)[kind], expected[kind])
    messages = [line for line in capsys.readouterr().err.splitlines() if line.startswith("store:")]
    assert len(messages) == 1
    assert path.name in messages[0] and "computed again" in messages[0]
    assert copy.verify()[1] == []


def test_a_sound_file_under_another_units_name_is_not_used(empty, capsys):
    empty.put(TINY)
    other = empty.path("student", {"alpha": 1})
    shutil.copy(empty.path("student", TINY.config), other)
    assert empty.verify()[1] == [(other, "of another configuration or recipe")]
    assert empty.get("student", {"alpha": 1}) is None
    assert other.name in capsys.readouterr().err


def test_a_process_killed_before_the_rename_leaves_no_unit(tmp_path):
    place = tmp_path / "units"
    killed = f"""
import os, signal, torch
from kdlib.study.store import Store, Unit
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
Store({str(place)!r}).put(Unit("student", {TINY.config!r}, {{"t": torch.ones(9)}}))
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    after = Store(place)
    left = list((place / "student").iterdir())
    assert len(left) == 1 and left[0].stat().st_size > 9 * 4  # all was written but the name
    assert list(after.paths()) == [] and after.verify() == ([], [])
    assert after.get("student", TINY.config) is None and not after.has("student", TINY.config)
    after.put(TINY)
    assert_same(after.get("student", TINY.config).tensors, TINY.tensors)


@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_a_disk_that_fills_while_a_unit_is_written_is_one_clear_error(failing, empty, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(*(("builtins.open", full) if failing == "open" else (os, failing, full)))
        with pytest.raises(StoreError, match="No space left on device.*stays valid.*make room.*run again"):
            empty.put(TINY)
    assert list((empty.root / "student").iterdir()) == []
    assert_same(empty.put(TINY).tensors, empty.get("student", TINY.config).tensors)


def test_a_store_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=f"store {place} cannot be used: {tmp_path / 'file'} is a file"):
            Store(place)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 80 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=80m", "tmpfs", disk], check=False).returncode:
        pytest.skip("a small file system cannot be mounted without root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path, left: int) -> Path:
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return filler


def test_a_full_disk_loses_nothing_and_the_next_run_goes_on(small_disk):
    study = a_study(Store(small_disk / "store"))
    expected = study.tables()
    units = {path: path.stat().st_size for path in study.store.paths()}
    largest = max(units, key=units.get)
    largest.unlink()
    kept = {path: path.stat().st_mtime_ns for path in study.store.paths()}

    filler = fill(small_disk, units[largest] // 2)
    again = a_study_without_check(study)
    with pytest.raises(StoreError, match=f"{study.store.root} cannot be written: No space left"):
        again.teacher_result(again.teacher("large", 0))
    assert {p for p in study.store.root.glob("*/*") if p.is_file()} == set(kept)

    filler.unlink()
    again = a_study(study.store)
    again.teacher_result(again.teacher("large", 0))
    assert set(study.store.paths()) == set(units)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert all(expected[name].equals(table) for name, table in again.tables().items())


def a_study_without_check(study):
    """A study of before the disk filled."""
    return type(study)(study.definition, study.settings, study.dataset, study.store, {}, [])


def test_too_little_room_is_said_before_any_work(small_disk):
    filler = fill(small_disk, 2**20)
    with pytest.raises(InputError, match="1 MiB of room, about [0-9]+ MiB needed"):
        a_study(Store(small_disk / "store"))
    filler.unlink()
    assert list((small_disk / "store").iterdir()) == []


COMPUTE = f"""
import sys, time, kdlib
from kdlib.book.record import digest
put = kdlib.Store.put
def slowly(store, unit):
    print(unit.key, flush=True)
    time.sleep(0.2)
    return put(store, unit)
kdlib.Store.put = slowly
study = kdlib.open_study("missing_class", {SMALL!r}, store=kdlib.Store(sys.argv[1]))
print(digest(study.tables()))
"""


def start(place) -> subprocess.Popen:
    """A process that computes a section; it says the key of each unit, then the tables' digest."""
    command = [sys.executable, "-c", COMPUTE, str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen) -> tuple[list[str], str]:
    """Keys of the units that a process has computed, and its tables' digest."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    *units, tables = out.split()
    return units, tables


@pytest.mark.long
def test_of_two_processes_on_one_store_each_unit_is_computed_by_one_with_the_tables_of_one_alone(tmp_path):
    processes = [start(tmp_path / place) for place in ("shared", "shared", "alone")]
    (first, tables), (second, same), (alone, expected) = map(said, processes)
    assert tables == same == expected
    assert sorted(first + second) == sorted(alone) and len(alone) > 4
    sound, damaged = Store(tmp_path / "shared").verify()
    assert damaged == []
    assert {p.name for p in sound} == {p.name for p in Store(tmp_path / "alone").paths()}


@pytest.mark.long
def test_a_process_that_waits_for_a_killed_one_goes_on_from_what_that_one_has_finished(tmp_path):
    killed = start(tmp_path / "store")
    finished, _ = (killed.stdout.readline().strip() for _ in range(2))  # the second is not written yet
    killed.send_signal(signal.SIGSTOP)  # so that it is still there when the other comes
    waiting = start(tmp_path / "store")
    while not waiting.stderr.readline().startswith("missing_class: another process computes the same; waiting for it"):
        assert waiting.poll() is None
    killed.kill()
    killed.communicate()
    units, _ = said(waiting)
    assert units and finished not in units


def publish(results: Path, *rows: dict, folder: str = "digits") -> None:
    (results / folder).mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), results / folder / "missing_class.parquet")


def test_what_the_results_hold_is_read_and_not_computed(computed, empty, monkeypatch):
    place, expected = computed
    rows = list(Store(place).parquet_rows(path.stem for path in Store(place).paths()))
    publish(empty.results, *rows)
    monkeypatch.setattr(
        teachers, "train_teacher", lambda *args: pytest.fail("a teacher of published units was trained")
    )
    study = a_study(empty)
    teacher = study.teacher("small", 0)
    assert_same(study.student_results([study.student(teacher, 9)])[0], expected["student"])
    assert_same(study.measure("sum", {}, lambda: pytest.fail("a published measure was computed")), expected["measure"])
    assert list(empty.paths()) == []


def test_results_keep_how_a_teacher_came_about_and_not_its_tensors(computed, empty):
    place, _ = computed
    rows = list(Store(place).parquet_rows(path.stem for path in Store(place).paths()))
    publish(empty.results, *rows)
    study = a_study(empty)
    config = study.teacher("small", 0).config(study.dataset)
    assert empty.provenance("teacher", config) == Store(place).provenance("teacher", config)
    assert not empty.has("teacher", config)
    assert empty.get("teacher", config) is None
    assert list(empty.parquet_rows(row["key"] for row in rows)) == rows
    again = Store(place, results=empty.results)  # it has both: what was published stays, byte for byte
    assert list(again.parquet_rows(row["key"] for row in rows)) == rows


@pytest.mark.parametrize("damage", ["payload", "file"])
def test_damaged_results_are_reported_and_computed_again(damage, empty, capsys):
    payload = flipped(PAYLOAD, 50) if damage == "payload" else PAYLOAD
    publish(empty.results, {"key": TINY.key, "kind": "student", "payload": payload})
    [file] = empty.results.glob("*/*.parquet")
    if damage == "file":
        file.write_bytes(file.read_bytes()[:-9])
    assert empty.get("student", TINY.config) is None
    message = capsys.readouterr().err
    assert "computed again" in message
    assert (file.name if damage == "file" else TINY.key) in message
    empty.put(TINY)
    assert_same(empty.get("student", TINY.config).tensors, TINY.tensors)


def test_what_another_machine_computed_is_sent_without_teachers_and_read_here(computed, empty, tmp_path, monkeypatch):
    place, expected = computed
    files = Store(place).export(tmp_path / "sent", part_bytes=1)
    assert len(files) == len(list(Store(place).paths()))  # so small parts that each holds one unit
    assert sum(empty.import_file(file) for file in files) == len(files)
    here = Store(empty.root, empty.results)
    monkeypatch.setattr(teachers, "train_teacher", lambda *args: pytest.fail("a teacher of sent units was trained"))
    study = a_study(here)
    teacher = study.teacher("small", 0)
    assert_same(study.student_results([study.student(teacher, 9)])[0], expected["student"])
    config = teacher.config(study.dataset)
    assert not here.has("teacher", config)
    assert here.provenance("teacher", config) == Store(place).provenance("teacher", config)
    assert sum(file.stat().st_size for file in files) < 0.2 * sum(p.stat().st_size for p in Store(place).paths())


def test_a_damaged_unit_is_left_out_of_an_export_and_found_where_it_was_taken_in(computed, empty, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(computed[0], copy)
    [file] = (copy / "student").glob("*.safetensors")
    file.write_bytes(flipped(file.read_bytes(), -40))
    [part] = Store(copy).export(tmp_path / "sent", part_bytes=2**30)
    assert file.stem in capsys.readouterr().err
    assert file.stem not in store.published_units(part)
    with pytest.raises(InputError, match="holds an export already"):
        Store(copy).export(tmp_path / "sent", part_bytes=2**30)
    empty.import_file(part)
    assert empty.verify()[1] == []
    [taken] = empty.root.rglob("*.parquet")
    taken.write_bytes(taken.read_bytes()[:-9])
    assert [path for path, _ in Store(empty.root).verify()[1]] == [taken]


def test_a_unit_that_cannot_be_read_stops_none_of_the_others(computed, empty, capsys, monkeypatch):
    shutil.copytree(computed[0], empty.root)
    unreadable, *others = empty.paths()
    unreadable.unlink()
    unreadable.mkdir()  # as one without permission to read, which root may read nevertheless
    assert empty.verify() == (others, [(unreadable, "unreadable (Is a directory)")])
    assert {row["key"] for row in empty.parquet_rows(path.stem for path in empty.paths())} == {p.stem for p in others}
    assert f"{unreadable.stem} is unreadable (Is a directory): left out" in capsys.readouterr().err
    monkeypatch.setattr(empty, "path", lambda *_: unreadable)
    with pytest.raises(StoreError, match=rf"^{unreadable} cannot be read \(Is a directory\); nothing was removed"):
        empty.get(unreadable.parent.name, {})
    listed = command_line("store", "ls", "--store", str(empty.root)).stdout.splitlines()
    assert len(listed) == 1 + len(others) and listed[0].endswith(f"{unreadable.stem} unreadable (Is a directory)")


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES, errno.ESTALE])
def test_a_sound_unit_that_cannot_be_read_now_is_not_removed(number, empty, monkeypatch):
    path = empty.path(TINY.kind, empty.put(TINY).config)

    def failing(_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises(StoreError, match=rf"^{path} cannot be read \({os.strerror(number)}\); nothing was removed"):
            empty.get(TINY.kind, TINY.config)
        assert empty.verify() == ([], [(path, f"unreadable ({os.strerror(number)})")])
    assert_same(empty.get(TINY.kind, TINY.config).tensors, TINY.tensors)


def test_a_sound_unit_for_which_memory_does_not_do_is_not_removed(empty, monkeypatch):
    empty.put(TINY)

    def full(_):
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(safetensors.torch, "load", full)
        empty.get(TINY.kind, TINY.config)
    assert_same(empty.get(TINY.kind, TINY.config).tensors, TINY.tensors)


def test_published_units_that_cannot_be_read_now_are_neither_computed_again_nor_left_out(empty, monkeypatch):
    """Their file would be published anew without them."""
    publish(empty.results, {"key": TINY.key, "kind": "student", "payload": PAYLOAD})
    [file] = empty.results.glob("*/*.parquet")

    def failing(*_, **__):
        raise OSError(errno.EMFILE, f"Failed to open local file '{file}'")

    with monkeypatch.context() as patch:
        patch.setattr(parquet, "read_table", failing)
        for ask in (lambda: empty.get("student", TINY.config), lambda: list(empty.parquet_rows([TINY.key]))):
            with pytest.raises(StoreError, match=rf"^{file} cannot be read \(Too many open files\)"):
                ask()
    assert_same(empty.get("student", TINY.config).tensors, TINY.tensors)


def test_of_a_unit_in_several_layers_the_one_that_a_page_was_made_of_counts(tmp_path):
    """Computed again for another run it may name another commit; a page made anew must not."""
    for folder, commit in (("zoo", "of the page"), ("units", "of a later run")):
        unit = dataclasses.replace(TINY, provenance={**TINY.provenance, "commit": commit})
        publish(tmp_path / "results", {"key": TINY.key, "kind": "student", "payload": to_bytes(unit)}, folder=folder)
    found = Store(tmp_path / "store", tmp_path / "results").get("student", TINY.config)
    assert found.provenance["commit"] == "of the page"


def test_what_macos_leaves_beside_each_file_on_a_foreign_file_system_is_no_unit(computed, empty, tmp_path, capsys):
    shutil.copytree(computed[0], empty.root)
    units = [*empty.paths()]
    empty.import_file(Store(computed[0]).export(tmp_path / "sent", part_bytes=2**30)[0])
    for file in [*units, *empty.root.rglob("*.parquet")]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\26\7")
    assert Store(empty.root).verify() == (units, [])
    assert Store(empty.root).get("student", {}) is None and capsys.readouterr().err == ""


def test_units_that_were_damaged_on_the_way_are_refused_and_leave_nothing(computed, empty, tmp_path):
    [file] = Store(computed[0]).export(tmp_path / "sent", part_bytes=2**30)
    rows = parquet.read_table(file).to_pylist()
    rows[0]["payload"] = flipped(rows[0]["payload"], len(rows[0]["payload"]) // 2)
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    with pytest.raises(InputError, match="damaged .*send it again"):
        empty.import_file(file)
    file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="send it again"):
        empty.import_file(file)
    assert not empty.root.exists()


def test_two_exports_of_one_store_are_equal_and_importing_both_keeps_every_unit_once(computed, empty, tmp_path):
    first, again = (Store(computed[0]).export(tmp_path / name, part_bytes=2**30)[0] for name in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()
    counts = [empty.import_file(file) for file in (first, again)]
    assert counts[0] == counts[1] == 3
    assert len(list(empty.root.glob("*/*.parquet"))) == 1


def test_of_an_export_that_overlaps_an_earlier_one_only_what_is_new_is_kept(tmp_path, empty):
    source = Store(tmp_path / "source")
    units = [Unit("measure", {"measure": name}, {"value": torch.tensor(1.0)}, {}) for name in ("a", "b")]
    for unit, count in zip(units, (1, 2), strict=True):
        source.put(unit)
        [file] = source.export(tmp_path / f"export{count}", part_bytes=2**30)
        assert empty.import_file(file) == count
    kept = [store.published_units(path) for path in sorted(empty.root.glob("*/*.parquet"))]
    assert sorted(len(part) for part in kept) == [1, 1]
    assert empty.get("measure", units[1].config) == units[1]


def test_equal_units_are_equal_bytes():
    assert len({to_bytes(TINY) for _ in range(20)}) == 1


def test_published_units_are_read_once_by_a_process_and_again_when_their_file_has_changed(tmp_path, monkeypatch):
    file = tmp_path / "results" / "digits" / "entropy.parquet"
    file.parent.mkdir(parents=True)
    read, read_table = [], parquet.read_table
    monkeypatch.setattr(parquet, "read_table", lambda *a, **options: read.append(a) or read_table(*a, **options))

    def publish(payload):
        rows = {"key": [unit_key(TINY.kind, TINY.config)], "payload": [payload]}
        parquet.write_table(pyarrow.table(rows), file)

    def found():
        return Store(tmp_path / "store", tmp_path / "results").get(TINY.kind, TINY.config)

    publish(PAYLOAD)
    assert to_bytes(found()) == to_bytes(found()) == PAYLOAD and len(read) == 1
    publish(flipped(PAYLOAD, -1))
    assert found() is found() is None and len(read) == 2
