"""``edge-dwsep export``."""

from __future__ import annotations

__all__ = ["export"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_dwsep.cli.options import (
    architecture_options,
    data_option,
    input_shape,
    json_option,
    preprocessing_from,
    preprocessing_options,
)

if TYPE_CHECKING:
    from dwsep_export import Artifact, Parity, Recipe
    from dwsep_runtime.errors import DwsepError


@click.command()
@click.argument("model")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    help="FORMAT-SCHEME, such as tflite-w8a8 or onnx-float32; repeatable. [default: all six]",
)
@click.option(
    "--io", default="float32", show_default=True, help="Inputs and outputs of tflite-w8a8: float32, int8 or uint8."
)
@architecture_options
@data_option("Images to calibrate and verify on (different ones)")
@preprocessing_options
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(), show_default=True, help="Folder for the files."
)
@json_option
def export(
    model: str,
    recipes: tuple[str, ...],
    io: str,
    alpha: float | None,
    resolution: int | None,
    channels: int | None,
    classes: int | None,
    data: str | None,
    scale: str | None,
    offset: str | None,
    pad: bool,
    output: Path,
    as_json: bool,
) -> int:
    """Make .tflite and .onnx files of MODEL, verify each against Keras, and write a manifest beside each.

    MODEL is an architecture (edge-dwsep models list), a checkpoint, or a .keras file.
    """
    from dwsep_export import RECIPES, Recipe
    from edge_dwsep.progress import Progress

    wanted = [Recipe.parse(text) for text in recipes] or list(RECIPES)
    if io != "float32":
        if not any(recipe.takes_io for recipe in wanted):
            raise click.UsageError("--io goes with tflite-w8a8, which is not among the recipes wanted")
        wanted = [Recipe.parse(recipe.name, io) if recipe.takes_io else recipe for recipe in wanted]
    failures: list[tuple[Recipe, DwsepError]] = []
    with Progress("export", 2 * len(wanted) + 5) as progress:
        progress.step("load the model")
        from edge_dwsep.datasets.sources import image_input, open_data
        from edge_dwsep.export import export_source, noise
        from edge_dwsep.model_source import open_model

        source = open_model(model, alpha=alpha, input_shape=input_shape(resolution, channels), classes=classes)
        if data is None and source.trained and any(recipe.scheme.needs_calibration for recipe in wanted):
            raise click.UsageError("w8a8 needs images to calibrate on: give --data, or leave it out with --recipe")
        preprocessing = preprocessing_from(scale, offset, pad=pad)
        if preprocessing is None and source.preprocessing is None:
            raise click.UsageError(
                f"say what {model} expects of 0-255 pixels with --scale and --offset; "
                "--scale 1 if it takes them as they are"
            )
        shape = source.facts.input_shape
        artifacts = export_source(
            source,
            wanted,
            output,
            data=noise(shape) if data is None else open_data(data, **image_input(shape)),
            preprocessing=preprocessing,
            on_step=progress.step,
            on_failure=lambda recipe, error: failures.append((recipe, error)),
        )
    if data is None:
        click.echo(
            "edge-dwsep: verified on noise, for want of --data: good for latency, says nothing of accuracy", err=True
        )
    _show(artifacts, as_json=as_json)
    for recipe, error in failures:
        click.echo(f"edge-dwsep: {recipe.name} failed: {error}", err=True)
    return 1 if failures else 0


def _show(artifacts: Sequence[Artifact], *, as_json: bool) -> None:
    if as_json:
        import json

        click.echo(
            json.dumps(
                [{"path": str(item.file), **(item.manifest.to_json() if item.manifest else {})} for item in artifacts]
            )
        )
    else:
        for item in artifacts:
            parity = item.manifest.parity if item.manifest else None
            if parity:
                click.echo(
                    f"{item.file}  {item.file.stat().st_size / 1000:,.0f} kB  "
                    f"{_agreement(parity)}error max {parity.max_abs_error:.2g} mean {parity.mean_abs_error:.2g}"
                )
        for item in artifacts:
            for warning in item.manifest.warnings if item.manifest else ():
                click.echo(f"edge-dwsep: warning: {warning}", err=True)


def _agreement(parity: Parity) -> str:
    if parity.top1_agreement is None:
        return ""
    return f"agrees with Keras on {100 * parity.top1_agreement:.1f} % of {parity.count} images, "
