"""Do a job in this process: load the model, run the scenario, report what came out and how the device was."""

from __future__ import annotations

__all__ = ["run_job"]

import importlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Union

from dwsep_runtime import __version__
from dwsep_runtime.conditions import Record, applied
from dwsep_runtime.engines import Engine, allocate_engine, import_engine, load_engine
from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import DwsepError, EngineError, InvalidModel
from dwsep_runtime.harness import harness_sha256
from dwsep_runtime.job import SCHEMA_VERSION, Job
from dwsep_runtime.memory import limit_memory, peak_resident_bytes, reset_peak, resident_bytes
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.scenarios import ColdStart, FirstInference, Interleaved
from dwsep_runtime.state import device_facts, device_state
from dwsep_runtime.witness import judged

TIMED = frozenset({"single-stream", "offline", "sustained", "turns"})

WRITING = frozenset({"cold-start", "interleaved", "profile-operators"})
"""Scenarios that write temporary files. The others do not wait for the import of ``tempfile``."""

Emit = Callable[[dict[str, Any]], None]
Progress = Callable[[int, int], None]

NUMBERS = ("bool", "float", "int", "uint")
"""How the names of dtypes begin that are numbers."""


def run_job(job: Job, emit: Emit, lines: Iterable[str] = (), main_at_ns: Optional[int] = None) -> None:
    """Run a job and emit its events, ``result`` and ``end`` last.

    Args:
        job: what to do.
        emit: takes each event (JSON values).
        lines: further input of the scenario, for taking turns.
        main_at_ns: reading of the monotonic clock when this process's first line ran.

    Raises:
        DwsepError: the job cannot be done; nothing is emitted for it here.
    """

    def say(event: dict[str, Any]) -> None:
        emit({**event, "job": job.id})

    def progress(done: int, total: int) -> None:
        say({"event": "progress", "done": done, "total": total})

    if job.scenario.name in WRITING:
        _have_temporary_folder(Path(job.model))
    if isinstance(job.scenario, (ColdStart, Interleaved)):
        conducted = _conduct(job, job.scenario, progress)
        say({"event": "result", "schema_version": SCHEMA_VERSION, **_facts(), **conducted})
    else:
        ran = _run(job, say, progress, lines, main_at_ns)
        say({"event": "result", "schema_version": SCHEMA_VERSION, **_facts(), **ran})
    say({"event": "end"})


def _have_temporary_folder(model: Path) -> None:
    """Take the model's folder for temporary files where the device has none, as Android without TMPDIR."""
    import tempfile

    try:
        tempfile.gettempdir()
    except OSError:
        tempfile.tempdir = str(model.resolve().parent)


def _facts() -> dict[str, Any]:
    return {"runtime_version": __version__, "harness_sha256": harness_sha256(), "device": device_facts()}


def _conduct(job: Job, scenario: Union[ColdStart, Interleaved], progress: Progress) -> dict[str, Any]:
    """Run a scenario whose work is done by processes that it starts; the conditions hold for all of them."""
    before = device_state()
    with applied(job.conditions) as records:
        if isinstance(scenario, ColdStart):
            from dwsep_runtime.cold_start import cold_start

            _require_content(job)
            measured = cold_start(job, scenario, progress)
        else:
            from dwsep_runtime.interleaved import interleaved

            measured = interleaved(scenario, progress, pinned=job.conditions.pin is not None)
        after = device_state()
    result = {"measured": measured, "state": {"before": before, "after": after}, "conditions": records}
    return {"scenario": job.to_json()["scenario"], **result, **judged(job, result, device_facts()["cores"])}


def _run(
    job: Job,
    say: Emit,
    progress: Progress,
    lines: Iterable[str],
    main_at_ns: Optional[int],
) -> dict[str, Any]:
    """Run a scenario in this process."""
    model = Path(job.model)
    first = isinstance(job.scenario, FirstInference)
    if not first:  # of a cold start the file is looked at afterwards: reading it before would warm it up
        _require_content(job)
    facts = device_facts()
    limit = job.memory_limit_bytes or facts["memory_bytes"]
    limited = limit is None or limit_memory(limit)
    before: dict[str, Any] = {} if first else device_state()
    with applied(job.conditions) as records:
        if job.memory_limit_bytes is not None and not limited:
            records.append(_limit_not_had(job.memory_limit_bytes))
        stages: dict[str, Any] = {"main_at_ns": main_at_ns}
        memory: dict[str, Any] = {}
        say({"event": "phase", "phase": "load"})
        try:
            engine, version = _ready(job, model, stages, memory)
        except DwsepError:
            _require_content(job)  # the wrong file is the better reason
            raise
        peak_is_ours = reset_peak()
        measured = _measure(_Running(job, engine, say, progress, lines), version)
        stages["done_at_ns"] = measured.pop("done_at_ns", time.monotonic_ns())
        peak = measured.pop("peak_bytes", None) or peak_resident_bytes()
        memory["peak_bytes"] = peak if peak_is_ours else None
        memory["arena_bytes"] = engine.arena_bytes()
        memory["file_bytes"] = model.stat().st_size
        if job.scenario.name in TIMED:
            measured["finite_outputs"] = _finite_outputs(engine)  # copies them, so it comes after the peak is read
        after: dict[str, Any] = {} if first else device_state()
    if first:
        _require_content(job)
    result = {
        "engine": {
            "name": job.engine,
            "version": version,
            "threads": job.settings.threads,
            "batch": job.settings.batch,
            "options": dict(job.settings.options),
        },
        "model": {
            "sha256": job.sha256,
            "manifest_sha256": job.manifest_sha256,
            "bytes": memory["file_bytes"],
            "inputs": [tensor.to_json() for tensor in engine.inputs],
            "outputs": [tensor.to_json() for tensor in engine.outputs],
        },
        "scenario": job.to_json()["scenario"],
        "stages": stages,
        "memory": memory,
        "measured": measured,
        "conditions": records,
        "state": {"before": before, "after": after},
    }
    return {**result, **judged(job, result, facts["cores"])}


def _limit_not_had(limit: int) -> Record:
    asked = f"{limit / 1e6:g} MB"
    return {"condition": "memory-limit", "asked": asked, "done": False, "said": "this device does not permit it"}


def _finite_outputs(engine: Engine) -> Optional[bool]:
    """Whether the outputs of the last inference are finite numbers; None where there are others than numbers."""
    import numpy as np

    if not all(tensor.dtype.startswith(NUMBERS) for tensor in engine.outputs):
        return None  # TensorFlow Lite dies of being asked for strings that no operator has written
    return all(bool(np.isfinite(one).all()) for one in engine.get_outputs())


def _require_content(job: Job) -> None:
    model = Path(job.model)
    if model.is_file() and sha256_of(model) != job.sha256:
        raise InvalidModel(
            f"{job.title} on the device is not the file that was asked for (its SHA-256 differs); push it again"
        )


def _ready(job: Job, model: Path, stages: dict[str, Any], memory: dict[str, Any]) -> tuple[Engine, str]:
    """Import, load and allocate, and keep the time and memory of each."""
    clock = time.perf_counter_ns
    begun = clock()
    import_engine(job.engine)
    imported = clock()
    memory["before_load_bytes"] = resident_bytes()
    loading = clock()
    engine, version = load_engine(job.engine, model, job.settings, job.title)
    loaded = clock()
    allocate_engine(engine, job.engine, version, job.title)
    allocated = clock()
    memory["allocated_bytes"] = resident_bytes()
    stages.update(import_ns=imported - begun, load_ns=loaded - loading, allocate_ns=allocated - loaded)
    return engine, version


@dataclass(frozen=True)
class _Running:
    """What a scenario may use of the run that it is in."""

    job: Job
    engine: Engine
    say: Emit
    progress: Progress
    lines: Iterable[str]

    @property
    def batch(self) -> int:
        return self.job.settings.batch

    def phase(self, name: str) -> None:
        self.say({"event": "phase", "phase": name})


RUNNERS: dict[str, tuple[str, Callable[[Any, _Running, Any], dict[str, Any]]]] = {
    "single-stream": ("streams", lambda do, run, how: do.single_stream(run.engine, how, on_phase=run.phase)),
    "offline": ("streams", lambda do, run, how: do.offline(run.engine, run.batch, how, on_phase=run.phase)),
    "sustained": ("sustained", lambda do, run, how: do.sustained(run.engine, how, on_phase=run.phase)),
    "first-inference": ("streams", lambda do, run, how: do.first_inference(run.engine, how)),
    "turns": ("streams", lambda do, run, how: do.take_turns(run.engine, how, run.lines, run.say)),
    "profile-operators": ("operators.profile", lambda do, run, how: do.profile_job(run.job, how)),
    "accuracy": ("accuracy", lambda do, run, how: do.accuracy(run.engine, how, on_progress=run.progress)),
    "agreement": ("agreement", lambda do, run, how: do.agreement(run.engine, how, on_progress=run.progress)),
    "predict": ("agreement", lambda do, run, how: do.predict(run.engine, how, on_progress=run.progress)),
}
"""How each scenario that runs in this process is run, and the module of this package that is imported for it."""


def _measure(run: _Running, version: str) -> dict[str, Any]:
    try:
        module, runner = RUNNERS[run.job.scenario.name]
        return runner(importlib.import_module(f"dwsep_runtime.{module}"), run, run.job.scenario)
    except (DwsepError, MemoryError):
        raise
    except Exception as error:  # whatever an engine raises while running
        reason = plain_reason(error)
        raise EngineError(f"engine {run.job.engine} {version} failed to run {run.job.title}: {reason}") from error
