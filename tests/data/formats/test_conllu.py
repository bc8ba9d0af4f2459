"""CoNLL-U as found in practice: labels anywhere in MISC, and errors with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.converting import case, converted
from tests.data.sample_files import read
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import read_sentences


def token(number: int, form: str, misc: str = "_", upos: str = "X") -> str:
    return f"{number}\t{form}\t_\t{upos}\t_\t_\t0\t_\t_\t{misc}\n"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bare_misc.conllu", "Finn/B-PER gikk/O"),
        ("norne_space.conllu", "Finn/B-PER Eilertsen/I-PER ./O"),
    ],
)
def test_labels_in_misc(name, sentence):
    assert case(name).sentences == [sentence]


@pytest.mark.parametrize(
    ("miscs", "labels"),
    [
        (["SpaceAfter=No|B-PER", "_", "O"], "B-PER O O"),
        (["anno=B-PER|Gloss=I", "Gloss=am|anno=O", "_"], "B-PER O O"),
        (["NER=PER-B", "NER=PER-I", "SpaceAfter=No NER=O"], "B-PER I-PER O"),
        (["Entity=B-PER", "Entity=I-PER", "x=y"], "B-PER I-PER O"),
        (["Gloss=I", "Gloss=B", "SpaceAfter=No"], "X X X"),
        (["SpaceAfter=No", "Typo=Yes", "_"], "X X X"),
    ],
)
def test_the_key_that_holds_labels_is_found_by_what_is_in_it(tmp_path: Path, miscs: list[str], labels: str):
    text = "".join(token(i, "ab"[i % 2], misc) for i, misc in enumerate(miscs, 1)) + "\n"
    (sentence,) = converted(tmp_path, "a.conllu", text).sentences
    assert [pair.rpartition("/")[2] for pair in sentence.split(" ")] == labels.split()


def test_a_value_with_blanks_stays_whole(tmp_path: Path):
    text = token(1, "a", "Gloss=to go|NER=B-X") + token(2, "b", "Gloss=a b=c d|NER=O") + "\n"
    result = converted(tmp_path, "a.conllu", text, "--label-column-name", "misc.Gloss")
    assert result.sentences == ["a/to go b/a b=c d"]


def test_a_fault_in_the_first_sentence_names_its_line():
    result = case("trailing_tab.conllu")
    assert result.exit_code == 2
    assert "trailing_tab.conllu, line 1: the line has 11 columns instead of 10" in result.messages


@pytest.mark.parametrize("start", ["", token(1, "a") + "\n"])
def test_a_line_that_the_library_refuses_is_named(tmp_path: Path, start: str):
    text = start + token(1, "a") + "x" + token(2, "b") + "\n"
    result = converted(tmp_path, "a.conllu", text)
    assert result.exit_code == 2
    line = 2 + start.count("\n")
    assert f"a.conllu, line {line}: is not valid CoNLL-U" in result.messages


def _line(id: str, form: str, misc: str) -> str:
    return f"{id}\t{form}\t_\tNOUN\t_\t_\t0\t_\t_\t{misc}\n"


def test_entities_in_brackets_are_not_taken_for_parts_of_speech(tmp_path: Path):
    text = _line("1", "Ada", "Entity=(1-person)") + _line("2", "left", "_") + "\n"
    result = converted(tmp_path, "a.conllu", text)
    assert result.exit_code == 2
    assert "MISC may contain labels, but cannot be interpreted: Entity=(1-person)" in result.messages
    assert converted(tmp_path, "a.conllu", text, "--task", "pos").sentences == ["Ada/NOUN left/NOUN"]


def test_a_key_in_another_case_is_the_same_key(tmp_path: Path):
    text = _line("1", "Ada", "NE=B-PER") + _line("2", "Lovelace", "ne=I-PER") + _line("3", "left", "NE=O") + "\n"
    assert converted(tmp_path, "a.conllu", text).sentences == ["Ada/B-PER Lovelace/I-PER left/O"]


def test_labels_of_ranges_are_counted(tmp_path: Path):
    text = _line("1-2", "al", "NER=B-LOC") + _line("1", "a", "NER=O") + _line("2", "el", "NER=B-PER") + "\n"
    assert "1 label of multi-word ranges and empty nodes left out" in converted(tmp_path, "a.conllu", text).messages


def test_ranges_and_empty_nodes_are_no_words():
    (first, second) = read("ranges_and_empty_nodes.conllu", Task.POS)
    assert first.words == ("Vamos", "nos", "a", "el", "mar", ".")
    assert first.labels == ("VERB", "PRON", "ADP", "DET", "NOUN", "PUNCT")
    assert (first.text, second.text, second.offsets) == (None, "Adiós", ((0, 5),))
    assert first.document == "d1"


@pytest.mark.parametrize(
    ("column", "labels"),
    [("xpos", "V P S D N F"), ("deprel", "root obj case det obl punct"), ("misc.NER", "O O O O B-LOC O")],
)
def test_any_field_of_conllu_is_a_label(column, labels):
    assert read("ranges_and_empty_nodes.conllu", label_column_name=column)[0].labels == tuple(labels.split())


def test_spans_in_misc_are_found_for_other_tasks_than_pos():
    assert read("ranges_and_empty_nodes.conllu")[0].labels == ("O", "O", "O", "O", "B-LOC", "O")


def test_documents_begin_with_and_without_an_id(tmp_path: Path):
    path = tmp_path / "a.conllu"
    comments = ("", "# newdoc\n", "", "# newdoc id = b\n", "# newdoc\n")
    path.write_text("".join(f"{comment}{token(1, 'Oslo')}\n" for comment in comments), encoding="utf-8")
    documents = [sentence.document for sentence in read_sentences(path, DataConfig())]
    assert documents == [None, "a.conllu#1", "a.conllu#1", "b", "a.conllu#3"]
