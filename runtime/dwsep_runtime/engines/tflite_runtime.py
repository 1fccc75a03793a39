"""Engine ``tflite-runtime``: the Interpreter of tflite-runtime, whose last release is 2.14 of October 2023."""

from __future__ import annotations

__all__ = ["OPTIONS", "load", "version"]

import sys

from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.engines.tflite import OPTIONS, InterpreterEngine
from dwsep_runtime.errors import EngineUnavailable


def version() -> str:
    """Import all that a run needs of the package; its version. Raises ImportError where it is not installed.

    Raises:
        EngineUnavailable: this process holds what the package cannot live with.
    """
    import numpy as np
    import tflite_runtime

    if int(np.__version__.split(".", maxsplit=1)[0]) > 1:
        raise EngineUnavailable(
            f"engine tflite-runtime was compiled against NumPy 1 and crashes with NumPy {np.__version__}; "
            "run it in an environment of its own"
        )
    if "tensorflow" in sys.modules:
        raise EngineUnavailable("engine tflite-runtime cannot load a model in a process that has imported TensorFlow")
    import tflite_runtime.interpreter

    return str(tflite_runtime.__version__)


def load(model: str, settings: EngineSettings) -> InterpreterEngine:
    """Read a .tflite file."""
    from tflite_runtime import interpreter

    return InterpreterEngine(interpreter, model, settings)
