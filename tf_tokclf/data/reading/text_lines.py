"""Shared code of formats with one sentence or text per line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from tf_tokclf.data.reading.base import FileReader, Problems, check_decoded, read_lines
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.labels.sentence import Origin, Sentence


@dataclass(frozen=True)
class LineReader(FileReader, ABC):
    """Base of readers of files with one sentence per line. Blank lines are ignored."""

    reading: TextReading

    @abstractmethod
    def sentence(self, line: str, origin: Origin, problems: Problems) -> Sentence | None:
        """Parse a line without its line break. None if the line is left out."""

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for number, line in enumerate(read_lines(self.path, self.options.encoding), 1):
            if not line.isspace():
                yield from problems.readable(self._decoded(line, Origin(str(self.path), number), problems))

    def _decoded(self, line: str, origin: Origin, problems: Problems) -> Iterator[Sentence | None]:
        check_decoded(line, origin, self.options.encoding)
        yield self.sentence(line.rstrip("\r\n"), origin, problems)
