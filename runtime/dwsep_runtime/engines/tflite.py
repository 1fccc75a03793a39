"""Engine ``tflite``: the Interpreter of ai-edge-litert, with its default XNNPACK delegate."""

from __future__ import annotations

__all__ = ["TFLiteEngine", "load", "version"]

from typing import TYPE_CHECKING, Any

from dwsep_runtime.engines.protocol import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def version() -> str:
    """Version of the installed package; raises ImportError where it is not installed."""
    import ai_edge_litert

    return str(ai_edge_litert.__version__)


def load(model: str, threads: int) -> TFLiteEngine:
    """Load and allocate a .tflite file."""
    return TFLiteEngine(model, threads)


def tensor_of(details: dict[str, Any]) -> Tensor:
    """A tensor from the interpreter's details; an open batch stands as the 1 that it is allocated with."""
    import numpy as np

    scale, zero_point = details["quantization"]
    shape = tuple(int(size) for size in details["shape"])
    return Tensor(details["name"], shape, np.dtype(details["dtype"]).name, float(scale), int(zero_point))


class TFLiteEngine:
    """See :class:`dwsep_runtime.engines.protocol.Engine`."""

    def __init__(self, model: str, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=model, num_threads=threads)
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input_indices = [details["index"] for details in inputs]
        self._output_indices = [details["index"] for details in outputs]
        self.inputs = tuple(tensor_of(details) for details in inputs)
        self.outputs = tuple(tensor_of(details) for details in outputs)
        self.invoke = self._interpreter.invoke

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Copy the inputs into the interpreter."""
        for index, array in zip(self._input_indices, arrays):
            self._interpreter.set_tensor(index, array)

    def get_outputs(self) -> list[NDArray[Any]]:
        """Copy the outputs out of the interpreter."""
        return [self._interpreter.get_tensor(index) for index in self._output_indices]
