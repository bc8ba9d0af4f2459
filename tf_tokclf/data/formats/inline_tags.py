"""A sentence a line, with the label behind each word.

    The/DT cat/NN sat/VBD ./.
    Marie|NNP|B-PER lives|VBZ|O

With two labels the last one is read, and with `--task pos` the first one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
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
# A label behind a word: capital letters and what stands between them, or a punctuation mark that is its own label.
_LABEL = re.compile(r"[A-Z][A-Z0-9$]*(?:[-_+:.&][A-Za-z0-9$]+)*|[bi]-[a-z_.-]+|[OX0]|[^\w\s]{1,2}|-[A-Z]{3}-")


@dataclass(frozen=True)
class InlineTagsReader(LineReader):
    """A file of such lines. which: the number of the label behind a word that is read, or None for words alone."""

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
                problem = f"{field[:60]!r} is not a word followed by {self.n_labels} times {self.sign!r} and a label."
                raise origin.error(problem, "Correct it, or name the format.")
            words.append(word)
            labels.append(behind[self.which or 0])
        return Annotated(
            words=tuple(words), annotations=(Annotation(labels=labels),), is_labelled=self.which is not None
        )


def open_inline_tags(path: Path, data: DataConfig, task: Task) -> InlineTagsReader:
    """Find out what stands between word and label, and how many labels there are."""
    lines = [line for _, line in zip(range(200), (ln for ln in read_lines(path, data.encoding) if not ln.isspace()))]
    if not lines:
        raise UserError("contains no words.", path=path, hint="One sentence per line was expected.")
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
    labels = "no labels" if which is None else f"labels behind {sign!r}"
    return InlineTagsReader(path, options, (f"a sentence a line, {labels}",), reading, sign, which, n_labels)


def looks_like_inline_tags(lines: list[str]) -> bool:
    """Whether each word of a file's first lines has a label behind it.

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
    """A sentence a line, `|` before each label, as spaCy's `convert` reads it."""
    for sentence in sentences:
        labels = sentence.labels or ("-",) * len(sentence)
        for word, label in zip(sentence.words, labels):
            check_writable(sentence, word, label, without=" \t\r\n|", where="in a line of words and labels")
        if sentence.words:
            yield " ".join(f"{word}|{label}" for word, label in zip(sentence.words, labels)) + "\n"


FORMAT = Format(
    "inline-tags",
    "sentences with a label behind each word, a sentence a line",
    lambda seen: likely("each word in its first lines has a label behind it", looks_like_inline_tags(seen.lines)),
    open_inline_tags,
    write=write,
)
