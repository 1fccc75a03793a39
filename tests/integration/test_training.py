"""Training: augmentation, resuming after an interruption, and the card of the checkpoint in the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_dwsep
from dwsep_runtime.errors import InvalidInput, InvalidModel
from edge_dwsep.cards import write_checkpoint
from edge_dwsep.checkpoints import checkpoint, checkpoint_names, read_card
from edge_dwsep.cost import count_macs, weights_sha256
from edge_dwsep.datasets import fashion_mnist
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.training import TrainingPlan, augment, train

NAME = "mobilenet_v1_0.25_32_fashion_mnist"


def images(count: int = 96) -> LabelledImages:
    """Three classes that differ in brightness."""
    labels = np.arange(count) % 3
    pixels = np.random.default_rng(0).integers(0, 60, (count, 28, 28, 1)) + 90 * labels[:, None, None, None]
    return LabelledImages("bright", pixels.astype(np.uint8), labels.astype(np.int64), ("dark", "grey", "light"))


PLAN = TrainingPlan(alpha=1 / 32, epochs=3, batch_size=32)


def test_augmentation_moves_mirrors_and_blanks_but_invents_nothing() -> None:
    original = np.zeros((200, 32, 32, 1), np.uint8)
    original[:, 2:30, 2:30] = np.random.default_rng(1).integers(1, 255, (200, 28, 28, 1))
    changed = augment(original, np.random.default_rng(2))
    assert changed.shape == original.shape
    assert changed.dtype == np.uint8
    lost = np.count_nonzero(original, axis=(1, 2, 3)) - np.count_nonzero(changed, axis=(1, 2, 3))
    assert lost.min() == 0
    assert lost.max() == 64
    assert 60 < np.count_nonzero(lost) <= 130
    for before, after in zip(original, changed, strict=True):
        assert not np.setdiff1d(after, before).size
    again = augment(original, np.random.default_rng(2))
    assert np.array_equal(changed, again)


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    data = images()
    whole = train(PLAN, data, tmp_path / "whole")
    assert not whole.compiled

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        train(PLAN, data, tmp_path / "parts", on_batch=stop)
    reports: list[int] = []
    resumed = train(PLAN, data, tmp_path / "parts", on_epoch=lambda report: reports.append(report.epoch))
    assert reports == [2, 3]
    for expected, received in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(expected, received)


def test_a_state_of_another_plan_is_refused(tmp_path: Path) -> None:
    state = {"identity": {"plan": {"alpha": 1.0}, "data_sha256": ""}, "epoch": 1, "model": "epoch-1.keras"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(InvalidInput, match="holds a training of another plan"):
        train(PLAN, images(), tmp_path)


@pytest.mark.parametrize("field", ["epochs", "batch_size", "learning_rate"])
def test_a_plan_that_trains_nothing_is_refused(field: str) -> None:
    values: dict[str, Any] = {field: 0}
    with pytest.raises(InvalidInput, match=f"{field} must be positive, received 0"):
        TrainingPlan(**values)


def test_a_written_checkpoint_is_read_back_and_holds_no_optimizer(tmp_path: Path) -> None:
    data = images()
    model = edge_dwsep.build("mobilenet_v1", alpha=1 / 32, input_shape=(32, 32, 1), classes=3)
    card = write_checkpoint(model, PLAN, {"train": data, "test": data}, tmp_path / "out", command="made by a test")
    read = read_card(tmp_path / "out" / f"{card['name']}.card.json")
    assert read.card == card
    loaded = read.load()
    assert weights_sha256(loaded) == weights_sha256(model) == card["weights_sha256"]
    assert read.file.stat().st_size < 40 * model.count_params() + 200_000
    assert card["accuracy"]["count"] == 96
    read.file.write_bytes(read.file.read_bytes()[:-1])
    with pytest.raises(InvalidModel, match="is not the file its card describes"):
        read.load()


def test_the_checkpoint_in_the_package_is_what_its_card_says() -> None:
    assert NAME in checkpoint_names()
    found = checkpoint(NAME)
    assert found.file.stat().st_size == found.card["file"]["bytes"] < 2_000_000
    model = found.load()
    assert (model.count_params(), count_macs(model)) == (found.card["params"], found.card["macs"])
    assert weights_sha256(model) == found.card["weights_sha256"]


@pytest.mark.skipif(
    not fashion_mnist.DEBIAN_FOLDER.exists(), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_the_checkpoint_reaches_its_accuracy_on_all_test_images() -> None:
    found = checkpoint(NAME)
    test = fashion_mnist.load("test")
    assert test.sha256 == found.card["data"]["test"]["sha256"]
    assert fashion_mnist.load("train").sha256 == found.card["data"]["train"]["sha256"]
    model = found.load()
    inputs = found.preprocessing.apply(test.images)
    predicted = np.concatenate(
        [np.asarray(model(inputs[start : start + 500])).argmax(1) for start in range(0, 10_000, 500)]
    )
    accuracy = float(np.mean(predicted == test.labels))
    assert accuracy >= 0.91
    assert accuracy == pytest.approx(found.card["accuracy"]["top1"], abs=2e-4)
