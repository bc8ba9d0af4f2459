"""Runs through the command line against the local Hub: what was trained is what is published."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.local_hub import TOKEN, LocalHub
from tests.processes import Marked
from tests.requirements import need_git_lfs, need_proc
from tests.waiting import LIMIT_S
from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import check_config, with_settings
from tf_tokclf.errors import UserError
from tf_tokclf.publishing import background_push as background
from tf_tokclf.publishing.hub_repository import HubRepository, Patience
from tf_tokclf.publishing.publish import push, write_card
from tf_tokclf.publishing.run_callbacks import RunPushes, newest_checkpoint
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.train import train

pytestmark = pytest.mark.long

SENTENCE = "ada lovelace visited london .\n"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run_cli(
    hub: LocalHub, home: Path, *arguments: object, text: str = "", python: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "tf_tokclf", *map(str, arguments)]
    env = {**os.environ, **hub.env(home)}
    return subprocess.run(command, env=env, input=text, capture_output=True, text=True, timeout=LIMIT_S)


def fit_options(files: dict[str, str], encoder: Path, output: Path) -> list[object]:
    options: list[object] = [f"--{name.replace('_', '-')}={path}" for name, path in files.items()]
    options += ["--model-name-or-path", encoder, "--output-dir", output, "--precision", "float32"]
    return [
        *options,
        "--num-train-epochs",
        3,
        "--learning-rate",
        "1e-2",
        "--push-to-hub",
        "--hub-model-id",
        "mine",
    ]


def config_of(files: dict[str, str], encoder: Path, output: Path, **hub):
    return check_config(
        {
            "output_dir": str(output),
            "data": files,
            "model": {"name_or_path": str(encoder)},
            "training": {"num_train_epochs": 3, "precision": "float32"},
            "optimizer": {"learning_rate": 0.01},
            "hub": {"push": True, "model_id": "mine", **hub},
        }
    )


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr(background, "PATIENCE_IN_TRAINING", Patience(tries=2, first_wait_s=0.01))


class CommandLines(threading.Thread):
    """Collects the command lines of the processes of one test while it runs."""

    def __init__(self, processes: Marked) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._processes = processes
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.seen |= self._processes.command_lines()

    def __enter__(self) -> CommandLines:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def test_train_push_download_load_predict(tmp_path, conll_files, tiny_bert, monkeypatch):
    need_proc()
    processes = Marked()
    for name, value in processes.environment.items():
        monkeypatch.setenv(name, value)
    home, run = tmp_path / "home", RunDir(tmp_path / "run")
    with LocalHub(tmp_path / "hub") as hub, CommandLines(processes) as watch:
        done = run_cli(hub, home, "fit", *fit_options(conll_files, tiny_bert, run.root), "--hub-private-repo")
        assert done.returncode == 0, done.stderr
        assert "read back file by file" in done.stderr
        assert hub.repository("tester/mine").private
        assert hub.files("tester/mine") == contents(run.model)

        again = run_cli(hub, home, "push", run.root)
        assert again.returncode == 0, again.stderr
        assert "Nothing to push" in again.stderr
        assert hub.repository("tester/mine").sha() in again.stdout

        code = "from huggingface_hub import snapshot_download; print(snapshot_download('tester/mine'))"
        env = {**os.environ, **hub.env(home)}
        downloaded = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        copy = contents(Path(downloaded.stdout.strip()))
        assert {name: copy[name] for name in contents(run.model)} == contents(run.model)

        from_hub = run_cli(hub, home, "predict", "tester/mine", text=SENTENCE)
        assert from_hub.returncode == 0, from_hub.stderr
    from tf_tokclf.inference.tagger import Tagger
    from tf_tokclf.labels.sentence import Sentence

    tagged = next(iter(Tagger.load(run.model).tag([Sentence(tuple(SENTENCE.split()))])))
    answer = json.loads(from_hub.stdout)
    assert tuple(answer["labels"]) == tagged.labels
    assert any(b"tf_tokclf\0fit" in command for command in watch.seen)
    assert not [command for command in watch.seen if TOKEN.encode() in command]
    told = "".join(one.stdout + one.stderr for one in (done, again, from_hub))
    assert TOKEN not in told
    written = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert written == []


@pytest.mark.usefixtures("_quick")
def test_hub_that_dies_stops_no_training_and_push_finishes(hub, tmp_path, conll_files, tiny_bert):
    run = RunDir(tmp_path / "run")
    hub.fault("POST", "/commit/", skip=1, call=hub.stop, cut="before")
    options = [
        *fit_options(conll_files, tiny_bert, run.root),
        "--hub-strategy",
        "best",
        "--set",
        "hub.tries=2",
    ]
    done = CliRunner().invoke(cli, ["fit", *map(str, options)])
    assert done.exit_code == 1
    message = done.stderr.splitlines()[-1]
    assert "cannot be reached" in message
    assert len(run.history.read_text().splitlines()) == 3
    assert run.results.is_file()
    assert "token accuracy" in done.stdout
    command = shlex.split(message.partition("finishes the job: ")[2])
    assert command[:2] == ["tf-tokclf", "push"]
    hub.start()
    finished = CliRunner().invoke(cli, command[1:])
    assert finished.exit_code == 0, finished.output
    assert hub.files("tester/mine") == contents(run.model)


def test_bad_token_stops_fit_before_tensorflow_is_even_loaded(tmp_path, conll_files, tiny_bert):
    with LocalHub(tmp_path / "hub") as hub:
        hub.tokens.clear()
        options = fit_options(conll_files, tiny_bert, tmp_path / "run")
        done = run_cli(hub, tmp_path / "home", "fit", *options, python=["-X", "importtime"])
        assert done.returncode == 2
        assert "does not accept your token" in done.stderr
        assert "| tensorflow" not in done.stderr
        assert not (tmp_path / "run").exists()


def test_push_of_a_plain_folder(tmp_path, tiny_classifier):
    folder = shutil.copytree(tiny_classifier, tmp_path / "plain")
    (folder / "README.md").write_text("# Card\n")
    with LocalHub(tmp_path / "hub") as hub:
        nameless = run_cli(hub, tmp_path / "home", "push", folder)
        assert nameless.returncode == 2
        assert "--hub-model-id" in nameless.stderr
        done = run_cli(hub, tmp_path / "home", "push", folder, "--hub_model_id", "tester/plain", "--revision", "v1")
        assert done.returncode == 0, done.stderr
        assert hub.files("tester/plain", "v1") == contents(folder)
        assert done.stdout == f"{hub.url}/tester/plain/tree/{hub.repository('tester/plain').sha('v1')}\n"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def without_head(path: Path) -> None:
    config = json.loads(path.read_text())
    names = {str(number): f"L{number}" for number in range(333)}
    path.write_text(json.dumps({**config, "id2label": names, "label2id": {}}))


DAMAGES = {
    "cut weights": (cut, "model.safetensors", "model.safetensors: is damaged"),
    "no weights": (Path.unlink, "model.safetensors", "has no weights"),
    "no tokenizer": (Path.unlink, "tokenizer.json", "has no tokenizer"),
    "cut tokenizer": (cut, "tokenizer.json", "tokenizer.json: not valid JSON"),
    "no configuration": (Path.unlink, "config.json", "config.json: is missing"),
    "cut configuration": (cut, "config.json", "config.json: not valid JSON"),
    "cut settings": (cut, "tf_tokclf.json", "tf_tokclf.json: not valid JSON"),
    "no head": (without_head, "config.json", "has no classification head for 333 labels"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_folder_is_not_published(hub, tmp_path, tiny_classifier, damage):
    change, name, message = DAMAGES[damage]
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    change(folder / name)
    done = CliRunner().invoke(cli, ["push", str(folder), "--hub-model-id", "tester/damaged"])
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.stderr.split())
    assert hub.log == []


def test_an_encoder_is_not_published_as_a_token_classifier(hub, tiny_bert):
    done = CliRunner().invoke(cli, ["push", str(tiny_bert), "--hub-model-id", "tester/encoder"])
    assert done.exit_code == 2, done.output
    assert "not a token classifier. Train one first" in " ".join(done.stderr.split())
    assert hub.log == []


def test_a_damaged_run_is_not_published_and_the_message_restores_it(hub, tmp_path, conll_files, tiny_bert):
    run = RunDir(tmp_path / "run")
    options = [str(option) for option in fit_options(conll_files, tiny_bert, run.root)]
    options.remove("--push-to-hub")
    options += ["--keep-checkpoints", "1"]
    assert CliRunner().invoke(cli, ["fit", *options]).exit_code == 0
    whole = contents(run.model)
    damages = {
        run.model / "model.safetensors": flip_a_byte,
        run.model / "tokenizer.json": Path.unlink,
        run.model / "tf_tokclf.json": flip_a_byte,
        run.results: Path.unlink,
    }
    for path, change in damages.items():
        change(path)
        refused = CliRunner().invoke(cli, ["push", str(run.root)])
        assert refused.exit_code == 2, refused.output
        what = "is missing" if change is Path.unlink else "is not as it was written"
        message = " ".join(refused.stderr.split())
        assert f"{path.name}: {what}, so nothing was pushed." in message
        assert hub.log == []
        command = shlex.split(message.split("`")[1])
        restored = CliRunner().invoke(cli, command[1:])
        assert restored.exit_code == 0, restored.output
    assert CliRunner().invoke(cli, ["push", str(run.root)]).exit_code == 0
    assert {**hub.files("tester/mine"), "README.md": b""} == {**whole, "README.md": b""}


def test_without_a_record_a_damaged_run_is_not_published_either(hub, tmp_path, tiny_classifier):
    run = RunDir(tmp_path / "run")
    shutil.copytree(tiny_classifier, run.model)
    run.config.write_text("model: {name_or_path: bert-base-cased}\n")
    (run.model / "tokenizer.json").unlink()
    refused = CliRunner().invoke(cli, ["push", str(run.root)])
    assert refused.exit_code == 2, refused.output
    assert f"has no tokenizer. Restore it with `tf-tokclf fit {run.root} --resume`" in " ".join(refused.stderr.split())
    (run.model / "tf_tokclf.json").unlink()
    refused = CliRunner().invoke(cli, ["push", str(run.root)])
    assert refused.exit_code == 2, refused.output
    assert "tf_tokclf.json: is missing" in " ".join(refused.stderr.split())


def test_push_of_nothing(tmp_path, hub):
    with pytest.raises(UserError, match="no model to push"):
        push(tmp_path / "absent", repo_id="tester/m")


@pytest.mark.usefixtures("_quick")
def test_strategies(hub, tmp_path, conll_files, tiny_bert):
    config = with_settings(config_of(conll_files, tiny_bert, tmp_path / "run"), {"training.keep_checkpoints": 1})
    plan = plan_run(config)
    pushes = {}
    for strategy in ("end", "best", "every_save", "checkpoint", "all_checkpoints"):
        hub_config = plan.config.hub.model_copy(update={"strategy": strategy})
        one = replace(plan, config=plan.config.model_copy(update={"hub": hub_config}))
        pushes[strategy] = RunPushes(one, HubRepository.prepare(strategy))
    train(plan, callbacks=list(pushes.values()))
    write_card(plan.run)
    commits = {}
    for strategy, callback in pushes.items():
        callback.finish()
        published = hub.files(f"tester/{strategy}")
        commits[strategy] = hub.repository(f"tester/{strategy}").commits()
        assert contents(plan.run.model).items() <= published.items()
        assert commits[strategy][0] == "End of training"
    assert commits["end"] == ["End of training", "initial commit"]
    assert "Training in progress, epoch 1" in commits["best"]
    assert "Training in progress, epoch 1" in commits["every_save"]
    checkpoint = newest_checkpoint(plan.run)
    published = hub.files("tester/checkpoint")
    assert {f"checkpoint/{name}": data for name, data in contents(checkpoint).items()}.items() <= published.items()
    states = [path for path in hub.files("tester/all_checkpoints") if path.endswith("/state.json")]
    assert states == [f"checkpoints/epoch-{n}/state.json" for n in (1, 2, 3)]


def test_transformers_own_callback_by_choice(hub, tmp_path, conll_files, tiny_bert):
    need_git_lfs()
    run = RunDir(tmp_path / "run")
    options = [*fit_options(conll_files, tiny_bert, run.root), "--hub-backend", "git"]
    done = CliRunner().invoke(cli, ["fit", *map(str, options)])
    assert done.exit_code == 0, done.output
    assert {"tf_model.h5", "config.json", "tokenizer.json", "README.md"} <= set(hub.files("tester/mine"))
    assert (run.model / "model.safetensors").is_file()
    files = [path for path in run.root.rglob("*") if path.is_file()]
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
