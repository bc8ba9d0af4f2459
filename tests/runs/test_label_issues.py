"""Cross-fitting and what it finds: planted errors come first, and a killed command continues."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.killing import UNTRACED, Ended, Ending, KillServer
from tests.requirements import need_modules
from tests.runs.noisy_data import WRONG, arguments, clean_sentences, noisy_sentences, write_conll
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import load_split

need_modules("cleanlab", extra="label-issues")
pytestmark = pytest.mark.long

TASKS = ("label-studio", "prodigy", "doccano")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_conll(tmp_path_factory.mktemp("noisy") / "noisy.conll", noisy_sentences())


@pytest.fixture(scope="module")
def done(
    data: Path, tiny_bert: Path, kill_server: KillServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("issues") / "issues"
    args = [*arguments(data, tiny_bert, folder), *(f"--tasks={name}" for name in TASKS)]
    return folder, kill_server.run(args, folder, before=UNTRACED)


@pytest.fixture(scope="module")
def issues(done: tuple[Path, Ended]) -> list[dict[str, Any]]:
    folder, ended = done
    assert ended.code == 0, ended.stderr
    return [json.loads(line) for line in (folder / "issues.jsonl").read_text(encoding="utf-8").splitlines()]


def test_planted_errors_are_found_first(issues: list[dict[str, Any]]):
    first = issues[: len(WRONG)]
    assert {one["sentence"] for one in first} == set(WRONG)
    kinds = {one["sentence"]: one["kind"] for one in first}
    assert kinds == {4: "wrong type", 11: "missed", 21: "wrong boundary", 32: "spurious"}
    assert all(one["flagged"] for one in first)
    assert [one["rank"] for one in issues] == list(range(1, len(issues) + 1))
    assert [one["quality"] for one in issues] == sorted(one["quality"] for one in issues)


def test_an_issue_says_how_the_same_words_are_labelled_elsewhere(issues: list[dict[str, Any]]):
    (wrong_type,) = [one for one in issues if one["sentence"] == 4]
    sentences = noisy_sentences()
    form = wrong_type["after"]["text"]
    labels = [
        labels[i] for n, (words, labels) in enumerate(sentences, 1) if n != 4 for i, w in enumerate(words) if w == form
    ]
    assert set(labels) == {"B-LOC"}
    assert wrong_type["elsewhere"]["labels"] == {"LOC": len(labels)}
    place = wrong_type["elsewhere"]["places"][0]
    assert sentences[place["sentence"] - 1][0][place["start"]] == form


def test_every_sentence_is_scored_once_and_by_a_model_without_it(done: tuple[Path, Ended]):
    folder, _ = done
    n_sentences = 0
    for path in sorted((folder / "folds").glob("*.npz")):
        with np.load(path) as arrays:
            n_sentences += len(arrays["lengths"])
            sums = np.exp(arrays["log_probabilities"]).sum(axis=1)
            np.testing.assert_allclose(sums, 1, rtol=1e-5)
    assert n_sentences == len(noisy_sentences())
    # The runs are removed when their probabilities are stored.
    assert {path.suffix for path in (folder / "folds").glob("fold-*")} == {".npz"}


def test_tasks_have_the_given_labels_and_the_suggestions(done: tuple[Path, Ended], issues: list[dict[str, Any]]):
    folder, _ = done
    sentences = list(dict.fromkeys(one["sentence"] for one in issues))
    for name in TASKS:
        path = folder / f"tasks.{name}.json{'' if name == 'label-studio' else 'l'}"
        read = list(load_split(str(path), DataConfig(scheme="IOB2")))
        expected = [noisy_sentences()[number - 1] for number in sentences]
        assert [(list(one.words), list(one.labels or ())) for one in read] == expected
        assert issues[0]["kind"] in path.read_text(encoding="utf-8")
    task = json.loads((folder / "tasks.label-studio.json").read_text(encoding="utf-8"))[0]
    suggested = [(one["value"]["text"], one["value"]["labels"]) for one in task["predictions"][0]["result"]]
    words, labels = clean_sentences()[sentences[0] - 1]
    assert len(suggested) == sum(label.startswith("B-") for label in labels)
    assert all(text in " ".join(words) for text, _ in suggested)


def test_a_killed_command_continues_with_the_finished_folds(
    done: tuple[Path, Ended], data: Path, tiny_bert: Path, kill_server: KillServer, tmp_path: Path
):
    whole, _ = done
    folder = tmp_path / "issues"
    shutil.copytree(whole / "folds", folder / "folds")
    (folder / "folds" / "fold-3.npz").unlink()
    finished = folder / "folds" / "fold-1.npz"
    before = finished.stat().st_mtime_ns
    args = arguments(data, tiny_bert, folder)
    killed = kill_server.run(args, folder, Ending(change=1, place="fold-3/model"), before=UNTRACED)
    assert killed.code == -9
    assert "fold 1 of 3 is finished" in killed.stderr
    assert (folder / "folds" / "fold-3" / "config.yaml").is_file()
    assert not (folder / "issues.jsonl").exists()
    again = kill_server.run(args, folder, before=UNTRACED)
    assert again.code == 0, again.stderr
    assert finished.stat().st_mtime_ns == before
    assert (folder / "issues.jsonl").read_bytes() == (whole / "issues.jsonl").read_bytes()


def test_finished_folds_are_kept_or_refused(
    done: tuple[Path, Ended], data: Path, tiny_bert: Path, kill_server: KillServer, tmp_path: Path
):
    folder, ended = done
    args = arguments(data, tiny_bert, folder)
    again = kill_server.run(args, folder, before=UNTRACED)
    assert (again.code, "epoch" in again.stderr) == (0, False)
    assert again.stdout.splitlines()[:3] == ended.stdout.splitlines()[:3]
    for change, message in (
        (["--folds=4"], "contains folds with another --folds"),
        (["--seed=7"], "contains folds with other settings (training.seed)"),
        (["--max-train-samples=20"], "contains folds with other data"),
    ):
        refused = kill_server.run([*args, *change], folder, before=UNTRACED)
        assert refused.code == 2
        assert message in refused.stderr
    damaged = folder / "folds" / "fold-1.npz"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100])
    refused = kill_server.run(args, folder, before=UNTRACED)
    damaged.write_bytes(content)
    assert refused.code == 2
    assert "fold-1.npz: is damaged. Remove it, and run the same command again." in refused.stderr


def test_all_sentences_are_different():
    """Otherwise fewer of them would be divided into folds."""
    words = [tuple(words) for words, _ in clean_sentences()]
    assert len(set(words)) == len(words)
