"""What a network costs before anything is measured: weights and multiply-accumulates."""

from __future__ import annotations

__all__ = ["count_macs", "model_facts", "weights_sha256"]

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dwsep_export import ModelFacts

if TYPE_CHECKING:
    import keras


def count_macs(model: keras.Model) -> int:
    """Multiply-accumulates of convolutions and dense layers in one inference at batch 1.

    A layer's MACs are its kernel's elements times the positions that the kernel is applied at. Additions, pooling,
    normalization and activations are not counted, as is the custom of the MobileNet papers.
    """
    return sum(_layer_macs(layer) for layer in _layers(model))


def weights_sha256(model: keras.Model) -> str:
    """Hash of all weights in order, whatever file they came from."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def model_facts(model: keras.Model, name: str, architecture: str = "", alpha: float | None = None) -> ModelFacts:
    """What the manifest says of a model.

    Args:
        model: one image input, one vector output.
        name: what it is called in results and file names.
        architecture: name in the registry; empty for a model of the user's own.
        alpha: width multiplier; None where unknown.
    """
    return ModelFacts(
        name=name,
        architecture=architecture,
        alpha=alpha,
        input_shape=tuple(int(size) for size in model.inputs[0].shape[1:]),
        outputs=int(model.outputs[0].shape[-1]),
        params=int(model.count_params()),
        macs=count_macs(model),
        weights_sha256=weights_sha256(model),
    )


def _layers(model: Any) -> list[Any]:
    """Layers that compute, those inside nested models included."""
    found = []
    for layer in model.layers:
        found.extend(_layers(layer) if hasattr(layer, "layers") else [layer])
    return found


def _layer_macs(layer: Any) -> int:
    kind = type(layer).__name__
    if kind in {"Conv2D", "DepthwiseConv2D", "Conv1D", "DepthwiseConv1D", "Dense"}:
        return _elements(layer.kernel) * _positions(layer.output)
    if kind == "SeparableConv2D":
        return (_elements(layer.depthwise_kernel) + _elements(layer.pointwise_kernel)) * _positions(layer.output)
    if kind in {"Conv2DTranspose", "Conv1DTranspose"}:
        return _elements(layer.kernel) * _positions(layer.input)
    return 0


def _elements(kernel: Any) -> int:
    return math.prod(int(size) for size in kernel.shape)


def _positions(tensor: Any) -> int:
    """Places that a kernel is applied at: the product of all dimensions but batch and channels."""
    return math.prod(int(size) for size in tensor.shape[1:-1])
