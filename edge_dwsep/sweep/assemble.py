"""The record of a run, put together from the outputs of the steps that measured it."""

from __future__ import annotations

__all__ = ["assembled", "described", "failed_record", "model_entry"]

from collections.abc import Mapping
from typing import Any

from dwsep_export import Artifact
from dwsep_runtime.errors import InvalidInput
from edge_dwsep.measure import LatencySettings, latency_of_launches, run_record
from edge_dwsep.results import add_run
from edge_dwsep.sweep.measure_steps import RunSteps, latency_settings_of
from edge_dwsep.sweep.steps import StepKind, StepOutput

OF_REFERENCE = ("top1", "top1_interval", "count", "correct")

EMULATED = "emulated: its times are those of no device, and never ranked beside a device's"


def assembled(
    artifact: Artifact,
    device: Mapping[str, Any],
    engine: str,
    settings: LatencySettings,
    steps: RunSteps,
    outputs: Mapping[str, StepOutput],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record of a run whose steps are all done, and what it tells of its device.

    Args:
        artifact: that was measured.
        device: ``name``, ``kind``, ``emulated``.
        engine: that ran it.
        settings: of latency, with the run's threads.
        steps: of the run.
        outputs: of these steps, by key.

    Raises:
        InvalidInput: a step measured another file than this artifact.
    """
    record = run_record(str(device["name"]), artifact, artifact.variant, engine, settings.threads)
    record.update(
        id=steps.key,
        batch=settings.batch,
        engine_options=dict(settings.options),
        emulated=bool(device["emulated"]),
        reused=False,
        launches=[],
    )
    told = [outputs[step.key].facts for step in steps.measuring]
    if any(facts["artifact_sha256"] != artifact.sha256 for facts in told):
        raise InvalidInput(f"{artifact.file.name}: a step measured another content; run the sweep with --again")
    # Only the entry of its own device is filled by a record.
    results: dict[str, Any] = {"devices": [dict(device)]}
    if steps.launches:
        if device["emulated"]:
            record["warnings"].append(EMULATED)
        launches = [dict(outputs[step.key].facts) for step in steps.launches]
        add_run(results, record, latency_of_launches(launches, latency_settings_of(steps.launches[0])))
        record["launches"] = [_launch(at, launch) for at, launch in enumerate(launches)]
    for step in steps.others:
        measured = dict(outputs[step.key].facts["record"])
        if step.kind is StepKind.ACCURACY and record["state"]:
            measured.pop("state", None)  # the latency's is what doubts and pictures are about
        add_run(results, record, measured)
    return record, results["devices"][0]


def failed_record(
    artifact: Artifact | None,
    names: Mapping[str, str],
    device: Mapping[str, Any],
    engine: str,
    settings: LatencySettings,
    error: str,
    error_class: str,
) -> dict[str, Any]:
    """The record of a run of which a step failed.

    Args:
        artifact: None where it could not be made.
        names: ``model``, ``variant``, ``format`` and ``scheme`` of the run.
        device: ``name``, ``kind``, ``emulated``.
        engine: that was to run it.
        settings: of latency, with the run's threads.
        error: one line.
        error_class: name of the error's class.
    """
    if artifact is not None:
        record = run_record(str(device["name"]), artifact, artifact.variant, engine, settings.threads)
    else:
        record = _without_file(str(device["name"]), names, engine, settings.threads)
    record.update(
        batch=settings.batch,
        engine_options=dict(settings.options),
        emulated=bool(device["emulated"]),
        reused=False,
        launches=[],
        status="failed",
        valid=False,
        error=error,
        error_class=error_class,
    )
    return record


def described(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What results say of a device before it is reached."""
    return {key: identity[key] for key in ("name", "kind", "emulated")}


def model_entry(network: StepOutput, reference: StepOutput | None) -> dict[str, Any]:
    """What results say of a network, from the outputs of the steps that made it and ran it."""
    facts = network.facts
    found = None
    if reference is not None and facts["trained"] and reference.facts.get("top1") is not None:
        found = {"name": "keras float32", **{key: reference.facts[key] for key in OF_REFERENCE}}
    return {**facts["facts"], "labels": list(facts["labels"]), "trained": facts["trained"], "reference": found}


def _launch(at: int, launch: Mapping[str, Any]) -> dict[str, Any]:
    """What a record keeps of one launch: when, how fast, and in which state the device was."""
    import numpy as np

    from dwsep_runtime.arrays import decode_array

    samples = decode_array(launch["measured"]["samples_ns"])
    return {
        "round": at,
        "started": launch["started"],
        "p50_ms": float(np.median(samples)) / 1e6,
        "state_before": launch["state"]["before"],
        "state_after": launch["state"]["after"],
    }


def _without_file(device: str, names: Mapping[str, str], engine: str, threads: int) -> dict[str, Any]:
    """A record as :func:`edge_dwsep.measure.run_record` makes it, of an artifact that does not exist."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{names['model']}-{names['scheme']}.{names['format']}"
        file.touch()
        nothing = Artifact(file, names["format"], "", None, "")
        record = run_record(device, nothing, names["variant"], engine, threads)
    return {**record, "model": names["model"], "scheme": names["scheme"], "file_bytes": None}
