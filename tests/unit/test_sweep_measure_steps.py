"""The steps that measure a run: which there are, and what makes them, and the run, others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dwsep_runtime.conditions import Conditions
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.measure import LatencySettings
from edge_dwsep.sweep import measure_steps
from edge_dwsep.sweep.measure_steps import Evaluated, Made, Measuring, RunNames, RunSteps, steps_of_run

PLAIN = {"preprocessing": Preprocessing().to_json(), "file": {"name": "v1-float32.tflite"}}
PADDED = {**PLAIN, "preprocessing": Preprocessing(resize="pad").to_json()}
GIVEN: dict[str, Any] = {
    "run": RunNames("v1", "tflite-float32", "litert", 1),
    "made": Made("convert", "verify", "file", "manifest", PLAIN),
    "identity": {"name": "board", "kind": "raspberry-pi-4", "where": "pi@pi4", "transport": "ssh", "emulated": False},
    "what": Measuring(LatencySettings(processes=2), profile_ops=True),
    "evaluated": Evaluated("data", "pixels", "reference", "predictions"),
}
ALL = {"launch", "accuracy", "operators", "push"}
MEASURED = ALL - {"push"}
TIMED = {"launch", "operators"}


def steps(**changes: Any) -> RunSteps:
    return steps_of_run(**{**GIVEN, **changes})


def keys(run: RunSteps) -> dict[str, str]:
    """Kind of each step by its key."""
    return {step.key: step.kind.value for step in (*run.measuring, *((run.push,) if run.push else ()))}


def latency(**changes: Any) -> dict[str, Any]:
    return {"what": replace(GIVEN["what"], latency=replace(GIVEN["what"].latency, **changes))}


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"made": replace(GIVEN["made"], sha256="another file")}, ALL),
        ({"made": replace(GIVEN["made"], manifest_sha256="more labels")}, set()),
        ({"made": replace(GIVEN["made"], manifest_sha256="padded", manifest=PADDED)}, {"accuracy"}),
        ({"run": replace(GIVEN["run"], engine="tflite")}, MEASURED),
        ({"run": replace(GIVEN["run"], threads=2)}, TIMED),
        ({"run": replace(GIVEN["run"], model="its copy")}, set()),
        ({"run": replace(GIVEN["run"], variant="tflite-float16")}, set()),
        ({"identity": {**GIVEN["identity"], "where": "pi@another"}}, ALL),
        ({"what": replace(GIVEN["what"], again="a word")}, MEASURED),
        ({"what": replace(GIVEN["what"], label_offset=1)}, {"accuracy"}),
        ({"evaluated": replace(GIVEN["evaluated"], data_sha256="other pixels")}, {"accuracy"}),
        ({"evaluated": replace(GIVEN["evaluated"], reference_sha256="other predictions")}, {"accuracy"}),
        (latency(min_seconds=9.0), TIMED),
        (latency(min_samples=9), TIMED),
        (latency(precision=0.01), TIMED),
        (latency(options={"kernels": "builtin"}), MEASURED),
        (latency(options={"xnnpack": "off"}), TIMED),
        (latency(conditions=Conditions(governor="performance")), TIMED),
    ],
)
def test_a_run_is_another_one_by_what_decides_its_record_and_only_what_that_changes_is_measured_again(
    changes: dict[str, Any], changed: set[str]
) -> None:
    before, after = steps(), steps(**changes)
    assert {kind for key, kind in keys(after).items() if key not in keys(before)} == changed
    assert after.key != before.key


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"made": replace(GIVEN["made"], convert="another way to", verify="the same")},
        {"evaluated": replace(GIVEN["evaluated"], data="copied", reference="run again")},
        {"what": replace(GIVEN["what"], wait=False, accuracy_timeout=9.0)},
        latency(timeout=9.0),
    ],
)
def test_how_a_file_came_about_and_how_long_one_waits_make_no_other_run(changes: dict[str, Any]) -> None:
    assert steps(**changes).key == steps().key
    assert keys(steps(**changes)) == keys(steps())


@pytest.mark.parametrize("name", ["harness_sha256", "RECORD_VERSION", "_environment"])
def test_another_harness_engine_or_way_to_tell_of_a_run_makes_another_run(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = steps().key
    monkeypatch.setattr(measure_steps, name, "raised" if name == "RECORD_VERSION" else lambda *_: "another")
    assert steps().key != before


def test_what_only_counts_on_a_machine_of_its_own_brings_no_file_to_the_board() -> None:
    counting = replace(GIVEN["what"], cost="instructions", profile_ops=False)
    assert steps(what=counting).push is not None, "accuracy is for the board itself"
    alone = steps(what=counting, evaluated=None)
    assert [step.kind.value for step in alone.measuring] == ["count"]
    assert alone.push is None
