"""Outputs kept and compared number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.accuracy_scenarios import Agreement, KeptOutput, Predict
from dwsep_runtime.agreement import agreement, match_outputs, predict
from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import EngineError, InvalidInput
from tests.function_engine import FunctionEngine

ROWS = np.array([[0, 1, 2], [3, 4, 10]], np.float32)


def engine(*functions: Any, names: tuple[str, ...] = ("y",)) -> FunctionEngine:
    return FunctionEngine(
        lambda fed: [np.asarray(function(fed), np.float32) for function in functions], (1, 3), names=names
    )


def kept(tmp_path: Path, reference: FunctionEngine, rows: Any = ROWS) -> tuple[str, tuple[KeptOutput, ...]]:
    np.save(tmp_path / "rows.npy", rows)
    measured = predict(reference, Predict(str(tmp_path / "rows.npy"), str(tmp_path / "kept" / "out.npy")))
    return str(tmp_path / "rows.npy"), tuple(KeptOutput.from_json(values) for values in measured["kept"])


def compared(tmp_path: Path, own: FunctionEngine, reference: FunctionEngine, **more: Any) -> list[dict[str, Any]]:
    rows, outputs = kept(tmp_path, reference)
    measured: list[dict[str, Any]] = agreement(own, Agreement(rows, outputs, **more))["outputs"]
    return measured


def same(fed: Any) -> Any:
    return fed


def test_every_output_is_kept_with_its_range(tmp_path: Path) -> None:
    _, outputs = kept(tmp_path, engine(same, lambda fed: fed.sum(keepdims=True), names=("a", "b")))
    assert [(output.name, output.shape, output.minimum, output.maximum) for output in outputs] == [
        ("a", (3,), 0.0, 10.0),
        ("b", (1,), 3.0, 17.0),
    ]
    assert [np.load(output.path).tolist() for output in outputs] == [ROWS.tolist(), [[3.0], [17.0]]]
    assert [Path(output.path).name for output in outputs] == ["out.npy", "out-1.npy"]


def test_figures_are_those_of_their_definitions(tmp_path: Path) -> None:
    def off(fed: Any) -> Any:
        return fed + np.array([[0.0, 0.1, -0.5]], np.float32)

    (found,) = compared(tmp_path, engine(off), engine(same), tolerance=0.02)
    own = ROWS + np.array([[0.0, 0.1, -0.5]], np.float32)
    assert found["span"] == 10.0
    assert found["max_abs"] == pytest.approx(0.5)
    assert found["max_relative"] == pytest.approx(0.05)
    assert found["rms"] == pytest.approx(np.sqrt((2 * 0.1**2 + 2 * 0.5**2) / 6), rel=1e-5)
    assert found["rms_relative"] == pytest.approx(found["rms"] / 10)
    cosine = (own * ROWS).sum() / np.sqrt((own**2).sum() * (ROWS**2).sum())
    assert found["cosine"] == pytest.approx(cosine, rel=1e-6)
    assert found["within"] == pytest.approx(4 / 6)


def test_the_same_model_agrees_wholly(tmp_path: Path) -> None:
    (found,) = compared(tmp_path, engine(same), engine(same), tolerance=0.0)
    assert (found["max_abs"], found["rms"], found["within"]) == (0.0, 0.0, 1.0)
    assert found["cosine"] == pytest.approx(1.0)


@pytest.mark.parametrize(("constant", "span"), [(4.0, 4.0), (-4.0, 4.0), (0.0, 1.0)])
def test_a_constant_reference_has_a_span_of_its_magnitude(tmp_path: Path, constant: float, span: float) -> None:
    (found,) = compared(tmp_path, engine(lambda fed: fed * 0 + constant + 0.5), engine(lambda fed: fed * 0 + constant))
    assert found["span"] == span
    assert found["max_relative"] == pytest.approx(0.5 / span)
    assert (found["cosine"] is None) == (constant == 0.0)


def test_outputs_in_another_order_are_matched_by_shape(tmp_path: Path) -> None:
    total = lambda fed: fed.sum(keepdims=True)  # noqa: E731
    found = compared(
        tmp_path,
        engine(total, same, names=("p", "q")),
        engine(lambda fed: fed[:, :, None, None], total, names=("a", "b")),
    )
    assert [(item["name"], item["own_name"], item["matched_by"], item["max_abs"]) for item in found] == [
        ("a", "q", "shape", 0.0),
        ("b", "p", "shape", 0.0),
    ]


KEPT = KeptOutput("", (), "", 0.0, 1.0)


@pytest.mark.parametrize(
    ("names", "shapes", "reference", "expected"),
    [
        (["a", "b"], [(3,), (4,)], [("x", (4,)), ("y", (3,))], [(1, "shape"), (0, "shape")]),
        (["a", "b"], [(1, 1, 3), (4,)], [("x", (3, 1)), ("y", (4,))], [(0, "shape"), (1, "shape")]),
        (["b", "a"], [(3,), (3,)], [("a:0", (3,)), ("b:0", (3,))], [(1, "name"), (0, "name")]),
        (["u", "v"], [(3,), (3,)], [("a", (3,)), ("b", (3,))], [(0, "position"), (1, "position")]),
        (
            ["u", "one", "v"],
            [(3,), (1,), (3,)],
            [("one", (1,)), ("a", (3,)), ("b", (3,))],
            [(1, "shape"), (0, "position"), (2, "position")],
        ),
        (["a", "a"], [(3,), (3,)], [("a", (3,)), ("a", (3,))], [(0, "position"), (1, "position")]),
    ],
)
def test_matching(names: list[str], shapes: Any, reference: Any, expected: list[tuple[int, str]]) -> None:
    outputs = [KeptOutput(name, shape, "", 0.0, 1.0) for name, shape in reference]
    assert match_outputs(names, shapes, outputs) == expected


@pytest.mark.parametrize(
    ("shapes", "reference"), [([(3,)], [(4,)]), ([(3,), (3,)], [(3,)]), ([(2, 3)], [(3, 2)]), ([(6,)], [(2, 3)])]
)
def test_outputs_that_cannot_be_matched_are_refused_in_one_line(shapes: Any, reference: Any) -> None:
    outputs = [KeptOutput("theirs", shape, "", 0.0, 1.0) for shape in reference]
    with pytest.raises(
        InvalidInput, match=r"outputs cannot be matched: the model's are own .*reference's theirs"
    ) as caught:
        match_outputs(["own"] * len(shapes), shapes, outputs)
    assert "\n" not in str(caught.value)


def test_quantized_outputs_are_compared_as_real_numbers(tmp_path: Path) -> None:
    quantized = FunctionEngine(
        lambda fed: [(fed * 2 + 3).astype(np.int8)], (1, 3), output=Tensor("y", (1, 3), "int8", 0.5, 3)
    )
    (found,) = compared(tmp_path, quantized, engine(same))
    assert found["max_abs"] == 0.0


def broken(fed: Any) -> Any:
    return fed / (fed.max() - 10)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_outputs_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    rows, outputs = kept(tmp_path, engine(same))
    with pytest.raises(
        EngineError, match="values of output 'y' for image 1 are not finite numbers; they agree with no"
    ):
        agreement(engine(broken), Agreement(rows, outputs))
    with pytest.raises(EngineError, match="values of output 'y' for image 1 are not finite numbers; nothing can be"):
        kept(tmp_path, engine(broken))


LATE = 700
"""An image of a later chunk, of which there are 256 images at most."""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_in_a_later_chunk_is_found(tmp_path: Path, value: float) -> None:
    rows = np.full((LATE + 50, 3), -1.0, np.float32)
    rows[:, 0] = np.arange(len(rows))

    def failing(fed: Any) -> Any:
        return np.where(fed == LATE, value, fed)

    with pytest.raises(EngineError, match=f"values of output 'b' for image {LATE} are not finite numbers; nothing"):
        kept(tmp_path, engine(same, failing, names=("a", "b")), rows)
    images, outputs = kept(tmp_path, engine(same), rows)
    with pytest.raises(EngineError, match=f"values of output 'own' for image {LATE} are not finite numbers; they"):
        agreement(engine(failing, names=("own",)), Agreement(images, outputs))
    altered = np.load(outputs[0].path, mmap_mode="r+")
    altered[LATE, 1] = value
    altered.flush()
    with pytest.raises(EngineError, match=f"reference's output 'y' for image {LATE} are not finite numbers; nothing"):
        agreement(engine(same), Agreement(images, outputs))


@pytest.mark.parametrize("bound", [None, float("nan"), float("inf"), "1", True])
def test_bounds_of_a_reference_that_are_no_finite_numbers_are_refused(bound: Any) -> None:
    with pytest.raises(InvalidInput, match="the bounds of kept output 'y' must be finite numbers, received"):
        KeptOutput.from_json({**KEPT.to_json(), "name": "y", "maximum": bound})


def test_a_reference_of_other_images_is_refused(tmp_path: Path) -> None:
    _, outputs = kept(tmp_path, engine(same))
    np.save(tmp_path / "more.npy", np.zeros((5, 3), np.float32))
    with pytest.raises(InvalidInput, match="output 'y' is of 2 images, 5 are compared"):
        agreement(engine(same), Agreement(str(tmp_path / "more.npy"), outputs))


@pytest.mark.parametrize("tolerance", [-0.1, 1.5, float("nan")])
def test_a_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(InvalidInput, match="tolerance must be between 0 and 1"):
        Agreement("x.npy", (KEPT,), tolerance=tolerance)
