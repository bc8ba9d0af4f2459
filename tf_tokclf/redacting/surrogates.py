"""What is written in the place of a span. The same text of the same type gets the same surrogate."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tf_tokclf.errors import UserError
from tf_tokclf.optional_packages import check_installed
from tf_tokclf.redacting.found_spans import same_name

WAYS = ("number", "mask", "faker", "hash", "delete")
SCOPES = ("document", "corpus")
_HASH_DIGITS = 16
_TRIES = 50
# Type in upper case -> the method of Faker.
_METHODS = {
    **dict.fromkeys(("PER", "PERS", "PERSON", "NAME"), "name"),
    **dict.fromkeys(("LOC", "LOCATION", "GPE", "CITY", "PLACE"), "city"),
    **dict.fromkeys(("ORG", "ORGANIZATION", "ORGANISATION", "COMPANY"), "company"),
    **dict.fromkeys(("EMAIL", "MAIL"), "email"),
    **dict.fromkeys(("PHONE", "TEL", "TELEPHONE"), "phone_number"),
    "DATE": "date",
    "TIME": "time",
    "COUNTRY": "country",
    "ADDRESS": "address",
    "URL": "url",
}


class Maker(Protocol):
    """Makes a surrogate for the number-th text of a type in a document."""

    def __call__(self, type: str, name: str, number: int, document: str, attempt: int) -> str: ...


def mask(type: str, name: str, number: int, document: str, attempt: int) -> str:
    """`[PERSON]`."""
    return f"[{type}]"


def numbered(type: str, name: str, number: int, document: str, attempt: int) -> str:
    """`[PERSON_1]`."""
    return f"[{type}_{number}]"


def nothing(type: str, name: str, number: int, document: str, attempt: int) -> str:
    """An empty text."""
    return ""


@dataclass(frozen=True)
class KeyedHash:
    """`[PERSON_0f3a...]`: the first digits of HMAC-SHA256 of type and name.

    Without the key, nobody can test a guess.
    """

    key: bytes

    def __call__(self, type: str, name: str, number: int, document: str, attempt: int) -> str:
        """The type and the hash."""
        digest = hmac.new(self.key, f"{type}\0{name}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"[{type}_{digest.hexdigest()[:_HASH_DIGITS]}]"


@dataclass
class FakeNames:
    """Values of the package Faker for a locale.

    They depend on the seed, the document, the type and the order in the document, but not on the name that they
    replace. Nobody who knows the seed can therefore test a guess. without: types that have no fake values.
    """

    locale: str
    seed: int
    without: set[str] = field(default_factory=set)
    _source: Any = None

    def __post_init__(self) -> None:
        check_installed("--with faker", "faker", extra="faker")
        from faker import Faker

        try:
            self._source = Faker(self.locale)
        except (AttributeError, ImportError, ValueError, TypeError):
            problem = f"Faker has no locale {self.locale[:40]!r}."
            raise UserError(problem, hint="Use one such as en_US, de_DE or fr_FR with --locale.") from None

    def __call__(self, type: str, name: str, number: int, document: str, attempt: int) -> str:
        """A fake value on one line, or a numbered mask for other types."""
        method = _METHODS.get(type.upper())
        if method is None or attempt == _TRIES:
            if method is None:
                self.without.add(type)
            return numbered(type, name, number, document, attempt)
        state = f"{self.seed}\0{document}\0{type}\0{number}\0{attempt}"
        self._source.seed_instance(int.from_bytes(hashlib.sha256(state.encode("utf-8", "surrogatepass")).digest()[:8]))
        return " ".join(str(getattr(self._source, method)()).split())


class Surrogates:
    """The surrogates of a document or of the whole corpus.

    Names are kept only as salted hashes: `entries` of them go to a file from which an interrupted job continues.
    """

    def __init__(self, make: Maker, *, scope: str, salt: bytes) -> None:
        self._make = make
        self._scope = scope
        self.salt = salt
        self._document: str | None = None
        self._known: dict[str, str] = {}
        self._used: set[str] = set()
        self._numbers = Counter[str]()
        self._entries: list[list[str]] = []

    def enter(self, document: str) -> None:
        """Begin a document, unless it is the current one. Its names are new, unless the corpus shares them."""
        document = "" if self._scope == "corpus" else document
        if document != self._document:
            self._entries.append([document])
            self._begin(document)

    def _begin(self, document: str) -> None:
        self._document = document
        self._known.clear()
        self._used.clear()
        self._numbers.clear()

    def of(self, type: str, surface: str) -> str:
        """The surrogate of a span with this type and text."""
        name = same_name(surface)
        key = hashlib.blake2b(f"{type}\0{name}".encode("utf-8", "surrogatepass"), digest_size=16, key=self.salt)
        digest = key.hexdigest()
        if digest not in self._known:
            chosen = self._chosen(type, name)
            self._entries.append([digest, type, chosen])
            self._learn(digest, type, chosen)
        return self._known[digest]

    def _chosen(self, type: str, name: str) -> str:
        number, document = self._numbers[type] + 1, self._document or ""
        for attempt in range(_TRIES + 1):
            chosen = self._make(type, name, number, document, attempt)
            # Only fake values can be taken, or be the name itself.
            if self._make in (mask, nothing) or (chosen not in self._used and same_name(chosen) != name):
                return chosen
        return chosen

    def _learn(self, digest: str, type: str, chosen: str) -> None:
        self._known[digest] = chosen
        self._used.add(chosen)
        self._numbers[type] += 1

    def taken_entries(self) -> list[list[str]]:
        """What is new since the last call."""
        entries, self._entries = self._entries, []
        return entries

    def restore(self, entries: Iterator[list[str]]) -> None:
        """Continue from all entries of an interrupted job."""
        for entry in entries:
            if len(entry) == 1:
                self._begin(entry[0])
            else:
                self._learn(entry[0], entry[1], entry[2])
        self._entries = []
