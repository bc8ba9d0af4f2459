"""Data sets from the Hub: revisions, permissions, scripts, offline use. Each error is one message with a remedy."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tf_tokclf.data.formats.hf_datasets import load_from_hub
from tf_tokclf.errors import JobError, UserError

ROWS = [{"tokens": ["new", "york"], "ner_tags": ["B-LOC", "I-LOC"]}]


def parquet(rows) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def jsonl(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def words(hub):
    repository = hub.create("tester/words", kind="datasets")
    repository.commit({"train.jsonl": jsonl(ROWS)})
    return repository


def test_newest(words):
    assert load_from_hub("tester/words", None, None)["train"].to_list() == ROWS


def test_older_revision(words):
    old = words.sha()
    words.commit({"train.jsonl": jsonl(ROWS * 3)})
    assert len(load_from_hub("tester/words", None, old)["train"]) == 1
    assert len(load_from_hub("tester/words", None, None)["train"]) == 3


def test_unknown_revision(words):
    with pytest.raises(UserError, match="data set tester/words does not have this revision"):
        load_from_hub("tester/words", None, "nowhere")


def test_unknown_name(hub):
    with pytest.raises(UserError, match="data set tester/absent does not exist on the Hub"):
        load_from_hub("tester/absent", None, None)


def test_private_needs_a_token(hub, monkeypatch):
    hub.create("tester/secret", kind="datasets", private=True).commit({"train.jsonl": jsonl(ROWS)})
    with monkeypatch.context() as nobody:
        nobody.delenv("HF_TOKEN")
        with pytest.raises(UserError, match="hf auth login"):
            load_from_hub("tester/secret", None, None)
    assert load_from_hub("tester/secret", None, None)["train"].to_list() == ROWS


def test_gated(hub):
    hub.create("owner/gated", kind="datasets", gated=True).commit({"train.jsonl": jsonl(ROWS)})
    with pytest.raises(UserError, match="data set owner/gated is gated"):
        load_from_hub("owner/gated", None, None)


def test_wrong_token(words, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(UserError, match="rejected your token"):
        load_from_hub("tester/words", None, None)


def test_no_network(words, hub):
    hub.stop()
    with pytest.raises(JobError, match="cannot be reached"):
        load_from_hub("tester/words", None, None)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("conll2003", "The copy of conll2003 to use is lhoestq/conll2003."),
        ("masakhaner", "Most data sets are named OWNER/NAME."),
        ("tester/absent", None),
    ],
)
def test_a_name_without_owner_is_explained(hub, name, advice):
    with pytest.raises(UserError, match="does not exist on the Hub") as absent:
        load_from_hub(name, None, None)
    hub.stop()
    with pytest.raises(JobError, match="cannot be reached") as unreachable:
        load_from_hub(name, None, None)
    for caught in (absent, unreachable):
        assert str(caught.value).endswith(advice) if advice else "OWNER" not in str(caught.value)


def test_offline_mode(words, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="offline mode is on"):
        load_from_hub("tester/words", None, None)


@pytest.mark.parametrize("offline", [True, False])
def test_what_was_loaded_before_loads_without_a_network(words, hub, monkeypatch, offline):
    before = load_from_hub("tester/words", None, None)["train"].to_list()
    hub.stop()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", offline)
    assert load_from_hub("tester/words", None, None)["train"].to_list() == before


def test_lasting_429(words, hub):
    hub.fault(".*", "words", status=429, headers={"Retry-After": "0"}, times=None)
    with pytest.raises(JobError, match="429"):
        load_from_hub("tester/words", None, None)


@pytest.fixture
def script(hub):
    repository = hub.create("tester/script", kind="datasets")
    repository.commit({"script.py": b"raise SystemExit('nobody runs this')"})
    return repository


def convert(repository, **parts):
    files = {f"{name.replace('__', '/')}/0000.parquet": parquet(rows) for name, rows in parts.items()}
    repository.git("update-ref", "refs/convert/parquet", repository.sha())
    repository.commit(files, branch="refs/convert/parquet")


def test_script_is_read_from_the_hubs_parquet_copy_and_said(script, caplog):
    convert(script, conll__train=ROWS * 2, conll__test=ROWS)
    with caplog.at_level("INFO"):
        found = load_from_hub("tester/script", None, None)
    assert {name: len(split) for name, split in found.items()} == {"train": 2, "test": 1}
    assert "refs/convert/parquet" in caplog.text


def test_configuration_of_a_parquet_copy(script):
    convert(script, en__train=ROWS, de__train=ROWS * 2)
    assert len(load_from_hub("tester/script", "de", None)["train"]) == 2
    with pytest.raises(
        UserError, match=r"The configurations are de, en. Choose one with --set data.dataset_config_name=NAME"
    ):
        load_from_hub("tester/script", None, None)


def test_script_without_a_parquet_copy(script):
    with pytest.raises(UserError, match="is a Python script"):
        load_from_hub("tester/script", None, None)
