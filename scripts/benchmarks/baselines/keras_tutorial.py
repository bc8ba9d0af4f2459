"""The TensorFlow recipe of the well-known Keras tutorial on token classification.

map, DataCollatorForTokenClassification, to_tf_dataset(shuffle=True), create_optimizer, fit, then predict per batch
and seqeval. As in the tutorial, gradients are not clipped. Nothing was made slower or worse than in the tutorial.
With --bfloat16, the Keras policy is mixed_bfloat16, which the tutorial does not use.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tf_keras as keras
from peak_memory import peak_gb
from seqeval.metrics import f1_score
from tokenized_splits import tokenized_splits, word_tokenizer
from training import print_measurements, training_parser
from transformers import (
    DataCollatorForTokenClassification,
    TFAutoModelForTokenClassification,
    create_optimizer,
)
from transformers.models.auto.modeling_tf_auto import TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as CLASSES

parser = training_parser()
parser.add_argument("--bfloat16", action="store_true")
options = parser.parse_args()
model_type = json.loads((Path(options.encoder) / "config.json").read_text())["model_type"]
if model_type not in CLASSES:
    print(json.dumps({"absent": f"transformers has no TensorFlow class for {model_type}"}))
    sys.exit()
keras.utils.set_random_seed(options.seed)
if options.bfloat16:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")

tokenizer = word_tokenizer(options.encoder)
tokenized, names = tokenized_splits(options.folder, tokenizer, cache="hf")
collator = DataCollatorForTokenClassification(tokenizer, return_tensors="tf")
there = tokenized["train"].column_names
columns = [name for name in ("attention_mask", "input_ids", "labels", "token_type_ids") if name in there]
train = tokenized["train"].to_tf_dataset(columns=columns, batch_size=16, shuffle=True, collate_fn=collator)
test = tokenized["test"].to_tf_dataset(columns=columns, batch_size=16, shuffle=False, collate_fn=collator)

labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
model = TFAutoModelForTokenClassification.from_pretrained(options.encoder, **labels)
optimizer, _ = create_optimizer(options.learning_rate, len(train) * options.epochs, 0, weight_decay_rate=0.01)
model.compile(optimizer=optimizer)


class EpochTimes(keras.callbacks.Callback):
    """Measures the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.seconds.append(time.perf_counter() - self._began)


times = EpochTimes()
began = time.perf_counter()
model.fit(train, epochs=options.epochs, verbose=0, callbacks=[times])
trained = time.perf_counter() - began
peak = peak_gb()

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
print_measurements(
    train_seconds=trained,
    epoch_seconds=times.seconds,
    score_seconds=scored,
    f1=f1,
    precision="bfloat16" if options.bfloat16 else "float32",
    peak=peak,
    packages=("tensorflow", "transformers"),
)
