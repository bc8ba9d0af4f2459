"""Corrections: they change the spans that they name and nothing else, in all formats, or end with one message."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.requirements import need_modules
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.convert import convert
from tf_tokclf.data.corrections import Correction, Corrections, DataIdentity, corrected, span_json
from tf_tokclf.data.formats.registry import all_formats
from tf_tokclf.data.splits import load_split
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import RULES, Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.labels.spans import labels_of, spans_of

SENTENCES = (
    (("Ada", "Lovelace", "saw", "New", "York"), ("B-PER", "I-PER", "O", "B-LOC", "I-LOC")),
    (("Paris", "is", "nice"), ("B-LOC", "O", "O")),
    (("Alan", "left", "Rome"), ("O", "O", "B-LOC")),
)
# Sentence, before, after: a boundary, a wrong type, a missed and a spurious span.
CHANGES = (
    (1, Span(0, 2, "PER"), Span(0, 1, "PER")),
    (2, Span(0, 1, "LOC"), Span(0, 1, "PER")),
    (3, None, Span(0, 1, "PER")),
    (3, Span(2, 3, "LOC"), None),
)
EXPECTED = (
    ("B-PER", "O", "O", "B-LOC", "I-LOC"),
    ("B-PER", "O", "O"),
    ("B-PER", "O", "O"),
)
# The suffix of each format that can be read and written. The format text is for people only.
SUFFIXES = {
    format.name: next(iter((*format.usual_suffixes, *format.suffixes)), "")
    for format in all_formats()
    if format.is_written and format.open and format.name != "text"
}


def write_source(folder: Path, format: str) -> Path:
    plain = folder / "plain.jsonl"
    lines = (json.dumps({"tokens": words, "ner_tags": labels}) for words, labels in SENTENCES)
    plain.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = folder / f"data-{format}{SUFFIXES[format]}"
    convert(str(plain), out, DataConfig(scheme="IOB2"), to_format=format)
    return out


def lines_for(source: Path, changes: Any = CHANGES, **others: Any) -> list[dict[str, Any]]:
    sentences = list(load_split(str(source), DataConfig(scheme="IOB2")))
    identity = DataIdentity.of(str(source), sentences).to_json()
    return [
        {
            "decision": "accept",
            **identity,
            "sentence": number,
            "before": span_json(before, sentences[number - 1].words),
            "after": span_json(after, sentences[number - 1].words),
            **others,
        }
        for number, before, after in changes
    ]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("format", SUFFIXES)
def test_corrections_are_applied_in_every_format(tmp_path: Path, format: str):
    if format == "docbin":
        need_modules("spacy", extra="spacy")
    source = write_source(tmp_path, format)
    corrections = write_lines(tmp_path / "corrections.jsonl", lines_for(source))
    out = tmp_path / f"out{SUFFIXES[format]}"
    done = convert(str(source), out, DataConfig(scheme="IOB2"), corrections=corrections)
    assert done.format == format
    found = list(load_split(str(out), DataConfig(scheme="IOB2")))
    assert [one.words for one in found] == [words for words, _ in SENTENCES]
    assert [one.labels for one in found] == list(EXPECTED)


def test_without_changes_the_file_stays_as_it_is(tmp_path: Path):
    """A correction and its opposite."""
    source = tmp_path / "data.conll"
    source.write_text("Ada B-PER\nleft O\n\nRome B-LOC\n\n", encoding="utf-8")
    first = write_lines(tmp_path / "1.jsonl", lines_for(source, [(2, Span(0, 1, "LOC"), Span(0, 1, "PER"))]))
    convert(str(source), tmp_path / "1.conll", DataConfig(), corrections=first)
    assert (tmp_path / "1.conll").read_text(encoding="utf-8") == "Ada B-PER\nleft O\n\nRome B-PER\n\n"
    back = write_lines(
        tmp_path / "2.jsonl", lines_for(tmp_path / "1.conll", [(2, Span(0, 1, "PER"), Span(0, 1, "LOC"))])
    )
    convert(str(tmp_path / "1.conll"), tmp_path / "2.conll", DataConfig(), corrections=back)
    assert (tmp_path / "2.conll").read_bytes() == source.read_bytes()


COLUMNS = """\
-DOCSTART- -X- -X- O

# text = Ada Lovelace saw New York
Ada  NNP B-NP B-PER
Lovelace NNP I-NP  I-PER
saw VBD B-VP O
New NNP B-NP B-LOC
York NNP I-NP I-LOC


-DOCSTART- -X- -X- O

Paris NNP B-NP B-LOC
is VBZ B-VP O
nice JJ B-ADJP O

Alan NNP B-NP O
left VBD B-VP O
Rome NNP B-NP B-LOC
"""


@pytest.mark.parametrize(("old", "new"), [("", ""), (" ", "\t"), ("\n", "\r\n")])
def test_conll_files_keep_columns_comments_and_spaces(tmp_path: Path, old: str, new: str):
    text = COLUMNS.replace("  ", " ").replace(old, new) if old == " " else COLUMNS.replace(old, new) if old else COLUMNS
    source = tmp_path / "all.conll"
    source.write_bytes(text.encode())
    path = write_lines(tmp_path / "c.jsonl", lines_for(source))
    convert(str(source), tmp_path / "out.conll", DataConfig(), corrections=path)
    written = (tmp_path / "out.conll").read_bytes().decode()
    lines = dict(zip(text.splitlines(keepends=True), written.splitlines(keepends=True), strict=True))
    changed = {line.split()[0]: (line, other) for line, other in lines.items() if line != other}
    assert set(changed) == {"Lovelace", "Paris", "Alan", "Rome"}
    wanted = {"Lovelace": ("I-PER", "O"), "Paris": ("B-LOC", "B-PER"), "Alan": ("O", "B-PER"), "Rome": ("B-LOC", "O")}
    for word, (line, other) in changed.items():
        before, after = wanted[word]
        kept = line.rstrip("\r\n").removesuffix(before)
        assert other == kept + after + line[len(line.rstrip("\r\n")) :]


def test_labels_in_another_spelling_are_written_in_the_standard_one(tmp_path: Path):
    """Then the lines cannot be kept."""
    source = tmp_path / "data.conll"
    source.write_text("Ada\tPER-B\nleft\tOTHER\n\nRome\tLOC-B\n\n", encoding="utf-8")
    path = write_lines(tmp_path / "c.jsonl", lines_for(source, [(2, Span(0, 1, "LOC"), Span(0, 1, "PER"))]))
    convert(str(source), tmp_path / "out.conll", DataConfig(), corrections=path)
    assert (tmp_path / "out.conll").read_text(encoding="utf-8") == "Ada\tB-PER\nleft\tO\n\nRome\tB-PER\n\n"


@st.composite
def sentences_with_changes(draw: st.DrawFn) -> tuple[Scheme, list[str], set[Span], list[Correction]]:
    scheme = draw(st.sampled_from([scheme for scheme in RULES if scheme is not Scheme.IO]))
    n_words = draw(st.integers(1, 8))

    def spans() -> set[Span]:
        borders = draw(st.lists(st.integers(0, n_words), unique=True).map(sorted))
        pairs = [pair for pair in pairwise(borders) if draw(st.booleans())]
        return {Span(start, end, draw(st.sampled_from(["A", "B"]))) for start, end in pairs}

    before, after = spans(), spans()
    changes = [Correction(1, span, None) for span in before - after]
    changes += [Correction(1, None, span) for span in after - before]
    return scheme, labels_of(before, n_words, scheme), after, draw(st.permutations(changes))


@given(sentences_with_changes())
def test_the_result_has_exactly_the_corrected_spans(case: tuple[Scheme, list[str], set[Span], list[Correction]]):
    scheme, labels, after, changes = case
    sentence = Sentence(tuple("abcdefgh"[: len(labels)]), tuple(labels))
    corrections = Corrections(Path("c.jsonl"), DataIdentity("x", "", 1), {1: changes}, 0)
    (found,) = corrected([sentence], corrections, scheme)
    assert found.labels == tuple(labels_of(after, len(labels), scheme))
    assert found.words == sentence.words


def test_labels_that_break_the_rules_of_the_scheme_stay_outside_the_change():
    sentence = Sentence(("a", "b", "c"), ("I-LOC", "O", "B-PER"))
    changes = [Correction(1, Span(2, 3, "PER"), Span(2, 3, "LOC"))]
    corrections = Corrections(Path("c.jsonl"), DataIdentity("x", "", 1), {1: changes}, 0)
    (found,) = corrected([sentence], corrections, Scheme.IOB2)
    assert found.labels == ("I-LOC", "O", "B-LOC")
    assert spans_of(found.labels, Scheme.IOB2) == [Span(0, 1, "LOC"), Span(2, 3, "LOC")]


def test_labels_without_a_scheme(tmp_path: Path):
    source = tmp_path / "pos.conll"
    source.write_text("time\tNN\nflies\tNN\n\n", encoding="utf-8")
    changes = [(1, Span(1, 2, "NN"), Span(1, 2, "VBZ"))]
    sentences = list(load_split(str(source), DataConfig(scheme="none")))
    lines = [{**line, **DataIdentity.of("pos.conll", sentences).to_json()} for line in lines_for(source, changes)]
    path = write_lines(tmp_path / "c.jsonl", lines)
    convert(str(source), tmp_path / "out.conll", DataConfig(scheme="none"), corrections=path)
    assert (tmp_path / "out.conll").read_text(encoding="utf-8") == "time\tNN\nflies\tVBZ\n\n"
    lines[0]["after"] = None
    with pytest.raises(UserError, match="must change the label of one word"):
        convert(
            str(source), tmp_path / "x", DataConfig(scheme="none"), corrections=write_lines(tmp_path / "d.jsonl", lines)
        )


def changed(lines: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    return [{**lines[0], **values}, *lines[1:]]


WRONG_WORDS = {"start": 0, "end": 2, "type": "PER", "text": "Ada Byron"}
TOO_LONG = {"start": 4, "end": 9, "type": "PER", "text": "York"}
OVERLAP = {"start": 2, "end": 4, "type": "LOC", "text": "saw New"}
NOT_THERE = {"start": 2, "end": 3, "type": "LOC", "text": "saw"}
BROKEN = {
    "is not a JSON object": lambda lines: [],
    "does not say for which data it was made": lambda lines: changed(lines, hash=None),
    "is not a correction: it needs a sentence": lambda lines: changed(lines, before=[1]),
    "changes nothing": lambda lines: changed(lines, after=lines[0]["before"]),
    "was made for other data: 3 sentences of data-jsonl.jsonl": lambda lines: [{**one, "hash": "0"} for one in lines],
    "line 1: is for other data than line 2": None,
    "there is no sentence 9": lambda lines: changed(lines, sentence=9),
    "line 1: the span before does not fit the text of sentence 1": lambda lines: changed(lines, before=WRONG_WORDS),
    "the span after does not fit the text": lambda lines: changed(lines, after=TOO_LONG),
    "line 1: the span before is not in sentence 1": lambda lines: changed(lines, before=NOT_THERE),
    "the span after overlaps the span LOC (words 4 to 5) of sentence 1": lambda lines: changed(lines, after=OVERLAP),
    "contains no accepted corrections": lambda lines: [{**one, "decision": "reject"} for one in lines],
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_correction_that_does_not_fit_is_one_message(tmp_path: Path, message: str):
    source = write_source(tmp_path, "jsonl")
    change = BROKEN[message]
    lines = lines_for(source)
    if change is None:
        message = "line 2: is for other data than line 1"
        lines = [lines[0], {**lines[1], "hash": "0"}]
    path = write_lines(tmp_path / "corrections.jsonl", change(lines) if change else lines)
    if not path.stat().st_size:
        path.write_text("no JSON\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    done = CliRunner().invoke(cli, ["convert", str(source), "--corrections", str(path), "-o", str(out)])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.count("Error:") == 1
    assert not out.exists()


def test_corrections_for_standard_input_are_refused(tmp_path: Path):
    path = write_lines(tmp_path / "c.jsonl", lines_for(write_source(tmp_path, "jsonl")))
    done = CliRunner().invoke(cli, ["convert", "-", "--corrections", str(path), "-o", "x.conll"], input="Ada\tO\n")
    assert done.exit_code == 2
    assert "Name the file that they belong to." in done.stderr
