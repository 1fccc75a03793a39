"""What devices tell of themselves, read from what the script printed on them."""

from __future__ import annotations

import pytest

from dwsep_devices.errors import DeviceUnsuitable
from dwsep_devices.probe import PYTHONS, Cluster, Facts, Python, parse_facts, probe, probe_script

PI_5 = """
machine=aarch64
kernel=6.6.51+rpt-rpi-2712
bits=64
os=Debian GNU/Linux 12 (bookworm)
page_size=16384
glibc=glibc 2.36
ldd=ldd (Debian GLIBC 2.36-9+rpt2+deb12u9) 2.36 Copyright (C) 2022 Free Software Foundation, Inc.
python=3.11.2|64|1|glibc 2.36|/usr/bin/python3.11
nproc=4
core=0|2400000||0x00000000414fd0b1|ondemand
core=1|2400000||0x00000000414fd0b1|ondemand
core=2|2400000||0x00000000414fd0b1|ondemand
core=3|2400000||0x00000000414fd0b1|ondemand
governors=conservative ondemand userspace powersave performance schedutil
cpuinfo=processor\t: 0
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd0b
memory_kb=8245312
df=/dev/mmcblk0p2   59964412  6912340  50548364      13% /
stat=12637091 4096
sensor=cpu-thermal
sensor=cpufreq
sensor=vcgencmd
product=Raspberry Pi 5 Model B Rev 1.0
probed=whole
"""

PI_4_OF_32_BITS = """
machine=aarch64
kernel=6.1.21-v8+
bits=32
os=Raspbian GNU/Linux 11 (bullseye)
page_size=4096
glibc=glibc 2.31
python=3.9.2|32|1|glibc 2.31|/usr/bin/python3.9
nproc=4
core=0|1800000|1024||ondemand
core=1|1800000|1024||ondemand
core=2|1800000|1024||performance
core=3|1800000|1024||ondemand
cpuinfo=processor\t: 0
cpuinfo=model name\t: ARMv7 Processor rev 3 (v7l)
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd08
cpuinfo=processor\t: 1
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd08
cpuinfo=processor\t: 2
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd08
cpuinfo=processor\t: 3
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd08
cpuinfo=Hardware\t: BCM2835
memory_kb=3884364
df=/dev/root 30000000 29999000 1000 100% /
sensor=cpu-thermal
sensor=get_throttled
product=Raspberry Pi 4 Model B Rev 1.4
probed=whole
"""

PIXEL = """
machine=aarch64
kernel=5.10.198-android13-4-g1234
bits=64
page_size=4096
android=14
sdk=34
abi=arm64-v8a
maker=Google
model=Pixel 8
nproc=9
core=0|1704000|161||schedutil
core=1|1704000|161||schedutil
core=2|1704000|161||schedutil
core=3|1704000|161||schedutil
core=4|2367000|764||schedutil
core=5|2367000|764||schedutil
core=6|2367000|764||schedutil
core=7|2367000|764||schedutil
core=8|2914000|1024||schedutil
""" + "".join(
    f"cpuinfo=processor\t: {number}\ncpuinfo=CPU implementer\t: 0x41\ncpuinfo=CPU part\t: {part}\n"
    for number, part in enumerate(["0xd46"] * 4 + ["0xd4d"] * 4 + ["0xd4e"])
) + """memory_kb=7672456
df=/dev/block/dm-49   113246208 40000000  73246208      36% /data/user/0
sensor=thermalservice
probed=whole
"""  # fmt: skip

ALPINE = """
machine=x86_64
kernel=6.6.8-0-virt
os=Alpine Linux v3.19
page_size=4096
bits=64
ldd=musl libc (x86_64) Version 1.2.4_git20230717
musl=/lib/ld-musl-x86_64.so.1
nproc=2
core=0||||
core=1||||
cpuinfo=processor\t: 0
cpuinfo=model name\t: AMD EPYC 7763 64-Core Processor
memory_kb=2033000
stat=250000 4096
dmi=Standard PC (Q35 + ICH9, 2009)
probed=whole
"""

EMULATOR = """
machine=x86_64
kernel=6.6.30-android15-8
bits=64
page_size=16384
android=15
sdk=35
abi=x86_64
maker=Google
model=sdk_gphone64_x86_64
qemu=1
cpuinfo=processor\t: 0
cpuinfo=model name\t: Android virtual processor
df=/dev/block/dm-5 6082144 824088 5258056 14% /data
probed=whole
"""


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        pytest.param(
            PI_5,
            Facts(
                machine="aarch64",
                bits=64,
                os="Debian GNU/Linux 12 (bookworm)",
                kernel="6.6.51+rpt-rpi-2712",
                libc="glibc 2.36",
                python="3.11.2",
                python_path="/usr/bin/python3.11",
                pythons=(Python("3.11.2", "/usr/bin/python3.11", 64, True, "glibc 2.36"),),
                page_size=16384,
                cores=4,
                clusters=(Cluster((0, 1, 2, 3), "Cortex-A76", 2400.0),),
                cpu="Cortex-A76",
                memory_bytes=8245312 * 1024,
                free_bytes=50548364 * 1024,
                governor="ondemand",
                governors=("conservative", "ondemand", "userspace", "powersave", "performance", "schedutil"),
                sensors=("cpu-thermal", "cpufreq", "vcgencmd"),
                product="Raspberry Pi 5 Model B Rev 1.0",
            ),
            id="pi-5-with-16-KiB-pages",
        ),
        pytest.param(
            PI_4_OF_32_BITS,
            Facts(
                machine="aarch64",
                bits=32,
                os="Raspbian GNU/Linux 11 (bullseye)",
                kernel="6.1.21-v8+",
                libc="glibc 2.31",
                python="3.9.2",
                python_path="/usr/bin/python3.9",
                pythons=(Python("3.9.2", "/usr/bin/python3.9", 32, True, "glibc 2.31"),),
                page_size=4096,
                cores=4,
                clusters=(Cluster((0, 1, 2, 3), "Cortex-A72", 1800.0),),
                cpu="Cortex-A72",
                memory_bytes=3884364 * 1024,
                free_bytes=1000 * 1024,
                governor="ondemand, performance",
                sensors=("cpu-thermal", "get_throttled"),
                product="Raspberry Pi 4 Model B Rev 1.4",
            ),
            id="pi-4-with-programs-of-32-bits",
        ),
        pytest.param(
            PIXEL,
            Facts(
                machine="aarch64",
                bits=64,
                os="Android 14",
                kernel="5.10.198-android13-4-g1234",
                libc="bionic",
                page_size=4096,
                cores=9,
                clusters=(
                    Cluster((0, 1, 2, 3), "Cortex-A510", 1704.0),
                    Cluster((4, 5, 6, 7), "Cortex-A715", 2367.0),
                    Cluster((8,), "Cortex-X3", 2914.0),
                ),
                cpu="4 Cortex-A510 + 4 Cortex-A715 + 1 Cortex-X3",
                memory_bytes=7672456 * 1024,
                free_bytes=73246208 * 1024,
                governor="schedutil",
                sensors=("thermalservice",),
                android_sdk=34,
                abi="arm64-v8a",
                product="Google Pixel 8",
            ),
            id="phone",
        ),
        pytest.param(
            ALPINE,
            Facts(
                machine="x86_64",
                bits=64,
                os="Alpine Linux v3.19",
                kernel="6.6.8-0-virt",
                libc="musl 1.2.4_git20230717",
                page_size=4096,
                cores=2,
                clusters=(Cluster((0, 1), "", None),),
                cpu="AMD EPYC 7763 64-Core Processor",
                memory_bytes=2033000 * 1024,
                free_bytes=250000 * 4096,
                product="Standard PC (Q35 + ICH9, 2009)",
            ),
            id="alpine",
        ),
        pytest.param(
            EMULATOR,
            Facts(
                machine="x86_64",
                bits=64,
                os="Android 15",
                kernel="6.6.30-android15-8",
                libc="bionic",
                page_size=16384,
                cpu="Android virtual processor",
                free_bytes=5258056 * 1024,
                android_sdk=35,
                abi="x86_64",
                product="Google sdk_gphone64_x86_64",
                emulator=True,
            ),
            id="emulator-with-16-KiB-pages",
        ),
        pytest.param("machine=riscv64\nprobed=whole\n", Facts(machine="riscv64"), id="nothing-but-a-machine"),
    ],
)
def test_devices(answer: str, facts: Facts) -> None:
    assert parse_facts(answer) == facts
    assert parse_facts(f"Welcome to the board!\nLast login = today\n{answer}bye\n") == facts
    assert parse_facts(answer.replace("\n", "\r\n")) == facts


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["3.11.2|64|1|glibc 2.36|/usr/bin/python3.11", "3.13.1|64|1||/opt/python3.13"], "/usr/bin/python3.11"),
        (["3.11.2|64|0|glibc 2.36|/usr/bin/python3.11", "3.13.1|64|1||/opt/python3.13"], "/opt/python3.13"),
        (["3.11.2|32|1|glibc 2.36|/usr/bin/python3.11", "3.13.1|64|1||/opt/python3.13"], "/opt/python3.13"),
        (["3.11.2|64|0|glibc 2.36|/usr/bin/python3.11"], "/usr/bin/python3.11"),
        (["3.11.2|64|1||/opt/a|b/python3"], "/opt/a|b/python3"),
        (["2.7.18|64|1||/usr/bin/python", "3.11|64|1||/x", "3.11.2|64|1||python3", "", "3.11.2"], ""),
    ],
)
def test_the_python_that_is_chosen(lines: list[str], chosen: str) -> None:
    answer = "machine=aarch64\n" + "".join(f"python={line}\n" for line in lines) + "probed=whole\n"
    assert parse_facts(answer).python_path == chosen


@pytest.mark.parametrize(
    "answer",
    ["", "garbage", "machine=aarch64\n", "probed=whole\n", "machine=\nprobed=whole\n", "\0\x1b[2J" * 100, "=\n=\n"],
)
def test_an_answer_that_is_not_whole_is_refused_in_one_line(answer: str) -> None:
    with pytest.raises(DeviceUnsuitable, match="board: the answer to what it is was not understood") as caught:
        probe(lambda script: answer, name="board")
    assert str(caught.value).isprintable()


def test_what_a_device_says_cannot_steer_the_terminal_nor_be_endless() -> None:
    facts = parse_facts(
        f"machine=x86_64\nproduct=\x1b[31mred\x1b]0;title\x07{'x' * 10_000}\nos=\u202eabc\nprobed=whole\n"
    )
    assert facts.product.startswith("[31mred ]0;title x")
    assert len(facts.product) == 200
    assert facts.os == "abc"


@pytest.mark.parametrize("number", ["", "-1", "1e9", "0x10", "9" * 40, "\u0663"])
def test_numbers_that_are_none_are_not_told(number: str) -> None:
    facts = parse_facts(f"machine=x86_64\nnproc={number}\nmemory_kb={number}\npage_size={number}\nprobed=whole\n")
    assert (facts.cores, facts.memory_bytes, facts.page_size) == (0, 0, 0)


def test_the_script_names_the_folder_and_the_pythons_and_nothing_of_a_template_is_left() -> None:
    script = probe_script("~/it's; $(here)")
    assert "folder='~/it'\"'\"'s; $(here)'" in script
    assert " ".join(PYTHONS) in script
    assert not {"PYTHONS", "ABOUT_PYTHON", "ROOT"} & set(script.replace(";", " ").split())
