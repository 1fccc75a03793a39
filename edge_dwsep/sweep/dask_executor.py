"""Carry steps out on the workers of a dask.distributed scheduler."""

from __future__ import annotations

__all__ = ["DaskExecutor"]

import contextlib
import queue
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dwsep_runtime.errors import DwsepError
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.dask_client import connected, quiet
from edge_dwsep.sweep.dask_members import Member, Members
from edge_dwsep.sweep.dask_worker import do, end
from edge_dwsep.sweep.errors import InvalidSweep, LostContent, NoWorker, SchedulerLost
from edge_dwsep.sweep.hands import Answer, Task
from edge_dwsep.sweep.steps import Outcome, Step, StepOutput

LOOK_SECONDS = 1.0
"""Between two looks at which workers there are."""

ARRIVAL_SECONDS = 10.0
"""That a worker for a device has to appear when a sweep begins."""

REPLACEMENT_SECONDS = 300.0
"""That one has to appear where the last has gone."""

GATHER_SECONDS = (10.0, 60.0, 600.0)
"""That what a step put out has to arrive in; between them it is asked whether its worker still lives."""

MOST_TRIES = 4
"""Times that a step is begun whose worker goes away."""


@dataclass
class _Asked:
    """A step that was asked for.

    Attributes:
        step: to be done.
        inputs: outputs of what it needs.
        since: when it was asked for, or lost its worker; seconds of a clock that only goes on.
        tries: times that it was begun and its worker went away.
        worker: address of the one that has it; empty while it waits.
        lacks: contents that this worker has to be given with it.
        future: of its answer.
        told: whether it was said that there is no worker for it.
    """

    step: Step
    inputs: Mapping[str, StepOutput]
    since: float
    tries: int = 0
    worker: str = ""
    lacks: tuple[str, ...] = ()
    future: Any = None
    told: bool = False


class DaskExecutor:
    """See :class:`edge_dwsep.sweep.steps.Executor`.

    A step is sent to one worker at a time, and to another once the scheduler has told that the first is gone; those of
    a device to workers with the resource ``device:NAME`` alone, which the scheduler gives to one step at a time,
    whoever asks. Contents of files go to workers that say that they lack them, and come back with what was made.

    Args:
        address: of the scheduler.
        blobs: where contents of files are on this host.
        say: told what takes long.
        replacement_seconds: that a worker has to appear in where the last has gone.

    Raises:
        DwsepError: the package is not installed.
        InvalidSweep: the address is none.
        SchedulerLost: no scheduler answers there.
    """

    def __init__(
        self,
        address: str,
        blobs: BlobFolder,
        say: Callable[[str], None] = lambda said: None,
        *,
        replacement_seconds: float = REPLACEMENT_SECONDS,
    ) -> None:
        self._address = address
        self._blobs = blobs
        self._say = say
        self._replacement_seconds = replacement_seconds
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(quiet())
        try:
            self._client = connected(address)
        except BaseException:
            self._quiet.close()
            raise
        self._session = f"edge-dwsep-{uuid.uuid4().hex}"
        self._news: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._client.subscribe_topic(self._session, lambda event: self._news.put(("said", str(event[1]))))
        self._members = Members(self._client, say)
        self._looked = 0.0
        self._waiting: list[_Asked] = []
        self._running: dict[str, _Asked] = {}
        self._ended: list[Outcome] = []
        self._contents: dict[str, Any] = {}
        self._last: dict[str, str] = {}
        self._identities: dict[str, Mapping[str, Any]] = {}

    def submit(self, step: Step, inputs: Mapping[str, StepOutput]) -> None:
        """Begin a step as soon as a worker for it is free; see the protocol."""
        self._waiting.append(_Asked(step, inputs, time.monotonic()))
        self._hand_out()

    def wait(self, timeout: float) -> Sequence[Outcome]:
        """Steps that ended; see the protocol.

        Raises:
            SchedulerLost: the scheduler went away.
            NoWorker: there is no worker any more, and none has appeared for some time.
            OutputNotWritable: what came back cannot be kept.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._look()
            self._hand_out()
            left = deadline - time.monotonic()
            if self._ended or left <= 0 or not (self._running or self._waiting):
                ended, self._ended = self._ended, []
                return ended
            with contextlib.suppress(queue.Empty):
                self._hear(*self._news.get(timeout=min(left, LOOK_SECONDS)))

    def identity(self, device: str) -> Mapping[str, Any]:
        """What tells a device from others, as the worker that holds it knows it; see the protocol.

        Raises:
            NoWorker: no worker holds it.
            InvalidSweep: workers hold different devices under this name, or do not know it.
        """
        deadline = time.monotonic() + ARRIVAL_SECONDS
        told = False
        while not (holders := self._holders(device)):
            if time.monotonic() > deadline:
                raise NoWorker(self._no_holder(device))
            if not told:
                told = True
                self._say(f"wait for a worker that holds {device}")
            time.sleep(LOOK_SECONDS / 4)
            self._members.look()
        found = {holder.address: self._members.identity(holder, device) for holder in holders}
        identities: list[Mapping[str, Any]] = []
        for address, identity in found.items():
            if isinstance(identity, str):
                raise InvalidSweep(f"the worker at {address} holds {_resource(device)}=1, but: {identity}")
            if identity not in identities:
                identities.append(identity)
        if len(identities) > 1:
            where = " and ".join(sorted(f"{member.node} ({member.address})" for member in holders))
            raise InvalidSweep(
                f"{device} is another device to each of the workers that hold it, on {where}; "
                f"let one of them have the resource {_resource(device)}"
            )
        self._identities[device] = identities[0]
        return identities[0]

    def close(self) -> None:
        """Drop what is waiting, and interrupt what is running; workers clean up on devices. May be called again."""
        futures = [asked.future for asked in self._running.values()]
        self._waiting.clear()
        self._running.clear()
        self._contents.clear()
        with contextlib.suppress(Exception), self._quiet:  # whatever it is, what was finished is kept
            if self._client.status == "running":
                self._client.cancel(futures)
                self._members.look()
                used = [address for address in self._last if address in self._members.by_address]
                if used:
                    self._client.run(end, self._session, workers=used, on_error="ignore")
            self._client.close(timeout=5)

    def _look(self) -> None:
        """See which workers there are; steps of those that are gone wait for another."""
        self._require_scheduler()
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._members.look()
        self._looked = time.monotonic()
        gone = [key for key, asked in self._running.items() if asked.worker not in self._members.by_address]
        for key in gone:
            asked = self._running.pop(key)
            self._client.cancel([asked.future])
            self._again(asked, "went away")

    def _require_scheduler(self) -> None:
        """Make sure that there is a scheduler; one that came back is gone on with.

        Raises:
            SchedulerLost: there is none.
        """
        while self._client.status == "connecting":
            time.sleep(LOOK_SECONDS / 4)
        if self._client.status != "running":
            raise SchedulerLost(
                f"the scheduler at {self._address} went away; what was finished is kept: start it and its workers "
                "again, and go on with --resume"
            )

    def _hear(self, what: str, told: str) -> None:
        if what == "said":
            self._say(told)
            return
        asked = self._running.pop(told, None)
        if asked is not None:  # else another worker has it by now, or nobody wants it
            self._end(asked)

    def _end(self, asked: _Asked) -> None:
        """Take the answer of a worker."""
        import distributed

        future = asked.future
        try:
            answer = self._answer(asked)
        except (OSError, distributed.TimeoutError, distributed.CancelledError, distributed.KilledWorker):
            self._contents.clear()  # they may have been lost with the worker that held them
            self._again(asked, "went away")
            return
        except Exception as failure:  # noqa: BLE001  # the other steps are done all the same
            detail = " ".join(f"{type(failure).__name__}: {failure}".split())[:300]
            self._fail(asked, f"its worker {asked.worker} could not do it: {detail}", DwsepError.__name__)
            return
        finally:
            future.release()
        self._take(asked, answer)

    def _answer(self, asked: _Asked) -> Answer:
        """The answer of a worker; one that died after it had answered never gives it.

        Raises:
            TimeoutError: it does not come.
        """
        import distributed

        for seconds in GATHER_SECONDS:
            try:
                answer: Answer = asked.future.result(timeout=seconds)
            except distributed.TimeoutError:
                self._members.look()
                if asked.worker not in self._members.by_address:
                    break
            else:
                return answer
        raise distributed.TimeoutError

    def _take(self, asked: _Asked, answer: Answer) -> None:
        if answer.outcome is None and answer.lacks and not set(answer.lacks) & set(asked.lacks):
            asked.lacks = answer.lacks
            self._begin(asked, asked.worker)
            return
        for sha256, content in answer.contents.items():
            if self._blobs.put(content) != sha256:
                self._again(asked, "sent back another content than it told of")
                return
        if answer.outcome is None:
            self._again(asked, "does not keep the contents that it is given")
            return
        self._ended.append(answer.outcome)

    def _again(self, asked: _Asked, why: str) -> None:
        """Let a step be done by another worker, unless that was tried often enough."""
        asked.tries += 1
        if asked.tries >= MOST_TRIES:
            mend = "it may have run out of memory; look into the workers' logs"
            self._fail(asked, f"{asked.tries} workers went away while they did it, or failed; {mend}", "EngineCrashed")
            return
        self._say(f"the worker at {asked.worker} {why}; {asked.step.title} is begun again")
        asked.worker, asked.lacks, asked.future, asked.told, asked.since = "", (), None, False, time.monotonic()
        self._waiting.append(asked)

    def _fail(self, asked: _Asked, error: str, kind: str) -> None:
        seconds = time.monotonic() - asked.since
        self._ended.append(Outcome(asked.step, None, f"{asked.step.title}: {error}", kind, seconds, asked.worker))

    def _hand_out(self) -> None:
        """Send waiting steps to workers that are free, those of devices first."""
        self._require_scheduler()
        for asked in sorted(self._waiting, key=lambda asked: not asked.step.device):
            member = self._free(asked.step)
            if member is not None:
                self._waiting.remove(asked)
                self._last[member.address] = str(asked.step.asides.get("affinity", ""))
                self._begin(asked, member.address)
                continue
            candidates = self._holders(asked.step.device) if asked.step.device else self._compiling()
            if not candidates:
                self._miss(asked)
            else:
                asked.since, asked.told = time.monotonic(), False

    def _free(self, step: Step) -> Member | None:
        """A worker to send a step to; of those that compile the one that has the network loaded."""
        busy = {asked.worker for asked in self._running.values()}
        candidates = self._holders(step.device) if step.device else self._compiling()
        free = [member for member in candidates if member.address not in busy]
        if not free:
            return None
        network = str(step.asides.get("affinity", ""))
        return next((member for member in free if self._last.get(member.address) == network), free[0])

    def _holders(self, device: str) -> list[Member]:
        """Workers that hold a device, the one that the sweep began with where its identity is known."""
        holders = [member for member in self._members.usable() if member.holds(_resource(device))]
        known = self._identities.get(device)
        if known is None:
            return holders
        return [member for member in holders if self._members.identity(member, device) == known]

    def _compiling(self) -> list[Member]:
        """Workers for steps of no device: those that hold none, unless there is no other."""
        usable = self._members.usable()
        return [member for member in usable if not member.devices] or usable

    def _miss(self, asked: _Asked) -> None:
        """There is no worker for a step: that is told, and after some time it fails.

        Raises:
            NoWorker: nothing at all can be done.
        """
        device = asked.step.device
        missing = self._no_holder(device) if device else self._no_worker()
        if time.monotonic() - asked.since > self._replacement_seconds:
            if not device:
                raise NoWorker(f"{missing}; what was finished is kept: go on with --resume")
            self._waiting.remove(asked)
            self._ended.append(Outcome(asked.step, None, missing, NoWorker.__name__))
        elif not asked.told:
            asked.told = True
            self._say(missing)

    def _no_holder(self, device: str) -> str:
        resource = _resource(device)
        why = [
            member.why_not for member in self._members.by_address.values() if member.holds(resource) and member.why_not
        ]
        known = self._identities.get(device)
        if not why and known is not None:
            others = [member for member in self._members.usable() if member.holds(resource)]
            why = [f"the one at {member.address} has another" for member in others]
        because = f" ({'; '.join(why)})" if why else ""
        start = f"dask worker {self._address} --nthreads 1 --resources '{resource}=1'"
        return f"no worker holds device {device}{because}; start one where it is reached from: {start}"

    def _no_worker(self) -> str:
        why = [member.why_not for member in self._members.by_address.values() if member.why_not]
        because = f" ({'; '.join(why)})" if why else ""
        start = f"dask worker {self._address} --nthreads 1"
        return f"the scheduler at {self._address} has no worker for this sweep{because}; start some: {start}"

    def _begin(self, asked: _Asked, worker: str) -> None:
        """Send a step to a worker, with the contents that it lacks."""
        step = asked.step
        asked.worker = worker
        task = Task(step, dict(asked.inputs), self._session)
        key = f"{self._session}-{step.kind.value}-{uuid.uuid4().hex}"
        try:
            given = {sha256: self._content(sha256, worker) for sha256 in asked.lacks}
            asked.future = self._client.submit(
                do,
                task,
                given,
                key=key,
                workers=[worker],
                resources={_resource(step.device): 1} if step.device else None,
                pure=False,
            )
        except LostContent as error:
            self._ended.append(Outcome(step, None, str(error), LostContent.__name__, 0.0, worker))
            return
        except (OSError, ValueError):  # the worker, or the scheduler, went away this very moment
            self._again(asked, "went away")
            return
        self._running[key] = asked
        asked.future.add_done_callback(lambda _: self._news.put(("ended", key)))

    def _content(self, sha256: str, worker: str) -> Any:
        """A content as workers can fetch it: sent to one that lacks it, and from there to others.

        Raises:
            LostContent: it is not on this host.
        """
        if sha256 not in self._contents:
            key = f"{self._session}-content-{sha256}"
            self._contents[sha256] = self._client.scatter({key: self._blobs.read(sha256)}, workers=[worker])[key]
        return self._contents[sha256]


def _resource(device: str) -> str:
    return f"device:{device}"
