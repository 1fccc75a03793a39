"""The order in which a device does what waits for it."""

from __future__ import annotations

from edge_dwsep.sweep.device_queue import DeviceQueue
from edge_dwsep.sweep.steps import Step, StepKind


def step(kind: StepKind, **spec: int) -> Step:
    return Step(kind, spec, device="board")


def test_rounds_come_before_operators_and_accuracy_and_a_step_that_waits_again_keeps_its_round() -> None:
    queue = DeviceQueue(reached=True)
    kinds = (StepKind.ACCURACY, StepKind.OPERATORS, StepKind.LAUNCH)
    waiting = {
        (kind.value, at, position): step(kind, round=at, run=position)
        for kind in kinds
        for at in range(2 if kind is StepKind.LAUNCH else 1)
        for position in (1, 0)
    }
    for (_, _, position), one in waiting.items():
        queue.add(one, position)
    names = {one.key: name for name, one in waiting.items()}
    first, second, third = (queue.take() for _ in range(3))
    assert [names[place[3]] for place in (first, second, third)] == [
        ("launch", 0, 0),
        ("launch", 0, 1),
        ("launch", 1, 0),
    ]
    queue.put_back(third)
    queue.add(waiting["launch", 1, 1], 1)  # begun again after a loss
    left = []
    while queue:
        left.append(names[queue.take()[3]])
    launches = [("launch", 1, 0), ("launch", 1, 1), ("launch", 1, 1)]
    assert left == [*launches, *((kind, 0, at) for kind in ("operators", "accuracy") for at in (0, 1))]


def test_what_brings_or_reaches_never_waits_and_a_queue_can_be_cleared() -> None:
    queue = DeviceQueue(reached=False)
    queue.add(step(StepKind.PUSH), 0)
    queue.add(step(StepKind.REACH), 0)
    assert not queue
    queue.add(step(StepKind.COUNT), 0)
    assert queue
    queue.clear()
    assert not queue
