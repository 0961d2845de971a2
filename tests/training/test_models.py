import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from kdlib import Architecture, InputError, build_model, count_parameters, register_network
from kdlib.data.paper import paper_table
from kdlib.training.models import LADDER, conv_strides, find_architecture, network_identity, network_sizes

PRINTED = [
    (row.dataset, row.role, int(row.parameters)) for row in paper_table(7).itertuples() if pd.notna(row.parameters)
]
SHAPES = {"mnist": (1, 28, 28), "fashion_mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


@pytest.mark.parametrize(("family", "role", "parameters"), PRINTED)
def test_a_network_of_table_7_has_the_printed_number_of_parameters(family, role, parameters):
    assert count_parameters(build_model(role, family)) == parameters


def test_every_legible_row_of_table_7_is_tested():
    assert len(PRINTED) >= 9


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("role", ["small_teacher", "large_teacher", "general_student", "baseline_student"])
def test_a_network_gives_one_logit_a_class_and_the_head_reads_the_features(family, role):
    model = build_model(role, family).eval()
    images = torch.rand(3, *SHAPES[family])
    logits = model(images)
    assert logits.shape == (3, 10)
    torch.testing.assert_close(logits, model.head(model.features(images)))


def test_the_seed_decides_the_initialisation_and_leaves_the_global_state_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = (build_model("general_student", seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(a.head.weight, b.head.weight) and not torch.equal(a.head.weight, c.head.weight)


@pytest.mark.parametrize("family", SHAPES)
def test_the_ladder_of_widths_has_teachers_between_the_two_of_table_7_in_size_and_beyond_them(family):
    small, large = (count_parameters(build_model(role, family)) for role in ("small_teacher", "large_teacher"))
    sizes = [count_parameters(build_model(name, family)) for name in LADDER]
    assert len(LADDER) == 4 and sizes == sorted(sizes)
    assert any(small < size < large for size in sizes) and sizes[-1] > large


@pytest.mark.parametrize("family", SHAPES)
def test_a_variant_of_a_teacher_differs_from_it_in_its_regularisation_alone(family):
    for role, variant, gains in (
        ("large_teacher", "large_teacher_plain", False),
        ("small_teacher", "small_teacher_regularized", True),
    ):
        own, other = (build_model(name, family, seed=3) for name in (role, variant))
        kinds = (torch.nn.Dropout, torch.nn.BatchNorm2d)
        own_count, other_count = (sum(isinstance(m, kinds) for m in model.modules()) for model in (own, other))
        assert (other_count > own_count) == gains and own_count != other_count
        weights = [[p.shape for p in model.parameters() if p.ndim > 1] for model in (own, other)]
        assert weights[0] == weights[1] and torch.equal(own.head.weight, other.head.weight)
    assert build_model("large_teacher_plain", "cifar10").architecture.dropout == 0.5  # it lacks batch norm instead


@pytest.mark.parametrize("side", [8, 16, 27, 28, 55, 56, 64, 112, 224])
@pytest.mark.parametrize("family", SHAPES)
def test_networks_scale_with_the_image_so_that_what_dense_layers_see_grows_at_most_fourfold(family, side):
    channels, own, _ = SHAPES[family]
    for role in ("large_teacher", "small_teacher", "general_student", "large_teacher_plain"):
        table, scaled = (find_architecture(role, family, shape) for shape in (None, (channels, side, side)))
        assert (conv_strides(scaled) == conv_strides(table)) == (side < 2 * own)
        assert replace(scaled, strides=table.strides) == table
        halved, places = (math.prod(conv_strides(network)) for network in (table, scaled))
        assert math.ceil(side / places) <= 2 * math.ceil(own / halved)
    counts = network_sizes(family, (channels, 2 * own, 2 * own), 10)
    assert {role: n for role, n in counts.items() if role != "baseline_student"} == {
        role: count_parameters(build_model(role, family)) for role in counts if role != "baseline_student"
    }


def test_a_scaled_network_has_an_identity_of_its_own_and_an_oblong_image_counts_by_its_pixels():
    plain, oblong, large = (
        network_identity("small_teacher", "mnist", False, (1, *size)) for size in ((28, 28), (14, 56), (14, 224))
    )
    assert plain == oblong == network_identity("small_teacher", "mnist", False)
    assert large["architecture"] == plain["architecture"] | {"strides": (2, 4)}
    model = build_model("small_teacher", shape=(1, 14, 224), classes=5)
    assert model(torch.rand(2, 1, 14, 224)).shape == (2, 5)


def test_the_name_of_a_variant_cannot_be_registered_and_its_architecture_is_part_of_its_identity():
    with pytest.raises(InputError, match="that is a role"):
        register_network("large_teacher_plain", Architecture())
    assert network_identity("large_teacher", "mnist", builtin=True) == {}
    assert network_identity("large_teacher_plain", "mnist", builtin=True)["architecture"]["dropout"] == 0.0


def test_a_registered_network_is_built_by_name():
    register_network("wide_student", Architecture(widths=(8,), dense=(12,)))
    model = build_model("wide_student", shape=(2, 6, 6), classes=3)
    assert model(torch.rand(1, 2, 6, 6)).shape == (1, 3)
    assert count_parameters(model) == (2 * 9 * 8 + 8) + (8 * 9 * 12 + 12) + (12 * 3 + 3)


@pytest.mark.parametrize("name", ["", "My Net", "my-net", "2_layers", "a.b", "narrow\n"])
def test_a_network_is_registered_under_an_identifier_alone(name):
    with pytest.raises(InputError, match="a network's name must be an identifier, such as 'my_network', got"):
        register_network(name, Architecture())
    register_network("My_Net2", Architecture())
    assert find_architecture("My_Net2") == Architecture()


def test_an_unknown_network_or_family_is_refused_with_what_is_allowed():
    with pytest.raises(InputError, match="allowed: .*small_teacher"):
        build_model("huge_teacher")
    with pytest.raises(InputError, match="allowed: mnist"):
        build_model("small_teacher", "imagenet")


def test_a_module_is_no_architecture_and_refused_before_any_training():
    with pytest.raises(InputError, match="network 'mine' cannot be registered as a Linear; allowed: a kdlib.Arch"):
        register_network("mine", torch.nn.Linear(4, 2))
