"""The loss of a CRF, compared with sums over all label sequences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest

from tf_tokclf.encoding.chain_codes import BEGINS, ENDS, N_FLAGS
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import marginals_batch, viterbi_batch
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.crf import Crf
from tf_tokclf.training.chain_loss import ChainLoss
from tf_tokclf.training.loss import PieceLoss

LABELS = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
# The gold labels of each row (-1 for words without one), the places of its words, and its flags.
GOLD = [[0, 1, 2], [1], [], [0, -1, 2, 0], [1, 2, 2]]
PLACES = [[1, 2, 4], [3], [], [0, 1, 2, 3], [1, 3, 4]]
FLAGS = [(BEGINS, ENDS), (0, 0), (0, 0), (BEGINS, 0), (0, ENDS)]


@pytest.fixture(scope="module")
def crf() -> Crf:
    rng = np.random.default_rng(1)
    made = Crf(LABELS, model_name="model")
    for weight in made.weights:
        weight.assign(rng.normal(size=weight.shape))
    return made


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(len(GOLD), 5, len(LABELS))).astype(np.float32)


def codes_of(gold: Sequence[Sequence[int]]) -> np.ndarray:
    codes = np.full((len(gold), 5), -100)
    for row, (labels, places, flags) in enumerate(zip(gold, PLACES, FLAGS)):
        codes[row, places] = (np.array(labels, int) + 1) * N_FLAGS
        if places:
            codes[row, places[0]] += flags[0]
            codes[row, places[-1]] += flags[1]
    return codes


CODES = codes_of(GOLD)


def score(chain: Chain, logits: np.ndarray, row: int, labels: Sequence[int]) -> float:
    begins, ends = FLAGS[row]
    total = logits[row, PLACES[row], labels].sum() + sum(chain.transitions[pair] for pair in pairwise(labels))
    return total + chain.start[labels[0]] * bool(begins) + chain.end[labels[-1]] * bool(ends)


def negative_log_likelihood(chain: Chain, logits: np.ndarray) -> float:
    """The sum over rows, from the scores of all sequences."""
    total = 0.0
    # 0 times -inf: the flags say whether a score counts.
    known = Chain(*(np.where(np.isfinite(part), part, -1e9) for part in chain.parts))
    for row, gold in enumerate(GOLD):
        if gold:
            every = list(product(range(len(LABELS)), repeat=len(gold)))
            fitting = [one for one in every if all(label in (-1, found) for label, found in zip(gold, one))]
            both = (np.logaddexp.reduce([score(known, logits, row, x) for x in group]) for group in (every, fitting))
            total += next(both) - next(both)
    return total


def with_gradients(
    loss: ChainLoss, codes: np.ndarray, logits: np.ndarray, *, jit_compile: bool | None = None
) -> list[np.ndarray]:
    """The loss, then its gradients by logits, start, transitions and end. jit_compile: None to trace nothing."""

    def computed(codes: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = loss.summed(codes, logits)
        return total, tape.gradient(total, [logits, *loss.crf.trainable_weights])

    inputs = (tf.TensorSpec((None, None), tf.int64), tf.TensorSpec((None, None, len(LABELS)), logits.dtype))
    if jit_compile is not None:
        computed = tf.function(computed, input_signature=inputs, autograph=False, jit_compile=jit_compile)
    total, gradients = computed(tf.constant(codes, tf.int64), tf.constant(logits))
    return [one.numpy() for one in (total, *gradients)]


def test_it_is_the_negative_log_likelihood_of_all_sequences(crf: Crf, logits: np.ndarray):
    loss = ChainLoss(crf)
    assert with_gradients(loss, CODES, logits)[0] == pytest.approx(
        negative_log_likelihood(crf.chain(), logits), rel=1e-5
    )
    assert float(loss.weight(tf.constant(CODES))) == 10


def test_gradients_are_those_of_finite_differences(crf: Crf, logits: np.ndarray):
    _, of_logits, *of_weights = with_gradients(ChainLoss(crf), CODES, logits)
    chain, step = crf.chain(), 1e-4
    for index in [(0, 2, 1), (3, 1, 2), (4, 4, 0), (0, 0, 0), (2, 2, 2)]:
        shift = np.zeros(logits.shape)
        shift[index] = step
        higher, lower = (negative_log_likelihood(chain, logits + sign * shift) for sign in (1, -1))
        assert of_logits[index] == pytest.approx((higher - lower) / (2 * step), abs=1e-4)
    for i, part in enumerate(chain.parts):
        for index in np.ndindex(part.shape):
            # Where the scheme allows nothing, the shift of -inf changes nothing either.
            shifted = [[one.copy() for one in chain.parts] for _ in range(2)]
            for parts, sign in zip(shifted, (1, -1)):
                parts[i][index] += sign * step
            higher, lower = (negative_log_likelihood(Chain(*parts), logits) for parts in shifted)
            assert of_weights[i][index] == pytest.approx((higher - lower) / (2 * step), abs=1e-4)


def test_rows_together_give_what_each_gives_alone(crf: Crf, logits: np.ndarray):
    together = with_gradients(ChainLoss(crf), CODES, logits)
    alone = [with_gradients(ChainLoss(crf), CODES[i : i + 1], logits[i : i + 1]) for i in range(len(GOLD))]
    assert together[0] == pytest.approx(sum(one[0] for one in alone), rel=1e-5)
    np.testing.assert_allclose(together[1], np.concatenate([one[1] for one in alone]), atol=1e-6)
    for i in (2, 3, 4):
        np.testing.assert_allclose(together[i], sum(one[i] for one in alone), atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_traced_and_with_longer_rows_it_is_the_same(crf: Crf, logits: np.ndarray, jit_compile: bool):
    expected = with_gradients(ChainLoss(crf), CODES, logits)
    codes, wider = np.pad(CODES, ((0, 0), (0, 3)), constant_values=-100), np.pad(logits, ((0, 0), (0, 3), (0, 0)))
    # What the forward pass returns for padding is arbitrary.
    wider[:, 5:] = np.nan
    found = with_gradients(ChainLoss(crf, fixed_shapes=jit_compile), codes, wider, jit_compile=jit_compile)
    found[1] = found[1][:, :5]
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_gold_transition_that_the_scheme_forbids_cuts_the_sequence(crf: Crf):
    """O I-X: the two words are then independent."""
    logits = np.random.default_rng(3).normal(size=(1, 5, 3)).astype(np.float32)
    codes = np.full((1, 5), -100)
    codes[0, :2] = [N_FLAGS, 3 * N_FLAGS]
    found = with_gradients(ChainLoss(crf), codes, logits)
    expected = PieceLoss().summed(tf.constant([[0, 2, -100, -100, -100]]), tf.constant(logits))
    assert found[0] == pytest.approx(float(expected), rel=1e-5)
    assert not found[3].any()


def test_float16_logits_and_no_words_give_finite_numbers(crf: Crf):
    codes = np.full((2, 3), -100)
    for one in with_gradients(ChainLoss(crf), codes, np.full((2, 3, 3), np.nan, np.float16)):
        assert not one.any()
    codes[0] = 2 * N_FLAGS
    for one in with_gradients(ChainLoss(crf), codes, np.full((2, 3, 3), 6e4, np.float16)):
        assert np.isfinite(one).all()


def accuracy(logits: np.ndarray, gold: np.ndarray, chain: Chain) -> float:
    return float(np.mean(np.stack(viterbi_batch(list(logits), chain)) == gold))


def test_a_crf_learns_the_order_of_labels_that_words_do_not_show():
    """Each label is followed by the next one of three. A word shows its label only in six of ten cases."""
    rng = np.random.default_rng(4)
    labels = LabelSet(("A", "B", "C"), Scheme.NONE)
    gold = (rng.integers(0, 3, (300, 1)) + np.arange(6)) % 3
    words = np.where(rng.random(gold.shape) < 0.6, gold, rng.integers(0, 3, gold.shape))
    codes = (gold + 1) * N_FLAGS
    codes[:, 0] += BEGINS
    codes[:, -1] += ENDS
    scores = {}
    for name in ("linear", "crf"):
        crf, table = Crf(labels, model_name="model"), tf.Variable(tf.zeros((3, 3)))
        loss, targets = (ChainLoss(crf), codes) if name == "crf" else (PieceLoss(), gold)
        weights = [table, *(crf.trainable_weights if name == "crf" else [])]
        optimizer = keras.optimizers.legacy.Adam(0.3)

        batch = tf.constant(targets[:200], tf.int64)
        for _ in range(25):
            with tf.GradientTape() as tape:
                mean = loss.summed(batch, tf.gather(table, words[:200])) / loss.weight(batch)
            optimizer.apply_gradients(zip(tape.gradient(mean, weights), weights))
        scores[name] = accuracy(table.numpy()[words[200:]], gold[200:], crf.chain())
    assert scores["linear"] < 0.8
    assert scores["crf"] > 0.95


def test_the_marginals_of_decoding_are_the_gradients_of_the_loss(crf: Crf, logits: np.ndarray):
    """Training and decoding implement the same model."""
    codes = np.full((1, 5), 2 * N_FLAGS)
    codes[0, 0] += BEGINS
    codes[0, -1] += ENDS
    _, of_logits, *_ = with_gradients(ChainLoss(crf), codes, logits[:1])
    (marginals,) = marginals_batch([logits[0]], crf.chain())
    np.testing.assert_allclose(of_logits[0] + np.eye(3)[[1] * 5], np.exp(marginals), atol=1e-5)


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_the_losses_of_rows_are_weighted(crf: Crf, logits: np.ndarray, fixed_shapes: bool):
    loss, codes, scores = ChainLoss(crf, fixed_shapes=fixed_shapes), tf.constant(CODES, tf.int64), tf.constant(logits)
    weights = np.array([1, 0.3, 1, 0.5, 0], np.float32)
    alone = [float(loss.summed(codes[i : i + 1], scores[i : i + 1])) for i in range(len(GOLD))]
    assert float(loss.summed(codes, scores, tf.constant(weights))) == pytest.approx(np.dot(alone, weights), rel=1e-5)
    assert float(loss.summed(codes, scores, tf.ones(len(GOLD)))) == float(loss.summed(codes, scores))
