"""What a model file is, told from its bytes: its format, and whether it was cut short.

Engines disagree on damaged files: one refuses them, another reads past the end and dies. So every file is looked
through here before an engine sees it.
"""

from __future__ import annotations

__all__ = ["FORMATS", "model_format", "sha256_of"]

import hashlib
import struct
from pathlib import Path

from dwsep_runtime.errors import InvalidModel
from dwsep_runtime.flatbuffer import Flatbuffer
from dwsep_runtime.protobuf import varint

FORMATS = ("tflite", "onnx")
"""Formats by the suffix of their files."""

TITLES = {"tflite": "a TFLite model", "onnx": "an ONNX model"}

# Numbers of fields in ModelProto, by wire type (onnx/onnx.proto).
ONNX_VARINT_FIELDS = frozenset({1, 5})
ONNX_LENGTH_FIELDS = frozenset({2, 3, 4, 6, 7, 8, 14, 20, 25, 26})
ONNX_GRAPH_FIELD = 7

# Field numbers of tables in schema.fbs (TensorFlow Lite, version 3).
MODEL_OPERATOR_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS = 1, 2, 4
SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_SHAPE, TENSOR_BUFFER = 0, 2
BUFFER_DATA = 0


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def model_format(path: Path) -> str:
    """Tell the format of a model file, having made sure that it is whole.

    Args:
        path: a file named ``*.tflite`` or ``*.onnx``.

    Returns:
        "tflite" or "onnx".

    Raises:
        InvalidModel: missing, empty, truncated, of another kind, or named for the other format.
    """
    named = path.suffix.lower().lstrip(".")
    if path.is_dir() or named not in FORMATS:
        raise InvalidModel(f"{path} is not a model file: give a .tflite or .onnx file")
    content = _read(path)
    found = "tflite" if content[4:8] == b"TFL3" else "onnx" if content[0] == 0x08 else None
    if found is None:
        raise InvalidModel(f"{path} is not {TITLES[named]}: its first bytes are {content[:8]!r}; export it again")
    if found != named:
        raise InvalidModel(f"{path} holds {TITLES[found]} although its name ends in .{named}; rename it to .{found}")
    try:
        whole = _tflite_is_whole(content) if found == "tflite" else _onnx_is_whole(content)
    except (struct.error, IndexError):
        whole = False
    if not whole:
        raise InvalidModel(f"{path} is truncated or damaged ({len(content)} bytes); export or copy it again")
    return found


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InvalidModel(f"model file {path} does not exist") from None
    except OSError as error:
        raise InvalidModel(f"model file {path} cannot be read: {error.strerror}") from error
    if not content:
        raise InvalidModel(f"model file {path} is empty; export or copy it again")
    return content


def _onnx_is_whole(content: bytes) -> bool:
    """Whether the top-level protobuf fields are those of ModelProto and end exactly with the file."""
    position, fields = 0, set()
    while position < len(content):
        tag, position = varint(content, position)
        field, wire_type = tag >> 3, tag & 7
        number, position = varint(content, position)
        if wire_type == 2 and field in ONNX_LENGTH_FIELDS:
            position += number
        elif not (wire_type == 0 and field in ONNX_VARINT_FIELDS):
            return False
        fields.add(field)
    return position == len(content) and ONNX_GRAPH_FIELD in fields


def _tflite_is_whole(content: bytes) -> bool:
    """Whether every table and vector that an engine follows without looking lies inside the file."""
    reader = Flatbuffer(content)
    model = reader.offset(0)
    buffers = reader.tables(model, MODEL_BUFFERS)
    for buffer in buffers:
        reader.vector(buffer, BUFFER_DATA, 1)
    operator_codes = reader.tables(model, MODEL_OPERATOR_CODES)
    subgraphs = reader.tables(model, MODEL_SUBGRAPHS)
    for subgraph in subgraphs:
        for tensor in reader.tables(subgraph, SUBGRAPH_TENSORS):
            reader.vector(tensor, TENSOR_SHAPE, 4)
            if reader.unsigned(tensor, TENSOR_BUFFER) >= len(buffers):
                return False
        for operator in reader.tables(subgraph, SUBGRAPH_OPERATORS):
            if reader.unsigned(operator, 0) >= len(operator_codes):
                return False
        reader.vector(subgraph, SUBGRAPH_INPUTS, 4)
        reader.vector(subgraph, SUBGRAPH_OUTPUTS, 4)
    return bool(subgraphs)
