"""The command ``edge-dwsep``: commands are imported when they are called, errors become one line and an exit code."""

from __future__ import annotations

__all__ = ["main"]

import os
import signal
import sys
from collections.abc import Sequence

# The environment must be right before any command imports an engine: onnxruntime 1.29 and later starts a telemetry
# uploader at import unless told not to, and TensorFlow prints its start-up messages from C++.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from dwsep_runtime.errors import DwsepError
from edge_dwsep import __version__
from edge_dwsep.cli.exit_codes import FAILED, INTERNAL, INTERRUPTED, exit_code
from edge_dwsep.cli.lazy import LazyGroup
from edge_dwsep.words import escaped

DEBUG = "--debug"
DEBUG_VARIABLE = "EDGE_DWSEP_DEBUG"


@click.group(
    cls=LazyGroup,
    commands_at={
        "demo": ("edge_dwsep.cli.demo:demo", "The whole way on this machine: export, measure, table, picture."),
        "export": ("edge_dwsep.cli.export:export", "Make verified .tflite and .onnx files of a Keras model."),
        "bench": ("edge_dwsep.cli.bench:bench", "Time model files on a device."),
        "accuracy": ("edge_dwsep.cli.accuracy:accuracy", "Measure the accuracy of model files on a device."),
        "sweep": (
            "edge_dwsep.cli.sweep:sweep",
            "Measure every variant of a plan, choose, report; goes on where it stopped.",
        ),
        "results": ("edge_dwsep.cli.results:results", "List, show, export and choose among what sweeps measured."),
        "report": ("edge_dwsep.cli.report:report", "Write a report of what was measured, as a page or Markdown."),
        "compare": ("edge_dwsep.cli.compare:compare", "Compare two measurements; in CI, fail on regressions."),
        "devices": ("edge_dwsep.cli.devices:devices", "Add, probe, prepare and remove devices."),
        "models": ("edge_dwsep.cli.models:models", "List, show and train networks."),
        "lab": ("edge_dwsep.cli.lab:lab", "Emulated targets: a Raspberry Pi, an Android."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="edge-dwsep")
@click.option(DEBUG, is_flag=True, expose_value=False, help="Show tracebacks and what converters print; goes anywhere.")
def cli() -> None:
    """Quantize, export and measure depthwise-separable networks for phones and Raspberry Pi.

    Start with: edge-dwsep demo
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    given = [argument for argument in given if argument != DEBUG]
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    # Ended by a terminal that closes or by CI, a command cleans up as it does after Ctrl-C.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is signal.SIG_DFL:
            signal.signal(ending, signal.default_int_handler)
    try:
        code = cli.main(given, prog_name="edge-dwsep", standalone_mode=False)
    except Exception as error:
        if debug and not isinstance(error, (click.ClickException, click.exceptions.Exit)):
            raise
        return _report(error)
    except KeyboardInterrupt:
        if debug:
            raise
        return _report(click.Abort())
    return code if isinstance(code, int) else 0


def _report(error: Exception) -> int:
    """Say in one line what went wrong, and give the exit code for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):  # the reader of our output, a pager for one, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(error, click.Abort):
        said, code = "interrupted; nothing half-written was left behind", INTERRUPTED
    elif isinstance(error, DwsepError):
        said, code = escaped(str(error)), exit_code(type(error))
    else:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        said, code = f"internal error: {escaped(detail)}; run again with --debug for the traceback", INTERNAL
    click.echo(f"edge-dwsep: {said}", err=True)
    return code
