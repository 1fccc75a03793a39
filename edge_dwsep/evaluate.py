"""Run a list of artifacts through every engine that can, and carry on past the ones that fail.

What only accuracy or a crash needs is imported for these: a bench that is asked for latency starts a tenth of a second
sooner.
"""

from __future__ import annotations

__all__ = ["Evaluation", "engines_of", "environments_of", "evaluate", "failed_records"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices import Device, TransientDeviceError
from dwsep_devices.errors import DeviceRefused, HostLacks
from dwsep_export import Artifact
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import (
    DwsepError,
    EngineCrashed,
    InvalidInput,
    OutOfMemory,
    TimedOut,
    UnknownName,
)
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.interleave import InterleaveSettings, measure_interleaved
from edge_dwsep.measure import LatencySettings, measure_latency, profile_latency, run_record, setup_of
from edge_dwsep.results import add_run

if TYPE_CHECKING:
    from edge_dwsep.measured_accuracy import AccuracySettings, EvaluationFiles, Predictions
    from edge_dwsep.measured_agreement import Outputs
    from edge_dwsep.native import NativeRunner


MOST_LOST = 2
"""Runs in a row whose device could not be reached, after which the rest is not tried: each takes its time to fail."""


@dataclass(frozen=True)
class Evaluation:
    """What to measure.

    Attributes:
        latency: None to leave latency out.
        session: for latency measured in turns; None to measure one run after another.
        profile_ops: whether to time each operator, too.
        cost: what to count instead of time; empty for time.
        runner: a program of the user's that measures instead of the engines.
        accuracy: None to leave accuracy out.
        files: images or other inputs, and labels, for accuracy.
        reference: predictions to compare with image by image; or an artifact and its engine, to be run first and
            compared with.
        preprocessing: for artifacts without a manifest; None where every artifact has one.
        label_offset: number of outputs before the one of label 0.
    """

    latency: LatencySettings | None = None
    session: InterleaveSettings | None = None
    profile_ops: bool = False
    cost: str = ""
    runner: NativeRunner | None = None
    accuracy: AccuracySettings | None = None
    files: EvaluationFiles | None = None
    reference: Predictions | tuple[Artifact, str] | None = None
    preprocessing: Preprocessing | None = None
    label_offset: int = 0


def engines_of(artifact: Artifact, wanted: Sequence[str]) -> list[str]:
    """Engines to run an artifact with: those wanted that run its format.

    If none is wanted, all that run it without being asked for.

    Raises:
        UnknownName: no engine has a wanted name.
        InvalidInput: none of those wanted runs the format.
    """
    for name in wanted:
        if name not in ENGINES:
            raise UnknownName("engine", name, ENGINES)
    able = [name for name, kind in ENGINES.items() if kind.format == artifact.format]
    chosen = [name for name in able if name in wanted or (ENGINES[name].default and not wanted)]
    if not chosen:
        raise InvalidInput(
            f"{artifact.file.name} is .{artifact.format}, which {', '.join(wanted)} does not run; "
            f"engines for it: {', '.join(able)}"
        )
    return chosen


def environments_of(engines: Iterable[str]) -> tuple[str, ...]:
    """The environments of packages that engines need on a device, each once."""
    return tuple(dict.fromkeys(ENGINES[engine].environment for engine in engines))


def evaluate(
    device: Device,
    plan: Sequence[tuple[Artifact, str]],
    what: Evaluation,
    results: dict[str, Any],
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Measure artifacts and append a record a run to ``results["runs"]``.

    A run that fails, by a crash of its engine for one, is recorded as failed and the next one is begun; after two in a
    row whose device could not be reached, or one that it refused, the rest is recorded as not tried. A reference
    that is an artifact is run first and recorded first, with ``is_reference``; where it has no top-1 accuracy, for want
    of labels or of one vector of classes, outputs are compared number by number.

    Args:
        device: where to run.
        plan: artifact and engine of each run.
        what: latency, accuracy, or both.
        results: see :mod:`edge_dwsep.results`.
        on_step: told of each measurement as it begins.

    Raises:
        InvalidInput: accuracy is wanted of data without labels, and there is no reference to compare with.
        DwsepError: the reference failed.
    """
    reference: Predictions | Outputs | None = None
    first = what.reference if isinstance(what.reference, tuple) else None
    titles = _titles([artifact for artifact, _ in (*plan, *((first,) if first else ()))])
    if first is not None:
        from edge_dwsep.evaluate_accuracy import run_reference

        reference = run_reference(device, first, titles[first[0].file], what, results, on_step)
        results["runs"][-1]["emulated"] = device.description["emulated"]
        ran = first[0].sha256, first[1]
        plan = [(artifact, engine) for artifact, engine in plan if (artifact.sha256, engine) != ran]
    elif what.accuracy is not None:
        from edge_dwsep.evaluate_accuracy import require_reference

        reference = require_reference(what)
    records = _records(device.name, plan, what, titles)
    results["runs"].extend(records)
    if device.description["emulated"]:
        _mark_emulated(records, timed=what.latency is not None and not what.cost)
    if what.latency is not None and what.session is not None:
        _take_turns(device, plan, what.latency, what.session, results, on_step)
    lost, gone = 0, None
    for (artifact, engine), record in zip(plan, records, strict=True):
        if record["status"] != "ok":  # as a contender of a session
            continue
        if gone is not None:
            _fail(record, type(gone)(f"not tried, for the run before it told: {gone}"))
            continue
        error = _run_one(device, artifact, engine, record, reference, what, results, on_step)
        lost = lost + 1 if isinstance(error, TransientDeviceError) else 0
        gone = error if isinstance(error, (DeviceRefused, HostLacks)) or lost == MOST_LOST else None


def _run_one(
    device: Device,
    artifact: Artifact,
    engine: str,
    record: dict[str, Any],
    reference: Predictions | Outputs | None,
    what: Evaluation,
    results: dict[str, Any],
    on_step: Callable[[str], None],
) -> DwsepError | None:
    """Measure one artifact on one engine; what went wrong is recorded and returned."""
    try:
        _measure(device, artifact, engine, record, reference, what, results, on_step)
    except DwsepError as error:
        _fail(record, error)
        crashed = isinstance(error, EngineCrashed) and not isinstance(error, (OutOfMemory, TimedOut))
        if crashed and what.runner is None:
            from edge_dwsep.crash import crashing_operator

            on_step(f"find what {record['variant']} on {engine} crashes on")
            threads = LatencySettings(threads=record["threads"])
            setup = setup_of(artifact, engine, what.latency or threads)
            operator = crashing_operator(device, artifact, engine, setup)
            record["error"] += f"; it crashes on {operator}" if operator else ""
        return error
    return None


def failed_records(
    device: Mapping[str, Any], plan: Sequence[tuple[Artifact, str]], what: Evaluation, error: str, kind: str
) -> list[dict[str, Any]]:
    """Records of a plan of which nothing could be run, for a reason that holds for all of it.

    Args:
        device: what is known of it: name, kind, emulated.
        plan: artifact and engine of each run.
        what: was wanted.
        error: the reason.
        kind: name of the error's class.
    """
    records = _records(device["name"], plan, what, _titles([artifact for artifact, _ in plan]))
    for record in records:
        record.update(emulated=device["emulated"], status="failed", valid=False, error=error, error_class=kind)
    return records


def _measure(
    device: Device,
    artifact: Artifact,
    engine: str,
    record: dict[str, Any],
    reference: Predictions | Outputs | None,
    what: Evaluation,
    results: dict[str, Any],
    on_step: Callable[[str], None],
) -> None:
    """Measure one artifact on one engine, all that is wanted of it."""
    title = record["variant"]
    if what.latency is not None and (what.cost or what.runner is not None):
        on_step(f"{f'count {what.cost} of' if what.cost else 'time'} {title} on {engine}")
        add_run(results, record, _otherwise(device, artifact, engine, what.latency, what))
        return
    if what.latency is not None and what.session is None:
        on_step(f"time {title} on {engine}")
        add_run(results, record, measure_latency(device, artifact, engine, what.latency))
    if what.latency is not None and what.profile_ops:
        on_step(f"take {title} on {engine} apart")
        add_run(results, record, profile_latency(device, artifact, engine, what.latency))
    if what.accuracy is not None:
        from edge_dwsep.evaluate_accuracy import measure_against

        on_step(f"classify with {title} on {engine}")
        add_run(results, record, measure_against(reference, device, artifact, engine, what))


def _records(
    device: str, plan: Sequence[tuple[Artifact, str]], what: Evaluation, titles: dict[Path, str]
) -> list[dict[str, Any]]:
    """A record for each run of a plan, before anything is measured."""
    settings = what.latency or what.accuracy
    threads = settings.threads if settings else 1
    records = [run_record(device, artifact, titles[artifact.file], engine, threads) for artifact, engine in plan]
    if what.latency is not None:
        for record in records:
            record.update(batch=what.latency.batch, engine_options=dict(what.latency.options))
    return records


def _mark_emulated(records: Sequence[dict[str, Any]], *, timed: bool) -> None:
    """Say of runs that they are an emulation's, whose times are no device's."""
    for record in records:
        record["emulated"] = True
        if timed:
            record["warnings"].append("emulated: its times are those of no device, and never ranked beside a device's")


def _otherwise(
    device: Device, artifact: Artifact, engine: str, latency: LatencySettings, what: Evaluation
) -> dict[str, Any]:
    """Count instead of time, or let a program of the user's measure."""
    if what.runner is not None:
        from edge_dwsep.native import measure_natively

        return measure_natively(device, artifact, what.runner, latency)
    from edge_dwsep.instructions import count_instructions

    return count_instructions(device, artifact, engine, latency)


def _fail(record: dict[str, Any], error: DwsepError) -> None:
    record.update(status="failed", valid=False, error=str(error), error_class=type(error).__name__)


def _take_turns(
    device: Device,
    plan: Sequence[tuple[Artifact, str]],
    latency: LatencySettings,
    session: InterleaveSettings,
    results: dict[str, Any],
    on_step: Callable[[str], None],
) -> None:
    """Run a session in turns; if one of its processes fails, nothing can be compared, and all are recorded so."""

    def launched(done: int, total: int) -> None:
        if done < total:
            on_step(f"launch {done + 1} of {total}")

    on_step("take turns")
    try:
        measure_interleaved(device, plan, latency, session, results, launched)
    except DwsepError as error:
        for record in results["runs"]:
            _fail(record, error)


def _titles(artifacts: Sequence[Artifact]) -> dict[Path, str]:
    """What to call each artifact: its variant, or its file's name or path where others have the same."""
    files = {artifact.file: artifact for artifact in artifacts}
    for title in (lambda item: item.variant, lambda item: item.file.name, lambda item: str(item.file)):
        titles = {file: str(title(artifact)) for file, artifact in files.items()}
        if len(set(titles.values())) == len(files):
            return titles
    return {file: str(file) for file in files}
