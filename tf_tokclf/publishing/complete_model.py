"""Check that a model folder is complete and undamaged before it is published. TensorFlow is not needed."""

from __future__ import annotations

import shlex
from pathlib import Path

from tf_tokclf.counted import counted
from tf_tokclf.encoding.crf_file import read_crf_for
from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.model_config import check_is_classifier, has_code, model_config, saved_labels
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.encoding.thresholds_file import FILE_NAME as THRESHOLDS
from tf_tokclf.encoding.thresholds_file import read_thresholds_for
from tf_tokclf.encoding.tokenizer_files import clean_tokenizer_folder
from tf_tokclf.encoding.weight_files import H5, INDEX, READABLE_WEIGHTS, SAFETENSORS, open_weights
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.validation import scheme_of_names
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_record import damage, read_record

# Formats of weights that are not opened here: pickles of PyTorch, and exports.
_OTHER_WEIGHTS = {".bin", ".onnx", ".tflite", ".pb", ".msgpack"}
_SAVE_AGAIN = "Save or download the model again."


def check_run_is_whole(run: RunDir) -> None:
    """Raise UserError if a file of a run's model, or a file that the model card needs, is missing or damaged.

    A finished run is compared with the checksums in its record. Other runs must have the files of a token classifier.
    """
    restore = shlex.join(["tf-tokclf", "fit", str(run.root), "--resume"])
    hint = f"Restore it with `{restore}`, then push again."
    if record := read_record(run):
        found = {name: what for name, what in damage(run, record).items() if _is_published(run.root / name, run)}
        for name, what in found.items():
            raise UserError(f"{what}, so nothing was pushed.", path=run.root / name, hint=hint)
    elif not is_there(run.model / MODEL_INFO):
        raise UserError("is missing, so nothing was pushed.", path=run.model / MODEL_INFO, hint=hint)
    try:
        _check_model(run.model)
    except UserError as error:
        raise UserError(
            error.problem, path=error.path or run.model, line=error.line, row=error.row, hint=hint
        ) from error
    # Training again would not restore thresholds.
    check_thresholds(run.model)


def check_model_is_whole(folder: Path) -> None:
    """Raise UserError unless `folder` has a readable configuration, weights and tokenizer of a token classifier.

    Weights are not loaded. The size of the file is compared with the size in its header. Thresholds must be those of
    the model.
    """
    _check_model(folder)
    check_thresholds(folder)


def _check_model(folder: Path) -> None:
    if not is_there(folder / "config.json"):
        raise UserError("is missing.", path=folder / "config.json", hint="Give a run or a model folder.")
    check_is_classifier(folder)
    labels = saved_labels(folder)
    _check_weights(folder, n_labels=len(labels))
    with clean_tokenizer_folder(folder):
        pass
    if is_there(folder / MODEL_INFO):
        info = read_json(folder / MODEL_INFO, hint=_SAVE_AGAIN)
        if isinstance(info, dict) and info.get("head") == "crf":
            read_crf_for(folder, labels)


def check_thresholds(folder: Path) -> None:
    """Raise UserError if a model folder has thresholds that were not made for its model."""
    if not is_there(folder / THRESHOLDS):
        return
    names, path = tuple(saved_labels(folder)), folder / MODEL_INFO
    if not is_there(path):
        read_thresholds_for(folder, LabelSet(names, scheme_of_names(names)), 1.0)
        return
    info = read_json(path, hint=_SAVE_AGAIN)
    try:
        labels, temperature = LabelSet(names, Scheme(info["scheme"])), float(info["temperature"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot be read: {repr(error)[:200]}.", path=path, hint=_SAVE_AGAIN) from error
    read_thresholds_for(folder, labels, temperature)


def _check_weights(folder: Path, *, n_labels: int) -> None:
    if not any(is_there(folder / name) for name in (SAFETENSORS, INDEX, H5)):
        if not any(path.suffix in _OTHER_WEIGHTS for path in folder.rglob("*")):
            raise UserError("has no weights.", path=folder, hint=f"Expected one of {', '.join(READABLE_WEIGHTS)}.")
        return
    with open_weights(folder) as files:
        # A model with custom code may have a head of any shape.
        if not has_code(model_config(folder)) and not any(n_labels in shape for shape in files.shapes.values()):
            raise UserError(
                f"has no classification head for {counted(n_labels, 'label')}, as in config.json.",
                path=files.path,
                hint="Train a token classifier first: tf-tokclf fit.",
            )


def _is_published(path: Path, run: RunDir) -> bool:
    """Whether a file of a run is published or used in the model card."""
    return path.parent == run.model or path in (run.results, run.history)
