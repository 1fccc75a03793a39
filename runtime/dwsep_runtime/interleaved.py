"""Several models in processes that take turns on one core, so that what disturbs one disturbs all alike."""

from __future__ import annotations

__all__ = ["interleaved", "quickest_core"]

import contextlib
import os
from pathlib import Path
from typing import Any, Callable, Optional

from dwsep_runtime.arrays import decode_array, encode_array
from dwsep_runtime.children import Child
from dwsep_runtime.job import Job
from dwsep_runtime.scenarios import Interleaved
from dwsep_runtime.state import quick_state


def interleaved(scenario: Interleaved, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Run the launches: all processes started anew, warmed up, then turn by turn, every other round in reverse.

    Processes of one thread are put on one core: two cores of a machine differ by more, at any one moment, than the
    variants that are compared.

    Returns:
        JSON values: ``core`` (None where they were not put on one); ``states``, one a launch; ``contenders``, for each
        ``launches``: ``turns_ns`` (encoded int64 (rounds, inferences of a turn)), and ``result``, that of its last
        process.

    Raises:
        DwsepError: a process failed; the message names the model.
    """
    import numpy as np

    jobs = [Job.from_json(one["job"]) for one in scenario.contenders]
    core = quickest_core() if all(job.settings.threads == 1 and job.conditions.pin is None for job in jobs) else None
    told: list[dict[str, Any]] = [{"launches": [], "result": None} for _ in jobs]
    sizes = [0] * len(jobs)
    states = []
    for launch in range(scenario.launches):
        on_progress(launch, scenario.launches)
        states.append(quick_state())
        with contextlib.ExitStack() as stack:
            children = [stack.enter_context(Child(job, one["command"])) for job, one in zip(jobs, scenario.contenders)]
            for child in children:
                child.wait_for("loaded")
                if core is not None:
                    os.sched_setaffinity(child.pid, {core})
            turns: list[list[Any]] = [[] for _ in jobs]
            for which, child in enumerate(children):
                child.say("warm-up")
                typical_ns = child.wait_for("ready")["typical_ns"]
                sizes[which] = sizes[which] or max(1, round(scenario.turn_seconds * 1e9 / max(1, typical_ns)))
            for round_ in range(scenario.rounds):
                for which in range(len(jobs)) if round_ % 2 == 0 else reversed(range(len(jobs))):
                    children[which].say(str(sizes[which]))
                    turns[which].append(decode_array(children[which].wait_for("turn")["samples_ns"]))
            for which, child in enumerate(children):
                told[which]["result"] = child.result()
                told[which]["launches"].append({"turns_ns": encode_array(np.stack(turns[which]))})
    on_progress(scenario.launches, scenario.launches)
    return {"core": core, "states": states, "contenders": told}


def quickest_core(root: Path = Path("/")) -> Optional[int]:
    """The last of the cores with the highest frequency that this process may use, or None where it cannot be chosen.

    The first core often serves interrupts; of a big.LITTLE processor the big cores count.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = os.sched_getaffinity(0)

    def frequency(core: int) -> int:
        try:
            return int((root / f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq").read_text("ascii"))
        except (OSError, ValueError):
            return 0

    return max(usable, key=lambda core: (frequency(core), core))
