"""``python -m dwsep_runtime JOB.json`` (or ``-`` for standard input): run one job, print JSON lines, exit."""

from __future__ import annotations

__all__ = ["leave", "main"]

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, NoReturn, Optional

from dwsep_runtime.errors import DwsepError, EngineError, InvalidInput
from dwsep_runtime.job import Job
from dwsep_runtime.protocol import error_event
from dwsep_runtime.run import run_job

USAGE = "usage: python -m dwsep_runtime JOB.json|-"


def main(arguments: list[str], begun_ns: Optional[int] = None) -> int:
    """Run the job that the one argument names; 0 if it is done, 1 with an ``error`` event, 2 for a wrong call.

    Args:
        arguments: path of a job file, or "-" for standard input, of which the first line is the job.
        begun_ns: reading of the monotonic clock when the process's first line ran.
    """
    if len(arguments) != 1:
        print(USAGE, file=sys.stderr)
        return 2
    emit = _protocol_output()
    job_id = ""
    try:
        values = _read_json(arguments[0])
        job_id = str(values.get("id", ""))
        run_job(Job.from_json(values), emit, sys.stdin, begun_ns)
    except DwsepError as error:
        emit(error_event(job_id, error))
        return 1
    except MemoryError:
        emit(error_event(job_id, EngineError("the run needed more memory than its limit or the device has")))
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # the caller reads events alone: a fault of ours is one too
        emit(error_event(job_id, EngineError(f"the runtime failed: {type(error).__name__}: {error}")))
        traceback.print_exc()
        return 1
    return 0


def _protocol_output() -> Callable[[dict[str, Any]], None]:
    """Keep standard output for events alone: whatever a library prints goes to standard error."""
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        protocol.write(json.dumps(event, separators=(",", ":")) + "\n")
        protocol.flush()

    return emit


def _read_json(source: str) -> dict[str, Any]:
    try:
        text = sys.stdin.readline() if source == "-" else Path(source).read_text(encoding="utf-8")
        values = json.loads(text)
    except OSError as error:
        raise InvalidInput(f"job file {source} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"job {source} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"job {source} must be a JSON object, received {type(values).__name__}")
    return values


def leave(code: int) -> NoReturn:
    """End the process without taking the interpreter and the engine down piece by piece, which takes 40 ms.

    An engine that crashes while it is taken down would also spoil a run that is complete.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
