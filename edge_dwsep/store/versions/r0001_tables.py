"""The first tables."""

from __future__ import annotations

__all__ = ["down_revision", "revision", "upgrade"]

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of an empty store."""
    op.create_table(
        "dwsep_sweeps",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started", sa.Text, nullable=False),
        sa.Column("finished", sa.Text),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("data", sa.JSON),
        sa.Column("excluded", sa.JSON, nullable=False),
    )
    op.create_table(
        "dwsep_devices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("emulated", sa.Boolean, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
    )
    op.create_table(
        "dwsep_artifacts",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("scheme", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
    )
    op.create_table(
        "dwsep_steps",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("lost", sa.Boolean, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("facts", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "dwsep_runs",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, sa.ForeignKey("dwsep_devices.id"), nullable=False),
        sa.Column("artifact_sha256", sa.Text, sa.ForeignKey("dwsep_artifacts.sha256")),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("emulated", sa.Boolean, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("scheme", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("engine_version", sa.Text),
        sa.Column("threads", sa.Integer, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("valid", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("p50_ms", sa.Float),
        sa.Column("p50_low_ms", sa.Float),
        sa.Column("p50_high_ms", sa.Float),
        sa.Column("p90_ms", sa.Float),
        sa.Column("p99_ms", sa.Float),
        sa.Column("top1", sa.Float),
        sa.Column("top1_low", sa.Float),
        sa.Column("top1_high", sa.Float),
        sa.Column("file_bytes", sa.BigInteger),
        sa.Column("peak_bytes", sa.BigInteger),
        sa.Column("instructions", sa.Float),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "dwsep_run_steps",
        sa.Column("run_key", sa.Text, sa.ForeignKey("dwsep_runs.key"), primary_key=True),
        sa.Column("step_key", sa.Text, sa.ForeignKey("dwsep_steps.key"), primary_key=True),
        sa.Column("round", sa.Integer, nullable=False),
    )
    op.create_table(
        "dwsep_sweep_runs",
        sa.Column("sweep_id", sa.Text, sa.ForeignKey("dwsep_sweeps.id"), primary_key=True),
        sa.Column("run_key", sa.Text, sa.ForeignKey("dwsep_runs.key"), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("reused", sa.Boolean, nullable=False),
    )
    op.create_index("dwsep_runs_created", "dwsep_runs", ["created"])
    op.create_index("dwsep_runs_artifact", "dwsep_runs", ["artifact_sha256"])
    # All that expected times are made of: the rows themselves hold samples, and are megabytes together.
    op.create_index("dwsep_steps_recent", "dwsep_steps", ["created", "kind", "device", "seconds"])
    op.create_index("dwsep_run_steps_step", "dwsep_run_steps", ["step_key"])
    op.create_index("dwsep_sweep_runs_run", "dwsep_sweep_runs", ["run_key"])
