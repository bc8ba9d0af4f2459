"""Tagging: every word is labelled once, in order, whatever the windows are."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.inference import tagger as tagger_module
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import keras
from tf_tokclf.model.forward import TensorFlowPass
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision

LABELS = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> keras.Model:
    keras.utils.set_random_seed(11)
    return new_classifier(tiny_bert, LABELS.names, precision=Precision("float32", "test"))


def tagger_for(model: keras.Model, folder: Path, **options: int | bool) -> Tagger:
    reading = WindowSettings("first", **{"max_length": 64, "overlap": 8, **options})
    return Tagger(TensorFlowPass(model), load_tokenizer(folder), ModelInfo(reading, LABELS), batch_size=4)


def sentences_of(lengths: list[int]) -> list[Sentence]:
    rng = np.random.default_rng(5)
    words = np.array(["ada", "london", "visited", "xyz", "and", "."])
    return [Sentence(tuple(rng.choice(words, n)), document="d") for n in lengths]


def test_windows_change_nothing_for_texts_that_fit(model: keras.Model, tiny_bert: Path):
    sentences = sentences_of([1, 3, 5, 7])
    whole = list(tagger_for(model, tiny_bert).tag(sentences))
    longest = 2 + max(sum(3 if word == "xyz" else 1 for word in s.words) for s in sentences)
    windowed = list(tagger_for(model, tiny_bert, max_length=longest, overlap=1).tag(sentences))
    for one, other in zip(whole, windowed):
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-5)
        assert one.labels == other.labels


def test_how_many_windows_a_pass_changes_nothing(model: keras.Model, tiny_bert: Path):
    sentences = sentences_of([1, 30, 7, 0, 200, 12, 3, 3])
    tagger = tagger_for(model, tiny_bert, max_length=16, overlap=2)
    one_by_one = next(tagger.tag_blocks(sentences, batch_size=1))
    by_itself = Tagger(tagger.forward_pass, tagger.tokenizer, tagger.info)
    for runs in (by_itself.tag_blocks(sentences), tagger.tag_blocks(sentences, batch_size=1000)):
        for one, other in zip(one_by_one, next(runs), strict=True):
            np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-5)


def test_a_forward_pass_of_somebody_elses_is_called_by_one_thread_at_a_time(model: keras.Model, tiny_bert: Path):
    tagger = tagger_for(model, tiny_bert)
    lengths, at_work = [], threading.Lock()

    def forward(input_ids: np.ndarray, *rest: np.ndarray) -> Any:
        assert at_work.acquire(blocking=False)
        time.sleep(0.01)
        lengths.append(input_ids.shape[1])
        at_work.release()
        return tagger.forward_pass(input_ids, *rest)

    list(tagger.with_forward(forward).tag(sentences_of(list(range(1, 40)))))
    assert len(lengths) == 10
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("overlap", [0, 3, 9])
def test_every_word_of_long_texts_is_predicted_once(model: keras.Model, tiny_bert: Path, overlap: int):
    sentences = sentences_of([40, 0, 200, 1, 77])
    tagged = list(tagger_for(model, tiny_bert, max_length=12, overlap=overlap).tag(sentences))
    assert [t.sentence for t in tagged] == sentences
    assert [len(t.labels) for t in tagged] == [40, 0, 200, 1, 77]
    assert all(np.isfinite(t.log_probabilities).all() for t in tagged)
    assert all(t.n_empty == t.n_truncated == 0 for t in tagged)


def test_truncated_words_are_counted_and_get_the_fallback_without_a_score(model: keras.Model, tiny_bert: Path):
    sentence = Sentence(("ada",) * 30)
    (tagged,) = tagger_for(model, tiny_bert, max_length=12, overlap=2, truncate=True).tag([sentence])
    assert (tagged.n_truncated, tagged.n_empty) == (20, 0)
    assert set(tagged.labels[10:]) == {"O"}
    assert all(score != score for score in tagged.scores[10:])


def test_words_without_a_piece_are_counted_apart(model: keras.Model, tiny_bert: Path):
    (tagged,) = tagger_for(model, tiny_bert).tag([Sentence(("ada", "\u200b", "london"))])
    assert (tagged.n_truncated, tagged.n_empty) == (0, 1)
    assert tagged.labels[1] == "O"


@pytest.mark.parametrize("context", [0, 2])
def test_the_look_ahead_is_invisible(
    model: keras.Model, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, context: int
):
    sentences = sentences_of([3, 9, 2, 0, 8, 5, 1, 12, 4, 6])
    options = {"context_sentences": context}
    whole = [t.log_probabilities.copy() for t in tagger_for(model, tiny_bert, **options).tag(sentences)]
    monkeypatch.setattr(tagger_module, "LOOK_AHEAD_WORDS", 6)
    parts = [t.log_probabilities.copy() for t in tagger_for(model, tiny_bert, **options).tag(iter(sentences))]
    assert len(whole) == len(parts)
    for one, other in zip(whole, parts):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_scores_by_viterbi_stand_beside_those_by_argmax(model: keras.Model, tiny_bert: Path):
    from dataclasses import replace

    from tf_tokclf.inference.evaluate import evaluate_sentences

    sentences = [replace(s, labels=("B-X", *["I-X"] * (len(s) - 1))) for s in sentences_of([5, 9, 7, 12])]
    by_argmax = tagger_for(model, tiny_bert)
    by_viterbi = tagger_for(model, tiny_bert)
    by_viterbi.decoding = "viterbi"
    alone, both = (evaluate_sentences(tagger, sentences) for tagger in (by_argmax, by_viterbi))
    assert alone.by_argmax is None
    assert both.by_argmax is not None
    assert both.by_argmax.by_type == alone.scores.by_type
    assert "by_argmax" in both.to_json()


def test_context_changes_what_the_model_sees(model: keras.Model, tiny_bert: Path):
    sentences = sentences_of([3, 9, 2])
    alone, beside = (
        [t.log_probabilities.copy() for t in tagger_for(model, tiny_bert, context_sentences=n).tag(sentences)]
        for n in (0, 1)
    )
    assert all(np.abs(one - other).max() > 1e-4 for one, other in zip(alone, beside))


@pytest.mark.parametrize("overlap", [20])
@pytest.mark.parametrize("name", ["hipe2022_ajmc/en/HIPE-2022-v2.1-ajmc-dev-en.tsv", "litbank/entities/tsv"])
def test_real_documents_are_predicted_word_by_word(
    model: keras.Model, tiny_bert: Path, shared_data: Path, name: str, overlap: int
):
    """HIPE has documents of up to 791 words, and LitBank the first pages of books."""
    source = shared_data / name
    data = DataConfig(label_column_name="NE-COARSE-LIT") if "hipe" in name else DataConfig()
    sentences = list(read_sentences(source, data))[:20]
    joined = [Sentence(tuple(word for sentence in sentences for word in sentence.words))]
    for texts in (sentences, joined):
        tagged = list(tagger_for(model, tiny_bert, overlap=overlap).tag(texts))
        assert [len(t.labels) for t in tagged] == [len(s) for s in texts]
        assert sum(t.n_truncated for t in tagged) == 0


def test_vectors_of_sentences_are_means_over_their_subword_tokens(model: keras.Model, tiny_bert: Path):
    sentences = [*sentences_of([1, 4, 0, 9]), Sentence(())]
    tagger = tagger_for(model, tiny_bert, context_sentences=1)
    vectors = tagger.sentence_vectors(sentences)
    for sentence, vector in zip(sentences, vectors):
        if not sentence.words:
            assert not vector.any()
            continue
        ids = np.array(load_tokenizer(tiny_bert)(list(sentence.words), is_split_into_words=True)["input_ids"])
        (states,) = model.bert(ids[None], training=False)[0].numpy()
        np.testing.assert_allclose(vector, states[1:-1].mean(axis=0), atol=1e-5)


def test_vectors_of_long_sentences_count_each_subword_token_once(model: keras.Model, tiny_bert: Path):
    tagger = tagger_for(model, tiny_bert, max_length=16, overlap=2)
    (one,) = tagger.sentence_vectors([Sentence(("ada",) * 40)])
    together = tagger.sentence_vectors([Sentence(("ada",) * 40), Sentence(("oslo", "x"))])
    np.testing.assert_allclose(together[0], one, atol=1e-5)
    # Each of three windows of about 14 equal words has about the same states.
    assert np.abs(one).mean() == pytest.approx(np.abs(tagger.sentence_vectors([Sentence(("ada",) * 13)])).mean(), 0.1)
