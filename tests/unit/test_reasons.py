"""What a user is told of an engine's failure: its reason in plain words, and the memory limit where that was it."""

from __future__ import annotations

import json

import pytest

from dwsep_runtime.engines.reasons import plain_reason
from dwsep_runtime.errors import DwsepError, EngineCrashed, EngineError, EngineUnavailable, OutOfMemory, ProtocolError
from dwsep_runtime.job import Job
from dwsep_runtime.protocol import ResultReader, error_event
from dwsep_runtime.scenarios import SingleStream
from dwsep_runtime.spawn import Completed, finish


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "CompiledModel error: code=3, message=ERROR: [./cc/a.h:2]\n└ ERROR: [b.h:1]\n└ Failed to allocate memory",
            "Failed to allocate memory",
        ),
        (
            "Failed to load model from file\n└ ERROR: [litert/core/model/model_load.cc:602]",
            "Failed to load model from file",
        ),
        (
            "tflite/kernels/conv.cc:396 params->stride_height > 0 was not true.Node number 0 (CONV_2D) failed.",
            "params->stride_height > 0 was not true. Node number 0 (CONV_2D) failed.",
        ),
        (
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from /a b/m.onnx failed:Protobuf parsing failed.",
            "Protobuf parsing failed.",
        ),
        (
            (
                "Error in execution: Non-zero status code returned while running Pad node. Name:'' Status Message: "
                "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* onnxruntime::"
                "BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory"
            ),
            "Pad: Failed to allocate memory",
        ),
        ("No Op registered for \x1b[31mConv\x07", "No Op registered for ?[31mConv?"),
        ("", "it gave no reason (RuntimeError), perhaps for want of memory"),
        ("no", "no"),
        ("x" * 400, "x" * 300 + "..."),
    ],
)
def test_a_reason_is_told_without_what_stands_around_it(said: str, reason: str) -> None:
    assert plain_reason(RuntimeError(said)) == reason
    assert plain_reason(ValueError(reason)) == reason


def test_a_message_that_cannot_be_decoded_is_told_as_such() -> None:
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    assert plain_reason(error).startswith("a name in it is not text (")


LIMIT = 200 * 10**6
NEEDED = "engine tflite needed more memory for m.tflite than its limit of 200 MB; give a higher --memory-limit"
PERHAPS = "; its limit of 200 MB of memory may have been too little"
BLAS = "OpenBLAS error: Memory allocation still failed after 10 retries, giving up."
REFUSED = "engine tflite 1 refused m.tflite: "


@pytest.mark.parametrize(
    ("error", "last", "returncode", "kind", "said"),
    [
        (EngineError("the run needed more memory than its limit or the device has"), "", 1, OutOfMemory, NEEDED),
        (EngineUnavailable("engine tflite needs x: failed to map segment"), "", 1, OutOfMemory, NEEDED),
        (EngineError(f"{REFUSED}Failed to allocate aligned memory"), "", 1, OutOfMemory, NEEDED),
        (None, BLAS, 1, OutOfMemory, NEEDED),
        (None, "terminate called after throwing an instance of 'std::bad_alloc'", -6, OutOfMemory, NEEDED),
        (None, "", -11, EngineCrashed, f"its process ended by SIGSEGV{PERHAPS}"),
        (None, "", 1, ProtocolError, f"run a did not deliver a complete result{PERHAPS}"),
        (
            EngineError(f"{REFUSED}Failed to allocate tensors"),
            "",
            1,
            EngineError,
            f"Failed to allocate tensors{PERHAPS}",
        ),
        (EngineError(f"{REFUSED}no such operator"), "", 1, EngineError, f"{REFUSED}no such operator"),
        (OutOfMemory(NEEDED), "", 1, OutOfMemory, NEEDED),
    ],
)
def test_want_of_memory_within_a_limit_is_told_with_the_limit(
    error: DwsepError | None, last: str, returncode: int, kind: type[DwsepError], said: str
) -> None:
    job = Job("a", "m.tflite", "0" * 64, "tflite", SingleStream(), memory_limit_bytes=LIMIT, title="m.tflite")
    with pytest.raises(DwsepError) as caught:
        finish(job, reader_of(error), Completed(returncode, [last]))
    assert type(caught.value) is kind
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize(
    ("error", "last", "returncode", "kind"),
    [
        (EngineError(f"{REFUSED}Failed to allocate aligned memory"), "", 1, EngineError),
        (None, BLAS, 1, ProtocolError),
        (None, "", -11, EngineCrashed),
    ],
)
def test_without_a_limit_none_is_told(
    error: DwsepError | None, last: str, returncode: int, kind: type[DwsepError]
) -> None:
    job = Job("a", "m.tflite", "0" * 64, "tflite", SingleStream(), title="m.tflite")
    with pytest.raises(DwsepError) as caught:
        finish(job, reader_of(error), Completed(returncode, [last]))
    assert type(caught.value) is kind
    assert "limit" not in str(caught.value)


def reader_of(error: DwsepError | None) -> ResultReader:
    reader = ResultReader("a")
    if error is not None:
        reader.feed(json.dumps(error_event("a", error)))
    return reader
