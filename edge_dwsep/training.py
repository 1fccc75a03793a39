"""Train a checkpoint on Fashion-MNIST, epoch by epoch, so that an interrupted training goes on where it stopped."""

from __future__ import annotations

__all__ = ["EpochReport", "TrainingPlan", "train"]

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwsep_export.quiet import load_tensorflow
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.models import build

if TYPE_CHECKING:
    import keras

PREPROCESSING = Preprocessing(resize="pad", height=32, width=32, scale=(1 / 127.5,), offset=(-1.0,))
"""What the network is trained on: 28x28 photos padded to 32x32, pixels mapped to [-1, 1]."""

STATE_JSON = "state.json"


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that decides what a training computes.

    Attributes:
        architecture: name in the registry.
        alpha: width multiplier.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: peak of the cosine schedule, reached after one epoch of linear warm-up.
        weight_decay: of AdamW.
        label_smoothing: share of the target spread over all classes.
        seed: of weights, order of images and augmentation.
    """

    architecture: str = "mobilenet_v1"
    alpha: float = 0.25
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} must be positive, received {getattr(self, name)}")


@dataclass(frozen=True)
class EpochReport:
    """Progress after an epoch: its number from 1, mean training loss, and seconds spent in this process."""

    epoch: int
    loss: float
    seconds: float


def train(
    plan: TrainingPlan,
    images: LabelledImages,
    state: Path,
    *,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> keras.Model:
    """Train by a plan, or go on with it if ``state`` holds an unfinished training of the same plan.

    Args:
        plan: what to train.
        images: training set; uint8 (count, 28, 28, 1).
        state: folder for what a resumed training needs; written after each epoch, in one rename.
        on_batch: called with the steps done and the steps in all.
        on_epoch: called after each epoch.

    Returns:
        The trained model, without optimizer state.

    Raises:
        InvalidInput: ``state`` belongs to another plan or data set.
    """
    load_tensorflow()
    import keras

    keras.utils.set_random_seed(plan.seed)
    identity = {"plan": asdict(plan), "data_sha256": images.sha256}
    steps = len(images) // plan.batch_size
    model, first_epoch = _restore(state, identity)
    if model is None:
        model = _compiled(plan, images, steps)
    started = time.monotonic()
    padded = PREPROCESSING.pad(images.images)
    targets = keras.utils.to_categorical(images.labels, len(images.class_names))
    for epoch in range(first_epoch, plan.epochs):
        rng = np.random.default_rng((plan.seed, epoch))
        _seed_dropout(model, plan.seed, epoch)
        order = rng.permutation(len(images))
        pixels = augment(padded[order], rng)
        losses = []
        for step in range(steps):
            batch = slice(step * plan.batch_size, (step + 1) * plan.batch_size)
            losses.append(model.train_on_batch(PREPROCESSING.scale_pixels(pixels[batch]), targets[order[batch]]))
            on_batch(epoch * steps + step + 1, plan.epochs * steps)
        _save(state, model, identity, epoch + 1)
        # train_on_batch returns the running mean since the metrics were last reset.
        on_epoch(EpochReport(epoch + 1, float(np.ravel(losses[-1])[0]), time.monotonic() - started))
        model.reset_metrics()
    trained = _untrained(plan, images)
    trained.set_weights(model.get_weights())
    return trained


def augment(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror half of the images, shift each by up to 2 pixels, and blank one 8x8 square in half of them.

    Args:
        images: uint8 (count, height, width, channels) with a border of at least 2 blank pixels.
        rng: source of randomness.

    Returns:
        uint8 of the same shape.
    """
    count, height, width, _ = images.shape
    columns = np.tile(np.arange(width), (count, 1))
    mirrored = rng.random(count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    shifts = rng.integers(-2, 3, (2, count))
    columns = (columns + shifts[0][:, np.newaxis]) % width
    rows = (np.arange(height)[np.newaxis] + shifts[1][:, np.newaxis]) % height
    moved = images[np.arange(count)[:, np.newaxis, np.newaxis], rows[:, :, np.newaxis], columns[:, np.newaxis, :]]
    blanked = np.flatnonzero(rng.random(count) < 0.5)
    tops, lefts = rng.integers(0, height - 8, len(blanked)), rng.integers(0, width - 8, len(blanked))
    square = np.arange(8)
    moved[
        blanked[:, np.newaxis, np.newaxis],
        (tops[:, np.newaxis] + square)[:, :, np.newaxis],
        (lefts[:, np.newaxis] + square)[:, np.newaxis, :],
    ] = 0
    blank: NDArray[np.uint8] = moved
    return blank


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Set the state of dropout's random numbers, which Keras does not save: a resumed training has the same ones."""
    for layer in model.layers:
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign([seed, epoch])


def _untrained(plan: TrainingPlan, images: LabelledImages) -> Any:
    shape = (PREPROCESSING.height, PREPROCESSING.width, images.images.shape[-1])
    return build(plan.architecture, alpha=plan.alpha, input_shape=shape, classes=len(images.class_names))


def _compiled(plan: TrainingPlan, images: LabelledImages, steps: int) -> Any:
    import keras

    model = _untrained(plan, images)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=plan.learning_rate / steps,
        warmup_target=plan.learning_rate,
        warmup_steps=steps,
        decay_steps=max(1, steps * (plan.epochs - 1)),
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=plan.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=plan.label_smoothing),
    )
    return model


def _restore(state: Path, identity: dict[str, Any]) -> tuple[Any, int]:
    record = state / STATE_JSON
    if not record.exists():
        return None, 0
    try:
        saved = json.loads(record.read_text())
        known, model, epoch = saved["identity"], saved["model"], saved["epoch"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{record} is damaged; delete {state} to begin anew") from error
    if known != identity:
        raise InvalidInput(
            f"{state} holds a training of another plan or data set; give another --state folder or delete that one"
        )
    import keras

    return keras.models.load_model(state / model), epoch


def _save(state: Path, model: Any, identity: dict[str, Any], epoch: int) -> None:
    state.mkdir(parents=True, exist_ok=True)
    name = f"epoch-{epoch}.keras"
    model.save(state / name)
    part = state / f"{STATE_JSON}.part"
    part.write_text(json.dumps({"identity": identity, "epoch": epoch, "model": name}))
    part.replace(state / STATE_JSON)
    (state / f"epoch-{epoch - 1}.keras").unlink(missing_ok=True)
