"""Which variant ships: Pareto front, constraints and a recommendation, with the uncertainty of what was measured."""

from __future__ import annotations

__all__ = ["DEFAULT_OBJECTIVES", "OBJECTIVES", "Choice", "Constraints", "DeviceChoice", "choose", "run_name"]

from edge_dwsep.choice.choose import Choice, DeviceChoice, choose
from edge_dwsep.choice.constraints import Constraints
from edge_dwsep.choice.names import run_name
from edge_dwsep.choice.objectives import DEFAULT_OBJECTIVES, OBJECTIVES
