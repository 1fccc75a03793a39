"""Measure the latency of artifacts on a device, one process a run."""

from __future__ import annotations

__all__ = ["LatencySettings", "measure_latency", "run_record"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_devices import Device, run_job
from dwsep_export import Artifact
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.job import SingleStream
from edge_dwsep.results import circumstances
from edge_dwsep.statistics import percentile, percentile_interval

NANOSECONDS = 1e6
"""In a millisecond."""

BUSY = 1.5
"""Runnable processes a core beyond which a device was doing something else; a run itself is one."""


@dataclass(frozen=True)
class LatencySettings:
    """How long to measure; both minimums hold.

    Attributes:
        threads: of the engine.
        min_samples: timed inferences at least.
        min_seconds: seconds of timed inferences at least.
        warmup_seconds: seconds of inferences before.
        timeout: seconds that a run may take besides warm-up and measurement.
    """

    threads: int = 1
    min_samples: int = 1024
    min_seconds: float = 3.0
    warmup_seconds: float = 0.5
    timeout: float = 300.0


def run_record(artifact: Artifact, title: str, engine: str, threads: int) -> dict[str, Any]:
    """What a run's record says of the artifact, before anything is measured."""
    return {
        "variant": title,
        "format": artifact.format,
        "scheme": artifact.scheme,
        "engine": engine,
        "engine_version": None,
        "threads": threads,
        "file": artifact.file.name,
        "file_bytes": artifact.file.stat().st_size,
        "sha256": artifact.sha256,
        "manifest_sha256": artifact.manifest_sha256,
        "status": "ok",
        "error": None,
        "latency": None,
        "accuracy": None,
        "agreement": None,
        "warnings": list(artifact.manifest.warnings) if artifact.manifest else [],
        "state": None,
    }


def measure_latency(
    device: Device,
    artifact: Artifact,
    engine: str,
    settings: LatencySettings,
) -> dict[str, Any]:
    """Time an artifact: scenario single-stream in a fresh process on the device.

    Returns:
        Keys to put into the run's record: ``latency`` (percentiles and interval in ms, raw samples encoded),
        ``engine_version``, ``state``, ``device``, ``harness_sha256``, and ``doubts`` to be added to its warnings.

    Raises:
        DwsepError: the device or the run failed.
    """
    scenario = SingleStream(settings.min_samples, settings.min_seconds, settings.warmup_seconds)
    result = run_job(
        device,
        artifact.file,
        engine,
        scenario,
        threads=settings.threads,
        manifest_sha256=artifact.manifest_sha256,
        timeout=settings.timeout + settings.warmup_seconds + settings.min_seconds,
    )
    measured = result["measured"]
    samples: NDArray[np.int64] = decode_array(measured["samples_ns"])
    latency = {
        "count": len(samples),
        "warmup_count": measured["warmup_count"],
        "p50_ms": percentile(samples, 50) / NANOSECONDS,
        "p50_interval_ms": _interval_ms(samples, 50),
        "p90_ms": percentile(samples, 90) / NANOSECONDS,
        "p90_interval_ms": _interval_ms(samples, 90),
        "load_ms": result["load_ns"] / NANOSECONDS,
        "clock": measured["clock"],
        "samples_ns": measured["samples_ns"],
    }
    return {"latency": latency, "doubts": _doubts(result), **circumstances(result)}


def _doubts(result: dict[str, Any]) -> list[str]:
    """Why a latency is not to be trusted, in plain words."""
    cores, load = result["device"]["cores"], result["state"]["before"]["load_1min"]
    threads = result["engine"]["threads"]
    doubts = []
    if load is not None and load > BUSY * cores:
        doubts.append(f"the device was busy (load {load:g} on {cores} cores): latency is not to be trusted")
    if threads > cores:
        doubts.append(f"more threads ({threads}) than cores ({cores})")
    return doubts


def _interval_ms(samples: NDArray[np.int64], q: float) -> list[float] | None:
    interval = percentile_interval(samples, q)
    return None if interval is None else [bound / NANOSECONDS for bound in interval]
