"""Score predicted labels, and keep the counts of each sentence for tests of differences."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.counts import CountTable
from tf_tokclf.scoring.scores import score_sentences

Labels = Sequence[Sequence[str]]


def scored(gold: Labels, predicted: Labels, task: str) -> dict[str, Any]:
    """F1, precision and recall of spans by seqeval, the accuracy of words, and the counts of each sentence.

    For parts of speech, all of them are the accuracy. Raises UserError if the sentences differ, or if the counts give
    another F1 than seqeval.
    """
    if [len(labels) for labels in gold] != [len(labels) for labels in predicted]:
        raise UserError("the predictions are not of the words of the test split.")
    is_pos = task == "pos"
    scores = score_sentences(zip(gold, predicted), Scheme.NONE if is_pos else Scheme.IOB2)
    overall = scores.overall
    by_reference = accuracy(gold, predicted) if is_pos else f1_of_seqeval(gold, predicted)
    if abs(by_reference - overall.f1) > 1e-9:
        raise UserError(f"seqeval gives another F1 ({by_reference}) than the counts of sentences ({overall.f1}).")
    return {
        "f1": by_reference,
        "precision": overall.precision,
        "recall": overall.recall,
        "accuracy": scores.token_accuracy,
        "counts": packed(scores.table.of_sentences()),
    }


def f1_of_seqeval(gold: Labels, predicted: Labels) -> float:
    """Micro F1 in seqeval's default mode, which is that of conlleval. 0 if there are no spans."""
    from seqeval.metrics import f1_score

    return float(f1_score(list(map(list, gold)), list(map(list, predicted)), zero_division=0))


def accuracy(gold: Labels, predicted: Labels) -> float:
    """The share of words with the right label."""
    right = [a == b for one, other in zip(gold, predicted) for a, b in zip(one, other)]
    return sum(right) / len(right)


def packed(counts: np.ndarray) -> str:
    """Counts of sentences as text. counts: (sentences, 3) of correct, predicted and gold items."""
    return base64.b64encode(zlib.compress(counts.astype("<u2").tobytes(), 9)).decode()


def unpacked(text: str) -> np.ndarray:
    """(sentences, 3) int64, from the text of `packed`."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u2").reshape(-1, 3).astype(np.int64)


def count_table(text: str) -> CountTable:
    """The counts as the functions of `tf_tokclf.scoring.bootstrap` take them, with all types as one."""
    counts = unpacked(text)
    n = len(counts)
    return CountTable(("all",), n, np.arange(n), np.zeros(n, np.int64), counts)
