"""What is decided with a model: targets and thresholds, and redaction with its map and columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.bad_inputs.cells import ESC, GOOD, PNG, Cell, Cells, json_lines, model, parquet

_TEXT, _REDACTED = b"Ada left\nAda came\n", b"[PER_1] left\n[PER_1] came\n"


def decisions() -> list[Cell]:
    """Targets, thresholds that do not fit the model, maps of other files, and columns that nobody named."""
    return [*_targets(), *_thresholds(), *_maps(), *_columns()]


def _targets() -> list[Cell]:
    cells = Cells("thresholds {model} --file a.conll --target", a__conll=GOOD)
    bad = cells.bad
    bad("targets", "missing", "'NAME.recall>=0.9'", "the model has no type 'NAME'", "It has LOC, PER")
    bad("targets", "missing", "'default.recall>=0.9' --target 'LOK.recall>=0.9'", "no type 'LOK'", "It has LOC")
    bad("targets", "empty", "''", "--target", "PER.recall>=0.98")
    bad("targets", "truncated", "PER.recall", "--target", "PER.recall>=0.98")
    bad("targets", "wrong type", "'PER.f1>=0.9'", "a target is for TYPE.recall or TYPE.precision", "Write a target")
    bad("targets", "out of range", "'PER.recall>=1'", "'>=' a number between 0 and 1", "Write a target")
    bad(
        "targets",
        "duplicated",
        "'PER.recall>=0.9' --target 'PER.precision>=0.9'",
        "already has the target",
        "one target",
    )
    bad("targets", "hostile", f"'{ESC}.recall>=0.9'", "the model has no type", "It has LOC, PER")
    return cells


def _stored(**changes: Any) -> Callable[[Path], None]:
    """Thresholds that fit the model, with these changes."""

    def change(path: Path) -> None:
        from tf_tokclf.encoding.onnx_record import weights_sha256

        stored = {
            "format_version": 1,
            "labels": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
            "scheme": "IOB2",
            "temperature": 1.0,
            "aggregation": "first",
            "weights": weights_sha256(path),
            "confidence": 0.95,
            "data": {"name": "validation", "sha256": "0" * 64, "n_sentences": 9},
            "versions": {},
            "types": {"LOC": {"threshold": 0.5}, "PER": {"threshold": 0.5}},
        }
        (path / "thresholds.json").write_text(json.dumps({**stored, **changes}), encoding="utf-8")

    return change


def _thresholds() -> list[Cell]:
    cells = Cells(t__txt=b"ada\n", a__conll=GOOD)
    bad = cells.bad
    others = model(_stored(labels=["O", "B-X"]))
    says = ("were made for other labels", "tf-tokclf thresholds MODEL --remove")
    bad("thresholds", "wrong type", "predict m t.txt", *says, m=others)
    bad("thresholds", "wrong type", "redact m t.txt", *says, m=others)
    bad("thresholds", "wrong type", "serve m", *says, m=others)
    bad("thresholds", "wrong type", "evaluate m --file a.conll --thresholds", *says, m=others)
    bad("thresholds", "wrong type", "export m --format onnx --output o --file a.conll", *says, m=others)
    bad("thresholds", "wrong type", "push m --dry-run --hub-model-id me/mine", *says, m=others)
    weights = model(_stored(weights={"model.safetensors": "0" * 64}))
    bad("thresholds", "hostile", "predict m t.txt", "were made for other weights", "Make them again", m=weights)
    warm = model(_stored(temperature=2.0))
    bad("thresholds", "hostile", "redact m t.txt", "were made for the temperature 2", "Make them again", m=warm)
    high = model(_stored(types={"LOC": {"threshold": 2.0}, "PER": {"threshold": 0.5}}))
    bad(
        "thresholds",
        "out of range",
        "predict m t.txt",
        "thresholds.json: types.LOC.threshold",
        "Make them again",
        m=high,
    )
    fitting = model(_stored())
    bad(
        "thresholds",
        "out of range",
        "predict m t.txt --review 0.5",
        "no threshold is above 0.5",
        "lower score",
        m=fitting,
    )
    bad("thresholds", "missing", "predict {model} t.txt --review 0.1", "there is none", "pass --threshold")
    bad("thresholds", "missing", "evaluate {model} --file a.conll --thresholds", "has no thresholds", "Make them")
    return cells


def _map(original: bytes, redacted: bytes) -> bytes:
    """The map of a text in which the first three bytes of each line became a surrogate."""
    from tf_tokclf.redacting.restoration_map import ByteEdit, block_lines, end_line, head_line

    edits, gap = [], 0
    for line in original.splitlines(keepends=True):
        edits.append(ByteEdit(gap, len(b"[PER_1]"), line[:3]))
        gap = len(line) - 3
    lines = [
        head_line("text", "utf-8", b"", ()),
        *block_lines(edits, redacted, original, "utf-8"),
        end_line(len(redacted)),
    ]
    return json_lines(*lines)


def _maps() -> list[Cell]:
    whole = _map(_TEXT, _REDACTED)
    cells = Cells("redact -o back.txt --restore", d__map=whole, r__txt=_REDACTED, t__txt=_TEXT)
    bad = cells.bad
    stranger = ("does not belong to the map, or it was changed", "Restore the file that was written with this map")
    bad("maps", "wrong type", "d.map t.txt", "t.txt: this file", *stranger)
    bad("maps", "wrong type", "d.map b.txt", "b.txt: this file", *stranger, b__txt=PNG)
    bad("maps", "wrong type", "t.txt r.txt", "t.txt: is damaged, incomplete, or not a map", "a complete copy")
    bad("maps", "hostile", "d.map c.txt", *stranger, c__txt=_REDACTED.replace(b"left", b"lost"))
    bad("maps", "wrong length", "d.map c.txt", *stranger, c__txt=_REDACTED + b"x")
    bad("maps", "truncated", "d.map c.txt", *stranger, c__txt=_REDACTED[:-1])
    bad("maps", "truncated", "c.map r.txt", "c.map: is damaged, incomplete", "a complete copy", c__map=whole[:-9])
    bad("maps", "duplicated", "c.map r.txt", "c.map: is damaged, incomplete", "a complete copy", c__map=whole + whole)
    bad("maps", "empty", "c.map r.txt", "c.map: is damaged, incomplete", "a complete copy", c__map=b"")
    bad("maps", "missing", "none.map r.txt", "none.map: cannot be read", "Name the map")
    return cells


def _columns() -> list[Cell]:
    cells = Cells("redact {model}")
    bad = cells.bad
    remedy = "Choose --other-columns redact or keep, or keep single columns with --keep-column NAME"
    found = "there is text in other columns: note"
    bad("columns", "missing", "x.csv", "x.csv, line 2", found, remedy, x__csv=b"id,text,note\n1,Ada,Oslo\n")
    record = {"text": "Ada", "note": {"by": ["Grace"]}}
    bad("columns", "missing", "x.jsonl", "x.jsonl, line 1", found, remedy, x__jsonl=json_lines(record))
    table = parquet(text=["Ada"], note=["Oslo"])
    bad("columns", "missing", "x.parquet -o y.parquet", "x.parquet, row 1", found, remedy, x__parquet=table)
    hostile = json_lines({"text": "Ada", f"note{ESC}": "Oslo"})
    bad("columns", "hostile", "x.jsonl", found, remedy, x__jsonl=hostile)
    lists = b"id,tokens\n1,\"['Ada', 'left']\"\n"
    bad("columns", "wrong type", "x.csv", "has words in its rows", "--text-column-name", x__csv=lists)
    return cells
