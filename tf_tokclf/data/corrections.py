"""Corrections of labelled data: a JSON line for each span to change, which people accept or reject.

{"decision": "accept", "file": "train.conll", "hash": "9f0c...", "sentences": 2000, "sentence": 12,
 "before": {"start": 3, "end": 4, "type": "PER", "text": "Paris"},
 "after": {"start": 3, "end": 4, "type": "LOC", "text": "Paris"}}

`sentence` counts from 1. `start` and `end` count words from 0, and `end` is the index after the last word. `before` is
null for a span to add, and `after` for a span to remove. `hash` is a hash of the words of the first `sentences`
sentences, and not of their labels, so that several files of corrections can be applied one after the other. Other
fields are ignored, and so are lines whose decision is not "accept".
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.data.reading.base import read_lines
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.labels.spans import labels_of, spans_of
from tf_tokclf.labels.validation import violations

ACCEPT, REJECT = "accept", "reject"
_HINT = "Make the corrections again with tf-tokclf label-issues."


@dataclass(frozen=True)
class DataIdentity:
    """The data that corrections were made for. file: its name, for messages. words_hash: of the words of its first
    `n_sentences` sentences.
    """

    file: str
    words_hash: str
    n_sentences: int

    @classmethod
    def of(cls, place: str, sentences: Sequence[Sentence]) -> DataIdentity:
        """The identity of all the sentences in `place`."""
        return cls(Path(place).name, words_hash(sentences), len(sentences))

    def to_json(self) -> dict[str, Any]:
        """The fields of each correction."""
        return {"file": self.file, "hash": self.words_hash, "sentences": self.n_sentences}


@dataclass(frozen=True)
class Correction:
    """A span to replace, remove (`after` is None) or add (`before` is None). sentence: its number from 1. line: where
    the correction is in its file.
    """

    sentence: int
    before: Span | None
    after: Span | None
    line: int = 0


@dataclass(frozen=True)
class Corrections:
    """The accepted corrections of a file, by sentence (from 1). n_others: the number of its other lines."""

    path: Path
    data: DataIdentity
    by_sentence: Mapping[int, Sequence[Correction]]
    n_others: int

    @property
    def n_accepted(self) -> int:
        """The number of corrections."""
        return sum(map(len, self.by_sentence.values()))

    @property
    def summary(self) -> str:
        """What is applied, for the log."""
        others = f" ({counted(self.n_others, 'other line')} without effect)" if self.n_others else ""
        return f"{counted(self.n_accepted, 'correction')} applied{others}"

    def error(self, correction: Correction, problem: str, hint: str = _HINT) -> UserError:
        """A `UserError` at the line of a correction."""
        return UserError(problem, path=self.path, line=correction.line, hint=hint)


def span_json(span: Span | None, words: Sequence[str]) -> dict[str, Any] | None:
    """A span of a sentence for a correction."""
    if span is None:
        return None
    text = " ".join(words[span.start : span.end])
    return {"start": span.start, "end": span.end, "type": span.type, "text": text}


def words_hash(sentences: Iterable[Sentence]) -> str:
    """A hash of the words of sentences, in hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for sentence in sentences:
        digest.update(len(sentence.words).to_bytes(4, "big"))
        for word in sentence.words:
            spelled = word.encode("utf-8", "surrogatepass")
            digest.update(len(spelled).to_bytes(4, "big") + spelled)
    return digest.hexdigest()


def read_corrections(path: Path, sentences: Iterable[Sentence]) -> Corrections:
    """The accepted corrections in `path`, which must have been made for these sentences.

    Raises UserError if a line is no correction, if they belong to other data or do not fit the words, or if there are
    none.
    """
    accepted: defaultdict[int, list[tuple[Correction, Mapping[str, Any]]]] = defaultdict(list)
    identities: dict[DataIdentity, int] = {}
    n_others = 0
    for number, line in enumerate(read_lines(path, "utf-8"), 1):
        if line.isspace():
            continue
        record = _record(line, path, number)
        if record.get("decision") != ACCEPT:
            n_others += 1
            continue
        identities.setdefault(_identity(record, path, number), number)
        found = _correction(record, path, number)
        accepted[found.sentence].append((found, record))
    if not identities:
        hint = 'Accept some on the page, or set "decision": "accept" in lines of issues.jsonl.'
        raise UserError("contains no accepted corrections.", path=path, hint=hint)
    identity, *others = identities
    if others:
        problem = f"is for other data than line {identities[identity]}."
        hint = "Apply the corrections of each file by themselves."
        raise UserError(problem, path=path, line=identities[others[0]], hint=hint)
    by_sentence = {number: [one for one, _ in found] for number, found in sorted(accepted.items())}
    corrections = Corrections(path, identity, by_sentence, n_others)
    _check_words(corrections, accepted, list(islice(sentences, identity.n_sentences)))
    return corrections


def corrected(sentences: Iterable[Sentence], corrections: Corrections, scheme: Scheme) -> Iterator[Sentence]:
    """The sentences with the corrections applied. All other labels stay as they are.

    Raises UserError if a span to change is not there, or if a new span overlaps one that stays.
    """
    for number, sentence in enumerate(sentences, 1):
        found = corrections.by_sentence.get(number)
        yield _corrected(sentence, found, corrections, scheme) if found else sentence


def _record(line: str, path: Path, number: int) -> Mapping[str, Any]:
    try:
        record = parse_json(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise UserError("is not a JSON object.", path=path, line=number, hint=_HINT)
    return record


def _identity(record: Mapping[str, Any], path: Path, number: int) -> DataIdentity:
    file, digest, n = (record.get(name) for name in ("file", "hash", "sentences"))
    if not (isinstance(file, str) and isinstance(digest, str) and _is_count(n, 1)):
        problem = "does not say for which data it was made (the fields file, hash and sentences)."
        raise UserError(problem, path=path, line=number, hint=_HINT)
    assert isinstance(n, int), "checked above"
    return DataIdentity(file, digest, n)


def _correction(record: Mapping[str, Any], path: Path, number: int) -> Correction:
    sentence = record.get("sentence")
    try:
        if not _is_count(sentence, 1):
            raise ValueError
        before, after = _span(record["before"]), _span(record["after"])
    except (LookupError, TypeError, ValueError):
        problem = "is not a correction: it needs a sentence, and the spans before and after."
        raise UserError(problem, path=path, line=number, hint=_HINT) from None
    if before == after:
        raise UserError("changes nothing: before and after are the same.", path=path, line=number, hint=_HINT)
    assert isinstance(sentence, int), "checked above"
    return Correction(sentence, before, after, number)


def _span(values: Any) -> Span | None:
    """Raises LookupError, TypeError or ValueError for anything but a span or None."""
    if values is None:
        return None
    if not (_is_count(values["start"], 0) and _is_count(values["end"], 1) and isinstance(values["type"], str)):
        raise TypeError
    return Span(values["start"], values["end"], values["type"])


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_words(
    corrections: Corrections,
    accepted: Mapping[int, Sequence[tuple[Correction, Mapping[str, Any]]]],
    sentences: Sequence[Sentence],
) -> None:
    """Raise UserError if the corrections were made for other sentences, or if a span has other words."""
    made_for = corrections.data
    if len(sentences) < made_for.n_sentences or words_hash(sentences) != made_for.words_hash:
        problem = f"was made for other data: {counted(made_for.n_sentences, 'sentence')} of {made_for.file}."
        hint = "Name that file, and read it with the same options as label-issues did."
        raise UserError(problem, path=corrections.path, hint=hint)
    for number, found in accepted.items():
        for correction, record in found:
            if number > len(sentences):
                problem = f"there is no sentence {number}: the data has {counted(len(sentences), 'sentence')}."
                raise corrections.error(correction, problem)
            words = sentences[number - 1].words
            for name, span in (("before", correction.before), ("after", correction.after)):
                if span and (span.end > len(words) or record[name].get("text") != span_json(span, words)["text"]):  # type: ignore[index]
                    problem = f"the span {name} does not fit the text of sentence {number}."
                    raise corrections.error(correction, problem)


def _corrected(sentence: Sentence, found: Sequence[Correction], corrections: Corrections, scheme: Scheme) -> Sentence:
    labels = list(sentence.labels or ())
    if scheme is Scheme.NONE:
        return _with_word_labels(sentence, labels, found, corrections)
    spans = set(spans_of(labels, scheme))
    for correction in found:
        if correction.before is not None:
            if correction.before not in spans:
                raise _not_there(correction, corrections)
            spans.remove(correction.before)
    for correction in found:
        if (new := correction.after) is None:
            continue
        if other := next((span for span in spans if span.start < new.end and new.start < span.end), None):
            kept = f"{other.type} (words {other.start + 1} to {other.end})"
            problem = f"the span after overlaps the span {kept} of sentence {correction.sentence}."
            raise corrections.error(correction, problem, "Also accept a correction that removes the other span.")
        spans.add(new)
    changed = {
        word for one in found for span in (one.before, one.after) if span for word in range(span.start, span.end)
    }
    new_labels = _relabelled(labels, spans, changed, scheme)
    kept_missing = tuple(word for word in sentence.unlabelled if word not in changed)
    return replace(sentence, labels=tuple(new_labels), unlabelled=kept_missing)


def _relabelled(labels: Sequence[str], spans: Iterable[Span], changed: set[int], scheme: Scheme) -> list[str]:
    """Labels for `spans`. If the old labels break the rules of the scheme, words outside `changed` keep theirs."""
    spans = sorted(spans)
    encoded = labels_of(spans, len(labels), scheme)
    if not violations(labels, scheme):
        return encoded
    mixed = [encoded[word] if word in changed else label for word, label in enumerate(labels)]
    return mixed if spans_of(mixed, scheme) == spans else encoded


def _with_word_labels(
    sentence: Sentence, labels: list[str], found: Sequence[Correction], corrections: Corrections
) -> Sentence:
    """For labels that form no spans: a correction changes the label of one word."""
    for correction in found:
        before, after = correction.before, correction.after
        if (
            before is None
            or after is None
            or after.length != 1
            or (before.start, before.end) != (after.start, after.end)
        ):
            problem = "the labels form no spans, so a correction must change the label of one word."
            raise corrections.error(correction, problem)
        if labels[before.start] != before.type:
            raise _not_there(correction, corrections)
        labels[before.start] = after.type
    return replace(sentence, labels=tuple(labels))


def _not_there(correction: Correction, corrections: Corrections) -> UserError:
    problem = f"the span before is not in sentence {correction.sentence}."
    return corrections.error(correction, problem, "The labels have changed since. " + _HINT)
