"""What is fed to a model: bit by bit what preprocessing and quantization say, whichever way it is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.model_input import BLOCK, ModelInput
from dwsep_runtime.preprocessing import Preprocessing

SCALES: list[tuple[tuple[float, ...], tuple[float, ...]]] = [
    ((1 / 127.5,), (-1.0,)),
    ((-0.1,), (0.0,)),
    ((1 / 58.395, 1 / 57.12, 1 / 57.375), (-2.1179, -2.0357, -1.8044)),
    ((0.017,), (-1.0, 0.0, 1.0)),
    ((0.5, 0.5, 0.5), (3.0,)),
]
STORED = [
    ("float32", 0.0, 0),
    ("float16", 0.0, 0),
    ("float64", 0.0, 0),
    ("int8", 0.0078, -3),
    ("uint8", 1 / 127.5, 128),
    ("int8", 2.0, 100),
    ("int16", 0.001, 0),
    ("int32", 0.0, 0),
]


def written(tensor: Tensor, preprocessing: Preprocessing, images: Any) -> Any:
    model_input = ModelInput(tensor, preprocessing, images)
    memory = model_input.allocate(len(images))
    model_input.write(images, memory)
    return memory


@pytest.mark.parametrize("resize", ["none", "pad"])
@pytest.mark.parametrize(("scale", "offset"), SCALES)
@pytest.mark.parametrize(("dtype", "quantum", "zero_point"), STORED)
def test_written_values_are_those_of_apply_and_quantize(
    dtype: str, quantum: float, zero_point: int, scale: tuple[float, ...], offset: tuple[float, ...], resize: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7, 3), np.uint8)
    images[0, 0, :2], images[0, 1, :2] = 0, 255
    side = (12, 8) if resize == "pad" else (9, 7)
    tensor = Tensor("x", (1, *side, 3), dtype, quantum, zero_point)
    preprocessing = Preprocessing(resize=resize, scale=scale, offset=offset)
    expected = tensor.quantize(preprocessing.for_input(tensor.shape).apply(images))
    found = written(tensor, preprocessing, images)
    assert found.dtype == dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_value_of_images_larger_than_a_block_is_written(dtype: str, channels: int) -> None:
    side = int(np.sqrt(BLOCK)) + 8
    images = np.arange(2 * side * side * channels).astype(np.uint8).reshape(2, side, side, channels)
    tensor = Tensor("x", (1, side, side, channels), dtype, 0.0 if dtype == "float32" else 0.0078, -1)
    preprocessing = Preprocessing(scale=(1 / 127.5,), offset=(-1.0,))
    assert written(tensor, preprocessing, images).tobytes() == tensor.quantize(preprocessing.apply(images)).tobytes()


def test_memory_that_is_used_again_keeps_its_black_frame() -> None:
    tensor = Tensor("x", (1, 4, 4, 1), "float32")
    model_input = ModelInput(tensor, Preprocessing(resize="pad", offset=(5.0,)), np.zeros((2, 1, 2, 1), np.uint8))
    memory = model_input.allocate(2)
    for value in (7, 9):
        model_input.write(np.full((2, 1, 2, 1), value, np.uint8), memory)
    assert memory[1, :, :, 0].tolist() == [[5] * 4, [5, 14, 14, 5], [5] * 4, [5] * 4]


def test_an_unscaled_integer_input_takes_pixels_that_it_can_hold() -> None:
    tensor = Tensor("x", (1, 2, 2, 1), "int8")
    small = np.array([0, 1, 2, 127], np.uint8).reshape(1, 2, 2, 1)
    assert written(tensor, Preprocessing(), small).ravel().tolist() == [0, 1, 2, 127]
    with pytest.raises(InvalidInput, match=r"is int8 without a scale and takes -128..127, received 1..128"):
        written(tensor, Preprocessing(), small + np.uint8(1))


@pytest.mark.parametrize(("dtype", "quantum", "expected"), [("float32", 0.0, [0.5, -2.0]), ("int8", 0.5, [1, -4])])
def test_inputs_that_are_no_images_are_only_quantized(dtype: str, quantum: float, expected: list[float]) -> None:
    data = np.array([[0.5, -2.0]], np.float32)
    assert written(Tensor("x", (1, 2), dtype, quantum), Preprocessing(scale=(9.0,)), data).tolist() == [expected]


@pytest.mark.parametrize(
    ("shape", "data", "said"),
    [
        ((1, 4, 4, 1), np.zeros((1, 4, 4), np.uint8), "images must be uint8"),
        ((1, 4, 4, 1), np.zeros((1, 4, 4, 1), np.int64), "images must be uint8"),
        (
            (1, 4, 4, 1),
            np.zeros((1, 4, 4, 3), np.uint8),
            r"images are \(4, 4, 3\) after preprocessing \(resize: none\)",
        ),
        ((1, 16), np.zeros((1, 4, 4, 1), np.uint8), r"but the model's input is \(16,\)"),
        ((1, 16), np.zeros((1, 15), np.float32), r"inputs are \(15,\), but the model's input is \(16,\)"),
    ],
)
def test_data_that_do_not_fit_are_refused(shape: tuple[int, ...], data: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        ModelInput(Tensor("x", shape, "float32"), Preprocessing(), data)


def test_open_dimensions_take_any_size() -> None:
    images = np.ones((1, 5, 6, 3), np.uint8)
    assert written(Tensor("x", (-1, -1, -1, 3), "float32"), Preprocessing(), images).shape == (1, 5, 6, 3)
