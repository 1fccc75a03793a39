"""Golden images: what they are, and that preparing them otherwise is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import EngineError, InvalidInput, PreprocessingDrift, UnknownName
from dwsep_runtime.golden import Golden, check_golden, golden_images, golden_shape, prepared_sha256
from dwsep_runtime.preprocessing import Preprocessing
from tests.function_engine import FunctionEngine

SHAPE = (5, 7, 3)
PREPROCESSING = Preprocessing(resize="pad", height=8, width=8, scale=(1 / 127.5,), offset=(-1.0,))


def golden(preprocessing: Preprocessing = PREPROCESSING, **more: Any) -> Golden:
    return Golden(SHAPE, prepared_sha256(preprocessing.apply(golden_images(SHAPE))), **more)


def engine(function: Any = lambda fed: [fed.reshape(1, -1)], **more: Any) -> FunctionEngine:
    return FunctionEngine(function, (1, 8, 8, 3), **more)


def test_the_images_and_their_hash_never_change() -> None:
    images = golden_images(SHAPE)
    assert (images.shape, images.dtype.name) == ((2, *SHAPE), "uint8")
    assert [int(images[n, y, x, c]) for n, y, x, c in [(0, 0, 0, 0), (0, 4, 6, 2), (1, 2, 3, 1)]] == [0, 236, 213]
    assert prepared_sha256(images.astype(np.float32)).startswith("26e5d324c2aab0d2")


def test_images_that_are_padded_are_smaller_than_the_frame_and_off_its_middle() -> None:
    assert golden_shape(PREPROCESSING, (8, 8, 3)) == SHAPE
    assert golden_shape(PREPROCESSING, (2, 1, 3)) == (1, 1, 3)
    assert golden_shape(Preprocessing(), (8, 8, 3)) == (8, 8, 3)
    assert PREPROCESSING.frame(5, 7) == ((1, 2), (0, 1))


def test_the_same_preprocessing_is_equal_and_outputs_are_given() -> None:
    checked = check_golden(engine(), PREPROCESSING, golden())
    assert (checked["preprocessing"], checked["max_difference"]) == ("equal", None)
    prepared = PREPROCESSING.apply(golden_images(SHAPE)).reshape(2, -1)[:, :64]
    assert np.allclose(checked["values"], prepared, rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": (1 / 127.0,)},
        {"scale": (np.nextafter(1 / 127.5, 1, dtype=np.float32),)},
        {"offset": (-1.0, -1.0, -0.99)},
        {"resize": "none"},
        {"height": 9},
        {"height": 4, "width": 4},
        {"scale": (1.0, 1.0)},
    ],
    ids="-".join,
)
def test_a_changed_preprocessing_is_drift(change: dict[str, Any]) -> None:
    with pytest.raises(PreprocessingDrift) as caught:
        check_golden(engine(), replace(PREPROCESSING, **change), golden())
    assert "\n" not in str(caught.value)
    assert "export" in str(caught.value)


def test_a_difference_is_told_as_a_share_of_the_outputs_range() -> None:
    values = ((0.0, 10.0, 5.0), (0.0, 0.0, 0.0))
    outputs = iter([[0.0, 10.0, 5.5], [0.0, -2.0, 0.0]])
    checked = check_golden(
        engine(lambda fed: [np.array([next(outputs)], np.float32)]), PREPROCESSING, golden(values=values)
    )
    assert checked["max_difference"] == pytest.approx(0.2)


def test_integer_outputs_are_compared_as_real_numbers() -> None:
    quantized = engine(lambda fed: [np.array([[14]], np.int8)], output=Tensor("y", (1, 1), "int8", 0.5, 10))
    assert check_golden(quantized, PREPROCESSING, golden(values=((2.0,), (2.0,))))["max_difference"] == 0.0


def test_outputs_of_another_length_are_another_models() -> None:
    with pytest.raises(InvalidInput, match="has 64 values for a golden image, 3 at export"):
        check_golden(engine(), PREPROCESSING, golden(values=((1.0, 2.0, 3.0),) * 2))


def test_outputs_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(EngineError, match="output for golden image 0 is not a finite number"):
        check_golden(engine(lambda fed: [np.full((1, 2), np.nan, np.float32)]), PREPROCESSING, golden())


def test_json_round_trip() -> None:
    original = golden(values=((0.125, -3.0), (1e-7, 2.0)), engine="tflite 2.3.0")
    assert Golden.from_json(json.loads(json.dumps(original.to_json()))) == original


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"pattern": 2}, InvalidInput, "pattern 2 are unknown; this version makes 1"),
        ({"image_shape": [3, 3]}, InvalidInput, "golden has a value of the wrong kind"),
        ({"values": [["x"]]}, InvalidInput, "golden has a value of the wrong kind"),
        ({"shape": [3, 3, 1]}, UnknownName, "did you mean 'image_shape'"),
    ],
)
def test_another_form_is_refused(change: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Golden.from_json({**golden().to_json(), **change})
    with pytest.raises(InvalidInput, match="golden lacks 'prepared_sha256'"):
        Golden.from_json({"image_shape": [1, 1, 1]})
