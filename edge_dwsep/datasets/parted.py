"""Images to calibrate on and images to evaluate on, never the same ones."""

from __future__ import annotations

__all__ = ["CALIBRATION_COUNT", "CALIBRATION_SEED", "DataSource", "parted", "unlike"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.datasets.labelled import LabelledImages
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
        labelled: whether classes are known; otherwise every label is 0 and says nothing.
    """

    evaluation: LabelledImages
    calibration_pool: LabelledImages
    calibration_indices: NDArray[np.int64]
    labelled: bool = True

    @property
    def calibration(self) -> LabelledImages:
        """The images to take activation ranges from."""
        return self.calibration_pool.subset(self.calibration_indices)


def parted(whole: LabelledImages, *, labelled: bool = True, alike_apart: bool = False) -> DataSource:
    """Part a set at random: up to 200 images, at most half, for calibration, the others for evaluation.

    Args:
        whole: the set.
        labelled: whether its labels say something.
        alike_apart: whether images that are the same as one to evaluate on are left out of calibration.

    Raises:
        InvalidData: there are too few images.
    """
    if len(whole) < 2:
        raise InvalidData(f"{whole.name} holds {len(whole)} image; at least 2 are needed, to calibrate and to evaluate")
    count = min(CALIBRATION_COUNT, len(whole) // 2)
    order = np.random.default_rng(CALIBRATION_SEED).permutation(len(whole)).astype(np.int64)
    evaluation, chosen = whole.subset(np.sort(order[count:])), np.sort(order[:count])
    if alike_apart:
        chosen = chosen[unlike(whole.images[chosen], evaluation.images)]
        if not len(chosen):
            raise InvalidData(f"the images of {whole.name} are all the same; different ones are needed to calibrate on")
    return DataSource(evaluation, whole, chosen, labelled)


def unlike(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Indices, int64, of the images that are not among others."""
    known = {image.tobytes() for image in others}
    return np.array([index for index, image in enumerate(images) if image.tobytes() not in known], np.int64)
