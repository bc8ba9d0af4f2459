"""The files on this machine that a job reads, none of which its output may replace."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, DataConfig
from tf_tokclf.run_dir import RunDir

# What else is read with a file of this ending: annotations beside texts, labels beside words, and the other way round.
_READ_TOGETHER = {".txt": ".ann", ".ann": ".txt", ".in": ".out", ".out": ".in"}
_MODEL_FILES = (
    "config.json",
    "tf_tokclf.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.h5",
)


def source_files(reference: str | None) -> Iterator[Path]:
    """What is read of a file or folder of data; of `-`, what standard input is. Names on the Hub are passed over."""
    if reference is None:
        return
    if reference == "-":
        yield Path("/dev/stdin")
        return
    path = resolve_reference(reference)
    yield path
    if path.is_dir():
        yield from (inner for inner in path.rglob("*") if inner.is_file())
    elif other := _READ_TOGETHER.get(path.suffix):
        yield path.with_suffix(other)


def model_files(reference: str | None) -> Iterator[Path]:
    """What is read of a model folder, or of the model in a run's folder."""
    if reference is None:
        return
    run = RunDir(resolve_reference(reference))
    for folder in (run.root, run.model):
        for pattern in _MODEL_FILES:
            yield from folder.glob(pattern)


def data_files(data: DataConfig) -> Iterator[Path]:
    """What is read of the data."""
    references = (data.train_file, data.validation_file, data.test_file, data.dataset_name)
    return chain.from_iterable(map(source_files, references))


def run_inputs(config: Config) -> Iterator[Path]:
    """What a training run reads."""
    yield from data_files(config.data)
    if config.model.name_or_path is not None:
        yield from model_files(config.model.name_or_path)
    if config.hub.card.template is not None:
        yield Path(config.hub.card.template)
