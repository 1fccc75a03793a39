"""ONNX w8a8: quantize and dequantize nodes (QDQ) around every operator, 8-bit weights per output channel."""

from __future__ import annotations

__all__ = ["quantize_onnx"]

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

# onnxruntime 1.29 and later starts a telemetry uploader when imported, unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from dwsep_export.errors import ConversionError
from dwsep_export.quiet import quiet

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


def quantize_onnx(model: onnx.ModelProto, inputs: NDArray[np.float32]) -> onnx.ModelProto:
    """Quantize with onnxruntime: ranges by minimum and maximum, uint8 activations and weights.

    Signed weights would be the faster pair, but ONNX Runtime sums their products in 16 bits on x86 processors without
    VNNI and overflows there, which costs points of accuracy on one machine and none on the next. Unsigned weights are
    summed in 32 bits everywhere, and a zero point a channel fits the lopsided kernels of depthwise layers more closely.

    Args:
        model: float32, what :func:`dwsep_export.onnx_float.export_to_onnx` gave.
        inputs: float32 (count, height, width, channels), preprocessed calibration images.

    Returns:
        The quantized model; inputs and outputs stay float32.

    Raises:
        ConversionError: the quantizer refuses the graph.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            source, prepared, target = (Path(folder) / name for name in ("float.onnx", "prepared.onnx", "int8.onnx"))
            onnx.save(model, source)
            quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                target,
                _reader(model.graph.input[0].name, inputs),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QUInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
            quantized = onnx.load(target)
    except Exception as error:  # the quantizer raises what it pleases
        raise ConversionError(f"int8 quantization of ONNX failed: {' '.join(str(error).split())[:300]}") from error
    return quantized


def _reader(name: str, inputs: NDArray[np.float32]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        """Hands out one image after another."""

        def __init__(self) -> None:
            self._rows = iter(range(len(inputs)))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            """The next image as a feed, or None after the last."""
            row = next(self._rows, None)
            return None if row is None else {name: inputs[row : row + 1]}

    return Images()
