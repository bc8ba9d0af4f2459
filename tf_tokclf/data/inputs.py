"""The local files that a command reads. Its output must not replace any of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, DataConfig
from tf_tokclf.data.formats.registry import all_formats
from tf_tokclf.run_dir import RunDir

_MODEL_FILES = (
    "config.json",
    "tf_tokclf.json",
    "crf.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.h5",
    "*.bin",
    "*.bin.index.json",
    "onnx/*",
)


def source_files(reference: str | None, data: DataConfig | None = None) -> Iterator[Path]:
    """The files that are read for a file or folder of data, or for `-` (standard input). Hub ids are ignored.

    Includes the files that any format would read beside this one, because the format is not known yet.
    """
    if reference is None:
        return
    if reference == "-":
        yield Path("/dev/stdin")
        return
    path = resolve_reference(reference)
    yield path
    if path.is_dir():
        yield from (inner for inner in path.rglob("*") if inner.is_file())
    elif path.is_file():
        for format in all_formats():
            yield from format.read_beside(path, data or DataConfig())


def model_files(reference: str | None) -> Iterator[Path]:
    """The files that are read from a model folder, or from the model in a run's folder."""
    if reference is None:
        return
    run = RunDir(resolve_reference(reference))
    for folder in (run.root, run.model):
        for pattern in _MODEL_FILES:
            yield from folder.glob(pattern)


def data_files(data: DataConfig) -> Iterator[Path]:
    """The files that the data settings name."""
    references = (data.train_file, data.validation_file, data.test_file, data.extra_file, data.dataset_name)
    return chain.from_iterable(source_files(reference, data) for reference in references)


def data_files_of_run(reference: str | Path) -> Iterator[Path]:
    """The data files of the run that a run folder or model folder belongs to; none for other models."""
    for folder in (Path(reference), Path(reference).parent):
        if RunDir(folder).config.is_file():
            yield from data_files(load_config(RunDir(folder).config).data)


def run_inputs(config: Config) -> Iterator[Path]:
    """The files that a training run reads."""
    yield from data_files(config.data)
    if config.model.name_or_path is not None:
        yield from model_files(config.model.name_or_path)
    if config.hub.card.template is not None:
        yield Path(config.hub.card.template)
