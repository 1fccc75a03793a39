"""What is done to raw pixels before a model sees them: declared once in the manifest, applied here alone."""

from __future__ import annotations

__all__ = ["Preprocessing"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESIZES = ("none", "pad")


@dataclass(frozen=True)
class Preprocessing:
    """From uint8 pixels NHWC to the float32 input of a model: resize, then ``pixel * scale + offset``.

    Attributes:
        resize: "none" (images must already fit) or "pad" (centred in a black frame of height x width; an odd
            row or column goes below or to the right).
        height: rows to pad to; 0 for those of the model's input.
        width: columns to pad to; 0 for those of the model's input.
        scale: one factor, or one a channel.
        offset: one summand, or one a channel.
        layout: of the images and of the model's input; "NHWC".
    """

    resize: str = "none"
    height: int = 0
    width: int = 0
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    layout: str = "NHWC"

    def __post_init__(self) -> None:
        if self.resize not in RESIZES:
            raise InvalidInput(f"preprocessing.resize must be one of {', '.join(RESIZES)}, received {self.resize!r}")
        if min(self.height, self.width) < 0 or (self.height == 0) != (self.width == 0):
            raise InvalidInput(f"preprocessing to {self.height}x{self.width}: both sides must be positive, or both 0")
        if self.layout != "NHWC":
            raise InvalidInput(f"preprocessing.layout must be NHWC, received {self.layout!r}")
        if not self.scale or not self.offset:
            raise InvalidInput("preprocessing.scale and .offset need one number, or one a channel")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """Read what :meth:`to_json` wrote; an unknown key is refused by name."""
        unknown = set(fields) - set(cls.__dataclass_fields__)
        if unknown:
            raise InvalidInput(
                f"unknown preprocessing key {min(unknown)!r}; known are {', '.join(cls.__dataclass_fields__)}"
            )
        values = dict(fields)
        for name in ("scale", "offset"):
            if name in values:
                values[name] = tuple(float(value) for value in values[name])
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        fields = asdict(self)
        fields["scale"], fields["offset"] = list(self.scale), list(self.offset)
        return fields

    def for_input(self, shape: tuple[int, ...]) -> Preprocessing:
        """The same with the sides of a model's input (batch, height, width, channels) where none are given."""
        if self.resize != "pad" or self.height or len(shape) != 4:
            return self
        return replace(self, height=shape[1], width=shape[2])

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Preprocess images.

        Args:
            images: uint8 (count, height, width, channels).

        Returns:
            float32 (count, height, width, channels) as the model takes it.

        Raises:
            InvalidInput: an image is larger than the frame it should be padded to.
        """
        return self.scale_pixels(self.pad(images) if self.resize == "pad" else images)

    def scale_pixels(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``images * scale + offset`` in float32, without resizing.

        Raises:
            InvalidInput: as many factors or summands as neither one nor the images' channels.
        """
        import numpy as np

        scale, offset = self.factors(images.shape[-1])
        scaled: NDArray[np.float32] = images.astype(np.float32)
        scaled *= scale
        scaled += offset
        return scaled

    def factors(self, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scale and offset as float32 (1,) or (channels,).

        Raises:
            InvalidInput: as many of either as neither one nor ``channels``.
        """
        import numpy as np

        for name, numbers in (("scale", self.scale), ("offset", self.offset)):
            if len(numbers) not in {1, channels}:
                raise InvalidInput(f"{name} has {len(numbers)} numbers, one or {channels} (one a channel) are needed")
        return np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)

    def pad(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Centre images in a black frame of height x width: uint8 (count, h, w, channels) in and out."""
        import numpy as np

        return np.pad(images, ((0, 0), *self.frame(images.shape[1], images.shape[2]), (0, 0)))

    def frame(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Black rows above and below an image of height x width, and black columns left and right of it.

        Raises:
            InvalidInput: the image is larger than the frame.
        """
        if self.resize == "none":
            return (0, 0), (0, 0)
        rows, columns = self.height - height, self.width - width
        if rows < 0 or columns < 0:
            raise InvalidInput(
                f"images of {height}x{width} are larger than the model's input "
                f"{self.height}x{self.width} and cannot be padded to it"
            )
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
