"""Every error the runtime raises, and the root of the whole toolchain's tree.

DwsepError                      root: its message is one line fit for a user
├── InvalidInput                what the caller gave cannot be used
│   ├── UnknownName             a name that is not registered
│   ├── InvalidModel            a file that is no model, or not the kind its name says
│   └── NotAClassifier          a model whose outputs are not one vector of classes
├── EngineError                 the engine refused or failed to run the model
│   ├── EngineUnavailable       the engine's package is not installed here
│   └── EngineCrashed           the engine's process ended by a signal
│       ├── OutOfMemory         it needed more memory than its limit
│       └── TimedOut            it took too long and was ended
├── PreprocessingDrift          images are prepared otherwise than when the model was exported
└── ProtocolError               output of a run that is not the protocol
    └── OutputTooLong           more output than a run can have to say
"""

from __future__ import annotations

__all__ = [
    "DwsepError",
    "EngineCrashed",
    "EngineError",
    "EngineUnavailable",
    "InvalidInput",
    "InvalidModel",
    "NotAClassifier",
    "OutOfMemory",
    "OutputTooLong",
    "PreprocessingDrift",
    "ProtocolError",
    "TimedOut",
    "UnknownName",
]

import difflib
from collections.abc import Iterable


class DwsepError(Exception):
    """Root of all errors of the toolchain; ``str(error)`` is one line for the user."""


class InvalidInput(DwsepError):
    """What the caller gave cannot be used; the message says what is accepted."""


class UnknownName(InvalidInput):
    """A name that is not registered; the message suggests the nearest valid one."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        begun = [candidate for candidate in names if name and candidate.startswith(name)]
        near = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")


class InvalidModel(InvalidInput):
    """A model file that is missing, empty, truncated, or not of the format its name says."""


class NotAClassifier(InvalidInput):
    """A model of several outputs, or of one that is no vector of classes: it has no top-1 accuracy."""


class EngineError(DwsepError):
    """The engine refused to load the model or failed to run it."""


class EngineUnavailable(EngineError):
    """The engine's package is not installed in this environment."""


class EngineCrashed(EngineError):
    """The process of a run ended by a signal or without delivering a result."""


class PreprocessingDrift(DwsepError):
    """Images are prepared otherwise than they were when the model was exported."""


class OutOfMemory(EngineCrashed):
    """A run needed more memory than its limit."""


class TimedOut(EngineCrashed):
    """The process of a run took longer than it may and was ended."""


class ProtocolError(DwsepError):
    """Output of a run that is not the protocol and so cannot be taken for a result."""


class OutputTooLong(ProtocolError):
    """A run printed more than it can have to say, and was ended."""
