"""Read the runs of results into one typed record each; whatever is absent or malformed becomes None."""

from __future__ import annotations

__all__ = ["Interval", "Launch", "ReportedRun", "Share", "interval", "number", "read_runs", "section", "words"]

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_dwsep.report.distribution import quantiles_of
from edge_dwsep.report.states import StateAt, seconds_since_1970, state_at

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of images, 0 to 1, with its 95 % interval."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a run's process.

    Attributes:
        seconds: when it began, since 1970.
        p50: median latency of this launch, in ms.
        states: of the device before and after.
    """

    seconds: float
    p50: float | None
    states: tuple[StateAt, ...]


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """What the page says about one run.

    Attributes:
        position: 1 for the first run of the results; the number that ties the parts of the page together.
        id: key of the run in a store, or empty.
        model: name of its model, or empty.
        device: name of the device, or empty.
        emulated: whether its times are those of no device.
        variant: name of the exported variant.
        format: of the file: tflite, onnx, or empty.
        scheme: quantization scheme.
        engine: what executed it.
        engine_version: its version, or empty.
        threads: threads of the engine.
        batch: images of an inference.
        options: of the engine and conditions of the device, in words.
        file: name of the model file, or empty.
        file_bytes: its size.
        sha256: its digest, or empty.
        harness: digest of the runtime that measured, or empty.
        error: why the run failed; None when it did not.
        valid: whether its figures may be used.
        reused: whether it was in the store before this sweep.
        samples: timed inferences.
        percentiles: p50, p90 and p99 of the latency in ms, above 0, each with its 95 % interval.
        quantiles: 0, 2.5, ... 100 % of the latency, in thousandths of p50.
        throughput: images a second, with its 95 % interval.
        memory: most memory that the process had, in bytes.
        instructions: of one inference.
        images: labelled images that the accuracy counts.
        top1: share of them classified rightly.
        agreement: share of the images on which the first class is the reference's.
        apart: images that the reference alone, and that the run alone, has right.
        operators: as :func:`dwsep_runtime.operators.profile.profile_operators` returns it.
        warnings: plain sentences about what is not to be trusted.
        before: device state before the run.
        after: device state after it.
        launches: of its processes, where the results tell them.
    """

    position: int
    id: str
    model: str
    device: str
    emulated: bool
    variant: str
    format: str
    scheme: str
    engine: str
    engine_version: str
    threads: int | None
    batch: int
    options: str
    file: str
    file_bytes: float | None
    sha256: str
    harness: str
    error: str | None
    valid: bool
    reused: bool
    samples: float | None
    percentiles: tuple[tuple[float | None, Interval | None], ...]
    quantiles: tuple[int, ...]
    throughput: tuple[float | None, Interval | None]
    memory: float | None
    instructions: float | None
    images: float | None
    top1: Share | None
    agreement: Share | None
    apart: tuple[int, int] | None
    operators: Mapping[str, Any] | None
    warnings: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    launches: tuple[Launch, ...]


def section(parent: object, key: str) -> Mapping[str, Any]:
    """Return the mapping under ``key``, empty when there is none."""
    found = parent.get(key) if isinstance(parent, (dict, Mapping)) else None
    return found if isinstance(found, (dict, Mapping)) else {}


def number(item: object) -> float | None:
    """Return a finite number as float, None for anything else."""
    if item is None or isinstance(item, bool) or not isinstance(item, (int, float)) or not math.isfinite(item):
        return None
    return float(item)


def interval(item: object) -> Interval | None:
    """Return two finite numbers in ascending order, None for anything else."""
    if not isinstance(item, (list, tuple)) or len(item) != 2:
        return None
    low, high = number(item[0]), number(item[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


def words(item: object) -> tuple[str, ...]:
    """Return a list's items as text, none of anything else."""
    return tuple(str(text) for text in item) if isinstance(item, (list, tuple)) else ()


def read_runs(results: Mapping[str, Any]) -> Iterator[ReportedRun]:
    """Yield every run of the results, in their order, numbered from 1."""
    raw = results.get("runs")
    entries = () if raw is None or isinstance(raw, (str, Mapping)) else raw
    for position, entry in enumerate(entries, start=1):
        if isinstance(entry, Mapping):
            yield _read(position, entry)


def _read(position: int, raw: Mapping[str, Any]) -> ReportedRun:
    latency, accuracy, agreement = section(raw, "latency"), section(raw, "accuracy"), section(raw, "agreement")
    cost, state, throughput = section(raw, "cost"), section(raw, "state"), section(raw, "throughput")
    p50 = _positive(latency.get("p50_ms"))
    threads = number(raw.get("threads"))
    return ReportedRun(
        position=position,
        id=_text(raw, "id"),
        model=_text(raw, "model"),
        device=_text(raw, "device"),
        emulated=bool(raw.get("emulated")),
        variant=_text(raw, "variant", _text(raw, "file", f"run {position}")),
        format=_text(raw, "format"),
        scheme=_text(raw, "scheme", "unknown"),
        engine=_text(raw, "engine", "unknown"),
        engine_version=_text(raw, "engine_version"),
        threads=None if threads is None else int(threads),
        batch=int(number(raw.get("batch")) or 1),
        options=_options(raw),
        file=_text(raw, "file"),
        file_bytes=_positive(raw.get("file_bytes")),
        sha256=_text(raw, "sha256"),
        harness=_text(raw, "harness_sha256"),
        error=_text(raw, "error", "no reason was recorded") if raw.get("status", "ok") != "ok" else None,
        valid=raw.get("valid") is not False,
        reused=bool(raw.get("reused")),
        samples=number(latency.get("count")),
        percentiles=tuple(
            (_positive(latency.get(f"p{q}_ms")), interval(latency.get(f"p{q}_interval_ms"))) for q in (50, 90, 99)
        ),
        quantiles=quantiles_of(raw, p50) if p50 else (),
        throughput=(_positive(throughput.get("samples_per_second")), interval(throughput.get("interval"))),
        memory=_positive(section(raw, "memory").get("peak_bytes")),
        instructions=_positive(cost.get("per_inference")),
        images=number(accuracy.get("count")),
        top1=_share(accuracy, "top1_interval"),
        agreement=_share(agreement, "interval"),
        apart=_apart(section(agreement, "mcnemar")),
        operators=section(raw, "operators") or None,
        warnings=words(raw.get("warnings")),
        before=section(state, "before"),
        after=section(state, "after"),
        launches=tuple(_launches(raw.get("launches"))),
    )


def _launches(item: object) -> Iterator[Launch]:
    for entry in item if isinstance(item, (list, tuple)) else ():
        seconds = seconds_since_1970(entry.get("started")) if isinstance(entry, Mapping) else None
        if seconds is None:
            continue
        before, after = section(entry, "state_before"), section(entry, "state_after")
        states = (state_at(seconds, before), state_at(seconds, after, since=before))
        yield Launch(seconds, _positive(entry.get("p50_ms")), tuple(state for state in states if state is not None))


def _share(parent: Mapping[str, Any], bounds: str) -> Share | None:
    value = number(parent.get("top1"))
    return None if value is None else Share(value, interval(parent.get(bounds)))


def _apart(mcnemar: Mapping[str, Any]) -> tuple[int, int] | None:
    b, c = number(mcnemar.get("b")), number(mcnemar.get("c"))
    return None if b is None or c is None else (int(b), int(c))


def _options(raw: Mapping[str, Any]) -> str:
    options = [f"{key}={value}" for key, value in section(raw, "engine_options").items()]
    return ", ".join([*options, *words(raw.get("conditions"))])


def _positive(item: object) -> float | None:
    found = number(item)
    return found if found is not None and found > 0 else None


def _text(parent: Mapping[str, Any], key: str, otherwise: str = "") -> str:
    found = parent.get(key)
    return otherwise if found is None or found == "" else str(found)
