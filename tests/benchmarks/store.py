"""A store of 10,000 runs: how long `results list` takes as a whole process, and the report with its memory.

python -m tests.benchmarks.store [--keep FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_dwsep.store import SweepRecord, open_store
from edge_dwsep.store.rows import artifact_row, device_row, run_row
from edge_dwsep.store.schema import artifacts, devices, runs, sweep_runs
from tests.benchmarks.figures import show, tell
from tests.store_fixtures import accuracy_facts, launch_facts, run_record

RUNS = 10_000
REPEATS = 11
LIST_SECONDS = 0.5
REPORT_SECONDS = 5.0
REPORT_MEGABYTES = 300
SWEEP = "20261125-ten-thousand"
DEVICES = ("local", "pi4", "pi5", "phone")
VARIANTS = (
    ("tflite", "float32", "litert"),
    ("tflite", "float16", "litert"),
    ("tflite", "w8-dynamic", "tflite"),
    ("tflite", "w8a8", "litert"),
    ("onnx", "float32", "onnxruntime"),
    ("onnx", "w8a8", "onnxruntime"),
)


def records() -> Iterator[dict[str, Any]]:
    """Records as sweeps keep them: five launches with the device's state, accuracy of 100 images."""
    rng = np.random.default_rng(0)
    launches = [launch_facts(seed) for seed in range(5)]
    template = run_record(launches, accuracy_facts(0))
    quantities = [name for name in template["latency"] if name.endswith(("_ms", "_interval_ms"))]
    for at in range(RUNS):
        kind, scheme, engine = VARIANTS[at % len(VARIANTS)]
        factor = float(np.exp(rng.normal(0, 1.0)))
        latency = dict(template["latency"])
        for name in quantities:
            value = latency[name]
            latency[name] = [one * factor for one in value] if isinstance(value, list) else value * factor
        top1 = float(rng.uniform(0.6, 0.95))
        alpha = (at // len(VARIANTS)) % 20 / 20 + 0.05
        model = f"mobilenet_v2_{alpha:g}_96"
        yield {
            **template,
            "device": DEVICES[at % len(DEVICES)],
            "model": model,
            "variant": f"{kind}-{scheme}",
            "format": kind,
            "scheme": scheme,
            "engine": engine,
            "threads": 1 + at // 120 % 4,
            "file": f"{model}-{scheme}.{kind}",
            "file_bytes": int(rng.integers(200_000, 4_000_000)),
            "latency": latency,
            "accuracy": {**template["accuracy"], "top1": top1, "top1_interval": [top1 - 0.02, top1 + 0.02]},
            "launches": [{**launch, "p50_ms": launch["p50_ms"] * factor} for launch in template["launches"]],
        }


def fill(path: Path) -> None:
    """Make the store, its rows at once rather than run by run."""
    about = [
        device_row({"name": name, "kind": "local", "emulated": False, "cpu": "a CPU", "cores": 4}) for name in DEVICES
    ]
    ids = {row["name"]: row["id"] for row in about}
    sha256 = "ab" * 32
    models = [
        {"name": f"mobilenet_v2_{at / 20 + 0.05:g}_96", "macs": 10**6 * (at + 1), "reference": None} for at in range(20)
    ]
    with open_store(str(path)) as store:
        store.begin_sweep(
            SweepRecord(
                id=SWEEP, name="all", command="edge-dwsep sweep", plan={"model": ["mobilenet_v2"]}, models=models
            )
        )
        kept, links = [], []
        for at, record in enumerate(records()):
            row = run_row(hashlib.sha256(str(at).encode()).hexdigest(), record)
            kept.append({**row, "device_id": ids[record["device"]], "artifact_sha256": sha256})
            links.append({"sweep_id": SWEEP, "run_key": row["key"], "position": at, "reused": False})
        with store._engine.begin() as connection:
            connection.execute(devices.insert(), about)
            connection.execute(artifacts.insert(), [artifact_row({"sha256": sha256})])
            connection.execute(runs.insert(), kept)
            connection.execute(sweep_runs.insert(), links)
        store.finish_sweep(SWEEP, "done")


def process(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of a process."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    taken = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}")
    return taken, usage.ru_maxrss * 1024 / 1e6


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--keep", type=Path, help="store to make, or to use if it is there")
    kept = options.parse_args().keep
    met = True
    with tempfile.TemporaryDirectory() as folder:
        path = kept or Path(folder) / "results.sqlite"
        if not path.exists():
            started = time.perf_counter()
            fill(path)
            tell(f"fill a store with {RUNS:,} runs", f"{time.perf_counter() - started:.1f} s")
        tell("size of its file", f"{path.stat().st_size / 1e6:.0f} MB")
        script = str(Path(sys.executable).with_name("edge-dwsep"))
        store = ["--store", str(path)]
        lists = {
            "": ["results", "list", *store],
            " --scheme w8a8 --device pi4": ["results", "list", "--scheme", "w8a8", "--device", "pi4", *store],
            " --sweeps": ["results", "list", "--sweeps", *store],
        }
        for title, command in lists.items():
            times = [process([script, *command])[0] for _ in range(REPEATS)]
            taken = statistics.median(times)
            shown = f"`results list{title}`, whole process (worst {max(times):.2f} s)"
            ok = taken < LIST_SECONDS
            met &= show(shown, f"{taken:.2f} s", "", taken / LIST_SECONDS, f"< {LIST_SECONDS} s", met=ok)
        taken, _ = process([script, "results", "list", "--limit", "0", "--json", *store])
        tell("`results list --limit 0 --json`", f"{taken:.2f} s")
        page = Path(folder) / "report.html"
        measured = [process([script, "report", SWEEP, "--output", str(page), *store]) for _ in range(3)]
        taken, memory = (statistics.median(column) for column in zip(*measured, strict=True))
        met &= show(
            f"`report` ({page.stat().st_size / 1e6:.1f} MB), whole process",
            f"{taken:.2f} s",
            "",
            taken / REPORT_SECONDS,
            f"< {REPORT_SECONDS:g} s",
            met=taken < REPORT_SECONDS,
        )
        met &= show(
            "its peak memory",
            f"{memory:.0f} MB",
            "",
            memory / REPORT_MEGABYTES,
            f"< {REPORT_MEGABYTES} MB",
            met=memory < REPORT_MEGABYTES,
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
