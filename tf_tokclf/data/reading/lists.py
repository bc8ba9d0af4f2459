"""Parse lists that are written as text in a field: JSON, printed by Python or numpy, or words separated by spaces."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from typing import Any

from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.sentence import Origin

# A string or number as printed by numpy, and the sign of a list that numpy abbreviated.
_ITEM = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[-+.\w]+""", re.DOTALL)
_CUT_OFF = re.compile(r"[\s,[]\.\.\.[\s,\]]")


def parse_list(text: str, name: str, origin: Origin) -> Sequence[Any]:
    """Parse the list in a field.

    >>> origin = Origin("a.csv", 2)
    >>> parse_list("['Marie' ',' 'left']", "tokens", origin), parse_list("[1 0 0]", "tags", origin)
    (['Marie', ',', 'left'], [1, 0, 0])
    """
    text = text.strip()
    if not is_list_text(text):
        return text.split()
    for parse in (parse_json, _numpy_list, _python_value):
        try:
            value = parse(text)
        except ValueError:
            continue
        if isinstance(value, (list, tuple)):
            return value
    if _CUT_OFF.search(text):
        problem = f"{name!r} is a list that numpy abbreviated (...): {text[:60]!r}."
        raise origin.error(problem, "Write it again with numpy.set_printoptions(threshold=sys.maxsize), or as JSON.")
    problem = f"{name!r} is not a list: {text[:60]!r}."
    raise origin.error(problem, "Write it as a JSON list, or as words separated by spaces.")


def as_list(value: Any) -> Sequence[Any] | None:
    """A list, given as such or as text; None for anything else.

    >>> as_list([1]), as_list("[1, 2]"), as_list("Ada left")
    ([1], [1, 2], None)
    """
    if isinstance(value, str) and is_list_text(value):
        try:
            return parse_list(value, "", Origin("", 1))
        except UserError:
            return None
    return value if isinstance(value, (list, tuple)) else None


def is_list_text(text: str) -> bool:
    """Whether a text looks like a printed list."""
    text = text.strip()
    return text[:1] == "[" and text[-1:] == "]"


def is_printed_list(text: str, *, of_words: bool = False) -> bool:
    """Whether a text is a printed list, also one that numpy abbreviated. of_words: a list of numbers is not enough.

    >>> [is_printed_list(text) for text in ("['Ada' 'left']", "[1, 2]", "[PER_1]", "Ada")]
    [True, True, False, False]
    >>> is_printed_list("[2024]", of_words=True)
    False
    """
    if not is_list_text(text):
        return False
    items = as_list(text)
    if items is None:
        return _CUT_OFF.search(text) is not None
    return not (of_words and items) or any(isinstance(item, str) for item in items)


def _numpy_list(text: str) -> list[Any]:
    """Parse a list whose items are separated by white space: ['New' 'York'], [0 1]. Raises ValueError otherwise."""
    items: list[Any] = []
    at = 1
    for found in _ITEM.finditer(text, 1, len(text) - 1):
        gap = text[at : found.start()]
        if gap.strip() or (items and not gap):
            raise ValueError("not a list printed by numpy")
        items.append(_python_value(found.group()))
        at = found.end()
    if text[at:-1].strip():
        raise ValueError("not a list printed by numpy")
    return items


def _python_value(text: str) -> Any:
    """Parse a Python literal without executing anything. Raises ValueError otherwise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escape sequences
            value = ast.literal_eval(text)
        items = value if isinstance(value, (list, tuple)) else [value]
        "".join(map(str, items)).encode()  # fails for lone surrogates
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if any(item is ... for item in items):
        raise ValueError("the list is abbreviated")
    return value
