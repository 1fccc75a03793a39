"""Image files to pixels: upright, in the channels and size that a network takes, and kept so that it is done once."""

from __future__ import annotations

__all__ = ["SUFFIXES", "read_images"]

import contextlib
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.errors import InvalidData
from edge_dwsep.words import in_a_line

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm"})

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
"""What Pillow takes files for, whatever their names say: its rarer decoders are left alone."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's names of greyscale and colour, by the number of channels."""

DEEP = ("I", "F")
"""Beginnings of the names that Pillow gives to more than 8 bits a channel."""

VERSION = 1
"""Of how pixels are made here; raised when they change."""

SIXTEEN_TO_EIGHT = 257
"""65,535 / 255."""


def read_images(
    files: Sequence[Path], *, sides: tuple[int, int] | None, channels: int | None, cache: Path | None
) -> NDArray[np.uint8]:
    """Read image files.

    An image is turned as its EXIF orientation says; what is transparent shows black. It is scaled until it just covers
    ``sides``, bilinearly and with antialiasing, and its middle is taken.

    Args:
        files: images; suffixes of ``SUFFIXES``.
        sides: (height, width) to bring them to; None where all must have the same size already.
        channels: 1 or 3; None for 3.
        cache: folder where pixels are kept until a file changes; None to keep nothing.

    Returns:
        uint8 (count, height, width, channels).

    Raises:
        InvalidData: a file is no image, or damaged; sizes differ and no sides are given; channels are neither 1 nor 3.
    """
    mode = MODES.get(3 if channels is None else channels)
    if mode is None:
        raise InvalidData(f"image files have 1 or 3 channels, and {channels} are wanted; give an .npz file instead")
    kept = None if cache is None else _Kept(cache, files, sides, mode)
    found = None if kept is None else kept.load()
    if found is not None and len(found) == len(files):
        return found
    from PIL import Image

    # Filters hold for all threads, so they are set around them. What else Pillow warns of, such as odd EXIF data, does
    # no harm to pixels.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        images = list(pool.map(partial(_read, sides=sides, mode=mode), files))
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            first, other = (f"{one.shape[1]}x{one.shape[0]}" for one in (images[0], image))
            raise InvalidData(
                f"images differ in size: {in_a_line(files[0])} is {first} and {in_a_line(file)} {other}; "
                "give images of one size, or a network whose input says which"
            )
    pixels = np.stack(images)
    if kept is not None:
        kept.save(pixels)
    return pixels


def _read(file: Path, *, sides: tuple[int, int] | None, mode: str) -> NDArray[np.uint8]:
    """Pixels of one file, uint8 (height, width, channels)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file, formats=FORMATS) as opened:
            opened.load()
            image = _in_mode(ImageOps.exif_transpose(opened), mode)
            if sides is not None:
                image = ImageOps.fit(image, (sides[1], sides[0]), Image.Resampling.BILINEAR)
            pixels: NDArray[np.uint8] = np.asarray(image, np.uint8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidData(
            f"{in_a_line(file)} has more than {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels; scale it down"
        ) from error
    except FileNotFoundError as error:
        raise InvalidData(f"{in_a_line(file)} is no longer there; give the data again") from error
    except Exception as error:  # Pillow raises many types for damaged files
        reason = in_a_line(" ".join(str(error).split()))[:200]
        raise InvalidData(
            f"{in_a_line(file)} cannot be read as an image: {reason}; replace the file or take it away"
        ) from error
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    from PIL import Image

    if image.mode.startswith(DEEP):  # "I;16" and kin, which convert() would cut off at 255
        deep = np.asarray(image).astype(np.float64)
        scaled = deep / SIXTEEN_TO_EIGHT if deep.size and deep.max() > 255 else deep
        image = Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole)
    return image.convert(mode)


class _Kept:
    """Pixels in a file of the cache, named by what they were made of."""

    def __init__(self, folder: Path, files: Sequence[Path], sides: tuple[int, int] | None, mode: str) -> None:
        import PIL

        parent = os.path.commonpath([file.absolute() for file in files])
        states = [(str(file.absolute()), *_state(file)) for file in files]
        place = _hash([parent, sides, mode])[:16]
        self._pattern = f"{place}-*.npy"
        self._path = folder / f"{place}-{_hash([VERSION, PIL.__version__, sides, mode, states])[:32]}.npy"

    def load(self) -> NDArray[np.uint8] | None:
        """What was kept; None if there is nothing, or something damaged."""
        try:
            pixels = np.load(self._path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return pixels if pixels.dtype == np.uint8 and pixels.ndim == 4 else None

    def save(self, pixels: NDArray[np.uint8]) -> None:
        """Keep pixels in place of those of the same folder before it changed; a full disk is no reason to stop."""
        part = self._path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.save(file, pixels, allow_pickle=False)
            for old in self._path.parent.glob(self._pattern):
                old.unlink(missing_ok=True)
            part.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def _state(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise InvalidData(f"{in_a_line(file)} cannot be read: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
