"""Time of each operator of an .onnx file, from onnxruntime's own profiler, and what the profiler itself costs.

A kernel's event spans the kernel and part of the profiler's noting (shapes of inputs, state of memory), which takes
some microseconds: more than many a kernel of a small network. So it is measured and taken off. Chains of cheap nodes
with 1 and with 8 inputs run in the same rounds, with and without profiler; by how much a node's event is longer than
the node takes without profiler is the noting, for as many inputs and by a straight line for other numbers. It does not
know that noting takes longer where the network has emptied the caches. ``distortion`` says what comes of it:

- ``sum_to_whole``: fixed part and corrected kernels over the whole without profiler.
- ``kernels_to_whole``: events as they are over the whole without profiler.
- ``profiled_to_whole``: the whole with profiler over the whole without, in turns.

Events are in whole microseconds, cut off: half of one is added, and intervals are half of one wider on either side.
``fixed_ns`` is an inference of a model of one cheap node less the node.
"""

from __future__ import annotations

__all__ = ["profile_kernels"]

import functools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable

from dwsep_runtime.engines import Engine, EngineSettings, allocate_engine, load_engine
from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import EngineError, InvalidInput
from dwsep_runtime.operators.onnx_chain import chain_model
from dwsep_runtime.operators.onnx_operators import Kernel, ONNXOperators
from dwsep_runtime.operators.rounds import Estimate, Rounds, interleaved_rounds, median_estimate
from dwsep_runtime.operators.summary import MeasuredOperator, sum_by_kind
from dwsep_runtime.timing import random_inputs

CHAIN_NODES = 16
FEW_INPUTS, MANY_INPUTS = 1, 8

EVENTS = 20_000
"""Events that a profile may have: onnxruntime drops those after a million, and a file of these takes 14 MB."""

MICROSECOND = 1000.0
HALF = MICROSECOND / 2

KERNEL_ENDING = "_kernel_time"


@dataclass
class _Node:
    """A node of the rewritten graph: what ran, and its events' durations in each inference, microseconds."""

    kernel: Kernel
    durations: dict[int, int] = field(default_factory=dict)

    def rounds(self, calls: Sequence[Sequence[int]]) -> list[float]:
        """Mean duration in the calls of each round, ns; the mean, because a median of whole microseconds is coarse."""
        return [
            HALF + MICROSECOND * sum(self.durations.get(call, 0) for call in chosen) / len(chosen) for chosen in calls
        ]


@dataclass(frozen=True)
class _EventProfile:
    """What a profile tells: its nodes in the order they ran in, and how long each inference took, microseconds."""

    nodes: tuple[_Node, ...]
    inferences: tuple[int, ...]

    def fastest(self, calls: Sequence[Sequence[int]]) -> list[list[int]]:
        """Of each round the quarter of the calls that took the shortest time: disturbances only ever add."""
        return [sorted(timed, key=lambda call: self.inferences[call])[: max(1, len(timed) // 4)] for timed in calls]

    def times(self, rounds: Rounds) -> list[list[float]]:
        """Of each node the duration of its events in each round, ns."""
        chosen = self.fastest(rounds.calls)
        return [node.rounds(chosen) for node in self.nodes]


@dataclass(frozen=True)
class _Cost:
    """What is not computing, ns: of an inference, and of an event by the number of its node's inputs."""

    fixed: float
    event: float
    event_input: float

    def of_event(self, inputs: int) -> float:
        return self.event + self.event_input * max(0, inputs - FEW_INPUTS)


def profile_kernels(
    model: Path, engine_name: str, settings: EngineSettings, title: str, *, seconds: float, seed: int
) -> dict[str, Any]:
    """See :func:`dwsep_runtime.operators.profile.profile_operators`, and above for what is measured.

    Raises:
        InvalidInput: the model has control flow, or the engine is not onnxruntime.
        EngineError: the engine refuses the model or fails to run it.
    """
    whole, version = load_engine(engine_name, model, settings, title)
    if engine_name != "onnxruntime":
        raise InvalidInput(f"engine {engine_name} has no profiler of .onnx files; profile {title} with onnxruntime")
    graph = ONNXOperators(model.read_bytes(), title)
    allocate_engine(whole, engine_name, version, title)
    with tempfile.TemporaryDirectory(prefix="dwsep-") as folder:
        engines = _Engines(Path(folder), whole, model, settings)
        parts = engines.prepared(seed)
        try:
            rounds = interleaved_rounds(parts, seconds, most_calls=EVENTS // max(CHAIN_NODES, graph.count))
        except Exception as error:  # onnxruntime raises its own types
            reason = plain_reason(error)
            raise EngineError(f"engine {engine_name} {version} failed to run {title}: {reason}") from error
        profiles = {name: _read(Path(engine.end_profiling())) for name, engine in engines.profiled.items()}
    times = {name: median_estimate(rounds.column(place)).value for place, name in enumerate(engines.names())}
    cost = _cost(times, profiles, rounds)
    profile = profiles["profiled"]
    seen = profile.times(rounds)
    found = []
    for index, (node, node_times) in enumerate(zip(profile.nodes, seen)):
        kind, macs = graph.kind_and_macs(node.kernel)
        noting = cost.of_event(len(node.kernel.inputs))
        found.append(
            MeasuredOperator(
                index=index,
                name=node.kernel.name,
                type=node.kernel.type,
                kind=kind,
                macs=macs,
                times=[time - noting for time in node_times],
                resolution=HALF,
            )
        )
    events = sum(median_estimate(node_times).value for node_times in seen)
    return _profile(found, median_estimate(rounds.column(0)), times["profiled"], events, cost.fixed, len(rounds.times))


def _profile(
    found: Sequence[MeasuredOperator], whole: Estimate, profiled: float, events: float, fixed: float, rounds: int
) -> dict[str, Any]:
    sum_ns = sum(operator.estimate().value for operator in found)
    return {
        "method": "onnxruntime-profiler",
        "whole_ns": whole.value,
        "whole_interval_ns": list(whole.interval) if whole.interval else None,
        "sum_ns": sum_ns,
        "fixed_ns": fixed,
        "distortion": {
            "sum_to_whole": (sum_ns + fixed) / whole.value,
            "kernels_to_whole": events / whole.value,
            "profiled_to_whole": profiled / whole.value,
        },
        "rounds": rounds,
        "operators": [operator.to_json() for operator in found],
        "by_kind": sum_by_kind(found),
    }


class _Engines:
    """The model without and with profiler, and chains of cheap nodes: all that is timed, by name.

    Attributes:
        plain: without profiler: "whole" first, "one" (a chain of one node), "few" and "many" (inputs a node).
        profiled: with profiler: "profiled" (the model), "few profiled" and "many profiled".
    """

    def __init__(self, folder: Path, whole: Engine, model: Path, settings: EngineSettings) -> None:
        from dwsep_runtime.engines.onnxruntime import ONNXRuntimeEngine

        single = replace(settings, batch=1)
        self.plain: dict[str, Engine] = {"whole": whole}
        self.profiled = {"profiled": ONNXRuntimeEngine(str(model), settings, profile_prefix=str(folder / "model"))}
        for name, nodes, inputs in (
            ("one", 1, FEW_INPUTS),
            ("few", CHAIN_NODES, FEW_INPUTS),
            ("many", CHAIN_NODES, MANY_INPUTS),
        ):
            chain = str(folder / f"{name}.onnx")
            Path(chain).write_bytes(chain_model(nodes, inputs))
            self.plain[name] = ONNXRuntimeEngine(chain, single)
            self.plain[name].allocate()
            if nodes > 1:
                prefix = str(folder / name)
                self.profiled[f"{name} profiled"] = ONNXRuntimeEngine(chain, single, profile_prefix=prefix)
        for engine in self.profiled.values():
            engine.allocate()

    def names(self) -> list[str]:
        return [*self.plain, *self.profiled]

    def prepared(self, seed: int) -> list[Callable[[], object]]:
        """Feed all with random numbers; what runs them, in the order of :meth:`names`."""
        engines: list[Engine] = [*self.plain.values(), *self.profiled.values()]
        for engine in engines:
            engine.set_inputs(random_inputs(engine.inputs, seed))
        return [functools.partial(_run, engine) for engine in engines]


def _run(engine: Engine) -> None:
    engine.invoke()


def _cost(times: Mapping[str, float], profiles: Mapping[str, _EventProfile], rounds: Rounds) -> _Cost:
    node = (times["few"] - times["one"]) / (CHAIN_NODES - 1)
    fixed = times["one"] - node
    events = {}
    for name in ("few", "many"):
        seen = [median_estimate(node_times).value for node_times in profiles[f"{name} profiled"].times(rounds)]
        events[name] = (sum(seen) - (times[name] - fixed)) / len(seen) if seen else 0.0
    a_input = (events["many"] - events["few"]) / (MANY_INPUTS - FEW_INPUTS)
    return _Cost(fixed, max(0.0, events["few"]), max(0.0, a_input))


def _read(profile: Path) -> _EventProfile:
    nodes: dict[str, _Node] = {}
    inferences: list[int] = []
    for event in _events(profile):
        name = str(event.get("name", ""))
        if name == "model_run":
            inferences.append(int(event["dur"]))
        if event.get("cat") != "Node" or not name.endswith(KERNEL_ENDING):
            continue
        told = event["args"]
        key = f"{name} {told.get('node_index', '')}"
        if key not in nodes:
            nodes[key] = _Node(
                Kernel(
                    name=name[: -len(KERNEL_ENDING)],
                    type=str(told["op_name"]),
                    inputs=tuple(_shapes(told.get("input_type_shape", ()))),
                    output=next(_shapes(told.get("output_type_shape", ())), ()),
                )
            )
        durations = nodes[key].durations
        durations[len(inferences)] = durations.get(len(inferences), 0) + int(event["dur"])
    return _EventProfile(tuple(nodes.values()), tuple(inferences))


def _events(profile: Path) -> Iterator[dict[str, Any]]:
    """The events of a profile one by one: onnxruntime writes each into a line of its own."""
    with profile.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            text = line.strip().rstrip(",")
            if text.startswith("{"):
                event: dict[str, Any] = json.loads(text)
                yield event


def _shapes(told: Iterable[Mapping[str, Sequence[int]]]) -> Iterator[tuple[int, ...]]:
    """Shapes from entries such as ``{"float": [1, 3, 32, 32]}``."""
    for entry in told:
        for shape in entry.values():
            yield tuple(shape)
