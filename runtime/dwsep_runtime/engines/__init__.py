"""The engines by name; :func:`load_engine` and :func:`allocate_engine` are the one door to all of them."""

from __future__ import annotations

__all__ = [
    "ENGINES",
    "Engine",
    "EngineKind",
    "EngineOption",
    "EngineSettings",
    "Tensor",
    "allocate_engine",
    "engine_kind",
    "engine_options",
    "engines_for",
    "import_engine",
    "load_engine",
    "require_options",
]

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwsep_runtime.engines.protocol import Engine, EngineOption, EngineSettings, Tensor
from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import DwsepError, EngineError, EngineUnavailable, InvalidInput, UnknownName
from dwsep_runtime.model_file import model_format


@dataclass(frozen=True)
class EngineKind:
    """Where an engine's code is, and what it runs.

    Attributes:
        module: has ``OPTIONS``, ``version()`` and ``load(model, settings)``.
        format: of the model files that it runs.
        package: that it needs.
        environment: name of the environment of packages that it needs on a device.
        default: whether it is run without being asked for.
    """

    module: str
    format: str
    package: str
    environment: str
    default: bool = True


ENGINES: dict[str, EngineKind] = {
    "tflite": EngineKind("dwsep_runtime.engines.tflite", "tflite", "ai-edge-litert", "litert"),
    "litert": EngineKind("dwsep_runtime.engines.litert", "tflite", "ai-edge-litert", "litert"),
    "onnxruntime": EngineKind("dwsep_runtime.engines.onnxruntime", "onnx", "onnxruntime", "onnxruntime"),
    "tflite-runtime": EngineKind(
        "dwsep_runtime.engines.tflite_runtime", "tflite", "tflite-runtime", "tflite-runtime", default=False
    ),
}
"""One line here and one file add an engine."""


def engine_kind(name: str) -> EngineKind:
    """The entry of an engine in ``ENGINES``.

    Raises:
        UnknownName: no engine has that name.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES)
    return ENGINES[name]


def engines_for(model: Path) -> list[str]:
    """Names of the engines that run a model file, by the format of its content, without being asked for.

    Raises:
        InvalidModel: the file is no model.
    """
    found = model_format(model)
    return [name for name, kind in ENGINES.items() if kind.format == found and kind.default]


def engine_options(name: str) -> tuple[EngineOption, ...]:
    """The options of an engine, told without importing its package.

    Raises:
        UnknownName: no engine has that name.
    """
    module: Any = importlib.import_module(engine_kind(name).module)
    options: tuple[EngineOption, ...] = module.OPTIONS
    return options


def require_options(name: str, options: Mapping[str, str]) -> None:
    """Make sure that an engine has these options and accepts their values.

    Args:
        name: of the engine.
        options: value by name.

    Raises:
        UnknownName: no engine has that name, or it has no option of one.
        InvalidInput: an option does not accept its value.
    """
    known = {option.name: option for option in engine_options(name)}
    for key, value in options.items():
        if key not in known:
            raise UnknownName(f"option of engine {name}", key, known)
        accepted = known[key].values
        if accepted and value not in accepted:
            raise InvalidInput(
                f"option {key} of engine {name} must be one of {', '.join(accepted)}; received {value!r}"
            )


def import_engine(name: str) -> str:
    """Import an engine's package, which takes a good part of a start; returns its version.

    Raises:
        UnknownName: no engine has that name.
        EngineUnavailable: the package is not installed.
    """
    kind = engine_kind(name)
    module: Any = importlib.import_module(kind.module)
    try:
        version: str = module.version()
    except ImportError as error:
        raise EngineUnavailable(f"engine {name} needs {kind.package}, which is not installed: {error}") from error
    return version


def load_engine(name: str, model: Path, settings: EngineSettings, title: str) -> tuple[Engine, str]:
    """Load a model into an engine; :func:`allocate_engine` is the next step.

    Args:
        name: name in ``ENGINES``.
        model: the model file.
        settings: threads, batch and the engine's options.
        title: what messages call the model.

    Returns:
        The engine with the model loaded, not allocated, and the version of the engine's package.

    Raises:
        UnknownName: no engine has that name, or the engine has no option of a name.
        InvalidModel: the file is no whole model.
        InvalidInput: the engine runs another format, or an option does not accept its value.
        EngineUnavailable: the engine's package is not installed.
        EngineError: the engine refuses the model.
    """
    kind = engine_kind(name)
    found = model_format(model)
    if found != kind.format:
        usable = ", ".join(engines_for(model))
        raise InvalidInput(f"engine {name} runs .{kind.format} files, received {title}; engines for it: {usable}")
    require_options(name, settings.options)
    version = import_engine(name)
    module: Any = importlib.import_module(kind.module)
    try:
        engine: Engine = module.load(str(model), settings)
    except (DwsepError, MemoryError):
        raise
    except Exception as error:  # engines raise their own types, or bare ValueError and RuntimeError
        raise _refusal(name, version, title, error) from error
    return engine, version


def allocate_engine(engine: Engine, name: str, version: str, title: str) -> None:
    """Get a loaded engine ready to run.

    Args:
        engine: as :func:`load_engine` returned it.
        name: of the engine.
        version: of its package.
        title: what messages call the model.

    Raises:
        EngineError: the engine refuses the model, or its batch.
    """
    try:
        engine.allocate()
    except (DwsepError, MemoryError):
        raise
    except Exception as error:
        raise _refusal(name, version, title, error) from error


def _refusal(name: str, version: str, title: str, error: Exception) -> EngineError:
    return EngineError(f"engine {name} {version} refused {title}: {plain_reason(error)}")
