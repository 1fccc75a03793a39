"""``edge-dwsep accuracy``."""

from __future__ import annotations

__all__ = ["accuracy"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_dwsep.cli.options import (
    Seconds,
    data_option,
    device_options,
    engine_option,
    json_option,
    preprocessing_from,
    preprocessing_options,
    threads_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from dwsep_export import Artifact
    from edge_dwsep.datasets.evaluation import EvaluationSet


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option("Labelled images", required=True)
@device_options
@engine_option
@threads_option
@preprocessing_options
@click.option(
    "--label-offset", type=click.IntRange(0), default=0, show_default=True, help="Outputs before the one of label 0."
)
@click.option("--timeout", type=Seconds(1), default=3600.0, show_default=True, help="Seconds that a run may take.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="A model file to run first, with which the others are compared image by image.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Where outputs are compared: difference that counts as agreeing, as a share of the reference's range.",
)
@click.option("--per-class", is_flag=True, help="Print recall and precision of each class too.")
@click.option("--confusion", is_flag=True, help="Print too which classes are taken for which.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write results, predictions included, to this JSON file."
)
@json_option
def accuracy(
    artifacts: tuple[Path, ...],
    data: str,
    devices: tuple[str, ...],
    no_wait: bool,
    engines: tuple[str, ...],
    threads: int,
    scale: str | None,
    offset: str | None,
    pad: bool,
    label_offset: int,
    timeout: float,
    reference: Path | None,
    tolerance: float,
    per_class: bool,
    confusion: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Measure top-1 and top-5 accuracy of ARTIFACTS on the device.

    Preprocessing is taken from an artifact's manifest; for one without, say it with --scale, --offset and --pad.

    Of models with several outputs, or with another one than a vector of classes, and of data without labels there is
    no accuracy: give --reference, and outputs are compared number by number. For that an .npz file with images is
    enough, or one with floating-point inputs as the model takes them.
    """
    from edge_dwsep.accuracy_table import print_accuracy, print_classes, print_confusion
    from edge_dwsep.cli.measuring import measure_and_show
    from edge_dwsep.cli.opening import opened_alone
    from edge_dwsep.evaluate import Evaluation
    from edge_dwsep.measured_accuracy import AccuracySettings, evaluation_files

    settings = AccuracySettings(threads, timeout, tolerance)
    preprocessing = preprocessing_from(scale, offset, pad=pad)

    def show(screen: Console, results: Mapping[str, Any]) -> None:
        print_accuracy(screen, results)
        for run in results["runs"]:
            if run["accuracy"] and per_class:
                print_classes(screen, run)
            if run["accuracy"] and confusion:
                print_confusion(screen, run)

    first = None if reference is None else _reference(reference, engines)
    with evaluation_files(_opened(data, artifacts)) as files:
        what = Evaluation(
            accuracy=settings, files=files, reference=first, preprocessing=preprocessing, label_offset=label_offset
        )
        with opened_alone(devices, wait=not no_wait) as target:
            return measure_and_show(
                "accuracy",
                artifacts,
                devices,
                target,
                engines,
                what,
                asdict(settings),
                output,
                as_json,
                show,
                wait=not no_wait,
            )


def _opened(data: str, files: Sequence[Path]) -> EvaluationSet:
    """The data set; images of a folder are brought to the size that the models take."""
    from edge_dwsep.datasets.evaluation import open_evaluation
    from edge_dwsep.datasets.sources import image_input

    if not Path(data).is_dir():
        return open_evaluation(data)
    from dwsep_export import open_artifact

    manifests = [artifact.manifest for artifact in map(open_artifact, files)]
    shapes = sorted({tuple(manifest.model.input_shape) for manifest in manifests if manifest})
    if len(shapes) > 1:
        raise click.UsageError(
            f"images of a folder are brought to the size that models take, and these differ: {shapes[0]}, {shapes[1]}; "
            "give those of one size at a time"
        )
    return open_evaluation(data, **image_input(shapes[0] if shapes else ()))


def _reference(file: Path, engines: tuple[str, ...]) -> tuple[Artifact, str]:
    """A reference and the engine to run it: the first of those wanted that can, or else the first that can."""
    from dwsep_export import open_artifact
    from edge_dwsep.evaluate import engines_of

    artifact = open_artifact(file)
    able = engines_of(artifact, ())
    return artifact, next((engine for engine in able if engine in engines), able[0])
