import pytest
import torch
import torch.nn.functional as F

from kdlib import build_model
from kdlib.training.im2col import StridedConvolution, im2col
from kdlib.training.models import MIN_IM2COL_CHANNELS


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stride", [1, 2])
def test_columns_are_what_unfolding_gives(stride):
    images = random(2, 7, 9, 3)
    ours = im2col(images, stride)
    unfolded = F.unfold(images.permute(0, 3, 1, 2), 3, padding=1, stride=stride)  # B (C taps) places
    assert torch.equal(ours, unfolded.view(2, 3, 9, -1).permute(0, 3, 2, 1).reshape(ours.shape))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 7), (16, 14)])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_strided_convolution_has_the_librarys_values_and_gradients(channels, size, wanted):
    images = random(4, channels, size, size).requires_grad_(wanted)
    weight, bias = random(6, channels, 3, 3, seed=1).requires_grad_(), random(6, seed=2).requires_grad_()
    inputs = [images, weight, bias] if wanted else [weight, bias]
    ours = StridedConvolution.apply(images, weight, bias)
    theirs = F.conv2d(images, weight, bias, stride=2, padding=1)
    assert torch.equal(ours, theirs)
    towards = random(*ours.shape, seed=3)
    gradients = (torch.autograd.grad((found * towards).sum(), inputs) for found in (ours, theirs))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_a_networks_convolutions_are_the_librarys_but_in_mixed_precision(monkeypatch):
    calls = []
    monkeypatch.setattr(StridedConvolution, "apply", lambda *inputs: calls.append(inputs) or F.conv2d(*inputs, 2, 1))
    model, images = build_model("small_teacher"), torch.rand(2, 1, 28, 28)
    model(images)
    assert not calls
    with torch.autocast("cpu", torch.bfloat16):
        model(images)
    assert len(calls) == 2 and all(part.dtype == torch.bfloat16 for call in calls for part in call)
    narrow = build_model("general_student")
    assert all(
        layer.out_channels < MIN_IM2COL_CHANNELS for layer in narrow.modules() if isinstance(layer, torch.nn.Conv2d)
    )
    with torch.autocast("cpu", torch.bfloat16):
        narrow(images)
    assert len(calls) == 2, "laying out the patches of a narrow layer costs more than it saves"
