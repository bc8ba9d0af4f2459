"""Plain text: a sentence a line, without labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.reading.annotated import Annotated
from tf_tokclf.data.reading.base import FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.labels.sentence import Origin, Sentence


@dataclass(frozen=True)
class LinesReader(FileReader):
    """A file of plain text."""

    reading: TextReading

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for number, line in enumerate(read_lines(self.path, self.options.encoding), 1):
            if error := undecoded(line, self.path, number, self.options.encoding):
                problems.report(error)
            elif not line.isspace():
                found = Annotated(line.rstrip("\r\n"), is_labelled=False)
                if sentence := self.reading.sentence(found, Origin(str(self.path), number), problems):
                    yield sentence


def open_lines(path: Path, data: DataConfig) -> LinesReader:
    """A reader of plain text."""
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "text"})
    return LinesReader(path, options, (f"a sentence a line; {reading.note()}",), reading)
