"""Recipes by name, and manifests bound to their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dwsep_export import RECIPES, Format, InvalidRecipe, Io, Manifest, Recipe, Scheme, StaleArtifact, open_artifact
from dwsep_export.manifest import manifest_path
from dwsep_export.output import json_text, write_text
from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.model_file import sha256_of
from tests.small_models import small_tflite

GOLDEN = Path(__file__).with_name("golden_manifest.json")
GOLDEN_1 = Path(__file__).with_name("golden_manifest_1.json")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_is_found_by_its_name(recipe: Recipe) -> None:
    assert Recipe.parse(recipe.name) == recipe


@pytest.mark.parametrize(
    ("text", "io", "expected"),
    [
        ("tflite-int8", "float32", Recipe(Format.TFLITE, Scheme.W8A8)),
        ("onnx-fp32", "float32", Recipe(Format.ONNX, Scheme.FLOAT32)),
        ("tflite-w8a8", "uint8", Recipe(Format.TFLITE, Scheme.W8A8, Io.UINT8)),
    ],
)
def test_aliases_and_io(text: str, io: str, expected: Recipe) -> None:
    assert Recipe.parse(text, io) == expected


@pytest.mark.parametrize(
    ("text", "io", "error", "said"),
    [
        ("tflite-w8a9", "float32", UnknownName, "did you mean 'tflite-w8a8'"),
        ("tflit-w8a8", "float32", UnknownName, "did you mean 'tflite-w8a8'"),
        ("w8a8", "float32", UnknownName, "unknown recipe 'w8a8'"),
        ("onnx-float16", "float32", InvalidRecipe, "onnx does not carry float16; it carries float32, w8a8"),
        ("onnx-w8a8", "int8", InvalidRecipe, "io int8 goes with tflite-w8a8 alone"),
        ("tflite-w8a8", "int4", UnknownName, "did you mean 'int8'"),
    ],
)
def test_wrong_recipes_are_refused(text: str, io: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Recipe.parse(text, io)


def golden() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(GOLDEN.read_text())
    return values


def test_the_golden_manifest_is_read_and_written_unchanged() -> None:
    assert json_text(Manifest.from_json(golden()).to_json()) == GOLDEN.read_text()


def test_a_manifest_of_version_1_is_read_as_one_without_golden_images() -> None:
    old = Manifest.from_json(json.loads(GOLDEN_1.read_text()))
    new = Manifest.from_json(golden())
    assert old.golden is None
    assert new.golden is not None
    assert old == replace(new, golden=None)
    assert Manifest.from_json(old.to_json()) == old


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 99}, "schema_version 99; this version reads 1 to 2"),
        ({"golden": {"image_shape": [1, 1, 1]}}, "golden lacks 'prepared_sha256'"),
        ({"recipes": {}}, "unknown manifest key 'recipes': did you mean 'recipe'"),
        ({"parity": {"data": "x"}}, "parity in manifest"),
    ],
)
def test_a_manifest_of_another_form_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Manifest.from_json({**golden(), **change})


def test_a_manifest_that_lacks_a_key_is_refused() -> None:
    values = golden()
    del values["inputs"]
    with pytest.raises(InvalidInput, match="lacks 'inputs'"):
        Manifest.from_json(values)


def artifact(folder: Path) -> Path:
    file = folder / "m.tflite"
    file.write_bytes(small_tflite())
    values = golden()
    values["file"] = {"name": file.name, "sha256": sha256_of(file), "bytes": file.stat().st_size}
    manifest_path(file).write_text(json_text(values))
    return file


def test_an_artifact_opens_with_the_manifest_beside_it(tmp_path: Path) -> None:
    opened = open_artifact(artifact(tmp_path))
    assert opened.manifest is not None
    assert (opened.variant, opened.scheme, opened.format) == ("tflite-w8a8", "w8a8", "tflite")
    assert opened.manifest_sha256 == sha256_of(manifest_path(opened.file))


def test_a_file_changed_after_its_manifest_was_written_is_stale(tmp_path: Path) -> None:
    file = artifact(tmp_path)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        StaleArtifact, match=r"m\.tflite is not the file that m\.tflite\.manifest\.json was written for"
    ):
        open_artifact(file)


def test_a_file_without_a_manifest_opens(tmp_path: Path) -> None:
    file = tmp_path / "theirs.tflite"
    file.write_bytes(small_tflite())
    opened = open_artifact(file)
    assert (opened.manifest, opened.variant, opened.scheme) == (None, "theirs", "unknown")


@pytest.mark.parametrize(
    "key", ["model", "recipe", "file", "inputs", "preprocessing", "parity", "golden", "calibration"]
)
@pytest.mark.parametrize("value", [5, "text", [3]])
def test_a_manifest_with_a_value_of_another_kind_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    file = artifact(tmp_path)
    values = json.loads(manifest_path(file).read_text())
    manifest_path(file).write_text(json.dumps({**values, key: value}))
    with pytest.raises(InvalidInput, match=r"m\.tflite\.manifest\.json: .*; export the model again"):
        open_artifact(file)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": 1}'])
def test_a_damaged_manifest_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = artifact(tmp_path)
    manifest_path(file).write_text(content)
    with pytest.raises(InvalidInput) as caught:
        open_artifact(file)
    assert "\n" not in str(caught.value)


def test_json_keeps_strings_as_they_are() -> None:
    tricky = {"name": "a [1, 2].tflite", "list": ["[1, 2]", "3\n[4, 5]"]}
    assert json.loads(json_text(tricky)) == tricky


def test_json_is_indented_but_keeps_numbers_on_one_line() -> None:
    assert (
        json_text({"a": [1, 2.5, -3e-7], "b": ["1", "2"]})
        == '{\n "a": [1,2.5,-3e-07],\n "b": [\n  "1",\n  "2"\n ]\n}\n'
    )


def test_a_text_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.json"
    write_text(target, "first")
    write_text(target, "second")
    assert target.read_text() == "second"
    assert [path.name for path in target.parent.iterdir()] == ["file.json"]
