"""A process that writes to a store: ``python -m tests.store_writer URL SWEEP COUNT WORD...``.

It keeps COUNT runs of each word in turn and says the key of each once it is kept.
"""

from __future__ import annotations

import sys

from edge_dwsep.store import SweepRecord, open_store
from tests.store_fixtures import keep_run


def main() -> None:
    url, sweep, count, *words = sys.argv[1:]
    sys.stdin.readline()  # until all are ready
    with open_store(url) as store:
        store.begin_sweep(SweepRecord(id=sweep, name=sweep, command="edge-dwsep sweep", plan={}))
        for at in range(int(count) * len(words)):
            turn, which = divmod(at, len(words))
            key, _ = keep_run(store, sweep, at, f"{words[which]} {turn}", variant=f"{words[which]} {turn}")
            print(key, flush=True)  # noqa: T201
        store.finish_sweep(sweep, "done")


if __name__ == "__main__":
    main()
