"""What models are evaluated on: images or other inputs, with labels or, to compare outputs alone, without."""

from __future__ import annotations

__all__ = ["EvaluationSet", "open_evaluation"]

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.datasets.sample import read_arrays
from edge_dwsep.datasets.sources import SOURCES, DataSource, open_data
from edge_dwsep.errors import InvalidData


@dataclass(frozen=True)
class EvaluationSet:
    """Inputs of models, each with a class if there are labels.

    Attributes:
        name: what the set is called in results.
        inputs: images, uint8 (count, height, width, channels); or other inputs, float32 (count, ...), as the model
            takes them.
        labels: integers (count,), kept as int64; None where they are not known.
        class_names: names by label; empty if unknown.
    """

    name: str
    inputs: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if np.issubdtype(self.inputs.dtype, np.floating):
            object.__setattr__(self, "inputs", self.inputs.astype(np.float32, copy=False))
            if not np.isfinite(self.inputs).all():
                raise InvalidData(f"inputs of {self.name!r} hold values that are not finite numbers")
        elif self.inputs.dtype != np.uint8 or self.inputs.ndim != 4:
            raise InvalidData(
                f"images of {self.name!r} must be uint8 (count, height, width, channels), or inputs that are no "
                f"images floating-point numbers (count, ...); received {self.inputs.dtype} {self.inputs.shape}"
            )
        if not self.inputs.size:
            raise InvalidData(f"data set {self.name!r} is empty; at least one item is needed")
        if self.labels is None:
            return
        if self.labels.shape != (len(self.inputs),) or not np.issubdtype(self.labels.dtype, np.integer):
            raise InvalidData(
                f"labels of {self.name!r} must be integers ({len(self.inputs)},), one an item, "
                f"received {self.labels.dtype} {self.labels.shape}"
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int64, copy=False))

    @classmethod
    def of(cls, images: LabelledImages) -> EvaluationSet:
        """A set of labelled images."""
        return cls(images.name, images.images, images.labels, images.class_names)

    @classmethod
    def of_source(cls, source: DataSource) -> EvaluationSet:
        """The images of a data set to evaluate on, with labels where it has them."""
        images = source.evaluation
        return cls(images.name, images.images, images.labels if source.labelled else None, images.class_names)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def holds_images(self) -> bool:
        """Whether the inputs are pixels, which have to be preprocessed."""
        return self.inputs.dtype == np.uint8

    @property
    def sha256(self) -> str:
        """Hash of the inputs' bytes, little-endian, followed by labels as little-endian int64."""
        inputs = np.ascontiguousarray(self.inputs, self.inputs.dtype.newbyteorder("<"))
        digest = hashlib.sha256(inputs.tobytes())
        if self.labels is not None:
            digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


def open_evaluation(
    name: str, *, side: int | tuple[int, int] | None = None, channels: int | None = None
) -> EvaluationSet:
    """Open a data set to evaluate on.

    Args:
        name: as for :func:`open_data`; or an .npz file with ``images`` (uint8) but no labels, or with ``inputs``
            (floating-point, count x any shape) with or without ``labels``. Those are taken whole, since nothing of them
            serves calibration.
        side: as for :func:`open_data`.
        channels: as for :func:`open_data`.

    Raises:
        UnknownName: neither a known name nor an .npz file nor a folder.
        InvalidData: the file or folder cannot be used.
        DataUnavailable: the set is not installed and cannot be downloaded.
    """
    if name in SOURCES or not name.endswith(".npz") or Path(name).is_dir():
        return EvaluationSet.of_source(open_data(name, side=side, channels=channels))
    path = Path(name)
    arrays = read_arrays(path)
    if ("images" in arrays) == ("inputs" in arrays):
        held = ", ".join(sorted(arrays)) or "nothing"
        raise InvalidData(f"{path} must hold either 'images' (uint8) or 'inputs' (floating-point); it holds {held}")
    if "inputs" in arrays:
        return EvaluationSet(path.stem, arrays["inputs"], arrays.get("labels"))
    if "labels" in arrays:
        return EvaluationSet.of(open_data(name).evaluation)
    images = arrays["images"]
    return EvaluationSet(path.stem, images[..., np.newaxis] if images.ndim == 3 else images)
