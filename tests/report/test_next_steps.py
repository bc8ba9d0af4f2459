"""The commands that are recommended when a command has finished: they are printed, complete, and work."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.documentation import check_options, is_ours
from tests.local_hub import USER, LocalHub
from tests.requirements import need_modules, need_program
from tests.terminal import next_commands, on_terminal, read_to_end, without_escapes, words_of
from tf_tokclf.cli.main import cli

pytestmark = pytest.mark.usefixtures("untraced")


def recommended(*arguments: object, text: str = "") -> list[str]:
    """The commands that are recommended after `tf-tokclf ARGUMENTS`. All of ours are valid."""
    commands = next_commands(on_terminal(*arguments, text=text))
    assert commands, arguments
    for command in commands:
        for words in words_of(command):
            if is_ours(tuple(words)):
                check_options(tuple(words))
    return commands


def run(command: str) -> Result:
    """Run a recommended command in this process: `tf-tokclf ...`, or `echo TEXT | tf-tokclf ...`."""
    *before, words = words_of(command)
    assert words[0] == "tf-tokclf"
    assert [one[0] for one in before] in ([], ["echo"])
    text = " ".join(before[0][1:]) + "\n" if before else ""
    result = CliRunner().invoke(cli, words[1:], input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def with_encoder(command: str, encoder: Path) -> str:
    """The command with a tiny encoder. The one that it names is not installed everywhere."""
    words = shlex.split(command)
    words[words.index("--model-name-or-path") + 1] = str(encoder)
    return shlex.join([*words, "--overlap", "8"])


@pytest.fixture
def here(conll_files: dict[str, str]) -> Path:
    """The current folder, with the sentences in files whose names need quotes."""
    folder = Path("my data")
    folder.mkdir()
    for split in ("train", "validation", "test"):
        shutil.copy(conll_files[f"{split}_file"], folder / f"{split}.conll")
    return folder


@pytest.fixture(scope="module")
def finished(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A run with a space in its name, and what was recommended after it."""
    root = tmp_path_factory.mktemp("runs") / "first run"
    files = [word for name, path in conll_files.items() for word in (f"--{name.replace('_', '-')}", path)]
    options = ("--output-dir", root, "--num-train-epochs", 1, "--overlap", 8)
    commands = recommended("fit", *files, "--model-name-or-path", tiny_bert, *options)
    shutil.copytree(root, root.with_name("second"))
    return root, commands


def test_init_leads_to_a_plan_and_to_training(here: Path, tiny_bert: Path):
    data, options = here / "train.conll", ("--model", tiny_bert, "-o", "mine.yaml")
    assert recommended("init", "--data", data, *options) == [
        "tf-tokclf fit mine.yaml --dry-run",
        "tf-tokclf fit mine.yaml",
    ]


def test_a_file_whose_name_begins_with_a_hyphen_is_no_option(here: Path, tiny_bert: Path):
    options = ("--data", here / "train.conll", "--model", tiny_bert, "-o", "./-mine.yaml")
    assert recommended("init", *options)[1] == "tf-tokclf fit ./-mine.yaml"


def test_a_plan_leads_to_training_with_the_same_options(here: Path, tiny_bert: Path):
    data, options = here / "train.conll", ("--model-name-or-path", tiny_bert, "--overlap", "8")
    command = ["fit", "--train_file", data, *options, "--output-dir", "runs/a b"]
    expected = ["tf-tokclf", *map(str, command)]
    assert [shlex.split(one) for one in recommended(*command, "--dry-run")] == [expected]


def test_what_follows_inspect_trains_on_the_same_data(here: Path, tiny_bert: Path):
    (command,) = recommended("inspect", here / "train.conll", "--scheme", "IOB2", "--seed", "1", "--examples", "1")
    plan = run(with_encoder(command, tiny_bert) + " --dry-run").stdout
    assert "train.conll" in plan
    assert "drawn" in plan
    words = shlex.split(command)
    assert words[words.index("--scheme") + 1] == "IOB2"
    assert "--examples" not in words


def test_the_command_after_inspect_names_a_new_folder(here: Path):
    Path("runs/train").mkdir(parents=True)
    (command,) = recommended("inspect", here / "train.conll")
    assert shlex.split(command)[-2:] == ["--output-dir", "runs/train-2"]


def test_inspect_of_a_configuration_leads_to_its_run(here: Path, tiny_bert: Path):
    CliRunner().invoke(cli, ["init", "--data", str(here / "train.conll"), "--model", str(tiny_bert), "-o", "mine.yaml"])
    assert recommended("inspect", "mine.yaml", "--overlap", "8") == ["tf-tokclf fit mine.yaml --overlap 8"]


def test_what_follows_fit_works(finished: tuple[Path, list[str]]):
    _, (evaluate, predict, push) = finished
    assert "all (micro average)" in run(evaluate).stdout
    assert evaluate.endswith("--errors")
    (text, _) = words_of(predict)
    assert json.loads(run(predict).stdout)["text"] == text[1]
    assert "Nothing was sent." in run(push).stdout


def test_what_follows_evaluate_works(finished: tuple[Path, list[str]]):
    root, _ = finished
    errors, compare = recommended("evaluate", root, "--split", "validation", "--output", "scores.json")
    assert words_of(errors) == [["tf-tokclf", "evaluate", str(root), "--split", "validation", "--errors"]]
    assert words_of(compare)[0][2:4] == [str(root), str(root.with_name("second"))]
    run(errors)
    run(compare)


def test_what_follows_compare_report_and_runs_works(finished: tuple[Path, list[str]]):
    root, _ = finished
    (page,) = recommended("compare", root, root.with_name("second"), "--samples", 20)
    assert run(page).stdout == "comparison.html\n"
    assert Path("comparison.html").is_file()
    (again,) = recommended("compare", root, root.with_name("second"), "--samples", 20)
    assert again.endswith("--output comparison-2.html")
    errors, compare = recommended("runs", root.parent)
    assert {words_of(compare)[0][2], words_of(compare)[0][3]} == {str(root), str(root.with_name("second"))}
    run(errors)


def test_a_page_is_opened(finished: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch):
    Path("xdg-open").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(Path.cwd()), prepend=os.pathsep)
    assert recommended("report", finished[0], "-o", "my page.html") == ["xdg-open 'my page.html'"]


def test_what_follows_convert_and_split_trains_on_their_files(here: Path, tiny_bert: Path):
    inspect, fit = recommended("convert", here / "train.conll", here / "train.jsonl")
    assert "train.jsonl" in run(inspect).stdout
    assert "train.jsonl" in run(with_encoder(fit, tiny_bert) + " --dry-run").stdout
    (fit,) = recommended("split", here / "train.conll", "-o", "parts", "--test-fraction", "0.2")
    assert all(f"--{split}-file parts/{split}.conll" in fit for split in ("train", "validation", "test"))
    run(with_encoder(fit, tiny_bert) + " --dry-run")


def test_what_follows_predict_writes_files(finished: tuple[Path, list[str]]):
    root, _ = finished
    Path("my texts.txt").write_text("ada left paris\n", encoding="utf-8")
    write, *_ = recommended("predict", root, "my texts.txt", "--threshold", "0")
    run(write)
    assert len(Path("my texts.labelled.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    correct, *_ = recommended("predict", root, "my texts.txt", "-o", "new.jsonl")
    run(correct)
    assert [task["data"]["text"] for task in json.loads(Path("my texts.label-studio.json").read_text("utf-8"))] == [
        "ada left paris"
    ]


def test_what_follows_select_writes_files(finished: tuple[Path, list[str]]):
    root, _ = finished
    Path("raw.txt").write_text("ada left oslo .\ngrace saw x\n", encoding="utf-8")
    printed = "select", root, "raw.txt", "-n", 2, "--strategy", "random"
    (write,) = recommended(*printed)
    run(write)
    assert len(Path("raw.selected.jsonl").read_text().splitlines()) == 2
    (tasks,) = recommended(*printed, "-o", "mine.jsonl")
    run(tasks)
    assert len(json.loads(Path("raw.label-studio.json").read_text())) == 2
    (convert,) = recommended(*printed, "--output-format", "label-studio", "-o", "mine.json")
    assert shlex.split(convert)[1:] == ["convert", "export.json", "raw.labelled.conll"]


def test_after_a_sentence_predict_leads_to_the_server(finished: tuple[Path, list[str]]):
    need_modules("fastapi", "uvicorn", extra="serve")
    command = recommended("predict", finished[0], text="ada left paris\n")
    assert [shlex.split(one) for one in command] == [["tf-tokclf", "serve", str(finished[0])]]


def test_a_preview_of_push_leads_to_the_push(finished: tuple[Path, list[str]]):
    (command,) = recommended("push", finished[0], "--hub-model-id", "me/mine", "--dry-run")
    assert shlex.split(command) == ["tf-tokclf", "push", str(finished[0]), "--hub-model-id", "me/mine"]


def test_configurations_lead_to_their_plan(here: Path, tiny_bert: Path):
    CliRunner().invoke(cli, ["init", "--data", str(here / "train.conll"), "--model", str(tiny_bert), "-o", "mine.yaml"])
    plan, train = recommended("config", "check", "mine.yaml", "--set", "alignment.overlap=8")
    assert "train" in run(plan).stdout
    assert plan == f"{train} --dry-run"
    assert recommended("config", "fill", "mine.yaml", "-o", "full.yaml")[1] == "tf-tokclf fit full.yaml"


def test_two_runs_with_different_settings_can_be_compared(finished: tuple[Path, list[str]]):
    root, _ = finished
    (command,) = recommended("config", "diff", root, root.with_name("second"))
    run(command)


def test_the_cache_is_shown_then_cleared(here: Path):
    CliRunner().invoke(cli, ["inspect", str(here / "train.conll")])
    (preview,) = recommended("cache", "show")
    run(preview)
    (clear,) = recommended("cache", "clear", "--dry-run")
    run(clear)
    assert next_commands(on_terminal("cache", "show")) == []


@pytest.mark.parametrize("silence", ["--quiet", "pipe", "variable"])
def test_nothing_is_recommended_to_those_who_ask_for_less(
    silence: str, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    command = ["inspect", here / "train.conll"]
    assert next_commands(on_terminal(*command))
    if silence == "variable":
        monkeypatch.setenv("TF_TOKCLF_NO_HINTS", "1")
    shown = on_terminal(
        *command, *(["--quiet"] if silence == "--quiet" else []), stdout=tmp_path / "out" if silence == "pipe" else None
    )
    assert "Next:" not in shown


def test_long_commands_are_wrapped_for_the_shell(here: Path):
    name = here / f"{'a' * 30}.conll"
    shutil.copy(here / "train.conll", name)
    shown = on_terminal("inspect", name, "--text-column-name", "0", "--label-column-name", "1")
    lines = shown.partition("\nNext:\n")[2].splitlines()[1:]
    assert len(lines) > 2
    assert all(len(line) <= 80 for line in lines)
    echoed = subprocess.run(
        ["sh", "-c", "\n".join(lines).replace("tf-tokclf", "printf '%s\\n'", 1)], capture_output=True, text=True
    )
    assert echoed.stdout.splitlines() == words_of(next_commands(shown)[0])[0][1:]


@pytest.mark.parametrize("is_on_path", [True, False])
def test_a_program_that_the_shell_does_not_find_is_named_by_its_path(is_on_path: bool, tmp_path: Path):
    program = tmp_path / "bin of venv" / "tf-tokclf"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom tf_tokclf.cli.main import main\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    beginning = f"{program.parent}{os.pathsep}" if is_on_path else ""
    reader, writer = os.openpty()
    subprocess.run(
        [program, "init", "-o", "new.yaml"],
        stdout=writer,
        stderr=writer,
        env={**os.environ, "PATH": f"{beginning}{tmp_path}", "COLUMNS": "300", "NO_COLOR": "1"},
        check=True,
    )
    shown = read_to_end(reader, writer)
    name = "tf-tokclf" if is_on_path else shlex.quote(str(program))
    assert next_commands(without_escapes(shown))[-1] == f"{name} fit new.yaml"


def test_what_follows_push_reads_the_published_model(
    finished: tuple[Path, list[str]], hub: LocalHub, monkeypatch: pytest.MonkeyPatch
):
    Path("xdg-open").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(Path.cwd()), prepend=os.pathsep)
    page, predict = recommended("push", finished[0], "--hub-model-id", f"{USER}/mine", "--revision", "first")
    assert page.startswith("xdg-open http://127.0.0.1:")
    assert json.loads(run(predict).stdout)["text"] == "Ada Lovelace lived in London"


@pytest.mark.filterwarnings("ignore")  # of the converter
def test_what_follows_an_export_to_onnx_labels_with_it(finished: tuple[Path, list[str]]):
    need_modules("onnx", "onnxruntime", "tf2onnx", extra="export")
    (command,) = recommended("export", finished[0], "--format", "onnx", "-o", "my export")
    assert "'my export'" in command
    assert json.loads(run(command).stdout)["text"] == "Ada Lovelace lived in London"


def test_an_export_for_tensorflow_serving_is_mounted_by_its_full_path(finished: tuple[Path, list[str]]):
    (command,) = recommended("export", finished[0], "--format", "savedmodel", "-o", "my export")
    words = shlex.split(command)
    assert words[:3] == ["docker", "run", "--rm"]
    folder, _, place = words[words.index("-v") + 1].partition(":")
    assert (Path(folder) / "1" / "saved_model.pb").is_file()
    assert words[words.index("-e") + 1] == f"MODEL_NAME={place.removeprefix('/models/')}"


def test_a_server_says_how_to_ask_it(tiny_classifier: Path, tmp_path: Path):
    need_modules("fastapi", "uvicorn", extra="serve")
    reader, writer = os.openpty()
    code = "from tf_tokclf.cli.main import main; main()"
    words = [sys.executable, "-c", code, "serve", str(tiny_classifier), "--port", "0"]
    server = subprocess.Popen(words, stdout=writer, stderr=writer, env={**os.environ, "COLUMNS": "300"})
    os.close(writer)
    try:
        shown = b""
        while b"/predict" not in shown or not shown.endswith(b"\n"):
            shown += os.read(reader, 1 << 16)
        (command,) = next_commands(without_escapes(shown))
        need_program("curl", remedy="apt-get install curl")
        answer = json.loads(subprocess.run(shlex.split(command), capture_output=True, check=True).stdout)
    finally:
        server.kill()
        server.wait()
        os.close(reader)
    assert answer["predictions"][0]["text"] == "Ada Lovelace lived in London"
