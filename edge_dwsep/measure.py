"""Measure the latency of artifacts on a device: each scenario, in fresh processes."""

from __future__ import annotations

__all__ = [
    "LatencySettings",
    "known_options",
    "latency_of_launches",
    "launch",
    "measure_latency",
    "profile_latency",
    "require_known_options",
    "run_record",
    "setup_of",
]

import importlib
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dwsep_devices import Device, Setup, run_job
from dwsep_export import Artifact
from dwsep_runtime.conditions import Conditions
from dwsep_runtime.engines import ENGINES, engine_options, require_options
from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.scenarios import MODES, ColdStart, Offline, ProfileOperators, SingleStream, Sustained
from edge_dwsep.results import circumstances

LEAST_PROCESSES = 3
"""Two say too little of how much processes differ."""

STARTS_SECONDS = 10.0
"""Seconds that each start of scenario cold-start may take more."""


@dataclass(frozen=True)
class LatencySettings:
    """What to measure of latency, how long, and under which conditions.

    Attributes:
        scenario: single-stream, offline, sustained or cold-start.
        min_samples: timed inferences at least.
        min_seconds: seconds of timed inferences at least; both minimums hold, over all processes.
        processes: fresh processes that these are divided among.
        max_warmup_seconds: the warm-up ends when times are steady, or after this long.
        precision: end early once p50's (or ``percentile``'s) interval is narrower than this share to either side.
        percentile: the one that ``precision`` looks at.
        seconds: of scenario sustained.
        starts: of scenario cold-start.
        threads: of the engine.
        batch: samples of an inference.
        options: of the engines; each takes those that it knows.
        conditions: what the device should be brought to.
        memory_limit_bytes: most data memory that a run may take.
        timeout: seconds that a run may take besides warm-up and measurement.
    """

    scenario: str = "single-stream"
    min_samples: int = MODES["quick"].min_samples
    min_seconds: float = MODES["quick"].min_seconds
    processes: int = MODES["quick"].processes
    max_warmup_seconds: float = 3.0
    precision: float | None = None
    percentile: float = 50.0
    seconds: float = 300.0
    starts: int = 10
    threads: int = 1
    batch: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)
    memory_limit_bytes: int | None = None
    timeout: float = 300.0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "options": dict(self.options), "conditions": self.conditions.to_json()}


def run_record(device: str, artifact: Artifact, title: str, engine: str, threads: int) -> dict[str, Any]:
    """What a run's record says of the artifact, before anything is measured."""
    return {
        "device": device,
        "emulated": False,
        "model": artifact.manifest.model.name if artifact.manifest else "",
        "variant": title,
        "format": artifact.format,
        "scheme": artifact.scheme,
        "engine": engine,
        "engine_version": None,
        "threads": threads,
        "batch": 1,
        "engine_options": {},
        "file": artifact.file.name,
        "file_bytes": artifact.file.stat().st_size,
        "sha256": artifact.sha256,
        "manifest_sha256": artifact.manifest_sha256,
        "status": "ok",
        "valid": True,
        "error": None,
        "error_class": None,
        "latency": None,
        "throughput": None,
        "sustained": None,
        "cold_start": None,
        "cost": None,
        "native": None,
        "memory": None,
        "operators": None,
        "accuracy": None,
        "agreement": None,
        "warnings": list(artifact.manifest.warnings) if artifact.manifest else [],
        "state": None,
    }


def require_known_options(options: Mapping[str, str], engines: Collection[str]) -> None:
    """Make sure that each option is known to one of the engines, and its value to all that know it.

    Raises:
        UnknownName: none of the engines has an option of that name.
        InvalidInput: an engine does not accept the value.
    """
    known = {name: {option.name for option in engine_options(name)} for name in engines}
    for option in options:
        if not any(option in names for names in known.values()):
            raise UnknownName(f"option of {', '.join(sorted(engines))}", option, set().union(*known.values()))
    for name in engines:
        require_options(name, {option: value for option, value in options.items() if option in known[name]})


def known_options(engine: str, options: Mapping[str, str]) -> dict[str, str]:
    """Those of the options that an engine knows."""
    known = {option.name for option in engine_options(engine)}
    return {name: value for name, value in options.items() if name in known}


def setup_of(artifact: Artifact, engine: str, settings: LatencySettings) -> Setup:
    """The setup of a run: of the options those that the engine knows."""
    return Setup(
        settings=EngineSettings(
            threads=settings.threads, batch=settings.batch, options=known_options(engine, settings.options)
        ),
        conditions=settings.conditions,
        memory_limit_bytes=settings.memory_limit_bytes,
        manifest_sha256=artifact.manifest_sha256,
    )


def measure_latency(device: Device, artifact: Artifact, engine: str, settings: LatencySettings) -> dict[str, Any]:
    """Time an artifact by a scenario, in fresh processes on the device.

    Returns:
        Keys to put into the run's record: ``latency``, and by scenario ``throughput``, ``sustained`` or
        ``cold_start``; ``memory``, ``engine_version``, ``state``, ``device``, ``harness_sha256``, ``log``, ``valid``,
        and ``doubts`` to be added to its warnings.

    Raises:
        DwsepError: the device or the run failed.
    """
    if settings.scenario == "cold-start":
        return _cold_start(device, artifact, engine, settings, setup_of(artifact, engine, settings))
    processes = 1 if settings.scenario == "sustained" else settings.processes
    # What makes figures of samples takes a tenth of a second to import; the device is at work meanwhile.
    threading.Thread(target=importlib.import_module, args=("edge_dwsep.latency",), daemon=True).start()
    results: list[dict[str, Any]] = []
    while len(results) < processes and not _narrow_enough(results, settings):
        results.append(launch(device, artifact, engine, settings))
    return latency_of_launches(results, settings)


def launch(device: Device, artifact: Artifact, engine: str, settings: LatencySettings) -> dict[str, Any]:
    """Time an artifact in one fresh process, its share of what ``settings`` ask for.

    Returns:
        The result of the run; see :func:`dwsep_devices.run_job`.

    Raises:
        DwsepError: the device or the run failed.
    """
    scenario, expected = _share_of(settings)
    limit = settings.timeout + expected + _cool_down_seconds(settings)
    return run_job(device, artifact.file, engine, scenario, setup_of(artifact, engine, settings), timeout=limit)


def latency_of_launches(results: list[dict[str, Any]], settings: LatencySettings) -> dict[str, Any]:
    """What several launches of one run show together: keys to put into its record, as :func:`measure_latency` does.

    Args:
        results: what :func:`launch` gave, one a process.
        settings: that they were measured with.
    """
    from edge_dwsep.latency import doubts_of_all, latency_figures, throughput_figures

    measured: dict[str, Any] = {
        "latency": latency_figures(results),
        "memory": _largest([result["memory"] for result in results]),
    }
    if settings.scenario == "offline":
        measured["throughput"] = throughput_figures(results)
    elif settings.scenario == "sustained":
        told = results[0]["measured"]
        measured["sustained"] = {key: told[key] for key in ("windows", "throttling", "signs")}
    return {
        **measured,
        "conditions": results[0]["conditions"],
        "doubts": [*_together(results, "doubts"), *doubts_of_all(results, settings)],
        "invalid": _together(results, "invalid"),
        "log": [line for result in results for line in result["log"]],
        **circumstances(results[0]),
        "state": {"before": results[0]["state"]["before"], "after": results[-1]["state"]["after"]},
    }


def _share_of(settings: LatencySettings) -> tuple[SingleStream | Offline | Sustained, float]:
    """What one process does, and the seconds that it takes at most."""
    if settings.scenario == "sustained":
        window = min(Sustained.window_seconds, settings.seconds / 20)
        return Sustained(settings.seconds, window), settings.seconds
    samples = -(-settings.min_samples // settings.processes)
    seconds = settings.min_seconds / settings.processes
    warm_up = settings.max_warmup_seconds
    if settings.scenario == "offline":
        return Offline(samples, seconds, warm_up), seconds + warm_up
    return SingleStream(samples, seconds, warm_up, settings.precision, settings.percentile), seconds + warm_up


def profile_latency(
    device: Device, artifact: Artifact, engine: str, settings: LatencySettings, seconds: float = 5.0
) -> dict[str, Any]:
    """Time an artifact operator by operator: key ``operators`` to put into the run's record.

    Raises:
        DwsepError: the device or the run failed, or the model cannot be taken apart.
    """
    result = run_job(
        device,
        artifact.file,
        engine,
        ProfileOperators(seconds),
        setup_of(artifact, engine, settings),
        timeout=settings.timeout + 4 * seconds + _cool_down_seconds(settings),
    )
    return {"operators": result["measured"], "doubts": result["doubts"], "invalid": result["invalid"]}


def _cold_start(
    device: Device, artifact: Artifact, engine: str, settings: LatencySettings, setup: Setup
) -> dict[str, Any]:
    command = tuple(device.runtime_command_for(ENGINES[engine].environment))
    scenario = ColdStart(command, settings.starts)
    limit = settings.timeout + STARTS_SECONDS * settings.starts + _cool_down_seconds(settings)
    result = run_job(device, artifact.file, engine, scenario, setup, timeout=limit)
    from edge_dwsep.latency import cold_start_figures

    child = result["measured"]["child"]
    return {
        "cold_start": cold_start_figures(result["measured"]),
        "memory": child["memory"],
        "conditions": result["conditions"],
        "doubts": result["doubts"],
        "invalid": result["invalid"],
        "log": result["log"],
        **circumstances({**child, **{key: result[key] for key in ("state", "device", "environment")}}),
    }


def _narrow_enough(results: list[dict[str, Any]], settings: LatencySettings) -> bool:
    """Whether the processes so far know the percentile as precisely as was asked; fewer than three never do."""
    if settings.precision is None or len(results) < LEAST_PROCESSES:
        return False
    from edge_dwsep.latency import relative_half_width_of

    width = relative_half_width_of(results, settings.percentile)
    return width is not None and width < settings.precision


def _cool_down_seconds(settings: LatencySettings) -> float:
    """Seconds that a run may wait for the device to cool down."""
    return settings.conditions.cool_down_seconds if settings.conditions.cool_down_c is not None else 0.0


def _largest(memories: list[dict[str, Any]]) -> dict[str, Any]:
    """The largest of each figure over several processes; None where none tells it."""
    return {
        name: max((memory[name] for memory in memories if memory[name] is not None), default=None)
        for name in memories[0]
    }


def _together(results: list[dict[str, Any]], key: str) -> list[str]:
    """What several processes said, each sentence once."""
    return list(dict.fromkeys(sentence for result in results for sentence in result[key]))
