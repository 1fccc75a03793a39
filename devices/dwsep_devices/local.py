"""Device ``local``: this machine, behind the same interface as a remote one."""

from __future__ import annotations

__all__ = ["LocalDevice"]

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dwsep_devices.errors import PermanentDeviceError, TransientDeviceError
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.spawn import RUNTIME_ARGUMENTS, RUNTIME_ENVIRONMENT, Completed, run_process


class LocalDevice:
    """See :class:`dwsep_devices.device.Device`; files lie in a temporary folder that :meth:`close` removes."""

    name = "local"
    runtime_environment: Mapping[str, str] = RUNTIME_ENVIRONMENT

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def root(self) -> str:
        """The temporary folder, made when first asked for."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="edge-dwsep-local-"))
        return str(self._folder)

    def runtime_command_for(self, environment: str) -> Sequence[str]:
        """This Python, or that of an environment which this Python does not meet itself; see the protocol."""
        here = (sys.executable, *RUNTIME_ARGUMENTS)
        if not environment:
            return here
        from dwsep_devices.environments import environment_command, is_met_here

        return here if is_met_here(environment) else environment_command(environment)

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
        try:
            return run_process(command, stdin=stdin, timeout=timeout, environment=environment, on_line=on_line)
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
        """Remove the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
