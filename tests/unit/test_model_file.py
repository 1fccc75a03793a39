"""Model files told from their bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwsep_runtime.errors import InvalidModel
from dwsep_runtime.model_file import model_format
from tests.small_models import small_onnx, small_tflite


@pytest.mark.parametrize(("content", "suffix"), [(small_tflite, ".tflite"), (small_onnx, ".onnx")])
def test_a_whole_file_is_told_by_its_content(tmp_path: Path, content: object, suffix: str) -> None:
    file = tmp_path / f"m{suffix}"
    file.write_bytes(content())  # type: ignore[operator]
    assert model_format(file) == suffix[1:]


@pytest.mark.parametrize(("content", "suffix"), [(small_tflite, ".tflite"), (small_onnx, ".onnx")])
def test_every_truncation_that_loses_data_is_refused(tmp_path: Path, content: object, suffix: str) -> None:
    file = tmp_path / f"m{suffix}"
    whole = content()  # type: ignore[operator]
    # The last bytes of a flatbuffer may be padding; all else is needed.
    for length in range(1, len(whole) - 32):
        file.write_bytes(whole[:length])
        with pytest.raises(InvalidModel):
            model_format(file)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.tflite", None, "does not exist"),
        ("empty.onnx", b"", "is empty"),
        ("text.tflite", b"hello, I am a text", "is not a TFLite model: its first bytes are b'hello, I'"),
        ("model.bin", b"x", "give a .tflite or .onnx file"),
        ("renamed.onnx", "tflite", "holds a TFLite model although its name ends in .onnx; rename it to .tflite"),
        ("renamed.tflite", "onnx", "holds an ONNX model although its name ends in .tflite; rename it to .onnx"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes | str | None, said: str) -> None:
    file = tmp_path / name
    if content is not None:
        made = {"tflite": small_tflite, "onnx": small_onnx}
        file.write_bytes(made[content]() if isinstance(content, str) else content)
    with pytest.raises(InvalidModel, match=said) as caught:
        model_format(file)
    assert "\n" not in str(caught.value)


def test_a_number_without_end_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(b"\x08" + b"\xff" * 3_000_000)
    with pytest.raises(InvalidModel, match="is truncated or damaged"):
        model_format(file)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "folder.tflite"
    folder.mkdir()
    with pytest.raises(InvalidModel, match=r"give a \.tflite or \.onnx file"):
        model_format(folder)
