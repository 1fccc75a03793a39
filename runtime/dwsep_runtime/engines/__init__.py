"""The engines by name, and :func:`load_engine`, the one door to all of them."""

from __future__ import annotations

__all__ = ["ENGINES", "Engine", "EngineKind", "Tensor", "engines_for", "load_engine"]

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwsep_runtime.engines.protocol import Engine, Tensor
from dwsep_runtime.errors import DwsepError, EngineError, EngineUnavailable, InvalidInput, UnknownName
from dwsep_runtime.model_file import model_format


@dataclass(frozen=True)
class EngineKind:
    """Where an engine's code is, which format it runs, and the package it needs."""

    module: str
    format: str
    package: str


ENGINES: dict[str, EngineKind] = {
    "tflite": EngineKind("dwsep_runtime.engines.tflite", "tflite", "ai-edge-litert"),
    "litert": EngineKind("dwsep_runtime.engines.litert", "tflite", "ai-edge-litert"),
    "onnxruntime": EngineKind("dwsep_runtime.engines.onnxruntime", "onnx", "onnxruntime"),
}
"""One line here and one file add an engine."""


def engines_for(model: Path) -> list[str]:
    """Names of the engines that run a model file, by the format of its content.

    Raises:
        InvalidModel: the file is no model.
    """
    found = model_format(model)
    return [name for name, kind in ENGINES.items() if kind.format == found]


def load_engine(name: str, model: Path, threads: int, title: str) -> tuple[Engine, str]:
    """Load a model into an engine.

    Args:
        name: name in ``ENGINES``.
        model: the model file.
        threads: threads the engine may use.
        title: what messages call the model.

    Returns:
        The engine with the model loaded and allocated, and the version of the engine's package.

    Raises:
        UnknownName: no engine has that name.
        InvalidModel: the file is no whole model.
        InvalidInput: the engine runs another format.
        EngineUnavailable: the engine's package is not installed.
        EngineError: the engine refuses the model.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES)
    kind = ENGINES[name]
    found = model_format(model)
    if found != kind.format:
        usable = ", ".join(engines_for(model))
        raise InvalidInput(f"engine {name} runs .{kind.format} files, received {title}; engines for it: {usable}")
    module: Any = importlib.import_module(kind.module)
    try:
        version: str = module.version()
    except ImportError as error:
        raise EngineUnavailable(f"engine {name} needs {kind.package}, which is not installed: {error}") from error
    try:
        engine: Engine = module.load(str(model), threads)
    except DwsepError:
        raise
    except Exception as error:  # engines raise their own types, or bare ValueError and RuntimeError
        raise EngineError(f"engine {name} {version} refused {title}: {_one_line(error)}") from error
    return engine, version


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
