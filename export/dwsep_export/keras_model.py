"""Load a .keras file, and tell early whether a Keras model can be exported."""

from __future__ import annotations

__all__ = ["keras_input_shape", "load_keras_model", "require_exportable", "require_keras_file"]

import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from dwsep_export.errors import UnsupportedModel
from dwsep_export.quiet import load_tensorflow
from dwsep_runtime.errors import InvalidModel

if TYPE_CHECKING:
    import keras


def load_keras_model(path: Path) -> keras.Model:
    """Load a model saved by ``model.save("NAME.keras")``; nothing in the file is executed (Keras's safe mode).

    Args:
        path: a .keras file.

    Raises:
        InvalidModel: missing, empty, truncated, or not a .keras file.
        UnsupportedModel: it holds a custom layer, a lambda, or is not of one image input and one output.
    """
    require_keras_file(path)
    load_tensorflow()
    import keras

    try:
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # keras raises TypeError, ValueError, KeyError and more for what it cannot rebuild
        raise UnsupportedModel(_why_not_loaded(path, error)) from error
    require_exportable(model)
    return model


def require_keras_file(path: Path) -> None:
    """Make sure, without Keras, that a file is a whole .keras file.

    Raises:
        InvalidModel: missing, empty, truncated, or not a .keras file.
    """
    if not path.exists():
        raise InvalidModel(f"model file {path} does not exist")
    if path.suffix != ".keras" or path.is_dir():
        raise InvalidModel(f"{path} is not a .keras file; save the model with model.save('NAME.keras')")
    if not path.stat().st_size:
        raise InvalidModel(f"model file {path} is empty; save the model again")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InvalidModel(f"{path} is truncated or not a .keras file: {error}; save the model again") from error
    if damaged or not {"config.json", "metadata.json", "model.weights.h5"} <= names:
        raise InvalidModel(f"{path} is damaged or not a .keras file: {damaged or 'parts of it are missing'}")


def keras_input_shape(path: Path) -> tuple[int, int, int] | None:
    """(height, width, channels) of a .keras file as it tells them itself; None where it does not.

    Raises:
        InvalidModel: as :func:`require_keras_file`.
    """
    require_keras_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))["config"]
        first = next(layer for layer in config["layers"] if layer["class_name"] == "InputLayer")
        _, height, width, channels = first["config"]["batch_shape"]
        return int(height), int(width), int(channels)
    except (ValueError, KeyError, TypeError, StopIteration):
        return None


def require_exportable(model: keras.Model) -> None:
    """Check that a model maps one image to one vector.

    Raises:
        UnsupportedModel: several inputs or outputs, or an input that is not (batch, height, width, channels).
    """
    if not model.built or len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs or ())} inputs and {len(model.outputs or ())} outputs"
        raise UnsupportedModel(f"model {model.name!r} has {counts}; export takes models of one input and one output")
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or None in shape[1:]:
        raise UnsupportedModel(
            f"model {model.name!r} takes input {shape}; "
            "export takes (batch, height, width, channels), all but batch fixed"
        )
    output = tuple(model.outputs[0].shape)
    if len(output) != 2 or output[1] is None:
        raise UnsupportedModel(f"model {model.name!r} gives output {output}; export takes (batch, outputs)")


def _why_not_loaded(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    custom = re.search(r"[Cc]ould not (?:locate|deserialize) (?:class|function) '?\"?([\w.>]+)", text)
    if custom:
        return (
            f"{path} uses the custom layer or function {custom.group(1)!r}, which this tool cannot rebuild; "
            "register it with keras.saving.register_keras_serializable and call dwsep_export.export_model from Python"
        )
    if "lambda" in text.lower():
        return f"{path} holds a Lambda layer, whose code is not executed; replace it by layers of Keras"
    return f"{path} cannot be loaded by Keras: {text[:300]}"
