"""The lines a run prints: events as JSON, the last of which says that the run is complete.

Each line is an object with ``event`` and ``job``. A run prints any number of ``phase`` and ``progress`` events, then
one ``result`` and, last, ``end``; or it prints ``error`` and fails. A result without its ``end`` is no result: it is
what remains of a run whose connection or process died.
"""

from __future__ import annotations

__all__ = ["ResultReader", "error_event", "raise_error_event"]

import json
from collections import deque
from typing import Any, Callable, Optional

from dwsep_runtime import errors
from dwsep_runtime.errors import DwsepError, EngineError, OutputTooLong, ProtocolError

KNOWN_EVENTS = frozenset({"phase", "progress", "loaded", "ready", "turn", "result", "error", "end"})


LOG_LINES = 200
"""Lines kept of those that are no events."""

MOST_NOISE = 100_000
"""Lines that are no events after which a run is taken for one that goes on for ever."""


MOST_MESSAGE = 4000
"""Characters of an error that a run tells; it comes from a device and is printed."""


class ResultReader:
    """Takes the output of a run line by line, and hands the result out once the run is complete.

    Lines that are not events of this run (an engine's own messages) are kept in ``log``, the last of them, and mean
    nothing else; ``phase`` is the last event of that kind.
    """

    def __init__(self, job_id: str, on_event: Callable[[dict[str, Any]], None] = lambda event: None) -> None:
        self._job_id = job_id
        self._on_event = on_event
        self._result: Optional[dict[str, Any]] = None
        self._error: Optional[dict[str, Any]] = None
        self._ended = False
        self._noise = 0
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.phase = ""

    def feed(self, line: str) -> None:
        """Take one line of output.

        Raises:
            OutputTooLong: there are more lines that are no events than an engine has to say.
        """
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if not self._is_event(event):
            self.log.append(line.rstrip("\n"))
            self._noise += 1
            if self._noise > MOST_NOISE:
                raise OutputTooLong(
                    f"the run printed {MOST_NOISE:,} lines that are no part of its result, the last of them "
                    f"{self.log[-1][:60]!r}; it was ended"
                )
            return
        if event["event"] == "result":
            self._result = event
        elif event["event"] == "error":
            self._error = event
        elif event["event"] == "phase":
            self.phase = str(event.get("phase"))
        elif event["event"] == "end":
            self._ended = True
        self._on_event(event)

    def _is_event(self, value: Any) -> bool:
        if not isinstance(value, dict) or value.get("job") != self._job_id:
            return False
        kind = value.get("event")
        return isinstance(kind, str) and kind in KNOWN_EVENTS

    def result(self) -> dict[str, Any]:
        """The result of a complete run.

        Raises:
            DwsepError: the error that the run reported, of its own class.
            ProtocolError: the output is not that of a complete run.
        """
        if self._error is not None:
            raise_error_event(self._error)
        if self._result is None or not self._ended:
            seen = f"; last line: {self.log[-1][:200]!r}" if self.log else ""
            raise ProtocolError(f"run {self._job_id} did not deliver a complete result{seen}")
        return self._result


def error_event(job_id: str, error: DwsepError) -> dict[str, Any]:
    """The event that tells the parent of an error."""
    return {"event": "error", "job": job_id, "error": type(error).__name__, "message": str(error)}


def raise_error_event(event: dict[str, Any]) -> None:
    """Raise the error that a run reported; one of an unknown class becomes an EngineError."""
    kind = getattr(errors, str(event.get("error")), EngineError)
    if not (isinstance(kind, type) and issubclass(kind, DwsepError)):
        kind = EngineError
    error = kind.__new__(kind)
    message = "".join(one if one.isprintable() else " " for one in str(event.get("message")))
    Exception.__init__(error, message[:MOST_MESSAGE])
    raise error
