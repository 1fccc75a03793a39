"""A sweep from its plan to its results: one at a time in a folder, begun anew or gone on with."""

from __future__ import annotations

__all__ = ["Sweep", "expansion_of", "plan_in", "require_store", "sweep_folder", "taken_up"]

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices.cache import locked_if_free
from dwsep_export.errors import OutputNotWritable
from dwsep_export.output import staging_folder, write_text
from edge_dwsep.results import new_results
from edge_dwsep.store import SweepRecord
from edge_dwsep.store.location import shown, store_url
from edge_dwsep.sweep.errors import InvalidSweep, SweepBusy
from edge_dwsep.sweep.expand import Expansion, expand
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.session import Means, Session, SweepSettings, Told

if TYPE_CHECKING:
    from edge_dwsep.sweep.compile import CompileGraph

STATE = "sweep.json"
LOCK = ".edge-dwsep-sweep.lock"


@dataclass(frozen=True)
class Sweep:
    """A sweep in a folder.

    Attributes:
        id: of the sweep in the store.
        plan: of the sweep.
        again: empty, or the word by which it measures anew.
        folder: that it writes to.
        store: URL of the store, without password.
        seal: of the answers that it left in the folder when it was carried out to its end before; empty if it was not.
    """

    id: str
    plan: SweepPlan
    again: str
    folder: Path
    store: str
    seal: str = ""

    def keep(self, seal: str = "") -> None:
        """Write down what this sweep is, so that it can be gone on with.

        Args:
            seal: of its answers, once they are written.

        Raises:
            OutputNotWritable: the folder cannot be written.
        """
        told = {
            "schema_version": 1,
            "id": self.id,
            "plan": self.plan.to_json(),
            "again": self.again,
            "store": self.store,
            "answers": seal,
        }
        write_text(self.folder / STATE, json.dumps(told, indent=1) + "\n")

    @contextlib.contextmanager
    def session(
        self,
        means: Means,
        command: str,
        expansion: Expansion,
        told: Told,
        *,
        wait: bool = True,
    ) -> Iterator[Session]:
        """The sweep at work; the store tells how it ended.

        Raises:
            DwsepError: data or a model cannot be used, or the store does not work.
        """
        from edge_dwsep.sweep.compile import compile_steps

        fresh = new_results(command, self.plan.measure.latency(1).to_json(), [])
        record = SweepRecord(
            self.id,
            self.plan.name or self.folder.absolute().name,
            command,
            self.plan.to_json(),
            versions=fresh["versions"],
            settings=fresh["settings"],
            excluded=[one.to_json() for one in expansion.excluded],
        )
        settings = SweepSettings(self.folder, wait, self.again)
        status = "interrupted"
        try:
            graph: CompileGraph = compile_steps(expansion.networks, expansion.variants, self.plan, means.blobs)
            means.store.begin_sweep(record)
            yield Session(self.id, self.plan, expansion, graph, means, settings, told)
            status = "done"
        except Exception:
            status = "failed"
            raise
        finally:
            means.executor.close()
            with contextlib.suppress(Exception) if status != "done" else contextlib.nullcontext():
                means.store.finish_sweep(self.id, status)


def expansion_of(plan: SweepPlan) -> Expansion:
    """The runs of a plan, as far as can be told without reaching devices or opening data.

    Raises:
        UnknownDevice: a device is not known.
        InvalidInput: nothing is left, or a setting fits none of the models.
    """
    from edge_dwsep.datasets.names import DataShape, shape_of_data
    from edge_dwsep.sweep.targets import target_of

    devices = {name: target_of(name) for name in plan.devices}
    return expand(plan, devices=devices, data=shape_of_data(plan.data) if plan.data else DataShape())


@contextlib.contextmanager
def sweep_folder(folder: Path) -> Iterator[None]:
    """A folder to sweep in, for as long as the block lasts; nobody else sweeps in it meanwhile.

    Raises:
        SweepBusy: another sweep does.
        OutputNotWritable: it cannot be written.
    """
    with staging_folder(folder):
        pass
    try:
        with locked_if_free(folder / LOCK) as ours:
            if not ours:
                raise SweepBusy(f"another sweep is at work in {folder}; wait for it, or give another --output")
            yield
    except OSError as error:
        if error.filename != str(folder / LOCK):
            raise
        raise OutputNotWritable(f"output folder {folder} cannot be written: {error.strerror}") from error


def plan_in(folder: Path) -> SweepPlan | None:
    """The plan of the sweep that a folder holds; None if it holds none.

    Raises:
        InvalidSweep: what it holds cannot be read.
    """
    kept = _kept(folder)
    return None if kept is None else _plan(kept, folder)


def require_store(folder: Path, given: str | None) -> None:
    """Make sure that the sweep in a folder is gone on with in the store that has what it did.

    Args:
        folder: of a sweep.
        given: the store that a user names; None for the usual one.

    Raises:
        InvalidSweep: it is another, or what the folder holds cannot be read.
    """
    kept = (_kept(folder) or {}).get("store")
    there = shown(store_url(given))
    if kept is not None and kept != there:
        raise InvalidSweep(
            f"what the sweep in {folder} did is in the store {kept}, not in {there}; give --store, "
            "or leave out --resume to begin it anew"
        )


def taken_up(folder: Path, plan: SweepPlan, store: str, *, again: bool) -> Sweep:
    """The sweep of a plan in a folder: the one that is there, if it has the same plan, or else a new one.

    Args:
        folder: to sweep in.
        plan: of the sweep.
        store: URL of the store, without password.
        again: whether to measure anew what is in the store; a sweep that was to and was not finished goes on.

    Raises:
        InvalidSweep: what the folder holds cannot be read.
    """
    kept = _kept(folder)
    if kept is not None and _plan(kept, folder) == plan:
        seal, word = str(kept.get("answers", "")), str(kept.get("again", ""))
        if again and (seal or not word):
            word = uuid.uuid4().hex
        return Sweep(str(kept["id"]), plan, word, folder, store, seal)
    return Sweep(uuid.uuid4().hex, plan, uuid.uuid4().hex if again else "", folder, store)


def _kept(folder: Path) -> Mapping[str, Any] | None:
    path = folder / STATE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSweep(f"{path} cannot be read: {error}; remove it, nothing measured is lost") from error
    if not isinstance(told, dict) or told.get("schema_version") != 1 or not isinstance(told.get("id"), str):
        raise InvalidSweep(f"{path} is not of this version; remove it, nothing measured is lost")
    return told


def _plan(kept: Mapping[str, Any], folder: Path) -> SweepPlan:
    from dwsep_runtime.errors import DwsepError

    try:
        return SweepPlan.from_json(kept["plan"])
    except (KeyError, TypeError, AttributeError, DwsepError) as error:
        raise InvalidSweep(f"{folder / STATE}: its plan cannot be read: {error}; remove it") from error
