"""The networks of Table 7: plain stacks of 3x3 convolutions and dense layers.

The paper prints only numbers of layers and of parameters. Which widths fit is worked out in `TABLE7`; activation
(ReLU), padding (1 on each side) and initialisation (PyTorch's) are this companion's choice.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from ..data import plugins
from ..data.registry import check_family
from ..errors import InputError
from . import arguments
from .identity import added_field, identity_fields
from .im2col import StridedConvolution, is_small


@dataclass(frozen=True)
class Architecture:
    """A stack of 3x3 convolutions, then dense layers, then the classification layer."""

    widths: tuple[int, ...] = ()  # output channels of each convolution
    strides: tuple[int, ...] = ()  # one for each convolution; empty: all 2
    dense: tuple[int, ...] = ()  # hidden dense layers, the classification layer not counted
    dropout: float = 0.0  # after each hidden dense layer
    batch_norm: bool = False  # after each convolution
    identified: str = "unique in its family"  # how surely the paper's count fixes it
    flat_dropout: float = added_field(0.0)  # after the last convolution, for networks without a hidden dense layer

    def __post_init__(self) -> None:
        """Raise `InputError` for what describes no network."""
        for name in ("widths", "strides", "dense"):
            given = getattr(self, name)
            if not isinstance(given, tuple | list):
                raise InputError(f"{name} {given!r} cannot be used; allowed: a tuple of whole numbers")
            for value in given:
                arguments.whole(f"a number in {name}", value, 1)
        if self.strides and len(self.strides) != len(self.widths):
            raise InputError(
                f"{len(self.strides)} strides for {len(self.widths)} convolutions cannot be used; allowed: one for each"
            )
        for name in ("dropout", "flat_dropout"):
            arguments.fraction(name, getattr(self, name))
        arguments.flag("batch_norm", self.batch_norm)


class ChannelsLastFlatten(nn.Module):
    """Flattens [B, C, H, W] to [B, H W C]: no copy in the memory format in which convolutions are fastest."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Flattened activations [B, H W C] of [B, C, H, W]."""
        return hidden.permute(0, 2, 3, 1).flatten(1)


class Convolution(nn.Conv2d):
    """`Conv2d` of 3x3 with padding 1 that is faster on a CPU if wide: in mixed precision, or on small images."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__(channels, out, 3, stride=stride, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """The convolution's outputs [B, O, H', W'] of images [B, C, H, W]."""
        wide = self.stride == (2, 2) and self.out_channels >= MIN_IM2COL_CHANNELS and images.device.type == "cpu"
        mixed = torch.is_autocast_enabled("cpu")
        if not wide or not (mixed or is_small(images)):
            return super().forward(images)
        kind = torch.get_autocast_dtype("cpu") if mixed else images.dtype
        return StridedConvolution.apply(images.to(kind), self.weight.to(kind), self.bias.to(kind))


class ConvNet(nn.Module):
    """A network of an architecture: `features` gives the penultimate activations, `head` the logits."""

    def __init__(self, architecture: Architecture, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        channels, height, width = shape
        layers: list[nn.Module] = []
        for out, stride in zip(architecture.widths, conv_strides(architecture), strict=True):
            layers.append(Convolution(channels, out, stride))
            if architecture.batch_norm:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.ReLU(inplace=True))
            channels, height, width = out, math.ceil(height / stride), math.ceil(width / stride)
        layers.append(ChannelsLastFlatten())
        if architecture.flat_dropout:
            layers.append(nn.Dropout(architecture.flat_dropout))
        flat = channels * height * width
        for out in architecture.dense:
            layers += [nn.Linear(flat, out), nn.ReLU(inplace=True)]
            if architecture.dropout:
                layers.append(nn.Dropout(architecture.dropout))
            flat = out
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(flat, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.head(self.features(images))

    def features_in_training(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Penultimate activations [B, D] of images [B, C, H, W] before a dropout that comes last, and after it."""
        *layers, last = self.features
        for layer in layers:
            images = layer(images)
        dropped = last(images)
        return (images if isinstance(last, nn.Dropout) else dropped), dropped


def conv_strides(architecture: Architecture) -> tuple[int, ...]:
    """The stride of each convolution, 2 where the architecture names none."""
    return architecture.strides or (2,) * len(architecture.widths)


BASELINE = Architecture()  # a single classification layer

# Table 7, by data set and role. Where the count leaves a choice, `identified` says so.
TABLE7: dict[str, dict[str, Architecture]] = {
    "mnist": {
        "large_teacher": Architecture(
            (128, 256, 512), dense=(128, 256), dropout=0.5, identified="one of a few that fit; dropout rate not given"
        ),
        "small_teacher": Architecture((256, 512)),
        "general_student": Architecture((16, 32)),
        "baseline_student": BASELINE,
    },
    "fashion_mnist": {
        "large_teacher": Architecture(
            (64, 128, 256, 512),
            dense=(256, 512, 256),
            dropout=0.5,
            identified="one of a few that fit; dropout rate not given",
        ),
        "small_teacher": Architecture((128, 256, 512)),
        "general_student": Architecture((32, 64)),
        "baseline_student": BASELINE,
    },
    "cifar10": {
        "large_teacher": Architecture(
            (48, 48, 48, 48, 48, 48, 80, 384),
            strides=(1, 2, 1, 2, 1, 1, 1, 2),
            dense=(4096, 320),
            dropout=0.5,
            batch_norm=True,
            identified="not identified: many irregular networks fit",
        ),
        "small_teacher": Architecture(
            (128, 256, 512), strides=(2, 2, 1), dense=(128,), identified="count needs 2 dense layers; Table 7 prints 1"
        ),
        "general_student": Architecture((32, 64), identified="row not legible; this companion's choice"),
        "baseline_student": BASELINE,
    },
}
# Networks that other systems need. Assistants are between the large teacher and the general student in size, the second
# nearer to it; the paper names none (Mirzadeh et al. 2020, section 3). The two parts of a divided student have together
# at most its parameters and operations.
FURTHER: dict[str, dict[str, Architecture]] = {
    "mnist": {
        "assistant": Architecture((64, 128)),
        "second_assistant": Architecture((32, 64)),
        "main_part": Architecture((12, 24)),
        "residual_part": Architecture((5, 10)),
    },
    "fashion_mnist": {
        "assistant": Architecture((64, 128, 256)),
        "second_assistant": Architecture((64, 128)),
        "main_part": Architecture((24, 48)),
        "residual_part": Architecture((13, 26)),
    },
    "cifar10": {
        "assistant": Architecture((128, 256, 256)),
        "second_assistant": Architecture((64, 128)),
        "main_part": Architecture((24, 48)),
        "residual_part": Architecture((12, 24)),
    },
}
# The large teacher's widths times these: teachers between the two of Table 7 in size, and beyond them.
LADDER = {
    "large_teacher_x0.5": 0.5,
    "large_teacher_x0.75": 0.75,
    "large_teacher_x0.875": 0.875,
    "large_teacher_x1.25": 1.25,
}
# Teachers of Table 7 that differ in one thing: the large one without what regularises it, the small one with it.
VARIANTS = ("large_teacher_plain", "small_teacher_regularized", *LADDER)
ROLES = ("large_teacher", "small_teacher", "general_student", "baseline_student")
INPUT_SHAPES = {"mnist": (1, 28, 28), "fashion_mnist": (1, 28, 28), "cifar10": (3, 32, 32)}

TINY_PIXELS = 16 * 16
MIN_IM2COL_CHANNELS = 48  # output channels from which a matrix product gains more than im2col costs

_networks: dict[str, Architecture] = {}
_of_plugins: set[str] = set()  # registered by plug-ins, which every process imports by itself


def register_network(name: str, architecture: Architecture) -> None:
    """Register an architecture under a name, for `build_model` and as `network` of a `Teacher` or a `Student`.

    Raises `InputError` for a name that is no identifier, for that of a role of Table 7 or a variant of one, of another
    network that kdlib brings, or of another plug-in's, and for what is no `Architecture`.
    """
    arguments.instance("the name of a network", name, str, "'my_network'")
    if name in (*ROLES, *VARIANTS, *FURTHER["mnist"]):
        raise InputError(f"a network cannot be registered as {name!r}: that is a role; choose another name")
    if not name.isidentifier():
        raise InputError(f"a network's name must be an identifier, such as 'my_network', got {name!r}")
    if not isinstance(architecture, Architecture):
        raise InputError(
            f"network {name!r} cannot be registered as a {type(architecture).__name__}; allowed: a kdlib.Architecture "
            "of widths and dense layers"
        )
    plugins.claim("network", name, _networks)
    _networks[name] = architecture
    (_of_plugins.add if plugins.running() else _of_plugins.discard)(name)


def find_architecture(name: str, family: str = "mnist", shape: tuple[int, int, int] | None = None) -> Architecture:
    """The architecture registered under a name, else that of the role `name` in table 7's `family`, or beside it.

    Given the `shape` (channels, height, width) of an image, one of `family` is scaled to it: each time that the image
    has four times the pixels of the family's own, a stride doubles, of the first convolution of stride 1, else of the
    last of the smallest. So the dense layers stay of about the size that Table 7 gives them; on smaller images nothing
    changes but that they are smaller. Raises `InputError` for an unknown family or name.
    """
    arguments.instance("the name of a network", name, str, "'small_teacher'")
    if name in _networks:
        return _networks[name]
    check_family(family)
    known = TABLE7[family] | FURTHER[family]
    if name not in (*known, *VARIANTS):
        allowed = ", ".join((*known, *VARIANTS, *_networks))
        raise InputError(f"unknown network {name!r}; allowed: {allowed}{plugins.failures()}")
    return _scaled(_variant(name, family) if name in VARIANTS else known[name], family, shape)


def _scaled(architecture: Architecture, family: str, shape: tuple[int, int, int] | None) -> Architecture:
    """An architecture of a family for images of a shape: see `find_architecture`."""
    strides = list(conv_strides(architecture))
    times = math.prod(shape[1:]) / math.prod(INPUT_SHAPES[family][1:]) if shape else 1
    if not strides or times < 4:
        return architecture
    for _ in range(int(math.log(times, 4))):
        least = min(strides)
        place = strides.index(1) if least == 1 else len(strides) - 1 - strides[::-1].index(least)
        strides[place] *= 2
    return replace(architecture, strides=tuple(strides))


def _variant(name: str, family: str) -> Architecture:
    """Regularisation is batch norm on CIFAR-10, whose large teacher alone has it, and dropout elsewhere."""
    small, large = (TABLE7[family][role] for role in ("small_teacher", "large_teacher"))
    if name in LADDER:
        widths, dense = (tuple(round(LADDER[name] * width) for width in part) for part in (large.widths, large.dense))
        return replace(large, widths=widths, dense=dense)
    if name == "large_teacher_plain":
        return replace(large, batch_norm=False) if large.batch_norm else replace(large, dropout=0.0)
    return replace(small, batch_norm=True) if large.batch_norm else replace(small, flat_dropout=large.dropout)


def registered_networks() -> dict[str, Architecture]:
    """Architectures that were given to `register_network` in this process, by name: no plug-in has them."""
    return {name: architecture for name, architecture in _networks.items() if name not in _of_plugins}


def network_identity(
    name: str, family: str, builtin: bool, shape: tuple[int, int, int] | None = None
) -> dict[str, Any]:
    """The part of a unit's identity that describes its network beside the name: its architecture, or nothing.

    Nothing for a role where the data set is `builtin`, which fixes its family; else the architecture, since networks
    and users' data sets may be registered anew, and variants of the roles be chosen anew. `shape` (channels, height,
    width) is that of an image, which decides where an architecture is scaled.
    """
    if builtin and name not in (*_networks, *VARIANTS):
        return {}
    architecture = identity_fields(find_architecture(name, family, shape))
    return {"architecture": {k: v for k, v in architecture.items() if k != "identified"}}


def build_model(
    name: str, family: str = "mnist", shape: tuple[int, int, int] | None = None, classes: int = 10, seed: int = 0
) -> ConvNet:
    """A freshly initialised network of Table 7, or a registered one, in the channels-last layout.

    Arguments: `name`, a role such as `"small_teacher"` or a registered name; `family`, the data set of Table 7 whose
    networks are meant; `shape` (channels, height, width) of the input, by default that family's; `seed` of the
    initialisation (the global random state is left as it was). Raises `InputError` for an unknown name or family, and
    for a shape, a number of classes or a seed that no network has.
    """
    check_family(family)
    shape = INPUT_SHAPES[family] if shape is None else shape
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
        raise InputError(f"shape {shape!r} cannot be used; allowed: (channels, height, width)")
    for what, size in zip(("channels", "height", "width"), shape, strict=True):
        arguments.whole(what, size, 1, kind=Integral)
    arguments.whole("classes", classes, 1, kind=Integral)
    arguments.whole("seed", seed, 0, 2**63 - 1, kind=Integral)
    architecture = find_architecture(name, family, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConvNet(architecture, shape, classes)
    return model.to(memory_format=torch.channels_last)


def network_sizes(family: str, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
    """Numbers of parameters of a family's networks of Table 7 on images of a shape, by role.

    Nothing is initialised, so that it takes no time. Arguments as of `build_model`.
    """
    with torch.device("meta"):
        return {
            role: count_parameters(ConvNet(find_architecture(role, family, shape), shape, classes)) for role in ROLES
        }


def is_tiny(height: int, width: int) -> bool:
    """True if images are so small that a training step is mostly overhead."""
    return height * width <= TINY_PIXELS


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters of a network. Raises `InputError` for what is no `torch.nn.Module`."""
    arguments.instance("a network", model, nn.Module, "kdlib.build_model('small_teacher')")
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def training_operations(model: ConvNet, shape: tuple[int, int, int]) -> int:
    """Floating-point operations of one example's forward and backward pass, in convolutions and dense layers.

    A multiplication with its addition counts as two; nothing is counted for the gradient by the images. Arguments:
    `model`; `shape` (channels, height, width) of an image.
    """
    return _operations(model, shape, lambda outputs: outputs.sum().backward())


def forward_operations(model: ConvNet, shape: tuple[int, int, int]) -> int:
    """Floating-point operations of one example's forward pass alone, counted as `training_operations` does."""
    return _operations(model, shape, lambda outputs: None)


def _operations(model: ConvNet, shape: tuple[int, int, int], then: Callable[[Tensor], None]) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and rarely wanted

    counted = copy.deepcopy(model).to("meta").eval()  # where every convolution is the library's, padding and all
    with FlopCounterMode(display=False) as counter:
        then(counted(torch.zeros(1, *shape, device="meta")))
    return counter.get_total_flops()
