"""Label lines of text with ONNX Runtime alone, as people write it: python plain_onnx.py EXPORT TEXT --batch-size N.

Texts are sorted by length and padded by batch. The result is the label of each word's first subword token: no
windows, no decoding, no records. Long texts are cut off.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
from peak_memory import peak_mb
from tokenizers import Tokenizer

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("text")
parser.add_argument("--file", default="model.onnx", help="file of the export, in the folder onnx")
parser.add_argument("--batch-size", type=int, default=8)
options = parser.parse_args()

folder = Path(options.folder)
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
labels = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(min(config.get("max_position_embeddings", 512), 512) - 2)
session = onnxruntime.InferenceSession(folder / "onnx" / options.file)
inputs = {one.name for one in session.get_inputs()}


def labelled(texts):
    """The labels of the words of each text."""
    encodings = tokenizer.encode_batch([text.split() for text in texts], is_pretokenized=True)
    order = sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids))
    found = [[] for _ in texts]
    for begin in range(0, len(order), options.batch_size):
        rows = order[begin : begin + options.batch_size]
        width = max(len(encodings[i].ids) for i in rows)
        arrays = {name: np.zeros((len(rows), width), np.int64) for name in inputs}
        for row, i in enumerate(rows):
            arrays["input_ids"][row, : len(encodings[i].ids)] = encodings[i].ids
            arrays["attention_mask"][row, : len(encodings[i].ids)] = 1
        best = session.run(["logits"], arrays)[0].argmax(-1)
        for row, i in enumerate(rows):
            word_ids = encodings[i].word_ids
            found[i] = [
                labels[best[row, at]]
                for at, word in enumerate(word_ids)
                if word is not None and word != word_ids[at - 1]
            ]
    return found


with Path(options.text).open(encoding="utf-8") as file:
    lines = [line.rstrip("\n") for line in file]
labelled(lines[:64])
begun = time.perf_counter()
result = labelled(lines)
seconds = time.perf_counter() - begun
n_entities = sum(label.startswith("B-") for one in result for label in one)
print(json.dumps({"seconds": seconds, "sentences": len(lines), "entities": n_entities, "peak_mb": peak_mb()}))
