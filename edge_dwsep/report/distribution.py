"""How the times of a run are distributed, from all of its samples or from the quantiles that are kept of them."""

from __future__ import annotations

__all__ = ["QUANTILES", "quantiles_of"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import DwsepError

QUANTILES = 41
"""0, 2.5, ... 100 %."""

MILLISECOND = 1e6
"""In nanoseconds."""


def quantiles_of(latency: Mapping[str, Any], p50: float) -> tuple[int, ...]:
    """The quantiles of a run's latency in thousandths of its median; none where the results do not tell them.

    Args:
        latency: ``distribution_ms`` of it is taken, or else ``samples_ns``.
        p50: in ms.
    """
    kept = latency.get("distribution_ms")
    if isinstance(kept, Sequence) and len(kept) == QUANTILES:
        try:
            found = np.asarray(kept, np.float64)
        except (TypeError, ValueError):
            return ()
    else:
        try:
            samples = decode_array(latency["samples_ns"])
            found = np.quantile(samples, np.linspace(0, 1, QUANTILES)) / MILLISECOND
        except (DwsepError, KeyError, TypeError, ValueError, IndexError, ArithmeticError):
            return ()
    if not np.isfinite(found).all():
        return ()
    return tuple(np.rint(1000 * found / p50).astype(np.int64).tolist())
