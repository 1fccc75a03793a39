"""Which release of a runtime is the oldest that can load an exported file, from the versions written in the file.

A TFLite file states a version for each operator, an ONNX file one for its operator set and one for its
intermediate representation (IR). The tables here say which release of the runtime came to know each of them.
"""

from __future__ import annotations

__all__ = [
    "ONNXRUNTIME_IR_VERSIONS",
    "ONNXRUNTIME_OPSETS",
    "TFLITE_OPERATOR_RUNTIMES",
    "OldestRuntime",
    "oldest_onnxruntime",
    "oldest_tflite",
    "release_key",
]

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dwsep_runtime.errors import InvalidInput

TFLITE_FIRST_RELEASE = "1.5.0"
"""Oldest release in the source of :data:`TFLITE_OPERATOR_RUNTIMES`; the answer for a file without operators."""

_TFLITE_RELEASES: Mapping[str, tuple[str | None, ...]] = {
    "ADD": ("1.5.0", "1.14.0", "2.4.0", "2.6.0", "2.13.0"),
    "AVERAGE_POOL_2D": ("1.5.0", "1.14.0", "2.3.0"),
    "BATCH_MATMUL": ("2.3.0", "2.3.0", "2.4.0", "2.5.0"),
    "BATCH_TO_SPACE_ND": ("1.6.0", "1.14.0", "2.3.0", "2.12.0"),
    "BROADCAST_TO": (None, "2.5.0", "2.5.0"),
    "CAST": ("1.5.0", "2.7.0", "2.8.0", "2.9.0", "2.12.0", "2.15.0", "2.17.0", "2.21.0"),
    "CONCATENATION": ("1.5.0", "1.14.0", "2.3.0", "2.14.0", "2.21.0"),
    "CONV_2D": ("1.5.0", "1.14.0", "1.14.0", "2.3.0", "2.4.0", "2.9.0", "2.11.0", "2.15.0"),
    "DEPTHWISE_CONV_2D": ("1.5.0", "1.12.0", "1.14.0", "2.2.0", "2.3.0", "2.3.0", "2.11.0"),
    "DEQUANTIZE": ("1.13.1", "1.14.0", "1.15.0", "2.2.0", "2.7.0", "2.18.0", "2.21.0", "2.22.0"),
    "DIV": ("1.6.0", "2.3.0"),
    "EXP": ("1.7.0", "2.12.0"),
    "EXPAND_DIMS": ("1.10.0",),
    "FULLY_CONNECTED": (
        *("1.5.0", "1.10.0", "1.14.0", "1.14.0", "2.0.0", "2.1.0", "2.3.0"),
        *("2.3.0", "2.3.0", "2.11.0", "2.15.0", "2.17.0", "2.18.0", "2.21.0"),
    ),
    "GATHER": ("1.6.0", "1.14.0", "1.15.0", "2.4.0", "2.5.0", "2.13.0", "2.15.0"),
    "GELU": ("2.9.0", "2.9.0"),
    "HARD_SWISH": ("1.15.0",),
    "LEAKY_RELU": ("1.13.1", "2.3.0"),
    "LOGISTIC": ("1.14.0", "1.14.0", "2.3.0"),
    "MAXIMUM": ("1.14.0", "1.14.0", "2.3.0", "2.3.0"),
    "MAX_POOL_2D": ("1.5.0", "1.14.0", "2.3.0"),
    "MEAN": ("1.6.0", "1.14.0", "2.4.0"),
    "MINIMUM": ("1.14.0", "1.14.0", "2.3.0", "2.3.0"),
    "MIRROR_PAD": ("1.13.1", "2.3.0", "2.12.0"),
    "MUL": ("1.5.0", "1.14.0", "1.15.0", "2.3.0", "2.6.0", "2.11.0", "2.13.0"),
    "PACK": ("1.11.0", "1.14.0", "2.3.0", "2.13.0"),
    "PAD": ("1.5.0", "1.14.0", "2.4.0", "2.6.0", "2.20.0"),
    "PADV2": ("1.9.0", "1.14.0", "2.4.0", "2.6.0", "2.20.0"),
    "PRELU": ("1.8.0",),
    "QUANTIZE": ("1.14.0", "1.15.0", "2.7.0", "2.21.0", "2.21.0", "2.21.0"),
    "RELU": ("1.5.0", "2.1.0", "2.5.0"),
    "RELU6": ("1.5.0", "1.14.0", "2.5.0"),
    "RELU_N1_TO_1": ("1.5.0",),
    "RESHAPE": ("1.5.0",),
    "RESIZE_BILINEAR": ("1.7.0", "1.14.0", "2.2.0", "2.5.0"),
    "RESIZE_NEAREST_NEIGHBOR": ("1.13.1", "1.14.0", "2.3.0", "2.4.0"),
    "SHAPE": ("1.10.0",),
    "SOFTMAX": ("1.5.0", "1.14.0", "2.3.0"),
    "SPACE_TO_BATCH_ND": ("1.6.0", "1.14.0", "2.3.0", "2.12.0"),
    "SPLIT": ("1.5.0", "1.14.0", "1.14.0", "2.3.0"),
    "SQUEEZE": ("1.6.0", "2.5.0"),
    "STRIDED_SLICE": ("1.6.0", "1.14.0", "2.1.0", "2.2.0", "2.5.0", "2.6.0", "2.14.0", "2.14.0"),
    "SUB": ("1.6.0", "1.14.0", "2.3.0", "2.4.0", "2.4.0"),
    "SUM": ("1.10.0", "1.15.0"),
    "TANH": ("1.14.0", "1.14.0", "2.3.0"),
    "TRANSPOSE": ("1.6.0", "1.14.0", "1.15.0", "2.3.0", "2.4.0", "2.12.0", "2.14.4"),
}
"""Operator -> release for version 1, 2, ...; None where no release runs that version (BROADCAST_TO began at 2)."""

TFLITE_OPERATOR_RUNTIMES: Mapping[tuple[str, int], str] = {
    (operator, version): release
    for operator, releases in _TFLITE_RELEASES.items()
    for version, release in enumerate(releases, start=1)
    if release is not None
}
"""(operator as in the schema's BuiltinOperator, its version) -> oldest TensorFlow Lite, by TensorFlow's release number.

The operators of separable networks in float32, float16, int8, int16x8 and with int8 weights alone; a pair that is
absent is unknown. Source: google-ai-edge/LiteRT, tflite/converter/tools/versioning/runtime_version.cc at 2fd97f8,
which continues tensorflow/lite/tools/versioning/runtime_version.cc. What sets a version: op_version.cc beside it.
"""

ONNXRUNTIME_OPSETS: Mapping[int, str] = {
    7: "0.1.4",
    8: "0.1.4",
    9: "0.3.0",
    10: "0.4.0",
    11: "1.0.0",
    12: "1.3.0",
    13: "1.6.0",
    14: "1.8.0",
    15: "1.9.0",
    16: "1.11.0",
    17: "1.12.0",
    18: "1.14.0",
    19: "1.15.0",
    20: "1.17.0",
    21: "1.18.0",
    22: "1.21.0",
    23: "1.23.0",
    24: "1.24.1",
    25: "1.24.1",
    26: "1.25.0",
    27: "1.32.0",
    28: "1.32.0",
}
"""Version of the standard operator set (domain ``ai.onnx``) -> first onnxruntime release that officially runs it.

Every release promises opset 7 and newer only. Source: onnxruntime's docs/Versioning.md up to opset 11; from there
on, the releases published on PyPI (1.2.0 to 1.32.0), each asked to load a model of one operator.
"""

ONNXRUNTIME_IR_VERSIONS: Mapping[int, str] = {
    3: "0.1.4",
    4: "0.4.0",
    5: "0.4.0",
    6: "1.0.0",
    7: "1.3.0",
    8: "1.9.0",
    9: "1.15.0",
    10: "1.18.0",
    11: "1.23.0",
    12: "1.24.1",
    13: "1.24.1",
    14: "1.32.0",
}
"""ONNX IR version -> first onnxruntime release that reads it.

Source: onnxruntime's docs/Versioning.md up to IR 6, then loading as for :data:`ONNXRUNTIME_OPSETS`. Which IR version
came with which opset is in onnx/helper.py, VERSION_TABLE.
"""


@dataclass(frozen=True)
class OldestRuntime:
    """The oldest release of one runtime that can load a file, and what in the file asks for it.

    Attributes:
        name: ``tflite`` or ``onnxruntime``.
        version: the release, TensorFlow's own number for ``tflite``; None if anything is unknown.
        limited_by: what needs that very release (``FULLY_CONNECTED v12``, ``opset 22``); empty if version is None.
        unknown: what has no entry in the tables, in the order given.
    """

    name: str
    version: str | None
    limited_by: tuple[str, ...]
    unknown: tuple[str, ...]


def release_key(release: str) -> tuple[int, ...]:
    """Numbers of a release, for comparing releases in their order and not as text.

    Args:
        release: dotted numbers; anything after them (``rc1``, ``.post1``, ``+cpu``) is left out of the comparison.

    Returns:
        The numbers, most significant first.

    Raises:
        InvalidInput: the text does not begin with a number.

    >>> release_key("2.10.0") > release_key("2.9.0")
    True
    """
    numbers = re.match(r"\d+(?:\.\d+)*", release)
    if numbers is None:
        raise InvalidInput(f"not a release number: {release!r}; give dotted numbers such as '2.14.0'")
    return tuple(int(number) for number in numbers.group().split("."))


def oldest_tflite(operators: Iterable[tuple[str, int]]) -> OldestRuntime:
    """Oldest TensorFlow Lite runtime that has every operator of a file in the version the file asks for.

    The answer is as honest as the versions in the file. A writer that leaves a version too low makes a file that
    older runtimes accept and compute wrongly, for instance FULLY_CONNECTED v1 around an int8 kernel per channel.

    Args:
        operators: (name as in the schema's BuiltinOperator, version from 1) of each operator; repeats are allowed.

    Returns:
        The runtime under the name ``tflite``; for no operators the first release there was.

    >>> oldest_tflite([("CONV_2D", 5), ("FULLY_CONNECTED", 12)])
    OldestRuntime(name='tflite', version='2.17.0', limited_by=('FULLY_CONNECTED v12',), unknown=())
    """
    releases = {f"{name} v{version}": TFLITE_OPERATOR_RUNTIMES.get((name, version)) for name, version in operators}
    return _newest_of("tflite", releases, floor=TFLITE_FIRST_RELEASE)


def oldest_onnxruntime(opset: int, ir_version: int) -> OldestRuntime:
    """Oldest onnxruntime that reads a file's IR version and officially runs its standard operator set.

    Operator sets of other domains (``com.microsoft``) are not looked at.

    Args:
        opset: version of the ``ai.onnx`` operator set that the model imports.
        ir_version: the model's ``ir_version``.

    Returns:
        The runtime under the name ``onnxruntime``.

    >>> oldest_onnxruntime(opset=13, ir_version=8)
    OldestRuntime(name='onnxruntime', version='1.9.0', limited_by=('IR version 8',), unknown=())
    """
    releases = {
        f"opset {opset}": ONNXRUNTIME_OPSETS.get(opset),
        f"IR version {ir_version}": ONNXRUNTIME_IR_VERSIONS.get(ir_version),
    }
    return _newest_of("onnxruntime", releases)


def _newest_of(name: str, releases: Mapping[str, str | None], floor: str | None = None) -> OldestRuntime:
    """The newest of the releases that the parts of a file need, each part by its label."""
    unknown = tuple(label for label, release in releases.items() if release is None)
    if unknown:
        return OldestRuntime(name, None, (), unknown)
    version = max((release for release in releases.values() if release), key=release_key, default=floor)
    return OldestRuntime(name, version, tuple(label for label, release in releases.items() if release == version), ())
