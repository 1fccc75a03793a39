"""Processes and what they print, whatever it is."""

from __future__ import annotations

import sys

from dwsep_runtime.spawn import run_process


def test_standard_error_without_end_is_read_and_not_kept():
    program = "import sys; [sys.stderr.write('x' * 1_000_000) for _ in range(40)]; sys.stderr.write(chr(10) + 'last')"
    lines: list[str] = []
    done = run_process([sys.executable, "-c", f"{program}; print('out')"], timeout=60, on_line=lines.append)
    assert done.returncode == 0
    assert lines == ["out\n"]
    assert done.errors[-1] == "last"
    assert sum(map(len, done.errors)) < 200_000
