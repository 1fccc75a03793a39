"""Class by class, and in words: what the terminal says of accuracy."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dwsep_runtime.arrays import encode_array
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.shares import wilson_interval
from edge_dwsep.accuracy_table import print_accuracy, print_classes, print_confusion, verdict
from edge_dwsep.datasets.evaluation import EvaluationSet
from edge_dwsep.measured_accuracy import Predictions, _agreement, accuracy_record, golden_record
from edge_dwsep.per_class import confusion_matrix, largest_confusions, per_class

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 1, -1, 1], np.int32)
DATA = EvaluationSet("d", np.zeros((6, 1), np.float32), LABELS)


def measured(predictions: Any = PREDICTIONS, classes: int = 4) -> dict[str, Any]:
    return {
        "count": 6,
        "classes": classes,
        "top1_correct": int((predictions == LABELS).sum()),
        "top5_correct": 6,
        "predictions": encode_array(predictions),
        "loop_overhead_ns": 3000.0,
        "preprocessing_ns": 1000.0,
        "counting_ns": 1000.0,
        "engine_ns": 50_000.0,
    }


def shown(print_it: Any, *values: Any) -> list[str]:
    screen = Console(file=io.StringIO(), width=200)
    print_it(screen, *values)
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return [" ".join(line.split()) for line in text.splitlines()]


HERE = [{"name": "local"}]


def run(**more: Any) -> dict[str, Any]:
    return {
        "device": "local",
        "variant": "tflite-w8a8",
        "engine": "litert",
        "file_bytes": 314_168,
        "status": "ok",
        "error": None,
        "accuracy": accuracy_record(measured(), DATA, ("cat", "dog", "cow", "hen")),
        "agreement": None,
        "warnings": [],
        **more,
    }


def test_recall_and_precision_are_counted_class_by_class() -> None:
    rows = per_class(LABELS, PREDICTIONS, 4, ("cat", "dog"))
    table = [[row[key] for key in ("label", "name", "count", "correct", "predicted")] for row in rows]
    assert table == [[0, "cat", 3, 2, 2], [1, "dog", 2, 1, 3], [2, "2", 1, 0, 0], [3, "3", 0, 0, 0]]
    assert [row["recall"] for row in rows] == [2 / 3, 1 / 2, 0.0, None]
    assert [row["precision"] for row in rows] == [1.0, 1 / 3, None, None]
    assert [row["recall_interval"] for row in rows] == [
        wilson_interval(2, 3),
        wilson_interval(1, 2),
        wilson_interval(0, 1),
        None,
    ]


def test_the_confusion_matrix_has_rows_of_true_classes() -> None:
    matrix = confusion_matrix(LABELS, PREDICTIONS, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert matrix.dtype == np.int64


def test_the_largest_confusions_come_first() -> None:
    assert largest_confusions([[5, 1, 0], [4, 3, 3], [0, 0, 9]], 2) == [(1, 0, 4, 0.4), (1, 2, 3, 0.3)]
    assert largest_confusions([[5, 0], [0, 3]], 2) == []


@pytest.mark.parametrize(
    ("predictions", "b", "c", "said"),
    [
        ([0, 0, 0, 1, 1, 2], 0, 0, "no difference shown"),
        ([1, 1, 1, 0, 0, 0], 6, 0, "worse"),
        ([1, 0, 0, 1, 1, 2], 1, 0, "no difference shown"),
    ],
)
def test_predictions_are_compared_with_the_references(predictions: list[int], b: int, c: int, said: str) -> None:
    compared = _agreement(measured(np.array(predictions, np.int32)), DATA, Predictions("keras", LABELS))
    assert compared["top1"] == sum(np.array(predictions) == LABELS) / 6
    assert [compared["mcnemar"][key] for key in ("b", "c", "verdict")] == [b, c, said]
    assert compared["mcnemar"]["p"] == min(1.0, 2 / 2**b)


def test_a_model_that_is_right_where_the_reference_is_not_is_better() -> None:
    compared = _agreement(measured(LABELS.astype(np.int32)), DATA, Predictions("keras", 3 - LABELS))
    assert compared["mcnemar"] == {"b": 0, "c": 6, "p": 2 / 64, "verdict": "better"}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            Predictions("keras", LABELS, 10),
            "the model has 4 classes and reference keras 10: give a reference of the same",
        ),
        (Predictions("keras", LABELS[:5]), "reference keras has 5 predictions for 6 images"),
    ],
)
def test_a_reference_that_cannot_be_compared_is_refused(reference: Predictions, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        _agreement(measured(), DATA, reference)


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.34, "no difference shown (p = 0.34)"),
        (1.0, "no difference shown (p = 1)"),
        (0.0123, "no difference shown (p = 0.012)"),
        (0.0004, "no difference shown (p < 0.001)"),
    ],
)
def test_the_verdict_in_words(p: float, said: str) -> None:
    assert verdict({"b": 1, "c": 2, "p": p, "verdict": "no difference shown"}) == said
    assert verdict(None) == ""


@pytest.mark.parametrize(("difference", "doubts"), [(None, 0), (0.05, 0), (0.25, 1)])
def test_a_large_difference_of_golden_outputs_is_a_warning(difference: float | None, doubts: int) -> None:
    record = golden_record({"golden": {"preprocessing": "equal", "max_difference": difference, "values": [[1.0]]}})
    assert record["golden"] == {"preprocessing": "equal", "max_difference": difference}
    assert len(record["doubts"]) == doubts
    if doubts:
        assert "differ by up to 25 % of their range" in record["doubts"][0]


def test_the_table_of_runs_leaves_out_what_no_run_has() -> None:
    agreement = {"top1": 0.986, "mcnemar": {"p": 0.85, "verdict": "no difference shown"}}
    runs = [run(variant="tflite-float32", is_reference=True), run(agreement=agreement)]
    lines = shown(
        print_accuracy,
        {"devices": HERE, "runs": runs, "reference": {"name": "tflite-float32 on litert"}},
    )
    assert lines == [
        "variant engine size top-1 [95 %] top-5 agrees with reference against reference",
        "tflite-float32 litert 314 kB 50.0 % [18.8, 81.2] 100.0 % reference",
        "tflite-w8a8 litert 314 kB 50.0 % [18.8, 81.2] 100.0 % 98.6 % no difference shown (p = 0.85)",
        "reference: tflite-float32 on litert",
    ]
    assert (
        shown(print_accuracy, {"devices": HERE, "runs": [run()], "reference": None})[0]
        == "variant engine size top-1 [95 %] top-5"
    )


def test_several_devices_are_named_and_emulated_ones_marked() -> None:
    devices = [{"name": "local"}, {"name": "lab-pi4", "emulated": True}]
    lines = shown(print_accuracy, {"devices": devices, "runs": [run(), run(device="lab-pi4")], "reference": None})
    assert lines == [
        "device variant engine size top-1 [95 %] top-5",
        "local tflite-w8a8 litert 314 kB 50.0 % [18.8, 81.2] 100.0 %",
        "lab-pi4 (emulated) tflite-w8a8 litert 314 kB 50.0 % [18.8, 81.2] 100.0 %",
    ]


def test_a_failed_run_says_why() -> None:
    failed = run(accuracy=None, status="failed", error="no memory")
    assert (
        shown(print_accuracy, {"devices": HERE, "runs": [failed]})[1] == "tflite-w8a8 litert 314 kB failed: no memory"
    )


def test_outputs_compared_by_number_have_a_table_of_their_own() -> None:
    output = {"name": "boxes", "max_abs": 0.25, "max_relative": 0.025, "rms": 0.01, "rms_relative": 0.0004}
    outputs = [{**output, "cosine": 0.9999912, "within": 0.9987}, {**output, "cosine": None, "within": 1.0}]
    compared = run(accuracy=None, numeric_agreement={"tolerance": 0.01, "outputs": outputs})
    lines = shown(print_accuracy, {"devices": HERE, "runs": [compared], "reference": {"name": "r"}})
    assert lines[3:] == [
        "variant engine output largest difference of range rms of range cosine within 1.0 %",
        "tflite-w8a8 litert boxes 0.25 2.5 % 0.01 0.04 % 0.999991 99.9 %",
        "tflite-w8a8 litert boxes 0.25 2.5 % 0.01 0.04 % 100.0 %",
        "reference: r",
    ]


def test_classes_are_listed_with_their_names() -> None:
    assert shown(print_classes, run())[2:] == [
        "class images correct recall [95 %] precision",
        "0 cat 3 2 66.7 % [20.8, 93.9] 100.0 %",
        "1 dog 2 1 50.0 % [9.5, 90.5] 33.3 %",
        "2 cow 1 0 0.0 % [0.0, 79.3]",
        "3 hen 0 0",
    ]


def test_few_classes_show_the_whole_matrix() -> None:
    assert shown(print_confusion, run())[2:] == [
        "true \\ predicted 0 1 2 3",
        "0 cat 2 1 . .",
        "1 dog . 1 . .",
        "2 cow . 1 . .",
        "3 hen . . . .",
    ]


def test_many_classes_show_the_largest_confusions() -> None:
    many = run(accuracy=accuracy_record(measured(classes=20), DATA, ()))
    assert shown(print_confusion, many)[2:] == [
        "class taken for images of the class",
        "0 1 1 33.3 %",
        "2 1 1 100.0 %",
    ]
