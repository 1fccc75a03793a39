"""Results of sweeps that nobody ran, as large as asked for and of the shape that real ones have."""

from __future__ import annotations

__all__ = ["made_results", "made_run"]

import hashlib
import itertools
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from dwsep_runtime.shares import wilson_interval

IMAGES = 2000
DEVICES = (
    ("local", "local", False, "x86_64", 1.0),
    ("pi4", "raspberry-pi-4", False, "aarch64", 6.0),
    ("lab-pi4", "raspberry-pi-4", True, "aarch64", 40.0),
    ("phone", "android-phone", False, "aarch64", 2.0),
)
SCHEMES = {"float32": (4.0, 1.0, 0.0), "float16": (2.0, 1.02, 0.0), "w8-dynamic": (1.3, 0.8, 0.002)}
SCHEMES["w8a8"] = (1.15, 0.62, 0.006)
"""Bytes a parameter, time beside float32, and what accuracy is lost."""

RECIPES = [("tflite", scheme) for scheme in SCHEMES] + [("onnx", "float32"), ("onnx", "w8a8")]
ENGINES = {"tflite": (("litert", "2.3.0", 1.0), ("tflite", "2.3.0", 1.15)), "onnx": (("onnxruntime", "1.32.0", 1.4),)}
START = datetime(2026, 11, 22, 19, 0, tzinfo=timezone.utc)

NORMAL = [math.sqrt(2) * value for value in (-2.4, *(-1.38 + 0.069 * at for at in range(1, 40)), 2.9)]
"""Roughly where the quantiles of a normal distribution lie, from the least of many samples to the greatest."""


def made_results(
    count: int, *, devices: int = 2, threads: tuple[int, ...] = (1, 4), launches: int = 3, operators: int = 0
) -> dict[str, Any]:
    """Light results of a sweep over networks, recipes, engines, threads and devices.

    Args:
        count: runs.
        devices: of the four that are known here, so many; the third is emulated.
        threads: of the engines.
        launches: of each run.
        operators: profiled for the first run of every network; 0 for none.
    """
    rng = random.Random(count)  # noqa: S311
    places = DEVICES[:devices]
    each = len(places) * len(threads) * sum(len(ENGINES[format_]) for format_, _ in RECIPES)
    networks = list(itertools.islice(_networks(), -(-count // each)))
    runs: list[dict[str, Any]] = []
    for network, place in itertools.product(networks, places):
        for (format_, scheme), thread in itertools.product(RECIPES, threads):
            for engine in ENGINES[format_]:
                profiled = operators if (format_, scheme, engine[0]) == ("tflite", "float32", "litert") else 0
                runs.append(made_run(rng, len(runs), network, place, (format_, scheme), engine, thread, launches))
                if profiled:
                    runs[-1]["operators"] = _operators(rng, profiled, runs[-1]["latency"]["p50_ms"] * 1e6)
    if len(runs) < count:
        raise ValueError(f"there are only {len(runs)} combinations; give more devices or threads")
    del runs[count:]
    for at in range(3, len(runs), 37):
        runs[at].update(status="failed", latency=None, accuracy=None, agreement=None, error_class="EngineRefused")
        runs[at]["error"] = "operator FULLY_CONNECTED version 12 is not known to this engine; upgrade it"
    for at in range(5, len(runs), 41):
        runs[at]["warnings"].append(f"another process took the core {7 + at % 5} times a second")
    ended = START + timedelta(seconds=9 * len(runs) * launches)
    return {
        "schema_version": 4,
        "created": _time(ended),
        "command": "edge-dwsep sweep plan.toml",
        "versions": {"edge-dwsep": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1", "python": "3.11.7"},
        "models": networks,
        "data": {"name": "fashion-mnist-test-2000", "count": IMAGES, "sha256": "cd" * 32},
        "reference": None,
        "devices": [
            {
                "name": name,
                "kind": kind,
                "emulated": emulated,
                "cpu": "Cortex-A72" if machine == "aarch64" else "Xeon Processor",
                "cores": 4,
                "memory_bytes": 4_000_000_000,
                "machine": machine,
                "os": "Debian GNU/Linux 12 (bookworm)",
            }
            for name, kind, emulated, machine, _ in places
        ],
        "settings": {"scenario": "single-stream", "min_samples": 64, "min_seconds": 6.0, "threads": 1},
        "sweep": {
            "id": "5e" * 8,
            "name": "made",
            "plan": {
                "model": sorted({network["architecture"] for network in networks}),
                "alpha": sorted({network["alpha"] for network in networks}),
                "scheme": list(SCHEMES),
                "format": ["tflite", "onnx"],
                "device": [place[0] for place in places],
                "threads": list(threads),
                "data": "fashion-mnist",
                "measure": {"mode": "rapid", "accuracy": True},
            },
            "excluded": [
                {"what": "onnx-float16", "reason": "there is no ONNX file of scheme float16"},
                {"what": "onnx-w8-dynamic", "reason": "there is no ONNX file of scheme w8-dynamic"},
            ],
            "store": "sqlite:///results.sqlite",
            "started": _time(START),
            "finished": _time(ended),
        },
        "runs": runs,
        "comparisons": [],
    }


def _networks() -> Iterator[dict[str, Any]]:
    shapes = itertools.product((96, 64, 128, 160, 192, 224), (0.35, 0.25, 0.5, 0.75, 1.0, 1.4))
    for (side, alpha), architecture in itertools.product(shapes, ("mobilenet_v2", "mobilenet_v1")):
        params = int(3_500_000 * alpha**1.7)
        top1 = round(0.86 + 0.06 * (1 - math.exp(-params * side / 6e7)), 4)
        count = int(top1 * IMAGES)
        name = f"{architecture} {alpha} {side}"
        yield {
            "name": name,
            "architecture": architecture,
            "alpha": alpha,
            "input_shape": [side, side, 3],
            "outputs": 10,
            "params": params,
            "macs": int(params * side**2 / 20),
            "weights_sha256": hashlib.sha256(name.encode()).hexdigest(),
            "labels": [],
            "trained": True,
            "reference": {
                "name": "keras float32",
                "top1": count / IMAGES,
                "top1_interval": list(wilson_interval(count, IMAGES)),
            },
        }


def made_run(
    rng: random.Random,
    at: int,
    network: dict[str, Any],
    place: tuple[str, str, bool, str, float],
    recipe: tuple[str, str],
    engine: tuple[str, str, float],
    threads: int,
    launches: int,
) -> dict[str, Any]:
    """One light record that succeeded."""
    (device, _, emulated, _, slower), (format_, scheme) = place, recipe
    bytes_each, faster, loss = SCHEMES[scheme]
    speed = slower * faster * engine[2] * threads**-0.6
    p50 = speed * (0.02 + network["macs"] / 2.5e7) * rng.uniform(0.97, 1.03)
    width = rng.uniform(0.005, 0.02)
    quantiles = [p50 * math.exp(0.04 * z) for z in NORMAL]
    quantiles = [value * (1.3 if at % 9 == 4 and q > 24 else 1) for q, value in enumerate(quantiles)]
    right = network["reference"]["top1"] * IMAGES
    b = int(loss * IMAGES * rng.uniform(1.0, 2.0))
    c = int(0.4 * b)
    correct = int(right - b + c)
    agreeing = IMAGES - 2 * b
    variant = f"{format_}-{scheme}"
    started = [START + timedelta(seconds=9 * (at + turn * 40)) for turn in range(launches)]
    p50s = [p50 * rng.uniform(1 - width, 1 + width) for _ in started]
    name = f"{network['name']}-{scheme}.{format_}"
    state = _state(rng, 0)
    return {
        "id": hashlib.sha256(f"{device}{at}".encode()).hexdigest(),
        "device": device,
        "emulated": emulated,
        "model": network["name"],
        "variant": variant,
        "format": format_,
        "scheme": scheme,
        "engine": engine[0],
        "engine_version": engine[1],
        "threads": threads,
        "batch": 1,
        "engine_options": {},
        "file": name,
        "file_bytes": int(network["params"] * bytes_each + 20_000),
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "manifest_sha256": hashlib.sha256(f"manifest {name}".encode()).hexdigest(),
        "status": "ok",
        "valid": True,
        "error": None,
        "error_class": None,
        "latency": {
            "count": 4000,
            **{
                key: value
                for q, part in ((50, 20), (90, 36), (95, 38), (99, 39))
                for key, value in (
                    (f"p{q}_ms", p50 if q == 50 else quantiles[part]),
                    (
                        f"p{q}_interval_ms",
                        [(p50 if q == 50 else quantiles[part]) * (1 + sign * width) for sign in (-1, 1)],
                    ),
                )
            },
            "processes": [{"count": 4000 // launches, "p50_ms": p50} for p50 in p50s],
            "distribution_ms": quantiles,
            "ended_early": False,
            "timed_seconds": 6.0,
            "measured_seconds": 6.1,
            "loop_ns_per_sample": 183.1,
            "clock": {"resolution_ns": 54, "overhead_ns": 71},
        },
        "throughput": None,
        "sustained": None,
        "cold_start": None,
        "cost": _cost(network["macs"] * 1.7 * faster) if emulated else None,
        "native": None,
        "memory": {
            "before_load_bytes": 42_000_000,
            "allocated_bytes": 48_000_000,
            "peak_bytes": int(5e7 + 6 * network["params"] * bytes_each),
            "arena_bytes": None,
            "file_bytes": int(network["params"] * bytes_each + 20_000),
        },
        "operators": None,
        "accuracy": {
            "count": IMAGES,
            "classes": 10,
            "top1": correct / IMAGES,
            "top1_interval": list(wilson_interval(correct, IMAGES)),
            "top5": 0.999,
            "top5_interval": list(wilson_interval(1998, IMAGES)),
        },
        "agreement": {
            "reference": "keras float32",
            "top1": agreeing / IMAGES,
            "interval": list(wilson_interval(agreeing, IMAGES)),
            "mcnemar": {"b": b, "c": c, "p": 0.3, "verdict": "no difference shown"},
        },
        "warnings": [],
        "state": {"before": state, "after": _state(rng, 1)},
        "launches": [
            {
                "round": turn,
                "started": _time(moment),
                "p50_ms": p50s[turn],
                "state_before": _state(rng, at + turn * 40),
                "state_after": _state(rng, at + turn * 40 + 1),
                "worker": "local",
            }
            for turn, moment in enumerate(started)
        ],
        "reused": False,
        "conditions": [],
        "harness_sha256": "a2" * 32,
        "environment": None,
    }


def _cost(per_inference: float) -> dict[str, Any]:
    return {
        "kind": "instructions",
        "per_inference": per_inference,
        "least": 0.9999 * per_inference,
        "most": 1.0001 * per_inference,
    }


def _state(rng: random.Random, turn: int) -> dict[str, Any]:
    return {
        "monotonic_ns": 1_000_000_000 * (100 + 9 * turn),
        "load_1min": round(0.4 + rng.random() / 2, 2),
        "temperature_c": round(62 - 21 * math.exp(-turn / 60) + rng.random(), 1),
        "frequency_mhz": [1800, 1800, 1800, 1800 if turn % 50 else 1500],
        "frequency_cores": [0, 1, 2, 3],
        "throttled": None,
        "memory_available_bytes": 3_100_000_000,
        "governor": "ondemand",
        "cpu_ticks": 283_392,
        "involuntary_switches": 11,
    }


def _operators(rng: random.Random, count: int, whole_ns: float) -> dict[str, Any]:
    """A profile by prefixes whose operators add up to nearly the whole."""
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD")
    shares = [rng.uniform(0.2, 1.0) * (0.3 if at % 4 == 3 else 1) for at in range(count)]
    operators: list[dict[str, Any]] = []
    for at, share in enumerate(shares):
        ns = 0.97 * whole_ns * share / sum(shares)
        half = 0.05 * whole_ns / count
        operators.append(
            {
                "index": at,
                "name": f"mobilenet/block_{at // 4}/{kinds[at % 4].lower()}",
                "type": kinds[at % 4],
                "kind": "depthwise" if at % 4 == 1 else "pointwise" if at % 2 == 0 else "other",
                "macs": int(1e5 * share),
                "ns": ns,
                "interval_ns": [ns - half, ns + half],
                "distinguishable": ns > half,
                "alone_ns": None,
            }
        )
    total = sum(one["ns"] for one in operators)
    return {
        "method": "prefix",
        "rounds": 12,
        "whole_ns": whole_ns,
        "whole_interval_ns": [0.99 * whole_ns, 1.01 * whole_ns],
        "operators": operators,
        "sum_ns": total,
        "by_kind": {},
        "fixed_ns": 0.02 * whole_ns,
        "distortion": {"sum_to_whole": 0.99, "alone_to_parts": None},
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
