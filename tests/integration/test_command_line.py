"""The command line as a user meets it: start-up, help, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CommandLine, Demo
from tests.small_models import small_onnx, small_tflite

HEAVY = ("tensorflow", "keras", "numpy", "onnxruntime", "ai_edge_litert", "rich.console", "rich.progress", "sqlite3")

TOO_SMALL = 8
"""Exit code where the clock's step is more than a tenth of an inference, as it may be of these smallest models."""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["models", "--help"], ["demo", "--help"], ["export", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import json, sys; from edge_dwsep.cli import main; code = main(sys.argv[1:]);"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []


def test_the_module_and_the_script_are_the_same_command(command_line: CommandLine) -> None:
    script = shutil.which("edge-dwsep", path=str(Path(sys.executable).parent))
    assert script
    by_script = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert command_line("--help").stdout == by_script.stdout
    assert "Start with: edge-dwsep demo" in by_script.stdout


def test_models_list_and_show(command_line: CommandLine) -> None:
    listed = json.loads(command_line("models", "list", "--json").stdout)
    kinds = {item["name"]: item["kind"] for item in listed}
    assert kinds["mobilenet_v1"] == kinds["mobilenet_v2"] == "architecture"
    assert kinds["mobilenet_v1_0.25_32_fashion_mnist"] == "checkpoint"
    shown = json.loads(command_line("models", "show", "mobilenet_v2", "--json").stdout)
    assert shown["params"] == 3_538_984
    assert "92.26 %" in command_line("models", "show", "mobilenet_v1_0.25_32_fashion_mnist").stdout


def test_bench_takes_files_without_manifests(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "theirs.tflite").write_bytes(small_tflite())
    (tmp_path / "theirs.onnx").write_bytes(small_onnx())
    run = command_line(
        *(
            "bench",
            tmp_path / "theirs.tflite",
            tmp_path / "theirs.onnx",
            "--min-seconds",
            "0.05",
            "--min-samples",
            "300",
        ),
        *("--threads", "2", "--output", tmp_path / "results.json"),
    )
    assert run.returncode in {0, TOO_SMALL}, run.stderr
    assert [line.split()[:2] for line in run.stdout.splitlines()[1:4]] == [
        ["theirs.tflite", "tflite"],
        ["theirs.tflite", "litert"],
        ["theirs.onnx", "onnxruntime"],
    ]
    results = json.loads((tmp_path / "results.json").read_text())
    assert [item["latency"]["count"] >= 300 for item in results["runs"]] == [True] * 3
    assert {item["threads"] for item in results["runs"]} == {2}
    assert results["devices"][0]["cores"] >= 1


def test_accuracy_of_an_artifact(command_line: CommandLine, demo: Demo) -> None:
    run = command_line(
        "accuracy", demo.artifact("w8a8.tflite"), "--data", "fashion-mnist-sample", "--engine", "litert", "--json"
    )
    assert run.returncode == 0, run.stderr
    (item,) = json.loads(run.stdout)["runs"]
    assert item["accuracy"]["top1"] == pytest.approx(0.925, abs=0.01)


def test_accuracy_without_a_manifest_takes_preprocessing_from_options(
    command_line: CommandLine, demo: Demo, tmp_path: Path
) -> None:
    bare = shutil.copy(demo.artifact("float32.onnx"), tmp_path / "bare.onnx")
    refused = command_line("accuracy", bare, "--data", "fashion-mnist-sample")
    assert refused.returncode == 3
    assert "bare.onnx has no manifest; say its preprocessing with --scale and --offset" in refused.stderr
    options = ["--scale", "0.00784313725", "--offset", "-1", "--pad", "--json"]
    run = command_line("accuracy", bare, "--data", "fashion-mnist-sample", *options)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["runs"][0]["accuracy"]["top1"] == pytest.approx(0.925, abs=0.005)


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.tflite").write_bytes(b"")
    (folder / "cut.tflite").write_bytes(small_tflite()[:400])
    (folder / "cut.onnx").write_bytes(small_onnx()[:150])
    (folder / "text.onnx").write_text("I am a text")
    (folder / "renamed.onnx").write_bytes(small_tflite())
    (folder / "good.tflite").write_bytes(small_tflite())
    (folder / "empty.keras").write_bytes(b"")
    (folder / "text.keras").write_text("I am a text")
    (folder / "folder.keras").mkdir()
    (folder / "taken").write_text("a file")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 28, 28, 1), np.uint8)
    np.savez(folder / "labels.npz", images=images, labels=np.array([0, 1, 2, 3, 4, 5, 6, 10]))
    np.savez(folder / "large.npz", images=rng.integers(0, 256, (8, 64, 64, 1), np.uint8), labels=np.zeros(8, np.int64))
    return folder


CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["bench", "BAD/absent.tflite"], 3, "model file BAD/absent.tflite does not exist"),
        (["bench", "BAD/empty.tflite"], 3, "model file BAD/empty.tflite is empty"),
        (["bench", "BAD/cut.tflite"], 3, "BAD/cut.tflite is truncated or damaged (400 bytes)"),
        (["bench", "BAD/cut.onnx"], 3, "BAD/cut.onnx is truncated or damaged (150 bytes)"),
        (["bench", "BAD/text.onnx"], 3, "BAD/text.onnx is not an ONNX model"),
        (["bench", "BAD/renamed.onnx"], 3, "rename it to .tflite"),
        (["bench", "BAD/good.tflite", "--engine", "lite"], 3, "unknown engine 'lite': did you mean 'litert'?"),
        (["bench", "BAD/good.tflite", "--engine", "onnxruntime"], 3, "engines for it: tflite, litert"),
        (
            ["bench", "BAD/good.tflite", "--device", "pi"],
            3,
            "unknown device 'pi': known are lab-android, lab-android-arm64, lab-pi4, lab-pi5, local; add it",
        ),
        (["bench", "BAD/good.tflite", "--threads", "0"], 2, "Invalid value for '--threads'"),
        (["bench", "BAD/good.tflite", "--min-samples", "0"], 2, "Invalid value for '--min-samples'"),
        (["bench", "BAD/good.tflite", "--timeout", "inf"], 2, "Invalid value for '--timeout'"),
        (["bench", "BAD/good.tflite", "--min-seconds", "nan"], 2, "'nan' is not a number of seconds"),
        (["bench", "BAD/good.tflite", "--output", "BAD/taken/r.json"], 1, "output folder BAD/taken cannot be written"),
        (["bench", "BAD/good.tflite", "--output", "BAD"], 2, "--output BAD is a folder"),
        (["bench"], 2, "Missing argument 'ARTIFACTS...'"),
        (["bnech", "x"], 2, "unknown command 'bnech': did you mean 'bench'?"),
        (["demo", "--outptu", "x"], 2, "Did you mean '--output'?"),
        (["accuracy", "BAD/good.tflite", "--data", "fashon-mnist"], 3, "did you mean 'fashion-mnist'?"),
        (["accuracy", "BAD/good.tflite", "--data", "BAD/absent.npz"], 3, "BAD/absent.npz does not exist"),
        (["accuracy", "BAD/good.tflite", "--data", "BAD/labels.npz", "--scale", "x"], 3, "--scale must be a number"),
        (["accuracy", "W8A8", "--data", "BAD/labels.npz", "--scale", "9"], 3, "has its preprocessing in its manifest"),
        (["accuracy", "W8A8", "--data", "BAD/labels.npz"], 3, "labels must be in 0..9"),
        (["accuracy", "W8A8", "--data", "BAD/large.npz"], 3, "64x64 are larger than the model's input 32x32"),
        (["export", "mobilenet_v3"], 3, "unknown model 'mobilenet_v3': did you mean 'mobilenet_v"),
        (["export", "BAD/absent.keras"], 3, "model file BAD/absent.keras does not exist"),
        (["export", "BAD/empty.keras"], 3, "model file BAD/empty.keras is empty"),
        (["export", "BAD/text.keras"], 3, "BAD/text.keras is truncated or not a .keras file"),
        (["export", "BAD/folder.keras"], 3, "BAD/folder.keras is not a .keras file"),
        (["export", "mobilenet_v1", "--alpha", "0"], 3, "alpha must be a positive number, received 0"),
        (["export", "mobilenet_v1", "--alpha", "-0.5"], 3, "alpha must be a positive number, received -0.5"),
        (["export", "mobilenet_v1", "--alpha", "big"], 2, "'big' is not a valid float"),
        (
            ["export", "mobilenet_v1", "--resolution", "16"],
            3,
            "input 16x16 is too small for the strides of mobilenet_v1",
        ),
        (["export", "mobilenet_v1", "--classes", "0"], 3, "classes must be at least 2, received 0"),
        (["export", CHECKPOINT, "--alpha", "0.5"], 3, f"alpha is fixed in {CHECKPOINT}"),
        (["export", CHECKPOINT, "--recipe", "tflite-w8a9"], 3, "did you mean 'tflite-w8a8'?"),
        (["export", CHECKPOINT, "--recipe", "onnx-float16"], 3, "onnx does not carry float16"),
        (["export", CHECKPOINT, "--recipe", "onnx-float32", "--io", "int8"], 2, "--io goes with tflite-w8a8"),
        (
            ["export", CHECKPOINT, "--recipe", "tflite-w8a8", "--io", "int9"],
            3,
            "unknown io 'int9': did you mean 'int8'?",
        ),
        (["export", CHECKPOINT, "--recipe", "tflite-w8a8"], 2, "w8a8 needs images to calibrate on: give --data"),
        (["export", CHECKPOINT, "--data", "BAD/large.npz"], 3, "are larger than the model's input 32x32"),
        (
            ["export", CHECKPOINT, "--data", "fashion-mnist-sample", "--output", "BAD/taken"],
            1,
            "output folder BAD/taken cannot",
        ),
        (["demo", "--output", "BAD/taken"], 1, "output folder BAD/taken cannot be written"),
        (["models", "show", "mobilenet_v1_0.25"], 3, f"did you mean '{CHECKPOINT}'?"),
        (["models", "train", "mobilnet_v1"], 3, "did you mean 'mobilenet_v1'?"),
        (["models", "train", "--output", "BAD/taken"], 1, "output folder BAD/taken cannot be written"),
        (["models", "trian"], 2, "did you mean 'train'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(
    command_line: CommandLine, demo: Demo, bad_files: Path, arguments: list[str], code: int, said: str
) -> None:
    before = sorted(path.name for path in bad_files.iterdir())
    names = {"W8A8": str(demo.artifact("w8a8.tflite"))}
    run = command_line(*(names.get(word, word.replace("BAD", str(bad_files))) for word in arguments))
    assert run.returncode == code, run.stderr
    assert said.replace("BAD", str(bad_files)) in run.stderr
    assert "Traceback" not in run.stderr + run.stdout
    complaints = [line for line in run.stderr.splitlines() if line.startswith(("edge-dwsep:", "Error:"))]
    assert len(complaints) in (1, 2)
    assert sorted(path.name for path in bad_files.iterdir()) == before


def test_a_custom_layer_is_named(command_line: CommandLine, tmp_path: Path) -> None:
    code = (
        "import keras\n"
        "class Swirl(keras.layers.Layer):\n"
        "    def call(self, x): return x * 2\n"
        "inputs = keras.Input((32, 32, 3))\n"
        "x = keras.layers.GlobalAveragePooling2D()(Swirl()(inputs))\n"
        f"keras.Model(inputs, keras.layers.Dense(3)(x)).save({str(tmp_path / 'mine.keras')!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    run = command_line("export", tmp_path / "mine.keras", "--recipe", "tflite-float32", "--output", tmp_path)
    assert run.returncode == 3
    assert "uses the custom layer or function 'Swirl', which this tool cannot rebuild" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            "keras.Model([a := keras.Input((8, 8, 1)), b := keras.Input((8, 8, 1))], keras.layers.Flatten()(a + b))",
            "2 inputs",
        ),
        ("keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])", "takes (batch, height, width, channels)"),
        ("keras.Sequential([keras.Input((None, None, 1)), keras.layers.GlobalMaxPooling2D()])", "all but batch fixed"),
        ("keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3)])", "export takes (batch, outputs)"),
    ],
)
def test_a_keras_model_of_another_kind_is_refused(
    command_line: CommandLine, tmp_path: Path, made: str, said: str
) -> None:
    code = f"import keras; ({made}).save({str(tmp_path / 'mine.keras')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    run = command_line("export", tmp_path / "mine.keras", "--recipe", "tflite-float32", "--output", tmp_path)
    assert run.returncode == 3
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_debug_shows_the_traceback(command_line: CommandLine, tmp_path: Path) -> None:
    run = command_line("bench", tmp_path / "absent.tflite", "--debug")
    assert run.returncode == 1
    assert "Traceback" in run.stderr


def test_a_stale_artifact_is_refused(command_line: CommandLine, demo: Demo, tmp_path: Path) -> None:
    from dwsep_export.manifest import manifest_path

    file = tmp_path / "m.tflite"
    shutil.copy(demo.artifact("float32.tflite"), file)
    shutil.copy(manifest_path(demo.artifact("w8a8.tflite")), manifest_path(file))
    run = command_line("bench", file)
    assert run.returncode == 3
    assert "is not the file that m.tflite.manifest.json was written for; export the model again" in run.stderr


def test_variants_of_the_same_name_are_told_apart(command_line: CommandLine, demo: Demo, tmp_path: Path) -> None:
    other = tmp_path / "other-float32.onnx"
    shutil.copy(demo.artifact("float32.onnx"), other)
    from dwsep_export.manifest import manifest_path

    shutil.copy(manifest_path(demo.artifact("float32.onnx")), manifest_path(other))
    options = ["--min-seconds", "0.05", "--min-samples", "20", "--json"]
    run = command_line("bench", demo.artifact("float32.onnx"), other, *options)
    results = json.loads(run.stdout)
    assert [item["variant"] for item in results["runs"]] == [demo.artifact("float32.onnx").name, "other-float32.onnx"]
    assert results["command"].endswith(" ".join(options))


def test_a_keras_file_without_scale_is_not_guessed_at(command_line: CommandLine, tmp_path: Path) -> None:
    code = (
        "import keras; keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])"
        f".save({str(tmp_path / 'mine.keras')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    run = command_line("export", tmp_path / "mine.keras", "--recipe", "tflite-float32", "--output", tmp_path)
    assert run.returncode == 2
    assert "expects of 0-255 pixels with --scale and --offset; --scale 1 if it takes them as they are" in run.stderr


def interrupt(arguments: list[str], when: str, with_signal: int = signal.SIGINT) -> subprocess.CompletedProcess[str]:
    """Start a command and send it SIGINT once a line with ``when`` appears on its standard error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_dwsep", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, which their children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stderr
    assert process.stdout
    deadline = threading.Timer(120, process.kill)
    deadline.start()
    seen = ""
    for line in process.stderr:
        seen += line
        if when in line:
            process.send_signal(with_signal)
            break
    seen += process.stderr.read()
    output = process.stdout.read()
    process.stderr.close()
    process.stdout.close()
    deadline.cancel()
    return subprocess.CompletedProcess(arguments, process.wait(timeout=60), output, seen)


@pytest.mark.parametrize("when", ["verify tflite-float16", "lower to ONNX", "time tflite-float32 on litert"])
def test_an_interrupted_demo_leaves_whole_files_alone(tmp_path: Path, when: str) -> None:
    from dwsep_export import open_artifact

    run = interrupt(["demo", "--output", str(tmp_path / "out")], when)
    assert run.returncode == 130
    assert "interrupted" in run.stderr
    assert "Traceback" not in run.stderr
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".") or "edge-dwsep-" in path.name]
    assert all(path.suffix in (".tflite", ".onnx") or path.name.endswith(".manifest.json") for path in left)
    for path in left:
        if path.suffix in (".tflite", ".onnx"):
            assert open_artifact(path).manifest is not None


def children_named(token: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if token in text:
            found.append(text)
    return found


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_bench_leaves_no_process(tmp_path: Path, with_signal: int) -> None:
    file = tmp_path / "good.tflite"
    file.write_bytes(small_tflite())
    before = len(children_named("dwsep_runtime.__main__"))
    run = interrupt(["bench", str(file), "--min-seconds", "120"], "time good", with_signal)
    assert run.returncode == 130
    deadline = time.monotonic() + 10
    while len(children_named("dwsep_runtime.__main__")) > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(children_named("dwsep_runtime.__main__")) <= before


def test_progress_is_shown_in_a_terminal(tmp_path: Path) -> None:
    import pty

    file = tmp_path / "good.tflite"
    file.write_bytes(small_tflite())
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "edge_dwsep", "bench", str(file), "--min-seconds", "0.3"]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "results.json")],
        stdout=subprocess.DEVNULL,
        stderr=child,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(child)
    shown = b""
    while True:
        try:
            chunk = os.read(parent, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(parent)
    assert process.wait(timeout=60) in {0, TOO_SMALL}
    results: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    assert len(results["runs"]) == 2
    text = shown.decode(errors="replace")
    assert "2/2" in text
    assert "time good on litert" in text
