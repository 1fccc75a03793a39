"""``edge-dwsep accuracy``."""

from __future__ import annotations

__all__ = ["accuracy"]

from dataclasses import asdict
from pathlib import Path

import click

from edge_dwsep.cli.options import (
    Seconds,
    data_option,
    device_option,
    engine_option,
    json_option,
    preprocessing_from,
    preprocessing_options,
    threads_option,
)


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option("Labelled images", required=True)
@device_option
@engine_option
@threads_option
@preprocessing_options
@click.option(
    "--label-offset", type=click.IntRange(0), default=0, show_default=True, help="Outputs before the one of label 0."
)
@click.option("--timeout", type=Seconds(1), default=3600.0, show_default=True, help="Seconds that a run may take.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write results, predictions included, to this JSON file."
)
@json_option
def accuracy(
    artifacts: tuple[Path, ...],
    data: str,
    device: str,
    engines: tuple[str, ...],
    threads: int,
    scale: str | None,
    offset: str | None,
    pad: bool,
    label_offset: int,
    timeout: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Measure top-1 and top-5 accuracy of ARTIFACTS on the device.

    Preprocessing is taken from an artifact's manifest; for one without, say it with --scale, --offset and --pad.
    """
    from edge_dwsep.cli.measuring import measure_and_show
    from edge_dwsep.datasets.sources import open_data
    from edge_dwsep.evaluate import Evaluation
    from edge_dwsep.measured_accuracy import AccuracySettings, evaluation_files

    settings = AccuracySettings(threads, timeout)
    preprocessing = preprocessing_from(scale, offset, pad=pad)
    with evaluation_files(open_data(data).evaluation) as files:
        what = Evaluation(accuracy=settings, files=files, preprocessing=preprocessing, label_offset=label_offset)
        return measure_and_show("accuracy", artifacts, device, engines, what, asdict(settings), output, as_json)
