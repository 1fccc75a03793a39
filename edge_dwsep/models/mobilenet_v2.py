"""MobileNet V2: seventeen inverted-residual blocks (Sandler et al. 2018, arXiv:1801.04381, table 2)."""

from __future__ import annotations

__all__ = ["ARCHITECTURE", "mobilenet_v2"]

from typing import TYPE_CHECKING

from edge_dwsep.models.blocks import conv_batch_norm, inverted_residual, make_divisible
from edge_dwsep.models.registry import Architecture

if TYPE_CHECKING:
    import keras

STAGES = (
    # (expansion, projection filters at alpha 1, blocks, stride of the first block)
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(alpha: float, input_shape: tuple[int, int, int], classes: int, dropout: float) -> keras.Model:
    """Build MobileNet V2 with random weights; see :func:`edge_dwsep.build` for arguments and errors.

    Returns:
        Model from float32 (batch, height, width, channels) to probabilities float32 (batch, classes).
    """
    import keras
    from keras import layers

    inputs = keras.Input(input_shape)
    x = conv_batch_norm(
        inputs,
        make_divisible(32 * alpha),
        3,
        strides=2,
        name="Conv1",
        bn_name="bn_Conv1",
        relu_name="Conv1_relu",
    )
    block_id = 0
    for expansion, filters, repeats, first_strides in STAGES:
        for repeat in range(repeats):
            x = inverted_residual(
                x,
                make_divisible(int(filters * alpha)),
                strides=first_strides if repeat == 0 else 1,
                expansion=expansion,
                block_id=block_id,
            )
            block_id += 1
    # Section 3.4 of the paper: the last convolution is widened by alpha > 1 but never narrowed.
    last_filters = make_divisible(1280 * alpha) if alpha > 1.0 else 1280
    x = conv_batch_norm(x, last_filters, 1, name="Conv_1", bn_name="Conv_1_bn", relu_name="out_relu")
    x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    outputs = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, outputs, name=f"mobilenet_v2_{alpha:g}_{input_shape[0]}")


ARCHITECTURE = Architecture(
    name="mobilenet_v2",
    summary="seventeen inverted-residual blocks",
    paper="arXiv:1801.04381",
    total_stride=32,
    smallest_alpha=0.0,
    builder=mobilenet_v2,
)
