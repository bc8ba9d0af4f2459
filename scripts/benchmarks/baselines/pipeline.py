"""Label lines of text with transformers.pipeline: python pipeline.py MODEL TEXT --framework tf|pt --batch-size N."""

import argparse
import json
import os
import time
from itertools import islice
from pathlib import Path

from peak_memory import peak_mb

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--framework", choices=["tf", "pt"], required=True)
parser.add_argument("--batch-size", type=int, default=1)
parser.add_argument("--bfloat16", action="store_true", help="precision of the weights and the computation in PyTorch")
options = parser.parse_args()

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import transformers  # noqa: E402

transformers.utils.logging.set_verbosity_error()
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
if options.framework == "tf":
    model = transformers.TFAutoModelForTokenClassification.from_pretrained(options.model)
    # The default refers to torch, and fails if torch is not installed.
    extra = {"framework": "tf", "torch_dtype": None}
else:
    dtype = "bfloat16" if options.bfloat16 else "float32"
    model = transformers.AutoModelForTokenClassification.from_pretrained(options.model, dtype=dtype).eval()
    extra = {}
pipe = transformers.pipeline(
    "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first", **extra
)


def lines(limit):
    with Path(options.text).open(encoding="utf-8") as file:
        for line in islice(file, limit):
            # The pipeline fails on texts without subword tokens.
            yield line.strip() or "."


list(pipe(list(lines(64)), batch_size=options.batch_size))
begun = time.perf_counter()
n_entities = n = 0
# The TensorFlow pipeline needs a list. The PyTorch pipeline also batches iterators.
inputs = lines(None)
for entities in pipe(inputs if options.framework == "pt" else list(inputs), batch_size=options.batch_size):
    n += 1
    n_entities += len(entities)
seconds = time.perf_counter() - begun
peak = peak_mb()
print(json.dumps({"seconds": seconds, "sentences": n, "entities": n_entities, "peak_mb": peak}))
