"""Agreement between annotators of the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any


@dataclass(frozen=True)
class PairCounts:
    """Two annotators, the number of records that both annotated, and the number of words for each pair of labels."""

    one: str
    other: str
    n_records: int
    words: tuple[tuple[str, str, int], ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PairCounts:
        """From the output of `dataclasses.asdict`."""
        words = tuple((str(a), str(b), int(n)) for a, b, n in value["words"])
        return cls(value["one"], value["other"], value["n_records"], words)

    @property
    def n_words(self) -> int:
        """Number of words that both annotators labelled."""
        return sum(n for _, _, n in self.words)

    @property
    def n_equal(self) -> int:
        """Number of words to which both gave the same label."""
        return sum(n for a, b, n in self.words if a == b)

    def kappa(self) -> float | None:
        """Cohen's kappa of the words' labels: 1 for complete agreement, 0 for agreement by chance. None if both used
        only one label, because kappa is then undefined.

        >>> PairCounts("ann", "bob", 1, (("O", "O", 8), ("B-PER", "B-PER", 1), ("B-PER", "O", 1))).kappa()
        0.6153846153846154
        """
        from sklearn.metrics import cohen_kappa_score

        if len({label for a, b, _ in self.words for label in (a, b)}) < 2:
            return None
        ones, others, weights = zip(*self.words)
        return float(cohen_kappa_score(ones, others, sample_weight=weights))


@dataclass
class Agreement:
    """Counts the labels of annotators, record by record."""

    n_records: Counter[tuple[str, str]] = field(default_factory=Counter)
    labels: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)

    def add(self, labels_by_annotator: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Count the labels of one record.

        >>> agreement = Agreement()
        >>> agreement.add([("ann", ["B-PER", "O"]), ("bob", ["O", "O"])])
        >>> agreement.counts()
        (PairCounts(one='ann', other='bob', n_records=1, words=(('B-PER', 'O', 1), ('O', 'O', 1))),)
        """
        for (one, ones), (other, others) in combinations(sorted(labels_by_annotator), 2):
            self.n_records[one, other] += 1
            self.labels.update((one, other, a, b) for a, b in zip(ones, others))

    def counts(self) -> tuple[PairCounts, ...]:
        """The counts of each pair of annotators."""
        words: dict[tuple[str, str], list[tuple[str, str, int]]] = {pair: [] for pair in self.n_records}
        for (one, other, a, b), n in sorted(self.labels.items()):
            words[one, other].append((a, b, n))
        return tuple(PairCounts(*pair, n, tuple(words[pair])) for pair, n in sorted(self.n_records.items()))
