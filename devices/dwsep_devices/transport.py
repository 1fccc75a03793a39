"""What leads to a device: run a shell script there, send a file, fetch a file. One class a kind of connection."""

from __future__ import annotations

__all__ = ["Transport", "quoted", "run_marked"]

import re
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from dwsep_devices.errors import ConnectionLost, HostLacks
from dwsep_runtime.spawn import Completed, run_process


class Transport(Protocol):
    """A connection to a device; every call opens it if it is not open."""

    @property
    def name(self) -> str:
        """What the user calls the device."""

    def shell(
        self,
        script: str,
        *,
        stdin: str = "",
        timeout: float,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        """Run a script by the device's POSIX shell.

        Args:
            script: for ``sh``; build it with :func:`quoted`.
            stdin: text for its standard input.
            timeout: seconds until the client is ended; what runs on the device goes on.
            on_line: called with each line of standard output; the last has a line break even where it had none.

        Returns:
            The script's own exit code, negative for a signal; ``timed_out`` if it was given up.

        Raises:
            ConnectionLost: it never reported its end.
            DeviceError: the device cannot be reached; of a class that says whether trying again can help.
        """

    def send(self, local: Path, remote: str, *, timeout: float) -> None:
        """Copy a file to the device, under exactly that name; what is there already is overwritten.

        A failure may leave a part of the file there.

        Raises:
            DeviceError: it was not copied whole.
        """

    def fetch(self, remote: str, local: Path, *, timeout: float) -> None:
        """Copy a file from the device, under exactly that name. A failure may leave a part of it.

        Raises:
            DeviceError: it was not copied whole.
        """

    def close(self) -> None:
        """Close the connection; may be called again."""


def quoted(word: str) -> str:
    """A word for the shell of a device, whatever characters it holds.

    >>> print(quoted("it's; $(here)"))
    'it'"'"'s; $(here)'
    """
    return "'" + word.replace("'", "'\"'\"'") + "'"


MOST_OUTPUT = 1 << 30
"""Characters of standard output that a script on a device may print; a run prints megabytes at most."""

LONGEST_LINE = 1 << 28
"""Characters of one line; the longest, the samples of an hour, have some ten million."""

SIGNALLED = 128
"""Added by a shell to the number of the signal that ended a program (POSIX.1-2017, "Exit Status for Commands")."""


def run_marked(
    name: str,
    command: Callable[[str], Sequence[str]],
    script: str,
    explain: Callable[[Completed], Exception],
    *,
    stdin: str = "",
    timeout: float,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> Completed:
    """Run a script through a client program, and believe that it ended only if it says so itself.

    A client's exit code says little: adb 29 to 34 answer 0 when the daemon dies in the middle of a command. So the
    script is made to print a line that nothing else prints, with its exit code, when it is done.

    Args:
        name: of the device, for messages.
        command: gives the client's program and arguments that run a script on the device.
        script: to be run by the device's shell.
        explain: makes the error of a client that ended without the script's mark.
        stdin: text for the script.
        timeout: seconds until the client is ended.
        environment: variables added for the client.
        on_line: called with each line of the script's output.

    Raises:
        HostLacks: the client could not be started.
        ConnectionLost: the mark is missing although the client is content.
        Exception: what ``explain`` gives.
    """
    mark = f"edge-dwsep-end-{uuid.uuid4().hex}"
    marked = re.compile(rf"{mark} (\d+)\s*\n")
    ended: list[int] = []
    held: list[str] = []  # the line break in front of the mark

    def take(line: str) -> None:
        found = marked.fullmatch(line)
        if found:
            ended.append(int(found.group(1)))
            return
        if held:
            on_line(held.pop())
        if line in {"\n", "\r\n"}:
            held.append(line)
        else:
            on_line(line)

    whole = f"( {script}\n); printf '\\n%s %s\\n' {mark} \"$?\""
    client = list(command(whole))
    try:
        completed = run_process(
            client,
            stdin=stdin,
            timeout=timeout,
            environment=environment,
            on_line=take,
            most_output=MOST_OUTPUT,
            longest_line=LONGEST_LINE,
        )
    except OSError as error:
        raise HostLacks(f"{name}: {client[0]} could not be started: {error.strerror}; install it") from error
    if ended:
        return Completed(_of_shell(ended[0]), completed.errors)
    if completed.timed_out:
        return completed
    if completed.returncode:
        raise explain(completed)
    raise ConnectionLost(f"{name}: the connection ended in the middle of a command")


def _of_shell(code: int) -> int:
    """A shell's exit code as that of a process: negative for a signal."""
    number = code - SIGNALLED
    return -number if number in set(signal.Signals) else code
