"""Rules of the user in YAML: regular expressions, texts that are always redacted, and texts that never are."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tf_tokclf.config.yaml_text import parsed_yaml
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.redacting.found_spans import FoundSpan, same_name

if TYPE_CHECKING:
    from regex import Pattern

# An expression that takes longer for the text of one record is refused.
TIME_LIMIT_S = 10.0
DENIED_TYPE = "DENIED"
_SECTIONS = ("patterns", "deny", "allow")
_FIELDS = {"patterns": {"type", "regex", "whole_words", "ignore_case"}, "deny": {"type", "text", "whole_words"}}
_EXAMPLE = "patterns: [{type: EMAIL, regex: '\\S+@\\S+'}], deny: [Project X], allow: [London]"


@dataclass(frozen=True)
class Rule:
    """An expression whose matches get a type. line: in the file. source: "pattern" or "deny"."""

    expression: Pattern[str]
    type: str
    source: str
    line: int


@dataclass(frozen=True)
class Rules:
    """All rules of a file. allowed: texts in the form of `same_name`. sha256: of the file; None without a file."""

    rules: tuple[Rule, ...] = ()
    allowed: frozenset[str] = frozenset()
    path: str = ""
    sha256: str | None = None

    def matches(self, text: str) -> list[FoundSpan]:
        """The spans that the expressions find. Raises UserError if one takes too long."""
        found = []
        for rule in self.rules:
            try:
                for match in rule.expression.finditer(text, overlapped=rule.source == "deny", timeout=TIME_LIMIT_S):
                    if match.start() < match.end():
                        found.append(FoundSpan(match.start(), match.end(), rule.type, rule.source))
            except TimeoutError:
                problem = f"the expression needs more than {TIME_LIMIT_S:g} s for the text of one record."
                hint = "Avoid nested repetitions such as (a+)+."
                raise UserError(problem, path=self.path, line=rule.line, hint=hint) from None
        return found

    def is_allowed(self, surface: str) -> bool:
        """Whether a span with this text must not be redacted."""
        return bool(self.allowed) and same_name(surface) in self.allowed


@dataclass
class _File:
    """The file while it is read. lines: the line of each entry of a section."""

    path: Path
    lines: dict[str, list[int]] = field(default_factory=dict)

    def error(self, section: str, index: int, problem: str, hint: str) -> UserError:
        lines = self.lines.get(section, [])
        return UserError(problem, path=self.path, line=lines[index] if index < len(lines) else None, hint=hint)


def read_rules(path: Path) -> Rules:
    """The rules in a YAML file. Raises UserError with the line of the first problem."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
        tree = parsed_yaml(text)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check the path.") from error
    except UnicodeError as error:
        raise UserError("is not UTF-8 text.", path=path, hint="Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"is not valid YAML: {getattr(error, 'problem', None) or first_line(error)}."
        raise UserError(problem, path=path, line=mark.line + 1 if mark else None, hint=f"Example: {_EXAMPLE}") from None
    if not isinstance(tree, dict) or not set(tree) <= set(_SECTIONS):
        raise UserError("contains other keys than patterns, deny and allow.", path=path, hint=f"Example: {_EXAMPLE}")
    file = _File(path, _lines_of(text))
    for section, entries in tree.items():
        if not isinstance(entries, list):
            raise UserError(f"{section!r} is not a list.", path=path, hint=f"Example: {_EXAMPLE}")
    allowed = frozenset(same_name(entry) for entry in _allowed(tree.get("allow", []), file))
    rules = [*_patterns(tree.get("patterns", []), file), *_denied(tree.get("deny", []), allowed, file)]
    return Rules(tuple(rules), allowed, str(path), hashlib.sha256(content).hexdigest())


def _lines_of(text: str) -> dict[str, list[int]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return {}
    return {
        str(key.value): [entry.start_mark.line + 1 for entry in node.value]
        for key, node in root.value
        if isinstance(node, yaml.SequenceNode)
    }


def _allowed(entries: Sequence[Any], file: _File) -> Iterator[str]:
    for i, entry in enumerate(entries):
        if not isinstance(entry, str) or not entry.strip():
            raise file.error("allow", i, "an entry of 'allow' is not a text.", "Quote numbers and dates.")
        yield entry


def _patterns(entries: Sequence[Any], file: _File) -> Iterator[Rule]:
    for i, entry in enumerate(entries):
        given = _fields("patterns", entry, i, file)
        expression = _compiled(given.get("regex"), given, i, file)
        yield Rule(expression, _type(given.get("type"), "patterns", i, file), "pattern", file.lines["patterns"][i])


def _compiled(source: Any, given: Mapping[str, Any], i: int, file: _File) -> Pattern[str]:
    import regex

    if not isinstance(source, str) or not source:
        hint = f"Example: {_EXAMPLE}"
        raise file.error("patterns", i, "a pattern has no text in 'regex'.", hint)
    wrapped = rf"(?<!\w)(?:{source})(?!\w)" if given.get("whole_words") else source
    try:
        regex.compile(source)  # alone, so that positions in the message are those in the file
        return regex.compile(wrapped, regex.IGNORECASE if given.get("ignore_case") else 0)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        problem = f"the regular expression is not valid: {first_line(error)}."
        raise file.error("patterns", i, problem, "It has the syntax of Python's package regex.") from None


def _denied(entries: Sequence[Any], allowed: frozenset[str], file: _File) -> Iterator[Rule]:
    """A rule for each type, because one expression with all texts is much faster than one for each."""
    import regex

    groups: dict[tuple[str, bool], list[tuple[str, int]]] = {}
    for i, entry in enumerate(entries):
        given = {"text": entry} if isinstance(entry, str) else _fields("deny", entry, i, file)
        text, type_ = given.get("text"), _type(given.get("type", DENIED_TYPE), "deny", i, file)
        if not isinstance(text, str) or not text.strip():
            raise file.error("deny", i, "an entry of 'deny' is not a text.", "Quote numbers and dates.")
        if same_name(text) in allowed:
            raise file.error("deny", i, "this text is also in 'allow'.", "Remove it from one of the lists.")
        groups.setdefault((type_, bool(given.get("whole_words"))), []).append((text, file.lines["deny"][i]))
    for (type_, whole), texts in groups.items():
        spelled = {spelling for text, _ in texts for spelling in _spellings(text)}
        one_of = "|".join(sorted(spelled, key=lambda text: (-len(text), text)))
        wrapped = rf"(?<!\w)(?:{one_of})(?!\w)" if whole else one_of
        yield Rule(regex.compile(wrapped, regex.IGNORECASE | regex.FULLCASE), type_, "deny", texts[0][1])


def _spellings(text: str) -> Iterator[str]:
    """Expressions for a text with any white space between its words, with composed and decomposed characters."""
    import regex

    for form in ("NFC", "NFD"):
        yield r"\s+".join(regex.escape(word) for word in unicodedata.normalize(form, text).split())  # type: ignore[arg-type]


def _fields(section: str, entry: Any, i: int, file: _File) -> Mapping[str, Any]:
    known = _FIELDS[section]
    if not isinstance(entry, dict) or not set(entry) <= known:
        hint = f"It may have the fields {', '.join(sorted(known))}."
        raise file.error(section, i, f"an entry of {section!r} has other fields than these.", hint)
    for name in ("whole_words", "ignore_case"):
        if not isinstance(entry.get(name, False), bool):
            raise file.error(section, i, f"{name!r} is neither true nor false.", "Correct the entry.")
    return entry


def _type(value: Any, section: str, i: int, file: _File) -> str:
    if not isinstance(value, str) or not value.strip() or any(char.isspace() for char in value):
        raise file.error(section, i, f"an entry of {section!r} has no 'type' of one word.", "Name one, such as EMAIL.")
    return value
