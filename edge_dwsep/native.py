"""Latency by the user's own build of TensorFlow Lite's benchmark_model, for delegates that no Python engine reaches."""

from __future__ import annotations

__all__ = ["NativeRunner", "measure_natively", "native_plan", "runner_from"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwsep_devices import Device
from dwsep_devices.benchmark_runner import RUNNER, run_benchmark_model
from dwsep_export import Artifact
from dwsep_runtime.errors import InvalidInput, UnknownName
from edge_dwsep.measure import LatencySettings


@dataclass(frozen=True)
class NativeRunner:
    """A program of the user's that measures by itself.

    Attributes:
        binary: built for the device.
        arguments: further ones for it, such as ``--use_gpu=true``.
    """

    binary: Path
    arguments: tuple[str, ...] = ()


def runner_from(given: str, arguments: Sequence[str]) -> NativeRunner:
    """A runner as ``--runner benchmark_model=PATH`` says it.

    Raises:
        InvalidInput: no path, or one that is no file.
        UnknownName: another runner.
    """
    name, _, path = given.partition("=")
    if name != RUNNER:
        raise UnknownName("runner", name, [RUNNER])
    if not path or not Path(path).is_file():
        raise InvalidInput(
            f"--runner must be {RUNNER}=PATH, the tool built for the device; received {given!r}, which is no file"
        )
    return NativeRunner(Path(path), tuple(arguments))


def native_plan(artifacts: Sequence[Artifact]) -> list[tuple[Artifact, str]]:
    """Each artifact with the runner in the engine's place.

    Raises:
        InvalidInput: one is no .tflite file.
    """
    for artifact in artifacts:
        if artifact.format != "tflite":
            raise InvalidInput(f"{RUNNER} runs .tflite files, received {artifact.file.name}")
    return [(artifact, RUNNER) for artifact in artifacts]


def measure_natively(
    device: Device, artifact: Artifact, runner: NativeRunner, settings: LatencySettings
) -> dict[str, Any]:
    """Run the tool on the device.

    Returns:
        Keys to put into the run's record: ``native``, what the tool told (milliseconds without samples), and
        ``doubts`` to be added to its warnings.

    Raises:
        DwsepError: the device or the tool failed.
    """
    told = run_benchmark_model(
        device,
        runner.binary,
        artifact.file,
        threads=settings.threads,
        num_runs=settings.min_samples,
        seconds=settings.min_seconds,
        timeout=settings.timeout + settings.min_seconds,
        arguments=runner.arguments,
    )
    doubts = [f"{RUNNER} tells no samples, so there is no interval, and nothing is checked of the device's state"]
    if told["delegated"] is False:
        doubts.append(f"a delegate was not used: {'; '.join(told['delegates'])[:200]}")
    return {"native": told, "doubts": doubts}
