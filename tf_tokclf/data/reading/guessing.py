"""Guess from names and values which column contains words and which one labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tf_tokclf.config.schema import Task
from tf_tokclf.counted import counted
from tf_tokclf.data.label_spellings import NO_LABEL, standard_labels
from tf_tokclf.errors import UserError

WORD_NAMES = ("tokens", "words", "token", "word", "form", "text", "sentence", "utterance", "input")
LABEL_WORDS = re.compile(
    r"\btags?\b|_tags?\b|labels?|ner\b|\bne-|pos\b|chunk|\biob|\bbio|slots?\b|entit", re.IGNORECASE
)

# Names of columns that identify the sentence of each word.
SENTENCE_NAMES = (
    "sentence #",
    "sentence_id",
    "sentence_idx",
    "sent_id",
    "sent",
    "sentence id",
    "sentence",
    "sentence_number",
)

# The remedy for labels that cannot be interpreted.
WORDS_ALONE = "--label-column-name '' reads the words without labels."

# PyTorch's loss ignores -100. Older data contains -1 instead.
MISSING_IDS = frozenset({-1, -100})
MISSING_LABELS = frozenset(map(str, MISSING_IDS))

_LABEL_NAMES = ("tags", "labels", "token_labels", "tag", "label", "ner_tags", "ner", "bio", "iob", "slots")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
# Values for a missing score; predict writes "_".
_NO_NUMBER = ("_", "-", "nan", "none", "null")
_TAG = re.compile(r"(?:O|_|[BIESLUMW](?:-.+)?)\Z")
_ODD_SHARE = 0.01


def label_names_for(task: Task) -> tuple[str, ...]:
    """Possible names of the label column, the most likely first: `{task}_tags` before general names."""
    own = tuple(f"{task.value}{ending}" for ending in ("_tags", "_tag", "_labels", "_label", ""))
    also = {Task.POS: ("upos", "xpos"), Task.CHUNK: ("chunks",), Task.SLOTS: ("slot",)}.get(task, ())
    return tuple(dict.fromkeys((*own, *also, *_LABEL_NAMES)))


def guess_named_column(names: Sequence[str], wanted: Iterable[str]) -> int | None:
    """The index of the column with the first of the wanted names that exists, ignoring case.

    >>> guess_named_column(["id", "Tokens", "ner_tags"], ["words", "tokens"])
    1
    """
    lowered = [name.strip().lower() for name in names]
    return next((lowered.index(name) for name in wanted if name in lowered), None)


def looks_like_tags(values: Iterable[str] | Mapping[str, int]) -> bool:
    """Whether values are span labels: O, or a prefix and a type in any spelling, possibly between blanks. One other
    value in a hundred is tolerated.

    >>> looks_like_tags({"O", "B-PER"}), looks_like_tags({"O", "PER-B"}), looks_like_tags({"NOUN", "VERB"})
    (True, True, False)
    """
    counts: Counter[str] = Counter()
    for value, n in Counter(values).items():
        counts[value.strip()] += n
    for missing in MISSING_LABELS:
        del counts[missing]
    if not counts or counts.keys() <= NO_LABEL:
        return False
    odd = sum(n for value, n in counts.items() if not _TAG.match(value))
    return odd <= _ODD_SHARE * counts.total() or bool(standard_labels(counts))


def types_in(values: Iterable[str]) -> set[str]:
    """The types in span labels of any spelling.

    >>> sorted(types_in({"O", "B-PER", "I-LOC"})), sorted(types_in({"O", "PER-B"}))
    (['LOC', 'PER'], ['PER'])
    """
    counts = Counter(values)
    standard = standard_labels(counts)
    return {label[2:] for label in (standard.get(value, value) for value in counts) if label[1:2] == "-"}


def with_numbers(names: Sequence[str]) -> list[str]:
    """The names of columns, with the index appended to names that occur more than once.

    >>> with_numbers(["word", "label", "label"])
    ['word', 'label [1]', 'label [2]']
    """
    counts = Counter(names)
    return [f"{name} [{i}]" if counts[name] > 1 and name else name for i, name in enumerate(names)]


def duplicates_of(name: str, names: Sequence[str]) -> list[int]:
    """The indices of the columns with this name, ignoring case, if there are several.

    >>> duplicates_of("Label", ["word", "label [1]", "label [2]"])
    [1, 2]
    """
    return [i for i, other in enumerate(names) if other.lower() == f"{name} [{i}]".lower()]


def check_once(name: str, names: Sequence[str], path: str | Path) -> None:
    """Raise UserError if several columns have this name. names: from `with_numbers`."""
    if numbers := duplicates_of(name, names):
        places = " and ".join(map(str, numbers))
        problem = f"the header has {counted(len(numbers), 'column')} named {name!r} (numbers {places}, from 0)."
        raise UserError(problem, path=path, hint="Give them different names, or give the number of the column.")


def confidences_error(column: str, path: str | Path) -> UserError:
    """The error for a label column that contains confidences."""
    problem = f"{column} contains decimal fractions, which are confidences and not labels."
    hint = f"Name the label column with --label-column-name. {WORDS_ALONE}"
    return UserError(problem, path=path, hint=hint)


def holds_confidences(values: Iterable[str]) -> bool:
    """Whether the values of a column are decimal fractions and therefore scores. Whole numbers may be label ids.

    >>> holds_confidences(["0.99", "1", "_"]), holds_confidences(["1", "0"]), holds_confidences(["O", "0.5"])
    (True, False, False)
    """
    has_fraction = False
    for value in values:
        if not _NUMBER.fullmatch(value) and value.lower() not in _NO_NUMBER:
            return False
        has_fraction = has_fraction or (not value.lstrip("+-").isdigit() and value.lower() not in _NO_NUMBER)
    return has_fraction
