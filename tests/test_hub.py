"""Every failure of the Hub becomes one message that says what to do. Requests time out, failed reads are repeated."""

from __future__ import annotations

import json
import threading
import time

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from tests.local_hub import TOKEN, LocalHub
from tests.waiting import LIMIT_S
from tf_tokclf.data.formats.hf_datasets import load_from_hub
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.hub import hub_errors

CONFIG = b'{"model_type": "bert"}'


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with LocalHub(tmp_path / "hub") as hub:
        hub.use_here(monkeypatch, tmp_path / "home")
        hub.create("tester/m").commit({"config.json": CONFIG})
        yield hub


def download(name: str = "tester/m", **options):
    with hub_errors(f"model {name}"):
        return snapshot_download(name, **options)


def message_of(kind: type[Exception], **options) -> str:
    with pytest.raises(kind) as raised:
        download(**options)
    return str(raised.value)


def test_missing_model(hub):
    message = message_of(UserError, name="tester/absent")
    assert message.startswith("model tester/absent does not exist on the Hub, or you do not have access to it. Check")


def test_a_mistyped_folder_is_named_as_a_folder_and_as_a_model(hub, monkeypatch):
    beginning = "there is no folder runs/mien here, and"
    with pytest.raises(UserError) as raised:
        local_model_folder("runs/mien")
    assert str(raised.value).startswith(f"{beginning} model runs/mien does not exist on the Hub, or you do not have")
    with monkeypatch.context() as offline:
        offline.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(UserError, match=f"{beginning} model runs/mien is not completely in the local cache"):
            local_model_folder("runs/mien")
    hub.stop()
    with pytest.raises(JobError, match=f"{beginning} the Hub at {hub.url} cannot be reached"):
        local_model_folder("runs/mien")


def test_without_a_network_a_mistyped_path_is_the_mistake_of_the_user(hub, tmp_path, monkeypatch):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    hub.stop()
    for name in ("runs/mien", "run"):
        with pytest.raises(
            UserError, match=f"there is no folder {name} here, and the Hub at .* cannot be reached"
        ) as told:
            local_model_folder(name)
        assert str(told.value).endswith({"runs/mien": "Did you mean runs/mine?", "run": "Did you mean runs?"}[name])
    with pytest.raises(JobError, match="there is no folder tester/absent here, and the Hub"):
        local_model_folder("tester/absent")


def test_a_mistyped_folder_of_data_is_named_as_a_folder_and_as_a_data_set(hub, tmp_path, monkeypatch):
    with pytest.raises(
        UserError, match=r"^there is no folder data/mien here, and data set data/mien does not exist on"
    ):
        load_from_hub("data/mien", None, None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "mien").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^data/mien: the folder contains no data set"):
        load_from_hub("data/mien", None, None)


def test_missing_revision(hub):
    assert "does not have this revision" in message_of(UserError, revision="nowhere")


def test_private_model_without_token(hub, monkeypatch):
    hub.create("tester/private", private=True)
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in message_of(UserError, name="tester/private")


def test_private_model_with_token(hub):
    hub.create("tester/private", private=True).commit({"config.json": b"{}"})
    assert download("tester/private")


def test_gated_model(hub):
    hub.create("owner/gated", gated=True).commit({"config.json": b"{}"})
    message = message_of(UserError, name="owner/gated")
    assert "is gated" in message
    assert "Request access" in message


def test_wrong_token_is_not_shown(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    message = message_of(UserError)
    assert "rejected your token" in message
    assert "hf_wrong" not in message


def test_name_that_is_none(hub):
    assert "NAME or OWNER/NAME" in message_of(UserError, name="a/b/c")


def test_no_network(hub):
    hub.stop()
    message = message_of(JobError)
    assert "cannot be reached" in message
    assert "or use cached files only (HF_HUB_OFFLINE=1)." in message


def test_what_is_in_the_cache_works_without_network(hub):
    before = download()
    hub.stop()
    assert download() == before


def test_offline_mode(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "offline mode is on" in message_of(UserError)


def test_stalled_hub(hub, monkeypatch):
    monkeypatch.setenv("TF_TOKCLF_HUB_TIMEOUT_S", "0.2")
    given_up = threading.Event()
    hub.fault("GET", "/api/models", call=lambda: given_up.wait(LIMIT_S), times=None)
    assert "did not respond in time" in message_of(JobError)
    given_up.set()


def test_read_is_repeated_after_the_time_asked_for(hub):
    hub.fault("GET", "/api/models", status=429, headers={"Retry-After": "1"})
    began = time.monotonic()
    assert download()
    assert time.monotonic() - began >= 1


def test_read_is_not_repeated_if_the_hub_asks_to_wait_for_long(hub):
    hub.fault("GET", "/api/models", status=429, headers={"Retry-After": "3600"}, times=None)
    assert "Try again in 60 minutes." in message_of(JobError)
    assert len(hub.log) == 1


def test_a_wait_that_nobody_can_read_is_no_traceback(hub):
    hub.fault("GET", "/api/models", status=503, headers={"Retry-After": "soon"})
    assert download()


def test_lasting_429(hub):
    hub.fault("GET", "/api/models", status=429, headers={"Retry-After": "0"}, times=None)
    assert "429" in message_of(JobError)


def test_503(hub):
    hub.fault("POST", "/repos/create", status=503)
    with pytest.raises(JobError, match=r"the Hub had a server error \(503\)"), hub_errors("model tester/new"):
        HfApi().create_repo("tester/new")


def test_missing_file(hub):
    with pytest.raises(UserError, match="does not contain a required file"), hub_errors("model tester/m"):
        hf_hub_download("tester/m", "absent.json")


def test_right_to_write_is_missing(hub):
    hub.roles[TOKEN] = "read"
    with (
        pytest.raises(UserError, match="your token does not have the required permission"),
        hub_errors("model tester/new"),
    ):
        HfApi().create_repo("tester/new")


def test_other_errors_stay_as_they_are(hub):
    with pytest.raises(ZeroDivisionError), hub_errors("model tester/m"):
        print(1 / 0)


def test_model_of_a_revision(hub):
    repository = hub.repository("tester/m")
    old = repository.commit(
        {"model.safetensors": b"old", "config.json": b'{"model_type": "bert", "a": 1}', "sub/model.safetensors": b"x"}
    )
    repository.commit({"model.safetensors": b"new"})
    folder = local_model_folder("tester/m", revision=old)
    assert (folder / "model.safetensors").read_bytes() == b"old"
    assert not (folder / "sub").exists()
    assert (local_model_folder("tester/m") / "model.safetensors").read_bytes() == b"new"


def test_model_from_the_cache_offline(hub, monkeypatch):
    hub.repository("tester/m").commit({"model.safetensors": b"weights"})
    before = local_model_folder("tester/m")
    hub.stop()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert local_model_folder("tester/m") == before
    with pytest.raises(UserError, match="offline mode is on"):
        local_model_folder("tester/other")


def test_an_export_is_downloaded_without_weights(hub):
    files = {
        name: {"file": f"{name}.onnx", "precision": name, "sha256": "0" * 64, "opset": 17}
        for name in ("float32", "int8")
    }
    record = {"format_version": 1, "weights": {}, "default": "float32", "files": list(files.values())}
    contents = {"onnx/record.json": json.dumps(record).encode(), "onnx/float32.onnx": b"x", "onnx/int8.onnx": b"y"}
    hub.repository("tester/m").commit({**contents, "model.safetensors": b"weights"})
    hub.create("tester/alone").commit({**contents, "config.json": b'{"model_type": "bert"}'})
    folder = local_model_folder("tester/m", engine="onnx", precision="int8")
    assert {path.name for path in folder.rglob("*.*")} >= {"config.json", "int8.onnx"}
    assert not {path.name for path in folder.rglob("*.*")} & {"model.safetensors", "float32.onnx"}
    alone = local_model_folder("tester/alone", engine="auto")
    assert [path.name for path in alone.rglob("*.onnx")] == ["float32.onnx"]
    assert (local_model_folder("tester/m", engine="auto") / "model.safetensors").is_file()


def test_pickles_are_downloaded_only_if_there_are_no_other_weights(hub):
    files = {"pytorch_model.bin": b"pickle", "training_args.bin": b"x", "pytorch_model-00001-of-00001.bin": b"shard"}
    repository = hub.repository("tester/m")
    repository.commit({**files, "pytorch_model.bin.index.json": b"{}"})
    names = {path.name for path in local_model_folder("tester/m").iterdir()}
    assert names >= {"pytorch_model.bin", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"}
    assert "training_args.bin" not in names
    repository.commit({"tf_model.h5": b"weights"})
    names = {path.name for path in local_model_folder("tester/m").iterdir()}
    assert "tf_model.h5" in names
    assert not any(name.endswith(".bin") for name in names)


def test_model_without_weights(hub):
    hub.repository("tester/m").commit({"training_args.bin": b"pickle"})
    with pytest.raises(UserError, match=r"tester/m has no weights\. Expected one of model\.safetensors"):
        local_model_folder("tester/m")
