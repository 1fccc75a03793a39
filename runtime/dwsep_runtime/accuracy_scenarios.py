"""The scenarios that run images: to count what is right, or to keep what came out."""

from __future__ import annotations

__all__ = ["Accuracy", "Predict"]

from dataclasses import dataclass, field

from dwsep_runtime.preprocessing import Preprocessing


@dataclass(frozen=True)
class Accuracy:
    """Classify labelled images one by one.

    Attributes:
        images: path of a .npy file, uint8 (count, height, width, channels).
        labels: path of a .npy file, integers (count,); label k is the model's output k + label_offset.
        preprocessing: from pixels to the model's input.
        label_offset: number of outputs before the one of label 0.
    """

    images: str
    labels: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    label_offset: int = 0
    name: str = field(default="accuracy", init=False)


@dataclass(frozen=True)
class Predict:
    """Run images one by one and keep the outputs, to compare them with another engine's.

    Attributes:
        images: path of a .npy file, uint8 (count, height, width, channels).
        outputs: path of the .npy file to write, float32 (count, outputs), dequantized.
        preprocessing: from pixels to the model's input.
    """

    images: str
    outputs: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    name: str = field(default="predict", init=False)
