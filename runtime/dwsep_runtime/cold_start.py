"""Scenario cold-start: what a user waits for the first time, told apart into its stages."""

from __future__ import annotations

__all__ = ["STAGES", "cold_start"]

import os
from dataclasses import replace
from typing import Any, Callable

from dwsep_runtime.children import Child
from dwsep_runtime.conditions import Conditions
from dwsep_runtime.job import Job
from dwsep_runtime.scenarios import ColdStart, FirstInference

STAGES = ("process_start", "harness", "import", "load", "allocate", "first_inference", "total")
"""``process_start`` until the first line of Python runs; ``harness``, what this package itself takes; ``import`` of the
engine's packages; ``load`` of the file; ``allocate``; ``first_inference`` with input and output; the ``total``."""


def cold_start(job: Job, scenario: ColdStart, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Start fresh processes one after another, each of which runs one inference.

    Before each start the kernel is asked to drop the model file from its page cache; engine libraries stay there.

    Returns:
        JSON values: ``stages_ns``, a list with one number a start for each of ``STAGES``; ``file_cache``, "asked to
        drop" or "kept"; ``child``, the last process's whole result.

    Raises:
        DwsepError: a process failed.
    """
    stages: dict[str, list[int]] = {stage: [] for stage in STAGES}
    dropped, result = True, {}
    for start in range(scenario.starts):
        on_progress(start, scenario.starts)
        dropped = _drop_from_cache(job.model) and dropped
        child_job = replace(
            job, id=f"{job.id}-{start}", scenario=FirstInference(scenario.seed), conditions=Conditions()
        )
        with Child(child_job, scenario.command) as child:
            result = child.result()
        own = result["stages"]
        took = {stage: own[f"{stage}_ns"] for stage in ("import", "load", "allocate")}
        took["first_inference"] = result["measured"]["first_inference_ns"]
        took["process_start"] = own["main_at_ns"] - child.spawned_ns
        total = own["done_at_ns"] - child.spawned_ns
        for stage, nanoseconds in {**took, "harness": total - sum(took.values()), "total": total}.items():
            stages[stage].append(nanoseconds)
    on_progress(scenario.starts, scenario.starts)
    return {"stages_ns": stages, "file_cache": "asked to drop" if dropped else "kept", "child": result}


def _drop_from_cache(path: str) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        os.fsync(descriptor)  # pages that are not written yet cannot be dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
