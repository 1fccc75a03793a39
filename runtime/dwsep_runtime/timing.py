"""Scenario single-stream: warm up, then time one inference after another and keep every sample."""

from __future__ import annotations

__all__ = ["clock_facts", "random_inputs", "single_stream"]

import gc
import time
from array import array
from typing import TYPE_CHECKING, Any, Callable

from dwsep_runtime.arrays import encode_array
from dwsep_runtime.engines.protocol import Engine, Tensor
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.job import SingleStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_WARMUP_SAMPLES = 3

Clock = Callable[[], int]


def single_stream(
    engine: Engine,
    scenario: SingleStream,
    *,
    on_phase: Callable[[str], None] = lambda phase: None,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Any]:
    """Time inferences at batch 1; only ``engine.invoke()`` lies between two readings of the clock.

    Args:
        engine: a loaded model.
        scenario: how long to warm up and to measure.
        on_phase: called with "warm-up" and "measure" as each begins, never within the timed part.
        clock: monotonic nanoseconds.

    Returns:
        JSON values: ``samples_ns`` (encoded int64, in order), ``warmup_count`` and the clock's facts.
    """
    import numpy as np

    engine.set_inputs(random_inputs(engine.inputs, scenario.seed))
    invoke = engine.invoke
    on_phase("warm-up")
    warmup_count = 0
    warmup_end = clock() + int(scenario.warmup_seconds * 1e9)
    while warmup_count < MIN_WARMUP_SAMPLES or clock() < warmup_end:
        invoke()
        warmup_count += 1
    facts = clock_facts(clock)
    on_phase("measure")
    samples = array("q")
    keep = samples.append
    gc_was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        started = clock()
        earliest_end = started + int(scenario.min_seconds * 1e9)
        end = started
        while end < earliest_end or len(samples) < scenario.min_samples:
            begin = clock()
            invoke()
            end = clock()
            keep(end - begin)
    finally:
        if gc_was_enabled:
            gc.enable()
    return {
        "samples_ns": encode_array(np.frombuffer(samples, np.int64)),
        "warmup_count": warmup_count,
        "measured_seconds": (end - started) / 1e9,
        "clock": facts,
    }


def clock_facts(clock: Clock, readings: int = 2000) -> dict[str, int]:
    """The clock's smallest step and the median time that a reading takes, both in nanoseconds."""
    times = [clock() for _ in range(readings)]
    steps = sorted(later - earlier for earlier, later in zip(times, times[1:]))
    positive = [step for step in steps if step > 0]
    return {"resolution_ns": positive[0] if positive else 0, "overhead_ns": steps[len(steps) // 2]}


def random_inputs(tensors: tuple[Tensor, ...], seed: int) -> list[NDArray[Any]]:
    """Inputs at batch 1 from a seed: floats uniform in [-1, 1), integers uniform over their range.

    Raises:
        InvalidInput: an input has an open dimension other than the batch, or a dtype that is not a number.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    arrays: list[NDArray[Any]] = []
    for tensor in tensors:
        shape = tuple(1 if axis == 0 and size == -1 else size for axis, size in enumerate(tensor.shape))
        if -1 in shape:
            raise InvalidInput(f"input {tensor.name!r} has open dimensions {tensor.shape}; export it with fixed ones")
        try:
            dtype = np.dtype(tensor.dtype)
        except TypeError:
            raise InvalidInput(f"input {tensor.name!r} has dtype {tensor.dtype}; only numbers can be fed") from None
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            arrays.append(rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))
        else:
            arrays.append((rng.random(shape) * 2 - 1).astype(dtype))
    return arrays
