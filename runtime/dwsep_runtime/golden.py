"""Golden inputs: two made-up images whose preparation must be the same, bit by bit, wherever the model runs.

Preprocessing drifts without a sound: a scale edited by hand or another padding costs accuracy and raises no error. So
an export keeps the hash of these images as it prepared them, and what the model made of them; before each run on a
device both are looked at again.
"""

from __future__ import annotations

__all__ = ["Golden", "check_golden", "golden_images", "golden_shape", "prepared_sha256"]

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dwsep_runtime.engines.protocol import Engine, Tensor
from dwsep_runtime.errors import EngineError, InvalidInput, PreprocessingDrift, UnknownName
from dwsep_runtime.model_input import ModelInput, only_input
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COUNT = 2
PATTERN = 1
"""Number of the formula in :func:`golden_images`."""

KEPT = 64
"""Values of an image's output that are kept."""

DIGITS = 6
"""Significant digits of them."""

LARGE_DIFFERENCE = 0.1
"""Share of the outputs' range beyond which engines no longer compute the same."""


@dataclass(frozen=True)
class Golden:
    """What an export made of the golden images.

    Attributes:
        image_shape: (height, width, channels) before preprocessing.
        prepared_sha256: of the preprocessed images, see :func:`prepared_sha256`.
        values: the first 64 values of the artifact's first output for each image, dequantized.
        engine: engine that computed them, and its version.
        pattern: number of the images' formula.
    """

    image_shape: tuple[int, int, int]
    prepared_sha256: str
    values: tuple[tuple[float, ...], ...] = ()
    engine: str = ""
    pattern: int = PATTERN

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            **asdict(self),
            "image_shape": list(self.image_shape),
            "values": [list(values) for values in self.values],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Golden:
        """Read what :meth:`to_json` wrote.

        Raises:
            InvalidInput: a key is missing, unknown, or of another kind, or the formula is one of a later version.
        """
        for key in values:
            if key not in cls.__dataclass_fields__:
                raise UnknownName("golden key", key, cls.__dataclass_fields__)
        try:
            height, width, channels = (int(size) for size in values["image_shape"])
            rows = tuple(tuple(float(value) for value in row) for row in values.get("values", ()))
            made = cls(
                (height, width, channels),
                str(values["prepared_sha256"]),
                rows,
                str(values.get("engine", "")),
                int(values.get("pattern", PATTERN)),
            )
        except KeyError as error:
            raise InvalidInput(f"golden lacks {error.args[0]!r}") from error
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"golden has a value of the wrong kind: {error}") from error
        if made.pattern != PATTERN:
            raise InvalidInput(f"golden images of pattern {made.pattern} are unknown; this version makes {PATTERN}")
        return made


def golden_shape(preprocessing: Preprocessing, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(height, width, channels) of golden images for a model's input of such a shape.

    Where images are padded, they are 3 rows and 1 column smaller than the frame: an uneven frame shows a shift.
    """
    height, width, channels = input_shape
    if preprocessing.resize == "pad":
        return max(1, height - 3), max(1, width - 1), channels
    return height, width, channels


def golden_images(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The golden images: uint8 (2, height, width, channels).

    Pixel (y, x) of channel c of image n is ``(n * 101 + y * 7 + x * 11 + c * 59 + x * y) mod 256``.

    >>> golden_images((2, 2, 1)).reshape(2, 4).tolist()
    [[0, 11, 7, 19], [101, 112, 108, 120]]
    """
    import numpy as np

    n, y, x, c = np.ogrid[:COUNT, : shape[0], : shape[1], : shape[2]]
    images: NDArray[np.uint8] = ((n * 101 + y * 7 + x * 11 + c * 59 + x * y) % 256).astype(np.uint8)
    return images


def prepared_sha256(prepared: NDArray[np.float32]) -> str:
    """SHA-256 of preprocessed images: of their shape as text, such as ``2x32x32x1``, then of little-endian float32.

    Preprocessing is a product and a sum in float32, which IEEE 754 defines to the last bit.
    """
    digest = hashlib.sha256("x".join(str(size) for size in prepared.shape).encode())
    digest.update(prepared.astype("<f4").tobytes())
    return digest.hexdigest()


def check_golden(engine: Engine, preprocessing: Preprocessing, golden: Golden) -> dict[str, Any]:
    """Prepare the golden images as a run prepares its own, compare, and run them.

    Args:
        engine: a loaded model of one input.
        preprocessing: as declared.
        golden: what the export made of them.

    Returns:
        JSON values: ``preprocessing``, "equal"; ``max_difference``, the largest difference of an output from the
        export's as a share of the range of those, None if the export kept none; ``values``, the outputs themselves,
        rounded.

    Raises:
        PreprocessingDrift: the images are prepared otherwise.
        InvalidInput: the model has several inputs.
        EngineError: an output is not finite.
    """
    tensor = only_input(engine)
    images = golden_images(golden.image_shape)
    _require_equal(images, tensor, preprocessing, golden)
    values = _run(engine, images, preprocessing)
    return {
        "preprocessing": "equal",
        "max_difference": _difference(values, golden.values),
        "values": values,
    }


def _require_equal(images: NDArray[np.uint8], tensor: Tensor, preprocessing: Preprocessing, golden: Golden) -> None:
    real = Tensor(tensor.name, tensor.shape, "float32")
    try:
        written = ModelInput(real, preprocessing, images)
        prepared = written.allocate(COUNT)
        written.write(images, prepared)
    except InvalidInput as error:
        raise PreprocessingDrift(f"preprocessing is not what it was when the model was exported: {error}") from error
    found = prepared_sha256(prepared)
    if found != golden.prepared_sha256:
        raise PreprocessingDrift(
            f"preprocessing drift: golden images are prepared otherwise here than at export (SHA-256 {found[:12]}, "
            f"{golden.prepared_sha256[:12]} expected); restore the manifest's preprocessing, or export again"
        )


def _run(engine: Engine, images: NDArray[np.uint8], preprocessing: Preprocessing) -> list[list[float]]:
    import numpy as np

    written = ModelInput(only_input(engine), preprocessing, images)
    memory = written.allocate(COUNT)
    written.write(images, memory)
    values = []
    for row in range(COUNT):
        engine.set_inputs([memory[row : row + 1]])
        engine.invoke()
        output = engine.outputs[0].dequantize(engine.get_outputs()[0]).reshape(1, -1)[:, :KEPT]
        if not np.isfinite(output).all():
            raise EngineError(f"the model's output for golden image {row} is not a finite number")
        values.append([float(f"{value:.{DIGITS}g}") for value in output[0]])
    return values


def _difference(values: list[list[float]], expected: tuple[tuple[float, ...], ...]) -> Any:
    if not expected:
        return None
    if [len(row) for row in values] != [len(row) for row in expected]:
        raise InvalidInput(
            f"the first output has {len(values[0])} values for a golden image, {len(expected[0])} at export: "
            "the manifest is another model's; export again"
        )
    known = [value for row in expected for value in row]
    span = max(known) - min(known) or max(map(abs, known)) or 1.0
    pairs = (pair for rows in zip(values, expected) for pair in zip(*rows))
    return max(abs(value - wanted) for value, wanted in pairs) / span
