"""tf-tokclf split: output, files and exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import load_splits

NAMES = ("train", "validation", "test")


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["split", *map(str, args)])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """30 documents of one to five sentences."""
    text = ""
    for number in range(30):
        text += "-DOCSTART- O\n\n"
        for i in range(1 + number % 5):
            text += f"Ada{i} B-PER\nLovelace{number} I-PER\nsaw O\nOslo {'B-LOC' if number % 3 else 'O'}\n\n"
    path = tmp_path / "all.conll"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("format", [None, "conllu", "jsonl", "csv", "parquet", "brat", "parallel", "doccano"])
def test_the_files_have_the_sentences_that_fit_draws(source: Path, tmp_path: Path, format: str | None):
    """In every format, with the same seed."""
    done = json.loads(
        run(
            source,
            "-o",
            tmp_path / "data",
            "--test-fraction",
            0.2,
            "--seed",
            1,
            "--json",
            *(("--output-format", format) if format else ()),
        ).stdout
    )
    drawn = load_splits(DataConfig(train_file=str(source), test_fraction=0.2, split_seed=1), task=Task.NER)
    files = {name: tmp_path / "data" / done["splits"][name]["file"] for name in NAMES}
    written = load_splits(DataConfig(**{f"{name}_file": str(path) for name, path in files.items()}), task=Task.NER)
    for one, other in zip(drawn, written, strict=True):
        pairs = [[(sentence.words, sentence.labels) for sentence in split] for split in (one, other)]
        if format == "brat":  # documents are files, which are read in the order of their names
            pairs = list(map(sorted, pairs))
        assert pairs[0] == pairs[1]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(path.name for path in files.values())


def test_the_table_says_what_the_files_contain(source: Path, tmp_path: Path):
    result = run(source, "-o", tmp_path / "data")
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:]}
    texts = [(tmp_path / "data" / f"{name}.conll").read_text() for name in NAMES]
    assert rows["file"] == [f"{name}.conll" for name in NAMES]
    for row, part in (("sentences", "saw\t"), ("documents", "-DOCSTART-"), ("PER", "\tB-PER"), ("LOC", "\tB-LOC")):
        assert rows[row] == [str(text.count(part)) for text in texts]
    assert rows["words"] == [str(4 * text.count("saw\t")) for text in texts]
    assert "drawn from all.conll: 10 %, by document, seed 42" in " ".join(result.stderr.split())


def test_compressed_files_stay_compressed(source: Path, tmp_path: Path):
    subprocess.run(["gzip", "-k", source], check=True)
    run(source.with_name("all.conll.gz"), "-o", tmp_path / "data", "--test-fraction", 0)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["train.conll.gz", "validation.conll.gz"]


def test_files_are_replaced_with_force_only(source: Path, tmp_path: Path):
    folder = tmp_path / "data"
    run(source, "-o", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "Pass --force to replace the files" in run(source, "-o", folder, "--seed", 2, code=2).output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    run(source, "-o", folder, "--seed", 2, "--test-fraction", 0, "--force")
    assert sorted(path.name for path in folder.iterdir()) == ["train.conll", "validation.conll"]
    (folder / "notes.txt").write_text("mine")
    assert "contains other files: notes.txt" in run(source, "-o", folder, "--force", code=2).output
    text = run(folder / "train.conll", "-o", folder, "--force", code=2).output
    assert "would destroy the input" in " ".join(text.split())


def test_only_files_of_split_are_replaced(source: Path, tmp_path: Path):
    for name in ("train.notes.md", "test/thesis.txt", "train.conll/thesis.txt"):
        folder = tmp_path / Path(name).stem
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("mine")
        assert "contains other files: " in run(source, "-o", folder, "--force", code=2).output
        assert (folder / name).read_text() == "mine"
        shutil.rmtree(folder)


def test_all_files_are_written_or_none(source: Path, tmp_path: Path):
    """Here a word that CoNLL cannot contain."""
    records = [{"tokens": [f"a{i}", "b c" if i == 3 else "d"], "ner_tags": ["B-A", "O"]} for i in range(40)]
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    run(path, "-o", tmp_path / "data", "--output-format", "parallel", code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.conll", "all.jsonl"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--validation-fraction", 0.5, "--test-fraction", 0.5), "the shares 0.5 and 0.5 leave no sentences"),
        (("--validation-fraction", 0, "--test-fraction", 0), "so there is nothing to draw"),
        (("--test-fraction", 1), "--test-fraction"),
        (("--output-format", "webanno"), "the format 'webanno' cannot be written"),
        (("--output-format", "nothing"), "--output-format: brat, cluener, conll"),
    ],
)
def test_what_is_not_possible_is_told(source: Path, tmp_path: Path, options: tuple[object, ...], message: str):
    assert message in " ".join(run(source, "-o", tmp_path / "data", *options, code=2).output.split())
    assert not (tmp_path / "data").exists()


def test_it_does_not_import_tensorflow(source: Path, tmp_path: Path):
    code = (
        "import sys; from tf_tokclf.cli.main import cli;"
        f"cli(['split', {str(source)!r}, '-o', {str(tmp_path / 'data')!r}], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
