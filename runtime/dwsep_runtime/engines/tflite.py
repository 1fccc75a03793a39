"""Engine ``tflite``: the Interpreter of ai-edge-litert, with its default XNNPACK delegate unless that is turned off."""

from __future__ import annotations

__all__ = ["OPTIONS", "InterpreterEngine", "load", "tensor_of", "version"]

import ctypes
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Optional

from dwsep_runtime.engines.protocol import EngineOption, EngineSettings, Tensor, require_batched, require_feedable
from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPTIONS = (
    EngineOption("xnnpack", ("on", "off"), "on", "run what XNNPACK can; off: the built-in kernels alone"),
    EngineOption("delegate", (), "", "path of a delegate library to load"),
)

NO_NUMBERS = {"bytes": "string", "object": "resource"}
"""TensorFlow Lite's types by the NumPy names that the interpreter gives them."""

DELEGATE_ENTRY = "tflite_plugin_create_delegate"
"""What every delegate library exports (external_delegate_interface.h)."""


def version() -> str:
    """Import all that a run needs of the package; its version. Raises ImportError where it is not installed."""
    import ai_edge_litert.interpreter

    return str(ai_edge_litert.__version__)


def load(model: str, settings: EngineSettings) -> InterpreterEngine:
    """Read a .tflite file."""
    from ai_edge_litert import interpreter

    return InterpreterEngine(interpreter, model, settings)


def tensor_of(details: dict[str, Any]) -> Tensor:
    """A tensor from an interpreter's details, as the model file has it: with -1 for an open dimension."""
    import numpy as np

    scale, zero_point = details["quantization"]
    signature = details["shape_signature"]
    shape = signature if len(signature) else details["shape"]
    dtype = np.dtype(details["dtype"]).name
    return Tensor(
        details["name"],
        tuple(int(size) for size in shape),
        NO_NUMBERS.get(dtype, dtype),
        float(scale),
        int(zero_point),
    )


def batched(tensor: Tensor, batch: int) -> Tensor:
    """A tensor with its first dimension set to a batch; one without dimensions stays as it is."""
    return replace(tensor, shape=(batch, *tensor.shape[1:])) if tensor.shape else tensor


def growth(inputs: tuple[Tensor, ...], batch: int) -> float:
    """By how much a batch is more than the one that a model was made for; open dimensions count as 1."""
    made_for = [tensor.shape[0] for tensor in inputs if tensor.shape]
    return batch / max(made_for[0], 1) if made_for else 1.0


def refused_at(batch: int, error: Exception) -> ValueError:
    """An engine's error while it gets ready for a batch, with what to do if the batch is the reason."""
    return ValueError(
        f"{plain_reason(error)}; this was at batch {batch}: run it at batch 1, or export it with an open batch"
    )


class InterpreterEngine:
    """See :class:`dwsep_runtime.engines.protocol.Engine`; :meth:`allocate` sets ``invoke``."""

    invoke: Callable[[], None]

    def __init__(self, package: Any, model: str, settings: EngineSettings) -> None:
        """Read the file with the Interpreter of a package that has TensorFlow Lite's Python interface."""
        chosen = settings.chosen(OPTIONS)
        resolvers = package.OpResolverType
        resolver = resolvers.AUTO if chosen["xnnpack"] == "on" else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = package.Interpreter(
            model_path=model,
            num_threads=settings.threads,
            experimental_delegates=_delegates(package, chosen["delegate"]),
            experimental_op_resolver_type=resolver,
        )
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input_indices = [details["index"] for details in inputs]
        self._output_indices = [details["index"] for details in outputs]
        self.inputs = tuple(tensor_of(details) for details in inputs)
        self.outputs = tuple(tensor_of(details) for details in outputs)
        require_feedable(self.inputs)
        self._batch = settings.batch

    def allocate(self) -> None:
        """Give every input the batch and allocate the tensors."""
        if self._batch > 1:
            for index, tensor in zip(self._input_indices, self.inputs):
                if tensor.shape:
                    self._interpreter.resize_tensor_input(index, batched(tensor, self._batch).shape)
        try:
            self._interpreter.allocate_tensors()
            self._take_shapes()
        except (RuntimeError, ValueError) as error:
            if self._batch == 1:
                raise
            raise refused_at(self._batch, error) from error
        self.invoke = self._interpreter.invoke

    def _take_shapes(self) -> None:
        batch = self._batch
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        found = tuple(_allocated(tensor, details, batch) for tensor, details in zip(self.outputs, outputs))
        if batch > 1:
            require_batched(self.outputs, found, growth(self.inputs, batch))
        self.inputs = tuple(_allocated(tensor, details, batch) for tensor, details in zip(self.inputs, inputs))
        self.outputs = found

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Copy the inputs into the interpreter."""
        for index, array in zip(self._input_indices, arrays):
            self._interpreter.set_tensor(index, array)

    def get_outputs(self) -> list[NDArray[Any]]:
        """Copy the outputs out of the interpreter."""
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def arena_bytes(self) -> Optional[int]:
        """None: the interpreter does not tell."""
        return None


def _allocated(tensor: Tensor, details: dict[str, Any], batch: int) -> Tensor:
    """A tensor with the shape that it was allocated with; an open batch may stand in the details as it last was."""
    shape = tuple(int(size) for size in details["shape"])
    if len(shape) != len(tensor.shape):  # computed while the model runs
        shape = tensor.shape
    allocated = replace(tensor, shape=shape)
    return batched(allocated, batch) if tensor.shape[:1] == (-1,) else allocated


def _delegates(package: Any, path: str) -> list[Any]:
    """The delegate of a library, as a list; none without a path.

    Raises:
        InvalidInput: there is no library of a delegate.
    """
    if not path:
        return []
    try:
        # load_delegate fails the same way, and then once more while its half-made object is taken down.
        getattr(ctypes.pydll.LoadLibrary(path), DELEGATE_ENTRY)
        return [package.load_delegate(path)]
    except AttributeError:
        raise InvalidInput(f"delegate {path} is a library without {DELEGATE_ENTRY}, so no delegate") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()).replace(f"{path}: ", "")
        raise InvalidInput(
            f"delegate {path} cannot be loaded: {reason}; give the path of a delegate library"
        ) from error
