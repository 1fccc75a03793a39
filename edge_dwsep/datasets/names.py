"""What is known of a data set before it is opened: whether its name is one of ours, and what its images are like."""

from __future__ import annotations

__all__ = ["KNOWN_SETS", "DataShape", "is_known_set", "shape_of_data"]

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KNOWN_SETS = ("fashion-mnist", "fashion-mnist-sample")
"""Names of the sets of edge_dwsep.datasets.sources, which takes longer to import; both are Fashion-MNIST."""


@dataclass(frozen=True)
class DataShape:
    """What images are like.

    Attributes:
        channels: None where they come in as many as a network takes.
        side: the longer side in pixels; None where they are brought to the size that a network takes.
        classes: None where that is not known before.
        trains: whether networks can be trained on the set.
    """

    channels: int | None = None
    side: int | None = None
    classes: int | None = None
    trains: bool = False


def is_known_set(name: str) -> bool:
    """Whether it is the name of a set of ours, and not a path."""
    return name in KNOWN_SETS


def shape_of_data(name: str) -> DataShape:
    """What the images of a set are like, told without reading them; what cannot be told is left open."""
    if is_known_set(name):
        return DataShape(channels=1, side=28, classes=10, trains=True)
    if name.endswith(".npz") and Path(name).is_file():
        shape = _shape_in_npz(Path(name))
        if len(shape) in {3, 4}:
            return DataShape(channels=shape[3] if len(shape) == 4 else 1, side=max(shape[1:3]))
    return DataShape()


def _shape_in_npz(path: Path) -> tuple[int, ...]:
    """Shape of ``images`` by the head of its array; empty where the file does not have it."""
    from numpy.lib import format as npy

    try:
        with zipfile.ZipFile(path) as archive, archive.open("images.npy") as file:
            version = npy.read_magic(file)
            read: Any = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape: tuple[int, ...] = read(file)[0]
            return shape
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # opening it will say what is wrong
        return ()
