"""TFLite w8a8: calibrate the lowered float graph on images, then quantize weights and activations to int8.

Both steps are the second half of TensorFlow's converter, run on the graph that was lowered once.
"""

from __future__ import annotations

__all__ = ["calibrate", "to_w8a8"]

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dwsep_export.errors import ConversionError
from dwsep_export.quiet import load_tensorflow, quiet
from dwsep_export.recipe import Io

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def calibrate(lowered: bytes, inputs: NDArray[np.float32]) -> bytes:
    """Record the range of every activation over calibration images.

    Args:
        lowered: a float32 .tflite.
        inputs: float32 (count, height, width, channels), preprocessed.

    Returns:
        The .tflite with the ranges in it.

    Raises:
        ConversionError: the graph cannot be run.
    """
    load_tensorflow()
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    def dataset() -> Iterator[list[NDArray[np.float32]]]:
        for row in range(len(inputs)):
            yield [inputs[row : row + 1]]

    try:
        with quiet():
            calibrated: bytes = Calibrator(lowered).calibrate(dataset)
    except (RuntimeError, ValueError) as error:
        raise ConversionError(f"calibration failed: {' '.join(str(error).split())[:300]}") from error
    return calibrated


def to_w8a8(calibrated: bytes, io: Io) -> bytes:
    """Quantize a calibrated graph: int8 weights per output channel, int8 activations, int32 biases.

    Args:
        calibrated: what :func:`calibrate` gave.
        io: dtype of inputs and outputs.

    Raises:
        ConversionError: the quantizer refuses the graph.
    """
    load_tensorflow()
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    dtype = tf.dtypes.as_dtype(io.value)
    try:
        with quiet():
            quantized: bytes = mlir_quantize(calibrated, input_data_type=dtype, output_data_type=dtype)
    except Exception as error:  # the converter raises ConverterError and RuntimeError
        raise ConversionError(f"int8 quantization failed: {' '.join(str(error).split())[:300]}") from error
    return quantized
