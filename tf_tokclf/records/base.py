"""The interfaces that the format modules of prediction's input and output implement, and their shared code."""

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
# Number of lines from which the columns are detected. They are kept in memory and read again.
SAMPLED_LINES = 4000


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the input.

    source: the record in the representation of its format. sentence: the sentence to label; it can have no words.
    problem: why the record could not be read. selection: why `select` chose the record, for the output.
    """

    origin: Origin
    source: Any
    sentence: Sentence
    problem: str | None = None
    selection: Mapping[str, Any] | None = None


class SettingError(UserError):
    """A problem of the settings that a record reveals. It is raised whatever is done with unreadable records."""


# The line or row where a record starts, counted from 1, and the content of the record.
Frame = tuple[int, Any]


class RecordFormat(Protocol):
    """Finds and reads the records of one format. unit: what their numbers count (lines or rows)."""

    name: str
    unit: str
    note: str

    def frames(self) -> Iterator[Frame]:
        """The position and the unparsed content of each record."""
        ...

    def parse(self, source: Any, origin: Origin) -> Sentence:
        """The sentence in a record. Raises UserError if there is none."""
        ...


def opened_on_sample(
    sample: Sequence[str], place: str, data: DataConfig, opening: Callable[[Path, DataConfig], Any]
) -> Any:
    """The reader that `opening` returns for a temporary file with the first lines of the input."""
    options = data.model_copy(update={"encoding": "utf-8", "on_error": "skip"})
    with tempfile.TemporaryDirectory(prefix="tf-tokclf-") as folder:
        path = Path(folder) / "sample"
        # Surrogates represent invalid bytes, which are checked later, for each record.
        path.write_text("".join(sample), encoding="utf-8", errors="surrogatepass", newline="")
        try:
            return opening(path, options)
        except UserError as error:
            raise UserError(error.problem, path=place, line=error.line, row=error.row, hint=error.hint) from error


def words_of(values: Sequence[Any], name: str, origin: Origin) -> tuple[str, ...]:
    """The words in a list, including empty ones. Numbers are converted to text."""
    words = tuple(str(value) for value in values if isinstance(value, (str, int, float)))
    if len(words) != len(values):
        odd = next(value for value in values if not isinstance(value, (str, int, float)))
        raise origin.error(f"a word in {name!r} is {odd!r}.", "A list of words was expected.")
    return words


def document_of(record: Mapping[str, Any]) -> str | None:
    """The name of the document that a record belongs to, if it has one."""
    document = record.get("document")
    return document if isinstance(document, str) else None


PredictedRecord = tuple[Record, TaggedSentence]


@dataclass(frozen=True)
class Details:
    """What the output contains.

    top_k: number of most probable labels per word. scores: whether CoNLL output has a column of scores. offset_unit:
    the unit of offsets in texts, "codepoint", "utf16" or "byte". model_name: for annotation tools. review: whether each
    span says if it is for review.
    """

    top_k: int = 0
    scores: bool = False
    offset_unit: str = "codepoint"
    model_name: str = ""
    review: bool = False


class OutputFormat(Protocol):
    """Writes a file block by block. is_final: whether the blocks are the file; otherwise `finish` converts them."""

    is_final: bool

    @property
    def head(self) -> bytes:
        """The bytes before all records."""
        ...

    @property
    def tail(self) -> bytes:
        """The bytes after all records. Asked for when they are written."""
        ...

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """The bytes of a block of records."""
        ...

    def finish(self, source: Path, target: Path) -> None:
        """Convert the file that was written to the final file."""
        ...


class Lines:
    """Formats in which the records are simply concatenated."""

    is_final = True
    head = tail = b""

    def __init__(self, write: Callable[[Record, TaggedSentence], str]) -> None:
        self._write = write

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """The bytes of the records."""
        return encoded("".join(self._write(record, tagged) for record, tagged in records))

    def finish(self, source: Path, target: Path) -> None:
        """Rename the file that was written."""
        source.replace(target)


def encoded(text: str) -> bytes:
    """Encode as UTF-8. Invalid bytes of the input, and lone surrogates, become the replacement character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
