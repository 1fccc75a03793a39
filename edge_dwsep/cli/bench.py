"""``edge-dwsep bench``."""

from __future__ import annotations

__all__ = ["bench"]

from pathlib import Path

import click

from edge_dwsep.cli.options import Seconds, device_option, engine_option, json_option, threads_option


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@device_option
@engine_option
@threads_option
@click.option("--min-samples", type=click.IntRange(1), default=1024, show_default=True, help="Inferences at least.")
@click.option("--min-seconds", type=Seconds(), default=3.0, show_default=True, help="Seconds at least.")
@click.option("--warmup-seconds", type=Seconds(), default=0.5, show_default=True, help="Seconds before.")
@click.option("--timeout", type=Seconds(1), default=300.0, show_default=True, help="Seconds a run may take more.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write results, raw samples included, to this JSON file."
)
@json_option
def bench(
    artifacts: tuple[Path, ...],
    device: str,
    engines: tuple[str, ...],
    threads: int,
    min_samples: int,
    min_seconds: float,
    warmup_seconds: float,
    timeout: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Time ARTIFACTS: any .tflite or .onnx files, with or without manifests, each in a process of its own."""
    from edge_dwsep.cli.measuring import measure_and_show
    from edge_dwsep.evaluate import Evaluation
    from edge_dwsep.measure import LatencySettings

    latency = LatencySettings(threads, min_samples, min_seconds, warmup_seconds, timeout)
    return measure_and_show("bench", artifacts, device, engines, Evaluation(latency=latency), latency, output, as_json)
