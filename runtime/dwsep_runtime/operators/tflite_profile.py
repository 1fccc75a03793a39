"""Time of each operator of a .tflite file, from parts of it that end after one operator more each.

No profiler of TensorFlow Lite or LiteRT can be reached from Python, so operator k takes what the operators up to k take
longer than those up to k - 1. Both parts begin a few operators before: with all that come before, the difference of two
long times would be worthless wherever the device is not at rest. They are timed one after the other in every round.
What that means:

- An operator's time holds what surrounds it: moving its inputs into the cache, waiting of threads, the way from one
  delegate to the next. An engine that computes two operators as one (PAD and CONV_2D) gives the first its own time and
  the second the difference, which may be negative; so it stays, and the sum is right.
- Constant operators (float16 weights' DEQUANTIZE) are left out: engines compute them once. If one does not, its time is
  in the first operator that is measured after it.
- ``fixed_ns`` is the model without operators: the way through Python and the engine. An engine that refuses such a
  model leaves it in the first operator, and ``fixed_ns`` is None.
- ``distortion.sum_to_whole`` compares with the untouched model in the same rounds, of which the parts know nothing. It
  is above 1 if ends of parts cost what the model is spared, below 1 if operators profit from finding the weights of so
  few others in the cache, and below 1 on a device that others keep busy, where a short part finds an undisturbed moment
  sooner than the whole.
- ``alone_ns`` of an operator with MACs is that of the model of it alone, its fixed part taken off, and
  ``distortion.alone_to_parts`` the sum of these over the sum of the same operators' ``ns``. Far from 1 it says that an
  operator's time belongs to where it stands and not to the operator.
"""

from __future__ import annotations

__all__ = ["profile_prefixes"]

import functools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from dwsep_runtime.engines import Engine, EngineSettings, allocate_engine, load_engine
from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import DwsepError, EngineError, InvalidInput
from dwsep_runtime.operators.rounds import Rounds, interleaved_rounds, median_estimate
from dwsep_runtime.operators.summary import MeasuredOperator, sum_by_kind
from dwsep_runtime.operators.tflite_operators import TFLiteOperator, TFLiteOperators
from dwsep_runtime.operators.tflite_prefix import constant_bytes, window_inputs, write_empty, write_window
from dwsep_runtime.timing import random_inputs

MEMORY_BYTES = 1 << 28
"""What the models loaded at a time may take, about; if all take more, the cuts are timed in several blocks."""

COPIES = 2
"""Times that an engine holds weights: as they are in the file, and packed for its kernels."""

ARENA_TENSORS = 2
"""Tensors of the largest size that an engine keeps for activations, about: an operator's input and output."""

LEAD = 4
"""Operators before the one in question that its parts begin with. On two x86 cores that others used, times of depthwise
convolutions of the same shape were 7.6 to 10.0 us; from the beginning of the network (31 operators, 1.6 ms) on, they
were 3.1 to 36."""

Span = tuple[int, int]
"""First and last position of a part, both included; (0, -1) is the model without operators."""

EMPTY: Span = (0, -1)

Invoke = Callable[[], object]


@dataclass
class _Measured:
    """Times in ns, round by round, of the blocks measured so far.

    Attributes:
        whole: of the untouched file.
        fixed: of the model without operators; empty where the engine refuses it.
        parts: of each operator, by its position: the part that ends after it less the one that ends before.
        alone: of the model of one operator, by its position, its fixed part included.
        rounds: of each block.
    """

    whole: list[float] = field(default_factory=list)
    fixed: list[float] = field(default_factory=list)
    parts: dict[int, list[float]] = field(default_factory=dict)
    alone: dict[int, list[float]] = field(default_factory=dict)
    rounds: list[int] = field(default_factory=list)


def profile_prefixes(
    model: Path, engine_name: str, settings: EngineSettings, title: str, *, seconds: float, seed: int
) -> dict[str, Any]:
    """See :func:`dwsep_runtime.operators.profile.profile_operators`, and above for what is measured.

    Raises:
        InvalidInput: the model has several subgraphs, or no operator that depends on its inputs.
        EngineError: the engine refuses the model, or the model cut after one of its operators.
    """
    graph = TFLiteOperators(model.read_bytes(), title)
    operators = [operator for operator in graph.operators if not operator.constant]
    if not operators:
        raise InvalidInput(f"{title} has no operator that depends on its inputs; there is nothing to profile")
    measured = _Measured()
    arena = ARENA_TENSORS * graph.largest_activation() * settings.batch
    spans = [_spans(graph, operators, position) for position in range(len(operators))]
    costs = [sum(arena + COPIES * _weights(graph, operators, span) for span in group) for group in spans]
    blocks = _blocks(costs, MEMORY_BYTES)
    with tempfile.TemporaryDirectory(prefix="dwsep-") as folder:
        loader = _Loader(engine_name, settings, title, seed, Path(folder) / "part.tflite")
        for block in blocks:
            whole = loader.whole(model)
            parts = _load_block(loader, graph, operators, [spans[position] for position in block])
            share = seconds * len(block) / len(operators)
            rounds = interleaved_rounds([whole, *parts.values()], share)
            _keep(measured, rounds, parts, {position: spans[position] for position in block})
            parts.clear()  # gives their memory back before the next ones are loaded
    return _profile(measured, operators, settings.batch / graph.batch() if settings.batch > 1 else 1.0)


def _profile(measured: _Measured, operators: Sequence[TFLiteOperator], batches: float) -> dict[str, Any]:
    fixed = median_estimate(measured.fixed).value if measured.fixed else None
    found = []
    for position, operator in enumerate(operators):
        alone = measured.alone.get(position)
        found.append(
            MeasuredOperator(
                index=operator.index,
                name=operator.name,
                type=operator.type,
                kind=operator.kind,
                macs=None if operator.macs is None else round(operator.macs * batches),
                times=measured.parts[position],
                alone=None if alone is None or fixed is None else median_estimate(alone).value - fixed,
            )
        )
    whole = median_estimate(measured.whole)
    sum_ns = sum(operator.estimate().value for operator in found)
    both = [operator for operator in found if operator.alone is not None]
    parts = sum(operator.estimate().value for operator in both)
    return {
        "method": "prefix",
        "whole_ns": whole.value,
        "whole_interval_ns": list(whole.interval) if whole.interval else None,
        "sum_ns": sum_ns,
        "fixed_ns": fixed,
        "distortion": {
            "sum_to_whole": (sum_ns + (fixed or 0.0)) / whole.value,
            "alone_to_parts": sum(operator.alone or 0.0 for operator in both) / parts if parts > 0 else None,
        },
        "rounds": min(measured.rounds),
        "operators": [operator.to_json() for operator in found],
        "by_kind": sum_by_kind(found),
    }


class _Loader:
    """Loads models and parts of them into an engine, each fed with random numbers."""

    def __init__(self, engine_name: str, settings: EngineSettings, title: str, seed: int, part: Path) -> None:
        self._engine_name = engine_name
        self._settings = settings
        self._title = title
        self._seed = seed
        self._part = part

    def whole(self, model: Path) -> Invoke:
        return self._load(model, self._title)

    def part(self, write: Callable[[Path], None], what: str) -> Invoke:
        """Write a part, load it, and remove the file: an engine keeps it mapped for as long as it needs it."""
        write(self._part)
        try:
            return self._load(self._part, f"{self._title} {what}")
        finally:
            self._part.unlink()

    def part_if_accepted(self, write: Callable[[Path], None], what: str) -> Optional[Invoke]:
        try:
            return self.part(write, what)
        except DwsepError:
            return None

    def _load(self, model: Path, title: str) -> Invoke:
        engine, version = load_engine(self._engine_name, model, self._settings, title)
        allocate_engine(engine, self._engine_name, version, title)
        engine.set_inputs(random_inputs(engine.inputs, self._seed))
        try:
            engine.invoke()
        except Exception as error:  # engines raise their own types, or bare ValueError and RuntimeError
            reason = plain_reason(error)
            raise EngineError(f"engine {self._engine_name} {version} failed to run {title}: {reason}") from error
        return functools.partial(_run, engine)


def _run(engine: Engine) -> None:
    engine.invoke()


def _spans(graph: TFLiteOperators, operators: Sequence[TFLiteOperator], position: int) -> list[Span]:
    """The parts that end before and after an operator and, if it has MACs, the operator alone.

    They begin ``LEAD`` operators before, or further up where random numbers may not be fed.
    """
    last = operators[position].index

    def may_begin(start: int) -> bool:
        first = operators[start].index
        return all(graph.tensors[tensor].any_value for tensor in window_inputs(graph, first, last))

    start = max(0, position - LEAD)
    while start and not may_begin(start):
        start -= 1
    spans = [(start, position - 1) if position else EMPTY, (start, position)]
    if operators[position].macs and may_begin(position):
        spans.append((position, position))
    return spans


def _weights(graph: TFLiteOperators, operators: Sequence[TFLiteOperator], span: Span) -> int:
    return 0 if span == EMPTY else constant_bytes(graph, operators[span[0]].index, operators[span[1]].index)


def _load_block(
    loader: _Loader, graph: TFLiteOperators, operators: Sequence[TFLiteOperator], groups: Sequence[Sequence[Span]]
) -> dict[Span, Invoke]:
    """Load each part once, in an order in which the two of an operator follow one another.

    The model without operators and operators alone are left out where the engine refuses them.
    """
    parts: dict[Span, Invoke] = {}
    for before, after, *alone in groups:
        if before == EMPTY:
            empty = loader.part_if_accepted(functools.partial(write_empty, graph), "without operators")
            if empty is not None:
                parts[EMPTY] = empty
        for start, end in (before, after):
            if (start, end) not in parts and end >= 0:
                first, last = operators[start], operators[end]
                write = functools.partial(write_window, graph, first.index, last.index)
                parts[start, end] = loader.part(write, f"cut after {last}")
        for span in alone:
            if span not in parts:
                one = operators[span[0]]
                write = functools.partial(write_window, graph, one.index, one.index)
                part = loader.part_if_accepted(write, f"cut to {one}")
                if part is not None:
                    parts[span] = part
    return parts


def _keep(measured: _Measured, rounds: Rounds, parts: Iterable[Span], groups: Mapping[int, Sequence[Span]]) -> None:
    times = {span: rounds.column(1 + place) for place, span in enumerate(parts)}
    measured.rounds.append(len(rounds.times))
    measured.whole.extend(rounds.column(0))
    measured.fixed.extend(times.get(EMPTY, ()))
    nothing = [0.0] * len(rounds.times)
    for position, (before, after, *alone) in groups.items():
        earlier = times.get(before, nothing)
        measured.parts[position] = [late - early for late, early in zip(times[after], earlier)]
        for span in alone:
            if span in times:
                measured.alone[position] = times[span]


def _blocks(costs: Sequence[int], most: int) -> list[range]:
    """Consecutive positions in blocks of which each costs ``most`` at most, or is one position alone."""
    blocks, start, total = [], 0, 0
    for position, cost in enumerate(costs):
        if position > start and total + cost > most:
            blocks.append(range(start, position))
            start, total = position, 0
        total += cost
    return [*blocks, range(start, len(costs))]
