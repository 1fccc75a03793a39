"""Run a job of the runtime on a device: bring its files there, start it, and take only a complete result."""

from __future__ import annotations

__all__ = ["run_job"]

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_runtime.engines import engine_kind
from dwsep_runtime.job import Accuracy, Job, Scenario
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.protocol import ResultReader
from dwsep_runtime.spawn import finish


def run_job(
    device: Device,
    model: Path,
    engine: str,
    scenario: Scenario,
    *,
    threads: int = 1,
    manifest_sha256: str = "",
    timeout: float,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """Measure a model on a device.

    Args:
        device: where to run.
        model: the model file, on this host.
        engine: name of the engine.
        scenario: what to do; the paths in it are this host's, and what they name is brought to the device.
        threads: of the engine.
        manifest_sha256: of the artifact's manifest, kept in the result.
        timeout: seconds until the run is ended.
        on_event: called with each event of the run as it arrives.

    Returns:
        The ``result`` event of the run.

    Raises:
        UnknownName: no engine has that name.
        DeviceError: the device failed.
        DwsepError: the run failed, with the error that it reported.
    """
    if isinstance(scenario, Accuracy):
        images, labels = (push_blob(device, Path(path)) for path in (scenario.images, scenario.labels))
        scenario = replace(scenario, images=images, labels=labels)
    job = Job(
        id=uuid.uuid4().hex,
        model=push_blob(device, model),
        sha256=sha256_of(model),
        engine=engine,
        scenario=scenario,
        threads=threads,
        manifest_sha256=manifest_sha256,
        title=model.name,
    )
    reader = ResultReader(job.id, on_event)
    completed = device.run(
        device.runtime_command_for(engine_kind(engine).environment),
        stdin=json.dumps(job.to_json()),
        timeout=timeout,
        environment=device.runtime_environment,
        on_line=reader.feed,
    )
    return finish(job, reader, completed)
