"""Texts to sentences: words by the rule of the options, labels from spans of characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.char_spans import CharSpan, SpanRules
from tf_tokclf.data.schemes import Scheme, labels_of
from tf_tokclf.data.sentence import Origin, Sentence
from tf_tokclf.data.word_splitting import split_words
from tf_tokclf.errors import UserError


def given_scheme(data: DataConfig) -> Scheme | None:
    """The scheme that the options name, or None where it is to be found out."""
    if data.scheme == "auto":
        return None
    try:
        return Scheme(data.scheme)
    except ValueError as error:
        known = ", ".join(scheme.value for scheme in Scheme)
        problem = f"there is no label scheme {data.scheme!r}."
        raise UserError(problem, hint=f"Known are auto, {known}.") from error


@dataclass(frozen=True)
class TextReading:
    """How texts fall into words and spans become labels."""

    rules: SpanRules
    splitting: str
    scheme: Scheme

    @classmethod
    def of(cls, data: DataConfig, *, inclusive_end: bool = False) -> TextReading:
        """As the options say; `inclusive_end` where they leave that to the format."""
        if isinstance(data.layer, str):
            raise UserError(f"there is no layer {data.layer!r}.", hint="Layers of spans have numbers, 0 the outermost.")
        if data.layer is not None and data.layer < 0:
            raise UserError(f"there is no layer {data.layer}.", hint="Layers of spans have numbers, 0 the outermost.")
        inclusive = inclusive_end if data.offset_end is None else data.offset_end == "inclusive"
        rules = SpanRules(data.span_policy, data.layer, data.offset_unit, inclusive)
        asked = given_scheme(data)
        return cls(rules, data.word_splitting, Scheme.IOB2 if asked in (None, Scheme.NONE) else asked)

    def note(self) -> str:
        """What was done, in a line."""
        return f"texts split into words by the rule {self.splitting!r}, spans written as {self.scheme.value}"

    def sentence(
        self,
        text: str,
        spans: Iterable[CharSpan] | None,
        origin: Origin,
        counts: Counter[str],
        *,
        offsets: Sequence[tuple[int, int]] | None = None,
        document: str | None = None,
    ) -> Sentence:
        """The sentence of a text; without labels where `spans` is None. offsets: of words that the source has
        itself.
        """
        places = tuple(split_words(text, self.splitting) if offsets is None else offsets)
        words = tuple(text[start:end] for start, end in places)
        labels = None
        if spans is not None:
            found = self.rules.word_spans(spans, text, places, origin, counts)
            labels = tuple(labels_of(found, len(words), self.scheme))
        return Sentence(words, labels, origin, text=text, offsets=places, document=document)
