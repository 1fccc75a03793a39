"""From a Keras model and recipes to verified .tflite and .onnx artifacts with manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwsep_export.artifact import Artifact, open_artifact
from dwsep_export.errors import (
    BrokenPromise,
    ConversionError,
    InvalidRecipe,
    OutputNotWritable,
    StaleArtifact,
    UnsupportedModel,
)
from dwsep_export.manifest import Calibration, Manifest, ModelFacts, Parity, load_manifest
from dwsep_export.recipe import RECIPES, Format, Io, Recipe, Scheme

if TYPE_CHECKING:
    from dwsep_export.exporter import CalibrationImages, ExportRequest, export_model
    from dwsep_export.keras_model import load_keras_model
    from dwsep_export.verify import Reference

__all__ = [
    "RECIPES",
    "Artifact",
    "BrokenPromise",
    "Calibration",
    "CalibrationImages",
    "ConversionError",
    "ExportRequest",
    "Format",
    "InvalidRecipe",
    "Io",
    "Manifest",
    "ModelFacts",
    "OutputNotWritable",
    "Parity",
    "Recipe",
    "Reference",
    "Scheme",
    "StaleArtifact",
    "UnsupportedModel",
    "export_model",
    "load_keras_model",
    "load_manifest",
    "open_artifact",
]

HEAVY = {
    "CalibrationImages": "exporter",
    "ExportRequest": "exporter",
    "export_model": "exporter",
    "load_keras_model": "keras_model",
    "Reference": "verify",
}
"""Names whose modules bring NumPy and onnxruntime; imported when first asked for."""


def __getattr__(name: str) -> Any:
    if name not in HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{HEAVY[name]}"), name)
