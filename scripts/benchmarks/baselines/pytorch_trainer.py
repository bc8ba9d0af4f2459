"""The PyTorch Trainer of transformers: with its defaults, with batches of similar length, in bfloat16, compiled."""

from __future__ import annotations

import tempfile
import time
from dataclasses import fields

import numpy as np
from peak_memory import peak_gb
from seqeval.metrics import f1_score
from tokenized_splits import tokenized_splits, word_tokenizer
from training import print_measurements, training_parser
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

parser = training_parser()
parser.add_argument("--grouped", action="store_true", help="batches of similar length")
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--compile", action="store_true")
options = parser.parse_args()
set_seed(options.seed)


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
    known = {field.name for field in fields(TrainingArguments)}
    return {"group_by_length": True} if "group_by_length" in known else {"train_sampling_strategy": "group_by_length"}


tokenizer = word_tokenizer(options.encoder)
tokenized, names = tokenized_splits(options.folder, tokenizer, cache="hf-torch")
labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
model = AutoModelForTokenClassification.from_pretrained(options.encoder, **labels)
times = EpochTimes()
with tempfile.TemporaryDirectory() as output:
    arguments = TrainingArguments(
        output,
        learning_rate=options.learning_rate,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=32,
        num_train_epochs=options.epochs,
        weight_decay=0.01,
        seed=options.seed,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        bf16=options.bf16,
        torch_compile=options.compile,
        **(grouping() if options.grouped else {}),
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=tokenized["train"],
        eval_dataset=tokenized["validation"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        callbacks=[times],
    )
    began = time.perf_counter()
    trainer.train()
    trained = time.perf_counter() - began
    peak = peak_gb()
    began = time.perf_counter()
    answer = trainer.predict(tokenized["test"])
    guesses = np.argmax(answer.predictions, axis=-1)
    gold = [[names[i] for i in row if i != -100] for row in answer.label_ids]
    predicted = [[names[g] for g, i in zip(guess, row) if i != -100] for guess, row in zip(guesses, answer.label_ids)]
    f1 = f1_score(gold, predicted)
    scored = time.perf_counter() - began
print_measurements(
    train_seconds=trained,
    epoch_seconds=times.seconds,
    score_seconds=scored,
    f1=f1,
    precision="bfloat16" if options.bf16 else "float32",
    peak=peak,
    packages=("torch", "transformers"),
)
