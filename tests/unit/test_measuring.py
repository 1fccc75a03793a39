"""What the commands that measure do with results."""

from __future__ import annotations

import json

import click
import pytest

from dwsep_devices.local import LocalDevice
from edge_dwsep.cli.measuring import measure_and_show
from edge_dwsep.evaluate import Evaluation


def test_results_are_kept_although_the_reader_of_the_table_is_gone(tmp_path):
    def gone(screen, results):
        raise BrokenPipeError

    output = tmp_path / "results.json"
    with click.Context(click.Command("bench")), pytest.raises(BrokenPipeError):
        measure_and_show("bench", [], ["local"], LocalDevice(), [], Evaluation(), {}, output, False, gone)
    assert json.loads(output.read_text())["runs"] == []
