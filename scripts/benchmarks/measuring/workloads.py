"""What the systems train on: three splits of sentences, as JSON lines of tokens and labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tf_tokclf.data.splits import Split, Splits

BATCH = 16
# Sentences for validation and for testing, if all have the same length.
N_SCORED = {"validation": 64, "test": 320}


@dataclass(frozen=True)
class Workload:
    """A folder with the three splits and the label names, and how often to go through the training sentences."""

    folder: Path
    data: str
    n_sentences: dict[str, int]
    n_words: int
    epochs: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch. The last one can be smaller."""
        return -(-self.n_sentences["train"] // BATCH)

    def __str__(self) -> str:
        numbers = ", ".join(f"{n:,} {name}" for name, n in self.n_sentences.items())
        return f"{self.data}, sentences: {numbers}; {self.epochs} epoch{'' if self.epochs == 1 else 's'}"


def write_workload(
    data: str, folder: Path, *, epochs: int, most: int | None, length: int | None, encoder: Path
) -> Workload:
    """Write the splits of a data set, with at most `most` training sentences, to `folder`.

    length: instead of the sentences, write sentences that the tokenizer of `encoder` splits into this number of tokens.
    """
    from tf_tokclf.config.schema import DataConfig, Task
    from tf_tokclf.data.splits import load_splits

    limit = None if length else most
    config = DataConfig(dataset_name=data, max_train_samples=limit)
    splits = load_splits(config, task=Task.NER, required=("train", "validation", "test"))
    folder.mkdir()
    n_sentences, n_words = {}, 0
    for split in splits:
        of_data = ((sentence.words, sentence.labels or ()) for sentence in split)
        n_wanted = N_SCORED.get(split.name, most or len(splits["train"]))
        sentences = _of_one_length(splits, encoder, length, n_wanted) if length else of_data
        n_sentences[split.name], n = _write(sentences, folder / f"{split.name}.jsonl")
        n_words += n if split.name == "train" else 0
    (folder / "labels.json").write_text(json.dumps(splits.labels.names))
    name = f"{Path(data).name}{f', {length} tokens each' if length else ''}"
    return Workload(folder, name, n_sentences, n_words, epochs)


def _write(sentences: Iterable[tuple], path: Path) -> tuple[int, int]:
    """Write sentences, and return the number of sentences and of words."""
    n_sentences = n_words = 0
    with path.open("w", encoding="utf-8") as file:
        for words, labels in sentences:
            file.write(json.dumps({"tokens": words, "tags": labels}, ensure_ascii=False) + "\n")
            n_sentences += 1
            n_words += len(words)
    return n_sentences, n_words


def _of_one_length(splits: Splits, encoder: Path, n_tokens: int, n_sentences: int) -> Iterator[tuple]:
    """Sentences of random words that are one token each, with a label that they have in the data.

    The special tokens count too, so that batches need no padding.
    """
    from tf_tokclf.encoding.tokenizers import load_tokenizer, special_pieces, tokenize_function

    tokenizer = load_tokenizer(encoder)
    n_special = sum(map(len, special_pieces(tokenizer)))
    labels = _labels_of_words(splits["train"])
    words = [word for word, pieces in zip(labels, tokenize_function(tokenizer)(list(labels))) if len(pieces) == 1]
    rng = np.random.default_rng(n_sentences)
    for _ in range(n_sentences):
        chosen = [words[i] for i in rng.integers(0, len(words), n_tokens - n_special)]
        yield chosen, [labels[word] for word in chosen]


def _labels_of_words(split: Split) -> dict[str, str]:
    """A label for each word: its first one in the data that is valid after every other label."""
    found: dict[str, str] = {}
    for sentence in split:
        for word, label in zip(sentence.words, sentence.labels or ()):
            if label == "O" or label.startswith("B-"):
                found.setdefault(word, label)
    return found
