"""What each scheme promises of a graph, and the check that an artifact keeps it."""

from __future__ import annotations

__all__ = ["require_promises"]

from dwsep_export.errors import BrokenPromise
from dwsep_export.recipe import Format, Recipe, Scheme
from dwsep_export.tflite_graph import GraphFacts, Kernel
from dwsep_export.tflite_weights import HYBRID_VERSIONS, MIN_ELEMENTS

CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "Conv", "DepthwiseConv"})

STATIC_DTYPES = {Format.TFLITE: "int8", Format.ONNX: "uint8"}
"""Dtype of weights and activations of w8a8; why ONNX's is unsigned stands in :mod:`dwsep_export.onnx_static`."""


def require_promises(recipe: Recipe, facts: GraphFacts) -> None:
    """Check dtypes of kernels, activations, inputs and outputs against a recipe.

    Args:
        recipe: what the artifact was made by.
        facts: what its graph holds.

    Raises:
        BrokenPromise: naming the first tensor that is not as promised.
    """
    if not facts.kernels:
        raise BrokenPromise(f"{recipe.name}: the graph has no convolution or dense layer")
    for kernel in facts.kernels:
        expected = _kernel_dtype(recipe, kernel)
        if kernel.dtype != expected:
            raise BrokenPromise(
                f"{recipe.name}: a {kernel.operator} kernel of {kernel.elements} elements is {kernel.dtype}, "
                f"{expected} is promised"
            )
        if recipe.scheme is Scheme.W8A8 and kernel.operator in CONVOLUTIONS and not kernel.per_channel:
            raise BrokenPromise(f"{recipe.name}: a {kernel.operator} kernel has one scale, one a channel is promised")
    activations = STATIC_DTYPES[recipe.format] if recipe.scheme is Scheme.W8A8 else "float32"
    wrong = sorted(facts.activation_dtypes - {activations})
    if wrong:
        raise BrokenPromise(f"{recipe.name}: activations are {', '.join(wrong)}, {activations} is promised")
    for tensor in (*facts.inputs, *facts.outputs):
        if tensor.dtype != recipe.io.value:
            raise BrokenPromise(f"{recipe.name}: {tensor.name!r} is {tensor.dtype}, {recipe.io.value} is promised")


def _kernel_dtype(recipe: Recipe, kernel: Kernel) -> str:
    if recipe.scheme is Scheme.W8A8:
        return STATIC_DTYPES[recipe.format]
    if recipe.scheme is Scheme.FLOAT16:
        return "float16"
    if recipe.scheme is Scheme.W8_DYNAMIC and recipe.format is Format.TFLITE:
        quantized = kernel.operator in HYBRID_VERSIONS and kernel.elements >= MIN_ELEMENTS
        return "int8" if quantized else "float32"
    return "float32"
