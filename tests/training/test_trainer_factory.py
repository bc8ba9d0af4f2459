"""Which parts a trainer has depends on the device. A run that is continued on another device goes on as it began."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.training.test_train import config_for
from tf_tokclf import fit
from tf_tokclf.errors import Stopped
from tf_tokclf.model.backend import keras
from tf_tokclf.training.checkpoints import find_checkpoint
from tf_tokclf.training.optimizer import UP_TO

pytestmark = pytest.mark.usefixtures("untraced")

OPTIONS = {"training.num_train_epochs": 1, "training.report_to": [], "training.deterministic": True}


class PressesCtrlC(keras.callbacks.Callback):
    """Interrupts the run after its third step."""

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if batch == 2:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("first", ["a CPU", "a GPU"])
def test_a_run_goes_on_as_it_began_on_another_device(
    first: str, conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def on(device: str) -> None:
        monkeypatch.setattr("tf_tokclf.training.trainer_factory.has_gpu", lambda: device == "a GPU")

    whole, parts = (config_for(conll_files, tiny_bert, tmp_path / name, **OPTIONS) for name in ("whole", "parts"))
    on(first)
    expected = fit(whole).history
    with pytest.raises(Stopped):
        fit(parts, callbacks=[PressesCtrlC()])
    # On a GPU, the complete embedding is updated in each step.
    assert find_checkpoint(tmp_path / "parts").has_slot(UP_TO) == (first == "a CPU")
    on("a GPU" if first == "a CPU" else "a CPU")
    found = fit(parts, resume=True).history
    assert [record.train_loss for record in found] == [record.train_loss for record in expected]
    assert [record.dev_loss for record in found] == [record.dev_loss for record in expected]
