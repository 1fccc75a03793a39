"""A folder of one's own images as a data set.

Images lie in a folder for each class, or all in one folder; ``calibration/`` and ``evaluation/`` keep images for the
two purposes apart, and where there are none they are parted at random. A class is told by the name of its folder:

- names of digits alone are the numbers of the network's outputs;
- otherwise ``labels.txt`` says the names in the order of outputs, one a line;
- otherwise the names are taken in alphabetical order.

Images in one folder have classes if the name of each begins with a number of up to five digits and ``_`` or ``-``.
"""

from __future__ import annotations

__all__ = ["open_folder"]

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwsep_devices.cache import cache_folder
from dwsep_devices.errors import DeviceError
from dwsep_runtime.errors import UnknownName
from edge_dwsep.datasets.image_files import SUFFIXES, read_images
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.datasets.parted import DataSource, parted, unlike
from edge_dwsep.errors import InvalidData
from edge_dwsep.words import in_a_line

CALIBRATION, EVALUATION, LABELS = "calibration", "evaluation", "labels.txt"

NUMBERED = re.compile(r"(\d{1,5})[_-](?!\d\d-\d\d)")
"""The class that a file's name begins with; a date, such as 2024-05-17, is none."""

MOST_DIGITS = 9
"""Of a folder that is named by the number of an output; no network has so many."""


@dataclass(frozen=True)
class _Listing:
    """Image files with the name of each one's class, "" where it has none."""

    files: tuple[Path, ...]
    names: tuple[str, ...]


def open_folder(folder: Path, *, sides: tuple[int, int] | None = None, channels: int | None = None) -> DataSource:
    """Open a folder of images.

    Args:
        folder: see above.
        sides: (height, width) that images are brought to; None where all have one size already.
        channels: 1 or 3; None for 3.

    Raises:
        InvalidData: there are too few images, one is damaged, or the folders are not laid out as told above.
    """
    name = in_a_line(folder.absolute().name or str(folder))
    ordered = _labels_file(folder)
    parts = [part for part in (CALIBRATION, EVALUATION) if (folder / part).is_dir()]
    if len(parts) == 1:
        other = CALIBRATION if parts == [EVALUATION] else EVALUATION
        raise InvalidData(f"{in_a_line(folder)} has {parts[0]}/ and no {other}/; make both, or neither")
    listings = [_listing(folder / part) for part in parts] or [_listing(folder, skipped=(LABELS,))]
    classes, numbered = _classes(folder, ordered, [one for listing in listings for one in listing.names])
    read = [_read(name, listing, (classes, numbered), sides, channels) for listing in listings]
    labelled = all(listings[-1].names)
    if len(read) == 1:
        return parted(read[0], labelled=labelled, alike_apart=True)
    calibration, evaluation = read
    fresh = unlike(calibration.images, evaluation.images)
    if not len(fresh):
        raise InvalidData(f"every image of {in_a_line(folder)}/{CALIBRATION} is in {EVALUATION}, too; give others")
    return DataSource(evaluation, calibration, fresh, labelled)


def _labels_file(folder: Path) -> tuple[str, ...]:
    """Names in the order of outputs; empty where there is no file of them."""
    try:
        lines = (folder / LABELS).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidData(f"{in_a_line(folder / LABELS)} cannot be read as UTF-8 text: {error}") from error
    names = tuple(line.strip() for line in lines)
    while names and not names[-1]:
        names = names[:-1]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidData(f"{in_a_line(folder / LABELS)} has {twice!r} twice; each output has a name of its own")
    return names


def _listing(folder: Path, skipped: Sequence[str] = ()) -> _Listing:
    entries = [one for one in _entries(folder) if one.name not in skipped]
    images = [one for one in entries if _is_image(one)]
    folders = [one for one in entries if one.is_dir()]
    if images and folders:
        raise InvalidData(
            f"{in_a_line(folder)} holds both images and folders; put every image into the folder of its class"
        )
    if not folders:
        if not images:
            accepted = ", ".join(sorted(SUFFIXES))
            raise InvalidData(f"{in_a_line(folder)} holds no images; their names end in {accepted}")
        return _Listing(tuple(images), tuple(_numbers(images)))
    files: list[Path] = []
    names: list[str] = []
    for one in folders:
        inside = [file for file in _entries(one) if _is_image(file)]
        if not inside:
            raise InvalidData(
                f"{in_a_line(one)} holds no images; in {in_a_line(folder)} each folder is a class, "
                f"or they are {CALIBRATION}/ and {EVALUATION}/; take it away or fill it"
            )
        files.extend(inside)
        names.extend([one.name] * len(inside))
    return _Listing(tuple(files), tuple(names))


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, but for what is hidden."""
    try:
        return sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise InvalidData(f"{in_a_line(folder)} cannot be read: {error.strerror}; give a folder of images") from error


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()


def _numbers(images: Iterable[Path]) -> list[str]:
    """The class that each file's name begins with; "" for all if one has none."""
    found = [NUMBERED.match(image.name) for image in images]
    return [one.group(1) for one in found if one] if all(found) else [""] * len(found)


def _classes(folder: Path, ordered: tuple[str, ...], used: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Names of classes in the order of outputs, and whether the names that are used are the numbers of outputs."""
    names = sorted({name for name in used if name})
    if all(name in ordered for name in names):
        return ordered, False
    if all(name.isdecimal() and name.isascii() for name in names):
        longest = max(names, key=len)
        if len(longest) > MOST_DIGITS:
            raise InvalidData(
                f"{in_a_line(folder / longest)} is no number of an output; name folders by classes or outputs"
            )
        return ordered, True
    if not ordered:
        return tuple(names), False
    unknown = next(name for name in names if name not in ordered)
    raise InvalidData(f"{in_a_line(folder)}: {UnknownName(f'class by {LABELS}', unknown, ordered)}")


def _read(
    name: str,
    listing: _Listing,
    classes: tuple[tuple[str, ...], bool],
    sides: tuple[int, int] | None,
    channels: int | None,
) -> LabelledImages:
    images = read_images(listing.files, sides=sides, channels=channels, cache=_cache())
    names, numbered = classes
    number = {one: index for index, one in enumerate(names)}
    labels = [(int(one) if numbered else number[one]) if one else 0 for one in listing.names]
    return LabelledImages(name, images, np.array(labels, np.int64), names)


def _cache() -> Path | None:
    try:
        return cache_folder() / "images"
    except DeviceError:  # no home: images are read each time
        return None
