"""One sentence per line, with a label after each word.

    The/DT cat/NN sat/VBD ./.
    Marie|NNP|B-PER lives|VBZ|O

If words have two labels, the last one is read; with `--task pos`, the first one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, likely
from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import Problems, read_lines
from tf_tokclf.data.reading.guessing import looks_like_tags
from tf_tokclf.data.reading.text_lines import LineReader
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.writing.base import Writing, check_writable
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

_SIGNS = ("|", "/")
# A label after a word: capital letters with separators between them, or a punctuation mark as its own label.
_LABEL = re.compile(r"[A-Z][A-Z0-9$]*(?:[-_+:.&][A-Za-z0-9$]+)*|[bi]-[a-z_.-]+|[OX0]|[^\w\s]{1,2}|-[A-Z]{3}-")


@dataclass(frozen=True)
class InlineTagsReader(LineReader):
    """Reads a file of this format. which: index of the label that is read after each word, or None for no labels."""

    sign: str
    which: int | None
    n_labels: int

    def sentence(self, line: str, origin: Origin, problems: Problems) -> Sentence | None:
        return self.reading.sentence(self._annotated(line, origin), origin, problems)

    def _annotated(self, line: str, origin: Origin) -> Annotated:
        words, labels = [], []
        for field in _fields(line):
            word, *behind = field.rsplit(self.sign, self.n_labels)
            if len(behind) != self.n_labels or not word or not all(behind):
                n_labels = counted(self.n_labels, "label")
                problem = f"{field[:60]!r} is not a word followed by {self.sign!r} and {n_labels}."
                raise origin.error(problem, "Correct it, or set the format.")
            words.append(word)
            labels.append(behind[self.which or 0])
        return Annotated(
            words=tuple(words), annotations=(Annotation(labels=labels),), is_labelled=self.which is not None
        )


def open_inline_tags(path: Path, data: DataConfig, task: Task) -> InlineTagsReader:
    """A reader for a file; detects the separator of word and label, and the number of labels."""
    lines = [line for _, line in zip(range(200), (ln for ln in read_lines(path, data.encoding) if not ln.isspace()))]
    if not lines:
        raise UserError("contains no words.", path=path, hint="Write one sentence per line.")
    fields = [field for line in lines for field in _fields(line)]
    likely = max(_SIGNS, key=lambda sign: sum(sign in field for field in fields))
    sign = data.separator if data.separator in _SIGNS else _sign(lines) or likely
    n_labels = max(1, min(field.count(sign) for field in fields)) if sign == "|" else 1
    columns = list(zip(*(field.rsplit(sign, n_labels)[1:] for field in fields if field.count(sign) >= n_labels)))
    which: int | None = 0 if task is Task.POS else n_labels - 1
    if data.label_column_name == "":
        which = None
    has_outside = which is not None and bool(columns) and looks_like_tags(columns[which])
    reading = TextReading.of(data.model_copy(update={"layer": None}), has_outside=has_outside)
    options = data.model_copy(update={"format": "inline-tags"})
    labels = "no labels" if which is None else f"labels after {sign!r}"
    return InlineTagsReader(path, options, (f"one sentence per line, {labels}",), reading, sign, which, n_labels)


def looks_like_inline_tags(lines: list[str]) -> bool:
    """Whether each word in the first lines of a file is followed by a label.

    >>> looks_like_inline_tags(["The/DT cat/NN", "A/DT dog/NN"]), looks_like_inline_tags(["and/or this", "a/b c"])
    (True, False)
    """
    return _sign(lines) is not None


def _sign(lines: Iterable[str]) -> str | None:
    lines = list(lines)
    fields = [field for line in lines for field in _fields(line)]
    if not any(len(_fields(line)) > 1 for line in lines) or any("\t" in line for line in lines):
        return None
    for sign in _SIGNS:
        if all(_has_label(field, sign) for field in fields):
            return sign
    return None


def _fields(line: str) -> list[str]:
    return [field for field in line.rstrip("\r\n").split(" ") if field]


def _has_label(field: str, sign: str) -> bool:
    word, found, label = field.rpartition(sign)
    return bool(word and found) and _LABEL.fullmatch(label) is not None


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One sentence per line with `|` before each label, the form that spaCy's `convert` reads."""
    for sentence in sentences:
        labels = sentence.labels or ("-",) * len(sentence)
        for word, label in zip(sentence.words, labels):
            check_writable(sentence, word, label, without=" \t\r\n|", where="in a line of words and labels")
        if sentence.words:
            yield " ".join(f"{word}|{label}" for word, label in zip(sentence.words, labels)) + "\n"


FORMAT = Format(
    "inline-tags",
    "sentences with a label after each word, one sentence per line",
    lambda seen: likely("each word in its first lines is followed by a label", looks_like_inline_tags(seen.lines)),
    open_inline_tags,
    write=write,
)
