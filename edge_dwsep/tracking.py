"""Log the runs of a sweep to MLflow: a run for the sweep, and below it one for each of its runs."""

from __future__ import annotations

__all__ = ["EXPERIMENT", "Logged", "TrackingError", "log_results", "metrics_of", "params_of", "require_uri"]

import contextlib
import hashlib
import importlib.util
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_export.manifest import manifest_path
from dwsep_runtime.errors import DwsepError, InvalidInput

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "edge-dwsep"
KEY, CONTENT = "edge_dwsep.key", "edge_dwsep.content"
"""Tags: by which a run is found again, and what was logged of it, set when all of it was."""

PARENT = "mlflow.parentRunId"
SCHEMES = ("http://", "https://", "sqlite:///", "postgresql://", "postgresql+psycopg://", "mysql://", "databricks")
MOST_CHARACTERS = 500
"""Of a param's value; what older servers take."""

PERCENTILES = ("p50", "p90", "p95", "p99")
CALM = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Set while MLflow is at work, unless the user has set them: no telemetry, nothing on standard output, which is the
command's, and no minutes of retries against a server that is not there."""

SECRET = re.compile(r"(://)\S*@")


class TrackingError(DwsepError):
    """MLflow's server or database cannot be reached, or refuses what is logged."""


@dataclass(frozen=True)
class Logged:
    """What was logged.

    Attributes:
        experiment_id: of the experiment.
        run_id: of the sweep's run.
        new: runs below it that were logged now; the others were there.
        kept: runs below it that were there.
    """

    experiment_id: str
    run_id: str
    new: int
    kept: int


def require_uri(tracking_uri: str) -> None:
    """Make sure that MLflow is here and logs to such a URI; nothing is reached.

    Raises:
        InvalidInput: the URI is of no kind that MLflow logs to.
        DwsepError: MLflow is not installed.
    """
    if not tracking_uri.startswith(SCHEMES):
        raise InvalidInput(
            f"MLflow cannot log to {_shown(tracking_uri)!r}; give http://HOST:PORT of a server, or sqlite:///FILE"
        )
    if importlib.util.find_spec("mlflow") is None:
        raise DwsepError("logging to MLflow needs its package: pip install 'edge-dwsep[mlflow]'")


def _shown(tracking_uri: str) -> str:
    """A URI without its password."""
    return SECRET.sub(r"\1***@", tracking_uri)


def log_results(results: Mapping[str, Any], folder: Path, tracking_uri: str, experiment: str = EXPERIMENT) -> Logged:
    """Log results to MLflow; what is there already, by the ids of sweep and run, is not logged again.

    Args:
        results: full or light.
        folder: of the sweep: ``results.json``, ``report.html``, ``report.md``, and ``artifacts`` with models and
            manifests; those that are there are logged.
        tracking_uri: of a server, ``http://HOST:PORT``, or of a database, ``sqlite:///FILE``.
        experiment: its name in MLflow; made if there is none.

    Raises:
        InvalidInput: the URI is of no kind that MLflow logs to.
        TrackingError: the server does not answer, or refuses.
        DwsepError: MLflow is not installed.
    """
    require_uri(tracking_uri)
    shown = _shown(tracking_uri)
    with _calm():
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from requests.exceptions import RequestException
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError as error:
            raise DwsepError("logging to MLflow needs its package: pip install 'edge-dwsep[mlflow]'") from error
        try:
            return _log(MlflowClient(tracking_uri=tracking_uri), results, folder, experiment)
        except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
            reason = SECRET.sub(r"\1***@", " ".join(str(error).split()))[:300]
            raise TrackingError(
                f"MLflow at {shown} did not take the results: {reason}; see that it runs, and log again by running "
                "the same sweep once more: nothing is measured again"
            ) from error


def params_of(record: Mapping[str, Any], model: Mapping[str, Any] | None) -> dict[str, str]:
    """What a run was of, as MLflow's params.

    Args:
        record: of the run.
        model: entry of its model in the results; None if there is none.
    """
    shape = (model or {}).get("input_shape")
    params: dict[str, Any] = {
        "model": record["model"],
        "architecture": (model or {}).get("architecture"),
        "alpha": (model or {}).get("alpha"),
        "resolution": shape[0] if shape else None,
        "variant": record["variant"],
        "format": record["format"],
        "scheme": record["scheme"],
        "engine": record["engine"],
        "threads": record["threads"],
        "batch": record["batch"],
        "device": record["device"],
        **{f"engine_option.{name}": value for name, value in (record.get("engine_options") or {}).items()},
    }
    return {name: str(value)[:MOST_CHARACTERS] for name, value in params.items() if value not in (None, "")}


def metrics_of(record: Mapping[str, Any], model: Mapping[str, Any] | None) -> dict[str, float]:
    """What a run showed, as MLflow's metrics; ``NAME_low`` and ``NAME_high`` bound the 95 % interval of ``NAME``."""
    metrics: dict[str, float | None] = {"size_bytes": record.get("file_bytes")}

    def add(name: str, value: float | None, interval: Sequence[float] | None) -> None:
        metrics[name] = value
        if interval:
            metrics[f"{name}_low"], metrics[f"{name}_high"] = interval

    latency = record.get("latency") or {}
    for percentile in PERCENTILES:
        add(f"{percentile}_ms", latency.get(f"{percentile}_ms"), latency.get(f"{percentile}_interval_ms"))
    metrics["samples"] = latency.get("count")
    accuracy = record.get("accuracy") or {}
    for name in ("top1", "top5"):
        add(name, accuracy.get(name), accuracy.get(f"{name}_interval"))
    agreement = record.get("agreement") or {}
    add("agreement", agreement.get("top1"), agreement.get("interval"))
    metrics["peak_memory_bytes"] = (record.get("memory") or {}).get("peak_bytes")
    cost = record.get("cost") or {}
    add("instructions", cost.get("per_inference"), [cost["least"], cost["most"]] if cost else None)
    metrics["macs"], metrics["params"] = (model or {}).get("macs"), (model or {}).get("params")
    return {name: float(value) for name, value in metrics.items() if value is not None and math.isfinite(value)}


def _log(client: MlflowClient, results: Mapping[str, Any], folder: Path, experiment: str) -> Logged:
    where = _experiment(client, experiment)
    sweep = results.get("sweep") or {}
    identity = sweep.get("id") or [results["command"], results["created"]]
    key = _hash(identity)
    begun, ended = _milliseconds(sweep.get("started") or results["created"]), _milliseconds(sweep.get("finished"))
    found = _runs(client, where, key)
    parent = found.get(key) or client.create_run(
        where, begun, {KEY: key}, run_name=_line(sweep.get("name") or results["command"])
    )
    parent_id = parent.info.run_id
    models = {model["name"]: model for model in results["models"]}
    versions = {f"version.{name}": str(version) for name, version in results["versions"].items()}
    new = 0
    for record in results["runs"]:
        new += _log_run(client, where, parent_id, key, found, record, models.get(record["model"]), versions, folder)
    files = [folder / name for name in ("results.json", "report.html", "report.md") if (folder / name).is_file()]
    content = _hash([results["runs"], *(_hash_of_file(file) for file in files)])
    if parent.data.tags.get(CONTENT) != content:
        data, excluded = results.get("data") or {}, sweep.get("excluded") or []
        failed = sum(run["status"] != "ok" for run in results["runs"])
        client.log_batch(
            parent_id,
            metrics=_entities({"runs": len(results["runs"]), "failed": failed, "left_out": len(excluded)}, begun),
            params=_params({"data": data.get("name", "")}),
            tags=_tags({"command": results["command"], **versions}),
        )
        for file in files:
            client.log_artifact(parent_id, str(file))
        if sweep.get("plan"):
            _log_text(client, parent_id, "plan.json", json.dumps(sweep["plan"], indent=1))
        client.set_tag(parent_id, CONTENT, content)
    if parent.info.status == "RUNNING" or new:
        client.set_terminated(parent_id, "FINISHED", ended or begun)
    return Logged(where, parent_id, new, len(results["runs"]) - new)


def _log_run(  # noqa: PLR0913, PLR0917  # all of it is known to the one caller alone
    client: MlflowClient,
    where: str,
    parent_id: str,
    sweep_key: str,
    found: Mapping[str, Run],
    record: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    versions: Mapping[str, str],
    folder: Path,
) -> bool:
    """Log one run; whether it was not there."""
    identity = ("device", "model", "variant", "engine", "threads", "batch", "engine_options")
    key = _hash([sweep_key, record.get("id") or [record[name] for name in identity]])
    content = _hash([{name: record[name] for name in record if name not in {"reused", "log"}}, model])
    run = found.get(key)
    if run is not None and run.data.tags.get(CONTENT) == content:
        return False
    launches = record.get("launches") or []
    begun = _milliseconds(launches[0]["started"]) if launches else None
    if run is None:
        name = _line(f"{record['model']} {record['variant']} on {record['engine']}, {record['threads']} threads")
        run = client.create_run(where, begun, {KEY: key, PARENT: parent_id, f"{KEY}.sweep": sweep_key}, run_name=name)
    run_id = run.info.run_id
    tags = {
        "device": record["device"],
        "emulated": str(record["emulated"]).lower(),
        "valid": str(record["valid"]).lower(),
        "engine_version": record.get("engine_version") or "",
        "sha256": record.get("sha256") or "",
        "warnings": "\n".join(record.get("warnings") or []),
        "error": record.get("error") or "",
        **versions,
    }
    client.log_batch(
        run_id,
        metrics=_entities(metrics_of(record, model), begun or run.info.start_time),
        params=_params(params_of(record, model)),
        tags=_tags({name: value for name, value in tags.items() if value}),
    )
    file = folder / "artifacts" / Path(record["file"]).name
    for path in (file, manifest_path(file)):
        if record.get("sha256") and path.is_file():
            client.log_artifact(run_id, str(path), "model")
    _log_text(client, run_id, "run.json", json.dumps(record))
    client.set_tag(run_id, CONTENT, content)
    ended = _milliseconds(launches[-1]["started"]) if launches else None
    client.set_terminated(run_id, "FINISHED" if record["status"] == "ok" else "FAILED", ended or run.info.start_time)
    return True


def _experiment(client: MlflowClient, name: str) -> str:
    """Id of an experiment, made if there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another sweep made it at this very moment
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise TrackingError(f"MLflow's experiment {name!r} was deleted; restore it: mlflow experiments restore")
    return str(found.experiment_id)


def _runs(client: MlflowClient, where: str, key: str) -> dict[str, Run]:
    """Runs logged of a sweep, itself included, by their keys."""
    found: dict[str, Run] = {}
    for condition in (f"tags.`{KEY}` = '{key}'", f"tags.`{KEY}.sweep` = '{key}'"):
        token = None
        while True:
            page = client.search_runs([where], condition, max_results=1000, page_token=token)
            found.update({run.data.tags[KEY]: run for run in page})
            token = page.token
            if not token:
                break
    return found


def _log_text(client: MlflowClient, run_id: str, name: str, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-mlflow-") as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        client.log_artifact(run_id, str(file))


def _entities(metrics: Mapping[str, float], milliseconds: int | None) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(name, value, milliseconds or 0, 0) for name, value in metrics.items()]


def _params(params: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, value[:MOST_CHARACTERS]) for name, value in params.items() if value]


def _tags(tags: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(name, value[: 8 * MOST_CHARACTERS]) for name, value in tags.items()]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _hash_of_file(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _milliseconds(moment: str | None) -> int | None:
    """Milliseconds since 1970 of a moment in ISO form."""
    return None if not moment else round(1000 * datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())


def _line(text: str) -> str:
    return " ".join(text.split())[:MOST_CHARACTERS] or EXPERIMENT


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """Variables of ``CALM`` in the environment, for as long as the block lasts."""
    added = [name for name in CALM if name not in os.environ]
    os.environ.update({name: CALM[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
