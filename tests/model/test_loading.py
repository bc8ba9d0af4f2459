"""A new head on an encoder, numbers in configurations, and weights in half precision."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tf_tokclf.model.backend import keras
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision


def test_a_new_head_is_spread_as_that_of_the_pytorch_classes(tiny_bert: Path):
    """Not truncated: TensorFlow's classes truncate at two standard deviations, which leaves 0.88 of the deviation."""
    keras.utils.set_random_seed(1)
    model = new_classifier(tiny_bert, [f"L{i}" for i in range(300)], precision=Precision("float32", "test"))
    kernel = model.classifier.kernel.numpy() / model.config.initializer_range
    assert abs(kernel.mean()) < 0.04
    assert abs(kernel.std() - 1) < 0.03
    # 4.6 % of a normal distribution are beyond two standard deviations
    assert 0.035 < np.mean(np.abs(kernel) > 2) < 0.057
    assert not model.classifier.bias.numpy().any()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_shards_in_half_precision_become_float32_weights_of_the_same_values(
    dtype: type, tiny_bert: Path, tmp_path: Path
):
    weights = {name: values.astype(dtype) for name, values in load_file(tiny_bert / "model.safetensors").items()}
    folder = shutil.copytree(tiny_bert, tmp_path / "encoder", ignore=shutil.ignore_patterns("*.safetensors"))
    names = sorted(weights)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    model = new_classifier(folder, ["O", "B-PER"], precision=Precision("float32", "test"))
    assert {weight.dtype.name for weight in model.weights} == {"float32"}
    (words,) = (values for name, values in weights.items() if name.endswith("word_embeddings.weight"))
    (kernel,) = (values for name, values in weights.items() if name.endswith("layer.1.output.dense.weight"))
    np.testing.assert_array_equal(model.bert.embeddings.weight.numpy(), words.astype(np.float32))
    loaded = model.bert.encoder.layer[1].bert_output.dense.kernel.numpy()
    np.testing.assert_array_equal(loaded, kernel.astype(np.float32).T)


@pytest.mark.parametrize(
    "settings", [{"num_attention_heads": 2.0, "num_hidden_layers": 2.0}, {"hidden_act": None, "layer_norm_eps": None}]
)
def test_whole_numbers_with_a_point_and_null_mean_what_they_would_in_other_programs(
    settings: dict[str, object], tiny_bert: Path, tmp_path: Path
):
    folder = shutil.copytree(tiny_bert, tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}), encoding="utf-8")
    models = [new_classifier(path, ["O"], precision=Precision("float32", "test")) for path in (tiny_bert, folder)]
    for name in settings:
        values = [getattr(model.config, name) for model in models]
        assert values[0] == values[1]
        assert type(values[0]) is type(values[1])
    ids = np.array([[3, 4, 5]], np.int32)
    states = [model.bert(ids).last_hidden_state.numpy() for model in models]
    np.testing.assert_array_equal(*states)


def test_only_weights_that_are_not_in_the_file_are_drawn_and_as_without_a_file(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = shutil.copytree(tiny_bert, tmp_path / "incomplete")
    tensors = load_file(folder / "model.safetensors")
    lacking = [name for name in tensors if "encoder.layer.1.intermediate.dense" in name]
    for name in lacking:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    n_drawn = []

    def counted(initializer: keras.initializers.Initializer, *args: object, **options: object) -> object:
        n_drawn.append(initializer)
        return draw(initializer, *args, **options)

    draw = keras.initializers.TruncatedNormal.__call__
    monkeypatch.setattr(keras.initializers.TruncatedNormal, "__call__", counted)

    def weights(precision: str) -> dict[str, np.ndarray]:
        keras.utils.set_random_seed(3)
        chosen = Precision(precision, "for the test")
        model = new_classifier(folder, ["O", "B-X"], precision=chosen, allow_incomplete_weights=True)
        return {weight.name.partition("/")[2]: weight.numpy() for weight in model.weights}

    sparing = {precision: weights(precision) for precision in ("float32", "mixed_bfloat16")}
    assert len(lacking) == 2
    # The kernel that is lacking, and the head, which is then drawn from another distribution.
    assert len(n_drawn) == 2 * 2
    monkeypatch.setattr("tf_tokclf.model.loading.postponed_draws", lambda: nullcontext({}))
    for found in sparing.values():
        expected = weights("float32")
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert len(n_drawn) > 20
