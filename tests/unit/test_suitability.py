"""Which devices can have which environments, and the reason where they cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dwsep_devices.environments import ENVIRONMENTS
from dwsep_devices.errors import DeviceFull, DeviceUnsuitable
from dwsep_devices.probe import Facts, Python
from dwsep_devices.provision import can_provide
from dwsep_devices.suitability import pythons_for, refusal


def python(version: str, **other: Any) -> Python:
    return replace(Python(version, f"/usr/bin/python{version}", 64, venv=True, libc="glibc 2.36"), **other)


BOOKWORM = Facts(
    machine="aarch64",
    bits=64,
    libc="glibc 2.36",
    pythons=(python("3.11.2"),),
    page_size=4096,
    free_bytes=10_000_000_000,
)
PHONE = Facts(machine="aarch64", bits=64, libc="bionic", page_size=16384, android_sdk=35, free_bytes=10**10)
ALL = tuple(ENVIRONMENTS)


@pytest.mark.parametrize(
    ("facts", "possible"),
    [
        (BOOKWORM, ALL),
        (replace(BOOKWORM, page_size=16384), ALL),  # a Raspberry Pi 5: packages for aarch64 suit any page
        (replace(BOOKWORM, machine="x86_64"), ALL),
        (
            replace(BOOKWORM, pythons=(python("3.13.5", libc="glibc 2.41"),), libc="glibc 2.41"),
            ("litert", "onnxruntime"),
        ),
        (
            replace(BOOKWORM, pythons=(python("3.9.2", libc="glibc 2.31"),), libc="glibc 2.31"),
            ("litert", "onnxruntime"),
        ),
        (replace(BOOKWORM, pythons=(python("3.13.5"), python("3.10.1", venv=False))), ALL),
        (replace(BOOKWORM, pythons=(python("3.8.10"),)), ()),
        (replace(BOOKWORM, pythons=()), ()),
        (replace(BOOKWORM, bits=32), ()),
        (replace(BOOKWORM, machine="armv7l", bits=32), ()),
        (replace(BOOKWORM, machine="riscv64"), ()),
        (replace(BOOKWORM, libc="musl 1.2.4", pythons=(python("3.11.2", libc=""),)), ()),
        (replace(BOOKWORM, machine="x86_64", page_size=16384), ()),
        (replace(BOOKWORM, free_bytes=100_000_000), ("tflite-runtime",)),
        (replace(BOOKWORM, free_bytes=None), ALL),
        (PHONE, ALL),
        (replace(PHONE, machine="x86_64"), ()),
        (replace(PHONE, machine="x86_64", page_size=4096), ALL),
        (replace(PHONE, bits=32), ()),
        (replace(PHONE, bits=0, abi="armeabi-v7a"), ()),
        (replace(PHONE, abi="arm64-v8a"), ALL),
        (replace(PHONE, machine="x86_64", page_size=4096, abi="x86"), ()),
        (replace(PHONE, machine="armv8l", bits=0), ()),
    ],
)
def test_a_device_can_have_these_environments(facts: Facts, possible: tuple[str, ...]) -> None:
    assert tuple(name for name, reason in can_provide(facts).items() if not reason) == possible


@pytest.mark.parametrize(
    ("changes", "environment", "said"),
    [
        (
            {"bits": 32},
            "litert",
            "its programs are 32-bit (its kernel is aarch64), and engines are released for 64-bit",
        ),
        ({"machine": "armv7l", "bits": 32}, "litert", "its programs are 32-bit (armv7l)"),
        ({"machine": "riscv64"}, "litert", "engines are released for aarch64 and x86_64, and it is riscv64"),
        ({"machine": "x86_64", "page_size": 16384}, "litert", "its memory pages have 16384 bytes"),
        ({"libc": "musl 1.2.4"}, "litert", "its C library is musl 1.2.4, and engines are released for glibc"),
        ({"pythons": ()}, "litert", "it has no Python 3; install one (Debian: apt install python3)"),
        ({"pythons": (python("3.8.10"),)}, "litert", "it needs Python 3.9 or later, 64-bit; there is 3.8.10"),
        (
            {"pythons": (python("3.13.5"), python("3.11.2", bits=32))},
            "tflite-runtime",
            "it needs Python 3.11, 3.10 or 3.9, 64-bit; there is 3.13.5, 3.11.2 (32-bit)",
        ),
        (
            {"pythons": (python("3.9.2", libc="glibc 2.31"),), "libc": "glibc 2.31"},
            "tflite-runtime",
            "it needs glibc 2.34 or later, and there is 2.31",
        ),
    ],
)
def test_the_reason_says_what_is_and_what_is_needed(changes: dict[str, Any], environment: str, said: str) -> None:
    refused = refusal(ENVIRONMENTS[environment], replace(BOOKWORM, **changes))
    assert isinstance(refused, DeviceUnsuitable)
    assert said in str(refused)
    assert "\n" not in str(refused)


def test_too_little_space_is_an_error_of_its_own() -> None:
    refused = refusal(ENVIRONMENTS["litert"], replace(BOOKWORM, free_bytes=50_000_000))
    assert isinstance(refused, DeviceFull)
    assert str(refused) == "it needs about 120 MB, and 50 MB are free; make room there"


def test_the_python_that_an_environment_prefers_goes_first() -> None:
    facts = replace(BOOKWORM, pythons=(python("3.13.5"), python("3.9.2"), python("3.11.2")))
    assert [found.version for found in pythons_for(ENVIRONMENTS["tflite-runtime"], facts)] == ["3.11.2", "3.9.2"]
    assert [found.version for found in pythons_for(ENVIRONMENTS["litert"], facts)] == ["3.13.5", "3.9.2", "3.11.2"]
