"""Run an exported model by its own runtime in a process of its own: no code of this project, no transformers.

    python runtimes.py savedmodel|tflite|onnx MODEL

Standard input holds, batch by batch, three arrays as `write` writes them (their length in eight bytes,
then as `numpy.save` has them): input_ids (rows, width) int32, attention_mask (rows, width) int32 and
positions (pieces, 2) int32; standard output gets the logits (pieces, labels) float32 of the pieces at
those (row, column) positions, and how long the model took as a float64. The first array on standard
output is the version of the runtime as text.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from typing import IO, BinaryIO

import numpy as np

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


def open_savedmodel(path: str) -> tuple[Run, str]:
    """The serving signature of a SavedModel."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]

    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        found = serve(input_ids=tf.constant(input_ids), attention_mask=tf.constant(attention_mask))
        return found["logits"].numpy()

    run.model = loaded  # type: ignore[attr-defined]  # a signature does not keep its model alive
    return run, f"tensorflow {tf.__version__}"


def open_tflite(path: str) -> tuple[Run, str]:
    """The signature of a TFLite model."""
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner("serving_default")

    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        return runner(input_ids=input_ids, attention_mask=attention_mask)["logits"]

    return run, f"ai-edge-litert {version('ai-edge-litert')}"


def open_onnx(path: str) -> tuple[Run, str]:
    """An ONNX model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        return session.run(["logits"], {"input_ids": input_ids, "attention_mask": attention_mask})[0]

    return run, f"onnxruntime {onnxruntime.__version__}"


OPENERS: dict[str, Callable[[str], tuple[Run, str]]] = {
    "savedmodel": open_savedmodel,
    "tflite": open_tflite,
    "onnx": open_onnx,
}


def serve(run: Run, source: BinaryIO, target: BinaryIO) -> None:
    """Answer batches until there are no more."""
    while (input_ids := read(source)) is not None:
        attention_mask, positions = read(source), read(source)
        assert attention_mask is not None
        assert positions is not None
        begun = time.perf_counter()
        logits = run(input_ids, attention_mask)
        seconds = time.perf_counter() - begun
        write(target, np.asarray(logits, dtype=np.float32)[positions[:, 0], positions[:, 1]])
        write(target, np.array(seconds))


def write(target: IO[bytes], array: np.ndarray) -> None:
    """Write an array for `read`."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    target.write(len(buffer.getvalue()).to_bytes(8, "little") + buffer.getvalue())
    target.flush()


def read(source: IO[bytes]) -> np.ndarray | None:
    """The next array; None where there are no more."""
    size = int.from_bytes(source.read(8), "little")
    return np.load(io.BytesIO(source.read(size)), allow_pickle=False) if size else None


def main() -> None:
    """Serve the model that the arguments name."""
    # What libraries print must not come between the arrays.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run, version = OPENERS[sys.argv[1]](sys.argv[2])
    write(out, np.array(version))
    serve(run, sys.stdin.buffer, out)


if __name__ == "__main__":
    main()
