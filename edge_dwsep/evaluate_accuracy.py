"""Accuracy of artifacts, beside a reference that is run first, or in numbers where there is no top-1 to count."""

from __future__ import annotations

__all__ = ["measure_against", "require_reference", "run_reference"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dwsep_devices import Device
from dwsep_export import Artifact
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import DwsepError, InvalidInput, NotAClassifier
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.measure import run_record
from edge_dwsep.measured_accuracy import AccuracySettings, EvaluationFiles, Predictions, measure_accuracy
from edge_dwsep.measured_agreement import Outputs, keep_outputs, measure_agreement
from edge_dwsep.results import add_run

if TYPE_CHECKING:
    from edge_dwsep.evaluate import Evaluation


def require_reference(what: Evaluation) -> Predictions | None:
    """The predictions to compare with, if there are any.

    Raises:
        InvalidInput: there are neither labels to count by, nor a reference.
    """
    if isinstance(what.reference, Predictions):
        return what.reference
    if what.files is not None and what.files.labels is None:
        raise InvalidInput(
            f"data set {what.files.data.name!r} has no labels, so there is no accuracy to count; "
            "give labels, or --reference FILE to compare outputs with"
        )
    return None


def run_reference(
    device: Device,
    run: tuple[Artifact, str],
    title: str,
    what: Evaluation,
    results: dict[str, Any],
    on_step: Callable[[str], None],
) -> Predictions | Outputs:
    """Run the reference, record it, and give what the others are compared with."""
    artifact, engine = run
    files, settings = _asked_for(what)
    record = {**run_record(device.name, artifact, title, engine, settings.threads), "is_reference": True}
    name = f"{title} on {engine}"
    try:
        on_step(f"run the reference, {name}")
        compared: tuple[dict[str, Any], Predictions | Outputs] | None = _classes_of(device, run, name, what)
        if compared is None:
            preprocessing = _preprocessing(artifact, what)
            compared = keep_outputs(device, artifact, engine, files, settings, preprocessing=preprocessing, title=name)
        measured, reference = compared
    except DwsepError as error:
        error.args = (f"the reference, {name}, failed: {error}",)
        raise
    add_run(results, record, measured)
    results["runs"].append(record)
    results["reference"] = {"name": name}
    if record["accuracy"] is not None:
        results["reference"].update({key: record["accuracy"][key] for key in ("top1", "top1_interval")})
    return reference


def _classes_of(
    device: Device,
    run: tuple[Artifact, str],
    name: str,
    what: Evaluation,
) -> tuple[dict[str, Any], Predictions] | None:
    """What was measured of a reference and what it predicts; None where it has no top-1 accuracy."""
    if _asked_for(what)[0].labels is None:
        return None
    try:
        measured = measure_against(None, device, *run, what)
    except NotAClassifier:
        return None
    accuracy = measured["accuracy"]
    return measured, Predictions(name, decode_array(accuracy["predictions"]), accuracy["classes"])


def measure_against(
    reference: Predictions | Outputs | None, device: Device, artifact: Artifact, engine: str, what: Evaluation
) -> dict[str, Any]:
    """Count accuracy, or compare outputs number by number where the reference is outputs.

    Args:
        reference: to compare with.
        device: where to run.
        artifact: what to run.
        engine: by which engine.
        what: says the data, preprocessing and settings.

    Returns:
        Keys to put into the run's record.

    Raises:
        DwsepError: the device or the run failed.
    """
    files, settings = _asked_for(what)
    preprocessing = _preprocessing(artifact, what)
    if isinstance(reference, Outputs):
        return measure_agreement(
            device, artifact, engine, files, settings, preprocessing=preprocessing, reference=reference
        )
    return measure_accuracy(
        device,
        artifact,
        engine,
        files,
        settings,
        preprocessing=preprocessing,
        label_offset=what.label_offset,
        reference=reference,
    )


def _asked_for(what: Evaluation) -> tuple[EvaluationFiles, AccuracySettings]:
    if what.files is None or what.accuracy is None:
        raise InvalidInput("accuracy, and a reference for it, go with a data set; give one")
    return what.files, what.accuracy


def _preprocessing(artifact: Artifact, what: Evaluation) -> Preprocessing:
    given = what.preprocessing
    if artifact.manifest is not None:
        if given is not None:
            raise InvalidInput(
                f"{artifact.file.name} has its preprocessing in its manifest; leave out --scale, --offset and --pad"
            )
        return artifact.manifest.preprocessing
    if given is None and what.files is not None and not what.files.data.holds_images:
        return Preprocessing()
    if given is None:
        raise InvalidInput(f"{artifact.file.name} has no manifest; say its preprocessing with --scale and --offset")
    return given
