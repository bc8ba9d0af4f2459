"""Check the files of a tokenizer, and give transformers a separate folder that contains only the checked files.

The settings of a tokenizer can name files to read and copy (`vocab_file`), templates that are saved under any name
(`chat_template`) and code (`auto_map`). `clean_tokenizer_folder` contains only the settings that describe how text is
tokenised, and the vocabulary files with the names that transformers expects.
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
from tf_tokclf.encoding.hints import AGAIN, UNTRUSTED
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_links
from tf_tokclf.json_text import read_json

TOKENIZER, SETTINGS, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
VOCABULARY = "vocab.txt"
# The class that reads any tokenizer.json as it is.
GENERAL = "PreTrainedTokenizerFast"
# Vocabulary files that transformers can convert to a fast tokenizer if there is no tokenizer.json.
SENTENCEPIECE = ("spiece.model", "spm.model", "sentencepiece.model", "sentencepiece.bpe.model")
VOCABULARIES = (VOCABULARY, "vocab.json", "merges.txt", "bpe_encoder.bin", *SENTENCEPIECE)
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
# Settings that describe how text is tokenised. All other settings are dropped: they name files or are not needed.
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
# The time that tokenizers 0.21 needs grows with the square of this number: 2 s for 20,000.
MOST_ADDED_TOKENS = 20_000
LARGEST_FILE = 256 << 20
# The largest published vocabularies of SentencePiece, with a million tokens, have 18 MB.
LARGEST_SENTENCEPIECE = 64 << 20
LONGEST_TOKEN = 1_000
# Share of tokens with capital letters that a vocabulary of lower-cased words may have.
RARE = 0.01
# Special tokens around a text; BERT has two. The time that tokenizers needs grows with the square of their number.
MOST_SPECIAL_PIECES = 1_000
MOST_STEPS, DEEPEST_STEP = 64, 16
# Largest factor by which normalization may lengthen a text. In the worst case of Unicode (NFKC), one character becomes
# 18.
MOST_GROWTH = 256
# The time that WordPiece needs grows with the cube of a word's length: 0.1 s for 1,000 characters. BERT's limit is 100.
LONGEST_WORD = 1_000
# Regular expressions that transformers writes into tokenizer.json, and those of widely used tokenizers. The time that
# each needs is proportional to the length of the text.
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


@dataclass(frozen=True)
class CleanTokenizer:
    """A folder with checked files only.

    patterns: regular expressions in them that are not in KNOWN_PATTERNS. unconverted: the name of a vocabulary of
    SentencePiece, if there is no tokenizer.json.
    """

    folder: Path
    patterns: tuple[str, ...] = ()
    unconverted: str | None = None


@contextmanager
def clean_tokenizer_folder(folder: Path) -> Iterator[CleanTokenizer]:
    """A temporary folder with only the tokenizer of `folder`, for transformers to read.

    Raises UserError for a tokenizer that would take too long to load or to use, or whose files are in other folders.
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
        settings = checked_settings(folder)
        if (clean / TOKENIZER).exists():
            content = checked_tokenizer(folder)
            patterns = unknown_patterns([content.get("normalizer"), content.get("pre_tokenizer")])
            settings = _stated_casing(content) | settings
        elif (clean / VOCABULARY).exists() and _has_capitals(clean / VOCABULARY):
            settings = {"do_lower_case": False} | settings
        _write(clean / SETTINGS, settings)
        for file in (SPECIAL, ADDED):
            if is_there(folder / file):
                content = _mapping(_checked_file(folder, file))
                _check_count(len(content), folder / file)
                if file == SPECIAL:
                    content = {key: value for key, value in content.items() if key in SPECIAL_TOKENS}
                _write(clean / file, content)
        found = next((file for file in SENTENCEPIECE if (clean / file).exists()), None)
        yield CleanTokenizer(clean, tuple(patterns), None if (clean / TOKENIZER).exists() else found)


def with_converted(tokenizer: CleanTokenizer, definition: str, *, place: Path) -> CleanTokenizer:
    """The same folder with tokenizer.json in place of the vocabulary from which it was converted.

    definition: the content of tokenizer.json. place: the vocabulary, for messages. Raises UserError as for any other
    tokenizer.json.
    """
    content = json.loads(definition)
    _check_tokenizer(content, place)
    (tokenizer.folder / TOKENIZER).write_text(definition, encoding="utf-8")
    for file in SENTENCEPIECE:
        (tokenizer.folder / file).unlink(missing_ok=True)
    patterns = unknown_patterns([content.get("normalizer"), content.get("pre_tokenizer")])
    return CleanTokenizer(tokenizer.folder, tuple(patterns))


def _has_capitals(vocabulary: Path) -> bool:
    """Whether a WordPiece vocabulary contains capital letters, so that words must not be lower-cased.

    transformers lower-cases words unless the settings say otherwise, and BioBERT and other early models have no
    settings. Special tokens do not count, and the share RARE of the other tokens may have capital letters.
    """
    with vocabulary.open(encoding="utf-8", errors="replace") as file:
        tokens = [line.strip() for line in file]
    n_with_capitals = sum(token != token.lower() and token[:1] not in "[<" for token in tokens)
    return n_with_capitals > RARE * len(tokens)


def _stated_casing(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """The settings that the normalizer of BERT states. Without them, transformers would lower-case all words."""
    normalizer = tokenizer.get("normalizer")
    if not isinstance(normalizer, dict) or normalizer.get("type") != "BertNormalizer":
        return {}
    names = {
        "lowercase": "do_lower_case",
        "strip_accents": "strip_accents",
        "handle_chinese_chars": "tokenize_chinese_chars",
    }
    return {ours: normalizer[theirs] for theirs, ours in names.items() if isinstance(normalizer.get(theirs), bool)}


def has_tokenizer(folder: Path) -> bool:
    """Whether a model folder has a tokenizer, or a vocabulary that may become one."""
    return any(is_there(folder / name) for name in (TOKENIZER, *VOCABULARIES))


def tokenizer_class_name(folder: Path) -> str:
    """The class name of the fast tokenizer: from its settings or config.json, else from the model type."""
    # This module contains only tables of names and imports no classes.
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    slow_names, fast_names = (set(filter(None, names)) for names in zip(*TOKENIZER_MAPPING_NAMES.values()))
    config = model_config(folder) if (folder / "config.json").is_file() else {}
    by_type = TOKENIZER_MAPPING_NAMES.get(str(config.get("model_type")), (None, None))
    given = _settings_of(folder).get("tokenizer_class") or config.get("tokenizer_class")
    name = f"{str(given).removesuffix('Fast')}Fast" if given else by_type[1]
    if name in fast_names:
        return str(name)
    slow = given if given in slow_names else None if given else by_type[0]
    if (folder / TOKENIZER).is_file():
        if slow:
            _check_same_vocabulary(folder)
        return GENERAL
    kind = str(given or slow or "the tokenizer")[:60]
    raise UserError(
        f"{kind} is a slow tokenizer. Only fast ones report the word of each subword token.",
        path=folder,
        hint="Choose a model that has a tokenizer.json.",
    )


def _check_same_vocabulary(folder: Path) -> None:
    """Raise UserError if the ids in tokenizer.json differ from those in the slow tokenizer's vocabulary file.

    transformers does not check this. It cannot make such a tokenizer.json, so the file comes from another program.
    """
    model = _mapping(_checked_file(folder, TOKENIZER)).get("model")
    stated = model.get("vocab") if isinstance(model, dict) else None
    ids = _ids_in_vocabulary(folder)
    for token, number in stated.items() if isinstance(stated, dict) else ():
        if ids.get(token, number) != number:
            problem = f"the token {token[:60]!r} has a different id in the vocabulary of the slow tokenizer."
            raise UserError(problem, path=folder / TOKENIZER, hint=AGAIN)


def _ids_in_vocabulary(folder: Path) -> dict[str, Any]:
    """The ids of tokens in a vocabulary with one token on each line, or in one in JSON. Empty if there is none."""
    if is_there(folder / VOCABULARY):
        with _checked_file(folder, VOCABULARY).open(encoding="utf-8", errors="replace") as file:
            return {line.strip(): number for number, line in enumerate(file)}
    return _mapping(_checked_file(folder, "vocab.json")) if is_there(folder / "vocab.json") else {}


def _settings_of(folder: Path) -> dict[str, Any]:
    """The content of tokenizer_config.json; empty if there is no such file."""
    return _mapping(folder / SETTINGS) if is_there(folder / SETTINGS) else {}


def needs_own_code(folder: Path) -> bool:
    """Whether the tokenizer's settings refer to its own Python code."""
    return bool(_settings_of(folder).get("auto_map"))


def _check_tokenizer(content: dict[str, Any], path: Path) -> None:
    """Raise UserError for a tokenizer.json that would take too long to load or to use."""
    added = content.get("added_tokens")
    _check_count(len(added) if isinstance(added, list) else 0, path)
    if (n_special := _n_special(content.get("post_processor"))) > MOST_SPECIAL_PIECES:
        raise _refused(f"adds {n_special:,} special tokens to each text, more than {MOST_SPECIAL_PIECES:,}", path)
    growth = 1.0
    steps = [*_steps(content.get("normalizer"), path), *_steps(content.get("pre_tokenizer"), path)]
    if len(steps) > MOST_STEPS:
        raise _refused(
            f"has {counted(len(steps), 'step')} of normalization and splitting, more than {MOST_STEPS}", path
        )
    for step in steps:
        growth *= _growth(step, path)
        if growth > MOST_GROWTH:
            raise _refused(f"makes texts more than {MOST_GROWTH} times longer (normalizer)", path)
    model = content.get("model")
    longest = model.get("max_input_chars_per_word") if isinstance(model, dict) else None
    if isinstance(longest, int) and longest > LONGEST_WORD:
        raise _refused(f"has max_input_chars_per_word {longest:,}, more than {LONGEST_WORD:,}", path)


def _n_special(post_processor: Any) -> int:
    """The number of special tokens in the templates of a post-processor, for one text and for a pair of texts."""
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
    """The regular expressions in a normalizer or pre-tokenizer (as plain values) that are not in KNOWN_PATTERNS."""
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
    """The largest factor by which a step can lengthen a text."""
    kind = step.get("type")
    if kind == "Replace":
        pattern = step.get("pattern")
        text = pattern.get("String") if isinstance(pattern, dict) else None
        content = step.get("content")
        new = len(content) if isinstance(content, str) else 1
        if isinstance(text, str) and text:
            return max(1.0, new / len(text))
        # The known expressions match at least one character. Others may match the empty text before each character.
        return 1.0 + new if unknown_patterns(pattern) or text == "" else max(1.0, new)
    if kind == "Prepend":
        return 1.0 + len(str(step.get("prepend", "")))
    if kind == "Precompiled":
        return max(1.0, _longest_replacement(step.get("precompiled_charsmap"), path) / 4)
    return 1.0


def _longest_replacement(charsmap: Any, path: Path) -> int:
    """The length in bytes of the longest replacement in SentencePiece's table of characters.

    The table consists of a length (four bytes), a trie of that length, and the replacements, each with a zero byte at
    the end.
    """
    if not isinstance(charsmap, str) or not charsmap:
        return 0
    try:
        table = base64.b64decode(charsmap, validate=True)
    except (binascii.Error, ValueError):
        raise _refused("has a precompiled_charsmap that cannot be read", path) from None
    texts = table[4 + int.from_bytes(table[:4], "little") :]
    return max(map(len, texts.split(b"\0")), default=0)


def checked_tokenizer(folder: Path) -> dict[str, Any]:
    """The content of tokenizer.json. Raises UserError if it would take too long to load or to use."""
    content = checked_mapping(folder, TOKENIZER)
    _check_tokenizer(content, folder / TOKENIZER)
    return content


def checked_mapping(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of the tokenizer. Links out of the folder are refused."""
    return _mapping(_checked_file(folder, name))


def checked_settings(folder: Path) -> dict[str, Any]:
    """The checked settings from tokenizer_config.json."""
    if not is_there(folder / SETTINGS):
        return {}
    settings = _mapping(_checked_file(folder, SETTINGS))
    kept = {key: value for key, value in settings.items() if key in KEPT}
    _take_extra_tokens(kept)
    limit = kept.get("model_max_length")
    if limit is not None and not (_is_number(limit) and limit >= 1):
        raise UserError(
            f"model_max_length is {str(limit)[:60]}, but must be a number of at least 1.",
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
    """Move `extra_special_tokens` to `additional_special_tokens`, the name of a list of tokens in transformers 4.

    transformers would make each key of a mapping an attribute of the tokenizer, and could replace its methods in this
    way. Tokenising needs only the tokens.
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
    """The resolved path of a file in the folder. Links out of the folder are refused, except into the Hub's cache."""
    path = folder / name
    check_links(folder, [path], hint="Copy the file into the folder.")
    real = path.resolve()
    largest = LARGEST_SENTENCEPIECE if name in SENTENCEPIECE else LARGEST_FILE
    if real.stat().st_size > largest:
        raise _refused(f"is larger than {largest >> 20} MB", path)
    return real


def _show(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # Windows requires a privilege for links
        shutil.copyfile(source, target)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path, hint=AGAIN, longest=LARGEST_FILE)
    if not isinstance(content, dict):
        raise UserError("is not a JSON object.", path=path, hint=AGAIN)
    return content


def _refused(problem: str, path: Path) -> UserError:
    return UserError(f"{problem}.", path=path, hint=UNTRUSTED)
