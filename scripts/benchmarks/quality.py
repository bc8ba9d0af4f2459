"""Compare converged trainings on small encoders with the PyTorch Trainer: test F1, time and memory, with tests.

    scripts/benchmark quality --results grid.jsonl --trainer-python VENV/bin/python \\
        --data wnut17=FOLDER --data ncbi=FOLDER --encoder minilm=REF [--seed 1] [--seed 2] [--only setting=ours-auto]
    scripts/benchmark quality --results grid.jsonl --table
    scripts/benchmark quality --results grid.jsonl --page docs/quality.md

Each data set and encoder is trained with four settings and several seeds:

    ours-auto      tf-tokclf as it is by default: recipe auto
    ours-none      tf-tokclf with the settings of run_ner.py: 5e-5, 3 epochs, batches of 8, linear decay
    trainer        the Trainer with the same settings, the last epoch
    trainer-tuned  the Trainer with the epochs and batch size of ours-auto, a warm-up of a tenth of the steps, and the
                   best epoch by validation F1. Its learning rate is the best of --rate by validation F1 with the first
                   seed

The Trainer uses bfloat16 and batches of similar length. All systems read the same files, which `tf-tokclf convert` and
`split` prepare from FOLDER, the data set as its authors publish it. Each cell is a process of its own. It writes the
predicted labels of all test words, which are scored by one seqeval call for all systems. Words that the Trainer does
not see, because they are behind the 512th subword token, count as O. For parts of speech, F1 is the accuracy.

A cell whose line is in the results is not trained again, so a killed benchmark continues. The cells of the first seed
come first. Run this on a machine that does nothing else. VENV is an environment with torch, transformers, accelerate,
datasets and seqeval.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from measuring import BASELINES, ROOT, ProcessFailed, machine, measured_by, told
from measuring.encoders import encoder_of
from quality_grid.cells import AUTO, NONE, SETTINGS, TRAINER, TUNED, Cell, Grid, Results, selection
from quality_grid.datasets import SOURCES, DataSet, prepared
from quality_grid.results import append_result, locked, read_results

SEEDS, RATES = (1, 2, 3), (5e-5, 1.5e-4, 5e-4)
# The settings of run_ner.py where they differ from those of the scripts.
RUN_NER = ("--learning-rate", "5e-5", "--epochs", "3", "--batch-size", "8")
WARMUP = 0.1


def main() -> None:
    """Train the missing cells, or print what is there."""
    from tf_tokclf.errors import UserError

    parser = options_parser()
    options = parser.parse_args()
    try:
        options.only = selection(options.only)
        if options.table or options.page:
            show(options)
        else:
            train_missing(options, parser)
    except (UserError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        told("Stopped. The same command continues.")
        sys.exit(130)


def show(options: argparse.Namespace) -> None:
    """Print the tables, and write the page and its pictures."""
    from quality_grid.page import page_files, report

    results = read_results(options.results)
    rows = {"data": list(named(options.data)), "encoders": list(named(options.encoder))}
    if options.page:
        for path, text in page_files(options.page, results, seeds=options.seed or SEEDS, **rows).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            told(f"{path} is written")
    if options.table:
        print(report(results, seeds=options.seed or SEEDS, **rows))


def train_missing(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Train the cells that are missing, or print them. A failed cell is left out, and makes the exit status 1."""
    if not options.data or not options.encoder:
        parser.error("name at least one --data NAME=FOLDER and one --encoder REF, or use --table")
    folder = options.prepared or options.results.with_suffix(".data")
    # A terminated benchmark ends its training too, as subprocess does for exceptions.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with locked(options.results), tempfile.TemporaryDirectory() as scratch:
        sources = named(options.data).items()
        sets = {one.name: one for one in (prepared(name, Path(at), folder, options.sentences) for name, at in sources)}
        encoders = {name: folder_of(ref, Path(scratch) / "encoder") for name, ref in named(options.encoder).items()}
        seeds, rates = tuple(options.seed or SEEDS), tuple(options.rate or RATES)
        grid = Grid(list(sets), list(encoders), seeds, rates, only=options.only)
        done = read_results(options.results)
        check_same_data(done, sets)
        if options.plan:
            ready, waiting = grid.missing(done)
            print("\n".join([*map(str, ready), *(f"{cell}: waits for others" for cell in waiting)]))
            return
        failed = train_cells(grid, sets, encoders, options)
    if failed:
        sys.exit(f"{len(failed)} failed: {'; '.join(map(str, failed))}")


def train_cells(
    grid: Grid, sets: Mapping[str, DataSet], encoders: Mapping[str, Path], options: argparse.Namespace
) -> list[Cell]:
    """Train cell after cell. Each can make others ready. Returns the cells that failed."""
    from tf_tokclf.errors import UserError

    failed: list[Cell] = []
    while True:
        done = read_results(options.results)
        ready, waiting = grid.missing(done)
        cell = next((cell for cell in ready if cell not in failed), None)
        if cell is None:
            break
        told(f"{len(ready) + len(waiting)} cells to do: {cell}")
        try:
            result = trained(cell, grid, sets[cell.data], encoders[cell.encoder], done, options)
        except (ProcessFailed, UserError) as error:
            told(f"{cell} failed: {error}")
            failed.append(cell)
            continue
        append_result(options.results, result)
        told(f"{cell}: F1 {100 * result['f1']:.2f}, {result['process_seconds']:.0f} s in all")
    for cell in waiting:
        needs = grid.reference(cell) if grid.reference(cell) not in done else f"all rates with seed {grid.seeds[0]}"
        told(f"{cell} is left out, because it needs {needs}")
    return failed


def trained(
    cell: Cell, grid: Grid, data: DataSet, encoder: Path, done: Results, options: argparse.Namespace
) -> dict[str, Any]:
    """Train a cell in another process, and score its predictions. Returns its line of results."""
    from quality_grid.scores import scored

    from tf_tokclf.json_text import parse_json

    if cell.setting in (TRAINER, TUNED) and not options.trainer_python:
        raise ProcessFailed("name the interpreter of an environment with torch: --trainer-python")
    with tempfile.TemporaryDirectory() as scratch:
        predictions = Path(scratch) / "test.jsonl"
        command = [*command_of(cell, done.get(grid.reference(cell), {}), options), str(data.folder)]
        command += ["--encoder", str(encoder), "--seed", str(cell.seed), "--task", data.task]
        search = {} if cell.setting in (TRAINER, TUNED) else {"PYTHONPATH": str(ROOT)}
        began = time.perf_counter()
        found = measured_by(
            [*command, "--predictions", str(predictions)], {"TOKENIZERS_PARALLELISM": "false", **search}
        )
        seconds = time.perf_counter() - began
        lines = predictions.read_text(encoding="utf-8").splitlines()
        predicted = [parse_json(line)["predicted"] for line in lines]
    gold = list(data.gold())
    is_ours = cell.setting in (AUTO, NONE)
    validation = found.get("dev_seconds", 0.0) if is_ours else 0.0
    return {
        **{name: getattr(cell, name) for name in ("data", "encoder", "setting", "seed", "rate")},
        **scored(gold, predicted, data.task),
        "task": data.task,
        "dev_f1": found.get("dev_f1"),
        "epochs": len(found["epoch_seconds"]),
        "batch_size": found["batch_size"],
        "learning_rate": cell.rate or (5e-5 if cell.setting != AUTO else None),
        "rates": list(grid.rates) if cell.setting == TUNED else [],
        "train_seconds": round(found["train_seconds"] + validation, 2),
        "score_seconds": found["score_seconds"],
        "process_seconds": round(seconds, 1),
        "peak_gb": found["peak_gb"],
        "arithmetic": found["precision"],
        "n_sentences": {split: sum(1 for _ in data.gold(split)) for split in ("train", "validation", "test")},
        "n_lost_words": found.get("n_lost_words", 0),
        "fingerprint": data.fingerprint,
        "versions": found["versions"],
        "machine": machine(),
        "date": date.today().isoformat(),
    }


def command_of(cell: Cell, reference: Mapping[str, Any], options: argparse.Namespace) -> list[str]:
    """The program of a cell and its own options. reference: the result of ours-auto, for the tuned Trainer."""
    ours = [sys.executable, str(BASELINES / "ours.py")]
    trainer = [str(options.trainer_python), str(BASELINES / "pytorch_trainer.py"), "--grouped"]
    trainer += [] if options.trainer_float32 else ["--bf16"]
    if cell.setting == AUTO:
        return [*ours, "--recipe", "auto"]
    if cell.setting == NONE:
        return [*ours, *RUN_NER]
    if cell.setting == TRAINER:
        return [*trainer, *RUN_NER]
    tuned = ["--learning-rate", repr(cell.rate), "--warmup-ratio", str(WARMUP), "--best-epoch"]
    return [*trainer, *tuned, "--epochs", str(reference["epochs"]), "--batch-size", str(reference["batch_size"])]


def named(texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts. Without a name, the value is an encoder, and gets its public name."""
    from tf_tokclf.encoding.model_folders import public_name

    pairs = (text.rpartition("=") for text in texts)
    return {name or public_name(value): value for name, _, value in pairs}


def folder_of(reference: str, scratch: Path) -> Path:
    """The folder of an encoder. Raises UserError if it has no weights."""
    from tf_tokclf.errors import UserError

    encoder = encoder_of(reference, scratch)
    if encoder.is_random:
        raise UserError(f"{reference} has no weights.", hint="Name a trained encoder.")
    return encoder.folder


def check_same_data(results: Results, sets: Mapping[str, DataSet]) -> None:
    """Raise UserError if results of a data set come from other sentences."""
    from tf_tokclf.errors import UserError

    for cell, result in results.items():
        if cell.data in sets and result["fingerprint"] != sets[cell.data].fingerprint:
            problem = f"{cell.data} has other sentences than the results of {cell}."
            raise UserError(problem, hint="Choose another file with --results.")


def options_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--results", type=Path, required=True, help="file of results, a line of JSON for each cell")
    add(
        "--data",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help=f"data set as published; can be repeated: {', '.join(SOURCES)}",
    )
    add("--encoder", action="append", default=[], metavar="[NAME=]REF", help="encoder, as for fit; can be repeated")
    add("--seed", type=int, action="append", help="seed; can be repeated; default: 1, 2 and 3")
    rates = ", ".join(f"{rate:g}" for rate in RATES)
    add("--rate", type=float, action="append", help=f"learning rate to try; can be repeated; default: {rates}")
    add("--trainer-python", help="interpreter of the environment with torch")
    add("--trainer-float32", action="store_true", help="no bfloat16, for processors that are slow with it")
    add("--sentences", type=int, help="use at most this many sentences of each split, to try the command")
    add("--prepared", type=Path, help="folder for the prepared data; default: beside the results")
    add(
        "--only",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"train only these cells: data, encoder, setting ({', '.join(SETTINGS)}) or seed; can be repeated",
    )
    add("--plan", action="store_true", help="print the missing cells, and train none")
    add("--table", action="store_true", help="print the tables of what is there, and train nothing")
    add("--page", type=Path, help="write the tables to this page and the pictures to images/ beside it; train nothing")
    return parser


if __name__ == "__main__":
    main()
