"""The store of results: sweeps, the steps they did, and the runs that came of them, in SQLite or PostgreSQL."""

from __future__ import annotations

__all__ = ["RunFilter", "Store", "SweepRecord", "open_store"]

from edge_dwsep.store.records import RunFilter, SweepRecord
from edge_dwsep.store.store import Store, open_store
