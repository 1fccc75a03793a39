"""Rows of the tables from records as results.json has them, and back."""

from __future__ import annotations

__all__ = ["artifact_row", "device_row", "run_row"]

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from edge_dwsep.light import light
from edge_dwsep.store.records import now


def device_row(device: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``devices``; its id is the hash of all that is known of the device."""
    facts = json.dumps(dict(device), sort_keys=True)
    return {
        "id": hashlib.sha256(facts.encode()).hexdigest(),
        "name": device["name"],
        "kind": str(device.get("kind", "")),
        "emulated": bool(device.get("emulated")),
        "created": now(),
        "facts": dict(device),
    }


def artifact_row(artifact: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``artifacts``; of ``artifact`` only ``sha256`` must be known."""
    return {
        "sha256": artifact["sha256"],
        "file": str(artifact.get("file", "")),
        "bytes": artifact.get("bytes"),
        "format": str(artifact.get("format", "")),
        "scheme": str(artifact.get("scheme", "")),
        "created": now(),
        "facts": dict(artifact),
    }


def run_row(key: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of ``runs`` that a record decides, the record itself in its light form among them."""
    latency, accuracy = record.get("latency") or {}, record.get("accuracy") or {}
    p50_low, p50_high = latency.get("p50_interval_ms") or (None, None)
    top1_low, top1_high = accuracy.get("top1_interval") or (None, None)
    kept = {name: value for name, value in light(record).items() if name not in {"id", "reused"}}
    return {
        "key": key,
        "created": now(),
        "device": record["device"],
        "emulated": bool(record.get("emulated")),
        **{name: str(record.get(name, "")) for name in ("model", "variant", "format", "scheme", "engine")},
        "engine_version": record.get("engine_version"),
        "threads": record.get("threads") or 1,
        "batch": record.get("batch") or 1,
        "status": record["status"],
        "valid": bool(record.get("valid")),
        "error": record.get("error"),
        **{f"p{q}_ms": latency.get(f"p{q}_ms") for q in (50, 90, 99)},
        "p50_low_ms": p50_low,
        "p50_high_ms": p50_high,
        "top1": accuracy.get("top1"),
        "top1_low": top1_low,
        "top1_high": top1_high,
        "file_bytes": record.get("file_bytes"),
        "peak_bytes": (record.get("memory") or {}).get("peak_bytes"),
        "instructions": (record.get("cost") or {}).get("per_inference"),
        "record": json.dumps(kept, separators=(",", ":"), allow_nan=False),
    }
