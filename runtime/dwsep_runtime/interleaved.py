"""Several models in processes that take turns on one core, so that what disturbs one disturbs all alike."""

from __future__ import annotations

__all__ = ["interleaved", "quickest_core"]

import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from dwsep_runtime.arrays import decode_array, encode_array
from dwsep_runtime.children import Child
from dwsep_runtime.job import Job
from dwsep_runtime.scenarios import Interleaved
from dwsep_runtime.state import quick_state

if TYPE_CHECKING:
    from numpy.typing import NDArray


LAUNCH_SECONDS = 3.0
LEAST_ROUNDS = 3
"""Models so slow that the rounds asked for would take longer than this get fewer rounds, at least three."""


def interleaved(scenario: Interleaved, on_progress: Callable[[int, int], None], *, pinned: bool) -> dict[str, Any]:
    """Run the launches: all processes started anew, warmed up, then turn by turn, every other round in reverse.

    Processes of one thread are put on one core: two cores of a machine differ by more, at any one moment, than the
    variants that are compared.

    Args:
        scenario: what takes part, and how long.
        on_progress: told of launches done and in all.
        pinned: whether the user has chosen the cores.

    Returns:
        JSON values: ``core`` (None where they were not put on one); ``states``, one a launch; ``contenders``, for each
        ``launches``: ``turns_ns`` (encoded int64 (rounds, inferences of a turn)); ``doubts`` and ``invalid``, of all
        its processes; and ``result``, that of the last.

    Raises:
        DwsepError: a process failed; the message names the model.
    """
    import numpy as np

    jobs = [Job.from_json(one["job"]) for one in scenario.contenders]
    core = quickest_core() if all(job.settings.threads == 1 for job in jobs) and not pinned else None
    told: list[dict[str, Any]] = [{"launches": [], "doubts": [], "invalid": [], "result": None} for _ in jobs]
    sizes: list[int] = []
    rounds, started = scenario.rounds, time.perf_counter_ns()
    states = []
    for launch in range(scenario.launches):
        on_progress(launch, scenario.launches)
        states.append({"at_ns": time.perf_counter_ns() - started, **quick_state()})
        with contextlib.ExitStack() as stack:
            children = [stack.enter_context(Child(job, one["command"])) for job, one in zip(jobs, scenario.contenders)]
            for child in children:
                child.wait_for("loaded")
                core = core if _keep_on(child.pid, core) else None
            typical = [_warmed_up(child) for child in children]
            if not sizes:
                sizes = [max(1, round(scenario.turn_seconds * 1e9 / max(1, ns))) for ns in typical]
                round_ns = sum(ns * (size + 1) for ns, size in zip(typical, sizes))
                rounds = min(rounds, max(LEAST_ROUNDS, round(LAUNCH_SECONDS * 1e9 / round_ns)))
            turns = _turns(children, sizes, rounds)
            for one, child, own in zip(told, children, turns):
                one["result"] = child.result()
                one["result"]["measured"].pop("samples_ns", None)
                one["launches"].append({"turns_ns": encode_array(np.stack(own))})
                one["doubts"] += one["result"]["doubts"]
                one["invalid"] += one["result"]["invalid"]
    for one in told:
        one["doubts"] = _by_kind(one["doubts"], scenario.launches)
        one["invalid"] = _by_kind(one["invalid"], scenario.launches)
    on_progress(scenario.launches, scenario.launches)
    return {"core": core, "states": states, "rounds": rounds, "contenders": told}


def _by_kind(sentences: Sequence[str], launches: int) -> list[str]:
    """One sentence for those that differ by their numbers alone, with the count of launches that said so."""
    kinds: dict[str, list[str]] = {}
    for sentence in sentences:
        kinds.setdefault(re.sub(r"[0-9.]+", "#", sentence), []).append(sentence)
    return [f"{same[0]} (so or alike in {len(same)} of {launches} launches)" for same in kinds.values()]


def _warmed_up(child: Child) -> int:
    """Let a process warm up; returns the nanoseconds that an inference of it takes."""
    child.say("warm-up")
    return int(child.wait_for("ready")["typical_ns"])


def _turns(children: Sequence[Child], sizes: Sequence[int], rounds: int) -> list[list[NDArray[Any]]]:
    turns: list[list[NDArray[Any]]] = [[] for _ in children]
    for round_ in range(rounds):
        order = range(len(children)) if round_ % 2 == 0 else reversed(range(len(children)))
        for which in order:
            children[which].say(str(sizes[which]))
            turns[which].append(decode_array(children[which].wait_for("turn")["samples_ns"]))
    return turns


def _keep_on(process: int, core: Optional[int]) -> bool:
    """Keep a process on a core; False where that is not permitted, or not wanted."""
    if core is None:
        return False
    try:
        os.sched_setaffinity(process, {core})
    except OSError:
        return False
    return True


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
