"""Errors of export; the root of the tree is :class:`dwsep_runtime.errors.DwsepError`.

DwsepError
├── InvalidInput
│   ├── InvalidRecipe           a recipe that no format can carry, or that lacks what it needs
│   ├── StaleArtifact           a model file and its manifest do not belong together
│   └── UnsupportedModel        a Keras model that cannot be loaded or exported
├── ConversionError             a converter failed
├── BrokenPromise               an artifact is not what its scheme promises
└── OutputNotWritable           the folder for results cannot be written
"""

from __future__ import annotations

__all__ = [
    "BrokenPromise",
    "ConversionError",
    "InvalidRecipe",
    "OutputNotWritable",
    "StaleArtifact",
    "UnsupportedModel",
]

from dwsep_runtime.errors import DwsepError, InvalidInput


class InvalidRecipe(InvalidInput):
    """A recipe that no format can carry, or that lacks what it needs (calibration images, for one)."""


class UnsupportedModel(InvalidInput):
    """A Keras model that cannot be loaded or is of a kind that cannot be exported."""


class ConversionError(DwsepError):
    """A converter or quantizer failed on a model that looked fit."""


class BrokenPromise(DwsepError):
    """An artifact whose tensors or outputs are not what its scheme promises."""


class OutputNotWritable(DwsepError):
    """The folder for results cannot be created or written."""


class StaleArtifact(InvalidInput):
    """A model file whose content is not the one its manifest was written for."""
