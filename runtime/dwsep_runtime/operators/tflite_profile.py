"""Time of each operator of a .tflite file, from models cut after one operator more each.

No profiler of TensorFlow Lite or LiteRT can be reached from Python, so operator k takes what the model cut after k
takes longer than the model cut after k - 1. Both are timed one after the other in every round. What that means:

- An operator's time holds what surrounds it: moving its inputs into the cache, waiting of threads, the way from one
  delegate to the next. An engine that computes two operators as one (PAD and CONV_2D) gives the first its own time and
  the second the difference, which may be negative; so it stays, and the sum is right.
- Constant operators (float16 weights' DEQUANTIZE) are left out: engines compute them once. If one does not, its time is
  in the first operator that is measured after it.
- ``fixed_ns`` is the model cut before the first operator, whose outputs are its inputs: the way through Python and the
  engine. An engine that refuses such a model leaves it in the first operator, and ``fixed_ns`` is None.
- The differences telescope, so that their sum agrees with the whole unless the rounds are too few or too noisy:
  ``distortion.sum_to_whole`` says no more than that. Independent of it, every operator with known MACs is also timed
  alone, as a model of its own, its fixed part taken off. ``distortion.alone_to_parts`` is the sum of these over the sum
  of the same operators' differences: below 1 where operators alone profit from finding weights and inputs in the cache,
  above 1 where one alone costs what the whole is spared, such as changes of layout. Far from 1 it says that an
  operator's time belongs to this network and not to the operator.
"""

from __future__ import annotations

__all__ = ["profile_prefixes"]

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from dwsep_runtime.engines import Engine, EngineSettings, allocate_engine, load_engine
from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import DwsepError, EngineError, InvalidInput
from dwsep_runtime.operators.rounds import Rounds, interleaved_rounds, median_estimate
from dwsep_runtime.operators.summary import MeasuredOperator, sum_by_kind
from dwsep_runtime.operators.tflite_operators import TFLiteOperator, TFLiteOperators
from dwsep_runtime.operators.tflite_prefix import constant_bytes, write_alone, write_empty, write_prefix
from dwsep_runtime.timing import random_inputs

MEMORY_BYTES = 1 << 28
"""Weights that the models loaded at a time may hold; beyond, a part of the cuts is timed after the other."""

COPIES = 2
"""Times that an engine holds weights: as they are in the file, and packed for its kernels."""

Invoke = Callable[[], object]


@dataclass
class _Measured:
    """Times in ns, round by round, of the blocks measured so far.

    Attributes:
        whole: of the untouched file.
        fixed: of the model without operators; empty where the engine refuses it.
        parts: of each operator, by its position: one cut less the one before.
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
    blocks = _blocks([COPIES * constant_bytes(graph, operator) for operator in operators], MEMORY_BYTES)
    effort = [sum(block) + len(block) for block in blocks]
    with tempfile.TemporaryDirectory(prefix="dwsep-") as folder:
        loader = _Loader(engine_name, settings, title, seed, Path(folder) / "part.tflite")
        for block, share in zip(blocks, effort):
            parts = _load_block(loader, model, graph, operators, block)
            _keep(measured, interleaved_rounds(list(parts.values()), seconds * share / sum(effort)), list(parts), block)
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


def _load_block(
    loader: _Loader, model: Path, graph: TFLiteOperators, operators: Sequence[TFLiteOperator], block: range
) -> dict[tuple[str, int], Invoke]:
    """The whole, the cut before a block's first operator, the cut after each, and each operator with MACs alone."""
    parts = {("whole", 0): loader.whole(model)}
    if block.start:
        before = operators[block.start - 1]
        parts["cut", block.start - 1] = loader.part(
            functools.partial(write_prefix, graph, before.index), f"cut after {before}"
        )
    else:
        empty = loader.part_if_accepted(functools.partial(write_empty, graph), "without operators")
        if empty is not None:
            parts["cut", -1] = empty
    for position in block:
        operator = operators[position]
        parts["cut", position] = loader.part(
            functools.partial(write_prefix, graph, operator.index), f"cut after {operator}"
        )
    for position in block:
        operator = operators[position]
        if operator.macs:
            alone = loader.part_if_accepted(functools.partial(write_alone, graph, operator), f"cut to {operator}")
            if alone is not None:
                parts["alone", position] = alone
    return parts


def _keep(measured: _Measured, rounds: Rounds, keys: Sequence[tuple[str, int]], block: range) -> None:
    times = {key: rounds.column(place) for place, key in enumerate(keys)}
    measured.rounds.append(len(rounds.times))
    measured.whole.extend(times["whole", 0])
    if block.start == 0:
        measured.fixed.extend(times.get(("cut", -1), ()))
    nothing = [0.0] * len(rounds.times)
    for position in block:
        before = times.get(("cut", position - 1), nothing)
        measured.parts[position] = [after - earlier for after, earlier in zip(times["cut", position], before)]
        if ("alone", position) in times:
            measured.alone[position] = times["alone", position]


def _blocks(costs: Sequence[int], most: int) -> list[range]:
    """Consecutive positions in blocks of which each costs ``most`` at most, or is one position alone."""
    blocks, start, total = [], 0, 0
    for position, cost in enumerate(costs):
        if position > start and total + cost > most:
            blocks.append(range(start, position))
            start, total = position, 0
        total += cost
    return [*blocks, range(start, len(costs))]
