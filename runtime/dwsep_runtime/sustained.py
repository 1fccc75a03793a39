"""Scenario sustained: inferences for minutes, latency window by window, and when throttling begins."""

from __future__ import annotations

__all__ = ["sustained", "throttling_begins"]

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from dwsep_runtime.engines.protocol import Engine
from dwsep_runtime.scenarios import Sustained
from dwsep_runtime.state import quick_state
from dwsep_runtime.steady import change_point
from dwsep_runtime.timing import Clock, TimedLoop, clock_facts, random_inputs, summary_of_loop
from dwsep_runtime.witness import Witness

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SLOWDOWN = 0.05
"""A lasting rise of latency by less is not called throttling."""

LEAST_FREQUENCY_DROP = 0.05
LASTING = 3
"""Readings in a row of a lower frequency; a governor goes down for one now and then."""


def sustained(
    engine: Engine,
    scenario: Sustained,
    *,
    on_phase: Callable[[str], None],
    clock: Clock = time.perf_counter_ns,
    poll: Callable[[], dict[str, Any]] = quick_state,
) -> dict[str, Any]:
    """Run inferences without a pause and tell how their times move.

    Returns:
        JSON values: what :func:`dwsep_runtime.timing.summary_of_loop` tells; ``windows``, each with ``begin_s``,
        ``count``, ``p50_ns``, ``p90_ns`` and the device's state in it; ``throttling`` as :func:`throttling_begins`
        tells it, or None; ``signs``, those of throttling that could be read on this device.
    """
    import numpy as np

    engine.set_inputs(random_inputs(engine.inputs, scenario.seed))
    facts = clock_facts(clock)
    on_phase("measure")
    engine.invoke()
    witness = Witness()
    loop = TimedLoop(engine.invoke, clock, poll)
    edges = [(0, 0.0)]

    def enough(it: TimedLoop) -> bool:
        count, seconds = len(it.samples), it.seconds
        if seconds >= edges[-1][1] + scenario.window_seconds and count > edges[-1][0]:
            edges.append((count, seconds))
        return seconds >= scenario.seconds

    loop.run(enough)
    samples = loop.all_samples()
    end = len(samples), loop.seconds
    if len(edges) > 1 and end[0] - edges[-1][0] <= (edges[-1][0] - edges[-2][0]) / 2:
        edges.pop()  # what is left is too short for a window of its own
    edges.append(end)
    windows = [
        _window(samples[first[0] : last[0]], first[1], last[1], loop.states) for first, last in zip(edges, edges[1:])
    ]
    medians = np.array([window["p50_ns"] for window in windows])
    return {
        **summary_of_loop(loop),
        "witness": witness.told(),
        "clock": facts,
        "windows": windows,
        "throttling": throttling_begins([window["begin_s"] for window in windows], medians, loop.states),
        "signs": _readable_signs(loop.states),
    }


def throttling_begins(
    begins: Sequence[float], medians: NDArray[Any], states: Sequence[dict[str, Any]]
) -> Optional[dict[str, Any]]:
    """When the device slows itself down, by the first of three signs, or None where no sign shows.

    Args:
        begins: seconds at which each window begins.
        medians: the windows' medians in ns.
        states: states during the run, each with ``at_ns``.

    Returns:
        ``begins_s`` and ``sign``: "throttle flag"; "frequency" (5 % below the highest, three readings in
        a row); or "latency" (a change
        point of the windows' medians behind which they are 5 % slower). Latency alone does not tell a hot processor
        from another process on it.
    """
    import numpy as np

    signs = []
    highest, low_since, lows = 0.0, 0.0, 0
    for state in states:
        at = state["at_ns"] / 1e9
        if state.get("throttled_now"):
            signs.append((at, "throttle flag"))
        frequency = max(state.get("frequency_mhz") or [0.0])
        highest = max(highest, frequency)
        if 0 < frequency < (1 - LEAST_FREQUENCY_DROP) * highest:
            lows += 1
            low_since = at if lows == 1 else low_since
            if lows == LASTING:
                signs.append((low_since, "frequency"))
        else:
            lows = 0
    at_window = change_point(medians) if len(medians) >= 4 else None
    if at_window is not None:
        before, after = np.median(medians[:at_window]), np.median(medians[at_window:])
        if after > (1 + LEAST_SLOWDOWN) * before:
            signs.append((begins[at_window], "latency"))
    if not signs:
        return None
    begin, sign = min(signs)
    return {"begins_s": begin, "sign": sign}


def _readable_signs(states: Sequence[dict[str, Any]]) -> list[str]:
    readable = ["latency"]
    if any(state.get("frequency_mhz") for state in states):
        readable.append("frequency")
    if any(state.get("throttled_now") is not None for state in states):
        readable.append("throttle flag")
    return readable


def _window(samples: NDArray[Any], begin_s: float, end_s: float, states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    import numpy as np

    p50, p90 = np.percentile(samples, [50, 90])
    within = [state for state in states if begin_s <= state["at_ns"] / 1e9 < end_s]
    return {
        "begin_s": begin_s,
        "count": len(samples),
        "p50_ns": float(p50),
        "p90_ns": float(p90),
        "state": within[-1] if within else None,
    }
