"""The files of a tokenizer, checked before transformers sees them, and shown to it in a folder of their own.

A tokenizer's settings may name files to read and copy (`vocab_file`), templates that are saved under names of their
choice (`chat_template`) and code (`auto_map`). In `clean_tokenizer_folder` only the settings that describe how text is
tokenized are left, beside the vocabulary files that transformers knows by name.
"""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.model_config import AGAIN, model_config
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_links
from tf_tokclf.json_text import read_json

TOKENIZER, SETTINGS, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
# Vocabularies that convert to a fast tokenizer where there is no tokenizer.json.
VOCABULARIES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe_encoder.bin",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
)
SPECIAL_TOKENS = frozenset(
    [
        "bos_token",
        "eos_token",
        "unk_token",
        "sep_token",
        "pad_token",
        "cls_token",
        "mask_token",
        "additional_special_tokens",
        "extra_special_tokens",
        "added_tokens_decoder",
    ]
)
# What describes how text is tokenized. All others are dropped: they name files, or are no part of tokenizing.
KEPT = SPECIAL_TOKENS | frozenset(
    [
        "model_max_length",
        "padding_side",
        "truncation_side",
        "do_lower_case",
        "do_lowercase",
        "strip_accents",
        "tokenize_chinese_chars",
        "clean_text",
        "do_basic_tokenize",
        "never_split",
        "add_prefix_space",
        "trim_offsets",
        "clean_up_tokenization_spaces",
        "keep_accents",
        "remove_space",
        "split_by_punct",
        "wordpieces_prefix",
        "errors",
        "add_bos_token",
        "add_eos_token",
        "split_special_tokens",
        "legacy",
        "model_input_names",
        "cls_token_box",
        "sep_token_box",
        "pad_token_box",
        "pad_token_label",
        "only_label_first_subword",
    ]
)
# tokenizers 0.21 needs time that grows with the square of their number: 2 s for these.
MOST_ADDED_TOKENS = 20_000
LARGEST_FILE = 256 << 20
LONGEST_TOKEN = 1_000
# Special pieces around one text; BERT has two. tokenizers needs time that grows with the square of their number.
MOST_SPECIAL_PIECES = 1_000
MOST_STEPS, DEEPEST_STEP = 64, 16
# How many times longer normalizing may make a text. One character becomes 18 in the worst case of Unicode (NFKC).
MOST_GROWTH = 256
# WordPiece's time grows with the cube of a word's length: 0.1 s for this one. BERT has 100.
LONGEST_WORD = 1_000
# Regular expressions that transformers itself writes into tokenizer.json, and those of widely used tokenizers. Each one
# takes time in proportion to the text.
KNOWN_PATTERNS = frozenset(
    (
        " {2,}",
        r"\s+",
        r"\s",
        r"\d",
        r"\p{N}",
        r"\p{N}{1,3}",
        r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""",
        r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
        r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"""
        r"""| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
        r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"""
        r"""| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    )
)
UNTRUSTED = "Do not use this model unless you trust its author."


@dataclass(frozen=True)
class CleanTokenizer:
    """A folder that holds checked files only. patterns: the regular expressions in them that are in no list of ours."""

    folder: Path
    patterns: tuple[str, ...] = ()


@contextmanager
def clean_tokenizer_folder(folder: Path) -> Iterator[CleanTokenizer]:
    """A temporary folder with the tokenizer of `folder` and nothing else, for transformers to read.

    Raises UserError for a tokenizer that would take without end to load or to use, or whose files lie elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="tf-tokclf-tokenizer-") as name:
        clean = Path(name)
        for file in (TOKENIZER, *VOCABULARIES):
            if is_there(folder / file):
                _show(_checked_file(folder, file), clean / file)
        if not any(clean.iterdir()):
            expected = f"Expected {TOKENIZER}, or a vocabulary such as {VOCABULARIES[0]}."
            raise UserError("has no tokenizer.", path=folder, hint=expected)
        patterns: list[str] = []
        if (clean / TOKENIZER).exists():
            content = _mapping(folder / TOKENIZER)
            _check_tokenizer(content, folder / TOKENIZER)
            patterns = unknown_patterns([content.get("normalizer"), content.get("pre_tokenizer")])
        _write(clean / SETTINGS, _settings(folder))
        for file in (SPECIAL, ADDED):
            if is_there(folder / file):
                content = _mapping(_checked_file(folder, file))
                _check_count(len(content), folder / file)
                if file == SPECIAL:
                    content = {key: value for key, value in content.items() if key in SPECIAL_TOKENS}
                _write(clean / file, content)
        yield CleanTokenizer(clean, tuple(patterns))


def tokenizer_class_name(folder: Path) -> str:
    """The name of the fast tokenizer's class: as the settings or config.json say, else by the model's type."""
    # Tables of names; no class is imported by it.
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    slow_names, fast_names = (set(filter(None, names)) for names in zip(*TOKENIZER_MAPPING_NAMES.values()))
    config = model_config(folder) if (folder / "config.json").is_file() else {}
    by_type = TOKENIZER_MAPPING_NAMES.get(str(config.get("model_type")), (None, None))
    given = _settings_of(folder).get("tokenizer_class") or config.get("tokenizer_class")
    name = f"{str(given).removesuffix('Fast')}Fast" if given else by_type[1]
    if name in fast_names:
        return str(name)
    slow = given if given in slow_names else None if given else by_type[0]
    if (folder / TOKENIZER).is_file() and not slow:
        return "PreTrainedTokenizerFast"
    kind = str(given or slow or "the tokenizer")[:60]
    raise UserError(
        f"{kind} is a slow tokenizer, and only fast ones know which word a piece is from.",
        path=folder,
        hint="Choose a model that has a tokenizer.json.",
    )


def _settings_of(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json as it is; empty where there is none."""
    return _mapping(folder / SETTINGS) if is_there(folder / SETTINGS) else {}


def needs_own_code(folder: Path) -> bool:
    """Whether the tokenizer's settings name Python code of its own."""
    return bool(_settings_of(folder).get("auto_map"))


def _check_tokenizer(content: dict[str, Any], path: Path) -> None:
    """Raise UserError for a tokenizer.json that takes without end to load or to use."""
    added = content.get("added_tokens")
    _check_count(len(added) if isinstance(added, list) else 0, path)
    if (n_special := _n_special(content.get("post_processor"))) > MOST_SPECIAL_PIECES:
        raise _refused(f"adds {n_special:,} special pieces to each text, more than {MOST_SPECIAL_PIECES:,}", path)
    growth = 1.0
    steps = [*_steps(content.get("normalizer"), path), *_steps(content.get("pre_tokenizer"), path)]
    if len(steps) > MOST_STEPS:
        raise _refused(f"has {counted(len(steps), 'step')} of normalizing and splitting, more than {MOST_STEPS}", path)
    for step in steps:
        growth *= _growth(step, path)
        if growth > MOST_GROWTH:
            raise _refused(f"makes texts more than {MOST_GROWTH} times longer (normalizer)", path)
    model = content.get("model")
    longest = model.get("max_input_chars_per_word") if isinstance(model, dict) else None
    if isinstance(longest, int) and longest > LONGEST_WORD:
        raise _refused(f"has max_input_chars_per_word {longest:,}, more than {LONGEST_WORD:,}", path)


def _n_special(post_processor: Any) -> int:
    """How many special pieces the templates of a post-processor put around a text, or around two."""
    total = 0
    stack = [post_processor]
    while stack:
        step = stack.pop()
        if not isinstance(step, dict):
            continue
        stack += _as_list(step.get("processors"))
        tokens = step.get("special_tokens")
        lengths = {
            name: len(_as_list(token.get("ids")))
            for name, token in (tokens.items() if isinstance(tokens, dict) else ())
            if isinstance(token, dict)
        }
        for piece in [*_as_list(step.get("single")), *_as_list(step.get("pair"))]:
            special = piece.get("SpecialToken") if isinstance(piece, dict) else None
            total += lengths.get(str(special.get("id")), 1) if isinstance(special, dict) else 1
    return total


def unknown_patterns(steps: Any) -> list[str]:
    """The regular expressions in a normalizer or pre-tokenizer, given as plain values, that are in no list of ours."""
    found = []
    stack = [steps]
    while stack:
        step = stack.pop()
        if isinstance(step, dict):
            if isinstance(pattern := step.get("Regex"), str) and pattern not in KNOWN_PATTERNS:
                found.append(pattern)
            stack.extend(step.values())
        elif isinstance(step, list):
            stack.extend(step)
    return found


def _steps(value: Any, path: Path, depth: int = 0) -> list[dict[str, Any]]:
    if depth > DEEPEST_STEP:
        raise _refused("nests its normalizers or pre-tokenizers too deeply", path)
    if not isinstance(value, dict):
        return []
    inner = [*_as_list(value.get("normalizers")), *_as_list(value.get("pretokenizers"))]
    return [value, *(step for item in inner for step in _steps(item, path, depth + 1))]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _growth(step: dict[str, Any], path: Path) -> float:
    """How many times longer a step can make a text."""
    kind = step.get("type")
    if kind == "Replace":
        pattern = step.get("pattern")
        text = pattern.get("String") if isinstance(pattern, dict) else None
        content = step.get("content")
        new = len(content) if isinstance(content, str) else 1
        if isinstance(text, str) and text:
            return max(1.0, new / len(text))
        # The known expressions match at least one character. Others may match the empty text before each one.
        return 1.0 + new if unknown_patterns(pattern) or text == "" else max(1.0, new)
    if kind == "Prepend":
        return 1.0 + len(str(step.get("prepend", "")))
    if kind == "Precompiled":
        return max(1.0, _longest_replacement(step.get("precompiled_charsmap"), path) / 4)
    return 1.0


def _longest_replacement(charsmap: Any, path: Path) -> int:
    """The bytes of the longest text that SentencePiece's table of characters puts in a character's place.

    The table is a length of four bytes, a trie of that length, and the texts, each ended by a zero byte.
    """
    if not isinstance(charsmap, str) or not charsmap:
        return 0
    try:
        table = base64.b64decode(charsmap, validate=True)
    except (binascii.Error, ValueError):
        raise _refused("has a precompiled_charsmap that cannot be read", path) from None
    texts = table[4 + int.from_bytes(table[:4], "little") :]
    return max(map(len, texts.split(b"\0")), default=0)


def _settings(folder: Path) -> dict[str, Any]:
    """What is kept of tokenizer_config.json."""
    if not is_there(folder / SETTINGS):
        return {}
    settings = _mapping(_checked_file(folder, SETTINGS))
    kept = {key: value for key, value in settings.items() if key in KEPT}
    _take_extra_tokens(kept)
    limit = kept.get("model_max_length")
    if limit is not None and not (_is_number(limit) and limit >= 1):
        raise UserError(
            f"model_max_length is {str(limit)[:60]}, and must be a number from 1 on.",
            path=folder / SETTINGS,
            hint=AGAIN,
        )
    for key in SPECIAL_TOKENS:
        if isinstance(value := kept.get(key), dict | list):
            _check_count(len(value), folder / SETTINGS)
        elif isinstance(value, str) and len(value) > LONGEST_TOKEN:
            raise _refused(f"has a {key} of {counted(len(value), 'character')}", folder / SETTINGS)
    return kept


def _take_extra_tokens(settings: dict[str, Any]) -> None:
    """Name extra special tokens as transformers 4 names a list of them.

    transformers 5 writes a list too. In a mapping, transformers would make each key an attribute of the tokenizer, and
    replace its methods where they have the same name; tokenizing needs the tokens alone.
    """
    extra = settings.pop("extra_special_tokens", None)
    if not extra:
        return
    tokens = list(extra.values()) if isinstance(extra, dict) else extra
    others = settings.get("additional_special_tokens") or []
    if isinstance(tokens, list) and isinstance(others, list):
        settings["additional_special_tokens"] = [*others, *(token for token in tokens if token not in others)]
    else:
        settings["additional_special_tokens"] = tokens


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_count(n_tokens: int, path: Path) -> None:
    if n_tokens > MOST_ADDED_TOKENS:
        raise _refused(f"adds {counted(n_tokens, 'token')} to the vocabulary, more than {MOST_ADDED_TOKENS:,}", path)


def _checked_file(folder: Path, name: str) -> Path:
    """A file of the folder, where it really lies. Links out of the folder are refused, but for the Hub's cache."""
    path = folder / name
    check_links(folder, [path], hint="Copy the file into the folder.")
    real = path.resolve()
    if real.stat().st_size > LARGEST_FILE:
        raise _refused(f"is larger than {LARGEST_FILE >> 20} MB", path)
    return real


def _show(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # links need rights of their own on Windows
        shutil.copyfile(source, target)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path, hint=AGAIN, longest=LARGEST_FILE)
    if not isinstance(content, dict):
        raise UserError("is not a mapping.", path=path, hint=AGAIN)
    return content


def _refused(problem: str, path: Path) -> UserError:
    return UserError(f"{problem}.", path=path, hint=UNTRUSTED)
