"""A cost without hardware and without noise: the instructions of an inference, counted by an emulated board.

The machine counts a nanosecond for every instruction that it executes, so its clock is an instruction counter, and what
measures times elsewhere measures instructions there. They tell nothing of caches, memory or pipelines: a count is for
telling whether a file became more work than it was, never for telling milliseconds.
"""

from __future__ import annotations

__all__ = ["count_instructions"]

from typing import Any

from dwsep_devices import Device, run_job
from dwsep_export import Artifact
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.scenarios import SingleStream
from edge_dwsep.measure import LatencySettings, setup_of
from edge_dwsep.results import circumstances

COUNTED = SingleStream(min_samples=20, min_seconds=0.0, max_warmup_seconds=0.2)
"""Seconds are billions of instructions. The count of an inference settles with the second or third of a process."""


def count_instructions(device: Device, artifact: Artifact, engine: str, settings: LatencySettings) -> dict[str, Any]:
    """Count the instructions of an inference on a machine that counts them.

    Args:
        device: a machine of :func:`dwsep_devices.registry.opened_for_instructions`.
        artifact: what to run.
        engine: by which engine.
        settings: options and time limit; the rest says nothing of a count.

    Returns:
        Keys to put into the run's record: ``cost`` with ``unit``, ``per_inference`` (the median), ``least``, ``most``
        and ``count`` of inferences; ``engine_version``, ``device``, ``harness_sha256``, ``environment``.

    Raises:
        DwsepError: the device or the run failed.
    """
    setup = setup_of(artifact, engine, settings)
    result = run_job(device, artifact.file, engine, COUNTED, setup, timeout=settings.timeout)
    samples = sorted(decode_array(result["measured"]["samples_ns"]).tolist())
    cost = {
        "unit": "instructions",
        "per_inference": int(samples[len(samples) // 2]),
        "least": int(samples[0]),
        "most": int(samples[-1]),
        "count": len(samples),
    }
    told = circumstances(result)
    told.pop("state")  # temperatures and clocks of a machine that is none
    return {"cost": cost, **told}
