"""Tokenizers as alignment needs them: fast, with truncation and padding set by nobody but us."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.data.model_folders import model_config
from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Tokenizers without a limit say 1e30.
NO_LIMIT = 1_000_000
DEFAULT_LIMIT = 512
# Their position embeddings begin after the padding position.
OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "longformer", "mpnet", "roberta-prelayernorm", "esm"}


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerFast:
    """The fast tokenizer in a model folder, inherited truncation and padding switched off.

    Raises UserError when the folder holds none, or a slow one only.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers' own gap
    options: dict[str, Any] = {"use_fast": True, "trust_remote_code": trust_remote_code}
    load: Callable[..., PreTrainedTokenizerFast] = AutoTokenizer.from_pretrained
    try:
        tokenizer = load(folder, **options)
        if _wants_prefix_space(tokenizer):
            tokenizer = load(folder, add_prefix_space=True, **options)
    except Exception as error:  # transformers and tokenizers raise anything here, bare Exception included
        raise UserError(
            f"the tokenizer in {folder} cannot be loaded: {str(error).splitlines()[0] if str(error) else error!r}",
            hint="A fast tokenizer (tokenizer.json, or a vocabulary that converts to one) is needed.",
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            f"{type(tokenizer).__name__} is a slow tokenizer, and only fast ones know which word a piece is from.",
            hint="Choose a model that has a tokenizer.json.",
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def window_limit(folder: Path, tokenizer: PreTrainedTokenizerFast) -> int:
    """The most pieces, special ones included, that the model reads at once (512 where nothing says so)."""
    config = model_config(folder)
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < NO_LIMIT else []
    if isinstance(positions, int) and positions > 0:
        offset = (config.get("pad_token_id") or 0) + 1 if config.get("model_type") in OFFSET_POSITIONS else 0
        limits.append(positions - offset)
    return min(limits, default=DEFAULT_LIMIT)


def special_pieces(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after one sequence, such as ([101], [102])."""
    probe = ["a"]
    bare = tokenizer(probe, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    whole = tokenizer(probe, is_split_into_words=True)["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    raise UserError("The tokenizer changes its pieces when it adds special ones.", hint="Choose another model.")


def _wants_prefix_space(tokenizer: Any) -> bool:
    """Byte-level tokenizers read a word as itself only behind a blank (RoBERTa, GPT-2, ModernBERT and others)."""
    if not tokenizer.is_fast:
        return False
    stack = [json.loads(tokenizer.backend_tokenizer.to_str()).get("pre_tokenizer")]
    while stack:
        step = stack.pop()
        if isinstance(step, dict):
            if step.get("type") == "ByteLevel":
                return not step.get("add_prefix_space")
            stack.extend(step.get("pretokenizers", []))
    return False
