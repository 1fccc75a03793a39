"""Keep what converters print away from the user's terminal."""

from __future__ import annotations

__all__ = ["interrupts_deferred", "load_tensorflow", "quiet"]

import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator

from dwsep_export.errors import UnsupportedModel

LOGGERS = ("tensorflow", "absl", "tf2onnx", "root")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, standard output and error of this process, native code included, go to a file that is dropped.

    Files are redirected by descriptor, because converters print from C++. Where the error is worth knowing it is in
    the exception. With EDGE_DWSEP_DEBUG set nothing is redirected.
    """
    if os.environ.get("EDGE_DWSEP_DEBUG"):
        yield
        return
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    _flush()
    with tempfile.TemporaryFile() as dropped, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        try:
            for descriptor in kept:
                os.dup2(dropped.fileno(), descriptor)
            for name in LOGGERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            _flush()
            for descriptor, original in kept.items():
                os.dup2(original, descriptor)
                os.close(original)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Within it an interruption waits for the end.

    Native modules that are being imported, and TensorFlow's tracing, die by SIGSEGV of one or swallow it.

    Raises:
        KeyboardInterrupt: at the end, if one came and is not passed over.
    """
    came: list[int] = []
    kept = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(number)):
                kept[number] = signal.signal(number, lambda received, frame: came.append(received))
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    for interruption in came:
        signal.raise_signal(interruption)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None where the caller closed it
            stream.flush()


def load_tensorflow() -> None:
    """Import TensorFlow and Keras without their start-up messages.

    Raises:
        UnsupportedModel: Keras is set to another backend than TensorFlow.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        import keras
        import tensorflow as tf

        tf.get_logger().setLevel(logging.ERROR)
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UnsupportedModel(
            f"Keras runs on {backend} here, only tensorflow can be exported; set KERAS_BACKEND=tensorflow"
        )
