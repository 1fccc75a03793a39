"""The command line that results and reports keep."""

from __future__ import annotations

import shlex
import sys

import pytest

from edge_dwsep.cli.options import given_command


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--store=postgresql://me:secret@host/results", "--store=postgresql://me:***@host/results"),
        (
            "postgresql://me:sec/r@et@host:5432/results?sslmode=require",
            "postgresql://me:***@host:5432/results?sslmode=require",
        ),
        (
            "postgresql://me@host/results?password=secret&sslmode=require",
            "postgresql://me@host/results?password=***&sslmode=require",
        ),
        ("postgresql://host/results?sslkey=k&sslpassword=secret", "postgresql://host/results?sslkey=k&sslpassword=***"),
        ("http://me:secret@host:5000", "http://me:***@host:5000"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:///a file.db", "sqlite:///a file.db"),
        ("tcp://host:8786", "tcp://host:8786"),
        ("photos: mine@home", "photos: mine@home"),
    ],
)
def test_passwords_of_urls_are_left_out(monkeypatch: pytest.MonkeyPatch, given: str, kept: str) -> None:
    monkeypatch.setattr(sys, "argv", ["edge-dwsep", "sweep", "my model.keras", given])
    assert shlex.split(given_command()) == ["edge-dwsep", "sweep", "my model.keras", kept]
