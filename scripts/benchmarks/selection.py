"""Simulate active learning with `tf-tokclf select` on labelled data: test F1 by share of the labelled sentences.

    scripts/benchmark selection --encoder REF --data FOLDER [--task pos] [--strategy margin] [--strategy random] \\
        [--share 0.05] [--share 0.1] [--seed 1] [--limit 1000] --results selection.jsonl

REF is an encoder, as for fit. FOLDER contains the three splits in a form that fit reads. --encoder, --data, --strategy,
--share and --seed can be repeated. The training sentences are the pool. The first share of them is drawn at random by
the seed, and is the same for all strategies. In each round, a model is trained on the labelled sentences and scored on
the test set, and `select` chooses the sentences up to the next share. Sentences count once: copies of labelled ones are
never selected, whatever the strategy. --limit uses only so many training sentences.

A strategy is one of select, optionally with its diversity (margin:none, margin:words). disagreement trains three seeds
in each round, whose F1 is averaged. The strategy all trains once on all sentences, for comparison.

200 validation sentences choose the best epoch in each round, and the test set is limited to 1,000 sentences. Sentences
may differ in length, so the table also shows the number of labelled words.

Each round is a separate process, and adds a line to the results, with the chosen sentences. Rounds whose line is there
are not repeated, so an interrupted benchmark continues. The table shows the mean over the seeds and, after +-, the
standard deviation.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from measuring import machine, markdown_table, mean_and_deviation, run, told

N_TEST, N_VALIDATION = 1000, 200
SHARES = (0.05, 0.1, 0.2, 0.3)
STRATEGIES = ("margin", "random")
ALL = "all"
# The further seeds of a committee, added to the seed of the round.
COMMITTEE = (0, 1000, 2000)
# A course of active learning: everything but the share.
FIELDS = ("encoder", "data", "task", "limit", "strategy", "seed")


def main() -> None:
    """Run the rounds that are missing, and print the table."""
    options = parse_options()
    if options.one:
        print(json.dumps(measured(json.loads(options.one))))
        return
    shares = tuple(sorted(options.share or SHARES))
    done = read_results(options.results)
    wanted = list(courses(options))
    for number, course in enumerate(wanted, 1):
        labelled: list[int] | None = None
        for one in rounds(course, shares):
            if key(one) not in done:
                found = run([sys.executable, __file__, "--one", json.dumps({**one, "labelled": labelled})])
                done[key(one)] = one | found
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[key(one)]) + "\n")
                shown = {name: value for name, value in found.items() if name != "next"}
                told(f"course {number} of {len(wanted)}: {one | shown}")
            labelled = done[key(one)]["next"]
    print(machine())
    print(table([done[key(one)] for course in wanted for one in rounds(course, shares)]))


def parse_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--task", default="ner", help="task of all data sets; default: ner")
    parser.add_argument("--strategy", action="append", help="repeatable; default: margin and random")
    parser.add_argument("--share", type=float, action="append", help="repeatable; default: 0.05, 0.1, 0.2 and 0.3")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; default: 1 to 5")
    parser.add_argument("--limit", type=int, default=0, help="number of training sentences; default: all")
    parser.add_argument("--results", type=Path, default=Path("selection.jsonl"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def courses(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All courses that are asked for. The seeds are the outer loop, so that an interrupted benchmark has whole ones."""
    loops = (options.seed or range(1, 6), options.encoder, options.data, options.strategy or STRATEGIES)
    for seed, encoder, data, strategy in product(*loops):
        yield dict(zip(FIELDS, (encoder, str(Path(data).resolve()), options.task, options.limit, strategy, seed)))


def rounds(course: dict[str, Any], shares: Sequence[float]) -> Iterator[dict[str, Any]]:
    """The rounds of a course. earlier: the shares of the rounds before, on which the labelled sentences depend."""
    shares = (1.0,) if course["strategy"] == ALL else shares
    for n, (share, following) in enumerate(pairwise([*shares, None])):
        yield {**course, "earlier": list(shares[:n]), "share": share, "next_share": following}


def key(one: dict[str, Any]) -> tuple:
    """What identifies a round."""
    return (*(one[name] for name in (*FIELDS, "share", "next_share")), *one["earlier"])


def read_results(path: Path) -> dict[tuple, dict[str, Any]]:
    """The rounds in a file of results."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {key(one): one for one in map(json.loads, lines)}


def measured(one: dict[str, Any]) -> dict[str, Any]:
    """A round. labelled: the numbers of the labelled training sentences; None in the first round.

    Returns the test F1, the number of labelled sentences and words, the sentences of the next round, and the seconds.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = splits_of(one, folder)
        labelled = one["labelled"] or first_sentences(pool, one)
        write_labelled([pool[i] for i in labelled], folder / "train.tsv")
        begun = time.perf_counter()
        f1 = trained(one, folder)
        chosen: list[int] = []
        if one["next_share"] is not None:
            n_wanted = round(one["next_share"] * len(pool)) - len(labelled)
            chosen = selected(one, pool, n_wanted, folder)
        seconds = round(time.perf_counter() - begun, 1)
    n_words = sum(len(pool[i]) for i in labelled)
    return {
        "f1": f1,
        "n_sentences": len(labelled),
        "n_words": n_words,
        "next": [*labelled, *chosen],
        "seconds": seconds,
    }


def splits_of(one: dict[str, Any], folder: Path) -> list[list[tuple[str, str]]]:
    """The training sentences as words with labels. The other splits are written to the folder."""
    from tf_tokclf.config.schema import DataConfig, Task
    from tf_tokclf.data.splits import load_splits

    data = DataConfig(dataset_name=one["data"])
    splits = load_splits(data, task=Task(one["task"]), required=("train", "validation", "test"))
    limits = {"train": one["limit"] or len(splits["train"]), "validation": N_VALIDATION, "test": N_TEST}
    drawn = {}
    for n, (name, limit) in enumerate(limits.items()):
        sentences = [list(zip(sentence.words, sentence.labels or ())) for sentence in splits[name]]
        random.Random(n).shuffle(sentences)
        drawn[name] = [sentence for sentence in sentences if sentence][:limit]
    for name in ("validation", "test"):
        write_labelled(drawn[name], folder / f"{name}.tsv")
    return drawn["train"]


def write_labelled(sentences: Sequence[Sequence[tuple[str, str]]], path: Path) -> None:
    """Write words and labels in columns."""
    texts = ("".join(f"{word}\t{label}\n" for word, label in sentence) for sentence in sentences)
    path.write_text("\n".join(texts), encoding="utf-8")


def first_sentences(pool: Sequence[object], one: dict[str, Any]) -> list[int]:
    """The numbers of the sentences of the first round."""
    order = list(range(len(pool)))
    random.Random(one["seed"]).shuffle(order)
    return order[: round(one["share"] * len(pool))]


def trained(one: dict[str, Any], folder: Path) -> float:
    """Train on the labelled sentences. Returns the test F1, or the mean over a committee."""
    import tf_tokclf

    config = tf_tokclf.load_config(
        options={
            "task": one["task"],
            "model.name_or_path": one["encoder"],
            "output_dir": str(folder / "run"),
            "training.seed": one["seed"],
            "training.checkpoints": False,
            "training.report_to": (),
            **{f"data.{name}_file": str(folder / f"{name}.tsv") for name in ("train", "validation", "test")},
        }
    )
    if one["strategy"].partition(":")[0] != "disagreement":
        return tf_tokclf.fit(config).evaluations["test"].scores.overall.f1
    summary = tf_tokclf.fit(config, seeds=[one["seed"] + more for more in COMMITTEE])
    return statistics.mean(score.f1["test"] for score in summary.scores)


def selected(one: dict[str, Any], pool: Sequence[Sequence[tuple[str, str]]], n: int, folder: Path) -> list[int]:
    """The numbers of the sentences that `select` chooses. It leaves out the training data of the run."""
    records = ({"id": i, "words": [word for word, _ in sentence]} for i, sentence in enumerate(pool))
    (folder / "pool.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    strategy, _, diversity = one["strategy"].partition(":")
    options = ["--strategy", strategy, *(["--diversity", diversity] if diversity else []), "--seed", str(one["seed"])]
    files = [str(folder / name) for name in ("run", "pool.jsonl", "next.jsonl")]
    command = [sys.executable, "-m", "tf_tokclf", "select", *files[:2], "-n", str(n), "-o", files[2], *options]
    subprocess.run([*command, "--text-column-name", "words", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "next.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A row for each encoder, data set, strategy and share."""
    headings = ("encoder", "data", "strategy", "share", "sentences", "words", "test F1", "seeds", "seconds a round")
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["encoder"], row["data"], row["share"], row["strategy"]), []).append(row)
    lines = []
    for (encoder, data, share, strategy), found in sorted(groups.items()):
        means = [f"{statistics.mean(row[name] for row in found):,.0f}" for name in ("n_sentences", "n_words")]
        seconds = f"{statistics.mean(row['seconds'] for row in found):.0f}"
        f1 = mean_and_deviation(found, "f1")
        place = (Path(encoder).name, Path(data).name, strategy, f"{100 * share:g} %")
        lines.append([*place, *means, f1, str(len(found)), seconds])
    return markdown_table(headings, lines)


if __name__ == "__main__":
    main()
