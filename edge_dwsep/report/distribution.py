"""How the times of a run are distributed, in the few figures that a drawing needs."""

from __future__ import annotations

__all__ = ["quantiles_of"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from dwsep_runtime.errors import DwsepError
from edge_dwsep.light import QUANTILES, distribution_of


def quantiles_of(record: Mapping[str, Any], p50: float) -> tuple[int, ...]:
    """Quantiles of a run's latency, from 0 to 100 %, in thousandths of its median; none where it does not tell them.

    Args:
        record: of a run, full or light.
        p50: in ms.
    """
    try:
        found = np.asarray(distribution_of(record) or (), np.float64)
    except (DwsepError, TypeError, ValueError, AttributeError, ArithmeticError):
        return ()
    if found.shape != (len(QUANTILES),) or not np.isfinite(found).all():
        return ()
    return tuple(np.rint(1000 * found / p50).astype(np.int64).tolist())
