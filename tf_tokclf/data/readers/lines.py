"""Plain text: a sentence a line, without labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.readers.reading import Problems, hash_files, read_lines, undecoded
from tf_tokclf.data.readers.texts import TextReading
from tf_tokclf.data.sentence import Origin, Sentence


@dataclass(frozen=True)
class LinesReader:
    """A file of plain text."""

    path: Path
    options: DataConfig
    reading: TextReading
    notes: tuple[str, ...]
    label_names: tuple[str, ...] | None = None

    def content_key(self) -> str:
        return hash_files([self.path])

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for number, line in enumerate(read_lines(self.path, self.options.encoding), 1):
            if error := undecoded(line, self.path, number, self.options.encoding):
                problems.report(error)
            elif not line.isspace():
                origin = Origin(str(self.path), number)
                yield self.reading.sentence(line.rstrip("\r\n"), None, origin, problems.counts)


def open_lines(path: Path, data: DataConfig) -> LinesReader:
    """A reader of plain text."""
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "text"})
    return LinesReader(path, options, reading, (f"a sentence a line; {reading.note()}",))
