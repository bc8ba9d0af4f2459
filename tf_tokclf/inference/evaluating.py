"""Score a classifier on labelled sentences: predict, then compare words; every word counts, seen by the model or not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from tf_tokclf.data.schemes import Scheme
from tf_tokclf.data.sentence import Sentence
from tf_tokclf.inference.tagger import TaggedSentence, Tagger
from tf_tokclf.run_dir import open_whole
from tf_tokclf.scoring.scores import Scorer, Scores


@dataclass(frozen=True)
class Evaluation:
    """Scores, and the mean negative log-probability of the gold label over the words that have both."""

    scores: Scores
    loss: float

    def to_json(self) -> dict[str, Any]:
        """What results.json holds for one split."""
        return {**self.scores.to_json(), "loss": self.loss}


def evaluate_sentences(
    tagger: Tagger,
    sentences: Iterable[Sentence],
    *,
    mode: Literal["conlleval", "strict"] = "conlleval",
    scheme: Scheme | None = None,
    predictions: Path | None = None,
) -> Evaluation:
    """Label `sentences` and score the result against their own labels.

    scheme: the gold labels' where it is not the model's. predictions: a file to write words, gold and predicted labels
    and scores to, a JSON line per sentence, whole or not at all.
    """
    scorer = Scorer(scheme or tagger.labels.scheme, mode=mode)
    known = tagger.labels.id_by_label
    n_empty = n_truncated = n_unknown = n_losses = 0
    loss = 0.0
    with open_whole(predictions) if predictions else nullcontext() as file:
        for tagged in tagger.tag(sentences):
            gold = tagged.sentence.labels or ()
            scorer.add(gold, tagged.labels, tagged.sentence.words)
            ids = np.array([known.get(label, -1) for label in gold], dtype=np.int64)
            losses = -tagged.log_probabilities[np.arange(len(ids)), ids]
            counted = losses[(ids >= 0) & ~np.isnan(losses)]
            loss, n_losses = loss + float(counted.sum()), n_losses + len(counted)
            n_unknown += int((ids < 0).sum())
            n_empty += tagged.n_empty
            n_truncated += tagged.n_truncated
            if file:
                write_prediction(file, tagged)
    facts = {"n_truncated_words": n_truncated, "n_empty_words": n_empty, "n_unseen_labels": n_unknown}
    return Evaluation(scorer.scores().with_facts(**facts), loss / n_losses if n_losses else float("nan"))


def write_prediction(file: IO[str], tagged: TaggedSentence) -> None:
    """A line of a file of predictions. A score that does not exist is null."""
    sentence = tagged.sentence
    line: dict[str, Any] = {"words": sentence.words}
    if sentence.labels is not None:
        line["gold"] = sentence.labels
    line["predicted"] = tagged.labels
    line["scores"] = [round(score, 6) if score == score else None for score in tagged.scores]
    if sentence.origin is not None:
        origin = sentence.origin
        line["origin"] = {"path": origin.path, "number": origin.number, "unit": origin.unit}
    file.write(json.dumps(line, ensure_ascii=False) + "\n")
