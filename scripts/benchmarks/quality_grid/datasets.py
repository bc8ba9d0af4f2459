"""The data sets: from the files that their authors publish to three splits in one form, by convert and split."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.errors import UserError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """A data set as it is published.

    title: its name in tables. files: the file of each split. whole: the file that is divided if there are no splits.
    shares: of the sentences, for validation and test. options: those of `convert`.
    """

    title: str
    files: tuple[str, ...] = ()
    whole: str = ""
    shares: tuple[float, float] = (0.15, 0.15)
    options: tuple[str, ...] = ()
    task: str = "ner"


_HIPE = "HIPE-2022-v2.1-ajmc-{}-en.tsv"
_POS = "en_eslspok-ud-{}.conllu"
_PARTS = ("train", "dev", "test")
SOURCES: Mapping[str, Source] = {
    "wnut17": Source("WNUT-17", ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")),
    "snips": Source("SNIPS", _PARTS),
    "ncbi": Source("NCBI disease", ("IOB/train.tsv", "IOB/devel.tsv", "IOB/test.tsv")),
    "wikigold": Source("WikiGold", whole="wikigold.conll.txt"),
    "eslspok": Source("UD ESLSpok, POS", tuple(_POS.format(part) for part in _PARTS), task="pos"),
    "hipe": Source(
        "HIPE-2022 ajmc, en",
        tuple(_HIPE.format(part) for part in _PARTS),
        options=("--label-column-name", "NE-COARSE-LIT"),
    ),
    "litbank": Source("LitBank", whole="entities/tsv", shares=(0.1, 0.2)),
}


@dataclass(frozen=True)
class DataSet:
    """A prepared folder with train.jsonl, validation.jsonl, test.jsonl and labels.json, which all systems read."""

    name: str
    folder: Path
    task: str

    @property
    def fingerprint(self) -> str:
        """The same for the same sentences and labels."""
        content = b"".join((self.folder / f"{split}.jsonl").read_bytes() for split in SPLITS)
        return hashlib.sha256(content).hexdigest()[:12]

    def gold(self, split: str = "test") -> Iterator[list[str]]:
        """The labels of each sentence."""
        with (self.folder / f"{split}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)[f"{self.task}_tags"]


def title_of(name: str) -> str:
    """The title of a data set, with the limit of sentences that its name ends with."""
    source, _, limit = name.partition("-")
    title = SOURCES[source].title if source in SOURCES else source
    return f"{title}, {limit} sentences" if limit else title


def commands_of(name: str, source: str, folder: str) -> list[list[str]]:
    """The arguments of the commands that prepare a data set, after `tf-tokclf`."""
    rule = SOURCES[name]
    convert = ["convert", *(["--task", "pos"] if rule.task == "pos" else ["--to-scheme", "IOB2"]), *rule.options]
    if rule.whole:
        whole = f"{folder}/all.jsonl"
        shares = [f"--{split}-fraction={share:g}" for split, share in zip(SPLITS[1:], rule.shares)]
        divide = ["split", *shares, "--seed", "42", "--force", whole, "--output", f"{folder}/splits"]
        return [[*convert, f"{source}/{rule.whole}", whole], divide]
    return [[*convert, f"{source}/{file}", f"{folder}/{split}.jsonl"] for file, split in zip(rule.files, SPLITS)]


def prepared(name: str, source: Path, folder: Path, limit: int | None) -> DataSet:
    """The data set in `folder`, which is made if it is not there. limit: the most sentences of each split, for trials.

    Raises UserError if the source cannot be read.
    """
    if name not in SOURCES:
        raise UserError(f"there is no data set {name}.", hint=f"Known ones: {', '.join(SOURCES)}.")
    own_name = f"{name}-{limit}" if limit else name
    place = folder / own_name
    if not place.exists():
        if not source.is_dir():
            raise UserError(f"there is no folder {source}.", hint=f"Name the folder of {name} with --data.")
        partial = folder / f"{own_name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _prepare(name, source, partial, limit)
        partial.rename(place)
    return DataSet(own_name, place, SOURCES[name].task)


def _prepare(name: str, source: Path, folder: Path, limit: int | None) -> None:
    for arguments in commands_of(name, str(source), str(folder)):
        done = subprocess.run([sys.executable, "-m", "tf_tokclf", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"tf-tokclf {' '.join(arguments)} failed: {done.stderr.strip()[-1000:]}")
    if (folder / "splits").is_dir():
        for split in SPLITS:
            (folder / "splits" / f"{split}.jsonl").rename(folder / f"{split}.jsonl")
        (folder / "splits").rmdir()
        (folder / "all.jsonl").unlink()
    if limit:
        for split in SPLITS:
            _keep_some(folder / f"{split}.jsonl", limit)
    data = DataSet(name, folder, SOURCES[name].task)
    labels = {label for split in SPLITS for sentence in data.gold(split) for label in sentence}
    names = sorted(labels, key=lambda label: (label != "O", label))
    (folder / "labels.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")


def _keep_some(path: Path, limit: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = random.Random(0).sample(lines, min(limit, len(lines)))
    path.write_text("".join(kept), encoding="utf-8")
