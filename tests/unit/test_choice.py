"""The choice among runs: constraints, who is ranked with whom, and the recommendation's words."""

from __future__ import annotations

import io
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dwsep_runtime.errors import InvalidInput, UnknownName
from edge_dwsep.choice import Constraints, choose
from edge_dwsep.choice.drop import drops
from edge_dwsep.choice.objectives import OBJECTIVES, objectives_named
from edge_dwsep.choice.table import print_choice
from tests.weighed_runs import IMAGES, latency, results, run


def chosen(*runs: dict[str, Any], objectives: Any = ("top1", "p50", "size"), limits: Any = None, **others: Any) -> Any:
    choice = choose(results(*runs, **others), objectives, Constraints.from_texts(limits or {}))
    json.dumps(choice.to_json(), allow_nan=False)
    (device,) = choice.devices
    return device


def answers(wrong: range) -> list[bool]:
    return [at not in wrong for at in range(IMAGES)]


FLOAT = run("float32", 4.0, size=4_000_000, right=900, lost=(0, 0))
W8A8 = run("w8a8", 3.0, size=1_100_000, right=897, lost=(8, 5))
ROUGH = run("w4", 2.0, size=600_000, right=800, lost=(110, 10))


def test_names_reach_a_terminal_without_control_characters() -> None:
    hostile = "a\x1b[31m\nb"
    told = results({**ROUGH, "device": hostile, "model": hostile})
    told["models"] = [{"name": hostile, "reference": {"name": hostile, "top1": 0.9}}]
    written = io.StringIO()
    print_choice(Console(file=written, width=500), told, choose(told, constraints=Constraints(max_drop=0.01)))
    place, *_, recommendation = written.getvalue().splitlines()
    assert "\x1b" not in written.getvalue()
    assert place == r"a\x1b[31m\nb"
    assert r" pp [8.0, 12.2] against a\x1b[31m\nb, at most 1 pp" in recommendation


@pytest.mark.parametrize(
    ("limits", "recommended", "unmet", "untold"),
    [
        ({}, 1, [], []),
        ({"max_drop": "2pp"}, 1, [2], []),
        ({"max_drop": "1pp"}, 0, [2], [1]),  # w8a8 loses 0.3 pp, and may lose 1.1
        ({"max_drop": "20pp"}, 2, [], []),
        ({"min_top1": "75%"}, 2, [], []),
        ({"min_top1": "89%"}, None, [2], [0, 1]),
        ({"max_p90": "3.5ms"}, 1, [0], []),
        ({"max_p90": "3300us"}, 2, [0], [1]),
        ({"max_size": "1.1MB"}, 1, [0], []),
        ({"max_p50": "1ms"}, None, [0, 1, 2], []),
        ({"max_memory": "1GB"}, None, [], [0, 1, 2]),  # nobody measured it
        ({"max_drop": None, "max_p50": ""}, 1, [], []),
    ],
)
def test_constraints_are_met_not_met_or_cannot_be_told(
    limits: dict[str, str], recommended: int | None, unmet: list[int], untold: list[int]
) -> None:
    device = chosen(FLOAT, W8A8, ROUGH, limits=limits)
    assert device.recommended == recommended
    assert sorted(device.unmet) == unmet
    assert sorted(device.untold) == untold


SENTENCES = {
    "a loss is allowed": (
        (W8A8, run("w8-dynamic", 3.01, size=1_100_000, right=896, lost=(9, 5)), ROUGH),
        {"max_drop": "2pp"},
        (
            "w8a8 on litert: 3.00 ms [2.97, 3.03], 1.10 MB, 89.7 % [87.7, 91.4]; faster ones lose more than 2 points; "
            "w8-dynamic on litert is not distinguishable in latency"
        ),
    ),
    "without constraints": (
        (FLOAT, W8A8, ROUGH),
        {},
        "w8a8 on litert: 3.00 ms [2.97, 3.03], 1.10 MB, 89.7 % [87.7, 91.4]; w4 on litert is faster but less accurate",
    ),
    "one run": (
        (FLOAT,),
        {},
        "float32 on litert: 4.00 ms [3.96, 4.04], 4.00 MB, 90.0 % [88.0, 91.7]; there is no other to compare it with",
    ),
    "no accuracy": (
        (run("a", 2.0), run("b", 3.0)),
        {},
        "a on litert: 2.00 ms [1.98, 2.02], 1.00 MB; none is shown to be faster",
    ),
    "nothing succeeded": (
        (run("a", None, status="failed", error="no memory", valid=False),),
        {},
        "nothing can be recommended: no run succeeded, is valid and has every figure that was asked for",
    ),
    "nothing meets the constraints": (
        (FLOAT, W8A8),
        {"max_p50": "2ms"},
        (
            "no variant is shown to meet the constraints: 2 do not, such as float32 on litert: latency is 4.00 ms "
            "[3.96, 4.04], at most 2.00 ms is asked for"
        ),
    ),
    "none is known to meet them": (
        (W8A8,),
        {"max_drop": "1pp"},
        (
            "no variant is shown to meet the constraints: of 1 it cannot be told, such as w8a8 on litert: it loses "
            "0.3 pp [-0.5, 1.1] against keras float32, at most 1 pp is asked for"
        ),
    ),
    "a faster one of which it cannot be told": (
        (FLOAT, W8A8),
        {"max_drop": "1pp"},
        (
            "float32 on litert: 4.00 ms [3.96, 4.04], 4.00 MB, 90.0 % [88.0, 91.7]; whether w8a8 on litert, faster, "
            "meets the constraints cannot be told"
        ),
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_the_recommendation_says(case: str) -> None:
    runs, limits, sentence = SENTENCES[case]
    assert chosen(*runs, limits=limits).recommendation == sentence


def test_without_runs_there_is_no_choice() -> None:
    assert choose(results()).devices == ()


def test_times_that_overlap_or_differ_by_less_than_a_percent_are_not_ranked() -> None:
    overlapping = run("a", 2.0, (1.8, 2.2)), run("b", 2.1, (2.0, 2.3))
    certain = run("a", 2.0, (1.999, 2.001)), run("b", 2.015, (2.014, 2.016))
    shown = run("a", 2.0, (1.999, 2.001)), run("b", 2.03, (2.029, 2.031))
    fronts = [chosen(*pair, objectives=["p50"]).front for pair in (overlapping, certain, shown)]
    assert fronts == [(0, 1), (0, 1), (0,)]


def test_a_time_without_an_interval_is_neither_ranked_nor_recommended() -> None:
    unknown = run("quick", latency=latency(0.5, None))
    device = chosen(run("a", 2.0), unknown, run("b", 3.0), objectives=["p50"])
    assert device.front == (0, 1)
    assert device.recommended == 0
    assert chosen(unknown, objectives=["p50"]).recommendation.startswith("quick on litert: 0.500 ms (no interval)")


def test_accuracy_is_compared_image_by_image_where_results_tell_which_were_right() -> None:
    # 12 images apart, all in favour of one: intervals of shares overlap, McNemar's test does not hesitate.
    better, worse = answers(range(100)), answers(range(112))
    paired = chosen(run("a", right=better), run("b", right=worse), objectives=["top1"])
    counted = chosen(run("a", right=sum(better)), run("b", right=sum(worse)), objectives=["top1"])
    assert (paired.front, counted.front) == ((0,), (0, 1))
    evenly = answers(range(50, 152))
    assert chosen(run("a", right=better), run("b", right=evenly), objectives=["top1"]).front == (0, 1)


def test_devices_emulated_ones_and_batches_are_chosen_from_apart() -> None:
    slow = run("a", 40.0, device="lab-pi4", emulated=True)
    choice = choose(results(run("a", 2.0), slow, run("a", 9.0, batch=8), run("b", 3.0)), ["p50"])
    assert [(one.device, one.emulated, one.batch, one.front) for one in choice.devices] == [
        ("local", False, 1, (0,)),
        ("lab-pi4", True, 1, (1,)),
        ("local", False, 8, (2,)),
    ]
    assert choice.devices[1].notes == ("lab-pi4 is emulated: its times tell nothing of the board's",)
    assert choice.front == {0, 1, 2}
    assert choice.recommended == {0, 1, 2}


def test_runs_that_failed_are_not_valid_or_miss_a_figure_are_listed_apart() -> None:
    device = chosen(
        W8A8,
        run("a", None, status="failed", error="no memory"),
        run("b", valid=False, warnings=["not valid: the clock is too coarse"]),
        run("c", right=None),
        run("d", size=None, right=900),
    )
    assert device.left_out == {
        1: "failed: no memory",
        2: "not valid: the clock is too coarse",
        3: "no accuracy",
        4: "no size",
    }
    assert device.front == (0,)


def test_what_nobody_measured_does_not_count_and_is_said() -> None:
    device = chosen(run("a", 2.0), run("b", 3.0), objectives=["instructions", "p50"])
    assert device.objectives == ("p50",)
    assert device.notes == ("instructions was not measured and does not count",)


def test_runs_of_a_single_process_are_said_to_be() -> None:
    single = run("a", latency=latency(2.0, (1.9, 2.1), processes=1))
    assert "single process" in chosen(single, objectives=["p50"]).notes[0]
    assert chosen(single, objectives=["size"]).notes == ()


def test_peak_memory_within_what_it_scatters_by_is_not_ranked() -> None:
    near = chosen(run("a", peak=60_000_000), run("b", peak=61_000_000), objectives=["memory"])
    far = chosen(run("a", peak=60_000_000), run("b", peak=70_000_000), objectives=["memory"])
    assert (near.front, far.front) == ((0, 1), (0,))


def test_the_recommended_run_is_on_the_front_and_meets_the_constraints() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        runs = []
        for name in range(12):
            p50, right, lost = float(rng.uniform(1, 5)), int(rng.integers(700, 950)), int(rng.integers(0, 60))
            width = float(rng.uniform(0, 0.2))
            size = int(rng.integers(10**5, 10**6))
            low, high = p50 * (1 - width), p50 * (1 + width)
            runs.append(run(str(name), p50, (low, high), right=right, lost=(lost, 5), size=size))
        device = chosen(*runs, limits={"max_drop": "3pp"})
        if device.recommended is None:
            assert len(device.unmet) + len(device.untold) == len(runs)
        else:
            assert device.recommended not in {*device.unmet, *device.untold}
            by = device.dominated.get(device.recommended)
            assert by is None or by in device.untold


def test_the_drop_is_against_the_most_accurate_network_however_little_its_own_float_loses() -> None:
    wide = run("float32 wide", right=answers(range(100)), lost=(0, 0), model="wide")
    narrow = run("float32 narrow", right=answers(range(150)), lost=(0, 0), model="narrow")
    found = results(wide, narrow)
    for model, top1 in zip(found["models"], (0.9, 0.85), strict=True):
        model["reference"] = {"name": "keras float32", "top1": top1}
    own, other = drops(found, found["runs"])
    assert own is not None
    assert (own.figure.value, own.paired) == (0, True)
    assert other is not None
    assert other.figure.value == pytest.approx(0.05)
    assert (other.paired, other.reference) == (False, "keras float32 of wide")
    found["models"][0]["reference"]["correct"] = wide["accuracy"]["correct"]
    paired = drops(found, found["runs"])[1]
    assert paired is not None
    assert paired.paired
    assert paired.figure.high - paired.figure.low < other.figure.high - other.figure.low


def test_runs_with_neither_accuracy_nor_reference_have_no_drop() -> None:
    assert drops(results(run("a"), top1=None), [run("a")]) == [None]


@pytest.mark.parametrize(
    ("names", "kind", "said"),
    [
        ([], InvalidInput, "no objective is given"),
        (["p5"], UnknownName, "did you mean 'p50'?"),
        (["size", "size"], InvalidInput, "given twice"),
    ],
)
def test_objectives_that_cannot_be_are_refused(names: list[str], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=re.escape(said)):
        objectives_named(names)


def test_unknown_constraints_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'max_size'"):
        Constraints.from_texts({"max_siz": "1MB"})


def test_what_has_no_interval_has_bounds_at_infinity() -> None:
    figure = OBJECTIVES["p50"].figure(run("a", latency=latency(1.0, None)))
    assert figure is not None
    assert (figure.low, figure.high, figure.known) == (-math.inf, math.inf, False)
