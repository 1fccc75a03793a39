"""``edge-dwsep bench``."""

from __future__ import annotations

__all__ = ["bench"]

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_dwsep.cli.conditions import conditions_from, conditions_options
from edge_dwsep.cli.options import (
    Seconds,
    device_options,
    engine_option,
    engine_options_from,
    json_option,
    threads_option,
)

if TYPE_CHECKING:
    from edge_dwsep.native import NativeRunner

SCENARIOS = ("single-stream", "offline", "sustained", "cold-start")
MODES = ("rapid", "quick", "normal")

TURNS = "--interleave"
DIVIDED = frozenset({"single-stream", "offline"})
BELONGS_TO = {
    "mode": DIVIDED,
    "min_samples": DIVIDED,
    "min_seconds": DIVIDED,
    "processes": DIVIDED,
    "max_warmup_seconds": DIVIDED,
    "precision": frozenset({"single-stream"}),
    "percentile": frozenset({"single-stream"}),
    "seconds": frozenset({"sustained"}),
    "starts": frozenset({"cold-start"}),
    "launches": frozenset({TURNS}),
}
"""Scenarios that an option says something of; given with another, it would be ignored in silence."""


COSTS = ("instructions",)
OF_RUNNERS = frozenset({"mode", "min_samples", "min_seconds", "threads"})
ONLY_OF_TIME = OF_RUNNERS | {
    *("scenario", "processes", "precision", "percentile", "max_warmup_seconds", "seconds", "starts", "interleave"),
    *("launches", "profile_ops", "batch", "pin", "governor", "cool_down", "priority", "memory_limit"),
}
OF_ENGINES = frozenset({"engines", "engine_options"})
"""Options that would be ignored in silence where instructions are counted; those of runners are heeded by these, and
those of engines are not."""


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@device_options
@engine_option
@click.option("--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True, help="What to time.")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="quick",
    show_default=True,
    help="How long: 64 samples and 6 s in one process, 128 and 10 s in 5, or 1024 and 60 s in 10; both minimums hold.",
)
@click.option("--min-samples", type=click.IntRange(1), help="Inferences at least. [default: the mode's]")
@click.option("--min-seconds", type=Seconds(), help="Seconds at least. [default: the mode's]")
@click.option("--processes", type=click.IntRange(1, 1000), help="Fresh processes to divide them among.")
@click.option(
    "--precision",
    type=click.FloatRange(1e-4, 1.0),
    help="End early once the interval is within this share of the percentile, such as 0.02.",
)
@click.option(
    "--percentile",
    type=click.FloatRange(1, 99.9),
    default=50.0,
    show_default=True,
    help="The percentile that --precision looks at.",
)
@click.option(
    "--max-warmup-seconds",
    type=Seconds(),
    default=3.0,
    show_default=True,
    help="Warm-up ends when times are steady, or after this long.",
)
@click.option("--seconds", type=Seconds(1), default=300.0, show_default=True, help="Length of scenario sustained.")
@click.option("--starts", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Of scenario cold-start.")
@click.option("--interleave", is_flag=True, help="Run all in turns and compare each with the first.")
@click.option(
    "--launches",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Of --interleave: how often all processes are started anew; six at least for an interval.",
)
@click.option(
    "--cost",
    type=click.Choice(COSTS),
    help="Count instructions instead of time, exactly, on an emulated board: --device lab-pi4, lab-pi5.",
)
@click.option(
    "--runner",
    metavar="benchmark_model=PATH",
    help="Let your own build of TensorFlow Lite's benchmark_model measure, for GPU and NPU delegates.",
)
@click.option(
    "--runner-argument", "runner_arguments", multiple=True, help="For it, such as --use_gpu=true; repeatable."
)
@click.option("--profile-ops", is_flag=True, help="Time each operator, too.")
@threads_option
@click.option("--batch", type=click.IntRange(1, 65536), default=1, show_default=True, help="Samples of an inference.")
@click.option(
    "--engine-option",
    "engine_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Such as xnnpack=off, delegate=PATH, optimization=basic; repeatable.",
)
@conditions_options
@click.option(
    "--memory-limit", type=click.IntRange(1), help="Data memory of a run in MB. [default: what the device has]"
)
@click.option("--timeout", type=Seconds(1), default=300.0, show_default=True, help="Seconds a run may take more.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write results, raw samples included, to this JSON file."
)
@json_option
def bench(
    artifacts: tuple[Path, ...],
    devices: tuple[str, ...],
    no_wait: bool,
    engines: tuple[str, ...],
    scenario: str,
    mode: str,
    min_samples: int | None,
    min_seconds: float | None,
    processes: int | None,
    precision: float | None,
    percentile: float,
    max_warmup_seconds: float,
    seconds: float,
    starts: int,
    interleave: bool,
    launches: int,
    cost: str | None,
    runner: str | None,
    runner_arguments: tuple[str, ...],
    profile_ops: bool,
    threads: int,
    batch: int,
    engine_options: tuple[str, ...],
    pin: str | None,
    governor: str | None,
    cool_down: float | None,
    priority: bool,
    memory_limit: int | None,
    timeout: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Time ARTIFACTS: any .tflite or .onnx files, with or without manifests, each run in fresh processes."""
    if interleave and scenario != "single-stream":
        raise click.UsageError(f"--interleave compares single-stream latency; leave out --scenario {scenario}")
    _require_belonging(TURNS if interleave else scenario)
    _require_alone(cost, runner)
    from edge_dwsep.cli.opening import opened_alone

    with opened_alone(
        devices, cost=cost or "", environments=_environments(cost, artifacts, engines), wait=not no_wait
    ) as target:
        if target is not None:
            target.warm()
        from dwsep_runtime import scenarios
        from edge_dwsep.cli.measuring import measure_and_show
        from edge_dwsep.evaluate import Evaluation
        from edge_dwsep.interleave import InterleaveSettings
        from edge_dwsep.measure import LatencySettings

        preset = scenarios.MODES[mode]
        latency = LatencySettings(
            scenario=scenario,
            min_samples=preset.min_samples if min_samples is None else min_samples,
            min_seconds=preset.min_seconds if min_seconds is None else min_seconds,
            processes=preset.processes if processes is None else processes,
            max_warmup_seconds=max_warmup_seconds,
            precision=precision,
            percentile=percentile,
            seconds=seconds,
            starts=starts,
            threads=threads,
            batch=batch,
            options=engine_options_from(engine_options),
            conditions=conditions_from(pin, governor, cool_down, priority=priority),
            memory_limit_bytes=None if memory_limit is None else memory_limit * 10**6,
            timeout=timeout,
        )
        what = Evaluation(
            latency=latency,
            session=InterleaveSettings(launches) if interleave else None,
            profile_ops=profile_ops,
            cost=cost or "",
            runner=_native(runner, runner_arguments),
        )
        return measure_and_show(
            "bench", artifacts, devices, target, engines, what, latency.to_json(), output, as_json, wait=not no_wait
        )


def _environments(cost: str | None, files: tuple[Path, ...], engines: tuple[str, ...]) -> tuple[str, ...]:
    """What a machine that counts is to have from the start, for making an environment in it takes long."""
    if not cost:
        return ()
    from dwsep_export import open_artifact
    from edge_dwsep.evaluate import engines_of, environments_of

    return environments_of(engine for file in files for engine in engines_of(open_artifact(file), engines))


def _native(runner: str | None, arguments: tuple[str, ...]) -> NativeRunner | None:
    """The program of the user's that measures, if one does."""
    if runner is None:
        if arguments:
            raise click.UsageError("--runner-argument goes with --runner")
        return None
    from edge_dwsep.native import runner_from

    return runner_from(runner, arguments)


def _require_alone(cost: str | None, runner: str | None) -> None:
    """Refuse options that say nothing of a count, or nothing to a program of the user's."""
    chosen = "--cost" if cost else "--runner" if runner else ""
    if not chosen:
        return
    if cost and runner:
        raise click.UsageError("--cost counts by the engines; leave out --runner")
    context = click.get_current_context()
    ignored = ONLY_OF_TIME if cost else (ONLY_OF_TIME - OF_RUNNERS) | OF_ENGINES
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if given and parameter.name in ignored:
            raise click.UsageError(f"{parameter.opts[0]} says nothing of {chosen}; leave it out")


def _require_belonging(scenario: str) -> None:
    """Refuse options that were given and say nothing of the scenario."""
    context = click.get_current_context()
    for option, scenarios in BELONGS_TO.items():
        given = context.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE
        if given and scenario not in scenarios:
            raise click.UsageError(
                f"--{option.replace('_', '-')} says nothing of {scenario}; it goes with {', '.join(sorted(scenarios))}"
            )
