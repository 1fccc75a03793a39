"""What each operator of a model costs on this device: :func:`profile_operators`."""

from __future__ import annotations

__all__ = ["profile_job", "profile_operators"]

from pathlib import Path
from typing import Any

from dwsep_runtime.engines import EngineSettings
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.job import Job
from dwsep_runtime.model_file import model_format
from dwsep_runtime.operators.onnx_profile import profile_kernels
from dwsep_runtime.operators.rounds import on_one_core
from dwsep_runtime.operators.tflite_profile import profile_prefixes
from dwsep_runtime.scenarios import ProfileOperators


def profile_job(job: Job, scenario: ProfileOperators) -> dict[str, Any]:
    """Scenario profile-operators of a job; see :func:`profile_operators`."""
    return profile_operators(
        Path(job.model), job.engine, job.settings, job.title, seconds=scenario.seconds, seed=scenario.seed
    )


def profile_operators(
    model: Path, engine_name: str, settings: EngineSettings, title: str, *, seconds: float = 5.0, seed: int = 0
) -> dict[str, Any]:
    """Time each operator of a model on random inputs, and how far the way of measuring distorts what it measures.

    With one thread, this one is kept on one core for as long as it lasts: what moves between cores varies many times
    more. A .tflite is timed in parts that end after each operator (:mod:`dwsep_runtime.operators.tflite_profile`), an
    .onnx by onnxruntime's own profiler (:mod:`dwsep_runtime.operators.onnx_profile`); both say what their figures mean.

    Args:
        model: the model file.
        engine_name: name in ``ENGINES``.
        settings: threads, batch and options, for the model and for all parts of it.
        title: what messages call the model.
        seconds: of measuring, about; a model so slow that six rounds take longer gets them all the same. Loading comes
            on top.
        seed: of the random inputs.

    Returns:
        JSON values. Times are ns and those of a device left alone: the shortest of every round, and of these the median
        over ``rounds``. ``..._interval_ns`` hold the true median with 95 %
        (:func:`dwsep_runtime.operators.rounds.median_estimate`) of these very models in memory: loaded anew, they lie
        elsewhere, and operators differ by some percent. ``method`` is "prefix" or "onnxruntime-profiler";
        ``whole_ns`` is the untouched model, timed in the same rounds; ``operators`` in the order of execution have
        ``index``, ``name``, ``type``, ``kind``, ``macs`` (None: unknown), ``ns``, ``interval_ns``, ``distinguishable``
        (its interval does not hold 0) and ``alone_ns`` (the operator as a model of its own; None where that was
        not tried); ``sum_ns`` adds all their ``ns``, negative ones included; ``by_kind`` has sums as
        :func:`dwsep_runtime.operators.summary.sum_by_kind` makes them; ``fixed_ns`` is what an inference takes without
        any operator (None: not known, and in the first operator); ``distortion`` has ratios, 1 if measuring changed
        nothing, ``sum_to_whole`` = (fixed + sum) / whole and others by method.

    Raises:
        InvalidModel: the file is no whole model.
        InvalidInput: it has control flow, or ``seconds`` is out of range.
        EngineError: the engine refuses the model or a part of it.
    """
    if not 0 < seconds <= 3600:
        raise InvalidInput(f"seconds must be above 0 and at most 3600, received {seconds}")
    profile = profile_prefixes if model_format(model) == "tflite" else profile_kernels
    with on_one_core(wanted=settings.threads == 1):
        return profile(model, engine_name, settings, title, seconds=seconds, seed=seed)
