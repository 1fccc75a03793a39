"""Errors of sweeps; the root of the tree is :class:`dwsep_runtime.errors.DwsepError`.

DwsepError
├── InvalidInput
│   └── InvalidSweep            a folder or option that no sweep can be made of
│       ├── InvalidPlan         a plan with a key or value that is not accepted
│       └── SweepBusy           another sweep works in the same folder
├── SchedulerLost               no scheduler answers, or it went away
├── NoWorker                    a scheduler has no worker for what is to be done
└── LostContent                 a file that a step put out is no longer there, or damaged
"""

from __future__ import annotations

__all__ = ["InvalidPlan", "InvalidSweep", "LostContent", "SweepBusy"]

from dwsep_runtime.errors import DwsepError, InvalidInput


class InvalidSweep(InvalidInput):
    """A folder or option that no sweep can be made of."""


class InvalidPlan(InvalidSweep):
    """A plan with a key or value that is not accepted; the message says where it stands."""


class SweepBusy(InvalidSweep):
    """Another sweep works in the same folder."""


class SchedulerLost(DwsepError):
    """No scheduler answers at an address, or the one that did has gone away."""


class NoWorker(DwsepError):
    """A scheduler has no worker that could do what is to be done; the message says how to start one."""


class LostContent(DwsepError):
    """A file that a step put out is no longer in the folder of contents, or is damaged there."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"content {sha256[:12]} is lost or damaged; run the sweep again")
        self.sha256 = sha256

    def __reduce__(self) -> tuple[type[LostContent], tuple[str]]:
        return type(self), (self.sha256,)
