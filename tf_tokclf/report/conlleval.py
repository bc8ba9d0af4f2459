"""Scores in the layout of the official conlleval.pl, for scripts that read its output."""

from __future__ import annotations

from tf_tokclf.errors import UserError
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.scores import Scores


def conlleval_text(scores: Scores) -> str:
    """The scores of the conlleval mode in the layout of the script.

    For IO, IOB1 and IOB2 this equals the output of the script, to the character. The script does not support the other
    label schemes. For these, the output is what the script prints for the same spans in IOB2, except for the accuracy,
    which is that of the original labels.
    """
    if not scores.has_spans:
        raise UserError(
            "the conlleval format is for spans, but these labels have no label scheme.",
            hint="Use --format table or --format json.",
        )
    scores = scores.in_mode("conlleval")
    overall = scores.overall
    lines = [
        f"processed {scores.n_words} tokens with {overall.gold} phrases; "
        f"found: {overall.predicted} phrases; correct: {overall.correct}."
    ]
    if scores.n_words:
        lines.append(f"accuracy: {_percent(scores.token_accuracy)}%; {_ratios(overall)}")
    lines += [f"{_padded(name)}: {_ratios(counts)}  {counts.predicted}" for name, counts in scores.by_type.items()]
    return "\n".join(lines) + "\n"


def _padded(name: str) -> str:
    # The script counts bytes, not characters.
    return " " * (17 - len(name.encode("utf-8", "surrogatepass"))) + name


def _ratios(counts: Counts) -> str:
    precision, recall = counts.precision, counts.recall
    # The same order of operations as in the script, so that ties are rounded in the same way.
    f1 = 2 * (100 * precision) * (100 * recall) / (100 * precision + 100 * recall) if counts.correct else 0.0
    return f"precision: {_percent(precision)}%; recall: {_percent(recall)}%; FB1: {f1:6.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:6.2f}"
