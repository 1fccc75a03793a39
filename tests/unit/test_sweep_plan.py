"""Plans: what a file and options say is what is planned, and whatever is not accepted is named with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.cli.sweep_options import FLAGS, LISTS, ONES, option_of, plan_from_options, sweep_options
from edge_dwsep.sweep.errors import InvalidPlan
from edge_dwsep.sweep.plan import ChoosePlan, MeasurePlan, SearchPlan, SweepPlan
from edge_dwsep.sweep.plan_file import plan_from_toml
from edge_dwsep.sweep.plan_keys import KEYS

EVERYTHING = """
name = "release 1.2 <b>'\\n$(x)"
model = ["mobilenet_v2", "mobilenet_v1"]
alpha = [0.35, 1]
resolution = 96
channels = 1
classes = 10
scheme = ["int8", "float16"]
format = "tflite"
io = ["float32", "int8"]
engine = ["litert", "tflite-runtime"]
threads = [1, 4]
device = ["local", "lab-pi4"]
data = "fashion-mnist"
epochs = 3
seed = 7
scale = 0.5
offset = [-1, 0, 1]
pad = true
label_offset = 1

[measure]
mode = "rapid"
min_samples = 10
min_seconds = 0.5
processes = 2
max_warmup_seconds = 1
precision = 0.02
accuracy = false
profile_ops = true
cost = "instructions"
timeout = 60
engine_option = {xnnpack = "off"}
pin = [0, 1]
governor = "performance"
cool_down = 50
priority = true

[choose]
pareto = ["top1", "p90", "instructions"]
max_drop = "1 pp"
max_p50 = "800us"
max_p90 = "20ms"
max_size = "1.5MB"
max_memory = "50MiB"
min_top1 = "90%"

[search]
trials = 20
seed = 3
"""

PLANNED = SweepPlan(
    models=("mobilenet_v2", "mobilenet_v1"),
    name="release 1.2 <b>'\n$(x)",
    alphas=(0.35, 1.0),
    resolutions=(96,),
    channels=1,
    classes=10,
    formats=("tflite",),
    schemes=("w8a8", "float16"),
    ios=("float32", "int8"),
    engines=("litert", "tflite-runtime"),
    threads=(1, 4),
    devices=("local", "lab-pi4"),
    data="fashion-mnist",
    epochs=3,
    seed=7,
    scale=(0.5,),
    offset=(-1.0, 0.0, 1.0),
    pad=True,
    label_offset=1,
    measure=MeasurePlan(
        mode="rapid",
        min_samples=10,
        min_seconds=0.5,
        processes=2,
        max_warmup_seconds=1.0,
        precision=0.02,
        accuracy=False,
        profile_ops=True,
        cost="instructions",
        timeout=60.0,
        engine_options={"xnnpack": "off"},
        pin=(0, 1),
        governor="performance",
        cool_down=50.0,
        priority=True,
    ),
    choose=ChoosePlan(
        pareto=("top1", "p90", "instructions"),
        max_drop="1 pp",
        max_p50="800us",
        max_p90="20ms",
        max_size="1.5MB",
        max_memory="50MiB",
        min_top1="90%",
    ),
    search=SearchPlan(trials=20, seed=3),
)


def plan_of(folder: Path, text: str) -> SweepPlan:
    """A plan of a file in a folder."""
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    return plan_from_toml(folder / "plan.toml")


def refusal_of(folder: Path, text: str) -> str:
    """What is said of a file that is not accepted, after its path."""
    with pytest.raises(InvalidPlan) as caught:
        plan_of(folder, text)
    said = str(caught.value)
    assert "\n" not in said
    return said.removeprefix(f"{folder / 'plan.toml'}").removeprefix(", ").removeprefix(": ")


@click.command()
@sweep_options
def command(**parameters: Any) -> None:
    click.echo(json.dumps(plan_from_options(parameters).to_json()))


def told_by_options(*words: str) -> SweepPlan:
    """The plan that words of a command line say."""
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return SweepPlan.from_json(json.loads(result.output))


def test_a_file_says_everything(tmp_path: Path):
    assert plan_of(tmp_path, EVERYTHING) == PLANNED


def test_json_and_back(tmp_path: Path):
    assert SweepPlan.from_json(json.loads(json.dumps(PLANNED.to_json()))) == PLANNED


def test_options_say_everything_that_a_file_says():
    words = ["mobilenet_v2", "mobilenet_v1", "--name", PLANNED.name, "--alpha", "0.35, 1", "--resolution", "96"]
    words += ["--channels", "1", "--classes", "10", "--scheme", "int8", "--scheme", "float16", "--format", "tflite"]
    words += ["--io", "float32,int8", "--engine", "litert,tflite-runtime", "--threads", "1,4", "--epochs", "3"]
    words += ["--device", "local,lab-pi4", "--data", "fashion-mnist", "--seed", "7", "--scale", "0.5", "--pad"]
    words += ["--offset", "-1,0,1", "--label-offset", "1", "--mode", "rapid", "--min-samples", "10"]
    words += ["--min-seconds", "0.5", "--processes", "2", "--max-warmup-seconds", "1", "--no-accuracy", "--profile-ops"]
    words += ["--precision", "0.02"]
    words += ["--cost", "instructions", "--timeout", "60", "--engine-option", "xnnpack=off", "--pin", "0,1"]
    words += ["--governor", "performance", "--cool-down", "50", "--priority", "--pareto", "top1,p90,instructions"]
    words += ["--max-drop", "1 pp", "--max-p50", "800us", "--max-p90", "20ms", "--max-size", "1.5MB"]
    words += ["--max-memory", "50MiB", "--min-top1", "90%", "--trials", "20", "--search-seed", "3"]
    assert told_by_options(*words) == PLANNED


def test_every_key_but_the_model_is_an_option_of_its_own():
    keys = {*LISTS, *ONES, *FLAGS, "measure.engine_option", "search.seed", "model"}
    assert keys == set(KEYS)
    options = [option_of(key) for key in keys]
    assert len(set(options)) == len(options)


def test_options_go_before_the_file(tmp_path: Path):
    (tmp_path / "plan.toml").write_text(
        'model = "mobilenet_v2"\nalpha = [0.35]\n[measure]\nmode = "rapid"\nprocesses = 2'
    )
    plan = told_by_options(str(tmp_path / "plan.toml"), "mobilenet_v1", "--alpha", "0.5", "--processes", "3")
    assert plan == SweepPlan(models=("mobilenet_v1",), alphas=(0.5,), measure=MeasurePlan(mode="rapid", processes=3))


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path):
    name = "it's a\n<b>$(touch x)"
    (tmp_path / name).mkdir()
    (tmp_path / name / "m.keras").write_text("")
    text = f"model = [{json.dumps(f'{name}/m.keras')}, 'mobilenet_v1']\ndata = {json.dumps(name)}"
    plan = plan_of(tmp_path, text)
    assert plan.models == (str(tmp_path / name / "m.keras"), "mobilenet_v1")
    assert plan.data == str(tmp_path / name)


def test_a_model_with_a_comma_is_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("a,b.keras").write_text("")
    assert told_by_options("a,b.keras").models == ("a,b.keras",)


@pytest.mark.parametrize(
    ("text", "search"),
    [("", None), ("[search]", SearchPlan()), ("[search]\ntrials = 5", SearchPlan(5)), ("search = {}", SearchPlan())],
)
def test_a_search_is_one_if_its_table_is_there(tmp_path: Path, text: str, search: SearchPlan | None):
    plan = plan_of(tmp_path, f'model = "mobilenet_v1"\n{text}')
    assert plan.search == search
    assert SweepPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("told", "preprocessing"),
    [
        ("", None),
        ("scale = 2", Preprocessing(scale=(2.0,))),
        ("offset = [1, 2, 3]", Preprocessing(offset=(1.0, 2.0, 3.0))),
        ("pad = true", Preprocessing(resize="pad")),
    ],
)
def test_preprocessing_is_the_models_own_where_nothing_is_said(
    tmp_path: Path, told: str, preprocessing: Preprocessing | None
):
    assert plan_of(tmp_path, f'model = "mobilenet_v1"\n{told}').preprocessing == preprocessing


@pytest.mark.parametrize(("told", "measured"), [("", True), ("accuracy = false", False), ("accuracy = true", True)])
def test_accuracy_is_measured_where_there_is_data(tmp_path: Path, told: str, measured: bool):
    text = f'model = "mobilenet_v1"\ndata = "fashion-mnist-sample"\n[measure]\n{told}'
    assert plan_of(tmp_path, text).measures_accuracy is measured
    assert not SweepPlan(("mobilenet_v1",)).measures_accuracy


def test_latency_settings_are_the_modes_but_for_what_is_said():
    rapid = MeasurePlan(mode="rapid").latency(4)
    assert (rapid.min_samples, rapid.min_seconds, rapid.processes, rapid.threads) == (64, 6.0, 1, 4)
    told = MeasurePlan(mode="rapid", min_samples=1, min_seconds=0.0, processes=3, pin=(2,), governor="powersave")
    assert (told.latency(1).min_samples, told.latency(1).min_seconds, told.latency(1).processes) == (1, 0.0, 3)
    assert (told.latency(1).conditions.pin, told.latency(1).conditions.governor) == ((2,), "powersave")


REFUSED = {
    "unknown key": ("modle = 1", "line 1: unknown key 'modle': did you mean 'model'? known are alpha, "),
    "unknown key of a table": (
        "model = 'mobilenet_v1'\n[measure]\n\nmodes = 'x'",
        "line 4: unknown key of [measure] 'modes': did you mean 'mode'?",
    ),
    "unknown table": ("[mesure]\nmode = 'x'", "line 1: unknown key 'mesure': did you mean 'measure'?"),
    "key in no table": ("mode = 'rapid'", "line 1: key 'mode' belongs into [measure]"),
    "key in a table": ("[measure]\nalpha = 1", "line 2: key 'alpha' belongs above the first [table]"),
    "unknown scheme": (
        "model = 'mobilenet_v1'\nscheme = [\n 'w8a8',\n 'flot16']",
        "line 4: scheme must be one of float32, float16, w8-dynamic, w8a8 (did you mean 'float16'?); received 'flot16'",
    ),
    "unknown model": ("model = 'mobilenet'", "line 1: model: unknown model 'mobilenet': did you mean 'mobilenet_v1'?"),
    "no such file": ("model = ['x.keras']", "line 1: model: there is no file '"),
    "unknown data": ("model = 'mobilenet_v1'\ndata = 'fashion_mnist'", "line 2: data: unknown data set '"),
    "no such data": ("model = 'mobilenet_v1'\ndata = 'x.npz'", "line 2: data: there is no file '"),
    "unknown device": (
        "model = 'mobilenet_v1'\ndevice = 'lab-pi6'",
        "line 2: device: unknown device 'lab-pi6': did you mean 'lab-pi",
    ),
    "device that is no name": ("model = 'mobilenet_v1'\ndevice = '../x; y'", "line 2: device: unknown device"),
    "unknown engine": ("engine = 'litrt'", "line 1: engine must be one of tflite, litert, onnxruntime, tflite-runtime"),
    "unknown mode": ("[measure]\nmode = 'rapyd'", "line 2: mode must be one of rapid, quick, normal (did you mean"),
    "unknown objective": ("[choose]\npareto = 'p95'", "line 2: pareto must be one of "),
    "truth for a number": ("threads = true", "line 1: threads must be a whole number from 1 to 1024; received True"),
    "number for a truth": ("pad = 1", "line 1: pad must be true or false; received 1"),
    "text for a number": ("alpha = '0.5'", "line 1: alpha must be a number above 0 and at most 100; received '0.5'"),
    "no number": ("alpha = nan", "line 1: alpha must be a number above 0"),
    "infinite": ("alpha = [1,\n inf]", "line 2: alpha must be a number above 0"),
    "nought": ("alpha = 0", "line 1: alpha must be a number above 0"),
    "fraction": ("resolution = 96.0", "line 1: resolution must be a whole number from 1 to 65536; received 96.0"),
    "too large": ("threads = 4000000000000", "line 1: threads must be a whole number from 1 to 1024"),
    "twice": ("threads = [1,\n 2,\n 1]", "line 3: threads names 1 twice; give it once"),
    "twice by an alias": ("scheme = ['w8a8', 'int8']", "line 1: scheme names 'w8a8' twice"),
    "empty list": ("model = []", "line 1: model is an empty list; give a value, or leave it out"),
    "list in a list": ("alpha = [[1]]", "line 1: alpha must be a number above 0 and at most 100; received [1]"),
    "table for a value": ("[alpha]\nx = 1", "line 1: alpha must be a number above 0"),
    "value for a table": ("measure = 'rapid'", "line 1: measure must be a table, written [measure]; received 'rapid'"),
    "list of tables": ("[[measure]]\nmode = 'rapid'", "line 1: measure must be a table, written [measure]"),
    "a date": ("seed = 2024-05-17", "line 1: seed must be a whole number"),
    "empty text": ("name = ' '", "line 1: name must be a text, not empty; received ' '"),
    "no unit": ("[choose]\nmax_p90 = '20'", 'line 2: max_p90 must be a text of a number and its unit, such as "20ms"'),
    "unit alone": ("[choose]\nmax_p90 = 20", "line 2: max_p90 must be a text of a number and its unit"),
    "other unit": ("[choose]\nmax_drop = '1%'", "line 2: max_drop must be a text of a number and its unit, such as"),
    "engine option": ("[measure]\nengine_option = 'xnnpack'", "line 2: engine_option must be a table such as"),
    "engine option's value": ("[measure]\nengine_option = {xnnpack = false}", "line 2: engine_option must be a table"),
    "unknown engine option": (
        "model = 'mobilenet_v1'\n[measure]\nengine_option = {xnpack = 'off'}",
        "line 3: engine_option: unknown engine option 'xnpack': did you mean 'xnnpack'?",
    ),
    "longer than a number": (f"alpha = 1{'0' * 400}", "line 1: alpha must be a number above 0"),
    "longer than a path": (f"model = '{'x' * 5000}.keras'", "line 1: model: '"),
    "no model": ("alpha = 0.5", "the plan names no model; say which, such as mobilenet_v2"),
    "empty": ("", "is an empty plan; say at least which model"),
    "comments alone": ("# model = 1\n", "is an empty plan"),
    "syntax": ("model = 'x'\nalpha = [1, 2", "line 2: no TOML: "),
    "syntax in a line": ("model = 'x'\nalpha == 1\n", "line 2, column 8: no TOML: "),
    "key twice": ("alpha = 1\nalpha = 2\n", "line 2, column 10: no TOML: "),
    "hostile key": ('"a\\nb" = 1', "line 1: unknown key 'a\\nb': known are"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_accepted_is_named_with_its_line(tmp_path: Path, case: str):
    text, expected = REFUSED[case]
    said = refusal_of(tmp_path, text).strip()
    assert said.startswith(expected) or expected in said.partition(": ")[2], said


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\xff", "line 1: not UTF-8"), (b"a = 1\n# \xe9", "line 2: not UTF-8"), (b"#" * (1 << 21), "larger than 1 MB")],
)
def test_a_file_that_is_no_plan(tmp_path: Path, content: bytes, expected: str):
    (tmp_path / "plan.toml").write_bytes(content)
    with pytest.raises(InvalidPlan, match=expected):
        plan_from_toml(tmp_path / "plan.toml")


@pytest.mark.parametrize("name", ["absent.toml", ".", "a\nb.toml"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str):
    with pytest.raises(InvalidPlan, match=r"cannot be read: .*; give the path of a plan in TOML") as caught:
        plan_from_toml(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mobilenet"], "MODEL: unknown model 'mobilenet': did you mean 'mobilenet_v1'?"),
        (["mobilenet_v1", "mobilenet_v1"], "MODEL names 'mobilenet_v1' twice"),
        (["mobilenet_v1", "--alpha", "0.5,x"], "--alpha must be a number above 0 and at most 100; received 'x'"),
        (["mobilenet_v1", "--alpha", "0.5,,1"], "--alpha must be a number above 0 and at most 100; received ''"),
        (["mobilenet_v1", "--threads", "1.5"], "--threads must be a whole number from 1 to 1024; received '1.5'"),
        (["mobilenet_v1", "--scheme", "w8a9"], "--scheme must be one of .*did you mean 'w8a8'"),
        (["mobilenet_v1", "--mode", "fast"], "--mode must be one of rapid, quick, normal"),
        (["mobilenet_v1", "--max-size", "1"], "--max-size must be a text of a number and its unit"),
        (
            ["mobilenet_v1", "--engine-option", "x"],
            "--engine-option must be a table such as .* or a list of NAME=VALUE",
        ),
        (["mobilenet_v1", "--device", "local,local"], "--device names 'local' twice"),
    ],
)
def test_options_that_are_not_accepted_are_named(words: list[str], expected: str):
    with pytest.raises(InvalidPlan, match=expected):
        CliRunner().invoke(command, words, catch_exceptions=False, standalone_mode=False)


def test_two_plans_at_once():
    with pytest.raises(click.UsageError, match="one plan at a time"):
        CliRunner().invoke(command, ["a.toml", "b.toml"], catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize(
    "told", [{}, {"model": 3}, {"model": "m", "measure": 3}, {"model": "m", "x": 1}, {"model": {}}]
)
def test_json_that_is_no_plan(told: dict[str, Any]):
    with pytest.raises(InvalidPlan):
        SweepPlan.from_json(told)


def test_json_of_another_machine_is_read_whatever_is_there_here():
    told = {"model": ["/there/m.keras"], "device": ["their-pi"], "data": "/there/photos"}
    assert SweepPlan.from_json(told).to_json() == told


TEXTS = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() and "\0" not in text)
MAYBE: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXTS,
    "alpha": st.lists(st.floats(0.01, 4), min_size=1, max_size=3, unique=True),
    "resolution": st.lists(st.integers(1, 512), min_size=1, max_size=3, unique=True),
    "scheme": st.lists(st.sampled_from(["float32", "w8a8"]), min_size=1, max_size=2, unique=True),
    "threads": st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
    "data": TEXTS,
    "epochs": st.integers(1, 9),
    "scale": st.lists(st.floats(-4, 4), min_size=1, max_size=3),
    "pad": st.booleans(),
    "measure": st.fixed_dictionaries({}, optional={
        "mode": st.sampled_from(["rapid", "normal"]),
        "min_seconds": st.floats(0, 100),
        "accuracy": st.booleans(),
        "engine_option": st.dictionaries(TEXTS, TEXTS, max_size=2),
    }),
    "choose": st.fixed_dictionaries({}, optional={"max_p90": st.sampled_from(["1 ms", "20us"])}),
    "search": st.fixed_dictionaries({}, optional={"trials": st.integers(1, 99)}),
}  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.fixed_dictionaries({"model": st.lists(TEXTS, min_size=1, max_size=3, unique=True)}, optional=MAYBE))
def test_json_says_a_plan_whole(told: dict[str, Any]):
    plan = SweepPlan.from_json(told)
    again = SweepPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.to_json() == plan.to_json()


LINES = [line for line in EVERYTHING.splitlines() if line]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.one_of(st.sampled_from(LINES), st.text("aelph= [1]{}\"'.#\n\t", max_size=12)), max_size=12),
    st.integers(0, 200),
)
def test_whatever_a_file_holds_it_is_a_plan_or_refused_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], cut: int
):
    text = "\n".join(lines)
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text[: len(text) - cut] if cut < len(text) else text, encoding="utf-8")
    plan, refusal = None, ""
    try:
        plan = plan_from_toml(path)
    except InvalidPlan as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert plan is None or SweepPlan.from_json(plan.to_json()) == plan
