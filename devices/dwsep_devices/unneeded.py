"""Files of the engines' packages that no run needs, so that a device need not hold them."""

from __future__ import annotations

__all__ = ["UNNEEDED", "is_needed"]

from fnmatch import fnmatchcase

UNNEEDED = (
    "*.pyi",
    "*/tests/*",
    "*/_tests/*",
    "*.dist-info/licenses/*",
    "ai_edge_litert/aot/*",  # compilers for accelerators of phones
    "ai_edge_litert/descriptor_pb2.py",
    "ai_edge_litert/libLiteRtWebGpuAccelerator*",
    "ai_edge_litert/schema_py_generated.py",
    "ai_edge_litert/tflite/*",
    "ai_edge_litert/tools/*",
    "ai_edge_litert/vendors/*",
    "numpy/_core/include/*",
    "numpy/_core/lib/*.a",
    "numpy/_core/_simd.*",
    "numpy/core/include/*",
    "numpy/core/lib/*.a",
    "numpy/core/_simd.*",
    "numpy/distutils/*",
    "numpy/f2py/*",
    "numpy/random/lib/*",
    "onnxruntime/capi/libonnxruntime.so*",  # for programs in C; Python's module holds it all itself
    "onnxruntime/quantization/*",
    "onnxruntime/tools/*",
    "onnxruntime/transformers/*",
)
"""Patterns of paths below site-packages."""


def is_needed(name: str) -> bool:
    """Whether a file of a wheel is kept.

    >>> is_needed("numpy/_core/multiarray.py"), is_needed("numpy/_core/tests/test_multiarray.py")
    (True, False)
    """
    return not any(fnmatchcase(name, pattern) for pattern in UNNEEDED)
