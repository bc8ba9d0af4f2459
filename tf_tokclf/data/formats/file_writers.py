"""Formats that are a folder, or a file that is no text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tf_tokclf.data.arrow import batches_of
from tf_tokclf.data.formats.docbin import spacy_module
from tf_tokclf.data.formats.parallel import LABELS_FILE, WORDS_FILE
from tf_tokclf.data.formats.text_writers import error_at
from tf_tokclf.data.formats.writing import Writing
from tf_tokclf.labels.char_spans import char_spans, in_unit
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, text_of


def write_parallel(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """A folder with a sentence a line: words in seq.in, labels in seq.out."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / WORDS_FILE).open("w", encoding="utf-8", newline="") as words_file,
        (folder / LABELS_FILE).open("w", encoding="utf-8", newline="") as labels_file,
    ):
        for sentence in sentences:
            broken = next((word for word in sentence.words if set(word) & set(" \t\r\n")), None)
            if broken is not None or sentence.labels is None:
                problem = f"the word {broken!r} has a blank in it." if broken else "it has no labels."
                raise error_at(sentence, problem, "Choose jsonl, which holds any word, labelled or not.")
            words_file.write(" ".join(sentence.words) + "\n")
            labels_file.write(" ".join(writing.written_labels(sentence)) + "\n")


def write_brat(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """A folder with NAME.txt and NAME.ann for each document; every sentence ends a line."""
    folder.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    for document, members in groupby(sentences, key=lambda sentence: sentence.document):
        name = (document or "text").replace("/", "_")
        while name in names:
            name += "+"
        names.add(name)
        _write_brat_document(members, folder / name, writing)


def _write_brat_document(sentences: Iterator[Sentence], path: Path, writing: Writing) -> None:
    at, number = 0, 0
    with (
        path.with_name(f"{path.name}.txt").open("w", encoding="utf-8", newline="") as text_file,
        path.with_name(f"{path.name}.ann").open("w", encoding="utf-8", newline="") as spans_file,
    ):
        for sentence in sentences:
            text, offsets = text_of(sentence)
            text += "" if text.endswith("\n") else "\n"
            text_file.write(text)
            for span in char_spans(writing.spans(sentence), text, offsets):
                number += 1
                start, end = (at + in_unit(place, text, writing.offset_unit) for place in (span.start, span.end))
                surface = " ".join((span.surface or "").splitlines())
                spans_file.write(f"T{number}\t{span.type} {start} {end}\t{surface}\n")
            at += in_unit(len(text), text, writing.offset_unit)


def write_parquet(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    """A Parquet file with tokens and label ids, whose names stand in its schema as `datasets` writes them."""
    import pyarrow.parquet as pq

    schema = _table_schema(writing)
    with pq.ParquetWriter(path, schema) as writer:
        for batch in _table_batches(sentences, schema, writing):
            writer.write_batch(batch)


def write_dataset(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """A folder as `save_to_disk` writes it, with a ClassLabel for the labels."""
    import datasets

    schema = _table_schema(writing)
    shown = datasets.utils.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            arrow = Path(scratch) / "data.arrow"
            with arrow.open("wb") as file, pa.ipc.new_stream(file, schema) as writer:
                for batch in _table_batches(sentences, schema, writing):
                    writer.write_batch(batch)
            datasets.Dataset.from_file(str(arrow)).save_to_disk(str(folder))
    finally:
        if shown:
            datasets.enable_progress_bars()


def write_docbin(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    """spaCy's DocBin, a document a sentence; labels without a scheme become tags."""
    spacy = spacy_module()
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as DocSpan

    vocab = spacy.blank("xx").vocab
    bin = DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE", "TAG", "POS"])
    for sentence in sentences:
        _, offsets = text_of(sentence)
        followed = [end < start for (_, end), (start, _) in pairwise(offsets)]
        tags = list(sentence.labels or ()) if writing.scheme is Scheme.NONE else None
        doc = Doc(vocab, words=list(sentence.words), spaces=[*followed, False][: len(offsets)], tags=tags)
        if tags is None:
            doc.ents = [DocSpan(doc, span.start, span.end, span.type) for span in writing.spans(sentence)]
        bin.add(doc)
    bin.to_disk(path)


def _table_schema(writing: Writing) -> pa.Schema:
    import datasets

    features: dict[str, Any] = {"tokens": datasets.Sequence(datasets.Value("string"))}
    if writing.scheme is not None:
        features[writing.label_column] = datasets.Sequence(datasets.ClassLabel(names=list(writing.label_names)))
    return datasets.Features(features).arrow_schema


def _table_batches(sentences: Iterable[Sentence], schema: pa.Schema, writing: Writing) -> Iterator[pa.RecordBatch]:
    names = pa.array(writing.label_names, pa.string())
    for batch in batches_of(sentences):
        arrays = [batch.column("words")]
        if writing.scheme is not None:
            labels = batch.column("labels")
            ids = pc.index_in(labels.values, names).cast(pa.int64())
            ids = pc.if_else(pa.array(_is_labelled(batch)), ids, None)
            arrays.append(pa.ListArray.from_arrays(labels.offsets, ids))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_labelled(batch: pa.RecordBatch) -> np.ndarray:
    """(words,) whether each word of a batch has a label."""
    labelled = np.ones(len(batch.column("labels").values), bool)
    for start, positions in zip(batch.column("labels").offsets.to_pylist(), batch.column("unlabelled").to_pylist()):
        if positions:
            labelled[start + np.array(positions)] = False
    return labelled
