"""The front of points known by intervals: what must hold of any points, and circles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_dwsep.choice import front as front_module
from edge_dwsep.choice.front import IntervalScale, kernel

Interval = tuple[float, float]
Point = tuple[Interval, ...]


def intervals() -> st.SearchStrategy[Interval]:
    return st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda pair: (float(pair[0]), float(sum(pair))))


def points(objectives: int = 3) -> st.SearchStrategy[list[Point]]:
    return st.lists(st.tuples(*[intervals()] * objectives), min_size=1, max_size=14)


def scales(given_points: Sequence[Point]) -> list[IntervalScale]:
    columns = np.array(given_points, np.float64).transpose(1, 2, 0)
    return [IntervalScale(low, high) for low, high in columns]


def dominates(one: Point, other: Point) -> bool:
    better = [own[1] < theirs[0] for own, theirs in zip(one, other, strict=True)]
    worse = [theirs[1] < own[0] for own, theirs in zip(one, other, strict=True)]
    return any(better) and not any(worse)


def front_of(given_points: Sequence[Point]) -> list[int]:
    return kernel(len(given_points), scales(given_points))[0]


@given(points())
def test_the_front_is_never_empty_and_every_other_point_is_dominated_by_one_on_it(some: list[Point]) -> None:
    front, dominated = kernel(len(some), scales(some))
    assert front
    assert sorted([*front, *dominated]) == list(range(len(some)))
    for point, by in dominated.items():
        assert by in front
        assert dominates(some[by], some[point])


@given(points())
def test_points_of_the_front_dominate_one_another_only_in_circles(some: list[Point]) -> None:
    front = front_of(some)
    for start in front:
        for by in front:
            if dominates(some[by], some[start]):
                reached, edge = {start}, [start]
                while edge:
                    here = edge.pop()
                    for other in front:
                        if other not in reached and dominates(some[here], some[other]):
                            reached.add(other)
                            edge.append(other)
                assert by in reached


@given(points(), st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(some: list[Point], random: object) -> None:
    order = list(range(len(some)))
    random.shuffle(order)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert sorted(order[point] for point in front_of([some[index] for index in order])) == front_of(some)


@given(points())
def test_the_unit_of_a_figure_does_not_matter(some: list[Point]) -> None:
    stretched = [tuple((3 * low + 7, 3 * high + 7) for low, high in point) for point in some]
    bent = [tuple((low**3, high**3) for low, high in point) for point in some]
    assert front_of(stretched) == front_of(bent) == front_of(some)


@given(points())
def test_a_larger_figure_is_better_where_that_is_said(some: list[Point]) -> None:
    columns = np.array(some, np.float64).transpose(1, 2, 0)
    turned = [IntervalScale(-high, -low, larger_is_better=True) for low, high in columns]
    assert kernel(len(some), turned)[0] == front_of(some)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_exact_figures_give_the_textbook_front(some: list[tuple[int, int]]) -> None:
    expected = [
        index for index, (x, y) in enumerate(some) if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in some)
    ]
    assert front_of([((x, x), (y, y)) for x, y in some]) == expected


@given(points())
def test_points_of_which_nothing_is_known_are_all_on_the_front(some: list[Point]) -> None:
    unknown: list[Point] = [((-np.inf, np.inf),) * 3 for _ in some]
    assert front_of(unknown) == list(range(len(some)))


@given(points(2))
def test_a_point_that_no_other_dominates_stays_when_it_may_be_better_still(some: list[Point]) -> None:
    free = [index for index, point in enumerate(some) if not any(dominates(other, point) for other in some)]
    for index in free:
        better = [*some]
        better[index] = tuple((low - 1, high) for low, high in some[index])
        assert index in front_of(better)


ROUND: list[Point] = [
    ((0, 1), (0, 9), (5, 9)),
    ((5, 6), (0, 1), (0, 9)),
    ((0, 9), (5, 6), (0, 1)),
]
"""Each dominates the next, for the third figures overlap where they would say otherwise."""


def test_points_in_a_circle_all_stay_and_what_they_dominate_goes() -> None:
    some = [*ROUND, ((20, 21), (20, 21), (20, 21))]
    assert [dominates(some[at], some[(at + 1) % 3]) for at in range(3)] == [True, True, True]
    front, dominated = kernel(4, scales(some))
    assert front == [0, 1, 2]
    assert list(dominated) == [3]


def test_a_circle_that_another_point_dominates_goes_as_a_whole() -> None:
    some = [*ROUND, ((-9, -8), (-9, -8), (-9, -8))]
    assert front_of(some) == [3]


def test_what_only_a_dominated_point_dominates_is_on_the_front() -> None:
    best: Point = ((0, 1), (5, 9))
    middle: Point = ((2, 3), (5, 6))
    wide: Point = ((0.5, 9), (7, 8))
    assert dominates(best, middle)
    assert dominates(middle, wide)
    assert not dominates(best, wide)
    assert front_of([best, middle, wide]) == [0, 2]


@settings(max_examples=30)
@given(points())
def test_comparing_in_small_parts_gives_the_same_front(some: list[Point]) -> None:
    whole = kernel(len(some), scales(some))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(front_module, "CHUNK", 3)
        assert kernel(len(some), scales(some)) == whole
