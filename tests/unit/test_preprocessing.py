"""Preprocessing: pixels to inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.preprocessing import Preprocessing


def test_scale_and_offset_are_applied_a_channel() -> None:
    images = np.full((1, 1, 1, 3), 100, np.uint8)
    applied = Preprocessing(scale=(1.0, 2.0, 0.5), offset=(0.0, -1.0, 1.0)).apply(images)
    assert applied.dtype == np.float32
    assert applied.ravel().tolist() == [100.0, 199.0, 51.0]


def test_padding_centres_and_is_black_before_scaling() -> None:
    images = np.full((1, 1, 2, 1), 255, np.uint8)
    padded = Preprocessing(resize="pad", height=2, width=5, scale=(1 / 127.5,), offset=(-1.0,)).apply(images)
    assert padded[0, :, :, 0].tolist() == [[-1, 1, 1, -1, -1], [-1, -1, -1, -1, -1]]


@given(height=st.integers(1, 9), width=st.integers(1, 9), down=st.integers(0, 5), right=st.integers(0, 5))
def test_padding_keeps_every_pixel(height: int, width: int, down: int, right: int) -> None:
    images = np.arange(1, height * width + 1, dtype=np.uint8).reshape(1, height, width, 1)
    padded = Preprocessing(resize="pad", height=height + down, width=width + right).pad(images)
    assert padded.shape == (1, height + down, width + right, 1)
    assert padded[padded > 0].tolist() == images.ravel().tolist()


def test_an_image_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(InvalidInput, match="28x28 are larger than the model's input 20x32"):
        Preprocessing(resize="pad", height=20, width=32).apply(np.zeros((1, 28, 28, 1), np.uint8))


def test_as_many_factors_as_neither_one_nor_channels_are_refused() -> None:
    with pytest.raises(InvalidInput, match="scale has 2 numbers, one or 3"):
        Preprocessing(scale=(1.0, 2.0)).apply(np.zeros((1, 2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resize": "bicubic"}, "preprocessing.resize must be one of none, pad"),
        ({"resize": "pad", "height": 0, "width": 3}, "both sides must be positive, or both 0"),
        ({"layout": "NCHW"}, "layout must be NHWC"),
        ({"scale": []}, "need one number"),
        ({"gamma": 2}, "unknown preprocessing key 'gamma'"),
    ],
)
def test_fields_out_of_range_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Preprocessing.from_json(fields)


def test_json_round_trip() -> None:
    original = Preprocessing(resize="pad", height=32, width=32, scale=(0.1, 0.2), offset=(-1.0,))
    assert Preprocessing.from_json(original.to_json()) == original
