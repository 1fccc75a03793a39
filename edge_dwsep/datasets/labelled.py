"""Labelled images in memory, with a hash that names their content wherever they came from."""

from __future__ import annotations

__all__ = ["LabelledImages"]

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.errors import InvalidData


@dataclass(frozen=True)
class LabelledImages:
    """Images with one class each.

    Attributes:
        name: what the set is called in results.
        images: uint8 (count, height, width, channels).
        labels: integers (count,), kept as int64.
        class_names: names by label; empty if unknown.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise InvalidData(
                f"images of {self.name!r} must be uint8 (count, height, width, channels), "
                f"received {self.images.dtype} {self.images.shape}"
            )
        if self.labels.shape != (len(self.images),) or not np.issubdtype(self.labels.dtype, np.integer):
            raise InvalidData(
                f"labels of {self.name!r} must be integers ({len(self.images)},), one an image, "
                f"received {self.labels.dtype} {self.labels.shape}"
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int64, copy=False))
        if not len(self.images):
            raise InvalidData(f"data set {self.name!r} is empty; at least one image is needed")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def sha256(self) -> str:
        """Hash of image bytes followed by labels as little-endian int64."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def subset(self, indices: NDArray[np.int64]) -> LabelledImages:
        """The images at ``indices`` (int64), in that order."""
        return LabelledImages(self.name, self.images[indices], self.labels[indices], self.class_names)

    def stratified(self, count: int, seed: int) -> NDArray[np.int64]:
        """Indices (int64, ascending) of a random sample with the classes in equal parts, as far as ``count`` divides.

        Raises:
            InvalidData: a class has too few images for its part.
        """
        rng = np.random.default_rng(seed)
        classes = np.unique(self.labels)
        parts = np.full(len(classes), count // len(classes))
        parts[: count % len(classes)] += 1
        chosen = []
        for label, part in zip(classes, parts, strict=True):
            members = np.flatnonzero(self.labels == label)
            if len(members) < part:
                raise InvalidData(f"class {label} of {self.name!r} has {len(members)} images, {part} are needed")
            chosen.append(rng.choice(members, part, replace=False))
        return np.sort(np.concatenate(chosen)).astype(np.int64)
