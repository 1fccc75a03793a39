"""Versions of the code of each kind of step; raised where a change of the code changes what comes out."""

from __future__ import annotations

__all__ = ["KIND_VERSIONS", "RECORD_VERSION"]

KIND_VERSIONS = {
    "data": 1,
    "network": 1,
    "reference": 2,
    "lower": 1,
    "calibrate": 1,
    "convert": 1,
    "verify": 1,
    "reach": 1,
    "push": 1,
    "launch": 1,
    "accuracy": 1,
    "operators": 1,
    "count": 1,
}
"""A step made by code of another version is made again."""

RECORD_VERSION = 1
"""Of what is made of a run's steps, such as intervals and warnings; runs of another one are put together again."""
