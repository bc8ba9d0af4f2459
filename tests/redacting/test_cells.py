"""Fields in raw CSV and JSON, against Python's own parsers."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.redacting.cells import CsvCell, Edit, JsonCell, changed, csv_fields, json_scalars

CHARACTERS = st.text(st.sampled_from('ab",\\\n\u00e9\U0001f600 '), max_size=8)
VALUES = st.recursive(
    CHARACTERS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CHARACTERS, inner, max_size=3),
    max_leaves=8,
)


@given(raw=st.text(st.sampled_from('ab",; \u00e9'), max_size=12), separator=st.sampled_from(",;"))
def test_fields_are_those_of_the_csv_module(raw: str, separator: str):
    expected = next(csv.reader([raw], delimiter=separator), [])
    fields = csv_fields(raw, separator)
    assert [field.value for field in fields] == (expected or [""])
    assert separator.join(field.token for field in fields) == raw


@given(value=VALUES, ascii_=st.booleans(), indent=st.sampled_from([None, 1]))
def test_scalars_are_those_of_json(value: object, ascii_: bool, indent: int | None):
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    for scalar in json_scalars(text):
        found = value
        for step in scalar.path:
            found = found[step]  # type: ignore[index]
        assert json.loads(scalar.token) == found
        assert text[scalar.start :].startswith(scalar.token)


def test_a_key_that_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        list(json_scalars('{"a": {"b": 1, "b": 2}}'))


@given(value=CHARACTERS, cut=st.tuples(st.integers(0, 8), st.integers(0, 8)), new=CHARACTERS, ascii_=st.booleans())
def test_edits_of_raw_text_change_the_value(value: str, cut: tuple[int, int], new: str, ascii_: bool):
    start, end = sorted(min(one, len(value)) for one in cut)
    change = [Edit(start, end, new)]
    token = json.dumps(value, ensure_ascii=ascii_)
    raw = changed(f"[{token}]", JsonCell(value, 0, 1, token).edits(change))
    assert json.loads(raw) == [changed(value, change)]
    quoted = '"' + value.replace('"', '""') + '"'
    plain = [value] if not set(value) & set('",\n') else []
    for written in (quoted, *plain):
        row = changed(f"{written},x", CsvCell(value, 0, 0, written, ",", is_only=False).edits(change))
        assert next(csv.reader([row])) == [changed(value, change), "x"]
