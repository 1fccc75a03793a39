"""The coordinator on a made-up graph: order, failures, lost files and devices, and what is never done twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.coordinate import Coordinator
from edge_dwsep.sweep.measure_steps import Made, RunSteps
from edge_dwsep.sweep.steps import Outcome, Step, StepKind, StepOutput
from edge_dwsep.sweep.tasks import Hooks, RunTask


class MemoryStore:
    """Outputs in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, StepOutput] = {}
        self.forgotten: list[str] = []

    def outputs(self, keys: Iterable[str]) -> dict[str, StepOutput]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    def finished(self, keys: Iterable[str]) -> set[str]:
        return set(self.kept) & set(keys)

    def save_output(self, step: Step, output: StepOutput, *, seconds: float, worker: str) -> bool:
        assert (seconds, worker) == (1.0, "here")
        assert step.key not in self.kept
        self.kept[step.key] = output
        return True

    def forget(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self.forgotten.append(key)
            self.kept.pop(key, None)


class SlowExecutor:
    """Does steps by a function, a few at a time; the one begun last ends first, which no order may depend on."""

    def __init__(self, work: Callable[[Step, Mapping[str, StepOutput]], StepOutput | tuple[str, str]]) -> None:
        self._work = work
        self._begun: list[tuple[Step, Mapping[str, StepOutput]]] = []
        self.done: list[Step] = []
        self.together: list[list[Step]] = []

    def submit(self, step: Step, inputs: Mapping[str, StepOutput]) -> None:
        self._begun.append((step, inputs))
        self.together.append([one for one, _ in self._begun])

    def wait(self, timeout: float) -> Sequence[Outcome]:
        assert timeout > 0
        step, inputs = self._begun.pop()
        self.done.append(step)
        told = self._work(step, inputs)
        if isinstance(told, StepOutput):
            return [Outcome(step, told, seconds=1.0, worker="here")]
        return [Outcome(step, None, told[0], told[1], 1.0, "here")]

    def identity(self, device: str) -> Mapping[str, object]:
        return {"name": device}

    def close(self) -> None: ...


@dataclass
class World:
    """Variants a and b of one network, each measured in two rounds on each device."""

    folder: Path
    devices: Sequence[str] = ("local", "board")
    rounds: int = 2
    alike: bool = False
    before: bool = False
    breaks: Callable[[Step], tuple[str, str] | None] = lambda step: None
    store: MemoryStore = field(default_factory=MemoryStore)
    finished: dict[tuple[str, str], tuple[str, str] | None] = field(default_factory=dict)
    known: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.blobs = BlobFolder(self.folder)
        self.network = Step(StepKind.NETWORK, {"network": 1}, title="network")
        self.convert = {
            name: Step(StepKind.CONVERT, {"recipe": name}, {"network": self.network.key}, f"convert {name}")
            for name in "ab"
        }
        self.verify = {
            name: Step(StepKind.VERIFY, {}, {"convert": self.convert[name].key}, f"verify {name}") for name in "ab"
        }

    def steps_of(self, device: str, made: Made) -> RunSteps:
        needs = {"convert": made.convert, "verify": made.verify}
        launches = tuple(
            Step(
                StepKind.LAUNCH,
                {"device": device, "sha": made.sha256, "round": at},
                needs,
                f"{made.file_name} on {device} {at}",
                device,
                by_content=True,
            )
            for at in range(self.rounds)
        )
        spec = {"sha": made.sha256, "device": device}
        accuracy = Step(
            StepKind.ACCURACY, spec, needs, f"{made.file_name} on {device} accuracy", device, by_content=True
        )
        push = None
        if device != "local":
            push = Step(StepKind.PUSH, spec, needs, f"push {made.file_name} {device}", device, by_content=True)
        return RunSteps(f"{device} {made.sha256}", push, launches, (accuracy,))

    def sweep(self, *, emulated: Sequence[str] = ()) -> SlowExecutor:
        """One sweep over everything, with what earlier ones left."""
        executor = SlowExecutor(self.work)
        names: dict[int, tuple[str, str]] = {}
        tasks: list[RunTask] = []
        for name in "ab":
            for device in self.devices:
                names[len(tasks)] = (name, device)
                steps_of = lambda made, device=device: self.steps_of(device, made)  # noqa: E731
                before = (self.network,) if self.before else ()
                tasks.append(RunTask(len(tasks), device, self.convert[name], self.verify[name], steps_of, before))

        def finish(task: RunTask, outputs: Mapping[str, StepOutput]) -> None:
            assert names[task.position] not in self.finished
            self.finished[names[task.position]] = task.error
            if task.error is None and task.steps is not None:
                assert all(step.key in outputs for step in task.steps.measuring)

        hooks = Hooks(lambda tasks: [one for one in tasks if names[one.position] in self.known], finish)
        graph = [self.network, *self.convert.values(), *self.verify.values()]
        reach: dict[str, dict[str, object]] = {device: {} for device in self.devices if device != "local"}
        coordinator = Coordinator(
            graph, tasks, self.store, executor, self.blobs, hooks, reach=reach, emulated=frozenset(emulated)
        )
        coordinator.resolve()
        coordinator.carry_out()
        return executor

    def work(self, step: Step, inputs: Mapping[str, StepOutput]) -> StepOutput | tuple[str, str]:
        broken = self.breaks(step)
        if broken is not None:
            return broken
        if step.kind is StepKind.CONVERT:
            content = f"content of {'z' if self.alike else step.spec['recipe']}".encode()
            return StepOutput({}, {"model": self.blobs.put(content)})
        if step.kind is StepKind.VERIFY:
            sha256 = inputs["convert"].files["model"]
            manifest = {"file": {"name": self.blobs.read(sha256).decode()[-1], "sha256": sha256}}
            return StepOutput({}, {"manifest.json": self.blobs.put(json.dumps(manifest).encode())})
        return StepOutput({"of": step.title})


def titles(steps: Iterable[Step], *kinds: StepKind) -> list[str]:
    return [step.title for step in steps if not kinds or step.kind in kinds]


def test_every_step_is_done_once_and_every_run_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    done = world.sweep().done
    keys = [step.key for step in done]
    assert len(keys) == len(set(keys))
    assert world.finished == dict.fromkeys([(name, device) for name in "ab" for device in ("local", "board")])
    assert set(world.store.kept) == {step.key for step in done if step.kind not in {StepKind.REACH, StepKind.PUSH}}


def test_again_nothing_at_all_is_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.sweep()
    world.finished.clear()
    done = world.sweep().done
    assert titles(done) == []
    assert len(world.finished) == 4


def test_runs_in_the_store_are_not_put_together_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.sweep()
    world.known = set(world.finished)
    world.finished.clear()
    assert world.sweep().done == []
    assert world.finished == {}


def test_rounds_go_over_all_runs_before_the_next_one_begins_and_accuracy_comes_last(tmp_path: Path) -> None:
    done = World(tmp_path, devices=("local",)).sweep().done
    assert titles(done, StepKind.LAUNCH, StepKind.ACCURACY) == [
        "a on local 0",
        "b on local 0",
        "a on local 1",
        "b on local 1",
        "a on local accuracy",
        "b on local accuracy",
    ]


def test_one_step_at_a_time_runs_on_a_device_and_this_machine_is_not_measured_while_it_compiles(tmp_path: Path) -> None:
    for moment in World(tmp_path).sweep().together:
        on_devices = [step.device for step in moment if step.device]
        assert len(on_devices) == len(set(on_devices))
        if "local" in on_devices:
            assert all(step.device for step in moment)


def test_this_machine_waits_for_what_it_emulates(tmp_path: Path) -> None:
    for moment in World(tmp_path).sweep(emulated=["board"]).together:
        assert {"local", "board"} - {step.device for step in moment}


def test_a_file_is_brought_to_a_device_once_before_its_first_round(tmp_path: Path) -> None:
    done = titles(World(tmp_path, devices=("board",)).sweep().done)
    for name in "ab":
        assert done.count(f"push {name} board") == 1
        assert done.index(f"push {name} board") < done.index(f"{name} on board 0")


@pytest.mark.parametrize(
    ("broken", "failed"),
    [
        ("convert a", {("a", "local"), ("a", "board")}),
        ("verify b", {("b", "local"), ("b", "board")}),
        ("network", {("a", "local"), ("a", "board"), ("b", "local"), ("b", "board")}),
        ("a on local 1", {("a", "local")}),
        ("b on board accuracy", {("b", "board")}),
    ],
)
def test_what_fails_is_recorded_and_stops_nothing_else(
    tmp_path: Path, broken: str, failed: set[tuple[str, str]]
) -> None:
    world = World(tmp_path, breaks=lambda step: ("it broke", "EngineError") if step.title == broken else None)
    world.sweep()
    assert len(world.finished) == 4
    assert {run for run, error in world.finished.items() if error} == failed
    assert all("it broke" in error[0] for error in world.finished.values() if error)

    world.breaks = lambda step: None
    world.finished.clear()
    again = world.sweep()
    assert not any(world.finished.values())
    assert broken in titles(again.done)
    assert "a on local 0" not in titles(again.done) or broken in {"convert a", "network"}


def test_runs_of_files_that_turn_out_alike_are_measured_once(tmp_path: Path) -> None:
    world = World(tmp_path, alike=True)
    done = titles(world.sweep().done, StepKind.LAUNCH, StepKind.ACCURACY)
    assert len(done) == len(set(done)) == 6
    assert len(world.finished) == 4
    assert not any(world.finished.values())


@pytest.mark.parametrize("broken", ["z on board 0", "z on board 1"])
def test_what_failed_for_one_run_is_begun_again_for_another_that_comes_to_need_it(tmp_path: Path, broken: str) -> None:
    times: list[str] = []

    def breaks(step: Step) -> tuple[str, str] | None:
        if step.title == broken and not times:
            times.append(step.title)
            return "it broke", "EngineError"
        return None

    world = World(tmp_path, devices=("board",), alike=True, breaks=breaks)
    world.sweep()
    assert sorted(map(str, world.finished.values())) == ["('it broke', 'EngineError')", "None"]


def test_a_device_that_cannot_be_reached_is_told_before_anything_is_made_for_it_and_the_other_goes_on(
    tmp_path: Path,
) -> None:
    broken = ("board is off", "TransientDeviceError")
    world = World(tmp_path, breaks=lambda step: broken if step.title == "reach board" else None)
    done = titles(world.sweep().done)
    assert not any("on board" in title for title in done)
    assert world.finished == {
        ("a", "local"): None,
        ("b", "local"): None,
        ("a", "board"): broken,
        ("b", "board"): broken,
    }


def test_a_device_that_is_the_only_one_and_off_has_nothing_made_for_it(tmp_path: Path) -> None:
    broken = ("board is off", "DeviceRefused")
    world = World(tmp_path, devices=("board",), breaks=lambda step: broken if step.kind is StepKind.REACH else None)
    done = world.sweep().done
    assert not titles(done, StepKind.CONVERT, StepKind.VERIFY, StepKind.LAUNCH)
    assert set(world.finished.values()) == {broken}


def test_after_two_losses_in_a_row_the_rest_of_a_device_is_not_tried(tmp_path: Path) -> None:
    tried = []

    def breaks(step: Step) -> tuple[str, str] | None:
        if step.device == "board" and step.kind is StepKind.LAUNCH:
            tried.append(step.title)
            return "the line is dead", "ConnectionLost"
        return None

    world = World(tmp_path, rounds=5, breaks=breaks)
    world.sweep()
    assert len(tried) == 2
    assert all(error for (_, device), error in world.finished.items() if device == "board")
    assert not any(error for (_, device), error in world.finished.items() if device == "local")


def test_files_that_are_lost_are_made_again_and_what_was_measured_stays(tmp_path: Path) -> None:
    world = World(tmp_path, devices=("local",))
    first = world.sweep().done
    launches = [step for step in first if step.kind is StepKind.LAUNCH]
    world.store.forget([launches[-1].key])
    lost = hashlib.sha256(b"content of b").hexdigest()
    world.blobs.path(lost).unlink()
    world.finished.clear()
    done = titles(world.sweep().done)
    assert "convert b" in done
    assert "convert a" not in done
    assert [title for title in done if "on local" in title] == [launches[-1].title]
    assert not any(world.finished.values())


def test_a_file_that_is_lost_after_all_was_measured_is_made_again_and_nothing_else(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.sweep()
    world.blobs.path(hashlib.sha256(b"content of b").hexdigest()).unlink()
    world.finished.clear()
    assert titles(world.sweep().done, StepKind.CONVERT, StepKind.LAUNCH, StepKind.ACCURACY) == ["convert b"]
    assert not any(world.finished.values())


def test_what_decides_how_a_run_is_measured_is_known_before_it_is(tmp_path: Path) -> None:
    world = World(tmp_path, before=True)
    world.sweep()
    world.store.forget([world.network.key])
    world.finished.clear()
    assert titles(world.sweep().done) == ["network"]
    assert len(world.finished) == 4


def test_a_damaged_file_is_never_used(tmp_path: Path) -> None:
    world = World(tmp_path, devices=("local",))
    first = world.sweep().done
    world.store.forget([step.key for step in first if step.kind is StepKind.LAUNCH])
    damaged = world.blobs.path(hashlib.sha256(b"content of a").hexdigest())
    damaged.write_bytes(b"content of z")
    world.finished.clear()
    assert "convert a" in titles(world.sweep().done)
    assert damaged.read_bytes() == b"content of a"


def test_a_worker_that_misses_a_file_has_it_made_again_but_not_for_ever(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        devices=("local",),
        breaks=lambda step: ("gone", "LostContent") if step.title == "a on local 0" else None,
    )
    world.sweep()
    error = world.finished["a", "local"]
    assert error is not None
    assert error[1] == "LostContent"
    assert world.finished["b", "local"] is None
