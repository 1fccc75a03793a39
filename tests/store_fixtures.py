"""Stores of both kinds, and what is kept in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.arrays import encode_array
from edge_dwsep.latency import percentile_figures
from edge_dwsep.store import Store
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput
from tests.postgres_fixtures import PostgresServer

DEVICE = {"name": "local", "kind": "local", "emulated": False, "cpu": "a CPU", "cores": 2}


@pytest.fixture(params=["sqlite", "postgresql"])
def store_at(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that is still to be made, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "results.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.make_schema()


def launch_facts(seed: int, count: int = 300) -> dict[str, Any]:
    """What a LAUNCH step puts out."""
    samples = np.random.default_rng(seed).lognormal(10, 0.05, count).astype(np.int64)
    state = {"monotonic_ns": 1, "load_1min": 0.5, "temperature_c": 40.0 + seed, "frequency_mhz": None}
    return {
        "measured": {
            "samples_ns": encode_array(samples),
            "warmup": {"count": 20, "seconds": 0.1, "first_ns": 9, "steady": True},
            "states": [{"at_ns": 5, "load_1min": 0.5}],
        },
        "stages": {"import_ns": 5, "load_ns": seed},
        "log": [f"launch {seed}"],
        "state": {"before": state, "after": state},
        "started": "2026-11-25T20:00:00Z",
        "artifact_sha256": "ab" * 32,
    }


def accuracy_facts(seed: int) -> dict[str, Any]:
    """What an ACCURACY step puts out."""
    predictions = np.random.default_rng(seed).integers(0, 10, 100).astype(np.int32)
    accuracy = {
        "count": 100,
        "classes": 10,
        "top1": 0.9,
        "top1_interval": [0.825, 0.945],
        "top5": 0.99,
        "top5_interval": [0.94, 0.998],
        "predictions": encode_array(predictions),
        "confusion": [[1, 0], [0, 1]],
        "per_class": [{"label": 0, "count": 10}],
    }
    return {"record": {"accuracy": accuracy}}


def launch_step(word: str, turn: int = 0, device: str = "local") -> Step:
    """A LAUNCH step of its own for each word and round."""
    return Step(StepKind.LAUNCH, {"word": word, "round": turn}, title=f"time {word}", device=device)


def accuracy_step(word: str) -> Step:
    """An ACCURACY step of its own for each word."""
    return Step(StepKind.ACCURACY, {"word": word}, title=f"classify {word}", device="local")


def run_record(launches: list[dict[str, Any]], accuracy: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """The full record of a run, as a sweep puts it together from its steps."""
    from dwsep_runtime.arrays import decode_array

    measured = [launch["measured"] for launch in launches]
    latency = None
    if launches:
        latency = {
            **percentile_figures([decode_array(one["samples_ns"]) for one in measured]),
            "warmups": [one["warmup"] for one in measured],
            "stages": [launch["stages"] for launch in launches],
            "states": [one["states"] for one in measured],
        }
    return {
        "device": "local",
        "emulated": False,
        "model": "mobilenet_v2_0.5_96",
        "variant": "tflite-w8a8",
        "format": "tflite",
        "scheme": "w8a8",
        "engine": "litert",
        "engine_version": "2.3.0",
        "threads": 1,
        "batch": 1,
        "engine_options": {},
        "file": "a.tflite",
        "file_bytes": 314_168,
        "sha256": "ab" * 32,
        "manifest_sha256": "cd" * 32,
        "status": "ok",
        "valid": True,
        "error": None,
        "error_class": None,
        "latency": latency,
        "throughput": None,
        "sustained": None,
        "cold_start": None,
        "cost": None,
        "native": None,
        "memory": {"peak_bytes": 54_000_000},
        "operators": None,
        "accuracy": accuracy["record"]["accuracy"] if accuracy else None,
        "agreement": None,
        "warnings": ["loud"],
        "state": launches[0]["state"] if launches else None,
        "launches": [
            {
                "round": at,
                "started": launch["started"],
                "p50_ms": 0.02,
                "state_before": launch["state"]["before"],
                "state_after": launch["state"]["after"],
            }
            for at, launch in enumerate(launches)
        ],
        "log": [line for launch in launches for line in launch["log"]],
        "harness_sha256": "ef" * 32,
        **changes,
    }


def keep_run(store: Store, sweep: str, position: int, word: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Keep the steps of a run and then the run, as a sweep does; gives its key and its full record."""
    launches, steps = [], []
    for turn in range(2):
        facts = launch_facts(position + turn)
        step = launch_step(word, turn)
        store.save_output(step, StepOutput(facts), seconds=1.5, worker="host-1")
        launches.append(facts)
        steps.append((step.key, turn))
    told = accuracy_facts(position)
    step = accuracy_step(word)
    store.save_output(step, StepOutput(told), seconds=2.5, worker="host-1")
    steps.append((step.key, 0))
    record = run_record(launches, told, **changes)
    key = Step(StepKind.COUNT, {"run": word}).key
    artifact = {"sha256": record["sha256"], "file": record["file"], "bytes": record["file_bytes"]}
    store.save_run(
        sweep, position, key, record, device=DEVICE, artifact=artifact, steps=steps, reused=bool(changes.get("reused"))
    )
    return key, record
