"""Unlabelled or labelled input in, predictions out as a stream: spans with scores, words and character offsets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.sentence import Sentence
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.inference.tagger import TaggedSentence, Tagger
from tf_tokclf.run_dir import open_whole


def predict(tagger: Tagger, source: str, data: DataConfig) -> Iterator[TaggedSentence]:
    """Label every sentence of a file, or of stdin where `source` is "-", in order."""
    data = data.model_copy(update={"word_splitting": tagger.info.word_splitting})
    yield from tagger.tag(read_sentences(source, data))


def span_records(tagged: TaggedSentence) -> list[dict[str, Any]]:
    """A record per predicted span: type, score, text, words [first_word, end_word) and, where the source had a text,
    characters [start, end) of it. A score is the smallest probability among the labels of the span's words."""
    sentence = tagged.sentence
    records = []
    for span in tagged.spans:
        score = tagged.span_score(span)
        record: dict[str, Any] = {
            "type": span.type,
            "score": round(score, 6) if score == score else None,
            "first_word": span.start,
            "end_word": span.end,
        }
        if sentence.text is not None and sentence.offsets is not None:
            start, end = sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]
            record |= {"start": start, "end": end, "text": sentence.text[start:end]}
        else:
            record["text"] = " ".join(sentence.words[span.start : span.end])
        records.append(record)
    return records


def json_line(tagged: TaggedSentence) -> str:
    """One sentence as a JSON line: its text or words, labels, scores and spans."""
    sentence = tagged.sentence
    line: dict[str, Any] = {} if sentence.text is None else {"text": sentence.text}
    line["words"] = sentence.words
    line["labels"] = tagged.labels
    line["scores"] = [round(score, 6) if score == score else None for score in tagged.scores]
    line["spans"] = span_records(tagged)
    return json.dumps(line, ensure_ascii=False) + "\n"


def conll_block(tagged: TaggedSentence) -> str:
    """One sentence as CoNLL columns, a word and its predicted label a line, a blank line at the end."""
    return "".join(f"{word}\t{label}\n" for word, label in zip(tagged.sentence.words, tagged.labels)) + "\n"


WRITERS: dict[str, Callable[[TaggedSentence], str]] = {"jsonl": json_line, "conll": conll_block}


def write_predictions(
    predictions: Iterable[TaggedSentence], output: Path | None, *, output_format: str
) -> int:
    """Write predictions to a file, whole or not at all, or to stdout as they come. Returns how many sentences."""
    write = WRITERS[output_format]
    n_sentences = 0
    with ExitStack() as stack:
        file: IO[str] = sys.stdout if output is None else stack.enter_context(open_whole(output))
        for tagged in predictions:
            file.write(write(tagged))
            n_sentences += 1
    return n_sentences


def sentence_of(text: str, rule: str) -> Sentence:
    """A text as a sentence of words with their places in it."""
    from tf_tokclf.data.word_splitting import split_words

    offsets = split_words(text, rule)
    return Sentence(tuple(text[start:end] for start, end in offsets), text=text, offsets=offsets)
