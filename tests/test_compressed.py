"""Compressed files are read and written in every command as plain ones are."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from tests.data.converting import convert
from tf_tokclf.cli.main import cli
from tf_tokclf.compressed import open_bytes

CONLL = "Ada\tB-PER\nleft\tO\n\nOslo\tB-LOC\n\n"
JSONL = '{"tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"]}\n{"tokens": ["Oslo"], "ner_tags": ["B-LOC"]}\n'
SENTENCES = ["Ada/B-PER left/O", "Oslo/B-LOC"]


def zip_of(content: bytes, name: str = "data", *more: str) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other in more:
            archive.writestr(other, b"x")
    return out.getvalue()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zip": zip_of,
}


def run(*args: str | Path) -> Result:
    result = CliRunner().invoke(cli, [*map(str, args)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "conll", "jsonl"])
def test_text_is_read_by_its_first_bytes(tmp_path: Path, kind: str, name: str):
    content = JSONL if name.endswith("jsonl") else CONLL
    path = tmp_path / f"{name}.{kind}"
    path.write_bytes(COMPRESS[kind](content.encode()))
    assert convert(path).sentences == SENTENCES
    bare = tmp_path / f"{name}.txt"
    bare.write_bytes(path.read_bytes())
    assert convert(bare).sentences == SENTENCES


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "a.csv", "a.conllu", "a.parquet"])
def test_there_and_back(tmp_path: Path, kind: str, name: str):
    (tmp_path / "in.conll").write_text(CONLL)
    out = tmp_path / f"{name}.{kind}"
    assert run("convert", tmp_path / "in.conll", out).exit_code == 0
    assert out.read_bytes()[:2] == COMPRESS[kind](b"")[:2] or kind == "zip"
    assert convert(out).sentences == SENTENCES
    first = out.read_bytes()
    run("convert", tmp_path / "in.conll", out, "--force")
    assert out.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.conll", out.name])


@pytest.mark.parametrize("kind", COMPRESS)
def test_every_command_reads_them(tmp_path: Path, kind: str, tiny_classifier: Path):
    gold, text = tmp_path / f"gold.conll.{kind}", tmp_path / f"in.txt.{kind}"
    gold.write_bytes(COMPRESS[kind](CONLL.encode()))
    text.write_bytes(COMPRESS[kind](b"ada left\nrome\n"))
    assert "2      3" in run("inspect", gold).stdout.replace("2         2", "2")
    assert run("evaluate", "--predictions", gold, "--gold", gold).exit_code == 0
    assert run("evaluate", tiny_classifier, "--file", gold).exit_code == 0
    out = tmp_path / f"out.jsonl.{kind}"
    assert run("predict", tiny_classifier, text, "--output", out).exit_code == 0
    with open_bytes(out)[0] as file:
        assert len(file.read().splitlines()) == 2
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".partial", ".journal", ".plain")]


def test_a_data_set_of_compressed_files(tmp_path: Path):
    (tmp_path / "train.conll.gz").write_bytes(gzip.compress(CONLL.encode()))
    (tmp_path / "test.conll.gz").write_bytes(gzip.compress(CONLL.encode()))
    found = json.loads(run("inspect", tmp_path, "--json").stdout)
    assert [split["name"] for split in found["splits"]] == ["train", "test"]


def test_parallel_files_and_folders_of_files(tmp_path: Path):
    (tmp_path / "seq.in.gz").write_bytes(gzip.compress(b"Ada left\nOslo\n"))
    (tmp_path / "seq.out.xz").write_bytes(lzma.compress(b"B-PER O\nB-LOC\n"))
    assert convert(tmp_path / "seq.in.gz").sentences == SENTENCES
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.conll.bz2").write_bytes(bz2.compress(CONLL.encode()))
    (folder / "b.conll").write_text(CONLL)
    assert convert(folder).sentences == SENTENCES * 2


def test_a_zip_archive_s_only_file_tells_the_format(tmp_path: Path):
    text = "1\tAda\t_\tPROPN\t_\t_\t0\t_\t_\tNER=B-PER\n\n"
    (tmp_path / "data.zip").write_bytes(zip_of(text.encode(), "sets/train.conllu", "__MACOSX/._train.conllu"))
    result = convert(tmp_path / "data.zip")
    assert result.sentences == ["Ada/B-PER"]
    assert "conllu: words in FORM" in result.messages


def cut(kind: str) -> bytes:
    return COMPRESS[kind](CONLL.encode() * 99)[:-9]


DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "two files": (
        lambda: zip_of(b"x", "a.conll", "b.conll"),
        "is an archive that contains a.conll, b.conll. Only archives with exactly one file can be read",
    ),
    **{f"{kind} that ends early": (partial(cut, kind), "is damaged or ends early") for kind in COMPRESS},
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_cannot_be_read_ends_in_a_message(tmp_path: Path, case: str):
    content, said = DAMAGED[case]
    path = tmp_path / "a.conll.zip"
    path.write_bytes(content())
    result = convert(path)
    assert result.exit_code == 2
    assert said in result.messages


def test_streams_behind_each_other_are_one(tmp_path: Path):
    first, second = CONLL[:5].encode(), CONLL[5:].encode()
    for kind in ("gz", "zst", "xz", "bz2"):
        path = tmp_path / f"a.conll.{kind}"
        path.write_bytes(COMPRESS[kind](first) + COMPRESS[kind](second))
        assert convert(path).sentences == SENTENCES


def test_words_that_begin_like_compressed_data_are_words(tmp_path: Path):
    (tmp_path / "a.conll").write_text("BZh9\tB-X\nPK\tO\n")
    assert convert(tmp_path / "a.conll").sentences == ["BZh9/B-X PK/O"]


@pytest.mark.parametrize("kind", COMPRESS)
def test_standard_input(kind: str):
    result = subprocess.run(
        [sys.executable, "-m", "tf_tokclf", "convert", "-", "-", "--to", "jsonl"],
        input=COMPRESS[kind](CONLL.encode()),
        capture_output=True,
        check=False,
    )
    assert result.stdout.decode() == JSONL
