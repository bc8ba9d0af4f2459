"""Read the entities from label sequences as seqeval does. All scores are computed from these entities.

The mode `conlleval` is seqeval's default mode, which follows `conlleval.pl`; `strict` is seqeval's strict mode.
docs/scoring.md describes how both read the invalid sequences of each scheme. Where seqeval is not installed, the rules
in `entity_rules` read the same entities.

seqeval needs 3 s (conlleval) or 11 s (strict) for 100,000 sentences of 25 words. To be faster, sentences are divided
into stretches for which seqeval gives the same result alone as in the sentence, and each distinct stretch is read once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

from tf_tokclf.labels.schemes import OUTSIDE_LABEL, ROLE_BY_PREFIX, RULES, Scheme
from tf_tokclf.labels.sentence import Span
from tf_tokclf.lean_imports import stand_in_for_sklearn
from tf_tokclf.scoring.entity_rules import Entity, conlleval_entities, strict_entities

Mode = Literal["conlleval", "strict"]
MODES: tuple[Mode, ...] = get_args(Mode)

_KEPT_STRETCHES = 1 << 15
_LONGEST_KEPT = 32

# seqeval does not support BMES and BMEOW. Their labels are those of BIOES with other letters.
_STRICT_AS = {Scheme.BMES: Scheme.BIOES, Scheme.BMEOW: Scheme.BIOES}
_SEQEVAL_NAMES = {Scheme.BIOES: "IOBES", Scheme.IO: "IOB2"}


def entities_of(labels: Sequence[str], scheme: Scheme, mode: Mode = "conlleval") -> list[Span]:
    """The entities of one sentence, in order. Without a label scheme each word is an entity, and its label the type.

    >>> entities_of(["B-LOC", "I-LOC", "I-PER"], Scheme.IOB2)
    [Span(start=0, end=2, type='LOC'), Span(start=2, end=3, type='PER')]
    >>> entities_of(["B-LOC", "I-LOC", "I-PER"], Scheme.IOB2, "strict")
    [Span(start=0, end=2, type='LOC')]
    """
    if scheme is Scheme.NONE:
        return [Span(i, i + 1, label) for i, label in enumerate(labels)]
    return [Span(*entity) for entity in entity_reader(scheme).read(labels)[mode]]


@cache
def entity_reader(scheme: Scheme) -> EntityReader:
    """The reader of a label scheme. All callers share it, and so its cache."""
    return EntityReader(scheme)


class EntityReader:
    """Reads sentences with seqeval. Entities of labels without a type (`B`) get the type `_`."""

    def __init__(self, scheme: Scheme) -> None:
        self._conlleval_labels = _SeqevalLabels(_letters(scheme, "conlleval"))
        self._strict_labels = _SeqevalLabels(_letters(scheme, "strict"))
        self._read_strictly = _strict_reading(scheme)
        self._characters = _Characters(self._conlleval_labels)
        self._stretch = _STRETCH_IN_IOB1 if scheme is Scheme.IOB1 else _STRETCH
        self._remembered = lru_cache(_KEPT_STRETCHES)(self._read_stretch)

    def read(self, labels: Sequence[str]) -> dict[Mode, list[Entity]]:
        """The entities of one sentence in each mode, in order."""
        found: dict[Mode, list[Entity]] = {mode: [] for mode in MODES}
        for first, by_mode in self.stretches(labels):
            for mode, entities in zip(MODES, by_mode):
                found[mode] += [(first + start, first + end, type_) for start, end, type_ in entities]
        return found

    def stretches(self, labels: Sequence[str]) -> Iterator[tuple[int, tuple[list[Entity], ...]]]:
        """The first word of each stretch with entities, and its entities in each of the MODES, counted from there."""
        for stretch in self._stretch.finditer("".join(map(self._characters.__getitem__, labels))):
            first, end = stretch.start() // 2, stretch.end() // 2
            read = self._remembered if end - first <= _LONGEST_KEPT else self._read_stretch
            yield first, read(tuple(labels[first:end]))

    def _read_stretch(self, labels: tuple[str, ...]) -> tuple[list[Entity], ...]:
        """The entities of a stretch in each of the MODES."""
        conlleval = _conlleval_entities([self._conlleval_labels[label] for label in labels])
        return conlleval, self._read_strictly([self._strict_labels[label] for label in labels])


class _SeqevalLabels(dict[str, str]):
    """Maps labels to those of seqeval: prefixes become its letters, and labels with unknown prefixes become O
    (`_letters`).
    """

    def __init__(self, letters: Mapping[str, str]) -> None:
        super().__init__()
        self._letters = letters

    def __missing__(self, label: str) -> str:
        prefix, rest = label[:1], label[1:]
        known = prefix in self._letters and rest[:1] in ("", "-")
        self[label] = self._letters[prefix] + rest if known else OUTSIDE_LABEL
        return self[label]


# Patterns of the stretches of a sentence in which each label is written as two characters (`_Characters`). A stretch
# starts after O, at B- and S-, and at any other label whose type differs from that of the previous label. In strict
# IOB1 the meaning of B- depends on the previous label, so there B- starts a stretch only after O and after I- of
# another type.
_STRETCH = re.compile(r"(?=[^.])(?:.b)?(?:([^.])i(?:\1i)*)?")
_STRETCH_IN_IOB1 = re.compile(r"([^.]).(?:\1.)*(?:(?<=b)(?=[^.]b)(.).(?:\2.)*)*")
_FIRST_TYPE = 0x100


class _Characters(dict[str, str]):
    """Labels as two characters: one for the type, then `b` for B- and S- or `i` for the others. O is `..`."""

    def __init__(self, seqeval_labels: Mapping[str, str]) -> None:
        super().__init__()
        self._seqeval_labels = seqeval_labels
        self._types: dict[str, int] = {}

    def __missing__(self, label: str) -> str:
        prefix = self._seqeval_labels[label][0]
        number = self._types.setdefault(_strict_type(label), len(self._types))
        characters = chr(_FIRST_TYPE + number) + ("b" if prefix in "BS" else "i")
        self[label] = ".." if prefix == OUTSIDE_LABEL else characters
        return self[label]


def _letters(scheme: Scheme, mode: Mode) -> dict[str, str]:
    """The prefixes that are read, mapped to seqeval's. A label without one of them is O.

    conlleval: the prefixes of all schemes, since a letter has the same meaning in each. strict: those of the scheme,
    since seqeval rejects the others.

    >>> _letters(Scheme.BMES, "strict")
    {'B': 'B', 'M': 'I', 'E': 'E', 'S': 'S'}
    """
    if mode == "strict":
        known = RULES[_STRICT_AS.get(scheme, scheme)].letters
        return {letter: known[role] for role, letter in RULES[scheme].letters.items()}
    known = RULES[Scheme.BIOES].letters
    return {letter: known[role] for letter, role in ROLE_BY_PREFIX.items() if letter != OUTSIDE_LABEL}


@cache
def _has_seqeval() -> bool:
    """Whether seqeval and scikit-learn, which it requires, are installed. Otherwise, `entity_rules` are used."""
    return bool(find_spec("seqeval") and find_spec("sklearn"))


@cache
def _seqeval(module: str) -> Any:
    """A module of seqeval, imported when it is needed: outside commands, it imports scikit-learn, which takes 1.4 s."""
    with stand_in_for_sklearn():
        return import_module(f"seqeval.{module}")


def _conlleval_entities(labels: list[str]) -> list[Entity]:
    if not _has_seqeval():
        return conlleval_entities(labels)
    found = _seqeval("metrics.sequence_labeling").get_entities(labels)
    return [(first, last + 1, type_) for type_, first, last in found]


def _strict_reading(scheme: Scheme) -> Callable[[list[str]], list[Entity]]:
    known = _STRICT_AS.get(scheme, scheme)
    name = _SEQEVAL_NAMES.get(known, known.value)

    def read(labels: list[str]) -> list[Entity]:
        if scheme is Scheme.IO:
            labels = _io_as_iob2(labels)
        if not _has_seqeval():
            return strict_entities(labels, name)
        module = _seqeval("scheme")
        [entities] = module.Entities([labels], getattr(module, name)).entities
        return [(entity.start, entity.end, entity.tag) for entity in entities]

    return read


def _io_as_iob2(labels: Sequence[str]) -> list[str]:
    """IO labels in IOB2.

    >>> _io_as_iob2(["I-X", "I-X", "I-Y", "O", "I-Y"])
    ['B-X', 'I-X', 'B-Y', 'O', 'B-Y']
    """
    spelled = []
    for last, label in zip((OUTSIDE_LABEL, *labels), labels):
        begins = last == OUTSIDE_LABEL or _strict_type(last) != _strict_type(label)
        spelled.append("B" + label[1:] if begins and label != OUTSIDE_LABEL else label)
    return spelled


def _strict_type(label: str) -> str:
    """The type that seqeval's strict mode reads. Labels of one type in its default mode have one type here too."""
    return label[1:].strip("-") or "_"
