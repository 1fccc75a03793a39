"""How good a front a search finds with a quarter of the measurements: on 200 points that were all measured, replayed.

    python -m tests.benchmarks.search [--strategies ours,random,tpe,nsga2]

``search_grid.json`` holds every point of a space measured in several rounds. A search is shown the values of one round,
as it would have measured them. Its front and the full grid's front by that very round are then judged by the other
rounds' medians, so that neither profits from the luck of what chose it: by the hypervolume that they dominate, and by
how many points of the grid's front the search has an equal of: a point of its own front that is worse in no objective
by more than the intervals leave open. The peer is random search with as many measurements. As good as the grid is what
matches as many of its points as the front of the whole grid does when all of it is measured once more. Intervals of
accuracy are those of networks on their own, not paired by image, so they leave 2 points open; "the very points" is how
many of the grid's front were measured and kept themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.percentiles import student_t
from edge_dwsep.search import Point, StudySettings, search
from edge_dwsep.search.fronts import hypervolume, non_dominated
from edge_dwsep.search.space import Space
from tests.benchmarks.figures import HEADER, show, tell

GRID = Path(__file__).with_name("search_grid.json")
AXES = ("alpha", "resolution", "recipe", "engine", "threads")
TRIALS = 50
SEEDS = range(20)
OBJECTIVES = {
    "top1, p50": ("top1", "p50_ms"),
    "top1, p50, size": ("top1", "p50_ms", "bytes"),
}
DIRECTIONS = {"top1": "maximize", "p50_ms": "minimize", "bytes": "minimize"}


class Grid:
    """The measured space, with less better in every objective: misses, and logarithms of latency and size."""

    def __init__(self, rows: Sequence[dict[str, Any]], objectives: Sequence[str]) -> None:
        self.points: list[Point] = [{axis: row[axis] for axis in AXES} for row in rows]
        self.space = Space.of(self.points)
        self.objectives = objectives
        self.rows = rows
        self.rounds = len(rows[0]["p50_ms"])

    def measured(self, index: int, round_: int) -> list[float]:
        """What a search is shown."""
        row = self.rows[index]
        return [row[name][round_] if name == "p50_ms" else row[name] for name in self.objectives]

    def losses(self, rounds: Sequence[int]) -> NDArray[np.float64]:
        """Of every point by the median of rounds, (points, objectives)."""
        columns = []
        for name in self.objectives:
            if name == "p50_ms":
                columns.append([math.log(statistics.median(row[name][one] for one in rounds)) for row in self.rows])
            elif name == "bytes":
                columns.append([math.log(row[name]) for row in self.rows])
            else:
                columns.append([1 - row[name] for row in self.rows])
        return np.array(columns).T

    def half_widths(self, rounds: Sequence[int]) -> NDArray[np.float64]:
        """What the intervals leave open of each loss: Student's over rounds for latency, Wilson's for accuracy."""
        columns = []
        for name in self.objectives:
            if name == "p50_ms":
                logs = [[math.log(row[name][one]) for one in rounds] for row in self.rows]
                factor = student_t(len(rounds) - 1) / math.sqrt(len(rounds))
                columns.append([factor * statistics.stdev(one) for one in logs])
            elif name == "top1":
                columns.append([(row["top1_interval"][1] - row["top1_interval"][0]) / 2 for row in self.rows])
            else:
                columns.append([0.0] * len(self.rows))
        return np.array(columns).T


def front(losses: NDArray[np.float64], among: Sequence[int]) -> list[int]:
    return [index for index, kept in zip(among, non_dominated(losses[list(among)]), strict=True) if kept]


def judged(grid: Grid, chosen: Sequence[int], round_: int, other: int | None = None) -> dict[str, float]:
    """How chosen points compare with the whole grid, both having seen one round, or the chosen ones another."""
    seen = grid.losses([round_])
    others = [one for one in range(grid.rounds) if one not in {round_, other}]
    truth, open_ = grid.losses(others), grid.half_widths(others)
    ours = front(seen if other is None else grid.losses([other]), chosen)
    all_ = front(seen, range(len(seen)))
    worst = truth.max(axis=0) + 0.05 * (truth.max(axis=0) - truth.min(axis=0))
    matched = sum(
        any((truth[mine] - truth[theirs] <= np.hypot(open_[mine], open_[theirs]) + 1e-12).all() for mine in ours)
        for theirs in all_
    )
    return {
        "volume": hypervolume(truth[ours], worst) / hypervolume(truth[all_], worst),
        "matched": matched / len(all_),
        "found": len(set(ours) & set(all_)) / len(all_),
        "front": len(all_),
    }


Strategy = Callable[[Grid, int, int], list[int]]


def ours(grid: Grid, seed: int, round_: int) -> list[int]:
    """The search as a sweep runs it."""
    places = {json.dumps(point): index for index, point in enumerate(grid.points)}
    chosen: list[int] = []

    def measure(points: Sequence[Point]) -> list[list[float]]:
        indices = [places[json.dumps({axis: point[axis] for axis in AXES})] for point in points]
        chosen.extend(indices)
        return [grid.measured(index, round_) for index in indices]

    directions = [DIRECTIONS[name] for name in grid.objectives]
    search(grid.points, measure, TRIALS, directions=directions, settings=StudySettings(seed=seed))
    return chosen


def random_points(grid: Grid, seed: int, round_: int) -> list[int]:
    """Points at random, none twice."""
    return [int(index) for index in np.random.default_rng(seed).permutation(len(grid.points))[:TRIALS]]


def with_sampler(make: Callable[[int], Any]) -> Strategy:
    """A sampler of Optuna's own, told what repeats and lies outside of the space free of charge."""

    def run(grid: Grid, seed: int, round_: int) -> list[int]:
        import optuna

        from edge_dwsep.search.sampler import distributions_of

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = [optuna.study.StudyDirection[DIRECTIONS[name].upper()] for name in grid.objectives]
        study = optuna.create_study(directions=directions, sampler=make(seed))
        distributions, repeats = distributions_of(grid.space), 0
        chosen: list[int] = []
        rng = np.random.default_rng(seed)
        while len(chosen) < TRIALS:
            if repeats > 20:
                left = [index for index in range(len(grid.points)) if index not in chosen]
                study.enqueue_trial(dict(grid.points[int(rng.choice(left))]))
            trial = study.ask(distributions)
            index = grid.space.index(trial.params)
            if index is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                repeats += 1
                continue
            study.tell(trial, grid.measured(index, round_))
            repeats = repeats + 1 if index in chosen else 0
            if index not in chosen:
                chosen.append(index)
        return chosen

    return run


def tpe(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


def nsga2(seed: int) -> Any:
    import optuna

    return optuna.samplers.NSGAIISampler(seed=seed, population_size=10)


STRATEGIES: dict[str, Strategy] = {
    "ours": ours,
    "random": random_points,
    "tpe": with_sampler(tpe),
    "nsga2": with_sampler(nsga2),
}


def replayed(grid: Grid, name: str) -> list[dict[str, float]]:
    started = time.perf_counter()
    told = [judged(grid, STRATEGIES[name](grid, seed, seed % grid.rounds), seed % grid.rounds) for seed in SEEDS]
    say(f"{', '.join(grid.objectives)}, {name} ({(time.perf_counter() - started) / len(SEEDS):.1f} s a search)", told)
    return told


def say(what: str, told: Sequence[dict[str, float]]) -> None:
    means = {key: statistics.mean(one[key] for one in told) for key in told[0]}
    least = {key: min(one[key] for one in told) for key in told[0]}
    print(
        f"{what}: volume {means['volume']:.4f} (least {least['volume']:.4f}), matched {means['matched']:.3f} "
        f"(least {least['matched']:.3f}), the very points {means['found']:.3f} of {means['front']:.1f}",
        file=sys.stderr,
        flush=True,
    )


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategies", default="ours,random")
    parser.add_argument("--grid", type=Path, default=GRID)
    arguments = parser.parse_args()
    rows = json.loads(arguments.grid.read_text())["points"]
    print(HEADER)
    met = []
    for title, objectives in OBJECTIVES.items():
        grid = Grid(rows, objectives)
        told = {name: replayed(grid, name) for name in arguments.strategies.split(",")}
        everything = range(len(rows))
        again = [
            judged(grid, everything, one, other)
            for one in range(grid.rounds)
            for other in range(grid.rounds)
            if one != other
        ]
        say(f"{title}, whole grid again", again)
        for name, searches in told.items():
            volume = statistics.mean(one["volume"] for one in searches)
            tell(f"hypervolume beside the grid's, {title}, {name}", f"{volume:.4f}")
        mine, peer = (statistics.mean(one["matched"] for one in told[name]) for name in ("ours", "random"))
        goal = statistics.mean(one["matched"] for one in again)
        what = f"points of the grid's front matched, {title}"
        met.append(show(what, f"{mine:.4f}", f"{peer:.4f}", mine / peer, f"ours >= {goal:.4f}", met=mine >= goal))
    return all(met)


if __name__ == "__main__":
    sys.exit(not main())
