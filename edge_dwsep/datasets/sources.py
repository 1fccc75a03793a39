"""Data sets by the name a user gives: images to calibrate on and images to evaluate on, never the same ones."""

from __future__ import annotations

__all__ = ["SOURCES", "DataSource", "open_data"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwsep_runtime.errors import UnknownName
from edge_dwsep.datasets import fashion_mnist
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.datasets.sample import CALIBRATION, EVALUATION, load_npz, load_sample
from edge_dwsep.errors import InvalidData

CALIBRATION_COUNT = 200
CALIBRATION_SEED = 0


@dataclass(frozen=True)
class DataSource:
    """Where images come from.

    Attributes:
        evaluation: images to measure accuracy and agreement on.
        calibration_pool: images that ``calibration_indices`` points into.
        calibration_indices: int64; none of them is in ``evaluation``.
    """

    evaluation: LabelledImages
    calibration_pool: LabelledImages
    calibration_indices: np.ndarray[tuple[int, ...], np.dtype[np.int64]]

    @property
    def calibration(self) -> LabelledImages:
        """The images to take activation ranges from."""
        return self.calibration_pool.subset(self.calibration_indices)


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


def open_data(name: str) -> DataSource:
    """Open a data set.

    Args:
        name: a name of ``SOURCES``, or the path of an .npz file with ``images`` and ``labels``. A file's images are
            parted: up to 200 drawn at random, at most half, are for calibration and the others for evaluation.

    Raises:
        UnknownName: neither a known name nor an .npz file.
        InvalidData: the file cannot be used.
        DataUnavailable: the set is not installed and cannot be downloaded.
    """
    if name in SOURCES:
        return SOURCES[name]()
    if not name.endswith(".npz"):
        raise UnknownName("data set", name, [*SOURCES, "FILE.npz"])
    whole = load_npz(Path(name))
    if len(whole) < 2:
        raise InvalidData(f"{name} holds {len(whole)} image; at least 2 are needed, to calibrate and to evaluate")
    count = min(CALIBRATION_COUNT, len(whole) // 2)
    order = np.random.default_rng(CALIBRATION_SEED).permutation(len(whole)).astype(np.int64)
    return DataSource(whole.subset(np.sort(order[count:])), whole, np.sort(order[:count]))
