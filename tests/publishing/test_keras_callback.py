"""PushToHubCallback in model.fit: whatever the Hub does, the trained model is published or kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.local_hub import TOKEN
from tests.waiting import wait_until
from tf_tokclf.hub import JobError, UserError
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.publishing import PushToHubCallback
from tf_tokclf.publishing import background_push as background
from tf_tokclf.publishing.hub_repository import Patience

LABELS = ["O", "B-LOC", "I-LOC"]
INPUTS = np.array([[1, 4, 5, 6, 2], [1, 6, 5, 4, 2]] * 4)
TARGETS = np.array([[-100, 0, 1, 2, -100], [-100, 2, 1, 0, -100]] * 4)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(background, "PATIENCE_IN_TRAINING", Patience(tries=2, first_wait_s=0.01))
    patience = Patience(tries=4, first_wait_s=0.01)
    monkeypatch.setitem(background.Publisher.__init__.__kwdefaults__, "patience", patience)


@pytest.fixture(scope="module")
def model():
    """One model for all tests, so that Keras traces the training step only once."""
    keras.utils.set_random_seed(1)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    model = transformers.TFBertForTokenClassification(config)
    model.compile(optimizer=keras.optimizers.legacy.Adam(1e-2))
    return model


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "to", "new", "york", "[MASK]"]))
    return transformers.BertTokenizerFast(str(path))


class AtEpoch(keras.callbacks.Callback):
    """Calls a function before certain epochs."""

    def __init__(self, **actions):
        super().__init__()
        self.actions = {int(name[1:]): action for name, action in actions.items()}

    def on_epoch_begin(self, epoch, logs=None):
        self.actions.get(epoch, lambda: None)()


def train(model, callbacks, epochs=4, **options):
    data = tf.data.Dataset.from_tensor_slices(({"input_ids": INPUTS, "labels": TARGETS}, TARGETS)).batch(4)
    return model.fit(data, epochs=epochs, verbose=0, callbacks=callbacks, **options)


def weights_in(folder):
    return transformers.TFBertForTokenClassification.from_pretrained(folder)


def same_weights(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights()))


def assert_nothing_lost(hub, model, folder, name="tester/model"):
    local = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    published = hub.files(name)
    assert {path: published.get(path) for path in local} == local
    assert same_weights(weights_in(folder), model)


def test_a_hub_that_is_well(hub, model, tokenizer, tmp_path):
    callback = PushToHubCallback(tmp_path / "model", tokenizer=tokenizer, hub_model_id="model")
    train(model, [callback])
    assert_nothing_lost(hub, model, tmp_path / "model")
    assert "tokenizer.json" in hub.files("tester/model")


def test_b_upload_slower_than_the_epochs_which_do_not_wait(hub, model, tmp_path):
    last_epoch = threading.Event()
    hub.fault("POST", "/commit/", call=last_epoch.wait)
    callback = PushToHubCallback(tmp_path / "model")
    train(model, [callback, AtEpoch(e3=last_epoch.set)])
    assert_nothing_lost(hub, model, tmp_path / "model")
    assert "Training in progress, epoch 2" not in hub.repository("tester/model").commits()


def test_newest_waiting_snapshot_wins(hub, tmp_path):
    reached, go_on = threading.Event(), threading.Event()
    hub.fault("POST", "/commit/", call=lambda: (reached.set(), go_on.wait()))
    publisher = background.Publisher(background.HubRepository.prepare("model"))
    for number in range(5):
        publisher.offer(lambda folder, n=number: (folder / "n.txt").write_text(str(n)), f"number {number}")
        reached.wait()
    go_on.set()
    wait_until(lambda: hub.files("tester/model").get("n.txt") == b"4")
    final = tmp_path / "final"
    final.mkdir()
    (final / "n.txt").write_text("last")
    publisher.finish(final, "last", command="")
    assert hub.repository("tester/model").commits() == ["last", "number 4", "number 0", "initial commit"]


class Panic(BaseException):
    """Like the panics of Rust libraries, which `except Exception` does not catch."""


def test_a_push_that_panics_stops_neither_training_nor_later_pushes(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(background, "LONGEST_WAIT_AT_THE_END_S", 5.0)
    repository = background.HubRepository.prepare("model")
    push, messages = repository.push, []

    def panicking(folder, *, message, **options):
        messages.append(message)
        if message == "number 0":
            raise Panic("in the upload")
        return push(folder, message=message, **options)

    object.__setattr__(repository, "push", panicking)
    publisher = background.Publisher(repository, keep_all=True)
    for number in range(3):
        publisher.offer(lambda folder, n=number: (folder / "n.txt").write_text(str(n)), f"number {number}")

    def unsaved(folder):
        raise Panic("in the tokenizer")

    publisher.offer(unsaved, "number 3")
    final = tmp_path / "final"
    final.mkdir()
    (final / "n.txt").write_text("last")
    publisher.finish(final, "last", command="")
    assert messages == ["number 0", "number 1", "number 2", "last"]
    assert hub.repository("tester/model").commits()[:3] == ["last", "number 2", "number 1"]


def test_c_hub_dead_from_the_second_epoch_on(hub, model, tmp_path):
    callback = PushToHubCallback(tmp_path / "model")
    with pytest.raises(JobError, match=r"tf-tokclf push .*/model --hub-model-id tester/model"):
        train(model, [callback, AtEpoch(e1=hub.stop)])
    assert same_weights(weights_in(tmp_path / "model"), model)
    hub.start()
    background.HubRepository.prepare("tester/model").push(tmp_path / "model")
    assert_nothing_lost(hub, model, tmp_path / "model")


def test_d_hub_away_for_two_epochs(hub, model, tmp_path):
    callback = PushToHubCallback(tmp_path / "model")
    train(model, [callback, AtEpoch(e1=hub.stop, e3=hub.start)])
    assert_nothing_lost(hub, model, tmp_path / "model")


def test_e_hub_away_only_while_the_last_epoch_is_pushed(hub, model, tmp_path):
    callback = PushToHubCallback(tmp_path / "model")
    hub.fault("POST", "/preupload/", status=503, times=2, skip=3)
    train(model, [callback], epochs=3)
    assert_nothing_lost(hub, model, tmp_path / "model")


def test_f_steps_with_nothing_new(hub, model, tmp_path):
    rate, model.optimizer.learning_rate = float(model.optimizer.learning_rate), 0.0
    train(model, [PushToHubCallback(tmp_path / "model", save_strategy="steps", save_steps=1)], epochs=2)
    model.optimizer.learning_rate = rate
    assert_nothing_lost(hub, model, tmp_path / "model")


def test_g_card_edited_on_the_web_meanwhile(hub, model, tmp_path):
    callback = PushToHubCallback(tmp_path / "model")
    published = hub.repository("tester/model")
    edit = AtEpoch(e2=lambda: published.commit({"README.md": b"theirs", "notes.txt": b"theirs"}))
    train(model, [callback, edit])
    assert_nothing_lost(hub, model, tmp_path / "model")
    assert hub.read("tester/model", "notes.txt") == b"theirs"
    assert "somebody's commit" in published.commits()


def test_h_failure_is_told_however_quiet_the_hubs_library_is(hub, model, tmp_path):
    from huggingface_hub import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        callback = PushToHubCallback(tmp_path / "model")
        hub.fault("POST", "/commit/", status=500, times=None)
        with pytest.raises(JobError, match="the Hub had a server error"):
            train(model, [callback], epochs=1)
    finally:
        logging.set_verbosity(verbosity)


def test_i_token_is_nowhere(hub, model, tmp_path, caplog, capfd, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    hub.fault("POST", "/commit/", status=503)
    with caplog.at_level("DEBUG", logger="tf_tokclf"):
        train(model, [PushToHubCallback(tmp_path / "model", hub_token=TOKEN)], epochs=2)
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_j_http_in_the_name(hub, model, tmp_path):
    train(model, [PushToHubCallback(tmp_path / "model", hub_model_id="tester/my-http-model")], epochs=1)
    assert_nothing_lost(hub, model, tmp_path / "model", "tester/my-http-model")


def test_k_model_from_scratch_has_no_empty_links(hub, model, tmp_path):
    train(model, [PushToHubCallback(tmp_path / "model", language="en", license="mit", tags="tiny")], epochs=1)
    card = hub.read("tester/model", "README.md").decode()
    assert "trained from scratch" in card
    assert "](https://huggingface.co/)" not in card
    assert "license: mit" in card


@pytest.mark.parametrize(
    "fault", [{"status": 429, "headers": {"Retry-After": "0"}}, {"cut": "after"}, {"status": 412}, {"status": 409}]
)
def test_fault_in_every_other_commit(hub, model, tmp_path, fault):
    for skip in (0, 1, 2):
        hub.fault("POST", "/commit/", skip=skip, **fault)
    train(model, [PushToHubCallback(tmp_path / "model")], epochs=3)
    assert_nothing_lost(hub, model, tmp_path / "model")


@pytest.mark.parametrize("token", ["hf_wrongwrongwrong", "hf_readreadread"])
def test_bad_token_fails_before_training(hub, tmp_path, token):
    hub.tokens["hf_readreadread"] = "tester"
    hub.roles["hf_readreadread"] = "read"
    with pytest.raises(UserError):
        PushToHubCallback(tmp_path / "model", hub_token=token)


def test_nothing_is_left_in_the_temporary_folder(hub, model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    train(model, [PushToHubCallback(tmp_path / "model")], epochs=2)
    # TensorFlow creates files of its own if this test is the first to trace a function. Python removes them at exit.
    left = [path.name for path in (tmp_path / "temporary").iterdir()]
    assert [name for name in left if not name.startswith("__autograph_generated_file")] == []


def test_strategy_end(hub, model, tmp_path):
    train(model, [PushToHubCallback(tmp_path / "model", strategy="end")])
    assert hub.repository("tester/model").commits() == ["End of training", "initial commit"]


def test_strategy_best_publishes_the_best_epoch(hub, model, tmp_path):
    seen = {}

    class Scores(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_f1"] = [0.2, 0.9, 0.4, 0.5][epoch]
            seen[epoch] = self.model.get_weights()

    train(model, [Scores(), PushToHubCallback(tmp_path / "model", strategy="best", monitor="val_f1")])
    best = weights_in(tmp_path / "model").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(best, seen[1]))
    assert hub.read("tester/model", "model.safetensors") == (tmp_path / "model/model.safetensors").read_bytes()


def test_checkpoint_can_be_gone_on_from(hub, model, tmp_path):
    train(model, [PushToHubCallback(tmp_path / "model", checkpoint=True)], epochs=2)
    assert {"checkpoint/weights.h5", "checkpoint/extra_data.pickle"} <= set(hub.files("tester/model"))


def test_all_checkpoints_are_kept(hub, model, tmp_path):
    train(model, [PushToHubCallback(tmp_path / "model", strategy="all_checkpoints")], epochs=3)
    names = set(hub.files("tester/model"))
    assert {f"checkpoints/epoch-{n}/weights.h5" for n in (1, 2, 3)} <= names


def test_private(hub, model, tmp_path):
    train(model, [PushToHubCallback(tmp_path / "model", private=True)], epochs=1)
    assert hub.repository("tester/model").private


def test_unknown_arguments(hub, tmp_path):
    with pytest.raises(TypeError, match="nonsense"):
        PushToHubCallback(tmp_path / "model", nonsense=1)
    with pytest.raises(UserError, match="save_steps"):
        PushToHubCallback(tmp_path / "model", save_strategy="steps")
