"""The tables of a store: what a sweep was, what its steps put out, and the runs that came of them.

Optuna and MLflow may share the database, so every table begins with ``dwsep_``.
"""

from __future__ import annotations

__all__ = [
    "HEAD",
    "VERSION_TABLE",
    "artifacts",
    "devices",
    "metadata",
    "run_steps",
    "runs",
    "steps",
    "sweep_runs",
    "sweeps",
]

import json
import zlib
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

HEAD = "0001"
"""The revision that this version of the program reads and writes: the last of the folder ``versions``."""

VERSION_TABLE = "edge_dwsep_version"
"""Not Alembic's own name, which Optuna and MLflow give theirs: they may share the database."""


class Words(TypeDecorator[str]):
    """Text that every database takes: NUL and lone surrogates, which paths and TOML may hold, are written out."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy calls it so
        """Text as it is stored."""
        if value is None:
            return None
        return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


class Packed(TypeDecorator[Any]):
    """JSON values compressed by zlib: raw samples are most of a store."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002  # SQLAlchemy calls it so
        """Values as they are stored."""
        return zlib.compress(json.dumps(value, separators=(",", ":"), allow_nan=False).encode(), 6)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy calls it so
        """Values as they were."""
        return None if value is None else json.loads(zlib.decompress(value))


metadata = MetaData()

sweeps = Table(
    "dwsep_sweeps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Words, nullable=False),
    Column("command", Words, nullable=False),
    Column("status", Text, nullable=False),
    Column("started", Text, nullable=False),
    Column("finished", Text),
    Column("plan", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("data", JSON(none_as_null=True)),
    Column("excluded", JSON, nullable=False),
)
"""``status``: running, done, failed or interrupted. Times are text in UTC, ISO 8601."""

devices = Table(
    "dwsep_devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("emulated", Boolean, nullable=False),
    Column("created", Text, nullable=False),
    Column("facts", JSON, nullable=False),
)
"""``id`` is the hash of ``facts``: a device whose system changed is another row of the same name."""

artifacts = Table(
    "dwsep_artifacts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("file", Words, nullable=False),
    Column("bytes", BigInteger),
    Column("format", Words, nullable=False),
    Column("scheme", Words, nullable=False),
    Column("created", Text, nullable=False),
    Column("facts", JSON, nullable=False),
)

steps = Table(
    "dwsep_steps",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Words, nullable=False),
    Column("device", Words, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("worker", Words, nullable=False),
    Column("created", Text, nullable=False),
    Column("lost", Boolean, nullable=False),
    Column("files", JSON, nullable=False),
    Column("facts", Packed, nullable=False),
)
"""``lost``: its files are gone, so that it must be done again; its facts, samples among them, are kept."""

runs = Table(
    "dwsep_runs",
    metadata,
    Column("key", Text, primary_key=True),
    Column("created", Text, nullable=False),
    Column("device_id", Text, ForeignKey("dwsep_devices.id"), nullable=False),
    Column("artifact_sha256", Text, ForeignKey("dwsep_artifacts.sha256")),
    Column("device", Words, nullable=False),
    Column("emulated", Boolean, nullable=False),
    Column("model", Words, nullable=False),
    Column("variant", Words, nullable=False),
    Column("format", Words, nullable=False),
    Column("scheme", Words, nullable=False),
    Column("engine", Words, nullable=False),
    Column("engine_version", Words),
    Column("threads", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("valid", Boolean, nullable=False),
    Column("error", Words),
    Column("p50_ms", Float),
    Column("p50_low_ms", Float),
    Column("p50_high_ms", Float),
    Column("p90_ms", Float),
    Column("p99_ms", Float),
    Column("top1", Float),
    Column("top1_low", Float),
    Column("top1_high", Float),
    Column("file_bytes", BigInteger),
    Column("peak_bytes", BigInteger),
    Column("instructions", Float),
    Column("record", Text, nullable=False),
)
"""``record``: the run's light record (:mod:`edge_dwsep.light`), JSON in ASCII; the columns are copies to search by."""

run_steps = Table(
    "dwsep_run_steps",
    metadata,
    Column("run_key", Text, ForeignKey("dwsep_runs.key"), primary_key=True),
    Column("step_key", Text, ForeignKey("dwsep_steps.key"), primary_key=True),
    Column("round", Integer, nullable=False),
)

sweep_runs = Table(
    "dwsep_sweep_runs",
    metadata,
    Column("sweep_id", Text, ForeignKey("dwsep_sweeps.id"), primary_key=True),
    Column("run_key", Text, ForeignKey("dwsep_runs.key"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("reused", Boolean, nullable=False),
)

Index("dwsep_runs_created", runs.c.created)
Index("dwsep_runs_artifact", runs.c.artifact_sha256)
Index("dwsep_steps_recent", steps.c.created, steps.c.kind, steps.c.device, steps.c.seconds)
Index("dwsep_run_steps_step", run_steps.c.step_key)
Index("dwsep_sweep_runs_run", sweep_runs.c.run_key)
