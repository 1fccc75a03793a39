"""Lower a Keras model to a float32 TFLite graph, once for all TFLite variants.

The weights are frozen into the traced function before conversion. Conversion straight from the Keras model goes by
way of a SavedModel instead and takes several times as long for the same operators.
"""

from __future__ import annotations

__all__ = ["lower_to_tflite"]

from typing import TYPE_CHECKING

from dwsep_export.errors import ConversionError
from dwsep_export.quiet import quiet
from dwsep_export.tflite_batch import open_batch

if TYPE_CHECKING:
    import keras

INPUT_NAME = "input"


def lower_to_tflite(model: keras.Model) -> bytes:
    """Convert a Keras model to a float32 .tflite with batch 1, which engines can resize.

    Args:
        model: float32 (batch, height, width, channels) to float32 (batch, outputs).

    Returns:
        Content of a .tflite file: float32 (1, height, width, channels) to float32 (1, outputs).

    Raises:
        ConversionError: TensorFlow's converter cannot lower the model.
    """
    import tensorflow as tf

    shape = (1, *model.inputs[0].shape[1:])

    def inference(images: object) -> object:
        return model(images, training=False)

    try:
        with quiet():
            signature = [tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)]
            traced = tf.function(inference, input_signature=signature, autograph=False)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
            lowered: bytes = converter.convert()
    except Exception as error:  # the converter raises ConverterError, ValueError, RuntimeError and more
        raise ConversionError(f"TensorFlow's converter cannot lower {model.name!r}: {_first_line(error)}") from error
    return open_batch(lowered)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
