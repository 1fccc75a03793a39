"""Which device a line below a table is of."""

from __future__ import annotations

import pytest

from edge_dwsep.table import console, print_comparisons, run_title


@pytest.mark.parametrize(
    ("device", "title"), [({"device": "local"}, "w8a8 on litert"), ({"device": "pi"}, "w8a8 on litert, pi")]
)
def test_a_run_is_titled_with_its_device_unless_it_is_this_machine(device, title):
    assert run_title({"variant": "w8a8", "engine": "litert", **device}) == title


def test_comparisons_on_several_devices_are_told_apart(capsys):
    runs = [
        {"device": device, "variant": variant, "engine": "litert"}
        for device in ("pi", "phone")
        for variant in ("float32", "w8a8")
    ]
    told = {"ratio": 0.5, "interval": [0.4, 0.6], "verdict": "faster"}
    comparisons = [{"baseline": first, "run": first + 1, **told} for first in (0, 2)]
    print_comparisons(console(), {"runs": runs, "comparisons": comparisons})
    said = " ".join(capsys.readouterr().out.split())
    assert "w8a8 on litert, pi takes 0.500 [0.400, 0.600] times as long as float32 on litert, pi: faster" in said
    assert "w8a8 on litert, phone takes 0.500" in said
