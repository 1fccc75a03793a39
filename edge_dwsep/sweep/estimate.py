"""How long a sweep is expected to take, before any of it is done."""

from __future__ import annotations

__all__ = ["Estimate", "Expected", "estimate", "expected_steps", "seconds_of"]

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dwsep_export.recipe import Format, Scheme
from edge_dwsep.sweep.expand import Expansion, PlannedRun, Variant
from edge_dwsep.sweep.pace import Pace
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.steps import Step, StepKind

USUAL_SECONDS = {
    StepKind.DATA: 1.0,
    StepKind.NETWORK: 4.0,
    StepKind.REFERENCE: 6.0,
    StepKind.LOWER: 4.0,
    StepKind.CALIBRATE: 3.0,
    StepKind.CONVERT: 0.7,
    StepKind.VERIFY: 1.5,
    StepKind.REACH: 3.0,
    StepKind.PUSH: 2.0,
    StepKind.ACCURACY: 3.0,
    StepKind.OPERATORS: 12.0,
    StepKind.COUNT: 90.0,
}
"""Of networks of a few million parameters on a desktop's two cores."""

USUAL_WARMUP, USUAL_START = 0.6, 0.8
"""Seconds that times take to be steady, and that a process takes to start and to load an engine."""

FAR_SECONDS = 2.0
"""What each step on a device that is not this machine takes more."""

EPOCH_SECONDS = 30.0
"""Of training on Fashion-MNIST."""

COMPILING_AT_ONCE = 2


@dataclass(frozen=True)
class Expected:
    """Steps of one kind in one place.

    Attributes:
        kind: what they do.
        device: where; empty for this host.
        count: how many they are.
        seconds: that they take one after another.
    """

    kind: StepKind
    device: str
    count: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a sweep is expected to take if nothing of it was done before.

    Attributes:
        parts: by kind of step and place.
        seconds: of the whole; compiling and devices go on side by side.
        runs: that it measures; a search does not measure all.
    """

    parts: tuple[Expected, ...]
    seconds: float
    runs: int


def seconds_of(kind: StepKind, device: str, plan: SweepPlan) -> float:
    """Seconds that a step is expected to take where none of its kind was ever timed."""
    far = FAR_SECONDS if device not in {"", "local"} else 0.0
    if kind is StepKind.LAUNCH:
        latency = plan.measure.latency(1)
        share = latency.min_seconds / latency.processes
        return share + min(latency.max_warmup_seconds, USUAL_WARMUP) + USUAL_START + far
    if kind is StepKind.NETWORK and plan.epochs:
        return EPOCH_SECONDS * plan.epochs
    return USUAL_SECONDS[kind] + far


def expected_steps(runs: Iterable[PlannedRun], plan: SweepPlan, *, compiling: bool = True) -> list[Step]:
    """The steps of runs as far as kind and device go, for counting and timing; they cannot be carried out.

    Args:
        runs: of the plan.
        plan: it.
        compiling: whether the steps that make artifacts are counted, and not those alone that measure.
    """
    chosen = list(runs)
    found = Counter(_measuring(chosen, plan))
    if compiling:
        found.update(_compiling({run.variant: None for run in chosen}, plan))
    return [Step(kind, {}, device=device) for (kind, device), count in found.items() for _ in range(count)]


def estimate(expansion: Expansion, plan: SweepPlan, history: Mapping[tuple[str, str], float]) -> Estimate:
    """What an expanded plan is expected to take.

    Args:
        expansion: of the plan.
        plan: it.
        history: median seconds of steps that were done before, by kind and device.
    """
    runs = expansion.runs
    if plan.search is not None and plan.search.trials < len(runs):
        # Those that a search will choose are not known; they are taken as spread over the whole.
        step = len(runs) / plan.search.trials
        runs = tuple(runs[int(at * step)] for at in range(plan.search.trials))
    steps = expected_steps(runs, plan)
    # Training takes what the plan's epochs say, whatever networks took before.
    known = {of: seconds for of, seconds in history.items() if not (plan.epochs and of[0] == StepKind.NETWORK.value)}
    pace = Pace(known, lambda one: seconds_of(one.kind, one.device, plan), COMPILING_AT_ONCE)
    parts = [
        Expected(kind, device, count, count * pace.seconds(Step(kind, {}, device=device)))
        for (kind, device), count in Counter((step.kind, step.device) for step in steps).items()
    ]
    order = list(StepKind)
    parts.sort(key=lambda part: (part.device != "", part.device, order.index(part.kind)))
    return Estimate(tuple(parts), pace.left(steps), len(runs))


def _compiling(variants: Iterable[Variant], plan: SweepPlan) -> Iterable[tuple[StepKind, str]]:
    """What is made on this host for variants."""
    made = list(variants)
    networks = {variant.network: None for variant in made}
    if plan.data:
        yield StepKind.DATA, ""
    for _ in networks:
        yield from ((StepKind.NETWORK, ""), (StepKind.REFERENCE, ""))
    for _ in {(variant.network, variant.recipe.format) for variant in made}:
        yield StepKind.LOWER, ""
    calibrated = Format.TFLITE, Scheme.W8A8  # an ONNX file is calibrated while it is converted
    for _ in {v.network for v in made if (v.recipe.format, v.recipe.scheme) == calibrated}:
        yield StepKind.CALIBRATE, ""
    for _ in made:
        yield from ((StepKind.CONVERT, ""), (StepKind.VERIFY, ""))


def _measuring(runs: Iterable[PlannedRun], plan: SweepPlan) -> Iterable[tuple[StepKind, str]]:
    """What is done on devices for runs."""
    chosen = list(runs)
    for device in {run.device for run in chosen} - {"local"}:
        yield StepKind.REACH, device
    for _, device in {(run.variant, run.device) for run in chosen if run.device != "local"}:
        yield StepKind.PUSH, device
    for run in chosen:
        if run.counts:
            yield StepKind.COUNT, run.device
            continue
        for _ in range(plan.measure.latency(run.threads).processes):
            yield StepKind.LAUNCH, run.device
        if plan.measure.profile_ops:
            yield StepKind.OPERATORS, run.device
    if plan.measures_accuracy:  # which threads do not change
        for _, device, _ in {(run.variant, run.device, run.engine) for run in chosen if run.variant.network.trained}:
            yield StepKind.ACCURACY, device
