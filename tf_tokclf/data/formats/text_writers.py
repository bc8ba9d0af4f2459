"""Formats that are a stream of text: each writer yields pieces of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tf_tokclf.data.formats.annotated_texts import annotated
from tf_tokclf.data.formats.writing import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import in_unit
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, text_of


def conll_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """A word and its label a line, an empty line after each sentence, -DOCSTART- before each document."""
    separator = writing.separator
    before: str | None = None
    for sentence in sentences:
        if sentence.document is not None and sentence.document != before:
            before = sentence.document
            yield f"-DOCSTART-{separator}O\n\n" if sentence.labels else "-DOCSTART-\n\n"
        labels = writing.written_labels(sentence)
        for i, word in enumerate(sentence.words):
            fields = [word] if sentence.labels is None else [word, labels[i]]
            line = separator.join(fields)
            if separator in word or "\n" in line or "\r" in line or line.isspace():
                hint = "Choose jsonl, which holds any word."
                raise error_at(sentence, f"the word {word!r} cannot stand in columns.", hint)
            yield line + "\n"
        if sentence.words:
            yield "\n"


def conllu_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """CoNLL-U with labels in UPOS when they have no scheme, else as NER=... in MISC."""
    in_upos = writing.scheme is Scheme.NONE
    before: str | None = None
    for sentence in sentences:
        if not sentence.words:
            continue
        if sentence.document is not None and sentence.document != before:
            before = sentence.document
            yield f"# newdoc id = {before}\n"
        text, offsets = text_of(sentence)
        yield f"# text = {' '.join(text.splitlines())}\n"
        for i, word in enumerate(sentence.words):
            label = sentence.labels[i] if sentence.labels else "_"
            if set(word + label) & set("\t\n\r") or (not in_upos and "|" in label):
                raise error_at(sentence, f"{word!r} with {label!r} cannot stand in CoNLL-U.", "Choose jsonl.")
            misc = [] if in_upos or sentence.labels is None else [f"NER={label}"]
            if i + 1 < len(offsets) and offsets[i][1] == offsets[i + 1][0]:
                misc.append("SpaceAfter=No")
            fields = [
                str(i + 1),
                word,
                "_",
                label if in_upos else "_",
                "_",
                "_",
                "_",
                "_",
                "_",
                "|".join(misc) or "_",
            ]
            yield "\t".join(fields) + "\n"
        yield "\n"


def json_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """A record a line: tokens, and a list of labels named after the task."""
    for sentence in sentences:
        record: dict[str, Any] = {"tokens": sentence.words}
        if sentence.labels is not None:
            record[writing.label_column] = writing.labels(sentence)
        if sentence.document is not None:
            record["document"] = sentence.document
        yield _json(record)


def csv_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """A word a row, with the number of its sentence."""
    yield _csv_row(["sentence_id", "word", *_label_column(writing)])
    for number, sentence in enumerate(sentences, 1):
        for fields in zip(sentence.words, writing.written_labels(sentence)) if sentence.labels else zip(sentence.words):
            yield _csv_row([number, *fields])


def csv_list_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """A sentence a row, its words and labels as JSON lists."""
    yield _csv_row(["tokens", *_label_column(writing)])
    for sentence in sentences:
        lists = [sentence.words] if sentence.labels is None else [sentence.words, writing.labels(sentence)]
        yield _csv_row([json.dumps(values, ensure_ascii=False) for values in lists])


def text_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """The text alone, a sentence a line."""
    for sentence in sentences:
        yield " ".join(text_of(sentence)[0].splitlines()) + "\n"


def spacy_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """spaCy's records: text, entities as [start, end, type]."""
    for text, spans, _ in annotated(sentences, writing):
        yield _json({"text": text, "entities": [[s.start, s.end, s.type] for s in spans], **_unit(writing)})


def doccano_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """doccano's records: text, label as [start, end, type]."""
    for text, spans, _ in annotated(sentences, writing):
        yield _json({"text": text, "label": [[s.start, s.end, s.type] for s in spans], **_unit(writing)})


def prodigy_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """Prodigy's records: text, tokens with their places, spans."""
    for text, spans, sentence in annotated(sentences, writing):
        whole, offsets = text_of(sentence)
        unit = writing.offset_unit
        tokens = [
            {"text": word, "start": in_unit(start, whole, unit), "end": in_unit(end, whole, unit), "id": i}
            for i, (word, (start, end)) in enumerate(zip(sentence.words, offsets))
        ]
        marked = [
            {"start": s.start, "end": s.end, "token_start": w.start, "token_end": w.end - 1, "label": s.type}
            for s, w in zip(spans, writing.spans(sentence))
        ]
        yield _json({"text": text, "tokens": tokens, "spans": marked, "answer": "accept", **_unit(writing)})


def dataturks_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """DataTurks' records, whose ends are inclusive."""
    for text, spans, _ in annotated(sentences, writing):
        marked = [
            {"label": [s.type], "points": [{"start": s.start, "end": s.end - 1, "text": s.surface}]} for s in spans
        ]
        yield _json({"content": text, "annotation": marked, "extras": None, **_unit(writing)})


def label_studio_lines(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """Label Studio's export: one JSON list of tasks."""
    opening = "[\n"
    for text, spans, _ in annotated(sentences, writing):
        result = [
            {
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
                "value": {"start": s.start, "end": s.end, "text": s.surface, "labels": [s.type]},
            }
            for s in spans
        ]
        meta = {"meta": unit} if (unit := _unit(writing)) else {}
        yield opening + _json({"data": {"text": text}, "annotations": [{"result": result}], **meta}).rstrip("\n")
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _unit(writing: Writing) -> dict[str, str]:
    """What offsets count, for records that do not count code points: without it nobody could tell."""
    return {} if writing.offset_unit == "codepoint" else {"offset_unit": writing.offset_unit}


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _label_column(writing: Writing) -> list[str]:
    return [] if writing.scheme is None else [writing.label_column]


def _csv_row(fields: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(fields)
    return buffer.getvalue()


def error_at(sentence: Sentence, problem: str, hint: str | None) -> UserError:
    """The error to raise about a sentence that cannot be converted or written."""
    return sentence.origin.error(problem, hint) if sentence.origin else UserError(problem, hint=hint)
