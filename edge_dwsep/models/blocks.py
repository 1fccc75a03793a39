"""The two blocks that the MobileNet family is built from, as Keras functional layers.

Layer names follow keras.applications, so that weights published for its models load into ours by position
or by name. A stride of 2 uses ``padding="same"`` where keras.applications adds a ZeroPadding2D layer: for the
3x3 kernels here both place the same zeros wherever the input side is even, and the exported graph needs no PAD.
"""

from __future__ import annotations

__all__ = ["BATCH_NORM_MOMENTUM", "conv_batch_norm", "depthwise_separable", "inverted_residual", "make_divisible"]

from typing import Any

BATCH_NORM_MOMENTUM = 0.9
"""Share of the old moving average kept at each step; 0.99 lags too far behind in trainings of a few epochs."""

BATCH_NORM_EPSILON = 1e-3


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round a channel count to a multiple of ``divisor``, never below it and never down by more than 10 %.

    Source: Sandler et al., "MobileNetV2" (2018), reference implementation of the width multiplier.

    >>> make_divisible(24 * 0.35)
    8
    >>> make_divisible(32 * 1.4)
    48
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def conv_batch_norm(
    x: Any, filters: int, kernel_size: int, *, strides: int = 1, name: str, bn_name: str, relu_name: str | None
) -> Any:
    """Convolution without bias, batch normalization and (unless ``relu_name`` is None) ReLU6.

    Args:
        x: symbolic float tensor (batch, height, width, channels).
        filters: output channels.
        kernel_size: side of the square kernel.
        strides: 1 or 2 in both directions.
        name: name of the convolution layer.
        bn_name: name of the batch normalization layer.
        relu_name: name of the ReLU6 layer; None for a linear output.

    Returns:
        Symbolic float tensor (batch, ceil(height / strides), ceil(width / strides), filters).
    """
    from keras import layers

    x = layers.Conv2D(filters, kernel_size, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _batch_norm_relu6(x, bn_name, relu_name)


def depthwise_separable(x: Any, filters: int, *, strides: int, block_id: int) -> Any:
    """MobileNet V1's block: depthwise 3x3, batch norm, ReLU6, pointwise 1x1, batch norm, ReLU6.

    Source: Howard et al., "MobileNets" (2017), figure 3 (right).

    Args:
        x: symbolic float tensor (batch, height, width, channels).
        filters: output channels of the pointwise convolution, the width multiplier already applied.
        strides: 1 or 2, of the depthwise convolution.
        block_id: number used in layer names, from 1.

    Returns:
        Symbolic float tensor (batch, ceil(height / strides), ceil(width / strides), filters).
    """
    depthwise = f"conv_dw_{block_id}"
    x = _depthwise(x, strides, name=depthwise, bn_name=f"{depthwise}_bn", relu_name=f"{depthwise}_relu")
    pointwise = f"conv_pw_{block_id}"
    return conv_batch_norm(x, filters, 1, name=pointwise, bn_name=f"{pointwise}_bn", relu_name=f"{pointwise}_relu")


def inverted_residual(x: Any, filters: int, *, strides: int, expansion: int, block_id: int) -> Any:
    """MobileNet V2's block: pointwise expansion, depthwise 3x3, linear projection, and a sum where shapes allow.

    Source: Sandler et al., "MobileNetV2" (2018), figure 4(d) and table 1.

    Args:
        x: symbolic float tensor (batch, height, width, channels).
        filters: channels of the projection, the width multiplier already applied.
        strides: 1 or 2, of the depthwise convolution.
        expansion: factor of the expansion; block 0 has none whatever is given.
        block_id: number used in layer names, from 0.

    Returns:
        Symbolic float tensor (batch, ceil(height / strides), ceil(width / strides), filters).
    """
    inputs = x
    prefix = f"block_{block_id}_" if block_id else "expanded_conv_"
    if block_id:
        x = conv_batch_norm(
            x,
            expansion * inputs.shape[-1],
            1,
            name=f"{prefix}expand",
            bn_name=f"{prefix}expand_BN",
            relu_name=f"{prefix}expand_relu",
        )
    depthwise = f"{prefix}depthwise"
    x = _depthwise(x, strides, name=depthwise, bn_name=f"{depthwise}_BN", relu_name=f"{depthwise}_relu")
    x = conv_batch_norm(x, filters, 1, name=f"{prefix}project", bn_name=f"{prefix}project_BN", relu_name=None)
    if strides == 1 and inputs.shape[-1] == filters:
        from keras import layers

        return layers.Add(name=f"{prefix}add")([inputs, x])
    return x


def _depthwise(x: Any, strides: int, *, name: str, bn_name: str, relu_name: str) -> Any:
    from keras import layers

    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _batch_norm_relu6(x, bn_name, relu_name)


def _batch_norm_relu6(x: Any, bn_name: str, relu_name: str | None) -> Any:
    from keras import layers

    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, name=bn_name)(x)
    return x if relu_name is None else layers.ReLU(6.0, name=relu_name)(x)
