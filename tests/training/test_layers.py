"""Layers of stacked students against PyTorch's own, with autograd's gradients."""

import pytest
import torch
import torch.nn.functional as F

from kdlib.training.layers import (
    BlockConvolution,
    ConvolutionToBlocks,
    Network,
    can_use_blocks,
    relu_gradient_,
    relu_on_bits_,
)
from kdlib.training.models import Architecture, ConvNet
from kdlib.training.stacked import _stack


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


NETWORKS = {
    "blocks": (Architecture((5, 7)), (1, 8, 8)),
    "blocks of colours": (Architecture((5, 7)), (3, 12, 4)),
    "blocks, then a convolution": (Architecture((4, 6, 5), strides=(2, 2, 1)), (2, 8, 12)),
    "no blocks": (Architecture((5, 7)), (1, 10, 7)),
    "another stride first": (Architecture((4, 6, 5), strides=(1, 2, 2), dense=(8,)), (1, 8, 8)),
    "dense": (Architecture(dense=(9, 6)), (2, 3, 5)),
    "one layer": (Architecture(), (1, 4, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("students", "common"), [(1, True), (3, True), (3, False)])
def test_a_stack_has_the_logits_and_gradients_of_its_networks(name, students, common):
    architecture, shape = NETWORKS[name]
    batch, classes = 6, 4
    torch.manual_seed(0)
    models = [ConvNet(architecture, shape, classes) for _ in range(students)]
    network = Network(architecture, students, shape, classes, batch, torch.empty(0))
    weights = [w.detach() for w in _stack(models, network.layers)]
    images, towards = random(1 if common else students, batch, *shape), random(students, classes, batch, seed=1)
    found = [torch.full_like(w, torch.nan) for w in weights]
    for _ in range(2):  # buffers hold what an earlier step left
        network.load(images)
        logits = network.forward(weights)
        network.backward(weights, towards, found)
    for k, model in enumerate(models):
        theirs = model(images[0 if common else k])
        (theirs.T * towards[k]).sum().backward()
        torch.testing.assert_close(logits[k], theirs.T, rtol=1e-5, atol=1e-5)
        for value in model.parameters():
            value.data = value.grad
    for ours, theirs in zip(found, _stack(models, network.layers), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_two_convolutions_on_whole_blocks_are_computed_on_blocks():
    kinds = [type(layer) for layer in Network(Architecture((2, 3)), 1, (1, 8, 8), 4, 2, torch.empty(0)).layers[:2]]
    assert kinds == [ConvolutionToBlocks, BlockConvolution]


@pytest.mark.parametrize(
    ("strides", "height", "width", "fit"),
    [((2, 2), 28, 28, True), ((2, 2, 1), 32, 8, True), ((2,), 28, 28, False), ((1, 2), 28, 28, False)]
    + [((2, 2), 30, 28, False), ((2, 2), 28, 30, False), ((), 28, 28, False)],
)
def test_only_two_strides_of_two_on_whole_blocks_fit(strides, height, width, fit):
    assert can_use_blocks(strides, height, width) == fit


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_relu_and_its_gradient_are_pytorchs_also_where_they_are_taken_on_bits(kind):
    values = torch.cat([random(64), torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 1e-30, -1e-30])]).to(kind)
    outputs = F.relu(values)
    if kind == torch.bfloat16:
        on_bits = values.clone()
        relu_on_bits_(on_bits)
        assert torch.equal(on_bits, outputs) and not on_bits.signbit().any()
    gradient = random(len(values), seed=1).to(kind)
    assert torch.equal(relu_gradient_(gradient.clone(), outputs), gradient * (values > 0))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["blocks", "no blocks", "dense"])
def test_logits_are_nan_where_the_networks_are_that_diverged(name, kind):
    architecture, shape = NETWORKS[name]
    torch.manual_seed(0)
    models = [ConvNet(architecture, shape, 4) for _ in range(3)]
    for value in models[1].parameters():
        value.data *= 1e30  # what is inf - inf has no value, and the sign bit of its NaN is set on x86
    models[2].features.get_parameter(next(n for n, _ in models[2].features.named_parameters())).data.fill_(-torch.nan)
    network = Network(architecture, 3, shape, 4, 6, torch.empty(0, dtype=kind))
    weights = [w.detach().to(kind) for w in _stack(models, network.layers)]
    images = random(1, 6, *shape).abs()
    network.load(images.to(kind))
    logits = network.forward(weights, keep_nan=True)
    theirs = [model.to(kind)(images[0].to(kind)).T for model in models]
    assert [bool(z.isnan().all()) for z in theirs] == [False, True, True]
    assert [bool(z.isnan().all()) for z in logits] == [False, True, True] and logits[0].isfinite().all()
