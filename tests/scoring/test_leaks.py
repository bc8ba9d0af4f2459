"""How much of the gold spans is covered, compared with counting characters one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.values import check_values
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.scoring import scores as scores_module
from tf_tokclf.scoring.bootstrap import wilson_interval
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.leaks import Leaks, Miss
from tf_tokclf.scoring.requirements import evaluation_values
from tf_tokclf.scoring.scores import Scorer

Row = tuple[list[str], list[str], list[str]]  # words, gold and predicted labels


def leaks_of(rows: list[Row], scheme: Scheme = Scheme.IOB2) -> Leaks:
    scorer = Scorer(scheme)
    for number, (words, gold, predicted) in enumerate(rows, 1):
        scorer.add(gold, predicted, words, Origin("a.conll", 10 * number))
    leaks = scorer.scores().leaks
    assert leaks is not None
    return leaks


def random_rows(seed: int, n: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        n_words = int(rng.integers(0, 9))
        words = ["x" * int(size) for size in rng.integers(1, 12, n_words)]
        gold, predicted = (rng.choice(["O", "O", "B-A", "I-A", "B-B", "I-B"], n_words).tolist() for _ in range(2))
        rows.append((words, gold, [g if rng.random() < 0.6 else p for g, p in zip(gold, predicted)]))
    return rows


def slow_counts(rows: list[Row]) -> tuple[dict[str, Counter[str]], list[tuple]]:
    """Counts by type, and the misses, from sets of the positions of characters."""
    counts: dict[str, Counter[str]] = {}
    misses = []
    for number, (words, gold, predicted) in enumerate(rows, 1):
        places, at = [], 0
        for word in words:
            places.append(set(range(at, at + len(word))))
            at += len(word)
        hidden = set().union(
            *(places[i] for span in spans_of(predicted, Scheme.IOB2) for i in range(span.start, span.end))
        )
        for span in spans_of(gold, Scheme.IOB2):
            own = set().union(*places[span.start : span.end])
            of_type = counts.setdefault(span.type, Counter())
            of_type["characters"] += len(own)
            of_type["hidden"] += len(own & hidden)
            of_type["spans"] += 1
            of_type["touched"] += bool(own & hidden)
            of_type["covered"] += own <= hidden
            if own - hidden:
                misses.append((-len(own - hidden), number, span.start, span.end, span.type, len(own)))
    return counts, sorted(misses)


@pytest.mark.parametrize("words_at_once", [7, 1 << 16])
def test_characters_and_spans_are_counted_as_one_by_one(words_at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scores_module, "_WORDS_AT_ONCE", words_at_once)
    rows = random_rows(1, 120)
    leaks, (slow, misses) = leaks_of(rows), slow_counts(rows)
    slow[""] = sum(slow.values(), Counter())
    assert leaks.types == sorted(slow)[1:]
    for type_, counts in slow.items():
        assert leaks.n_spans(type_) == counts["spans"]
        assert leaks.shares(type_) == {
            "character_recall": counts["hidden"] / counts["characters"],
            "touched": counts["touched"] / counts["spans"],
            "covered": counts["covered"] / counts["spans"],
        }
    found = [(-m.n_leaked, m.number, m.start, m.end, m.type, m.n_characters) for m in leaks.worst]
    assert found == misses[:20]
    for miss in leaks.worst:
        assert miss.words == tuple(rows[miss.number - 1][0][miss.start : miss.end])
        assert miss.origin == Origin("a.conll", 10 * miss.number)


def test_the_type_of_the_predicted_span_does_not_matter():
    words, gold = ["Ada", "Lovelace", "left"], ["B-PER", "I-PER", "O"]
    wrong_type = leaks_of([(words, gold, ["O", "B-LOC", "O"])])
    assert wrong_type.shares() == {"character_recall": 8 / 11, "touched": 1.0, "covered": 0.0}
    assert wrong_type.worst == (Miss(3, 11, 1, 0, 2, "PER", ("Ada", "Lovelace"), Origin("a.conll", 10)),)
    too_long = leaks_of([(words, gold, ["B-X", "I-X", "I-X"])])
    assert set(too_long.shares().values()) == {1.0}
    assert too_long.worst == ()
    check_values(Miss)


def test_intervals_and_json_and_the_names_for_requirements():
    rows = random_rows(2, 400)
    scorer = Scorer(Scheme.IOB2)
    for words, gold, predicted in rows:
        scorer.add(gold, predicted, words)
    values = evaluation_values(Evaluation(scorer.scores()).to_json())
    for name, share in leaks_of(rows).shares().items():
        assert values[f"leaks.{name}.low"] < values[f"leaks.{name}"] == share < values[f"leaks.{name}.high"]
        assert values[f"leaks.A.{name}.low"] < values[f"leaks.A.{name}"] < values[f"leaks.A.{name}.high"]
    # About the standard error of a ratio of sums (Cochran 1977, section 2.11).
    hidden, characters = leaks_of(rows).tables["character_recall"].of_sentences()[:, [0, 2]].T
    ratio = hidden.sum() / characters.sum()
    error = np.sqrt(((hidden - ratio * characters) ** 2).sum()) / characters.sum()
    low, high = values["leaks.character_recall.low"], values["leaks.character_recall.high"]
    assert (low, high) == pytest.approx((ratio - 1.96 * error, ratio + 1.96 * error), abs=0.01)


def test_few_spans_have_wilsons_interval_for_the_number_of_spans():
    rows = [(["a" * 30, "b" * 10], ["B-X", "B-X"], ["B-X", "O"])] * 4
    leaks = leaks_of(rows)
    assert leaks.intervals["character_recall"]["X"] == wilson_interval(Counts(0.75 * 8, gold=8), measure="recall")
    assert leaks.intervals["touched"][""] == wilson_interval(Counts(4, gold=8), measure="recall")


def test_there_is_nothing_to_cover_without_words_or_spans():
    scorer = Scorer(Scheme.IOB2)
    scorer.add(["B-X"], ["B-X"])
    assert scorer.scores().leaks is None
    words_only = Scorer(Scheme.NONE)
    words_only.add(["NN"], ["NN"], ["a"])
    assert words_only.scores().leaks is None
    empty = leaks_of([(["a"], ["O"], ["B-X"])])
    assert (empty.types, empty.n_spans(), empty.worst) == ([], 0, ())
    assert empty.to_json()["overall"] == {"character_recall": 0.0, "touched": 0.0, "covered": 0.0, "support": 0}
