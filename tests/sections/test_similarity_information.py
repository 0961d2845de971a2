"""Teachers' similarities against yardsticks: closed forms, people's labels that come and go, pages without teachers."""

import hashlib
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from kdlib import InputError, Store, open_study
from kdlib.data import registry
from kdlib.data.human_labels import HUMAN_LABELS
from kdlib.sections.similarity_information import tables as present
from kdlib.sections.similarity_information import yardsticks
from kdlib.sections.similarity_information.rows import structure
from kdlib.study.store import from_bytes
from kdlib.training.similarity import class_similarity

SETTINGS = {
    "dataset": "cifar10",
    "profile": "smoke",
    "seeds": 1,
    "examples": "all",
    "teacher_epochs": 1,
    "temperatures": [3, 9],
    "sweet_spot_epochs": 1,
    "spread_settings": [[64, 1]],
}
TEST = np.arange(400) % 10


def made_up_images(root):
    rng = np.random.default_rng(0)
    means = rng.integers(0, 120, (10, 8, 8))
    labels = np.concatenate([np.arange(400) % 10, TEST])
    images = (means[labels] + rng.integers(0, 120, (800, 8, 8))).astype(np.uint8)
    return images[:400], labels[:400], images[400:], TEST


def made_up_people(labels, seed):
    """What ten people say of each image, of whom some take a class for the next one."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((10, len(labels))) < 0.4, (labels + 1) % 10, labels)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A data folder with made-up CIFAR-10H and CIFAR-10N, and the sha256 of both."""
    folder = tmp_path_factory.mktemp("data")
    for name in HUMAN_LABELS:
        (folder / HUMAN_LABELS[name].file).parent.mkdir()
    np.save(folder / HUMAN_LABELS["cifar10h"].file, np.eye(10, dtype=np.int64)[made_up_people(TEST, 0)].sum(0))
    people = made_up_people(np.arange(400) % 10, 1)[:3]
    labels = {f"random_label{k + 1}": part for k, part in enumerate(people)}
    torch.save(labels, folder / HUMAN_LABELS["cifar10n"].file)
    return folder, {n: hashlib.sha256((folder / HUMAN_LABELS[n].file).read_bytes()).hexdigest() for n in HUMAN_LABELS}


@pytest.fixture
def cifar10(published, tmp_path, monkeypatch):
    """A stand-in for CIFAR-10 and a data folder with both sets of people's labels; returns that folder."""
    folder, digests = published
    shutil.copytree(folder, tmp_path / "data")
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    registry._sources["cifar10"] = registry.Source(made_up_images, "mnist", title="CIFAR-10")
    for name, digest in digests.items():
        monkeypatch.setitem(HUMAN_LABELS, name, replace(HUMAN_LABELS[name], sha256=digest))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store in which the teachers of this module are trained once."""
    return tmp_path_factory.mktemp("store")


def opened(store):
    return open_study("similarity_information", SETTINGS, store=Store(store))


def test_peoples_similarity_is_the_share_of_votes_for_others():
    votes = torch.tensor([[8, 2, 0], [5, 3, 2], [0, 4, 0], [1, 1, 8]])
    found = yardsticks.people_similarity(votes, torch.tensor([0, 0, 1, 2]))
    expected = torch.tensor([[0, 5 / 7, 2 / 7], [torch.nan] * 3, [0.5, 0.5, 0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_halves_divide_the_votes_and_agree_as_far_as_chance_lets_them():
    votes = torch.from_numpy(np.random.default_rng(0).multinomial(50, np.arange(1, 11) / 55, 3000))
    first, second = yardsticks.halves(votes)
    assert torch.equal(first + second, votes) and min(first.min(), second.min()) >= 0
    labels = torch.arange(3000) % 10
    pair = [yardsticks.people_similarity(half, labels) for half in (first, second)]
    assert yardsticks.agreement(*pair).min() > 0.97 and not torch.equal(*pair)


def test_mean_images_are_alike_by_the_inverse_of_their_distance():
    images = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    found = yardsticks.pixel_similarity(images, torch.tensor([0, 0, 1, 2]))  # means 3, 4 and 5 apart
    expected = torch.tensor([[0, 4 / 7, 3 / 7], [5 / 8, 0, 3 / 8], [5 / 9, 4 / 9, 0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_agreement_is_of_ranks_and_of_numbers_and_undefined_without_an_order():
    similarity = class_similarity(
        torch.randn(200, 5, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 5, 1
    )
    spearman, pearson = yardsticks.agreement(similarity, similarity**3).tolist()
    assert spearman == pytest.approx(1) and pearson < 0.9999
    assert yardsticks.agreement(similarity, torch.full((5, 5), 0.25)).isnan().all()
    half = similarity.clone()
    half[:4] = torch.nan
    assert yardsticks.agreement(half, similarity).tolist() == pytest.approx([1, 1])


def test_groups_and_pairs_have_their_share_by_chance_and_all_of_it_where_they_are_alike():
    uniform = (1 - torch.eye(10)) / 9
    for dataset, chances in (("fashion_mnist", [4 / 9, 2 / 9]), ("cifar10", [5 / 9, 3 / 9])):
        rows = structure(dataset, uniform)
        assert [row["share"] for row in rows] == pytest.approx(chances)
        assert [row["chance"] for row in rows] == pytest.approx(chances)
        for name, group in yardsticks.GROUPS[dataset].items():
            within = torch.zeros(10, 10)
            for c in group:
                within[c, [k for k in group if k != c]] = 1 / (len(group) - 1)
            assert {row["what"]: row["share"] for row in structure(dataset, within)}[name] == pytest.approx(1)
    pairs = torch.zeros(10, 10)
    for a, b in yardsticks.CONFUSABLE:
        pairs[b, a] = 1.0
    assert [row["share"] for row in structure("digits", pairs)] == [1]
    assert [row["share"] for row in structure("mnist", 1 - pairs)] == [0]
    assert structure("of_my_own", uniform) == []


def test_people_are_yardsticks_where_their_labels_are_at_hand(cifar10, shared):
    study = opened(shared)
    tables = study.tables()
    assert set(tables["agreement"].yardstick) == {"linear", "pixels", "cifar10h", "cifar10n"}
    of_people = tables["agreement"].query("setting == 'default'").groupby("yardstick").split.unique()
    assert set(of_people["cifar10h"]) == {"train", "validation", "test"}
    assert set(of_people["cifar10n"]) == {"train", "validation"}
    images = tables["images"].set_index("yardstick").images
    counts = np.load(cifar10 / HUMAN_LABELS["cifar10h"].file)
    clear = counts.sum(1) - counts[np.arange(400), TEST] >= 5
    assert set(images["cifar10h"]) == {clear[study.dataset.test_positions].sum()} and 0 < clear.sum() < 400
    controls = tables["controls"].set_index("control").spearman
    assert controls["smoothed"].isna().all() and controls[["responses", "shuffled", "class_mean"]].notna().all()
    parts = tables["parts"]
    assert (parts.entropy - parts.of_class_mean + parts.instance).abs().max() < 1e-6
    said = present.people_at_hand(tables["agreement"], "cifar10", "CIFAR-10")
    assert "CC BY-NC-SA 4.0" in said and "--from" not in said
    assert any("people labelled" in reason for used in study.used.values() for reason in used["test_openings"])


def test_a_page_is_made_again_without_its_teachers_and_without_peoples_labels(cifar10, shared, tmp_path):
    before = opened(shared).tables()
    store = tmp_path / "store"
    shutil.copytree(shared / "measure", store / "measure")
    for path in cifar10.iterdir():
        shutil.rmtree(path)
    study = opened(store)
    assert study.units() == ([], [])
    again = study.tables()
    assert not (store / "teacher").exists()
    for name, table in before.items():
        pd.testing.assert_frame_equal(again[name], table)


def test_without_peoples_labels_the_page_says_how_to_get_them_and_shows_the_other_yardsticks(cifar10, shared, tmp_path):
    shutil.copytree(shared, tmp_path / "store")
    for path in (tmp_path / "store" / "measure").glob("*.safetensors"):
        if "people" in from_bytes(path.read_bytes()).config["measure"]:
            path.unlink()
    shutil.rmtree(cifar10 / "cifar10h")
    shutil.rmtree(cifar10 / "cifar10n")
    tables = opened(tmp_path / "store").tables()
    assert set(tables["agreement"].yardstick) == {"linear", "pixels"}
    said = present.people_at_hand(tables["agreement"], "cifar10", "CIFAR-10")
    assert all(f"`kdlib data {name} --from DIR`" in said for name in HUMAN_LABELS)


@pytest.mark.parametrize("name", HUMAN_LABELS)
def test_an_altered_set_stops_the_page_before_any_work(name, cifar10, tmp_path):
    with (cifar10 / HUMAN_LABELS[name].file).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match="its sha256 is another"):
        opened(tmp_path / "store")
    assert not list(tmp_path.glob("store/*/*"))


def test_the_finding_is_of_the_last_epoch():
    rows = [
        (s, t, "default", epoch, "train", "linear", 9.0, 0.1 * epoch + 0.02 * s)
        for s, t, epoch in product((0, 1), ("small", "large"), (1, 5))
    ]
    columns = ["seed", "teacher", "setting", "epoch", "split", "yardstick", "temperature", "spearman"]
    between = pd.DataFrame([{"yardstick": "linear", "other": "pixels", "spearman": 0.75}])
    said = present.similarity_finding(pd.DataFrame(rows, columns=columns), between)
    assert "linear classifier: small teacher 0.51 rank correlation" in said and "mean images 0.75" in said


def test_the_page_on_entropy_has_the_two_parts_where_responses_or_parts_are_at_hand(tmp_path):
    settings = {"profile": "smoke", "seeds": 1, "teacher_epochs": 1}
    tables = open_study("entropy", settings, store=Store(tmp_path / "whole")).tables()
    both = (
        tables["entropy"]
        .query("split == 'train'")
        .merge(tables["parts"], on=["seed", "teacher", "epoch", "temperature"], suffixes=("", "_of_parts"))
    )
    assert len(both) == len(tables["parts"]) == 6
    assert (both.entropy - both.entropy_of_parts).abs().max() < 1e-5  # single precision there
    assert (both.entropy_of_parts - both.of_class_mean + both.instance).abs().max() < 1e-6
    (tmp_path / "old" / "measure").mkdir(parents=True)
    for path in (tmp_path / "whole" / "measure").glob("*.safetensors"):
        if from_bytes(path.read_bytes()).config["measure"] == "entropy":
            shutil.copy(path, tmp_path / "old" / "measure")
    study = open_study("entropy", settings, store=Store(tmp_path / "old"))
    old = study.tables()
    pd.testing.assert_frame_equal(old["entropy"], tables["entropy"])
    assert old["parts"].empty and not (tmp_path / "old" / "teacher").exists()
    said = present.entropy_in_two_parts(old["parts"], study.settings.temperatures)
    assert "`kdlib compute similarity_information`" in said
