"""The table of bad inputs: each thing that a user hands over against each class of fault.

A cell is what to put into an empty folder, a command line, and what its message has to say: place and remedy. Where a
fault cannot be, or is no fault, the cell says why.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FAULTS = (
    "missing",
    "empty",
    "truncated",
    "wrong type",
    "wrong encoding",
    "wrong length",
    "out of range",
    "duplicated",
    "hostile",
    "huge",
    "unreadable",
)


@dataclass(frozen=True)
class Given:
    """Folders that cases are made from, ready-made: a classifier, a finished run, its data, an encoder."""

    classifier: Path
    run: Path
    encoder: Path
    data: Mapping[str, str]


Content = bytes | Callable[[Path, Given], None]


@dataclass(frozen=True)
class Bad:
    """A cell: files by name, the command line (`{x}` stands for a ready-made folder), and parts of the message."""

    subject: str
    fault: str
    files: Mapping[str, Content]
    args: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Impossible:
    """A cell that cannot be, and why."""

    subject: str
    fault: str
    why: str


Cell = Bad | Impossible


def folder(path: Path, given: Given) -> None:
    """A folder where a file should be."""
    path.mkdir()


def unreadable(path: Path, given: Given) -> None:
    """A file that opens and whose reading fails, for root too."""
    path.symlink_to("/proc/self/mem")


def loop(path: Path, given: Given) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def unix_socket(path: Path, given: Given) -> None:
    """Something that no file system opens."""
    with socket.socket(socket.AF_UNIX) as one:
        before = Path.cwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            one.bind(path.name)
        finally:
            os.chdir(before)


def model(*changes: Callable[[Path], None]) -> Callable[[Path, Given], None]:
    """A copy of the classifier, changed."""

    def make(path: Path, given: Given) -> None:
        shutil.copytree(given.classifier, path)
        for change in changes:
            change(path)

    return make


def run(*changes: Callable[[Path], None]) -> Callable[[Path, Given], None]:
    """A copy of the finished run, changed."""

    def make(path: Path, given: Given) -> None:
        shutil.copytree(given.run, path)
        for change in changes:
            change(path)

    return make


def without(name: str) -> Callable[[Path], None]:
    """Remove what matches."""

    def change(path: Path) -> None:
        for found in list(path.glob(name)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()

    return change


def with_content(name: str, content: bytes) -> Callable[[Path], None]:
    """Put this in every file that matches."""

    def change(path: Path) -> None:
        for found in list(path.glob(name)) or [path / name]:
            found.write_bytes(content)

    return change


def cut(name: str, n_bytes: int) -> Callable[[Path], None]:
    """Leave so many bytes of every file that matches."""

    def change(path: Path) -> None:
        for found in path.glob(name):
            found.write_bytes(found.read_bytes()[:n_bytes])

    return change


def with_values(name: str, **values: object) -> Callable[[Path], None]:
    """Change values in a JSON file."""

    def change(path: Path) -> None:
        for found in path.glob(name):
            found.write_text(json.dumps({**json.loads(found.read_text(encoding="utf-8")), **values}), encoding="utf-8")

    return change


def in_place_of(name: str, make: Callable[[Path, Given], None]) -> Callable[[Path], None]:
    """Put something else where a file is."""

    def change(path: Path) -> None:
        for found in list(path.glob(name)):
            found.unlink()
            make(found, None)  # type: ignore[arg-type]

    return change


def parquet(**columns: list[object]) -> bytes:
    """A Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def json_lines(*records: object) -> bytes:
    """Records, a line each."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A file of weights with this header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


GOOD = b"Ada\tB-PER\nsmiled\tO\n\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01"
ESC = "\x1b]0;owned\x07\x1b[2J"
DEEP = b"[" * 100_000
LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)
TAGGED = {"tokens": ["Ada"], "ner_tags": ["B-PER"]}
SPANS = {"text": "Ada smiled", "entities": [[0, 3, "PER"]]}
SAID = {"words": ["Ada", "smiled"], "predicted": ["B-PER", "O"], "gold": ["B-PER", "O"]}
CONLLU = b"1\tAda\t_\tPROPN\t_\t_\t0\troot\t_\t_\n\n"
WIDE = b"x" * 2_000_000


def _readers() -> list[Cell]:
    """Labelled data in each format, read by `convert`."""
    cells: list[Cell] = []

    def bad(fault: str, content: Content | None, *says: str, options: str = "", name: str | None = None) -> None:
        files = {} if content is None else {name or file: content}
        cells.append(Bad(subject, fault, files, f"convert {options} {file} out.{ending}", says))

    def no(fault: str, why: str) -> None:
        cells.append(Impossible(subject, fault, why))

    twice = "data may say the same twice; inspect counts it"
    bytes_only = "its text is UTF-8 by definition, and what is not is damage: see wrong type"

    subject, file, ending = "conll", "a.conll", "jsonl"
    bad("missing", GOOD, "a.conll: there is no such file.", "Beside it are: b.conll.", name="b.conll")
    bad("empty", b"", "a.conll: contains no words.", "One word per line was expected")
    bad("truncated", GOOD + b"Bob", "a.conll, line 4: 1 where 2 columns were expected: 'Bob'.", "Correct the line")
    bad("wrong type", PNG + GOOD, "a.conll, line 1: 1 where 2 columns were expected", "Correct the line")
    bad("wrong encoding", GOOD + b"Jos\xe9\tB-PER\n", "a.conll, line 4: byte 0xe9 is not utf-8", "latin-1")
    bad("wrong encoding", GOOD, "no encoding named 'klingon'", "Python knows", options="--encoding klingon")
    bad("wrong encoding", GOOD, "a.conll: ", "'hex'", "Python knows", options="--encoding hex")
    bad("wrong length", GOOD + b"Bob\tB-PER\tx\n", "a.conll, line 4: 3 where 2 columns", "Correct the line")
    bad("out of range", GOOD, "a.conll: there is no column 9.", "0 to 1", options="--label-column-name 9")
    bad("out of range", GOOD, "there is no column '\u00b2'", "0 to 1", options="--label-column-name \u00b2")
    bad("out of range", GOOD, "there is no column '--1'", "0 to 1", options="--label-column-name=--1")
    bad("out of range", GOOD, "a.conll: there is no layer -3.", "Its layers are 0", options="--layer=-3")
    no("duplicated", twice)
    bad("hostile", GOOD + f"{ESC}\n".encode(), "a.conll, line 4: 1 where 2 columns", "Correct the line")
    bad("huge", GOOD + WIDE, "a.conll, line 4: 1 where 2 columns", "Correct the line")
    bad("unreadable", unreadable, "a.conll: cannot be read: ", "Check")
    bad("unreadable", folder, "a.conll: is a folder of no known format.", "Name a file in it")
    bad("unreadable", unix_socket, "a.conll: cannot be read: ", "Check")
    bad("unreadable", loop, "a.conll: is a link to a file that does not exist.", "Check where it leads")

    subject, file = "conllu", "a.conllu"
    bad("missing", None, "a.conllu: there is no such file.", "Check the path.")
    bad("empty", b"\n", "a.conllu: contains no sentences", "Ten columns")
    bad("truncated", CONLLU + CONLLU[:9], "a.conllu, line 3: 4 columns where 10", "choose the format conll")
    bad("wrong type", CONLLU + b"\x00\x01\x02\n", "a.conllu, line 3: 1 column where 10", "choose the format conll")
    bad(
        "wrong type",
        CONLLU + CONLLU.replace(b"1\t", b"x\t", 1),
        "a.conllu, line 3: is not valid CoNLL-U",
        "Correct the line",
    )
    bad("wrong encoding", CONLLU + CONLLU.replace(b"Ada", b"Jos\xe9"), "a.conllu, line 3: byte 0xe9", "encoding")
    bad("wrong length", CONLLU + b"1\ta\t_\tX\t_\t_\t0\t_\t_\n", "a.conllu, line 3: 9 columns", "choose the format")
    bad("out of range", CONLLU, "a.conllu: there is no field 11.", "Its fields", options="--label-column-name 11")
    bad("duplicated", CONLLU, "no field 'form.x'", "misc.KEY", options="--label-column-name form.x")
    bad("hostile", CONLLU + f"{ESC}\n".encode(), "a.conllu, line 3: 1 column", "choose the format conll")
    bad("huge", CONLLU + WIDE, "a.conllu, line 3: 1 column where 10", "choose the format conll")
    bad("huge", CONLLU + b"9" * 5000 + CONLLU[1:], "a.conllu, line 3: is not valid CoNLL-U", "Correct the line")
    bad("unreadable", unreadable, "a.conllu: cannot be read: ", "Check")
    bad("unreadable", folder, "a.conllu: is a folder", "Name a file in it")

    subject, file = "jsonl", "a.jsonl"
    good = json_lines(TAGGED)
    bad("missing", None, "a.jsonl: there is no such file.", "Check the path.")
    bad("empty", b"\n\n", "a.jsonl: contains no records.", "One JSON object per line")
    bad("truncated", good + good[:20], "a.jsonl, line 2: is not valid JSON", "One JSON object per line")
    bad("wrong type", good + b"[1, 2]\n", "a.jsonl, line 2: is not a JSON object", "named fields")
    bad("wrong type", good + json_lines({**TAGGED, "tokens": "Ada, B-PER"}), "a.jsonl, line 2: 2 words", "exactly one")
    bad(
        "wrong type",
        good + json_lines({**TAGGED, "tokens": {"a": 1}}),
        "a.jsonl, line 2: 'tokens' is not a list",
        "entry",
    )
    bad(
        "wrong type",
        good + json_lines({**TAGGED, "ner_tags": [[1]]}),
        "a.jsonl, line 2: [1] is not a label",
        "A name or an id",
    )
    bad("wrong encoding", good + good.replace(b"Ada", b"Jos\xe9"), "a.jsonl, line 2: byte 0xe9", "encoding")
    lone = json_lines({**TAGGED, "tokens": ["\ud800"]})
    bad(
        "wrong encoding",
        good + lone,
        "a.jsonl, line 2: is not valid JSON (it contains half of a surrogate pair",
        "write the whole character",
    )
    bad("wrong length", good + json_lines({**TAGGED, "ner_tags": []}), "a.jsonl, line 2: 1 word", "exactly one")
    numbered = json_lines({"tokens": ["Ada"], "ner_tags": [7]})
    bad("out of range", numbered, "column 4", "Its columns are", options="--label-column-name 4")
    no("duplicated", twice + "; of a field that a record has twice, JSON keeps the last")
    bad("hostile", good + f"{ESC}\n".encode(), "a.jsonl, line 2: is not valid JSON", "One JSON object per line")
    bad("hostile", good + DEEP + b"\n", "a.jsonl, line 2: is not valid JSON", "One JSON object per line")
    bad("hostile", DEEP + b"\n", "a.jsonl: is not valid JSON", "Correct it there")
    literal = json_lines({"tokens": "[{[]: 1}]", "ner_tags": "[O]"})
    bad("hostile", good + literal, "a.jsonl, line 2: 'tokens' is not a list", "Write it as a JSON list")
    nested = json_lines({"tokens": "[" * 3000 + "]" * 3000, "ner_tags": ["O"]})
    bad("hostile", good + nested, "a.jsonl, line 2: 'tokens' is not a list", "Write it as a JSON list")
    bad(
        "huge", good + b'{"tokens": ["' + WIDE + b"\n", "a.jsonl, line 2: is not valid JSON", "One JSON object per line"
    )
    number = b'{"tokens": [' + b"9" * 5000 + b'], "ner_tags": ["O"]}\n'
    bad("huge", good + number, "a.jsonl, line 2: is not valid JSON", "One JSON object per line")
    bad("unreadable", unreadable, "a.jsonl: cannot be read: ", "Check")
    bad("unreadable", folder, "a.jsonl: is a folder", "Name a file in it")

    subject, file = "json list", "a.json"
    listed = json.dumps([TAGGED, TAGGED], indent=1).encode()
    bad("missing", None, "a.json: there is no such file.", "Check the path.")
    bad("empty", b"[]", "a.json: contains no records.", "One JSON object per line")
    bad("truncated", listed[:50], "a.json, line ", "is not valid JSON", "Correct it there")
    bad("wrong type", b"5", "a.json: is not a list of records", "Write one record per line")
    bad("wrong type", b"[5]", "a.json, row 1: is not a JSON object", "named fields")
    bad("wrong encoding", listed.replace(b"Ada", b"Jos\xe9"), "a.json, line 4: byte 0xe9", "encoding")
    bad("wrong length", json.dumps([TAGGED, {**TAGGED, "tokens": []}]).encode(), "a.json, row 2: 0 words", "exactly")
    bad("out of range", listed, "no column 4", "Its columns are", options="--text-column-name 4")
    no("duplicated", twice)
    bad("hostile", b"[\n" + DEEP, "a.json: is not valid JSON", "Correct it there")
    bad("huge", b"[\n" + b"9" * 5000 + b"]", "a.json: is not valid JSON", "Correct it there")
    bad("unreadable", unreadable, "a.json: cannot be read: ", "Check")

    subject, file = "character spans", "s.jsonl"
    good = json_lines(SPANS)

    def spans(*changed: object) -> bytes:
        return good + json_lines({**SPANS, "entities": list(changed)})

    bad(
        "missing", good + json_lines({"entities": []}), "s.jsonl, line 2: there is no text in 'text'", "It has entities"
    )
    bad("empty", spans([3, 3, "PER"]), "s.jsonl, line 2: PER, 3 to 3, is not a position", "Check the offsets")
    bad("truncated", spans([0, 2, "PER"]), "s.jsonl, line 2: the span PER 'Ad' (0 to 2) cuts", "choose what to do with")
    bad("wrong type", spans([0, "3", "PER"]), "s.jsonl, line 2: ", "is no span", "It needs a start, an end and a type")
    bad("wrong type", spans(7), "s.jsonl, line 2: '7' is no span", "A list [start, end, type]")
    bad("wrong type", spans([0, 3, ["PER"]]), "s.jsonl, line 2: ", "is no span", "It needs a start, an end and a type")
    wide = {"text": "\U0001f600 Ada", "entities": [[1, 3, "PER"]]}
    bad(
        "wrong encoding",
        good + json_lines(wide),
        "s.jsonl, line 2: ",
        "Check the offsets",
        options="--offset-unit utf16",
    )
    half = {"text": "\ud83d Ada", "entities": [[2, 5, "PER"]]}
    bad(
        "wrong encoding",
        good + json_lines(half),
        "s.jsonl, line 2: is not valid JSON (it contains half of a surrogate pair",
        "write the whole character",
    )
    bad("wrong length", spans([0, 3]), "s.jsonl, line 2: ", "is no span", "A list [start, end, type]")
    bad(
        "out of range",
        spans([0, 99, "PER"]),
        "s.jsonl, line 2: PER, 0 to 99, is not a position in a text of 10",
        "Check",
    )
    bad("out of range", spans([-3, 3, "PER"]), "s.jsonl, line 2: PER, -3 to 3, is not a position", "Check the offsets")
    bad("out of range", good, "there is no layer -1", "0 the outermost", options="--layer=-1")
    no("duplicated", "a span given twice is read once, and counted")
    bad("duplicated", spans([0, 3, "PER"], [0, 10, "ORG"]), "s.jsonl, line 2: the spans", "Choose a layer")
    bad("hostile", spans([0, 2, ESC]), "s.jsonl, line 2: the span", "choose what to do with such spans")
    bad("huge", spans([0, 10**30, "PER"]), "s.jsonl, line 2: PER, 0 to 1000", "Check the offsets")
    no("unreadable", "spans stand in a file: see jsonl")

    subject, file = "annotation tools", "t.json"
    task = {
        "data": {"text": "Ada"},
        "annotations": [{"result": [{"value": {"start": 0, "end": 3, "labels": ["PER"]}}]}],
    }

    def tasks(**changed: object) -> bytes:
        return json.dumps([task, {**task, **changed}]).encode()

    bad("missing", tasks(data={}), "t.json, row 2: there is no text in 'data'", "It has no fields")
    bad("empty", b'{"data": []}', "t.json: contains no records", "One JSON object per line")
    bad("truncated", tasks()[:60], "t.json, line 1: is not valid JSON", "Correct it there")
    bad("wrong type", tasks(annotations=[5]), "t.json, row 2: ", "no annotation", "Label Studio")
    bad("wrong type", tasks(annotations={"a": 1}), "t.json, row 2: ", "no annotation", "Label Studio")
    bad("wrong type", tasks(annotations=[{"result": 5}]), "t.json, row 2: ", "no annotation", "Label Studio")
    bad(
        "wrong type",
        tasks(annotations=[{"result": [{"value": 7}]}]),
        "t.json, row 2: ",
        "no annotation",
        "Label Studio",
    )
    no("wrong encoding", "it is JSON: see jsonl")
    odd = [{"text": "Ada", "spans": [], "tokens": [{"start": 0, "end": "3", "text": "Ada"}]}]
    bad(
        "wrong length",
        json.dumps(odd).encode(),
        "t.json, row 1: ",
        "tokens",
        "Leave the tokens out",
        options="--from prodigy",
    )
    far = [{"result": [{"value": {"start": 0, "end": 9, "labels": ["PER"]}}]}]
    bad("out of range", tasks(annotations=far), "t.json, row 2: PER, 0 to 9, is not a position", "Check the offsets")
    no("duplicated", "of several annotations of a task the first that was not cancelled is read")
    there = [{"text": "Ada", "spans": [], "tokens": [{"start": 0, "end": 3, "text": ESC}]}]
    bad("hostile", json.dumps(there).encode(), "t.json, row 1: the token at 0", "Leave", options="--from prodigy")
    no("huge", "it is JSON: see jsonl")
    no("unreadable", "it is JSON: see jsonl")

    subject, file = "csv", "a.csv"
    good = b"tokens,ner_tags\nAda smiled,B-PER O\n"
    bad("missing", None, "a.csv: there is no such file.", "Check the path.")
    bad("empty", b"\n", "a.csv: contains no rows.", "A header and rows")
    bad("truncated", good + b"Bob", "a.csv, line 3: 1 fields where 2", "Quote fields")
    bad("wrong type", PNG, "a.csv: no column of words among \ufffdPNG", "--text-column-name")
    bad("wrong encoding", good + b"Jos\xe9,B-PER\n", "a.csv, line 3: byte 0xe9", "encoding")
    bad("wrong length", good + b"Ada,B-PER,x\n", "a.csv, line 3: 3 fields where 2", "Quote fields")
    bad("wrong length", good + b"Ada smiled,O\n", "a.csv, line 3: 2 words", "exactly one")
    bad("out of range", good, "a.csv: there is no column 9.", "Its columns are", options="--text-column-name 9")
    bad("out of range", good, "separator", "one character", options="--separator ::")
    no("duplicated", twice)
    bad("hostile", good + f"{ESC},O,x\n".encode(), "a.csv, line 3: 3 fields", "Quote fields")
    bad("hostile", good + b'"[{[]: 1}]",O\n', "a.csv, line 3: 'tokens' is not a list", "Write it as a JSON list")
    bad("huge", good + WIDE + b",O\n" + WIDE, "a.csv, line ", "Quote fields")
    bad("unreadable", unreadable, "a.csv: cannot be read: ", "Check")
    bad("unreadable", folder, "a.csv: is a folder", "Name a file in it")

    subject, file = "parquet", "a.parquet"
    good = parquet(tokens=[["Ada"], ["Bob", "ran"]], ner_tags=[["B-PER"], ["B-PER", "O"]])
    bad("missing", None, "a.parquet: there is no such file.", "Check the path.")
    bad("empty", b"", "a.parquet: is not a Parquet file", "Check the program that wrote it")
    bad("empty", parquet(tokens=[], ner_tags=[]), "a.parquet: contains no rows", "Choose another")
    bad("truncated", good[: len(good) // 2], "a.parquet: is not a Parquet file", "Check the program that wrote it")
    hole = good[:8] + b"\xff" * 60 + good[68:]
    bad("truncated", hole, "a.parquet: ", "Check the program that wrote it")
    bad(
        "wrong type", b"PAR1 but not really PAR1", "a.parquet: is not a Parquet file", "Check the program that wrote it"
    )
    bad("wrong type", parquet(tokens=[1.5], ner_tags=["O"]), "a.parquet, row 1: ", "A list with an entry per word")
    no("wrong encoding", bytes_only)
    uneven = parquet(tokens=[["Ada"], ["Bob"]], ner_tags=[["B-PER"], []])
    bad("wrong length", uneven, "a.parquet, row 2: 1 word", "exactly one")
    bad("out of range", good, "a.parquet: there is no column 9.", "Its columns", options="--text-column-name 9")
    no("duplicated", twice)
    odd = parquet(tokens=[["Ada"], ["Bob"]], ner_tags=[["B-PER"], [ESC, ESC]])
    bad("hostile", odd, "a.parquet, row 2: 1 word", "exactly one")
    no("huge", "rows are read in portions; a file larger than the memory is in tests of scale")
    bad("unreadable", unreadable, "a.parquet: ", "Check")
    bad("unreadable", folder, "a.parquet: is a folder", "Name a file in it")

    subject, file = "brat", "d"
    text, marks = b"Ada smiled\n", b"T1\tPER 0 3\tAda\n"

    def brat(fault: str, text: Content | None, marks: Content | None, *says: str, options: str = "") -> None:
        files: dict[str, Content] = {"d": folder}
        files |= {name: c for name, c in (("d/x.txt", text), ("d/x.ann", marks)) if c is not None}
        cells.append(Bad(subject, fault, files, f"convert --from brat {options} d out.conll", says))

    brat("missing", None, marks, "x.txt: there is no such file", "Beside it are")
    brat("missing", None, None, "d: contains no .ann files", "brat writes")
    brat("empty", b"", marks, "PER, 0 to 3, is not a position in a text of 0", "Check the offsets")
    brat("truncated", text, b"T1\tPER 0", "x.ann, line 1: is not an annotation", "T1<TAB>TYPE START END")
    brat("wrong type", text, b"T1\tPER a b\tAda\n", "x.ann, line 1: is not an annotation", "was expected")
    brat("wrong encoding", b"Jos\xe9\n", marks, "x.txt, line 1: byte 0xe9", "encoding")
    brat("wrong encoding", text, b"T1\tPER 0 3\tJos\xe9\n", "x.ann, line 1: byte 0xe9", "encoding")
    brat("wrong length", text, b"T1\tPER 0 3\tGrace\n", "x.txt, line 1: the span PER at 0 to 3", "Check the offsets")
    brat("out of range", text, b"T1\tPER 0 99\tAda\n", "PER, 0 to 99, is not a position", "Check the offsets")
    brat("duplicated", text, marks + b"T2\tORG 0 10\tAda smiled\n", "x.txt, line 1: the spans", "Choose a layer")
    brat("hostile", text, f"T1{ESC}\n".encode(), "x.ann, line 1: is not an annotation", "was expected")
    brat("huge", text, b"T1\tPER 0 " + b"9" * 5000 + b"\tAda\n", "x.ann, line 1: is not an annotation", "was expected")
    brat("unreadable", unreadable, marks, "x.txt: cannot be read", "Check")
    brat("unreadable", text, folder, "x.ann: is a folder", "Name a file in it")

    subject = "parallel"

    def pair(fault: str, words: Content | None, labels: Content | None, *says: str, options: str = "") -> None:
        files: dict[str, Content] = {"p": folder}
        files |= {name: c for name, c in (("p/seq.in", words), ("p/seq.out", labels)) if c is not None}
        cells.append(Bad(subject, fault, files, f"convert --from parallel {options} p out.conll", says))

    pair("missing", None, b"O\n", "seq.in: there is no such file", "Beside it are")
    pair("empty", b"", b"", "no sentences", "It was read as parallel")
    pair("truncated", b"Ada\nBob\n", b"B-PER\n", "seq.in, line 2: 1 word, but 0 labels", "exactly one")
    no("wrong type", "any text is words")
    pair("wrong encoding", b"Jos\xe9\n", b"O\n", "seq.in, line 1: byte 0xe9", "encoding")
    pair("wrong encoding", b"Jo\n", b"\xe9\n", "seq.out, line 1: byte 0xe9", "encoding")
    pair("wrong length", b"Ada smiled\n", b"O\n", "seq.in, line 1: 2 words, but 1 label", "exactly one")
    no("out of range", "it has neither columns nor numbers")
    no("duplicated", twice)
    pair("hostile", f"{ESC} a b\n".encode(), b"O\n", "seq.in, line 1: 3 words", "exactly one")
    pair("huge", b"a " * 500_000 + b"\n", b"O\n", "seq.in, line 1: 500,000 words", "exactly one")
    pair("unreadable", unreadable, b"O\n", "seq.in: cannot be read", "Check")
    pair("unreadable", b"a\n", unreadable, "seq.out: cannot be read", "Check")

    subject, file = "docbin", "a.spacy"
    bad("missing", None, "a.spacy: there is no such file.", "Check the path.")
    bad("empty", b"", "a.spacy: is not a DocBin file", "Check the program that wrote it")
    bad("truncated", b"x\x9c" + b"\x00" * 20, "a.spacy: is not a DocBin file", "Check the program that wrote it")
    bad("wrong type", PNG, "a.spacy: is not a DocBin file", "Check the program that wrote it")
    no("wrong encoding", bytes_only)
    no("wrong length", "words and labels are one thing there")
    no("out of range", "the file is compressed and checked as a whole: see wrong type")
    no("duplicated", twice)
    no("hostile", "see wrong type; its texts are those of jsonl from there on")
    no("huge", "see wrong type")
    bad("unreadable", unreadable, "a.spacy: ", "Check")
    bad("unreadable", folder, "a.spacy: is a folder", "Name a file in it")

    subject = "saved data set"

    def saved(fault: str, content: dict[str, Content], *says: str) -> None:
        files: dict[str, Content] = {"h": folder, **{f"h/{name}": value for name, value in content.items()}}
        cells.append(Bad(subject, fault, files, "convert --from hf h out.conll", says))

    info = {"dataset_info.json": b"{}"}
    state = b'{"_data_files": [{"filename": "d.arrow"}], "_fingerprint": "x", "_format_columns": null, '
    state += b'"_format_kwargs": {}, "_format_type": null, "_output_all_columns": false, "_split": null}'
    saved("missing", {}, "h: is not a saved data set", "Save it again")
    saved("missing", {**info, "state.json": state}, "h: is not a saved data set", "Save it again")
    saved("empty", {**info, "state.json": b""}, "h: is not a saved data set", "Save it again")
    saved("truncated", {**info, "state.json": state[:40]}, "h: is not a saved data set", "Save it again")
    saved("wrong type", {**info, "state.json": b"[]"}, "h: is not a saved data set", "Save it again")
    saved("wrong type", {**info, "state.json": state, "d.arrow": PNG}, "h: is not a saved data set", "Save it again")
    saved("wrong encoding", {**info, "state.json": b"\xff\xfe"}, "h: is not a saved data set", "Save it again")
    no("wrong length", "its rows are those of parquet")
    no("out of range", "its rows are those of parquet")
    no("duplicated", twice)
    outside = state.replace(b"d.arrow", b"../../../etc/passwd")
    saved("hostile", {**info, "state.json": outside}, "h: is not a saved data set", "Save it again")
    no("huge", "it is memory-mapped")
    saved("unreadable", {**info, "state.json": folder}, "h: is not a saved data set", "Save it again")

    subject = "folder of files"

    def many(fault: str, content: dict[str, Content], *says: str) -> None:
        files: dict[str, Content] = {"f": folder, **{f"f/{name}": value for name, value in content.items()}}
        cells.append(Bad(subject, fault, files, "convert f out.jsonl", says))

    many("missing", {"x.bin": b"1"}, "f: is a folder of no known format", "it holds x.bin")
    many("empty", {}, "f: is a folder of no known format", "it holds nothing")
    many("truncated", {"a.conll": GOOD, "b.conll": b"Bob\n"}, "b.conll: there is no column 1", "Its columns are 0 to 0")
    many("wrong type", {"a.conll": GOOD, "b.csv": b"a,b\n"}, "f: holds files of several kinds", "Name one of them")
    many("wrong encoding", {"a.conll": GOOD, "b.conll": b"Jos\xe9\tO\n"}, "b.conll, line 1: byte 0xe9", "encoding")
    no("wrong length", "a file may have more columns than the first: the same ones are read")
    no("out of range", "see its files")
    many("duplicated", {"train.conll": GOOD, "test.conll": GOOD}, "f: holds several splits", "--dataset-name")
    many("hostile", {f"{ESC.replace('/', '')}.xyz": GOOD}, "f: is a folder of no known format", "Name a file")
    no("huge", "files are read one after the other")
    many("unreadable", {"a.conll": GOOD, "b.conll": unreadable}, "b.conll: cannot be read", "Check")
    return cells


def _predictions() -> list[Cell]:
    """Files of predictions, scored by `evaluate` and `compare`."""
    cells: list[Cell] = []
    good = json_lines(SAID)

    def bad(fault: str, content: Content | None, *says: str, options: str = "", **others: Content) -> None:
        files: dict[str, Content] = {"gold.conll": GOOD, **others}
        if content is not None:
            files["p.jsonl"] = content
        cells.append(
            Bad("predictions", fault, files, f"evaluate --predictions p.jsonl {options} --output s.json", says)
        )

    def changed(**values: object) -> bytes:
        return good + json_lines({**SAID, **values})

    bad("missing", None, "'p.jsonl' does not exist", "--predictions")
    bad("missing", json_lines({**SAID, "gold": None}), "p.jsonl, line 1: The predictions have no gold", "--gold")
    bad("empty", b"", "p.jsonl: contains no sentences", "Check the program that wrote it")
    bad("truncated", good + good[:30], "p.jsonl, line 2: is not valid JSON", "Each line is a JSON object with words")
    bad(
        "truncated",
        good + good,
        "gold.conll: ends after 1 sentence",
        "very same sentences",
        options="--gold gold.conll",
    )
    bad("wrong type", good + b"5\n", "p.jsonl, line 2: has no words", "Each line is a JSON object")
    bad("wrong type", changed(scores=["a", "b"]), "p.jsonl, line 2: scores is not a list of numbers", "Each line")
    bad("wrong type", changed(words="Ada smiled"), "p.jsonl, line 2: words is not a list of texts", "Each line")
    bad("wrong encoding", good.replace(b"Ada", b"Jos\xe9"), "p.jsonl, line 1: byte 0xe9 is not utf-8", "encoding")
    bad("wrong length", changed(predicted=["O"]), "p.jsonl, line 2: 2 words but 1 predicted", "Each line")
    short = json_lines({"words": ["Ada"], "predicted": ["O"]})
    bad("wrong length", short, "p.jsonl, line 1: 1 word, but 2 in gold.conll", "very same", options="--gold gold.conll")
    bad("out of range", changed(scores=[7, float("nan")]), "p.jsonl, line 2: ", "from 0 to 1", "Each line")
    bad("out of range", good, "no label scheme 'klingon'", "Known are", options="--scheme klingon")
    bad("duplicated", good + good, "gold.conll: ends after 1", "very same sentences", options="--gold gold.conll")
    bad("hostile", good + f"{ESC}\n".encode(), "p.jsonl, line 2: is not valid JSON", "Each line")
    bad("hostile", good + DEEP + b"\n", "p.jsonl, line 2: is not valid JSON", "Each line")
    bad("huge", good + b'{"words": ["' + WIDE, "p.jsonl, line 2: is not valid JSON", "Each line")
    bad("unreadable", unreadable, "p.jsonl: cannot be read", "Check")
    bad("unreadable", folder, "p.jsonl: contains no predictions", "Check the program that wrote it")
    other = json_lines({**SAID, "gold": ["O", "O"]})
    for fault, files, says in (
        ("missing", {"a.jsonl": good}, ("b.jsonl: is neither a run nor a file", "Check the path")),
        (
            "empty",
            {"a.jsonl": good, "b.jsonl": b""},
            ("b.jsonl: contains no sentences", "Check the program that wrote it"),
        ),
        (
            "truncated",
            {"a.jsonl": good, "b.jsonl": good[:30]},
            ("b.jsonl: contains no records", "Check the program that wrote it"),
        ),
        ("wrong type", {"a.jsonl": good, "b.jsonl": folder}, ("b.jsonl: contains no predictions for test", "--split")),
        (
            "wrong encoding",
            {"a.jsonl": good, "b.jsonl": good.replace(b"Ada", b"\xe9")},
            ("b.jsonl, line 1: byte", "enc"),
        ),
        ("wrong length", {"a.jsonl": good, "b.jsonl": good * 2}, ("b.jsonl: has 2 sentences", "very same")),
        ("duplicated", {"a.jsonl": good, "b.jsonl": other}, ("b.jsonl: 1 sentence has other gold", "very same")),
        ("hostile", {"a.jsonl": good, "b.jsonl": good + DEEP}, ("b.jsonl, line 2: is not valid JSON", "Each line")),
        ("unreadable", {"a.jsonl": good, "b.jsonl": unreadable}, ("b.jsonl", "Check")),
    ):
        cells.append(Bad("systems to compare", fault, files, "compare a.jsonl b.jsonl --output c.json", says))
    cells.append(
        Bad(
            "systems to compare",
            "out of range",
            {"a.jsonl": good},
            "compare a.jsonl",
            ("nothing to compare", "at least two"),
        )
    )
    cells.append(Impossible("systems to compare", "huge", "its files are predictions: see there"))
    return cells


def _configurations() -> list[Cell]:
    """Configuration files and settings, read by `fit --dry-run`."""
    cells: list[Cell] = []

    def bad(fault: str, content: Content | None, *says: str, options: str = "", subject: str = "config file") -> None:
        files: dict[str, Content] = {} if content is None else {"c.yaml": content}
        cells.append(Bad(subject, fault, files, f"fit c.yaml --dry-run {options}", says))

    bad("missing", None, "c.yaml: there is no such configuration file.", "tf-tokclf init")
    bad("empty", b"", "no training data: give --train-file", "--output-dir")
    bad("truncated", b"data: {train_file: [", "c.yaml, line 1: not valid YAML", "Correct that line")
    bad("wrong type", b"- a\n- b\n", "c.yaml: a configuration is a mapping", "tf-tokclf init")
    bad("wrong type", b"training: 5\n", "c.yaml, line 1: training: 5 is not", "a section of settings")
    bad("wrong type", b"1: 2\n", "c.yaml", "there is no setting 1")
    bad("wrong type", b"seed: 2024-99-99\n", "c.yaml", "not valid YAML")
    bad("wrong type", b"seed: !!bool maybe\n", "c.yaml", "not valid YAML")
    bad("wrong encoding", b"task: Jos\xe9\n", "c.yaml: not UTF-8 text (byte 9).", "Save it as UTF-8")
    bad(
        "wrong length",
        b"training: {report_to: tensorboard}\n",
        "c.yaml, line 1: training.report_to: 'tensorboard' is not",
        "a list",
    )
    bad(
        "out of range",
        b"training: {num_train_epochs: 0}\n",
        "c.yaml, line 1: training.num_train_epochs: 0 is not",
        "greater than 0",
    )
    bad("duplicated", b"training: {seed: 1, seed: 2}\n", "c.yaml, line 1", "seed", "twice")
    bad(
        "hostile",
        b"seed: !!python/object/apply:os.system [id]\n",
        "c.yaml, line 1: not valid YAML",
        "Correct that line",
    )
    bad(
        "hostile",
        f'"{ESC.encode("unicode_escape").decode()}": 1\n'.encode(),
        "c.yaml, line 1: there is no setting \ufffd]0;owned",
        "tf-tokclf config",
    )
    bad("hostile", DEEP, "c.yaml: not valid YAML", "nested")
    bad("hostile", b"data: &a {train_file: *a}\n", "c.yaml, line 1: data.train_file: ", "is not a valid string")
    bad(
        "hostile",
        b'data: {train_file: "a\\0b", validation_file: b}\n',
        "a",
        "no such file",
        options="--model-name-or-path {encoder} --output-dir o",
    )
    bad("huge", LAUGHS, "c.yaml: ", "there is no setting")
    bad("huge", LAUGHS + b"training: {seed: *j}\n", "c.yaml: ", "training.seed: [[[")
    bad("huge", b"training: {seed: " + b"9" * 5000 + b"}\n", "c.yaml", "not valid YAML")
    bad("unreadable", unreadable, "c.yaml: cannot be read", "Check its permissions")
    bad("unreadable", folder, "c.yaml: ", "configuration file")

    def setting(section: str, fault: str, assignment: str, *says: str, dry: bool = True) -> None:
        ready = ("data.train_file={train}", "model.name_or_path={encoder}", "output_dir=o", assignment)
        args = "fit --dry-run" if dry else "fit"
        args += "".join(f" --set {one}" for one in ready)
        cells.append(Bad(f"settings: {section}", fault, {}, args, says))

    def none(section: str, fault: str, why: str) -> None:
        cells.append(Impossible(f"settings: {section}", fault, why))

    setting("data", "missing", "data.train_file=null", "no training data", "--train-file")
    setting("data", "empty", "data.format='\"\"'", "there is no format ''", "Known are")
    setting("data", "wrong type", "data.header=maybe", "data.header: 'maybe' is not", "boolean")
    setting(
        "data", "out of range", "data.validation_fraction=1.5", "data.validation_fraction: 1.5 is not", "less than 1"
    )
    setting("data", "out of range", "data.format=conl", "there is no format 'conl'", "Known are")
    setting("data", "duplicated", "data.label_names=[a,a]", "data: label_names has a more than once")
    setting("data", "hostile", "data.train_file=[[[", "the value is not valid YAML", "Quote it")
    setting("data", "huge", "data.max_train_samples=1e30", "data.max_train_samples: '1e30' is not", "a valid integer")
    setting("data", "wrong encoding", "data.encoding=rot13", "rot13", "Python knows")
    setting("data", "wrong length", "data.separator=::", "data.separator: {':': None} is not", "a valid string")
    setting("data", "truncated", "data.header", "no '=' in it", "section.key=value")
    setting("data", "unreadable", "data.validation_file=/proc/self/mem", "/proc/self/mem: cannot be read", "Check")
    setting("model", "missing", "model.name_or_path=null", "no encoder", "--model-name-or-path")
    setting("model", "empty", "model.name_or_path=''", "no encoder", "--model-name-or-path")
    setting("model", "wrong type", "model.trust_remote_code=maybe", "model.trust_remote_code: 'maybe'", "boolean")
    setting("model", "hostile", "model.name_or_path=package:tf_tokclf/../../..", "leads out of the package", "below")
    setting("model", "truncated", "model.name_or_path=package:/", "no installed package", "Install it")
    setting("model", "wrong length", "model.name_or_path=a/b/c/d", "there is no model folder a/b/c/d", "Give a folder")
    setting("model", "huge", f"model.name_or_path=/{'x' * 5000}", "there is no such file (File name too long)", "Check")
    none("model", "wrong encoding", "names are text")
    none("model", "out of range", "it has no numbers")
    none("model", "duplicated", "see config file")
    setting("model", "unreadable", "model.name_or_path=/proc/self/mem", "/proc/self/mem: is a file", "Name the folder")
    setting("alignment", "wrong type", "alignment.max_length=long", "alignment.max_length: 'long' is not", "integer")
    setting("alignment", "out of range", "alignment.max_length=2", "leaves no room beside 2 special", "Raise it")
    setting(
        "alignment", "out of range", "alignment.overlap=-1", "alignment.overlap: -1 is not", "greater than or equal"
    )
    setting("alignment", "huge", "alignment.max_length=1000000000000", "is more than the model reads", "Give at most")
    setting("alignment", "huge", "alignment.overlap=1000000000000", "does not fit windows", "Give an overlap below")
    setting("alignment", "missing", "alignment.strategy=null", "alignment.strategy: None is not", "first")
    setting("alignment", "empty", "alignment.strategy='\"\"'", "alignment.strategy: '' is not", "first")
    setting("alignment", "duplicated", "alignment.overlap=[1,1]", "alignment.overlap: [1, 1] is not", "integer")
    setting("alignment", "hostile", "alignment.__class__=1", "no setting alignment.__class__", "Did you mean alignment")
    none("alignment", "wrong length", "it has no lists")
    none("alignment", "truncated", "see data: an assignment without its value")
    none("alignment", "wrong encoding", "it has no text of the user's")
    none("alignment", "unreadable", "it names no file")
    setting("optimizer", "wrong type", "optimizer.learning_rate=fast", "optimizer.learning_rate: 'fast'", "number")
    setting("optimizer", "out of range", "optimizer.warmup_ratio=1", "optimizer.warmup_ratio: 1 is not", "less than 1")
    setting("optimizer", "out of range", "optimizer.learning_rate=-1", "optimizer.learning_rate: -1", "greater than 0")
    setting("optimizer", "huge", "optimizer.learning_rate=.inf", "optimizer.learning_rate: inf is not", "finite")
    setting(
        "optimizer", "hostile", "optimizer.weight_decay=.nan", "optimizer.weight_decay: nan is not", "a finite number"
    )
    setting("optimizer", "missing", "optimizer.learning_rate=null", "optimizer.learning_rate: None", "number")
    setting("optimizer", "duplicated", "optimizer.learning_rate=[1,1]", "optimizer.learning_rate: [1, 1]", "number")
    setting("optimizer", "empty", "optimizer.learning_rate='\"\"'", "optimizer.learning_rate: '' is not", "number")
    for fault in ("truncated", "wrong encoding", "wrong length", "unreadable"):
        none("optimizer", fault, "it has numbers only")
    setting("training", "wrong type", "training.seed=1.5", "training.seed: 1.5 is not", "integer")
    setting("training", "out of range", "training.seed=-1", "training.seed: -1 is not", "greater than or equal to 0")
    setting(
        "training", "out of range", "training.per_device_train_batch_size=0", "batch_size: 0 is not", "greater than 0"
    )
    setting("training", "huge", "training.seed=1e40", "training.seed: '1e40' is not", "a valid integer")
    setting(
        "training",
        "huge",
        "training.num_train_epochs=1000000000000",
        "num_train_epochs: 1000000000000 is not",
        "less than or equal to 1000000",
    )
    setting(
        "training",
        "huge",
        "training.per_device_train_batch_size=1000000000000",
        "batch_size: 1000000000000 is not",
        "less than or equal to 1000000",
    )
    setting("training", "wrong length", "training.report_to=[none]", "training.report_to", "tensorboard")
    setting("training", "missing", "training.seed=null", "training.seed: None is not", "integer")
    setting("training", "empty", "training.precision='\"\"'", "training.precision: '' is not", "float32")
    setting(
        "training", "hostile", "training.sead=1", "there is no setting training.sead.", "Did you mean training.seed?"
    )
    setting("training", "duplicated", "training.report_to=[csv,csv]", "training: report_to has csv more than once")
    none("training", "truncated", "see data")
    none("training", "wrong encoding", "it has no text of the user's")
    none("training", "unreadable", "it names no file")
    setting("evaluation", "wrong type", "evaluation.mode=7", "evaluation.mode: 7 is not", "conlleval")
    setting(
        "evaluation",
        "out of range",
        "evaluation.per_device_eval_batch_size=0",
        "batch_size: 0 is not",
        "greater than 0",
    )
    setting(
        "evaluation",
        "huge",
        "evaluation.per_device_eval_batch_size=1000000000000",
        "batch_size: 1000000000000 is not",
        "less than or equal to 1000000",
    )
    setting("evaluation", "missing", "evaluation.decoding=null", "evaluation.decoding: None is not", "argmax")
    setting("evaluation", "empty", "evaluation=", "evaluation: None is not", "a section of settings")
    setting("evaluation", "hostile", "evaluation.a.b.c=1", "no setting evaluation.a", "Did you mean evaluation")
    for fault in ("truncated", "wrong encoding", "wrong length", "duplicated", "unreadable"):
        none("evaluation", fault, "it has choices and one number")
    setting("hub", "wrong type", "hub.push=maybe", "hub.push: 'maybe' is not", "boolean")
    setting("hub", "out of range", "hub.tries=0", "hub.tries: 0 is not", "greater than 0")
    setting(
        "hub",
        "missing",
        "hub.card.template=nothing.jinja",
        "nothing.jinja: there is no such template.",
        "Correct hub.card.template",
        dry=False,
    )
    setting("hub", "wrong length", "hub.card.tags=ner", "hub.card.tags: 'ner' is not", "a list")
    setting(
        "hub", "hostile", "hub.card.token=hf_x", "there is no setting hub.card.token", "Did you mean hub.card.tags?"
    )
    setting("hub", "empty", "hub.strategy='\"\"'", "hub.strategy: '' is not", "every_save")
    setting(
        "hub",
        "unreadable",
        "hub.card.template=/proc/self/mem",
        "mem: cannot be read",
        "Correct hub.card.template",
        dry=False,
    )
    for fault in ("truncated", "wrong encoding", "duplicated", "huge"):
        none("hub", fault, "names are checked by the Hub: see the tests of publishing")
    return cells


def _models() -> list[Cell]:
    """Model folders, used by `predict` on a line of text."""
    cells: list[Cell] = []

    def bad(fault: str, change: Callable[[Path], None], *says: str, subject: str, options: str = "") -> None:
        files: dict[str, Content] = {"m": model(change), "in.txt": b"ada saw rome\n"}
        cells.append(Bad(subject, fault, files, f"predict m in.txt -o out.jsonl {options}", says))

    def no(subject: str, fault: str, why: str) -> None:
        cells.append(Impossible(subject, fault, why))

    subject, file = "model: config.json", "config.json"
    bad("missing", without(file), "m has no config.json", "A model folder needs one", subject=subject)
    bad("empty", with_content(file, b""), "config.json: not valid JSON", "Fetch or save", subject=subject)
    bad("truncated", cut(file, 100), "config.json: not valid JSON", "Fetch or save", subject=subject)
    bad(
        "wrong type",
        with_content(file, b"[]"),
        "config.json: a model's configuration is a mapping",
        "Fetch",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, id2label=[1]),
        "config.json: id2label does not give names to ids",
        "Correct it",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, hidden_size="x"),
        "config.json: hidden_size is x, which is not a whole number",
        "Fetch or save the model again",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, model_type="klingon"),
        "config.json: transformers has no TensorFlow token classifier of type klingon",
        "Choose a BERT",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, architectures=["BertModel"]),
        "m contains BertModel, not a token classifier",
        "Train one first",
        subject=subject,
    )
    bad(
        "wrong encoding",
        with_content(file, b"\xff\xfe{}"),
        "config.json: not valid JSON",
        "Fetch or save",
        subject=subject,
    )
    bad(
        "wrong length",
        with_values(file, id2label={"0": "O"}, label2id={"O": 0}),
        "model.safetensors: classifier.weight is 5 x 32 in the file, and config.json describes 1 x 32",
        "fetch or save the model again",
        subject=subject,
    )
    bad(
        "wrong length",
        with_values(file, num_hidden_layers=7),
        "weights of the model are not in its file, such as bert.encoder.layer.2",
        "have to belong together",
        subject=subject,
    )
    gap = {"0": "O", "2": "B-X"}
    bad(
        "out of range",
        with_values(file, id2label=gap),
        "config.json: id2label does not number",
        "Correct",
        subject=subject,
    )
    bad(
        "out of range",
        with_values(file, max_position_embeddings=-5),
        "config.json: max_position_embeddings is -5, and must be at least 1",
        "Fetch or save the model again",
        subject=subject,
    )
    same = dict.fromkeys(map(str, range(5)), "O")
    bad("duplicated", with_values(file, id2label=same), "config.json", "twice", subject=subject)
    bad(
        "hostile",
        with_values(file, id2label={**dict.fromkeys("0123", ESC), "4": "O"}),
        "config.json",
        "Each id needs its own",
        subject=subject,
    )
    bad("hostile", with_content(file, DEEP), "config.json: not valid JSON", "Fetch or save", subject=subject)
    bad(
        "huge",
        with_values(file, num_labels=10**9, id2label=None),
        "config.json: asks for 1,000,000,000 labels",
        "fetch the model again",
        subject=subject,
    )
    bad(
        "huge",
        with_values(file, vocab_size=10**12),
        "config.json: vocab_size is 1000000000000, which is not in the range of any model",
        "Fetch or save the model again",
        subject=subject,
    )
    bad(
        "huge",
        with_values(file, max_position_embeddings=10**6),
        "config.json: asks for 1,000,000 positions of 32 numbers",
        "Fetch or save the model again",
        subject=subject,
    )
    bad("unreadable", in_place_of(file, unreadable), "config.json: cannot be read", "Fetch or save", subject=subject)
    bad("unreadable", in_place_of(file, folder), "config.json: is not a file", "Fetch the model again", subject=subject)

    subject, file = "model: weights", "model.safetensors"
    bad("missing", without(file), "m has no weights", "Expected one of", subject=subject)
    bad("empty", with_content(file, b""), "model.safetensors: is damaged", "Fetch or save", subject=subject)
    bad("truncated", cut(file, 5000), "model.safetensors: is damaged", "Fetch or save", subject=subject)
    bad("wrong type", with_content(file, PNG * 10), "model.safetensors: is damaged", "Fetch or save", subject=subject)
    no(subject, "wrong encoding", "it holds numbers")
    header = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "__metadata__": {"format": "pt"}}
    bad(
        "wrong length",
        with_content(file, safetensors(header, b"1234")),
        "model.safetensors: is damaged",
        "Fetch",
        subject=subject,
    )
    none = {"__metadata__": {"format": "pt"}}
    bad(
        "out of range",
        with_content(file, safetensors(none)),
        "weights of the model are not in its file",
        "have to belong together",
        subject=subject,
    )
    no(subject, "duplicated", "names are keys of one mapping")
    header = {
        "__metadata__": {"format": "pt"},
        "x": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
    }
    damaged = ("model.safetensors: is damaged", "Fetch")
    bad("huge", with_content(file, safetensors(header, b"1234")), *damaged, subject=subject)
    bad("hostile", with_content(file, struct.pack("<Q", 2**62)), *damaged, subject=subject)
    bad("unreadable", in_place_of(file, folder), "model.safetensors: is not a file", "Fetch", subject=subject)
    bad(
        "unreadable",
        in_place_of(file, unreadable),
        "model.safetensors: is damaged",
        "Fetch or save the weights again",
        subject=subject,
    )

    subject, file = "model: tokenizer", "tokenizer.json"

    def alone(change: Callable[[Path], None]) -> Callable[[Path], None]:
        def both(path: Path) -> None:
            without("vocab.txt")(path)
            change(path)

        return both

    again = ("m/tokenizer", "Fetch or save the model again")
    bad("missing", alone(without(file)), "m: has no tokenizer", "Expected tokenizer.json", subject=subject)
    bad("empty", alone(with_content(file, b"")), *again, subject=subject)
    bad("truncated", alone(cut(file, 300)), *again, subject=subject)
    bad("wrong type", alone(with_content(file, b"[]")), *again, subject=subject)
    bad("wrong type", with_content("tokenizer_config.json", b"[]"), *again, subject=subject)
    bad("wrong encoding", alone(with_content(file, b"\xff\xfe{}")), *again, subject=subject)
    no(subject, "wrong length", "pieces beyond the encoder's vocabulary: see out of range")

    def beyond(path: Path) -> None:
        values = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        values["model"]["vocab"]["ada"] = 10**6
        (path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")

    bad("out of range", beyond, "m", "vocabulary", "belong to different models", subject=subject)
    no(subject, "duplicated", "of a piece that is there twice the last id counts")
    bad("hostile", alone(with_content(file, DEEP)), *again, subject=subject)
    no(subject, "huge", "the window's length is in tf_tokclf.json: see there")
    bad("unreadable", alone(in_place_of(file, unreadable)), "m/tokenizer.json: is a link", "Copy", subject=subject)
    bad("unreadable", alone(in_place_of(file, folder)), "tokenizer.json: is not a file", "Fetch", subject=subject)

    subject, file = "model: tf_tokclf.json", "tf_tokclf.json"
    again = ("tf_tokclf.json: ", "again")
    no(subject, "missing", "models from elsewhere have none: defaults are taken")
    bad("empty", with_content(file, b""), *again, subject=subject)
    bad("truncated", cut(file, 60), *again, subject=subject)
    bad("wrong type", with_content(file, b"[]"), *again, subject=subject)
    bad("wrong type", with_values(file, reading=5), *again, subject=subject)
    bad("wrong type", with_values(file, temperature="hot"), *again, subject=subject)
    bad("wrong encoding", with_content(file, b"\xff\xfe{}"), *again, subject=subject)
    bad("wrong length", with_values(file, reading={"strategy": "first"}), *again, subject=subject)
    reading = {"strategy": "first", "max_length": 64, "overlap": 8, "truncate": False, "context_sentences": 0}
    bad("out of range", with_values(file, format_version=99), "later version", "pip install -U", subject=subject)
    bad("out of range", with_values(file, temperature=0), *again, subject=subject)
    bad("out of range", with_values(file, temperature=float("nan")), *again, subject=subject)
    bad("out of range", with_values(file, scheme="klingon"), *again, subject=subject)
    bad(
        "out of range",
        with_values(file, word_splitting="klingon"),
        "'klingon' is none of words, whitespace",
        "again",
        subject=subject,
    )
    bad("out of range", with_values(file, fallback_label="B-KLINGON"), *again, subject=subject)
    bad("out of range", with_values(file, decoding="klingon"), *again, subject=subject)
    bad(
        "out of range",
        with_values(file, reading={**reading, "max_length": -1}),
        "tf_tokclf.json: cannot be read",
        "again",
        subject=subject,
    )
    no(subject, "duplicated", "of a key that is there twice the last counts")
    bad("hostile", with_content(file, DEEP), *again, subject=subject)
    bad(
        "hostile",
        with_values(file, reading={**reading, "context_sentences": -1}),
        "tf_tokclf.json",
        "again",
        subject=subject,
    )
    bad(
        "huge",
        with_values(file, reading={**reading, "max_length": 10**12}),
        "the model reads 64 at once",
        "again",
        subject=subject,
    )
    bad("unreadable", in_place_of(file, unreadable), "tf_tokclf.json: ", "again", subject=subject)
    return cells


def _checkpoints() -> list[Cell]:
    """Checkpoints, gone on from by `fit --resume`."""
    cells: list[Cell] = []
    subject, newest = "checkpoint", "checkpoints/*"

    def bad(fault: str, change: Callable[[Path], None], *says: str, options: str = "--resume") -> None:
        # A finished run needs no checkpoints.
        files = {"r": run(without("finished.json"), change)}
        cells.append(Bad(subject, fault, files, f"fit r {options}", says))

    def no(fault: str, why: str) -> None:
        cells.append(Impossible(subject, fault, why))

    whole = ("checkpoints: none of the", "Start again with --force")
    bad("missing", without("checkpoints"), "nothing", options="--resume-from-checkpoint nothing")
    bad("missing", without(f"{newest}/SHA256SUMS"), *whole)
    bad("missing", without(f"{newest}/state.json"), *whole)
    bad("missing", without(f"{newest}/variables.index"), *whole)
    bad("empty", with_content(f"{newest}/SHA256SUMS", b""), *whole)
    bad("truncated", cut(f"{newest}/variables.data*", 100), *whole)
    bad("truncated", cut(f"{newest}/best.safetensors", 100), *whole)
    bad("wrong type", with_content(f"{newest}/state.json", b"5"), *whole)
    bad("wrong encoding", with_content(f"{newest}/SHA256SUMS", b"\xff\xfe"), *whole)
    bad("wrong length", with_content(f"{newest}/SHA256SUMS", b"abc\n"), *whole)
    no("duplicated", "two copies of a checkpoint have one name")

    def resummed(content: bytes) -> Callable[[Path], None]:
        """A state that is whole by its sum, and nonsense."""

        def change(path: Path) -> None:
            from tf_tokclf.training.checkpoints import write_sums

            for one in path.glob(newest):
                (one / "state.json").write_bytes(content)
                (one / "SHA256SUMS").unlink()
                write_sums(one)

        return change

    bad("out of range", resummed(b'{"format": 99}'), "a checkpoint of format 99", "Start again with --force")
    bad("hostile", resummed(b'{"format": 1}'), "state.json: is not the state of a run", "Start again with --force")
    half = b'{"format": 1, "position": {"epoch": 0.5, "history": []}, "settings": {}, "contents": {}}'
    bad("wrong type", resummed(half), "state.json: is not the state of a run", "Start again with --force")
    bad("hostile", resummed(DEEP), "state.json: not valid JSON", "Start again with --force")
    climbing = b"00  ../../../../etc/passwd\n00  state.json\n00  variables.index\n"
    bad("hostile", with_content(f"{newest}/SHA256SUMS", climbing), *whole)
    no("huge", "sums are taken in portions")
    bad("unreadable", in_place_of(f"{newest}/state.json", folder), *whole)
    bad("unreadable", in_place_of(f"{newest}/state.json", unreadable), *whole)
    return cells


def _finished_runs() -> list[Cell]:
    """Finished runs without checkpoints, gone on with by `fit --resume`."""
    cells: list[Cell] = []
    subject, weights, record = "finished run", "model/model.safetensors", "finished.json"

    def bad(fault: str, change: Callable[[Path], None], *says: str, options: str = "--resume") -> None:
        files = {"r": run(without("checkpoints"), change)}
        cells.append(Bad(subject, fault, files, f"fit r {options}", says))

    def no(fault: str, why: str) -> None:
        cells.append(Impossible(subject, fault, why))

    lost = f"{weights} is not as it was written and cannot be restored: the run is finished, and its checkpoints were"
    again = "train again with --force"
    gone = (f"{weights} is missing and cannot be restored", "Copy that file from a backup", again)
    bad("missing", without(weights), *gone)
    bad("missing", without("model"), *gone)
    bad("empty", with_content(weights, b""), lost, again)
    bad("truncated", cut(weights, 1000), lost, again)
    bad("wrong length", with_content(weights, b"x" * 10_000_000), lost, again)
    bad("unreadable", in_place_of(weights, folder), f"{weights} cannot be read (Is a directory)", again)
    unchecked = ("neither checkpoints nor finished.json are there to check it by", "replace it with --force")
    bad("missing", without(record), *unchecked)
    bad("wrong type", with_content(record, b"5"), *unchecked)
    bad("wrong encoding", with_content(record, b"\xff\xfe"), *unchecked)
    bad("hostile", with_content(record, DEEP), *unchecked)
    bad("unreadable", in_place_of(record, unreadable), *unchecked)

    def climbing(path: Path) -> None:
        """A record that is whole by its checksum, and names a file elsewhere."""
        from tf_tokclf.files import read_sealed_json, write_sealed_json

        content = read_sealed_json(path / record)
        content["files"]["../../../../etc/passwd"] = "0" * 64
        write_sealed_json(path / record, content)

    bad("hostile", climbing, *unchecked)
    longer = ("its last checkpoint is not there, so it cannot go on to 9 epochs", "--keep-checkpoints 1")
    bad("out of range", lambda path: None, *longer, options="--num-train-epochs 9 --resume")
    no("duplicated", "a run is a folder")
    no("huge", "checksums are taken in portions")
    return cells


def _options() -> list[Cell]:
    """Options whose values click cannot judge, or only it can; outputs that cannot be."""
    cells: list[Cell] = []

    def bad(subject: str, fault: str, args: str, *says: str, **files: Content) -> None:
        there = {name.replace("__", "."): content for name, content in files.items()}
        cells.append(Bad(subject, fault, {"a.conll": GOOD, "t.txt": b"ada\n", **there}, args, says))

    bad("numbers", "wrong type", "fit --num-train-epochs many", "'many' is not a valid integer", "--num-train-epochs")
    bad("numbers", "out of range", "predict {model} t.txt --top-k -1", "-1 is not in the range x>=0", "--top-k")
    bad("numbers", "out of range", "predict {model} t.txt --threshold 1.5", "1.5 is not in the range", "--threshold")
    bad("numbers", "out of range", "predict {model} t.txt --look-ahead 0", "0 is not in the range x>=1", "--look-ahead")
    bad("numbers", "out of range", "compare a.conll a.conll --samples 0", "0 is not in the range", "--samples")
    bad("numbers", "out of range", "inspect a.conll --examples -1", "-1 is not in the range", "--examples")
    bad("numbers", "missing", "fit --seed", "Option '--seed' requires an argument")
    bad("numbers", "huge", "compare a.conll a.conll --seed 1e9", "'1e9' is not a valid integer", "--seed")
    bad("shards", "wrong type", "predict {model} t.txt --shard x", "'x' is not I/N", "2/8")
    bad("shards", "out of range", "predict {model} t.txt --shard 3/2", "'3/2' is not I/N", "2/8")
    bad("shards", "wrong encoding", "predict {model} t.txt --shard \u00b2/2", "is not I/N", "2/8")
    bad("shards", "empty", "predict {model} t.txt --shard /", "'/' is not I/N", "2/8")
    bad("shards", "truncated", "predict {model} t.txt --shard 1/", "'1/' is not I/N", "2/8")
    bad("shards", "wrong length", "predict {model} t.txt --shard 1/2/3", "'1/2/3' is not I/N", "2/8")
    bad("shards", "out of range", "predict {model} t.txt --shard 0/2", "'0/2' is not I/N", "2/8")
    bad("shards", "hostile", f"predict {{model}} t.txt --shard {ESC}/2", "is not I/N", "2/8")
    bad("shards", "huge", f"predict {{model}} t.txt --shard 1/{'9' * 5000}", "is not I/N", "2/8")
    bad("seeds", "wrong type", "fit --seeds 1,x", "not a list of whole numbers", "1,2,3")
    bad("seeds", "out of range", "fit --seeds -1", "seeds must be 0 or greater", "--seeds")
    bad("seeds", "duplicated", "fit --seeds 1,1", "--seeds 1,1", "two or more different ones")
    bad("choices", "wrong type", "fit --task poss", "'poss' is not one of 'ner'", "--task")
    bad("choices", "wrong type", "fit --report-to klingon", "'klingon' is not one of", "tensorboard")
    bad("choices", "hostile", f"fit --task {ESC}", "is not one of 'ner'", "--task")
    bad("commands", "missing", "fitt", "There is no command 'fitt'", "Did you mean fit?")
    bad("commands", "hostile", f"{ESC}", "There is no command", "tf-tokclf --help")
    bad("options", "missing", "fit --nothing", "No such option", "--nothing", "fit --help")
    bad("options", "hostile", f"fit --{ESC}", "No such option", "fit --help")
    bad("output", "duplicated", "convert a.conll t.txt", "t.txt: already exists.", "--force")
    bad("output", "duplicated", "predict {model} t.txt -o a.conll", "a.conll: the file exists.", "--force")
    bad("output", "missing", "predict {model} t.txt -o no/out.jsonl", "no: there is no such folder", "Create it first")
    bad("output", "unreadable", "convert a.conll /proc/out.jsonl", "/proc/out.jsonl: cannot be written", "Check")
    bad(
        "output", "unreadable", "convert a.conll /dev/full/out.jsonl", "/dev/full/out.jsonl: cannot be written", "Check"
    )
    bad(
        "output",
        "wrong type",
        "convert --force a.conll d",
        "the format cannot be inferred from the name d",
        "--to",
        d=folder,
    )
    bad(
        "output",
        "wrong type",
        "convert a.conll out.klingon",
        "the format cannot be inferred from the name out.klingon",
        "--to",
    )
    bad(
        "output", "wrong type", "evaluate {model} --file a.conll --output d", "'d' is a directory", "--output", d=folder
    )
    bad("output", "wrong type", "init ner x --output d", "File 'd' is a directory", "--output", d=folder)
    bad("output", "huge", f"convert a.conll {'x' * 300}.jsonl", "cannot be written", "Choose another name")
    bad(
        "output",
        "hostile",
        "fit --train-file {train} --model-name-or-path {encoder} --output-dir t.txt",
        "t.txt: the folder cannot be made: File exists.",
        "Choose another --output-dir",
    )
    bad("input", "huge", f"inspect {'x' * 5000}.conll", "there is no such file", "Check the path")
    bad("input", "huge", f"predict {{model}} {'x' * 5000}", "there is no such file", "Check the path")
    bad("input", "hostile", f"inspect {ESC}.conll", "there is no such file", "Check the path")
    bad("input", "hostile", "inspect package:tf_tokclf/../../../etc/passwd", "leads out of the package", "below")
    bad("input", "missing", "predict {model} nothing.txt", "nothing.txt: there is no such file", "Check the path")
    bad("input", "missing", "inspect", "there is no data to inspect", "Name a file")
    bad("input", "unreadable", "predict {model} d -o out.jsonl", "d: is a folder", "Name a file in it", d=folder)
    bad(
        "input", "unreadable", "predict {model} m.txt -o out.jsonl", "m.txt: cannot be read", "Check", m__txt=unreadable
    )
    bad(
        "input",
        "truncated",
        "predict {model} t.txt.gz -o out.jsonl",
        "damaged or ends early",
        "Fetch it again",
        t__txt__gz=b"\x1f\x8b\x08\x00",
    )
    bad(
        "input",
        "truncated",
        "predict {model} t.txt.zst -o out.jsonl",
        "damaged or ends early",
        "Fetch",
        t__txt__zst=b"\x28\xb5\x2f\xfd\x04",
    )
    bad(
        "input",
        "wrong encoding",
        "predict {model} l.txt -o out.jsonl",
        "l.txt, line 1: byte 0xe9",
        "--on-error keep",
        l__txt=b"\xe9\n",
    )
    bad(
        "input",
        "wrong type",
        "predict {model} p.parquet -o out.parquet",
        "p.parquet: is not a Parquet file",
        "Check",
        p__parquet=b"x",
    )
    bad(
        "input",
        "empty",
        "predict {model} e.parquet -o out.parquet",
        "e.parquet: is not a Parquet file",
        "Check",
        e__parquet=b"",
    )
    bad(
        "journal",
        "wrong type",
        "predict {model} t.txt -o o.jsonl --resume",
        "o.jsonl.journal: cannot be read",
        "--force",
        o__jsonl__journal=b"5",
        o__jsonl__partial=b"x",
    )
    short = b'{"progress": {"n_records": 1, "n_words": 1, "n_bytes": 99, "n_problems": 0}, "identity": {}}'
    bad(
        "journal",
        "truncated",
        "predict {model} t.txt -o o.jsonl --resume",
        "o.jsonl",
        "--force",
        o__jsonl__journal=short,
        o__jsonl__partial=b"x",
    )
    bad(
        "journal",
        "wrong encoding",
        "predict {model} t.txt -o o.jsonl --resume",
        "o.jsonl.journal: cannot be read",
        "--force",
        o__jsonl__journal=b"\xff",
        o__jsonl__partial=b"x",
    )
    bad(
        "journal",
        "duplicated",
        "predict {model} t.txt -o o.jsonl",
        "broken off lies beside it",
        "--resume",
        o__jsonl__journal=short,
        o__jsonl__partial=b"x",
    )
    return cells


def _sweeps() -> list[Cell]:
    """What `fit --sweep` is to try, and the folder that a sweep goes on in."""
    cells: list[Cell] = []
    rate = "optimizer.learning_rate"
    good = f"--sweep {rate}=1e-5,3e-5"

    def bad(fault: str, args: str, *says: str, **files: Content) -> None:
        ready = "fit --train-file {train} --model-name-or-path {encoder} --output-dir o"
        cells.append(Bad("sweeps", fault, files, f"{ready} {args}", says))

    bad("missing", "--sweep", "Option '--sweep' requires an argument")
    bad("missing", f"--sweep {rate}=nothing,1e-5", f"{rate}: 'nothing' is not", "a valid number")
    bad("empty", f"--sweep {rate}=", "is not SECTION.KEY=V,V,...", "such as")
    bad("empty", f"--sweep {rate}=[]", f"{rate} has no values", "cannot be tried")
    bad("truncated", f"--sweep {rate}", "is not SECTION.KEY=V,V,...", "such as")
    bad("truncated", f"--sweep {rate}=[1e-5,", "the values are not valid YAML", "Quote them")
    bad("wrong type", f"--sweep {rate}=fast,slow", f"{rate}: 'fast' is not", "a valid number")
    bad("wrong type", "--sweep training.report_to=[[csv],[wandb]]", "sweep.training.report_to", "is not")
    bad("wrong type", "--sweep training.seed=2024-99-99,1", "the values are not valid YAML", "Quote them")
    bad("wrong type", "--set sweep=5", "sweep: 5 is not", "a mapping")
    bad("wrong type", f"--sweep {rate}=[[1],[2]]", "sweep", "is not")
    bad("wrong encoding", f"--sweep {rate}=\u00b2,1", f"{rate}: '\u00b2' is not", "a valid number")
    bad("wrong length", f"--sweep {rate}=1e-5", "a sweep needs 2 to 10,000 combinations of values, not 1", "Such as")
    bad("out of range", f"--sweep {rate}=1e-5,-1", f"{rate}: -1 is not", "greater than 0")
    bad("out of range", f"--sweep-trials 0 {good}", "sweep_trials: 0 is not", "greater than 0")
    bad("out of range", "--sweep training.seed=1,2", "training.seed is the same in all trials", "--seeds 1,2,3")
    bad("duplicated", f"--sweep {rate}=1e-5,0.00001", f"{rate} has a value twice", "1e-05")
    bad("duplicated", f"{good} --sweep {rate}=5e-5", f"{rate} is given twice", "List its values separated by commas")
    bad("duplicated", f"{good} --seeds 1,2", "--seeds and a sweep cannot be combined", "Sweep first")
    bad("hostile", f"--sweep {ESC}=1,2", "no setting \ufffd]0;owned", "config schema")
    bad("hostile", "--sweep sweep.x=1,2", "no setting sweep.x", "Did you mean sweep?")
    bad("hostile", "--sweep output_dir=a,b", "output_dir is the same in all trials", "each trial has a folder")
    bad("hostile", f"--sweep {rate}={'[' * 3000}", "the values are not valid YAML", "Quote them")
    bad("hostile", f"--sweep {rate}=!!python/object/apply:os.system,1", "the values are not valid YAML", "Quote them")
    many = ",".join(str(one) for one in range(1, 102))
    huge = f"--sweep training.num_train_epochs={many} --sweep training.logging_steps={many}"
    bad("huge", huge, "2 to 10,000 combinations of values, not 10,201", "Such as")
    bad("huge", f"--sweep training.num_train_epochs=1,{'9' * 5000}", "the values are not valid YAML", "Quote them")

    def begun(content: Content) -> dict[str, Content]:
        return {"o": folder, "o/config.yaml": b"task: ner\noutput_dir: o\n", "o/sweep.db": content}

    says = ("o/sweep.db: the sweep's data base cannot be used", "start the sweep again")
    bad("unreadable", f"{good} --resume", *says, **begun(unreadable))
    bad("truncated", f"{good} --resume", *says, **begun(PNG))
    return cells


def _exports() -> list[Cell]:
    """What `export` is to write, and what it is to be compared on."""
    cells: list[Cell] = []

    def bad(fault: str, args: str, *says: str, **files: Content) -> None:
        there = {name.replace("__", "."): content for name, content in files.items()}
        cells.append(Bad("exports", fault, {"a.conll": b"ada\tB-PER\n", **there}, f"export {args}", says))

    def no(fault: str, why: str) -> None:
        cells.append(Impossible("exports", fault, why))

    to = "--file a.conll --output x"
    bad("missing", f"{{model}} {to}", "Missing option '--format'", "savedmodel")
    bad("missing", "{model} --format onnx --file a.conll", "Missing option '--output'")
    bad("missing", f"./nothing --format onnx {to}", "there is no model folder ./nothing", "Give a folder")
    bad("missing", "{model} --format savedmodel --output x", "not a run", "--file")
    bad("missing", "{model} --format savedmodel --output x --file b.conll", "b.conll: there is no such file", "Beside")
    bad(
        "empty",
        "{model} --format savedmodel --output x --file e.conll",
        "e.conll: contains no words",
        "One word per line",
        e__conll=b"",
    )
    bad(
        "truncated",
        "{model} --format savedmodel --output x --file b.conll",
        "b.conll, line 2: 1 where 2",
        "Correct",
        b__conll=b"ada\tO\nbob",
    )
    bad("wrong type", f"{{model}} --format klingon {to}", "'klingon' is not one of", "onnx")
    bad("wrong type", f"{{model}} --format savedmodel --quantize int8 {to}", "no quantisation int8", "There is none")
    bad("wrong type", f"m --format savedmodel {to}", "m has no config.json", "A model folder needs one", m=folder)
    bad(
        "wrong encoding",
        "{model} --format savedmodel --output x --file b.conll",
        "b.conll, line 1: byte 0xe9",
        "encoding",
        b__conll=b"Jos\xe9\tO\n",
    )
    no("wrong length", "its options are single values")
    bad("out of range", f"{{model}} --format onnx --max-sentences 0 {to}", "0 is not in the range x>=1", "--max-sent")
    bad("out of range", f"{{model}} --format onnx --file-format klingon {to}", "no format 'klingon'", "Known are")
    bad("duplicated", f"{{model}} --format onnx {to}", "x: already exists.", "--force", x=folder)
    bad(
        "duplicated",
        f"{{model}} --format onnx {to} --force",
        "x: is not an export, so it is not replaced",
        "Choose another",
        x=b"mine",
    )
    bad("hostile", f"{{model}} --format {ESC} {to}", "is not one of 'savedmodel'", "--format")
    bad("hostile", f"package:tf_tokclf/../../etc --format onnx {to}", "leads out of the package", "below")
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


def _servers() -> list[Cell]:
    """How `serve` is started."""
    cells: list[Cell] = []

    def bad(fault: str, args: str, *says: str, **files: Content) -> None:
        cells.append(Bad("servers", fault, files, f"serve {args}", says))

    def no(fault: str, why: str) -> None:
        cells.append(Impossible("servers", fault, why))

    bad("missing", "", "Missing argument 'MODEL'")
    bad("missing", "./nothing --port 0", "there is no model folder ./nothing", "Give a folder")
    bad("missing", "{model} --host nowhere.invalid", "there is no host 'nowhere.invalid'", "--host")
    bad("missing", "{model} --host 0.0.0.0 --port 0", "a server at 0.0.0.0 needs to know", "Add --allowed-host")
    bad("empty", "{model} --port 0 --allowed-host ''", "is not the name of a host", "Give the name alone")
    bad("empty", "m --port 0", "m has no config.json", "A model folder needs one", m=folder)
    bad("truncated", "m --port 0", "model.safetensors: is damaged", "Fetch", m=model(cut("model.safetensors", 100)))
    bad("wrong type", "{model} --port http", "'http' is not a valid integer", "--port")
    bad("wrong type", "{model} --timeout-s soon", "'soon' is not a valid float", "--timeout-s")
    bad("wrong type", "m --port 0", "m: is a file", "Name the folder that it is in", m=b"no folder")
    bad("wrong encoding", "{model} --port \u00b2", "is not a valid integer", "--port")
    no("wrong length", "its options are single values")
    bad("out of range", "{model} --port 65536", "65536 is not in the range 0<=x<=65535", "--port")
    numbers = ("--max-batch-texts", "--max-waiting-texts", "--max-body-bytes", "--max-texts", "--max-length")
    for option in (*numbers, "--max-connections"):
        bad("out of range", f"{{model}} --port 0 {option} 0", "0 is not in the range x>=1", option)
    bad("out of range", "{model} --port 0 --max-wait-ms -1", "-1.0 is not in the range 0<=x<=60000", "--max-wait-ms")
    for option in ("--timeout-s", "--headers-timeout-s", "--keep-alive-s"):
        bad("out of range", f"{{model}} --port 0 {option} 0", "0.0 is not in the range 0<x<=86400", option)
        bad("out of range", f"{{model}} --port 0 {option} nan", "nan", option)
    bad("out of range", "{model} --port 0 --max-wait-ms nan", "nan", "--max-wait-ms")
    bad("out of range", "{model} --port 0 --max-texts 2000", "1,024 texts may wait", "Raise --max-waiting-texts")
    no("duplicated", "a port that is taken: see tests/serving")
    bad("hostile", f"{{model}} --host {ESC}", "there is no host", "--host")
    bad("hostile", f"{{model}} --host {'a' * 64}.org", "there is no host", "--host")
    for name in ("http://ner.example.org/", "ner.example.org:80", f"a{ESC}", "ner example"):
        bad("hostile", f"{{model}} --allowed-host '{name}'", "is not the name of a host", "Give the name alone")
    bad("hostile", "package:tf_tokclf/../../etc --port 0", "leads out of the package", "below")
    bad("huge", f"{{model}} --host {'x' * 5000}", "there is no host", "--host")
    bad("huge", "{model} --port 0 --timeout-s inf", "inf", "--timeout-s")
    bad("huge", "{model} --port 0 --timeout-s 1e300", "--timeout-s")
    bad("huge", "{model} --port 0 --max-wait-ms 1e300", "--max-wait-ms")
    bad("unreadable", "m --port 0", "m", "Fetch", m=model(in_place_of("config.json", unreadable)))
    return cells


CELLS: tuple[Cell, ...] = (
    *_readers(),
    *_predictions(),
    *_configurations(),
    *_models(),
    *_checkpoints(),
    *_finished_runs(),
    *_options(),
    *_sweeps(),
    *_exports(),
    *_servers(),
)
BAD = tuple(cell for cell in CELLS if isinstance(cell, Bad))
IMPOSSIBLE = tuple(cell for cell in CELLS if isinstance(cell, Impossible))
