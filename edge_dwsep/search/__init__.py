"""Search for the Pareto front of a space of variants that is too large to measure all of it."""

from __future__ import annotations

from edge_dwsep.search.runs import search_runs
from edge_dwsep.search.space import Axis, Point, Space
from edge_dwsep.search.study import Objectives, SearchResult, SpaceStudy, StudySettings, Tried, search

__all__ = [
    "Axis",
    "Objectives",
    "Point",
    "SearchResult",
    "Space",
    "SpaceStudy",
    "StudySettings",
    "Tried",
    "search",
    "search_runs",
]
