"""Read the runs of a results file into one typed record each; whatever is absent or malformed becomes None."""

from __future__ import annotations

__all__ = ["Interval", "ReportedRun", "interval", "labels", "number", "read_runs", "section"]

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


@dataclass(frozen=True)
class ReportedRun:
    """What the page says about one run.

    Attributes:
        position: 1 for the first run of the results; the number that ties picture, table and warnings together.
        variant: name of the exported variant.
        scheme: quantization scheme.
        engine: what executed it.
        engine_version: its version, or empty.
        threads: threads of the engine.
        file: name of the model file, or empty.
        file_bytes: its size.
        sha256: its digest, or empty.
        error: why the run failed; None when it did not.
        samples: timed inferences.
        p50: median latency in ms, above 0.
        p50_interval: its 95 % interval in ms.
        p90: 90th percentile of the latency in ms.
        images: labelled images that the accuracy counts.
        top1: share of them classified rightly, 0 to 1.
        top1_interval: its 95 % interval.
        top5: share with the right class among the first five.
        agreement: share of the images on which the first class is the reference's.
        agreement_interval: its 95 % interval.
        warnings: plain sentences about what is not to be trusted.
        before: device state before the run.
        after: device state after it.
    """

    position: int
    variant: str
    scheme: str
    engine: str
    engine_version: str
    threads: int | None
    file: str
    file_bytes: float | None
    sha256: str
    error: str | None
    samples: float | None
    p50: float | None
    p50_interval: Interval | None
    p90: float | None
    images: float | None
    top1: float | None
    top1_interval: Interval | None
    top5: float | None
    agreement: float | None
    agreement_interval: Interval | None
    warnings: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def drawable(self) -> bool:
        """Whether the run has a place in the picture: it succeeded, with a latency and an accuracy."""
        return self.error is None and self.p50 is not None and self.top1 is not None


def section(parent: object, key: str) -> Mapping[str, Any]:
    """Return the mapping under ``key``, empty when there is none."""
    found = parent.get(key) if isinstance(parent, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def number(item: object) -> float | None:
    """Return a finite number as float, None for anything else."""
    if isinstance(item, bool) or not isinstance(item, (int, float)) or not math.isfinite(item):
        return None
    return float(item)


def interval(item: object) -> Interval | None:
    """Return two finite numbers in ascending order, None for anything else."""
    if not isinstance(item, Sequence) or isinstance(item, str) or len(item) != 2:
        return None
    low, high = number(item[0]), number(item[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


def _positive(item: object) -> float | None:
    found = number(item)
    return found if found is not None and found > 0 else None


def _text(parent: Mapping[str, Any], key: str, otherwise: str = "") -> str:
    found = parent.get(key)
    return otherwise if found is None or found == "" else str(found)


def _read(position: int, raw: Mapping[str, Any]) -> ReportedRun:
    latency, accuracy, agreement = section(raw, "latency"), section(raw, "accuracy"), section(raw, "agreement")
    failed = raw.get("status", "ok") != "ok"
    threads = number(raw.get("threads"))
    warnings = raw.get("warnings")
    return ReportedRun(
        position=position,
        variant=_text(raw, "variant", _text(raw, "file", f"run {position}")),
        scheme=_text(raw, "scheme", "unknown"),
        engine=_text(raw, "engine", "unknown"),
        engine_version=_text(raw, "engine_version"),
        threads=None if threads is None else int(threads),
        file=_text(raw, "file"),
        file_bytes=_positive(raw.get("file_bytes")),
        sha256=_text(raw, "sha256"),
        error=_text(raw, "error", "no reason was recorded") if failed else None,
        samples=number(latency.get("count")),
        p50=_positive(latency.get("p50_ms")),
        p50_interval=interval(latency.get("p50_interval_ms")),
        p90=_positive(latency.get("p90_ms")),
        images=number(accuracy.get("count")),
        top1=number(accuracy.get("top1")),
        top1_interval=interval(accuracy.get("top1_interval")),
        top5=number(accuracy.get("top5")),
        agreement=number(agreement.get("top1")),
        agreement_interval=interval(agreement.get("interval")),
        warnings=tuple(str(text) for text in warnings) if isinstance(warnings, (list, tuple)) else (),
        before=section(section(raw, "state"), "before"),
        after=section(section(raw, "state"), "after"),
    )


def read_runs(results: Mapping[str, Any]) -> tuple[ReportedRun, ...]:
    """Return every run of the results, in their order, numbered from 1."""
    raw = results.get("runs")
    entries = raw if isinstance(raw, (list, tuple)) else ()
    return tuple(_read(at, entry) for at, entry in enumerate(entries, start=1) if isinstance(entry, Mapping))


def labels(runs: Sequence[ReportedRun]) -> tuple[str, ...]:
    """Name each run as briefly as tells it from the others: variant, then engine, then threads, then position."""
    variants = Counter(run.variant for run in runs)
    engines = Counter((run.variant, run.engine) for run in runs)
    threads = Counter((run.variant, run.engine, run.threads) for run in runs)
    names = []
    for run in runs:
        parts = [run.variant]
        if variants[run.variant] > 1:
            parts.append(run.engine)
        if engines[run.variant, run.engine] > 1 and run.threads is not None:
            parts.append(f"{run.threads} thread{'' if run.threads == 1 else 's'}")
        if threads[run.variant, run.engine, run.threads] > 1:
            parts.append(f"run {run.position}")
        names.append(" \N{MIDDLE DOT} ".join(parts))
    return tuple(names)
