"""Cached files that are truncated, changed or removed while a run trains on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.test_train import config_for
from tf_tokclf import fit
from tf_tokclf.data import cache
from tf_tokclf.data.cache import cache_folder
from tf_tokclf.errors import JobError
from tf_tokclf.model.backend import keras

OPTIONS = {"training.num_train_epochs": 2, "training.deterministic": True}


class Once(keras.callbacks.Callback):
    """Calls a function in the second step of the second epoch."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if (self._epoch, batch) == (1, 1):
            self._call()


def cut() -> None:
    for path in cache_folder().rglob("*.*"):
        os.truncate(path, min(path.stat().st_size, 500))


def overwrite() -> None:
    """A write to the wrong place: the file and its size stay the same. Only values of the last column
    change, because Arrow does not check the offsets of a list, and wrong ones in a mapped file would end the process.
    """
    for path in cache_folder().rglob("*.arrow"):
        with path.open("r+b") as file:
            file.seek(-80, os.SEEK_END)
            file.write(bytes(64))


@pytest.fixture(scope="module")
def undisturbed(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    run = fit(config_for(conll_files, tiny_bert, tmp_path_factory.mktemp("undisturbed") / "run", **OPTIONS)).run
    return (run.model / "model.safetensors").read_bytes()


@pytest.mark.parametrize("mapped", [False, True], ids=["in memory", "mapped"])
def test_a_cache_that_is_removed_disturbs_no_run(
    mapped: bool,
    conll_files: dict[str, str],
    tiny_bert: Path,
    tmp_path: Path,
    undisturbed: bytes,
    monkeypatch: pytest.MonkeyPatch,
):
    if mapped:
        monkeypatch.setattr(cache, "MAPPED_FROM_BYTES", 1)
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **OPTIONS)
    run = fit(config, callbacks=[Once(lambda: shutil.rmtree(cache_folder()))]).run
    assert (run.model / "model.safetensors").read_bytes() == undisturbed


@pytest.mark.parametrize("damage", [cut, overwrite])
def test_small_files_that_are_damaged_disturb_no_run(
    damage: Callable[[], None], conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, undisturbed: bytes
):
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **OPTIONS)
    run = fit(config, callbacks=[Once(damage)]).run
    assert (run.model / "model.safetensors").read_bytes() == undisturbed


def test_no_epoch_on_changed_bytes_is_saved(
    conll_files: dict[str, str],
    tiny_bert: Path,
    tmp_path: Path,
    undisturbed: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(cache, "MAPPED_FROM_BYTES", 1)
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **OPTIONS)
    said = r"\.arrow was changed while it was in use, .* To continue: tf-tokclf fit .*config\.yaml --resume"
    with pytest.raises(JobError, match=said):
        fit(config, callbacks=[Once(overwrite)])
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 1
    resumed = fit(config, resume=True).run
    assert caplog.text.count("It will be rebuilt.") > 0
    assert (resumed.model / "model.safetensors").read_bytes() == undisturbed
