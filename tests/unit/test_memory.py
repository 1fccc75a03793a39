"""Memory of a process, asked of fresh ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.memory import data_bytes, limit_memory, peak_resident_bytes, reset_peak, resident_bytes

MEGABYTE = 2**20

HELD_AND_RELEASED = """
before = memory.resident_bytes()
block = np.ones(64 * MB, np.uint8)
held = memory.resident_bytes()
del block
released, peak = memory.resident_bytes(), memory.peak_resident_bytes()
reset = memory.reset_peak()
print(json.dumps([before, held, released, peak, reset, memory.peak_resident_bytes()]))
"""

LIMITED = """
holds = memory.limit_memory(memory.data_bytes() + 200 * MB)
small = np.ones(64 * MB, np.uint8)
try:
    np.ones(1000 * MB, np.uint8)
    failed = False
except MemoryError:
    failed = True
print(json.dumps([holds, int(small[-1]), failed, memory.limit_memory(10**30)]))
"""

RESERVED = """
import mmap
memory.limit_memory(memory.data_bytes() + 200 * MB)
reserved = mmap.mmap(-1, 2000 * MB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
print(json.dumps(len(reserved)))
"""


def in_fresh_process(code: str) -> Any:
    start = f"import json; import numpy as np; from dwsep_runtime import memory; MB = {MEGABYTE}\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], stdout=subprocess.PIPE, check=True, timeout=60, encoding="utf-8"
    )
    return json.loads(done.stdout)


def test_memory_held_and_released_is_seen() -> None:
    before, held, released, peak, reset, peak_after_reset = in_fresh_process(HELD_AND_RELEASED)
    assert 60 * MEGABYTE < held - before < 80 * MEGABYTE
    assert released < held - 50 * MEGABYTE
    assert peak >= held - MEGABYTE
    assert reset
    assert peak_after_reset < held - 50 * MEGABYTE


def test_an_allocation_beyond_the_limit_is_a_memory_error_and_one_below_is_none() -> None:
    holds, last, failed, beyond_any_number_of_bytes = in_fresh_process(LIMITED)
    assert (holds, last, failed, beyond_any_number_of_bytes) == (True, 1, True, False)


def test_address_space_that_is_only_reserved_is_not_limited() -> None:
    assert in_fresh_process(RESERVED) == 2000 * MEGABYTE


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "200", None])
def test_a_limit_that_is_no_number_of_bytes_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidInput, match="must be a positive number of bytes, received"):
        limit_memory(limit)


def test_a_system_that_tells_nothing_is_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert resident_bytes(nowhere) is peak_resident_bytes(nowhere) is data_bytes(nowhere) is None
    assert reset_peak(nowhere) is False
    (tmp_path / "status").write_text("Name:\tx\nVmRSS:\t  12 kB\nVmHWM:\tunknown\n")
    assert resident_bytes(tmp_path) == 12 * 1024
    assert peak_resident_bytes(tmp_path) is None
