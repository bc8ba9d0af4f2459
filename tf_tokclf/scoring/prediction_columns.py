"""Find the columns of predicted and gold labels in a file, or ask the user if several are possible.

Column names decide first ("predicted_labels", "y_pred", "gold"). Columns of text files have no names: there the last
column is the prediction, as in the files that conlleval reads. The gold labels are the other column with the same kind
of labels. If several columns are possible, an error asks the user to name one. If there are several layers of gold
labels, the layer is used that all commands read from such a file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path

from tf_tokclf.data.label_spellings import standard_labels
from tf_tokclf.data.reading.guessing import holds_confidences, looks_like_tags
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, split_label

Labels = Callable[[], Iterator[Sequence[str]]]
# Given the column of predictions, returns the column that would be read as labels without that column, or None.
ReadAsGold = Callable[[str | int], str | int | None]

# Number of sentences that are read to find out which kind of values a column contains.
_SAMPLED_SENTENCES = 2000
_PREDICTED = re.compile(
    r"(?<![a-z])(?:y_?hat|pred|preds|predicted|predictions?|hyps?|hypothesis|system|outputs?)(?![a-z])"
)
_GOLD = re.compile(r"(?<![a-z])(?:gold|golden|true|truth|references?|refs?|targets?|expected)(?![a-z])")
# Names of columns that are often next to labels and have similar names, but contain something else.
_NOT_LABELS = re.compile(
    r"(?<![a-z])(?:words?|tokens?|texts?|sentences?|scores?|prob|probs|probability|probabilities|confidences?|logits?|top|"
    r"ids?|index|document|origin|error|positions?)(?![a-z])"
)
_LABELS = re.compile(r"(?<![a-z])(?:labels?|tags?|ner|bio|iob|slots?)(?![a-z])")
_OTHER_TASKS = re.compile(r"(?<![a-z])(?:pos|upos|xpos|chunk|chunks)(?![a-z])")
_WITH_PROBABILITY = re.compile(r"(.+)/(?:[01]?\.\d+|[01](?:\.\d*)?)(?:[eE]-?\d+)?")


@dataclass(frozen=True)
class LabelColumn:
    """A column that may contain labels.

    name: the value that options such as --label-column-name accept. labels: reads the labels of all sentences.
    is_named: False if the name is only the number of the column.
    has_probabilities: each label is followed by its probability, as in B-PER/0.99. `labels` leaves it out.
    """

    name: str | int
    labels: Labels
    is_named: bool = True
    has_probabilities: bool = False

    def __str__(self) -> str:
        """The column, in messages."""
        return repr(self.name) if self.is_named else f"column {self.name}"

    def label_in(self, value: str) -> str:
        """The label in a value of the column."""
        return value.rpartition("/")[0] if self.has_probabilities else value

    @cached_property
    def values(self) -> frozenset[str]:
        """The distinct labels in the first sentences."""
        return frozenset(label for labels in islice(self.labels(), _SAMPLED_SENTENCES) for label in labels)

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of its labels, in any spelling; of labels without types, the labels themselves."""
        standard = standard_labels(Counter(self.values))
        return types_of(standard.get(value, value) for value in self.values)

    @property
    def is_predicted(self) -> bool:
        """Whether the name is one for predictions."""
        return self.is_named and _PREDICTED.search(_spelled(self.name)) is not None

    @property
    def is_gold(self) -> bool:
        """Whether the name is one for gold labels."""
        return self.is_named and not self.is_predicted and _GOLD.search(_spelled(self.name)) is not None

    def is_like(self, other: LabelColumn) -> bool:
        """Whether both contain labels of the same kind."""
        if self.types and other.types:
            return bool(self.types & other.types)
        return looks_like_tags(self.values) and looks_like_tags(other.values)


@dataclass(frozen=True)
class Roles:
    """The columns of predicted and gold labels. gold: None if the file contains predictions only."""

    predicted: LabelColumn
    gold: LabelColumn | None

    def __str__(self) -> str:
        """The columns, for the log."""
        gold = f", gold labels in {self.gold}" if self.gold else ""
        return f"predicted labels in {self.predicted}{gold}"


@dataclass(frozen=True)
class Asked:
    """What the user specified about the columns.

    predicted, gold: names of columns. gold_labels: reads the gold labels from another file; if it is given, no gold
    column is needed.
    """

    predicted: str | int | None = None
    gold: str | int | None = None
    gold_labels: Labels | None = None


def types_of(labels: Iterable[str]) -> frozenset[str]:
    """The types of the spans in labels; of labels without types, the labels themselves.

    >>> sorted(types_of(["O", "B-PER", "NOUN"]))
    ['NOUN', 'PER']
    """
    return frozenset(split_label(label)[1] or label for label in labels if label not in (OUTSIDE_LABEL, "_"))


def may_hold_labels(name: str) -> bool:
    """Whether a column with this name may contain labels.

    >>> may_hold_labels("predicted_labels"), may_hold_labels("predicted_scores"), may_hold_labels("token_labels")
    (True, False, True)
    """
    return _LABELS.search(_spelled(name)) is not None or _NOT_LABELS.search(_spelled(name)) is None


def without_probabilities(columns: Sequence[LabelColumn]) -> list[LabelColumn]:
    """The columns except those of confidences.

    If there are columns of labels with probabilities, as CRF++ writes them, the first one is the predicted labels and
    the others are alternatives, which are left out.
    """
    found: list[LabelColumn] = []
    is_first = True
    for column in columns:
        if not column.values or holds_confidences(column.values):
            continue
        if all(_WITH_PROBABILITY.fullmatch(value) for value in column.values):
            if is_first:
                found.append(replace(column, labels=_stripped(column.labels), has_probabilities=True))
            is_first = False
        else:
            found.append(column)
    return found


def choose_roles(
    columns: Sequence[LabelColumn], asked: Asked, *, path: Path, read_as_gold: ReadAsGold | None = None
) -> Roles:
    """Choose the columns of predicted and gold labels among `columns`, which are in the order of the file.

    read_as_gold: the column that other commands read as the labels of such a file. It decides between several layers of
    gold labels if the column of predictions has a name. Raises UserError if several columns are possible.
    """
    candidates = without_probabilities(columns)
    named_gold = None
    if asked.gold is not None and asked.gold_labels is None:
        named_gold = _named(asked.gold, columns, candidates, path)
    others = [column for column in candidates if named_gold is None or column.name != named_gold.name]
    if asked.predicted is not None:
        chosen = _named(asked.predicted, columns, candidates, path)
    else:
        chosen = _predicted(others, path, named_gold.labels if named_gold else asked.gold_labels)
    if asked.gold_labels is not None:
        return Roles(chosen, None)
    return Roles(chosen, named_gold or _gold([c for c in others if c.name != chosen.name], chosen, path, read_as_gold))


def _predicted(columns: Sequence[LabelColumn], path: Path, gold_labels: Labels | None) -> LabelColumn:
    if not columns:
        problem = "contains no column of predicted labels. Columns of decimal fractions are taken for confidences."
        raise UserError(problem, path=path, hint="Check the program that wrote it.")
    if by_name := [column for column in columns if column.is_predicted]:
        if len(by_name) > 1:
            raise _several("predictions", by_name, "--predicted-column-name", path)
        return by_name[0]
    left = [column for column in columns if not column.is_gold] or list(columns)
    if gold_labels is not None:
        left = _besides(LabelColumn("gold", gold_labels), left)
    elif not left[-1].is_named:
        return left[-1]
    if len(left) > 1:
        raise _several("predictions", left, "--predicted-column-name", path)
    return left[0]


def _besides(gold: LabelColumn, columns: Sequence[LabelColumn]) -> list[LabelColumn]:
    """The columns that may be predictions if gold is known: the same kind of labels, but no copy or layer of gold."""
    alike = [column for column in columns if column.is_like(gold)] or list(columns)
    left = [column for column in alike if not _is_same(column, gold)] or alike[-1:]
    if len(left) < 2:
        return left
    if not left[-1].is_named:
        # The labels of a system that finds few spans also look like an inner layer, but they are in the last column.
        return left[-1:] if all(_is_layer_of(column, gold) for column in left[:-1]) else left
    no_layers = [column for column in left if not _is_layer_of(column, gold)]
    return no_layers if len(no_layers) == 1 else left


def _gold(
    columns: Sequence[LabelColumn], predicted: LabelColumn, path: Path, read_as_gold: ReadAsGold | None
) -> LabelColumn | None:
    """The column of gold labels, given that of predicted ones; None if there is no other column."""
    by_name = [column for column in columns if column.is_gold]
    if len(by_name) == 1:
        return by_name[0]
    columns = by_name or [column for column in columns if not column.is_predicted]
    columns = [c for c in columns if not (c.is_named and _OTHER_TASKS.search(_spelled(c.name)))] or columns
    if len(columns) < 2:
        return columns[0] if columns else None
    alike = [column for column in columns if column.is_like(predicted)]
    # In a few sentences, a system may predict no gold type at all.
    alike = alike or [c for c in columns if looks_like_tags(c.values) and looks_like_tags(predicted.values)]
    if not alike:
        shown = ", ".join(f"{column} ({shortened(column.values)})" for column in columns)
        labels = shortened(predicted.values)
        raise UserError(
            f"the predicted labels in {predicted} ({labels}) have no label in common with {shown}.",
            path=path,
            hint="Name the gold labels with --label-column-name, or their file with --gold.",
        )
    first, *others = alike
    if all(_is_layer_of(other, first) for other in others):
        return first
    if read_as_gold is not None and predicted.is_predicted:
        usual = read_as_gold(predicted.name)
        if chosen := next((column for column in alike if column.name == usual), None):
            return chosen
    raise _several("gold labels", alike, "--label-column-name", path)


def _named(
    name: str | int, columns: Sequence[LabelColumn], candidates: Sequence[LabelColumn], path: Path
) -> LabelColumn:
    found = next((column for column in candidates if column.name == name), None)
    if found is not None:
        return found
    if any(column.name == name for column in columns):
        problem = f"column {name!r} contains decimal fractions, which are confidences and not labels."
    else:
        problem = f"there is no column of labels {name!r}."
    known = ", ".join(str(column.name) for column in candidates) or "none"
    raise UserError(problem, path=path, hint=f"Its columns of labels are {known}.")


def _several(what: str, columns: Sequence[LabelColumn], option: str, path: Path) -> UserError:
    names = [str(column) for column in columns]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return UserError(f"{listed} may all contain {what}.", path=path, hint=f"Choose one with {option} NAME.")


def _is_same(column: LabelColumn, gold: LabelColumn) -> bool:
    return all(a is not None and b is not None and tuple(a) == tuple(b) for a, b in _pairs(column, gold))


def _is_layer_of(column: LabelColumn, outer: LabelColumn) -> bool:
    """Whether a column is an inner layer of nested labels: it labels few words, and only words of outer spans."""
    n_inner = n_outer = 0
    for inner, labels in _pairs(column, outer):
        if inner is None or labels is None or len(inner) != len(labels):
            return False
        for one, other in zip(inner, labels):
            n_inner += one != OUTSIDE_LABEL
            n_outer += other != OUTSIDE_LABEL
            if one != OUTSIDE_LABEL and other == OUTSIDE_LABEL:
                return False
    return 2 * n_inner <= n_outer


def _pairs(a: LabelColumn, b: LabelColumn) -> Iterator[tuple[Sequence[str] | None, Sequence[str] | None]]:
    return zip_longest(a.labels(), b.labels())


def _stripped(labels: Labels) -> Labels:
    return lambda: ([label.rpartition("/")[0] for label in one] for one in labels())


def shortened(values: Iterable[str]) -> str:
    """The first labels as text, O last.

    >>> shortened(["O", "B-PER", "I-PER"])
    'B-PER, I-PER, O'
    """
    shown = sorted(values, key=lambda value: (value == OUTSIDE_LABEL, value))
    return ", ".join(shown[:4]) + (" ..." if len(shown) > 4 else "")


def _spelled(name: str | int) -> str:
    """A name in snake case: predLabels becomes pred_labels."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
