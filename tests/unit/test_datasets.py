"""Data sets: IDX files, samples, and users' .npz files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.errors import UnknownName
from edge_dwsep.datasets import fashion_mnist
from edge_dwsep.datasets.evaluation import EvaluationSet, open_evaluation
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.datasets.sample import CALIBRATION, EVALUATION, draw, load_sample, save_npz
from edge_dwsep.datasets.sources import open_data
from edge_dwsep.errors import InvalidData

needs_fashion_mnist = pytest.mark.skipif(
    not fashion_mnist.DEBIAN_FOLDER.exists(), reason="Debian's package dataset-fashion-mnist is not installed"
)


def idx(shape: tuple[int, ...], content: bytes, magic: bytes = b"\x00\x00\x08") -> bytes:
    return gzip.compress(magic + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content)


def test_idx_is_read_in_its_shape(tmp_path: Path) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(idx((2, 3), bytes(range(6))))
    assert fashion_mnist.read_idx(file).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"plain text", "cannot be read as a gzipped IDX file"),
        (idx((2, 3), bytes(6))[:-9], "cannot be read as a gzipped IDX file"),
        (idx((2, 3), bytes(5)), "is truncated"),
        (idx((2, 3), bytes(6), b"\x00\x00\x0d"), "not an IDX file of unsigned bytes"),
        (gzip.compress(b"\x00\x00\x08\x03\x00"), "is truncated"),
    ],
)
def test_bad_idx_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "x.gz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidData, match=said):
        fashion_mnist.read_idx(file)


@needs_fashion_mnist
def test_fashion_mnist_is_whole() -> None:
    train, test = fashion_mnist.load("train"), fashion_mnist.load("test")
    assert (train.images.shape, test.images.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10


@needs_fashion_mnist
@pytest.mark.parametrize(("name", "split", "a_class"), [(EVALUATION, "test", 200), (CALIBRATION, "train", 20)])
def test_the_samples_in_the_package_are_drawn_from_their_splits(name: str, split: str, a_class: int) -> None:
    sample = load_sample(name)
    assert np.bincount(sample.labels).tolist() == [a_class] * 10
    assert sample.sha256 == draw(name, fashion_mnist.load(split)).sha256


def labelled(count: int, classes: int = 2) -> LabelledImages:
    rng = np.random.default_rng(0)
    return LabelledImages("x", rng.integers(0, 256, (count, 4, 4, 1), np.uint8), np.arange(count) % classes)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, np.int64), "must be uint8"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), "must be uint8"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64), "one an image"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2), "must be integers"),
        (np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, np.int64), "is empty"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(images: Any, labels: Any, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        LabelledImages("x", images, labels)


def test_a_stratified_sample_has_equal_parts_and_no_image_twice() -> None:
    chosen = labelled(100, 3).stratified(20, seed=1)
    assert np.bincount(chosen % 3).tolist() == [7, 7, 6]
    assert len(set(chosen.tolist())) == 20


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(InvalidData, match="class 0 of 'x' has 2 images, 5 are needed"):
        labelled(4).stratified(10, seed=0)


def test_a_users_file_is_parted_for_calibration_and_evaluation(tmp_path: Path) -> None:
    whole = labelled(30)
    save_npz(whole, tmp_path / "mine.npz")
    source = open_data(str(tmp_path / "mine.npz"))
    assert (len(source.calibration), len(source.evaluation)) == (15, 15)
    together = np.concatenate([source.calibration.images, source.evaluation.images])
    assert {image.tobytes() for image in together} == {image.tobytes() for image in whole.images}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.zeros((3, 4, 4, 1), np.uint8)}, "lacks an array.*'images' and 'labels'"),
        ({"images": np.zeros((1, 4, 4, 1), np.uint8), "labels": np.zeros(1, np.int64)}, "at least 2 are needed"),
        ({"images": np.zeros((3, 4, 4, 1)), "labels": np.zeros(3, np.int64)}, "must be uint8"),
        (
            {"images": np.zeros((3, 4, 4, 1), np.uint8), "labels": np.array([0.9, 1.9, 2.9])},
            "must be integers",
        ),
        (
            {"images": np.zeros((3, 4, 4, 1), np.uint8), "labels": np.array(["a", "b", "c"])},
            "must be integers",
        ),
        ({"images": np.zeros((3, 4, 4, 1), np.uint8), "labels": np.zeros(3, np.bool_)}, "must be integers"),
    ],
)
def test_a_users_file_that_cannot_serve_is_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InvalidData, match=said):
        open_data(str(tmp_path / "mine.npz"))


def test_a_damaged_or_absent_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(InvalidData, match=r"cannot be read as an \.npz file"):
        open_data(str(tmp_path / "mine.npz"))
    with pytest.raises(InvalidData, match="does not exist"):
        open_data(str(tmp_path / "other.npz"))


def test_an_unknown_data_set_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'fashion-mnist'"):
        open_data("fashion_mnist")


class TestEvaluationSets:
    def test_labelled_images_keep_their_hash(self) -> None:
        images = load_sample(EVALUATION)
        opened = open_evaluation("fashion-mnist-sample")
        assert opened.sha256 == images.sha256
        assert (opened.name, len(opened), opened.class_names) == (images.name, 2000, images.class_names)
        assert opened.holds_images

    def test_images_without_labels_are_taken_whole(self, tmp_path: Path) -> None:
        images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
        np.savez(tmp_path / "mine.npz", images=images)
        opened = open_evaluation(str(tmp_path / "mine.npz"))
        assert opened.labels is None
        assert np.array_equal(opened.inputs, images[..., np.newaxis])
        assert opened.sha256 == hashlib.sha256(images.tobytes()).hexdigest()

    def test_other_inputs_are_taken_as_float32(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "mine.npz", inputs=np.ones((3, 7)), labels=np.array([0, 1, 1], np.int8))
        opened = open_evaluation(str(tmp_path / "mine.npz"))
        assert (opened.inputs.dtype.name, opened.inputs.shape, opened.holds_images) == ("float32", (3, 7), False)
        assert opened.labels is not None
        assert opened.labels.dtype == np.int64

    def test_labelled_images_of_a_file_are_those_not_kept_for_calibration(self, tmp_path: Path) -> None:
        images = np.zeros((10, 2, 2, 1), np.uint8)
        np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(10))
        assert len(open_evaluation(str(tmp_path / "mine.npz"))) == 5

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"labels": np.zeros(3, np.int64)}, r"must hold either 'images' \(uint8\) or 'inputs'.*it holds labels"),
            ({"images": np.zeros((2, 2, 2), np.uint8), "inputs": np.zeros((2, 2))}, "it holds images, inputs"),
            ({"images": np.zeros((2, 2, 2), np.int64)}, "images of 'mine' must be uint8"),
            ({"inputs": np.zeros((2, 2), np.int64)}, "images of 'mine' must be uint8"),
            ({"inputs": np.array([[1.0, np.nan]])}, "hold values that are not finite numbers"),
            ({"inputs": np.zeros((0, 3))}, "data set 'mine' is empty"),
            (
                {"inputs": np.zeros((2, 3)), "labels": np.zeros(3, np.int64)},
                r"labels of 'mine' must be integers \(2,\)",
            ),
            ({"inputs": np.zeros((2, 3)), "labels": np.zeros(2)}, r"labels of 'mine' must be integers \(2,\)"),
        ],
    )
    def test_files_that_cannot_be_used_are_refused(self, tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
        np.savez(tmp_path / "mine.npz", **arrays)
        with pytest.raises(InvalidData, match=said):
            open_evaluation(str(tmp_path / "mine.npz"))

    def test_a_set_without_labels_has_another_hash_than_one_with(self) -> None:
        inputs = np.ones((2, 3), np.float32)
        assert EvaluationSet("a", inputs).sha256 != EvaluationSet("a", inputs, np.array([0, 1])).sha256
