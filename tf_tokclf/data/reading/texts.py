"""Convert texts or words with annotations to sentences: split texts into words, and derive labels from spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.data.reading.annotated import Annotated, Annotation, SpanReader, WordSpan
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.reading.missing import MissingLabels
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan, SpanRules, in_codepoints
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Origin, Sentence, Span, text_of
from tf_tokclf.labels.spans import labels_of
from tf_tokclf.labels.word_splitting import split_words


def given_scheme(data: DataConfig) -> Scheme | None:
    """The label scheme set by the options, or None if it is to be detected."""
    if data.scheme == "auto":
        return None
    try:
        return Scheme(data.scheme)
    except ValueError as error:
        known = ", ".join(scheme.value for scheme in Scheme)
        problem = f"there is no label scheme {data.scheme!r}."
        raise UserError(problem, hint=f"Label schemes: auto, {known}.") from error


@dataclass(frozen=True)
class TextReading:
    """How texts are split into words, and how annotations become labels.

    missing: how records without annotation and words without a label are read. choice: which of several annotations is
    used. label_names: names by label id.
    """

    rules: SpanRules
    splitting: str
    scheme: Scheme
    missing: MissingLabels
    choice: str = "first"
    label_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, data: DataConfig, *, inclusive_end: bool = False, has_outside: bool = True) -> TextReading:
        """From the options. inclusive_end: default of the format. has_outside: whether the labels include O."""
        if isinstance(data.layer, str):
            raise UserError(f"there is no layer {data.layer!r}.", hint="Layers are numbered from 0 (outermost).")
        if data.layer is not None and data.layer < 0:
            raise UserError(f"there is no layer {data.layer}.", hint="Layers are numbered from 0 (outermost).")
        inclusive = inclusive_end if data.offset_end is None else data.offset_end == "inclusive"
        rules = SpanRules(data.span_policy, data.layer, data.offset_unit, inclusive, data.on_error == "skip")
        asked = given_scheme(data)
        return cls(
            rules,
            data.word_splitting,
            Scheme.IOB2 if asked in (None, Scheme.NONE) else asked,
            MissingLabels.of(data, has_outside=has_outside),
            str(data.annotations),
            data.label_names,
        )

    def in_unit(self, unit: str | None) -> TextReading:
        """The same rules with another unit of offsets, or unchanged if `unit` is None."""
        return self if unit in (None, self.rules.unit) else replace(self, rules=replace(self.rules, unit=unit))

    def note(self, *, has_spans: bool = True) -> str:
        """One line about word splitting and, if there are spans, the label scheme."""
        spans = f", spans converted to {self.scheme.value}" if has_spans else ""
        return f"texts split into words by rule {self.splitting!r}{spans}"

    def reader(self, origin: Origin, problems: Problems) -> SpanReader:
        """The reader of a record's spans."""
        return SpanReader(origin, problems.counts, self.rules.skip, self.label_names)

    def sentences(self, found: Iterable[Annotated], origin: Origin, problems: Problems) -> Iterator[Sentence]:
        """The sentences of annotated texts or words, without those that are left out."""
        for annotated in found:
            if (sentence := self.sentence(annotated, origin, problems)) is not None:
                yield sentence

    def sentence(self, found: Annotated, origin: Origin, problems: Problems) -> Sentence | None:
        """The sentence, or None if the record is left out. The reason is counted in `problems`."""
        bare = self._words(found, origin)
        if not found.is_labelled:
            return bare
        annotations = self._chosen(found, bare, origin, problems)
        if annotations is None:
            return None
        labels = self._labels(annotations[0], bare, origin, problems) if annotations else None
        if labels is not None and len(labels) != len(bare):
            problem = f"{counted(len(bare), 'word')}, but {counted(len(labels), 'label')}."
            raise origin.error(problem, "Each word needs exactly one label.")
        return self.missing.labelled(bare, labels, origin, problems.counts)

    def _words(self, found: Annotated, origin: Origin) -> Sentence:
        if found.text is None:
            return Sentence(found.words or (), None, origin, document=found.document)
        if found.tokens is None:
            offsets = tuple(split_words(found.text, self.splitting))
        else:
            offsets = self._offsets(found.tokens, found.text, origin)
        words = tuple(found.text[start:end] for start, end in offsets)
        return Sentence(words, None, origin, text=found.text, offsets=offsets, document=found.document)

    def _offsets(self, tokens: Sequence[CharSpan], text: str, origin: Origin) -> tuple[tuple[int, int], ...]:
        """Offsets of the source's own words, without words of white space."""
        unit, inclusive = self.rules.unit, self.rules.inclusive_end
        places = in_codepoints(tokens, text, unit=unit, inclusive_end=inclusive, origin=origin)
        for token in places:
            there = text[token.start : token.end]
            if token.surface not in (None, there):
                problem = f"the token from {token.start} to {token.end} is {there!r}, not {token.surface!r}."
                raise origin.error(problem, "Correct the field 'tokens', or remove it.")
        return tuple((token.start, token.end) for token in places if not text[token.start : token.end].isspace())

    def _chosen(
        self, found: Annotated, bare: Sentence, origin: Origin, problems: Problems
    ) -> tuple[Annotation, ...] | None:
        """The annotations, beginning with the one to use. Empty if there are none; None if it is left out."""
        annotations, changes = found.annotations, problems.counts
        if len(annotations) > 1:
            labelled = self._compared(annotations, bare, origin, problems)
            if self.choice == "agreed":
                if any(labels is None or labels != labelled[0] for labels in labelled):
                    changes.note("records left out: annotators disagree", origin)
                    return None
                return annotations
            kind = f"the {self.choice} one" if self.choice in ("first", "latest") else f"the one by {self.choice}"
            changes.note(f"records with several annotations, {kind} used (data.annotations)", origin)
        if self.choice == "latest":
            latest_last = sorted(annotations, key=lambda annotation: annotation.time)
            return tuple(reversed(latest_last))
        if self.choice in ("first", "agreed") or not annotations:
            return annotations
        own = tuple(annotation for annotation in annotations if annotation.is_by(self.choice))
        if not own:
            changes.note(f"records left out: not annotated by {self.choice}", origin)
        return own or None

    def _labels(
        self, annotation: Annotation, bare: Sentence, origin: Origin, problems: Problems
    ) -> Sequence[str | None]:
        if annotation.labels is not None:
            return annotation.labels
        text, offsets = text_of(bare)
        if annotation.read_spans is not None:
            spans = annotation.read_spans(self.reader(origin, problems))
            found = self.rules.word_spans(spans, text, offsets, origin, problems.counts)
        else:
            on_words = list(self._word_spans(annotation.word_spans, bare, self.reader(origin, problems)))
            found = self.rules.one_layer(on_words, text, offsets, origin, problems.counts)
        return labels_of(found, len(bare), self.scheme)

    def _word_spans(self, spans: Sequence[WordSpan], bare: Sentence, reader: SpanReader) -> Iterator[Span]:
        """Spans of words with exclusive ends."""
        for start, end, type in spans:
            after = end + self.rules.inclusive_end
            if 0 <= start < after <= len(bare):
                yield Span(start, after, reader.type_name(type))
            else:
                n_words = counted(len(bare), "word")
                problem = f"the span {type} from word {start} to {end} is not valid in a sentence of {n_words}."
                hint = "Check the numbers, and whether ends are inclusive (data.offset_end)."
                reader.drop(reader.origin.error(problem, hint), "spans dropped: words out of range")

    def _compared(
        self, annotations: Sequence[Annotation], bare: Sentence, origin: Origin, problems: Problems
    ) -> list[Sequence[str | None] | None]:
        """The labels of each annotation; None if they cannot be read. Agreement is counted in `problems`."""
        labelled: list[Sequence[str | None] | None] = []
        for annotation in annotations:
            try:
                labelled.append(self._labels(annotation, bare, origin, Problems(skip=True)))
            except UserError:
                labelled.append(None)
        by_annotator: dict[str, list[str]] = {}
        for number, (annotation, labels) in enumerate(zip(annotations, labelled), 1):
            if labels is not None:
                name = annotation.annotator or f"annotation {number}"
                by_annotator.setdefault(name, [label or "" for label in labels])
        problems.agreement.add(list(by_annotator.items()))
        return labelled
