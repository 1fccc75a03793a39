"""Measure variants in turns inside one session on a device, and compare them with the first."""

from __future__ import annotations

__all__ = ["InterleaveSettings", "measure_interleaved"]

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dwsep_devices import Device, prepared, start
from dwsep_export import Artifact
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.job import Job
from dwsep_runtime.scenarios import Interleaved, Turns
from edge_dwsep.measure import LatencySettings, setup_of
from edge_dwsep.results import add_run, circumstances


@dataclass(frozen=True)
class InterleaveSettings:
    """How long a session lasts.

    Attributes:
        launches: how often every process is started anew; the unit that the interval counts.
        rounds: turns of each process in a launch.
        turn_seconds: length of a turn.
    """

    launches: int = 10
    rounds: int = 20
    turn_seconds: float = 0.02


def measure_interleaved(
    device: Device,
    plan: Sequence[tuple[Artifact, str]],
    settings: LatencySettings,
    session: InterleaveSettings,
    results: dict[str, Any],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Measure artifacts in turns; fills the latency of ``results["runs"]`` and ``results["comparisons"]``.

    Args:
        device: where to run.
        plan: artifact and engine of each contender; the first is what the others are compared with.
        settings: threads, options and conditions of each; how long is said by ``session``.
        session: how long.
        results: with a record in ``runs`` for each contender already.
        on_progress: told of launches done and in all.

    Raises:
        DwsepError: the device or one of the runs failed; nothing can be compared then.
    """
    jobs = [
        prepared(device, artifact.file, engine, Turns(), setup_of(artifact, engine, settings))
        for artifact, engine in plan
    ]
    contenders = tuple(
        {"job": job.to_json(), "command": list(device.runtime_command_for(ENGINES[job.engine].environment))}
        for job in jobs
    )
    scenario = Interleaved(contenders, session.launches, session.rounds, session.turn_seconds)
    whole = Job(uuid.uuid4().hex, jobs[0].model, jobs[0].sha256, jobs[0].engine, scenario, title=_title(plan))

    def progress(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            on_progress(event["done"], event["total"])

    expected = len(plan) * session.launches * (2.0 + session.rounds * session.turn_seconds * 2)
    result = start(device, whole, timeout=settings.timeout + expected, on_event=progress)
    _record(result, results)


def _record(result: dict[str, Any], results: dict[str, Any]) -> None:
    """Put what a session showed into the results."""
    import numpy as np

    from dwsep_runtime.arrays import decode_array
    from edge_dwsep.comparison import compare
    from edge_dwsep.latency import percentile_figures

    measured = result["measured"]
    for record, contender in zip(results["runs"], measured["contenders"], strict=True):
        last = contender["result"]
        launches = [np.ravel(decode_array(launch["turns_ns"])) for launch in contender["launches"]]
        figures = {
            "latency": {**percentile_figures(launches), "clock": last["measured"]["clock"], "core": measured["core"]},
            "memory": last["memory"],
            "conditions": last["conditions"],
            "doubts": [*result["doubts"], *last["doubts"]],
            "invalid": [*result["invalid"], *last["invalid"]],
            **circumstances({**last, "device": result["device"], "harness_sha256": result["harness_sha256"]}),
            "state": result["state"],
        }
        add_run(results, record, figures)
    results["comparisons"] = [
        {"baseline": 0, "run": index, **comparison}
        for index, comparison in enumerate(compare(measured["contenders"]), start=1)
    ]


def _title(plan: Sequence[tuple[Artifact, str]]) -> str:
    return " and ".join(artifact.file.name for artifact, _ in plan)
