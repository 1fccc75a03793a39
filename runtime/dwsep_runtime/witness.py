"""What went on around timed inferences, and what it says about trusting them."""

from __future__ import annotations

__all__ = ["Witness", "judged"]

import time
from typing import TYPE_CHECKING, Any, Optional

from dwsep_runtime.arrays import decode_array
from dwsep_runtime.state import yardstick_ns
from dwsep_runtime.trust import Circumstances, clock_drift_ppm, doubts, invalid

if TYPE_CHECKING:
    from dwsep_runtime.job import Job


class Witness:
    """Made right before the first timed inference; :meth:`told` right after the last says what changed between."""

    def __init__(self) -> None:
        self._yardstick_ns = yardstick_ns()
        self._switches = _involuntary_switches()
        self._clocks = _clocks()

    def told(self) -> dict[str, Any]:
        """JSON values: ``yardstick_ns`` (before and after), ``involuntary_switches``, ``clock_drift_ppm``."""
        clocks, switches = _clocks(), _involuntary_switches()
        drift = None
        if clocks is not None and self._clocks is not None:
            drift = clock_drift_ppm(clocks[0] - self._clocks[0], clocks[1] - self._clocks[1])
        return {
            "yardstick_ns": [self._yardstick_ns, yardstick_ns()],
            "involuntary_switches": (None if switches is None or self._switches is None else switches - self._switches),
            "clock_drift_ppm": drift,
        }


def judged(job: Job, result: dict[str, Any], cores: int) -> dict[str, list[str]]:
    """What a result says about itself: ``doubts``, and ``invalid``, reasons for which it is no measurement.

    Args:
        job: what was asked.
        result: of its scenario; where no inferences were timed in this process only the device's state is judged.
        cores: that the process might use.
    """
    measured, state = result["measured"], result["state"]
    if "samples_ns" not in measured:
        around = Circumstances(
            cores=cores,
            before=state["before"],
            during=measured.get("states", ()),
            after=state["after"],
            finite_outputs=measured.get("finite_outputs"),
            conditions=result["conditions"],
        )
        return {"doubts": doubts(around), "invalid": invalid(around)}
    before, after = measured["witness"]["yardstick_ns"]
    seen = Circumstances(
        samples=decode_array(measured["samples_ns"]),
        min_samples=_inferences_asked_for(job, measured),
        threads=job.settings.threads,
        cores=cores,
        throttling_is_sought=job.scenario.name == "sustained",
        before=state["before"],
        during=measured["states"],
        after=state["after"],
        yardstick_before_ns=before,
        yardstick_after_ns=after,
        involuntary_switches=measured["witness"]["involuntary_switches"],
        timed_seconds=measured["timed_seconds"],
        resolution_ns=measured["clock"]["resolution_ns"],
        loop_overhead_ns=measured["clock"]["overhead_ns"],
        clock_drift_ppm=measured["witness"]["clock_drift_ppm"],
        steady=measured.get("warmup", {}).get("steady"),
        finite_outputs=measured.get("finite_outputs"),
        conditions=result["conditions"],
    )
    return {"doubts": doubts(seen), "invalid": invalid(seen)}


def _inferences_asked_for(job: Job, measured: dict[str, Any]) -> int:
    """Inferences at least; none where the run was to end as soon as the interval was narrow enough."""
    if measured.get("ended_early"):
        return 0
    return -(-int(getattr(job.scenario, "min_samples", 0)) // job.settings.batch)


def _involuntary_switches() -> Optional[int]:
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _clocks() -> Optional[tuple[int, int]]:
    """CLOCK_MONOTONIC and CLOCK_MONOTONIC_RAW in ns, read one right after the other; None where there is no such."""
    if not hasattr(time, "CLOCK_MONOTONIC_RAW"):
        return None
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
