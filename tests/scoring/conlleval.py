"""An independent implementation of the output of `conlleval.pl` (version 2004-01-26), written from its rules.

Only for labels with the prefixes B and I. `tests/data/scoring` holds outputs of the script itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

# Pairs of adjacent prefixes between which a chunk of one type ends or begins.
_ENDS = ("BB", "BO", "IB", "IO")
_BEGINS = ("BB", "IB", "OB", "OI")

Pairs = Sequence[tuple[Sequence[str], Sequence[str]]]


def chunks(labels: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """First word, end and type of each chunk of a sentence."""
    first = 0
    before, type_before = "O", ""
    for position, label in enumerate([*labels, "O"]):
        prefix, _, type_ = label.partition("-")
        other_type = type_ != type_before
        if before + prefix in _ENDS or (before != "O" and other_type):
            yield first, position, type_before
        if before + prefix in _BEGINS or (prefix != "O" and other_type):
            first = position
        before, type_before = prefix, type_


def conlleval(pairs: Pairs) -> str:
    """The script's output for the gold and predicted labels of sentences."""
    gold, predicted, correct = Counter(), Counter(), Counter()
    for gold_labels, predicted_labels in pairs:
        there, said = set(chunks(gold_labels)), set(chunks(predicted_labels))
        for counter, kind in ((gold, there), (predicted, said), (correct, there & said)):
            counter.update(type_ for _, _, type_ in kind)
    n_words = sum(len(labels) for labels, _ in pairs)
    n_right = sum(a == b for pair in pairs for a, b in zip(*pair))
    ratios = _ratios(correct.total(), predicted.total(), gold.total())
    text = f"processed {n_words} tokens with {gold.total()} phrases; "
    text += f"found: {predicted.total()} phrases; correct: {correct.total()}.\n"
    text += f"accuracy: {100 * n_right / n_words:6.2f}%; {ratios}\n"
    for type_ in sorted(gold | predicted):
        ratios = _ratios(correct[type_], predicted[type_], gold[type_])
        text += f"{' ' * (17 - len(type_.encode()))}{type_}: {ratios}  {predicted[type_]}\n"
    return text


def _ratios(correct: int, predicted: int, gold: int) -> str:
    precision = 100 * correct / predicted if predicted else 0.0
    recall = 100 * correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return f"precision: {precision:6.2f}%; recall: {recall:6.2f}%; FB1: {f1:6.2f}"
