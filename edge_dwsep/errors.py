"""Errors of the toolchain's face; the root of the tree is :class:`dwsep_runtime.errors.DwsepError`.

DwsepError
├── InvalidInput
│   └── InvalidData             a data set or sample that cannot be used as asked
└── DataUnavailable             a public data set that is neither installed nor reachable
"""

from __future__ import annotations

__all__ = ["DataUnavailable", "InvalidData"]

from dwsep_runtime.errors import DwsepError, InvalidInput


class InvalidData(InvalidInput):
    """A data set whose arrays, shapes or labels cannot be used as asked."""


class DataUnavailable(DwsepError):
    """A public data set that is neither installed on this machine nor reachable."""
