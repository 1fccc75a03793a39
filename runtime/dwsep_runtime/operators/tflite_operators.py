"""The operators of a .tflite file as they are executed: what each is, and how many MACs it takes."""

from __future__ import annotations

__all__ = ["BUILTIN_OPERATORS", "TFLiteOperator", "TFLiteOperators"]

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from dwsep_runtime.errors import InvalidInput, InvalidModel
from dwsep_runtime.flatbuffer import Flatbuffer

# Field numbers of tables in schema.fbs (TensorFlow Lite, version 3).
MODEL_OPERATOR_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS, MODEL_SIGNATURES = 1, 2, 4, 7
SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME = 0, 1, 2, 3
BUFFER_DATA, BUFFER_SIZE = 0, 2
CODE_DEPRECATED_BUILTIN, CODE_CUSTOM, CODE_BUILTIN = 0, 1, 3
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 0, 1, 2, 4
BATCH_MATMUL_ADJOINT_X = 0

MEASURED_TYPES = frozenset({0, 1, 3, 7, 9})
"""Codes of float32, float16, uint8, int16 and int8 (TensorType of schema.fbs)."""

BUILTIN_NAMES = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
    FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH
    SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
    BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
    BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
    ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
    TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK
    LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL
    FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
    REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND
    HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
    BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
    HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
    ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
    DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
    UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
    STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
    STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE
    STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
    STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT
    STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
    STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
    STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
    STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
BUILTIN_OPERATORS = tuple(BUILTIN_NAMES.split())
"""Names of builtin operators by their codes (BuiltinOperator of schema.fbs)."""

UNCOUNTED = frozenset(
    [
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "CUSTOM",
        "DELEGATE",
        "LSTM",
        "RNN",
        "STABLEHLO_CONVOLUTION",
        "STABLEHLO_DOT_GENERAL",
        "SVDF",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
    ]
)
"""Operators that multiply and accumulate in ways not counted here: their MACs are unknown, not 0."""


@dataclass(frozen=True)
class TFLiteTensor:
    """A tensor.

    Attributes:
        name: in the file.
        shape: in the file.
        buffer: index of its buffer.
        constant: whether the file holds its values.
        any_value: whether it may be given random values: it holds measured ones, not shapes, indices or conditions.
    """

    name: str
    shape: tuple[int, ...]
    buffer: int
    constant: bool
    any_value: bool


@dataclass(frozen=True)
class TFLiteOperator:
    """An operator of the main subgraph.

    Attributes:
        index: position in the file, which is the order of execution.
        type: name in the schema, such as CONV_2D; custom operators have their own.
        name: of its first output.
        kind: one of :data:`dwsep_runtime.operators.summary.KINDS`.
        macs: multiply-accumulates in one inference at the batch of the file; None where they are not counted.
        inputs: indices of tensors; -1 for an optional one that is absent.
        outputs: indices of tensors.
        constant: whether nothing that it reads depends on the model's inputs. Engines compute it once or at loading.
    """

    index: int
    type: str
    name: str
    kind: str
    macs: Optional[int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constant: bool

    def __str__(self) -> str:
        return f"operator {self.index} {self.type}"


class TFLiteOperators:
    """The operators of the one subgraph of a .tflite file.

    Args:
        content: of a file that :func:`dwsep_runtime.model_file.model_format` found whole.
        title: what messages call the model.

    Attributes:
        reader: of the content.
        signatures: position of the first of its signatures, and their count.
        subgraph: position of the subgraph's table.
        tensors: all of the subgraph's.
        operators: in the order of execution.
        inputs: indices of tensors.
        outputs: indices of tensors.

    Raises:
        InvalidInput: the file has several subgraphs (control flow or several signatures).
        InvalidModel: it names tensors or operator codes that it does not have.
    """

    def __init__(self, content: bytes, title: str) -> None:
        self.reader = reader = Flatbuffer(content)
        try:
            self.model = reader.offset(0)
            subgraphs = reader.tables(self.model, MODEL_SUBGRAPHS)
            if len(subgraphs) != 1:
                raise InvalidInput(
                    f"{title} has {len(subgraphs)} subgraphs; operators are told apart in models of one subgraph, "
                    "without control flow or several signatures"
                )
            self.subgraph = subgraphs[0]
            self._types = [self._type(code) for code in reader.tables(self.model, MODEL_OPERATOR_CODES)]
            held = [self._holds_data(buffer) for buffer in reader.tables(self.model, MODEL_BUFFERS)]
            self.tensors = [self._tensor(table, held) for table in reader.tables(self.subgraph, SUBGRAPH_TENSORS)]
            self.inputs = reader.integers(self.subgraph, SUBGRAPH_INPUTS)
            self.outputs = reader.integers(self.subgraph, SUBGRAPH_OUTPUTS)
            self.signatures = reader.vector(self.model, MODEL_SIGNATURES, 4)
            self._require_tensors("its inputs", self.inputs)
            self._require_tensors("its outputs", self.outputs)
            self.operators = self._read_operators()
        except (struct.error, IndexError, ValueError) as error:
            raise InvalidModel(f"{title} cannot be taken apart into operators: {error}; export it again") from error

    def batch(self) -> int:
        """The batch that the file's shapes are given for: the first dimension of the first input, or 1."""
        shape = self.tensors[self.inputs[0]].shape if self.inputs else ()
        return max(1, shape[0]) if shape else 1

    def largest_activation(self) -> int:
        """Bytes of the largest tensor that is no constant, four an element."""
        return 4 * max((_elements(tensor.shape) for tensor in self.tensors if not tensor.constant), default=0)

    def _require_tensors(self, whose: str, tensors: Sequence[int], least: int = 0) -> None:
        """Raise ValueError for a tensor that the file does not have; ``least`` is -1 where one may be absent."""
        for tensor in tensors:
            if not least <= tensor < len(self.tensors):
                raise ValueError(f"{whose} name tensor {tensor} of {len(self.tensors)}")

    def _type(self, code: int) -> str:
        """Name of an operator code; files from before 2020 have it in the deprecated field alone."""
        builtin = max(
            self.reader.scalar(code, CODE_DEPRECATED_BUILTIN, "<b"), self.reader.scalar(code, CODE_BUILTIN, "<i")
        )
        name = BUILTIN_OPERATORS[builtin] if 0 <= builtin < len(BUILTIN_OPERATORS) else f"BUILTIN_{builtin}"
        return (self.reader.text(code, CODE_CUSTOM) or name) if name == "CUSTOM" else name

    def _holds_data(self, buffer: int) -> bool:
        return self.reader.vector(buffer, BUFFER_DATA, 1)[1] > 0 or self.reader.scalar(buffer, BUFFER_SIZE, "<Q") > 0

    def _tensor(self, table: int, held: Sequence[bool]) -> TFLiteTensor:
        buffer = self.reader.unsigned(table, TENSOR_BUFFER)
        shape = self.reader.integers(table, TENSOR_SHAPE)
        measured = self.reader.scalar(table, TENSOR_TYPE, "<b") in MEASURED_TYPES
        return TFLiteTensor(self.reader.text(table, TENSOR_NAME), shape, buffer, held[buffer], measured)

    def _read_operators(self) -> list[TFLiteOperator]:
        known = {index for index, tensor in enumerate(self.tensors) if tensor.constant}
        operators = []
        for index, table in enumerate(self.reader.tables(self.subgraph, SUBGRAPH_OPERATORS)):
            kind_of = self._types[self.reader.unsigned(table, OPERATOR_CODE)]
            inputs = self.reader.integers(table, OPERATOR_INPUTS)
            outputs = self.reader.integers(table, OPERATOR_OUTPUTS)
            self._require_tensors(f"the inputs of operator {index}", inputs, -1)
            self._require_tensors(f"the outputs of operator {index}", outputs)
            given = [tensor for tensor in inputs if tensor >= 0]
            constant = bool(given) and known.issuperset(given)
            if constant:
                known.update(outputs)
            shapes = [self.tensors[tensor].shape if tensor >= 0 else () for tensor in inputs]
            produced = [self.tensors[tensor] for tensor in outputs]
            operators.append(
                TFLiteOperator(
                    index=index,
                    type=kind_of,
                    name=produced[0].name if produced else "",
                    kind=_kind(kind_of, shapes),
                    macs=self._macs(kind_of, table, shapes, produced[0].shape if produced else ()),
                    inputs=inputs,
                    outputs=outputs,
                    constant=constant,
                )
            )
        return operators

    def _macs(
        self, operator_type: str, table: int, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]
    ) -> Optional[int]:
        """A kernel's elements times the positions that it is applied at; dimensions that are open count as 1."""
        if operator_type in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            return _elements(inputs[1]) * _elements(output[:-1])
        if operator_type == "FULLY_CONNECTED":
            return _elements(inputs[1]) * (_elements(inputs[0]) // max(1, inputs[1][-1]))
        if operator_type == "TRANSPOSE_CONV":
            return _elements(inputs[1]) * _elements(inputs[2][:-1])
        if operator_type == "BATCH_MATMUL":
            options = self.reader.field(table, OPERATOR_OPTIONS)
            adjoint = bool(options and self.reader.scalar(self.reader.offset(options), BATCH_MATMUL_ADJOINT_X, "<B"))
            return _elements(output) * inputs[0][-2 if adjoint else -1]
        unknown = operator_type in UNCOUNTED or operator_type not in BUILTIN_OPERATORS
        return None if unknown else 0


def _kind(operator_type: str, inputs: Sequence[tuple[int, ...]]) -> str:
    if operator_type == "DEPTHWISE_CONV_2D":
        return "depthwise"
    if operator_type == "CONV_2D":
        _, height, width, channels = inputs[1]
        pointwise = height == width == 1 and channels == inputs[0][-1]
        return "pointwise" if pointwise else "standard"
    if operator_type == "TRANSPOSE_CONV":
        return "standard"
    return "dense" if operator_type in {"FULLY_CONNECTED", "BATCH_MATMUL"} else "other"


def _elements(shape: Sequence[int]) -> int:
    return math.prod(max(1, size) for size in shape)
