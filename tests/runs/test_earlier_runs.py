"""Runs, checkpoints and models that an earlier version wrote: see tests/data/earlier_run/README.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf import load
from tf_tokclf.cli.main import cli
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.training.history import read_history

EARLIER = Path(__file__).parent.parent / "data" / "earlier_run"
WORDS = ("grace", "visited", "oslo", ".")
LABELS = ("B-PER", "O", "B-LOC", "O")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a copy of the runs."""
    copy = shutil.copytree(EARLIER, tmp_path / "earlier")
    monkeypatch.chdir(copy)
    return copy


def run(*args: str) -> Result:
    done = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_stopped_run_goes_on_from_its_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """It has the same losses as the earlier version after the same number of epochs."""
    # Dropout masks depend on the number of lanes, and the earlier version ran on two cores.
    monkeypatch.setattr("tf_tokclf.training.step.n_lanes", lambda: 2)
    resumed = run("fit", "stopped", "--resume")
    assert "continuing from epoch 2, step 3" in " ".join(resumed.stderr.split())
    now, before = (read_history(folder / name / "history.jsonl") for name in ("stopped", "finished"))
    assert now[0] == before[0]
    for name in ("train_loss", "dev_loss", "dev_f1"):
        values = [getattr(record, name) for record in before]
        assert [getattr(record, name) for record in now] == pytest.approx(values, rel=1e-3)
    finished = set(contents(folder / "finished"))
    assert set(contents(folder / "stopped")) == finished


def test_a_finished_run_is_known_and_stays_as_it_is(folder: Path):
    before = contents(folder / "finished" / "model")
    resumed = run("fit", "finished", "--resume")
    assert "the run is finished, and its files are intact." in " ".join(resumed.stderr.split())
    after = contents(folder / "finished" / "model")
    # The model card contains versions and a time.
    assert {name for name in after if after[name] != before.get(name)} <= {Path("README.md")}


def test_a_damaged_file_of_a_finished_run_is_restored(folder: Path):
    config = folder / "finished" / "model" / "config.json"
    before = config.read_bytes()
    config.unlink()
    run("fit", "finished", "--resume")
    assert config.read_bytes() == before


def test_a_run_is_evaluated_with_its_own_scores(folder: Path):
    results = json.loads((folder / "finished" / "results.json").read_text(encoding="utf-8"))
    run("evaluate", "finished", "--split", "test", "--output", "scores.json")
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert scores["overall"] == results["splits"]["test"]["overall"]


@pytest.mark.parametrize("model", ["finished", "finished/model", "stopped/model"])
def test_a_model_predicts(model: str):
    tagged = next(iter(load(model).tag([Sentence(WORDS)])))
    assert tagged.labels == LABELS


def test_the_command_predicts(folder: Path):
    (folder / "text.jsonl").write_text(json.dumps({"words": WORDS}) + "\n", encoding="utf-8")
    run("predict", "finished", "text.jsonl", "--output", "labelled.jsonl")
    record = json.loads((folder / "labelled.jsonl").read_text(encoding="utf-8"))
    assert tuple(record["predicted_labels"]) == LABELS
