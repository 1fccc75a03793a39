"""Names of CPU cores by the implementer and part number that ARM processors report of themselves."""

from __future__ import annotations

__all__ = ["core_name"]

ARM = 0x41

IMPLEMENTERS = {ARM: "ARM", 0x42: "Broadcom", 0x48: "HiSilicon", 0x4E: "NVIDIA", 0x51: "Qualcomm", 0x53: "Samsung"}

PARTS: dict[tuple[int, int], str] = {
    (ARM, 0xB76): "ARM1176",
    (ARM, 0xC07): "Cortex-A7",
    (ARM, 0xC08): "Cortex-A8",
    (ARM, 0xC09): "Cortex-A9",
    (ARM, 0xC0E): "Cortex-A17",
    (ARM, 0xC0F): "Cortex-A15",
    (ARM, 0xD03): "Cortex-A53",
    (ARM, 0xD04): "Cortex-A35",
    (ARM, 0xD05): "Cortex-A55",
    (ARM, 0xD07): "Cortex-A57",
    (ARM, 0xD08): "Cortex-A72",
    (ARM, 0xD09): "Cortex-A73",
    (ARM, 0xD0A): "Cortex-A75",
    (ARM, 0xD0B): "Cortex-A76",
    (ARM, 0xD0C): "Neoverse-N1",
    (ARM, 0xD0D): "Cortex-A77",
    (ARM, 0xD40): "Neoverse-V1",
    (ARM, 0xD41): "Cortex-A78",
    (ARM, 0xD44): "Cortex-X1",
    (ARM, 0xD46): "Cortex-A510",
    (ARM, 0xD47): "Cortex-A710",
    (ARM, 0xD48): "Cortex-X2",
    (ARM, 0xD49): "Neoverse-N2",
    (ARM, 0xD4D): "Cortex-A715",
    (ARM, 0xD4E): "Cortex-X3",
    (ARM, 0xD4F): "Neoverse-V2",
    (ARM, 0xD80): "Cortex-A520",
    (ARM, 0xD81): "Cortex-A720",
    (ARM, 0xD82): "Cortex-X4",
    (ARM, 0xD85): "Cortex-X925",
    (ARM, 0xD87): "Cortex-A725",
    (0x51, 0x001): "Oryon",
    (0x51, 0x800): "Kryo 2xx Gold",
    (0x51, 0x801): "Kryo 2xx Silver",
    (0x51, 0x802): "Kryo 3xx Gold",
    (0x51, 0x803): "Kryo 3xx Silver",
    (0x51, 0x804): "Kryo 4xx Gold",
    (0x51, 0x805): "Kryo 4xx Silver",
    (0x53, 0x002): "Exynos M3",
    (0x53, 0x003): "Exynos M4",
    (0x53, 0x004): "Exynos M5",
}
"""Source: util-linux, sys-utils/lscpu-arm.c; Arm's Technical Reference Manuals, MIDR_EL1."""


def core_name(implementer: int, part: int) -> str:
    """What a core is called; its numbers where it has no known name.

    >>> core_name(0x41, 0xD0B)
    'Cortex-A76'
    >>> core_name(0x41, 0xFFF)
    'ARM part 0xfff'
    """
    maker = IMPLEMENTERS.get(implementer, f"implementer {implementer:#04x}")
    return PARTS.get((implementer, part), f"{maker} part {part:#05x}")
