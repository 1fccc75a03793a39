"""What every device offers, whatever transport leads to it."""

from __future__ import annotations

__all__ = ["Device"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dwsep_runtime.spawn import Completed


class Device(Protocol):
    """A target that runs commands and holds files."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    @property
    def description(self) -> Mapping[str, Any]:
        """What is known of it before it is reached: ``name``, ``kind``, ``emulated``."""

    def environment_facts(self, environment: str) -> Mapping[str, Any]:
        """``name``, ``hash`` and ``packages`` of an environment that was used; empty for this Python's own."""

    @property
    def root(self) -> str:
        """Folder on the device that is ours; everything pushed lies below it."""

    @property
    def runtime_environment(self) -> Mapping[str, str]:
        """Variables that every process of the runtime needs on the device."""

    def runtime_command_for(self, environment: str) -> Sequence[str]:
        """Program and arguments on the device that run a job given on standard input.

        Args:
            environment: name of the environment of packages to run it in, which is made if it is not there;
                empty for the runtime's own.

        Raises:
            DeviceError: the environment could not be made.
        """

    def warm(self) -> None:
        """Begin what can be done before the first job is known; to be called once a run is likely to come."""

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str = "",
        timeout: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        """Run a command on the device to its end.

        Args:
            command: program and arguments.
            stdin: text for its standard input.
            timeout: seconds until it is ended.
            environment: variables added for it.
            on_line: called with each line of its standard output.

        Raises:
            DeviceError: the device could not be reached or did not start the command.
        """

    def push(self, local: Path, remote: str, sha256: str) -> bool:
        """Copy a file onto the device, unless a file of that content is there already.

        The content is checked on the device before the file gets its name, so ``remote`` is whole or absent.

        Args:
            local: file to copy.
            remote: path on the device.
            sha256: of the content.

        Returns:
            Whether anything was copied.

        Raises:
            DeviceError: the file could not be written or arrived damaged.
        """

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device; ``local`` is written in one rename.

        Raises:
            DeviceError: there is no such file, or it could not be copied.
        """

    def close(self) -> None:
        """Release the connection and remove what the device need not keep; may be called again."""
