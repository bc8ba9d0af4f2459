"""redact: nothing that was found survives, everything else stays byte for byte, and the map restores the original."""

from __future__ import annotations

import csv
import gzip
import io
import json
import stat
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redacting.fake_tagger import PEOPLE, PLACES, KillAfter, Killed, fake_tagger, redacted
from tf_tokclf.errors import UserError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.redacting.kept_records import OtherColumns
from tf_tokclf.redacting.restoration_map import restore
from tf_tokclf.redacting.rules import Rules, read_rules

NAMES = sorted(PEOPLE | PLACES)
WORDS = st.sampled_from(
    [
        *NAMES,
        "Ada",
        "LONDON",
        "x",
        "left",
        ".",
        "[PER_1]",
        "[LOC_2]",
        '"',
        ",",
        "\\",
        "é",
        "e\u0301",
        "👩‍🚀",
        "\u2028",
        "\t",
    ]
)
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)
WAYS: tuple[dict[str, Any], ...] = (
    {"way": "number"},
    {"way": "number", "scope": "corpus"},
    {"way": "mask"},
    {"way": "hash", "key": b"0123456789abcdef"},
    {"way": "delete"},
    {"way": "faker", "locale": "de_DE"},
)


@pytest.fixture(scope="module")
def tagger(tiny_classifier: Path) -> Tagger:
    return fake_tagger(Tagger.load(tiny_classifier))


def check(tagger: Tagger, model: Path, name: str, content: bytes, **options: Any) -> bytes:
    """Redact, check that the map restores the original and that a kill changes nothing, and return the result."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, output, map_path, back = (folder / f"{one}-{name}" for one in ("in", "out", "map", "back"))
        source.write_bytes(content)
        redacted(tagger, model, source, output, map_path=map_path, **options)
        assert stat.S_IMODE(map_path.stat().st_mode) == 0o600
        restore(map_path, output, back)
        assert back.read_bytes() == content
        once = output.read_bytes(), map_path.read_bytes()
        for n_blocks in (1, 3):
            try:
                watcher = KillAfter(n_blocks)
                redacted(tagger, model, source, output, map_path=map_path, force=True, watcher=watcher, **options)
            except Killed:
                redacted(tagger, model, source, output, map_path=map_path, resume=True, **options)
            assert (output.read_bytes(), map_path.read_bytes()) == once
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            path.name for path in (source, output, map_path, back)
        )
        return once[0]


def without_names(text: str, *, new: str = "\0") -> list[str]:
    """The parts of a text between the words that the fake tagger finds."""
    from tf_tokclf.labels.word_splitting import split_words

    parts, at, open_at = [], 0, None
    last = "O"
    for start, end in split_words(text):
        word = text[start:end].lower()
        kind = "PER" if word in PEOPLE else "LOC" if word in PLACES else "O"
        if kind != last or kind == "O":
            if open_at is not None:
                at, open_at = open_at, None
            if kind != "O":
                parts.append(text[at:start])
        if kind != "O":
            open_at = end
        last = kind
    return [*parts, text[open_at if open_at is not None else at :]]


@settings(max_examples=15)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values()))[:14])
@given(lines=st.lists(TEXTS, max_size=7), ends=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), mark=st.booleans())
def test_texts(
    tagger: Tagger, tiny_classifier: Path, way: dict[str, Any], lines: list[str], ends: str, last: bool, mark: bool
):
    text = ends.join(lines) + (ends if last and lines else "")
    content = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    found = check(tagger, tiny_classifier, "x.txt", content, **way)
    assert found.startswith(b"\xef\xbb\xbf") == mark
    result = found.decode("utf-8-sig").split("\n")
    assert len(result) == len(text.split("\n"))
    for before, after in zip(text.split("\n"), result):
        kept = without_names(before)
        if way["way"] == "delete":
            assert after == "".join(kept)
            continue
        at = 0
        for i, part in enumerate(kept):
            place = after.find(part, at) if i < len(kept) - 1 else len(after) - len(part)
            assert (place == 0) if i == 0 and len(kept) > 1 else place >= at
            assert after[place : place + len(part)] == part
            at = place + len(part)
        if way["way"] == "mask":
            assert len(after) == sum(map(len, kept)) + len("[PER]") * (len(kept) - 1)


@given(
    records=st.lists(st.tuples(TEXTS, st.booleans(), st.sampled_from([None, "a", "b"])), max_size=7),
    gap=st.sampled_from(["", "\n", " \n"]),
)
def test_json_keeps_how_it_is_written(tagger: Tagger, tiny_classifier: Path, records: list[Any], gap: str):
    lines = []
    for text, ascii_, document in records:
        extra = {"document": document} if document else {}
        row = json.dumps({"n": 1.50, **extra, "text": text, "z": [True]}, ensure_ascii=ascii_, indent=None)
        lines.append(row.replace('"n": 1.5', '"n" :1.50') + "\n" + gap)
    columns = OtherColumns(kept=frozenset({"document"}))
    found = check(tagger, tiny_classifier, "x.jsonl", "".join(lines).encode(), way="delete", others=columns)
    result = [line for line in found.decode().split("\n") if line.strip()]
    assert len(result) == len(records)
    for line, (text, ascii_, _) in zip(result, records):
        assert line.startswith('{"n" :1.50')
        assert json.loads(line)["text"] == "".join(without_names(text))
        assert line.isascii() or not ascii_
    assert found.count(b"\n") == "".join(lines).count("\n")


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(TEXTS, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])), max_size=6))
def test_csv_keeps_its_quotes(tagger: Tagger, tiny_classifier: Path, rows: list[tuple[str, Any]]):
    buffer = io.StringIO()
    buffer.write("id,text\r\n")
    for text, quoting in rows:
        csv.writer(buffer, quoting=quoting).writerow([7, text])
    content = buffer.getvalue().encode()
    for way in ("delete", "faker"):
        found = check(tagger, tiny_classifier, "x.csv", content, way=way).decode()
        result = list(csv.reader(io.StringIO(found, newline="")))
        assert len(result) == len(rows) + 1
        if way == "delete":
            assert [row[1] for row in result[1:]] == ["".join(without_names(text)) for text, _ in rows]
        assert [row[0] for row in result[1:]] == ["7"] * len(rows)
    if rows and rows[0][1] == csv.QUOTE_ALL:
        assert found.split("\r\n")[1].startswith('"7","')


@pytest.mark.parametrize("way", ["number", "mask"])
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl", "x.parquet"])
def test_what_was_redacted_can_be_redacted_again(
    tagger: Tagger, tiny_classifier: Path, tmp_path: Path, name: str, way: str
):
    """All that is left of the texts looks like lists: [PER_1], [LOC]."""
    texts = ["Ada", "Oslo", "Grace"]
    first, second, third = (tmp_path / f"{part}-{name}" for part in "abc")
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"id": [1, 2, 3], "text": texts}), first)
    elif name.endswith(".jsonl"):
        first.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        first.write_text("\n".join(texts if name.endswith(".txt") else ["text", *texts]) + "\n")
    redacted(tagger, tiny_classifier, first, second, way=way, map_path=tmp_path / "map")
    done = redacted(tagger, tiny_classifier, second, third, way=way, map_path=tmp_path / "map2")
    assert (done.n_records, done.counts) == (3, {})
    restore(tmp_path / "map2", third, tmp_path / f"d-{name}")
    restore(tmp_path / "map", tmp_path / f"d-{name}", tmp_path / f"e-{name}")
    if name.endswith(".parquet"):
        assert pq.read_table(tmp_path / f"e-{name}").equals(pq.read_table(first))
    else:
        assert third.read_bytes() == second.read_bytes() != first.read_bytes()
        assert (tmp_path / f"e-{name}").read_bytes() == first.read_bytes()


def test_a_named_column_is_a_text_although_it_looks_like_lists(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    content = "text\n\"[' Ada left', 'x']\"\n\"[' x Oslo ', 'y']\"\n"
    with pytest.raises(UserError, match=r"has words in its rows.* name its column with --text-column-name"):
        run(tagger, tiny_classifier, tmp_path, "x.csv", content)
    found = run(tagger, tiny_classifier, tmp_path, "x.csv", content, reading={"text_column_name": "text"})
    assert found == content.replace("Ada", "[PER_1]").replace("Oslo", "[LOC_1]")


def test_a_row_does_not_become_a_blank_line(tagger: Tagger, tiny_classifier: Path):
    found = check(tagger, tiny_classifier, "x.csv", b"text\nada\nx\n", way="delete")
    assert found == b'text\n""\nx\n'


@settings(max_examples=30)
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_parquet(tagger: Tagger, tiny_classifier: Path, texts: list[str]):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = pa.table({"id": range(len(texts)), "tokens": [text.split(" ") for text in texts]})
        pq.write_table(table, folder / "in.parquet")
        options = {"way": "mask", "map_path": folder / "map"}
        redacted(tagger, tiny_classifier, folder / "in.parquet", folder / "out.parquet", **options)
        found = pq.read_table(folder / "out.parquet")
        assert found["id"].equals(table["id"])
        for before, after in zip(table["tokens"].to_pylist(), found["tokens"].to_pylist()):
            names = [("[PER]" if w.lower() in PEOPLE else "[LOC]" if w.lower() in PLACES else w) for w in before]
            assert after == names
        restore(folder / "map", folder / "out.parquet", folder / "back.parquet")
        assert pq.read_table(folder / "back.parquet").equals(table)


def run(tagger: Tagger, model: Path, folder: Path, name: str, text: str, **options: Any) -> str:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    redacted(tagger, model, folder / name, folder / f"out-{name}", force=True, **options)
    return (folder / f"out-{name}").read_text(encoding="utf-8")


def test_the_same_name_has_the_same_number(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    text = "Ada met Grace\nADA  Lovelace\nada lovelace in Oslo\n"
    assert run(tagger, tiny_classifier, tmp_path, "x.txt", text) == "[PER_1] met [PER_2]\n[PER_3]\n[PER_3] in [LOC_1]\n"
    lines = "".join(json.dumps({"text": one}) + "\n" for one in ("Ada", "Grace Ada"))
    assert "[PER_1] [" not in run(tagger, tiny_classifier, tmp_path, "x.jsonl", lines)
    apart = run(tagger, tiny_classifier, tmp_path, "x.jsonl", lines.replace("Grace Ada", "Grace"))
    assert apart.count("[PER_1]") == 2
    shared = run(tagger, tiny_classifier, tmp_path, "x.jsonl", lines.replace("Grace Ada", "Grace"), scope="corpus")
    assert shared.count("[PER_2]") == 1


def test_fake_values_are_the_same_for_the_same_name_and_different_for_others(
    tagger: Tagger, tiny_classifier: Path, tmp_path: Path
):
    text = "Ada x Grace x ADA\nGrace x Oslo\n"
    found = run(tagger, tiny_classifier, tmp_path, "x.txt", text, way="faker")
    (one, two, again), (second, place) = (line.split(" x ") for line in found.splitlines())
    assert one == again != two == second
    assert place
    assert found == run(tagger, tiny_classifier, tmp_path, "x.txt", text, way="faker")
    assert found != run(tagger, tiny_classifier, tmp_path, "x.txt", text, way="faker", seed=1)
    # The value does not depend on the name, which a guess could then be tested with.
    assert found == run(tagger, tiny_classifier, tmp_path, "x.txt", text.replace("Oslo", "York"), way="faker")


def rules_of(folder: Path, text: str) -> Rules:
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return read_rules(folder / "rules.yaml")


def test_patterns_deny_and_allow(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    rules = rules_of(
        tmp_path,
        "patterns:\n- {type: EMAIL, regex: '\\S+@\\S+'}\n- {type: ID, regex: '\\d+', whole_words: true}\n"
        "deny: [project x, {text: cafe\u0301, type: PLACE}, a b, b c]\nallow: [oslo]\n",
    )
    text = "Oslo ada@x.org a1 12 Project\u00a0X caf\u00e9 a b c London\n"
    (tmp_path / "x.txt").write_text(text, encoding="utf-8")
    done = redacted(tagger, tiny_classifier, tmp_path / "x.txt", tmp_path / "out.txt", way="mask", rules=rules)
    assert (tmp_path / "out.txt").read_text() == "Oslo [EMAIL] a1 [ID] [DENIED] [PLACE] [DENIED] [LOC]\n"
    assert done.as_json()["spans_by_type"] == {
        "DENIED": {"deny": 2},
        "EMAIL": {"pattern": 1},
        "ID": {"pattern": 1},
        "LOC": {"model": 1},
        "PLACE": {"deny": 1},
    }


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("patterns:\n- {type: A, regex: a}\n- {type: A, regex: '(a'}\n", 3, "the regular expression is not valid"),
        ("patterns:\n- {regex: a}\n", 2, "no 'type' of one word"),
        ("patterns:\n- {type: A, regexp: a}\n", 2, "other fields"),
        ("deny:\n- Secret\nallow:\n- x\n- 7\n", 5, "is not a text"),
        ("deny:\n- x\n- Secret\nallow: [SECRET]\n", 3, "also in 'allow'"),
        ("deny: [a\n", 2, "is not valid YAML"),
        ("denied: [a]\n", None, "other keys"),
        ("deny: a\n", None, "is not a list"),
    ],
)
def test_a_wrong_rule_is_one_message_with_its_line(tmp_path: Path, text: str, line: int | None, told: str):
    with pytest.raises(UserError, match=told) as refused:
        rules_of(tmp_path, text)
    assert refused.value.line == line
    assert "Secret" not in str(refused.value)


def test_an_expression_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tf_tokclf.redacting.rules.TIME_LIMIT_S", 0.2)
    rules = rules_of(tmp_path, "patterns:\n- {type: A, regex: '(a|a)*(a|b)*$'}\n")
    with pytest.raises(UserError, match="needs more than") as refused:
        rules.matches("a" * 5000 + "!")
    assert refused.value.line == 2


def test_other_columns(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    line = '{"id": 3, "text": "Ada left", "note": "to\\nOslo", "tags": ["by Grace"]}\n'
    with pytest.raises(UserError, match="text in other columns: note, tags") as refused:
        run(tagger, tiny_classifier, tmp_path, "x.jsonl", line, drop=True)
    assert "Oslo" not in str(refused.value)
    kept = run(tagger, tiny_classifier, tmp_path, "x.jsonl", line, others=OtherColumns("keep"))
    assert kept == line.replace("Ada", "[PER_1]")
    every = run(tagger, tiny_classifier, tmp_path, "x.jsonl", line, others=OtherColumns("redact"))
    assert every == line.replace("Ada", "[PER_1]").replace("Oslo", "[LOC_1]").replace("Grace", "[PER_2]")
    some = OtherColumns("redact", frozenset({"note"}))
    assert "Oslo" in run(tagger, tiny_classifier, tmp_path, "x.jsonl", line, others=some)
    both = '{"tokens": ["Ada", "Lovelace", "left"], "text": "Ada Lovelace left"}\n'
    found = run(tagger, tiny_classifier, tmp_path, "x.jsonl", both, others=OtherColumns("redact"), way="mask")
    assert found == '{"tokens": ["[PER]", "[PER]", "left"], "text": "[PER] left"}\n'
    table = "id,text,note\n1,Ada,Oslo\n2,x,\n"
    with pytest.raises(UserError, match="text in other columns: note"):
        run(tagger, tiny_classifier, tmp_path, "x.csv", table)
    found = run(tagger, tiny_classifier, tmp_path, "x.csv", table, others=OtherColumns("redact"))
    assert found == "id,text,note\n1,[PER_1],[LOC_1]\n2,x,\n"


def test_unreadable_records_are_not_shown(tagger: Tagger, tiny_classifier: Path, caplog: pytest.LogCaptureFixture):
    content = b'{"text": "Ada x"}\n{"text": "Grace\n{"text": 7, "w": 1.5}\n{"text": "Grace", "text": "y"}\n'
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "in.jsonl"
        source.write_bytes(content)
        with pytest.raises(UserError, match="line 2: the record cannot be read") as refused:
            redacted(tagger, tiny_classifier, source, Path(place) / "out.jsonl")
        assert "Grace" not in str(refused.value)
    assert check(tagger, tiny_classifier, "x.jsonl", content, drop=True) == b'{"text": "[PER_1] x"}\n'
    assert "Grace" not in caplog.text
    assert check(tagger, tiny_classifier, "x.txt", b"Ada\nGrace \xff\nx", drop=True) == b"[PER_1]\nx"


def test_compressed_files_and_other_encodings(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    source, output = tmp_path / "in.txt.gz", tmp_path / "out.txt.gz"
    source.write_bytes(gzip.compress("Ada \u00e9\n".encode()))
    redacted(tagger, tiny_classifier, source, output, map_path=tmp_path / "map")
    assert gzip.decompress(output.read_bytes()).decode() == "[PER_1] \u00e9\n"
    restore(tmp_path / "map", output, tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_text(encoding="utf-8") == "Ada \u00e9\n"


def test_a_map_belongs_to_one_file(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    (tmp_path / "in.txt").write_text("Ada left\n" * 9)
    redacted(tagger, tiny_classifier, tmp_path / "in.txt", tmp_path / "out.txt", map_path=tmp_path / "map")
    good, lines = (tmp_path / "out.txt").read_bytes(), (tmp_path / "map").read_bytes().splitlines(keepends=True)
    for changed in (good + b"x", good[:-1], good.replace(b"left", b"lost", 1), b""):
        (tmp_path / "other.txt").write_bytes(changed)
        with pytest.raises(UserError, match="does not belong to the map"):
            restore(tmp_path / "map", tmp_path / "other.txt", tmp_path / "back.txt")
    for damaged in (lines[:-1], lines[1:], [], [*lines, b"{}\n"], [one.replace(b"Ada", b"Eva") for one in lines]):
        (tmp_path / "bad").write_bytes(b"".join(damaged))
        with pytest.raises(UserError, match="not a map"):
            restore(tmp_path / "bad", tmp_path / "out.txt", tmp_path / "back.txt")
    assert not (tmp_path / "back.txt").exists()


def test_formats_that_cannot_be_redacted(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    for name, text, told in (
        ("x.conll", "Ada\tB-PER\n", "conll cannot be redacted"),
        ("x.json", '[{"text": "Ada"}]\n', "one JSON document"),
        ("x.csv", "sentence_id,word\n1,Ada\n1,left\n", "has words in its rows"),
    ):
        with pytest.raises(UserError, match=told):
            run(tagger, tiny_classifier, tmp_path, name, text)
