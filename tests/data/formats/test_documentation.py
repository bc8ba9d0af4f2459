"""Each format has an entry in docs/data.md, whose example is read as stated there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.data.converting import convert
from tests.data.formats.documented import DOCS, ENTRIES, FORMATS, example
from tests.requirements import need_modules
from tf_tokclf.cli.main import cli


@pytest.mark.parametrize("format", FORMATS)
def test_examples_of_the_documentation(tmp_path: Path, format: str):
    if format == "docbin":
        need_modules("spacy", extra="spacy")
    options = ("--from", "text") if "Never detected" in ENTRIES[format] else ()
    result = convert(example(format, tmp_path), *options)
    read_as = re.findall(r"^Read as `(.+)`", ENTRIES[format], re.MULTILINE)
    assert (result.exit_code, result.sentences) == (0, read_as), result.messages
    inner = {"folder": "2 files", "csv-lists": "csv: "}
    assert inner.get(format, f"{format}: ") in result.messages


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_has_an_entry_that_says_how_it_is_detected_and_what_is_checked(format: str):
    if FORMATS[format].open is not None:
        assert re.search(r"^- (Detected|Never detected).+", ENTRIES[format], re.MULTILINE)
        assert re.search(r"^- Checked: .+", ENTRIES[format], re.MULTILINE)


def test_each_entry_is_of_a_format():
    assert sorted(ENTRIES) == sorted(FORMATS)


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if format.is_written])
def test_entries_say_which_formats_are_written(tmp_path: Path, format: str):
    if format == "docbin":
        need_modules("spacy", extra="spacy")
    result = CliRunner().invoke(
        cli, ["convert", "--to", format, str(example("conll", tmp_path)), str(tmp_path / "written")]
    )
    assert result.exit_code == 0, result.stderr
    assert f"| [`{format}`](#{format}) |" in DOCS.read_text(encoding="utf-8")
