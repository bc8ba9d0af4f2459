"""Parallel files: words of a sentence on a line of `seq.in`, their labels on the same line of `seq.out`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.compressed import SUFFIXES, name_without_compression
from tf_tokclf.data.readers.missing import MissingLabels
from tf_tokclf.data.readers.reading import (
    Changes,
    FileReader,
    Problems,
    hash_files,
    read_lines,
    require_file,
    undecoded,
)
from tf_tokclf.data.readers.records import label_of
from tf_tokclf.data.schemes import OUTSIDE_LABEL
from tf_tokclf.data.sentence import Origin, Sentence
from tf_tokclf.errors import UserError

WORDS_FILE = "seq.in"
LABELS_FILE = "seq.out"


@dataclass(frozen=True)
class ParallelReader(FileReader):
    """A pair of files; `labels_path` is None where only words are there."""

    labels_path: Path | None
    missing: MissingLabels

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.options.label_names

    def content_key(self) -> str:
        return hash_files([self.path] + ([self.labels_path] if self.labels_path else []))

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        encoding = self.options.encoding
        words_lines = read_lines(self.path, encoding)
        labels_lines = read_lines(self.labels_path, encoding) if self.labels_path else None
        pairs = zip_longest(words_lines, labels_lines) if labels_lines else ((line, None) for line in words_lines)
        for number, (words_line, labels_line) in enumerate(pairs, 1):
            try:
                sentence = self._sentence(number, words_line, labels_line, problems.counts)
            except UserError as error:
                problems.report(error)
            else:
                if sentence:
                    yield sentence

    def _sentence(
        self, number: int, words_line: str | None, labels_line: str | None, changes: Changes
    ) -> Sentence | None:
        origin = Origin(str(self.path), number)
        words = _fields(words_line, self.path, number, self.options.encoding)
        if self.labels_path is None:
            return Sentence(words, None, origin) if words else None
        labels = _fields(labels_line, self.labels_path, number, self.options.encoding)
        if len(words) != len(labels):
            problem = f"{len(words)} words, but {len(labels)} labels in {self.labels_path.name}."
            raise origin.error(problem, "Each word needs exactly one label, on the same line.")
        values = [label_of(label, self.label_names, origin) for label in labels]
        filled = self.missing.filled(values, len(words), origin, changes) if words else None
        return Sentence(words, filled, origin) if filled is not None else None


def open_parallel(path: Path, data: DataConfig) -> ParallelReader:
    """The pair of files that `path`, a folder or the file of words, stands for."""
    words_path = path / WORDS_FILE if path.is_dir() else path
    labels_path = None if data.label_column_name == "" else labels_beside(words_path)
    require_file(words_path)
    notes = (f"words from {words_path.name}, labels from {labels_path.name}",) if labels_path else ()
    has_outside = data.label_names is None or OUTSIDE_LABEL in data.label_names
    missing = MissingLabels.of(data, has_outside=has_outside)
    return ParallelReader(words_path, data.model_copy(update={"format": "parallel"}), notes, labels_path, missing)


def labels_beside(words_path: Path) -> Path | None:
    """The file of the labels for a file of words: train.out for train.in, either of them compressed or not."""
    name = name_without_compression(words_path).name
    if not name.endswith(".in"):
        return None
    plain = words_path.with_name(f"{name.removesuffix('.in')}.out")
    alike = plain.with_name(plain.name + words_path.name.removeprefix(name))
    there = (path for path in (alike, plain, *(plain.with_name(plain.name + s) for s in SUFFIXES)) if path.exists())
    return next(there, None)


def _fields(line: str | None, path: Path, number: int, encoding: str) -> tuple[str, ...]:
    if line is None:
        return ()
    if error := undecoded(line, path, number, encoding):
        raise error
    return tuple(field for field in line.rstrip("\r\n").replace("\t", " ").split(" ") if field)
