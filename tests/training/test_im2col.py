import pytest
import torch
import torch.nn.functional as F

from kdlib import build_model
from kdlib.training.im2col import Im2col, StridedConvolution, block_windows, can_use_blocks, convolve_blocks
from kdlib.training.models import MIN_IM2COL_CHANNELS


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 4, 12)])
@pytest.mark.parametrize("students", [1, 3])
def test_two_convolutions_on_blocks_have_the_values_and_gradients_of_two_convolutions(
    students, channels, height, width
):
    widths, batch = (channels, 5, 7), 6
    images = random(students, batch, height, width, channels, seed=1)
    kernels = [
        random(students, 9 * i, o, seed=2 + i).requires_grad_() for i, o in zip(widths, widths[1:], strict=False)
    ]
    biases = [random(students, 1, o, seed=3).requires_grad_() for o in widths[1:]]
    weights = [part for layer in zip(kernels, biases, strict=True) for part in layer]
    towards = random(students, batch, height // 4, width // 4, widths[-1], seed=4)

    def convolved(k: int) -> torch.Tensor:
        hidden = images[k].permute(0, 3, 1, 2)
        for kernel, bias in zip(kernels, biases, strict=True):
            kernel = kernel[k].view(3, 3, -1, kernel.shape[-1]).permute(3, 2, 0, 1)
            hidden = F.conv2d(hidden, kernel, bias[k, 0], stride=2, padding=1).relu()
        return hidden.permute(0, 2, 3, 1)

    windows = torch.stack([block_windows(one) for one in images])
    ours, theirs = convolve_blocks(windows, weights), torch.stack([convolved(k) for k in range(students)])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    gradients = (torch.autograd.grad((found * towards).sum(), weights) for found in (ours, theirs))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
def test_patches_are_what_unfolding_gives_with_its_gradient(stride):
    images = random(2, 7, 9, 3).requires_grad_()
    ours = Im2col.apply(images, stride)
    unfolded = F.unfold(images.permute(0, 3, 1, 2), 3, padding=1, stride=stride)  # B (C taps) places
    theirs = unfolded.view(2, 3, 9, -1).permute(0, 3, 2, 1).reshape(ours.shape)
    torch.testing.assert_close(ours, theirs)
    towards = random(*ours.shape, seed=1)
    gradients = [torch.autograd.grad((found * towards).sum(), images)[0] for found in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("strides", "height", "width", "fit"),
    [((2, 2), 28, 28, True), ((2, 2, 1), 32, 8, True), ((2,), 28, 28, False), ((1, 2), 28, 28, False)]
    + [((2, 2), 30, 28, False), ((2, 2), 28, 30, False), ((), 28, 28, False)],
)
def test_only_two_strides_of_two_on_whole_blocks_fit(strides, height, width, fit):
    assert can_use_blocks(strides, height, width) == fit


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
