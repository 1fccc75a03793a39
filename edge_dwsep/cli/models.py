"""``edge-dwsep models list|show|train``."""

from __future__ import annotations

__all__ = ["models"]

import json
import sys
from pathlib import Path
from typing import Any

import click

from edge_dwsep.cli.lazy import LazyGroup
from edge_dwsep.cli.options import architecture_options, input_shape, json_option


@click.group(
    cls=LazyGroup,
    commands_at={
        "list": ("edge_dwsep.cli.models:list_models", "Names of architectures and checkpoints."),
        "show": ("edge_dwsep.cli.models:show", "What one is made of and what it costs."),
        "train": ("edge_dwsep.cli.models:train_model", "Train a checkpoint on Fashion-MNIST."),
    },
)
def models() -> None:
    """List, show and train networks."""


@click.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the architectures and checkpoints that MODEL may name."""
    from edge_dwsep.checkpoints import checkpoint, checkpoint_names
    from edge_dwsep.models import ARCHITECTURES, architecture

    families = [architecture(name) for name in ARCHITECTURES]
    trained = [checkpoint(name) for name in checkpoint_names()]
    if as_json:
        entries: list[dict[str, Any]] = [
            {"name": family.name, "kind": "architecture", "summary": family.summary, "paper": family.paper}
            for family in families
        ]
        entries += [
            {
                "name": item.name,
                "kind": "checkpoint",
                "architecture": item.card["architecture"],
                "accuracy": item.card["accuracy"],
            }
            for item in trained
        ]
        click.echo(json.dumps(entries))
        return
    width = max(len(name) for name in (*ARCHITECTURES, *checkpoint_names()))
    for family in families:
        click.echo(f"{family.name:{width}}  architecture  {family.summary} ({family.paper})")
    for item in trained:
        accuracy = item.card["accuracy"]
        click.echo(f"{item.name:{width}}  checkpoint    {100 * accuracy['top1']:.2f} % on {accuracy['data']}")


@click.command("show")
@click.argument("model")
@architecture_options
@json_option
def show(
    model: str, alpha: float | None, resolution: int | None, channels: int | None, classes: int | None, as_json: bool
) -> None:
    """Show MODEL's input, parameters, multiply-accumulates, and its card if it is a checkpoint."""
    from dataclasses import asdict

    from edge_dwsep.checkpoints import checkpoint, checkpoint_names
    from edge_dwsep.model_source import open_model

    source = open_model(model, alpha=alpha, input_shape=input_shape(resolution, channels), classes=classes)
    facts: dict[str, Any] = asdict(source.facts)
    if model in checkpoint_names():
        facts["card"] = checkpoint(model).card
    if as_json:
        click.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        if key != "card":
            click.echo(f"{key:15} {value:,}" if isinstance(value, int) else f"{key:15} {value}")
    if "card" in facts:
        accuracy = facts["card"]["accuracy"]
        low, high = accuracy["top1_interval"]
        click.echo(
            f"{'accuracy':15} {100 * accuracy['top1']:.2f} % [{100 * low:.2f}, {100 * high:.2f}] on {accuracy['data']}"
        )
        click.echo(f"{'made by':15} {facts['card']['command']}")


@click.command("train")
@click.argument("architecture", default="mobilenet_v1")
@click.option("--alpha", type=float, default=0.25, show_default=True, help="Width multiplier.")
@click.option("--epochs", type=click.IntRange(1), default=60, show_default=True, help="Passes over the 60,000 images.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of weights, order and augmentation."
)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(), show_default=True, help="Folder for the checkpoint."
)
@click.option("--state", type=click.Path(path_type=Path), help="Folder to resume from. [default: OUTPUT/training-NAME]")
@json_option
def train_model(
    architecture: str, alpha: float, epochs: int, seed: int, output: Path, state: Path | None, as_json: bool
) -> None:
    """Train ARCHITECTURE on Fashion-MNIST at 32x32, and write it with a card that says how.

    An interrupted training goes on where it stopped when the same command is given again.
    """
    import shutil

    from dwsep_export.output import staging_folder
    from edge_dwsep.models import architecture as find

    find(architecture)
    with staging_folder(output):
        pass
    from edge_dwsep.cards import checkpoint_name, write_checkpoint
    from edge_dwsep.datasets import fashion_mnist
    from edge_dwsep.progress import Progress
    from edge_dwsep.training import EpochReport, TrainingPlan, train

    plan = TrainingPlan(architecture=architecture, alpha=alpha, epochs=epochs, seed=seed)
    data = {split: fashion_mnist.load(split) for split in ("train", "test")}
    folder = output / f"training-{checkpoint_name(plan)}" if state is None else state
    steps = plan.epochs * (len(data["train"]) // plan.batch_size)
    with Progress("train", steps) as progress:
        note = ""

        def on_epoch(report: EpochReport) -> None:
            nonlocal note
            note = f"epoch {report.epoch} of {plan.epochs}, loss {report.loss:.3f}"
            if not sys.stderr.isatty():
                click.echo(f"{note}, {report.seconds:.0f} s", err=True)

        model = train(
            plan, data["train"], folder, on_batch=lambda done, total: progress.set(done, note), on_epoch=on_epoch
        )
    command = f"edge-dwsep models train {architecture} --alpha {alpha:g} --epochs {epochs} --seed {seed}"
    card = write_checkpoint(model, plan, data, output, command=command)
    if state is None:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        click.echo(json.dumps(card))
    else:
        accuracy = card["accuracy"]
        click.echo(f"{output / card['file']['name']}: {100 * accuracy['top1']:.2f} % on {accuracy['data']}")
