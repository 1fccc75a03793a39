"""Engine ``litert``: the CompiledModel of ai-edge-litert on the CPU."""

from __future__ import annotations

__all__ = ["LiteRTEngine", "load", "version"]

from typing import TYPE_CHECKING, Any

from dwsep_runtime.engines.tflite import tensor_of, version
from dwsep_runtime.errors import EngineUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load(model: str, threads: int) -> LiteRTEngine:
    """Compile a .tflite file.

    Raises:
        EngineUnavailable: the package is too old to say how many threads a CompiledModel may use.
    """
    try:
        import ai_edge_litert.options  # noqa: F401  # only to see whether it is there
    except ImportError as error:
        raise EngineUnavailable(
            f"engine litert needs an ai-edge-litert that has CPU options, {version()} has none; "
            "install a newer one (Python 3.10 or later) or use engine tflite"
        ) from error
    return LiteRTEngine(model, threads)


class LiteRTEngine:
    """See :class:`dwsep_runtime.engines.protocol.Engine`."""

    def __init__(self, model: str, threads: int) -> None:
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_litert.options import CpuOptions, Options

        # CompiledModel does not tell quantization parameters; an interpreter that is never allocated does.
        details = Interpreter(model_path=model)
        self.inputs = tuple(tensor_of(item) for item in details.get_input_details())
        self.outputs = tuple(tensor_of(item) for item in details.get_output_details())
        del details
        options = Options(cpu_options=CpuOptions(num_threads=threads))
        self._model = CompiledModel.from_file(model, options=options)
        self._input_buffers = self._model.create_input_buffers(0)
        self._output_buffers = self._model.create_output_buffers(0)

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Copy the inputs into the model's buffers."""
        for buffer, array in zip(self._input_buffers, arrays):
            buffer.write(array)

    def invoke(self) -> None:
        """Run one inference."""
        self._model.run_by_index(0, self._input_buffers, self._output_buffers)

    def get_outputs(self) -> list[NDArray[Any]]:
        """Copy the outputs out of the model's buffers."""
        import numpy as np

        return [
            buffer.read(int(np.prod(tensor.shape)), np.dtype(tensor.dtype)).reshape(tensor.shape)
            for buffer, tensor in zip(self._output_buffers, self.outputs)
        ]
