"""Where commands write: devices, pipes, links, and files that they also read."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from tests.killing import KillServer
from tests.waiting import LIMIT_S
from tf_tokclf.cli.main import cli

# These models are so small that tracing would take longer than computing without it.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

# Commands that write one file. Words in braces stand for files.
WRITERS = {
    "convert": "convert --to conll {data} {out}",
    "convert-parquet": "convert --to parquet {data} {out}",
    "predict": "predict {model} {text} -o {out}",
    "predict-shard": "predict {model} {text} --shard 1/2 -o {out}",
    "select": "select {model} {text} -n 2 -o {out}",
    "evaluate": "evaluate {model} --file {data} --output {out}",
    "evaluate-predictions": "evaluate {model} --file {data} --output-predictions {out}",
    "evaluate-file": "evaluate --predictions {said} --output {out}",
    "compare": "compare {said} {said} --samples 10 --output {out}",
    "config-fill": "config fill {config} --output {out}",
    "config-schema": "config schema --output {out}",
    "init": "init --data {data} --output {out}",
}
# The files that each command reads.
READERS = {
    "convert": ["data"],
    "convert-parquet": ["data"],
    "predict": ["text", "weights", "tokenizer"],
    "predict-shard": ["text"],
    "select": ["text", "weights", "tokenizer"],
    "evaluate": ["data", "weights"],
    "evaluate-predictions": ["data"],
    "evaluate-file": ["said"],
    "compare": ["said"],
    "config-fill": ["config"],
    "init": ["data"],
}


@pytest.fixture
def files(tmp_path: Path, tiny_classifier: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The files that the commands read."""
    monkeypatch.chdir(tmp_path)
    said = {"words": ["ada"], "predicted": ["B-PER"], "gold": ["B-PER"]}
    model = shutil.copytree(tiny_classifier, tmp_path / "model")
    paths = {name: tmp_path / "in" / name for name in ("data", "text", "said", "config")}
    (tmp_path / "in").mkdir()
    paths["data"].write_text("ada\tB-PER\nsaw\tO\nrome\tB-LOC\n\n", encoding="utf-8")
    paths["text"].write_text("ada saw rome\ngrace left\n", encoding="utf-8")
    paths["said"].write_text(json.dumps(said) + "\n", encoding="utf-8")
    paths["config"].write_text("task: ner\n", encoding="utf-8")
    return {**paths, "model": model, "weights": model / "model.safetensors", "tokenizer": model / "tokenizer.json"}


def args_of(command: str, files: dict[str, Path], out: str | Path) -> list[str]:
    return command.format(**{name: str(path) for name, path in files.items()}, out=str(out)).split()


def run(args: list[str]) -> Result:
    result = CliRunner().invoke(cli, args, prog_name="tf-tokclf", input="")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeeded(args: list[str]) -> None:
    result = run(args)
    assert result.exit_code == 0, result.stderr


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_named_pipe_is_written_into(name: str, force: bool, files: dict[str, Path], tmp_path: Path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    succeeded([*args_of(WRITERS[name], files, pipe), *(["--force"] if force else [])])
    reader.join(LIMIT_S)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    succeeded(args_of(WRITERS[name], files, tmp_path / "file"))
    expected = (tmp_path / "file").read_bytes()
    if name == "convert-parquet":
        (tmp_path / "got").write_bytes(got[0])
        assert pq.read_table(tmp_path / "got").equals(pq.read_table(tmp_path / "file"))
    elif name == "init":
        assert got[0].count(b"\n") == expected.count(b"\n")  # the first lines contain the name of the output
    else:
        assert got == [expected]
    assert not list(tmp_path.glob("pipe?*"))


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_device_is_written_into(name: str, force: bool, files: dict[str, Path], tmp_path: Path):
    """Through a link, so that a bug cannot remove the machine's /dev/null."""
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    succeeded([*args_of(WRITERS[name], files, link), *(["--force"] if force else [])])
    assert link.readlink() == Path("/dev/null")
    assert not list(tmp_path.glob("null?*"))


@pytest.mark.parametrize("name", ["convert", "predict", "config-schema"])
def test_standard_output_by_name(kill_server: KillServer, name: str, files: dict[str, Path], tmp_path: Path):
    """Also if standard output is redirected to a file."""
    command = kill_server.command_line(*args_of(WRITERS[name], files, "/dev/stdout"))
    with (tmp_path / "out").open("w") as out:
        out.write("first\n")
        out.flush()
        subprocess.run(command, stdout=out, check=True, timeout=LIMIT_S)
    piped = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S).stdout
    succeeded(args_of(WRITERS[name], files, tmp_path / "file"))
    assert piped == (tmp_path / "file").read_bytes()
    assert (tmp_path / "out").read_bytes() == b"first\n" + piped


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("how", ["name", "symbolic link", "hard link", "link to the folder"])
@pytest.mark.parametrize(("name", "read"), [(name, one) for name in READERS for one in READERS[name]])
def test_an_output_that_is_also_an_input_is_refused(
    name: str, read: str, how: str, force: bool, files: dict[str, Path], tmp_path: Path
):
    out = tmp_path / "out"
    if how == "name":
        out = files[read]
    elif how == "symbolic link":
        out.symlink_to(files[read])
    elif how == "hard link":
        out.hardlink_to(files[read])
    else:
        out.symlink_to(files[read].parent)
        out /= files[read].name
    before = contents(tmp_path)
    result = run([*args_of(WRITERS[name], files, out), *(["--force"] if force else [])])
    assert result.exit_code == 2
    assert f"{out}: writing it would destroy the input" in result.stderr
    assert "--force" not in result.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["{out}.partial", "{out}.journal"])
def test_an_input_that_is_in_the_way_while_the_output_is_written(name: str, files: dict[str, Path], tmp_path: Path):
    files["text"] = files["text"].rename(tmp_path / name.format(out="out.jsonl"))
    before = contents(tmp_path)
    result = run([*args_of(WRITERS["predict"], files, tmp_path / "out.jsonl"), "--force"])
    assert "would destroy the input" in result.stderr
    assert contents(tmp_path) == before


def test_standard_input_that_is_the_output_is_refused(kill_server: KillServer, files: dict[str, Path]):
    text = files["text"].read_bytes()
    command = kill_server.command_line("predict", files["model"], "-o", files["text"], "--force")
    with files["text"].open() as source:
        done = subprocess.run(command, stdin=source, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 2
    assert "would destroy the input" in done.stderr
    assert files["text"].read_bytes() == text


@pytest.mark.parametrize(
    ("args", "out"),
    [
        ("convert --force --to brat texts texts", "texts"),
        ("convert --force --to brat texts link", "link"),
        ("convert --force --to conll texts texts/a.ann", "texts/a.ann"),
        ("convert --force --to conll texts/a.txt texts/a.ann", "texts/a.ann"),
        ("predict {model} texts/a.txt --workers 1 -o texts --force", "texts"),
        ("export {model} --format onnx --file {data} -o model --force", "model"),
        ("export {model} --format onnx --file {data} -o . --force", "."),
    ],
)
def test_folders_that_hold_an_input_are_refused(args: str, out: str, files: dict[str, Path], tmp_path: Path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Ada smiled\n", encoding="utf-8")
    (tmp_path / "texts" / "a.ann").write_text("T1\tPER 0 3\tAda\n", encoding="utf-8")
    (tmp_path / "link").symlink_to("texts")
    before = contents(tmp_path)
    result = run(args_of(args, files, ""))
    assert result.exit_code == 2
    assert f"{out}: " in result.stderr
    assert "would destroy the input" in " ".join(result.stderr.split())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("how", ["labels of words", "words of labels", "documents", "documents of named format"])
@pytest.mark.parametrize("name", ["convert", "predict", "evaluate", "evaluate-predictions", "fit", "export"])
def test_files_that_are_read_beside_an_input_are_inputs(
    name: str, how: str, files: dict[str, Path], tmp_path: Path, tiny_bert: Path
):
    """The file of labels beside a file of words, and the documents that a file of annotations names."""
    folder = tmp_path / "run" / "predictions"
    folder.mkdir(parents=True)
    options = ["--set", "data.format=comprehend"] if how.endswith("format") else []
    if how.startswith("documents"):
        source = folder / ("places.csv.bak" if options else "places.csv")
        source.write_text("File,Line,Begin Offset,End Offset,Type\ntold.txt,0,0,3,PER\n", encoding="utf-8")
        beside = folder / "told.txt"
        beside.write_text("Ada left\n", encoding="utf-8")
    else:
        pair = (folder / "sentences_a.txt", folder / "tags_a.txt")
        pair[0].write_text("Ada left\n", encoding="utf-8")
        pair[1].write_text("B-PER O\n", encoding="utf-8")
        source, beside = pair if how.startswith("labels") else pair[::-1]
    before = contents(folder)
    files = files | {"data": source, "text": source}
    if name == "fit":
        # A new run removes the folder of predictions.
        (folder.parent / "config.yaml").write_text("output_dir: run\n", encoding="utf-8")
        other = tmp_path / source.name
        other.symlink_to(source)
        (tmp_path / beside.name).symlink_to(beside)
        args = ["fit", "--train-file", str(other), "--validation-file", str(other), "--output-dir", "run"]
        args += ["--recipe=none", "--model-name-or-path", str(tiny_bert), "--force", *options]
    elif name == "export":
        (folder / "agreement.json").touch()
        before = contents(folder)
        args = ["export", str(files["model"]), "--format", "onnx", "--file", str(source), "-o", str(folder), "--force"]
        args += options
    else:
        args = [*args_of(WRITERS[name], files, beside), "--force", *options]
    result = run(args)
    assert result.exit_code == 2
    assert "would destroy the input" in " ".join(result.stderr.split())
    assert contents(folder) == before


def test_the_test_data_of_a_run_are_inputs_of_its_evaluation(files: dict[str, Path], tmp_path: Path):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    files["model"].rename(run_folder / "model")
    settings = "".join(f"  {name}_file: {files['data']}\n" for name in ("train", "validation", "test"))
    (run_folder / "config.yaml").write_text(f"data:\n{settings}output_dir: run\n", encoding="utf-8")
    result = run(["evaluate", str(run_folder), "--output", str(files["data"]), "--force"])
    assert "data: writing it would destroy the input" in result.stderr


def test_two_outputs_into_one_file_are_refused(files: dict[str, Path], tmp_path: Path):
    args = args_of(WRITERS["evaluate"], files, "one.json")
    result = run([*args, "--output-predictions", str(tmp_path / "one.json")])
    assert (result.exit_code, "two outputs cannot be the same file" in result.stderr) == (2, True)


@pytest.mark.parametrize("what", ["data", "model", "the model's run", "data through a link"])
def test_force_does_not_remove_what_the_new_run_reads(
    what: str, files: dict[str, Path], tmp_path: Path, tiny_bert: Path
):
    """A run that uses another run's model or predictions needs a different folder."""
    root = tmp_path / "run"
    (root / "predictions").mkdir(parents=True)
    data = root / "predictions" / "test.jsonl"
    data.write_text('{"words": ["ada", "left"], "labels": ["B-PER", "O"]}\n' * 4, encoding="utf-8")
    files["model"].rename(root / "model")
    train, encoder = str(files["data"]), str(tiny_bert)
    if what == "data":
        train = str(data)
    elif what == "data through a link":
        (tmp_path / "link").symlink_to(data)
        train = str(tmp_path / "link")
    else:
        encoder = str(root / "model" if what == "model" else root)
    args = ["fit", "--train-file", train, "--validation-file", train, "--recipe=none", "--model-name-or-path", encoder]
    args += ["--output-dir", str(root)]
    saved = run([*args, "--dry-run"])
    assert saved.exit_code == 0, saved.stderr
    from tf_tokclf.config.loading import load_config, save_config

    save_config(load_config(options={"output_dir": str(root)}), root / "config.yaml")
    before = contents(root)
    result = run([*args, "--force"])
    assert result.exit_code == 2
    assert "would destroy the input" in " ".join(result.stderr.split())
    assert contents(root) == before


def test_parquet_into_a_pipe_is_refused_by_predict(files: dict[str, Path], tmp_path: Path):
    files["text"] = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": ["ada saw rome"]}), files["text"])
    result = run(args_of(WRITERS["predict"], files, "/dev/null"))
    assert result.exit_code == 2
    assert "Parquet can be written only to a file" in result.stderr


@pytest.mark.parametrize("ending", [".gz", ".zst", ".xz", ".bz2", ".zip"])
@pytest.mark.parametrize("name", ["predict", "convert"])
def test_a_pipe_gets_what_its_name_says(name: str, ending: str, files: dict[str, Path], tmp_path: Path):
    pipe, got = tmp_path / f"pipe.conll{ending}", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    succeeded(args_of(WRITERS[name], files, pipe))
    reader.join(LIMIT_S)
    copy, plain = tmp_path / f"copy.conll{ending}", tmp_path / "plain.conll"
    copy.write_bytes(got[0])
    succeeded(args_of(WRITERS[name], files, plain))
    succeeded(["convert", str(copy), str(tmp_path / "read.conll")])
    assert plain.read_bytes().split() == (tmp_path / "read.conll").read_bytes().split()


def test_a_link_under_the_name_of_the_partial_file_is_not_followed(files: dict[str, Path], tmp_path: Path):
    (tmp_path / "out.jsonl.partial").symlink_to("precious")
    result = run(args_of(WRITERS["predict"], files, tmp_path / "out.jsonl"))
    assert result.exit_code == 2
    assert "out.jsonl.partial: is a link. Links are not followed here. Remove it." in result.stderr
    assert not (tmp_path / "precious").exists()


def test_resume_needs_a_file(files: dict[str, Path]):
    result = run([*args_of(WRITERS["predict"], files, "/dev/null"), "--resume"])
    assert result.exit_code == 2
    assert "/dev/null: is not a file, so --resume cannot continue it." in result.stderr
