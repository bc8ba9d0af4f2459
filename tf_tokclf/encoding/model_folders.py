"""Resolve a model reference (Hub id, folder, `package:NAME/PATH`) to a local folder with configuration and weights."""

from __future__ import annotations

import logging
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tf_tokclf.config.references import PACKAGE_PREFIX, is_package_reference, resolve_reference
from tf_tokclf.counted import counted
from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.hints import TOGETHER
from tf_tokclf.encoding.model_config import WIDTHS, check_model_config
from tf_tokclf.encoding.onnx_record import FOLDER as ONNX_FOLDER
from tf_tokclf.encoding.onnx_record import RECORD, read_onnx_record
from tf_tokclf.encoding.weight_files import H5, INDEX, READABLE_WEIGHTS, SAFETENSORS, TORCH, weight_files
from tf_tokclf.engine_names import ONLY_ONNX
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_readable
from tf_tokclf.similar_names import did_you_mean

log = logging.getLogger(__name__)

TOKENIZER_AND_CONFIG = ["*.json", "*.txt", "*.model"]
# Not other .bin files, such as the state of an optimizer.
TORCH_FILES = [TORCH, "pytorch_model-*.bin"]
# Settings that are the number of embeddings in a table.
TABLES = ("vocab_size", "max_position_embeddings", "type_vocab_size")

# Where an ONNX export in float32, or with smaller weights, is in its folder: as transformers.js and optimum expect.
ONNX_FILES = {
    None: "onnx/model.onnx",
    "float16": "onnx/model_fp16.onnx",
    "int8": "onnx/model_quantized.onnx",
    "int4": "onnx/model_q4.onnx",
}
# The files of exports by which they are recognised, and their formats. No weights can be loaded from them.
EXPORTS = {**dict.fromkeys(ONNX_FILES.values(), "ONNX"), "model.tflite": "TFLite", "1/saved_model.pb": "SavedModel"}

_EXPECTED = "Give a folder, a Hub id or package:NAME/PATH."


def local_model_folder(
    reference: str,
    *,
    revision: str | None = None,
    weights: bool = True,
    trust_remote_code: bool = False,
    engine: str = "tensorflow",
    precision: str | None = None,
) -> Path:
    """The local folder of a model. A model on the Hub is downloaded first; its weights only with `weights`.

    engine, precision: what the model is loaded for, as in `Tagger.load`. An ONNX export needs no weights, except for
    TensorFlow. From the Hub, `"auto"` fetches the weights if there are any.

    Raises UserError if there is no such model, if it has no weights, or if its configuration is refused
    (`check_model_config`).
    """
    folder = Path(resolve_reference(reference))
    if not folder.is_dir():
        if folder.is_file():
            in_model = is_there(folder.parent / "config.json")
            hint = "Name the folder that contains it." if in_model else _EXPECTED
            raise UserError("is a file, not a model folder.", path=reference, hint=hint)
        if is_package_reference(reference) or not looks_like_hub_id(reference):
            raise UserError(f"there is no model folder {reference}.", hint=did_you_mean(reference, _EXPECTED))
        if package := _package_with_model(reference):
            problem = f"there is no folder {reference} here, but an installed package of this name contains a model."
            raise UserError(problem, hint=f"Write {package}.")
        folder = _download(reference, revision, weights=weights, engine=engine, precision=precision)
    # The folder of a run contains its model.
    if not is_there(folder / "config.json") and (folder / "model" / "config.json").is_file():
        folder = folder / "model"
    if not is_there(folder / "config.json"):
        raise UserError(f"{reference} has no config.json.", hint="Check the path, and whether training has finished.")
    patterns = [*TOKENIZER_AND_CONFIG, "*.safetensors", "*.h5", *TORCH_FILES] if weights else TOKENIZER_AND_CONFIG
    check_readable(path for path in sorted(folder.iterdir()) if path.is_file() and any(map(path.match, patterns)))
    config = check_model_config(folder, trust_remote_code=trust_remote_code)
    if weights and not _is_export_for(folder, engine):
        _check_weights(folder, reference)
        _check_sizes(folder, config)
    return folder


def _package_with_model(name: str) -> str | None:
    """The reference to the model in an installed package with this name; None if there is none."""
    reference = f"{PACKAGE_PREFIX}{name.replace('-', '_')}"
    try:
        folder = resolve_reference(reference)
    except UserError:
        return None
    found = next((inner for inner in ("", "/model") if is_there(folder / inner.lstrip("/") / "config.json")), None)
    return None if found is None else reference + found


def _is_export_for(folder: Path, engine: str) -> bool:
    """Whether the engine can use a folder without weights."""
    return engine != "tensorflow" and is_there(folder / RECORD) and not weight_files(folder)


def reference_text(reference: str | PathLike[str]) -> str:
    """A model reference as text. Raises UserError for anything else, such as None.

    >>> reference_text(Path("runs") / "mine")
    'runs/mine'
    """
    if isinstance(reference, (str, PathLike)) and isinstance(text := fspath(reference), str):
        return text
    problem = f"a model is named by a text or a path, not by {reference!r} ({type(reference).__name__})."
    raise UserError(problem, hint=_EXPECTED)


def looks_like_hub_id(reference: str) -> bool:
    """Whether `reference` has the form NAME or OWNER/NAME of ids on the Hub.

    >>> looks_like_hub_id("distilbert-base-cased"), looks_like_hub_id("./runs/mine/model")
    (True, False)
    """
    parts = reference.split("/")
    return len(parts) <= 2 and all(part and part[0].isalnum() for part in parts)


def public_name(reference: str) -> str:
    """A model reference that can be published: for a local folder, only its name.

    >>> public_name("/home/ada/bert"), public_name("bert-base-cased"), public_name("package:encoders/bert")
    ('bert', 'bert-base-cased', 'package:encoders/bert')
    """
    if is_package_reference(reference) or (looks_like_hub_id(reference) and not Path(reference).exists()):
        return reference
    return Path(reference).resolve().name


def _check_weights(folder: Path, reference: str) -> None:
    if any(is_there(folder / name) for name in READABLE_WEIGHTS):
        return
    if is_there(folder / RECORD):
        hint = "Use --engine onnx with predict, evaluate or serve, or name the model that was exported."
        raise UserError("is an export in ONNX format, which TensorFlow cannot run.", path=reference, hint=hint)
    for name, format in EXPORTS.items():
        if is_there(folder / name):
            problem = f"is an export in {format} format, which only other programs can run."
            hint = "Name the run or the model that was exported. docs/predict.md#export shows how to run exports."
            raise UserError(problem, path=reference, hint=hint)
    raise UserError(f"{reference} has no weights.", hint=f"Expected one of {', '.join(READABLE_WEIGHTS)}.")


def _check_sizes(folder: Path, config: dict[str, Any]) -> None:
    """Refuse embedding tables that are larger than the weight files, before any table is allocated.

    The weights themselves are compared with the files when they are loaded. This check also covers computed tables.
    """
    path = folder / "config.json"
    n_bytes = sum(file.stat().st_size for file in weight_files(folder))
    width = next((config[name] for name in WIDTHS if isinstance(config.get(name), int)), 1)
    for name in TABLES:
        rows = config.get(name)
        if isinstance(rows, int) and rows * width > max(n_bytes, 1 << 20):
            table = f"{counted(rows, 'embedding')} of {counted(width, 'number')} ({name})"
            problem = f"describes {table}, more than fit into the {counted(n_bytes, 'byte')} of weights."
            raise UserError(problem, path=path, hint=TOGETHER)


def _download(repo_id: str, revision: str | None, *, weights: bool, engine: str, precision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    from tf_tokclf.hub import hub_errors

    def fetch(patterns: list[str], ignored: str | None = "*/*") -> Path:
        ignore = None if ignored is None else [ignored]
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=patterns, ignore_patterns=ignore))

    def fetch_export() -> None:
        record = read_onnx_record(fetch([RECORD], None))
        file = record and record.file_in(record.default if precision in (None, "auto") else str(precision))
        if file:
            fetch([f"{ONNX_FOLDER}/{file.file}"], None)

    with hub_errors(f"model {repo_id}", folder=repo_id):
        only_export = weights and (engine == "onnx" or (engine == "auto" and precision in ONLY_ONNX))
        fetched = weights and not only_export
        folder = fetch([*TOKENIZER_AND_CONFIG, "*.safetensors"] if fetched else TOKENIZER_AND_CONFIG)
        if fetched and not any((folder / name).is_file() for name in (SAFETENSORS, INDEX)):
            folder = fetch([H5])
            if not (folder / H5).is_file():
                folder = fetch(TORCH_FILES)
        if only_export or (fetched and engine == "auto" and not weight_files(folder)):
            fetch_export()
    return folder
