"""Run folders with a few invented sentences, for tests of the report."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path

from tests.prediction_files import write_predictions
from tf_tokclf.files import write_json
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.evaluation import evaluate_file
from tf_tokclf.scoring.predictions import Prediction

NASTY = "<script>alert('x')</script>"

_SENTENCES = (
    ("Ada Lovelace lived in London .", "B-PER I-PER O O B-LOC O", "B-PER I-PER O O B-LOC O", 0.97),
    (
        "The Bank of Spain opened in Oslo .",
        "O B-ORG I-ORG I-ORG O O B-LOC O",
        "O B-ORG O B-LOC O O B-LOC O",
        0.62,
    ),
    (f"See {NASTY} & <b>Rome</b> now", "O O O B-LOC O", "O B-ORG O B-LOC O", 0.91),
    ("Alan met Grace in Paris", "B-PER O B-PER O B-LOC", "B-PER O O O B-ORG", 0.55),
    ("Nothing to see here", "O O O O", "O B-PER O O", 0.93),
)


def predictions(n: int) -> list[Prediction]:
    """`n` sentences: the five above, repeated."""
    made = []
    for text, gold, predicted, score in islice(cycle(_SENTENCES), n):
        words, gold_labels, predicted_labels = (tuple(column.split()) for column in (text, gold, predicted))
        made.append(
            Prediction(
                words=words,
                predicted=predicted_labels,
                gold=gold_labels,
                scores=tuple(round(score - 0.01 * i, 3) for i in range(len(words))),
                gold_scores=tuple(score if g == p else 1 - score for g, p in zip(gold_labels, predicted_labels)),
                positions=tuple(range(1, len(words) + 1)),
            )
        )
    return made


def make_run(root: Path, *, n_sentences: int = 40) -> RunDir:
    """A finished run."""
    run = RunDir(root)
    root.mkdir(parents=True, exist_ok=True)
    run.config.write_text(f"task: ner\noutput_dir: runs/example  # {NASTY}\n", encoding="utf-8")
    epochs = [
        {
            "epoch": i,
            "train_loss": 0.9 / i,
            "dev_loss": 0.8 / i + 0.05 * i,
            "dev_f1": 0.5 + 0.1 * i,
            "dev_precision": 0.55 + 0.08 * i,
            "dev_recall": 0.4 + 0.12 * i,
        }
        for i in range(1, 5)
    ]
    run.history.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs), encoding="utf-8")
    for split in ("validation", "test"):
        write_predictions(run.predictions_for(split), predictions(n_sentences))
    scores = {
        split: evaluate_file(run.predictions_for(split)).to_json() | {"n_truncated_words": 3}
        for split in ("validation", "test")
    }
    data = {"test": {"n_sentences": n_sentences, "n_words": 180, "fingerprint": "0123456789abcdef"}}
    write_json(
        run.results,
        {
            "splits": scores,
            "data": data,
            "notes": [f"a note with {NASTY}"],
            "best_epoch": 4,
            "n_epochs": 4,
            "seed": 1,
            "precision": {"training": "float32"},
            "seconds": 75.2,
            "versions": {"python": "3.11.7"},
            "machine": {"system": "Linux"},
        },
    )
    return run
