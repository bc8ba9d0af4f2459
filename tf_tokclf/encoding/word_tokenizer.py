"""Read a tokenizer without transformers, which takes a second to import, if its tokenizer.json is complete.

`save_tokenizer` writes such a tokenizer.json for every model that this project trains or exports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.prefix_space import missing_prefix, state_of
from tf_tokclf.encoding.tokenizer_files import (
    ADDED,
    GENERAL,
    SETTINGS,
    SPECIAL,
    SPECIAL_TOKENS,
    TOKENIZER,
    checked_mapping,
    checked_settings,
    checked_tokenizer,
    needs_own_code,
    unknown_patterns,
)
from tf_tokclf.encoding.tokenizers import check_vocabulary, is_panic
from tf_tokclf.errors import UserError, first_line

# A tokenizer without a limit, as in transformers.
UNLIMITED = int(1e30)


class WordTokenizer(Protocol):
    """What splitting words into subword tokens needs: a tokenizer of transformers, or a `SavedTokenizer`."""

    @property
    def backend_tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer`, without truncation and padding."""
        ...

    @property
    def model_max_length(self) -> int:
        """The longest row that the model reads, with special tokens; 1e30 if that is not known."""
        ...

    @property
    def pad_token_id(self) -> int | None:
        """The id of the padding token, if there is one."""
        ...


@dataclass(frozen=True)
class SavedTokenizer:
    """A tokenizer that was read without transformers. The fields are those of `WordTokenizer`."""

    backend_tokenizer: Any
    model_max_length: int
    pad_token_id: int | None


def read_saved_tokenizer(folder: Path) -> SavedTokenizer | None:
    """The tokenizer in a model folder; None if only transformers knows how to complete its tokenizer.json.

    Raises UserError if the tokenizer cannot be read, or would take too long to read or use.
    """
    from tokenizers import Tokenizer

    if not (is_there(folder / TOKENIZER) and is_there(folder / SETTINGS)) or needs_own_code(folder):
        return None
    settings = checked_settings(folder)
    content = checked_tokenizer(folder)
    if not _is_complete(folder, content, settings):
        return None
    try:
        backend = Tokenizer.from_file(str((folder / TOKENIZER).resolve()))
    except BaseException as error:
        # tokenizers raises bare Exceptions, and panics in Rust, which do not derive from Exception.
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        problem = f"cannot be read: {first_line(error)}."
        raise UserError(problem, path=folder / TOKENIZER, hint="Save or export the model again.") from error
    if not _has_same_prefix(backend, settings):
        return None
    check_vocabulary(backend, folder)
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = bool(settings.get("split_special_tokens", False))
    # With BPE dropout, each call returns different subword tokens.
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    padding = _text_of(settings.get("pad_token"))
    return SavedTokenizer(
        backend_tokenizer=backend,
        model_max_length=int(settings.get("model_max_length", UNLIMITED)),
        pad_token_id=None if padding is None else backend.token_to_id(padding),
    )


def _is_complete(folder: Path, content: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether transformers would read tokenizer.json as it is: it adds no tokens, and its class changes nothing.

    Tokenizers with unknown regular expressions are left to the other path, which first tries them in a process.
    """
    if settings_class(folder) != GENERAL or is_there(folder / ADDED) or not content.get("added_tokens"):
        return False
    known = {token.get("content") for token in content["added_tokens"] if isinstance(token, dict)}
    special = checked_mapping(folder, SPECIAL) if is_there(folder / SPECIAL) else {}
    named = {*_special_tokens(settings), *_special_tokens(special)}
    return named <= known and not unknown_patterns([content.get("normalizer"), content.get("pre_tokenizer")])


def settings_class(folder: Path) -> Any:
    """The class of the tokenizer in tokenizer_config.json."""
    return checked_mapping(folder, SETTINGS).get("tokenizer_class")


def _special_tokens(settings: Mapping[str, Any]) -> Iterator[str]:
    """The tokens that transformers would add to the vocabulary."""
    for name in SPECIAL_TOKENS & settings.keys():
        value = settings[name]
        if name == "added_tokens_decoder" and isinstance(value, dict):
            value = list(value.values())
        for token in value if isinstance(value, list) else [value]:
            if (text := _text_of(token)) is not None:
                yield text


def _text_of(token: Any) -> str | None:
    """A token, which is a text or a mapping with its properties."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _has_same_prefix(backend: Any, settings: Mapping[str, Any]) -> bool:
    """Whether the setting for a space before each word agrees with tokenizer.json, which transformers would change."""
    state = state_of(backend.pre_tokenizer)
    given = bool(settings.get("add_prefix_space", False))
    return missing_prefix(backend) is None and (state or {}).get("add_prefix_space", given) == given
