"""Run a list of artifacts through every engine that can, and carry on past the ones that fail."""

from __future__ import annotations

__all__ = ["Evaluation", "engines_of", "evaluate"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_devices import Device
from dwsep_export import Artifact
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import DwsepError, InvalidInput, UnknownName
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.interleave import InterleaveSettings, measure_interleaved
from edge_dwsep.measure import LatencySettings, measure_latency, profile_latency, run_record
from edge_dwsep.measured_accuracy import AccuracySettings, EvaluationFiles, measure_accuracy
from edge_dwsep.results import add_run


@dataclass(frozen=True)
class Evaluation:
    """What to measure.

    Attributes:
        latency: None to leave latency out.
        session: for latency measured in turns; None to measure one run after another.
        profile_ops: whether to time each operator, too.
        accuracy: None to leave accuracy out.
        files: images and labels, for accuracy.
        reference: name and predictions, int64 (count,), to compare with image by image.
        preprocessing: for artifacts without a manifest; None where every artifact has one.
        label_offset: number of outputs before the one of label 0.
    """

    latency: LatencySettings | None = None
    session: InterleaveSettings | None = None
    profile_ops: bool = False
    accuracy: AccuracySettings | None = None
    files: EvaluationFiles | None = None
    reference: tuple[str, NDArray[np.int64]] | None = None
    preprocessing: Preprocessing | None = None
    label_offset: int = 0


def engines_of(artifact: Artifact, wanted: Sequence[str]) -> list[str]:
    """Engines to run an artifact with: those wanted that run its format.

    If none is wanted, all that run it in the runtime's own environment.

    Raises:
        UnknownName: no engine has a wanted name.
        InvalidInput: none of those wanted runs the format.
    """
    for name in wanted:
        if name not in ENGINES:
            raise UnknownName("engine", name, ENGINES)
    able = [name for name, kind in ENGINES.items() if kind.format == artifact.format]
    chosen = [name for name in able if name in wanted or not (wanted or ENGINES[name].environment)]
    if not chosen:
        raise InvalidInput(
            f"{artifact.file.name} is .{artifact.format}, which {', '.join(wanted)} does not run; "
            f"engines for it: {', '.join(able)}"
        )
    return chosen


def evaluate(
    device: Device,
    plan: Sequence[tuple[Artifact, str]],
    what: Evaluation,
    results: dict[str, Any],
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Measure artifacts and append a record a run to ``results["runs"]``.

    A run that fails, by a crash of its engine for one, is recorded as failed and the next one is begun.

    Args:
        device: where to run.
        plan: artifact and engine of each run.
        what: latency, accuracy, or both.
        results: see :mod:`edge_dwsep.results`.
        on_step: told of each measurement as it begins.
    """
    titles = _titles([artifact for artifact, _ in plan])
    settings = what.latency or what.accuracy
    threads = settings.threads if settings else 1
    for artifact, engine in plan:
        results["runs"].append(run_record(artifact, titles[artifact.file], engine, threads))
    if what.latency is not None and what.session is not None:
        on_step("take turns")
        measure_interleaved(
            device,
            plan,
            what.latency,
            what.session,
            results,
            lambda done, total: on_step(f"launch {done + 1} of {total}") if done < total else None,
        )
    for (artifact, engine), record in zip(plan, results["runs"], strict=True):
        title = titles[artifact.file]
        try:
            if what.latency is not None and what.session is None:
                on_step(f"time {title} on {engine}")
                add_run(results, record, measure_latency(device, artifact, engine, what.latency))
            if what.latency is not None and what.profile_ops:
                on_step(f"take {title} on {engine} apart")
                add_run(results, record, profile_latency(device, artifact, engine, what.latency))
            if what.accuracy is not None and what.files is not None:
                on_step(f"classify with {title} on {engine}")
                measured = measure_accuracy(
                    device,
                    artifact,
                    engine,
                    what.files,
                    what.accuracy,
                    preprocessing=_preprocessing(artifact, what.preprocessing),
                    label_offset=what.label_offset,
                    reference=what.reference,
                )
                add_run(results, record, measured)
        except DwsepError as error:
            record["status"], record["error"], record["error_class"] = "failed", str(error), type(error).__name__
            record["valid"] = False


def _titles(artifacts: Sequence[Artifact]) -> dict[Path, str]:
    """What to call each artifact: its variant, or its file's name or path where others have the same."""
    files = {artifact.file: artifact for artifact in artifacts}
    for title in (lambda item: item.variant, lambda item: item.file.name, lambda item: str(item.file)):
        titles = {file: str(title(artifact)) for file, artifact in files.items()}
        if len(set(titles.values())) == len(files):
            return titles
    return {file: str(file) for file in files}


def _preprocessing(artifact: Artifact, given: Preprocessing | None) -> Preprocessing:
    if artifact.manifest is not None:
        if given is not None:
            raise InvalidInput(
                f"{artifact.file.name} has its preprocessing in its manifest; leave out --scale, --offset and --pad"
            )
        return artifact.manifest.preprocessing
    if given is None:
        raise InvalidInput(f"{artifact.file.name} has no manifest; say its preprocessing with --scale and --offset")
    return given
