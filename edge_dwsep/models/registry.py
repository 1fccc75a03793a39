"""The architectures by name, and :func:`build`, the one door to all of them."""

from __future__ import annotations

__all__ = ["ARCHITECTURES", "Architecture", "architecture", "build"]

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwsep_export.quiet import load_tensorflow
from dwsep_runtime.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    import keras

ARCHITECTURES = {
    "mobilenet_v1": "edge_dwsep.models.mobilenet_v1",
    "mobilenet_v2": "edge_dwsep.models.mobilenet_v2",
}
"""Name -> module with an ``ARCHITECTURE``; one line here and one file add an architecture."""


@dataclass(frozen=True)
class Architecture:
    """A family of networks that differ by alpha, input shape and classes.

    Attributes:
        name: name in the registry.
        summary: what it is made of, in a few words.
        paper: where it was published.
        total_stride: product of all strides; the input's sides must not be smaller.
        smallest_alpha: least width multiplier that leaves every layer a channel (0: any positive one does).
        builder: makes the Keras model from validated arguments (alpha, input_shape, classes, dropout).
    """

    name: str
    summary: str
    paper: str
    total_stride: int
    smallest_alpha: float
    builder: Callable[[float, tuple[int, int, int], int, float], keras.Model]


def architecture(name: str) -> Architecture:
    """Look an architecture up.

    Raises:
        UnknownName: no architecture has that name; the message suggests the nearest.
    """
    if name not in ARCHITECTURES:
        raise UnknownName("architecture", name, ARCHITECTURES)
    found: Architecture = importlib.import_module(ARCHITECTURES[name]).ARCHITECTURE
    return found


def build(
    name: str,
    *,
    alpha: float = 1.0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    dropout: float = 1e-3,
) -> keras.Model:
    """Build an architecture of the zoo in Keras, with random weights.

    Args:
        name: a name of ``ARCHITECTURES``.
        alpha: width multiplier, positive.
        input_shape: (height, width, channels); sides at least the architecture's total stride.
        classes: number of classes, at least 2.
        dropout: share of features dropped before the classifier in training, in [0, 1).

    Returns:
        Model from float32 (batch, height, width, channels) to probabilities float32 (batch, classes).

    Raises:
        UnknownName: no architecture has that name.
        InvalidInput: an argument is out of its range.
    """
    family = architecture(name)
    if not (math.isfinite(alpha) and alpha > 0):
        raise InvalidInput(f"alpha must be a positive number, received {alpha}; usual are 0.25, 0.35, 0.5, 0.75, 1.0")
    if alpha < family.smallest_alpha:
        raise InvalidInput(
            f"alpha={alpha} leaves {name} a layer without channels; use at least {family.smallest_alpha}"
        )
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InvalidInput(f"input_shape must be (height, width, channels), all positive, received {input_shape}")
    if min(input_shape[:2]) < family.total_stride:
        raise InvalidInput(
            f"input {input_shape[0]}x{input_shape[1]} is too small for the strides of {name}, which divide it by "
            f"{family.total_stride}; use at least {family.total_stride}x{family.total_stride}"
        )
    if classes < 2:
        raise InvalidInput(f"classes must be at least 2, received {classes}")
    if not 0 <= dropout < 1:
        raise InvalidInput(f"dropout must be in [0, 1), received {dropout}")
    load_tensorflow()
    return family.builder(float(alpha), input_shape, classes, dropout)
