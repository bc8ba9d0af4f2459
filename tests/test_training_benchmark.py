"""scripts/benchmark train: its arithmetic, its encoders with random weights, its sentences and its stored ratios."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.encoders import make_bert
from tf_tokclf.encoding.model_config import check_model_config
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.model.architectures.modernbert import TFModernBertForTokenClassification
from tf_tokclf.model.backend import transformers
from tf_tokclf.model.loading import new_classifier, settings_of_type
from tf_tokclf.model.precision import Precision

BENCHMARKS = Path(__file__).resolve().parent.parent / "scripts" / "benchmarks"
N_LABELS, WIDTH, INNER, N_LAYERS = 5, 32, 64, 2
# Operations of one token in one layer: query, key, value and output, and the two matrices after them.
LAYER = 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
# Operations of a pair of tokens in one layer: the attention score, and adding the weighted value.
PAIR = 4 * WIDTH


@pytest.fixture(autouse=True)
def _modules_of_the_benchmarks(monkeypatch):
    for folder in (BENCHMARKS, BENCHMARKS / "baselines"):
        monkeypatch.syspath_prepend(str(folder))


def module(name: str):
    return import_module(name)


def built(kind, config):
    model = kind(config)
    model.build_in_name_scope()
    return model


def bert():
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=INNER,
        num_labels=N_LABELS,
    )
    return built(transformers.TFBertForTokenClassification, config), N_LAYERS * LAYER + 2 * WIDTH * N_LABELS


def distilbert():
    config = transformers.DistilBertConfig(
        vocab_size=50, dim=WIDTH, n_layers=N_LAYERS, n_heads=2, hidden_dim=INNER, num_labels=N_LABELS
    )
    return built(transformers.TFDistilBertForTokenClassification, config), N_LAYERS * LAYER + 2 * WIDTH * N_LABELS


def albert():
    """Both layers have the same weights."""
    config = transformers.AlbertConfig(
        vocab_size=50,
        embedding_size=8,
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=INNER,
        num_labels=N_LABELS,
    )
    model = built(transformers.TFAlbertForTokenClassification, config)
    return model, 2 * 8 * WIDTH + N_LAYERS * LAYER + 2 * WIDTH * N_LABELS


def modernbert():
    """The first of the two matrices after the attention is twice as wide, and the head has one more."""
    config = transformers.ModernBertConfig(
        vocab_size=50,
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=INNER,
        num_labels=N_LABELS,
        pad_token_id=0,
    )
    gated = 2 * WIDTH * INNER
    head = 2 * WIDTH * WIDTH + 2 * WIDTH * N_LABELS
    return built(TFModernBertForTokenClassification, config), N_LAYERS * (LAYER + gated) + head


@pytest.mark.parametrize("make", [bert, distilbert, albert, modernbert])
def test_operations_are_counted_from_the_weights(make):
    model, per_token = make()

    counted = module("arithmetic").forward_flop(model, [7, 3])

    assert counted == per_token * (7 + 3) + N_LAYERS * PAIR * (7 * 7 + 3 * 3)


def test_the_peak_does_not_contain_that_of_the_parent_process():
    parent = f"""
import subprocess, sys, numpy
ones = numpy.ones(50_000_000)
code = "from peak_memory import peak_gb; print(peak_gb())"
subprocess.run([sys.executable, "-c", code], check=True, cwd={str(BENCHMARKS / "baselines")!r})
"""
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)

    assert 0.005 < float(done.stdout) < 0.2


def test_every_shape_is_a_configuration_that_fit_accepts(tmp_path):
    for name, settings in module("measuring.encoders").SHAPES.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")

        assert check_model_config(folder)
        assert set(settings) - {"model_type"} <= settings_of_type(settings["model_type"])


def test_a_folder_without_weights_gets_random_ones_in_a_copy(tmp_path):
    folder = make_bert(tmp_path / "tiny")
    shapes = {name: array.shape for name, array in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    names = ("O", "B-LOC")

    encoder = module("measuring.encoders").encoder_of(str(folder), tmp_path / "copy")

    assert (encoder.name, encoder.is_random, encoder.folder) == ("tiny", True, tmp_path / "copy")
    assert not (folder / "model.safetensors").exists()
    weights = load_file(encoder.folder / "model.safetensors")
    # Without the pooler, which a token classifier does not have.
    assert {name.removeprefix("bert."): array.shape for name, array in weights.items()} == {
        name.removeprefix("bert."): shape for name, shape in shapes.items() if "pooler" not in name
    }
    assert np.std(weights["bert.embeddings.word_embeddings.weight"]) > 0.01
    assert new_classifier(encoder.folder, names, precision=Precision("float32", "for the test"))


def test_an_encoder_with_weights_is_used_as_it_is(tmp_path):
    folder = make_bert(tmp_path / "tiny")

    encoder = module("measuring.encoders").encoder_of(str(folder), tmp_path / "copy")

    assert (encoder.folder, encoder.is_random) == (folder, False)


@pytest.fixture
def data(tmp_path):
    """Three splits of five, two and one sentences. "zzzyx" is several tokens for the tokenizer of `encoder`."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, n in (("train", 5), ("dev", 2), ("test", 1)):
        (folder / f"{name}.conll").write_text(
            "ada B-PER\nsaw O\nnew B-LOC\nyork I-LOC\nzzzyx O\n\n" * n, encoding="utf-8"
        )
    return str(folder)


@pytest.fixture
def encoder(tmp_path):
    return make_bert(tmp_path / "encoder", words=["ada", "saw", "new", "york"])


def sentences_in(folder: Path, split: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_workload_has_the_splits_of_the_data(tmp_path, data, encoder):
    write = module("measuring.workloads").write_workload

    workload = write(data, tmp_path / "out", epochs=2, most=3, length=None, encoder=encoder)

    assert workload.n_sentences == {"train": 3, "validation": 2, "test": 1}
    assert (workload.n_words, workload.steps_per_epoch) == (15, 1)
    assert sentences_in(workload.folder, "test") == [
        {"tokens": ["ada", "saw", "new", "york", "zzzyx"], "tags": ["B-PER", "O", "B-LOC", "I-LOC", "O"]}
    ]
    names = json.loads((workload.folder / "labels.json").read_text())
    assert set(names) == {"O", "B-LOC", "B-PER", "I-LOC"}


def test_with_a_length_all_sentences_have_this_number_of_tokens(tmp_path, data, encoder):
    write = module("measuring.workloads").write_workload

    workload = write(data, tmp_path / "out", epochs=2, most=32, length=9, encoder=encoder)

    assert workload.n_sentences["train"] == 32
    tokenizer = load_tokenizer(encoder)
    for split in ("train", "validation", "test"):
        for sentence in sentences_in(workload.folder, split):
            assert len(tokenizer(sentence["tokens"], is_split_into_words=True)["input_ids"]) == 9
            assert set(zip(sentence["tokens"], sentence["tags"])) <= {("ada", "B-PER"), ("saw", "O"), ("new", "B-LOC")}


@pytest.mark.parametrize(
    ("options", "is_random", "n_train", "epochs"),
    [
        ({}, False, 40, 1),
        ({"steps": 2}, False, 32, 1),
        ({"steps": 2, "epochs": 2}, False, 16, 2),
        ({"steps": 4}, True, 32, 2),
        ({"steps": 0}, True, 40, 2),
        ({"max_train_samples": 3}, True, 3, 2),
    ],
)
def test_steps_limit_the_sentences(tmp_path, options, is_random, n_train, epochs):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, n in (("train", 40), ("dev", 2), ("test", 1)):
        (folder / f"{name}.conll").write_text("ada B-PER\n\n" * n, encoding="utf-8")
    defaults = {"data": str(folder), "epochs": None, "steps": None, "max_train_samples": None}
    encoder = module("measuring.encoders").Encoder("tiny", tmp_path, is_random)

    workload = module("train").workload_of(argparse.Namespace(**defaults | options), encoder, None, tmp_path / "out")

    assert (workload.n_sentences["train"], workload.epochs) == (n_train, epochs)


def measured(seconds: float, precision: str = "float32") -> dict:
    return {
        "train_seconds": seconds,
        "epoch_seconds": [seconds * 0.75, seconds * 0.25],
        "score_seconds": 1.0,
        "f1": 0.5,
        "precision": precision,
        "peak_gb": 1.0,
        "versions": "tensorflow 2",
        "real_tflop": 0.5,
    }


def test_the_report_compares_each_system_with_ours(tmp_path):
    encoder = module("measuring.encoders").Encoder("tiny", tmp_path, is_random=True)
    workload = module("measuring.workloads").Workload(tmp_path, "sample", {"train": 40}, 400, 2)
    results = {
        "tf-tokclf": [measured(10.0, "bfloat16"), measured(10.0, "bfloat16")],
        "PyTorch Trainer": [measured(15.0)] * 2,
    }
    rates = {"float32": 100.0, "bfloat16": 200.0}

    report = module("train").report(results, encoder, workload, rates, argparse.Namespace(seed=1, rounds=2))

    heading, _, ours, theirs = (row.strip("| ").split(" | ") for row in report.splitlines()[-4:])
    rows = {name: dict(zip(heading, row)) for name, row in (("ours", ours), ("theirs", theirs))}
    assert [row["precision"] for row in rows.values()] == ["bfloat16", "float32"]
    assert [row["against ours"] for row in rows.values()] == ["1.00 x", "1.50 x"]
    # 500 GFLOP in 10 seconds at a rate of 200 GFLOP/s, and in 15 seconds at a rate of 100 GFLOP/s.
    assert [row["share of their rate"] for row in rows.values()] == ["25%", "33%"]
    # The second epoch of 2.5 seconds has three batches.
    assert rows["ours"]["later step, ms"].startswith("833 ")
    assert rows["ours"]["words/s"] == "80"
    assert {row["test F1"] for row in rows.values()} == {"-"}
    assert "seeds 1, 2" in report


def entry(**ratios: float):
    named = {name.replace("_", " "): {"training": ratio} for name, ratio in ratios.items()}
    return module("measuring.ratios").Entry("2026-01-01", "0.1.0", "a machine", "sample, 2 epochs", "tiny", named)


def test_ratios_are_those_of_the_medians():
    results = {"tf-tokclf": [measured(s) for s in (10, 8, 20)], "Trainer": [measured(s) for s in (15, 30, 10)]}

    ratios = module("measuring.ratios").ratios_of(results)

    assert ratios == {"Trainer": {"training": 1.5, "scoring": 1.0, "later epoch": 1.5}}


def test_a_ratio_that_is_worse_by_more_than_five_percent_is_named():
    before = [entry(Trainer=1.5, tutorial=4.0)]

    text = module("measuring.ratios").comparison(entry(Trainer=1.35, tutorial=3.92), before)

    assert "| Trainer | training | 1.50 | 1.35 | -10% |" in text
    assert "| tutorial | training | 4.00 | 3.92 | -2% |" in text
    assert [line for line in text.splitlines() if line.startswith("Worse")] == [
        "Worse by more than 5%: Trainer, training: 1.50 -> 1.35"
    ]


def test_our_own_settings_are_worse_if_their_ratio_grows():
    ratios = module("measuring.ratios")
    before = replace(entry(), ratios={"tf-tokclf, float32": {"training": 1.2, "scoring": 1.2}})
    now = replace(before, ratios={"tf-tokclf, float32": {"training": 1.4, "scoring": 1.0}})

    assert ratios.comparison(now, [before]).count("Worse by") == 1


@pytest.mark.parametrize("change", [{"machine": "another"}, {"workload": "more"}, {"encoder": "other"}])
def test_only_ratios_of_the_same_benchmark_are_compared(change):
    text = module("measuring.ratios").comparison(entry(Trainer=1.0), [replace(entry(Trainer=1.5), **change)])

    assert text.startswith("No ratios are stored for tiny")


def test_new_ratios_replace_those_of_the_same_benchmark(tmp_path):
    ratios, path = module("measuring.ratios"), tmp_path / "ratios.json"
    other = replace(entry(Trainer=9.0), encoder="other")
    ratios.write_entries(path, [entry(Trainer=1.5), other])

    ratios.write_entries(path, [entry(Trainer=1.4)])

    assert ratios.read_entries(path) == [other, entry(Trainer=1.4)]
