"""How uncertain a model is about the words of a sentence, and where it is least certain.

The uncertainty of a word is computed from the probabilities of its labels, and lies between 0 and 1. That of a sentence
is the uncertainty of its least certain word. Words that are certain therefore add nothing, and a long sentence does not
win by its length, as it does with a sum over words. Liu et al. 2020 (LTP, arXiv:2001.02524) compare this with sums and
with the mean over words (MNLP, Shen et al. 2018, arXiv:1707.05928). Least confidence, margin, entropy and vote entropy
are those in Settles and Craven 2008 (D08-1112).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.labels.decoding import with_fallback
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.lattice import Lattice
from tf_tokclf.labels.schemes import Scheme, split_label
from tf_tokclf.labels.sentence import Span

MEASURES = ("margin", "entropy", "least-confidence")
# The common name of the labels whose type does not matter, and of O beside them.
OTHER = "other"


def uncertainty(probabilities: np.ndarray, measure: str) -> np.ndarray:
    """(words,) from 0 (certain) to 1, for a measure of `MEASURES`. probabilities: (words, labels), rows with the sum 1.

    >>> uncertainty(np.array([[0.75, 0.25], [1.0, 0.0]]), "margin").tolist()
    [0.5, 0.0]
    """
    n_labels = probabilities.shape[1]
    if n_labels < 2:
        return np.zeros(len(probabilities))
    found: np.ndarray
    first, second = np.sort(probabilities, axis=1)[:, :-3:-1].T
    if measure == "margin":
        found = 1 - (first - second)
    elif measure == "least-confidence":
        found = 1 - first
    elif measure == "entropy":
        logs = np.log(np.maximum(probabilities, np.finfo(float).tiny))
        found = -(probabilities * logs).sum(axis=1) / np.log(n_labels)
    else:
        raise ValueError(f"{measure!r} is none of {', '.join(MEASURES)}")
    # Rounding errors would give certain words a tiny negative uncertainty.
    return found.clip(0.0, 1.0)


def vote_entropy(votes: np.ndarray) -> np.ndarray:
    """(words,) the entropy of the votes of several models, from 0 (all agree) to 1 (each votes for another label).

    votes: (models, words) int, the label that each model chooses. Source: Dagan and Engelson 1995, divided by the
    entropy of votes that are all different.

    >>> vote_entropy(np.array([[0, 1], [0, 2]])).tolist()
    [0.0, 1.0]
    """
    n_models = len(votes)
    counts = (votes[:, None, :] == votes[None, :, :]).sum(axis=1)
    # Each model adds -log(share) / n_models, where share is that of its label.
    entropy: np.ndarray = np.log(n_models / counts).mean(axis=0) / np.log(max(n_models, 2))
    return entropy


@dataclass(frozen=True)
class Doubt:
    """The least certain word of a sentence.

    score: its uncertainty, from 0 to 1. second: the uncertainty that ranks sentences with the same score. reason: what
    the model is uncertain about, for people.
    """

    score: float
    second: float
    reason: str


@dataclass(frozen=True)
class Questions:
    """What is asked about the words: which of the labels in `names` each has.

    labels: those of the model. types: the types that matter; None for all. All other labels count as one, also O.
    crf: whether the model has a CRF, whose marginals already respect the label scheme.
    """

    labels: LabelSet
    types: frozenset[str] | None = None
    crf: bool = False

    @classmethod
    def about(cls, labels: LabelSet, types: Collection[str] | None, *, crf: bool) -> Questions:
        """The questions about these types. Raises ValueError for a type that the labels do not have."""
        if types is None:
            return cls(labels, crf=crf)
        if unknown := [type_ for type_ in types if type_ not in labels.types]:
            raise ValueError(unknown[0])
        return cls(labels, frozenset(types), crf)

    @cached_property
    def columns(self) -> np.ndarray:
        """(labels,) the index into `names` of each label."""
        places = {name: i for i, name in enumerate(self.names)}
        return np.array([places[name if self._matters(name) else OTHER] for name in self.labels.names])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels that are told apart."""
        kept = [name for name in self.labels.names if self._matters(name)]
        return (*kept, *([] if len(kept) == len(self.labels) else [OTHER]))

    def _matters(self, name: str) -> bool:
        type_ = name if self.labels.scheme is Scheme.NONE else split_label(name)[1]
        return self.types is None or type_ in self.types

    @cached_property
    def _lattice(self) -> Lattice | None:
        return None if self.crf or self.labels.scheme is Scheme.NONE else Lattice.of(self.labels)

    def probabilities(self, sentences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(words, names) for each sentence, over all label sequences that the scheme allows.

        sentences: (words, labels) log-probabilities each, nan for words that the model did not see. These have the
        fallback label, so they are certain.
        """
        if self._lattice is None:
            shares = [np.exp(with_fallback(one, self.labels).astype(np.float64)) for one in sentences]
        else:
            shares = self._lattice.marginals(sentences)
        together = np.zeros((len(self.labels), len(self.names)))
        together[np.arange(len(self.labels)), self.columns] = 1.0
        return [one @ together / one.sum(axis=1, keepdims=True) for one in shares]

    def doubt(self, probabilities: np.ndarray, words: Sequence[str], spans: Sequence[Span], measure: str) -> Doubt:
        """Where the model is least certain about a sentence of at least one word, by a measure of `MEASURES`.

        probabilities: an item of what the method of this name returns. spans: the predicted ones.
        """
        by_word = uncertainty(probabilities, measure)
        word = int(by_word.argmax())
        best = np.argsort(-probabilities[word], kind="stable")[:2]
        choices = " or ".join(f"{self.names[i]} ({probabilities[word, i]:.2f})" for i in best)
        return Doubt(float(by_word[word]), 0.0, f"{self._place(word, words, spans)}: {choices}")

    def dissent(
        self, members: Sequence[np.ndarray], words: Sequence[str], spans: Sequence[Span], *, own: np.ndarray
    ) -> Doubt:
        """Where several models disagree most about a sentence of at least one word.

        members: the probabilities of each model. own: those of the model that predicted `spans`. Its margin ranks
        sentences with the same votes.
        """
        votes = np.stack([one.argmax(axis=1) for one in members])
        entropy, margin = vote_entropy(votes), uncertainty(own, "margin")
        word = int(np.lexsort((margin, entropy))[-1])
        ids, counts = np.unique(votes[:, word], return_counts=True)
        order = np.lexsort((ids, -counts))
        shown = ", ".join(f"{self.names[ids[i]]} by {counted(int(counts[i]), 'run')}" for i in order)
        return Doubt(float(entropy[word]), float(margin.max()), f"{self._place(word, words, spans)}: {shown}")

    def _place(self, word: int, words: Sequence[str], spans: Sequence[Span]) -> str:
        """The predicted span that contains a word, or the word itself."""
        for span in spans:
            if span.start <= word < span.end and (self.types is None or span.type in self.types):
                if span.length == 1:
                    return f"{span.type} {words[word]!r}"
                return f"{span.type} {' '.join(words[span.start : span.end])!r}, word {words[word]!r}"
        if self.labels.outside is None:
            return f"word {words[word]!r}"
        return f"{words[word]!r}, in no span"
