"""Train with this project's public functions, then load the saved model and score the test split."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from tf_tokclf import fit, load_config
from tf_tokclf.config.schema import DataConfig

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--encoder")
parser.add_argument("--epochs", type=int)
parser.add_argument("--seed", type=int)
parser.add_argument("--precision", default="auto")
parser.add_argument("--recipe", help="settings of a recipe instead of the learning rate of the other systems")
options = parser.parse_args()

with tempfile.TemporaryDirectory() as output:
    settings = {
        "data.train_file": str(options.folder / "train.jsonl"),
        "data.validation_file": str(options.folder / "validation.jsonl"),
        "model.name_or_path": options.encoder,
        "output_dir": f"{output}/run",
        **({"recipe": options.recipe} if options.recipe else {"recipe": "none", "optimizer.learning_rate": 1e-4}),
        "training.num_train_epochs": options.epochs,
        "training.seed": options.seed,
        "training.precision": options.precision,
    }
    began = time.perf_counter()
    result = fit(load_config(options=settings))
    whole = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    data = DataConfig(test_file=str(options.folder / "test.jsonl"))
    # In the second call, the model is in the file cache, as for the second command of a user. Loading is not counted.
    from tf_tokclf.inference.evaluate import evaluate_sentences, labelled_splits
    from tf_tokclf.inference.tagger import Tagger

    tagger = Tagger.load(f"{output}/run", precision=options.precision)
    splits = labelled_splits(f"{output}/run", "test", data, tagger.info)
    began = time.perf_counter()
    scores = evaluate_sentences(tagger, splits["test"], scheme=splits.scheme).scores
    scored = time.perf_counter() - began

    from tf_tokclf.encoding.encoded_split import encode_split
    from tf_tokclf.encoding.model_config import model_config
    from tf_tokclf.encoding.model_folders import local_model_folder
    from tf_tokclf.model.precision import choose_precision

    # Multiply-adds of the matrices and of attention, once forward and twice backward, without padding.
    config = model_config(local_model_folder(f"{output}/run"))
    hidden, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    train_data = DataConfig(train_file=settings["data.train_file"])
    train = labelled_splits(f"{output}/run", "train", train_data, tagger.info)["train"]
    windows = encode_split(train, tagger.labels, tagger.tokenizer, tagger.info.reading)
    flop = sum(
        layers * (2 * n * (4 * hidden * hidden + 2 * hidden * inner) + 4 * n * n * hidden)
        for n in map(len, windows["input_ids"])
    )

print(
    json.dumps(
        {
            "train_seconds": round(sum(record.train_seconds for record in result.history), 2),
            "whole_seconds": round(whole, 1),
            "score_seconds": round(scored, 2),
            "f1": scores.overall.f1,
            "products": choose_precision(options.precision).policy.removeprefix("mixed_"),
            "peak_gb": round(peak, 3),
            "real_tflop": round(3 * options.epochs * flop / 1e12, 3),
        }
    )
)
