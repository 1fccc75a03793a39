"""What every engine offers to the scenarios, whatever library stands behind it."""

from __future__ import annotations

__all__ = ["Engine", "Tensor"]

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dwsep_runtime.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tensor:
    """An input or output of a loaded model.

    Attributes:
        name: in the model.
        shape: with -1 for a dimension left open.
        dtype: NumPy's name.
        scale: of quantization; 0.0 where the tensor is not quantized. real = scale * (stored - zero_point).
        zero_point: of quantization.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "shape": list(self.shape)}

    def quantize(self, real: NDArray[Any]) -> NDArray[Any]:
        """Real values as this tensor stores them: rounded and clipped by its scale, or only cast to a float dtype.

        Raises:
            InvalidInput: an integer tensor without a scale, and a value beyond its dtype.
        """
        import numpy as np

        if not np.issubdtype(np.dtype(self.dtype), np.integer):
            cast: NDArray[Any] = real.astype(self.dtype)
            return cast
        limits = np.iinfo(self.dtype)
        if not self.scale:
            rounded: NDArray[Any] = np.rint(real)
            if rounded.size and (rounded.min() < limits.min or rounded.max() > limits.max):
                raise InvalidInput(
                    f"input {self.name!r} is {self.dtype} without a scale and takes {limits.min}..{limits.max}, "
                    f"received {rounded.min():g}..{rounded.max():g}; say the preprocessing that it expects"
                )
            return rounded.astype(self.dtype)
        stored = np.rint(real / np.float32(self.scale)) + self.zero_point
        clipped: NDArray[Any] = np.clip(stored, limits.min, limits.max).astype(self.dtype)
        return clipped

    def dequantize(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Stored values as real ones, float32."""
        import numpy as np

        real: NDArray[Any] = stored.astype(np.float32)
        if self.scale:
            real = (real - np.float32(self.zero_point)) * np.float32(self.scale)
        return real


class Engine(Protocol):
    """A model loaded and allocated at batch 1, ready to run."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's inputs, in order."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The model's outputs, in order."""

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Give the inputs, in order, each of its tensor's dtype and with batch 1; they stay until given anew."""

    def invoke(self) -> None:
        """Run one inference; this call alone is what single-stream times."""

    def get_outputs(self) -> list[NDArray[Any]]:
        """The outputs of the last inference, in order; copies."""
