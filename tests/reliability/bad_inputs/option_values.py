"""Options with invalid values."""

from __future__ import annotations

from tests.reliability.bad_inputs.cells import ESC, GOOD, Cell, Cells, folder, unreadable


def options() -> list[Cell]:
    """Options whose values are checked by Click or by the command, and invalid outputs."""
    cells = Cells(a__conll=GOOD, t__txt=b"ada\n")
    bad = cells.bad
    bad("numbers", "wrong type", "fit --num-train-epochs many", "'many' is not a valid integer", "--num-train-epochs")
    bad("numbers", "out of range", "predict {model} t.txt --top-k -1", "-1 is not in the range x>=0", "--top-k")
    bad("numbers", "out of range", "predict {model} t.txt --threshold 1.5", "1.5 is not in the range", "--threshold")
    bad("numbers", "out of range", "predict {model} t.txt --look-ahead 0", "0 is not in the range x>=1", "--look-ahead")
    bad("numbers", "out of range", "compare a.conll a.conll --samples 0", "0 is not in the range", "--samples")
    bad("numbers", "out of range", "inspect a.conll --examples -1", "-1 is not in the range", "--examples")
    bad("numbers", "missing", "fit --seed", "--seed: the value is missing. Give it a value.")
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
    run = "fit --train-file {train} --model-name-or-path {encoder} --output-dir o"
    bad("seeds", "duplicated", f"{run} --seeds 1,1", "--seeds 1,1", "two or more different seeds")
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
        "t.txt: the folder cannot be created: File exists.",
        "Choose another --output-dir",
    )
    bad("input", "huge", f"inspect {'x' * 5000}.conll", "there is no such file", "Check the path")
    bad("input", "huge", f"predict {{model}} {'x' * 5000}", "there is no such file", "Check the path")
    bad("input", "hostile", f"inspect {ESC}.conll", "there is no such file", "Check the path")
    bad("input", "hostile", "inspect package:tf_tokclf/../../../etc/passwd", "leads out of the package", "inside")
    bad("input", "missing", "predict {model} nothing.txt", "nothing.txt: there is no such file", "Check the path")
    bad("input", "missing", "inspect", "no data to inspect", "Name a file")
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
        "unfinished output of an interrupted job",
        "--resume",
        o__jsonl__journal=short,
        o__jsonl__partial=b"x",
    )
    return cells
