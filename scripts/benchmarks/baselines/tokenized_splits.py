"""The data of both recipes: the sentences of the benchmark, with labels at the first subword token of each word."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets import DatasetDict, load_dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

# The types whose tokenizers need the space before each word to read it as the start of a word.
NEEDS_SPACE = ("roberta", "deberta", "modernbert")


def word_tokenizer(encoder: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, for sentences that are split into words."""
    model_type = json.loads((Path(encoder) / "config.json").read_text()).get("model_type")
    space = {"add_prefix_space": True} if model_type in NEEDS_SPACE else {}
    return AutoTokenizer.from_pretrained(encoder, **space)


def tokenized_splits(folder: Path, tokenizer: PreTrainedTokenizerBase, *, cache: str) -> tuple[DatasetDict, list[str]]:
    """The three splits in `folder` as subword tokens and label ids (-100 where nothing is scored), and the label names.

    cache: the folder inside `folder` for the files of `datasets`. Environments with other versions need another one.
    """
    names = json.loads((folder / "labels.json").read_text())
    ids = {name: i for i, name in enumerate(names)}
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    data = load_dataset("json", data_files=files, cache_dir=str(folder / cache))
    columns = data["train"].column_names
    tags_column = next(name for name in columns if name.endswith("tags"))

    def tokenize(rows: dict) -> dict:
        tokenized = tokenizer(rows["tokens"], truncation=True, is_split_into_words=True, padding=False, max_length=512)
        labels = []
        for i, tags in enumerate(rows[tags_column]):
            before, row = None, []
            for word in tokenized.word_ids(i):
                row.append(-100 if word is None or word == before else ids[tags[word]])
                before = word
            labels.append(row)
        tokenized["labels"] = labels
        return tokenized

    return data.map(tokenize, batched=True, remove_columns=columns), names


def labels_of_words(
    label_ids: Iterable[Sequence[int]],
    sentences: Iterable[Sequence[str]],
    tokenizer: PreTrainedTokenizerBase,
    names: Sequence[str],
) -> list[list[str | None]]:
    """The label of each word, that of its first subword token. None for words that the model did not see.

    label_ids: the predicted label of each subword token of each sentence, with padding at the end.
    """
    found = []
    for ids, words in zip(label_ids, sentences):
        tokenized = tokenizer(words, truncation=True, is_split_into_words=True, max_length=512)
        labels: list[str | None] = [None] * len(words)
        for i, word in zip(ids, tokenized.word_ids()):
            if word is not None and labels[word] is None:
                labels[word] = names[i]
        found.append(labels)
    return found
