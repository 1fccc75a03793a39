"""Programs of Debian's are made to find their libraries in the Android-like root by bytes of the same number."""

from __future__ import annotations

import pytest

from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.lab.android_root import LOADER, moved_loader, own_loader

ASKED = b"\x7fELF..../lib64/ld-linux-x86-64.so.2\0rest"
SEARCHED = b"..\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0.."


def test_a_program_asks_for_the_roots_own_loader():
    made = own_loader(ASKED)
    assert len(made) == len(ASKED)
    assert LOADER.encode() + b"\0" in made
    assert made.startswith(b"\x7fELF....")
    assert made.endswith(b"\0rest")


def test_the_loader_looks_in_the_roots_own_folder():
    made = moved_loader(SEARCHED)
    assert len(made) == len(SEARCHED)
    assert b"\0/apex/com.android.lib/\0" in made
    assert b"x86_64-linux-gnu" not in made


@pytest.mark.parametrize("change", [own_loader, moved_loader])
def test_another_program_is_refused(change):
    with pytest.raises(PermanentDeviceError, match="lab-android"):
        change(b"\x7fELF static")
