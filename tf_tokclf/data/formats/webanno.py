"""WebAnno TSV 3, exported by WebAnno and INCEpTION: one token per line, and a column for each feature of each layer.

    #FORMAT=WebAnno TSV 3.3
    #T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value

    #Text=Marie Curie left
    1-1<TAB>0-5<TAB>Marie<TAB>*[1]<TAB>PER[1]<TAB>
    1-2<TAB>6-11<TAB>Curie<TAB>*[1]<TAB>PER[1]<TAB>
    1-3<TAB>12-16<TAB>left<TAB>_<TAB>_<TAB>

Cells of one annotation have the same number in brackets; an annotation of a single token needs none. `|` separates
annotations of one token, `_` means no annotation, and `*` is an annotation without a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Numbered, certain
from tf_tokclf.data.reading.annotated import Annotated, Annotation, WordSpan
from tf_tokclf.data.reading.base import Changes, FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.reading.guessing import WORDS_ALONE
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

_OPENING = "#FORMAT=WebAnno TSV 3"
_SPANS, _RELATIONS_AND_CHAINS = "#T_SP=", ("#T_RL=", "#T_CH=")
_N_TOKEN_COLUMNS = 3
# Layers with one value per token, by the end of their names. All other layers contain spans.
_OF_TOKENS = ("POS", "Lemma", "Stem", "MorphologicalFeatures", "SurfaceForm", "SofaChangeAnnotation")
_NUMBER = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)
_BETWEEN_ANNOTATIONS = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\(->|.)", re.DOTALL)
_TOKEN = re.compile(r"\d+-\d+(\.\d+)?\t\d+-\d+\t")
_PART_OF_WORD = "spans of parts of words extended to whole words"
_NO_VALUE = "spans without a value labelled with the name of their layer"


@dataclass(frozen=True)
class Feature:
    """A column of a file, which is a feature of a layer. number: index of the column."""

    layer: str
    name: str
    number: int

    @property
    def short_layer(self) -> str:
        """The layer's name without its package."""
        return self.layer.rpartition(".")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """The accepted names: layer and feature, or either of them."""
        return (f"{self.short_layer}.{self.name}", f"{self.layer}.{self.name}", self.short_layer, self.layer, self.name)


@dataclass(frozen=True)
class WebannoReader(FileReader):
    """Reads a WebAnno TSV 3 file. feature: the labels, or None for words only. n_columns: in each token line."""

    feature: Feature | None
    n_columns: int
    reading: TextReading

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        rows: list[list[str]] = []
        first, error = 0, None
        for number, line in enumerate(read_lines(self.path, self.options.encoding), 1):
            is_token = _TOKEN.match(line) is not None
            if is_token or not (line.isspace() or line.startswith("#")):
                first = first or number
                rows.append(line.rstrip("\r\n").split("\t"))
                error = error or self._fault(line, rows[-1], number, is_token)
            elif rows:
                yield from problems.readable(self._sentence(rows, Origin(str(self.path), first), error, problems))
                rows, first, error = [], 0, None
        if rows:
            yield from problems.readable(self._sentence(rows, Origin(str(self.path), first), error, problems))

    def _fault(self, line: str, cells: list[str], number: int, is_token: bool) -> UserError | None:
        if not is_token or len(cells) < self.n_columns:
            problem = f"{line.strip()[:60]!r} is not a token with {counted(self.n_columns, 'column')}."
            return UserError(problem, path=self.path, line=number, hint="Export the file from INCEpTION again.")
        return undecoded(line, self.path, number, self.options.encoding)

    def _sentence(
        self, rows: list[list[str]], origin: Origin, error: UserError | None, problems: Problems
    ) -> Iterator[Sentence | None]:
        if error:
            raise error
        yield self.reading.sentence(self._annotated(rows, origin, problems.counts), origin, problems)

    def _annotated(self, rows: list[list[str]], origin: Origin, changes: Changes) -> Annotated:
        words: list[str] = []
        cells: list[tuple[int, str]] = []
        for row in rows:
            is_part = "." in row[0]
            if not is_part:
                words.append(_ESCAPED.sub(r"\1", row[2]))
            cell = row[self.feature.number] if self.feature else "_"
            if is_part and cell != "_":
                changes.note(_PART_OF_WORD, origin)
            cells.append((max(len(words) - 1, 0), cell))
        if self.feature is None:
            return Annotated(words=tuple(words), is_labelled=False)
        if self.feature.short_layer in _OF_TOKENS:
            labels: list[str | None] = [None] * len(words)
            for at, cell in cells:
                labels[at] = labels[at] or next((value for _, value in _annotations(cell) if value), None)
            return Annotated(words=tuple(words), annotations=(Annotation(labels=labels),))
        spans = list(_spans(cells, self.feature, origin, changes))
        return Annotated(words=tuple(words), annotations=(Annotation(word_spans=spans),))


def _spans(cells: Sequence[tuple[int, str]], feature: Feature, origin: Origin, changes: Changes) -> Iterator[WordSpan]:
    """The spans in the cells of a column. cells: (word index, cell)."""
    numbered: dict[str, tuple[int, int, str]] = {}
    for at, cell in cells:
        for number, value in _annotations(cell):
            if not value:
                changes.note(_NO_VALUE, origin)
            type = value or feature.short_layer
            if not number:
                yield at, at + 1, type
            else:
                start = numbered[number][0] if number in numbered else at
                numbered[number] = (start, at + 1, type)
    yield from numbered.values()


def _annotations(cell: str) -> Iterator[tuple[str, str]]:
    """The annotations in a cell as (number, value). Both may be empty.

    >>> [list(_annotations(cell)) for cell in ("PER[1]|LOC[2]", "ORG", "_", "*[3]")]
    [[('1', 'PER'), ('2', 'LOC')], [('', 'ORG')], [], [('3', '')]]
    """
    for item in _BETWEEN_ANNOTATIONS.split(cell):
        found = _NUMBER.fullmatch(item)
        value, number = (found[1], found[2]) if found else (item, "")
        if value in ("", "_"):
            continue
        yield number, "" if value == "*" else _ESCAPED.sub(r"\1", value)


def open_webanno(path: Path, data: DataConfig, task: Task) -> WebannoReader:
    """A reader for a file; detects the column of labels."""
    head = takewhile(lambda line: line.isspace() or line.startswith("#"), read_lines(path, data.encoding))
    features, n_columns = _columns([line.rstrip("\r\n") for line in head])
    feature = None if data.label_column_name == "" else _chosen(features, data.label_column_name, task, path)
    of_tokens = feature is not None and feature.short_layer in _OF_TOKENS
    reading = TextReading.of(data.model_copy(update={"offset_end": "exclusive"}), has_outside=not of_tokens)
    options = data.model_copy(update={"format": "webanno", "label_column_name": feature.names[0] if feature else ""})
    note = f"labels in {feature.names[0]}" if feature else "no labels"
    return WebannoReader(path, options, (note,), feature, n_columns, reading)


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The features that have the same value for all words of a sentence, such as those of an annotated sentence."""
    head = takewhile(lambda line: line.isspace() or line.startswith("#"), read_lines(path, data.encoding))
    features, _ = _columns([line.rstrip("\r\n") for line in head])
    lines = enumerate(read_lines(path, data.encoding), 1)
    for is_token, group in groupby(lines, lambda numbered: _TOKEN.match(numbered[1]) is not None):
        if is_token:
            block = list(group)
            rows = [line.rstrip("\r\n").split("\t") for _, line in block]
            yield (
                block[0][0],
                {name: value for one in features if (value := _constant(one, rows)) for name in one.names},
            )


def _constant(feature: Feature, rows: Sequence[Sequence[str]]) -> str | None:
    """The value of a feature if it is the same for all words, or None."""
    values = {
        tuple(value for _, value in _annotations(row[feature.number])) for row in rows if len(row) > feature.number
    }
    found = values.pop() if len(values) == 1 else ()
    return found[0] if len(found) == 1 else None


def _columns(head: Sequence[str]) -> tuple[list[Feature], int]:
    """The features of span layers in the head of a file, and the number of columns."""
    features, n = [], _N_TOKEN_COLUMNS
    for line in head:
        if line.startswith((_SPANS, *_RELATIONS_AND_CHAINS)):
            layer, *names = line.partition("=")[2].split("|")
            for name in names or [""]:
                if line.startswith(_SPANS):
                    features.append(Feature(layer, name, n))
                n += 1
    return features, n


def _chosen(features: Sequence[Feature], named: str | int | None, task: Task, path: Path) -> Feature:
    """The feature that is named, or that fits the task. Raises UserError if there is none, or more than one."""
    there = ", ".join(feature.names[0] for feature in features) or "none"
    hint = f"Name one with --label-column-name (available: {there}). {WORDS_ALONE}"
    if named is not None:
        fitting = [one for one in features if named in one.names or named == one.number]
        if not fitting:
            raise UserError(f"there is no layer or feature {named!r}.", path=path, hint=hint)
    elif task is Task.POS:
        fitting = [one for one in features if one.short_layer == "POS"]
    else:
        spans = [one for one in features if one.short_layer not in _OF_TOKENS]
        fitting = [one for one in spans if one.short_layer == "NamedEntity"] or spans
    usual = [one for one in fitting if one.name in ("value", "PosValue")] or fitting
    if len(usual) != 1:
        what = "several features may contain the labels" if usual else "no layer contains labels for this task"
        raise UserError(f"{what}.", path=path, hint=hint)
    return usual[0]


FORMAT = Format(
    "webanno",
    "WebAnno TSV 3 of WebAnno and INCEpTION: tokens with one column per feature",
    lambda seen: certain("its first line is #FORMAT=WebAnno TSV 3", "".join(seen.lines[:1]).startswith(_OPENING)),
    open_webanno,
    columns=column_values,
)
