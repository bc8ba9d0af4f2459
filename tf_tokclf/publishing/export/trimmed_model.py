"""Write a classifier whose vocabulary contains only what given texts need."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from tf_tokclf.encoding.hints import AGAIN
from tf_tokclf.errors import JobError
from tf_tokclf.files import write_json
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.saving import WEIGHTS, save_model_folder
from tf_tokclf.publishing.export.agreement import batches_of
from tf_tokclf.publishing.export.scripts import ids_in_scripts
from tf_tokclf.publishing.export.vocabulary import VocabularyChange, trimmed_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def write_trimmed_model(
    tagger: Tagger, texts: Iterable[Sentence], folder: Path, *, scripts: Sequence[str] = ()
) -> None:
    """Write the classifier of `tagger` to `folder`, without the tokens that `texts` do not need.

    scripts: the tokens of these scripts are kept, too. Raises UserError for a type of tokenizer that cannot be trimmed.
    """
    used = used_ids(tagger, texts)
    if scripts:
        used |= ids_in_scripts(_backend(tagger), scripts)
    save_model_folder(tagger.model, cast("PreTrainedTokenizerFast", tagger.tokenizer), tagger.info, folder)
    config = read_json(folder / "config.json", hint=AGAIN)
    special = {name: number for name, number in config.items() if _names_a_token(name, number)}
    contents = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    trimmed, old = trimmed_tokenizer(contents, used | {*special.values()})
    _check_ids(contents, trimmed, old)
    new = {number: position for position, number in enumerate(old)}
    write_json(folder / "tokenizer.json", trimmed)
    _renumber_added_tokens(folder / "tokenizer_config.json", new)
    _trim_weights(folder / WEIGHTS, config["vocab_size"], old)
    special = {name: new[number] for name, number in special.items() if number in new}
    write_json(folder / "config.json", {**config, **special, "vocab_size": len(old)})


def used_ids(tagger: Tagger, sentences: Iterable[Sentence]) -> set[int]:
    """The ids with which the classifier is called for these sentences."""
    return {number for batch in batches_of(tagger, sentences) for number in np.unique(batch["input_ids"]).tolist()}


def vocabulary_change(before: Tagger, after: Tagger, sentences: Sequence[Sentence]) -> VocabularyChange:
    """Compare the tokenizers of two taggers on the words of sentences."""
    one, two = (_backend(tagger) for tagger in (before, after))
    counts = Counter(word for sentence in sentences for word in sentence.words)
    words = list(counts)
    tokens = [
        [
            encoding.tokens
            for encoding in tokenizer.encode_batch(
                [[word] for word in words], is_pretokenized=True, add_special_tokens=False
            )
        ]
        for tokenizer in (one, two)
    ]
    return VocabularyChange(
        n_tokens_before=one.get_vocab_size(),
        n_tokens_after=two.get_vocab_size(),
        n_split_differently=sum(counts[word] for word, first, second in zip(words, *tokens) if first != second),
        unknown_before=_unknown(one, tokens[0], counts),
        unknown_after=_unknown(two, tokens[1], counts),
    )


def _backend(tagger: Tagger) -> Tokenizer:
    return Tokenizer.from_str(cast("PreTrainedTokenizerFast", tagger.tokenizer).backend_tokenizer.to_str())


def _unknown(tokenizer: Tokenizer, tokens: Sequence[Sequence[str]], counts: Counter[str]) -> float:
    model = json.loads(tokenizer.to_str())["model"]
    unknown = model.get("unk_token")
    if model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]
    n_tokens = sum(count * len(of_word) for of_word, count in zip(tokens, counts.values()))
    n_unknown = sum(count * of_word.count(unknown) for of_word, count in zip(tokens, counts.values()))
    return n_unknown / n_tokens if n_tokens else 0.0


def _names_a_token(name: str, value: Any) -> bool:
    return name.endswith("_token_id") and isinstance(value, int) and not isinstance(value, bool)


def _check_ids(before: dict[str, Any], after: dict[str, Any], old: list[int]) -> None:
    """Raise JobError if the trimmed tokenizer does not give its tokens the numbers that the weights will have."""
    names = {number: token for token, number in Tokenizer.from_str(json.dumps(before)).get_vocab().items()}
    found = Tokenizer.from_str(json.dumps(after)).get_vocab()
    if found != {names[number]: position for position, number in enumerate(old)}:
        raise JobError("the vocabulary of this tokenizer cannot be trimmed. Leave out --trim-vocabulary.")


def _renumber_added_tokens(path: Path, new: dict[int, int]) -> None:
    config = read_json(path, hint=AGAIN)
    added = config.get("added_tokens_decoder") or {}
    config["added_tokens_decoder"] = {str(new[int(number)]): token for number, token in added.items()}
    write_json(path, config)


def _trim_weights(path: Path, n_rows: int, old: list[int]) -> None:
    """Keep the rows `old` of the embeddings of tokens, which have `n_rows` rows."""
    weights = load_file(path)
    tables = [name for name, values in weights.items() if values.shape[:1] == (n_rows,) and "emb" in name]
    if not tables:
        raise JobError("the vocabulary of this model cannot be trimmed. Leave out --trim-vocabulary.")
    save_file(
        {name: values[old] if name in tables else values for name, values in weights.items()}, path, {"format": "pt"}
    )
