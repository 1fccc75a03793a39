"""Run jobs of the runtime on a device: bring their files there, start them, and take only complete results."""

from __future__ import annotations

__all__ = ["Setup", "prepared", "run_job", "start"]

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_devices.retries import retrying
from dwsep_runtime.conditions import Conditions
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.errors import ProtocolError
from dwsep_runtime.job import Job
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.protocol import ResultReader
from dwsep_runtime.scenarios import ColdStart, Interleaved
from dwsep_runtime.spawn import Completed, finish

if TYPE_CHECKING:
    from dwsep_runtime.scenarios import Scenario

RUNS = 3
"""How often a run is begun at most when its connection breaks."""

RESULT_KEYS = {"measured": dict, "state": dict, "device": dict, "harness_sha256": str}
"""What a result of any scenario tells, and the type of each."""


@dataclass(frozen=True)
class Setup:
    """How a run is set up, whatever its scenario.

    Attributes:
        settings: of the engine.
        conditions: what the device should be brought to.
        memory_limit_bytes: most data memory that the run may take; None for as much as the device has.
        manifest_sha256: of the artifact's manifest, kept in the result.
    """

    settings: EngineSettings = field(default_factory=EngineSettings)
    conditions: Conditions = field(default_factory=Conditions)
    memory_limit_bytes: int | None = None
    manifest_sha256: str = ""


def prepared(device: Device, model: Path, engine: str, scenario: Scenario, setup: Setup) -> Job:
    """Bring what a run needs to the device, and describe the run with the device's paths.

    Args:
        device: where to run.
        model: the model file, on this host.
        engine: name of the engine.
        scenario: what to do; the paths in it are this host's, and what they name is brought to the device.
        setup: how the run is set up.

    Raises:
        DeviceError: a file could not be brought there.
    """
    if scenario.name == "accuracy":
        asked: Any = scenario
        images, labels = (push_blob(device, Path(path)) for path in (asked.images, asked.labels))
        scenario = replace(asked, images=images, labels=labels)
    return Job(
        id=uuid.uuid4().hex,
        model=push_blob(device, model),
        sha256=sha256_of(model),
        engine=engine,
        scenario=scenario,
        settings=setup.settings,
        conditions=setup.conditions,
        memory_limit_bytes=setup.memory_limit_bytes,
        manifest_sha256=setup.manifest_sha256,
        title=model.name,
    )


def start(
    device: Device, job: Job, *, timeout: float, on_event: Callable[[dict[str, Any]], None] = lambda event: None
) -> dict[str, Any]:
    """Run a prepared job to its end.

    A run whose connection broke is begun again from nothing, a few times; nothing that it said before counts.

    Args:
        device: where its files are.
        job: what to do.
        timeout: seconds until it is ended.
        on_event: called with each event of the run as it arrives.

    Returns:
        The ``result`` event of the run, with ``log``, the lines of its output that were no events.

    Raises:
        DeviceError: the device failed.
        ProtocolError: the result is of other files, or lacks what every result tells.
        DwsepError: the run failed, with the error that it reported.
    """
    environment = ENGINES[job.engine].environment
    command = device.runtime_command_for(environment)

    def once() -> tuple[ResultReader, Completed]:
        reader = ResultReader(job.id, on_event)
        completed = device.run(
            command,
            stdin=f"{json.dumps(job.to_json())}\n",
            timeout=timeout,
            environment=device.runtime_environment,
            on_line=reader.feed,
        )
        return reader, completed

    reader, completed = retrying(once, tries=RUNS)
    result = finish(job, reader, completed)
    _require_files(job, result)
    _require_keys(job, result)
    facts = device.environment_facts(environment)
    return {**result, "environment": dict(facts), "log": [*reader.log, *completed.errors]}


def _require_files(job: Job, result: dict[str, Any]) -> None:
    """Make sure that a result says of the very files that were sent that it measured them.

    Raises:
        ProtocolError: it is of other files, or does not say of which.
    """
    asked, told = [job.sha256], [result]
    try:
        if isinstance(job.scenario, ColdStart):
            told = [result["measured"]["child"]]
        elif isinstance(job.scenario, Interleaved):
            asked = [contender["job"]["sha256"] for contender in job.scenario.contenders]
            told = [contender["result"] for contender in result["measured"]["contenders"]]
        hashes = [str(one["model"]["sha256"]) for one in told]
    except (KeyError, TypeError) as error:
        raise ProtocolError(f"the result does not say which file it is of; {job.title} was asked for") from error
    if hashes != asked:
        other = next((one for one, its in zip(hashes, asked, strict=False) if one != its), "none")
        raise ProtocolError(f"the result is of another file ({other[:12]}) than {job.title} ({job.sha256[:12]})")


def _require_keys(job: Job, result: dict[str, Any]) -> None:
    """Make sure that a result tells what every result does.

    Raises:
        ProtocolError: a key is missing or of another type.
    """
    for key, kind in RESULT_KEYS.items():
        if not isinstance(result.get(key), kind):
            accepted = "an object" if kind is dict else "a string"
            raise ProtocolError(
                f"the result of {job.title} has {f'{result[key]!r:.60}' if key in result else 'nothing'} for {key!r}, "
                f"which must be {accepted}; another program may have answered for the runtime"
            )


def run_job(
    device: Device,
    model: Path,
    engine: str,
    scenario: Scenario,
    setup: Setup = Setup(),  # frozen
    *,
    timeout: float,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """Prepare and run a job: :func:`prepared`, then :func:`start`, whose result it returns and errors it raises."""
    return start(device, prepared(device, model, engine, scenario, setup), timeout=timeout, on_event=on_event)
