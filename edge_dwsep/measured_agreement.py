"""Compare the outputs of artifacts that are no classifiers, or have no labels, with a reference's on the device."""

from __future__ import annotations

__all__ = ["Outputs", "keep_outputs", "measure_agreement"]

import hashlib
from dataclasses import dataclass
from typing import Any

from dwsep_devices import Device, Setup, push_blob, run_job
from dwsep_export import Artifact
from dwsep_runtime.accuracy_scenarios import Agreement, KeptOutput, Predict
from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.measured_accuracy import AccuracySettings, EvaluationFiles, golden_record
from edge_dwsep.results import circumstances


@dataclass(frozen=True)
class Outputs:
    """A reference's outputs for a data set, on the device: what the model is called, and where they are."""

    name: str
    kept: tuple[KeptOutput, ...]


def keep_outputs(
    device: Device,
    artifact: Artifact,
    engine: str,
    files: EvaluationFiles,
    settings: AccuracySettings,
    *,
    preprocessing: Preprocessing,
    title: str,
) -> tuple[dict[str, Any], Outputs]:
    """Run the reference and leave its outputs on the device, where those to be compared will read them.

    Args:
        device: where to run.
        artifact: the reference.
        engine: by which engine.
        files: what to feed.
        settings: threads and time limit.
        preprocessing: from pixels to the model's input.
        title: what to call the reference.

    Returns:
        Keys to put into the run's record, and the outputs.

    Raises:
        EngineError: an output is not a finite number.
        DwsepError: the device or the run failed.
    """
    told = "\n".join((artifact.sha256, engine, files.data.sha256, str(preprocessing)))
    folder = f"{device.root}/outputs/{hashlib.sha256(told.encode()).hexdigest()}"
    golden = artifact.manifest.golden if artifact.manifest else None
    result = run_job(
        device,
        artifact.file,
        engine,
        Predict(push_blob(device, files.inputs), f"{folder}/output.npy", preprocessing, golden),
        Setup(EngineSettings(threads=settings.threads), manifest_sha256=artifact.manifest_sha256),
        timeout=settings.timeout,
    )
    measured = result["measured"]
    kept = tuple(KeptOutput.from_json(values) for values in measured["kept"])
    return {**golden_record(measured), **circumstances(result)}, Outputs(title, kept)


def measure_agreement(
    device: Device,
    artifact: Artifact,
    engine: str,
    files: EvaluationFiles,
    settings: AccuracySettings,
    *,
    preprocessing: Preprocessing,
    reference: Outputs,
) -> dict[str, Any]:
    """Run an artifact in a fresh process on the device and compare every output with the reference's.

    Returns:
        Keys to put into the run's record: ``numeric_agreement`` (``reference``, ``count``, ``tolerance``, ``outputs``
        as of :func:`dwsep_runtime.agreement.agreement`), ``golden``, ``engine_version``, ``state``, ``device``,
        ``harness_sha256``, and ``doubts`` to be added to its warnings.

    Raises:
        DwsepError: the device or the run failed, or the outputs cannot be matched.
    """
    golden = artifact.manifest.golden if artifact.manifest else None
    result = run_job(
        device,
        artifact.file,
        engine,
        Agreement(push_blob(device, files.inputs), reference.kept, preprocessing, settings.tolerance, golden),
        Setup(EngineSettings(threads=settings.threads), manifest_sha256=artifact.manifest_sha256),
        timeout=settings.timeout,
    )
    measured = result["measured"]
    agreement = {
        "reference": reference.name,
        "count": measured["count"],
        "tolerance": settings.tolerance,
        "outputs": measured["outputs"],
    }
    record = {"numeric_agreement": agreement, **golden_record(measured), **circumstances(result)}
    guessed = [
        f"{item['name']} with {item['own_name']}" for item in measured["outputs"] if item["matched_by"] == "position"
    ]
    if guessed:
        doubt = f"outputs of one shape were matched by their order: {', '.join(guessed)}"
        record["doubts"] = [*record.get("doubts", ()), doubt]
    return record
