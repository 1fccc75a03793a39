"""The work of the steps that a device does; the device is opened once and kept for the steps after."""

from __future__ import annotations

__all__ = ["OpenDevices", "measure_work"]

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices import Device
from dwsep_devices.registry import opened
from dwsep_export import Artifact
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import DwsepError
from edge_dwsep.measure import LatencySettings, launch, profile_latency
from edge_dwsep.sweep.alone import alone_here
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.errors import LostContent
from edge_dwsep.sweep.measure_steps import latency_settings_of
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput

if TYPE_CHECKING:
    from edge_dwsep.measured_accuracy import EvaluationFiles, Predictions

Say = Callable[[str], None]


class OpenDevices:
    """Devices that this process has opened, and the folder that artifacts are laid out in; a context manager."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str], Device] = {}
        self._stack = contextlib.ExitStack()
        self._folder: Path | None = None
        self.evaluated: dict[str, tuple[EvaluationFiles, Predictions | None]] = {}

    def __enter__(self) -> OpenDevices:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """A temporary folder of this process."""
        if self._folder is None:
            made = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-dwsep-sweep-"))
            self._folder = Path(made)
        return self._folder

    def device(self, step: Step, say: Say) -> Device:
        """The device of a step, opened if it is not.

        Raises:
            DwsepError: it cannot be opened.
        """
        cost = str(step.asides.get("cost", ""))
        found = self._devices.get((step.device, cost))
        if found is None:
            environments = (ENGINES[step.spec["engine"]].environment,) if cost and "engine" in step.spec else ()
            opening = opened(
                step.device,
                cost=cost,
                environments=environments,
                wait=bool(step.asides.get("wait", True)),
                on_step=say,
            )
            found = self._devices[step.device, cost] = self._stack.enter_context(opening)
        return found

    def close(self) -> None:
        """Close all devices and remove the folder; may be called again."""
        self._devices.clear()
        self.evaluated.clear()
        self._folder = None
        self._stack.close()


def measure_work(
    step: Step, inputs: Mapping[str, StepOutput], blobs: BlobFolder, devices: OpenDevices, say: Say = lambda said: None
) -> StepOutput:
    """Do one step on its device.

    Args:
        step: of a kind that a device does.
        inputs: outputs of what it needs, by role: ``convert`` and ``verify`` of the artifact, for accuracy ``data`` and
            ``reference``.
        blobs: where their files are.
        devices: that this process has opened.
        say: told what takes long.

    Returns:
        Of LAUNCH the result of the run with ``started`` and ``ended`` (UTC) and ``artifact_sha256``; of the others
        ``record``, keys to put into the record of the run, and the same three.

    Raises:
        DwsepError: the device, or the run, failed.
        LostContent: a file is not in ``blobs``, or damaged.
    """
    device = devices.device(step, say)
    if step.kind is StepKind.REACH:
        return StepOutput({"description": dict(device.description), "root": device.root})  # which is asked of it
    with alone_here(wait=bool(step.asides.get("wait", True)), say=say) if step.device == "local" else nullcontext():
        return _done(step, device, inputs, blobs, devices)


def _done(
    step: Step, device: Device, inputs: Mapping[str, StepOutput], blobs: BlobFolder, devices: OpenDevices
) -> StepOutput:
    """Do a step on its open device."""
    artifact = _artifact(inputs, blobs, devices)
    if artifact.sha256 != step.spec["artifact_sha256"]:  # it was lost, and came out differently when it was made again
        raise LostContent(step.spec["artifact_sha256"])
    if step.kind is StepKind.PUSH:
        from dwsep_devices.blobs import push_blob

        return StepOutput({"path": push_blob(device, artifact.file)})
    facts = {"started": _now(), "artifact_sha256": artifact.sha256}
    if step.kind is StepKind.LAUNCH:
        told = dict(launch(device, artifact, step.spec["engine"], latency_settings_of(step)))
    else:
        told = {"record": _record(step, device, artifact, inputs, blobs, devices)}
    return StepOutput({**told, **facts, "ended": _now()})


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _record(
    step: Step,
    device: Device,
    artifact: Artifact,
    inputs: Mapping[str, StepOutput],
    blobs: BlobFolder,
    devices: OpenDevices,
) -> dict[str, Any]:
    """What a step adds to the record of its run."""
    engine = step.spec["engine"]
    if step.kind is StepKind.OPERATORS:
        return profile_latency(device, artifact, engine, latency_settings_of(step))
    if step.kind is StepKind.COUNT:
        from edge_dwsep.instructions import count_instructions

        settings = LatencySettings(**step.spec["settings"], timeout=float(step.asides["timeout"]))
        return count_instructions(device, artifact, engine, settings)
    from edge_dwsep.measured_accuracy import AccuracySettings, measure_accuracy

    files, reference = _evaluated_on(inputs, blobs, devices)
    if artifact.manifest is None:
        raise DwsepError(f"{artifact.file.name} has lost its manifest; run the sweep again")
    return measure_accuracy(
        device,
        artifact,
        engine,
        files,
        AccuracySettings(timeout=float(step.asides["timeout"]), options=step.spec["options"]),
        preprocessing=artifact.manifest.preprocessing,
        label_offset=int(step.spec["label_offset"]),
        reference=reference,
    )


def _artifact(inputs: Mapping[str, StepOutput], blobs: BlobFolder, devices: OpenDevices) -> Artifact:
    """The artifact, laid out with its manifest in a folder of its own."""
    from edge_dwsep.sweep.compile import artifact_from

    verified = inputs["verify"]
    folder = devices.folder / verified.files["manifest.json"][:16]
    folder.mkdir(exist_ok=True)
    return artifact_from(verified, inputs["convert"], blobs, folder)


def _evaluated_on(
    inputs: Mapping[str, StepOutput], blobs: BlobFolder, devices: OpenDevices
) -> tuple[EvaluationFiles, Predictions | None]:
    """Data set and predictions of the Keras model, laid out once in this process."""
    from edge_dwsep.sweep.compile import evaluation_from

    data, reference = inputs["data"], inputs["reference"]
    known = "".join([*data.files.values(), *reference.files.values()])
    if known not in devices.evaluated:
        folder = Path(tempfile.mkdtemp(dir=devices.folder))
        devices.evaluated[known] = evaluation_from(data, reference, blobs, folder)
    return devices.evaluated[known]
