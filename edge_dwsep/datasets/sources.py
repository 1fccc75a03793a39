"""Data sets by the name a user gives: images to calibrate on and images to evaluate on, never the same ones."""

from __future__ import annotations

__all__ = ["SOURCES", "DataSource", "image_input", "open_data"]

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dwsep_runtime.errors import UnknownName
from edge_dwsep.datasets import fashion_mnist
from edge_dwsep.datasets.parted import CALIBRATION_COUNT, CALIBRATION_SEED, DataSource, parted
from edge_dwsep.datasets.sample import CALIBRATION, EVALUATION, load_npz, load_sample


def fashion_mnist_sample() -> DataSource:
    """What comes with the package."""
    pool = load_sample(CALIBRATION)
    return DataSource(load_sample(EVALUATION), pool, np.arange(len(pool), dtype=np.int64))


def fashion_mnist_whole() -> DataSource:
    """All test images to evaluate on; training images to calibrate on."""
    train = fashion_mnist.load("train")
    return DataSource(fashion_mnist.load("test"), train, train.stratified(CALIBRATION_COUNT, CALIBRATION_SEED))


SOURCES: dict[str, Callable[[], DataSource]] = {
    "fashion-mnist-sample": fashion_mnist_sample,
    "fashion-mnist": fashion_mnist_whole,
}


def open_data(name: str, *, side: int | tuple[int, int] | None = None, channels: int | None = None) -> DataSource:
    """Open a data set.

    Args:
        name: a name of ``SOURCES``, the path of an .npz file with ``images`` and ``labels``, or a folder of images as
            :mod:`edge_dwsep.datasets.folder` describes it. Images that do not come apart are parted: up to 200 drawn
            at random, at most half, are for calibration and the others for evaluation.
        side: pixels a side, or (height, width), that image files are brought to; of no consequence for other sets.
            None where the files have one size already.
        channels: 1 or 3 that image files are turned into; None for 3.

    Raises:
        UnknownName: neither a known name nor an .npz file nor a folder.
        InvalidData: the file or folder cannot be used.
        DataUnavailable: the set is not installed and cannot be downloaded.
    """
    if name in SOURCES:
        return SOURCES[name]()
    if Path(name).is_dir():
        from edge_dwsep.datasets.folder import open_folder

        return open_folder(Path(name), sides=(side, side) if isinstance(side, int) else side, channels=channels)
    if not name.endswith(".npz"):
        raise UnknownName("data set", name, [*SOURCES, "FILE.npz", "FOLDER"])
    return parted(load_npz(Path(name)))


def image_input(shape: Sequence[int]) -> dict[str, Any]:
    """What :func:`open_data` is to be told besides a name, for a network's input (height, width, channels).

    Nothing for an input of another rank, which takes no image files.
    """
    if len(shape) != 3:
        return {}
    return {"side": (shape[0], shape[1]), "channels": shape[2]}
