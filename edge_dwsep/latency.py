"""Figures of latency from the raw samples of one or more processes."""

from __future__ import annotations

__all__ = [
    "PERCENTILES",
    "cold_start_figures",
    "doubts_of_all",
    "latency_figures",
    "median_interval",
    "percentile_figures",
    "relative_half_width_of",
    "throughput_figures",
]

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.arrays import decode_array, encode_array
from dwsep_runtime.percentiles import (
    MIN_SAMPLES,
    mean_interval,
    percentile,
    percentile_interval,
    relative_half_width,
)
from dwsep_runtime.trust import bimodal

if TYPE_CHECKING:
    from edge_dwsep.measure import LatencySettings

PERCENTILES = (50, 90, 95, 99)
MILLISECOND = 1e6
"""In nanoseconds."""

CONFIDENCE = 0.95
HARDLY = 0.25
"""Half-width of an interval, as a share of p50, that leaves open what variants differ by."""


def percentile_figures(processes: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Percentiles of inference times with 95 % intervals, in ms.

    Args:
        processes: samples of each process in ns, in the order they were taken.

    Returns:
        ``count``; ``pNN_ms`` and ``pNN_interval_ms`` (None where the samples do not bear one) for each of
        ``PERCENTILES``; ``processes``, count and p50 of each; ``samples_ns``, all samples encoded in order.
    """
    together = np.concatenate(list(processes))
    figures: dict[str, Any] = {"count": len(together)}
    for q in PERCENTILES:
        figures[f"p{q}_ms"] = percentile(together, q) / MILLISECOND
        figures[f"p{q}_interval_ms"] = _milliseconds(percentile_interval(processes, q))
    return {
        **figures,
        "processes": [{"count": len(one), "p50_ms": percentile(one, 50) / MILLISECOND} for one in processes],
        "samples_ns": encode_array(together),
    }


def latency_figures(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several processes of one run told: :func:`percentile_figures`, and how each of them went.

    Args:
        results: one a process, of a scenario that times inferences one by one.

    Returns:
        Besides the percentiles: ``warmups``, ``stages`` and ``states`` of each process, ``clock`` and
        ``loop_ns_per_sample`` of the first, ``timed_seconds`` and ``measured_seconds`` together, ``ended_early``.
    """
    measured = [result["measured"] for result in results]
    return {
        **percentile_figures([decode_array(one["samples_ns"]) for one in measured]),
        "warmups": [one.get("warmup") for one in measured],
        "ended_early": any(one.get("ended_early") for one in measured),
        "timed_seconds": sum(one["timed_seconds"] for one in measured),
        "measured_seconds": sum(one["measured_seconds"] for one in measured),
        "loop_ns_per_sample": measured[0]["loop_ns_per_sample"],
        "clock": measured[0]["clock"],
        "stages": [result["stages"] for result in results],
        "states": [one["states"] for one in measured],
    }


def relative_half_width_of(results: Sequence[dict[str, Any]], q: float) -> float | None:
    """How wide the interval of all processes together is, as a share of the percentile to either side; or None."""
    return relative_half_width([decode_array(result["measured"]["samples_ns"]) for result in results], q)


def doubts_of_all(results: Sequence[dict[str, Any]], settings: LatencySettings) -> list[str]:
    """Doubts that only show over all processes of a run: too few samples, two speeds, less precise than asked."""
    samples = [decode_array(result["measured"]["samples_ns"]) for result in results]
    together = np.concatenate(samples)
    doubts = []
    if len(together) < MIN_SAMPLES:
        doubts.append(f"too few inferences for an interval ({len(together)}, {MIN_SAMPLES} are needed)")
    modes = bimodal(together) if len(samples) > 1 else None
    if modes is not None and not any("two speeds" in doubt for result in results for doubt in result["doubts"]):
        fast, slow, share = modes
        doubts.append(
            f"processes ran at two speeds: {fast / MILLISECOND:.3g} ms and, {100 * share:.0f} % of the inferences, "
            f"{slow / MILLISECOND:.3g} ms"
        )
    known = relative_half_width(samples, 50)
    if known is not None and known > HARDLY:
        doubts.append(f"p50 is known within {100 * known:.0f} % only: times moved for as long as the run lasted")
    if settings.precision is not None:
        width = relative_half_width(samples, settings.percentile)
        if width is None or width >= settings.precision:
            reached = "not at all" if width is None else f"within {100 * width:.1f} %"
            doubts.append(
                f"p{settings.percentile:g} is known {reached}, {100 * settings.precision:g} % was asked for; "
                "give more --min-seconds or --processes"
            )
    return doubts


def throughput_figures(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Samples a second of scenario offline, over all processes, with a 95 % interval."""
    measured = [result["measured"] for result in results]
    batch = measured[0]["batch"]
    times = [decode_array(one["samples_ns"]) for one in measured]
    interval = mean_interval(times)
    count = sum(len(one) for one in times)
    return {
        "batch": batch,
        "samples_per_second": batch * count * 1e9 / sum(one["loop_ns"] for one in measured),
        "interval": None if interval is None else [batch * 1e9 / interval[1], batch * 1e9 / interval[0]],
    }


def cold_start_figures(measured: dict[str, Any]) -> dict[str, Any]:
    """Median of each stage of scenario cold-start over its starts, with a 95 % interval, in ms."""
    figures: dict[str, Any] = {"starts": len(measured["stages_ns"]["total"]), "file_cache": measured["file_cache"]}
    for stage, times in measured["stages_ns"].items():
        values = np.array(times, np.float64)
        figures[stage] = {
            "p50_ms": float(np.median(values)) / MILLISECOND,
            "interval_ms": _milliseconds(median_interval(values)),
            "samples_ns": times,
        }
    return figures


def median_interval(values: NDArray[Any]) -> tuple[float, float] | None:
    """95 % interval of the median of independent values: two of their order statistics; None for fewer than six.

    Source: David and Nagaraja, "Order Statistics", section 7.1.
    """
    count = len(values)
    beyond, left_out = 0.0, -1
    while (beyond := beyond + math.comb(count, left_out + 1) / 2**count) <= (1 - CONFIDENCE) / 2:
        left_out += 1
    if left_out < 0:
        return None
    ordered = np.sort(values)
    return float(ordered[left_out]), float(ordered[count - 1 - left_out])


def _milliseconds(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [bound / MILLISECOND for bound in interval]
