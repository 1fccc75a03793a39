"""The model in a flattened device tree, which tells Linux and its programs what board they run on."""

from __future__ import annotations

__all__ = ["model_of", "with_model"]

import struct
from collections.abc import Iterator

from dwsep_devices.errors import PermanentDeviceError

MAGIC = 0xD00DFEED
BEGIN_NODE, END_NODE, PROPERTY, NOTHING = 1, 2, 3, 4
HEADER = struct.Struct(">10I")
"""magic, totalsize, off_dt_struct, off_dt_strings, off_mem_rsvmap, version, last_comp_version, boot_cpuid_phys,
size_dt_strings, size_dt_struct (Devicetree Specification 0.4, 5.2)."""


def with_model(tree: bytes, model: str) -> bytes:
    """The same tree with another model.

    Args:
        tree: a flattened device tree whose root has a property ``model``.
        model: what it shall be.

    Raises:
        PermanentDeviceError: it is no such tree.
    """
    fields = _header(tree)
    start, end = next(_values(tree, "model"), (0, 0))
    if not start:
        raise PermanentDeviceError("lab: the emulator's device tree has no model")
    value = model.encode() + b"\0"
    grown = _padded(len(value)) - _padded(end - start)
    moved = bytearray(tree[: start - 8])
    moved += struct.pack(">I", len(value)) + tree[start - 4 : start] + value.ljust(_padded(len(value)), b"\0")
    moved += tree[start + _padded(end - start) :]
    _, structs, strings, reserved, *rest, size_strings, size_struct = fields[1:]
    strings, reserved = (offset + grown if offset > structs else offset for offset in (strings, reserved))
    # QEMU leaves room to spare, and doubles it when it reads the tree, to more than Linux takes.
    total = _padded(max(strings + size_strings, structs + size_struct + grown))
    HEADER.pack_into(moved, 0, MAGIC, total, structs, strings, reserved, *rest, size_strings, size_struct + grown)
    return bytes(moved[:total])


def model_of(tree: bytes) -> str:
    """The model in a tree; empty if it has none."""
    start, end = next(_values(tree, "model"), (0, 0))
    return tree[start:end].rstrip(b"\0").decode()


def _header(tree: bytes) -> tuple[int, ...]:
    if len(tree) < HEADER.size or HEADER.unpack_from(tree)[0] != MAGIC:
        raise PermanentDeviceError("lab: the emulator gave no device tree")
    return HEADER.unpack_from(tree)


def _values(tree: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Where values of the root's properties of a name begin and end."""
    fields = _header(tree)
    at, strings, depth = fields[2], fields[3], 0
    while at + 4 <= len(tree):
        (token,) = struct.unpack_from(">I", tree, at)
        at += 4
        if token == BEGIN_NODE:
            at, depth = at + _padded(tree.index(b"\0", at) + 1 - at), depth + 1
        elif token == PROPERTY:
            length, offset = struct.unpack_from(">II", tree, at)
            at += 8
            called = tree[strings + offset : tree.index(b"\0", strings + offset)].decode()
            if depth == 1 and called == name:
                yield at, at + length
            at += _padded(length)
        elif token == END_NODE:
            depth -= 1
        elif token != NOTHING:
            return


def _padded(length: int) -> int:
    return -(-length // 4) * 4
