"""Parallel files: the words of a sentence on a line of `seq.in`, and its labels on the same line of `seq.out`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from tf_tokclf.compressed import SUFFIXES, name_without_compression
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Kind, Match, Numbered, Seen, certain
from tf_tokclf.data.reading.base import (
    Changes,
    FileReader,
    Problems,
    check_decoded,
    hash_files,
    read_lines,
    require_file,
)
from tf_tokclf.data.reading.missing import MissingLabels
from tf_tokclf.data.reading.records import label_of
from tf_tokclf.data.writing.base import Writing, check_writable, error_at
from tf_tokclf.labels.schemes import OUTSIDE_LABEL
from tf_tokclf.labels.sentence import Origin, Sentence

WORDS_FILE = "seq.in"
LABELS_FILE = "seq.out"
INTENTS_FILE = "label"
# A folder with more files contains many documents, and not one pair with a few other files.
_FEW_FILES = 8


@dataclass(frozen=True)
class ParallelReader(FileReader):
    """Reads a pair of files. `labels_path` is None for words without labels."""

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
            yield from problems.readable(self._sentence(number, words_line, labels_line, problems.counts))

    def _sentence(
        self, number: int, words_line: str | None, labels_line: str | None, changes: Changes
    ) -> Iterator[Sentence | None]:
        origin = Origin(str(self.path), number)
        words = _fields(words_line, self.path, number, self.options.encoding)
        if self.labels_path is None:
            yield Sentence(words, None, origin) if words else None
            return
        labels = _fields(labels_line, self.labels_path, number, self.options.encoding)
        if len(words) != len(labels):
            problem = f"{counted(len(words), 'word')}, but {counted(len(labels), 'label')} in {self.labels_path.name}."
            raise origin.error(problem, "Each word needs exactly one label, on the same line.")
        values = [label_of(label, self.label_names, origin) for label in labels]
        yield self.missing.labelled(Sentence(words, None, origin), values, origin, changes) if words else None


def open_parallel(path: Path, data: DataConfig, task: Task) -> ParallelReader:
    """A reader for a pair of files, given by their folder or by the file of words."""
    words_path = (words_file_in(path) or path / WORDS_FILE) if path.is_dir() else path
    labels_path = None if data.label_column_name == "" else labels_beside(words_path)
    require_file(words_path)
    notes = (f"words from {words_path.name}, labels from {labels_path.name}",) if labels_path else ()
    has_outside = data.label_names is None or OUTSIDE_LABEL in data.label_names
    missing = MissingLabels.of(data, has_outside=has_outside)
    return ParallelReader(words_path, data.model_copy(update={"format": "parallel"}), notes, labels_path, missing)


# Parts of the names of corresponding files of words and labels: sentences_train.txt, labels_train.txt.
_NAMES = (
    *(("sentences", labels) for labels in ("labels", "tags")),
    *(("words", labels) for labels in ("labels", "tags")),
    *(("tokens", labels) for labels in ("labels", "tags")),
    *(("text", labels) for labels in ("labels", "tags")),
    ("source", "target"),
)
_COMPARED_LINES = 20


def labels_beside(words_path: Path) -> Path | None:
    """The file of labels for a file of words: train.out for train.in, or labels.txt for sentences.txt if their first
    lines have equal numbers of items. Both may be compressed.
    """
    bare = name_without_compression(words_path)
    if bare.name.endswith(".in"):
        return _there(words_path, bare, f"{bare.name.removesuffix('.in')}.out")
    for words, labels in _NAMES:
        name = _with_word(bare.name, words, labels)
        if name and (path := _there(words_path, bare, name)) and _are_parallel(words_path, path):
            return path
    return None


def parallel_pair(path: Path, data: DataConfig) -> Iterator[Path]:
    """The file of labels for a file of words, and the files of words for a file of labels."""
    if labels := labels_beside(path):
        yield labels
    yield from (words for words in _words_beside(path) if _is_same_file(labels_beside(words), path))


def _words_beside(labels_path: Path) -> Iterator[Path]:
    """Possible files of words for a file of labels, by their names."""
    bare = name_without_compression(labels_path)
    if bare.name.endswith(".out"):
        names = [f"{bare.name.removesuffix('.out')}.in"]
    else:
        swapped = (_with_word(bare.name, labels, words) for words, labels in _NAMES)
        names = [name for name in swapped if name is not None]
    for name in names:
        if path := _there(labels_path, bare, name):
            yield path


def _is_same_file(one: Path | None, other: Path) -> bool:
    return one is not None and one.samefile(other)


def _with_word(name: str, word: str, other: str) -> str | None:
    """The name with `word` replaced by `other`; None if it does not contain `word`."""
    changed, n = re.subn(rf"(?<![a-z]){word}(?![a-z])", other, name, flags=re.IGNORECASE)
    return changed if n else None


def _there(words_path: Path, bare: Path, name: str) -> Path | None:
    """The file of that name, with the compression of the file of words, none, or another one."""
    endings = (words_path.name.removeprefix(bare.name), "", *SUFFIXES)
    return next((path for ending in endings if (path := words_path.with_name(name + ending)).is_file()), None)


def _are_parallel(words_path: Path, labels_path: Path) -> bool:
    pairs = zip_longest(read_lines(words_path, "utf-8"), read_lines(labels_path, "utf-8"))
    widths = [(len(_split(a or "")), len(_split(b or ""))) for a, b in islice(pairs, _COMPARED_LINES)]
    return bool(widths) and all(n == m for n, m in widths) and any(n > 1 for n, _ in widths)


def words_file_in(folder: Path) -> Path | None:
    """The file of words in a folder of parallel files, if there is exactly one."""
    if (folder / WORDS_FILE).exists():
        return folder / WORDS_FILE
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    found = [path for path in files if labels_beside(path) is not None] if len(files) <= _FEW_FILES else []
    return found[0] if len(found) == 1 else None


def _fields(line: str | None, path: Path, number: int, encoding: str) -> tuple[str, ...]:
    if line is None:
        return ()
    check_decoded(line, Origin(str(path), number), encoding)
    return _split(line)


def _split(line: str) -> tuple[str, ...]:
    return tuple(field for field in line.rstrip("\r\n").replace("\t", " ").split(" ") if field)


def _recognise(seen: Seen) -> Match | None:
    if seen.is_folder:
        found = words_file_in(seen.path)
        return certain(f"the folder contains {found.name} and its labels", True) if found else None
    labels = labels_beside(seen.path) if seen.path.is_file() else None
    return certain(f"its labels are in {labels.name} beside it", True) if labels else None


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The lines of the file `label` beside the words, which has a label for each sentence, such as its intent."""
    beside = path.with_name(INTENTS_FILE)
    if beside.is_file():
        for number, line in enumerate(read_lines(beside, data.encoding), 1):
            yield number, {INTENTS_FILE: line.strip()}


def write(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """Write a folder with one sentence per line: words in seq.in, labels in seq.out."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / WORDS_FILE).open("w", encoding="utf-8", newline="") as words_file,
        (folder / LABELS_FILE).open("w", encoding="utf-8", newline="") as labels_file,
    ):
        for sentence in sentences:
            if sentence.labels is None:
                problem = "the sentence has no labels."
                raise error_at(sentence, problem, "Write jsonl, which can contain words without labels.")
            for word, label in zip(sentence.words, sentence.labels):
                check_writable(sentence, word, label, without=" \t\r\n", where="in a line of words or labels")
            words_file.write(" ".join(sentence.words) + "\n")
            labels_file.write(" ".join(writing.written_labels(sentence)) + "\n")


FORMAT = Format(
    "parallel",
    "a file of words and a file of labels, one sentence per line",
    _recognise,
    open_parallel,
    Kind.FOLDER,
    usual_suffixes=(".tags",),
    write_to=write,
    keeps_missing_labels=True,
    files=(WORDS_FILE, LABELS_FILE, INTENTS_FILE),
    read_beside=parallel_pair,
    columns=column_values,
)
