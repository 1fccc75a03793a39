"""Networks that the benchmarks measure, exported once into a folder of the cache and read from there afterwards."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edge-dwsep" / "benchmark-networks"

SIZES = {"0.1 ms": (0.25, 64), "1 ms": (0.5, 128), "10 ms": (1.0, 192)}
"""Alpha and resolution of the MobileNet V1 that takes about so long on one core of a desktop."""

BLOCKS, OUTER = 2, 256
NARROW, WIDE = 256, 272
"""Channels between the pointwise convolutions of the stack, and of its counterpart that takes about 5 % longer."""


def networks(size: str) -> dict[str, Path]:
    """The .tflite and the .onnx file, float32, of a size, by format."""
    alpha, resolution = SIZES[size]
    stem = f"mobilenet_v1_{alpha:g}_{resolution}"
    files = {form: FOLDER / f"{stem}-float32.{form}" for form in ("tflite", "onnx")}
    if not all(file.exists() for file in files.values()):
        import edge_dwsep

        _export(edge_dwsep.build("mobilenet_v1", alpha=alpha, input_shape=(resolution, resolution, 3)), stem)
    return files


def stack(channels: int) -> Path:
    """A .tflite of separable convolutions at 14x14, ``channels`` wide between pointwise ones to and from 256."""
    file = FOLDER / f"stack_{channels}-float32.tflite"
    if not file.exists():
        import keras
        from keras import layers

        keras.utils.set_random_seed(0)
        x = inputs = keras.Input((14, 14, OUTER))
        for _ in range(BLOCKS):
            for filters in (channels, OUTER):
                x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
                x = layers.Conv2D(filters, 1, activation="relu6")(x)
        x = layers.GlobalAveragePooling2D()(x)
        _export(keras.Model(inputs, x, name=f"stack_{channels}"), f"stack_{channels}")
    return file


def _export(model: object, stem: str) -> None:
    from dwsep_export.onnx_float import export_to_onnx
    from dwsep_export.quiet import quiet
    from dwsep_export.tflite_float import lower_to_tflite

    FOLDER.mkdir(parents=True, exist_ok=True)
    with quiet():
        contents = {"tflite": lower_to_tflite(model), "onnx": export_to_onnx(model).SerializeToString()}
    for form, content in contents.items():
        part = FOLDER / f"{stem}.part"
        part.write_bytes(content)
        part.replace(FOLDER / f"{stem}-float32.{form}")
