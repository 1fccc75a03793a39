"""The state of a device over time: temperature, frequency and load, as its runs found and left it."""

from __future__ import annotations

__all__ = ["StateAt", "over_time", "seconds_since_1970", "state_at", "thinned"]

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple


class StateAt(NamedTuple):
    """What a device told of itself at a time.

    Attributes:
        seconds: since any one beginning.
        temperature_c: of the processor, in degrees Celsius.
        frequency_mhz: of its fastest core.
        load: of the last minute, in processes that want a core.
    """

    seconds: float
    temperature_c: float | None
    frequency_mhz: float | None
    load: float | None


def seconds_since_1970(text: object) -> float | None:
    """When an ISO 8601 time was; None of anything else.

    >>> seconds_since_1970("1970-01-01T00:01:00Z")
    60.0
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    # A time of no zone is taken for one of UTC, wherever the page is made.
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def state_at(seconds: float, state: Mapping[str, Any], since: Mapping[str, Any] | None = None) -> StateAt | None:
    """A state at ``seconds``, or as long after as the device's own clock says since an earlier state.

    Returns:
        None where the state tells nothing.
    """
    temperature, load = _finite(state.get("temperature_c")), _finite(state.get("load_1min"))
    clocks = state.get("frequency_mhz")
    if isinstance(clocks, list):
        frequency = max((clock for one in clocks if (clock := _finite(one)) is not None), default=None)
    else:
        frequency = _finite(clocks)
    if temperature is None and load is None and frequency is None:
        return None
    if since is not None:
        later, earlier = _finite(state.get("monotonic_ns")), _finite(since.get("monotonic_ns"))
        if later is not None and earlier is not None:
            seconds += max(0.0, later - earlier) / 1e9
    return StateAt(seconds, temperature, frequency, load)


def over_time(states: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[StateAt]:
    """States before and after runs, by the device's own clock, where no time of day was noted."""
    found = [
        state_at(at / 1e9, state)
        for pair in states
        for state in pair
        if (at := _finite(state.get("monotonic_ns"))) is not None
    ]
    return sorted(state for state in found if state is not None)


def thinned(rows: Sequence[Sequence[float | None]], most: int) -> list[list[float | None]]:
    """At most so many rows: medians, column by column, of equally long stretches of them.

    >>> thinned([(1, 5.0), (2, 7.0), (3, None), (5, 1.0)], 2)
    [[1.5, 6.0], [4.0, 1.0]]
    """
    each = max(1, math.ceil(len(rows) / most))
    return [[_median(column) for column in zip(*rows[at : at + each], strict=True)] for at in range(0, len(rows), each)]


def _median(column: Sequence[float | None]) -> float | None:
    told = [value for value in column if value is not None]
    return statistics.median(told) if told else None


def _finite(item: object) -> float | None:
    if item is None or isinstance(item, bool) or not isinstance(item, (int, float)) or not math.isfinite(item):
        return None
    return float(item)
