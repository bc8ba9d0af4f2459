"""The files in tests/data/samples. Their names say what is special about them."""

from __future__ import annotations

from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.labels.sentence import Sentence

SAMPLES = Path(__file__).parent / "samples"


def read(name: str, task: Task = Task.NER, **options: object) -> list[Sentence]:
    return list(read_sentences(SAMPLES / name, DataConfig(**options), task=task))


def labelled(sentences: list[Sentence]) -> list[list[tuple[str, str]]]:
    return [list(zip(sentence.words, sentence.labels or ())) for sentence in sentences]
