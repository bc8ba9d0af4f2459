"""The lists of formats contain every module, and importing them needs no format's library."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

from tf_tokclf.data import formats
from tf_tokclf.data.formats.format import Format
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.data.formats.registry import BUILT_IN
from tf_tokclf.data.reading.annotated import JsonFormat

MODULES = sorted({module.name for module in iter_modules(formats.__path__)} - {"format", "registry", "record_formats"})


@pytest.mark.parametrize("name", MODULES)
def test_each_module_is_a_format_of_the_tables(name: str):
    module = import_module(f"{formats.__name__}.{name}")
    found = [value for value in vars(module).values() if isinstance(value, (Format, JsonFormat))]
    assert found
    assert all(value in BUILT_IN or value in RECORD_FORMATS.values() for value in found)


def test_names_are_there_once():
    names = [format.name for format in BUILT_IN]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("library", ["pyarrow", "datasets", "spacy", "conllu", "huggingface_hub"])
def test_the_table_needs_no_library_of_a_format(library: str):
    code = f"import sys, tf_tokclf.data.formats.registry; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
