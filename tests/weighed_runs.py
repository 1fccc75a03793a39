"""Records of runs with the figures that a choice or a comparison weighs, and nothing else."""

from __future__ import annotations

__all__ = ["DATA", "latency", "results", "run", "timed"]

from collections.abc import Sequence
from typing import Any

import numpy as np

from dwsep_runtime.arrays import encode_array
from dwsep_runtime.shares import mcnemar, wilson_interval
from edge_dwsep.latency import percentile_figures

IMAGES = 1000
DATA = {"name": "photos", "count": IMAGES, "sha256": "d" * 64}
Interval = tuple[float, float]


def latency(p50: float, interval: Interval | None, processes: int = 5) -> dict[str, Any]:
    """``latency`` of a light record whose other percentiles lie 10, 20 and 50 % above p50."""
    figures: dict[str, Any] = {"count": 1000, "processes": [{"count": 200, "p50_ms": p50}] * processes}
    for q, factor in ((50, 1.0), (90, 1.1), (95, 1.2), (99, 1.5)):
        figures[f"p{q}_ms"] = factor * p50
        figures[f"p{q}_interval_ms"] = None if interval is None else [factor * bound for bound in interval]
    return figures


def timed(seed: int, p50_ms: float, *, processes: int = 5, between: float = 0.005) -> dict[str, Any]:
    """``latency`` of a full record: processes whose medians scatter, 200 inferences each."""
    rng = np.random.default_rng(seed)
    medians = p50_ms * 1e6 * np.exp(between * rng.standard_normal(processes))
    return percentile_figures(
        [(median * np.exp(0.03 * rng.standard_normal(200))).astype(np.int64) for median in medians]
    )


def run(
    variant: str,
    p50: float | None = 2.0,
    interval: Interval | None = None,
    *,
    size: int | None = 1_000_000,
    right: Sequence[bool] | int | None = None,
    lost: tuple[int, int] | None = None,
    peak: int | None = None,
    **others: Any,
) -> dict[str, Any]:
    """A record.

    Args:
        variant: its title.
        p50: in ms; None for a run that was not timed.
        interval: of p50; 1 % to either side unless given.
        size: of the file.
        right: which images were right, or how many; None for a run without accuracy.
        lost: images that the float reference alone has right, and that the run alone has right.
        peak: memory in bytes.
        others: more keys, or others in place of the usual ones.
    """
    accuracy = None
    if right is not None:
        answers = None if isinstance(right, int) else np.array(right, np.bool_)
        correct = right if isinstance(right, int) else sum(right)
        shares = dict.fromkeys(("top1", "top5"), correct / IMAGES)
        bounds = {f"{name}_interval": list(wilson_interval(correct, IMAGES)) for name in shares}
        accuracy = {"count": IMAGES, "classes": 10, **shares, **bounds}
        if answers is not None:
            accuracy["correct"] = encode_array(np.packbits(answers))
    agreement = None
    if lost is not None:
        b, c = lost
        agreement = {"reference": "keras float32", "top1": 1 - (b + c) / IMAGES, "interval": [0.9, 1.0]}
        agreement["mcnemar"] = {"b": b, "c": c, "p": mcnemar(b, c), "verdict": ""}
    bounds_of_p50 = interval or (None if p50 is None else (0.99 * p50, 1.01 * p50))
    return {
        "device": "local",
        "emulated": False,
        "model": "net",
        "variant": variant,
        "format": "tflite",
        "scheme": variant,
        "engine": "litert",
        "engine_version": "2.3.0",
        "threads": 1,
        "batch": 1,
        "engine_options": {},
        "file_bytes": size,
        "sha256": "a" * 64,
        "harness_sha256": "b" * 64,
        "status": "ok",
        "valid": True,
        "error": None,
        "warnings": [],
        "latency": None if p50 is None else latency(p50, bounds_of_p50),
        "accuracy": accuracy,
        "agreement": agreement,
        "memory": None if peak is None else {"peak_bytes": peak},
        "cost": None,
        **others,
    }


def results(*runs: dict[str, Any], top1: float | None = 0.9, **others: Any) -> dict[str, Any]:
    """Results of runs of one network, whose float reference has an accuracy of ``top1``."""
    reference = None if top1 is None else {"name": "keras float32", "top1": top1}
    names = dict.fromkeys(one["model"] for one in runs)
    return {
        "schema_version": 4,
        "models": [{"name": name, "reference": reference} for name in names],
        "data": DATA,
        "devices": [
            {"name": name, "kind": name, "emulated": False, "cpu": "a", "cores": 2}
            for name in dict.fromkeys(one["device"] for one in runs)
        ],
        "settings": {"scenario": "single-stream", "conditions": {"pin": None}},
        "sweep": None,
        "runs": list(runs),
        **others,
    }
