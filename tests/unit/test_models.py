"""Architectures: parameter counts, equality with keras.applications, and refusal of what cannot be built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import edge_dwsep
from dwsep_runtime.errors import InvalidInput, UnknownName
from edge_dwsep.cost import count_macs

APPLICATIONS = {"mobilenet_v1": "MobileNet", "mobilenet_v2": "MobileNetV2"}


def peer(name: str, alpha: float, side: int) -> Any:
    import keras

    return getattr(keras.applications, APPLICATIONS[name])(alpha=alpha, input_shape=(side, side, 3), weights=None)


@pytest.mark.parametrize(("name", "params"), [("mobilenet_v1", 4_253_864), ("mobilenet_v2", 3_538_984)])
def test_parameter_count_at_224_with_1000_classes(name: str, params: int) -> None:
    assert edge_dwsep.build(name).count_params() == params


@pytest.mark.parametrize(
    ("name", "alpha", "side", "macs"),
    # MACs in millions as the papers give them (V1: tables 6 and 7; V2: table 4), rounded as they are.
    [("mobilenet_v1", 1.0, 224, 569), ("mobilenet_v1", 0.25, 224, 41), ("mobilenet_v2", 1.0, 224, 300)],
)
def test_macs_are_those_of_the_papers(name: str, alpha: float, side: int, macs: int) -> None:
    counted = count_macs(edge_dwsep.build(name, alpha=alpha, input_shape=(side, side, 3)))
    assert counted / 1e6 == pytest.approx(macs, rel=0.015)


def lively_weights(model: Any, seed: int) -> list[Any]:
    """Weights of both signs that keep activations in ReLU6's range, so that outputs depend on the image."""
    rng = np.random.default_rng(seed)
    weights = []
    for variable in model.weights:
        shape, kind = tuple(variable.shape), variable.path.rsplit("/", 1)[-1]
        if kind == "kernel":
            depthwise = "dw" in variable.path or "depthwise" in variable.path
            fan_in = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            weights.append(rng.standard_normal(shape) * np.sqrt(2 / fan_in))
        elif kind in {"gamma", "moving_variance"}:
            weights.append(1 + 0.1 * rng.random(shape))
        else:
            weights.append(0.1 * rng.standard_normal(shape))
    return weights


@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.parametrize(("alpha", "side"), [(1.0, 224), (0.5, 160), (1.3, 96)])
def test_weights_of_keras_applications_give_the_same_outputs(name: str, alpha: float, side: int) -> None:
    theirs, ours = peer(name, alpha, side), edge_dwsep.build(name, alpha=alpha, input_shape=(side, side, 3))
    theirs.set_weights(lively_weights(theirs, 0))
    ours.set_weights(theirs.get_weights())
    images = np.random.default_rng(1).random((2, side, side, 3), np.float32) * 2 - 1
    expected, received = np.asarray(theirs(images)), np.asarray(ours(images))
    assert np.abs(expected - received).max() < 1e-5
    # The comparison can fail: outputs differ by far more between images, and with the kernels turned around.
    turned = [weight[::-1] if weight.ndim == 4 and weight.shape[0] == 3 else weight for weight in ours.get_weights()]
    ours.set_weights(turned)
    assert np.abs(expected[0] - expected[1]).max() > 1e-4
    assert np.abs(expected - np.asarray(ours(images))).max() > 1e-4


@pytest.mark.parametrize("name", APPLICATIONS)
def test_layers_with_weights_are_named_as_in_keras_applications(name: str) -> None:
    theirs, ours = peer(name, 1.0, 224), edge_dwsep.build(name)
    named = [[layer.name for layer in model.layers if layer.weights] for model in (theirs, ours)]
    assert named[0] == named[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"alpha": 0}, "alpha must be a positive number, received 0"),
        ({"alpha": -1.0}, "alpha must be a positive number"),
        ({"alpha": float("nan")}, "alpha must be a positive number, received nan"),
        ({"alpha": 0.01}, "leaves mobilenet_v1 a layer without channels"),
        ({"input_shape": (31, 64, 3)}, "input 31x64 is too small for the strides"),
        ({"input_shape": (64, 64)}, r"input_shape must be \(height, width, channels\)"),
        ({"input_shape": (64, 64, 0)}, "all positive"),
        ({"classes": 1}, "classes must be at least 2, received 1"),
        ({"dropout": 1.0}, "dropout must be in"),
    ],
)
def test_build_refuses_what_cannot_be_built(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        edge_dwsep.build("mobilenet_v1", **arguments)


def test_unknown_architecture_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mobilenet_v2'"):
        edge_dwsep.build("mobilnet_v2")


def test_smallest_alpha_leaves_every_layer_a_channel() -> None:
    model = edge_dwsep.build("mobilenet_v1", alpha=1 / 32, input_shape=(32, 32, 1), classes=2)
    assert min(weight.shape[-1] for weight in model.weights) >= 1
