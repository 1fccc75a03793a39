"""Do a job in this process: load the model, run the scenario, report what came out and how the device was."""

from __future__ import annotations

__all__ = ["harness_sha256", "run_job"]

import hashlib
import time
from pathlib import Path
from typing import Any, Callable

from dwsep_runtime import __version__
from dwsep_runtime.accuracy import accuracy, predict
from dwsep_runtime.engines import EngineSettings, allocate_engine, load_engine
from dwsep_runtime.errors import DwsepError, EngineError, InvalidModel
from dwsep_runtime.job import SCHEMA_VERSION, Accuracy, Job, SingleStream
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.state import device_facts, device_state
from dwsep_runtime.timing import single_stream

Emit = Callable[[dict[str, Any]], None]


def run_job(job: Job, emit: Emit) -> None:
    """Run a job and emit its events, ``result`` and ``end`` last.

    Args:
        job: what to do.
        emit: takes each event (JSON values).

    Raises:
        DwsepError: the job cannot be done; nothing is emitted for it here.
    """
    model = Path(job.model)
    if model.is_file() and sha256_of(model) != job.sha256:
        raise InvalidModel(
            f"{job.title} on the device is not the file that was asked for (its SHA-256 differs); push it again"
        )
    emit({"event": "phase", "job": job.id, "phase": "load"})
    before = device_state()
    started = time.perf_counter_ns()
    engine, version = load_engine(job.engine, model, EngineSettings(threads=job.threads), job.title)
    allocate_engine(engine, job.engine, version, job.title)
    load_ns = time.perf_counter_ns() - started

    def progress(done: int, total: int) -> None:
        emit({"event": "progress", "job": job.id, "done": done, "total": total})

    def phase(name: str) -> None:
        emit({"event": "phase", "job": job.id, "phase": name})

    scenario = job.scenario
    try:
        if isinstance(scenario, SingleStream):
            measured = single_stream(engine, scenario, on_phase=phase)
        elif isinstance(scenario, Accuracy):
            measured = accuracy(engine, scenario, on_progress=progress)
        else:
            measured = predict(engine, scenario, on_progress=progress)
    except (DwsepError, MemoryError):
        raise
    except Exception as error:  # whatever an engine raises while running
        detail = " ".join(str(error).split())
        raise EngineError(f"engine {job.engine} {version} failed to run {job.title}: {detail}") from error
    emit(
        {
            "event": "result",
            "job": job.id,
            "schema_version": SCHEMA_VERSION,
            "runtime_version": __version__,
            "harness_sha256": harness_sha256(),
            "engine": {"name": job.engine, "version": version, "threads": job.threads},
            "model": {
                "sha256": job.sha256,
                "manifest_sha256": job.manifest_sha256,
                "bytes": model.stat().st_size,
                "inputs": [tensor.to_json() for tensor in engine.inputs],
                "outputs": [tensor.to_json() for tensor in engine.outputs],
            },
            "scenario": job.to_json()["scenario"],
            "load_ns": load_ns,
            "measured": measured,
            "device": device_facts(),
            "state": {"before": before, "after": device_state()},
        }
    )
    emit({"event": "end", "job": job.id})


def harness_sha256() -> str:
    """Hash of this package's sources: two results with the same hash were measured by the same code."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for source in sorted(folder.rglob("*.py")):
        digest.update(str(source.relative_to(folder)).encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()
