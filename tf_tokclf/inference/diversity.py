"""Choose sentences that differ from each other among the most uncertain ones.

The candidates are clustered, weighted by their uncertainty, and the candidate next to the centre of each cluster is
chosen (Zhdanov 2019, arXiv:1901.05954).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tf_tokclf.labels.sentence import Sentence

# Parts of words, of these numbers of characters, are hashed to so many features.
_GRAMS = (2, 4)
_N_FEATURES = 2**10
# Uncertainties of 0 would leave sentences out of the clusters.
_LEAST_WEIGHT = 1e-3


def surface_vectors(sentences: Sequence[Sentence]) -> Any:
    """(sentences, features) sparse float: the hashed parts of the words of each sentence, each row with the length 1.

    This needs no encoder. Sentences with similar words have similar vectors.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(analyzer="char_wb", ngram_range=_GRAMS, n_features=_N_FEATURES, alternate_sign=False)
    return hashing.transform([" ".join(sentence.words) for sentence in sentences])


def diverse(vectors: Any, weights: np.ndarray, n: int, *, seed: int) -> list[int]:
    """The numbers of up to `n` rows that differ from each other, in ascending order.

    vectors: (rows, features), dense or sparse. weights: (rows,) from 0 to 1. Fewer than `n` are returned if several
    rows are equal, or if a cluster is empty.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.preprocessing import normalize

    rows = normalize(vectors)
    n_clusters = min(n, _n_different(rows))
    if n_clusters < 1:
        return []
    # Small clusters are wanted too, so none is given up for another random centre.
    clusters = MiniBatchKMeans(n_clusters, random_state=seed % 2**32, n_init=3, reassignment_ratio=0)
    clusters.fit(rows, sample_weight=np.maximum(weights, _LEAST_WEIGHT))
    distances = clusters.transform(rows)
    own = distances[np.arange(len(weights)), clusters.labels_]
    nearest: dict[int, int] = {}
    for row in np.lexsort((-weights, own)).tolist():
        nearest.setdefault(int(clusters.labels_[row]), row)
    return sorted(nearest.values())


def _n_different(rows: Any) -> int:
    """The number of rows that are not equal to another one. More clusters than these cannot be found."""
    if isinstance(rows, np.ndarray):
        return len(np.unique(rows, axis=0))
    parts = pairwise(rows.indptr.tolist())
    return len({(rows.indices[a:b].tobytes(), rows.data[a:b].tobytes()) for a, b in parts})
