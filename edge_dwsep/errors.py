"""Errors of the toolchain's face; the root of the tree is :class:`dwsep_runtime.errors.DwsepError`.

DwsepError
├── InvalidInput
│   ├── InvalidData             a data set or sample that cannot be used as asked
│   └── InvalidStore            what was given is no store, or there is none
├── StoreError                  a store of results that does not do its work
│   ├── StoreUnreachable        it cannot be opened: no server, no right, a wrong password
│   ├── StoreBusy               it was locked by another program for too long
│   ├── StoreReadOnly           it can be read and not written
│   ├── StoreFull               there is no room left where it lies
│   ├── StoreDamaged            its file is no database, or a broken one
│   └── StoreTooNew             it was made by a later version of this program
└── DataUnavailable             a public data set that is neither installed nor reachable
"""

from __future__ import annotations

__all__ = [
    "DataUnavailable",
    "InvalidData",
    "InvalidStore",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreTooNew",
    "StoreUnreachable",
]

from dwsep_runtime.errors import DwsepError, InvalidInput


class InvalidData(InvalidInput):
    """A data set whose arrays, shapes or labels cannot be used as asked."""


class DataUnavailable(DwsepError):
    """A public data set that is neither installed on this machine nor reachable."""


class InvalidStore(InvalidInput):
    """What was given is no store of results, or there is none at that place."""


class StoreError(DwsepError):
    """A store of results that does not do its work."""


class StoreUnreachable(StoreError):
    """A store that cannot be opened: its server does not answer, or refuses; its file may not be read."""


class StoreBusy(StoreError):
    """A store that another program kept locked for longer than one waits."""


class StoreReadOnly(StoreError):
    """A store that can be read and not written."""


class StoreFull(StoreError):
    """A store with no room left on its disk."""


class StoreDamaged(StoreError):
    """A file that is no database, or one whose content is broken."""


class StoreTooNew(StoreError):
    """A store made by a later version of this program."""
