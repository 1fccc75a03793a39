"""Runs as rows of one table, as spreadsheets and data frames take them."""

from __future__ import annotations

__all__ = ["COLUMNS", "flat"]

from collections.abc import Mapping
from typing import Any

COLUMNS: dict[str, type] = {
    "id": str,
    "measured": str,
    "device": str,
    "emulated": bool,
    "model": str,
    "variant": str,
    "format": str,
    "scheme": str,
    "engine": str,
    "engine_version": str,
    "threads": int,
    "batch": int,
    "status": str,
    "valid": bool,
    "error": str,
    "warnings": str,
    "samples": int,
    **{f"p{q}_{end}": float for q in (50, 90, 95, 99) for end in ("ms", "low_ms", "high_ms")},
    **{f"top{k}{end}": float for k in (1, 5) for end in ("", "_low", "_high")},
    "images": int,
    "agreement": float,
    "agreement_low": float,
    "agreement_high": float,
    "file": str,
    "file_bytes": int,
    "peak_bytes": int,
    "instructions": int,
    "sha256": str,
    "manifest_sha256": str,
    "harness_sha256": str,
}
"""Columns and their types. ``_low`` and ``_high`` end 95 % intervals, latencies are in ms, shares 0 to 1, times UTC."""


def flat(record: Mapping[str, Any], measured: str) -> dict[str, Any]:
    """A run's record as one row; None where the run has no such figure.

    Args:
        record: of results.json, light or full.
        measured: when it was kept.
    """
    latency, accuracy = record.get("latency") or {}, record.get("accuracy") or {}
    agreement = record.get("agreement") or {}
    row: dict[str, Any] = {name: record.get(name) for name in COLUMNS}
    row.update(
        measured=measured,
        warnings="; ".join(record.get("warnings") or ()),
        samples=latency.get("count"),
        images=accuracy.get("count"),
        agreement=agreement.get("top1"),
        peak_bytes=(record.get("memory") or {}).get("peak_bytes"),
        instructions=(record.get("cost") or {}).get("per_inference"),
    )
    row["agreement_low"], row["agreement_high"] = agreement.get("interval") or (None, None)
    for q in (50, 90, 95, 99):
        row[f"p{q}_ms"] = latency.get(f"p{q}_ms")
        row[f"p{q}_low_ms"], row[f"p{q}_high_ms"] = latency.get(f"p{q}_interval_ms") or (None, None)
    for k in (1, 5):
        row[f"top{k}"] = accuracy.get(f"top{k}")
        row[f"top{k}_low"], row[f"top{k}_high"] = accuracy.get(f"top{k}_interval") or (None, None)
    return row
