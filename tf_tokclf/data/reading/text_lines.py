"""Files with a sentence or a text a line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from tf_tokclf.data.reading.base import FileReader, Problems, check_decoded, read_lines
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.labels.sentence import Origin, Sentence


@dataclass(frozen=True)
class LineReader(FileReader, ABC):
    """A file with a sentence on each line that is not blank. Formats differ in what a line contains."""

    reading: TextReading

    @abstractmethod
    def sentence(self, line: str, origin: Origin, problems: Problems) -> Sentence | None:
        """The sentence of a line without its line break; None where the line is left out."""

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for number, line in enumerate(read_lines(self.path, self.options.encoding), 1):
            if not line.isspace():
                yield from problems.readable(self._decoded(line, Origin(str(self.path), number), problems))

    def _decoded(self, line: str, origin: Origin, problems: Problems) -> Iterator[Sentence | None]:
        check_decoded(line, origin, self.options.encoding)
        yield self.sentence(line.rstrip("\r\n"), origin, problems)
