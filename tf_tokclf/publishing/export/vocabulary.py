"""Leave out tokens of a tokenizer that given texts do not need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError

# Unigram models contain bytes as <0x0A>.
_BYTE = "<0x"


@dataclass(frozen=True)
class VocabularyChange:
    """What trimming a vocabulary changed.

    n_split_differently: words of the comparison that have other subword tokens. unknown_before, unknown_after: the
    share of unknown tokens in the comparison.
    """

    n_tokens_before: int
    n_tokens_after: int
    n_split_differently: int
    unknown_before: float
    unknown_after: float

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for the printed table."""
        unknown = f"{100 * self.unknown_after:.2f} % (model {100 * self.unknown_before:.2f} %)"
        return [
            ("vocabulary", f"{counted(self.n_tokens_after, 'token')} (model {self.n_tokens_before:,})"),
            ("words split differently", f"{self.n_split_differently:,}"),
            ("unknown tokens", unknown),
        ]


def trimmed_tokenizer(tokenizer: dict[str, Any], used: Iterable[int]) -> tuple[dict[str, Any], list[int]]:
    """A tokenizer without the tokens that are not needed, and the old id of each token that it has.

    tokenizer: the contents of tokenizer.json. used: ids of tokens to keep. Added tokens, tokens in the templates of
    sequences, single characters and bytes are also kept, so that any text that could be tokenized still can be. Texts
    whose tokens are all kept are tokenized as before:

    - WordPiece takes the longest token that fits. It is still there, and there are no new ones.
    - BPE merges in the same order. The tokens between the characters and a kept token are kept, too.
    - Unigram takes the most probable tokens. They are still possible, and there are no new ones.

    Raises UserError for other types of tokenizers.
    """
    model = tokenizer["model"]
    if model["type"] not in _KEPT:
        known = ", ".join(_KEPT)
        raise UserError(
            f"the vocabulary of a tokenizer of type {model['type']} cannot be trimmed.",
            hint=f"Leave out --trim-vocabulary. It is for {known}.",
        )
    ids = _ids(model) | {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ())}
    names = {number: name for name, number in ids.items()}
    always = [token["id"] for token in tokenizer.get("added_tokens", ())]
    always += [number for numbers in _special_ids(tokenizer) for number in numbers]
    always += [pair[1] for pair in _special_pairs(tokenizer)]
    kept = _KEPT[model["type"]](model, {names[number] for number in (*used, *always) if number in names})
    old = sorted({ids[name] for name in kept} | {*always})
    new = {number: position for position, number in enumerate(old)}
    return _with_ids(tokenizer, new, kept), old


def _kept_wordpiece(model: dict[str, Any], used: set[str]) -> set[str]:
    prefix = model["continuing_subword_prefix"]
    single = {token for token in model["vocab"] if len(token.removeprefix(prefix)) == 1}
    return used | single | {model["unk_token"]}


def _kept_unigram(model: dict[str, Any], used: set[str]) -> set[str]:
    tokens = [token for token, _ in model["vocab"]]
    unknown = {tokens[model["unk_id"]]} if model.get("unk_id") is not None else set()
    return used | unknown | {token for token in tokens if len(token) == 1 or token.startswith(_BYTE)}


def _kept_bpe(model: dict[str, Any], used: set[str]) -> set[str]:
    """Also all tokens that no merge makes, and those from which the used tokens are made."""
    pairs = [_pair(merge) for merge in model["merges"]]
    rank = {pair: position for position, pair in reversed([*enumerate(pairs)])}
    joined = _joining(model)
    made = {joined(*pair) for pair in pairs}
    kept = used | {token for token in model["vocab"] if token not in made}
    for token in used:
        kept.update(_on_the_way(_symbols(token, model), rank, joined))
    if model.get("unk_token"):
        kept.add(model["unk_token"])
    return kept & model["vocab"].keys() | used


def _pair(merge: str | list[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _joining(model: dict[str, Any]) -> Callable[[str, str], str]:
    prefix = model.get("continuing_subword_prefix") or ""
    return lambda left, right: left + right.removeprefix(prefix)


def _symbols(token: str, model: dict[str, Any]) -> list[str]:
    """The characters with which BPE begins."""
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    inner = token.removesuffix(suffix) if suffix else token
    starts_inside = bool(prefix) and inner.startswith(prefix)
    characters = list(inner.removeprefix(prefix)) if starts_inside else list(inner)
    found = [
        character if position == 0 and not starts_inside else prefix + character
        for position, character in enumerate(characters)
    ]
    if found and inner != token:
        found[-1] += suffix
    return found


def _on_the_way(symbols: list[str], rank: dict[tuple[str, str], int], joined: Callable[[str, str], str]) -> set[str]:
    """The tokens that appear while the symbols of one token are merged."""
    found = {*symbols}
    while len(symbols) > 1:
        ranks = [(rank.get(pair, len(rank)), place) for place, pair in enumerate(pairwise(symbols))]
        best, place = min(ranks)
        if best == len(rank):
            break
        symbols[place : place + 2] = [joined(*symbols[place : place + 2])]
        found.add(symbols[place])
    return found


_KEPT = {"WordPiece": _kept_wordpiece, "BPE": _kept_bpe, "Unigram": _kept_unigram}


def _ids(model: dict[str, Any]) -> dict[str, int]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return dict(vocabulary)
    return {token: position for position, (token, _) in enumerate(vocabulary)}


def _with_ids(tokenizer: dict[str, Any], new: dict[int, int], kept: set[str]) -> dict[str, Any]:
    found = copy.deepcopy(tokenizer)
    model, ids = found["model"], _ids(tokenizer["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [entry for position, entry in enumerate(model["vocab"]) if position in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {token: new[number] for token, number in ids.items() if number in new}
    if model["type"] == "BPE":
        joined, there = _joining(model), model["vocab"].keys()
        model["merges"] = [merge for merge in model["merges"] if {*_pair(merge), joined(*_pair(merge))} <= there]
    for token in found.get("added_tokens", ()):
        token["id"] = new[token["id"]]
    for numbers in _special_ids(found):
        numbers[:] = [new[number] for number in numbers]
    for pair in _special_pairs(found):
        pair[1] = new[pair[1]]
    if found.get("padding"):
        found["padding"]["pad_id"] = new[found["padding"]["pad_id"]]
    return found


def _special_ids(tokenizer: dict[str, Any]) -> list[list[int]]:
    """The lists of ids in the templates of sequences."""
    return [
        token["ids"]
        for processor in _processors(tokenizer)
        for token in (processor.get("special_tokens") or {}).values()
        if isinstance(token, dict) and "ids" in token
    ]


def _special_pairs(tokenizer: dict[str, Any]) -> list[list[Any]]:
    """The tokens and ids in the processors of BERT and RoBERTa."""
    return [
        processor[name]
        for processor in _processors(tokenizer)
        for name in ("cls", "sep")
        if isinstance(processor.get(name), list)
    ]


def _processors(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    top = tokenizer.get("post_processor")
    return [] if top is None else [top, *top.get("processors", ())]
