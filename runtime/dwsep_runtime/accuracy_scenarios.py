"""The scenarios that run images: to count what is right, to keep what came out, or to compare it."""

from __future__ import annotations

__all__ = ["Accuracy", "Agreement", "KeptOutput", "Predict"]

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, ClassVar, Optional

from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.golden import Golden
from dwsep_runtime.preprocessing import Preprocessing

Readers = Mapping[str, Callable[[Any], Any]]
IMAGES: Readers = {
    "preprocessing": Preprocessing.from_json,
    "golden": lambda values: None if values is None else Golden.from_json(values),
}
"""How the fields of these scenarios that are no plain values are read from JSON."""


@dataclass(frozen=True)
class Accuracy:
    """Classify labelled images one by one.

    Attributes:
        images: path of a .npy file: uint8 images (count, height, width, channels), or other inputs, float32 (count,
            ...), which are taken as they are.
        labels: path of a .npy file, integers (count,); label k is the model's output k + label_offset.
        preprocessing: from pixels to the model's input.
        label_offset: number of outputs before the one of label 0.
        golden: what the export made of the golden images, to be looked at first.
    """

    images: str
    labels: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    label_offset: int = 0
    golden: Optional[Golden] = None
    name: str = field(default="accuracy", init=False)
    READERS: ClassVar[Readers] = IMAGES


@dataclass(frozen=True)
class Predict:
    """Run images one by one and keep the outputs, to compare them with another model's or engine's.

    Attributes:
        images: path of a .npy file, as of :class:`Accuracy`.
        outputs: path of the .npy file to write, float32 (count, ...), dequantized; NAME-1.npy and so on beside it for
            a model's second output and those after.
        preprocessing: from pixels to the model's input.
        golden: as of :class:`Accuracy`.
    """

    images: str
    outputs: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    golden: Optional[Golden] = None
    name: str = field(default="predict", init=False)
    READERS: ClassVar[Readers] = IMAGES


@dataclass(frozen=True)
class KeptOutput:
    """An output that :class:`Predict` has written.

    Attributes:
        name: in the model.
        shape: of one item's, without the batch.
        path: of the .npy file.
        minimum: over all items, a finite number.
        maximum: likewise.
    """

    name: str
    shape: tuple[int, ...]
    path: str
    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        for bound in (self.minimum, self.maximum):
            if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound):
                raise InvalidInput(
                    f"the bounds of kept output {self.name!r} must be finite numbers, received {bound!r}; "
                    "give a reference whose outputs are finite"
                )

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> KeptOutput:
        """Read what :meth:`to_json` wrote.

        Raises:
            InvalidInput: a key is missing, unknown, or of another kind.
        """
        try:
            return cls(**{**values, "shape": tuple(values["shape"])})
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"kept output: {error}") from error


@dataclass(frozen=True)
class Agreement:
    """Run images one by one and compare the outputs with those that another model gave for the same images.

    Attributes:
        images: path of a .npy file, as of :class:`Accuracy`.
        reference: the other model's outputs, on the same device.
        preprocessing: from pixels to the model's input.
        tolerance: difference that is counted as agreeing, as a share of the span of the reference's output.
        golden: as of :class:`Accuracy`.
    """

    images: str
    reference: tuple[KeptOutput, ...]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    tolerance: float = 0.01
    golden: Optional[Golden] = None
    name: str = field(default="agreement", init=False)
    READERS: ClassVar[Readers] = {
        **IMAGES,
        "reference": lambda outputs: tuple(KeptOutput.from_json(values) for values in outputs),
    }

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance <= 1:
            raise InvalidInput(f"tolerance must be between 0 and 1, a share of the span, received {self.tolerance}")
