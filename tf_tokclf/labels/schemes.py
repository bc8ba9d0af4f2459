"""Label schemes: one table of rules, and the functions that read it.

A label consists of a prefix and a type (`B-LOC`). A scheme defines the meaning of the prefixes. In every scheme, a
prefix has one of five roles, so a single rule finds the borders of spans: *a word continues the span before it if that
span is open (its last role is BEGIN or INSIDE), the word's own role is INSIDE or END, and both types are equal*. This
is how conlleval, and seqeval in its default mode, read labels. The strict mode then drops the spans whose first or last
label is not allowed at that place by the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, auto
from functools import cache, cached_property
from typing import NamedTuple

OUTSIDE_LABEL = "O"


class Scheme(StrEnum):
    """How labels encode spans. NONE: labels are independent of each other (parts of speech); there are no spans.

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
    """The role of a word in its span, as its prefix defines it."""

    OUTSIDE = 0
    BEGIN = 1
    INSIDE = 2
    END = 3
    SINGLE = 4


class Begins(Enum):
    """When the first word of a span has the BEGIN prefix."""

    NEVER = auto()
    BETWEEN = auto()  # only directly after a span of the same type
    ALWAYS = auto()


@dataclass(frozen=True)
class Rules:
    """The rules of one scheme: the letter of each of its roles, and when the start of a span is marked."""

    letters: Mapping[Role, str]
    begins: Begins = Begins.ALWAYS

    @cached_property
    def prefixes(self) -> frozenset[str]:
        """All prefix letters of the scheme except `O`."""
        return frozenset(self.letters.values())

    @property
    def ends_marked(self) -> bool:
        """Whether the last word of a span has a prefix of its own, so that every span must be closed."""
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

# Each letter has the same meaning in all schemes, so a label with a prefix of another scheme can still be read.
ROLE_BY_PREFIX: Mapping[str, Role] = {
    letter: role for rules in RULES.values() for role, letter in rules.letters.items()
} | {OUTSIDE_LABEL: Role.OUTSIDE}
OPEN_ROLES = frozenset({Role.BEGIN, Role.INSIDE})
CONTINUING_ROLES = frozenset({Role.INSIDE, Role.END})
STARTING_ROLES = frozenset({Role.BEGIN, Role.SINGLE})
CLOSING_ROLES = frozenset({Role.END, Role.SINGLE})


@cache
def split_label(label: str) -> tuple[str, str]:
    """Split a label into prefix and type. Without a known prefix, the prefix is empty; for a bare prefix, the type is.

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
    """Join a prefix and a type: the inverse of `split_label`.

    >>> label_for("B", "LOC"), label_for("O", ""), label_for("", "NOUN")
    ('B-LOC', 'O', 'NOUN')
    """
    return f"{prefix}-{type}" if prefix and type else prefix or type


class PrefixReading(NamedTuple):
    """The role that a label gives its word, and the type of the span (empty outside spans)."""

    role: Role
    type: str


@cache
def read_label(label: str) -> PrefixReading:
    """Read a label by the meaning of its prefix in any scheme. Labels without a prefix are outside all spans."""
    prefix, type_ = split_label(label)
    return PrefixReading(ROLE_BY_PREFIX[prefix], type_) if prefix else OUTSIDE


@cache
def read_label_strictly(label: str, scheme: Scheme) -> PrefixReading:
    """Like `read_label`, but labels with prefixes of other schemes are outside all spans."""
    return read_label(label) if split_label(label)[0] in RULES[scheme].prefixes else OUTSIDE


OUTSIDE = PrefixReading(Role.OUTSIDE, "")


def continues(before: PrefixReading, here: PrefixReading) -> bool:
    """Whether a word belongs to the same span as the word before it."""
    return before.role in OPEN_ROLES and here.role in CONTINUING_ROLES and before.type == here.type
