"""tf-tokclf predict: streams, shards and workers, and what it refuses."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.encoders import make_panicking
from tests.inference.sources import sample_texts, write_source
from tests.ports import reserved_ports
from tests.requirements import need_modules
from tests.waiting import wait_until
from tf_tokclf.cli.main import cli
from tf_tokclf.inference.tagger import Tagger


def refused(args: Sequence[object]) -> str:
    result = CliRunner().invoke(cli, ["predict", *map(str, args)])
    assert result.exit_code == 2, result.stderr
    return " ".join(result.stderr.split())


def test_the_command_reads_and_writes_streams(tiny_classifier: Path, tmp_path: Path):
    result = CliRunner().invoke(
        cli, ["predict", str(tiny_classifier), "--output-format", "conll", "--scores"], input="ada visited\n\nx\n"
    )
    assert result.exit_code == 0, result.stderr
    assert [len(line.split("\t")) for line in result.stdout.split("\n") if line] == [3, 3, 3]
    source, output = tmp_path / "in.txt.gz", tmp_path / "out.jsonl.gz"
    source.write_bytes(gzip.compress(b"ada visited london\n\n"))
    args = ["predict", str(tiny_classifier), str(source), "-o", str(output)]
    assert CliRunner().invoke(cli, args).exit_code == 0
    assert len(gzip.decompress(output.read_bytes()).splitlines()) == 2
    again = CliRunner().invoke(cli, args)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    done = CliRunner().invoke(cli, [*args, "--resume"])
    assert done.exit_code == 0
    assert "is already complete" in done.stderr


def test_an_unknown_suffix_of_the_output_is_refused_unless_the_records_are_kept(tiny_classifier: Path, tmp_path: Path):
    """JSON lines were written to out.xyz without a word."""
    source = write_source("in.txt", tmp_path)
    told = refused([tiny_classifier, source, "-o", tmp_path / "out.xyz.gz"])
    assert "the format cannot be inferred from the name" in told
    assert "Use a suffix such as .jsonl or .conll, or set --output-format: same, jsonl, conll," in told
    for options in (["-o", "out.xyz", "--output-format", "jsonl"], ["-o", "out"]):
        args = ["predict", str(tiny_classifier), str(source), *options]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            assert CliRunner().invoke(cli, args).exit_code == 0
    assert (tmp_path / "out.xyz").read_bytes() == (tmp_path / "out").read_bytes()
    columns, kept = write_source("in.conll", tmp_path), tmp_path / "out.bio"
    assert CliRunner().invoke(cli, ["predict", str(tiny_classifier), str(columns), "-o", str(kept)]).exit_code == 0
    assert kept.read_text().startswith(columns.read_text().split("\n")[0])


def test_the_command_labels_shards(tiny_classifier: Path, tmp_path: Path):
    source = write_source("in.csv", tmp_path)
    whole = tmp_path / "whole.csv"
    parts = [tmp_path / f"part-{number}.csv" for number in (1, 2, 3)]
    jobs = [(whole, []), *((part, ["--shard", f"{number}/3"]) for number, part in enumerate(parts, 1))]
    for output, options in jobs:
        args = ["predict", str(tiny_classifier), str(source), "-o", str(output), "--look-ahead", "30", *options]
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == 0, result.stderr
    assert b"".join(part.read_bytes() for part in parts) == whole.read_bytes()
    assert all(part.stat().st_size for part in parts)


def test_a_pipe_has_no_shards(tiny_classifier: Path, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    result = CliRunner().invoke(cli, ["predict", str(tiny_classifier), str(tmp_path / "pipe"), "--shard", "1/2"])
    assert (result.exit_code, "pipe can be read only once" in " ".join(result.stderr.split())) == (2, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--shard", "1/2"], "standard input can be read only once"),
        (["--shard", "0/4"], "'0/4' is not I/N with I from 1 to N"),
        (["--shard", "5/4"], "'5/4' is not I/N with I from 1 to N"),
        (["--shard", "x"], "'x' is not I/N with I from 1 to N"),
        (["--shard", "-1/4"], "'-1/4' is not I/N with I from 1 to N"),
        (["nothing.txt"], "there is no such file"),
        (["play some jazz"], "To label a text, pass it on standard input"),
        (["play some jazz " * 20], "To label a text, pass it on standard input"),
        (["--resume"], "Name the file with --output"),
        (["--output-format", "parquet"], "parquet output is possible only"),
    ],
)
def test_mistakes_end_in_a_message(tiny_classifier: Path, args: list[str], message: str):
    result = CliRunner().invoke(cli, ["predict", str(tiny_classifier), *args], input="ada\n")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("in.txt", ["--output-format", "csv"], "csv output is possible only"),
        ("in.csv", ["--output-format", "parquet"], "parquet output is possible only"),
        ("in.txt", ["-o", "out.csv"], "csv output is possible only"),
        ("in.txt", ["-o", "out.conllu"], "which predict does not write"),
        ("in.txt", ["--output-format", "csv", "--workers", "1", "-o", "out"], "csv output is possible only"),
    ],
)
def test_output_formats_are_checked_before_the_model_is_loaded(
    tiny_classifier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    options: list[str],
    message: str,
):
    if "--workers" in options:
        need_modules("ray", extra="ray")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Tagger, "load", None)
    Path(source).write_text("text\nada\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["predict", str(tiny_classifier), source, *options])
    assert result.exit_code == 2, result.exception
    assert message in " ".join(result.stderr.split())


def test_an_encoder_is_refused_as_not_trained(tiny_bert: Path, tmp_path: Path):
    assert "id2label" not in json.loads((tiny_bert / "config.json").read_text(encoding="utf-8"))
    message = refused([tiny_bert, write_source("in.txt", tmp_path)])
    assert "contains BertModel, not a token classifier. Train one first: tf-tokclf fit." in message


def test_a_word_that_the_tokenizer_panics_on_ends_in_a_message(tiny_classifier: Path, tmp_path: Path):
    model = make_panicking(tiny_classifier, tmp_path / "panics")
    texts = tmp_path / "in.txt"
    texts.write_text("ada left london\ngrace \U0001f600 oslo\n", encoding="utf-8")
    output = tmp_path / "out.jsonl"
    result = CliRunner().invoke(cli, ["predict", str(model), str(texts), "-o", str(output)])
    assert result.exit_code == 2
    assert "the tokenizer fails on the word '\U0001f600': index out of bounds" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_a_killed_process_goes_on_to_the_same_bytes(tiny_classifier: Path, tmp_path: Path):
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(sample_texts(3000)))
    args = ["predict", str(tiny_classifier), str(source), "--look-ahead", "50", "-o"]
    process = subprocess.Popen([sys.executable, "-m", "tf_tokclf", *args, str(output)])
    journal = tmp_path / "out.jsonl.journal"
    wait_until(lambda: process.poll() is not None or (journal.exists() and journal.stat().st_size))
    process.kill()
    process.wait()
    assert not output.exists()
    for other in ([str(output), "--resume"], [str(tmp_path / "whole.jsonl")]):
        result = CliRunner().invoke(cli, [*args, *other])
        assert result.exit_code == 0, result.stderr
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["out.conllu", "out.spacy", "out.conllu.gz"])
def test_a_name_of_a_format_that_is_not_written_is_refused(tiny_classifier: Path, tmp_path: Path, name: str):
    (tmp_path / "in.conll").write_text("ada\tB-PER\n", encoding="utf-8")
    assert "which predict does not write" in refused([tiny_classifier, tmp_path / "in.conll", "-o", tmp_path / name])
    assert not (tmp_path / name).exists()


def test_the_model_comes_first(tiny_classifier: Path, tmp_path: Path):
    text = write_source("in.txt", tmp_path)
    swapped = refused([text, tiny_classifier])
    assert f"The model comes first: tf-tokclf predict {tiny_classifier} {text}" in swapped
    assert "is a file, not a model folder. Give a folder, a Hub id" in refused([text])
    assert "Name the folder that contains it" in refused([tiny_classifier / "model.safetensors"])


@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("onnx/model.onnx", "ONNX"),
        ("onnx/model_quantized.onnx", "ONNX"),
        ("model.tflite", "TFLite"),
        ("1/saved_model.pb", "SavedModel"),
    ],
)
def test_an_export_is_told_from_a_model(tiny_classifier: Path, tmp_path: Path, file: str, format: str):
    shutil.copytree(tiny_classifier, tmp_path / "export", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "export" / file).parent.mkdir(exist_ok=True)
    (tmp_path / "export" / file).write_bytes(b"export")
    message = refused([tmp_path / "export"])
    assert f"is an export in {format} format, which only other programs can run. Name the run or the model" in message


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("\n".join(sample_texts(9)))
    return tmp_path / "in.txt"


@pytest.fixture
def closed_port() -> Iterator[int]:
    with reserved_ports(1) as (port,):
        yield port


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", 2], "Name the folder with --output"),
        (["--workers", 2, "-o", "out", "--shard", "1/2"], "Omit --shard"),
        (["--parts", 2, "-o", "out"], "can only be used with --workers"),
        (["--workers", 2, "-o", "no/such/out"], "there is no such folder to write to"),
        (["--workers", 2, "-o", "in.txt"], "would destroy the input"),
        (["--workers", 2, "-o", "other.txt"], "is a file, but --workers writes a folder"),
        (["-o", "."], "is a folder"),
    ],
)
def test_what_workers_cannot_do(
    tiny_classifier: Path, source: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], message: str
):
    need_modules("ray", extra="ray")
    monkeypatch.chdir(source.parent)
    Path("other.txt").touch()
    assert message in refused([tiny_classifier, source.name, *options])
    assert sorted(path.name for path in source.parent.iterdir()) == ["in.txt", "other.txt"]


def test_standard_input_is_not_shared_out(tiny_classifier: Path, tmp_path: Path):
    assert "standard input can be read only once" in refused([tiny_classifier, "--workers", 2, "-o", tmp_path / "out"])


def test_without_ray_it_is_said_what_to_install(tiny_classifier: Path, source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = refused([tiny_classifier, source, "--workers", 2, "-o", source.parent / "out"])
    assert "pip install 'tf-tokclf[ray]'" in message
    assert not (source.parent / "out").exists()


def test_without_ray_tensorflow_is_not_loaded(source: Path):
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from tf_tokclf.cli.main import cli\n"
        f"try: cli(['predict', 'model', {str(source)!r}, '--workers', '2', '-o', 'parts'])\n"
        "except SystemExit: sys.exit('tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "tf-tokclf[ray]" in done.stderr) == (0, True)


def test_an_address_where_nobody_answers_is_named(
    tiny_classifier: Path, source: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
):
    need_modules("ray", extra="ray")
    args = [tiny_classifier, source, "--workers", 2, "-o", source.parent / "out"]
    closed = f"localhost:{closed_port}"
    assert f"no connection to {closed}" in refused([*args, "--ray-address", closed])
    assert "'somewhere' is not of the form HOST:PORT" in refused([*args, "--ray-address", "somewhere"])
    monkeypatch.setenv("RAY_ADDRESS", closed)
    assert f"no connection to {closed}" in refused(args)
    assert not (source.parent / "out").exists()
