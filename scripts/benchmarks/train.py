"""Compare training and scoring with the TensorFlow recipe of the Keras tutorial and with the PyTorch Trainer.

    scripts/benchmark train --torch-python VENV/bin/python [--data FOLDER] [--encoder REF] [--shape NAME] [--rounds 3]
    scripts/benchmark train --torch-python VENV/bin/python --shape deberta-v3-small --length 64 --length 128
    scripts/benchmark train --torch-python VENV/bin/python --baseline ratios.json [--write-baseline ratios.json]

The systems take turns, each in a separate process, with the same sentences, encoder, batch size, epochs, seed and
threads. Each round has another seed. VENV is another environment with torch, transformers, accelerate, datasets and
seqeval. FOLDER contains the three splits in a form that `fit` reads (train, validation or dev, test). By default, the
shipped sample of SNIPS is used. Run this on a machine that does nothing else. It prints a Markdown table for each
encoder: the medians, with the smallest and largest values of the rounds in brackets. For F1 it prints the mean and the
standard deviation.

REF is an encoder as for `fit`, by default MiniLM-L6. A folder without weights gets random ones. --shape uses the sizes
of a known encoder with random weights and MiniLM's tokenizer. Times do not depend on the weights, but F1 does, so it is
not shown. With random weights, the default is 60 steps in two epochs. In the second epoch, no system traces or compiles
anything. The same default applies to --length, which measures sentences of one length, without padding.

"share of their rate": operations per second on real subword tokens, as a share of the rate that large matrix products
reach on this machine in the same precision.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from measuring import BASELINES, ROOT, Measured, machine, markdown_table, mean_and_deviation, run, spread, told
from measuring.encoders import MINILM, SHAPES, Encoder, encoder_of, encoder_of_shape
from measuring.ratios import OURS, Entry, comparison, medians, ratios_of, read_entries, write_entries
from measuring.workloads import BATCH, Workload, write_workload


@dataclass(frozen=True)
class System:
    """A script that trains, and its arguments.

    by_default: whether it is measured unless it is left out. for_scores: whether only its scores are of interest.
    """

    script: str
    arguments: tuple[str, ...] = ()
    needs_torch: bool = False
    by_default: bool = True
    for_scores: bool = False


FLOAT32 = f"{OURS}, float32"
SYSTEMS = {
    OURS: System("ours.py"),
    FLOAT32: System("ours.py", ("--precision", "float32")),
    f"{OURS}, recipe best": System("ours.py", ("--recipe", "best"), for_scores=True),
    "tutorial's TF recipe": System("keras_tutorial.py"),
    "tutorial's TF recipe, bf16": System("keras_tutorial.py", ("--bfloat16",), by_default=False),
    "PyTorch Trainer, as usually run": System("pytorch_trainer.py", needs_torch=True),
    "PyTorch Trainer, grouped by length": System("pytorch_trainer.py", ("--grouped",), needs_torch=True),
    "PyTorch Trainer, grouped by length, bf16": System("pytorch_trainer.py", ("--grouped", "--bf16"), needs_torch=True),
    "PyTorch Trainer, grouped by length, bf16, torch_compile": System(
        "pytorch_trainer.py", ("--grouped", "--bf16", "--compile"), needs_torch=True, by_default=False
    ),
}
# The numbers of steps and epochs of trainings that only measure times.
SHORT_STEPS, SHORT_EPOCHS = 60, 2

Results = dict[str, list[Measured]]


def main() -> None:
    """Measure all systems with each encoder and each length, and print the tables."""
    from tf_tokclf.errors import UserError

    options = parse_options()
    try:
        stored = read_entries(options.baseline) if options.baseline else []
        with tempfile.TemporaryDirectory() as scratch:
            for entry in benchmarks(options, Path(scratch)):
                if options.baseline:
                    print(f"{comparison(entry, stored)}\n", flush=True)
                if options.write_baseline:
                    write_entries(options.write_baseline, [entry])
    except (OSError, UserError) as error:
        sys.exit(f"Error: {error}")


def benchmarks(options: argparse.Namespace, scratch: Path) -> Iterator[Entry]:
    """Measure, print a table for each encoder and length, and return the ratios."""
    from tf_tokclf.version import __version__

    rates = run([sys.executable, str(BASELINES / "matmul_rate.py")])
    for encoder in encoders(options, scratch):
        for length in options.length or (None,):
            workload = workload_of(options, encoder, length, scratch / f"{encoder.folder.name}-{length}")
            measured = measure(options, encoder, workload)
            print(f"{report(measured, encoder, workload, rates, options)}\n", flush=True)
            today = date.today().isoformat()
            yield Entry(today, __version__, machine(), str(workload), encoder.name, ratios_of(measured))


def encoders(options: argparse.Namespace, scratch: Path) -> Iterator[Encoder]:
    """The encoders of --encoder and --shape."""
    references = options.encoder or ([] if options.shape else [MINILM])
    for number, reference in enumerate(references):
        yield encoder_of(reference, scratch / f"encoder-{number}")
    for shape in options.shape:
        yield encoder_of_shape(shape, scratch / shape)


def workload_of(options: argparse.Namespace, encoder: Encoder, length: int | None, folder: Path) -> Workload:
    """The sentences to train on. --steps limits the sentences, so that all systems train on the same ones."""
    epochs, n_steps = (SHORT_EPOCHS, SHORT_STEPS) if encoder.is_random or length else (1, 0)
    epochs = options.epochs or epochs
    n_steps = n_steps if options.steps is None else options.steps
    limits = [options.max_train_samples, max(n_steps // epochs, 1) * BATCH if n_steps else None]
    most = min((limit for limit in limits if limit is not None), default=None)
    return write_workload(options.data, folder, epochs=epochs, most=most, length=length, encoder=encoder.folder)


def measure(options: argparse.Namespace, encoder: Encoder, workload: Workload) -> Results:
    """Run the systems in turn, and return what they measured in each round."""
    measured: Results = {name: [] for name in chosen_systems(options, encoder)}
    for turn in range(options.rounds):
        for name in list(measured):
            system = SYSTEMS[name]
            python = options.torch_python if system.needs_torch else sys.executable
            command = [python, str(BASELINES / system.script), str(workload.folder), "--epochs", str(workload.epochs)]
            command += ["--seed", str(options.seed + turn), "--encoder", str(encoder.folder), *system.arguments]
            search = {} if system.needs_torch else {"PYTHONPATH": str(ROOT)}
            found = run(command, {"TOKENIZERS_PARALLELISM": "false", **search})
            told(f"{encoder.name}, round {turn + 1}, {name}: {found}")
            if "absent" in found:
                del measured[name]
                continue
            measured[name].append(found)
            if name == OURS and found["precision"] == "float32":
                measured.pop(FLOAT32, None)
    return measured


def chosen_systems(options: argparse.Namespace, encoder: Encoder) -> list[str]:
    """The names of the systems to measure, ours first."""
    return [
        name
        for name, system in SYSTEMS.items()
        if (system.by_default or name in options.also)
        and name not in options.leave_out
        and (options.torch_python or not system.needs_torch)
        and not (encoder.is_random and system.for_scores)
    ]


def report(
    measured: Results, encoder: Encoder, workload: Workload, rates: Measured, options: argparse.Namespace
) -> str:
    """The table in Markdown, after what was measured where."""
    seeds = ", ".join(str(options.seed + turn) for turn in range(options.rounds))
    versions = dict.fromkeys(row["versions"] for rows in measured.values() for row in rows)
    head = (
        f"**{encoder.name}**{' (random weights)' if encoder.is_random else ''}. {workload}; batch {BATCH}, "
        f"seeds {seeds}; {machine()}; matrix products {rates['float32']:.0f} GFLOP/s in float32, "
        f"{rates['bfloat16']:.0f} in bfloat16; {'; '.join(versions)}"
    )
    rows = [row_of(name, measured, encoder, workload, rates) for name in measured]
    return f"{head}\n\n{markdown_table(list(rows[0]), [list(row.values()) for row in rows])}"


def row_of(name: str, measured: Results, encoder: Encoder, workload: Workload, rates: Measured) -> Mapping[str, str]:
    """The cells of a system by their headings."""
    rows, ours = measured[name], measured[OURS]
    seconds, of_ours = medians(rows), medians(ours)
    precision = rows[0]["precision"]
    # The subword tokens are the same for every system, because padding does not count.
    gflop = ours[0]["real_tflop"] * 1000
    cells = {
        "system": name,
        "precision": precision,
        "training, s": spread(rows, "train_seconds"),
        "against ours": f"{seconds['training'] / of_ours['training']:.2f} x",
        "words/s": f"{workload.epochs * workload.n_words / seconds['training']:,.0f}",
        "share of their rate": f"{gflop / seconds['training'] / rates[precision]:.0%}",
    }
    if "later epoch" in seconds:
        steps = [{"ms": 1000 * statistics.mean(row["epoch_seconds"][1:]) / workload.steps_per_epoch} for row in rows]
        cells["later step, ms"] = spread(steps, "ms", 0)
        cells["later step against ours"] = f"{seconds['later epoch'] / of_ours['later epoch']:.2f} x"
    return {
        **cells,
        "scoring test, s": spread(rows, "score_seconds"),
        "peak GB": spread(rows, "peak_gb", 2),
        "test F1": "-" if encoder.is_random else mean_and_deviation(rows, "f1"),
    }


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--torch-python", help="interpreter of the environment with torch; without it, only TensorFlow is measured")
    add("--data", default="package:tf_tokclf/shipped/snips", help="folder with the three splits")
    add("--encoder", action="append", default=[], help="encoder, as for fit; can be repeated")
    add(
        "--shape",
        action="append",
        default=[],
        choices=SHAPES,
        metavar="NAME",
        help=f"encoder with random weights; can be repeated: {', '.join(SHAPES)}",
    )
    add("--rounds", type=int, default=3, help="number of rounds; default: 3")
    add("--epochs", type=int, help=f"number of epochs; default: 1; {SHORT_EPOCHS} with random weights or --length")
    add("--seed", type=int, default=1, help="seed of the first round; each later round uses the next number")
    add("--max-train-samples", type=int, help="use only the first N training sentences")
    add(
        "--steps",
        type=int,
        help="train about N steps in all epochs together, on fewer sentences; 0: all sentences. Default: 0; "
        f"{SHORT_STEPS} with random weights or --length",
    )
    add(
        "--length",
        type=int,
        action="append",
        help="train on sentences of exactly N subword tokens, made of words of the data; can be repeated",
    )
    optional = [name for name, system in SYSTEMS.items() if not system.by_default]
    left_out = [name for name, system in SYSTEMS.items() if system.by_default and name != OURS]
    for option, names, effect in (("--also", optional, "add"), ("--leave-out", left_out, "leave out")):
        listed = "; ".join(f'"{name}"' for name in names)
        about = f"system to {effect}; can be repeated: {listed}"
        add(option, action="append", default=[], choices=names, metavar="SYSTEM", help=about)
    add("--baseline", type=Path, help="compare the ratios with those that are stored in this file")
    add("--write-baseline", type=Path, help="store the ratios in this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
