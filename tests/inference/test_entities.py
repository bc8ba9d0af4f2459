"""The Python API: results with the keys of transformers.pipeline."""

from __future__ import annotations

import copy
import json
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import tf_tokclf
from tf_tokclf.errors import UserError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.model.backend import transformers

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

TEXT = "ada lovelace visited london , and grace saw rome ."


@pytest.fixture(scope="module")
def tagger(tiny_classifier: Path) -> Tagger:
    return tf_tokclf.load(tiny_classifier)


@pytest.fixture(scope="module")
def pipeline_of(tagger: Tagger):
    def make(strategy: str) -> object:
        # This version of transformers needs torch for a default value.
        return transformers.pipeline(
            "token-classification",
            model=tagger.model,
            tokenizer=tagger.tokenizer,
            aggregation_strategy=strategy,
            framework="tf",
            torch_dtype=None,
        )

    return make


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
def test_entities_are_those_of_the_pipeline(tagger: Tagger, pipeline_of, strategy: str):
    theirs = pipeline_of(strategy)(TEXT)
    ours = tagger(TEXT, aggregation_strategy=strategy)
    assert len(ours) > 2
    assert [list(entity) for entity in ours] == [list(entity) for entity in theirs]
    for mine, other in zip(ours, theirs):
        assert mine["score"] == pytest.approx(float(other["score"]), abs=1e-5)
        assert {key: mine[key] for key in mine if key != "score"} == {k: other[k] for k in other if k != "score"}


def test_strategy_none_gives_words_with_the_pipelines_keys(tagger: Tagger):
    entities = tagger(TEXT, aggregation_strategy="none")
    assert {tuple(entity) for entity in entities} == {("entity", "score", "index", "word", "start", "end")}
    assert all(TEXT[entity["start"] : entity["end"]] == entity["word"] for entity in entities)
    assert all(entity["entity"] != "O" for entity in entities)
    every = tagger(TEXT, aggregation_strategy="none", ignore_labels=[])
    assert [entity["index"] for entity in every] == list(range(1, 11))


def test_one_text_many_texts_and_streams_of_texts(tagger: Tagger):
    one = tagger(TEXT)
    assert tagger([TEXT, "", TEXT]) == [one, [], one]
    assert tagger([]) == []
    assert tagger("") == []
    assert next(tagger(iter([TEXT]))) == one
    assert list(tagger(text for text in ["", TEXT])) == [[], one]


def test_words_may_be_given(tagger: Tagger):
    assert tagger(TEXT.split(), is_split_into_words=True) == tagger(TEXT)
    assert tagger([TEXT.split(), ["x"]], is_split_into_words=True)[0] == tagger(TEXT)
    with pytest.raises(UserError, match="is not a text"):
        tagger([["a"]])


@pytest.mark.parametrize("value", [None, 7, 1.5, b"text", bytearray(b"text"), {"text": "a"}, {"a"}, object()])
def test_what_is_no_text_is_one_message(tagger: Tagger, value: object):
    kind = type(value).__name__
    for inputs in (lambda: value, lambda: [value], lambda: iter([value])):
        with pytest.raises(UserError, match=rf"\({kind}\) is not a text\. (Pass a text|Decode it)"):
            list(tagger(inputs()))
        with pytest.raises(UserError, match=rf"\({kind}\) is not a list of words\. (Pass a list|Decode it)"):
            list(tagger(inputs(), is_split_into_words=True))


def test_words_may_be_any_series(tagger: Tagger):
    words = TEXT.split()
    expected = tagger(TEXT)
    for series in (tuple(words), np.array(words)):
        assert tagger(series, is_split_into_words=True) == expected
    assert list(tagger(iter([iter(words)]), is_split_into_words=True)) == [expected]
    assert tagger([[]], is_split_into_words=True) == [[]]
    for odd in ([["a", 1]], [["a", b"b"]], ["a", 1]):
        with pytest.raises(UserError, match="is not a list of words"):
            tagger(odd, is_split_into_words=True)
    with pytest.raises(UserError, match=r"is not a list of words\. Split it into words"):
        tagger(TEXT, is_split_into_words=True)


@pytest.mark.parametrize("reference", [None, 7, b"runs/mine", ["runs/mine"]])
def test_what_names_no_model_is_one_message(reference: object):
    for use in (tf_tokclf.load, tf_tokclf.evaluate):
        with pytest.raises(
            UserError,
            match=r"a model is named by a text or a path, not by .*\. Give a folder, a Hub id",
        ):
            use(reference)


def test_a_tagger_is_shown_with_its_labels(tagger: Tagger):
    assert repr(tagger) == "<Tagger: bert, 5 labels in scheme IOB2, argmax decoding>"


def test_the_strategy_may_be_given_when_loading(tiny_classifier: Path, tagger: Tagger):
    loaded = tf_tokclf.load(tiny_classifier, aggregation_strategy="max")
    assert loaded(TEXT) == tagger(TEXT, aggregation_strategy="max")
    with pytest.raises(UserError, match="Choose one of none, simple, first, average, max"):
        tagger(TEXT, aggregation_strategy="mean")


def test_threads_share_a_model(tiny_classifier: Path):
    tagger = tf_tokclf.load(tiny_classifier)
    texts = [" ".join(f"{word}{i % 7}" for word in TEXT.split()[: 1 + i % 9]) for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(tagger, texts))
    alone = tf_tokclf.load(tiny_classifier)
    for mine, other in zip(together, map(alone, texts)):
        assert [{**entity, "score": round(entity["score"], 4)} for entity in mine] == [
            {**entity, "score": round(entity["score"], 4)} for entity in other
        ]


def test_schemes_that_the_pipeline_cuts_in_pieces(tagger: Tagger, monkeypatch: pytest.MonkeyPatch):
    labels = LabelSet(("O", "B-PER", "E-PER", "S-PER", "I-PER"), Scheme.BIOES)
    from dataclasses import replace

    bioes = Tagger(tagger.forward_pass, tagger.tokenizer, replace(tagger.info, labels=labels), decoding="viterbi")
    assert {entity["entity_group"] for entity in bioes(TEXT)} <= {"PER"}
    assert bioes(TEXT)


def shown_text(html: str) -> str:
    """The text in a fragment, without the names of types behind the spans."""
    return unescape(re.sub("<[^>]*>", "", re.sub(r"<span [^>]*>[^<]*</span>", "", html))).strip()


def test_entities_are_lists_and_notebooks_show_them_as_text(tagger: Tagger):
    entities = tagger(TEXT)
    as_list = [dict(entity) for entity in entities]
    assert entities == as_list
    assert (json.loads(json.dumps(entities)), repr(entities)) == (as_list, repr(as_list))
    assert shown_text(entities._repr_html_()) == TEXT
    types = re.findall(r"<span [^>]*>([^<]*)</span>", entities._repr_html_())
    assert types == [entity["entity_group"] for entity in entities]
    entities.reverse()
    assert shown_text(entities._repr_html_()) == TEXT
    copied = copy.deepcopy(entities)
    assert (copied, copied._repr_html_()) == (entities, entities._repr_html_())


@pytest.mark.parametrize("ignored", [("O",), ()])
def test_words_with_labels_are_shown_with_their_labels(tagger: Tagger, ignored: tuple[str, ...]):
    words = tagger(TEXT, aggregation_strategy="none", ignore_labels=ignored)
    assert shown_text(words._repr_html_()) == TEXT
    assert re.findall(r"<span [^>]*>([^<]*)</span>", words._repr_html_()) == [word["entity"] for word in words]


def test_several_texts_and_hostile_ones_are_shown(tagger: Tagger):
    texts = [TEXT, "<script>alert('x')</script> ada & grace", "nothing"]
    several = tagger(texts)
    assert several == [tagger(text) for text in texts]
    assert "<script" not in several._repr_html_()
    assert [shown_text(p) for p in several._repr_html_().split("</p>")[:-1]] == texts
    of_words = tagger([["ada", "visited", "london"]], is_split_into_words=True)
    assert shown_text(of_words._repr_html_()) == "ada visited london"
    assert [type(one) for one in tagger(iter(texts))] == [type(several[0])] * 3
    assert "no texts" in tagger([])._repr_html_()
