"""Whether a latency may be trusted: decided from what was seen around it, said in plain words."""

from __future__ import annotations

__all__ = ["Circumstances", "bimodal", "clock_drift_ppm", "doubts", "invalid"]

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLISECOND = 1e6
"""In nanoseconds."""

SENTENCE = 139
"""Characters at most: one line of a table or log."""

SPEED_CHANGE = 0.10
"""Change of clock rate that moves a latency by more than the differences between variants that matter."""

DRIFT_PPM = 500.0
"""What NTP may correct a clock by as a rule (adjtimex, MAXFREQ); beyond it, the clock was being set."""

WRONG_DRIFT_PPM = 50_000.0
"""5 %: no latency timed by such a clock is one."""

SWITCHES_A_SECOND = 20.0
"""Housekeeping of an idle system takes a core a few times a second; more than this is another program at work."""

MIN_SWITCHES = 5
"""Fewer, in a part that was short, do not speak of a rate."""

STEAL = 0.02
"""Share of ticks given to another virtual machine; a slice lasts milliseconds, many times a small inference."""

MIN_TICKS = 100
"""At 100 a second and core, below this a single tick is more than 1 %."""

BUSY = 1.5
"""Runnable processes a core beyond which a device was doing something else; a run itself is one."""

WARMING_C = 5.0
"""Degrees that a device warms by within a run only when it is not in equilibrium; sensors step by 0.5 to 1."""

COARSE = 0.01
"""Error of the clock, as share of the median, from which it shows in the third digit."""

TOO_COARSE = 0.10

RESOLVED_STEPS = 3
"""Steps of the clock that two speeds must lie apart: a coarse clock makes two modes of one."""

TAIL = 0.01
"""Share of samples at each end that a search for two modes leaves out: single interruptions."""

MIN_MODE = 0.10
"""Share of samples that a second mode has at least; fewer are outliers."""

MAX_PEELED = 0.30
"""Share of samples that may be set aside as outliers in turns, each less than a mode, to find the modes below them."""

MIN_RATIO = 1.10
"""Of the slower to the faster mode: closer ones need not be told apart."""

MIN_DISTANCE = 3.5
"""Ashman's D of the two halves. Cut in two at the best place, a normal distribution has 2.3 and a uniform one 2.7 (with
the robust spread used here), two normal ones 0.040 and 0.052 ms with 5 % spread 5.2."""

MAX_VALLEY = 0.5
"""Samples in the valley, as share of those at the lower mode."""

MIN_BIMODAL = 50
"""Samples below which a mode of a tenth is five samples."""

MAX_BIMODAL = 20_000
"""Samples that are looked at, evenly taken: a mode of a tenth is 2000 of them, and sorting takes a millisecond."""

NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class Circumstances:
    """What was seen around the timed inferences; None where the device does not tell.

    Attributes:
        samples: nanoseconds of each inference, int64 (count,), in order; None where others timed them.
        min_samples: inferences that were asked for at least.
        threads: of the engine.
        cores: that the process may use.
        before: :func:`dwsep_runtime.state.device_state` before the run.
        during: :func:`dwsep_runtime.state.quick_state` a few times within it, between inferences.
        after: as ``before``, after the run.
        yardstick_before_ns: :func:`dwsep_runtime.state.yardstick_ns` after warm-up.
        yardstick_after_ns: the same after the last inference.
        involuntary_switches: how often the process lost its core within the timed part.
        timed_seconds: that the timed part took.
        resolution_ns: smallest step of the clock.
        loop_overhead_ns: median of timing nothing.
        clock_drift_ppm: :func:`clock_drift_ppm` over the run.
        steady: whether inference times had settled when warm-up ended.
        throttling_is_sought: whether the run was to show when the device throttles, so that throttling spoils nothing.
        finite_outputs: whether the last outputs were all finite numbers.
        conditions: what became of the conditions asked for.
    """

    samples: Optional[NDArray[Any]] = None
    min_samples: int = 0
    threads: int = 1
    cores: int = 1
    before: Mapping[str, Any] = field(default_factory=dict)
    during: Sequence[Mapping[str, Any]] = ()
    after: Mapping[str, Any] = field(default_factory=dict)
    yardstick_before_ns: Optional[float] = None
    yardstick_after_ns: Optional[float] = None
    involuntary_switches: Optional[int] = None
    timed_seconds: float = 0.0
    resolution_ns: Optional[float] = None
    loop_overhead_ns: Optional[float] = None
    clock_drift_ppm: Optional[float] = None
    steady: Optional[bool] = None
    finite_outputs: Optional[bool] = None
    throttling_is_sought: bool = False
    conditions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class _Finding:
    said: str
    fatal: bool = False


def doubts(circumstances: Circumstances) -> list[str]:
    """Why the latency should be taken with care: a sentence each, not repeating those of :func:`invalid`."""
    return [_one_line(finding.said) for finding in _findings(circumstances) if not finding.fatal]


def invalid(circumstances: Circumstances) -> list[str]:
    """Why the latency is no measurement of this device and must not be compared; empty if it may be."""
    return [_one_line(finding.said) for finding in _findings(circumstances) if finding.fatal]


def clock_drift_ppm(monotonic_ns: int, raw_ns: int) -> Optional[float]:
    """How far the clock that was read ran from the hardware's, in parts per million; None if no time went by.

    Args:
        monotonic_ns: that went by on CLOCK_MONOTONIC, which NTP corrects.
        raw_ns: that went by meanwhile on CLOCK_MONOTONIC_RAW, which nothing corrects.

    >>> clock_drift_ppm(1_001_000, 1_000_000)
    1000.0
    """
    return None if raw_ns <= 0 else (monotonic_ns - raw_ns) / raw_ns * 1e6


def bimodal(samples: NDArray[Any]) -> Optional[tuple[float, float, float]]:
    """Whether inferences ran at two speeds, as on cores of two kinds or under a clock that changes.

    The logarithms of the samples are cut in two where the variance between the parts is greatest (Otsu 1979, "A
    threshold selection method from gray-level histograms"). They are two modes if the parts are far apart for their
    spread (Ashman, Bird and Zepf 1994, "Detecting bimodality in astronomical datasets", with medians and median
    absolute deviations, which interruptions hardly touch), both parts are large, and few samples lie between.

    Args:
        samples: nanoseconds, any order; those of zero or less are left out.

    Returns:
        Medians of the faster and the slower mode in nanoseconds, and the share of the slower; None unless there are
        clearly two. A mode of a fifth of 200 samples is found, smaller ones need more samples.

    >>> import numpy as np
    >>> fast, slow, share = bimodal(np.repeat([40_000, 52_000], [150, 50]) + np.arange(200))
    >>> round(fast, -2), round(slow, -2), round(share, 1)
    (40100.0, 52200.0, 0.2)
    """
    import numpy as np

    taken = np.asarray(samples[:: max(1, -(-len(samples) // MAX_BIMODAL))], np.float64)
    logs = np.log(np.sort(taken[taken > 0]))
    if len(logs) < MIN_BIMODAL:
        return None
    tail = int(len(logs) * TAIL)
    logs = logs[tail : len(logs) - tail]
    count = len(logs)
    fast, slow = _cut(logs)
    while min(len(fast), len(slow)) < MIN_MODE * count:
        logs = max(fast, slow, key=len)
        if len(logs) < (1 - MAX_PEELED) * count:
            return None
        fast, slow = _cut(logs)
    low, high = float(np.median(fast)), float(np.median(slow))
    spread = math.hypot(*(NORMAL_MAD * float(np.median(np.abs(part - np.median(part)))) for part in (fast, slow)))
    gap = high - low
    if gap < math.log(MIN_RATIO) or gap * math.sqrt(2) < MIN_DISTANCE * spread:
        return None
    at_modes = _near(logs, np.array([low, high]), gap)
    between = _near(logs, low + gap * np.linspace(0.25, 0.75, 9), gap)
    if between.min() > MAX_VALLEY * at_modes.min():
        return None
    return math.exp(low), math.exp(high), len(slow) / count


def _cut(logs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sorted values in two parts: where sizes times squared distance of the means is greatest (Otsu)."""
    import numpy as np

    count = len(logs)
    left = np.arange(1, count)
    sums = np.cumsum(logs - logs.mean())[:-1]
    best = int(np.argmax(sums**2 / (left * (count - left)))) + 1
    return logs[:best], logs[best:]


def _near(logs: NDArray[Any], centres: NDArray[Any], gap: float) -> NDArray[Any]:
    """How many of the sorted values lie within an eighth of the gap from each centre."""
    import numpy as np

    return np.searchsorted(logs, centres + gap / 8, "right") - np.searchsorted(logs, centres - gap / 8, "left")


def _findings(seen: Circumstances) -> Iterator[_Finding]:
    if seen.samples is not None and not len(seen.samples):
        yield _Finding("no inference was timed", fatal=True)
        return
    yield from _of_throttling(seen)
    yield from _of_speed(seen)
    yield from _of_others(seen)
    if seen.samples is not None:
        yield from _of_clock(seen, seen.samples)
        yield from _of_samples(seen, seen.samples)
    if seen.finite_outputs is False:
        yield _Finding("outputs on random input are not all finite numbers (NaN or infinity)")
    for record in seen.conditions:
        if not record["done"]:
            yield _Finding(f"{record['condition']} {record['asked']} was asked and not had: {record['said']}")


def _of_throttling(seen: Circumstances) -> Iterator[_Finding]:
    before, after = (_words(state, "throttled_since_boot") for state in (seen.before, seen.after))
    raised = [word for state in (*seen.during, seen.after) for word in _words(state, "throttled_now")]
    if seen.before.get("throttled_since_boot") is not None:
        raised += [word for word in after if word not in before]
    earlier = _words(seen.before, "throttled_now")
    if raised:
        said = f"the device was throttled during the run ({_listed(raised)})"
        yield _Finding(said, fatal=not seen.throttling_is_sought)
    elif earlier:
        yield _Finding(f"the device was throttled until the run began ({_listed(earlier)})")
    elif before or after:
        yield _Finding(f"the device was throttled since it started, not during the run ({_listed(before + after)})")


def _of_speed(seen: Circumstances) -> Iterator[_Finding]:
    states = seen.during if len(seen.during) > 1 else (seen.before, *seen.during, seen.after)
    clocks = [clock for clock in (_clock_mhz(state, _pinned(seen)) for state in states) if clock]
    if clocks and max(clocks) > (1 + SPEED_CHANGE) * min(clocks):
        yield _Finding(f"the processor's clock went from {min(clocks):.0f} to {max(clocks):.0f} MHz during the run")
    first, last = seen.yardstick_before_ns, seen.yardstick_after_ns
    if first and last and max(first, last) > (1 + SPEED_CHANGE) * min(first, last):
        yield _Finding(f"the processor's speed changed by {_percent(abs(first / last - 1))} during the run")
    start = seen.before.get("temperature_c")
    later = [state.get("temperature_c") for state in (*seen.during, seen.after)]
    peak = max((celsius for celsius in later if celsius is not None), default=None)
    if start is not None and peak is not None and peak > start + WARMING_C:
        yield _Finding(f"the temperature rose by {peak - start:.0f} C during the run, from {start:.0f} to {peak:.0f} C")


def _of_others(seen: Circumstances) -> Iterator[_Finding]:
    load = seen.before.get("load_1min")
    if load is not None and load > BUSY * seen.cores:
        yield _Finding(f"the device was busy (load {load:g} on {seen.cores} cores): latency may be too high")
    own = len(_pinned(seen)) or seen.cores
    if seen.threads > own:
        yield _Finding(f"more threads ({seen.threads}) than cores ({own})")
    switches = seen.involuntary_switches or 0
    if switches >= MIN_SWITCHES and switches > SWITCHES_A_SECOND * seen.timed_seconds > 0:
        rate = switches / seen.timed_seconds
        yield _Finding(f"another process took the core {rate:.0f} times a second")
    ticks, stolen = (_difference(seen, name) for name in ("cpu_ticks", "cpu_steal_ticks"))
    if ticks >= MIN_TICKS and stolen > STEAL * ticks:
        yield _Finding(f"another virtual machine took {_percent(stolen / ticks)} of the processor's time")


def _of_clock(seen: Circumstances, samples: NDArray[Any]) -> Iterator[_Finding]:
    import numpy as np

    drift = abs(seen.clock_drift_ppm or 0.0)
    if drift > DRIFT_PPM:
        yield _Finding(f"the clock was being set: it ran {drift:.0f} ppm off", fatal=drift > WRONG_DRIFT_PPM)
    median = float(np.median(samples))
    for what, error_ns in (
        ("one step of the clock", seen.resolution_ns),
        ("timing nothing", seen.loop_overhead_ns),
    ):
        if error_ns and error_ns > COARSE * median:
            share = f"{_percent(error_ns / median)} of" if median > 0 else "more than"
            yield _Finding(f"{what} takes {share} the median inference", fatal=error_ns > TOO_COARSE * median)


def _of_samples(seen: Circumstances, samples: NDArray[Any]) -> Iterator[_Finding]:
    count = len(samples)
    if count < seen.min_samples:
        yield _Finding(f"only {count} of {seen.min_samples} inferences were timed")
    if seen.steady is False:
        yield _Finding("inference times never became steady in warm-up")
    modes = bimodal(samples)
    if modes and modes[1] - modes[0] > RESOLVED_STEPS * (seen.resolution_ns or 0):
        fast, slow, share = modes
        yield _Finding(
            f"inferences ran at two speeds: {fast / MILLISECOND:.3g} ms and, {_percent(share)} of them, "
            f"{slow / MILLISECOND:.3g} ms"
        )


def _words(state: Mapping[str, Any], name: str) -> list[str]:
    return list(state.get(name) or ())


def _listed(words: list[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _pinned(seen: Circumstances) -> set[int]:
    """Cores that the run was kept on; empty for any."""
    return {
        core
        for record in seen.conditions
        if record["condition"] == "pin" and record["done"]
        for core in record["asked"]
    }


def _clock_mhz(state: Mapping[str, Any], cores: set[int]) -> Optional[float]:
    """Rate of the fastest core that the run may have been on: idle ones are slowed down, and do not count."""
    clocks = state.get("frequency_mhz") or []
    numbers = state.get("frequency_cores") or [None] * len(clocks)
    own = [clock for number, clock in zip(numbers, clocks) if number in cores]
    return max(own or clocks, default=None)


def _difference(seen: Circumstances, name: str) -> int:
    first, last = seen.before.get(name), seen.after.get(name)
    return 0 if first is None or last is None else int(last - first)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _one_line(said: str) -> str:
    return said if len(said) <= SENTENCE else f"{said[: SENTENCE - 3].rstrip()}..."
