"""Do any step in this process: what compiles and what measures, whichever executor asks for it."""

from __future__ import annotations

__all__ = ["Worker"]

from collections.abc import Callable, Mapping

from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.measure_work import OpenDevices, measure_work
from edge_dwsep.sweep.steps import Step, StepOutput


class Worker:
    """Does steps, and keeps devices open and networks loaded from one to the next; a context manager.

    Args:
        blobs: where contents of files are, and where those that come out are put.
    """

    def __init__(self, blobs: BlobFolder) -> None:
        self._blobs = blobs
        self._devices = OpenDevices()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def do(self, step: Step, inputs: Mapping[str, StepOutput], say: Callable[[str], None]) -> StepOutput:
        """Do a step; what comes out.

        Args:
            step: to be done.
            inputs: outputs of what it needs, by role.
            say: told what takes long.

        Raises:
            DwsepError: it failed.
            LostContent: a file that it needs is not in the folder of contents, or damaged.
        """
        if step.device:
            return measure_work(step, inputs, self._blobs, self._devices, say)
        from edge_dwsep.sweep.compile import compile_work

        return compile_work(step, inputs, self._blobs, say)

    def close(self) -> None:
        """Close devices and remove temporary files; may be called again."""
        self._devices.close()
