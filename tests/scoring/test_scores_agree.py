"""Output of `evaluate`, compared with seqeval's reports and conlleval's rules on random files of each label scheme."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from seqeval import scheme as seqeval_schemes
from seqeval.metrics import accuracy_score, classification_report

from tests.scoring.conlleval import conlleval
from tf_tokclf.cli.main import cli
from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.labels.sentence import Span
from tf_tokclf.labels.spans import labels_of
from tf_tokclf.scoring.entities import entities_of

N_FILES = 12
TYPES = ("PER", "per", "art-other", "O", "x-", "é", "100%", "B", "_", "日本")
# Letters that seqeval's default mode does not support, mapped to those that it does. IO needs no mapping.
DEFAULT_LETTERS = {"M": "I", "L": "E", "U": "S", "W": "S"}
STRICT = {
    Scheme.IO: (seqeval_schemes.IOB2, {}),
    Scheme.IOB1: (seqeval_schemes.IOB1, {}),
    Scheme.IOB2: (seqeval_schemes.IOB2, {}),
    Scheme.BIOES: (seqeval_schemes.IOBES, {}),
    Scheme.BILOU: (seqeval_schemes.BILOU, {}),
    Scheme.BMES: (seqeval_schemes.IOBES, {"M": "I"}),
    Scheme.BMEOW: (seqeval_schemes.IOBES, {"M": "I", "W": "S"}),
}
Pairs = list[tuple[list[str], list[str]]]


def random_file(scheme: Scheme, seed: int) -> Pairs:
    """Gold and predicted labels of a few sentences: valid or invalid, all O, of one word, with different types."""
    rng = random.Random(seed)
    valid = rng.random() < 0.3
    sides = (
        [rng.sample(TYPES, rng.randint(1, 3)) for _ in range(2)] if rng.random() < 0.5 else [["PER", "art-other"]] * 2
    )
    pairs = []
    for _ in range(rng.randint(1, 12)):
        n_words = rng.choice((1, 2, 5, 9, 30))
        gold = random_labels(rng, scheme, sides[0], n_words, valid=valid)
        similar = rng.random() < 0.5 and sides[0] == sides[1]
        other = random_labels(rng, scheme, sides[1], n_words, valid=valid)
        predicted = [g if similar and not valid and rng.random() < 0.7 else p for g, p in zip(gold, other)]
        pairs.append((gold, gold if similar and valid else predicted))
    # Gold and predicted labels without a common label are refused.
    common = labels_of([Span(0, 1, "PER")], 1, scheme)
    return [*pairs, (common, common)]


def random_labels(rng: random.Random, scheme: Scheme, types: list[str], n_words: int, *, valid: bool) -> list[str]:
    if valid:
        spans, at = [], rng.randint(0, 2)
        while at < n_words:
            end = min(n_words, at + rng.randint(1, 3))
            spans.append(Span(at, end, rng.choice(types)))
            at = end + rng.randint(1, 2)
        return labels_of(spans, n_words, scheme)
    if rng.random() < 0.2:
        return ["O"] * n_words
    labels = [label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in types]
    return rng.choices(["O", *labels], weights=[rng.choice((1, len(labels))), *[1] * len(labels)], k=n_words)


def evaluate(path: Path, scheme: Scheme, *options: str) -> str:
    args = ["evaluate", "--predictions", str(path), "--scheme", scheme.value, "--quiet", *options]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    return result.stdout


def json_lines(path: Path, pairs: Pairs) -> Path:
    """A file as `predict` writes it, which may contain empty sentences."""
    rows = ({"words": ["w"] * len(gold), "gold": gold, "predicted": predicted} for gold, predicted in pairs)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def reported(pairs: Pairs, scheme: Scheme, mode: str) -> dict:
    """seqeval's classification report for the labels, with letters mapped to those that it supports."""
    known, letters = STRICT[scheme] if mode == "strict" else (None, DEFAULT_LETTERS)
    gold, predicted = ([[letters.get(x[0], x[0]) + x[1:] for x in side] for side in sides] for sides in zip(*pairs))
    if mode == "strict" and scheme is Scheme.IO:
        gold, predicted = (list(map(io_as_iob2, side)) for side in (gold, predicted))
    options = {"mode": "strict", "scheme": known} if mode == "strict" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return classification_report(gold, predicted, output_dict=True, zero_division=0, **options)


def io_as_iob2(labels: list[str]) -> list[str]:
    types = ["" if x == "O" else x[1:].strip("-") or "_" for x in labels]
    begins = [type_ and type_ != last for last, type_ in zip(["", *types], types)]
    return ["B" + x[1:] if first else x for first, x in zip(begins, labels)]


def nothing_there(pairs: Pairs, scheme: Scheme, mode: str) -> bool:
    """seqeval's report fails on files without any entity."""
    return not any(
        entities_of(side, scheme, "strict" if mode == "strict" else "conlleval") for p in pairs for side in p
    )


@pytest.mark.parametrize("mode", ["conlleval", "strict"])
@pytest.mark.parametrize("scheme", RULES)
def test_every_number_is_that_of_seqevals_report(scheme, mode, tmp_path):
    for seed in range(N_FILES):
        pairs = [*random_file(scheme, seed), ([], [])]
        path = json_lines(tmp_path / "predictions.jsonl", pairs)
        said = json.loads(evaluate(path, scheme, "--mode", mode, "--format", "json"))
        if nothing_there(pairs, scheme, mode):
            assert (said["overall"]["f1"], said["by_type"]) == (0, {})
            continue
        expected = reported(pairs, scheme, mode)
        overall = {"overall": expected.pop("micro avg"), "macro": expected.pop("macro avg")}
        for name, row in {**overall, "weighted": expected.pop("weighted avg")}.items():
            check(said[name], row)
        assert said["by_type"].keys() == expected.keys()
        for type_, row in expected.items():
            check(said["by_type"][type_], row)
        assert said["modes"][mode] == said["overall"]
        assert said["token_accuracy"] == pytest.approx(accuracy_score(*map(list, zip(*pairs))), abs=1e-12)


def check(said: dict, expected: dict) -> None:
    assert said["support"] == expected["support"]
    for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        assert said[ours] == pytest.approx(expected[theirs], abs=1e-12)


def columns(path: Path, pairs: Pairs) -> Path:
    """A file in the format that conlleval reads."""
    blocks = ("\n".join(f"w\t{g}\t{p}" for g, p in zip(*pair)) for pair in pairs)
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", [Scheme.IO, Scheme.IOB1, Scheme.IOB2])
def test_the_conlleval_format_is_the_scripts_output_to_the_character(scheme, tmp_path):
    for seed in range(N_FILES):
        pairs = random_file(scheme, seed)
        for path in (columns(tmp_path / "x.conll", pairs), json_lines(tmp_path / "x.jsonl", pairs)):
            assert evaluate(path, scheme, "--format", "conlleval", "--mode", "strict") == conlleval(pairs)


@pytest.mark.parametrize("scheme", [Scheme.BIOES, Scheme.BILOU, Scheme.BMES, Scheme.BMEOW])
def test_of_other_schemes_it_is_the_scripts_output_for_the_same_spans_in_iob2(scheme, tmp_path):
    for seed in range(N_FILES):
        pairs = random_file(scheme, seed)
        path = json_lines(tmp_path / "x.jsonl", pairs)
        in_iob2 = [
            tuple(labels_of(entities_of(labels, scheme), len(labels), Scheme.IOB2) for labels in pair) for pair in pairs
        ]
        said, expected = (
            text.splitlines() for text in (evaluate(path, scheme, "--format", "conlleval"), conlleval(in_iob2))
        )
        accuracy, _, ratios = expected[1].partition("; ")
        n_right = sum(a == b for pair in pairs for a, b in zip(*pair))
        accuracy = f"accuracy: {100 * n_right / sum(len(gold) for gold, _ in pairs):6.2f}%"
        assert said == [expected[0], f"{accuracy}; {ratios}", *expected[2:]]


@pytest.mark.parametrize("scheme", RULES)
def test_comparing_and_analysing_count_the_same_entities(scheme, tmp_path):
    """The comparison, the error analysis and the intervals use the same entities as the scores."""
    for seed in range(4):
        pairs = random_file(scheme, seed)
        path = str(json_lines(tmp_path / "predictions.jsonl", pairs))
        for mode in ("conlleval", "strict"):
            said = json.loads(evaluate(Path(path), scheme, "--mode", mode, "--format", "json", "--errors"))
            args = [
                "compare",
                path,
                path,
                "--scheme",
                scheme.value,
                "--mode",
                mode,
                "--format",
                "json",
                "--samples",
                "9",
            ]
            compared = json.loads(CliRunner().invoke(cli, args).stdout)
            assert compared["systems"][0]["scores"][0]["by_type"] == said["by_type"]
            assert compared["differences"][0]["overall"]["f1"] == pytest.approx([said["overall"]["f1"]] * 2)
            outcomes = list(said["errors"]["outcomes"].values())
            assert sum(counts.get("right", 0) for counts in outcomes) == said["overall"]["correct"]
            for parts in said["errors"]["parts"].values():
                assert sum(part["support"] for part in parts.values()) == said["overall"]["support"]
                assert sum(part["predicted"] for part in parts.values()) == said["overall"]["predicted"]
            assert said["f1_interval"]["by_type"].keys() == said["by_type"].keys()


@pytest.mark.parametrize("scheme", [Scheme.BIOES, Scheme.BILOU, Scheme.BMES, Scheme.BMEOW])
def test_predictions_without_the_last_label_of_an_entity_are_not_repaired_before_they_are_scored(scheme, tmp_path):
    """They look like IOB2. Converted from IOB2, they would be right in strict mode and for each word."""
    first, inside, last, single = (RULES[scheme].letters[role] for role in (1, 2, 3, 4))
    gold = [f"{first}-X", f"{last}-X", "O", f"{single}-X"]
    path = json_lines(tmp_path / "x.jsonl", [(gold, [f"{first}-X", f"{inside}-X", "O", f"{first}-X"])] * 5)
    # Without M-, labels in BMES are also valid in BIOES.
    args = ["evaluate", "--predictions", str(path), "--format", "json", "--quiet", "--scheme", scheme.value]
    result = CliRunner().invoke(cli, args)
    said = json.loads(result.stdout)
    assert said["scheme"] == scheme.value
    assert {mode: scored["f1"] for mode, scored in said["modes"].items()} == {"conlleval": 1, "strict": 0}
    assert said["token_accuracy"] == 0.5


def test_labels_without_a_scheme_are_scored_as_labels_of_words(tmp_path):
    """seqeval reads ORG as an entity RG, and labels that begin with O as outside."""
    pairs = [(["ORG", "OTHER", "NOUN", "O"], ["ORG", "NOUN", "NOUN", "O"])]
    said = json.loads(evaluate(json_lines(tmp_path / "x.jsonl", pairs), Scheme.NONE, "--format", "json"))
    assert (said["unit"], said["overall"]["f1"], said["token_accuracy"]) == ("word", 0.75, 0.75)
    assert set(said["by_type"]) == {"ORG", "OTHER", "NOUN", "O"}


def test_seqevals_warnings_are_not_shown(tmp_path):
    path = json_lines(tmp_path / "x.jsonl", [(["B-X", "ORG", "E-X"], ["B-X", "NOUN", "U-X"])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = json.loads(evaluate(path, Scheme.IOB2, "--format", "json"))
    assert said["by_type"].keys() == {"X"}
