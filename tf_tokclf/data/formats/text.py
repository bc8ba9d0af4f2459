"""Plain text without labels, one sentence per line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats import conll
from tf_tokclf.data.formats.format import Format, Match, Seen, possible
from tf_tokclf.data.reading.annotated import Annotated
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.reading.text_lines import LineReader
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.sentence import Origin, Sentence, text_of


@dataclass(frozen=True)
class PlainTextReader(LineReader):
    """Reads a file of plain text."""

    def sentence(self, line: str, origin: Origin, problems: Problems) -> Sentence | None:
        found = self.reading.sentence(Annotated(line, is_labelled=False), origin, problems)
        return found or None  # a line may have no words


def open_lines(path: Path, data: DataConfig, task: Task) -> PlainTextReader:
    """A reader of plain text."""
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "text"})
    return PlainTextReader(path, options, (f"one sentence per line; {reading.note(has_spans=False)}",), reading)


def _recognise(seen: Seen) -> Match | None:
    has_words = any(" " in line.strip() for line in seen.lines) and not any("\t" in line for line in seen.lines)
    is_text = has_words and not (seen.is_json or seen.is_binary or conll.recognise(seen))
    return possible("its lines are words separated by spaces", is_text)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """Write only the text, one sentence per line."""
    for sentence in sentences:
        yield " ".join(text_of(sentence)[0].splitlines()) + "\n"


FORMAT = Format(
    "text",
    "plain text without labels, one sentence per line",
    _recognise,
    open_lines,
    usual_suffixes=(".txt", ".text"),
    write=write,
)
