"""Scores of a classifier on gold labels of its own scheme and of others."""

from __future__ import annotations

import json
import re
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
    assert "2 words without a label, left out of training and scores" in result.output
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


def test_messages_name_the_file_and_say_which_label_is_gold(
    tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = Path("dev.conll")
    blocks = ["".join(f"{word}\tB-LOC\n" for word in words) for words in SENTENCES]
    path.write_text("\n".join(blocks), encoding="utf-8")
    args = ["evaluate", str(tiny_classifier), "--file", str(path), "--errors", "--set", "data.max_eval_samples=2"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    assert f"{path}: conll: 2 columns" in result.stderr
    assert f"{path}: the first 2 of 3 sentences" in result.stderr
    assert "test: " not in result.stderr
    shown = result.stdout.partition("gold labels that the model strongly disputes:\n")[2].splitlines()
    assert shown, "the model has to be sure of something"
    label = r"gold B-LOC, model (O|[BI]-\w+) \([01]\.\d{3}\)"
    pattern = re.compile(rf"  {re.escape(str(path))}, sentence at line \d+, \S+: {label}")
    assert all(pattern.fullmatch(line.rstrip()) for line in shown), shown


@pytest.mark.parametrize(
    "command", ["evaluate {model} --file a.jsonl", "evaluate --predictions p.jsonl", "compare p.jsonl p.jsonl"]
)
def test_sentences_without_words_are_not_scored(
    tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"tokens": [], "ner_tags": []}\n' * 3)
    (tmp_path / "p.jsonl").write_text('{"words": [], "gold": [], "predicted": []}\n' * 3)
    result = CliRunner().invoke(cli, command.format(model=tiny_classifier).split())
    assert result.exit_code == 2, result.stdout
    assert "contains no words: all its sentences are empty. " in " ".join(result.stderr.split())


def test_a_single_word_beside_the_scores_is_counted_in_the_singular(tiny_classifier: Path, tmp_path: Path):
    (tmp_path / "a.conll").write_text("ada\tB-PER\nsaw\tO\noslo\tB-NEW\n")
    result = CliRunner().invoke(cli, ["evaluate", str(tiny_classifier), "--file", str(tmp_path / "a.conll")])
    assert "1 word whose gold label the model does not know" in " ".join(result.stdout.split()), result.output
