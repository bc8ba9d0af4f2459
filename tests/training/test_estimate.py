"""The estimate of time and memory in the plan."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.encoders import make_bert
from tests.training.test_train import config_for
from tf_tokclf.model.backend import transformers
from tf_tokclf.model.matrix_speed import matrix_speed
from tf_tokclf.training import estimate as module
from tf_tokclf.training.estimate import Shape, estimate, rough_duration
from tf_tokclf.training.plan import plan_rows, plan_run


def test_the_weights_are_those_of_the_model():
    """BERT also has biases, norms, and tables of positions and types: 1.5 % of the weights."""
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    shape = Shape.of({**sizes, "vocab_size": 30522})
    assert shape is not None
    model = transformers.TFBertModel(transformers.BertConfig(**sizes, vocab_size=30522))
    model.build_in_name_scope()
    assert shape.n_weights == pytest.approx(model.count_params(), rel=0.03)


def test_operations_are_those_of_the_matrix_products():
    """Counted by hand for one layer of width 2: four products of 2 x 2, two of 2 x 3, and two of attention."""
    shape = Shape(width=2, inner=3, n_layers=1, n_heads=1, n_tokens=9, embedding_width=2)
    per_token = 2 * (4 * 2 * 2 + 2 * 2 * 3) + 2 * 2 * 5 * 2
    assert shape.operations(7, 5) == 7 * 5 * per_token


def test_sizes_of_other_encoders():
    shape = Shape.of({"dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072, "vocab_size": 30522})
    assert shape is not None
    # DistilBERT has 66 million.
    assert shape.n_weights == pytest.approx(66e6, rel=0.03)
    assert Shape.of({"model_type": "somebodys-own"}) is None
    assert Shape.of({"hidden_size": "768", "num_hidden_layers": 12}) is None


def test_the_plan_has_an_estimate_that_grows_with_the_work(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "matrix_speed", lambda dtype, width, inner: 1e6)
    seconds = []
    for n_epochs in (4, 8):
        plan = plan_run(config_for(conll_files, tiny_bert, tmp_path, **{"training.num_train_epochs": n_epochs}))
        found = estimate(plan)
        assert found is not None
        seconds.append(found.seconds)
        row = dict(plan_rows(plan))["cost"]
        assert re.fullmatch(r"about \d.* if the machine does nothing else, and 1\.1 GB of memory", row)
    fixed, per_epoch = 2 * seconds[0] - seconds[1], (seconds[1] - seconds[0]) / 4
    assert per_epoch > 0
    assert fixed >= module.START_S
    # A wider encoder, of the same number of steps, takes longer and needs more memory.
    wide = make_bert(tmp_path / "wide", hidden_size=64, intermediate_size=256)
    other = estimate(plan_run(config_for(conll_files, wide, tmp_path / "run", **{"training.num_train_epochs": 8})))
    assert other is not None
    assert other.seconds > seconds[1]
    assert other.n_bytes > found.n_bytes


def test_gradient_checkpointing_takes_less_memory_and_more_time(
    conll_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "matrix_speed", lambda dtype, width, inner: 1e6)
    encoder = make_bert(tmp_path / "deep", num_hidden_layers=6)
    plain, again = (
        plan_run(config_for(conll_files, encoder, tmp_path / "run", **{"training.gradient_checkpointing": recomputes}))
        for recomputes in (False, True)
    )
    costs = [estimate(plan) for plan in (plain, again)]
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[1].n_bytes < costs[0].n_bytes
    assert costs[0].seconds < costs[1].seconds < 4 / 3 * costs[0].seconds
    assert dict(plan_rows(again))["computation"].endswith(", layers computed again for the gradients")
    assert "layers" not in dict(plan_rows(plain))["computation"]


def test_checkpointed_layers_keep_their_inputs_and_one_layer_all_the_rest():
    sizes = {"width": 8, "inner": 32, "n_heads": 2, "n_tokens": 9, "embedding_width": 8}
    one, three = (Shape(n_layers=n_layers, **sizes) for n_layers in (1, 3))
    of_layer = one.activation_bytes(5, 7, bytes_per_number=4)
    found = three.activation_bytes(5, 7, bytes_per_number=4, gradient_checkpointing=True)
    assert found == of_layer + 3 * (5 * 7 * 8 * 4)


def test_several_hosts_get_no_estimate(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """TensorFlow must not compute before the hosts are connected."""
    plan = plan_run(config_for(conll_files, tiny_bert, tmp_path))
    hosts = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(hosts))
    monkeypatch.setattr(module, "matrix_speed", None)
    assert estimate(plan) is None


def test_the_speed_is_that_of_a_computer():
    for dtype in ("float32", "bfloat16"):
        assert 1e6 < matrix_speed(dtype, 64, 256) < 1e16


def test_durations_are_rough():
    assert [rough_duration(s) for s in (1, 54, 56, 94, 1700, 3299, 3301, 36_000)] == [
        "10 s",
        "50 s",
        "1 min",
        "2 min",
        "30 min",
        "50 min",
        "1 h",
        "10 h",
    ]
