"""Train with this project's public functions, then load the saved model and score the test split."""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from arithmetic import forward_flop
from peak_memory import peak_gb
from training import print_measurements, training_parser

from tf_tokclf import fit, load_config
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.encoding.encoded_split import encode_split
from tf_tokclf.files import open_whole
from tf_tokclf.inference.evaluate import evaluate_sentences, labelled_splits, own_config
from tf_tokclf.inference.tagger import Tagger


def main() -> None:
    """Train, score, and print what was measured."""
    parser = training_parser()
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--recipe", help="settings of a recipe instead of the learning rate of the other systems")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as output:
        run = Path(output) / "run"
        result = fit(load_config(options=settings_of(options, run)))
        peak = peak_gb()
        epochs = [record.train_seconds for record in result.history]
        training = own_config(str(run)).training
        # The model is in the file cache, as for the second command of a user. Loading is not counted.
        tagger = Tagger.load(str(run), precision=options.precision)
        data = DataConfig(test_file=str(options.folder / "test.jsonl"))
        splits = labelled_splits(str(run), "test", data, tagger.info)
        began = time.perf_counter()
        with open_whole(options.predictions) if options.predictions else nullcontext() as file:
            scores = evaluate_sentences(tagger, splits["test"], scheme=splits.scheme, predictions=file).scores
        scored = time.perf_counter() - began
        flop = 3 * len(epochs) * forward_flop(tagger.model, window_lengths(run, options.folder, tagger))
    print_measurements(
        train_seconds=sum(epochs),
        epoch_seconds=epochs,
        score_seconds=scored,
        f1=scores.overall.f1,
        precision=tagger.model.compute_dtype,
        peak=peak,
        packages=("tf-tokclf", "tensorflow", "transformers"),
        real_tflop=round(flop / 1e12, 6),
        dev_f1=max(record.dev_f1 for record in result.history),
        dev_seconds=round(sum(record.dev_seconds for record in result.history), 2),
        batch_size=training.per_device_train_batch_size,
    )


def settings_of(options: argparse.Namespace, run: Path) -> dict[str, object]:
    """The settings of the training by their dotted names."""
    recipe = {
        "recipe": "none",
        "optimizer.learning_rate": options.learning_rate,
        "training.per_device_train_batch_size": options.batch_size,
    }
    epochs = {"training.num_train_epochs": options.epochs} if options.epochs else {}
    return {
        "task": options.task,
        "data.train_file": str(options.folder / "train.jsonl"),
        "data.validation_file": str(options.folder / "validation.jsonl"),
        "model.name_or_path": options.encoder,
        "output_dir": str(run),
        **({"recipe": options.recipe} if options.recipe else recipe),
        **epochs,
        "training.seed": options.seed,
        "training.precision": options.precision,
    }


def window_lengths(run: Path, folder: Path, tagger: Tagger) -> list[int]:
    """The number of subword tokens of each training window."""
    data = DataConfig(train_file=str(folder / "train.jsonl"))
    train = labelled_splits(str(run), "train", data, tagger.info)["train"]
    return [len(ids) for ids in encode_split(train, tagger.labels, tagger.tokenizer, tagger.info.reading)["input_ids"]]


if __name__ == "__main__":
    main()
