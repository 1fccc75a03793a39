"""Carry a sweep's graph out: what is ready is begun, what ended is kept at once, what failed stops nothing else."""

from __future__ import annotations

__all__ = ["Coordinator"]

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.device_queue import DeviceQueue
from edge_dwsep.sweep.measure_steps import Made, made_from
from edge_dwsep.sweep.steps import Executor, Outcome, Step, StepKind, StepOutput
from edge_dwsep.sweep.tasks import Hooks, RunTask, StepStore

MOST_LOST = 2
"""Steps in a row whose device could not be reached, after which its others are not tried."""

MOST_REMADE = 3
"""Times that a step is made again because what it had put out was lost."""

LOST = frozenset({"TransientDeviceError", "ConnectionLost"})
GONE = frozenset({"DeviceRefused", "HostLacks", "DeviceBusy", "UnknownDevice", "NoWorker"})
"""Errors after which nothing else is tried on the device: it lets nobody in, or nobody leads to it."""

NOT_KEPT = frozenset({StepKind.REACH, StepKind.PUSH})
"""Kinds whose output is true of the device as it is now alone."""

POLL_SECONDS = 1.0


class Coordinator:
    """Carries a graph out.

    Args:
        graph: steps that make artifacts, each after those that it needs.
        tasks: the runs.
        store: where outputs are kept.
        executor: that does the steps.
        blobs: where contents of files are on this host.
        hooks: what is asked and told on the way.
        reach: devices to be opened before anything is made for them, each with the asides of its steps.
        emulated: names of devices that are emulated on this machine.
    """

    def __init__(
        self,
        graph: Sequence[Step],
        tasks: Sequence[RunTask],
        store: StepStore,
        executor: Executor,
        blobs: BlobFolder,
        hooks: Hooks,
        *,
        reach: Mapping[str, Mapping[str, Any]],
        emulated: frozenset[str] = frozenset(),
    ) -> None:
        self._graph = {step.key: step for step in graph}
        self._tasks = list(tasks)
        self._store = store
        self._executor = executor
        self._blobs = blobs
        self._hooks = hooks
        self._reach = reach
        self._emulated = emulated
        self.outputs: dict[str, StepOutput] = {}
        """Of steps of the graph. What measuring steps put out, raw samples among it, is read when a run is whole."""
        self._measured: set[str] = set()
        self._made: dict[str, Made] = {}
        self._failed: dict[str, tuple[str, str]] = {}
        self._running: set[str] = set()
        self._measuring: dict[str, Step] = {}
        self._of_step: dict[str, list[RunTask]] = {}
        self._devices = {task.device: DeviceQueue(reached=task.device not in reach) for task in tasks}
        self._remade: dict[str, int] = {}
        self._to_compile: list[str] | None = None
        self._whole: set[str] = set()

    def resolve(self) -> None:
        """Find out what is known already."""
        self.outputs.update(self._store.outputs(self._graph))
        for task in self._tasks:
            self._make(task)
        self._leave_known(self._open())
        for task in self._open():
            if task.steps is not None and not self._is_whole(task.convert.key):
                task.made = task.steps = None  # its file is lost, and is made again
        wanted = [step.key for task in self._open() if task.steps for step in task.steps.measuring]
        self._measured = self._store.finished(wanted)
        for task in self._open():
            if task.steps is not None:
                self._take_up(task)

    def left(self) -> list[Step]:
        """Steps still to be done, those under way included, as far as they are known by now."""
        compiling = [self._graph[key] for key in self._compiling()]
        measuring = {
            step.key: step
            for task in self._open()
            for step in (task.steps.measuring if task.steps else ())
            if step.key not in self._measured
        }
        return [*compiling, *measuring.values()]

    def unmade(self) -> list[RunTask]:
        """Runs whose artifact is not made yet, so that their measuring steps are not known."""
        return [task for task in self._open() if task.steps is None]

    def carry_out(self) -> None:
        """Do what is left to be done, to its end.

        Raises:
            StoreError: an output could not be kept.
        """
        for device in {task.device: None for task in self._open()}:
            if device in self._reach:
                asides = self._reach[device]
                self._begin(Step(StepKind.REACH, {"device": device}, {}, f"reach {device}", device, asides))
        while self._open():
            self._submit_compiling()
            self._submit_measuring()
            if not self._running:
                self._give_up("nothing is left that could be done for it")
                continue
            for outcome in self._executor.wait(POLL_SECONDS):
                self._end(outcome)

    def _open(self) -> list[RunTask]:
        return [task for task in self._tasks if not task.finished]

    def _make(self, task: RunTask) -> None:
        """Take a run's artifact as made, if it is and what else decides its steps is known."""
        if any(step.key not in self.outputs for step in task.before):
            return
        task.made = self._made.get(task.verify.key) or made_from(task.verify, task.convert, self.outputs, self._blobs)
        if task.made is None:
            if {task.verify.key, task.convert.key} <= self.outputs.keys():  # its manifest is lost, or another file's
                self._drop(task.verify.key)
            return
        self._made[task.verify.key] = task.made
        task.steps = task.steps_of(task.made)

    def _leave_known(self, tasks: Iterable[RunTask]) -> None:
        """End runs that are in the store."""
        for task in self._hooks.known([task for task in tasks if task.steps is not None]):
            task.finished = True

    def _take_up(self, task: RunTask) -> None:
        """Queue the steps of a run that are not known; the run ends here if there are none."""
        if task.steps is None or task.finished:
            return
        queue = self._devices[task.device]
        for step in task.steps.measuring:
            self._of_step.setdefault(step.key, []).append(task)
            if step.key in self._measured or step.key in self._measuring:
                continue
            self._measuring[step.key] = step
            queue.add(step, task.position)
        self._close(task)

    def _close(self, task: RunTask) -> None:
        """End a run whose steps are all done."""
        if task.finished or task.steps is None:
            return
        keys = {step.key for step in task.steps.measuring}
        if not keys <= self._measured:
            return
        outputs = self._store.outputs(keys)
        if len(outputs) < len(keys):
            self._fail(task, (f"{task.verify.title}: what was measured of it was taken out of the store", "StoreError"))
            return
        task.finished = True
        self._hooks.finished(task, outputs)

    def _fail(self, task: RunTask, error: tuple[str, str]) -> None:
        if not task.finished:
            self._to_compile = None
            task.finished, task.error = True, error
            self._hooks.finished(task, self.outputs)

    def _compiling(self) -> list[str]:
        """Steps of the graph that are to be made: what open runs need, and what that needs."""
        if self._to_compile is None:
            self._to_compile = self._find_compiling()
        return self._to_compile

    def _find_compiling(self) -> list[str]:
        wanted: dict[str, None] = {}

        def want(key: str) -> None:
            if key in wanted or key in self._failed:
                return
            step = self._graph[key]
            if key in self.outputs and self._is_whole(key):
                return
            for needed in step.needs.values():
                want(needed)
            wanted[key] = None

        for task in self._open():
            for key in self._compiled_for(task):
                want(key)
        return list(wanted)

    def _compiled_for(self, task: RunTask) -> list[str]:
        """Steps of the graph whose outputs a run needs for what is still to be done for it."""
        if task.steps is None:
            return [step.key for step in task.making]
        unmeasured = [step for step in task.steps.measuring if step.key not in self._measured]
        return [needed for step in unmeasured for needed in step.needs.values()]

    def _is_whole(self, key: str) -> bool:
        """Whether the files of a known output are there; one that is not is forgotten."""
        if key in self._whole:
            return True
        if key not in self.outputs:
            return False
        if all(self._blobs.has(sha256) for sha256 in self.outputs[key].files.values()):
            self._whole.add(key)
            return True
        self._drop(key)
        return False

    def _drop(self, key: str) -> None:
        self._to_compile = None
        self._made.clear()
        self._store.forget([key])
        self.outputs.pop(key, None)
        self._whole.discard(key)
        self._remade[key] = self._remade.get(key, 0) + 1
        if self._remade[key] > MOST_REMADE:
            self._failed[key] = (f"{self._graph[key].title}: what it puts out is lost again and again", "LostContent")

    def _submit_compiling(self) -> None:
        """Begin what can be made; nothing before a device is reached that it is made for."""
        reached = any(self._devices[task.device].reached for task in self._open())
        for key in self._compiling() if reached else ():
            step = self._graph[key]
            if key not in self._running and all(needed in self.outputs for needed in step.needs.values()):
                self._begin(step)
        for task in self._open() if self._failed else ():
            error = next((self._failed[key] for key in self._ancestors(task) if key in self._failed), None)
            if error is not None:
                self._fail(task, error)

    def _ancestors(self, task: RunTask) -> Iterable[str]:
        """Steps of the graph that a run depends on, the nearest last."""
        seen: dict[str, None] = {}

        def visit(key: str) -> None:
            if key not in seen and key in self._graph:
                for needed in self._graph[key].needs.values():
                    visit(needed)
                seen[key] = None

        for step in (task.convert, task.verify, *(task.steps.measuring if task.steps else ())):
            for needed in step.needs.values():
                visit(needed)
            visit(step.key)
        return seen

    def _submit_measuring(self) -> None:
        """Begin a step on each device that is free; this machine waits until nothing else is done on it."""
        compiling = any(key in self._graph for key in self._running) or bool(self._compiling())
        emulating = any(
            self._devices[name].running or self._devices[name] for name in self._emulated & set(self._devices)
        )
        for device, queue in self._devices.items():
            if queue.running or (device == "local" and (compiling or emulating)):
                continue
            step = self._next(queue)
            if step is not None:
                self._begin(step)

    def _next(self, queue: DeviceQueue) -> Step | None:
        """The step that a device is to do next, taken off its queue; before the first of an artifact, its push."""
        later = []
        found = None
        while queue and found is None:
            entry = queue.take()
            step = self._measuring[entry[3]]
            tasks = [task for task in self._of_step[step.key] if not task.finished]
            if not tasks:
                del self._measuring[step.key]  # another run may come to need it
                continue
            if not all(needed in self.outputs and self._is_whole(needed) for needed in step.needs.values()):
                later.append(entry)  # what it needs was lost and is being made again
                continue
            push = tasks[0].steps.push if tasks[0].steps else None
            if push is not None and push.key not in queue.pushed:
                queue.pushed.add(push.key)
                self._measuring[push.key] = push
                self._of_step[push.key] = tasks
                later.append(entry)
                found = push
            else:
                found = step
        for entry in later:
            queue.put_back(entry)
        return found

    def _begin(self, step: Step) -> None:
        self._running.add(step.key)
        if step.device:
            self._devices[step.device].running = step.key
        self._hooks.begun(step)
        self._executor.submit(step, {role: self.outputs[key] for role, key in step.needs.items()})

    def _end(self, outcome: Outcome) -> None:
        step = outcome.step
        if not step.device:
            self._to_compile = None
        self._running.discard(step.key)
        if step.device:
            self._devices[step.device].running = ""
        if outcome.output is not None:
            self._succeeded(outcome, outcome.output)
        elif outcome.error_class == "LostContent":
            self._lost(step)
        elif step.device:
            self._failed_on_device(outcome)
        else:
            self._failed[step.key] = (f"{step.title} failed: {outcome.error}", outcome.error_class)
        self._hooks.ended(outcome)

    def _succeeded(self, outcome: Outcome, output: StepOutput) -> None:
        step = outcome.step
        if step.device:
            self._devices[step.device].lost = 0
            self._devices[step.device].reached = True
        if step.kind in NOT_KEPT:
            return
        self._store.save_output(step, output, seconds=outcome.seconds, worker=outcome.worker)
        if step.device:
            self._measured.add(step.key)
            for task in self._of_step.get(step.key, ()):
                self._close(task)
            return
        self.outputs[step.key] = output
        tasks = [task for task in self._open() if step.key in {one.key for one in task.making}]
        for task in tasks:
            if task.steps is None:
                self._make(task)
        self._leave_known(tasks)
        for task in tasks:
            if task.steps is not None and not task.finished:
                unknown = [one.key for one in task.steps.measuring if one.key not in self._measured]
                self._measured |= self._store.finished(unknown)
                self._take_up(task)

    def _lost(self, step: Step) -> None:
        """A file that a step needs was not there: whoever made it makes it again, and the step waits."""
        self._whole.clear()
        found = False
        for needed in step.needs.values():
            found = (needed in self.outputs and not self._is_whole(needed)) or found
        if step.device and found:
            position = self._of_step[step.key][0].position
            self._devices[step.device].add(step, position)
            self._devices[step.device].pushed.discard(step.key)
        elif not found:  # it is there by now, or was never kept
            self._failed_or_again(step)

    def _failed_or_again(self, step: Step) -> None:
        self._remade[step.key] = self._remade.get(step.key, 0) + 1
        error = (f"{step.title} failed: a file that it needs is lost", "LostContent")
        if self._remade[step.key] > MOST_REMADE:
            if step.device:
                for task in self._of_step.get(step.key, ()):
                    self._fail(task, error)
            else:
                self._failed[step.key] = error
        elif step.device:
            position = self._of_step[step.key][0].position
            self._devices[step.device].add(step, position)

    def _failed_on_device(self, outcome: Outcome) -> None:
        """A step failed on a device: its runs fail, and after some errors all that are left on the device."""
        step = outcome.step
        queue = self._devices[step.device]
        queue.lost = queue.lost + 1 if outcome.error_class in LOST else 0
        self._measuring.pop(step.key, None)
        for task in self._of_step.get(step.key, ()):
            self._fail(task, (outcome.error, outcome.error_class))
        unreachable = step.kind is StepKind.REACH and outcome.error_class
        if outcome.error_class in GONE or queue.lost >= MOST_LOST or unreachable:
            said = (
                outcome.error
                if step.kind is StepKind.REACH
                else f"not tried, for the run before it told: {outcome.error}"
            )
            for task in self._open():
                if task.device == step.device:
                    self._fail(task, (said, outcome.error_class))
            queue.clear()

    def _give_up(self, why: str) -> None:
        """Fail what is left where nothing can be begun for it; that would be a fault of ours."""
        for task in self._open():
            self._fail(task, (f"{task.verify.title}: {why}", "DwsepError"))
