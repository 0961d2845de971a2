import pytest
import torch
import torch.nn.functional as F

from kdlib import build_model
from kdlib.training.im2col import StridedConvolution, multiply, windows
from kdlib.training.models import MIN_IM2COL_CHANNELS


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", range(1, 12))
def test_windows_give_each_output_once_with_the_taps_that_lie_on_the_image(size):
    found = [(out, window) for window in windows(size) for out in range(window.outputs.start, window.outputs.stop)]
    assert [out for out, _ in found] == list(range(-(-size // 2)))
    for out, window in found:
        place = out - window.outputs.start
        seen = {2 * out + tap - 1 for tap in range(3)} & set(range(size))
        assert {range(size)[pixels][place] for pixels in window.inputs} == seen
        assert {2 * out + tap - 1 for tap in range(3)[window.taps]} == seen


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 28, 28), (3, 7, 7), (16, 14, 14), (5, 2, 1), (4, 4, 6), (2, 1, 9), (3, 5, 3)]
)
@pytest.mark.parametrize("wanted", [True, False])
def test_a_strided_convolution_has_the_librarys_values_and_gradients(channels, height, width, wanted):
    images = random(4, channels, height, width).requires_grad_(wanted)
    weight, bias = random(6, channels, 3, 3, seed=1).requires_grad_(), random(6, seed=2).requires_grad_()
    inputs = [images, weight, bias] if wanted else [weight, bias]
    ours = StridedConvolution.apply(images, weight, bias)
    theirs = F.conv2d(images, weight, bias, stride=2, padding=1)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    towards = random(*ours.shape, seed=3)
    gradients = (torch.autograd.grad((found * towards).sum(), inputs) for found in (ours, theirs))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_a_product_is_that_of_the_matrices_however_they_lie(kind, turned):
    a, b = (random(*(shape[::-1] if turn else shape)) for shape, turn in zip([(5, 7), (7, 6)], turned, strict=True))
    a, b = ((m.mT if turn else m).to(kind) for m, turn in zip((a, b), turned, strict=True))
    exact = a.double() @ b.double()
    torch.testing.assert_close(multiply(a, b).double(), exact, rtol=2e-2 if kind == torch.bfloat16 else 1e-6, atol=1e-2)


def test_a_networks_convolutions_are_the_librarys_but_in_mixed_precision_or_of_small_images(monkeypatch):
    calls = []
    monkeypatch.setattr(StridedConvolution, "apply", lambda *inputs: calls.append(inputs) or F.conv2d(*inputs, 2, 1))
    model, images = build_model("small_teacher"), torch.rand(2, 1, 28, 28)
    model(images)
    assert not calls
    with torch.autocast("cpu", torch.bfloat16):
        model(images)
    assert len(calls) == 2 and all(part.dtype == torch.bfloat16 for call in calls for part in call)
    build_model("small_teacher", shape=(1, 8, 8))(torch.rand(2, 1, 8, 8))
    assert len(calls) == 3, "the second convolution alone has so small an image"
    narrow = build_model("general_student")
    assert all(
        layer.out_channels < MIN_IM2COL_CHANNELS for layer in narrow.modules() if isinstance(layer, torch.nn.Conv2d)
    )
    with torch.autocast("cpu", torch.bfloat16):
        narrow(images)
    assert len(calls) == 3, "laying out the patches of a narrow layer costs more than it saves"
