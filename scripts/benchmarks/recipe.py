"""Compare the settings that the recipe auto chooses with other settings: test F1 by encoder, data, size and seed.

    scripts/benchmark recipe --encoder REF --data FOLDER [--task pos] [--size 200] [--size 1000] [--size 0] \\
        [--seed 1] [--settings auto] [--settings "1e-3 0.7 2 15"] --results grid.jsonl

REF is an encoder, as for fit. FOLDER contains the three splits in a form that fit reads. --encoder, --data, --size,
--seed and --settings can be repeated. Size is a number of training sentences, drawn at random, and 0 means all. The
test set is limited to 1,000 sentences, and the validation set to 200 or to a fifth of the training sentences.

Settings are auto, best or none, or four numbers: learning rate of the head, layer decay, span weight and epochs. They
use valid sequences only (Viterbi) and a warm-up of a tenth of the steps. With " crf" behind them, the head is a CRF.

Each run is a separate process, and adds a line to the results. Runs whose line is there are not repeated, so an
interrupted benchmark continues. The table shows the mean over the seeds and, after +-, the standard deviation.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from measuring import machine, markdown_table, run, told

N_TEST, N_VALIDATION = 1000, 200
RECIPES = ("auto", "best", "none")
# A run: encoder, data, task, size, seed and settings.
FIELDS = ("encoder", "data", "task", "size", "seed", "settings")


def main() -> None:
    """Run what is missing, and print the table."""
    options = parse_options()
    if options.one:
        print(json.dumps(measured(json.loads(options.one))))
        return
    done = read_results(options.results)
    wanted = list(runs(options))
    missing = [one for one in wanted if key(one) not in done]
    for n, one in enumerate(missing):
        found = run([sys.executable, __file__, "--one", json.dumps(one)])
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one | found) + "\n")
        told(f"{n + 1} of {len(missing)}: {one | found}")
    done = read_results(options.results)
    print(machine())
    print(table([done[key(one)] for one in wanted]))


def parse_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--task", default="ner", help="task of all data sets; default: ner")
    parser.add_argument("--size", type=int, action="append", help="repeatable; default: 200")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; default: 1, 2 and 3")
    parser.add_argument("--settings", action="append", help="repeatable; default: auto, best and none")
    parser.add_argument("--results", type=Path, default=Path("recipe.jsonl"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def runs(options: argparse.Namespace) -> Iterator[dict]:
    """All runs that are asked for. The seeds are the outer loop, so that an interrupted benchmark has whole ones."""
    loops = (options.seed or (1, 2, 3), options.encoder, options.data, options.size or (200,))
    for seed, encoder, data, size in product(*loops):
        for settings in options.settings or RECIPES:
            yield dict(zip(FIELDS, (encoder, str(Path(data).resolve()), options.task, size, seed, settings)))


def key(one: dict) -> tuple:
    """What identifies a run."""
    return tuple(one[name] for name in FIELDS)


def read_results(path: Path) -> dict[tuple, dict]:
    """The runs in a file of results."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {key(one): one for one in map(json.loads, lines)}


def measured(one: dict) -> dict[str, object]:
    """Train once. Returns the test F1 (without spans: the accuracy), the types with F1 0 and 20 or more gold spans in
    the training sentences, and the seconds.
    """
    import tf_tokclf

    with tempfile.TemporaryDirectory() as folder:
        counts = write_sample(one, Path(folder))
        files = {f"data.{name}_file": f"{folder}/{name}.tsv" for name in ("train", "validation", "test")}
        begun = time.perf_counter()
        config = tf_tokclf.load_config(
            options={
                "task": one["task"],
                "model.name_or_path": one["encoder"],
                "output_dir": f"{folder}/run",
                "training.seed": one["seed"],
                "training.checkpoints": False,
                "training.report_to": (),
                **files,
                **settings_of(one["settings"]),
            }
        )
        scores = tf_tokclf.fit(config).evaluations["test"].scores
    zero = sorted(type_ for type_, score in scores.by_type.items() if not score.f1 and counts.get(type_, 0) >= 20)
    best = scores.token_accuracy if one["task"] == "pos" else scores.overall.f1
    return {"f1": best, "zero": zero, "seconds": round(time.perf_counter() - begun, 1)}


def settings_of(text: str) -> dict[str, object]:
    """Settings by their dotted names."""
    if (others := text.removesuffix(" crf")) != text:
        return settings_of(others) | {"model.head": "crf"}
    if text in RECIPES:
        return {"recipe": text}
    rate, decay, weight, epochs = text.split()
    return {
        "recipe": "none",
        "optimizer.learning_rate": float(rate),
        "optimizer.layer_decay": float(decay),
        "optimizer.warmup_ratio": 0.1,
        "training.span_weight": float(weight),
        "training.num_train_epochs": int(epochs),
        "evaluation.decoding": "viterbi",
    }


def write_sample(one: dict, folder: Path) -> dict[str, int]:
    """Write the splits of a run. Returns the number of training spans by type."""
    from tf_tokclf.config.schema import DataConfig, Task
    from tf_tokclf.data.splits import load_splits

    data = DataConfig(dataset_name=one["data"])
    splits = load_splits(data, task=Task(one["task"]), required=("train", "validation", "test"))
    n_train = one["size"] or len(splits["train"])
    limits = {"train": n_train, "validation": max(N_VALIDATION, n_train // 5), "test": N_TEST}
    for n, (name, limit) in enumerate(limits.items()):
        sentences = [list(zip(sentence.words, sentence.labels or ())) for sentence in splits[name]]
        random.Random(n).shuffle(sentences)
        chosen = sentences[:limit]
        text = "\n".join("".join(f"{word}\t{label}\n" for word, label in sentence) for sentence in chosen)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
        if name == "train":
            labels = (label for sentence in chosen for _, label in sentence)
            counts = Counter(label[2:] for label in labels if label.startswith(("B-", "S-", "U-")))
    return counts


def table(results: list[dict]) -> str:
    """A row for each encoder, data set and size, a column for each of the settings."""
    names = list(dict.fromkeys(one["settings"] for one in results))
    rows: dict[tuple, dict[str, list[float]]] = {}
    for one in results:
        row = rows.setdefault((one["encoder"], Path(one["data"]).name, one["size"] or "all"), {})
        row.setdefault(one["settings"], []).append(100 * one["f1"])
    cells = [[*map(str, row), *(mean(found.get(name, [])) for name in names)] for row, found in rows.items()]
    return markdown_table(("encoder", "data", "sentences", *names), cells)


def mean(values: list[float]) -> str:
    """The mean and the standard deviation."""
    if not values:
        return "-"
    deviation = f" +- {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
