"""Fashion-MNIST: 60,000 + 10,000 photos of clothes, 28x28 grey, ten classes (Xiao et al. 2017, arXiv:1708.07747)."""

from __future__ import annotations

__all__ = ["CLASS_NAMES", "DEBIAN_FOLDER", "load"]

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.errors import DataUnavailable, InvalidData

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the IDX files."""

FILES = {"train": "train", "test": "t10k"}


def load(split: str, folder: Path = DEBIAN_FOLDER) -> LabelledImages:
    """Load a split from Debian's package if installed, otherwise by keras.datasets (cache, then network).

    Args:
        split: "train" (60,000 images) or "test" (10,000).
        folder: where the four IDX .gz files are looked for first.

    Returns:
        Images uint8 (count, 28, 28, 1) and labels int64 (count,).

    Raises:
        DataUnavailable: not installed, and the download failed.
        InvalidData: a file is not the IDX file its name says.
    """
    stem = FILES[split]
    images_file = folder / f"{stem}-images-idx3-ubyte.gz"
    if images_file.exists():
        images = read_idx(images_file)
        labels = read_idx(folder / f"{stem}-labels-idx1-ubyte.gz")
    else:
        images, labels = _from_keras(split)
    return LabelledImages(f"fashion-mnist-{split}", images[..., np.newaxis], labels.astype(np.int64), CLASS_NAMES)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes (format: LeCun's MNIST page; magic 0x0000 08 rank, big-endian sizes).

    Raises:
        InvalidData: the file is missing, truncated, or not IDX of unsigned bytes.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise InvalidData(f"{path} cannot be read as a gzipped IDX file: {error}") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise InvalidData(f"{path} is not an IDX file of unsigned bytes")
    rank = content[3]
    header = 4 + 4 * rank
    shape = struct.unpack(f">{rank}I", content[4:header]) if len(content) >= header else ()
    if len(content) - header != np.prod(shape, dtype=np.int64):
        raise InvalidData(f"{path} is truncated: {len(content) - header} bytes of data for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _from_keras(split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    import keras

    try:
        train, test = keras.datasets.fashion_mnist.load_data()
    except Exception as error:  # keras raises bare Exception for every network failure
        raise DataUnavailable(
            "Fashion-MNIST is not installed and could not be downloaded; "
            "on Debian or Ubuntu: apt install dataset-fashion-mnist"
        ) from error
    images, labels = train if split == "train" else test
    return images, labels
