"""What every engine offers to the scenarios, whatever library stands behind it."""

from __future__ import annotations

__all__ = ["Engine", "EngineOption", "EngineSettings", "Tensor", "require_batched", "require_feedable"]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Protocol

from dwsep_runtime.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_THREADS = 1024
LARGEST_BATCH = 65536


@dataclass(frozen=True)
class EngineOption:
    """A setting that one engine has and others need not.

    Attributes:
        name: in :attr:`EngineSettings.options`.
        values: accepted ones; empty where any text is.
        default: what holds where nothing is given.
        summary: what it does, for the user.
    """

    name: str
    values: tuple[str, ...]
    default: str
    summary: str


@dataclass(frozen=True)
class EngineSettings:
    """How an engine is to run a model.

    Attributes:
        threads: that it may use.
        batch: images an inference; 1 leaves the model as it is.
        options: value by name of the engine's :class:`EngineOption`.
    """

    threads: int = 1
    batch: int = 1
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, most in (("threads", MOST_THREADS), ("batch", LARGEST_BATCH)):
            if not 1 <= getattr(self, name) <= most:
                raise InvalidInput(f"{name} must be between 1 and {most}, received {getattr(self, name)}")

    def chosen(self, options: Iterable[EngineOption]) -> dict[str, str]:
        """The value of each option: the one given, or its default."""
        return {option.name: self.options.get(option.name, option.default) for option in options}


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


def require_feedable(inputs: Iterable[Tensor]) -> None:
    """Make sure that arrays of numbers can be made for a model's inputs, before an engine does more than parse it.

    Raises:
        ValueError: an input is no array of numbers, or has an open dimension besides the first, the batch.
    """
    import numpy as np

    for tensor in inputs:
        try:
            kind = np.dtype(tensor.dtype).kind
        except TypeError:
            kind = "V"
        if kind not in "biuf":
            raise ValueError(f"input {tensor.name!r} has dtype {tensor.dtype}; only numbers can be fed")
        if -1 in tensor.shape[1:]:
            raise ValueError(
                f"input {tensor.name!r} has open dimensions {tensor.shape}; export it with all fixed but the batch"
            )


def require_batched(before: Sequence[Tensor], after: Sequence[Tensor], factor: float) -> None:
    """Make sure that a model's outputs grew with its batch: one that reshapes to a fixed batch may run, mixing images.

    Args:
        before: outputs as the model file has them.
        after: outputs as they are allocated.
        factor: by which the batch grew.

    Raises:
        ValueError: an output did not grow.
    """
    for old, new in zip(before, after):
        if old.shape and old.shape[0] > 0 and new.shape[:1] != (round(old.shape[0] * factor),):
            raise ValueError(f"output {old.name!r} of {old.shape} becomes {new.shape}, which is not one for each image")


class Engine(Protocol):
    """A model in an engine: loaded, then allocated once, then run any number of times."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's inputs, in order; their shapes hold the batch once the engine is allocated."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The model's outputs, in order; their shapes hold the batch once the engine is allocated."""

    def allocate(self) -> None:
        """Get everything ready to run, for the batch of the settings; called once, before the first inputs."""

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Give the inputs, in order, each of its tensor's dtype and shape; they stay until given anew."""

    def invoke(self) -> None:
        """Run one inference; this call alone is what is timed."""

    def get_outputs(self) -> list[NDArray[Any]]:
        """The outputs of the last inference, in order; copies."""

    def arena_bytes(self) -> Optional[int]:
        """Bytes of the engine's own arena; None where the engine does not tell."""
