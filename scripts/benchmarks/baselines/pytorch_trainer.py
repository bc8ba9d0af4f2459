"""The PyTorch Trainer of transformers: with its defaults, with batches of similar length, in bfloat16, compiled."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
from peak_memory import peak_gb
from seqeval.metrics import f1_score
from tokenized_splits import labels_of_words, tokenized_splits, word_tokenizer
from training import print_measurements, training_parser
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import PredictionOutput

parser = training_parser()
parser.add_argument("--grouped", action="store_true", help="batches of similar length")
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--warmup-ratio", type=float, default=0.0)
parser.add_argument("--best-epoch", action="store_true", help="score validation after each epoch, and keep the best")
options = parser.parse_args()
set_seed(options.seed)
DEFAULTS = {field.name: field.default for field in fields(TrainingArguments)}


class EpochTimes(TrainerCallback):
    """Measures the seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        self.seconds.append(time.perf_counter() - self._began)


def grouping() -> dict[str, object]:
    """The argument for batches of similar length, which transformers 5 renamed."""
    old, new = {"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}
    return old if "group_by_length" in DEFAULTS else new


def keeping_the_best() -> dict[str, object]:
    """The arguments for scoring validation after each epoch and keeping the model with the best score."""
    return {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "save_only_model": True,
        "load_best_model_at_end": True,
        "metric_for_best_model": "f1",
    }


def scores(answer: EvalPrediction) -> dict[str, float]:
    """F1 of the subword tokens that have a label, or the share of right ones if the labels are parts of speech."""
    best, labels = answer.predictions, answer.label_ids
    if options.task == "pos":
        return {"f1": float((best == labels)[labels != -100].mean())}
    return {"f1": float(f1_score(*names_of(labels, best)))}


def names_of(labels: np.ndarray, best: np.ndarray) -> tuple[list[list[str]], list[list[str]]]:
    """The names of the gold and of the predicted labels where there is a gold label."""
    gold = [[names[i] for i in row if i != -100] for row in labels]
    return gold, [[names[g] for g, i in zip(guess, row) if i != -100] for guess, row in zip(best, labels)]


def write_predictions(answer: PredictionOutput, path: Path) -> int:
    """Write the labels of all words of the test split, O for words without one. Returns the number of those.

    answer: of the sentences in the order of the file.
    """
    lines = (options.folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    sentences = [row["tokens"] for row in rows]
    gold, predicted = (
        labels_of_words(ids, sentences, tokenizer, names) for ids in (answer.label_ids, answer.predictions)
    )
    for row, labels in zip(rows, gold):
        own = next(value for name, value in row.items() if name.endswith("tags"))
        assert all(label in (None, tag) for label, tag in zip(labels, own)), "the sentences have another order"
    written = ({"words": words, "predicted": [x or "O" for x in row]} for words, row in zip(sentences, predicted))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written), encoding="utf-8")
    return sum(row.count(None) for row in predicted)


tokenizer = word_tokenizer(options.encoder)
tokenized, names = tokenized_splits(options.folder, tokenizer, cache="hf-torch")
labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
model = AutoModelForTokenClassification.from_pretrained(options.encoder, **labels)
times = EpochTimes()
with tempfile.TemporaryDirectory() as output:
    arguments = TrainingArguments(
        output,
        learning_rate=options.learning_rate,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=32,
        num_train_epochs=options.epochs,
        weight_decay=0.01,
        seed=options.seed,
        report_to="none",
        warmup_ratio=options.warmup_ratio,
        disable_tqdm=True,
        use_cpu=True,
        bf16=options.bf16,
        torch_compile=options.compile,
        **(grouping() if options.grouped else {}),
        **(keeping_the_best() if options.best_epoch else {"save_strategy": "no"}),
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=tokenized["train"],
        eval_dataset=tokenized["validation"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        callbacks=[times],
        compute_metrics=scores if options.best_epoch else None,
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(dim=-1),
    )
    began = time.perf_counter()
    trainer.train()
    trained = time.perf_counter() - began
    peak = peak_gb()
    if options.predictions:
        # Sentences of similar length are also scored together, and then the answers have another order than the file.
        for name in grouping():
            setattr(trainer.args, name, DEFAULTS[name])
    began = time.perf_counter()
    answer = trainer.predict(tokenized["test"])
    f1 = scores(answer)["f1"]
    scored = time.perf_counter() - began
    evaluated = [entry for entry in trainer.state.log_history if "eval_f1" in entry]
    more = {}
    if options.best_epoch:
        seconds = round(sum(entry["eval_runtime"] for entry in evaluated), 2)
        more = {"dev_f1": max(entry["eval_f1"] for entry in evaluated), "dev_seconds": seconds}
    if options.predictions:
        more["n_lost_words"] = write_predictions(answer, options.predictions)
print_measurements(
    train_seconds=trained,
    epoch_seconds=times.seconds,
    score_seconds=scored,
    f1=f1,
    precision="bfloat16" if options.bf16 else "float32",
    peak=peak,
    packages=("torch", "transformers"),
    batch_size=options.batch_size,
    **more,
)
