"""Models that cannot be exported, and exports that cannot be written."""

from __future__ import annotations

from functools import partial

from tests.reliability.bad_inputs.cells import ESC, Cell, Cells, folder, unreadable


def exports() -> list[Cell]:
    """The output of `export`, and the data on which it is compared."""
    cells = Cells("export", a__conll=b"ada\tB-PER\n")
    bad, no = partial(cells.bad, "exports"), partial(cells.no, "exports")
    to = "--file a.conll --output x"
    bad("missing", f"{{model}} {to}", "Missing option '--format'", "savedmodel")
    bad("missing", "{model} --format onnx --file a.conll", "Missing option '--output'")
    bad("missing", f"./nothing --format onnx {to}", "there is no model folder ./nothing", "Give a folder")
    bad("missing", "{model} --format savedmodel --output x", "not a run", "--file")
    bad(
        "missing",
        "{model} --format savedmodel --output x --file b.conll",
        "b.conll: there is no such file",
        "The folder contains",
    )
    bad(
        "empty",
        "{model} --format savedmodel --output x --file e.conll",
        "e.conll: contains no words",
        "one word per line",
        e__conll=b"",
    )
    bad(
        "truncated",
        "{model} --format savedmodel --output x --file b.conll",
        "b.conll, line 2: the line has 1 column instead of 2",
        "Correct",
        b__conll=b"ada\tO\nbob",
    )
    bad("wrong type", f"{{model}} --format klingon {to}", "'klingon' is not one of", "onnx")
    bad(
        "wrong type",
        f"{{model}} --format savedmodel --quantize int8 {to}",
        "does not support quantisation to int8",
        "Leave out --quantize",
    )
    bad("wrong type", f"m --format savedmodel {to}", "m has no config.json", "Check the path", m=folder)
    bad(
        "wrong encoding",
        "{model} --format savedmodel --output x --file b.conll",
        "b.conll, line 1: byte 0xe9",
        "encoding",
        b__conll=b"Jos\xe9\tO\n",
    )
    no("wrong length", "each option has a single value")
    bad("out of range", f"{{model}} --format onnx --max-sentences 0 {to}", "0 is not in the range x>=1", "--max-sent")
    bad("out of range", f"{{model}} --format onnx --file-format klingon {to}", "no format 'klingon'", "Known formats")
    bad("duplicated", f"{{model}} --format onnx {to}", "x: already exists.", "--force", x=folder)
    bad(
        "duplicated",
        f"{{model}} --format onnx {to} --force",
        "x: exists and is not an export",
        "Choose another",
        x=b"mine",
    )
    bad("hostile", f"{{model}} --format {ESC} {to}", "is not one of 'savedmodel'", "--format")
    bad("hostile", f"package:tf_tokclf/../../etc --format onnx {to}", "leads out of the package", "inside")
    bad("huge", f"{{model}} --format onnx --file a.conll --output {'x' * 300}", "x", "File name too long")
    bad(
        "unreadable",
        "{model} --format savedmodel --output x --file b.conll",
        "b.conll: cannot be read",
        "Check",
        b__conll=unreadable,
    )
    bad("unreadable", "{model} --format savedmodel --file a.conll --output a.conll/x", "a.conll", "Check")
    return cells
