"""Runs are published on the local Hub through the command line: the published model is the trained one."""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import snapshot_download

from tests.local_hub import TOKEN, LocalHub
from tests.processes import Marked
from tests.publishing.running import contents, fit_options, run_cli
from tests.requirements import need_git_lfs, need_proc
from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import check_config, with_settings
from tf_tokclf.errors import UserError
from tf_tokclf.publishing import background_push as background
from tf_tokclf.publishing.hub_repository import HubRepository, Patience
from tf_tokclf.publishing.publish import push, write_card
from tf_tokclf.publishing.run_callbacks import RunPushes, newest_checkpoint
from tf_tokclf.run_dir import RunDir
from tf_tokclf.runs.single import fit_single
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.train import train

# These models are so small that tracing would take longer than computing without it.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

SENTENCE = "ada lovelace visited london .\n"


def config_of(files: dict[str, str], encoder: Path, output: Path, **hub):
    return check_config(
        {
            "output_dir": str(output),
            "data": files,
            "recipe": "none",
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
    """Collects the command lines of all processes of a test."""

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
        assert "verified every file" in done.stderr
        assert hub.repository("tester/mine").private
        assert hub.files("tester/mine") == contents(run.model)

        hub.use_here(monkeypatch, home)
        again = CliRunner().invoke(cli, ["push", str(run.root)])
        assert again.exit_code == 0, again.stderr
        assert "Nothing to push" in again.stderr
        assert hub.repository("tester/mine").sha() in again.stdout

        copy = contents(Path(snapshot_download("tester/mine")))
        assert {name: copy[name] for name in contents(run.model)} == contents(run.model)

        from_hub = CliRunner().invoke(cli, ["predict", "tester/mine"], input=SENTENCE)
        assert from_hub.exit_code == 0, from_hub.stderr
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
    command = shlex.split(message.partition("Push it with: ")[2])
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
        assert "rejected your token" in done.stderr
        assert "| tensorflow" not in done.stderr
        assert not (tmp_path / "run").exists()


def test_push_of_nothing(tmp_path, hub):
    with pytest.raises(UserError, match="this folder does not exist"):
        push(tmp_path / "absent", repo_id="tester/m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no model to push"):
        push(tmp_path / "empty", repo_id="tester/m")


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {}}, "no training data"),
        ({"training": {"report_to": ["wandb"]}}, "--report-to wandb needs wandb, which is not installed"),
    ],
)
def test_what_is_missing_is_told_before_a_repository_is_made(
    hub, tmp_path, conll_files, tiny_bert, monkeypatch, change, message
):
    monkeypatch.setattr("tf_tokclf.optional_packages.find_spec", lambda name: None)
    settings = {
        "output_dir": str(tmp_path / "run"),
        "data": conll_files,
        "recipe": "none",
        "model": {"name_or_path": str(tiny_bert)},
    }
    with pytest.raises(UserError, match=message):
        fit_single(check_config({**settings, "hub": {"push": True, "model_id": "mine"}, **change}))
    assert hub.log == []
