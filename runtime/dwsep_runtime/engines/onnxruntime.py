"""Engine ``onnxruntime``: ONNX Runtime's CPU execution provider."""

from __future__ import annotations

__all__ = ["ONNXRuntimeEngine", "load", "version"]

import os
from typing import TYPE_CHECKING, Any

from dwsep_runtime.engines.protocol import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

# onnxruntime 1.29 and later starts a telemetry uploader when imported, unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


def version() -> str:
    """Version of the installed package; raises ImportError where it is not installed."""
    import onnxruntime

    return str(onnxruntime.__version__)


def load(model: str, threads: int) -> ONNXRuntimeEngine:
    """Load and optimize an .onnx file."""
    return ONNXRuntimeEngine(model, threads)


class ONNXRuntimeEngine:
    """See :class:`dwsep_runtime.engines.protocol.Engine`."""

    def __init__(self, model: str, threads: int) -> None:
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(_tensor_of(value) for value in self._session.get_inputs())
        self.outputs = tuple(_tensor_of(value) for value in self._session.get_outputs())
        self._output_names = [tensor.name for tensor in self.outputs]
        self._feed: dict[str, NDArray[Any]] = {}
        self._results: list[NDArray[Any]] = []

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Keep the inputs for the next inference."""
        self._feed = {tensor.name: array for tensor, array in zip(self.inputs, arrays)}

    def invoke(self) -> None:
        """Run one inference."""
        self._results = self._session.run(self._output_names, self._feed)

    def get_outputs(self) -> list[NDArray[Any]]:
        """The outputs of the last inference."""
        return self._results


def _tensor_of(value: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Tensor(value.name, shape, DTYPES.get(value.type, value.type))
