"""Each sample is named for what is special in it; here is what has to come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import detect_format, open_reader
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Sentence

SAMPLES = Path(__file__).parents[1] / "samples"


def read(name: str, task: Task = Task.NER, **options: object) -> list[Sentence]:
    return list(read_sentences(SAMPLES / name, DataConfig(**options), task=task))


def labelled(sentences: list[Sentence]) -> list[list[tuple[str, str]]]:
    return [list(zip(sentence.words, sentence.labels or ())) for sentence in sentences]


def test_lines_of_white_space_end_sentences_and_hashes_are_words():
    sentences = read("lone_tabs_between_sentences.conll")
    assert [s.words for s in sentences] == [
        ("#MondayMood", "@ada", "in", "Paris"),
        ("New", "York", "#"),
        ("End",),
    ]
    assert [s.origin.number for s in sentences] == [1, 6, 10]


def test_comments_are_left_out_where_they_are_asked_for():
    assert read("lone_tabs_between_sentences.conll", comment_prefix="#")[0].words == ("@ada", "in", "Paris")


def test_carriage_returns_are_no_part_of_labels():
    assert labelled(read("windows_line_ends.conll")) == [
        [("Ada", "B-PER"), ("smiled", "O")],
        [("Bob", "B-PER")],
    ]


def test_a_byte_order_mark_is_dropped_at_the_file_s_start_only_and_a_blank_is_a_word():
    first, second = read("byte_order_mark.conll")
    assert first.words == ("อาดา", " ", "อยู่")
    assert second.words == ("\ufeffลอนดอน",)


def test_docstart_lines_are_borders_of_documents():
    first, second = read("docstart_and_i_tags_only.conll")
    assert first.words == ("Ada", "Lovelace", "smiled")
    assert (first.document, second.document) == (
        "docstart_and_i_tags_only.conll#1",
        "docstart_and_i_tags_only.conll#2",
    )


@pytest.mark.parametrize(
    ("task", "options", "labels"),
    [
        (Task.NER, {}, ("B-ORG", "O", "B-MISC", "O")),
        (Task.CHUNK, {}, ("B-NP", "B-VP", "B-NP", "I-NP")),
        (Task.POS, {}, ("NNP", "VBZ", "JJ", "NN")),
        (Task.NER, {"label_column_name": 1}, ("NNP", "VBZ", "JJ", "NN")),
        (Task.NER, {"label_column_name": -2}, ("B-NP", "B-VP", "B-NP", "I-NP")),
        (Task.NER, {"layer": 0}, ("B-NP", "B-VP", "B-NP", "I-NP")),
    ],
)
def test_the_task_chooses_among_columns_unless_the_user_does(task, options, labels):
    assert read("four_columns.conll", task, **options)[0].labels == labels


@pytest.mark.parametrize(("layer", "labels"), [(None, "B-ORG I-ORG O"), (0, "B-ORG I-ORG O"), (1, "O B-LOC O")])
def test_index_column_and_head_lines_are_no_words(layer, labels):
    first, second = read("two_layers_with_index.tsv", layer=layer)
    assert first.words == ("Universität", "Wien", "#")
    assert first.labels == tuple(labels.split())
    assert second.words == ("Gleich",)


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({}, ("B-pers", "O", "O")),
        ({"label_column_name": "NE-FINE-LIT"}, ("B-pers.myth", "O", "O")),
        ({"layer": "NE-FINE-LIT"}, ("B-pers.myth", "O", "O")),
    ],
)
def test_header_names_columns_and_metadata_names_documents(options, labels):
    first, second = read("header_and_metadata.tsv", **options)
    assert (first.words, first.labels) == (("Odysseus", "#", "is"), labels)
    assert (first.document, second.document) == ("one", "two")


def test_tags_may_stand_before_words():
    assert read("tags_before_words.bio")[0].words == ("show", "Tom", "Hanks")


def test_words_without_labels_are_read_as_such(tmp_path):
    path = tmp_path / "words.conll"
    path.write_text("Ada\nsmiled\n\nBye\n", encoding="utf-8")
    assert [s.labels for s in read_sentences(path, DataConfig())] == [None, None]


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


def test_empty_sentence_numbers_go_on_with_the_sentence():
    sentences = read("sentence_number_on_first_word_latin1.csv", encoding="latin-1")
    assert labelled(sentences) == [[("José", "B-per"), ("lives", "O"), (",", "O")], [("Bye", "O")]]
    assert [s.origin.number for s in sentences] == [2, 5]


def test_lists_in_csv_as_anybody_prints_them():
    assert labelled(read("lists_as_python_and_numpy_print_them.csv")) == [
        [("New", "B-LOC"), ("York", "I-LOC")],
        [("It", "O"), ("rains", "O")],
        [("plain", "O"), ("words", "O")],
    ]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("spacy_pairs.json", {}, [["O", "O", "B-PER", "I-PER", "O"], ["O", "O", "B-LOC", "O"]]),
        ("prodigy_one_rejected.jsonl", {}, [["O", "O", "O", "B-PER"]]),
        ("doccano_named_offsets.jsonl", {}, [["B-PER", "O", "B-LOC"]]),
        ("doccano_triples.jsonl", {}, [["B-PER", "O", "B-LOC"], ["O"]]),
        ("doccano_triples.jsonl", {"scheme": "BIOES"}, [["S-PER", "O", "S-LOC"], ["O"]]),
        ("label_studio_utf16.json", {"offset_unit": "utf16"}, [["O", "B-PER", "O", "O"]]),
        ("dataturks_inclusive_ends.json", {}, [["O", "O", "B-LOC"]]),
        ("dataturks_inclusive_ends.json", {"unannotated": "outside"}, [["O", "O", "B-LOC"], ["O"]]),
    ],
)
def test_spans_of_characters_in_each_tool_s_way(name, options, expected):
    sentences = read(name, **options)
    assert [list(s.labels) for s in sentences] == expected
    for sentence in sentences:
        assert sentence.words == tuple(sentence.text[start:end] for start, end in sentence.offsets)


def test_the_wrong_unit_is_told_by_the_text_that_comes_with_a_span():
    with pytest.raises(UserError, match="offset_unit utf16"):
        read("label_studio_utf16.json")


def test_brat_lines_are_sentences_unless_a_span_goes_on():
    first, second = read("brat", layer=0)
    assert first.text + second.text == (SAMPLES / "brat/nested_and_over_a_line.txt").read_text(encoding="utf-8")
    assert first.labels == ("B-PER", "I-PER", "B-LOC", "I-LOC", "O")
    assert (second.words, second.origin.number, second.document) == (("Bye",), 4, "nested_and_over_a_line")


def test_the_inner_layer_of_nested_spans():
    assert read("brat", layer=1)[0].labels == ("B-TITLE", "O", "O", "O", "O")


def test_ids_take_their_names_from_the_options():
    assert read("ids_with_names_elsewhere.jsonl")[0].labels == ("1", "0")
    assert read("ids_with_names_elsewhere.jsonl", label_names=("O", "B-PER"))[0].labels == ("B-PER", "O")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("lone_tabs_between_sentences.conll", "conll"),
        ("header_and_metadata.tsv", "conll"),
        ("ranges_and_empty_nodes.conllu", "conllu"),
        ("lists_as_python_and_numpy_print_them.csv", "csv"),
        ("doccano_triples.jsonl", "jsonl"),
        ("brat", "brat"),
    ],
)
def test_formats_are_found_out(name, format):
    assert detect_format(SAMPLES / name) == format


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("ranges_and_empty_nodes.conllu", "conllu"),
        ("doccano_triples.jsonl", "jsonl"),
        ("windows_line_ends.conll", "conll"),
    ],
)
def test_formats_are_found_out_by_content_too(tmp_path, name, format):
    path = tmp_path / "data"
    path.write_bytes((SAMPLES / name).read_bytes())
    assert detect_format(path) == format


def test_what_was_found_out_is_said():
    reader = open_reader(SAMPLES / "header_and_metadata.tsv", DataConfig(), Task.NER)
    assert reader.notes == ("5 columns, words in 'TOKEN', labels in 'NE-COARSE-LIT'",)


def test_a_value_that_says_there_is_no_label_is_counted():
    problems = Problems()
    list(open_reader(SAMPLES / "header_and_metadata.tsv", DataConfig(), Task.NER).sentences(problems))
    (change,) = problems.changes()
    assert change.startswith("1 word without a label, left out of training and scores")
    assert change.endswith("(first: header_and_metadata.tsv, line 4)")


def test_rejected_records_are_counted():
    problems = Problems()
    list(open_reader(SAMPLES / "prodigy_one_rejected.jsonl", DataConfig(), Task.NER).sentences(problems))
    assert problems.changes() == ["1 record left out: not accepted by their annotators"]


def test_a_folder_of_files_is_read_in_order_each_a_document(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.tsv").write_text(f"{name}\tO\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("about", encoding="utf-8")
    assert [(s.words, s.document) for s in read_sentences(tmp_path, DataConfig())] == [
        (("a",), "a"),
        (("b",), "b"),
    ]


def test_plain_text_is_split_into_words(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("Ada's here.\n\nBye\n", encoding="utf-8")
    sentences = list(read_sentences(path, DataConfig(format="text")))
    assert [s.words for s in sentences] == [("Ada", "'", "s", "here", "."), ("Bye",)]
    assert sentences[0].labels is None


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "a.csv"])
def test_encodings_that_the_user_names(tmp_path, encoding, name):
    content = {
        "a.conll": "José\tB-PER\r\n\r\nça\tO\r\n",
        "a.jsonl": '{"tokens": ["José"], "tags": ["B-PER"]}\n{"tokens": ["ça"], "tags": ["O"]}\n',
        "a.csv": "sentence_id,word,tag\r\n1,José,B-PER\r\n2,ça,O\r\n",
    }
    (tmp_path / name).write_bytes(content[name].encode(encoding))
    sentences = list(read_sentences(tmp_path / name, DataConfig(encoding=encoding)))
    assert labelled(sentences) == [[("José", "B-PER")], [("ça", "O")]]


def test_utf_16_is_told_from_its_first_bytes(tmp_path):
    (tmp_path / "a.conll").write_bytes("Ada\tO\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"line 1: byte 0xff is not utf-8 .* seems to be UTF-16"):
        list(read_sentences(tmp_path / "a.conll", DataConfig()))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("sentence_id,text,labels\n1,New York,B-LOC I-LOC\n2,Hi,O\n", [("New", "York"), ("Hi",)]),
        ("tokens,ner_tags\nHi,O\nBye,O\n", [("Hi",), ("Bye",)]),
        ("word,tag\nNew,B-LOC\nYork,I-LOC\n,\nHi,O\n", [("New", "York"), ("Hi",)]),
        ("tokens,ner_tags\n\"['it\\'s' \\n 'New York']\",[0 1]\n", [("it's", "New York")]),
        ("text\nHello\nHow are you\n", [("Hello",), ("How", "are", "you")]),
    ],
)
def test_shapes_of_csv(tmp_path, content, expected):
    (tmp_path / "a.csv").write_text(content.replace("\\n", "\n"), encoding="utf-8")
    assert [s.words for s in read_sentences(tmp_path / "a.csv", DataConfig())] == expected


def test_a_header_may_stand_below_comments(tmp_path):
    (tmp_path / "a.tsv").write_text("%% about\ntoken\tner\nAda\tB-PER\n", encoding="utf-8")
    assert labelled(list(read_sentences(tmp_path / "a.tsv", DataConfig(comment_prefix="%%")))) == [[("Ada", "B-PER")]]


def test_ids_without_names_are_said():
    reader = open_reader(SAMPLES / "ids_with_names_elsewhere.jsonl", DataConfig(), Task.NER)
    assert "ids without names" in reader.notes[0]


def test_label_names_name_the_ids_of_columns_and_of_parallel_files(tmp_path):
    named = DataConfig(label_names=("O", "B-LOC"))
    path = tmp_path / "ids.conll"
    path.write_text("in\t0\nOslo\t1\n")
    (tmp_path / "seq.in").write_text("in Oslo\n")
    (tmp_path / "seq.out").write_text("0 1\n")
    for place in (path, tmp_path / "seq.in"):
        assert [sentence.labels for sentence in read_sentences(place, named)] == [("O", "B-LOC")]


def test_an_id_beyond_the_label_names_is_told_with_its_line(tmp_path):
    path = tmp_path / "ids.conll"
    path.write_text("in\t0\nOslo\t7\n")
    with pytest.raises(UserError, match=r"ids\.conll, line 2: there is no label with id 7"):
        list(read_sentences(path, DataConfig(label_names=("O", "B-LOC"))))
