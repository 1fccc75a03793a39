"""MobileNet V1: thirteen depthwise-separable blocks (Howard et al. 2017, arXiv:1704.04861, table 1)."""

from __future__ import annotations

__all__ = ["ARCHITECTURE", "mobilenet_v1"]

from typing import TYPE_CHECKING

from edge_dwsep.models.blocks import conv_batch_norm, depthwise_separable
from edge_dwsep.models.registry import Architecture

if TYPE_CHECKING:
    import keras

BLOCKS = (
    # (pointwise filters at alpha 1, stride)
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def mobilenet_v1(alpha: float, input_shape: tuple[int, int, int], classes: int, dropout: float) -> keras.Model:
    """Build MobileNet V1 with random weights; see :func:`edge_dwsep.build` for arguments and errors.

    Returns:
        Model from float32 (batch, height, width, channels) to probabilities float32 (batch, classes).
    """
    import keras
    from keras import layers

    inputs = keras.Input(input_shape)
    x = conv_batch_norm(inputs, int(32 * alpha), 3, strides=2, name="conv1", bn_name="conv1_bn", relu_name="conv1_relu")
    for block_id, (filters, strides) in enumerate(BLOCKS, start=1):
        x = depthwise_separable(x, int(filters * alpha), strides=strides, block_id=block_id)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="global_average_pooling2d")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((classes,), name="reshape_2")(x)
    outputs = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(inputs, outputs, name=f"mobilenet_v1_{alpha:g}_{input_shape[0]}")


ARCHITECTURE = Architecture(
    name="mobilenet_v1",
    summary="thirteen depthwise-separable blocks",
    paper="arXiv:1704.04861",
    total_stride=32,
    smallest_alpha=1 / 32,
    builder=mobilenet_v1,
)
