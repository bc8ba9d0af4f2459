"""Plain text, one sentence per line, as input of prediction."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tf_tokclf.compressed import open_bytes
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.detection import files_in, not_read_in
from tf_tokclf.data.reading.base import check_decoded, decoded_lines
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.records.base import Frame

log = logging.getLogger(__name__)


class TextRecords:
    """One sentence per line. An empty line is an empty sentence. lines: those that `frames` has not read."""

    name = "text"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        self.lines = lines
        self.data = data
        self.note = f"one sentence per line, split into words with --word-splitting {data.word_splitting}"

    def frames(self) -> Iterator[Frame]:
        """The lines without their line ends."""
        return _numbered(self.lines)

    def parse(self, source: str, origin: Origin) -> Sentence:
        """The words of a line."""
        sentence = _sentence(source, origin, self.data)
        if origin.number == 1:
            _warn_of_json(source)
        return sentence


class TextFolder:
    """The lines of all text files of a folder, in the order of the names. Each file is a document."""

    name = "text"
    unit = "line"

    def __init__(self, folder: Path, data: DataConfig) -> None:
        self._files = files_in(folder)
        self._data = data
        self.note = (
            f"{counted(len(self._files), 'file')}, one sentence per line, split into words with --word-splitting "
            f"{data.word_splitting}{not_read_in(folder, self._files)}"
        )

    def frames(self) -> Iterator[Frame]:
        """The number of each line in its file, and the file with the line."""
        for path in self._files:
            file, _ = open_bytes(path)
            with file:
                for number, line in _numbered(decoded_lines(file, self._data.encoding, str(path))):
                    yield number, (path, line)

    def parse(self, source: tuple[Path, str], origin: Origin) -> Sentence:
        """The words of a line, with the origin in its file."""
        path, line = source
        sentence = _sentence(line, replace(origin, path=str(path)), self._data)
        if path == self._files[0] and origin.number == 1:
            _warn_of_json(line)
        return replace(sentence, document=path.stem)


def _numbered(lines: Iterator[str]) -> Iterator[Frame]:
    for number, line in enumerate(lines, 1):
        yield number, line.removesuffix("\n").removesuffix("\r")


def _sentence(line: str, origin: Origin, data: DataConfig) -> Sentence:
    check_decoded(line, origin, data.encoding)
    return text_sentence(line, data.word_splitting, origin)


def _warn_of_json(line: str) -> None:
    if _is_json_object(line):
        log.warning("the first line is a JSON object, but it is read as text. For JSON lines, pass --format jsonl")


def _is_json_object(line: str) -> bool:
    if not line.lstrip("\ufeff \t").startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
