"""The timed loop that the scenarios share, the inputs it runs on, and what is known of its clock."""

from __future__ import annotations

__all__ = ["Clock", "TimedLoop", "clock_facts", "random_inputs", "summary_of_loop"]

import gc
import time
from array import array
from itertools import repeat
from typing import TYPE_CHECKING, Any, Callable

from dwsep_runtime.arrays import encode_array
from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.memory import peak_resident_bytes
from dwsep_runtime.state import quick_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_SECONDS = 0.02
"""Inferences are timed in chunks of about this length; everything else is done between chunks."""

POLL_SECONDS = 1.0
"""How often the device's state is read during a measurement."""

Clock = Callable[[], int]


class TimedLoop:
    """Times one inference after another; only ``invoke()`` lies between two readings of the clock.

    Args:
        invoke: runs one inference.
        clock: monotonic nanoseconds.
        poll: reads the device's state; called about once a second, between inferences.

    Attributes:
        samples: nanoseconds of each inference, in order.
        states: what ``poll`` told, each with ``at_ns`` since the start.
    """

    def __init__(
        self,
        invoke: Callable[[], object],
        clock: Clock = time.perf_counter_ns,
        poll: Callable[[], dict[str, Any]] = quick_state,
    ) -> None:
        self._invoke = invoke
        self._clock = clock
        self._poll = poll
        self.samples = array("q")
        self.states: list[dict[str, Any]] = []
        self.started = self._next_poll = clock()
        self.loop_ns = 0

    @property
    def seconds(self) -> float:
        """Since the start, everything between the inferences included."""
        return (self._clock() - self.started) / 1e9

    def chunk(self, count: int) -> int:
        """Time ``count`` inferences; returns nanoseconds from the first one's begin to the last one's end."""
        clock, invoke, keep = self._clock, self._invoke, self.samples.append
        end = clock()
        if end >= self._next_poll:
            self.states.append({"at_ns": end - self.started, **self._poll()})
            self._next_poll = end + int(POLL_SECONDS * 1e9)
            invoke()  # reading the state has displaced what the model had in the cache
        gc_was_enabled = gc.isenabled()
        gc.disable()
        try:
            first = clock()
            for _ in repeat(None, count):
                begin = clock()
                invoke()
                end = clock()
                keep(end - begin)
        finally:
            if gc_was_enabled:
                gc.enable()
        self.loop_ns += end - first
        return end - first

    def run(self, enough: Callable[[TimedLoop], bool]) -> None:
        """Time chunk after chunk until ``enough`` says so."""
        size = 1
        while not enough(self):
            took = self.chunk(size)
            size = max(1, min(2 * size, int(size * CHUNK_SECONDS * 1e9 / max(took, 1))))

    def latest(self, count: int) -> NDArray[Any]:
        """The last ``count`` samples, int64."""
        import numpy as np

        return np.frombuffer(self.samples, np.int64)[-count:].copy()

    def all_samples(self) -> NDArray[Any]:
        """All samples, int64, in order."""
        import numpy as np

        return np.array(self.samples, np.int64)


def summary_of_loop(loop: TimedLoop) -> dict[str, Any]:
    """What every timed scenario reports of its loop: samples (encoded), seconds, states, and the peak of memory."""
    peak = peak_resident_bytes()  # before what follows takes memory of its own
    samples = loop.all_samples()
    return {
        "peak_bytes": peak,
        "loop_ns": loop.loop_ns,
        "samples_ns": encode_array(samples),
        "timed_seconds": float(samples.sum()) / 1e9,
        "measured_seconds": loop.seconds,
        "loop_ns_per_sample": (loop.loop_ns - int(samples.sum())) / max(1, len(samples)),
        "states": loop.states,
    }


def clock_facts(clock: Clock = time.perf_counter_ns, readings: int = 2000) -> dict[str, Any]:
    """What the clock and the loop add, in nanoseconds.

    Returns:
        ``resolution_ns``: the smallest step between two readings; ``overhead_ns``: the median that the loop measures
        where there is nothing to run, which is in every sample and is not subtracted.
    """
    times = [clock() for _ in range(readings)]
    positive = sorted(later - earlier for earlier, later in zip(times, times[1:]) if later > earlier)
    nothing: Callable[[], object] = ().__len__
    empty = TimedLoop(nothing, clock, dict)
    empty.chunk(readings)
    return {"resolution_ns": positive[0] if positive else 0, "overhead_ns": sorted(empty.samples)[readings // 2]}


def random_inputs(tensors: tuple[Tensor, ...], seed: int) -> list[NDArray[Any]]:
    """Inputs from a seed: floats uniform in [-1, 1), integers uniform over their range; an open batch becomes 1.

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
            values: Any = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        elif dtype == np.bool_:
            values = rng.random(shape) < 0.5
        else:
            values = rng.random(shape) * 2 - 1
        arrays.append(np.asarray(values, dtype))  # without a dimension, they would be numbers and no arrays
    return arrays
