import json
import math
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import kdlib
from kdlib import InputError, Settings, Store, open_study, resolve
from kdlib.book.record import record
from kdlib.data import registry
from kdlib.sections import SECTIONS
from kdlib.study import settings as profiles
from kdlib.study.settings import differing, profile_names, profile_values, reductions

SMOKE = {"dataset": "digits", "profile": "smoke"}
PAPERS = (3.0, 6.0, 9.0, 12.0, 15.0, 20.0)
NAMES = tuple(f.name for f in fields(Settings) if f.name not in ("dataset", "profile", "device"))

# Section, parameters, and what the message must hold: what is wrong, and what is allowed.
REFUSED = {
    "an unknown name": ("missing_class", {"temprature": [9]}, "unknown parameter temprature; allowed: .*temperatures"),
    "two unknown names": ("missing_class", {"x": 1, "y": None}, "unknown parameters x, y; allowed: dataset"),
    "another section's name": ("entropy", {"alpha": 0.5}, "unknown parameter alpha; allowed: dataset"),
    "temperatures: a word": ("missing_class", {"temperatures": "hot"}, "temperatures='hot' .*positive numbers"),
    "temperatures: none": ("missing_class", {"temperatures": []}, r"temperatures=\[\] .*positive numbers"),
    "temperatures: 0": ("missing_class", {"temperatures": [3, 0]}, r"temperatures=\[3, 0\] .*positive"),
    "temperatures: negative": ("missing_class", {"temperatures": [-3]}, "temperatures=.*positive"),
    "temperatures: nan": ("missing_class", {"temperatures": [math.nan]}, "temperatures=.*positive"),
    "temperatures: infinite": ("missing_class", {"temperatures": [math.inf]}, "temperatures=.*positive"),
    "temperatures: nan in a string": ("missing_class", {"temperatures": "[nan]"}, "temperatures=.*positive"),
    "temperatures: words in a list": ("missing_class", {"temperatures": ["hot"]}, "temperatures=.*positive"),
    "temperatures: a flag": ("missing_class", {"temperatures": [True]}, "temperatures=.*positive"),
    "temperatures: twice the same": ("missing_class", {"temperatures": [9, 9.0]}, "temperatures=.*different"),
    "temperatures: a dictionary": ("missing_class", {"temperatures": {"3": 9}}, "temperatures=.*positive"),
    "temperatures: two axes": ("missing_class", {"temperatures": np.ones((2, 2))}, "temperatures=.*positive"),
    "a data set that is no name": ("entropy", {"dataset": {}}, "dataset, a dict, cannot be used; .*such as 'digits'"),
    "alpha: above 1": ("missing_class", {"alpha": 1.5}, "alpha=1.5 .*allowed: a number from 0 to 1"),
    "alpha: below 0": ("missing_class", {"alpha": "-0.1"}, "alpha='-0.1' .*allowed: a number from 0 to 1"),
    "alpha: nan": ("missing_class", {"alpha": math.nan}, "alpha=nan .*allowed: a number from 0 to 1"),
    "t_squared: a number": ("missing_class", {"t_squared": 1}, "t_squared=1 .*true or false"),
    "learning_rate: 0": ("entropy", {"learning_rate": 0}, "learning_rate=0 .*positive"),
    "learning_rate: a word": ("entropy", {"learning_rate": "fast"}, "learning_rate='fast' .*positive"),
    "seeds: 0": ("entropy", {"seeds": 0}, "seeds=0 .*from 1 to 100"),
    "seeds: a half": ("entropy", {"seeds": 1.5}, "seeds=1.5 .*whole number"),
    "seeds: a list": ("entropy", {"seeds": [1]}, r"seeds=\[1\] .*whole number"),
    "seeds: infinitely many": ("entropy", {"seeds": math.inf}, "seeds=inf .*whole number"),
    "teacher_epochs: none at all": ("entropy", {"teacher_epochs": 0}, "teacher_epochs=0 .*from 1"),
    "teacher_batch_size: negative": ("entropy", {"teacher_batch_size": -8}, "teacher_batch_size=-8 .*from 1"),
    "precision": ("entropy", {"precision": "fp8"}, "precision='fp8' .*fp32 or bf16"),
    "a data set": ("entropy", {"dataset": "imagenet"}, "unknown data set 'imagenet'; allowed: .*digits.*mnist"),
    "a profile": ("entropy", {"profile": "huge"}, "unknown profile 'huge'; allowed: smoke, quick, paper"),
    "a class": ("missing_class", {"missing_classes": [3, 10]}, "missing_classes=.*digits has classes 0 to 9"),
    "a negative class": ("missing_class", {"missing_classes": [-1]}, "missing_classes=.*class indices"),
    "a class by name": ("missing_class", {"missing_classes": ["six"]}, "missing_classes=.*class indices"),
    "a selection": ("example_efficiency", {"selections": ["best"]}, "selections=.*entropy, lowest, random"),
    "more examples per class than exist": (
        "example_efficiency",
        {"examples_per_class": [5, 36]},
        r"examples_per_class=\[5, 36\]: digits has 35 training examples in the smallest class",
    ),
    "a larger batch than there are examples": (
        "sweet_spot",
        {"batch_sizes": "[64, 361]"},
        r"batch_sizes=\[64, 361\]: digits has 360 training examples",
    ),
    "more examples than exist": ("entropy", {"examples": 1301}, "examples=1301 .*allowed are 200 to 1277, or all"),
    "too few examples": ("entropy", {"examples": 30}, "examples=30 .*allowed are 200 to 1277"),
    "a pair that is none": ("penultimate_layer", {"spread_settings": [128]}, "spread_settings=.*pairs"),
    "a pair beyond the epochs": (
        "penultimate_layer",
        {"spread_settings": [[128, 3]]},
        r"spread_settings=\[\[128, 3\]\]: responses are kept after epochs 1, 2 of",
    ),
    "a pair of a larger batch than there are examples": (
        "penultimate_layer",
        {"spread_settings": [[361, 2]]},
        r"spread_settings=\[\[361, 2\]\]: digits has 360 training examples",
    ),
    "a pair beyond the epochs on the way to the sweet spot": (
        "penultimate_layer",
        {"spread_settings": [[128, 2]], "sweet_spot_epochs": 1},
        r"spread_settings=\[\[128, 2\]\]: responses are kept after epochs 1 of",
    ),
    "a device": ("entropy", {"device": "tpu9"}, "device='tpu9' cannot be used; allowed: auto, cpu, cuda"),
    "a device number": ("entropy", {"device": 0}, "device=0 .*allowed: auto, cpu, cuda"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_what_is_allowed_and_leaves_nothing(case, tmp_path):
    section, parameters, message = REFUSED[case]
    with pytest.raises(InputError, match=f"(?s){message}"):
        open_study(section, SMOKE | parameters, store=Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has cuda")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_refused(device, tmp_path):
    with pytest.raises(InputError, match=f"'{device}' was asked for and is not on this machine; `auto` or `cpu`"):
        open_study("entropy", SMOKE | {"device": device}, store=Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("workers", ["0", "many", "-1", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused_before_any_work(workers, monkeypatch, tmp_path):
    monkeypatch.setenv("KDLIB_WORKERS", workers)
    with pytest.raises(InputError, match=f"KDLIB_WORKERS='{workers}' .*whole number from 1"):
        open_study("entropy", SMOKE | {"device": "cpu"}, store=Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_an_engine_that_does_not_exist_is_refused_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setenv("KDLIB_ENGINE", "bogus")
    with pytest.raises(InputError, match="KDLIB_ENGINE='bogus' .*loop, stacked"):
        open_study("entropy", SMOKE, store=Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperatures", "[3, 9]", (3.0, 9.0)),
        ("temperatures", "[9, 3]", (3.0, 9.0)),
        ("batch_sizes", [128, 64], (64, 128)),
        ("examples", "all", None),
        ("temperatures", "3, 9", (3.0, 9.0)),
        ("temperatures", "9", (9.0,)),
        ("temperatures", ["3", "9"], (3.0, 9.0)),
        ("temperatures", np.array([3, 9]), (3.0, 9.0)),
        ("temperatures", [*np.arange(3, 5)], (3.0, 4.0)),
        ("temperatures", range(3, 5), (3.0, 4.0)),
        ("alpha", np.float32(0.5), 0.5),
        ("selections", "random,lowest", ("random", "lowest")),
        ("selections", "[random, lowest]", ("random", "lowest")),
        ("learning_rate", "1e-3", 1e-3),
        ("alpha", "1", 1.0),
        ("seeds", "2", 2),
        ("seeds", 2.0, 2),
        ("t_squared", "True", True),
        ("t_squared", "false", False),
        ("missing_classes", "[]", ()),
        ("selections", "random", ("random",)),
        ("selections", "['random', 'lowest']", ("random", "lowest")),
        ("spread_settings", "[[128, 2]]", ((128, 2),)),
        ("device", "cpu", "cpu"),
    ],
)
def test_what_reads_as_a_value_is_that_value(name, text, value):
    resolved = getattr(resolve(SMOKE, **{name: text}), name)
    assert resolved == value and type(resolved) is type(value)


def test_a_given_value_wins_over_the_environment_and_that_over_the_default(monkeypatch):
    assert resolve({}).profile == "quick"
    monkeypatch.setenv("KDLIB_PROFILE", "smoke")
    assert resolve({}).profile == "smoke"
    assert resolve({"profile": None}).profile == "smoke"
    assert resolve({"profile": "paper"}).profile == "paper"
    assert resolve({"profile": "paper"}, profile="quick").profile == "quick"
    monkeypatch.setenv("KDLIB_PROFILE", "huge")
    with pytest.raises(InputError, match="unknown profile 'huge'; allowed: smoke, quick, paper"):
        resolve({})


def test_a_misspelt_name_in_a_profile_is_found(tmp_path, monkeypatch):
    text = profiles.PROFILES_FILE.read_text().replace("[smoke]\n", "[smoke]\ntempratures = [3]\n")
    monkeypatch.setattr(profiles, "PROFILES_FILE", tmp_path / "profiles.toml")
    profiles.PROFILES_FILE.write_text(text)
    with pytest.raises(InputError, match="profile smoke sets tempratures, which no parameter is called"):
        profile_values("smoke", "digits")


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("seeds = 2", "seeds = ", r"{} cannot be read as TOML: .*\(at line \d+, column \d+\)"),
        ("seeds = 2", "", "profile smoke of {} lacks seeds"),
        ("seeds = 2", 'profile = "quick"', "profile smoke sets profile, which no parameter is called"),
        (
            "seeds = 2",
            "seeds = 0",
            "profile smoke of {}: seeds=0 cannot be used; allowed: a whole number from 1 to 100",
        ),
        ("[smoke]", "seed = 2\n[smoke]", "{}: seed stands in no profile: put it under a line such as "),
    ],
)
def test_a_profile_that_an_editor_spoiled_is_one_line(was, now, message, tmp_path, monkeypatch):
    text = profiles.PROFILES_FILE.read_text()
    assert was in text
    monkeypatch.setattr(profiles, "PROFILES_FILE", tmp_path / "profiles.toml")
    profiles.PROFILES_FILE.write_text(text.replace(was, now, 1))
    with pytest.raises(InputError, match="^" + message.replace("{}", str(profiles.PROFILES_FILE))) as raised:
        profile_values("smoke", "digits")
    assert "\n" not in str(raised.value)


def test_a_given_value_wins_over_the_profiles_and_none_means_the_profiles():
    by_profile = resolve({"profile": "quick"})
    assert by_profile.temperatures == PAPERS
    assert resolve({"profile": "quick", "temperatures": None}) == by_profile
    changed = resolve({"profile": "quick", "temperatures": [4]})
    assert {k: v for k, v in asdict(changed).items() if v != asdict(by_profile)[k]} == {"temperatures": (4.0,)}


def test_a_profile_may_differ_for_a_data_set():
    digits, mnist = (resolve({"profile": "quick", "dataset": d}) for d in ("digits", "mnist"))
    assert digits.examples is None and mnist.examples > 1000
    assert digits.teacher_batch_size != mnist.teacher_batch_size


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("dataset", registry.dataset_names())
def test_every_profile_resolves_for_every_data_set_and_keeps_what_it_needs(dataset, profile):
    settings = resolve({"dataset": dataset, "profile": profile})
    for last in (settings.teacher_epochs, settings.sweet_spot_epochs, *(e for _, e in settings.spread_settings)):
        assert not settings.kept_epochs or last in settings.kept_epochs
    assert all(epochs <= settings.sweet_spot_epochs for _, epochs in settings.spread_settings)
    assert set(profile_values(profile, dataset)) == {f.name for f in fields(Settings)} - {"dataset", "profile"}


@pytest.mark.parametrize(
    "changes",
    [{"teacher_epochs": 1}, {"teacher_epochs": 13}, {"sweet_spot_epochs": 3}, {"sweet_spot_epochs": 40}],
)
@pytest.mark.parametrize("profile", profile_names())
def test_other_numbers_of_epochs_by_hand_keep_what_the_sections_need(profile, changes):
    settings = resolve({"profile": profile}, **changes)
    assert all(epochs <= settings.sweet_spot_epochs for _, epochs in settings.spread_settings)
    assert len(set(settings.spread_settings)) == len(settings.spread_settings)
    kept = settings.kept_epochs or range(1, 10_000)
    assert {settings.teacher_epochs, settings.sweet_spot_epochs, *(e for _, e in settings.spread_settings)} <= {*kept}


def test_the_profiles_own_grids_are_clipped_to_the_data_set_and_the_study_says_so(tmp_path):
    study = open_study("sweet_spot", {"profile": "quick", "examples": 300}, store=Store(tmp_path))
    assert study.settings.batch_sizes == (32, 128)
    assert study.settings.examples_per_class == (5, 10, 20)
    assert "300 training examples, a stratified subset" in study.notes
    assert "batch sizes cut to 32, 128: there are 270 training examples" in study.notes
    assert study.settings.spread_settings == ((128, 20),)
    assert "spread settings cut to 128 × 20: there are 270 training examples" in study.notes
    assert "examples per class cut to 5, 10, 20: there are 27 training examples in the smallest class" in study.notes
    assert all(note in study._repr_html_() for note in study.notes)


def test_the_profiles_missing_classes_are_those_that_a_data_set_has_and_the_study_says_so(tmp_path, monkeypatch):
    images, labels = np.random.default_rng(0).integers(0, 256, (100, 8, 8), np.uint8), np.arange(100) % 5
    kdlib.register_dataset("five", lambda root: (images, labels, 255 - images, labels))
    study = open_study("missing_class", SMOKE | {"dataset": "five"}, store=Store(tmp_path))
    assert study.settings.missing_classes == (0,) and "missing classes cut to 0: there are 5 classes" in study.notes


def test_a_grid_by_hand_that_fits_is_taken_as_it_is(tmp_path):
    study = open_study("example_efficiency", SMOKE, store=Store(tmp_path), examples_per_class=[35], batch_sizes=[360])
    assert (study.settings.examples_per_class, study.settings.batch_sizes) == ((35,), (360,))


def test_a_notebook_run_again_in_the_same_kernel_is_not_refused(tmp_path):
    before = SMOKE | {"seeds": None, "temperatures": [9]}
    study = open_study("entropy", before, store=Store(tmp_path))
    left_behind = {
        "kdlib": kdlib,
        "np": np,
        "study": study,
        "tables": {"cells": pd.DataFrame({"seed": [0]})},
        "figures": [pd.Series([1.0])],
        "helper": lambda x: x,
        "Path": Path,
        "In": ["", "study"],
        "Out": {1: 2},
        "_": 3,
        "_i1": "study",
        "__name__": "__main__",
        "exit": exit,
        "open": open,
    }
    assert open_study("entropy", before | left_behind, store=Store(tmp_path)).settings == study.settings


@pytest.mark.parametrize("value", [1, 0.5, "text", True, None, [1], (1, "a"), {"a": [1]}, math.nan])
def test_whatever_papermill_can_pass_counts_as_a_parameter(value):
    with pytest.raises(InputError, match="unknown parameter wrong; allowed"):
        resolve({"wrong": value})


NOTEBOOK = {"__builtins__": {}, "dataset": "digits", "profile": "smoke"}
PARAMETERS = 'dataset: str = "digits"\nprofile: str = None'


@pytest.mark.parametrize(
    ("cells", "variables"),
    [
        ([PARAMETERS], {"histsize": 1000}),  # of PYTHONSTARTUP, or of IPython's start-up files
        ([PARAMETERS, "threshold = 0.5"], {"threshold": 0.5}),
        (["x = 1; y = [x]", PARAMETERS], {"x": 1, "y": [1]}),
        ([PARAMETERS, "# Parameters\nprofile = 'smoke'", "%time limit = 3"], {"limit": 3}),
    ],
)
def test_a_readers_own_variables_are_no_parameters(cells, variables, capsys):
    assert resolve({**NOTEBOOK, "In": ["", *cells], **variables}) == resolve(SMOKE)
    assert resolve({**NOTEBOOK, **variables}) == resolve(SMOKE)  # another kernel, which keeps no history
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "value", "near"), [("seed", 0, "seeds"), ("temperature", [9], "temperatures"), ("temprature", 9, "temp")]
)
def test_a_readers_own_variable_that_is_nearly_a_parameter_is_told_and_stops_nothing(name, value, near, capsys):
    for history in ({"In": ["", PARAMETERS, f"{name} = {value}"]}, {}):
        assert resolve({**NOTEBOOK, **history, name: value}) == resolve(SMOKE)
        assert capsys.readouterr().err.startswith(f"{name} is a variable of your own, and no parameter; {near}")


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (["# Parameters\ntemprature = [9]"], "temprature"),  # as papermill writes what it was given
        (["# Parameters\nwarmth = [9]"], "warmth"),
        (["# Parameters\nseed = [9]", "seed = [9]"], "seed"),
        ([PARAMETERS + "\nwarmth: list = [9]  # by hand"], "warmth"),
        ([PARAMETERS, "profile = 'smoke'\ntemprature = [9]"], "temprature"),
    ],
)
def test_a_misspelt_parameter_of_a_notebook_is_found(cells, name):
    with pytest.raises(InputError, match=f"unknown parameter {name}; allowed"):
        resolve({**NOTEBOOK, "In": ["", *cells], name: [9]})


def test_the_parameters_of_every_section_are_settings():
    names = {f.name for f in fields(Settings)}
    assert all(set(section.parameters) <= names for section in SECTIONS.values())


def test_the_resolved_values_are_shown():
    shown = resolve(SMOKE, temperatures=[9])._repr_html_()
    assert all(f"<th scope='row'>{f.name}</th>" in shown for f in fields(Settings))
    assert "<td>9</td>" in shown and "<td>smoke</td>" in shown


def test_the_message_alone_is_shown_in_a_notebook():
    assert InputError("alpha=1.5 cannot be used")._render_traceback_() == ["InputError: alpha=1.5 cannot be used"]


def test_a_run_at_the_scale_of_the_paper_has_no_reductions():
    for dataset in ("mnist", "digits", "cifar10"):
        assert reductions(asdict(resolve({"dataset": dataset, "profile": "paper"})), NAMES) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seeds": 2}, "2 of 5 teacher seeds"),
        ({"student_epochs": 3}, "3 of 20 epochs for students"),
        ({"missing_classes": [0, 6]}, "2 missing classes, not all"),
        ({"examples": 500}, "500 training examples, not all"),
        ({"temperatures": [3, 9]}, "2 of 6 temperatures"),
        ({"temperatures": [3, 8]}, "temperatures 3, 8, not 3, 6, 9, 12, 15, 20"),
        ({"alpha": 0.5}, "alpha 0.5, not 0.99"),
        ({"large_teacher": "mine"}, "large teacher mine, not large_teacher"),
        ({"spread_settings": [[4096, 9]]}, "spread settings 4096 × 9, not 4096 × 50, 8192 × 40"),
    ],
)
def test_each_reduction_is_told_whatever_the_profile_is_called(given, told):
    assert reductions(asdict(resolve({"dataset": "mnist", "profile": "paper", **given})), NAMES) == [told]
    as_read_from_a_page = json.loads(json.dumps(asdict(resolve({"dataset": "mnist", "profile": "paper", **given}))))
    assert reductions(as_read_from_a_page, NAMES) == [told]


def test_more_than_the_paper_has_is_no_fraction_of_it_and_what_a_data_set_lacks_is_no_reduction():
    more = asdict(resolve({"dataset": "mnist", "profile": "paper", "seeds": 10}))
    assert reductions(more, NAMES) == ["seeds 10, not 5"]
    study = open_study("example_efficiency", {}, dataset="digits", profile="paper")
    assert any("examples per class cut to" in note for note in study.notes)
    assert record(study, {}).content["clipped"] == ["examples_per_class"]
    assert reductions(asdict(study.settings), SECTIONS["example_efficiency"].parameters, study.clipped) == []


def test_a_record_from_before_a_parameter_was_there_is_compared_by_what_held_then():
    new = asdict(resolve({}, profile="smoke"))
    old = {name: value for name, value in new.items() if name != "seeding"}
    assert differing(old, new, new) == ["seeding"]
    assert differing(old, new | {"seeding": "configuration"}, new) == []
    before_own_teachers = {name: value for name, value in new.items() if not name.endswith("_teacher")}
    assert differing(before_own_teachers, new, new) == []
    assert differing(before_own_teachers, new | {"small_teacher": "mine"}, new) == ["small_teacher"]
    assert "seeding configuration, not common" in reductions(old, new)
