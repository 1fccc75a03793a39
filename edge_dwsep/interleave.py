"""Measure variants in turns inside one session on a device, and compare them with the first."""

from __future__ import annotations

__all__ = ["InterleaveSettings", "measure_interleaved"]

import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dwsep_devices import Device, prepared, start
from dwsep_export import Artifact
from dwsep_runtime.conditions import Conditions
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.scenarios import Interleaved, Turns
from edge_dwsep.measure import LatencySettings, setup_of
from edge_dwsep.results import add_run, circumstances

SHARED = ("scenario", "threads", "batch", "options", "conditions", "memory_limit_bytes", "timeout")
"""Settings of latency that a session heeds."""

NO_VERDICT = "no verdict, for one of the two is not valid"


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

    Each is compared with the first on the same engine, and what is first on its engine with the first of all.

    Args:
        device: where to run.
        plan: artifact and engine of each contender.
        settings: threads, options and conditions of each; how long is said by ``session``.
        session: how long.
        results: with a record in ``runs`` for each contender already.
        on_progress: told of launches done and in all.

    Raises:
        DwsepError: the device or one of the runs failed; nothing can be compared then.
    """
    setups = [setup_of(artifact, engine, settings) for artifact, engine in plan]
    jobs = [
        prepared(device, artifact.file, engine, Turns(), replace(setup, conditions=Conditions()))
        for (artifact, engine), setup in zip(plan, setups, strict=True)
    ]
    contenders = tuple(
        {"job": job.to_json(), "command": list(device.runtime_command_for(ENGINES[job.engine].environment))}
        for job in jobs
    )
    scenario = Interleaved(contenders, session.launches, session.rounds, session.turn_seconds)
    whole = replace(jobs[0], id=uuid.uuid4().hex, scenario=scenario, title=_title(plan), conditions=settings.conditions)

    def progress(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            on_progress(event["done"], event["total"])

    expected = len(plan) * session.launches * (2.0 + session.rounds * session.turn_seconds * 2)
    if settings.conditions.cool_down_c is not None:
        expected += settings.conditions.cool_down_seconds
    result = start(device, whole, timeout=settings.timeout + expected, on_event=progress)
    results["settings"] = {**asdict(session), **{key: results["settings"].get(key) for key in SHARED}}
    engines = [engine for _, engine in plan]
    environments = [dict(device.environment_facts(ENGINES[engine].environment)) for engine in engines]
    _record(result, engines, environments, results)


def _record(
    result: dict[str, Any], engines: Sequence[str], environments: Sequence[dict[str, Any]], results: dict[str, Any]
) -> None:
    """Put what a session showed into the results."""
    import numpy as np

    from dwsep_runtime.arrays import decode_array
    from edge_dwsep.comparison import compare
    from edge_dwsep.latency import percentile_figures

    measured = result["measured"]
    whole = {key: result[key] for key in ("device", "harness_sha256")}
    for record, contender, environment in zip(results["runs"], measured["contenders"], environments, strict=True):
        last = contender["result"]
        launches = [np.ravel(decode_array(launch["turns_ns"])) for launch in contender["launches"]]
        figures = {
            "latency": {**percentile_figures(launches), "clock": last["measured"]["clock"], "core": measured["core"]},
            "memory": last["memory"],
            "conditions": result["conditions"],
            "doubts": [*result["doubts"], *contender["doubts"]],
            "invalid": [*result["invalid"], *contender["invalid"]],
            "log": result["log"],
            **circumstances({**last, **whole, "environment": environment}),
            "state": result["state"],
        }
        add_run(results, record, figures)
    for index in range(1, len(engines)):
        baseline = engines.index(engines[index])
        baseline = baseline if baseline != index else 0
        comparison = compare(measured["contenders"][baseline], measured["contenders"][index])
        if not (results["runs"][baseline]["valid"] and results["runs"][index]["valid"]):
            comparison["verdict"] = NO_VERDICT
        results["comparisons"].append({"baseline": baseline, "run": index, **comparison})


def _title(plan: Sequence[tuple[Artifact, str]]) -> str:
    return " and ".join(artifact.file.name for artifact, _ in plan)
