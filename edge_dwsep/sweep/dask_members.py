"""The workers of a dask.distributed scheduler, and which of them make the same of a step as this machine would."""

from __future__ import annotations

__all__ = ["Member", "Members"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_dwsep.sweep.dask_worker import identity_of, installed
from edge_dwsep.sweep.same_code import difference, installation

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Member:
    """A worker.

    Attributes:
        address: by which the scheduler knows it.
        node: name of its machine; empty if it did not tell.
        resources: names of what it holds.
        why_not: why it is given no steps; empty if it is.
    """

    address: str
    node: str
    resources: frozenset[str]
    why_not: str = ""

    def holds(self, resource: str) -> bool:
        """Whether it has a resource."""
        return resource in self.resources

    @property
    def devices(self) -> frozenset[str]:
        """Names of devices that it holds."""
        return frozenset(name.partition(":")[2] for name in self.resources if name.startswith("device:"))


@dataclass
class Members:
    """Workers as they come and go.

    Attributes:
        client: of their scheduler.
        say: told of workers that are of no use.
        by_address: those that there were at the last look.
    """

    client: Client
    say: Callable[[str], None]
    by_address: dict[str, Member] = field(default_factory=dict)
    _identities: dict[tuple[str, str], Mapping[str, Any] | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """See which workers there are, and ask those that are new what is installed there."""
        try:  # Client.scheduler_info() gives at times what a timer of the client has asked for, without workers
            told = self.client.sync(self.client.scheduler.identity, n_workers=-1)  # type: ignore[union-attr]
        except OSError:  # the scheduler is gone, as its client will find
            return
        there: Mapping[str, Any] = told["workers"]
        new = [address for address in there if address not in self.by_address]
        known = {address: member for address, member in self.by_address.items() if address in there}
        answers = self._run(installed, new) if new else {}
        for address in new:
            if address not in answers:  # it went away meanwhile
                continue
            resources = frozenset(name for name, count in there[address]["resources"].items() if count >= 1)
            known[address] = member = _member(address, resources, answers[address])
            if member.why_not:
                self.say(f"{member.why_not}; it is given nothing to do")
        self.by_address = known

    def usable(self) -> list[Member]:
        """Workers that may be given steps."""
        return [member for member in self.by_address.values() if not member.why_not]

    def identity(self, member: Member, device: str) -> Mapping[str, Any] | str:
        """Identity of a device as a worker knows it, or why it has none."""
        of = member.address, device
        if of not in self._identities:
            answer = self._run(identity_of, [member.address], device).get(member.address)
            if answer is None:
                return "it went away"
            self._identities[of] = answer if isinstance(answer, (dict, str)) else " ".join(str(answer).split())[:300]
        return self._identities[of]

    def _run(self, function: Callable[..., Any], workers: list[str], *arguments: str) -> dict[str, Any]:
        """What some workers answer, an exception where one could not; nothing of those that went away."""
        try:
            told: dict[str, Any] = self.client.run(function, *arguments, workers=workers, on_error="return")
        except OSError:  # the scheduler is gone, as its client will find
            return {}
        return {worker: answer for worker, answer in told.items() if not isinstance(answer, OSError)}


def _member(address: str, resources: frozenset[str], answer: Any) -> Member:
    """A worker by what it answered of itself."""
    if isinstance(answer, ModuleNotFoundError):
        why_not = f"the worker at {address} has no edge-dwsep: pip install 'edge-dwsep[scale-out]' there ({answer})"
        return Member(address, "", resources, why_not)
    if not isinstance(answer, dict):
        said = " ".join(f"{type(answer).__name__}: {answer}".split())[:300]
        return Member(address, "", resources, f"the worker at {address} cannot tell what it has: {said}")
    there = {str(name): str(value) for name, value in answer.items()}
    different = difference(there, installation())
    why_not = f"the worker at {address} would make other files: {different}" if different else ""
    return Member(address, there.get("node", ""), resources, why_not)
