"""From scores of labels to labels, a whole batch of sentences at once."""

from __future__ import annotations

import numpy as np

from tf_tokclf.data.labels import LabelSet


def decode(
    log_probabilities: np.ndarray, sentence_starts: np.ndarray, labels: LabelSet, *, decoding: str = "argmax"
) -> np.ndarray:
    """(words,) the label id of each word.

    log_probabilities: (words, labels), nan in the rows of words that no model saw: they get the fallback label.
    sentence_starts: (sentences + 1,) first word of each sentence, and the end. decoding: "argmax".
    """
    unseen = np.isnan(log_probabilities[:, 0]) if len(log_probabilities) else np.zeros(0, bool)
    ids = np.where(unseen, labels.id_by_label[labels.fallback], _argmax(log_probabilities, unseen))
    return ids.astype(np.int64)


def _argmax(log_probabilities: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    return np.where(unseen[:, None], 0.0, log_probabilities).argmax(axis=1)
