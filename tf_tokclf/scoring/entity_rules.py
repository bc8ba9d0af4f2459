"""The rules by which seqeval reads entities, for installations without seqeval, which requires scikit-learn and scipy.

The functions return what those of seqeval 1.2.2 return: `get_entities` in its default mode, and `scheme.Entities` in
its strict mode. Tests compare both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

# First word, the word after the last one, type.
Entity = tuple[int, int, str]
# Prefix and type of a label.
_Label = tuple[str, str]

_OUTSIDE: _Label = ("O", "_")


def conlleval_entities(labels: Sequence[str]) -> list[Entity]:
    """The entities in the default mode. labels: with the prefixes B, I, E and S, or O.

    >>> conlleval_entities(["B-X", "I-X", "O", "I-Y"])
    [(0, 2, 'X'), (3, 4, 'Y')]
    """
    found: list[Entity] = []
    last = _OUTSIDE
    for i, label in enumerate(labels):
        prefix, type_ = label[0], label[1:].split("-", maxsplit=1)[-1] or "_"
        if last[0] in "BI" and prefix in "IE" and type_ == last[1]:
            found[-1] = (found[-1][0], i + 1, type_)
        elif prefix != "O":
            found.append((i, i + 1, type_))
        last = prefix, type_
    return found


def strict_entities(labels: Sequence[str], scheme: str) -> list[Entity]:
    """The entities in the strict mode. scheme: its name in seqeval. labels: with the prefixes of that scheme, or O.

    >>> strict_entities(["B-X", "I-X", "O", "I-Y"], "IOB2")
    [(0, 2, 'X')]
    """
    starts, is_inside, ends = _RULES[scheme]
    words = [*((label[0], label[1:].strip("-") or "_") for label in labels), _OUTSIDE]
    found = []
    first, last = 0, _OUTSIDE
    while first < len(words):
        end = first + 1
        if starts(last, words[first]):
            while is_inside(words[end - 1], words[end]):
                end += 1
            if ends(words[end - 1], words[end]):
                found.append((first, end, words[first][1]))
        first, last = end, words[end - 1]
    return found


def _starts_in_iob1(last: _Label, label: _Label) -> bool:
    """B- only separates an entity from another one of its type. I- starts one except after I- of its type."""
    if label[0] == "B":
        return last[0] in "IB" and last[1] == label[1]
    return label[0] == "I" and (last[0] != "I" or last[1] != label[1])


def _ends_in_iob1(last: _Label, label: _Label) -> bool:
    """Everything ends an entity, except B- of another type after B-."""
    return not (last[0] == label[0] == "B" and last[1] != label[1])


def _inside(prefixes: str) -> Callable[[_Label, _Label], bool]:
    return lambda last, label: last[0] in "BI" and label[0] in prefixes and last[1] == label[1]


def _closed(end: str, single: str) -> tuple[Callable[[_Label, _Label], bool], ...]:
    """The rules of a scheme in which entities of several words have a last label, and others a label of their own."""
    return (
        lambda last, label: label[0] in ("B", single),
        _inside("I" + end),
        lambda last, label: last[0] in (end, single),
    )


# By scheme: whether a label starts an entity after the last label, continues it, and ends it before itself.
_RULES = {
    "IOB1": (_starts_in_iob1, _inside("I"), _ends_in_iob1),
    "IOB2": (lambda last, label: label[0] == "B", _inside("I"), lambda last, label: True),
    "IOBES": _closed("E", "S"),
    "BILOU": _closed("L", "U"),
}
