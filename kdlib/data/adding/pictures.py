"""Pictures decoded into arrays, by several processes where there are many: PNG and JPEG, one size, grey or colour."""

import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from .. import processes

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG")
SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_PIXELS = 2**26  # that a picture may have: 8192 x 8192. A file of some bytes can claim more than there is memory
CHUNK = 2000  # pictures that a process decodes before it hands them over
WORTH = 4.0  # seconds of work from which several processes are faster: each must be started, and imports what it needs
ORIENTATION = 0x0112  # the EXIF tag that says how a picture is to be turned
GREY, COLOUR = ("1", "L"), ("RGB",)
MORE_BITS = "has more than 8 bits for a pixel: scale it to 8 bits (0 to 255)"
# Modes that have no one reading as 8 bits of grey or of red, green, blue; and what makes them readable.
REFUSED = {
    "CMYK": "has the four colours of print (CMYK): convert it to RGB",
    "YCbCr": "is not converted to RGB",
    "LAB": "has the colours of CIE Lab: convert it to RGB",
    "HSV": "has HSV colours: convert it to RGB",
}

Picture = str | tuple[str, bytes]  # a file; or what it is called in messages, and the bytes of one


def decode(
    pictures: Sequence[Picture], size: tuple[int, int] | None = None, workers: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """Decode pictures into one array of bytes, [N, H, W] where all are grey and [N, 3, H, W] else; and what was done.

    Arguments: the `pictures`; `size` (height, width) to which each is resized (None: all must have one size);
    `workers`, the number of processes (None: one for each core). Raises `InputError`, naming one, for what is no such
    picture.
    """
    chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
    parts, facts, start = [], Counter(), 0
    for part, found in _decode_all(chunks, size, workers):
        if parts and part.shape[1:3] != parts[0].shape[1:3]:
            raise _of_two_sizes(pictures[0], parts[0].shape[1:3], pictures[start], part.shape[1:3])
        parts.append(part)
        facts += found
        start += len(part)
    grey = all(part.ndim == 3 for part in parts)
    if not grey:
        parts = [part if part.ndim == 4 else np.repeat(part[..., None], 3, axis=-1) for part in parts]
        facts["grey among colour"] = len(pictures) - facts["colour"] - facts.pop("equal channels", 0)
    if size:
        facts["resized"] = len(pictures)
    images = np.concatenate(parts)
    if not grey:
        images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    return images, [f"{facts[fact]:,} {words}" for fact, words in SAID.items() if facts[fact]]


def _decode_all(
    chunks: Sequence[Sequence[Picture]], size: tuple[int, int] | None, workers: int | None
) -> Iterator[tuple[np.ndarray, Counter]]:
    """What `_decode` gives of each chunk, in order; by several processes where the first says that it is worth it."""
    start = time.process_time()
    yield _decode(chunks[0], size)
    left = (time.process_time() - start) * (len(chunks) - 1)
    if workers == 1 or left < WORTH:
        yield from (_decode(chunk, size) for chunk in chunks[1:])
        return
    from joblib import Parallel, cpu_count, delayed

    parallel = Parallel(workers or cpu_count(), return_as="generator", **processes.of_this_process())
    yield from parallel(delayed(_decode)(chunk, size) for chunk in chunks[1:])


SAID = {
    "palette": "pictures have a palette, and are read by the colours that it gives",
    "opaque": "pictures have an alpha channel that hides nothing, and are read without it",
    "turned": "pictures are turned as their EXIF says",
    "equal channels": "pictures have colours that are all grey, and are read as grey",
    "grey among colour": "grey pictures among coloured ones are read as coloured",
    "resized": "pictures are resized, with antialiasing",
}


def _decode(pictures: Sequence[Picture], size: tuple[int, int] | None) -> tuple[np.ndarray, Counter]:
    """A share of the pictures, grey if all of them are, and how many of each kind there were."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    facts: Counter = Counter()
    decoded: list[np.ndarray] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for picture in pictures:
            name, file = (picture, picture) if isinstance(picture, str) else picture
            array = _read(name, file, size, facts)
            if decoded and array.shape[:2] != decoded[0].shape[:2]:
                raise _of_two_sizes(pictures[0], decoded[0].shape[:2], picture, array.shape[:2])
            decoded.append(array)
    if all(array.ndim == 2 for array in decoded):
        return np.stack(decoded), facts
    colour = np.stack([array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=-1) for array in decoded])
    if (colour[..., :1] == colour[..., 1:]).all():
        facts["equal channels"] = facts.pop("colour")
        return np.ascontiguousarray(colour[..., 0]), facts
    return colour, facts


def _read(name: str, file: str | bytes, size: tuple[int, int] | None, facts: Counter) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as image:
            image = _upright(name, image, facts)
            if size:
                image = image.resize(size[::-1], Image.Resampling.BILINEAR)
            width, height = image.size
            pixels = np.frombuffer(image.tobytes(), np.uint8)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{name} claims to have more than {MOST_PIXELS:,} pixels, and was not decoded: is it damaged?"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is no PNG or JPEG picture, whatever its name says") from error
    except FileNotFoundError as error:
        raise InputError(f"{name} cannot be read: it is not there, or a link that leads nowhere") from error
    except PermissionError as error:
        raise InputError(f"{name} cannot be read: no permission") from error
    except Exception as error:  # what Pillow raises depends on where a file is spoiled
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name} is cut short or damaged: {said[:120]}") from error
    return pixels.reshape(height, width) if len(pixels) == height * width else pixels.reshape(height, width, 3)


def _upright(name: str, image: "Image", facts: Counter) -> "Image":
    """A picture of 8 bits, grey or red, green and blue, turned as it says; `InputError` where that is not clear."""
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise InputError(f"{name} is animated: give one picture for each example")
    if image.format == "PNG" and any(";16" in str(tile.args) for tile in image.tile):  # else Pillow drops half of them
        raise InputError(f"{name} {MORE_BITS}")
    if image.mode == "P":
        facts["palette"] += 1
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in (*GREY, *COLOUR) and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        if image.getchannel("A").getextrema()[0] < 255:
            raise InputError(f"{name} is transparent in places: put it on a background first")
        facts["opaque"] += 1
        image = image.convert(image.mode[:-1])
    if image.mode not in (*GREY, *COLOUR):
        why = REFUSED.get(image.mode, MORE_BITS)
        raise InputError(f"{name} {why}")
    image = image.convert("L") if image.mode == "1" else image
    if "exif" in image.info and image.getexif().get(ORIENTATION, 1) != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
        facts["turned"] += 1
    facts["colour"] += image.mode == "RGB"
    return image


def _of_two_sizes(first: Picture, one: Sequence[int], second: Picture, other: Sequence[int]) -> InputError:
    names = [picture if isinstance(picture, str) else picture[0] for picture in (first, second)]
    return InputError(
        f"pictures must be of one size (height x width): {names[0]} has {one[0]} x {one[1]} pixels, {names[1]} "
        f"{other[0]} x {other[1]}. "
        "`--size HEIGHTxWIDTH` resizes all"
    )
