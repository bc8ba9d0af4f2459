"""DyGIE: documents of sentences, with spans for each sentence. Word numbers count from the start of the document, and
ends are inclusive.

    {"doc_key": "d1", "sentences": [["Marie", "left"], ["Tom", "too"]], "ner": [[[0, 0, "PER"]], [[2, 2, "PER"]]]}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from tf_tokclf.counted import counted
from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.word_records import is_words, triples, words_in
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Origin, Sentence


def _fits(record: Record) -> bool:
    sentences, ner = record.get("sentences"), record.get("ner")
    if not isinstance(sentences, list) or not sentences or not all(map(is_words, sentences)):
        return False
    return ner is None or (isinstance(ner, list) and all(isinstance(spans, list) for spans in ner))


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    sentences = record.get(fields.word) or []
    ner = record.get(fields.label) if fields.label is not None else None
    if not isinstance(sentences, list) or not isinstance(ner, (list, type(None))):
        raise origin.error("the sentences or spans are not lists.", "Check the program that wrote it.")
    if ner is not None and len(ner) != len(sentences):
        problem = f"there are {counted(len(sentences), 'sentence')}, but {counted(len(ner), 'list')} of spans."
        raise origin.error(problem, "Each sentence needs a list of spans, which may be empty.")
    document = next((str(record[name]) for name in ("doc_key", "document", "id") if record.get(name)), None)
    first = 0
    for number, sentence in enumerate(sentences):
        words = words_in(sentence, origin)
        spans = [] if ner is None else [(a - first, b - first, type) for a, b, type in triples(ner[number], origin)]
        first += len(words)
        annotations = () if ner is None else (Annotation(word_spans=spans),)
        yield Annotated(words=words, annotations=annotations, document=document, is_labelled=fields.label is not None)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One document per line. A sentence without a document becomes a document."""
    numbered = enumerate(sentences, 1)
    for key, members in groupby(numbered, key=lambda item: item[1].document or f"sentence {item[0]}"):
        words, ner, first = [], [], 0
        for _, sentence in members:
            words.append(sentence.words)
            spans = writing.spans(sentence)
            ner.append([[first + span.start, first + span.end - 1, span.type] for span in spans])
            first += len(sentence)
        yield json_line({"doc_key": key, "sentences": words, "ner": ner})


FORMAT = JsonFormat(
    "dygie",
    _fits,
    _read,
    in_fields("sentences", "ner"),
    inclusive_end=True,
    has_words=True,
    holds_several=True,
    description="DyGIE: documents of sentences with spans of words",
    write=write,
)
