import itertools
import math
import subprocess
import sys

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.errors import DwsepError, InvalidInput
from edge_dwsep.errors import StoreError
from edge_dwsep.search import Point, Space, SpaceStudy, StudySettings, search
from edge_dwsep.search.effects import fit_effects, straightened
from edge_dwsep.search.fronts import hypervolume, non_dominated
from edge_dwsep.search.propose import first_points, next_points
from edge_dwsep.search.sampler import FrontSampler

ALPHAS, SIDES, THREADS = (0.25, 0.5, 1.0), (96, 128, 160), (1, 2, 4)
COMBINATIONS = (("w8a8", "litert"), ("float32", "litert"), ("float32", "onnxruntime"))
POINTS: list[Point] = [
    {"alpha": alpha, "resolution": side, "recipe": recipe, "engine": engine, "threads": threads}
    for alpha, side, (recipe, engine), threads in itertools.product(ALPHAS, SIDES, COMBINATIONS, THREADS)
]
DIRECTIONS = ("maximize", "minimize")


def values(point):
    """Accuracy and latency as they are made: effects that multiply, and one scheme that is fast on one engine alone."""
    quick = 0.5 if point["recipe"] == "w8a8" else 1.0
    slow = 1.3 if point["engine"] == "onnxruntime" else 1.0
    latency = point["alpha"] ** 1.8 * (point["resolution"] / 96) ** 2 * quick * slow / point["threads"] ** 0.6
    misses = 0.2 * point["alpha"] ** -0.3 * (96 / point["resolution"]) ** 0.4 + (0.004 if quick < 1 else 0)
    return [1 - misses, latency]


def measure(points):
    return [values(point) for point in points]


def losses(points):
    return np.array([[1 - top1, latency] for top1, latency in map(values, points)])


def key(point):
    return tuple(sorted(point.items()))


# Fronts


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([[1, 2], [2, 1]], [True, True]),
        ([[1, 1], [1, 2]], [True, False]),
        ([[1, 1], [1, 1]], [True, True]),
        ([[2, 2], [1, 1], [1, 3]], [False, True, False]),
        ([[3]], [True]),
    ],
)
def test_what_no_other_point_dominates_is_the_front(points, kept):
    assert non_dominated(np.array(points, float)).tolist() == kept


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([[0.5]], [2], 1.5),
        ([[1, 1]], [3, 3], 4),
        ([[1, 2], [2, 1]], [3, 3], 3),
        ([[0, 0, 0]], [1, 2, 3], 6),
        ([[0, 0, 1], [1, 1, 0]], [2, 2, 2], 4 + 1),
        ([[4, 4]], [3, 3], 0),
    ],
)
def test_the_volume_that_points_dominate(points, reference, volume):
    assert hypervolume(np.array(points, float), np.array(reference, float)) == pytest.approx(volume)


small = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=8)


@given(small)
def test_the_volume_is_the_number_of_unit_cubes_that_points_dominate(points):
    cubes = {
        cube for cube in itertools.product(range(7), repeat=3) for point in points if all(map(int.__ge__, cube, point))
    }
    assert hypervolume(np.array(points, float), np.full(3, 7.0)) == pytest.approx(len(cubes))


@given(small)
def test_the_front_dominates_as_much_as_all_points(points):
    everything, reference = np.array(points, float), np.full(3, 7.0)
    assert hypervolume(everything[non_dominated(everything)], reference) == hypervolume(everything, reference)


# Spaces


def test_axes_are_those_of_the_points_with_numbers_in_order():
    space = Space.of([{"threads": 4, "engine": "tflite"}, {"threads": 1, "engine": "litert"}])
    assert [(axis.name, axis.values, axis.ordered) for axis in space.axes] == [
        ("threads", (1, 4), True),
        ("engine", ("tflite", "litert"), False),
    ]
    assert space.levels.tolist() == [[1, 0], [0, 1]]
    assert space.index({"engine": "litert", "threads": 1}) == 1
    assert space.index({"engine": "litert", "threads": 4}) is None


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "no points were given"),
        ([{"a": 1}, {"a": 1}], "given twice"),
        ([{"a": 1}, {"b": 1}], "the same axes"),
        ([{"a": True}], "received True on a"),
        ([{"a": math.nan}], "received nan on a"),
    ],
)
def test_what_is_no_space_is_refused(points, message):
    with pytest.raises(InvalidInput, match=message):
        Space.of(points)


# Effects


def test_effects_are_found_from_a_quarter_of_the_points():
    space = Space.of(POINTS)
    tried = np.array(first_points(space, 20, [], np.ones(81, bool), np.random.default_rng(0)), np.int64)
    latency = np.log([values(point)[1] for point in POINTS])
    effects = fit_effects(space, tried, latency[tried])
    others = np.setdiff1d(np.arange(81), tried)
    error = effects.mean[others] - latency[others]
    assert np.sqrt((error**2).mean()) < 0.1 * latency.std()
    assert (np.abs(error) < 4 * effects.deviation[others] + 3 * effects.noise).mean() > 0.9
    assert effects.covariance(others).shape == (len(others), len(others))


def test_what_never_changes_is_believed_to_stay():
    space = Space.of(POINTS)
    effects = fit_effects(space, np.arange(5, dtype=np.int64), np.full(5, 3.0))
    assert effects.mean == pytest.approx(np.full(81, 3.0))
    assert not effects.deviation.any()


@pytest.mark.parametrize(
    ("column", "maximize"),
    [([0.1, 0.5, 0.9], True), ([0.1, 5.0, 90.0], True), ([0.1, 5.0, 90.0], False), ([-1.0, 0.0, 2.0], False)],
)
def test_straightening_keeps_the_order_and_makes_less_better(column, maximize):
    order = np.argsort(straightened(np.array(column), maximize=maximize))
    assert order.tolist() == ([2, 1, 0] if maximize else [0, 1, 2])


# Proposals


def test_the_first_points_show_every_value_evenly():
    space = Space.of(POINTS)
    chosen = first_points(space, 18, [], np.ones(81, bool), np.random.default_rng(3))
    assert len(set(chosen)) == 18
    for axis in (0, 1, 4):
        assert np.bincount(space.levels[chosen, axis]).tolist() == [6, 6, 6]


def test_what_is_not_allowed_is_not_proposed():
    space, rng = Space.of(POINTS), np.random.default_rng(0)
    allowed = np.zeros(81, bool)
    allowed[[3, 70]] = True
    assert sorted(first_points(space, 5, [], allowed, rng)) == [3, 70]
    tried = np.arange(10, 30, dtype=np.int64)
    measured = np.array([values(POINTS[index]) for index in tried])
    assert sorted(next_points(space, 5, tried, measured, [True, False], allowed, rng)) == [3, 70]
    assert next_points(space, 5, tried, measured, [True, False], np.zeros(81, bool), rng) == []


def test_a_space_too_large_to_be_drawn_together_is_cut_to_what_looks_best():
    points = [{"a": first, "b": second} for first in range(1, 31) for second in range(1, 21)]
    space = Space.of(points)
    tried = np.array(first_points(space, 30, [], np.ones(600, bool), np.random.default_rng(0)), np.int64)
    measured = np.array([[points[index]["a"], points[index]["b"] ** 2] for index in tried], float)
    allowed = np.isin(np.arange(600), tried, invert=True)
    best = next_points(space, 4, tried, measured, [False, False], allowed, np.random.default_rng(0))
    assert all(points[index]["a"] + points[index]["b"] < 10 for index in best)


# Searches


def test_a_third_of_the_points_holds_nearly_all_that_the_front_dominates():
    result = search(POINTS, measure, 27, directions=DIRECTIONS)
    assert len(result.tried) == 27
    assert len({key(one.point) for one in result.tried}) == 27
    everything, reference = losses(POINTS), losses(POINTS).max(axis=0) * 1.05
    found = losses([one.point for one in result.front])
    assert hypervolume(found, reference) > 0.99 * hypervolume(everything, reference)


@pytest.mark.parametrize(("trials", "expected"), [(1, 1), (2, 2), (5, 5), (100, 9)])
def test_as_many_are_measured_as_asked_for_or_as_there_are(trials, expected):
    result = search(POINTS[:9], measure, trials, directions=DIRECTIONS)
    assert len({key(one.point) for one in result.tried}) == len(result.tried) == expected
    assert result.points == 9


def test_the_front_of_what_was_tried_is_told():
    result = search(POINTS[:27], measure, 27, directions=DIRECTIONS)
    tried = losses([one.point for one in result.tried])
    expected = [one for one, kept in zip(result.tried, non_dominated(tried), strict=True) if kept]
    assert list(result.front) == expected


def test_points_that_failed_count_and_are_not_tried_again():
    def failing(points):
        return [None if point["recipe"] == "w8a8" else values(point) for point in points]

    result = search(POINTS, failing, 30, directions=DIRECTIONS)
    failed = [one for one in result.tried if one.values is None]
    assert len({key(one.point) for one in result.tried}) == len(result.tried) == 30
    assert failed
    assert all(one.point["recipe"] == "w8a8" for one in failed)
    assert all(one.values is not None for one in result.front)


def test_a_search_of_which_all_points_fail_ends_without_a_front():
    result = search(POINTS, lambda points: [None] * len(points), 12, directions=DIRECTIONS)
    assert len(result.tried) == 12
    assert result.front == ()


def test_equal_seeds_choose_equal_points():
    first, again, other = (
        search(POINTS, measure, 20, directions=DIRECTIONS, settings=StudySettings(seed=seed)) for seed in (1, 1, 2)
    )
    assert first.tried == again.tried
    assert first.tried != other.tried


def test_another_sampler_can_be_given():
    made = []

    def backwards(space):
        class Backwards(FrontSampler):
            def next_index(self, study, trials):  # noqa: ARG002
                return len(self.space.points) - 1 - len(trials)

        made.append(Backwards(space, 0, 1))
        return made[0]

    result = search(POINTS, measure, 5, directions=DIRECTIONS, settings=StudySettings(sampler=backwards))
    assert [one.point for one in result.tried] == POINTS[:-6:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "trials must be a whole number of at least 1, received 0"),
        ({"trials": True}, "trials must be"),
        ({"directions": ["up"]}, "directions must be minimize or maximize"),
        ({"directions": []}, "directions must be"),
        ({"settings": StudySettings(batch=0)}, "batch must be"),
    ],
)
def test_a_setting_out_of_range_is_refused(change, message):
    arguments = {"trials": 3, "directions": DIRECTIONS, **change}
    with pytest.raises(InvalidInput, match=message):
        search(POINTS, measure, **arguments)


def test_too_few_answers_are_refused():
    with pytest.raises(InvalidInput, match="gave 1 answers; give one for each"):
        search(POINTS, lambda points: [values(points[0])], 20, directions=DIRECTIONS)


# Studies in a database


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'results of mine.sqlite'}"


def test_a_search_that_was_interrupted_goes_on_as_it_would_have(storage):
    settings = StudySettings(storage=storage, seed=4)
    kept: list[object] = []

    def interrupted(points):
        if len(kept) >= 8:
            raise KeyboardInterrupt
        kept.extend(map(key, points))
        return measure(points)

    with pytest.raises(KeyboardInterrupt):
        search(POINTS, interrupted, 14, directions=DIRECTIONS, settings=settings)
    done = len(kept)
    later: list[object] = []

    def going_on(points):
        later.extend(map(key, points))
        return measure(points)

    result = search(POINTS, going_on, 14, directions=DIRECTIONS, settings=settings)
    assert not set(kept[:done]) & set(later)
    assert len(kept) + len(later) == 14
    whole = search(POINTS, measure, 14, directions=DIRECTIONS, settings=StudySettings(seed=4))
    assert [one.point for one in result.tried] == [one.point for one in whole.tried]


def test_a_search_that_ended_measures_nothing_again_and_more_trials_go_on(storage):
    settings = StudySettings(storage=storage)
    first = search(POINTS, measure, 6, directions=DIRECTIONS, settings=settings)
    again = search(POINTS, lambda points: pytest.fail("measured"), 6, directions=DIRECTIONS, settings=settings)
    more = search(POINTS, measure, 8, directions=DIRECTIONS, settings=settings)
    assert again == first
    assert len(more.tried) == 8


def test_a_trial_without_a_point_is_ended_and_not_counted(storage):
    settings = StudySettings(storage=storage)
    search(POINTS, measure, 4, directions=DIRECTIONS, settings=settings)
    study = optuna.load_study(study_name="search", storage=storage)
    study.ask()
    result = search(POINTS, measure, 5, directions=DIRECTIONS, settings=settings)
    assert len(result.tried) == 5
    states = [trial.state.name for trial in optuna.load_study(study_name="search", storage=storage).trials]
    assert states.count("FAIL") == 1
    assert "RUNNING" not in states


@pytest.mark.parametrize(
    ("points", "directions"), [(POINTS[:80], DIRECTIONS), (POINTS, ("minimize", "minimize")), (POINTS, ("minimize",))]
)
def test_a_study_of_another_space_is_refused(storage, points, directions):
    settings = StudySettings(storage=storage, name="mine")
    SpaceStudy(POINTS[:79], 5, directions=DIRECTIONS, settings=settings).close()
    if directions == DIRECTIONS:
        points = [{**point, "threads": point["threads"] + 1} for point in points]
    with pytest.raises(InvalidInput, match="study 'mine' in the store searches other"):
        SpaceStudy(points, 5, directions=directions, settings=settings)


def test_studies_of_one_database_are_apart(storage):
    for name in ("one", "'; DROP TABLE studies; --"):
        settings = StudySettings(storage=storage, name=name)
        assert len(search(POINTS, measure, 3, directions=DIRECTIONS, settings=settings).tried) == 3
    assert len(optuna.get_all_study_names(storage)) == 2


def test_a_database_that_is_none_is_told_in_one_line(tmp_path):
    file = tmp_path / "results.sqlite"
    file.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match="is no SQLite database") as told:
        SpaceStudy(POINTS, 5, directions=DIRECTIONS, settings=StudySettings(storage=f"sqlite:///{file}"))
    assert "\n" not in str(told.value)


def test_optuna_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DwsepError, match=r"pip install 'edge-dwsep\[search\]'"):
        search(POINTS, measure, 3, directions=DIRECTIONS)


def test_the_package_is_imported_without_optuna_and_sqlalchemy():
    code = "import sys, edge_dwsep.search; print([name for name in ('optuna', 'sqlalchemy') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
