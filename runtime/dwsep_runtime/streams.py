"""Scenarios that time a loaded model in this process: single-stream, offline, first-inference, and taking turns."""

from __future__ import annotations

__all__ = ["first_inference", "offline", "single_stream", "take_turns"]

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable, Union

from dwsep_runtime.arrays import encode_array
from dwsep_runtime.engines.protocol import Engine
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.percentiles import relative_half_width
from dwsep_runtime.scenarios import FirstInference, Offline, SingleStream, Turns
from dwsep_runtime.steady import Warmup, warm_up
from dwsep_runtime.timing import Clock, TimedLoop, clock_facts, random_inputs, summary_of_loop
from dwsep_runtime.witness import Witness

PRECISION_SECONDS = 0.5
"""How often the interval is looked at for an early end, and the least that is measured before one."""

DISCARD_NS = 500_000
"""Beginning of a turn that is not timed, at least one inference: the others have taken the caches meanwhile."""

Phase = Callable[[str], None]


def single_stream(
    engine: Engine, scenario: SingleStream, *, on_phase: Phase, clock: Clock = time.perf_counter_ns
) -> dict[str, Any]:
    """Time inferences until both minimums are met, or the interval is as narrow as was asked for.

    Args:
        engine: a loaded and allocated model.
        scenario: how long.
        on_phase: called with "warm-up" and "measure" as each begins.
        clock: monotonic nanoseconds.

    Returns:
        JSON values: ``samples_ns`` (encoded int64, in order), ``warmup``, ``clock``, ``ended_early``, and what
        :func:`dwsep_runtime.timing.summary_of_loop` tells.
    """
    begun = _begin(engine, scenario, on_phase, clock)
    narrow = _NarrowEnough(scenario)
    begun.loop.run(lambda it: _minimums_met(it, 1, scenario.min_samples, scenario.min_seconds) or narrow(it))
    return {**begun.told(), "ended_early": narrow.reached}


def offline(
    engine: Engine, batch: int, scenario: Offline, *, on_phase: Phase, clock: Clock = time.perf_counter_ns
) -> dict[str, Any]:
    """Run batches until both minimums are met.

    Returns:
        As :func:`single_stream`, each sample of ``samples_ns`` being the time of a batch; and ``batch``.
    """
    begun = _begin(engine, scenario, on_phase, clock)
    begun.loop.run(lambda it: _minimums_met(it, batch, scenario.min_samples, scenario.min_seconds))
    return {**begun.told(), "batch": batch}


def first_inference(engine: Engine, scenario: FirstInference, clock: Clock = time.perf_counter_ns) -> dict[str, Any]:
    """Run once: ``first_inference_ns``, the setting of inputs and the reading of outputs included; ``done_at_ns``."""
    inputs = random_inputs(engine.inputs, scenario.seed)
    begin = clock()
    engine.set_inputs(inputs)
    engine.invoke()
    engine.get_outputs()
    return {"first_inference_ns": clock() - begin, "done_at_ns": time.monotonic_ns()}


def take_turns(
    engine: Engine,
    scenario: Turns,
    lines: Iterable[str],
    emit: Callable[[dict[str, Any]], None],
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Any]:
    """Warm up at the first line, and then time as many inferences as each line asks for, until the lines end.

    Args:
        engine: a loaded and allocated model.
        scenario: seed and warm-up.
        lines: any line to begin with, then one number of inferences each.
        emit: takes the events ``loaded``, ``ready`` and ``turn``.
        clock: monotonic nanoseconds.

    Returns:
        JSON values: as :func:`single_stream`, of all turns together.

    Raises:
        InvalidInput: a line that is no number.
    """
    engine.set_inputs(random_inputs(engine.inputs, scenario.seed))
    emit({"event": "loaded"})
    given = iter(lines)
    next(given, None)
    warmup = warm_up(engine.invoke, scenario.max_warmup_seconds, clock)
    witness = Witness()
    probe = TimedLoop(engine.invoke, clock, dict)
    probe.chunk(3)
    everything = TimedLoop(engine.invoke, clock, dict)
    emit({"event": "ready", "typical_ns": int(sorted(probe.samples)[1])})
    for line in given:
        if not line.strip().isdigit():
            raise InvalidInput(f"a turn must be a number of inferences, received {line.strip()[:80]!r}")
        discarding = clock()
        engine.invoke()
        while clock() - discarding < DISCARD_NS:
            engine.invoke()
        count = max(1, int(line))
        everything.chunk(count)
        emit({"event": "turn", "samples_ns": encode_array(everything.latest(count))})
    return _Begun(warmup, clock_facts(clock), witness, everything).told()


@dataclass(frozen=True)
class _Begun:
    """A scenario that has warmed up and begins to time."""

    warmup: Warmup
    clock_facts: dict[str, Any]
    witness: Witness
    loop: TimedLoop

    def told(self) -> dict[str, Any]:
        return {
            **summary_of_loop(self.loop),
            "witness": self.witness.told(),
            "warmup": self.warmup.to_json(),
            "clock": self.clock_facts,
        }


def _begin(engine: Engine, scenario: Union[SingleStream, Offline], on_phase: Phase, clock: Clock) -> _Begun:
    engine.set_inputs(random_inputs(engine.inputs, scenario.seed))
    on_phase("warm-up")
    warmup = warm_up(engine.invoke, scenario.max_warmup_seconds, clock)
    facts = clock_facts(clock)
    on_phase("measure")
    return _Begun(warmup, facts, Witness(), TimedLoop(engine.invoke, clock))


def _minimums_met(loop: TimedLoop, per_inference: int, min_samples: int, min_seconds: float) -> bool:
    return len(loop.samples) * per_inference >= min_samples and loop.seconds >= min_seconds


class _NarrowEnough:
    """Whether two looks in a row, half a second apart, found the interval narrow enough.

    One look would do more often than 95 % promise: the narrowest of many intervals is narrow by luck.
    """

    def __init__(self, scenario: SingleStream) -> None:
        self._scenario = scenario
        self._next_look = PRECISION_SECONDS
        self._looks = 0
        self.reached = False

    def __call__(self, loop: TimedLoop) -> bool:
        precision = self._scenario.precision
        if precision is None or loop.seconds < self._next_look:
            return False
        self._next_look = loop.seconds + PRECISION_SECONDS
        width = relative_half_width([loop.all_samples()], self._scenario.percentile)
        self._looks = self._looks + 1 if width is not None and width < precision else 0
        self.reached = self._looks >= 2
        return self.reached
