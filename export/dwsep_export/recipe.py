"""What to make of a model: a format, a quantization scheme, and the dtype of inputs and outputs."""

from __future__ import annotations

__all__ = ["RECIPES", "Format", "Io", "Recipe", "Scheme"]

from dataclasses import dataclass
from enum import Enum

from dwsep_export.errors import InvalidRecipe
from dwsep_runtime.errors import UnknownName


class Format(str, Enum):
    """File formats; the value is the suffix."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Scheme(str, Enum):
    """Quantization schemes, named by what is integer.

    FLOAT32: nothing. FLOAT16: constants stored in half precision, computed in float32. W8_DYNAMIC: int8 weights,
    activations quantized as they are computed. W8A8: 8-bit weights and activations, calibrated.
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    W8_DYNAMIC = "w8-dynamic"
    W8A8 = "w8a8"

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations are taken from calibration images."""
        return self is Scheme.W8A8


class Io(str, Enum):
    """Dtype of a w8a8 model's inputs and outputs; with float32 the model quantizes and dequantizes itself."""

    FLOAT32 = "float32"
    INT8 = "int8"
    UINT8 = "uint8"


SCHEMES = {
    Format.TFLITE: (Scheme.FLOAT32, Scheme.FLOAT16, Scheme.W8_DYNAMIC, Scheme.W8A8),
    Format.ONNX: (Scheme.FLOAT32, Scheme.W8A8),
}
ALIASES = {"int8": Scheme.W8A8, "fp32": Scheme.FLOAT32, "fp16": Scheme.FLOAT16}


@dataclass(frozen=True)
class Recipe:
    """Format, scheme and io of one artifact; weights are quantized per output channel.

    Raises:
        InvalidRecipe: the format does not carry the scheme, or the io does not go with it.
    """

    format: Format
    scheme: Scheme
    io: Io = Io.FLOAT32

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES[self.format]:
            carried = ", ".join(scheme.value for scheme in SCHEMES[self.format])
            raise InvalidRecipe(f"{self.format.value} does not carry {self.scheme.value}; it carries {carried}")
        if self.io is not Io.FLOAT32 and not self.takes_io:
            raise InvalidRecipe(f"io {self.io.value} goes with tflite-w8a8 alone, received {self.base_name}")

    @property
    def takes_io(self) -> bool:
        """Whether inputs and outputs may be integers."""
        return (self.format, self.scheme) == (Format.TFLITE, Scheme.W8A8)

    @property
    def base_name(self) -> str:
        """Format and scheme, such as ``tflite-w8a8``."""
        return f"{self.format.value}-{self.scheme.value}"

    @property
    def name(self) -> str:
        """Name of the variant, such as ``tflite-w8a8`` or ``tflite-w8a8-io-int8``."""
        return self.base_name if self.io is Io.FLOAT32 else f"{self.base_name}-io-{self.io.value}"

    @classmethod
    def parse(cls, text: str, io: str = Io.FLOAT32.value) -> Recipe:
        """Read a variant's name.

        Args:
            text: ``FORMAT-SCHEME``, such as ``tflite-w8a8`` (``int8`` is an alias of w8a8).
            io: name of an Io.

        Raises:
            UnknownName: no format, scheme or io has that name.
            InvalidRecipe: they do not go together.
        """
        head, _, tail = text.partition("-")
        scheme = ALIASES.get(tail)
        known = [f"{format.value}-{scheme.value}" for format, schemes in SCHEMES.items() for scheme in schemes]
        if head not in {format.value for format in Format}:
            raise UnknownName("recipe", text, known)
        if scheme is None:
            if tail not in {item.value for item in Scheme}:
                raise UnknownName("recipe", text, known)
            scheme = Scheme(tail)
        if io not in {item.value for item in Io}:
            raise UnknownName("io", io, [item.value for item in Io])
        return cls(Format(head), scheme, Io(io))


RECIPES = tuple(Recipe(format, scheme) for format, schemes in SCHEMES.items() for scheme in schemes)
"""Every variant with float32 inputs and outputs."""
