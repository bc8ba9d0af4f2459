"""Compare prediction with transformers.pipeline in TensorFlow and PyTorch, with plain ONNX Runtime and with spaCy.

    scripts/benchmark predict runs/mine/model lines.txt --torch-python VENV/bin/python [--rounds 3]
    scripts/benchmark predict runs/mine/model lines.txt --export exported [--spacy en_core_web_sm]
    scripts/benchmark predict runs/mine/model lines.txt --memory

TEXT has one sentence per line. Each run is a separate process. Loading and a warm-up of 64 sentences are not counted.
The PyTorch pipeline first tries each of --batch-sizes on a sample of --sample sentences from all parts of the text, and
keeps the fastest. So does plain ONNX Runtime code, which sorts the texts by length. Then the systems take turns on the
whole text. The TensorFlow pipeline labels only the sample, because it processes texts one by one. --export: a folder
that `tf-tokclf export --format onnx` wrote. Its ONNX files are measured with both programs. --plain-export: a folder
with tokenizer.json, config.json and ONNX files in the folder onnx, which another program exported. They are measured
with plain ONNX Runtime only. Run this on a machine that does nothing else. It prints Markdown tables.

--memory: instead of the time, measure this project's peak memory on the text and on --times copies of it. The
look-ahead is chosen so that the text fills it several times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measuring import BASELINES, ROOT, Measured, markdown_table, run, spread, told

OURS = "tf-tokclf"
# The text is much longer than this, so memory that grows with the text would be noticed.
LOOK_AHEADS = 5


def main() -> None:
    """Measure speed or memory, depending on the options."""
    options = parse_options()
    lines = options.text.read_text(encoding="utf-8").splitlines()[: options.sentences]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "lines.txt"
        write_lines(text, lines)
        if options.memory:
            measure_memory(options, text, lines)
        else:
            sample = Path(folder) / "sample.txt"
            write_lines(sample, lines[:: max(len(lines) // options.sample, 1)])
            measure_speed(options, text, sample)


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("text", type=Path, help="file with one sentence per line")
    parser.add_argument("--torch-python", help="interpreter with torch and transformers 5")
    parser.add_argument(
        "--export",
        type=Path,
        action="append",
        default=[],
        help="ONNX export of the model; repeatable",
    )
    parser.add_argument(
        "--plain-export",
        type=Path,
        action="append",
        default=[],
        help="ONNX export of the model by another program; repeatable",
    )
    parser.add_argument("--spacy", help="spaCy pipeline with an entity recogniser: a package or a folder")
    parser.add_argument("--batch-sizes", default="1,8,16,32,64", help="batch sizes that other programs try")
    parser.add_argument(
        "--sample", type=int, default=200, help="number of sentences to try them on, and for the TensorFlow pipeline"
    )
    parser.add_argument(
        "--sentences", type=int, default=10_000, help="use at most this number of sentences of the text"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bfloat16", action="store_true", help="also measure this project and PyTorch in bfloat16")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--times", type=int, default=20, help="number of copies of the text for the second peak")
    return parser.parse_args()


def measure_speed(options: argparse.Namespace, text: Path, sample: Path) -> None:
    """Print how many sentences per second each system labels."""
    systems = all_systems(options, text, sample)
    measured: dict[str, list[Measured]] = {name: [] for name in systems}
    for turn in range(options.rounds):
        # A different system begins each round, so that no system gains if the machine becomes slower.
        names = list(systems) if turn % 2 == 0 else list(reversed(systems))
        for name in names:
            measured[name].append(labelled(systems[name]))
            report_run(f"round {turn + 1}, {name}", measured[name][-1])
    print(table(measured))


def all_systems(options: argparse.Namespace, text: Path, sample: Path) -> dict[str, list[str]]:
    """The commands of all systems by their names."""
    ours = baseline("predict_ours.py", options.model, text, "--engine", "tensorflow")
    systems = {
        OURS: ours,
        "pipeline, TF, text by text": baseline("pipeline.py", options.model, sample, "--framework", "tf"),
    }
    for bfloat16 in (False, True)[: 2 if options.bfloat16 else 1]:
        suffix = ", bfloat16" if bfloat16 else ""
        if bfloat16:
            systems[f"{OURS}{suffix}"] = [*ours, "--precision", "mixed_bfloat16"]
        if options.torch_python:
            command = baseline("pipeline.py", options.model, python=options.torch_python)
            arguments = ["--framework", "pt", *(["--bfloat16"] if bfloat16 else [])]
            systems |= best_batches(f"pipeline, PyTorch{suffix}", command, arguments, options, text, sample)
    for folder in options.export:
        for file in json.loads((folder / "onnx" / "record.json").read_text())["files"]:
            precision = ["--engine", "onnx", "--precision", file["precision"]]
            systems[f"{OURS}, ONNX, {file['precision']}"] = baseline("predict_ours.py", folder, text, *precision)
            name = f"plain ONNX Runtime, {file['precision']}"
            command = baseline("plain_onnx.py", folder)
            systems |= best_batches(name, command, ["--file", file["file"]], options, text, sample)
    for folder in options.plain_export:
        for path in sorted((folder / "onnx").glob("*.onnx")):
            name = f"plain ONNX Runtime, {folder.name}, {path.stem}"
            command = baseline("plain_onnx.py", folder)
            systems |= best_batches(name, command, ["--file", path.name], options, text, sample)
    if options.spacy:
        systems[f"spaCy, {Path(options.spacy).name}"] = baseline("spacy_ner.py", options.spacy, text)
    return systems


def baseline(script: str, model: str | Path, *arguments: str | Path, python: str = sys.executable) -> list[str]:
    """The command that runs a script of the baselines."""
    return [python, str(BASELINES / script), str(model), *map(str, arguments)]


def best_batches(
    name: str, command: Sequence[str], arguments: Sequence[str], options: argparse.Namespace, text: Path, sample: Path
) -> dict[str, list[str]]:
    """Name and command of a system at the batch size that is fastest on the sample."""
    rates = {}
    for size in map(int, options.batch_sizes.split(",")):
        result = labelled([*command, str(sample), *arguments, "--batch-size", str(size)])
        rates[size] = rate(result)
        report_run(f"{name}, batches of {size}", result)
    best = max(rates, key=lambda size: rates[size])
    return {f"{name}, batches of {best}": [*command, str(text), *arguments, "--batch-size", str(best)]}


def measure_memory(options: argparse.Namespace, text: Path, lines: Sequence[str]) -> None:
    """Print this project's peak on the text and on a longer one."""
    n_words = sum(len(line.split()) for line in lines)
    look_ahead = max(n_words // LOOK_AHEADS, 1)
    command = baseline("predict_ours.py", options.model, text, "--look-ahead", str(look_ahead))
    print(f"look-ahead of {look_ahead:,} words\n\n| sentences | words | peak, MB |\n|---|---|---|")
    for times in (1, options.times):
        write_lines(text, lines * times)
        result = labelled(command)
        print(f"| {result['sentences']:,} | {times * n_words:,} | {result['peak_mb']:,.0f} |", flush=True)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write the lines to a text file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def labelled(command: list[str]) -> Measured:
    """Label a text with a system, and return its measurements."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "true"}
    environment["PYTHONPATH"] = str(ROOT) if command[0] == sys.executable else ""
    return run(command, environment)


def rate(result: Measured) -> float:
    """Sentences per second."""
    return result["sentences"] / result["seconds"]


def report_run(name: str, result: Measured) -> None:
    """Log the speed of a run."""
    told(f"{name}: {rate(result):,.0f} sentences per second")


def table(measured: dict[str, list[Measured]]) -> str:
    """A table of the medians over the rounds, with the smallest and largest values in brackets."""
    headings = (
        "system",
        "sentences per second",
        f"speed of {OURS}, as a multiple",
        "sentences",
        "entities",
        "peak, MB",
    )
    rates = {name: [rate(one) for one in results] for name, results in measured.items()}
    ours = statistics.median(rates[OURS])
    rows = []
    for name, values in rates.items():
        last = measured[name][-1]
        counts = [f"{last[key]:,.0f}" for key in ("sentences", "entities", "peak_mb")]
        rows.append(
            [
                name,
                spread([{"rate": value} for value in values], "rate", 0),
                f"{ours / statistics.median(values):.2f}",
                *counts,
            ]
        )
    return markdown_table(headings, rows)


if __name__ == "__main__":
    main()
