"""Records of prediction's input and output: what each format's module implements, and what they share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence

STDIN = "-"
# Enough to see what the columns hold; what was looked at is read again from memory.
SAMPLED_LINES = 4000


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the input.

    source: what stood there, in the way of its format. sentence: what is to be labelled, without words where
    there are none. problem: why nothing could be read from it.
    """

    origin: Origin
    source: Any
    sentence: Sentence
    problem: str | None = None


# Where a record begins, counted from 1 in lines or rows, and what stands there.
Frame = tuple[int, Any]


class RecordFormat(Protocol):
    """How records of one format are found and read. unit: what their numbers count."""

    name: str
    unit: str
    note: str

    def frames(self) -> Iterator[Frame]:
        """Each record's place and content, unread."""
        ...

    def parse(self, source: Any, origin: Origin) -> Sentence:
        """The sentence in a record. Raises UserError where there is none."""
        ...


def opened_on_sample(
    sample: Sequence[str], place: str, data: DataConfig, opening: Callable[[Path, DataConfig], Any]
) -> Any:
    """The reader that `opening` makes of a file's first lines, which are put into a file of their own for it."""
    options = data.model_copy(update={"encoding": "utf-8", "on_error": "skip"})
    with tempfile.TemporaryDirectory(prefix="tf-tokclf-") as folder:
        path = Path(folder) / "sample"
        # Surrogates stand for wrong bytes, which the records are judged by later.
        path.write_text("".join(sample), encoding="utf-8", errors="surrogatepass", newline="")
        try:
            return opening(path, options)
        except UserError as error:
            raise UserError(error.problem, path=place, line=error.line, row=error.row, hint=error.hint) from error


def words_of(values: Sequence[Any], name: str, origin: Origin) -> tuple[str, ...]:
    """Words as they are, empty ones too; numbers are taken for what they look like."""
    words = tuple(str(value) for value in values if isinstance(value, (str, int, float)))
    if len(words) != len(values):
        odd = next(value for value in values if not isinstance(value, (str, int, float)))
        raise origin.error(f"a word in {name!r} is {odd!r}.", "A list of words was expected.")
    return words


def document_of(record: Mapping[str, Any]) -> str | None:
    """The name of the document that a record belongs to, where the record has it."""
    document = record.get("document")
    return document if isinstance(document, str) else None


PredictedRecord = tuple[Record, TaggedSentence]


@dataclass(frozen=True)
class Details:
    """What a prediction says. top_k: so many labels with their probabilities for each word. scores: a column
    of them in CoNLL. offset_unit: what places in a text count, "codepoint", "utf16" or "byte". model_name:
    for tools.
    """

    top_k: int = 0
    scores: bool = False
    offset_unit: str = "codepoint"
    model_name: str = ""


class OutputFormat(Protocol):
    """Bytes of a file, part by part. `is_final`: whether those are the file; else `finish` makes the file of
    them.
    """

    is_final: bool
    head: bytes
    tail: bytes

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """The bytes of a run of records."""
        ...

    def finish(self, source: Path, target: Path) -> None:
        """Make the file that is wanted of the file that was written."""
        ...


class Lines:
    """Formats whose records stand one behind the other."""

    is_final = True
    head = tail = b""

    def __init__(self, write: Callable[[Record, TaggedSentence], str]) -> None:
        self._write = write

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """The records, each as it is written."""
        return encoded("".join(self._write(record, tagged) for record, tagged in records))

    def finish(self, source: Path, target: Path) -> None:
        """The file is what was written."""
        source.replace(target)


def encoded(text: str) -> bytes:
    """UTF-8; bytes that were no text in the input, and lone surrogates, come as the replacement sign."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
