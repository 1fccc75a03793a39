"""Our latencies beside those of litert-benchmark, of a bare loop, and of mlcommons-loadgen, in turns in one process.

    python -m tests.benchmarks.peers

Peer and harness take turns within a second, because the machines that this runs on change their speed by up to half
from one second to the next.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dwsep_runtime.engines import EngineSettings, allocate_engine, load_engine
from dwsep_runtime.timing import TimedLoop, random_inputs
from tests.benchmarks.figures import HEADER, milliseconds, paired, show, stay_on_one_core
from tests.benchmarks.networks import SIZES, networks

ROUNDS = 60
TURN_NS = 30e6
LOADGEN_ROUNDS, LOADGEN_NS = 40, 0.7e9


def loaded(name: str, file: Path) -> Any:
    engine, version = load_engine(name, file, EngineSettings(), file.name)
    allocate_engine(engine, name, version, file.name)
    engine.set_inputs(random_inputs(engine.inputs, 0))
    for _ in range(20):
        engine.invoke()
    return engine


def our_percentile(engine: Any, count: int, q: float = 50) -> Callable[[], float]:
    """One of the harness's timed loops, as every scenario runs it."""
    import numpy as np

    def measure() -> float:
        loop = TimedLoop(engine.invoke)
        loop.chunk(count)
        return float(np.percentile(loop.all_samples(), q))

    return measure


def inferences_of(engine: Any, nanoseconds: float) -> int:
    return max(3, round(nanoseconds / our_percentile(engine, 5)()))


def litert_benchmark(file: Path, count: int) -> Callable[[], float]:
    """Median of litert-benchmark, unrounded: what it prints has two decimals of a millisecond."""
    from ai_edge_litert.tools import benchmark_litert_model as tool

    medians: list[float] = []

    def median(values: list[float]) -> float:
        medians.append(statistics.median(values))
        return medians[-1]

    tool.statistics = SimpleNamespace(mean=statistics.mean, median=median, stdev=statistics.stdev)
    arguments = ["benchmark", f"--model={file}", f"--num_runs={count}", "--warmup_runs=5", "--num_threads=1"]

    def measure() -> float:
        given, sys.argv = sys.argv, arguments
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                tool.run_benchmark(tool.parse_args())
        finally:
            sys.argv = given
        return medians[-1] * 1e6

    return measure


def bare_loop(file: Path, count: int) -> Callable[[], float]:
    """Median of onnxruntime in the loop that anyone would write."""
    import time

    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    feed = {value.name: np.random.default_rng(0).random(shape, np.float32)}

    def measure() -> float:
        session.run(None, feed)
        times = []
        for _ in range(count):
            begin = time.perf_counter_ns()
            session.run(None, feed)
            times.append(time.perf_counter_ns() - begin)
        return statistics.median(times)

    return measure


def loadgen(engine: Any) -> Callable[[], float]:
    """p90 of MLPerf's SingleStream, whose queries run the same engine."""
    import mlperf_loadgen as lg

    def issue(queries: Any) -> None:
        for query in queries:
            engine.invoke()
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

    settings = lg.TestSettings()
    settings.scenario = lg.TestScenario.SingleStream
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = int(LOADGEN_NS / 1e6)
    settings.min_query_count = 64

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            output = lg.LogOutputSettings()
            output.outdir = folder
            output.copy_summary_to_stdout = False
            log = lg.LogSettings()
            log.log_output = output
            system = lg.ConstructSUT(issue, lambda: None)
            library = lg.ConstructQSL(1, 1, lambda samples: None, lambda samples: None)
            lg.StartTestWithLogSettings(system, library, settings, log)
            lg.DestroyQSL(library)
            lg.DestroySUT(system)
            summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
        (line,) = [line for line in summary.splitlines() if line.startswith("90.00 percentile latency (ns)")]
        return float(line.split(":")[1])

    return measure


def comparisons() -> Iterator[bool]:
    for name, form, title, peer in (
        ("litert", "tflite", "litert-benchmark's median", litert_benchmark),
        ("onnxruntime", "onnx", "a bare loop's", bare_loop),
    ):
        for size in SIZES:
            file = networks(size)[form]
            engine = loaded(name, file)
            count = inferences_of(engine, TURN_NS)
            ours, theirs, ratio = paired(our_percentile(engine, count), peer(file, count), ROUNDS)
            figure = f"p50, {name} beside {title}, {size}"
            yield show(
                figure, milliseconds(ours), milliseconds(theirs), ratio, "within 2 %", met=abs(ratio - 1) <= 0.02
            )
    try:
        import mlperf_loadgen  # noqa: F401
    except ImportError:
        print("p90 beside mlcommons-loadgen: left out, pip install -e '.[benchmarks]' installs it")
        yield False
        return
    engine = loaded("litert", networks("10 ms")["tflite"])
    measure = our_percentile(engine, inferences_of(engine, LOADGEN_NS), 90)
    ours, theirs, ratio = paired(measure, loadgen(engine), LOADGEN_ROUNDS)
    figure = "p90, litert beside mlcommons-loadgen, 10 ms"
    yield show(figure, milliseconds(ours), milliseconds(theirs), ratio, "within 3 %", met=abs(ratio - 1) <= 0.03)
    own = loadgen(SimpleNamespace(invoke=lambda: None))()
    print(f"(loadgen's own p90, with nothing to run: {milliseconds(own)}; so shorter models say nothing)")


def without_engine_messages() -> None:
    """LiteRT writes several lines to standard error for each model that litert-benchmark compiles."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def main() -> bool:
    stay_on_one_core()
    without_engine_messages()
    print(HEADER)
    return all(list(comparisons()))


if __name__ == "__main__":
    sys.exit(not main())
