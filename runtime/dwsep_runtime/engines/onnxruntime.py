"""Engine ``onnxruntime``: ONNX Runtime's CPU execution provider."""

from __future__ import annotations

__all__ = ["OPTIONS", "ONNXRuntimeEngine", "load", "version"]

import functools
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Optional

from dwsep_runtime.engines.protocol import EngineOption, EngineSettings, Tensor, require_feedable

if TYPE_CHECKING:
    from numpy.typing import NDArray

# onnxruntime 1.29 and later starts a telemetry uploader when imported, unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

OPTIONS = (
    EngineOption(
        "optimization", ("disable", "basic", "extended", "all"), "all", "how far the graph is rewritten as it is loaded"
    ),
    EngineOption("spinning", ("on", "off"), "on", "threads without work wait by spinning; off: they sleep"),
    EngineOption("arena", ("on", "off"), "on", "memory comes from an arena that is kept; off: from the system"),
    EngineOption("binding", ("on", "off"), "off", "inputs and outputs are bound once; off: given to each run"),
)

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
}


def version() -> str:
    """Version of the installed package; raises ImportError where it is not installed."""
    import onnxruntime

    return str(onnxruntime.__version__)


def load(model: str, settings: EngineSettings) -> ONNXRuntimeEngine:
    """Load and optimize an .onnx file."""
    return ONNXRuntimeEngine(model, settings)


class ONNXRuntimeEngine:
    """See :class:`dwsep_runtime.engines.protocol.Engine`; :meth:`allocate` sets ``invoke``."""

    invoke: Callable[[], None]

    def __init__(self, model: str, settings: EngineSettings, *, profile_prefix: str = "") -> None:
        """Load a model.

        Args:
            model: path of the .onnx file.
            settings: see :class:`EngineSettings`.
            profile_prefix: begin of the path of a profile that is written, see :meth:`end_profiling`; empty for none.
        """
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        self._session = onnxruntime.InferenceSession(
            model, _session_options(settings, profile_prefix), providers=["CPUExecutionProvider"]
        )
        self.inputs = tuple(_tensor_of(value) for value in self._session.get_inputs())
        self.outputs = tuple(_tensor_of(value) for value in self._session.get_outputs())
        require_feedable(self.inputs)
        self._batch = settings.batch
        self._bound = settings.options.get("binding") == "on"
        self._binding = self._session.io_binding()
        self._feed: dict[str, NDArray[Any]] = {}
        self._results: list[NDArray[Any]] = []

    def allocate(self) -> None:
        """Bind the outputs; the batch is that of the arrays that are given.

        Raises:
            ValueError: an input has another batch fixed.
        """
        for tensor in self.inputs:
            if self._batch > 1 and tensor.shape and tensor.shape[0] not in (-1, self._batch):
                raise ValueError(
                    f"input {tensor.name!r} has its batch fixed at {tensor.shape[0]}, {self._batch} was asked for; "
                    "export it with an open batch"
                )
        self.inputs = tuple(_at_batch(tensor, self._batch) for tensor in self.inputs)
        self.outputs = tuple(_at_batch(tensor, self._batch) for tensor in self.outputs)
        if not self._bound:
            self.invoke = self._run
            return
        for tensor in self.outputs:
            self._binding.bind_output(tensor.name, "cpu")
        self.invoke = functools.partial(self._session.run_with_iobinding, self._binding)

    def _run(self) -> None:
        self._results = self._session.run(None, self._feed)

    def set_inputs(self, arrays: list[NDArray[Any]]) -> None:
        """Keep or bind the inputs; the arrays are not copied."""
        import numpy as np
        import onnxruntime

        if not self._bound:
            self._feed = {tensor.name: array for tensor, array in zip(self.inputs, arrays)}
            return
        for tensor, array in zip(self.inputs, arrays):
            value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
            self._binding.bind_ortvalue_input(tensor.name, value)

    def get_outputs(self) -> list[NDArray[Any]]:
        """The outputs of the last inference."""
        outputs: list[NDArray[Any]] = self._binding.copy_outputs_to_cpu() if self._bound else self._results
        return outputs

    def arena_bytes(self) -> Optional[int]:
        """None: the Python package does not tell."""
        return None

    def end_profiling(self) -> str:
        """End the profile and return the path of its file (JSON, Chrome's trace event format)."""
        return str(self._session.end_profiling())


def _session_options(settings: EngineSettings, profile_prefix: str) -> Any:
    import onnxruntime

    chosen = settings.chosen(OPTIONS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = {
        "disable": level.ORT_DISABLE_ALL,
        "basic": level.ORT_ENABLE_BASIC,
        "extended": level.ORT_ENABLE_EXTENDED,
        "all": level.ORT_ENABLE_ALL,
    }[chosen["optimization"]]
    options.enable_cpu_mem_arena = chosen["arena"] == "on"
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if chosen["spinning"] == "on" else "0")
    if profile_prefix:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    return options


def _tensor_of(value: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Tensor(value.name, shape, DTYPES.get(value.type, value.type))


def _at_batch(tensor: Tensor, batch: int) -> Tensor:
    """A tensor with an open first dimension closed; the names of open dimensions differ between inputs and outputs."""
    return replace(tensor, shape=(batch, *tensor.shape[1:])) if tensor.shape[:1] == (-1,) else tensor
