"""Different spellings of span labels, and the rules that rewrite them to the standard spelling.

`B-PER`, `I-PER` and `O` are the standard spelling. Labels such as `PER-B`, `b_per` or `OTHER` are rewritten only if all
other labels form a label scheme for spans, because `X` is also a part of speech and `other` may be a type.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tf_tokclf.config.schema import Task
from tf_tokclf.counted import counted
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, ROLE_BY_PREFIX, RULES, Role, Scheme, label_for, split_label
from tf_tokclf.labels.spans import continuation_label

_LETTERS = "".join(sorted(prefix for prefix in ROLE_BY_PREFIX if prefix != OUTSIDE_LABEL))
# Characters that may separate prefix and type.
_SIGNS = r"[-_:./|\u2010-\u2015\u2212]"
# If at most this share of the words in spans has labels that fit no spelling, the other labels are still span labels.
_ODD_SHARE = 0.01


@dataclass(frozen=True)
class Spelling:
    """One way to write a prefix and a type.

    needs_pair: the spelling is accepted only if some type occurs with two different prefixes. may_be_chance: labels
    could match by accident. If more than one prefix occurs, the spelling is accepted only if some type occurs with two
    different prefixes.
    """

    example: str
    pattern: re.Pattern[str]
    needs_pair: bool = False
    may_be_chance: bool = False

    def read(self, label: str) -> tuple[str, str] | None:
        """The prefix as an upper-case letter, and the type unchanged."""
        found = self.pattern.fullmatch(label)
        return (found["prefix"].upper(), found["type"] or "") if found else None


def _spelling(example: str, pattern: str, **options: bool) -> Spelling:
    letters = _LETTERS if example[0].isupper() else _LETTERS.lower()
    filled = pattern.replace("PREFIX", f"(?P<prefix>[{letters}])").replace("TYPE", "(?P<type>.+)")
    return Spelling(example, re.compile(filled.replace("SIGN", _SIGNS), re.DOTALL), **options)


# The standard spelling comes first, so that it wins ties.
SPELLINGS = (
    _spelling("B-PER", "PREFIX(?:-(?P<type>.+))?"),
    _spelling("PER-B", "TYPE-PREFIX"),
    _spelling("B_PER", "PREFIXSIGNTYPE", may_be_chance=True),
    _spelling("PER_B", "TYPESIGNPREFIX", may_be_chance=True),
    _spelling("b-per", "PREFIX(?:SIGN(?P<type>.+))?"),
    _spelling("per-b", "TYPESIGNPREFIX"),
    _spelling("BPER", "PREFIX(?P<type>[A-Z].*)", needs_pair=True),
)
STANDARD = SPELLINGS[0]

# Other spellings of O. The second line: labels that early BERT code wrote for subword tokens and special tokens.
OUTSIDE_SPELLINGS = frozenset(
    {"0", "o", "OTHER", "Other", "other", "OUTSIDE", "Outside", "outside", "NONE", "None", "none", "_", "-"}
    | {"X", "[CLS]", "[SEP]", "[PAD]"}
)
# In data that also uses O, these mean that a word has no label.
NO_LABEL = frozenset({"_", "-"})
_CONTINUED = "X"


def standard_labels(counts: Mapping[str, int], task: Task = Task.NER) -> dict[str, str]:
    """Map each label in a different spelling to its standard spelling. counts: how often each label occurs.

    Empty if the labels form no label scheme for spans, and always for parts of speech.

    >>> standard_labels({"PER-B": 2, "PER-I": 1, "OTHER": 9})
    {'PER-B': 'B-PER', 'PER-I': 'I-PER', 'OTHER': 'O'}
    >>> standard_labels({"NOUN": 2, "X": 1})
    {}
    """
    inside = {label: n for label, n in counts.items() if label != OUTSIDE_LABEL and label not in OUTSIDE_SPELLINGS}
    if not inside or task is Task.POS:
        return {}
    main = max(SPELLINGS, key=lambda spelling: sum(1 + n for label, n in inside.items() if spelling.read(label)))
    read = {label: found for label in inside if (found := main.read(label))}
    others = _in_other_spellings(inside.keys() - read.keys(), set(read.values()))
    odd = inside.keys() - read.keys() - others.keys()
    if sum(inside[label] for label in odd) > _ODD_SHARE * sum(inside.values()) or (odd and not any(inside.values())):
        return {}
    if not _is_scheme(read.values(), main, has_outside=len(inside) < len(counts)):
        return {}
    upper = main.example.islower() and task is not Task.SLOTS and all(type.islower() for _, type in read.values())
    chosen = {label: label_for(prefix, type.upper() if upper else type) for label, (prefix, type) in read.items()}
    chosen |= {label: label_for(*found) for label, found in others.items()}
    chosen |= dict.fromkeys(OUTSIDE_SPELLINGS & counts.keys(), OUTSIDE_LABEL)
    return {label: chosen[label] for label in counts if chosen.get(label, label) != label}


def _in_other_spellings(labels: Iterable[str], known: set[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Labels that another spelling reads as a known type, ignoring case."""
    types = {type.casefold(): type for _, type in known}
    found = {}
    for label in sorted(labels):
        readings = (spelling.read(label) for spelling in SPELLINGS)
        fitting = (reading for reading in readings if reading and reading[1].casefold() in types)
        if reading := next(fitting, None):
            found[label] = (reading[0], types[reading[1].casefold()])
    return found


def _is_scheme(readings: Iterable[tuple[str, str]], spelling: Spelling, *, has_outside: bool) -> bool:
    """Whether prefixes and types form a label scheme rather than an accidental pattern."""
    prefixes_by_type: dict[str, set[str]] = defaultdict(set)
    for prefix, type in readings:
        prefixes_by_type[type].add(prefix)
    prefixes = set().union(*prefixes_by_type.values())
    if not any(prefixes <= rules.prefixes for rules in RULES.values()):
        return False
    if spelling is STANDARD:
        return True
    if "B" not in prefixes and prefixes != {"I"}:
        return False
    has_pair = any(len(prefixes) > 1 for prefixes in prefixes_by_type.values())
    # Names such as E_coli and B_subtilis: several prefixes that share no type are accidental.
    needs_pair = spelling.needs_pair or (spelling.may_be_chance and len(prefixes) > 1)
    return has_outside and (has_pair or not needs_pair)


def respelt(
    words: Sequence[str], labels: Sequence[str], standard: Mapping[str, str], scheme: Scheme = Scheme.IOB2
) -> list[str]:
    """The labels in their standard spelling. A subword (`##ing` with the label `X`) continues the label of its word.

    >>> respelt(["Wash", "##ington", "left"], ["LOC-B", "X", "0"], {"LOC-B": "B-LOC", "X": "O", "0": "O"})
    ['B-LOC', 'I-LOC', 'O']
    """
    written: list[str] = []
    for word, label in zip(words, labels):
        if label == _CONTINUED and label in standard and word.startswith("##") and written:
            written.append(continuation_label(written[-1], scheme))
        else:
            written.append(standard.get(label, label))
    return written


def respelling_note(standard: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """Which labels were rewritten, the most frequent first.

    >>> respelling_note({"PER-B": "B-PER", "0": "O"}, {"PER-B": 2, "0": 10})
    'labels changed to the standard spelling: 0 to O (10 words), PER-B to B-PER (2 words)'
    """
    ranked = sorted(standard, key=lambda label: -counts.get(label, 0))
    shown = (f"{label} to {standard[label]} ({counted(counts.get(label, 0), 'word')})" for label in ranked)
    return f"labels changed to the standard spelling: {', '.join(shown)}"


@dataclass(frozen=True)
class Slip:
    """A label that is probably a typing error, and the frequent label that was probably meant."""

    label: str
    meant: str
    n: int
    n_meant: int

    def __str__(self) -> str:
        n, n_meant = counted(self.n, "word"), counted(self.n_meant, "word")
        return f"{self.label} ({n}) is probably a typing error for {self.meant} ({n_meant})"


# A label is reported as a likely error if a label that differs in one letter is this many times as frequent.
_RARER = 50
# Shorter types often differ in only one letter.
_SHORTEST_TYPE = 3


def likely_slips(counts: Mapping[str, int], scheme: Scheme) -> list[Slip]:
    """Rare labels that differ from a frequent one in one letter.

    >>> print(*likely_slips({"O": 9000, "B-PER": 1266, "B-PRE": 2}, Scheme.IOB2))
    B-PRE (2 words) is probably a typing error for B-PER (1,266 words)
    """
    if scheme is Scheme.NONE:
        return []
    labels = Counter({label: n for label, n in counts.items() if label != OUTSIDE_LABEL})
    slips = []
    for label, n in labels.items():
        near = [other for other, m in labels.items() if m >= _RARER * n and _is_near(label, other)]
        if near:
            meant = max(near, key=lambda other: labels[other])
            slips.append(Slip(label, meant, n, labels[meant]))
    return slips


def _is_near(label: str, other: str) -> bool:
    prefix, type = split_label(label)
    other_prefix, other_type = split_label(other)
    if len(other_type) < _SHORTEST_TYPE or (prefix and type == other_type):
        return False
    if prefix and prefix != other_prefix:
        return False
    return type.casefold() == other_type.casefold() or _one_edit_apart(label, other)


def _one_edit_apart(one: str, other: str) -> bool:
    """Whether two words differ by one letter: replaced, missing, added, or swapped with its neighbour.

    >>> _one_edit_apart("PRE", "PER"), _one_edit_apart("LOC", "LOCS"), _one_edit_apart("PER", "ORG")
    (True, True, False)
    """
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    rest, other_rest = one[start:], other[start:]
    if len(rest) != len(other_rest):
        return rest[1:] == other_rest or rest == other_rest[1:]
    return rest[1:] == other_rest[1:] or (rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:])


def without_scheme(counts: Mapping[str, int], scheme: Scheme) -> dict[str, int]:
    """Labels that are not part of a scheme and are therefore read as O, with their counts.

    >>> without_scheme({"O": 9, "B-PER": 2, "PER": 1}, Scheme.IOB2)
    {'PER': 1}
    """
    if scheme is Scheme.NONE:
        return {}
    return {label: n for label, n in counts.items() if ROLE_BY_PREFIX.get(split_label(label)[0]) is None}


def spells_spans(counts: Mapping[str, int], scheme: Scheme) -> bool:
    """Whether any label is part of a span in the scheme, or O is the only label.

    >>> spells_spans({"NOUN": 3}, Scheme.IOB2), spells_spans({"O": 3}, Scheme.IOB2)
    (False, True)
    """
    others = [label for label, n in counts.items() if n and label != OUTSIDE_LABEL]
    roles = {ROLE_BY_PREFIX.get(split_label(label)[0], Role.OUTSIDE) for label in others}
    return scheme is Scheme.NONE or not others or roles != {Role.OUTSIDE}
