"""Label schemes: one table of rules, and everything that reads it.

A label is a prefix and a type (`B-LOC`); a scheme says what the prefixes mean. Whatever letters a scheme
uses, a prefix has one of five roles, so a single rule tells where spans begin and end: *a word goes on with
the span before it when that span is open (its last role is BEGIN or INSIDE), its own role is INSIDE or END,
and the types are equal*. That is conlleval's reading, and seqeval's by default. The strict reading then
drops the spans whose first or last label the scheme does not allow there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, auto
from functools import cache, cached_property
from typing import NamedTuple

OUTSIDE_LABEL = "O"


class Scheme(StrEnum):
    """How labels spell spans. NONE: each label stands for itself (parts of speech); there are no spans.

    >>> Scheme("IOBES"), Scheme("bio")
    (<Scheme.BIOES: 'BIOES'>, <Scheme.IOB2: 'IOB2'>)
    """

    IO = "IO"
    IOB1 = "IOB1"
    IOB2 = "IOB2"
    BIOES = "BIOES"
    BILOU = "BILOU"
    BMES = "BMES"
    BMEOW = "BMEOW"
    NONE = "none"

    @classmethod
    def _missing_(cls, value: object) -> Scheme | None:
        name = str(value).upper()
        return next((s for s in cls if s.value.upper() == _ALIASES.get(name, name)), None)


_ALIASES = {"BIO": "IOB2", "BIO2": "IOB2", "IOB": "IOB1", "IOBES": "BIOES", "BILUO": "BILOU", "BMESO": "BMES"}


class Role(IntEnum):
    """What a prefix means for the word that carries it."""

    OUTSIDE = 0
    BEGIN = 1
    INSIDE = 2
    END = 3
    SINGLE = 4


class Begins(Enum):
    """When a span's first word is marked."""

    NEVER = auto()
    BETWEEN = auto()  # touching spans of one type
    ALWAYS = auto()


@dataclass(frozen=True)
class Rules:
    """One scheme: the letter of each role it has, and when it marks a span's beginning."""

    letters: Mapping[Role, str]
    begins: Begins = Begins.ALWAYS

    @cached_property
    def prefixes(self) -> frozenset[str]:
        """All letters of the scheme but `O`."""
        return frozenset(self.letters.values())

    @property
    def ends_marked(self) -> bool:
        """True where a span's last word has its own prefix, so that no span may stay open."""
        return Role.END in self.letters


def _four(begin: str, inside: str, end: str, single: str) -> Rules:
    return Rules({Role.BEGIN: begin, Role.INSIDE: inside, Role.END: end, Role.SINGLE: single})


RULES: Mapping[Scheme, Rules] = {
    Scheme.IO: Rules({Role.INSIDE: "I"}, Begins.NEVER),
    Scheme.IOB2: Rules({Role.BEGIN: "B", Role.INSIDE: "I"}),
    Scheme.IOB1: Rules({Role.BEGIN: "B", Role.INSIDE: "I"}, Begins.BETWEEN),
    Scheme.BIOES: _four("B", "I", "E", "S"),
    Scheme.BILOU: _four("B", "I", "L", "U"),
    Scheme.BMES: _four("B", "M", "E", "S"),
    Scheme.BMEOW: _four("B", "M", "E", "W"),
}

# A letter means the same in all schemes, so a label with another scheme's prefix can still be read.
ROLE_BY_PREFIX: Mapping[str, Role] = {
    letter: role for rules in RULES.values() for role, letter in rules.letters.items()
} | {OUTSIDE_LABEL: Role.OUTSIDE}
OPEN_ROLES = frozenset({Role.BEGIN, Role.INSIDE})
CONTINUING_ROLES = frozenset({Role.INSIDE, Role.END})
STARTING_ROLES = frozenset({Role.BEGIN, Role.SINGLE})
CLOSING_ROLES = frozenset({Role.END, Role.SINGLE})


@cache
def split_label(label: str) -> tuple[str, str]:
    """Prefix and type. A label without a known prefix is all type; a bare prefix has an empty type.

    >>> [split_label(x) for x in ("B-art-other", "O", "ORG", "I", "EVENT", "B-O")]
    [('B', 'art-other'), ('O', ''), ('', 'ORG'), ('I', ''), ('', 'EVENT'), ('B', 'O')]
    """
    if label in ROLE_BY_PREFIX:
        return label, ""
    prefix, hyphen, type_ = label.partition("-")
    if hyphen and type_ and prefix != OUTSIDE_LABEL and prefix in ROLE_BY_PREFIX:
        return prefix, type_
    return "", label


def label_for(prefix: str, type: str) -> str:
    """The inverse of `split_label`.

    >>> label_for("B", "LOC"), label_for("O", ""), label_for("", "NOUN")
    ('B-LOC', 'O', 'NOUN')
    """
    return f"{prefix}-{type}" if prefix and type else prefix or type


class PrefixReading(NamedTuple):
    """What a label means: its role, and the type of its span (empty outside)."""

    role: Role
    type: str


@cache
def read_label(label: str) -> PrefixReading:
    """By the prefix's meaning in any scheme; without a prefix it is outside, so that no span is made up."""
    prefix, type_ = split_label(label)
    return PrefixReading(ROLE_BY_PREFIX[prefix], type_) if prefix else OUTSIDE


@cache
def read_label_strictly(label: str, scheme: Scheme) -> PrefixReading:
    """As `_read`, but prefixes of other schemes are outside."""
    return read_label(label) if split_label(label)[0] in RULES[scheme].prefixes else OUTSIDE


OUTSIDE = PrefixReading(Role.OUTSIDE, "")


def continues(before: PrefixReading, here: PrefixReading) -> bool:
    return before.role in OPEN_ROLES and here.role in CONTINUING_ROLES and before.type == here.type
