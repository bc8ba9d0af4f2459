"""Messages use singular and plural correctly: "1 word", "2 words"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "tf_tokclf"

# What is counted in messages. The official script's layout is a fixed text.
NOUNS = re.compile(
    r" (?:(?:training|different|gold|more|other) )?(annotations|batches|bytes|characters|checkpoints|columns"
    r"|connections|documents|embeddings|entities|entries|epochs|examples|files|labels|layers|lines|logits|offsets|parameters|parts|pieces|places|positions"
    r"|records|rows|runs|seeds|sentences|spans|steps|systems|tasks|texts|tokens|trials|types|values|windows|words"
    r"|workers)\b"
)
FIXED = {"conlleval.py"}


def fixed_plurals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Values in f-strings that are followed by a plural, as lines and nouns. Constants and rates are left out."""
    for text in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        for value, after in zip(text.values, text.values[1:]):
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            is_constant = isinstance(value.value, ast.Name) and value.value.id.isupper()
            is_rate = value.format_spec is not None and ast.unparse(value.format_spec).endswith("f'")
            found = NOUNS.match(str(after.value))
            if found and not is_constant and not is_rate and not ast.unparse(value.value).endswith(NOT_COUNTS):
                yield text.lineno, found[1]


# Text before a noun: "Two PER spans touch", "the CoNLL columns".
NOT_COUNTS = (".type", "_text", ".unit")


def test_no_message_says_1_words():
    found = [
        (path.relative_to(PACKAGE).as_posix(), *one)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in FIXED
        for find in (fixed_plurals, fixed_plurals_of_logs)
        for one in find(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def fixed_plurals_of_logs(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The same in messages of logging, in which the value is a %d or %s."""
    for text in (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)):
        for value in re.finditer(r"%[ds]", text.value):
            if found := NOUNS.match(text.value, value.end()):
                yield text.lineno, found[1]


def test_a_fixed_plural_is_found():
    tree = ast.parse("f'{n:,} words, {len(a)} training sentences; {MOST} files, {x:,.0f} words'")
    assert [noun for _, noun in fixed_plurals(tree)] == ["words", "sentences"]
    tree = ast.parse("log.info('%d of %d words, %s in %s', 1, 1, 'a', 'b')")
    assert [noun for _, noun in fixed_plurals_of_logs(tree)] == ["words"]
