"""ModernBERT without padding, in half precision, compiled, exported, and loaded from different checkpoints.

That its logits, gradients and losses are those of PyTorch is in tests/model/test_reference_models.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.encoders import make_modernbert
from tests.requirements import need_modules
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.encoding.tokenizers import load_tokenizer, window_limit
from tf_tokclf.errors import UserError
from tf_tokclf.model.architectures import blocks
from tf_tokclf.model.architectures.modernbert import TFModernBertForTokenClassification
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision, precision_policy
from tf_tokclf.publishing.export.agreement import RuntimeProcess
from tf_tokclf.publishing.export.formats import write_export
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import decay_rates_by_layer, freeze_embeddings, make_optimizer
from tf_tokclf.training.schedule import Schedule

pytestmark = pytest.mark.long

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "local_attention": 6,
    "num_labels": 5,
    "pad_token_id": 1,
    # Large weights, so that the outputs are not all close to 0.
    "initializer_range": 0.4,
}
FLOAT32 = Precision("float32", "test")
LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
# One row has no tokens.
LENGTHS = np.array([29, 3, 17, 0, 1])
RATES = ("attention_dropout", "classifier_dropout", "embedding_dropout", "mlp_dropout")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks also for short texts."""
    monkeypatch.setattr(blocks, "SMALLEST_BLOCK", 4)


@pytest.fixture(params=[True, False], ids=["tokens", "padding too"])
def kind_of_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test both ways of computation on any machine: with padding and without."""
    monkeypatch.setattr("tf_tokclf.model.rows.leaves_padding_out", lambda dtype: request.param)


def make(*, dropout: float = 0.0, policy: str = "float32", **options: object) -> keras.Model:
    keras.utils.set_random_seed(3)
    config = transformers.ModernBertConfig(**SIZES, **dict.fromkeys(RATES, dropout), **options)
    with precision_policy(policy):
        model = TFModernBertForTokenClassification(config)
        model.build_in_name_scope()
    return model


def batch(width: int = 29, *, on_left: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """input_ids and attention_mask, (5, width)."""
    columns = np.arange(width)[None, :]
    mask = columns >= width - LENGTHS[:, None] if on_left else columns < LENGTHS[:, None]
    ids = np.ones((5, width), np.int32)
    for row, length in enumerate(LENGTHS):
        ids[row, mask[row]] = np.random.default_rng(row).integers(5, 40, length)
    return tf.constant(ids), tf.constant(mask.astype(np.int32))


def logits_and_gradients(
    model: keras.Model, width: int = 29, *, on_left: bool = False, **options: bool
) -> list[np.ndarray]:
    """The logits at tokens, and the gradients of a loss that uses only these."""
    input_ids, mask = batch(width, on_left=on_left)
    with tf.GradientTape() as tape:
        logits = tf.cast(piece_logits(model, input_ids, mask, training=True, **options), tf.float32)
        of_pieces = tf.gather_nd(logits, tf.where(mask == 1))
        loss = tf.reduce_sum(of_pieces * tf.random.stateless_normal(tf.shape(of_pieces), (1, 2)))
    gradients = tape.gradient(loss, model.trainable_variables)
    return [np.asarray(of_pieces), *(dense_gradient(g) for g in gradients)]


def dense_gradient(gradient: tf.Tensor | tf.IndexedSlices) -> np.ndarray:
    return tf.convert_to_tensor(gradient).numpy()


def assert_close(some: list[np.ndarray], others: list[np.ndarray], tolerance: float = 1e-4) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1, np.abs(other).max()))


@pytest.mark.usefixtures("kind_of_cpu")
@pytest.mark.parametrize("width", [29, 33])
def test_logits_and_gradients_without_padding(width: int):
    model = make(norm_bias=True, attention_bias=True, mlp_bias=True)
    assert_close(logits_and_gradients(model, width), logits_and_gradients(model, padded=True))


@pytest.mark.usefixtures("kind_of_cpu")
def test_padding_on_the_left_changes_nothing():
    """Positions count from the first column, and rotations depend only on distances."""
    model = make()
    right = logits_and_gradients(model, padded=True)
    assert_close(logits_and_gradients(model, on_left=True), right)
    assert_close(logits_and_gradients(model, on_left=True, padded=True), right)


@pytest.mark.usefixtures("kind_of_cpu")
@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.06), ("mixed_float16", 0.01)])
def test_half_precision(policy: str, tolerance: float):
    exact = logits_and_gradients(make())[0]
    model = make(policy=policy)
    assert model.model.embeddings.weight.dtype == tf.float32
    in_half = logits_and_gradients(model)
    assert np.abs(in_half[0] - exact).max() < tolerance * np.abs(exact).max()
    assert_close(in_half, logits_and_gradients(model, padded=True), tolerance)


@pytest.mark.usefixtures("kind_of_cpu")
def test_gradients_with_dropout_are_the_slope_of_the_loss():
    model = make(dropout=0.3)
    dropout = SeededDropout(model, seed=1)
    input_ids, mask = batch()
    weights = model.trainable_variables

    @tf.function(autograph=False)
    def loss_and_gradients() -> tuple[tf.Tensor, list[tf.Tensor]]:
        dropout.begin()
        with tf.GradientTape() as tape:
            logits = tf.gather_nd(piece_logits(model, input_ids, mask, training=True), tf.where(mask == 1))
            loss = tf.reduce_sum(logits * tf.random.stateless_normal(tf.shape(logits), (1, 2)))
        return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]

    start, (loss, gradients) = [weight.numpy() for weight in weights], loss_and_gradients()
    norm = float(tf.linalg.global_norm(gradients))
    losses = []
    for distance in (-1e-3, 1e-3):
        for weight, value, gradient in zip(weights, start, gradients):
            weight.assign(value + distance * gradient / norm)
        losses.append(float(loss_and_gradients()[0]))
    assert (losses[1] - losses[0]) / 2e-3 == pytest.approx(norm, rel=2e-2)
    assert float(loss) != pytest.approx(float(np.mean(losses)), abs=1e-9)


def test_it_can_be_compiled():
    model = make()
    input_ids, mask = batch()
    compiled = tf.function(
        lambda ids, mask: piece_logits(model, ids, mask, training=False, padded=True),
        input_signature=[tf.TensorSpec((None, None), tf.int32)] * 2,
        jit_compile=True,
    )
    plain = piece_logits(model, input_ids, mask, training=False, padded=True)
    assert_close([compiled(input_ids, mask).numpy()], [plain.numpy()])


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize(
    ("format", "modules"), [("savedmodel", []), ("tflite", ["ai_edge_litert"]), ("onnx", ["onnxruntime", "tf2onnx"])]
)
def test_an_export_reads_texts_of_any_length(format: str, modules: list[str], tmp_path: Path):
    need_modules(*modules, extra="export")
    model = make()
    process = RuntimeProcess(format, write_export(model, tmp_path, format, None))
    try:
        for width in (3, 8, 29, 64):
            input_ids, mask = batch(max(width, 29))
            lengths = np.minimum(LENGTHS, width).astype(np.int32)
            ids = input_ids[:, :width]
            positions = np.argwhere(np.arange(width)[None, :] < lengths[:, None]).astype(np.int32)
            exported, _ = process(ids.numpy(), lengths, positions)
            logits = piece_logits(model, ids, mask[:, :width], training=False, padded=True)
            np.testing.assert_allclose(exported, tf.gather_nd(logits, positions), atol=1e-4)
    finally:
        process.close()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_modernbert(tmp_path_factory.mktemp("modernbert") / "encoder", ["ada", "london"])


def with_tensors(encoder: Path, folder: Path, **tensors: np.ndarray) -> Path:
    """A copy of `encoder` with more tensors in its file."""
    folder.mkdir()
    for path in encoder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    stored = load_file(folder / "model.safetensors")
    save_file({**stored, **tensors}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_head_of_a_masked_language_model_is_kept_and_its_output_layer_dropped(encoder: Path, tmp_path: Path):
    drawn = np.random.default_rng(4)
    head = {
        "head.dense.weight": drawn.normal(size=(32, 32)).astype(np.float32),
        "head.norm.weight": drawn.normal(size=32).astype(np.float32),
    }
    output = {"decoder.weight": np.ones((50, 32), np.float32), "decoder.bias": np.ones(50, np.float32)}
    model = new_classifier(with_tensors(encoder, tmp_path / "mlm", **head, **output), LABELS, precision=FLOAT32)
    np.testing.assert_array_equal(model.head.dense.kernel.numpy(), head["head.dense.weight"].T)
    np.testing.assert_array_equal(model.head.norm.gamma.numpy(), head["head.norm.weight"])


def test_an_encoder_without_head_gets_a_new_one(encoder: Path):
    keras.utils.set_random_seed(1)
    model = new_classifier(encoder, LABELS, precision=FLOAT32)
    deviation = model.config.initializer_range / np.sqrt(2 * model.config.num_hidden_layers)
    kernel = model.head.dense.kernel.numpy()
    assert 0.8 * deviation < kernel.std() < deviation
    assert np.abs(kernel).max() <= 2 * deviation
    stored = load_file(encoder / "model.safetensors")
    np.testing.assert_array_equal(model.model.embeddings.weight, stored["model.embeddings.tok_embeddings.weight"])


def test_names_without_the_prefix_are_read(encoder: Path, tmp_path: Path):
    """As PyTorch's ModernBertModel saves them."""
    folder = with_tensors(encoder, tmp_path / "bare")
    stored = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("model."): array for name, array in stored.items()}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    model = new_classifier(folder, LABELS, precision=FLOAT32)
    np.testing.assert_array_equal(model.model.final_norm.gamma, stored["model.final_norm.weight"])


def test_a_tensor_of_unknown_use_is_reported(encoder: Path, tmp_path: Path):
    folder = with_tensors(encoder, tmp_path / "more", **{"model.layers.0.attn_norm.weight": np.ones(32, np.float32)})
    with pytest.raises(UserError, match=r"is not used by the model: model\.layers\.0\.attn_norm\.weight"):
        new_classifier(folder, LABELS, precision=FLOAT32)


def test_a_new_classifier_is_spread_as_in_pytorch(encoder: Path):
    keras.utils.set_random_seed(1)
    model = new_classifier(encoder, [f"L{i}" for i in range(300)], precision=FLOAT32)
    kernel = model.classifier.kernel.numpy() * 32**0.5
    # Cut at two deviations, which leaves 0.88 of the deviation.
    assert abs(kernel.std() - 0.88) < 0.02
    assert 1.9 < np.abs(kernel).max() <= 2.0001
    assert not model.classifier.bias.numpy().any()


def test_layers_are_numbered_for_the_optimizer_and_norms_do_not_decay():
    model = make()
    optimizer = make_optimizer(OptimizerConfig(), Schedule(10, 0), loss_scaling=False)
    decay_rates_by_layer(optimizer, model, 0.5)
    rates = {weight.name.split("/", 1)[1]: optimizer.rate_factor(weight) for weight in model.trainable_variables}
    assert rates["model/layers_._4/mlp/Wo/kernel:0"] == 0.5
    assert rates["model/layers_._0/attn/Wqkv/kernel:0"] == 0.5**5
    assert rates["model/embeddings/tok_embeddings/embeddings:0"] == 0.5**6
    assert rates["classifier/kernel:0"] == 1
    decaying = {name for name in rates if optimizer._do_use_weight_decay(f"model/{name}")}
    assert not any("norm" in name or "bias" in name for name in decaying)
    assert all(name in decaying for name in rates if "kernel" in name or "embeddings:0" in name)


def test_embeddings_can_be_frozen():
    model = make()
    before = {weight.name for weight in model.trainable_variables}
    freeze_embeddings(model)
    frozen = before - {weight.name for weight in model.trainable_variables}
    assert {name.split("/", 1)[1] for name in frozen} == {
        "model/embeddings/tok_embeddings/embeddings:0",
        "model/embeddings/norm/gamma:0",
    }


def test_windows_are_as_long_as_the_configuration_says(tmp_path: Path):
    encoder = make_modernbert(tmp_path / "encoder", ["ada"], max_position_embeddings=8192)
    assert window_limit(encoder, load_tokenizer(encoder)) == 8192
