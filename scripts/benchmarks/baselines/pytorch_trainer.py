"""The PyTorch Trainer of transformers 5: with its defaults, with batches of similar length, or in bfloat16."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from seqeval.metrics import accuracy_score, f1_score
from tokenized_splits import tokenized_splits
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--encoder")
parser.add_argument("--epochs", type=int)
parser.add_argument("--seed", type=int)
parser.add_argument("--learning-rate", type=float, default=1e-4)
parser.add_argument("--grouped", action="store_true", help="batches of similar length")
parser.add_argument("--bf16", action="store_true")
options = parser.parse_args()
set_seed(options.seed)

tokenizer = AutoTokenizer.from_pretrained(options.encoder)
tokenized, names = tokenized_splits(options.folder, tokenizer, cache="hf-torch")
labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
model = AutoModelForTokenClassification.from_pretrained(options.encoder, **labels)
grouping = {"train_sampling_strategy": "group_by_length"} if options.grouped else {}
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
        **grouping,
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=tokenized["train"],
        eval_dataset=tokenized["validation"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
    )
    began = time.perf_counter()
    trainer.train()
    trained = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    began = time.perf_counter()
    answer = trainer.predict(tokenized["test"])
    guesses = np.argmax(answer.predictions, axis=-1)
    gold = [[names[i] for i in row if i != -100] for row in answer.label_ids]
    predicted = [[names[g] for g, i in zip(guess, row) if i != -100] for guess, row in zip(guesses, answer.label_ids)]
    f1 = f1_score(gold, predicted)
    scored = time.perf_counter() - began
print(
    json.dumps(
        {
            "train_seconds": round(trained, 2),
            "score_seconds": round(scored, 2),
            "f1": float(f1),
            "products": "bfloat16" if options.bf16 else "float32",
            "accuracy": float(accuracy_score(gold, predicted)),
            "peak_gb": round(peak, 3),
        }
    )
)
