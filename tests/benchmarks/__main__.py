"""All benchmarks, one after the other, for a machine that does nothing else: ``python -m tests.benchmarks``."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "peers",
    "overhead",
    "accuracy_loop",
    "verdicts",
    "gate",
    "speed",
    "targets",
    "lab",
    "store",
    "sweep",
    "search",
)

if __name__ == "__main__":
    codes = []
    for name in BENCHMARKS:
        print(f"\n=== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False).returncode)
    sys.exit(any(codes))
