"""Device ``local``: this machine, behind the same interface as a remote one."""

from __future__ import annotations

__all__ = ["LocalDevice"]

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dwsep_devices.errors import PermanentDeviceError, TransientDeviceError
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.spawn import (
    RUNTIME_ARGUMENTS,
    RUNTIME_ENVIRONMENT,
    Completed,
    end_process,
    run_process,
    start_process,
)

OF_THIS_PYTHON = frozenset({"", "litert", "onnxruntime"})
"""Environments of packages that this toolchain itself depends on; nothing is imported to know that they are here."""


class LocalDevice:
    """See :class:`dwsep_devices.device.Device`; files lie in a temporary folder that :meth:`close` removes."""

    name = "local"
    description: Mapping[str, Any] = {"name": "local", "kind": "local", "emulated": False}
    runtime_environment: Mapping[str, str] = RUNTIME_ENVIRONMENT

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._warm: subprocess.Popen[str] | None = None

    @property
    def root(self) -> str:
        """The temporary folder, made when first asked for."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="edge-dwsep-local-"))
        return str(self._folder)

    def runtime_command_for(self, environment: str) -> Sequence[str]:
        """This Python, or that of an environment which this Python does not meet itself; see the protocol."""
        here = (sys.executable, *RUNTIME_ARGUMENTS)
        if environment in OF_THIS_PYTHON:
            return here
        from dwsep_devices.environments import environment_command, is_met_here

        return here if is_met_here(environment) else environment_command(environment)

    def environment_facts(self, environment: str) -> Mapping[str, Any]:  # noqa: ARG002  # of the protocol
        """Nothing: the versions of this Python's packages stand in the results; see the protocol."""
        return {}

    def warm(self) -> None:
        """Start a process of the runtime, which waits for its job; see the protocol."""
        if self._warm is None:
            self._warm = start_process(self.runtime_command_for(""), self.runtime_environment)

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str = "",
        timeout: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        """Run a command in a process of its own; see the protocol."""
        process = None
        if list(command) == list(self.runtime_command_for("")) and environment == self.runtime_environment:
            process, self._warm = self._warm, None
        try:
            return run_process(
                command, stdin=stdin, timeout=timeout, environment=environment, on_line=on_line, process=process
            )
        except OSError as error:
            raise PermanentDeviceError(f"local: {command[0]} could not be started: {error.strerror}") from error

    def push(self, local: Path, remote: str, sha256: str) -> bool:
        """Copy a file below the root; see the protocol."""
        target = Path(remote)
        if target.exists() and sha256_of(target) == sha256:
            return False
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(local, part)
            if sha256_of(part) != sha256:
                raise TransientDeviceError(f"local: {local} changed while it was copied; try again")
            part.replace(target)
        except OSError as error:
            raise PermanentDeviceError(f"local: {local} could not be copied to {target}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return True

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from below the root; see the protocol."""
        part = local.with_name(f"{local.name}.part")
        try:
            shutil.copyfile(remote, part)
            part.replace(local)
        except OSError as error:
            raise PermanentDeviceError(f"local: {remote} could not be copied to {local}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the temporary folder, and end a process that waits for a job."""
        if self._warm is not None:
            end_process(self._warm)
            self._warm = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
