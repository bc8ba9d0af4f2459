"""Score a classifier on labelled sentences: predict, then compare; every word counts, seen by the model or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import IO, Literal

import numpy as np

from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.decoding import decode
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import translated_labels
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.scoring.error_analysis import ErrorAnalyst
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.predictions import Prediction
from tf_tokclf.scoring.scores import Scorer


def evaluate_sentences(
    tagger: Tagger,
    sentences: Iterable[Sentence],
    *,
    mode: Literal["conlleval", "strict"] = "conlleval",
    scheme: Scheme | None = None,
    predictions: IO[str] | None = None,
    analyst: ErrorAnalyst | None = None,
    n_repaired: int = 0,
) -> Evaluation:
    """Label `sentences` and score the result against their own labels, where words have one.

    scheme: the gold labels' where it is not the model's; the model's labels are then translated into it.
    predictions: a file to write words, gold and predicted labels and scores to, a JSON line per sentence. n_repaired:
    how many of the sentences had their gold labels repaired, to be said beside the scores.
    """
    own_scheme = tagger.labels.scheme
    scorer = Scorer(scheme or own_scheme, mode=mode)
    by_argmax = None if tagger.decoding == "argmax" else Scorer(scorer.scheme, mode=mode)
    known = tagger.labels.id_by_label
    n_empty = n_truncated = n_unknown = n_losses = 0
    loss = 0.0
    for whole in tagger.tag(sentences):
        tagged = whole.of_labelled_words()
        gold = tagged.sentence.labels or ()
        predicted = translated_labels(tagged.labels, own_scheme, scorer.scheme)
        scorer.add(gold, predicted, tagged.sentence.words)
        if by_argmax:
            by_argmax.add(gold, translated_labels(_most_probable(tagged), own_scheme, scorer.scheme))
        own_gold = translated_labels(gold, scorer.scheme, own_scheme)
        ids = np.array([known.get(label, -1) for label in own_gold], dtype=np.int64)
        losses = -tagged.log_probabilities[np.arange(len(ids)), ids]
        counted = losses[(ids >= 0) & ~np.isnan(losses)]
        loss, n_losses = loss + float(counted.sum()), n_losses + len(counted)
        n_unknown += int((ids < 0).sum())
        n_empty += tagged.n_empty
        n_truncated += tagged.n_truncated
        if predictions or analyst:
            prediction = _prediction(tagged, predicted, gold_scores=np.exp(np.where(ids >= 0, -losses, -np.inf)))
        if predictions:
            predictions.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")
        if analyst:
            analyst.add(prediction)
    facts = {
        "n_truncated_words": n_truncated,
        "n_empty_words": n_empty,
        "n_unseen_labels": n_unknown,
        "n_repaired_sentences": n_repaired,
    }
    return Evaluation(
        scorer.scores().with_facts(**facts),
        loss=loss / n_losses if n_losses else float("nan"),
        errors=analyst.result() if analyst else None,
        by_argmax=by_argmax.scores() if by_argmax else None,
    )


def _most_probable(tagged: TaggedSentence) -> list[str]:
    whole = np.array([0, len(tagged.labels)])
    return [tagged.label_set.names[i] for i in decode(tagged.log_probabilities, whole, tagged.label_set)]


def _prediction(tagged: TaggedSentence, predicted: Sequence[str], *, gold_scores: np.ndarray) -> Prediction:
    """predicted: its labels in gold's scheme.

    gold_scores: (words,) the probability of each gold label, 0 for those that the model does not know.
    """
    return Prediction(
        words=tagged.sentence.words,
        predicted=tuple(predicted),
        gold=tagged.sentence.labels,
        scores=_known(tagged.scores),
        gold_scores=_known(gold_scores.tolist()),
        positions=tagged.positions,
        origin=tagged.sentence.origin,
    )


def _known(scores: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(None if score != score else score for score in scores)
