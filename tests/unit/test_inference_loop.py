"""A data set through an engine by the chunk, and what that costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dwsep_runtime import inference_loop
from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import EngineError, InvalidInput
from dwsep_runtime.inference_loop import InferenceLoop, require_finite
from dwsep_runtime.preprocessing import Preprocessing
from tests.function_engine import FunctionEngine


def images(count: int) -> Any:
    return np.arange(count * 4).astype(np.uint8).reshape(count, 2, 2, 1)


def test_every_item_is_run_once_and_comes_out_in_order() -> None:
    engine = FunctionEngine(lambda fed: [fed.reshape(1, 4), fed[:, 0, 0]], (1, 2, 2, 1), names=("a", "b"))
    loop = InferenceLoop(engine, images(600), Preprocessing(scale=(2.0,)))
    assert loop.outputs == [(4,), (1,)]
    progress: list[tuple[int, int]] = []
    chunks = [(start, a.copy(), b.copy()) for start, (a, b) in loop.chunks(lambda *done: progress.append(done))]
    assert [start for start, _, _ in chunks] == [0, 256, 512]
    assert np.array_equal(np.concatenate([a for _, a, _ in chunks]), 2.0 * images(600).reshape(600, 4))
    assert np.array_equal(np.concatenate([b for _, _, b in chunks]), 2.0 * images(600)[:, 0, 0])
    assert progress == [(0, 600), (256, 600), (512, 600), (600, 600)]
    assert engine.count == 601  # the first item is run once before, to learn the outputs


@pytest.mark.parametrize(("outputs", "expected"), [(1, 5), (8, 2)])
def test_a_chunk_is_as_large_as_memory_allows(outputs: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_loop, "CHUNK_BYTES", 5 * 16)
    engine = FunctionEngine(lambda fed: [np.zeros((1, outputs), np.float32)], (1, 2, 2, 1))
    assert InferenceLoop(engine, images(9), Preprocessing()).chunk == expected


def test_an_item_larger_than_the_memory_of_a_chunk_is_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_loop, "CHUNK_BYTES", 3)
    engine = FunctionEngine(lambda fed: [fed], (1, 2, 2, 1))
    loop = InferenceLoop(engine, images(3), Preprocessing())
    assert [chunk[0].ravel().tolist() for _, chunk in loop.chunks(lambda done, total: None)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]


def test_time_is_parted_into_engine_preprocessing_and_counting() -> None:
    class Clock:
        now = 0

        def __call__(self) -> int:
            return self.now

    clock = Clock()

    class Slow(FunctionEngine):
        def set_inputs(self, arrays: list[Any]) -> None:
            super().set_inputs(arrays)
            clock.now += 10

        def invoke(self) -> None:
            clock.now += 100

        def get_outputs(self) -> list[Any]:
            clock.now += 1000
            return [self.fed[0].reshape(1, 4)]

    loop = InferenceLoop(Slow(lambda fed: [], (1, 2, 2, 1)), images(300), Preprocessing(), clock=clock)
    before = clock.now
    for _ in loop.chunks(lambda done, total: None):
        clock.now += 30_000
    assert clock.now - before == 300 * 1110 + 2 * 30_000
    assert loop.cost() == {
        "loop_overhead_ns": 200.0,
        "preprocessing_ns": 0.0,
        "counting_ns": 200.0,
        "engine_ns": 1110.0,
    }


def test_a_model_of_several_inputs_is_refused() -> None:
    engine = FunctionEngine(lambda fed: [fed], (1, 2, 2, 1))
    engine.inputs = (*engine.inputs, Tensor("mask", (1, 2), "float32"))
    with pytest.raises(InvalidInput, match="feeds models of one input; this one has 2: 'x', 'mask'"):
        InferenceLoop(engine, images(1), Preprocessing())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_item_without_finite_outputs_is_named(value: float) -> None:
    outputs = np.zeros((4, 2, 3), np.float32)
    outputs[2:, 1, 1] = value
    with pytest.raises(EngineError, match="outputs for image 258 are not finite numbers; so it is"):
        require_finite(outputs, 256, "so it is")
    require_finite(outputs[:2], 256, "so it is")
    require_finite(np.zeros((2, 2), np.int8), 0, "so it is")
