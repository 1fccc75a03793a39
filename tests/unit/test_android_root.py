"""Programs of Debian's are made to find their libraries in the Android-like root by bytes of the same number."""

from __future__ import annotations

import pytest

from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.lab.android_root import LAYOUTS, Layout, properties, with_path

EACH = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)


@EACH
def test_a_program_asks_for_the_roots_own_loader(layout: Layout):
    asked = f"\x7fELF....{layout.asked}\0rest".encode()
    made = with_path(asked, layout.asked, layout.loader)
    assert made == f"\x7fELF....{layout.loader}\0rest".encode()
    assert len(made) == len(asked)


@EACH
def test_the_loader_looks_in_the_roots_own_folder(layout: Layout):
    searched = f"..\0{layout.searched}\0/usr{layout.searched}\0..".encode()
    made = with_path(searched, layout.searched, layout.libraries)
    assert len(made) == len(searched)
    assert f"\0{layout.libraries}\0".encode() in made
    assert layout.folder.encode() not in made


@pytest.mark.parametrize(
    ("program", "path", "other"),
    [
        (b"\x7fELF static", "/lib/ld.so", "/apex/ld.s"),
        (b"/lib/ld.so.2\0", "/lib/ld.so", "/apex/ld.s"),
        (b"/a\0", "/a", "/"),
    ],
    ids=["static", "longer path", "shorter place"],
)
def test_another_program_is_refused(program: bytes, path: str, other: str):
    with pytest.raises(PermanentDeviceError, match="lab: a program of Debian's"):
        with_path(program, path, other)


def test_each_machine_says_what_it_is():
    told = [properties(layout) for layout in LAYOUTS.values()]
    assert [one["ro.product.cpu.abi"] for one in told] == ["x86_64", "arm64-v8a"]
    assert [one["ro.product.name"] for one in told] == ["lab_android", "lab_android_arm64"]
