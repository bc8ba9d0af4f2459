"""Write a classifier as SavedModel, TFLite or ONNX.

Inputs: `input_ids` and `attention_mask`, (rows, width) int32, or int64 in ONNX, which is what transformers.js passes.
Output: `logits`, (rows, width, labels) float32. The numbers of rows and columns are not fixed.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tf_tokclf.errors import JobError
from tf_tokclf.files import disk_problem
from tf_tokclf.model.backend import VERBOSE, keras, quiet_stderr, tf
from tf_tokclf.model.fast_gelu import plain_gelu
from tf_tokclf.publishing.export.folder import OTHER_FORMATS, model_file
from tf_tokclf.publishing.export.plain_indexing import plain_indexing

log = logging.getLogger(__name__)

SIGNATURE = "serving_default"
# The newest ONNX opset that onnxruntime's dynamic quantisation and all runtimes of the last three years support.
OPSET = 17


class Serving(tf.Module):
    """The classifier as a tf.function with a fixed signature. dtype: of the inputs."""

    def __init__(self, model: keras.Model, dtype: tf.DType) -> None:
        super().__init__()
        # A SavedModel stores everything that the attributes refer to. For a Keras model these are also the functions of
        # each layer, which are not needed, and tracing them takes two thirds of the time.
        self.weights = list(model.weights)
        self._call = lambda **inputs: model(**inputs, training=False)
        names = ("input_ids", "attention_mask")
        signature = [tf.TensorSpec((None, None), dtype, name=name) for name in names]
        self.serve = tf.function(self._serve, input_signature=signature)

    def _serve(self, input_ids: tf.Tensor, attention_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Logits, (rows, width, labels) float32."""
        outputs = self._call(input_ids=tf.cast(input_ids, tf.int32), attention_mask=tf.cast(attention_mask, tf.int32))
        return {"logits": tf.cast(outputs.logits, tf.float32)}


def write_export(model: keras.Model, folder: Path, format: str, quantize: str | None) -> Path:
    """Write `model` into `folder`. Returns the path that the runtime loads: a file, or the folder of a SavedModel.

    An ONNX model is always written in float32.

    Raises JobError for a model that the converter does not support.
    """
    with _calm(), quiet_stderr(quiet=not VERBOSE), plain_gelu(model), plain_indexing():
        try:
            return _WRITERS[format](Serving(model, tf.int64 if format == "onnx" else tf.int32), folder, quantize)
        except (JobError, MemoryError, OSError):
            raise
        except Exception as error:  # the converters raise exceptions of any class, some of which are not public
            if disk_problem(error):
                raise
            failure = error
    # Outside of the block, which would print what the converter wrote.
    log.debug("%s", failure, exc_info=failure)
    raise _not_converted(format, model.config.model_type, failure)


def _write_savedmodel(serving: Serving, folder: Path, quantize: str | None) -> Path:
    """Write it into the sub-folder "1", since TensorFlow Serving expects a folder for each version."""
    path = folder / model_file("savedmodel", quantize)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(serving, str(path), signatures={SIGNATURE: serving.serve}, options=options)
    return path


def _write_tflite(serving: Serving, folder: Path, quantize: str | None) -> Path:
    # Use the disk of the export for temporary files: models are large, and the disk of /tmp is often small.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        saved = _write_savedmodel(serving, Path(scratch), None)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[SIGNATURE])
        if quantize is not None:
            # By default this is "dynamic" quantisation: weights become int8 and activations stay float32.
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        path = folder / model_file("tflite", quantize)
        path.write_bytes(converter.convert())
    return path


def _write_onnx(serving: Serving, folder: Path, quantize: str | None) -> Path:
    import onnx
    import tf2onnx

    from tf_tokclf.publishing.export.single_operations import with_single_operations

    path = folder / model_file("onnx", None)
    path.parent.mkdir()
    with _without_reshape_optimizer():
        tf2onnx.convert.from_function(
            serving.serve,
            list(serving.serve.input_signature),
            opset=OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
            output_path=str(path),
        )
    onnx.save(with_single_operations(onnx.load(path)), path)
    return path


@contextmanager
def _without_reshape_optimizer() -> Iterator[None]:
    """Leave reshapes to the runtime.

    In some models, such as ESM, this optimizer takes the shape of a tensor before a reshape for that after it.
    """
    from tf2onnx import optimizer

    before = optimizer._get_optimizers
    kept = {name: factory for name, factory in before().items() if name != "reshape_optimizer"}
    optimizer._get_optimizers = lambda: kept
    try:
        yield
    finally:
        optimizer._get_optimizers = before


def _erfc(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Convert erfc, which tf2onnx does not support, to 1 - erf."""
    import numpy as np

    erf = ctx.make_node("Erf", node.input, name=f"{name}_erf")
    one = ctx.make_const(f"{name}_one", np.array(1, dtype=np.float32))
    ctx.remove_node(node.name)
    ctx.make_node("Sub", [one.output[0], erf.output[0]], outputs=node.output, name=name)


@contextmanager
def _calm() -> Iterator[None]:
    """Suppress the log messages of the converters."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "root")]
    before = [logger.level for logger in loggers]
    if not VERBOSE:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)


def _not_converted(format: str, model_type: str, failure: Exception) -> JobError:
    """What could not be converted, why, and what to do. The texts of converters have hundreds of lines."""
    operations = sorted(set(_OPERATION.findall(str(failure))))
    reason = f"the converter does not support {', '.join(operations[:5])}" if operations else "the converter failed"
    return JobError(
        f"a model of type {model_type} cannot be converted to {_NAMES[format]}: {reason}. "
        f"{OTHER_FORMATS} --verbose shows the output of the converter."
    )


# TensorFlow's operations in the messages of converters.
_OPERATION = re.compile(r"\btf\.(?!lite\b)([A-Z]\w+)")
_NAMES = {"savedmodel": "a SavedModel", "tflite": "TFLite", "onnx": "ONNX"}
_WRITERS: dict[str, Callable[[Serving, Path, str | None], Path]] = {
    "savedmodel": _write_savedmodel,
    "tflite": _write_tflite,
    "onnx": _write_onnx,
}
