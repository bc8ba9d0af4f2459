"""Faults of the environment: disks, permissions, changing files, memory and pipes. Each case checks the message, and
that no existing data is lost.

Killed processes, full disks during training and damaged checkpoints are tested in tests/training/test_resume.py; errors
of the Hub in tests/publishing and tests/local_hub.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

from tests.killing import UNTRACED, KillServer
from tests.processes import WITHOUT_PRIVILEGES
from tests.waiting import LIMIT_S
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import load_split
from tf_tokclf.errors import JobError, UserError

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

ROOT = Path(__file__).parents[2]


def run(*args: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="tf-tokclf", input="")


def refused(result: Result | subprocess.CompletedProcess[str], *says: str, code: int = 2) -> None:
    """Assert that the command ended with one message that contains these parts."""
    if isinstance(result, Result):
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.stderr
    else:
        assert result.returncode == code, result.stderr
    assert result.stderr.count("Error: ") == 1
    for part in says:
        assert part in " ".join(result.stderr.split()), result.stderr


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A file with a few thousand sentences."""
    path = tmp_path / "a.conll"
    path.write_text("".join(f"word{i}\tO\nada\tB-PER\n\n" for i in range(3000)), encoding="utf-8")
    return path


def without_privileges(kill_server: KillServer, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command without root privileges, because root ignores file permissions."""
    return kill_server.command(*args, before=WITHOUT_PRIVILEGES)


def test_a_full_disk_while_converting_leaves_the_old_file(kill_server: KillServer, corpus: Path, tmp_path: Path):
    out = tmp_path / "out.jsonl"
    out.write_text("precious\n", encoding="utf-8")
    assert run("inspect", corpus).exit_code == 0  # its sentences are in the cache now
    result = kill_server.command("convert", "--force", corpus, out, file_limit=20_000)
    refused(result, "out.jsonl: cannot be written: File too large.", "permissions and the free space")
    assert out.read_text(encoding="utf-8") == "precious\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.conll", "out.jsonl"]


def test_a_full_disk_for_the_cache_is_named(kill_server: KillServer, corpus: Path, tmp_path: Path):
    result = kill_server.command("convert", corpus, tmp_path / "out.jsonl", file_limit=20_000)
    refused(result, "cannot be written: File too large.", "Set TF_TOKCLF_CACHE to a writable folder with free space")
    assert not list(Path(os.environ["TF_TOKCLF_CACHE"]).rglob("*.partial"))


def test_a_full_disk_while_predicting_says_so(
    kill_server: KillServer, corpus: Path, tmp_path: Path, tiny_classifier: Path
):
    out = tmp_path / "out.jsonl"
    out.write_text("precious\n", encoding="utf-8")
    args = ("predict", tiny_classifier, corpus, "-o", out, "--force", "--look-ahead", "500")
    result = kill_server.command(*args, file_limit=20_000)
    refused(result, "the disk is full (File too large). Free some space", code=1)
    assert out.read_text(encoding="utf-8") == "precious\n"


@pytest.mark.parametrize(
    "args",
    [
        ["convert", "--force", "a.conll", "old"],
        ["evaluate", "--predictions", "p.jsonl", "--output", "old", "--force"],
        ["compare", "p.jsonl", "p.jsonl", "--output", "old", "--force"],
        ["config", "fill", "c.yaml", "--output", "old", "--force"],
        ["config", "schema", "--output", "old", "--force"],
        ["init", "--output", "old", "--force"],
    ],
    ids=lambda args: "-".join(args[:2]),
)
def test_a_full_disk_leaves_every_command_s_old_output(
    kill_server: KillServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str]
):
    monkeypatch.chdir(tmp_path)
    Path("a.conll").write_text("ada\tB-PER\nsaw\tO\n\n" * 300, encoding="utf-8")
    Path("c.yaml").write_text("task: ner\n", encoding="utf-8")
    said = {"words": ["a"], "predicted": ["O"], "gold": ["O"]}
    Path("p.jsonl").write_text(json.dumps(said) + "\n", encoding="utf-8")
    assert run("inspect", "a.conll").exit_code == 0  # its sentences are in the cache now
    old = "old.jsonl" if args[0] == "convert" else "old"
    Path(old).write_text("precious\n", encoding="utf-8")
    before = sorted(Path().iterdir())
    result = kill_server.command(*(old if arg == "old" else arg for arg in args), file_limit=20)
    assert result.returncode in (1, 2)
    refused(result, "File too large", code=result.returncode)
    assert Path(old).read_text(encoding="utf-8") == "precious\n"
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("format", ["savedmodel", "tflite", "onnx"])
def test_a_full_disk_while_exporting_says_so_and_leaves_the_old_export(
    kill_server: KillServer, tmp_path: Path, tiny_classifier: Path, format: str
):
    data, out = tmp_path / "a.conll", tmp_path / "out"
    data.write_text("ada\tB-PER\nsaw\tO\n\n" * 20, encoding="utf-8")
    out.mkdir()
    (out / "agreement.json").write_text("precious\n", encoding="utf-8")
    assert run("inspect", data).exit_code == 0  # its sentences are in the cache now
    args = ("export", tiny_classifier, "--format", format, "--file", data, "--output", out, "--force")
    result = kill_server.command(*args, file_limit=20_000)
    refused(result, f"{out}: the disk is full (File too large). Free some space, then start again.", code=1)
    assert (out / "agreement.json").read_text(encoding="utf-8") == "precious\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.conll", "out"]


def test_a_full_disk_for_temporary_files_is_not_taken_for_a_bad_tokenizer(
    kill_server: KillServer, tmp_path: Path, tiny_classifier: Path
):
    (tmp_path / "in.txt").write_text("ada saw rome\n", encoding="utf-8")
    result = kill_server.command("predict", tiny_classifier, tmp_path / "in.txt", file_limit=100)
    refused(result, "the disk is full (File too large). Free some space", code=1)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "tf_tokclf.json"])
def test_a_model_without_permission_to_read(kill_server: KillServer, tmp_path: Path, tiny_classifier: Path, name: str):
    """Without this check, transformers would report a missing file."""
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    (folder / name).chmod(0o000)
    (tmp_path / "in.txt").write_text("ada saw rome\n", encoding="utf-8")
    result = without_privileges(kill_server, "predict", folder, tmp_path / "in.txt")
    refused(result, f"{folder / name}: cannot be read: Permission denied.", "Check its permissions.")


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer_config.json"])
def test_an_encoder_without_permission_to_read(
    kill_server: KillServer, tmp_path: Path, conll_files: dict[str, str], tiny_bert: Path, name: str
):
    folder = shutil.copytree(tiny_bert, tmp_path / "encoder")
    (folder / name).touch()
    (folder / name).chmod(0o000)
    args = ("inspect", conll_files["train_file"], "--model-name-or-path", folder)
    refused(
        without_privileges(kill_server, *args),
        f"{folder / name}: cannot be read: Permission denied.",
        "Check its permissions.",
    )


@pytest.mark.parametrize("args", [["fit", "c.yaml"], ["config", "check", "c.yaml"], ["compare", "p.jsonl", "p.jsonl"]])
def test_configurations_and_predictions_without_permission_to_read(
    kill_server: KillServer, tmp_path: Path, args: list[str]
):
    (tmp_path / "c.yaml").write_text("task: ner\n", encoding="utf-8")
    (tmp_path / "p.jsonl").write_text('{"words": ["a"], "predicted": ["O"], "gold": ["O"]}\n', encoding="utf-8")
    (tmp_path / args[-1]).chmod(0o000)
    result = kill_server.command(*args, before=WITHOUT_PRIVILEGES, folder=tmp_path)
    refused(result, f"{args[-1]}: cannot be read: Permission denied", "ermissions")


def modes_in(folder: Path) -> dict[str, int]:
    """Files and folders whose permissions do not match the umask 0o002, with their modes."""
    expected = {path: 0o775 if path.is_dir() else 0o664 for path in folder.rglob("*")}
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in expected}
    return {path.relative_to(folder).as_posix(): mode for path, mode in modes.items() if mode != expected[path]}


def test_every_file_of_a_run_and_of_exports_follows_the_umask(
    kill_server: KillServer, tmp_path: Path, conll_files: dict[str, str], tiny_bert: Path
):
    options = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    options += [
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        "--num-train-epochs=1",
        "--report-to=tensorboard,csv",
    ]
    options += ["--per-device-train-batch-size=16"]
    options += ["--sweep", "optimizer.learning_rate=1e-3,1e-4", "--output-dir=run"]
    commands = [
        ["fit", *options],
        ["evaluate", "run", "--calibrate", "--output", "scores.json", "--output-predictions", "said.jsonl"],
        ["predict", "run", conll_files["test_file"], "--output", "out.conll"],
        *(["export", "run", "--format", format, "--output", format] for format in ("savedmodel", "tflite", "onnx")),
        *(
            ["convert", "--to", format, conll_files["test_file"], f"converted.{format}"]
            for format in ("conll", "jsonl", "parquet", "hf", "brat", "parallel", "docbin")
        ),
        ["predict", "run", "converted.parquet", "--text-column-name", "tokens", "--output", "out.parquet"],
    ]
    *first, last = commands
    code = ["import os", "os.umask(0o002)", f"os.environ['TF_TOKCLF_CACHE'] = {str(tmp_path / 'cache')!r}"]
    code += [
        UNTRACED,
        "from click.testing import CliRunner",
        "from tf_tokclf.cli.main import cli",
        f"for args in {first}:",
    ]
    code += ["    result = CliRunner().invoke(cli, args)", "    assert result.exit_code == 0, (args, result.output)"]
    done = kill_server.command(*last, before="\n".join(code), folder=tmp_path, limit_s=10 * LIMIT_S)
    assert done.returncode == 0, done.stderr[-3000:]
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.iterdir()}
    assert {"run", "cache", "scores.json", "out.conll", "savedmodel", "converted.hf"} <= written
    assert modes_in(tmp_path) == {}


def test_a_file_without_permission_to_read(kill_server: KillServer, corpus: Path, tmp_path: Path):
    corpus.chmod(0o000)
    result = without_privileges(kill_server, "convert", corpus, tmp_path / "out.jsonl")
    refused(result, "a.conll: cannot be read: Permission denied.", "Check its permissions")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["convert", "a.conll", "shut/out.jsonl"], "shut/out.jsonl: cannot be written: Permission denied."),
        (
            ["evaluate", "--predictions", "p.jsonl", "--output", "shut/s.json"],
            "shut: you have no permission to write in this folder.",
        ),
        (["config", "fill", "c.yaml", "--output", "shut/c.yaml"], "shut"),
    ],
)
def test_a_folder_that_may_not_be_written_in(
    kill_server: KillServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], says: str
):
    monkeypatch.chdir(tmp_path)
    Path("shut").mkdir(mode=0o555)
    Path("a.conll").write_text("ada\tB-PER\n", encoding="utf-8")
    Path("c.yaml").write_text("task: ner\n", encoding="utf-8")
    said = {"words": ["a"], "predicted": ["O"], "gold": ["O"]}
    Path("p.jsonl").write_text(json.dumps(said) + "\n", encoding="utf-8")
    refused(without_privileges(kill_server, *args), says, "permissions")
    assert not list(Path("shut").iterdir())


def test_a_run_in_a_folder_that_may_not_be_written_in(
    kill_server: KillServer, tmp_path: Path, conll_files: dict[str, str], tiny_bert: Path
):
    (tmp_path / "shut").mkdir(mode=0o555)
    files = ("--train-file", conll_files["train_file"], "--recipe=none", "--model-name-or-path", tiny_bert)
    result = without_privileges(kill_server, "fit", *files, "--output-dir", tmp_path / "shut" / "run")
    refused(result, "shut/run: the folder cannot be created: Permission denied.", "Choose another --output-dir")


def test_a_cache_that_may_only_be_read(kill_server: KillServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(cache))
    known, other = tmp_path / "known.conll", tmp_path / "other.conll"
    for path in (known, other):
        path.write_text(f"{path.stem}\tO\n", encoding="utf-8")
    assert run("convert", known, tmp_path / "one.jsonl").exit_code == 0
    before = sorted(cache.rglob("*"))
    for path in (cache, *before):
        path.chmod(0o555 if path.is_dir() else 0o444)
    hit, miss = (
        without_privileges(kill_server, "convert", path, tmp_path / f"{path.stem}.jsonl") for path in (known, other)
    )
    shown, cleared = without_privileges(kill_server, "cache", "show"), without_privileges(kill_server, "cache", "clear")
    assert hit.returncode == shown.returncode == 0, hit.stderr + shown.stderr
    assert miss.returncode == 0, miss.stderr
    assert (tmp_path / "other.jsonl").read_text(encoding="utf-8") == '{"tokens": ["other"], "ner_tags": ["O"]}\n'
    told = "splits: no permission to write to the cache. New entries are stored in a temporary folder instead."
    assert " ".join(miss.stderr.split()).count(told) == 1
    assert "temporary folder" not in hit.stderr
    refused(cleared, "the entry cannot be removed from the cache.", "Check the folder's permissions")
    assert sorted(cache.rglob("*")) == before


def test_training_with_a_cache_that_may_only_be_read(
    kill_server: KillServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    conll_files: dict[str, str],
    tiny_bert: Path,
):
    (tmp_path / "cache").mkdir(mode=0o555)
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(tmp_path / "cache"))
    options = [
        "--recipe=none",
        "--model-name-or-path",
        tiny_bert,
        "--num-train-epochs=1",
        "--output-dir",
        tmp_path / "run",
    ]
    done = without_privileges(kill_server, "fit", "--train-file", conll_files["train_file"], *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list((tmp_path / "cache").iterdir())


def test_a_cache_that_nobody_may_read(
    kill_server: KillServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(tmp_path / "cache"))
    assert run("convert", corpus, tmp_path / "one.jsonl").exit_code == 0
    (tmp_path / "cache" / "splits").chmod(0o000)
    converted = without_privileges(kill_server, "convert", corpus, tmp_path / "two.jsonl")
    shown, cleared = without_privileges(kill_server, "cache", "show"), without_privileges(kill_server, "cache", "clear")
    assert converted.returncode == 0, converted.stderr
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    for result in (shown, cleared):
        refused(result, "splits: the cache cannot be read: Permission denied.", "Check its permissions.")


def test_a_file_that_grows_while_it_is_read_is_not_taken_for_what_it_was(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    from tf_tokclf.data.formats.conll import ColumnsReader

    read = ColumnsReader.sentences

    def while_growing(self: ColumnsReader, problems: object) -> Iterator[object]:
        for number, sentence in enumerate(read(self, problems)):
            if number == 5:
                with corpus.open("a", encoding="utf-8") as file:
                    file.write("late\tO\n\n")
            yield sentence

    monkeypatch.setattr(ColumnsReader, "sentences", while_growing)
    with pytest.raises(UserError, match="changed while it was read"):
        load_split(str(corpus), DataConfig(), task=Task.NER)
    monkeypatch.undo()
    assert len(load_split(str(corpus), DataConfig(), task=Task.NER)) == 3001


def test_a_file_that_vanishes_while_it_is_read(corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from tf_tokclf.data import detection

    opened = detection.open_reader

    def opened_and_gone(*args: object, **options: object) -> object:
        reader = opened(*args, **options)
        corpus.unlink(missing_ok=True)
        return reader

    monkeypatch.setattr("tf_tokclf.data.splits.open_reader", opened_and_gone)
    refused(run("convert", corpus, tmp_path / "out.jsonl"), "a.conll: there is no such file.", "Check the path")


def test_links_in_circles(tmp_path: Path):
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "again").symlink_to(folder)
    (folder / "x.txt").write_text("Ada smiled\n", encoding="utf-8")
    (folder / "x.ann").write_text("T1\tPER 0 3\tAda\n", encoding="utf-8")
    assert run("convert", folder, tmp_path / "out.conll").exit_code == 0
    assert (tmp_path / "out.conll").read_text(encoding="utf-8").splitlines().count("Ada\tB-PER") == 1


@pytest.mark.parametrize("suffix", [".arrow", ".json"])
@pytest.mark.parametrize("n_bytes", [0, 100, 2000])
def test_a_damaged_cache_is_written_anew(corpus: Path, tmp_path: Path, suffix: str, n_bytes: int):
    assert run("convert", corpus, tmp_path / "one.jsonl").exit_code == 0
    for path in Path(os.environ["TF_TOKCLF_CACHE"]).rglob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[:n_bytes])
    assert run("convert", corpus, tmp_path / "two.jsonl").exit_code == 0
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_durations_are_measured_by_a_clock_that_does_not_jump():
    uses = [
        (path.name, line.strip())
        for path in (ROOT / "tf_tokclf").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "time.time()" in line or "datetime.now()" in line
    ]
    assert sorted(uses) == [
        # The age of a cache entry is displayed, and is compared with --older-than.
        ("cache.py", "return max(0.0, time.time() - self.last_used)"),
        # The Hub may state the date until which to wait.
        ("hub.py", "return max(0.0, mktime_tz(date) - time.time()) if date else None"),
    ]


def test_two_predictions_into_one_file_exclude_each_other(tmp_path: Path, tiny_classifier: Path):
    (tmp_path / "in.txt").write_text("ada saw rome\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    with (tmp_path / "out.jsonl.partial").open("wb") as other:
        other.write(b"of another job")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        result = run("predict", tiny_classifier, tmp_path / "in.txt", "-o", out)
        refused(result, "out.jsonl.partial: another job is writing this output.", "Wait for it")
        assert (tmp_path / "out.jsonl.partial").read_bytes() == b"of another job"
    assert not out.exists()


def test_weights_that_are_no_numbers_are_not_passed_over(tmp_path: Path, tiny_classifier: Path):
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] = np.full_like(weights["classifier.weight"], np.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "in.txt").write_text("ada saw rome\n", encoding="utf-8")
    result = run("predict", folder, tmp_path / "in.txt", "-o", tmp_path / "out.jsonl")
    refused(result, "The model's output is NaN.", "Its weights are damaged: fetch them again.")
    assert "float32" not in result.stderr
    result = run("predict", folder, tmp_path / "in.txt", "-o", tmp_path / "out.jsonl", "--precision", "mixed_bfloat16")
    refused(result, "or too large for bfloat16: fetch them again, or use float32.")
    assert not list(tmp_path.glob("out.jsonl*"))


def test_memory_that_runs_out_elsewhere_is_a_message_too(corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def reading(*args: object) -> object:
        raise MemoryError

    monkeypatch.setattr("tf_tokclf.data.splits.open_reader", reading)
    refused(run("convert", corpus, tmp_path / "out.jsonl"), "out of memory. Try smaller batches", code=1)


def test_memory_that_runs_out_in_a_batch_is_a_failed_job(tiny_classifier: Path):
    from tf_tokclf.inference.tagger import Tagger

    def forward(*arrays: object) -> object:
        raise MemoryError

    tagger = Tagger.load(tiny_classifier, batch_size=8).with_forward(forward)
    with pytest.raises(JobError, match=r"8 windows of \d+ subword tokens at once. Try --per-device-eval-batch-size 4"):
        tagger(["ada saw rome"] * 16)


def shell(kill_server: KillServer, text: str, **names: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command line, in which `TF` stands for `tf-tokclf`."""
    line = text.replace("TF ", f"{shlex.join(kill_server.command_line())} ")
    environment = {**os.environ, **{name: str(value) for name, value in names.items()}}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, env=environment, timeout=LIMIT_S
    )


def test_a_reader_that_goes_away_ends_the_command_in_peace(
    kill_server: KillServer, corpus: Path, tmp_path: Path, tiny_classifier: Path
):
    converted = shell(kill_server, 'TF convert "$IN" - | head -1', IN=corpus)
    assert (converted.returncode, converted.stdout) == (0, "word0\tO\n")
    assert "Traceback" not in converted.stderr
    predicted = shell(
        kill_server, 'TF predict --look-ahead 500 "$MODEL" "$IN" | head -1', MODEL=tiny_classifier, IN=corpus
    )
    assert predicted.returncode == 0
    assert "Traceback" not in predicted.stderr
    assert "Exception ignored" not in predicted.stderr


def test_output_that_is_closed_is_told(kill_server: KillServer, corpus: Path, tiny_classifier: Path):
    for line in ('TF convert "$IN" - >&-', 'TF predict "$MODEL" "$IN" >&-'):
        done = shell(kill_server, line, IN=corpus, MODEL=tiny_classifier)
        assert done.returncode == 2, (line, done.stderr[-1500:])
        assert "Error: standard output is closed." in done.stderr
        assert "Traceback" not in done.stderr


def test_text_is_converted_from_standard_input(kill_server: KillServer):
    done = shell(kill_server, "printf 'Ada left\\nOslo\\n' | TF convert - - --from text --to jsonl")
    assert done.stdout == '{"tokens": ["Ada", "left"]}\n{"tokens": ["Oslo"]}\n', done.stderr


def test_a_closed_standard_input_stops_only_what_reads_it(
    kill_server: KillServer, corpus: Path, tiny_classifier: Path, tmp_path: Path
):
    (tmp_path / "p.jsonl").write_text('{"tokens": ["Oslo"], "ner_tags": ["B-LOC"], "predicted": ["B-LOC"]}\n')
    for line in (
        'TF inspect "$IN" <&-',
        'TF convert "$IN" - <&-',
        'TF evaluate --predictions "$PREDICTIONS" <&-',
        'TF predict "$MODEL" "$IN" <&-',
    ):
        done = shell(kill_server, line, IN=corpus, MODEL=tiny_classifier, PREDICTIONS=tmp_path / "p.jsonl")
        assert done.returncode == 0, (line, done.stderr[-1500:])
    for line in (
        "TF convert - - --to jsonl <&-",
        "TF convert - - --from text --to jsonl <&-",
        'TF predict "$MODEL" <&-',
    ):
        refused(
            shell(kill_server, line, MODEL=tiny_classifier),
            "'-' stands for standard input, but standard input is closed.",
        )


def test_a_full_standard_output_is_told(kill_server: KillServer, corpus: Path):
    done = shell(kill_server, 'TF convert "$IN" - > /dev/full', IN=corpus)
    assert done.returncode == 1, done.stderr[-1500:]
    assert "the disk is full (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


def test_threads_need_not_import_the_codec_of_what_they_read():
    """Four threads import the module at the same time. Before the fix, Python then failed to find utf-8-sig."""
    code = "import sys, tf_tokclf.data.splits; print('encodings.utf_8_sig' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_threads_that_convert_the_same_file_at_once_do_not_harm_each_other(corpus: Path, tmp_path: Path):
    lengths: list[int] = []

    def read() -> None:
        lengths.append(len(load_split(str(corpus), DataConfig(use_cache=False), task=Task.NER)))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [3000] * 4
