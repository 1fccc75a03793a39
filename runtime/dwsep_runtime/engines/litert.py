"""Engine ``litert``: the CompiledModel of ai-edge-litert on the CPU."""

from __future__ import annotations

__all__ = ["OPTIONS", "LiteRTEngine", "load", "version"]

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Optional

from dwsep_runtime.engines.protocol import EngineOption, EngineSettings, Tensor, require_batched, require_feedable
from dwsep_runtime.engines.tflite import batched, growth, refused_at, tensor_of
from dwsep_runtime.engines.tflite import version as interpreter_version
from dwsep_runtime.errors import EngineUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

# CpuOptions has a third mode, reference: it takes as long as builtin to the percent and computes the same (2.3).
OPTIONS = (
    EngineOption("kernels", ("xnnpack", "builtin"), "xnnpack", "run what XNNPACK can, or the built-in kernels alone"),
)


def version() -> str:
    """Import all that a run needs of the package; its version. Raises ImportError where it is not installed.

    Raises:
        EngineUnavailable: the package is too old to say how many threads a CompiledModel may use.
    """
    found = interpreter_version()
    try:
        import ai_edge_litert.compiled_model
        import ai_edge_litert.options  # noqa: F401
    except ImportError as error:
        raise EngineUnavailable(
            f"engine litert needs an ai-edge-litert that has CPU options, {found} has none; "
            "install a newer one (Python 3.10 or later) or use engine tflite"
        ) from error
    return found


def load(model: str, settings: EngineSettings) -> LiteRTEngine:
    """Compile a .tflite file."""
    return LiteRTEngine(model, settings)


class LiteRTEngine:
    """See :class:`dwsep_runtime.engines.protocol.Engine`; :meth:`allocate` sets ``invoke``."""

    invoke: Callable[[], None]

    def __init__(self, model: str, settings: EngineSettings) -> None:
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_litert.options import CpuKernelMode, CpuOptions, Options

        # CompiledModel does not tell quantization parameters; an interpreter that is never allocated does.
        details = Interpreter(model_path=model)
        self.inputs = tuple(tensor_of(item) for item in details.get_input_details())
        self.outputs = tuple(tensor_of(item) for item in details.get_output_details())
        del details
        require_feedable(self.inputs)
        _require_buffers((*self.inputs, *self.outputs))
        kernels = settings.chosen(OPTIONS)["kernels"]
        mode = CpuKernelMode.XNNPACK if kernels == "xnnpack" else CpuKernelMode.BUILTIN
        options = Options(cpu_options=CpuOptions(num_threads=settings.threads, kernel_mode=mode))
        self._model = CompiledModel.from_file(model, options=options)
        self._file = model
        self._batch = settings.batch
        self._input_buffers: list[Any] = []
        self._output_buffers: list[Any] = []

    def allocate(self) -> None:
        """Give every input the batch and create the buffers."""
        try:
            if self._batch > 1:
                for index, tensor in enumerate(self.inputs):
                    if tensor.shape:
                        self._resize(index, tensor)
            self._input_buffers = self._model.create_input_buffers(0)
            self._output_buffers = self._model.create_output_buffers(0)
            self._take_shapes()
        except (RuntimeError, ValueError) as error:
            if self._batch == 1:
                raise
            raise refused_at(self._batch, error) from error
        self.invoke = self._invocation()

    def _invocation(self) -> Callable[[], None]:
        run, inputs, outputs = self._model.run_by_index, self._input_buffers, self._output_buffers

        def invoke() -> None:
            try:
                run(0, inputs, outputs)
            except RuntimeError as error:
                raise RuntimeError(self._reason() or str(error)) from error

        return invoke

    def _reason(self) -> str:
        """Why an interpreter refuses the model; a CompiledModel allocates as it first runs and prints its reasons."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_path=self._file, experimental_op_resolver_type=kernels)
        for details, tensor in zip(interpreter.get_input_details(), self.inputs):
            interpreter.resize_tensor_input(details["index"], tensor.shape)
        try:
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            return str(error)
        return ""

    def _resize(self, index: int, tensor: Tensor) -> None:
        shape = batched(tensor, self._batch).shape
        # Only the non-strict way changes a dimension that the file has fixed.
        self._model.resize_input_tensor(index, shape, strict=tensor.shape[0] == -1)

    def _take_shapes(self) -> None:
        import numpy as np
        from ai_edge_litert.tensor_buffer import TensorBuffer

        batch = self._batch
        found = []
        for index, (tensor, buffer) in enumerate(zip(self.outputs, self._output_buffers)):
            shape = tuple(int(size) for size in buffer.get_tensor_details()["shape"])
            allocated = replace(tensor, shape=shape)
            if tensor.shape[:1] == (-1,) and shape[:1] != (batch,):
                # A shape that the model computes as it runs is known after the first run only; until then the buffers
                # are those of batch 1.
                allocated = batched(allocated, batch)
                memory = np.zeros(allocated.shape, allocated.dtype)
                self._output_buffers[index] = TensorBuffer.create_from_host_memory(memory)
            found.append(allocated)
        if batch > 1:
            require_batched(self.outputs, found, growth(self.inputs, batch))
        opened = (tensor.shape[:1] == (-1,) for tensor in self.inputs)
        self.inputs = tuple(
            batched(tensor, batch) if batch > 1 or is_open else tensor for tensor, is_open in zip(self.inputs, opened)
        )
        self.outputs = tuple(found)

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Copy the inputs into the model's buffers."""
        for buffer, array in zip(self._input_buffers, arrays):
            buffer.write(array)

    def get_outputs(self) -> list[NDArray[Any]]:
        """Copy the outputs out of the model's buffers."""
        import numpy as np

        return [
            buffer.read(int(np.prod(tensor.shape)), np.dtype(tensor.dtype)).reshape(tensor.shape)
            for buffer, tensor in zip(self._output_buffers, self.outputs)
        ]

    def arena_bytes(self) -> Optional[int]:
        """None: CompiledModel tells the sizes of its inputs and outputs alone."""
        return None


def _require_buffers(tensors: tuple[Tensor, ...]) -> None:
    """Make sure that the package's buffers hold such numbers; those of 2.3 hold no int16 and int64.

    Raises:
        ValueError: there is no buffer for a tensor's dtype.
    """
    import numpy as np
    from ai_edge_litert.tensor_buffer import TensorBuffer

    for tensor in tensors:
        try:
            TensorBuffer.create_from_host_memory(np.zeros(1, tensor.dtype))
        except (TypeError, ValueError):
            raise ValueError(
                f"{tensor.name!r} is {tensor.dtype}, of which CompiledModel has no buffers; use engine tflite"
            ) from None
