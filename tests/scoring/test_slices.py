"""Slices: their scores, and which of them are significantly worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from tests.values import check_values
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.scoring.bootstrap import f1_intervals, holm, p_value_of_worse
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.error_analysis import training_of
from tf_tokclf.scoring.predictions import Prediction
from tf_tokclf.scoring.scores import score_sentences
from tf_tokclf.scoring.slices import MOST_SLICES, SliceCounter, Slices, SliceTest, slice_counter


def predictions(n: int, found: dict[str, float], seed: int = 0) -> list[Prediction]:
    """Sentences whose first word is their domain. A span is found with the probability of its domain."""
    rng = np.random.default_rng(seed)
    rows = []
    for domain in rng.choice(sorted(found), n).tolist():
        label = "B-X" if rng.random() < found[domain] else "O"
        spurious = "B-X" if rng.random() < 0.05 else "O"
        rows.append(Prediction((domain, "b", "c"), (label, "O", spurious), gold=("B-X", "O", "O")))
    return rows


def by_domain(rows: list[Prediction]) -> Slices:
    counter = SliceCounter(Scheme.IOB2, "conlleval", {"domain": lambda row: row.words[0]})
    for row in rows:
        counter.add(row)
    return counter.result()


def test_a_slice_has_the_scores_of_its_sentences_alone():
    rows = predictions(300, {"news": 0.9, "web": 0.6})
    slices = by_domain(rows)
    for domain in ("news", "web"):
        own = [(row.gold or (), row.predicted) for row in rows if row.words[0] == domain]
        scores = score_sentences(own, Scheme.IOB2)
        assert slices.parts("domain")[domain] == scores.overall
        assert slices.n_sentences["domain"][domain] == len(own)
        low, high = f1_intervals(scores.table)[""]
        assert slices.intervals["domain"]["f1"][domain] == pytest.approx((low, high), abs=0.02)


def test_the_worse_slice_is_found_and_others_are_not():
    slices = by_domain(predictions(600, {"bad": 0.6, "good": 0.85, "fine": 0.85}))
    assert slices.worse == [("domain", "bad")]
    test = slices.tests["domain", "bad"]
    rest = sum((slices.parts("domain")[name] for name in ("good", "fine")), Counts())
    assert test.difference == slices.parts("domain")["bad"].f1 - rest.f1
    assert test.p_value <= test.corrected < 0.05
    assert slices.tests["domain", "good"].corrected > 0.05
    found = slices.to_json()["domain"]
    assert found["bad"]["corrected_p"] == test.corrected
    assert found["bad"]["n_sentences"] == slices.n_sentences["domain"]["bad"]
    assert found["bad"]["f1_interval"][0] < found["bad"]["f1"] < found["bad"]["f1_interval"][1]
    check_values(SliceTest)


def test_p_values_of_resampling_are_those_of_slow_resampling():
    rng = np.random.default_rng(4)
    gold = rng.integers(0, 3, (400, 2))
    counts = np.stack([rng.binomial(gold, [0.7, 0.75]), gold, gold], axis=2)
    totals = counts.sum(axis=0)

    def gap(sums: np.ndarray) -> np.ndarray:
        f1 = 2 * sums[..., 0] / (sums[..., 1] + sums[..., 2])
        return f1[..., 1] - f1[..., 0]

    samples = np.array([counts[rng.integers(0, 400, 400)].sum(axis=0) for _ in range(4000)])
    slow = (gap(samples) - gap(totals) >= gap(totals)).mean()
    assert p_value_of_worse(counts) == pytest.approx(slow, abs=0.02)
    assert 0.001 < slow < 0.5


@pytest.mark.parametrize(
    ("part", "rest"), [((3, 6, 5), (90, 100, 95)), ((0, 2, 2), (5, 6, 6)), ((40, 40, 40), (1, 3, 4))]
)
def test_few_entities_are_compared_by_fishers_exact_test(part: tuple, rest: tuple):
    counts = np.array([[part, rest]])
    table = [[c[0], c[1] + c[2] - 2 * c[0]] for c in (part, rest)]
    expected = fisher_exact(table, alternative="less").pvalue
    assert p_value_of_worse(counts) == pytest.approx(expected)


def test_a_slice_that_is_not_worse_is_rarely_called_so():
    """Of 60 evaluations with three equal slices, few name one of them. The limit is 5 %."""
    equal = {"a": 0.8, "b": 0.8, "c": 0.8}
    n_wrong = sum(bool(by_domain(predictions(150, equal, seed)).worse) for seed in range(60))
    assert n_wrong <= 8


def test_holm_corrects_in_steps():
    assert holm([]) == []
    assert holm([0.5, 0.001, 0.04, 0.02]) == pytest.approx([0.5, 0.004, 0.08, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_slices_without_spans_are_listed_and_not_tested():
    rows = [Prediction(("empty",), ("O",), gold=("O",)), Prediction(("full",), ("B-X",), gold=("B-X",))]
    slices = by_domain(rows)
    assert slices.parts("domain") == {"empty": Counts(), "full": Counts(1, 1, 1)}
    assert slices.tests == {}
    assert slices.to_json()["domain"]["empty"]["n_sentences"] == 1


def test_length_and_spans_seen_in_training():
    train = [Sentence(("Ada", "left"), ("B-PER", "O")), Sentence(("Oslo",), ("B-LOC",))]
    options = {"data": DataConfig(), "task": Task.NER, "training": training_of(train, Scheme.IOB2)}
    counter = slice_counter(("length", "seen", "length"), Scheme.IOB2, "conlleval", **options)
    words, gold = ("Ada", "Oslo", "Bob", "x", "y", "z"), ("B-PER", "B-PER", "B-PER", "O", "O", "O")
    counter.add(Prediction(words, ("B-PER", "O", "B-PER", "O", "O", "B-LOC"), gold=gold))
    counter.add(Prediction(("Oslo",), ("B-LOC",), gold=("B-LOC",)))
    slices = counter.result()
    assert slices.parts("length") == {"1 - 5": Counts(1, 1, 1), "6 - 10": Counts(2, 3, 3)}
    assert slices.parts("seen") == {
        "seen with another type": Counts(0, 0, 1),
        "seen with this type": Counts(2, 2, 2),
        "unseen": Counts(1, 2, 1),
    }
    assert list(slices.to_json()) == ["length", "seen"]


def test_what_cannot_be_sliced():
    options = {"data": DataConfig(), "task": Task.NER}
    with pytest.raises(UserError, match="--by seen compares spans with those in the training data, which is unknown"):
        slice_counter(("seen",), Scheme.IOB2, "conlleval", **options)
    counter = SliceCounter(Scheme.IOB2, "conlleval", {"id": lambda row: row.words[0]})
    rows = [Prediction((str(number),), ("O",), gold=("O",)) for number in range(MOST_SLICES + 1)]
    for row in rows[:-1]:
        counter.add(row)
    with pytest.raises(UserError, match="--by id: there are more than 50 different values"):
        counter.add(rows[-1])
