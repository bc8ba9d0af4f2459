"""CoNLL columns as input and output of prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.conll import ColumnsReader, is_border, open_columns
from tf_tokclf.data.reading.base import check_decoded
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import SAMPLED_LINES, Details, Frame, Lines, Record, opened_on_sample
from tf_tokclf.records.prediction_fields import WORD_COLUMNS, added_names, column_score


class ColumnRecords:
    """CoNLL columns. A record is a block of lines up to and including the next blank line. All lines are kept."""

    name = "conll"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        sample = list(islice(lines, SAMPLED_LINES))
        self._lines = chain(sample, lines)
        self._data = data
        self._reader: ColumnsReader | None = None
        self.note = "no words"
        if any(not line.isspace() for line in sample):
            self._reader = opened_on_sample(
                sample, place, data, lambda path, options: open_columns(path, options, task)
            )
            self.note = f"one word per line, words in column {self._reader.word}"

    @property
    def separator(self) -> str:
        """The separator of the fields in a line; a tab for lines with only one field."""
        structure = self._reader.structure if self._reader else None
        return structure.separator if structure and structure.width > 1 else "\t"

    @property
    def header_line(self) -> int | None:
        """The number of the header line, from 1, if there is one."""
        return self._reader.header_line if self._reader else None

    def fields_of(self, line: str) -> list[str]:
        """The fields of a line."""
        return self._reader.split(line.rstrip("\r\n")) if self._reader else [line]

    def frames(self) -> Iterator[Frame]:
        """Blocks of lines. Lines before the first word or after the last word belong to the nearest block."""
        kept: tuple[int, list[str]] | None = None
        block: list[str] = []
        has_words = ended = False
        number = first = 1
        for number, line in enumerate(self._lines, 1):
            if ended and not line.isspace():
                if kept:
                    yield kept
                kept, block, first, has_words, ended = (first, block), [], number, False, False
            block.append(line)
            has_words = has_words or self._word_in(line, number, at_head=True) is not None
            ended = has_words and line.isspace()
        if kept and not has_words:
            kept[1].extend(block)
            block = []
        if kept:
            yield kept
        if block:
            yield first, block

    def parse(self, source: list[str], origin: Origin) -> Sentence:
        """The words of a block."""
        words = []
        for number, (line, word) in enumerate(zip(source, self.words_in(source, origin.number)), origin.number):
            if word is not None:
                check_decoded(line, Origin(origin.path, number), self._data.encoding)
                words.append(word)
        return Sentence(tuple(words), None, origin)

    def words_in(self, lines: Sequence[str], first: int) -> Iterator[str | None]:
        """The word in each line of a block that starts at line `first`.

        None for blank lines, comments, headers and document borders.
        """
        at_head = True
        for number, line in enumerate(lines, first):
            word = self._word_in(line, number, at_head=at_head)
            at_head = at_head and word is None
            yield word

    def _word_in(self, line: str, number: int, *, at_head: bool) -> str | None:
        reader = self._reader
        if reader is None or line.isspace() or is_border(line) or number == reader.header_line:
            return None
        comment = reader.options.comment_prefix
        if comment and line.startswith(comment):
            return None
        fields = reader.split(line.rstrip("\r\n"))
        if line[0] == "#" and reader.is_comment(line, fields, at_head=at_head):
            return None
        return fields[reader.word] if reader.word < len(fields) else ""


class EnrichedColumns(Lines):
    """The lines of the input with an additional last column for the predicted label, optionally after the score."""

    def __init__(self, source: ColumnRecords, details: Details) -> None:
        self._source = source
        self._details = details
        super().__init__(self._lines)

    def _lines(self, record: Record, tagged: TaggedSentence) -> str:
        labels, scores = iter(tagged.labels), iter(tagged.scores)
        lines = []
        words = self._source.words_in(record.source, record.origin.number)
        for number, (line, word) in enumerate(zip(record.source, words), record.origin.number):
            if number == self._source.header_line:
                names = added_names(WORD_COLUMNS, self._source.fields_of(line))
                line = self._with(line, names["predicted_label"], names["predicted_score"])
            elif word is not None and not record.problem:
                line = self._with(line, next(labels), column_score(next(scores)))
            lines.append(line)
        return "".join(lines)

    def _with(self, line: str, label: str, score: str) -> str:
        """A line with added columns, after the same separator."""
        bare = line.rstrip("\r\n")
        added = [score, label] if self._details.scores else [label]
        return self._source.separator.join([bare, *added]) + (line[len(bare) :] or "\n")


def conll_block(tagged: TaggedSentence, details: Details) -> str:
    """One line per word with its predicted label, and a blank line at the end."""
    columns: list[Iterable[str]] = [map(_one_field, tagged.sentence.words), tagged.labels]
    if details.scores:
        columns.insert(1, map(column_score, tagged.scores))
    return "".join("\t".join(row) + "\n" for row in zip(*columns)) + "\n"


def _one_field(word: str) -> str:
    """A word that can be a field of a column: white space becomes no-break spaces, an empty word an underscore."""
    if word and not word.isspace() and "\t" not in word and "\n" not in word and "\r" not in word:
        return word
    return "".join("\u00a0" if char in "\t\n\r" else char for char in word).strip(" ") or "_"
