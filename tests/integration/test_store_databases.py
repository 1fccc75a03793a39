"""A store keeps and gives back the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from edge_dwsep.errors import InvalidStore, StoreTooNew
from edge_dwsep.light import light
from edge_dwsep.store import RunFilter, Store, SweepRecord, open_store
from edge_dwsep.store import migrate as migrate_module
from edge_dwsep.store.schema import HEAD, VERSION_TABLE, metadata
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput
from tests.postgres_fixtures import postgres
from tests.store_fixtures import DEVICE, accuracy_facts, keep_run, launch_facts, launch_step, run_record, store_at

__all__ = ["postgres", "store_at"]

HOSTILE = "a 'b' \"c\"; DROP TABLE dwsep_runs; --\n<script>\x00\udcff$(touch x) \N{SNOWMAN}"
MODEL = {"name": "mobilenet_v2_0.5_96", "architecture": "mobilenet_v2"}


def begun(store: Store, name: str = "first", **changes: Any) -> str:
    store.begin_sweep(SweepRecord(id=name, name=name, command="edge-dwsep sweep", plan={"model": ["v2"]}, **changes))
    return name


def test_a_sweep_comes_back_as_it_was_kept(store_at: str) -> None:
    with open_store(store_at) as store:
        sweep = begun(store, models=[MODEL], excluded=[{"what": "x", "reason": "y"}], versions={"python": "3.11"})
        kept = [keep_run(store, sweep, at, f"run {at}") for at in (1, 0, 2)]
        store.set_sweep(sweep, data={"name": "images", "count": 100})
        store.finish_sweep(sweep, "done")
    with open_store(store_at) as store:
        light_ones = store.results(sweep)
        whole = store.results(sweep, samples=True)
    by_position = [kept[1], kept[0], kept[2]]
    assert [run["id"] for run in light_ones["runs"]] == [key for key, _ in by_position]
    for found, (key, record) in zip(light_ones["runs"], by_position, strict=True):
        assert found == {**light(record), "id": key, "reused": False}
    for found, (key, record) in zip(whole["runs"], by_position, strict=True):
        launches = light(record)["launches"]
        assert found == {**record, "launches": launches, "id": key, "reused": False}
    assert light_ones["models"] == [MODEL]
    assert light_ones["data"] == {"name": "images", "count": 100}
    assert light_ones["devices"] == [DEVICE]
    assert light_ones["versions"] == {"python": "3.11"}
    told = light_ones["sweep"]
    assert (told["id"], told["status"], told["plan"]) == (sweep, "done", {"model": ["v2"]})
    assert told["excluded"] == [{"what": "x", "reason": "y"}]
    assert told["finished"] >= told["started"]


def test_steps_are_kept_once_and_found_by_key(store_at: str) -> None:
    step, other = launch_step("a"), launch_step("b")
    with open_store(store_at) as store:
        assert store.save_output(step, StepOutput({"n": 1}, {"model.keras": "ab"}), seconds=2.0, worker="w")
        assert not store.save_output(step, StepOutput({"n": 2}), seconds=4.0, worker="w")
        assert store.outputs([step.key, other.key]) == {step.key: StepOutput({"n": 1}, {"model.keras": "ab"})}
        assert store.finished([step.key, other.key]) == {step.key}
        assert store.outputs([]) == {}
        assert len(store.outputs(f"{step.key if number == 700 else number}" for number in range(1500))) == 1


def test_a_forgotten_step_is_done_again(store_at: str) -> None:
    step = launch_step("a")
    with open_store(store_at) as store:
        store.save_output(step, StepOutput({"n": 1}), seconds=2.0, worker="w")
        store.forget([step.key, "unknown"])
        assert store.outputs([step.key]) == {}
        assert store.finished([step.key]) == set()
        assert store.save_output(step, StepOutput({"n": 2}), seconds=2.0, worker="w")
        assert store.outputs([step.key])[step.key].facts == {"n": 2}
        store.forget([])


def test_a_run_keeps_its_samples_though_its_steps_are_forgotten(store_at: str) -> None:
    with open_store(store_at) as store:
        key, record = keep_run(store, begun(store), 0, "a")
        store.forget([launch_step("a", turn).key for turn in range(2)])
        found = store.run(key, samples=True)
        assert found is not None
        assert found["latency"] == record["latency"]
        assert found["log"] == ["launch 0", "launch 1"]


def test_times_of_steps_are_medians_by_kind_and_device(store_at: str) -> None:
    with open_store(store_at) as store:
        assert store.seconds_by_kind() == {}
        for at, seconds in enumerate((1.0, 9.0, 2.0)):
            store.save_output(launch_step(f"{at}"), StepOutput({}), seconds=seconds, worker="w")
        store.save_output(launch_step("p", device="pi"), StepOutput({}), seconds=30.0, worker="w")
        store.save_output(Step(StepKind.DATA, {}), StepOutput({}), seconds=0.5, worker="w")
        assert store.seconds_by_kind() == {("launch", "local"): 2.0, ("launch", "pi"): 30.0, ("data", ""): 0.5}


def test_a_run_that_failed_is_replaced_and_never_replaces(store_at: str) -> None:
    failed = run_record([], None, status="failed", valid=False, error="gone", error_class="DeviceLost")
    with open_store(store_at) as store:
        first, second = begun(store), begun(store, "second")
        key = Step(StepKind.COUNT, {"run": "a"}).key
        nothing: dict[str, Any] = {"device": DEVICE, "artifact": None, "steps": [], "reused": False}
        store.save_run(first, 0, key, failed, **nothing)
        found = store.run(key)
        assert found is not None
        assert (found["status"], found["error"], found["latency"]) == ("failed", "gone", None)
        assert store.list_sweeps()[-1]["failed"] == 1
        assert keep_run(store, first, 0, "a")[0] == key
        store.save_run(second, 0, key, failed, **nothing)
        (run,) = store.results(second)["runs"]
        assert run["status"] == "ok"
        assert {row["id"]: (row["runs"], row["failed"]) for row in store.list_sweeps()} == {
            first: (1, 0),
            second: (1, 0),
        }


def test_a_sweep_that_goes_on_keeps_its_start(store_at: str) -> None:
    with open_store(store_at) as store:
        begun(store, started="2026-01-01T00:00:00.000Z")
        store.finish_sweep("first", "interrupted")
        begun(store, started="2026-02-02T00:00:00.000Z")
        (sweep,) = store.list_sweeps()
        assert (sweep["started"], sweep["status"], sweep["finished"]) == ("2026-01-01T00:00:00.000Z", "running", None)


def test_runs_become_part_of_another_sweep(store_at: str) -> None:
    with open_store(store_at) as store:
        key, _ = keep_run(store, begun(store), 3, "a")
        second = begun(store, "second")
        assert store.reuse_runs(second, {key: 0, "unknown": 1}) == {key}
        (run,) = store.results(second)["runs"]
        assert run["reused"] is True
        assert store.results_of_run(key)["sweeps"] == ["first", "second"]


FILTERS = [
    (RunFilter(), ["c", "b", "a"]),
    (RunFilter(limit=2), ["c", "b"]),
    (RunFilter(models=["m1"]), ["b", "a"]),
    (RunFilter(schemes=["float32", "w8a8"]), ["c", "b", "a"]),
    (RunFilter(schemes=["float32"]), ["a"]),
    (RunFilter(formats=["onnx"]), ["c"]),
    (RunFilter(engines=["onnxruntime"], formats=["tflite"]), []),
    (RunFilter(threads=[4]), ["b"]),
    (RunFilter(devices=["local"]), ["c", "b", "a"]),
    (RunFilter(valid=True), ["b", "a"]),
    (RunFilter(since="2000"), ["c", "b", "a"]),
    (RunFilter(since="2999"), []),
    (RunFilter(sweep="second"), ["c"]),
]


def test_runs_are_filtered(store_at: str) -> None:
    with open_store(store_at) as store:
        first, second = begun(store), begun(store, "second")
        words = {
            keep_run(store, first, 0, "a", model="m1", scheme="float32")[0]: "a",
            keep_run(store, first, 1, "b", model="m1", threads=4)[0]: "b",
            keep_run(store, second, 0, "c", model="m2", format="onnx", engine="onnxruntime", valid=False)[0]: "c",
        }
        for where, expected in FILTERS:
            assert [words[run["key"]] for run in store.list_runs(where)] == expected, where
            assert [words[run["id"]] for run in store.results(where=where)["runs"]] == expected, where
            assert [words[record["id"]] for _, record in store.records(where)] == expected, where
            assert store.count_runs(where) == (3 if where.limit else len(expected))
        assert store.values("threads") == [1, 4]
        assert [run["model"] for run in store.results(first, where=RunFilter(threads=[4]))["runs"]] == ["m1"]


def test_ids_are_found_by_their_beginnings(store_at: str) -> None:
    with open_store(store_at) as store:
        key, _ = keep_run(store, begun(store, "20261125-a"), 0, "a")
        begun(store, "20261125-b")
        begun(store, "20261125-b2")
        assert store.find(key[:7]) == ("run", key)
        assert store.find("20261125-b") == ("sweep", "20261125-b")
        assert store.find_sweep("20261125-a") == "20261125-a"
        assert store.results("20261125-a")["sweep"]["id"] == "20261125-a"
        for wrong, said in (("2026", "begins more than one id"), ("%", "has no"), ("", "has no"), ("_", "has no")):
            with pytest.raises(InvalidStore, match=said):
                store.find(wrong)
        with pytest.raises(InvalidStore, match="has no sweep"):
            store.results(key)
        assert store.run("unknown") is None


def test_hostile_names_are_only_text(store_at: str) -> None:
    with open_store(store_at) as store:
        store.begin_sweep(SweepRecord(id="s", name=HOSTILE, command=HOSTILE, plan={"model": [HOSTILE]}))
        key, record = keep_run(store, "s", 0, HOSTILE, model=HOSTILE, variant=HOSTILE, error=HOSTILE)
        device = {**DEVICE, "name": HOSTILE}
        store.save_run("s", 1, "other", record, device=device, artifact=None, steps=[], reused=False)
        found = store.run(key)
        assert found is not None
        assert found["model"] == HOSTILE  # the record itself is JSON and keeps every character
        assert store.results("s")["sweep"]["plan"] == {"model": [HOSTILE]}
        shown = store.list_runs()[0]["model"]
        assert shown == HOSTILE.replace("\x00", "\\x00").replace("\udcff", "\\udcff")
        assert [run["id"] for run in store.results(where=RunFilter(models=[shown]))["runs"]] == ["other", key]


def test_what_is_refused_leaves_nothing_behind(store_at: str) -> None:
    with open_store(store_at) as store:
        sweep = begun(store)
        record = run_record([launch_facts(1)], accuracy_facts(1))
        with pytest.raises(sa.exc.IntegrityError):
            store.save_run(sweep, 0, "k", record, device=DEVICE, artifact=None, steps=[("absent", 0)], reused=False)
        with pytest.raises(sa.exc.StatementError, match="not JSON compliant"):
            store.save_output(launch_step("a"), StepOutput({"x": float("nan")}), seconds=1.0, worker="w")
        assert store.list_runs() == []


def test_the_migrations_make_just_these_tables(store_at: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with open_store(store_at) as store, store._engine.connect() as connection:

        def ours(item: Any, name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or bool(name and name.startswith("dwsep_"))

        options = {"version_table": VERSION_TABLE, "include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    assert ScriptDirectory(str(migrate_module.VERSIONS.parent)).get_current_head() == HEAD


LATER = '''"""More."""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("dwsep_runs", sa.Column("later", sa.Text, nullable=False, server_default="yes"))
'''


def with_later(folder: Path, source: str) -> Path:
    """A folder of revisions that has one more."""
    later = folder / "later" / "versions"
    later.mkdir(parents=True)
    for path in migrate_module.VERSIONS.glob("r*.py"):
        (later / path.name).write_text(path.read_text())
    (later / "r0002_later.py").write_text(source)
    return later


def test_an_older_store_is_brought_up_with_all_that_is_in_it(
    store_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(store_at) as store:
        key, record = keep_run(store, begun(store), 0, "a")
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "VERSIONS", with_later(tmp_path, LATER))
        patched.setattr(migrate_module, "HEAD", "0002")
        with open_store(store_at) as store:
            found = store.run(key, samples=True)
            assert found is not None
            assert found["latency"] == record["latency"]
            with store._engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT later FROM dwsep_runs").scalar() == "yes"
    for create in (True, False):
        with pytest.raises(StoreTooNew, match=r"schema 0002, made by a later version .* upgrade edge-dwsep"):
            open_store(store_at, create=create)


def test_a_migration_that_breaks_off_changes_nothing(
    store_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(store_at) as store:
        key, _ = keep_run(store, begun(store), 0, "a")
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "VERSIONS", with_later(tmp_path, f"{LATER}    raise KeyboardInterrupt\n"))
        patched.setattr(migrate_module, "HEAD", "0002")
        with pytest.raises(KeyboardInterrupt):
            open_store(store_at)
    with open_store(store_at) as store:
        assert store.run(key) is not None
        assert "later" not in {column["name"] for column in sa.inspect(store._engine).get_columns("dwsep_runs")}


def test_nothing_is_made_where_only_reading_is_wanted(store_at: str) -> None:
    with pytest.raises(InvalidStore, match="edge-dwsep sweep"):
        open_store(store_at, create=False)
    if "://" not in store_at:
        assert not Path(store_at).exists()


def test_the_database_may_be_shared_with_optuna(store_at: str) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with open_store(store_at) as store:
        key, _ = keep_run(store, begun(store), 0, "a")
        storage = optuna.storages.RDBStorage(store.secret_url)
        study = optuna.create_study(storage=storage, study_name="s")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert store.run(key) is not None
    with open_store(store_at) as store:
        assert len(optuna.load_study(storage=storage, study_name="s").trials) == 2
        assert store.run(key) is not None
    storage.remove_session()
    storage.engine.dispose()
