"""What a worker does with a step: contents are checked, one is done at a time, and nothing is left behind."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.hands import Answer, Hands, Task, Unwanted, _environment
from edge_dwsep.sweep.same_code import difference, installation
from edge_dwsep.sweep.steps import Outcome, Step, StepKind, StepOutput
from tests.device_faults import soon

CONTENT = b"pixels"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DATA = Step(StepKind.DATA, {"name": "some", "files": {"images.npy": SHA256}}, title="open some")


def always() -> bool:
    return True


def unheard(said: str) -> None: ...


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


@pytest.fixture
def hands(blobs: BlobFolder) -> Iterator[Hands]:
    made = Hands(lambda: blobs, idle_seconds=0.5)
    yield made
    made.end("session")


def alive(hands: Hands) -> bool:
    return any(lane.pipe is not None for lane in hands._lanes.values())


def test_a_step_is_not_begun_for_want_of_contents_and_done_once_they_are_given(hands: Hands, blobs: BlobFolder) -> None:
    task = Task(DATA, {}, "session")
    assert hands.do(task, {}, "one", unheard, always) == Answer(None, (SHA256,))
    assert not alive(hands)
    answer = hands.do(task, {SHA256: CONTENT}, "one", unheard, always)
    assert answer.outcome is not None
    assert answer.outcome.output == StepOutput({"name": "some"}, {"images.npy": SHA256})
    assert answer.outcome.worker.endswith(" one compile")
    assert answer.contents == {}, "whoever asked has it"
    assert blobs.read(SHA256) == CONTENT


def test_a_content_that_arrives_damaged_is_lacked_still(hands: Hands) -> None:
    assert hands.do(Task(DATA, {}, "session"), {SHA256: b"other"}, "one", unheard, always).lacks == (SHA256,)


def test_a_content_that_was_damaged_where_it_lay_is_asked_for(hands: Hands, blobs: BlobFolder) -> None:
    blobs.put(CONTENT)
    blobs.path(SHA256).write_bytes(b"pixelz")
    assert hands.do(Task(DATA, {}, "session"), {}, "one", unheard, always).lacks == (SHA256,)


def test_contents_of_all_inputs_and_of_the_step_itself_are_needed() -> None:
    inputs = {"network": StepOutput({}, {"model.keras": "aa"}), "data": StepOutput({}, {"images.npy": SHA256})}
    assert list(Task(DATA, inputs, "").contents) == ["aa", SHA256]
    assert not Task(Step(StepKind.LOWER, {}), {}, "").contents


def test_a_full_disk_fails_the_step_with_the_name_of_the_worker(hands: Hands, blobs: BlobFolder) -> None:
    blobs.folder.parent.mkdir(exist_ok=True)
    blobs.folder.write_bytes(b"no folder")
    outcome = hands.do(Task(DATA, {}, "session"), {SHA256: CONTENT}, "one", unheard, always).outcome
    assert outcome is not None
    assert outcome.output is None
    assert outcome.error_class == "OutputNotWritable"
    assert " one: " in outcome.error


def test_a_step_that_nobody_wants_any_more_is_interrupted(hands: Hands, blobs: BlobFolder) -> None:
    blobs.put(CONTENT)
    with pytest.raises(Unwanted):
        hands.do(Task(DATA, {}, "session"), {}, "one", unheard, lambda: False)
    assert not alive(hands)
    assert hands.do(Task(DATA, {}, "session"), {}, "one", unheard, always).outcome is not None


def test_one_step_is_done_at_a_time(blobs: BlobFolder) -> None:
    at_once: list[int] = []

    class Slow(Hands):
        working = 0

        def _outcome(self, task: Task, *_: object) -> Outcome:
            self.working += 1
            at_once.append(self.working)
            time.sleep(0.1)
            self.working -= 1
            return Outcome(task.step, None)

    slow = Slow(lambda: blobs)
    blobs.put(CONTENT)
    task = Task(DATA, {}, "session")
    threads = [threading.Thread(target=slow.do, args=(task, {}, "one", unheard, always)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == [1, 1, 1]
    slow.end("session")


def test_processes_end_when_they_are_idle_and_when_their_session_does(hands: Hands, blobs: BlobFolder) -> None:
    blobs.put(CONTENT)
    assert hands.do(Task(DATA, {}, "session"), {}, "one", unheard, always).outcome is not None
    assert alive(hands)
    hands.end("another session")
    assert alive(hands)
    hands.end("session")
    assert not alive(hands)
    assert hands.do(Task(DATA, {}, "session"), {}, "one", unheard, always).outcome is not None
    assert soon(lambda: not alive(hands), 10)


def test_what_a_nanny_sets_for_its_workers_does_not_reach_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = _environment()
    assert "MALLOC_TRIM_THRESHOLD_" not in found
    assert found["OMP_NUM_THREADS"] == "3", "set by the user"
    assert found["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, ""),
        ({"keras": "3.0"}, "it has keras 3.0 where this machine has"),
        ({"keras": ""}, "it has keras none where this machine has"),
        ({"edge-dwsep": "0.0.1", "code": "other"}, "it has edge-dwsep 0.0.1 where this machine has"),
        ({"code": "other"}, "has other code than this one"),
        ({"node": "elsewhere"}, ""),
    ],
)
def test_what_makes_other_files_is_told_apart(there: dict[str, str], said: str) -> None:
    found = difference({**installation(), **there}, installation())
    assert found.startswith(said) or said in found
    assert bool(found) == bool(said)
