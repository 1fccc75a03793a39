"""The keys of a plan, the same in a file and as options: which field each sets, and what it accepts."""

from __future__ import annotations

__all__ = ["KEYS", "Given", "Key", "read_plan"]

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.scenarios import DAY, MODES
from edge_dwsep.sweep.errors import InvalidPlan
from edge_dwsep.sweep.plan import SECTIONS, SweepPlan, defaults_of

MOST_SHOWN = 80


@dataclass(frozen=True)
class Given:
    """A value that the user gave.

    Attributes:
        value: as TOML or an option gives it.
        where: it stands, such as "plan.toml, line 3: alpha" or "--alpha".
        items: where each item of a list stands; empty for the same place.
        place: the same without the key, for one that is not known; empty for none.
    """

    value: Any
    where: str
    items: tuple[str, ...] = ()
    place: str = ""


Reader = Callable[[Any], Any]
"""Turns what was given into what is used; raises ValueError that says what is accepted."""


@dataclass(frozen=True)
class Key:
    """A key of a plan.

    Attributes:
        attribute: field that it sets.
        read: its value; of a list each item.
        many: whether it takes a list of different items; one alone need not be in a list.
        default: value of the field where nothing is said.
        known_here: makes sure that what the value names is there on this machine; raises InvalidInput.
    """

    attribute: str
    read: Reader
    many: bool
    default: Any
    known_here: Callable[[Any], None] | None = None


def read_plan(given: Mapping[str, Given], *, known_here: bool = True) -> SweepPlan:
    """Make a plan of values by key, such as "alpha" and "measure.mode".

    Args:
        given: values; a section without keys stands for itself, such as "search".
        known_here: whether models, data and devices must be there on this machine.

    Raises:
        InvalidPlan: a key is unknown, a value is not accepted, or there is no model.
    """
    held: dict[str, dict[str, Any]] = {"": {}}
    for key, one in given.items():
        if key in SECTIONS:
            if one.value != {}:
                raise InvalidPlan(f"{one.where} must be a table, written [{key}]; received {_shown(one.value)}")
            held.setdefault(key, {})
            continue
        if key not in KEYS:
            raise InvalidPlan(f"{one.place or one.where}: {_unknown(key)}")
        section = key.rpartition(".")[0]
        held.setdefault(section, {})[KEYS[key].attribute] = _value(KEYS[key], one, known_here=known_here)
    fields = held.pop("")
    if not fields.get("models"):
        raise InvalidPlan("the plan names no model; say which, such as mobilenet_v2, or the path of a .keras file")
    return SweepPlan(**fields, **{section: SECTIONS[section](**values) for section, values in held.items()})


def _value(key: Key, given: Given, *, known_here: bool) -> Any:
    if not key.many:
        return _read(key, given.value, given.where, known_here=known_here)
    items = given.value if isinstance(given.value, (list, tuple)) else [given.value]
    if not items:
        raise InvalidPlan(f"{given.where} is an empty list; give a value, or leave it out")
    wheres = given.items or (given.where,) * len(items)
    values: list[Any] = []
    for item, where in zip(items, wheres, strict=True):
        value = _read(key, item, where, known_here=known_here)
        if value in values:
            raise InvalidPlan(f"{where} names {_shown(value)} twice; give it once")
        values.append(value)
    return tuple(values)


def _read(key: Key, value: Any, where: str, *, known_here: bool) -> Any:
    try:
        read = key.read(value)
    except ValueError as error:
        raise InvalidPlan(f"{where} must be {error}; received {_shown(value)}") from error
    if known_here and key.known_here is not None:
        try:
            key.known_here(read)
        except InvalidInput as error:
            raise InvalidPlan(f"{where}: {error}") from error
        except OSError as error:  # of a name that is too long, among others
            raise InvalidPlan(f"{where}: {_shown(value)} cannot be looked for: {error.strerror}") from error
    return read


def _unknown(key: str) -> str:
    section, _, last = key.rpartition(".")
    names = [name.rpartition(".")[2] for name in KEYS if name.rpartition(".")[0] == section]
    kind = f"key of [{section}]" if section else "key"
    elsewhere = [name for name in KEYS if name.rpartition(".")[2] == last]
    if elsewhere:
        holder = elsewhere[0].rpartition(".")[0]
        return f"key {last!r} belongs {f'into [{holder}]' if holder else 'above the first [table]'}"
    return str(UnknownName(kind, last, names if section else [*names, *SECTIONS]))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


# Readers ------------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("a text, not empty")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  # a reader's one error
    return value


def _whole(least: int, most: int) -> Reader:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return read


def _number(least: float, most: float, *, above: bool = False) -> Reader:
    def read(value: Any) -> float:
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not least <= value <= most or (above and value == least):  # nan is in no range
            raise ValueError(f"a number {f'above {least:g} and at most' if above else f'from {least:g} to'} {most:g}")
        return float(value)

    return read


def _name(names: Callable[[], Iterable[str]], aliases: Callable[[], Mapping[str, str]] = dict) -> Reader:
    """One of several names, told when they are asked for."""

    def read(value: Any) -> str:
        known, others = list(names()), aliases()
        if isinstance(value, str):
            if value in known or value in others:
                return others.get(value, value)
            near = difflib.get_close_matches(value, [*known, *others], n=1, cutoff=0.5)
            if near:
                raise ValueError(f"one of {', '.join(known)} (did you mean {near[0]!r}?)")
        raise ValueError(f"one of {', '.join(known)}")

    return read


def _numbers(value: Any) -> tuple[float, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    read = _number(-1e9, 1e9)
    try:
        if items:
            return tuple(read(item) for item in items)
    except ValueError:
        pass
    raise ValueError("a number, or a list of one a channel")


def _cores(value: Any) -> tuple[int, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    read = _whole(0, 4095)
    try:
        if items:
            return tuple(read(item) for item in items)
    except ValueError:
        pass
    raise ValueError("the number of a core, or a list of them, such as [2, 3]")


def _options(value: Any) -> dict[str, str]:
    accepted = 'a table such as {xnnpack = "off"}, or a list of NAME=VALUE'
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        items = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(item, str) and "=" in item for item in items):
            raise ValueError(accepted)
        pairs = [tuple(item.split("=", 1)) for item in items]
    options = {}
    for name, one in pairs:
        if not (isinstance(name, str) and name and isinstance(one, str) and one):
            raise ValueError(accepted)
        if name in options:
            raise ValueError(f"one value for each option, and {name} is given twice")
        options[name] = one
    return options


def _quantity(reader: str, examples: str) -> Reader:
    """A number with its unit, kept as text, as a function of edge_dwsep.choice.quantities accepts it."""

    def read(value: Any) -> str:
        from edge_dwsep.choice import quantities

        try:
            getattr(quantities, reader)(value, "it")
        except (InvalidInput, TypeError) as error:
            raise ValueError(f'a text of a number and its unit, such as "{examples}"') from error
        return str(value)

    return read


def _schemes() -> list[str]:
    from dwsep_export.recipe import Scheme

    return [scheme.value for scheme in Scheme]


def _aliases() -> dict[str, str]:
    from dwsep_export.recipe import ALIASES

    return {alias: scheme.value for alias, scheme in ALIASES.items()}


def _formats() -> list[str]:
    from dwsep_export.recipe import Format

    return [format.value for format in Format]


def _ios() -> list[str]:
    from dwsep_export.recipe import Io

    return [io.value for io in Io]


def _engines() -> list[str]:
    from dwsep_runtime.engines import ENGINES

    return list(ENGINES)


def _objectives() -> list[str]:
    from edge_dwsep.choice.objectives import OBJECTIVES

    return list(OBJECTIVES)


def _model_here(name: str) -> None:
    from pathlib import Path

    from edge_dwsep.checkpoints import checkpoint_names
    from edge_dwsep.models.registry import ARCHITECTURES

    if name in ARCHITECTURES or name in checkpoint_names():
        return
    if not name.endswith(".keras"):
        raise UnknownName("model", name, [*ARCHITECTURES, *checkpoint_names(), "FILE.keras"])
    if not Path(name).is_file():
        raise InvalidInput(f"there is no file {name!r}; give the path of a .keras file")


def _options_here(options: Mapping[str, str]) -> None:
    from dwsep_runtime.engines import ENGINES, engine_options

    known = {option.name for name in ENGINES for option in engine_options(name)}
    for name in options:
        if name not in known:
            raise UnknownName("engine option", name, sorted(known))


def _device_here(name: str) -> None:
    from dwsep_devices.registry import require_known

    if name != "local":
        require_known(name)


def _data_here(name: str) -> None:
    from pathlib import Path

    from edge_dwsep.datasets.names import KNOWN_SETS

    if name in KNOWN_SETS or Path(name).is_dir():
        return
    if not name.endswith(".npz"):
        raise UnknownName("data set", name, [*KNOWN_SETS, "FILE.npz", "FOLDER"])
    if not Path(name).is_file():
        raise InvalidInput(f"there is no file {name!r}; give the path of an .npz file")


_READERS: dict[str, tuple[str, Reader, bool, Callable[[Any], None] | None]] = {
    "name": ("name", _text, False, None),
    "model": ("models", _text, True, _model_here),
    "alpha": ("alphas", _number(0, 100, above=True), True, None),
    "resolution": ("resolutions", _whole(1, 65536), True, None),
    "channels": ("channels", _whole(1, 4096), False, None),
    "classes": ("classes", _whole(2, 10**6), False, None),
    "format": ("formats", _name(_formats), True, None),
    "scheme": ("schemes", _name(_schemes, _aliases), True, None),
    "io": ("ios", _name(_ios), True, None),
    "engine": ("engines", _name(_engines), True, None),
    "threads": ("threads", _whole(1, 1024), True, None),
    "device": ("devices", _text, True, _device_here),
    "data": ("data", _text, False, _data_here),
    "epochs": ("epochs", _whole(0, 10**6), False, None),
    "seed": ("seed", _whole(0, 2**32 - 1), False, None),
    "scale": ("scale", _numbers, False, None),
    "offset": ("offset", _numbers, False, None),
    "pad": ("pad", _truth, False, None),
    "label_offset": ("label_offset", _whole(0, 10**6), False, None),
    "measure.mode": ("mode", _name(lambda: MODES), False, None),
    "measure.min_samples": ("min_samples", _whole(1, 10**9), False, None),
    "measure.min_seconds": ("min_seconds", _number(0, DAY), False, None),
    "measure.processes": ("processes", _whole(1, 1000), False, None),
    "measure.max_warmup_seconds": ("max_warmup_seconds", _number(0, DAY), False, None),
    "measure.precision": ("precision", _number(1e-4, 1), False, None),
    "measure.accuracy": ("accuracy", _truth, False, None),
    "measure.profile_ops": ("profile_ops", _truth, False, None),
    "measure.cost": ("cost", _name(lambda: ("instructions",)), False, None),
    "measure.timeout": ("timeout", _number(1, DAY), False, None),
    "measure.engine_option": ("engine_options", _options, False, _options_here),
    "measure.pin": ("pin", _cores, False, None),
    "measure.governor": ("governor", _text, False, None),
    "measure.cool_down": ("cool_down", _number(0, 150), False, None),
    "measure.priority": ("priority", _truth, False, None),
    "choose.pareto": ("pareto", _name(_objectives), True, None),
    "choose.max_drop": ("max_drop", _quantity("points_of", "1pp"), False, None),
    "choose.max_p50": ("max_p50", _quantity("milliseconds_of", "20ms"), False, None),
    "choose.max_p90": ("max_p90", _quantity("milliseconds_of", "20ms"), False, None),
    "choose.max_size": ("max_size", _quantity("bytes_of", "1MB"), False, None),
    "choose.max_memory": ("max_memory", _quantity("bytes_of", "50MB"), False, None),
    "choose.min_top1": ("min_top1", _quantity("share_of", "90%"), False, None),
    "search.trials": ("trials", _whole(1, 10**6), False, None),
    "search.seed": ("seed", _whole(0, 2**32 - 1), False, None),
}


def _key(key: str) -> Key:
    attribute, read, many, known_here = _READERS[key]
    section = key.rpartition(".")[0]
    default = defaults_of(SECTIONS[section] if section else SweepPlan)[attribute]
    return Key(attribute, read, many, default, known_here)


KEYS: dict[str, Key] = {key: _key(key) for key in _READERS}
"""Every key of a plan, those of its tables as TABLE.KEY."""
