"""Labelled data that cannot be read."""

from __future__ import annotations

import json

from tests.reliability.bad_inputs.cells import (
    CONLLU,
    DEEP,
    ESC,
    GOOD,
    PNG,
    SPANS,
    TAGGED,
    WIDE,
    Bad,
    Cell,
    Content,
    Impossible,
    folder,
    json_lines,
    loop,
    parquet,
    unix_socket,
    unreadable,
)


def readers() -> list[Cell]:
    """Labelled data in each format, read by `convert`."""
    cells: list[Cell] = []

    def bad(fault: str, content: Content | None, *says: str, options: str = "", name: str | None = None) -> None:
        files = {} if content is None else {name or file: content}
        cells.append(Bad(subject, fault, files, f"convert {options} {file} out.{ending}", says))

    def no(fault: str, why: str) -> None:
        cells.append(Impossible(subject, fault, why))

    twice = "data may contain duplicates; inspect counts them"
    bytes_only = "its text is always UTF-8; anything else is damage: see wrong type"

    subject, file, ending = "conll", "a.conll", "jsonl"
    bad("missing", GOOD, "a.conll: there is no such file.", "The folder contains: b.conll.", name="b.conll")
    bad("empty", b"", "a.conll: contains no words.", "one word per line")
    bad("truncated", GOOD + b"Bob", "a.conll, line 4: the line has 1 column instead of 2: 'Bob'.", "Correct the line")
    bad("wrong type", PNG + GOOD, "a.conll, line 1: the line has 1 column instead of 2", "Correct the line")
    bad("wrong encoding", GOOD + b"Jos\xe9\tB-PER\n", "a.conll, line 4: byte 0xe9 is not valid utf-8", "latin-1")
    bad("wrong encoding", GOOD, "no encoding named 'klingon'", "Use a Python encoding", options="--encoding klingon")
    bad("wrong encoding", GOOD, "a.conll: ", "'hex'", "Use a Python encoding", options="--encoding hex")
    bad(
        "wrong length",
        GOOD + b"Bob\tB-PER\tx\n",
        "a.conll, line 4: the line has 3 columns instead of 2",
        "Correct the line",
    )
    bad("out of range", GOOD, "a.conll: there is no column 9.", "0 to 1", options="--label-column-name 9")
    bad("out of range", GOOD, "there is no column '\u00b2'", "0 to 1", options="--label-column-name \u00b2")
    bad("out of range", GOOD, "there is no column '--1'", "0 to 1", options="--label-column-name=--1")
    bad("out of range", GOOD, "a.conll: there is no layer -3.", "The layers are 0", options="--layer=-3")
    no("duplicated", twice)
    bad(
        "hostile", GOOD + f"{ESC}\n".encode(), "a.conll, line 4: the line has 1 column instead of 2", "Correct the line"
    )
    bad("huge", GOOD + WIDE, "a.conll, line 4: the line has 1 column instead of 2", "Correct the line")
    bad("unreadable", unreadable, "a.conll: cannot be read: ", "Check")
    bad("unreadable", folder, "a.conll: is a folder of no known format.", "Name a file in it")
    bad("unreadable", unix_socket, "a.conll: cannot be read: ", "Check")
    bad("unreadable", loop, "a.conll: is a link to a file that does not exist.", "Check the link's target")

    subject, file = "conllu", "a.conllu"
    bad("missing", None, "a.conllu: there is no such file.", "Check the path.")
    bad("empty", b"\n", "a.conllu: contains no sentences", "ten columns")
    bad(
        "truncated",
        CONLLU + CONLLU[:9],
        "a.conllu, line 3: the line has 4 columns instead of 10",
        "choose the format conll",
    )
    bad(
        "wrong type",
        CONLLU + b"\x00\x01\x02\n",
        "a.conllu, line 3: the line has 1 column instead of 10",
        "choose the format conll",
    )
    bad(
        "wrong type",
        CONLLU + CONLLU.replace(b"1\t", b"x\t", 1),
        "a.conllu, line 3: is not valid CoNLL-U",
        "Correct this line",
    )
    bad("wrong encoding", CONLLU + CONLLU.replace(b"Ada", b"Jos\xe9"), "a.conllu, line 3: byte 0xe9", "encoding")
    bad(
        "wrong length",
        CONLLU + b"1\ta\t_\tX\t_\t_\t0\t_\t_\n",
        "a.conllu, line 3: the line has 9 columns instead of 10",
        "choose the format",
    )
    bad("out of range", CONLLU, "a.conllu: there is no field 11.", "The fields", options="--label-column-name 11")
    bad("duplicated", CONLLU, "no field 'form.x'", "misc.KEY", options="--label-column-name form.x")
    bad(
        "hostile",
        CONLLU + f"{ESC}\n".encode(),
        "a.conllu, line 3: the line has 1 column instead of 10",
        "choose the format conll",
    )
    bad("huge", CONLLU + WIDE, "a.conllu, line 3: the line has 1 column instead of 10", "choose the format conll")
    bad("huge", CONLLU + b"9" * 5000 + CONLLU[1:], "a.conllu, line 3: is not valid CoNLL-U", "Correct this line")
    bad("unreadable", unreadable, "a.conllu: cannot be read: ", "Check")
    bad("unreadable", folder, "a.conllu: is a folder", "Name a file in it")

    subject, file = "jsonl", "a.jsonl"
    good = json_lines(TAGGED)
    bad("missing", None, "a.jsonl: there is no such file.", "Check the path.")
    bad("empty", b"\n\n", "a.jsonl: contains no records.", "Write one JSON object per line")
    bad("truncated", good + good[:20], "a.jsonl, line 2: is not valid JSON", "Write one JSON object per line")
    bad("wrong type", good + b"[1, 2]\n", "a.jsonl, line 2: is not a JSON object", "named fields")
    bad("wrong type", good + json_lines({**TAGGED, "tokens": "Ada, B-PER"}), "a.jsonl, line 2: 2 words", "exactly one")
    bad(
        "wrong type",
        good + json_lines({**TAGGED, "tokens": {"a": 1}}),
        "a.jsonl, line 2: 'tokens' is not a list",
        "one item per word",
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
    bad("out of range", numbered, "column 4", "The columns are", options="--label-column-name 4")
    no("duplicated", twice + "; of duplicate fields in a record, JSON keeps the last")
    bad("hostile", good + f"{ESC}\n".encode(), "a.jsonl, line 2: is not valid JSON", "Write one JSON object per line")
    bad("hostile", good + DEEP + b"\n", "a.jsonl, line 2: is not valid JSON", "Write one JSON object per line")
    bad("hostile", DEEP + b"\n", "a.jsonl: is not valid JSON", "Correct the file")
    literal = json_lines({"tokens": "[{[]: 1}]", "ner_tags": "[O]"})
    bad("hostile", good + literal, "a.jsonl, line 2: 'tokens' is not a list", "Write it as a JSON list")
    nested = json_lines({"tokens": "[" * 3000 + "]" * 3000, "ner_tags": ["O"]})
    bad("hostile", good + nested, "a.jsonl, line 2: 'tokens' is not a list", "Write it as a JSON list")
    bad(
        "huge",
        good + b'{"tokens": ["' + WIDE + b"\n",
        "a.jsonl, line 2: is not valid JSON",
        "Write one JSON object per line",
    )
    number = b'{"tokens": [' + b"9" * 5000 + b'], "ner_tags": ["O"]}\n'
    bad("huge", good + number, "a.jsonl, line 2: is not valid JSON", "Write one JSON object per line")
    bad("unreadable", unreadable, "a.jsonl: cannot be read: ", "Check")
    bad("unreadable", folder, "a.jsonl: is a folder", "Name a file in it")

    subject, file = "json list", "a.json"
    listed = json.dumps([TAGGED, TAGGED], indent=1).encode()
    bad("missing", None, "a.json: there is no such file.", "Check the path.")
    bad("empty", b"[]", "a.json: contains no records.", "Write one JSON object per line")
    bad("truncated", listed[:50], "a.json, line ", "is not valid JSON", "Correct the file")
    bad("wrong type", b"5", "a.json: is not a list of records", "Write one record per line")
    bad("wrong type", b"[5]", "a.json, row 1: is not a JSON object", "named fields")
    bad("wrong encoding", listed.replace(b"Ada", b"Jos\xe9"), "a.json, line 4: byte 0xe9", "encoding")
    bad("wrong length", json.dumps([TAGGED, {**TAGGED, "tokens": []}]).encode(), "a.json, row 2: 0 words", "exactly")
    bad("out of range", listed, "no column 4", "The columns are", options="--text-column-name 4")
    no("duplicated", twice)
    bad("hostile", b"[\n" + DEEP, "a.json: is not valid JSON", "Correct the file")
    bad("huge", b"[\n" + b"9" * 5000 + b"]", "a.json: is not valid JSON", "Correct the file")
    bad("unreadable", unreadable, "a.json: cannot be read: ", "Check")

    subject, file = "character spans", "s.jsonl"
    good = json_lines(SPANS)

    def spans(*changed: object) -> bytes:
        return good + json_lines({**SPANS, "entities": list(changed)})

    bad(
        "missing",
        good + json_lines({"entities": []}),
        "s.jsonl, line 2: there is no text in 'text'",
        "The fields are entities",
    )
    bad(
        "empty",
        spans([3, 3, "PER"]),
        "s.jsonl, line 2: the span PER (3 to 3) is not valid in a text",
        "Check the offsets",
    )
    bad(
        "truncated",
        spans([0, 2, "PER"]),
        "s.jsonl, line 2: the span PER 'Ad' (0 to 2) begins or ends inside a word",
        "set a policy for such spans",
    )
    bad(
        "wrong type",
        spans([0, "3", "PER"]),
        "s.jsonl, line 2: ",
        "is not a span",
        "A span needs a start, an end and a type",
    )
    bad("wrong type", spans(7), "s.jsonl, line 2: '7' is not a span", "Write it as [start, end, type]")
    bad(
        "wrong type",
        spans([0, 3, ["PER"]]),
        "s.jsonl, line 2: ",
        "is not a span",
        "A span needs a start, an end and a type",
    )
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
    bad("wrong length", spans([0, 3]), "s.jsonl, line 2: ", "is not a span", "Write it as [start, end, type]")
    bad(
        "out of range",
        spans([0, 99, "PER"]),
        "s.jsonl, line 2: the span PER (0 to 99) is not valid in a text of 10",
        "Check",
    )
    bad(
        "out of range",
        spans([-3, 3, "PER"]),
        "s.jsonl, line 2: the span PER (-3 to 3) is not valid in a text",
        "Check the offsets",
    )
    bad("out of range", good, "there is no layer -1", "0 (outermost)", options="--layer=-1")
    no("duplicated", "a span given twice is read once, and counted")
    bad(
        "duplicated",
        spans([0, 3, "PER"], [0, 10, "ORG"]),
        "s.jsonl, line 2: the spans",
        "Read one layer of nested spans",
    )
    bad("hostile", spans([0, 2, ESC]), "s.jsonl, line 2: the span", "set a policy for such spans")
    bad("huge", spans([0, 10**30, "PER"]), "s.jsonl, line 2: the span PER (0 to 1000", "Check the offsets")
    no("unreadable", "spans are in a file: see jsonl")

    subject, file = "annotation tools", "t.json"
    task = {
        "data": {"text": "Ada"},
        "annotations": [{"result": [{"value": {"start": 0, "end": 3, "labels": ["PER"]}}]}],
    }

    def tasks(**changed: object) -> bytes:
        return json.dumps([task, {**task, **changed}]).encode()

    bad("missing", tasks(data={}), "t.json, row 2: there is no text in 'data'", "It contains no fields")
    bad("empty", b'{"data": []}', "t.json: contains no records", "Write one JSON object per line")
    bad("truncated", tasks()[:60], "t.json, line 1: is not valid JSON", "Correct the file")
    bad("wrong type", tasks(annotations=[5]), "t.json, row 2: ", "not an annotation", "Label Studio")
    bad("wrong type", tasks(annotations={"a": 1}), "t.json, row 2: ", "not an annotation", "Label Studio")
    bad("wrong type", tasks(annotations=[{"result": 5}]), "t.json, row 2: ", "not an annotation", "Label Studio")
    bad(
        "wrong type",
        tasks(annotations=[{"result": [{"value": 7}]}]),
        "t.json, row 2: ",
        "not an annotation",
        "Label Studio",
    )
    no("wrong encoding", "it is JSON: see jsonl")
    odd = [{"text": "Ada", "spans": [], "tokens": [{"start": 0, "end": "3", "text": "Ada"}]}]
    bad(
        "wrong length",
        json.dumps(odd).encode(),
        "t.json, row 1: ",
        "tokens",
        "Correct the field 'tokens'",
        options="--from prodigy",
    )
    far = [{"result": [{"value": {"start": 0, "end": 9, "labels": ["PER"]}}]}]
    bad(
        "out of range",
        tasks(annotations=far),
        "t.json, row 2: the span PER (0 to 9) is not valid in a text",
        "Check the offsets",
    )
    no("duplicated", "of several annotations of a task, the first that was not cancelled is read")
    there = [{"text": "Ada", "spans": [], "tokens": [{"start": 0, "end": 3, "text": ESC}]}]
    bad(
        "hostile",
        json.dumps(there).encode(),
        "t.json, row 1: the token from 0",
        "Correct the field",
        options="--from prodigy",
    )
    no("huge", "it is JSON: see jsonl")
    no("unreadable", "it is JSON: see jsonl")

    subject, file = "csv", "a.csv"
    good = b"tokens,ner_tags\nAda smiled,B-PER O\n"
    bad("missing", None, "a.csv: there is no such file.", "Check the path.")
    bad("empty", b"\n", "a.csv: contains no rows.", "a header and rows")
    bad("truncated", good + b"Bob", "a.csv, line 3: the row has 1 field instead of 2", "Quote fields")
    bad("wrong type", PNG, "a.csv: none of the columns \ufffdPNG", "--text-column-name")
    bad("wrong encoding", good + b"Jos\xe9,B-PER\n", "a.csv, line 3: byte 0xe9", "encoding")
    bad("wrong length", good + b"Ada,B-PER,x\n", "a.csv, line 3: the row has 3 fields instead of 2", "Quote fields")
    bad("wrong length", good + b"Ada smiled,O\n", "a.csv, line 3: 2 words", "exactly one")
    bad("out of range", good, "a.csv: there is no column 9.", "The columns are", options="--text-column-name 9")
    bad("out of range", good, "separator", "one character", options="--separator ::")
    no("duplicated", twice)
    bad("hostile", good + f"{ESC},O,x\n".encode(), "a.csv, line 3: the row has 3 fields instead of 2", "Quote fields")
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
    bad("wrong type", parquet(tokens=[1.5], ner_tags=["O"]), "a.parquet, row 1: ", "A list with one item per word")
    no("wrong encoding", bytes_only)
    uneven = parquet(tokens=[["Ada"], ["Bob"]], ner_tags=[["B-PER"], []])
    bad("wrong length", uneven, "a.parquet, row 2: 1 word", "exactly one")
    bad("out of range", good, "a.parquet: there is no column 9.", "The columns", options="--text-column-name 9")
    no("duplicated", twice)
    odd = parquet(tokens=[["Ada"], ["Bob"]], ner_tags=[["B-PER"], [ESC, ESC]])
    bad("hostile", odd, "a.parquet, row 2: 1 word", "exactly one")
    no("huge", "rows are read in batches; files larger than memory are in the tests of scale")
    bad("unreadable", unreadable, "a.parquet: ", "Check")
    bad("unreadable", folder, "a.parquet: is a folder", "Name a file in it")

    subject, file = "brat", "d"
    text, marks = b"Ada smiled\n", b"T1\tPER 0 3\tAda\n"

    def brat(fault: str, text: Content | None, marks: Content | None, *says: str, options: str = "") -> None:
        files: dict[str, Content] = {"d": folder}
        files |= {name: c for name, c in (("d/x.txt", text), ("d/x.ann", marks)) if c is not None}
        cells.append(Bad(subject, fault, files, f"convert --from brat {options} d out.conll", says))

    brat("missing", None, marks, "x.txt: there is no such file", "The folder contains")
    brat("missing", None, None, "d: contains no .ann files", "brat writes")
    brat("empty", b"", marks, "the span PER (0 to 3) is not valid in a text of 0", "Check the offsets")
    brat("truncated", text, b"T1\tPER 0", "x.ann, line 1: is not an annotation", "T1<TAB>TYPE START END")
    brat("wrong type", text, b"T1\tPER a b\tAda\n", "x.ann, line 1: is not an annotation", "The form is")
    brat("wrong encoding", b"Jos\xe9\n", marks, "x.txt, line 1: byte 0xe9", "encoding")
    brat("wrong encoding", text, b"T1\tPER 0 3\tJos\xe9\n", "x.ann, line 1: byte 0xe9", "encoding")
    brat("wrong length", text, b"T1\tPER 0 3\tGrace\n", "x.txt, line 1: the span PER at 0 to 3", "Check the offsets")
    brat("out of range", text, b"T1\tPER 0 99\tAda\n", "PER (0 to 99) is not valid in a text", "Check the offsets")
    brat(
        "duplicated",
        text,
        marks + b"T2\tORG 0 10\tAda smiled\n",
        "x.txt, line 1: the spans",
        "Read one layer of nested spans",
    )
    brat("hostile", text, f"T1{ESC}\n".encode(), "x.ann, line 1: is not an annotation", "The form is")
    brat("huge", text, b"T1\tPER 0 " + b"9" * 5000 + b"\tAda\n", "x.ann, line 1: is not an annotation", "The form is")
    brat("unreadable", unreadable, marks, "x.txt: cannot be read", "Check")
    brat("unreadable", text, folder, "x.ann: is a folder", "Name a file in it")

    subject = "parallel"

    def pair(fault: str, words: Content | None, labels: Content | None, *says: str, options: str = "") -> None:
        files: dict[str, Content] = {"p": folder}
        files |= {name: c for name, c in (("p/seq.in", words), ("p/seq.out", labels)) if c is not None}
        cells.append(Bad(subject, fault, files, f"convert --from parallel {options} p out.conll", says))

    pair("missing", None, b"O\n", "seq.in: there is no such file", "The folder contains")
    pair("empty", b"", b"", "no sentences", "It was read as parallel")
    pair("truncated", b"Ada\nBob\n", b"B-PER\n", "seq.in, line 2: 1 word, but 0 labels", "exactly one")
    no("wrong type", "any text can be read as words")
    pair("wrong encoding", b"Jos\xe9\n", b"O\n", "seq.in, line 1: byte 0xe9", "encoding")
    pair("wrong encoding", b"Jo\n", b"\xe9\n", "seq.out, line 1: byte 0xe9", "encoding")
    pair("wrong length", b"Ada smiled\n", b"O\n", "seq.in, line 1: 2 words, but 1 label", "exactly one")
    no("out of range", "the format has neither column numbers nor offsets")
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
    no("wrong length", "words and labels cannot differ in number there")
    no("out of range", "the file is compressed: see wrong type")
    no("duplicated", twice)
    no("hostile", "see wrong type; texts are then treated as in jsonl")
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

    many("missing", {"x.bin": b"1"}, "f: is a folder of no known format", "It contains x.bin")
    many("empty", {}, "f: is a folder of no known format", "It contains nothing")
    many("truncated", {"a.conll": GOOD, "b.conll": b"Bob\n"}, "b.conll: there is no column 1", "The columns are 0 to 0")
    many(
        "wrong type",
        {"a.conll": GOOD, "b.csv": b"a,b\n"},
        "f: contains files with different suffixes",
        "Name one of the files",
    )
    many("wrong encoding", {"a.conll": GOOD, "b.conll": b"Jos\xe9\tO\n"}, "b.conll, line 1: byte 0xe9", "encoding")
    no("wrong length", "a file may have more columns than the first one")
    no("out of range", "see its files")
    many("duplicated", {"train.conll": GOOD, "test.conll": GOOD}, "f: contains several splits", "--dataset-name")
    many("hostile", {f"{ESC.replace('/', '')}.xyz": GOOD}, "f: is a folder of no known format", "Name a file")
    no("huge", "files are read one after the other")
    many("unreadable", {"a.conll": GOOD, "b.conll": unreadable}, "b.conll: cannot be read", "Check")
    return cells
