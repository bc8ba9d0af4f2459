"""Make tokenizers that mark the beginning of a word by its space read words given one by one as in a text.

Such tokenizers know a word in a text, "Ġword" or "▁word", and the continuation of a word, "word". A word that is given
by itself has no space before it, and would be read as a continuation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# SentencePiece's sign for a space.
SIGN = "\u2581"


def state_of(component: Any) -> Any:
    """A normalizer or pre-tokenizer as plain values; None if there is none, or if it is written in Python."""
    try:
        return json.loads(component.__getstate__()) if component is not None else None
    except Exception:  # tokenizers raises a bare Exception
        return None


def wants_prefix_space(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a word needs a space before it, and the tokenizer does not put it there."""
    return tokenizer.is_fast and missing_prefix(tokenizer.backend_tokenizer) is not None


def set_prefix_space(tokenizer: PreTrainedTokenizerFast) -> None:
    """Make the tokenizer put a space before each word, if it needs one. tokenizer.json will contain the change.

    transformers' own option only changes pre-tokenizers that are not part of a sequence.
    """
    from tokenizers import normalizers, pre_tokenizers

    backend = tokenizer.backend_tokenizer
    missing = missing_prefix(backend)
    if missing is None:
        return
    steps = list(_steps(state_of(backend.pre_tokenizer), "pretokenizers"))
    if missing == " " and steps[0]["type"] == "ByteLevel":
        changed = [{**steps[0], "add_prefix_space": True}, *steps[1:]]
        whole = pre_tokenizers.Sequence([])
        whole.__setstate__(json.dumps({"type": "Sequence", "pretokenizers": changed}).encode())
        backend.pre_tokenizer = whole
        return
    # The step for bytes would put a space before each part into which an earlier step has split the word.
    before = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([*before, normalizers.Prepend(missing)])


def missing_prefix(backend: Any) -> str | None:
    """What has to come before each word: a space, its sign, or None if nothing does.

    backend: a `tokenizers.Tokenizer`.
    """
    normalizers = list(_steps(state_of(backend.normalizer), "normalizers"))
    steps = list(_steps(state_of(backend.pre_tokenizer), "pretokenizers"))
    if any(step["type"] == "Prepend" for step in normalizers) or any(step["type"] == "Metaspace" for step in steps):
        return None
    of_bytes = next((step for step in steps if step["type"] == "ByteLevel"), None)
    if of_bytes is not None:
        return None if of_bytes.get("add_prefix_space") else " "
    # Gemma's tokenizers replace spaces, and put none before a text.
    is_replaced = any(
        step["type"] == "Replace" and step.get("pattern") == {"String": " "} and step.get("content") == SIGN
        for step in normalizers
    )
    return SIGN if is_replaced else None


def _steps(state: Any, inside: str) -> Iterator[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer in their order. inside: the name of the steps of a sequence."""
    if not isinstance(state, dict):
        return
    if state.get("type") == "Sequence":
        for step in state.get(inside, []):
            yield from _steps(step, inside)
    else:
        yield state
