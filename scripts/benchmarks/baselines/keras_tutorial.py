"""The TensorFlow recipe of the well-known Keras tutorial on token classification.

map, DataCollatorForTokenClassification, to_tf_dataset(shuffle=True), create_optimizer, fit, then predict per batch
and seqeval. As in the tutorial, gradients are not clipped. Nothing was made slower or worse than in the tutorial.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras as keras
from seqeval.metrics import accuracy_score, f1_score
from tokenized_splits import tokenized_splits
from transformers import (
    AutoTokenizer,
    DataCollatorForTokenClassification,
    TFAutoModelForTokenClassification,
    create_optimizer,
)

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--encoder")
parser.add_argument("--epochs", type=int)
parser.add_argument("--seed", type=int)
parser.add_argument("--learning-rate", type=float, default=1e-4)
options = parser.parse_args()
keras.utils.set_random_seed(options.seed)

tokenizer = AutoTokenizer.from_pretrained(options.encoder)
tokenized, names = tokenized_splits(options.folder, tokenizer, cache="hf")
collator = DataCollatorForTokenClassification(tokenizer, return_tensors="tf")
columns = ["attention_mask", "input_ids", "labels", "token_type_ids"]
train = tokenized["train"].to_tf_dataset(columns=columns, batch_size=16, shuffle=True, collate_fn=collator)
test = tokenized["test"].to_tf_dataset(columns=columns, batch_size=16, shuffle=False, collate_fn=collator)

labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
model = TFAutoModelForTokenClassification.from_pretrained(options.encoder, **labels)
optimizer, _ = create_optimizer(options.learning_rate, len(train) * options.epochs, 0, weight_decay_rate=0.01)
model.compile(optimizer=optimizer)
began = time.perf_counter()
model.fit(train, epochs=options.epochs, verbose=0)
trained = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

began = time.perf_counter()
gold, predicted = [], []
for batch in test:
    best = np.argmax(model.predict(batch, verbose=0)["logits"], axis=-1)
    for row, right in zip(best, batch["labels"].numpy()):
        gold.append([names[i] for i in right if i != -100])
        predicted.append([names[i] for i, j in zip(row, right) if j != -100])
f1 = f1_score(gold, predicted)
scored = time.perf_counter() - began
assert len(gold) == len(tokenized["test"])
print(
    json.dumps(
        {
            "train_seconds": round(trained, 2),
            "score_seconds": round(scored, 2),
            "f1": float(f1),
            "products": "float32",
            "accuracy": float(accuracy_score(gold, predicted)),
            "peak_gb": round(peak, 3),
            "threads": tf.config.threading.get_intra_op_parallelism_threads(),
        }
    )
)
