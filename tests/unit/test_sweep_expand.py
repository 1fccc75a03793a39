"""From a plan to its runs: which there are, in which order, what is left out and why, and how long they take."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwsep_devices import environments
from dwsep_export.recipe import RECIPES
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import InvalidInput
from edge_dwsep.datasets.names import DataShape, is_known_set, shape_of_data
from edge_dwsep.datasets.sources import SOURCES, open_data
from edge_dwsep.models.registry import ARCHITECTURES
from edge_dwsep.sweep.estimate import estimate, expected_steps, seconds_of
from edge_dwsep.sweep.expand import Expansion, expand
from edge_dwsep.sweep.plan import MeasurePlan, SearchPlan, SweepPlan
from edge_dwsep.sweep.show import MOST_ROWS, plan_json, print_plan
from edge_dwsep.sweep.steps import StepKind
from edge_dwsep.sweep.targets import Target, target_of

CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
FASHION = DataShape(channels=1, side=28, classes=10, trains=True)
DEVICES = {
    "local": Target("local", "this machine", cores=2),
    "pi": Target("pi", "a Pi", cores=4, lacks={"tflite-runtime": "it needs glibc 2.34 or later, and there is 2.31"}),
    "board": Target("board", "an emulated board", emulated=True, counts=True),
}


def expanded(*models: str, data: DataShape | None = None, **told: Any) -> Expansion:
    """The runs of a plan of models."""
    return expand(SweepPlan(models, **told), devices=DEVICES, data=data)


def left_out(expansion: Expansion) -> dict[str, str]:
    """Reasons by what was left out."""
    return {one.what: one.reason for one in expansion.excluded}


def test_nothing_said_is_every_recipe_by_every_engine_that_is_run_without_being_asked_for():
    found = expanded("mobilenet_v2")
    assert [network.name for network in found.networks] == ["mobilenet_v2_1_224"]
    assert found.networks[0].input_shape == (224, 224, 3)
    assert found.networks[0].classes == 1000
    assert [variant.recipe for variant in found.variants] == list(RECIPES)
    assert {(run.engine, run.threads, run.device) for run in found.runs} == {
        ("tflite", 1, "local"),
        ("litert", 1, "local"),
        ("onnxruntime", 1, "local"),
    }
    assert len(found.runs) == 4 * 2 + 2
    assert not found.excluded


def test_a_sweep_of_two_alphas_two_resolutions_and_six_recipes_has_24_variants():
    found = expanded("mobilenet_v2", alphas=(0.35, 0.5), resolutions=(96, 128), engines=("litert", "onnxruntime"))
    assert len(found.variants) == 24
    assert len(found.runs) == 24
    assert not found.excluded


def test_runs_are_ordered_as_the_plan_says():
    found = expanded(
        "mobilenet_v2",
        "mobilenet_v1",
        schemes=("w8a8", "float32"),
        formats=("onnx",),
        threads=(2, 1),
        resolutions=(64,),
    )
    assert [(run.variant.name, run.threads) for run in found.runs] == [
        ("mobilenet_v2_1_64 onnx-w8a8", 2),
        ("mobilenet_v2_1_64 onnx-w8a8", 1),
        ("mobilenet_v2_1_64 onnx-float32", 2),
        ("mobilenet_v2_1_64 onnx-float32", 1),
        ("mobilenet_v1_1_64 onnx-w8a8", 2),
        ("mobilenet_v1_1_64 onnx-w8a8", 1),
        ("mobilenet_v1_1_64 onnx-float32", 2),
        ("mobilenet_v1_1_64 onnx-float32", 1),
    ]


@pytest.mark.parametrize(
    ("told", "what", "reason"),
    [
        ({"schemes": ("float32", "float16")}, "onnx-float16", "onnx does not carry float16; it carries float32, w8a8"),
        ({"engines": ("litert",), "formats": ("tflite", "onnx")}, "litert with onnx", "it runs .tflite files"),
        ({"engines": ("litert",)}, "litert with onnx", "it runs .tflite files"),
        ({"threads": (1, 4)}, "4 threads on local", "it has 2 cores"),
        ({"alphas": (0.01, 1.0)}, "mobilenet_v1_0.01_224", "alpha 0.01 leaves a layer without channels"),
        ({"resolutions": (31, 32)}, "mobilenet_v1_1_31", "its strides divide the input by 32"),
        ({"epochs": 1}, "", ""),
        (
            {"devices": ("local", "pi"), "engines": ("tflite", "tflite-runtime")},
            "tflite-runtime on pi",
            "it needs glibc 2.34 or later, and there is 2.31",
        ),
        (
            {"devices": ("local", "board"), "measure": MeasurePlan(cost="instructions")},
            "instructions on local",
            "emulated boards alone count them; it is timed only",
        ),
        (
            {"ios": ("float32", "int8"), "formats": ("onnx",)},
            "io int8",
            "integer inputs and outputs go with tflite-w8a8 alone",
        ),
    ],
)
def test_what_cannot_exist_is_left_out_with_the_reason(told: dict[str, Any], what: str, reason: str):
    if not what:
        with pytest.raises(InvalidInput, match="networks are trained on Fashion-MNIST alone"):
            expanded("mobilenet_v1", **told)
        return
    found = expanded("mobilenet_v1", **told)
    assert left_out(found)[what].startswith(reason)
    assert found.runs


def test_an_old_runtime_does_not_load_dense_layers_with_a_scale_a_channel():
    told: dict[str, Any] = {"engines": ("tflite-runtime",), "formats": ("tflite",)}
    found = expanded("mobilenet_v1", "mobilenet_v2", **told)
    assert list(left_out(found)) == ["mobilenet_v2_1_224 tflite-w8-dynamic by tflite-runtime"]
    assert "mobilenet_v1_1_224 tflite-w8-dynamic" in {variant.name for variant in found.variants}
    assert len(found.variants) == 7


def test_trained_networks_are_not_calibrated_on_noise():
    without = expanded(CHECKPOINT)
    assert {variant.recipe.scheme.value for variant in without.variants} == {"float32", "float16", "w8-dynamic"}
    assert left_out(without)[f"{CHECKPOINT} tflite-w8a8"] == "w8a8 needs images to calibrate on; give data"
    plan = SweepPlan((CHECKPOINT,), data="fashion-mnist")
    assert len(expand(plan, devices=DEVICES, data=FASHION).variants) == 6


def test_a_checkpoint_beside_architectures_is_measured_as_it_is():
    found = expanded("mobilenet_v1", CHECKPOINT, alphas=(0.5,), resolutions=(64, 96))
    assert [network.name for network in found.networks] == ["mobilenet_v1_0.5_64", "mobilenet_v1_0.5_96", CHECKPOINT]
    assert left_out(found)[CHECKPOINT] == "its alpha and resolution cannot be chosen; it is measured as it is"
    checkpoint = found.networks[-1]
    assert (checkpoint.alpha, checkpoint.input_shape, checkpoint.classes) == (0.25, (32, 32, 1), 10)
    assert checkpoint.trained
    assert not found.networks[0].trained


@pytest.mark.parametrize("setting", [{"alphas": (0.5,)}, {"resolutions": (64,)}, {"channels": 1}, {"classes": 10}])
def test_a_setting_that_fits_no_model_is_refused(setting: dict[str, Any]):
    with pytest.raises(InvalidInput, match=f"is fixed in {CHECKPOINT}; it can be chosen for mobilenet_v1"):
        expanded(CHECKPOINT, **setting)


def test_architectures_take_channels_and_classes_of_the_data():
    found = expand(SweepPlan(("mobilenet_v1",), data="fashion-mnist"), devices=DEVICES, data=FASHION)
    assert (found.networks[0].input_shape, found.networks[0].classes) == ((32, 32, 1), 10)
    told = SweepPlan(("mobilenet_v1",), data="photos", resolutions=(64,), channels=1, classes=3)
    assert expand(told, devices=DEVICES, data=DataShape()).networks[0].input_shape == (64, 64, 1)


def test_images_that_do_not_fit_a_network_are_known_before():
    plan = SweepPlan(("mobilenet_v1",), data="x.npz", resolutions=(32, 64))
    found = expand(plan, devices=DEVICES, data=DataShape(channels=3, side=48))
    assert [network.name for network in found.networks] == ["mobilenet_v1_1_64"]
    assert left_out(found)["mobilenet_v1_1_32"].startswith("the images of the data have 48 pixels a side")


def test_trained_architectures_are_named_for_what_they_are_trained_on():
    plan = SweepPlan(("mobilenet_v1",), alphas=(0.25,), epochs=5, seed=3, data="fashion-mnist", resolutions=(32, 64))
    found = expand(plan, devices=DEVICES, data=FASHION)
    (network,) = found.networks
    assert (network.name, network.epochs, network.seed) == ("mobilenet_v1_0.25_32_fashion_mnist_5_epochs", 5, 3)
    assert network.trained
    assert left_out(found)["mobilenet_v1_0.25_64"] == "training is for 32x32 pixels, 1 channel and 10 classes"


def test_files_of_one_name_are_told_apart(tmp_path: Path):
    paths = [str(tmp_path / folder / f"{name}.keras") for folder, name in [("a", "m"), ("b", "m"), ("b", "x")]]
    names = [network.name for network in expanded(*paths).networks]
    assert names == ["a_m", "b_m", "x"]


@pytest.mark.parametrize("name", ["a b", "it's", "x\ny", "<script>", "$(touch y)", "; rm -rf ~", "%s{}"])
def test_a_file_of_any_name_is_a_network(tmp_path: Path, name: str):
    found = expanded(str(tmp_path / f"{name}.keras"), schemes=("float32",))
    assert found.networks[0].name == name
    assert found.networks[0].input_shape is None
    shown = io.StringIO()
    plan = SweepPlan((str(tmp_path / f"{name}.keras"),))
    print_plan(plan, found, estimate(found, plan, {}), to=shown)
    assert name in shown.getvalue() or repr(name)[1:-1] in shown.getvalue()


def test_instructions_are_counted_where_that_can_be_done():
    found = expanded("mobilenet_v1", devices=("local", "board"), measure=MeasurePlan(cost="instructions"))
    assert {(run.device, run.counts) for run in found.runs} == {("local", False), ("board", True)}
    with pytest.raises(InvalidInput, match=r"none of the devices counts them \(local, pi\); emulated boards do"):
        expanded("mobilenet_v1", devices=("local", "pi"), measure=MeasurePlan(cost="instructions"))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"engines": ("litert",), "formats": ("onnx",)}, "litert with onnx: it runs .tflite files"),
        ({"schemes": ("float16",), "formats": ("onnx",)}, "onnx-float16: onnx does not carry float16"),
        ({"threads": (64,)}, "64 threads on local: it has 2 cores"),
        ({"resolutions": (8,)}, "mobilenet_v1_1_8: its strides divide the input by 32"),
        (
            {"devices": ("pi",), "engines": ("tflite-runtime",), "formats": ("tflite",)},
            "tflite-runtime on pi: it needs glibc",
        ),
    ],
)
def test_nothing_left_is_an_error_that_says_why(told: dict[str, Any], said: str):
    with pytest.raises(InvalidInput, match=f"nothing of the plan can be measured: {said}"):
        expanded("mobilenet_v1", **told)


def test_one_core_is_one_core():
    plan = SweepPlan(("mobilenet_v1",), threads=(1, 2))
    found = expand(plan, devices={"local": Target("local", cores=1)})
    assert left_out(found) == {"2 threads on local": "it has 1 core"}


AXES = {
    "models": st.lists(st.sampled_from([*ARCHITECTURES, CHECKPOINT]), min_size=1, max_size=3, unique=True),
    "alphas": st.lists(st.sampled_from([0.01, 0.25, 1.0]), max_size=2, unique=True),
    "resolutions": st.lists(st.sampled_from([8, 32, 96]), max_size=2, unique=True),
    "schemes": st.lists(st.sampled_from(["float32", "float16", "w8-dynamic", "w8a8"]), max_size=4, unique=True),
    "formats": st.lists(st.sampled_from(["tflite", "onnx"]), max_size=2, unique=True),
    "ios": st.lists(st.sampled_from(["float32", "int8"]), min_size=1, max_size=2, unique=True),
    "engines": st.lists(st.sampled_from(list(ENGINES)), max_size=4, unique=True),
    "threads": st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=3, unique=True),
    "devices": st.lists(st.sampled_from(list(DEVICES)), min_size=1, max_size=3, unique=True),
}


@settings(deadline=None, max_examples=80)
@given(st.fixed_dictionaries(AXES))
def test_every_run_is_one_that_can_exist_and_is_there_once(told: dict[str, list[Any]]):
    axes: dict[str, Any] = {key: tuple(values) for key, values in told.items()}
    plan = SweepPlan(**axes)
    try:
        found = expand(plan, devices=DEVICES)
    except InvalidInput:
        return
    assert len(set(found.runs)) == len(found.runs)
    assert len({network.name for network in found.networks}) == len(found.networks)
    assert found.variants == tuple(dict.fromkeys(run.variant for run in found.runs))
    assert found.networks == tuple(dict.fromkeys(variant.network for variant in found.variants))
    for run in found.runs:
        recipe, device = run.variant.recipe, DEVICES[run.device]
        assert ENGINES[run.engine].format == recipe.format.value
        assert run.device in plan.devices
        assert run.threads in plan.threads
        assert not device.cores or run.threads <= device.cores
        assert ENGINES[run.engine].environment not in device.lacks
        assert recipe.scheme.value in (plan.schemes or [recipe.scheme.value])
        assert recipe.format.value in (plan.formats or [recipe.format.value])
        assert recipe.io.value in plan.ios or not recipe.takes_io
        assert run.engine in plan.engines if plan.engines else ENGINES[run.engine].default
    assert estimate(found, plan, {}).runs == len(found.runs)


def test_a_device_is_known_before_it_is_reached():
    assert target_of("local").cores >= 1
    assert target_of("lab-pi4").counts
    assert target_of("lab-pi4").emulated
    assert not target_of("lab-android").counts


def test_a_machine_without_the_python_that_a_runtime_needs_does_not_have_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environments, "_is_installed", lambda requirement: False)
    monkeypatch.setattr(environments, "_candidates", lambda kind: iter(()))
    lacks = target_of("local").lacks
    assert list(lacks) == ["tflite-runtime"]
    assert lacks["tflite-runtime"].startswith("it needs Python 3.11, 3.10 or 3.9; this is 3.")
    with pytest.raises(InvalidInput, match="nothing of the plan can be measured: tflite-runtime on local: it needs"):
        expand(
            SweepPlan(("mobilenet_v1",), engines=("tflite-runtime",), formats=("tflite",)),
            devices={"local": target_of("local")},
        )


@pytest.mark.parametrize("name", SOURCES)
def test_sets_of_ours_are_known_by_name(name: str):
    assert is_known_set(name)
    if name == "fashion-mnist-sample":
        images = open_data(name).evaluation
        shape = shape_of_data(name)
        assert (shape.side, shape.channels, shape.classes) == (
            images.images.shape[1],
            images.images.shape[3],
            len(images.class_names),
        )


@pytest.mark.parametrize(("shape", "side", "channels"), [((5, 20, 30), 30, 1), ((5, 20, 10, 3), 20, 3)])
def test_the_head_of_an_npz_file_tells_its_images(tmp_path: Path, shape: tuple[int, ...], side: int, channels: int):
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros(shape, np.uint8), labels=np.zeros(5, np.int64))
    assert shape_of_data(str(tmp_path / "x.npz")) == DataShape(channels, side)


def test_of_other_data_nothing_is_known_before(tmp_path: Path):
    (tmp_path / "x.npz").write_text("rubbish")
    for name in ("x.npz", "absent.npz", "."):
        assert shape_of_data(str(tmp_path / name)) == DataShape()


def count(expansion: Expansion, plan: SweepPlan) -> dict[tuple[str, str], int]:
    """Steps by kind and device."""
    counted: dict[tuple[str, str], int] = {}
    for step in expected_steps(expansion.runs, plan):
        counted[step.kind.value, step.device] = counted.get((step.kind.value, step.device), 0) + 1
    return counted


def test_steps_are_counted_as_they_will_be_shared():
    plan = SweepPlan(
        ("mobilenet_v2",),
        alphas=(0.35, 0.5),
        resolutions=(96, 128),
        engines=("litert", "onnxruntime"),
        threads=(1, 2),
        devices=("local", "pi"),
        data="photos",
        measure=MeasurePlan(profile_ops=True),
    )
    found = expand(plan, devices=DEVICES, data=DataShape())
    assert count(found, plan) == {
        ("data", ""): 1,
        ("network", ""): 4,
        ("reference", ""): 4,
        ("lower", ""): 8,
        ("calibrate", ""): 4,
        ("convert", ""): 24,
        ("verify", ""): 24,
        ("reach", "pi"): 1,
        ("push", "pi"): 24,
        ("launch", "local"): 24 * 2 * 5,
        ("launch", "pi"): 24 * 2 * 5,
        ("operators", "local"): 48,
        ("operators", "pi"): 48,
    }


def test_accuracy_is_counted_once_for_all_threads_of_a_network_that_is_trained():
    plan = SweepPlan((CHECKPOINT,), schemes=("float32", "w8a8"), threads=(1, 2), data="fashion-mnist-sample")
    plan = replace(plan, formats=("tflite",), engines=("litert", "tflite"))
    assert count(expand(plan, devices=DEVICES, data=FASHION), plan)["accuracy", "local"] == 2 * 2


def test_what_is_measured_takes_as_long_as_it_is_told_to():
    plan = SweepPlan(("mobilenet_v2",), measure=MeasurePlan(mode="rapid"))
    assert 6 < seconds_of(StepKind.LAUNCH, "local", plan) < 9
    longer = replace(plan, measure=MeasurePlan(mode="rapid", min_seconds=60.0))
    assert 60 < seconds_of(StepKind.LAUNCH, "local", longer) < 63
    assert seconds_of(StepKind.LAUNCH, "pi", plan) > seconds_of(StepKind.LAUNCH, "local", plan)


def test_an_estimate_learns_from_what_was_done_before_and_counts_devices_side_by_side():
    plan = SweepPlan(("mobilenet_v2",))
    found = expand(plan, devices=DEVICES)
    usual = estimate(found, plan, {("convert", ""): 1.0})
    slow = estimate(found, plan, {("convert", ""): 101.0})
    assert slow.seconds - usual.seconds == pytest.approx(6 * 100 / 2)
    both = replace(plan, devices=("pi", "local"))
    beside = estimate(expand(both, devices=DEVICES), both, {})
    assert beside.seconds < 0.6 * sum(part.seconds for part in beside.parts)
    trained = SweepPlan(("mobilenet_v1",), alphas=(0.25,), epochs=60, data="fashion-mnist")
    long = estimate(expand(trained, devices=DEVICES, data=FASHION), trained, {("network", ""): 3.0})
    assert long.seconds > 600


def test_a_search_measures_a_part():
    plan = SweepPlan(("mobilenet_v2",), alphas=(0.25, 0.35, 0.5), search=SearchPlan(trials=5))
    found = expand(plan, devices=DEVICES)
    part = estimate(found, plan, {})
    assert (len(found.runs), part.runs) == (30, 5)
    assert part.seconds < estimate(found, replace(plan, search=None), {}).seconds
    shown = io.StringIO()
    print_plan(plan, found, part, to=shown)
    assert "18 variants, 30 runs, of which at most 5 are measured: about " in shown.getvalue()


def test_a_plan_is_shown_with_what_it_leaves_out_and_how_long_it_takes():
    plan = SweepPlan(("mobilenet_v2",), alphas=(0.35,), schemes=("float16", "w8a8"), threads=(1, 4))
    found = expand(plan, devices=DEVICES)
    shown = io.StringIO()
    print_plan(plan, found, estimate(found, plan, {}), to=shown)
    lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    assert lines[0].split() == ["model", "variants", "measured", "by", "threads", "on", "runs"]
    assert lines[1].split()[0] == "mobilenet_v2_0.35_224"
    assert "tflite-float16, tflite-w8a8, onnx-w8a8" in lines[1]
    assert "  onnx-float16: onnx does not carry float16; it carries float32, w8a8" in lines
    assert "  4 threads on local: it has 2 cores" in lines
    assert "\x1b" not in shown.getvalue()
    assert any(line.startswith("3 variants, 5 runs: about ") for line in lines)


def test_many_models_and_reasons_are_cut_short_and_whole_in_json():
    alphas = tuple(step / 200 for step in range(1, 121))
    plan = SweepPlan(("mobilenet_v1",), alphas=alphas, resolutions=(8, 96))
    found = expand(plan, devices=DEVICES)
    shown = io.StringIO()
    expected = estimate(found, plan, {})
    print_plan(plan, found, expected, to=shown)
    assert shown.getvalue().count("\n") < 4 * MOST_ROWS
    assert f"and {len(found.networks) - MOST_ROWS} models more; --dry-run --json tells all" in shown.getvalue()
    told = json.loads(json.dumps(plan_json(plan, found, expected)))
    assert (len(told["runs"]), len(told["excluded"])) == (len(found.runs), len(found.excluded))
    assert told["expected"]["seconds"] > 0
    assert SweepPlan.from_json(told["plan"]) == plan
