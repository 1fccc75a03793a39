"""Rules, pairs, circumstances and changes of the gate between two measurements."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.arrays import encode_array
from dwsep_runtime.errors import InvalidInput, UnknownName
from edge_dwsep.gate import METRICS, Gate, Verdict, compare_results, rule_from
from edge_dwsep.gate.changes import Change, change_of
from edge_dwsep.gate.latency_change import ALONE, mann_whitney, median_ratio, percentile_ratio
from edge_dwsep.gate.rules import judged
from tests.weighed_runs import IMAGES, latency, results, run, timed


def compared(
    base: Any, head: Any, *rules: str, allow: tuple[str, ...] = (), others: tuple[Any, Any] = ({}, {})
) -> Gate:
    """Two runs, or two lists of runs, compared."""
    sides = [side if isinstance(side, list) else [side] for side in (base, head)]
    before, after = (results(*side, **other) for side, other in zip(sides, others, strict=True))
    gate = compare_results(before, after, [rule_from(text) for text in rules], allow)
    json.dumps(gate.to_json(), allow_nan=False)
    return gate


def change(metric: str, base: Any, head: Any, *, same_images: bool = True) -> Change:
    found = change_of(metric, base, head, same_images=same_images)
    assert found is not None
    return found


def answers(wrong: range) -> list[bool]:
    return [at not in wrong for at in range(IMAGES)]


@pytest.mark.parametrize(
    ("text", "shown", "above", "limit"),
    [
        ("p50>+5%", "p50>+5%", True, 0.05),
        (" p90 > +2.5 % ", "p90>+2.5%", True, 0.025),
        ("top1<-0.5pp", "top1<-0.5pp", False, -0.005),
        ("size>0%", "size>+0%", True, 0),
        ("instructions<-.1%", "instructions<-0.1%", False, -0.001),
        ("agreement<-1pp", "agreement<-1pp", False, -0.01),
    ],
)
def test_a_rule_is_read(text: str, shown: str, above: bool, limit: float) -> None:
    rule = rule_from(text)
    assert (str(rule), rule.above) == (shown, above)
    assert rule.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("p50", InvalidInput, "cannot be read"),
        ("", InvalidInput, "cannot be read"),
        ("p50>=+5%", InvalidInput, "cannot be read"),
        ("p50>+5", InvalidInput, "cannot be read"),
        ("p50>+5%; rm -rf /", InvalidInput, "cannot be read"),
        ("siz>+5%", UnknownName, "did you mean 'size'?"),
        ("p50>+5pp", InvalidInput, "p50 is no share: give per cent of what it was, such as p50>+5%"),
        ("top1<-1%", InvalidInput, "top1 is a share: give percentage points, such as top1<-1pp"),
        ("top1<1pp", InvalidInput, "write top1<+1pp or top1<-1pp"),
    ],
)
def test_what_is_no_rule_is_refused_with_a_way_out(text: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=re.escape(said)):
        rule_from(text)


@given(st.sampled_from(METRICS), st.sampled_from("<>"), st.integers(-9999, 9999))
def test_a_rule_is_written_as_it_is_read(metric: str, sign: str, thousandths: int) -> None:
    unit = "pp" if metric in {"top1", "top5", "agreement"} else "%"
    rule = rule_from(f"{metric}{sign}{thousandths / 1000:+}{unit}")
    assert rule_from(str(rule)) == rule


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        ("p50>+5%", 0.051, 0.08, Verdict.REGRESSED),
        ("p50>+5%", 0.04, 0.08, Verdict.CANNOT_TELL),
        ("p50>+5%", -0.2, 0.05, Verdict.OK),
        ("p50>+5%", -math.inf, math.inf, Verdict.CANNOT_TELL),
        ("top1<-0.5pp", -0.02, -0.006, Verdict.REGRESSED),
        ("top1<-0.5pp", -0.02, 0.01, Verdict.CANNOT_TELL),
        ("top1<-0.5pp", -0.005, 0.3, Verdict.OK),
        ("size>0%", 0.0, 0.0, Verdict.OK),
        ("size>0%", 1e-6, 1e-6, Verdict.REGRESSED),
        ("p50<-5%", -0.2, -0.1, Verdict.REGRESSED),  # an improvement can be a rule, too
    ],
)
def test_a_rule_judges_by_where_the_interval_lies(rule: str, low: float, high: float, verdict: Verdict) -> None:
    assert judged(rule_from(rule), low, high) is verdict


def test_a_ratio_of_percentiles_is_uncertain_by_what_both_are() -> None:
    before, after = latency(2.0, (1.9, 2.2)), latency(3.0, (2.7, 3.1))
    ratio, interval = percentile_ratio(before, after, 50)
    assert ratio == pytest.approx(1.5)
    below = math.hypot(math.log(3.0 / 2.7), math.log(2.2 / 2.0))
    above = math.hypot(math.log(3.1 / 3.0), math.log(2.0 / 1.9))
    assert interval == pytest.approx((1.5 * math.exp(-below), 1.5 * math.exp(above)))
    assert percentile_ratio(before, latency(3.0, None), 50)[1] is None


def test_a_single_process_is_as_uncertain_as_processes_were_seen_to_differ() -> None:
    single = run("a", latency=latency(2.0, (1.99, 2.01), processes=1))
    found = change("p50", single, single)
    spread = ALONE ** math.sqrt(2)
    assert (found.low, found.high) == pytest.approx((1 / spread - 1, spread - 1))
    assert "single process" in found.note
    assert compared(single, single, "p50>+5%").verdict is Verdict.CANNOT_TELL
    thrice = run("a", latency=latency(6.0, (5.99, 6.01), processes=1))
    assert compared(single, thrice, "p50>+5%").verdict is Verdict.REGRESSED


def test_p50_is_compared_process_by_process() -> None:
    def of(*medians: float) -> dict[str, Any]:
        return {"processes": [{"count": 200, "p50_ms": one} for one in medians]}

    # Welch's test of these logarithms by hand: means 0 and log 1.1, standard deviations 0.01, 8 degrees of freedom.
    shape = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 0.01
    found = median_ratio(of(*np.exp(shape)), of(*(1.1 * np.exp(shape))))
    assert found is not None
    half = 2.306 * 0.01 * math.sqrt(2 / 5)
    assert found[0] == pytest.approx(1.1)
    assert found[1] == pytest.approx((1.1 * math.exp(-half), 1.1 * math.exp(half)), rel=1e-4)
    assert median_ratio(of(2.0), of(2.0, 2.1)) is None


def test_mann_whitney_finds_a_change_between_processes_and_not_their_scatter() -> None:
    def processes(seed: int, factor: float, between: float) -> list[np.ndarray[Any, Any]]:
        rng = np.random.default_rng(seed)
        return [factor * np.exp(between * rng.standard_normal() + 0.05 * rng.standard_normal(200)) for _ in range(5)]

    def p(factor: float, between: float, seed: int) -> float:
        found = mann_whitney(processes(seed, 1.0, between), processes(seed + 1, factor, between))
        assert found is not None
        return found

    assert p(1.1, 0.01, 0) < 0.001
    assert np.mean([p(1.0, 0.05, 10 * seed) < 0.05 for seed in range(200)]) < 0.09
    equal = [np.full(200, 5.0)] * 2
    assert mann_whitney(equal, equal) == 1.0
    assert mann_whitney(equal, [np.full(200, 6.0)] * 2) == 0.0
    assert mann_whitney(equal, equal[:1]) is None
    assert mann_whitney([part[:50] for part in equal], equal) is None


def test_p50_has_a_test_on_raw_samples_and_none_without_them() -> None:
    before, after = run("a", latency=timed(1, 2.0)), run("a", latency=timed(2, 2.3))
    found = change("p50", before, after)
    assert found.p is not None
    assert found.p < 0.001
    assert found.low < 0.15 < found.high
    assert change("p50", run("a", 2.0), run("a", 2.3)).p is None


def test_accuracy_is_compared_image_by_image() -> None:
    before = run("a", right=answers(range(100)))
    after = run("a", right=answers(range(112)))
    paired, counted = (change("top1", before, after, same_images=same) for same in (True, False))
    assert (paired.change, counted.change) == pytest.approx((-0.012, -0.012))
    assert paired.p == pytest.approx(2 / 2**12)
    assert paired.high < 0 < counted.high
    assert (paired.note, counted.note) == ("", "on other images, so not image by image")


def test_predictions_alone_bound_how_many_images_differ() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, IMAGES)
    sides = []
    for wrong in (80, 100):
        predictions = labels.copy()
        predictions[rng.choice(IMAGES, wrong, replace=False)] += 10
        right = (predictions == labels).tolist()
        whole = run("a", right=right)
        alone = run("a", right=right)
        del alone["accuracy"]["correct"]
        alone["accuracy"]["predictions"] = encode_array(predictions.astype(np.int32))
        sides.append((whole, alone))
    exact = change("top1", sides[0][0], sides[1][0])
    bound = change("top1", sides[0][1], sides[1][1])
    assert bound.change == pytest.approx(exact.change)
    assert bound.low <= exact.low < exact.high <= bound.high
    assert "predictions alone" in bound.note


@pytest.mark.parametrize(
    ("metric", "before", "after", "low", "high"),
    [
        ("size", {"size": 1000}, {"size": 1030}, 0.03, 0.03),
        ("memory", {"peak": 50_000_000}, {"peak": 60_000_000}, 0.159, 0.243),
        (
            "instructions",
            {"cost": {"per_inference": 100_000, "least": 99_000, "most": 104_000}},
            {"cost": {"per_inference": 100_500, "least": 100_000, "most": 104_500}},
            0.0048,
            0.0052,
        ),
    ],
)
def test_costs_change_within_what_they_scatter_by(
    metric: str, before: dict[str, Any], after: dict[str, Any], low: float, high: float
) -> None:
    found = change(metric, run("a", **before), run("a", **after))
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-3 if metric == "memory" else 1e-5)
    assert change_of(metric, run("a", size=None), run("a", **after), same_images=True) is None


def test_agreement_and_top5_are_compared_as_shares() -> None:
    before, after = (run("a", right=900, lost=lost) for lost in ((1, 1), (60, 20)))
    assert change("agreement", before, after).high < -0.03
    assert change("top5", before, after).change == 0
    assert change_of("agreement", run("a"), after, same_images=True) is None


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ({}, {"status": "failed", "error": "no memory"}, Verdict.REGRESSED),
        ({"status": "failed", "error": "no memory"}, {}, Verdict.CANNOT_TELL),
        ({"status": "failed", "error": "x"}, {"status": "failed", "error": "x"}, Verdict.CANNOT_TELL),
        ({}, {"valid": False, "warnings": ["not valid: a clock too coarse"]}, Verdict.CANNOT_TELL),
        ({}, {"p50": None}, Verdict.CANNOT_TELL),
        ({}, {}, Verdict.OK),
    ],
)
def test_runs_that_failed_are_doubtful_or_miss_the_figure(
    before: dict[str, Any], after: dict[str, Any], verdict: Verdict
) -> None:
    gate = compared(run("a", **before), run("a", **after), "p50>+5%")
    assert gate.verdict is verdict
    assert bool(gate.runs[0].judgements[0].reason) is (verdict is not Verdict.OK)


def test_the_worst_verdict_counts_and_without_rules_all_is_well() -> None:
    base = [run("a", size=1000), run("b", size=1000)]
    head = [run("a", size=1000), run("b", 2.0, (1.0, 4.0), size=2000)]
    assert compared(base, head).verdict is Verdict.OK
    assert compared(base, head, "p90>+5%").verdict is Verdict.CANNOT_TELL
    assert compared(base, head, "p90>+5%", "size>+2%").verdict is Verdict.REGRESSED


def test_runs_of_one_side_alone_leave_it_open_unless_they_are_allowed() -> None:
    base, head = [run("a"), run("gone")], [run("new"), run("a")]
    gate = compared(base, head, "p50>+5%")
    assert (gate.verdict, gate.only_base, gate.only_head) == (
        Verdict.CANNOT_TELL,
        ("gone on litert",),
        ("new on litert",),
    )
    assert compared(base, head, "p50>+5%", allow=("missing",)).verdict is Verdict.OK
    assert compared(base[:1], head, "p50>+5%").verdict is Verdict.OK  # what is new can have regressed from nothing
    assert compared(run("a"), run("a"), "top1<-1pp", allow=("missing",)).verdict is Verdict.OK
    with pytest.raises(InvalidInput, match="no run in common"):
        compared(run("gone"), run("new"), "p50>+5%", allow=("missing",))


def test_several_runs_of_one_identity_are_refused() -> None:
    with pytest.raises(InvalidInput, match="HEAD has several runs of a on litert"):
        compared(run("a"), [run("a"), run("a", 3.0)])


OTHER_DATA = {"data": {"name": "others", "sha256": "e" * 64}}


@pytest.mark.parametrize(
    ("allowance", "after", "others", "said"),
    [
        ("engine", {"engine_version": "2.4.0"}, {}, "litert was version 2.3.0 and is 2.4.0"),
        ("harness", {"harness_sha256": "c" * 64}, {}, "the measuring program was bbbbbbbbbbbb and is cccccccccccc"),
        ("harness", {"harness_sha256": None}, {}, "the measuring program was bbbbbbbbbbbb and is not told"),
        ("data", {}, OTHER_DATA, "accuracy was counted on photos (dddddddddddd) and is on others (eeeeeeeeeeee)"),
        ("settings", {}, {"settings": {"scenario": "offline"}}, "scenario was single-stream and is offline"),
        (
            "device",
            {},
            {"devices": [{"name": "local", "kind": "local", "cpu": "another"}]},
            "cpu of device local was a and is another",
        ),
    ],
)
def test_what_was_measured_otherwise_is_compared_only_if_that_is_allowed(
    allowance: str, after: dict[str, Any], others: dict[str, Any], said: str
) -> None:
    base, head = run("a", right=900), run("a", right=900, **after)
    with pytest.raises(InvalidInput, match=re.escape(said)) as refusal:
        compared(base, head, others=({}, others))
    assert f"--allow {allowance}" in str(refusal.value)
    assert said in compared(base, head, allow=(allowance,), others=({}, others)).notes[0]


def test_runs_of_other_devices_and_engines_are_paired_where_allowed_and_nothing_is_left_open() -> None:
    base = [run("a", device="pi4"), run("b", device="pi4")]
    head = [run("a", 3.0, device="pi5"), run("b", device="pi5")]
    gate = compared(base, head, allow=("device",))
    assert [one.identity["variant"] for one in gate.runs] == ["a", "b"]
    assert gate.notes[0] == "device pi4 is compared with pi5"
    with pytest.raises(InvalidInput, match=r"no run in common: .* device alone.* --allow device"):
        compared(base, head)
    engines = [run("a"), run("a", engine="tflite")]
    assert len(compared(engines, engines[:1], allow=("engine",)).runs) == 1
    assert compared(engines[:1], engines[1:], allow=("engine",)).notes == ("engine litert is compared with tflite",)


def test_an_unknown_allowance_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'engine'"):
        compared(run("a"), run("a"), allow=("engin",))


def test_data_that_nobody_named_are_not_taken_for_the_same() -> None:
    nameless = {"data": None}
    gate = compared(run("a", right=900), run("a", right=900), others=(nameless, nameless))
    found = gate.runs[0].change("top1")
    assert found is not None
    assert found.note == "on other images, so not image by image"
