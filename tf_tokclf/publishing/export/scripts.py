"""The tokens of a vocabulary that are written in given scripts, such as Latin or Cyrillic."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tf_tokclf.errors import UserError

# Begins the scripts in --trim-vocabulary, which otherwise names a file.
PREFIX = "scripts:"
_NAME = re.compile(r"[A-Za-z_]+")


def scripts_in(option: str) -> tuple[str, ...] | None:
    """The names of Unicode scripts in a value of --trim-vocabulary; None if it names a file.

    >>> scripts_in("scripts:latin, cyrillic"), scripts_in("texts.txt")
    (('latin', 'cyrillic'), None)
    """
    if not option.startswith(PREFIX):
        return None
    names = tuple(name.strip() for name in option.removeprefix(PREFIX).split(","))
    for name in names:
        if not _is_script(name):
            hint = "Use the names in Unicode, such as scripts:latin,cyrillic or scripts:han,hiragana,katakana."
            raise UserError(f"--trim-vocabulary: there is no script {name!r}.", hint=hint)
    return names


def ids_in_scripts(tokenizer: Any, scripts: Sequence[str]) -> set[int]:
    """The ids of all tokens without a character of another script.

    Digits, punctuation and other characters that all scripts use do not count. Parts of characters, which are tokens of
    byte-level tokenizers, belong to all scripts. tokenizer: a `tokenizers.Tokenizer`.
    """
    import regex

    known = "".join(rf"\p{{Script={name}}}" for name in (*scripts, "Common", "Inherited", "Unknown"))
    only = regex.compile(rf"[{known}]*")
    decoder = _decoder(tokenizer)
    return {
        number
        for token, number in tokenizer.get_vocab(with_added_tokens=True).items()
        if only.fullmatch(decoder.decode([token]) if decoder else token)
    }


def _is_script(name: str) -> bool:
    import regex

    if not _NAME.fullmatch(name):
        return False
    try:
        regex.compile(rf"\p{{Script={name}}}")
    except regex.error:
        return False
    return True


def _decoder(tokenizer: Any) -> Any:
    """What turns tokens of bytes into text; None if tokens are texts."""
    from tokenizers import decoders

    contents = json.loads(tokenizer.to_str())
    parts = json.dumps([contents.get("pre_tokenizer"), contents.get("decoder")])
    return decoders.ByteLevel() if '"ByteLevel"' in parts else None
