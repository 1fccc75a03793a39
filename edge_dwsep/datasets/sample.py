"""The parts of Fashion-MNIST that come with the package, so that the demo needs no download."""

from __future__ import annotations

__all__ = ["CALIBRATION", "EVALUATION", "SEED", "draw", "load_npz", "load_sample", "read_arrays", "save_npz"]

import io
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.datasets.fashion_mnist import CLASS_NAMES
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.errors import InvalidData

EVALUATION = "fashion-mnist-test-2000"
"""2,000 of the 10,000 test images, 200 a class."""

CALIBRATION = "fashion-mnist-train-200"
"""200 of the 60,000 training images, 20 a class, for activation ranges: the test images must not serve for those."""

COUNTS = {EVALUATION: 2000, CALIBRATION: 200}
SEED = 0


def load_sample(name: str) -> LabelledImages:
    """Load EVALUATION or CALIBRATION: uint8 (count, 28, 28, 1), int64 (count,)."""
    content = resources.files("edge_dwsep").joinpath(f"samples/{name}.npz").read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return LabelledImages(name, arrays["images"], arrays["labels"], CLASS_NAMES)


def draw(name: str, split: LabelledImages) -> LabelledImages:
    """Draw a sample from its split, as those in the package were drawn."""
    chosen = split.subset(split.stratified(COUNTS[name], SEED))
    return LabelledImages(name, chosen.images, chosen.labels, chosen.class_names)


def save_npz(data: LabelledImages, path: Path) -> None:
    """Write ``images`` and ``labels`` as a compressed .npz, in one rename."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, images=data.images, labels=data.labels)
    part.replace(path)


def load_npz(path: Path) -> LabelledImages:
    """Load a user's .npz with ``images`` uint8 (count, height, width, channels) and integer ``labels`` (count,).

    Raises:
        InvalidData: the file is missing, damaged, or lacks an array.
    """
    arrays = read_arrays(path)
    for name in ("images", "labels"):
        if name not in arrays:
            raise InvalidData(f"{path} lacks an array: {name}; it needs 'images' and 'labels'")
    images = arrays["images"]
    return LabelledImages(path.stem, images[..., np.newaxis] if images.ndim == 3 else images, arrays["labels"])


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file by name.

    Raises:
        InvalidData: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise InvalidData(f"data file {path} does not exist") from None
    except Exception as error:  # NumPy and zipfile raise many types for damaged files
        raise InvalidData(f"{path} cannot be read as an .npz file: {error}") from error
