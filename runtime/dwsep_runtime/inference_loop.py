"""A data set through an engine: between two inferences stands a copy of the outputs, all else is done by the chunk."""

from __future__ import annotations

__all__ = ["InferenceLoop", "OnProgress", "require_finite"]

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from dwsep_runtime.engines.protocol import Engine
from dwsep_runtime.errors import EngineError
from dwsep_runtime.model_input import ModelInput, only_input
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 256
CHUNK_BYTES = 16_000_000
"""Items prepared at a time, and bytes of their inputs or outputs: limits, because a small device has little memory."""

OnProgress = Callable[[int, int], None]
Clock = Callable[[], int]


class InferenceLoop:
    """Prepares a chunk of a data set, runs it item by item at batch 1, and hands its outputs out.

    Attributes:
        outputs: shape of each output of one item, without the batch of 1; as the engine gave it for the first item.
        chunk: items a chunk.
        engine_ns: time inside set_inputs, invoke and get_outputs, so far.
        preprocessing_ns: time for reading and preparing data.
        counting_ns: time that who iterates took with the outputs.
        wall_ns: time of the whole loop.
    """

    def __init__(
        self,
        engine: Engine,
        data: NDArray[Any],
        preprocessing: Preprocessing,
        *,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        """Check that the data fit, and run the first item once to learn the outputs' shapes.

        Args:
            engine: a loaded model of one input.
            data: uint8 images (count, height, width, channels), or other inputs, float32 (count, ...).
            preprocessing: of images.
            clock: monotonic nanoseconds.

        Raises:
            InvalidInput: the model has several inputs, or the data do not fit the one.
        """
        self._engine, self._data, self._clock = engine, data, clock
        self._input = ModelInput(only_input(engine), preprocessing, data)
        first = self._input.allocate(1)
        self._input.write(data[:1], first)
        engine.set_inputs([first])
        engine.invoke()
        samples = engine.get_outputs()
        self.outputs = [output.shape[1:] if output.shape[:1] == (1,) else output.shape for output in samples]
        self._dtypes = [output.dtype for output in samples]
        largest = max(first.nbytes, sum(output.nbytes for output in samples), 1)
        self.chunk = min(CHUNK, len(data), max(1, CHUNK_BYTES // largest))
        self.engine_ns = self.preprocessing_ns = self.counting_ns = self.wall_ns = 0

    def chunks(self, on_progress: OnProgress) -> Iterator[tuple[int, list[NDArray[Any]]]]:
        """Run all items.

        Args:
            on_progress: called with the items done and in all, before each chunk and in the end.

        Yields:
            Index of the chunk's first item, and an array (items, ...) for each output, as the engine stores it;
            the memory is used again for the next chunk.

        Raises:
            InvalidInput: the model's input cannot hold a value.
        """
        import numpy as np

        inputs = self._input.allocate(self.chunk)
        outputs = [np.empty((self.chunk, *shape), dtype) for shape, dtype in zip(self.outputs, self._dtypes)]
        fed = [[inputs[row : row + 1]] for row in range(self.chunk)]
        clock, total = self._clock, len(self._data)
        started = clock()
        for start in range(0, total, self.chunk):
            on_progress(start, total)
            count = min(self.chunk, total - start)
            begun = clock()
            self._input.write(self._data[start : start + count], inputs[:count])
            self.preprocessing_ns += clock() - begun
            self._run(fed[:count], outputs)
            begun = clock()
            yield start, [kept[:count] for kept in outputs]
            self.counting_ns += clock() - begun
        self.wall_ns += clock() - started
        on_progress(total, total)

    def _run(self, fed: list[list[NDArray[Any]]], outputs: list[NDArray[Any]]) -> None:
        clock, set_inputs, invoke, get_outputs = (
            self._clock,
            self._engine.set_inputs,
            self._engine.invoke,
            self._engine.get_outputs,
        )
        only = outputs[0] if len(outputs) == 1 else None
        spent = 0
        for row, arrays in enumerate(fed):
            begun = clock()
            set_inputs(arrays)
            invoke()
            given = get_outputs()
            spent += clock() - begun
            if only is not None:
                only[row] = given[0]
            else:
                for kept, output in zip(outputs, given):
                    kept[row] = output
        self.engine_ns += spent

    def cost(self) -> dict[str, Any]:
        """What the loop cost besides the engine, in nanoseconds an item.

        Returns:
            JSON values: ``loop_overhead_ns``, all time outside set_inputs, invoke and get_outputs; of it
            ``preprocessing_ns`` and ``counting_ns``; and ``engine_ns`` beside it.
        """
        count = len(self._data)
        return {
            "loop_overhead_ns": (self.wall_ns - self.engine_ns) / count,
            "preprocessing_ns": self.preprocessing_ns / count,
            "counting_ns": self.counting_ns / count,
            "engine_ns": self.engine_ns / count,
        }


def require_finite(outputs: NDArray[Any], start: int, purpose: str, whose: str = "the model's outputs") -> None:
    """Refuse outputs that are not numbers.

    Args:
        outputs: (items, ...) of a chunk.
        start: index of the chunk's first item.
        purpose: what cannot be told then.
        whose: what they are, in words.

    Raises:
        EngineError: an output is NaN or infinite; the first such item is named.
    """
    import numpy as np

    if not np.issubdtype(outputs.dtype, np.floating) or np.isfinite(outputs).all():
        return
    finite = np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1)
    raise EngineError(f"{whose} for image {start + int(np.argmin(finite))} are not finite numbers; {purpose}")
