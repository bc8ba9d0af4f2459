"""Run an exported model in its own runtime and process, without code of this project and without transformers.

    python runtimes.py savedmodel|tflite|onnx MODEL

Each batch on standard input consists of three arrays: input_ids (rows, width) int32, attention_mask (rows, width) int32
and positions (subword tokens, 2) int32. For each batch, standard output gets the logits (subword tokens, labels)
float32 at these (row, column) positions, and the time of the model in seconds, float64. The first array on standard
output is the version of the runtime as text. An array is written as its length in eight bytes, then in the format of
`numpy.save` (see `write`).
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
    """Load the serving signature of a SavedModel."""
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
    """Load the signature of a TFLite model."""
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner("serving_default")

    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        return runner(input_ids=input_ids, attention_mask=attention_mask)["logits"]

    return run, f"ai-edge-litert {version('ai-edge-litert')}"


def open_onnx(model: str | bytes) -> tuple[Run, str]:
    """Load an ONNX model from its file, or from its content."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        inputs = {"input_ids": input_ids.astype(np.int64), "attention_mask": attention_mask.astype(np.int64)}
        return session.run(["logits"], inputs)[0]

    return run, f"onnxruntime {onnxruntime.__version__}"


OPENERS: dict[str, Callable[[str], tuple[Run, str]]] = {
    "savedmodel": open_savedmodel,
    "tflite": open_tflite,
    "onnx": open_onnx,
}


def serve(run: Run, source: BinaryIO, target: BinaryIO) -> None:
    """Process batches until the end of `source`."""
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
    """Write an array in the format that `read` expects."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    target.write(len(buffer.getvalue()).to_bytes(8, "little") + buffer.getvalue())
    target.flush()


def read(source: IO[bytes]) -> np.ndarray | None:
    """Read the next array; None at the end."""
    size = int.from_bytes(source.read(8), "little")
    return np.load(io.BytesIO(source.read(size)), allow_pickle=False) if size else None


def main() -> None:
    """Run the model that is given on the command line."""
    # Output of libraries must not get between the arrays.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run, version = OPENERS[sys.argv[1]](sys.argv[2])
    write(out, np.array(version))
    serve(run, sys.stdin.buffer, out)


if __name__ == "__main__":
    main()
