"""The TFLite flatbuffer as Python objects: read, write, and tell what is in it."""

from __future__ import annotations

__all__ = ["GraphFacts", "Kernel", "TFLiteGraph", "constant_array"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwsep_runtime.engines.protocol import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "INT4": "int4",
}
CONVERTING_OPERATORS = frozenset({"QUANTIZE", "DEQUANTIZE"})
ACTIVATION_DTYPES = frozenset({"float32", "float16", "int8", "uint8", "int16"})
KERNEL_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators whose input 1 is a kernel and input 2, if present, a bias."""


@dataclass(frozen=True)
class GraphFacts:
    """What an exported graph is made of, whatever its format.

    Attributes:
        inputs: in order.
        outputs: in order.
        operators: operator -> how many of it; the name carries the version in TFLite (``CONV_2D v3``).
        kernels: one for each convolution or dense layer: operator, dtype of its kernel, number of its elements, and
            whether its scales are one a channel.
        activation_dtypes: in TFLite, dtypes of what operators compute (shapes and indices aside); in ONNX, of what
            operators with a kernel are given.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    kernels: tuple[Kernel, ...]
    activation_dtypes: frozenset[str]

    @property
    def versioned_operators(self) -> list[tuple[str, int]]:
        """Operators of a TFLite graph as (name, version)."""
        return [(name, int(version)) for name, _, version in (key.rpartition(" v") for key in self.operators)]


@dataclass(frozen=True)
class Kernel:
    """The kernel of one convolution or dense layer."""

    operator: str
    dtype: str
    elements: int
    per_channel: bool


class TFLiteGraph:
    """The one subgraph of a .tflite file, for reading and editing.

    Attributes:
        model: the flatbuffer's root (``ModelT`` of the generated schema).
        subgraph: its first subgraph.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self._dtypes = _names(schema.TensorType)
        self._operators = _names(schema.BuiltinOperator)
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.subgraph = self.model.subgraphs[0]

    def pack(self) -> bytes:
        """The content of the edited file."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def operator_code(self, operator: Any) -> str:
        """Name of an operator in the schema, such as CONV_2D."""
        return self._name(self.model.operatorCodes[operator.opcodeIndex])

    def code_index(self, name: str, version: int) -> int:
        """Index of an operator code of that name and version, added if the file has none."""
        builtin = getattr(self.schema.BuiltinOperator, name)
        for index, code in enumerate(self.model.operatorCodes):
            if self._name(code) == name and code.version == version:
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def add_buffer(self, array: NDArray[Any]) -> int:
        """Add a constant's bytes; returns the buffer's index."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def dtype(self, tensor: Any) -> str:
        """Dtype of a tensor by NumPy's name."""
        name = self._dtypes[tensor.type]
        return DTYPES.get(name, name.lower())

    def facts(self) -> GraphFacts:
        """What is in the graph."""
        operators: dict[str, int] = {}
        kernels = []
        activations: set[str] = set()
        for operator in self.subgraph.operators:
            code = self.model.operatorCodes[operator.opcodeIndex]
            name = self._name(code)
            key = f"{name} v{code.version}"
            operators[key] = operators.get(key, 0) + 1
            if name in KERNEL_OPERATORS:
                kernels.append(self._kernel(name, self._source(operator.inputs[1])))
            if name not in CONVERTING_OPERATORS:
                outputs = {self.dtype(self.subgraph.tensors[index]) for index in operator.outputs}
                activations |= outputs & ACTIVATION_DTYPES
        return GraphFacts(
            inputs=tuple(self._tensor(index) for index in self.subgraph.inputs),
            outputs=tuple(self._tensor(index) for index in self.subgraph.outputs),
            operators=operators,
            kernels=tuple(kernels),
            activation_dtypes=frozenset(activations),
        )

    def _name(self, code: Any) -> str:
        """Name of an operator code; files from before 2020 have it in the deprecated field alone."""
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        return self._operators.get(builtin, f"BUILTIN_{builtin}")

    def _source(self, index: int) -> Any:
        """The tensor, or the float16 constant that a DEQUANTIZE turns into it."""
        for operator in self.subgraph.operators:
            if index in list(operator.outputs) and self.operator_code(operator) == "DEQUANTIZE":
                return self.subgraph.tensors[operator.inputs[0]]
        return self.subgraph.tensors[index]

    def _kernel(self, operator: str, tensor: Any) -> Kernel:
        scale = tensor.quantization.scale if tensor.quantization else None
        channels = tensor.shape[-1 if operator == "DEPTHWISE_CONV_2D" else 0]
        per_channel = scale is not None and len(scale) == channels
        return Kernel(operator, self.dtype(tensor), int(np.prod(tensor.shape)), per_channel)

    def _tensor(self, index: int) -> Tensor:
        tensor = self.subgraph.tensors[index]
        quantization = tensor.quantization
        scale = float(quantization.scale[0]) if quantization and quantization.scale is not None else 0.0
        zero_point = int(quantization.zeroPoint[0]) if scale and quantization.zeroPoint is not None else 0
        shape = tuple(int(size) for size in tensor.shape)
        return Tensor(tensor.name.decode(), shape, self.dtype(tensor), scale, zero_point)


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if not name.startswith("_")}


def constant_array(graph: TFLiteGraph, tensor: Any) -> NDArray[np.float32] | None:
    """A float32 constant's values in its shape; None for a tensor that is computed or not float32."""
    data = graph.model.buffers[tensor.buffer].data
    if tensor.type != graph.schema.TensorType.FLOAT32 or data is None or not len(data):
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(tensor.shape)
