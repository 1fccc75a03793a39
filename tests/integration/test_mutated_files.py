"""Damaged model files through the runtime: 300 of them, files that change on the device, and forged results."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_devices import LocalDevice, Setup, prepared, run_job, start
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import DwsepError, EngineCrashed, InvalidModel, ProtocolError
from dwsep_runtime.job import Job
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.operators.tflite_operators import TFLiteOperators
from dwsep_runtime.operators.tflite_prefix import first_crashing_operator
from dwsep_runtime.scenarios import ColdStart, FirstInference, Interleaved, SingleStream, Turns
from dwsep_runtime.spawn import run_in_process
from tests.made_models import onnx_network, tflite_network
from tests.small_models import small_tflite
from tests.third_party import MODELS, find_model

COUNT = 300
SECONDS = 20
SAMPLES = 4
BRIEF = SingleStream(SAMPLES, 0.0, 0.0)
MEMORY_LIMIT = 2 * 10**9
"""A damaged shape may ask for more memory than the machine can spare."""

KINDS = ("flip", "flip", "flip", "cut", "overwrite", "overwrite", "duplicate")
ALLOWED = {"result", "InvalidModel", "EngineError", "EngineCrashed", "OutOfMemory", "TimedOut"}


def mutated(content: bytes, seed: int) -> bytes:
    """A file with up to three bits flipped, its end cut off, or up to 16 bytes overwritten or doubled."""
    rng = np.random.default_rng(seed)
    data = np.frombuffer(content, np.uint8).copy()
    begin = int(rng.integers(1, len(data)))
    end = begin + int(rng.integers(1, 17))
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind == "cut":
        return content[:begin]
    if kind == "duplicate":
        return content[:end] + content[begin:]
    if kind == "flip":
        for place in rng.choice(len(data), int(rng.integers(1, 4)), replace=False):
            data[place] ^= 1 << int(rng.integers(8))
        return data.tobytes()
    span = len(data[begin:end])
    data[begin:end] = rng.choice([0, 255]) if rng.random() < 0.5 else rng.integers(0, 256, span, np.uint8)
    return data.tobytes()


@dataclass(frozen=True)
class Base:
    """A whole file, and the engines that its damaged copies are divided among."""

    content: bytes
    suffix: str
    engines: tuple[str, ...]


def bases() -> list[Base]:
    whole = [
        Base(tflite_network(int8=False), ".tflite", ("tflite", "litert")),
        Base(tflite_network(int8=True), ".tflite", ("tflite", "litert")),
        Base(onnx_network(), ".onnx", ("onnxruntime",)),
    ]
    published = find_model(MODELS[0])
    return whole if published is None else [*whole, Base(published, ".tflite", ("tflite", "litert"))]


def require_honest(result: Mapping[str, Any], content: bytes) -> None:
    """A result must be of this very content, and its figures must be numbers."""
    assert result["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert result["model"]["bytes"] == len(content)
    samples = decode_array(result["measured"]["samples_ns"])
    assert len(samples) >= SAMPLES
    assert samples.min() > 0
    for figures in (result["measured"], result["stages"], result["memory"]):
        assert all(math.isfinite(number) for number in numbers(figures))


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, (int, float)):
        yield value


def held_by_this_process() -> tuple[int, int, str]:
    """Counts of its open files and threads, and the numbers of its children."""
    process = Path("/proc/self")
    children = "".join(sorted(path.read_text("ascii") for path in process.glob("task/*/children")))
    return sum(1 for _ in (process / "fd").iterdir()), threading.active_count(), children


@pytest.mark.slow
def test_every_damaged_file_ends_in_an_honest_result_or_in_one_line(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chosen = bases()

    def outcome(seed: int) -> tuple[str, str]:
        base = chosen[seed % len(chosen)]
        engine = base.engines[seed // len(chosen) % len(base.engines)]
        content = mutated(base.content, seed)
        file = tmp_path / f"{seed}{base.suffix}"
        file.write_bytes(content)
        digest = sha256_of(file)
        job = Job(str(seed), str(file), digest, engine, BRIEF, memory_limit_bytes=MEMORY_LIMIT, title=file.name)
        try:
            result = run_in_process(job, timeout=SECONDS)
        except DwsepError as error:
            said = str(error)
            assert said.isprintable(), said
            assert file.name in said
            assert "Traceback" not in said
            if isinstance(error, EngineCrashed):
                print(said)  # noqa: T201  # what this test is for
            return engine, type(error).__name__
        else:
            require_honest(result, content)
            return engine, "result"
        finally:
            assert sha256_of(file) == digest
            file.unlink()

    before = held_by_this_process()
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(outcome, range(COUNT)))
    outcomes = Counter(how for _, how in ended)
    record_property("outcomes", dict(outcomes))
    for (engine, how), count in sorted(Counter(ended).items()):
        print(f"{engine:12} {how:24} {count:4}")  # noqa: T201  # what this test is for
    assert len(ended) == COUNT
    assert set(outcomes) <= ALLOWED
    for how in ("result", "InvalidModel", "EngineError"):
        assert outcomes[how] >= COUNT // 20, outcomes
    for engine in ("tflite", "litert", "onnxruntime"):
        assert len({how for name, how in ended if name == engine}) >= 3
    assert held_by_this_process() == before


def with_another_number(content: bytes, seed: int) -> bytes:
    """A file with one of its 32-bit words, behind its first two, replaced by a number from -2 to 99."""
    rng = np.random.default_rng(seed)
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i4").copy()
    words[rng.integers(2, len(words))] = rng.integers(-2, 100)
    return words.tobytes() + content[len(words) * 4 :]


DAMAGED: list[tuple[Callable[[], bytes], Callable[[bytes, int], bytes], int]] = [
    *((small_tflite, mutated, seed) for seed in range(200, 260)),
    *((small_tflite, with_another_number, seed) for seed in range(300, 360)),
    *((partial(tflite_network, int8=True), mutated, seed) for seed in range(30)),
]
"""In small files most bytes are structure; among these are indices of tensors and a vector that lead outside."""


def test_damaged_files_are_taken_apart_or_refused_in_this_process(tmp_path: Path) -> None:
    file, ended, lines = tmp_path / "damaged.tflite", Counter[str](), 0

    def crashes(part: Path) -> bool:
        return len(TFLiteOperators(part.read_bytes(), part.name).operators) > 0

    for whole, damage, seed in DAMAGED:
        file.write_bytes(damage(whole(), seed))
        try:
            assert first_crashing_operator(file, lambda part: True) is None
            found = first_crashing_operator(file, crashes)
        except DwsepError as error:
            ended[type(error).__name__] += 1
            lines += str(error).count("\n")
        else:
            ended["none" if found is None else "operator"] += 1
    assert lines == 0
    assert set(ended) <= {"none", "operator", "InvalidModel", "InvalidInput"}
    assert ended["operator"] >= len(DAMAGED) // 5, ended
    assert ended["InvalidModel"] >= len(DAMAGED) // 5, ended


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    return file


@pytest.fixture
def device() -> Iterator[LocalDevice]:
    device = LocalDevice()
    yield device
    device.close()


def altered(path: Path) -> None:
    path.write_bytes(tflite_network(int8=False))


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (altered, "small.tflite on the device is not the file that was asked for"),
        (shortened, "small.tflite on the device is not the file that was asked for"),
        (Path.unlink, "does not exist"),
    ],
)
@pytest.mark.parametrize("scenario", [BRIEF, FirstInference()], ids=lambda one: one.name)
def test_a_file_that_changes_on_the_device_before_it_is_run_is_refused(
    device: LocalDevice, file: Path, scenario: Any, change: Callable[[Path], None], said: str
) -> None:
    job = prepared(device, file, "tflite", scenario, Setup())
    change(Path(job.model))
    with pytest.raises(InvalidModel, match=said):
        start(device, job, timeout=SECONDS)


FORGER = """
import json, sys
job = json.loads(sys.stdin.readline())
result = json.loads(sys.argv[1])
print(json.dumps({"event": "result", "job": job["id"], **result}))
print(json.dumps({"event": "end", "job": job["id"]}))
"""


class ForgingDevice(LocalDevice):
    """Prints a complete result that nothing was run for."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__()
        self._result = result

    def runtime_command_for(self, environment: str) -> list[str]:  # noqa: ARG002
        return [sys.executable, "-c", FORGER, json.dumps(self._result)]


def forged_run(file: Path, scenario: Any, result: Mapping[str, Any]) -> dict[str, Any]:
    device = ForgingDevice(result)
    try:
        return run_job(device, file, "tflite", scenario, timeout=SECONDS)
    finally:
        device.close()


TOLD = {"state": {}, "device": {}, "harness_sha256": "0" * 64}
OTHER, OWN = "a" * 64, hashlib.sha256(small_tflite()).hexdigest()


def of(sha256: str) -> dict[str, Any]:
    return {"model": {"sha256": sha256}, "valid": True, "measured": {}, **TOLD}


def turns(*sha256: str) -> Interleaved:
    contenders = [
        {"job": Job(str(place), "m.tflite", one, "tflite", Turns()).to_json(), "command": ["true"]}
        for place, one in enumerate(sha256)
    ]
    return Interleaved(tuple(contenders))


def session(*sha256: str) -> dict[str, Any]:
    return {"measured": {"contenders": [{"result": of(one)} for one in sha256]}}


COLD, BOTH = ColdStart(("true",)), turns(OWN, OWN)


def named(value: Any) -> str:
    return value.name if hasattr(value, "name") else ""


@pytest.mark.parametrize(
    ("scenario", "result", "said"),
    [
        (BRIEF, of(OTHER), r"of another file \(aaaaaaaaaaaa\) than small\.tflite"),
        (BRIEF, {"measured": {}}, r"does not say which file it is of; small\.tflite"),
        (BRIEF, {"model": None}, "does not say which file"),
        (COLD, {"measured": {"child": of(OTHER)}}, r"of another file \(aaaaaaaaaaaa\)"),
        (COLD, of(OWN), "does not say which file"),
        (BOTH, session(OWN, OTHER), r"of another file \(aaaaaaaaaaaa\)"),
        (BOTH, session(OWN), r"of another file \(none\)"),
    ],
    ids=named,
)
def test_a_forged_result_of_another_file_is_refused(
    file: Path, scenario: Any, result: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        forged_run(file, scenario, result)


@pytest.mark.parametrize(
    ("scenario", "result"),
    [(BRIEF, of(OWN)), (COLD, {**TOLD, "measured": {"child": of(OWN)}}), (BOTH, {**TOLD, **session(OWN, OWN)})],
    ids=named,
)
def test_a_result_of_the_files_that_were_sent_is_taken(file: Path, scenario: Any, result: Mapping[str, Any]) -> None:
    assert forged_run(file, scenario, result)["measured"] == result["measured"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measured": [1]}, r"has \[1\] for 'measured', which must be an object"),
        ({"state": None}, "has None for 'state', which must be an object"),
        ({"device": "x" * 99}, "has 'x{59} for 'device', which must be an object"),
        ({"harness_sha256": 7}, "has 7 for 'harness_sha256', which must be a string"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_result_that_lacks_what_every_result_tells_is_refused(file: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=rf"^the result of small\.tflite {said}; another program may"):
        forged_run(file, BRIEF, {**of(OWN), **change})
    lacking = {key: value for key, value in of(OWN).items() if key not in change}
    with pytest.raises(ProtocolError, match=f"has nothing for '{next(iter(change))}'"):
        forged_run(file, BRIEF, lacking)
