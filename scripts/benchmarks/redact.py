"""Redact invented documents with planted names and addresses, and check that none is left and that all can be restored.

    scripts/benchmark redact MODEL [--documents 2000 --documents 10000] [--format csv] [--seed 1] [--no-kill]

Each document has a name, an e-mail address and a street address among other words. The names are from a fixed list,
which is also the list of texts that are always redacted. Addresses are all different, and patterns find them. For each
format and number of documents, in separate processes:

- `tf-tokclf redact` writes the output and a map. No planted text may be left.
- `--restore` must give the bytes of the input. In Parquet, the tables must be equal.
- The job is started again, killed (SIGKILL) when half of the documents are written, and continued with `--resume`.
  Output and map must have the same bytes as without the kill.

The table shows the seconds and the peak memory of the first job, and the seconds of the others. Records are labelled in
blocks of about 32,768 words, here 1,400 documents. Up to three blocks are in memory, so it should not grow beyond 5,000
documents. A text file is one document, whose different names are remembered: about 10 MB for 10,000 documents.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

from measuring import ROOT, machine, markdown_table, told

FORMATS = ("txt", "jsonl", "csv", "parquet")
HEADINGS = ("format", "documents", "redact, s", "per second", "peak, MB", "restore, s", "killed after, s", "resume, s")
FIRST = "Ada Alan Anita Boris Carla Chidi Dana Edith Emil Farah Grace Hugo Ines Ivan Jonas Keiko Lena Mateo Nadia Omar"
LAST = (
    "Abara Bergmann Castillo Dubois Eriksen Fontaine Garcia Haddad Ibarra Jensen Kowalski Lovelace Moreau Nakamura "
    "Okafor Petrov Quist Rossi Sandoval Tanaka"
)
NAMES = [f"{first} {last}" for first, last in product(FIRST.split(), LAST.split())]
STREETS = "Alder Birch Cedar Garden Harbour Lake Mill Orchard River Station"
KINDS = ("Street", "Road", "Lane", "Avenue")
FILLERS = (
    "the report about a new bridge was late because nobody had asked for more time in spring and most people liked it "
    "then they met again to talk over plans that were made before winter"
)
RULES = r"""
patterns:
- {type: EMAIL, regex: '[\w.+-]+@[\w-]+(\.[\w-]+)+'}
- {type: ADDRESS, regex: '\d+ \w+ (Street|Road|Lane|Avenue)'}
"""


@dataclass(frozen=True)
class Document:
    """A text, and what must not be left of it."""

    text: str
    planted: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """Seconds and peak memory of a process."""

    seconds: float
    peak_mb: float


def main() -> None:
    """Run all formats and sizes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run, a model folder or an ONNX export")
    parser.add_argument("--documents", type=int, action="append", help="can be repeated; default 2000 and 10000")
    parser.add_argument("--format", choices=FORMATS, action="append", help="can be repeated; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-kill", action="store_true", help="do not kill and resume")
    arguments = parser.parse_args()
    sizes = arguments.documents or [2_000, 10_000]
    rows, peaks = [], dict[tuple[str, int], float]()
    for format, n in product(arguments.format or FORMATS, sizes):
        with tempfile.TemporaryDirectory() as folder:
            documents = list(invented(n, arguments.seed))
            job = Job(arguments.model, Path(folder), format)
            job.write(documents)
            done = job.redacted("out", "map")
            job.check_nothing_is_left(documents)
            restored = job.check_restored()
            times = ("", "") if arguments.no_kill else job.check_killed(n)
        peaks[format, n] = done.peak_mb
        rate = f"{n / done.seconds:.0f}"
        rows.append(
            [format, f"{n:,}", f"{done.seconds:.1f}", rate, f"{done.peak_mb:.0f}", f"{restored.seconds:.1f}", *times]
        )
        told(" | ".join(rows[-1]))
    print(f"{arguments.model}, {machine()}\n")
    print(markdown_table(HEADINGS, rows))
    for format, (fewer, more) in product(arguments.format or FORMATS, pairwise(sorted(sizes))):
        grown = peaks[format, more] - peaks[format, fewer]
        print(f"\n{format}: {grown:+.0f} MB from {fewer:,} to {more:,} documents", end="")
    print()


def invented(n: int, seed: int) -> Iterator[Document]:
    """Documents of about 20 words, always the same for a seed."""
    rng = random.Random(seed)
    for number in range(n):
        name = rng.choice(NAMES)
        mail = f"{name.lower().replace(' ', '.')}{number}@example.org"
        street = f"{number + 1} {rng.choice(STREETS.split())} {rng.choice(KINDS)}"
        words = rng.choices(FILLERS.split(), k=rng.randint(4, 16))
        at = rng.randint(0, len(words))
        text = " ".join([*words[:at], f"{name} wrote to {mail} from {street} ,", *words[at:], "."])
        yield Document(text, (name, mail, street))


@dataclass(frozen=True)
class Job:
    """The files and the commands of one format and size."""

    model: str
    folder: Path
    format: str

    def path(self, name: str) -> Path:
        """A file of the format."""
        return self.folder / f"{name}.{self.format}"

    def write(self, documents: Sequence[Document]) -> None:
        """Write the input and the rules."""
        denied = "".join(f"- {{text: {name}, type: PERSON}}\n" for name in NAMES)
        (self.folder / "rules.yaml").write_text(f"{RULES}deny:\n{denied}", encoding="utf-8")
        texts = [document.text for document in documents]
        if self.format == "parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), self.path("in"))
            return
        with self.path("in").open("w", encoding="utf-8", newline="") as file:
            if self.format == "csv":
                rows = csv.writer(file)
                rows.writerow(["id", "text"])
                rows.writerows(enumerate(texts))
            elif self.format == "jsonl":
                file.writelines(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))
            else:
                file.writelines(f"{text}\n" for text in texts)

    def texts(self, name: str) -> list[str]:
        """The texts of a file of the format."""
        if self.format == "parquet":
            import pyarrow.parquet as pq

            return pq.read_table(self.path(name))["text"].to_pylist()
        content = self.path(name).read_text(encoding="utf-8")
        if self.format == "csv":
            return [row["text"] for row in csv.DictReader(io.StringIO(content))]
        lines = content.splitlines()
        return [json.loads(line)["text"] for line in lines] if self.format == "jsonl" else lines

    def command(self, output: str, map_name: str, *more: str) -> list[str]:
        """The command that redacts."""
        return [
            *("redact", self.model, str(self.path("in")), "--patterns", str(self.folder / "rules.yaml")),
            *("--output", str(self.path(output)), "--map", str(self.folder / map_name), *more),
        ]

    def redacted(self, output: str, map_name: str, *more: str) -> Ran:
        """Redact the input."""
        return ran(self.command(output, map_name, *more))

    def check_nothing_is_left(self, documents: Sequence[Document]) -> None:
        """End the benchmark if a planted text is left in its document, or a name in any."""
        texts = self.texts("out")
        if len(texts) != len(documents):
            sys.exit(f"{self.format}: {len(documents):,} documents became {len(texts):,}")
        for number, (text, document) in enumerate(zip(texts, documents)):
            if left := [one for one in document.planted if one in text]:
                sys.exit(f"{self.format}: {left[0]!r} is left in document {number}: {text!r}")
        content = "\n".join(texts)
        if left := [name for name in NAMES if name in content]:
            sys.exit(f"{self.format}: {left[0]!r} is left")

    def check_restored(self) -> Ran:
        """Restore the original, and end the benchmark if it is another."""
        back = self.path("back")
        done = ran(["redact", "--restore", str(self.folder / "map"), str(self.path("out")), "--output", str(back)])
        if self.format == "parquet":
            import pyarrow.parquet as pq

            is_same = pq.read_table(back).equals(pq.read_table(self.path("in")))
        else:
            is_same = back.read_bytes() == self.path("in").read_bytes()
        if not is_same:
            sys.exit(f"{self.format}: the original was not restored")
        return done

    def check_killed(self, n: int) -> tuple[str, str]:
        """Kill a second job when half of the documents are written, and resume it. Returns the seconds of both."""
        journal = self.folder / f"{self.path('again').name}.journal"
        began = time.monotonic()
        process = started(self.command("again", "map again"))
        while process.poll() is None and n_written(journal) < n / 2:
            time.sleep(0.02)
        if process.poll() is not None:
            sys.exit(f"{self.format}: the job ended before it was killed; take more documents")
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = time.monotonic() - began
        resumed = self.redacted("again", "map again", "--resume")
        for one, two in ((self.path("out"), self.path("again")), (self.folder / "map", self.folder / "map again")):
            if one.read_bytes() != two.read_bytes():
                sys.exit(f"{self.format}: {two.name} differs from {one.name} after kill and --resume")
        return f"{killed:.1f}", f"{resumed.seconds:.1f}"


def n_written(journal: Path) -> int:
    """The number of documents that an unfinished job has written."""
    return json.loads(journal.read_text(encoding="utf-8"))["progress"]["n_records"] if journal.exists() else 0


def started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the program."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "tf_tokclf", *command], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def ran(command: Sequence[str]) -> Ran:
    """Run the program. Ends the benchmark if it fails."""
    began = time.monotonic()
    process = started(command)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode()[-3000:]}")
    return Ran(time.monotonic() - began, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
