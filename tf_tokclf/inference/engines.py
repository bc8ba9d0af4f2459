"""Choose the library that computes the forward pass, and load a classifier for it.

TensorFlow and transformers are imported only if TensorFlow is chosen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tf_tokclf.encoding.model_config import check_is_classifier, saved_labels
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.encoding.model_info import ModelInfo, read_model_info
from tf_tokclf.encoding.onnx_record import (
    FOLDER,
    OnnxFile,
    OnnxRecord,
    check_crf,
    read_onnx_record,
    weights_sha256,
)
from tf_tokclf.encoding.thresholds_file import FILE_NAME as THRESHOLDS
from tf_tokclf.encoding.thresholds_file import Thresholds, read_thresholds
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.weight_files import weight_files
from tf_tokclf.encoding.word_tokenizer import read_saved_tokenizer
from tf_tokclf.engine_names import ENGINES, ONLY_ONNX, ONNX_PRECISIONS, TENSORFLOW_PRECISIONS
from tf_tokclf.errors import UserError
from tf_tokclf.forward_pass import ForwardPass
from tf_tokclf.optional_packages import check_full_install, check_installed

if TYPE_CHECKING:
    from tf_tokclf.encoding.word_tokenizer import WordTokenizer

log = logging.getLogger(__name__)

_DEFAULT = "float32"
_SHOWN_THRESHOLDS = 4


@dataclass(frozen=True)
class LoadedModel:
    """A classifier: its forward pass, its tokenizer, how it reads sentences, and its thresholds, if it has any."""

    forward_pass: ForwardPass
    tokenizer: WordTokenizer
    info: ModelInfo
    thresholds: Thresholds | None = None


def open_model(
    reference: str,
    *,
    engine: str = "auto",
    revision: str | None = None,
    precision: str | None = None,
    trust_remote_code: bool = False,
    thresholds: bool = True,
    aggregation: str = "first",
) -> LoadedModel:
    """Load a classifier. The arguments are those of `Tagger.load`, which also names the errors."""
    check_names(engine, precision)
    if engine == "tensorflow":
        check_full_install("--engine tensorflow")
    elif engine == "auto" and find_spec("tensorflow") is None:
        if precision in _ONLY_TENSORFLOW:
            check_full_install(f"--precision {precision}")
        # Otherwise the weights of a model on the Hub would be downloaded, which nothing could use.
        engine = "onnx"
    folder = local_model_folder(
        reference, revision=revision, trust_remote_code=trust_remote_code, engine=engine, precision=precision
    )
    file = choose_file(folder, engine=engine, precision=precision)
    if file is None:
        # Before anything else of transformers is imported, because it selects Keras 2.
        from tf_tokclf.model.forward import TensorFlowPass

        tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
        info = read_model_info(folder, saved_labels(folder), tokenizer)
        found = _thresholds(folder, info, are_used=thresholds, aggregation=aggregation)
        forward = TensorFlowPass.load(folder, precision=precision or _DEFAULT, trust_remote_code=trust_remote_code)
        return LoadedModel(forward, tokenizer, info, found)
    check_installed("--engine onnx", "onnxruntime", extra="onnx")
    from tf_tokclf.inference.onnx_pass import OnnxPass

    check_is_classifier(folder)
    words = read_saved_tokenizer(folder) or _tokenizer_of_transformers(folder, trust_remote_code=trust_remote_code)
    info = read_model_info(folder, saved_labels(folder), words)
    found = _thresholds(folder, info, are_used=thresholds, aggregation=aggregation)
    return LoadedModel(OnnxPass.load(folder, file, n_labels=len(info.labels)), words, info, found)


def _thresholds(folder: Path, info: ModelInfo, *, are_used: bool, aggregation: str) -> Thresholds | None:
    if not are_used:
        if (folder / THRESHOLDS).is_file():
            log.info("%s is not used", folder / THRESHOLDS)
        return None
    found = read_thresholds(folder, info)
    if found is not None:
        shown = found.summary(most=_SHOWN_THRESHOLDS)
        log.info("%s: spans are predicted from a probability of %s", folder / THRESHOLDS, shown)
        if found.aggregation != aggregation:
            message = "%s: made with --aggregation %s, but the scores are from %s, so the targets are not promised"
            log.warning(message, folder / THRESHOLDS, found.aggregation, aggregation)
    return found


def _tokenizer_of_transformers(folder: Path, *, trust_remote_code: bool) -> WordTokenizer:
    if find_spec("transformers") is None:
        problem = "only transformers can read this tokenizer, and it is not installed."
        hint = "Export the model again with the newest tf-tokclf, or use it where tf-tokclf is installed."
        raise UserError(problem, path=folder, hint=hint)
    return load_tokenizer(folder, trust_remote_code=trust_remote_code)


def choose_file(folder: Path, *, engine: str, precision: str | None) -> OnnxFile | None:
    """The ONNX file in a model folder that computes the forward pass; None if TensorFlow computes it.

    Raises UserError if the engine or the precision is not possible for this folder.
    """
    if engine == "tensorflow":
        return None
    record = read_onnx_record(folder)
    weights = weight_files(folder)
    if engine == "onnx" or precision in ONLY_ONNX:
        return _file_of_record(folder, record, precision)
    if not weights:
        return None if record is None else _file_of_record(folder, record, precision)
    if record is None or precision not in (None, _DEFAULT) or find_spec("onnxruntime") is None:
        return None
    file = record.file_in(_DEFAULT)
    if file is None:
        return None
    check_crf(folder, record)
    if record.weights != weights_sha256(folder):
        message = "%s: the ONNX files were exported from other weights, so TensorFlow is used. Export the model again."
        log.warning(message, folder / FOLDER)
        return None
    return file


_ONLY_TENSORFLOW = set(TENSORFLOW_PRECISIONS) - set(ONNX_PRECISIONS) - {"auto"}


def check_names(engine: str, precision: str | None) -> None:
    """Raise UserError for an unknown engine or precision, or for a precision that the engine does not have."""
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} does not exist.", hint=f"Choose one of {', '.join(ENGINES)}.")
    known = {*TENSORFLOW_PRECISIONS, *ONNX_PRECISIONS}
    if precision is not None and precision not in known:
        raise UserError(f"precision {precision!r} does not exist.", hint=f"Choose one of {', '.join(sorted(known))}.")
    for name, others in (("tensorflow", ONLY_ONNX), ("onnx", _ONLY_TENSORFLOW)):
        if engine == name and precision in others:
            other = "onnx" if name == "tensorflow" else "tensorflow"
            raise UserError(
                f"precision {precision} is not possible with engine {engine}.",
                hint=f"Choose another precision, or engine {other}.",
            )


def _file_of_record(folder: Path, record: OnnxRecord | None, precision: str | None) -> OnnxFile:
    if record is None:
        hint = "Export the model: tf-tokclf export MODEL --format onnx --output FOLDER. Then pass FOLDER as the model."
        raise UserError("has no ONNX export.", path=folder, hint=hint)
    if weight_files(folder) and record.weights != weights_sha256(folder):
        hint = "Export the model again, or pass --engine tensorflow."
        raise UserError("the ONNX files were exported from other weights.", path=folder / FOLDER, hint=hint)
    check_crf(folder, record)
    if precision in _ONLY_TENSORFLOW:
        hint = "Name the model that was exported, or choose another precision."
        raise UserError(f"precision {precision} needs weights, and this is an ONNX export.", path=folder, hint=hint)
    file = record.file_in(record.default if precision in (None, "auto") else str(precision))
    if file is None:
        files = ", ".join(record.precisions)
        raise UserError(f"has no ONNX file in {precision}, only in {files}.", path=folder, hint="Choose one of these.")
    return file
