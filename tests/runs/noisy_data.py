"""A data set that a tiny encoder learns in seconds, with four wrong labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.conftest import PEOPLE, PLACES, VERBS

Labelled = tuple[list[str], list[str]]
# Sentence (from 1) -> word (from 0) -> the wrong label: a wrong type, a missed span, a boundary and a spurious span.
WRONG = {4: {0: "B-PER"}, 11: {0: "O", 1: "O"}, 21: {1: "O"}, 32: {1: "B-LOC"}}


def clean_sentences() -> list[Labelled]:
    """64 different sentences with IOB2 labels."""
    sentences: list[Labelled] = []
    for n in range(2):
        for i, person in enumerate(PEOPLE):
            for j, place in enumerate(PLACES):
                verb, other = VERBS[(i + j + n) % 4], VERBS[(j + n) % 4]
                sentences.append(([person, "lovelace", verb, place, "."], ["B-PER", "I-PER", "O", "B-LOC", "O"]))
                words = [place, other, person, "and", PEOPLE[(i + n + 1) % 4]]
                sentences.append((words, ["B-LOC", "O", "B-PER", "O", "B-PER"]))
    return sentences


def noisy_sentences() -> list[Labelled]:
    """The same with the wrong labels."""
    sentences = clean_sentences()
    for number, changes in WRONG.items():
        for word, label in changes.items():
            sentences[number - 1][1][word] = label
    return sentences


def write_conll(path: Path, sentences: Sequence[Labelled]) -> Path:
    """Write sentences as a CoNLL file with two columns."""
    blocks = ("".join(f"{word}\t{label}\n" for word, label in zip(*one)) for one in sentences)
    path.write_text("\n".join(blocks) + "\n", encoding="utf-8")
    return path


def arguments(data: Path, encoder: Path, folder: Path) -> list[str]:
    """The command that finds the wrong labels."""
    training = ["--recipe=none", "--learning-rate=3e-3", "--num-train-epochs=6", "--precision=float32"]
    names = [f"--train-file={data}", f"--model-name-or-path={encoder}", "--per-device-train-batch-size=8"]
    return ["label-issues", *names, *training, "--folds=3", "-o", str(folder)]
