"""Values that a store is given: a sweep, and which runs are asked for."""

from __future__ import annotations

__all__ = ["RunFilter", "SweepRecord", "now"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any


def now() -> str:
    """The time, UTC, ISO 8601 to the millisecond: of equal length, so that text sorts as time does."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class SweepRecord:
    """What a sweep is, as far as it is known when it begins.

    Attributes:
        id: of this sweep alone.
        name: for people.
        command: that began it.
        plan: as JSON.
        started: UTC, ISO 8601.
        versions: of the tools, by name.
        settings: of the measurements.
        models: as in results.json, as far as they are known.
        data: the data set as in results.json, if it is known.
        excluded: combinations that were left out, each with ``what`` and ``reason``.
    """

    id: str
    name: str
    command: str
    plan: Mapping[str, Any]
    started: str = field(default_factory=now)
    versions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[Mapping[str, Any]] = ()
    data: Mapping[str, Any] | None = None
    excluded: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class RunFilter:
    """Which runs are asked for; what is left empty lets all pass, and several values of one kind are alternatives.

    Attributes:
        sweep: id of a sweep that they belong to.
        models: names.
        schemes: names.
        formats: names.
        engines: names.
        devices: names.
        threads: numbers.
        since: UTC, ISO 8601 or its beginning; not older.
        valid: those alone that succeeded and are valid.
        limit: that many of the newest; 0 for all.
    """

    sweep: str = ""
    models: Sequence[str] = ()
    schemes: Sequence[str] = ()
    formats: Sequence[str] = ()
    engines: Sequence[str] = ()
    devices: Sequence[str] = ()
    threads: Sequence[int] = ()
    since: str = ""
    valid: bool = False
    limit: int = 0
