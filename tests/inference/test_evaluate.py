"""Scores of a classifier on gold labels in its own scheme and in other schemes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import Config, DataConfig, EvaluationConfig, ModelConfig
from tf_tokclf.encoding.model_info import write_model_info
from tf_tokclf.inference.evaluate import evaluate, evaluate_sentences
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import convert_labels, repair_labels
from tf_tokclf.training.plan import plan_run

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

SENTENCES = [("ada", "lovelace", "visited", "london", "."), ("paris", "saw", "grace"), ("oslo",)]


@pytest.fixture(scope="module")
def tagger(tiny_classifier: Path) -> Tagger:
    return Tagger.load(tiny_classifier, decoding="viterbi")


@pytest.mark.parametrize("scheme", [Scheme.IOB2, Scheme.IOB1, Scheme.BIOES, Scheme.BMES])
def test_a_right_model_is_right_in_whatever_scheme_gold_is(tagger: Tagger, scheme: Scheme):
    predicted = [tagged.labels for tagged in tagger.tag(Sentence(words) for words in SENTENCES)]
    assert any(label != "O" for labels in predicted for label in labels)
    gold = [tuple(convert_labels(repair_labels(x, Scheme.IOB2, "conlleval"), Scheme.IOB2, scheme)) for x in predicted]
    sentences = [Sentence(words, labels) for words, labels in zip(SENTENCES, gold)]
    in_own_scheme = evaluate_sentences(tagger, [Sentence(w, x) for w, x in zip(SENTENCES, predicted)])
    for mode in ("conlleval", "strict"):
        evaluation = evaluate_sentences(tagger, sentences, scheme=scheme, mode=mode)
        assert (evaluation.scores.overall.f1, evaluation.scores.token_accuracy) == (1.0, 1.0)
        assert evaluation.scores.facts["n_unseen_labels"] == 0
        assert evaluation.loss == in_own_scheme.loss


def test_words_without_a_gold_label_are_not_scored(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    predicted = [list(tagged.labels) for tagged in tagger.tag(Sentence(words) for words in SENTENCES)]
    predicted[0][2] = predicted[1][0] = "-100"
    lines = ("".join(f"{word}\t{label}\n" for word, label in zip(*both)) for both in zip(SENTENCES, predicted))
    (tmp_path / "gold.conll").write_text("\n".join(lines))
    command = ["evaluate", tiny_classifier, "--file", tmp_path / "gold.conll", "--decoding", "viterbi"]
    command += ["--output", tmp_path / "scores.json", "--output-predictions", tmp_path / "p.jsonl", "--errors"]
    result = CliRunner().invoke(cli, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    assert "2 words without a label, ignored in training and scores" in result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["token_accuracy"], scores["n_words"]) == (1, 7)
    first = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])
    assert first["words"] == ["ada", "lovelace", "london", "."]
    assert len(first["scores"]) == len(first["positions"]) == 4


def test_a_model_is_scored_as_in_training_unless_asked(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_classifier, tmp_path / "model"))
    assert Tagger.load(folder).decoding == "argmax"
    write_model_info(folder, replace(tagger.info, decoding="viterbi"))
    assert Tagger.load(folder).decoding == "viterbi"
    assert Tagger.load(folder, decoding="argmax").decoding == "argmax"


def test_the_plan_of_a_run_hands_its_decoding_to_the_model(tiny_bert: Path, conll_files: dict[str, str]):
    config = Config(
        output_dir="run",
        data=DataConfig(**conll_files),
        model=ModelConfig(name_or_path=str(tiny_bert)),
        evaluation=EvaluationConfig(decoding="viterbi"),
    )
    assert plan_run(config).info.decoding == "viterbi"


def test_texts_fall_into_words_by_the_rule_of_the_model(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_classifier, tmp_path / "model"))
    write_model_info(folder, replace(tagger.info, word_splitting="whitespace"))
    labelled, output = tmp_path / "gold.jsonl", tmp_path / "out.jsonl"
    labelled.write_text('{"text": "ada-grace saw oslo.", "entities": [[0, 9, "PER"], [14, 19, "LOC"]]}\n')
    data = DataConfig(test_file=str(labelled))
    evaluate(folder, data=data, predictions=output)
    assert json.loads(output.read_text())["words"] == ["ada-grace", "saw", "oslo."]
    evaluate(folder, data=data.model_copy(update={"word_splitting": "words"}), predictions=output)
    assert json.loads(output.read_text())["words"] == ["ada", "-", "grace", "saw", "oslo", "."]
