"""Load fast tokenizers for alignment, without truncation and padding."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.counted import counted
from tf_tokclf.encoding.hints import AGAIN, OTHER_TOKENIZER
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_types import facts_of, first_position
from tf_tokclf.encoding.prefix_space import set_prefix_space, state_of, wants_prefix_space
from tf_tokclf.encoding.tokenizer_files import (
    GENERAL,
    SETTINGS,
    TOKENIZER,
    clean_tokenizer_folder,
    needs_own_code,
    tokenizer_class_name,
    unknown_patterns,
    with_converted,
)
from tf_tokclf.encoding.tokenizer_process import TokenizerProcess
from tf_tokclf.errors import JobError, UserError, first_line
from tf_tokclf.files import disk_problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from tf_tokclf.encoding.word_tokenizer import WordTokenizer

# Tokenizers without a limit have a model_max_length of 1e30.
NO_LIMIT = 1_000_000
DEFAULT_LIMIT = 512
# Classes whose tokenizer.json transformers 5 saves without special tokens, which it adds again when it loads the class.
COMPLETED_BY_CLASS = {"RemBertTokenizerFast"}
# The files that `save_tokenizer` writes.
SAVED = frozenset(("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"))


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerFast:
    """The fast tokenizer in a model folder, with truncation and padding switched off.

    Code in the folder runs only with `trust_remote_code`. Otherwise transformers reads only the vocabulary and the
    checked settings. Raises UserError if the folder has no tokenizer or only a slow one, or if the tokenizer has more
    tokens than the model.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers' own gap
    try:
        if trust_remote_code and needs_own_code(folder):
            own = _from_folder("AutoTokenizer", folder, use_fast=True, trust_remote_code=trust_remote_code)
            return _made_ready(own, folder)
        name = tokenizer_class_name(folder)
        with clean_tokenizer_folder(folder) as clean:
            if clean.unconverted:
                place = folder / clean.unconverted
                definition = TokenizerProcess.converted(clean.folder, name, place=place)
                clean = with_converted(clean, definition, place=place)
            if clean.patterns:
                TokenizerProcess.try_loading(clean.folder, name, clean.patterns[0], place=folder / TOKENIZER)
            return _made_ready(_from_folder(name, clean.folder), folder)
    except UserError:
        raise
    except BaseException as error:
        # transformers and tokenizers raise bare Exceptions here, and panics in Rust, which do not derive from
        # Exception.
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        if disk_problem(error):  # in the folder for temporary files
            raise
        raise UserError(
            f"the tokenizer in {folder} cannot be loaded: {first_line(error)}.",
            hint="A fast tokenizer (tokenizer.json, or a vocabulary that converts to one) is needed.",
        ) from error


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write only tokenizer.json and the settings of the tokenizer to `folder`.

    The class of a fast tokenizer is saved as `PreTrainedTokenizerFast`, which reads tokenizer.json as it is. From other
    class names, transformers 5 builds a new tokenizer of that class around the vocabulary, which may split words
    differently. Chat templates are left out: token classifiers do not use them, and transformers saves them under names
    that the tokenizer chooses. Raises JobError if any other file was written.
    """
    before = set(folder.iterdir())
    templates, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        tokenizer.save_pretrained(folder, legacy_format=False if tokenizer.is_fast else None)
    finally:
        tokenizer.chat_template = templates
    written = {path.name for path in set(folder.iterdir()) - before}
    known = SAVED | {"added_tokens.json", *tokenizer.vocab_files_names.values()}
    if unexpected := sorted(written - known):
        raise JobError(f"{folder}: saving the tokenizer wrote unexpected files: {', '.join(unexpected)}.")
    if tokenizer.is_fast and getattr(tokenizer, "_auto_class", None) is None:
        path = folder / SETTINGS
        settings = json.loads(path.read_text(encoding="utf-8"))
        # The general class would also return token types, which DistilBERT, for example, does not accept.
        settings |= {"tokenizer_class": GENERAL, "model_input_names": list(tokenizer.model_input_names)}
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def is_panic(error: BaseException) -> bool:
    """Whether an exception is a panic in the Rust code of tokenizers. Its class has no public name."""
    return type(error).__name__ == "PanicException"


def _from_folder(name: str, folder: Path, **options: Any) -> PreTrainedTokenizerFast:
    """Load a tokenizer of the transformers class `name`, with a space before each word if it needs one."""
    import transformers

    load: Any = getattr(transformers, name).from_pretrained
    tokenizer = load(folder, **options)
    if wants_prefix_space(tokenizer):
        tokenizer = load(folder, add_prefix_space=True, **options)
        set_prefix_space(tokenizer)
    if name in COMPLETED_BY_CLASS and not tokenizer.num_special_tokens_to_add():
        _surround(tokenizer, tokenizer.cls_token, tokenizer.sep_token)
    return tokenizer  # type: ignore[no-any-return]


def _surround(tokenizer: PreTrainedTokenizerFast, before: str, after: str) -> None:
    """Make the tokenizer add special tokens before and after a text. tokenizer.json will contain the change."""
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=[before, "$A", after],
        pair=[before, "$A", after, "$B:1", f"{after}:1"],
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in (before, after)],
    )


def _made_ready(tokenizer: PreTrainedTokenizerFast, folder: Path) -> PreTrainedTokenizerFast:
    if not tokenizer.is_fast:
        raise UserError(
            f"{type(tokenizer).__name__} is a slow tokenizer. Only fast ones report the word of each subword token.",
            hint="Choose a model that has a tokenizer.json.",
        )
    config = model_config(folder) if (folder / "config.json").is_file() else {}
    check_vocabulary(tokenizer.backend_tokenizer, folder)
    tokenizer.chat_template = None
    if not facts_of(config.get("model_type")).takes_token_types:
        # Saved with the tokenizer. transformers passes all inputs that it names to the model.
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    # Everything here, and every table of positions, expects tokens before padding. XLNet's tokenizer pads on the left.
    tokenizer.padding_side = "right"
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    # With BPE dropout, each call returns different subword tokens.
    if getattr(tokenizer.backend_tokenizer.model, "dropout", None):
        tokenizer.backend_tokenizer.model.dropout = None
    return tokenizer


def check_vocabulary(backend: Any, folder: Path) -> None:
    """Raise UserError if the tokenizer has more tokens than the model in its folder has embeddings.

    Tokens that were added to the vocabulary do not count: models that never see them have no embeddings for them.
    """
    config = model_config(folder) if (folder / "config.json").is_file() else {}
    n_tokens = backend.get_vocab_size(with_added_tokens=False)
    n_embeddings = config.get("vocab_size")
    if isinstance(n_embeddings, int) and n_tokens > n_embeddings:
        problem = f"the tokenizer has {counted(n_tokens, 'token')}, but vocab_size in config.json is {n_embeddings:,}."
        raise UserError(problem, path=folder, hint=OTHER_TOKENIZER)


def window_limit(folder: Path, tokenizer: WordTokenizer) -> int:
    """The maximum number of tokens in a window, including special tokens.

    It is 512 if the model does not state it, and 1,000,000 if neither the model nor its tokenizer has a limit.
    """
    config = model_config(folder)
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < NO_LIMIT else []
    if isinstance(positions, int) and positions > 0:
        limits.append(positions - first_position(config))
    default = DEFAULT_LIMIT - first_position(config)
    return min(limits, default=NO_LIMIT if facts_of(config.get("model_type")).is_unlimited else default)


Tokenize = Callable[..., list[list[int]]]


def tokenize_function(tokenizer: WordTokenizer) -> Tokenize:
    """A function from words to the token ids of each word: `tokenize(words, add_special_tokens=False)`.

    It runs in a child process if the tokenizer has regular expressions that are not known to be harmless. It raises
    UserError for words on which the tokenizer fails.
    """
    backend = tokenizer.backend_tokenizer
    if patterns := unknown_patterns([state_of(backend.normalizer), state_of(backend.pre_tokenizer)]):
        return TokenizerProcess(backend.to_str(), patterns[0], place=TOKENIZER)

    def tokenize(words: Sequence[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        try:
            encodings = backend.encode_batch(
                [[word] for word in words], is_pretokenized=True, add_special_tokens=add_special_tokens
            )
        except MemoryError:
            raise
        except BaseException as error:
            # Panics in Rust do not derive from Exception. Both kinds are errors of the tokenizer.
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            if len(words) > 1:
                return [ids for word in words for ids in tokenize([word], add_special_tokens=add_special_tokens)]
            problem = f"the tokenizer fails on the word {words[0][:99]!r}: {first_line(error)}."
            raise UserError(problem, path=TOKENIZER, hint=AGAIN) from error
        return [encoding.ids for encoding in encodings]

    return tokenize


def special_pieces(tokenizer: WordTokenizer) -> tuple[list[int], list[int]]:
    """The ids of the special tokens before and after a sequence, such as ([101], [102])."""
    tokenize = tokenize_function(tokenizer)
    (bare,) = tokenize(["a"])
    (whole,) = tokenize(["a"], add_special_tokens=True)
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    problem = "The tokenizer changes the subword tokens of a word when it adds special tokens."
    raise UserError(problem, hint="Choose another model.")


def special_types(tokenizer: WordTokenizer) -> tuple[list[int], list[int]]:
    """The token types of the special tokens before and after a sequence: ([], [0, 2]) for XLNet.

    They are empty if a post-processor is not a template, as all types are 0 then.
    """
    steps = [json.loads(tokenizer.backend_tokenizer.to_str())["post_processor"] or {}]
    steps += steps[0].get("processors", [])
    before: list[int] = []
    after: list[int] = []
    for step in steps:
        own = before
        for piece in step.get("single", []) if step.get("type") == "TemplateProcessing" else ():
            if special := piece.get("SpecialToken"):
                own += [special["type_id"]] * len(step["special_tokens"][special["id"]]["ids"])
            else:
                own = after
    return before, after
