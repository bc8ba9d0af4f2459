"""Find out which sentences are labelled already: those of a run's own data, and those of other labelled files."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import blake2b

from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.data.reading.base import STDIN
from tf_tokclf.data.run_settings import settings_for
from tf_tokclf.data.splits import load_splits, read_sentences
from tf_tokclf.errors import JobError, UserError

log = logging.getLogger(__name__)


def sentence_key(words: Iterable[str], salt: str = "") -> int:
    """A 64-bit number that is the same for sentences with the same characters, however these are split into words.

    White space does not count. The probability that two of n different sentences have the same key is about n² / 2⁶⁵.

    >>> sentence_key(["Ada", "left", "."]) == sentence_key(["Ada", "left."])
    True
    """
    text = "".join("".join(words).split())
    return int.from_bytes(blake2b(f"{salt}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest())


def keys_of_run(config: Config) -> set[int]:
    """The keys of all sentences of a run's data; none if the data cannot be read, which is logged as a warning."""
    # Which of the training sentences the run drew for other splits does not matter here.
    data = config.data.model_copy(update={"test_fraction": None})
    files = (data.train_file, data.validation_file, data.test_file)
    if not (any(files) or data.dataset_name):
        return set()
    try:
        if str(STDIN) in files:
            raise UserError("it was read from standard input.")
        splits = load_splits(data, task=config.task, required=(), draw=False)
    except (UserError, JobError) as error:
        log.warning("the run's own data cannot be read, so its sentences are not left out: %s", error)
        return set()
    batches = (batch for split in splits for batch in split.table.select(["words"]).to_batches())
    return {sentence_key(words) for batch in batches for words in batch.column("words").to_pylist()}


def keys_of_file(path: str, given: DataConfig, config: Config | None, *, task: Task) -> set[int]:
    """The keys of all sentences of a labelled file.

    given: settings that take precedence over those of the run with `config`, if there is one. Raises UserError if the
    file cannot be read.
    """
    data = settings_for(path, given, config, task=task)
    # Only words are read, so a file without labels can be named too.
    data = data.model_copy(update={"label_column_name": ""})
    try:
        return {sentence_key(sentence.words) for sentence in read_sentences(path, data, task=task)}
    except UserError as error:
        if error.line is None and error.row is None:
            raise
        hint = "Name the format of the file with --exclude-format, or correct the file."
        raise UserError(error.problem, path=error.path, line=error.line, row=error.row, hint=hint) from error
