"""Finish a training: measure the model on all test images, and write it with its card."""

from __future__ import annotations

__all__ = ["checkpoint_name", "write_checkpoint"]

from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwsep_export.output import json_text, staging_folder
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.shares import wilson_interval
from edge_dwsep.checkpoints import CARD_SUFFIX
from edge_dwsep.cost import count_macs, weights_sha256
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.training import PREPROCESSING, TrainingPlan

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
BATCH = 250


def checkpoint_name(plan: TrainingPlan) -> str:
    """Name of what a plan trains, such as ``mobilenet_v1_0.25_32_fashion_mnist``."""
    return f"{plan.architecture}_{plan.alpha:g}_{PREPROCESSING.height}_fashion_mnist"


def write_checkpoint(
    model: keras.Model,
    plan: TrainingPlan,
    data: Mapping[str, LabelledImages],
    folder: Path,
    *,
    command: str,
) -> dict[str, Any]:
    """Write ``NAME.keras`` and ``NAME.card.json``.

    Args:
        model: as trained.
        plan: how.
        data: "train", on which it was trained, and "test", on which its accuracy is measured here.
        folder: where to.
        command: that makes it again.

    Returns:
        The card.

    Raises:
        OutputNotWritable: the folder cannot be written.
    """
    test = data["test"]
    inputs = PREPROCESSING.apply(test.images)
    predicted = np.concatenate(
        [
            np.asarray(model(inputs[start : start + BATCH], training=False)).argmax(axis=1)
            for start in range(0, len(inputs), BATCH)
        ]
    )
    correct = int(np.count_nonzero(predicted == test.labels))
    name = checkpoint_name(plan)
    with staging_folder(folder) as staging:
        file = staging / f"{name}.keras"
        model.save(file)
        card = {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "architecture": plan.architecture,
            "alpha": plan.alpha,
            "input_shape": list(model.inputs[0].shape[1:]),
            "class_names": list(test.class_names),
            "preprocessing": PREPROCESSING.to_json(),
            "params": model.count_params(),
            "macs": count_macs(model),
            "command": command,
            "seed": plan.seed,
            "epochs": plan.epochs,
            "plan": asdict(plan),
            "data": {split: {"name": images.name, "sha256": images.sha256} for split, images in data.items()},
            "accuracy": {
                "data": test.name,
                "count": len(test),
                "top1": correct / len(test),
                "top1_interval": list(wilson_interval(correct, len(test))),
            },
            "file": {"name": file.name, "sha256": sha256_of(file), "bytes": file.stat().st_size},
            "weights_sha256": weights_sha256(model),
            "versions": {tool: metadata.version(tool) for tool in ("edge-dwsep", "tensorflow", "keras", "numpy")},
            "licence": "Apache-2.0",
        }
        staged_card = staging / f"{name}{CARD_SUFFIX}"
        staged_card.write_text(json_text(card), encoding="utf-8")
        file.replace(folder / file.name)
        staged_card.replace(folder / staged_card.name)
    return card
