"""The steps that open data sets: what is in them lies in the folder of contents before any step begins."""

from __future__ import annotations

__all__ = ["CALIBRATION", "IMAGES", "LABELS", "DataSteps"]

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.datasets.sources import DataSource, open_data
from edge_dwsep.export import calibration_origin
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.steps import Step, StepKind
from edge_dwsep.words import in_a_line

IMAGES, LABELS, CALIBRATION = "images.npy", "labels.npy", "calibration.npy"
"""Files of a data set: uint8 (count, height, width, channels), int64 (count,), and the images to calibrate on."""


class DataSteps:
    """The steps of one data set, which is opened once for each size of images.

    Args:
        name: as the plan has it; empty for noise.
        blobs: gets the pixels.
    """

    def __init__(self, name: str, blobs: BlobFolder) -> None:
        self._name = name
        self._blobs = blobs
        self._opened: dict[tuple[int, int, int] | None, Step] = {}

    def evaluation(self, input_shape: tuple[int, int, int] | None) -> Step:
        """The step that opens the images to verify, evaluate and calibrate on.

        Args:
            input_shape: (height, width, channels) of the network; photos of all sizes are brought to it.

        Raises:
            InvalidData: the data set cannot be used.
            DataUnavailable: it is not installed and cannot be downloaded.
        """
        sized = Path(self._name).is_dir()
        size = input_shape if sized else None
        if size not in self._opened:
            source = open_data(self._name, side=size[:2], channels=size[2]) if size else open_data(self._name)
            self._opened[size] = self._of(source)
        return self._opened[size]

    def training(self) -> Step:
        """The step that opens the images that networks are trained on.

        Raises:
            DataUnavailable: the data set is not installed and cannot be downloaded.
        """
        from edge_dwsep.datasets import fashion_mnist

        images = fashion_mnist.load("train")
        files = {IMAGES: self._put(images.images), LABELS: self._put(images.labels)}
        told = {"name": images.name, "sha256": images.sha256, "count": len(images)}
        return _step({**told, "class_names": list(images.class_names), "files": files})

    def _of(self, source: DataSource) -> Step:
        images = source.evaluation
        files = {IMAGES: self._put(images.images), CALIBRATION: self._put(source.calibration.images)}
        if source.labelled:
            files[LABELS] = self._put(images.labels)
        origin = asdict(calibration_origin(source))
        return _step(
            {
                "name": images.name,
                "sha256": images.sha256,
                "count": len(images),
                "class_names": list(images.class_names),
                "calibration": {**origin, "indices": list(origin["indices"])},
                "files": files,
            }
        )

    def _put(self, array: NDArray[Any]) -> str:
        content = io.BytesIO()
        np.save(content, array)
        return self._blobs.put(content.getvalue())


def _step(spec: dict[str, Any]) -> Step:
    return Step(StepKind.DATA, spec, title=f"open {in_a_line(spec['name'])}")
