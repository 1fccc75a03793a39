"""Scenarios on a fake engine and a fake clock: what is timed, how long, and what is counted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dwsep_runtime.accuracy import accuracy
from dwsep_runtime.accuracy_scenarios import Accuracy, Predict
from dwsep_runtime.agreement import predict
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import EngineError, InvalidInput, NotAClassifier, PreprocessingDrift
from dwsep_runtime.golden import Golden
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.scenarios import Offline, SingleStream, Sustained, Turns
from dwsep_runtime.streams import offline, single_stream, take_turns
from dwsep_runtime.sustained import sustained, throttling_begins
from dwsep_runtime.timing import clock_facts, random_inputs
from tests.function_engine import FunctionEngine


class FakeClock:
    """Nanoseconds that pass only when an engine runs, and one for each reading."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


class FakeEngine:
    """Outputs its input's pixels, and takes a given time."""

    def __init__(self, clock: FakeClock | None = None, cost_ns: int = 0, side: int = 2, dtype: str = "float32") -> None:
        self.clock, self.cost_ns, self.count = clock, cost_ns, 0
        scale = 0.0 if dtype == "float32" else 1.0
        self.inputs = (Tensor("x", (1, side, side, 1), dtype, scale),)
        self.outputs = (Tensor("y", (1, side * side), dtype, scale),)
        self.fed: list[Any] = []

    def allocate(self) -> None:
        pass

    def arena_bytes(self) -> int | None:
        return None

    def set_inputs(self, arrays: list[Any]) -> None:
        self.fed = arrays

    def invoke(self) -> None:
        self.count += 1
        if self.clock:
            self.clock.now += self.cost_ns

    def get_outputs(self) -> list[Any]:
        return [self.fed[0].reshape(1, -1)]


def silent(phase: str) -> None:
    pass


@pytest.mark.parametrize(
    ("cost_ns", "min_samples", "min_seconds", "least", "most"),
    [
        (1_000_000, 10, 0.1, 80, 120),  # the time decides
        (1_000_000, 200, 0.1, 200, 230),  # the count decides; a chunk of 20 ms is always finished
        (1_000_000_000, 1, 0.0, 1, 1),
    ],
)
def test_both_minimums_hold(cost_ns: int, min_samples: int, min_seconds: float, least: int, most: int) -> None:
    clock = FakeClock()
    scenario = SingleStream(min_samples, min_seconds, 0.0)
    measured = single_stream(FakeEngine(clock, cost_ns), scenario, on_phase=silent, clock=clock)
    samples = decode_array(measured["samples_ns"])
    assert samples.dtype == np.int64
    assert least <= len(samples) <= most
    assert measured["measured_seconds"] >= min_seconds
    # A sample is the engine's time and the step of the clock between its two readings.
    assert set(samples.tolist()) == {cost_ns + 1}


def test_warm_up_ends_when_times_are_steady_and_is_not_among_the_samples() -> None:
    clock = FakeClock()

    class Settling(FakeEngine):
        def invoke(self) -> None:
            super().invoke()
            clock.now += 500_000 if self.count <= 60 else 0

    engine = Settling(clock, 1_000_000)
    phases: list[tuple[str, int]] = []
    scenario = SingleStream(5, 0.0, 60.0)
    measured = single_stream(engine, scenario, on_phase=lambda name: phases.append((name, engine.count)), clock=clock)
    warmup = measured["warmup"]
    assert phases == [("warm-up", 0), ("measure", warmup["count"])]
    assert warmup["steady"]
    assert 200 <= warmup["count"] < 300
    assert set(decode_array(measured["samples_ns"]).tolist()) == {1_000_001}


def test_warm_up_that_never_becomes_steady_ends_after_its_time_and_says_so() -> None:
    clock = FakeClock()

    class Slowing(FakeEngine):
        def invoke(self) -> None:
            super().invoke()
            clock.now += self.count * 10_000

    measured = single_stream(Slowing(clock, 1_000_000), SingleStream(5, 0.0, 2.0), on_phase=silent, clock=clock)
    assert not measured["warmup"]["steady"]
    assert 2.0 <= measured["warmup"]["seconds"] < 2.1


def test_an_interval_narrow_enough_ends_the_run_early() -> None:
    clock = FakeClock()
    engine = FakeEngine(clock, 1_000_000)
    scenario = SingleStream(10_000, 60.0, 0.0, precision=0.02)
    measured = single_stream(engine, scenario, on_phase=silent, clock=clock)
    assert measured["ended_early"]
    assert 1.0 <= measured["measured_seconds"] < 1.5


def test_noise_that_no_interval_bounds_does_not_end_the_run_early() -> None:
    clock = FakeClock()
    rng = np.random.default_rng(0)

    class Noisy(FakeEngine):
        def invoke(self) -> None:
            super().invoke()
            clock.now += int(rng.exponential(5_000_000))

    scenario = SingleStream(1, 3.0, 0.0, precision=0.001)
    measured = single_stream(Noisy(clock), scenario, on_phase=silent, clock=clock)
    assert not measured["ended_early"]
    assert measured["measured_seconds"] >= 3.0


def test_offline_counts_samples_and_not_batches() -> None:
    clock = FakeClock()
    engine = FakeEngine(clock, 8_000_000)
    measured = offline(engine, 8, Offline(800, 0.0, 0.0), on_phase=silent, clock=clock)
    assert len(decode_array(measured["samples_ns"])) * 8 >= 800
    assert measured["batch"] * len(decode_array(measured["samples_ns"])) * 1e9 / measured["loop_ns"] == pytest.approx(
        1000, rel=1e-3
    )


def test_taking_turns_runs_as_many_as_each_line_says() -> None:
    clock = FakeClock()
    engine = FakeEngine(clock, 1_000_000)
    events: list[dict[str, Any]] = []
    take_turns(engine, Turns(0.0), ["begin", "7", "3"], events.append, clock)
    assert [event["event"] for event in events] == ["loaded", "ready", "turn", "turn"]
    assert [len(decode_array(event["samples_ns"])) for event in events[2:]] == [7, 3]
    with pytest.raises(InvalidInput, match="a turn must be a number of inferences, received 'x'"):
        take_turns(engine, Turns(0.0), ["begin", "x"], events.append, clock)


def test_sustained_tells_when_latency_rises_for_good() -> None:
    clock = FakeClock()

    class Heating(FakeEngine):
        def invoke(self) -> None:
            super().invoke()
            clock.now += 300_000 if clock.now > 30e9 else 0

    measured = sustained(Heating(clock, 1_000_000), Sustained(60.0, 2.0), on_phase=silent, clock=clock, poll=dict)
    assert 28 <= len(measured["windows"]) <= 31
    assert measured["windows"][0]["p50_ns"] == 1_000_001
    assert measured["windows"][-1]["p50_ns"] == 1_300_001
    assert measured["throttling"]["sign"] == "latency"
    assert 28 <= measured["throttling"]["begins_s"] <= 32


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([{"at_ns": 1e9}, {"at_ns": 2e9}], None),
        ([{"at_ns": 1e9}, {"at_ns": 2e9, "throttled_now": ["throttled"]}], {"begins_s": 2.0, "sign": "throttle flag"}),
        (
            [{"at_ns": at * 1e9, "frequency_mhz": [600, 1800 if at < 3 else 1500]} for at in range(1, 7)],
            {"begins_s": 3.0, "sign": "frequency"},
        ),
        ([{"at_ns": 1e9, "frequency_mhz": [1800]}, {"at_ns": 3e9, "frequency_mhz": [1790]}], None),
        ([{"at_ns": at * 1e9, "frequency_mhz": [1800 if at % 2 else 1500]} for at in range(1, 9)], None),
    ],
)
def test_throttling_begins_with_the_first_sign(states: list[dict[str, Any]], expected: dict[str, Any] | None) -> None:
    steady = np.full(10, 1e6)
    assert throttling_begins(list(range(10)), steady, states) == expected


def test_garbage_collection_is_off_while_measuring_and_on_again_after() -> None:
    import gc

    seen = set()

    class Watching(FakeEngine):
        def invoke(self) -> None:
            super().invoke()
            seen.add((self.count > 2, gc.isenabled()))  # the first two are warm-up, and after the first poll

    assert gc.isenabled()
    clock = FakeClock()
    single_stream(Watching(clock), SingleStream(5, 0.0, 0.0), on_phase=silent, clock=clock)
    assert seen == {(False, True), (True, False)}
    assert gc.isenabled()


def test_clock_facts_tell_its_step() -> None:
    assert clock_facts(FakeClock()) == {"resolution_ns": 1, "overhead_ns": 1}


@pytest.mark.parametrize(("dtype", "low", "high"), [("float32", -1, 1), ("int8", -128, 127), ("uint8", 0, 255)])
def test_random_inputs_fill_the_range_of_the_dtype_and_repeat(dtype: str, low: float, high: float) -> None:
    tensors = (Tensor("x", (-1, 64, 64, 3), dtype),)
    first, second = random_inputs(tensors, 3)[0], random_inputs(tensors, 3)[0]
    assert first.shape == (1, 64, 64, 3)
    assert first.dtype == dtype
    assert low <= first.min() < low + (high - low) / 50
    assert high - (high - low) / 50 < first.max() <= high
    assert np.array_equal(first, second)


@pytest.mark.parametrize("tensor", [Tensor("x", (1, -1, 8, 3), "float32"), Tensor("x", (1,), "tensor(string)")])
def test_inputs_that_cannot_be_made_up_are_refused(tensor: Tensor) -> None:
    with pytest.raises(InvalidInput, match="input 'x' has"):
        random_inputs((tensor,), 0)


def files(tmp_path: Path, images: Any, labels: Any) -> tuple[str, str]:
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    return str(tmp_path / "images.npy"), str(tmp_path / "labels.npy")


PIXELS = np.array([[9, 1, 2, 3], [0, 9, 9, 1], [1, 2, 3, 9]], np.uint8).reshape(3, 2, 2, 1)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_accuracy_counts_right_ones_and_breaks_ties_by_index(tmp_path: Path, dtype: str) -> None:
    scenario = Accuracy(*files(tmp_path, PIXELS, np.array([0, 2, 3])))
    counted = accuracy(FakeEngine(dtype=dtype), scenario)
    assert (counted["count"], counted["classes"]) == (3, 4)
    assert decode_array(counted["predictions"]).tolist() == [0, 1, 3]
    assert (counted["top1_correct"], counted["top5_correct"]) == (2, 3)


def test_top5_counts_the_five_largest(tmp_path: Path) -> None:
    ramp = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1).repeat(9, axis=0)
    counted = accuracy(FakeEngine(side=3), Accuracy(*files(tmp_path, ramp, np.arange(9))))
    assert counted["top5_correct"] == 5
    assert counted["top1_correct"] == 1


def test_an_offset_between_outputs_and_labels_is_taken_off(tmp_path: Path) -> None:
    scenario = Accuracy(*files(tmp_path, PIXELS, np.array([2, 0, 2])), label_offset=1)
    counted = accuracy(FakeEngine(), scenario)
    # The first image's largest output stands before label 0: it is no class, so it is wrong.
    assert decode_array(counted["predictions"]).tolist() == [-1, 0, 2]
    assert counted["top1_correct"] == 2


@given(
    scores=arrays.arrays(
        st.sampled_from([np.uint8, np.float32]), (4, 3, 3, 1), elements=st.integers(0, 5), fill=st.nothing()
    ),
    labels=arrays.arrays(np.int64, 4, elements=st.integers(0, 7)),
)
def test_counts_are_those_of_a_stable_sort(scores: Any, labels: Any) -> None:
    engine = FakeEngine(side=3, dtype="uint8")
    with tempfile.TemporaryDirectory() as folder:
        scenario = Accuracy(*files(Path(folder), scores.astype(np.uint8), labels), label_offset=1)
        counted = accuracy(engine, scenario)
    order = np.argsort(-scores.reshape(4, 9).astype(np.int64), axis=1, kind="stable") - 1
    assert decode_array(counted["predictions"]).tolist() == order[:, 0].tolist()
    assert counted["top1_correct"] == np.count_nonzero(order[:, 0] == labels)
    assert counted["top5_correct"] == np.count_nonzero(order[:, :5] == labels[:, np.newaxis])


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([(1, 4), (1, 2)], r"outputs \(4, 2\) are not one vector of classes"),
        ([(1, 2, 2)], r"outputs \(2x2\) are not one vector"),
        ([(1, 1)], r"outputs \(1\) are not one vector"),
    ],
)
def test_a_model_without_one_vector_of_classes_has_no_accuracy(
    tmp_path: Path, outputs: list[tuple[int, ...]], said: str
) -> None:
    engine = FunctionEngine(lambda fed: [np.zeros(shape, np.float32) for shape in outputs], (1, 2, 2, 1))
    with pytest.raises(NotAClassifier, match=f"{said}.*give --reference FILE"):
        accuracy(engine, Accuracy(*files(tmp_path, PIXELS, np.array([0, 1, 2]))))


def test_an_offset_that_leaves_no_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="label offset 4 leaves no class of the model's 4 outputs"):
        accuracy(FakeEngine(), Accuracy(*files(tmp_path, PIXELS, np.array([0, 1, 2])), label_offset=4))


def test_golden_images_are_looked_at_before_anything_else(tmp_path: Path) -> None:
    scenario = Accuracy("nowhere.npy", "nowhere.npy", golden=Golden((2, 2, 1), "0" * 64))
    with pytest.raises(PreprocessingDrift, match=r"SHA-256 \w{12}, 000000000000 expected"):
        accuracy(FakeEngine(), scenario)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (PIXELS, np.array([0, 1, 4]), "labels run from 0 to 4, but the model has 4 classes: labels must be in 0..3"),
        (PIXELS, np.array([0, -1, 2]), "labels run from -1 to 2"),
        (PIXELS, np.array([0, 1]), "labels must be integers"),
        (PIXELS, np.array([0.0, 1.0, 2.0]), "labels must be integers"),
        (PIXELS.astype(np.float64), np.array([0, 1, 2]), "images must be uint8"),
        (np.zeros((3, 5, 5, 1), np.uint8), np.array([0, 1, 2]), r"images are \(5, 5, 1\) after preprocessing"),
        (np.zeros((0, 2, 2, 1), np.uint8), np.zeros(0, np.int64), "holds no items"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(tmp_path: Path, images: Any, labels: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        accuracy(FakeEngine(), Accuracy(*files(tmp_path, images, labels)))


def test_outputs_that_are_not_finite_have_no_accuracy(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def get_outputs(self) -> list[Any]:
            return [np.full((1, 4), np.nan, np.float32)]

    with pytest.raises(EngineError, match="outputs for image 0 are not finite numbers"):
        accuracy(Broken(), Accuracy(*files(tmp_path, PIXELS, np.array([0, 1, 2]))))


def test_padding_without_a_size_pads_to_the_models_input(tmp_path: Path) -> None:
    small = np.full((1, 1, 1, 1), 7, np.uint8)
    scenario = Accuracy(*files(tmp_path, small, np.array([0])), preprocessing=Preprocessing(resize="pad"))
    assert decode_array(accuracy(FakeEngine(), scenario)["predictions"]).tolist() == [0]


def test_pixels_that_an_unscaled_integer_input_cannot_hold_are_refused(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.inputs = (Tensor("x", (1, 2, 2, 1), "int8"),)
    with pytest.raises(InvalidInput, match=r"is int8 without a scale and takes -128..127, received 1..200"):
        accuracy(
            engine, Accuracy(*files(tmp_path, np.array([1, 2, 3, 200], np.uint8).reshape(1, 2, 2, 1), np.array([0])))
        )


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.npy").write_bytes(b"not an array")
    with pytest.raises(InvalidInput, match=r"cannot be read as a \.npy file"):
        accuracy(FakeEngine(), Accuracy(str(tmp_path / "images.npy"), str(tmp_path / "images.npy")))


def test_predict_writes_dequantized_outputs_in_order(tmp_path: Path) -> None:
    images, _ = files(tmp_path, PIXELS, np.zeros(3, np.int64))
    scenario = Predict(images, str(tmp_path / "out.npy"), Preprocessing(scale=(0.5,)))
    done: list[tuple[int, int]] = []
    predict(FakeEngine(), scenario, on_progress=lambda *progress: done.append(progress))
    written = np.load(tmp_path / "out.npy")
    assert written.dtype == np.float32
    assert np.array_equal(written, PIXELS.reshape(3, 4) * 0.5)
    assert done[0] == (0, 3)
