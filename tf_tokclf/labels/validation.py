"""Find errors in label sequences, the transitions that a scheme allows, and the scheme of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.labels.schemes import (
    CLOSING_ROLES,
    CONTINUING_ROLES,
    OPEN_ROLES,
    OUTSIDE_LABEL,
    ROLE_BY_PREFIX,
    RULES,
    Begins,
    Role,
    Scheme,
    continues,
    label_for,
    read_label,
    split_label,
)


class ViolationKind(StrEnum):
    """The kinds of errors in a label sequence."""

    NO_PREFIX = "no prefix"
    FOREIGN_PREFIX = "prefix of another scheme"
    NO_BEGIN = "start of the span not marked"
    TYPE_CHANGE = "type changes inside a span"
    UNFINISHED = "end of the span not marked"
    NEEDLESS_BEGIN = "unnecessary B-"


@dataclass(frozen=True, slots=True)
class Violation:
    """An error in a label sequence: the position of the word, the kind, and a message for the user."""

    position: int
    kind: ViolationKind
    message: str


@cache
def _label_fault(label: str, scheme: Scheme) -> ViolationKind | None:
    prefix, _ = split_label(label)
    if not prefix:
        return ViolationKind.NO_PREFIX
    if prefix != OUTSIDE_LABEL and prefix not in RULES[scheme].prefixes:
        return ViolationKind.FOREIGN_PREFIX
    return None


@cache
def _boundary_fault(before: str, here: str, scheme: Scheme) -> ViolationKind | None:
    """The error between two neighbouring labels, if any. Sentences are read with an `O` before and after them."""
    rules, last, first = RULES[scheme], read_label(before), read_label(here)
    if continues(last, first):
        return None
    if first.role in CONTINUING_ROLES and rules.begins is Begins.ALWAYS:
        return ViolationKind.TYPE_CHANGE if last.role in OPEN_ROLES else ViolationKind.NO_BEGIN
    if last.role in OPEN_ROLES and rules.ends_marked:
        return ViolationKind.UNFINISHED
    touches = last.role is not Role.OUTSIDE and last.type == first.type
    if first.role is Role.BEGIN and rules.begins is Begins.BETWEEN and not touches:
        return ViolationKind.NEEDLESS_BEGIN
    return None


@cache
def pair_violations(before: str, here: str, scheme: Scheme) -> tuple[Violation, ...]:
    """The errors of the label `here` after the label `before`. Positions count from `here`: -1 is the word before it.

    Sentences are read with an `O` before the first and after the last label.
    """
    if scheme is Scheme.NONE:
        return ()
    faults = []
    if fault := _boundary_fault(before, here, scheme):
        # The error of an unfinished span is at its last word, not at the word after it.
        faults.append((-1 if fault is ViolationKind.UNFINISHED else 0, fault))
    if fault := _label_fault(here, scheme):
        faults.append((0, fault))
    return tuple(Violation(at, kind, _explain(kind, before, here, scheme)) for at, kind in faults)


def violations(labels: Sequence[str], scheme: Scheme) -> list[Violation]:
    """All errors of the labels in the scheme, in order; empty for NONE.

    >>> [v.message for v in violations(["O", "I-LOC", "B-PER"], Scheme.IOB2)]
    ['I-LOC follows O, which IOB2 does not allow. The span should start with B-LOC.']
    """
    pairs = zip((OUTSIDE_LABEL, *labels), (*labels, OUTSIDE_LABEL))
    return [
        replace(violation, position=position + violation.position)
        for position, (before, here) in enumerate(pairs)
        for violation in pair_violations(before, here, scheme)
    ]


def _explain(kind: ViolationKind, before: str, here: str, scheme: Scheme) -> str:
    letters = RULES[scheme].letters
    if kind is ViolationKind.NO_PREFIX:
        return f"{here} has no prefix. A label of {scheme} is O, or a prefix ({_prefix_list(scheme)}) and a type."
    if kind is ViolationKind.FOREIGN_PREFIX:
        return f"{here} is not a label of {scheme}, which has the prefixes {_prefix_list(scheme)}."
    if kind is ViolationKind.UNFINISHED:
        end, single = (label_for(letters[r], split_label(before)[1]) for r in (Role.END, Role.SINGLE))
        last = single if read_label(before).role is Role.BEGIN else end
        return f"{here} follows {before}, which {scheme} does not allow. The span should end with {last}."
    if kind is ViolationKind.NEEDLESS_BEGIN:
        return f"{here} follows {before}, which {scheme} does not allow. Only adjacent spans of one type need B-."
    begin = label_for(letters[Role.BEGIN], split_label(here)[1])
    return f"{here} follows {before}, which {scheme} does not allow. The span should start with {begin}."


def _prefix_list(scheme: Scheme) -> str:
    return ", ".join(f"{letter}-" for letter in RULES[scheme].letters.values())


def transition_mask(labels: Sequence[str], scheme: Scheme) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transitions that the scheme allows: start (n,), from row to column (n, n), and end (n,), all bool.

    >>> start, transitions, end = transition_mask(["O", "B-X", "I-X"], Scheme.IOB2)
    >>> start.tolist(), transitions[0].tolist(), end.tolist()
    ([True, True, False], [True, True, False], [True, True, True])
    """

    def allowed(before: str, here: str) -> bool:
        return scheme is Scheme.NONE or _boundary_fault(before, here, scheme) is None

    start = np.array([allowed(OUTSIDE_LABEL, x) for x in labels], bool)
    between = np.array([[allowed(x, y) for y in labels] for x in labels], bool).reshape(len(labels), len(labels))
    end = np.array([allowed(x, OUTSIDE_LABEL) for x in labels], bool)
    return start, between, end


@dataclass(frozen=True)
class Detection:
    """The detected scheme of labels, and the evidence.

    reason: the decision in words. prefixes: how often each prefix occurs ("" for labels without one).
    violations: the number of errors in each scheme.
    """

    scheme: Scheme
    reason: str
    prefixes: Mapping[str, int] = field(default_factory=dict)
    violations: Mapping[Scheme, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"no label scheme: {self.reason}"
            if self.scheme is Scheme.NONE
            else f"label scheme {self.scheme}, {self.reason}"
        )


# From this share of spans without a marked end, in a scheme that marks it, mistakes are unlikely to be the cause.
_MIXED_SHARE = 0.1


class SchemeDetector:
    """Detects the scheme of a stream of sentences, in constant memory: it only counts pairs of neighbouring labels."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._n_sentences = 0

    def add(self, labels: Sequence[str]) -> None:
        """Add the labels of one sentence."""
        self._n_sentences += 1
        self._pairs.update(zip((OUTSIDE_LABEL, *labels), (*labels, OUTSIDE_LABEL)))

    @property
    def labels(self) -> Counter[str]:
        """How often each label occurs."""
        counts: Counter[str] = Counter()
        for (_, here), n in self._pairs.items():
            counts[here] += n
        counts[OUTSIDE_LABEL] -= self._n_sentences
        return +counts

    def result(self) -> Detection:
        """The scheme with the fewest errors; if several have equally few, the smallest that has all prefixes."""
        counts = self.labels
        counts.pop(OUTSIDE_LABEL, None)
        if not counts:
            return Detection(Scheme.IOB2, "no errors (O is the only label)")
        # If there are other labels too, a single letter is a tag of its own (B for adverbs), not a prefix.
        bare = all(label in ROLE_BY_PREFIX for label in counts)
        prefixes: Counter[str] = Counter()
        for label, n in counts.items():
            prefixes["" if label in ROLE_BY_PREFIX and not bare else split_label(label)[0]] += n
        broken = {scheme: self._n_violations(scheme) for scheme in RULES}
        unknown = {scheme: len(prefixes.keys() - RULES[scheme].prefixes) for scheme in RULES}
        best = min(RULES, key=lambda scheme: (broken[scheme], unknown[scheme], len(RULES[scheme].letters)))
        n_prefixed = counts.total() - prefixes[""]
        if 2 * n_prefixed < counts.total() or (bare and 10 * broken[best] > counts.total()):
            return Detection(Scheme.NONE, _no_scheme_reason(counts), dict(prefixes), broken)
        reason = _scheme_reason(best, prefixes, broken) + self._mixture(best, counts)
        return Detection(best, reason, dict(prefixes), broken)

    def _mixture(self, scheme: Scheme, counts: Mapping[str, int]) -> str:
        """A remark if many spans have a marked end and many others do not, which no scheme allows."""
        ended = sum(n for label, n in counts.items() if read_label(label).role in CLOSING_ROLES)
        open_ = sum(
            n
            for (before, here), n in self._pairs.items()
            for violation in pair_violations(before, here, scheme)
            if violation.kind is ViolationKind.UNFINISHED
        )
        if not open_ or open_ < _MIXED_SHARE * (open_ + ended):
            return ""
        return f"; {counted(open_, 'span')} without a marked end, as in IOB2: the data may mix label schemes"

    def _n_violations(self, scheme: Scheme) -> int:
        return sum(n for (before, here), n in self._pairs.items() if pair_violations(before, here, scheme))


def _no_scheme_reason(counts: Counter[str]) -> str:
    shown = ", ".join(label for label, _ in counts.most_common(3)) + (", ..." if len(counts) > 3 else "")
    return f"labels such as {shown} have no prefix like B- or I-"


def _scheme_reason(best: Scheme, prefixes: Mapping[str, int], broken: Mapping[Scheme, int]) -> str:
    n_errors = counted(broken[best], "error") if broken[best] else "no errors"
    rivals = [scheme for scheme in RULES if scheme is not best and RULES[scheme].prefixes >= prefixes.keys()]
    rival = min(rivals, key=lambda scheme: broken[scheme], default=None)
    if rival and broken[rival] == broken[best]:
        return f"{n_errors} ({rival} fits equally well)"
    return f"{n_errors} ({rival} has {broken[rival]:,})" if rival and broken[best] else n_errors


def detect_scheme(sequences: Iterable[Sequence[str]]) -> Detection:
    """The scheme of a whole data set, which is read once.

    >>> print(detect_scheme([["B-LOC", "I-LOC", "O"]]).scheme, detect_scheme([["NOUN", "VERB"]]).scheme)
    IOB2 none
    >>> print(detect_scheme([["I-LOC", "I-LOC", "O"]]))
    label scheme IO, no errors (IOB1 fits equally well)
    """
    detector = SchemeDetector()
    for labels in sequences:
        detector.add(labels)
    return detector.result()


def scheme_of_names(names: Iterable[str]) -> Scheme:
    """Guess the scheme from the label names of a model that does not name one: the first scheme with their prefixes.

    >>> print(scheme_of_names(["O", "B-LOC", "I-LOC"]), scheme_of_names(["NOUN", "VERB"]))
    IOB2 none
    """
    prefixes = {split_label(name)[0] for name in names if name != OUTSIDE_LABEL}
    fitting = (scheme for scheme, rules in RULES.items() if prefixes and prefixes <= rules.prefixes)
    return next(fitting, Scheme.NONE)
