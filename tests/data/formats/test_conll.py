"""Separator, number of columns and comments of CoNLL columns are determined from the whole file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.data.converting import case, converted
from tests.data.sample_files import SAMPLES, labelled, read
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError


@pytest.mark.parametrize(
    ("name", "sentences", "n_comments"),
    [
        ("comment_4cols.tsv", ["Marie/B-PER lives/O", "Tom/B-PER"], 2),
        ("comment_text_5col.tsv", ["Hi/O there/B-PER"], 1),
        ("klue.tsv", ["경/B-PS 찰/I-PS 은/O  /O 갔/O 다/O", "서/B-LC 울/I-LC"], 2),
        ("crfpp_v1.txt", ["Marie/B-PER lives/O", "Tom/B-PER"], 2),
    ],
)
def test_lines_above_a_sentence_are_comments_and_are_reported(name, sentences, n_comments):
    result = case(name)
    assert (result.exit_code, result.sentences) == (0, sentences)
    lines = "line" if n_comments == 1 else "lines"
    assert f"{n_comments} {lines} beginning with '#' read as comments (first: {name}, line 1)" in result.messages


def test_comments_of_a_file_with_blanks_as_separators(tmp_path: Path):
    first = "# sent_id = 1\nMarie NNP B-NP B-PER\n# NN O O\n\n"
    text = first + "# text = Tom left\nTom NNP B-NP B-PER\n\n# 5 O O\nx NN O O\n"
    result = converted(tmp_path, "a.conll", text)
    assert result.sentences == ["Marie/B-PER #/O", "Tom/B-PER", "#/O x/O"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("#Monday\tO\n#\tO\nParis\tB-LOC\n\n#\tO\n1\tO\n", ["#Monday/O #/O Paris/B-LOC", "#/O 1/O"]),
        ("#\tSYM\n5\tCD\n\na\tDT\n#\tSYM\n", ["#/SYM 5/CD", "a/DT #/SYM"]),
        ("#a\tO\n#b\tB-X\n", ["#a/O #b/B-X"]),
        ("# 1\tO\nParis\tB-LOC\n", ["Paris/B-LOC"]),
    ],
)
def test_hashes_with_a_label_are_words(tmp_path: Path, text: str, sentences: list[str]):
    assert converted(tmp_path, "a.conll", text).sentences == sentences


def test_a_hashtag_that_lost_its_label_is_an_error_and_no_comment(tmp_path: Path):
    result = converted(tmp_path, "a.conll", "a\tO\n\n#Monday\nb\tO\n")
    assert result.exit_code == 2
    assert "line 3: the line has 1 column instead of 2: '#Monday'" in result.messages


def test_an_empty_prefix_says_that_there_are_no_comments(tmp_path: Path):
    text = "# x = O\nParis 1 2 B-LOC\n"
    assert converted(tmp_path, "a.conll", text).sentences == ["Paris/B-LOC"]
    assert converted(tmp_path, "a.conll", text, "--comment-prefix", "").sentences == ["#/O Paris/B-LOC"]


HEAD_LINES = "#\thttp://x.org/a\t[2009-10-23]\t\n1\tDer\tO\tO\n2\tKölner\tB-ORG\tB-LOCderiv\n3\tDom\tI-ORG\tO\n\n"


@pytest.mark.parametrize(
    ("options", "labels"),
    [((), "O B-ORG I-ORG"), (("--layer", "0"), "O B-ORG I-ORG"), (("--layer", "1"), "O B-LOCderiv O")],
)
def test_head_lines_with_as_many_columns_as_words_do_not_choose_the_labels(tmp_path, options, labels):
    (sentence,) = converted(tmp_path, "a.tsv", HEAD_LINES * 3, *options).sentences[:1]
    assert sentence == " ".join(f"{word}/{label}" for word, label in zip(("Der", "Kölner", "Dom"), labels.split()))


def test_head_lines_are_no_words_without_an_index_either(tmp_path: Path):
    text = "#\thttp://x.org/a\t\nKölner\tB-ORG\tB-LOC\nDom\tI-ORG\tO\n\n"
    assert converted(tmp_path, "a.tsv", text).sentences == ["Kölner/B-LOC Dom/O"]


def test_a_layer_that_is_not_there_is_told_with_those_that_are(tmp_path: Path):
    result = converted(tmp_path, "a.tsv", HEAD_LINES, "--layer", "2")
    assert "there is no layer 2. The layers are 0 (column 2), 1 (column 3)." in result.messages
    result = converted(tmp_path, "a.tsv", "Ada\tNNP\nleft\tVBD\n", "--layer", "0")
    assert result.exit_code == 2
    assert "there is no layer 0. No column contains span labels such as B-PER." in result.messages
    assert "column 1: NNP, VBD" in result.messages


def test_lines_with_another_separator_are_read_where_they_fit_and_reported(tmp_path: Path):
    text = "New York\tB-LOC\nis\tO\nbig O\n\nTom\tB-PER\n"
    result = converted(tmp_path, "a.conll", text)
    assert result.sentences == ["New York/B-LOC is/O big/O", "Tom/B-PER"]
    assert "1 line with spaces instead of tabs" in result.messages
    assert "(first: a.conll, line 3)" in result.messages


def test_columns_count_from_the_whole_file_and_not_from_its_beginning(tmp_path: Path):
    broken = "".join(f"w{i} x\tO\textra\n" for i in range(3))
    result = converted(tmp_path, "a.conll", broken + "\n" + "Ada\tB-PER\n\n" * 5000)
    assert result.exit_code == 2
    assert "line 1: the line has 3 columns instead of 2" in result.messages


def test_one_odd_label_in_hundreds_does_not_hide_the_column_of_labels(tmp_path: Path):
    line = "Ada\tNNP\tB-NP\tB-PER\tx\nleft\tVBD\tB-VP\tO\ty\n\n"
    text = line * 200 + "Bob\tNNP\tB-NP\tPERSON\tz\n"
    assert converted(tmp_path, "a.conll", text).sentences[0] == "Ada/B-PER left/O"


def test_sentences_of_equal_length_are_no_columns(tmp_path: Path):
    text = "".join(f"the cat{i} sat on mat{i}\n" for i in range(30))
    result = converted(tmp_path, "a.txt", text)
    assert result.exit_code == 2
    assert "column 4 contains no labels: 30 different values in 30 lines, such as 'mat0'" in result.messages
    assert converted(tmp_path, "a.txt", text, "--label-column-name", "2").exit_code == 0


FRACTIONS = "contains decimal fractions, which are confidences and not labels"


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize(("first", "second"), [("NOUN", "0.9"), ("0.9", "NOUN"), ("B-PER", "1e-3"), (".5", "B-PER")])
def test_decimal_fractions_beside_labels_are_confidences(tmp_path: Path, separator: str, first: str, second: str):
    label = next(value for value in (first, second) if value.isupper())
    text = "".join(separator.join(("Ada", *row)) + "\n" for row in ((first, second), (first, second)))
    for task in ("pos", "ner"):
        assert converted(tmp_path, "a.txt", text, "--task", task).sentences[0] == f"Ada/{label} Ada/{label}"
    named = converted(tmp_path, "a.txt", text, "--label-column-name", str(1 + (label == first)))
    assert named.exit_code == 2
    assert FRACTIONS in named.messages


def test_decimal_fractions_alone_are_no_labels_in_any_command(tmp_path: Path):
    for name, text in (
        ("a.txt", "Ada 0.9\nleft 0.8\n"),
        ("a.tsv", "word\tlabel\nAda\t0.9\nleft\t0.8\n"),
        ("a.csv", "word,label\nAda,0.9\nleft,0.8\n"),
        ("b.csv", "tokens,labels\n\"['Ada', 'left']\",\"[0.9, 0.8]\"\n"),
        ("a.jsonl", '{"tokens": ["Ada", "left"], "labels": [0.9, 0.8]}\n'),
    ):
        result = converted(tmp_path, name, text)
        assert (result.exit_code, result.sentences) == (2, []), name
        assert FRACTIONS in result.messages
        result = CliRunner().invoke(cli, ["inspect", str(tmp_path / name)])
        assert result.exit_code == 2
        assert FRACTIONS in " ".join(result.output.split())
        assert converted(tmp_path, name, text, "--label-column-name", "").sentences == ["Ada left"]


def test_whole_numbers_are_label_ids(tmp_path: Path):
    assert converted(tmp_path, "a.txt", "Ada 1\nleft 0\n").sentences == ["Ada/1 left/0"]


def test_a_named_column_of_labels_is_found_beside_one_of_scores(tmp_path: Path):
    text = "word,tag,label\nAda,0.9,B-PER\nleft,0.8,O\n"
    assert converted(tmp_path, "a.csv", text).sentences == ["Ada/B-PER left/O"]


def test_labels_beside_predictions_with_confidences_are_the_gold_ones():
    assert case("flair_old.tsv").sentences == ["Marie/B-PER lives/O", "Tom/B-PER"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize(
    "odd",
    ["# a comment", "-DOCSTART- O", "#a{s}O", "caf\u00e9{s}B-PER", "Rome{s}B-LOC{s}", "a\rb{s}O", "x{s}-100", "y{s}7"],
)
def test_a_sentence_with_an_odd_line_is_read_as_among_plain_ones(tmp_path: Path, odd: str, separator: str, end: str):
    lines = [odd.format(s=separator), f"Ada{separator}B-PER", f"left{separator}O"]
    plain = [f"Bob{separator}B-PER", f"left{separator}O"]
    text = end.join([*plain, "", *lines, " \t", *plain, "", ""])
    first, *middle, last = converted(tmp_path, "a.conll", text).sentences
    assert first == last == "Bob/B-PER left/O"
    assert len(middle) == 1
    assert middle[0].endswith("Ada/B-PER left/O")


def test_a_sentence_without_any_label_among_labelled_ones_is_not_annotated(tmp_path: Path):
    text = "TOKEN\tNE-COARSE\tMISC\nAda\tB-PER\t_\nleft\tO\t_\nagain\t_\t_\n\nno\t_\t_\nlabels\t_\t_\n"
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["Ada/B-PER left/O again/None"]
    assert "1 word without a label, ignored in training and scores (to read them as O" in result.messages
    assert "(first: a.tsv, line 2)" in result.messages
    assert "1 record left out: not annotated" in result.messages
    result = converted(tmp_path, "a.tsv", text, "--unannotated", "outside")
    assert result.sentences == ["Ada/B-PER left/O again/O", "no/O labels/O"]
    assert "1 word without a label read as O (first: a.tsv, line 2)" in result.messages


@pytest.mark.parametrize("head", ["id\tword\tner", "id\tToken\tClass", "#\tword\tgold", "n\tForm\tanything"])
def test_a_first_line_of_names_is_known_from_the_labels_below_it(tmp_path: Path, head: str):
    result = converted(tmp_path, "a.tsv", f"{head}\n1\tAda\tB-PER\n2\tleft\tO\n\n1\tTom\tB-PER\n")
    assert result.sentences == ["Ada/B-PER left/O", "Tom/B-PER"]


def test_a_first_line_with_a_label_is_no_head_line(tmp_path: Path):
    assert converted(tmp_path, "a.tsv", "text\tO\nAda\tB-PER\n").sentences == ["text/O Ada/B-PER"]


def test_words_may_be_numbered_from_0(tmp_path: Path):
    text = "0\tAda\tB-PER\n1\tleft\tO\n\n0\tTom\tB-PER\n"
    assert converted(tmp_path, "a.tsv", text).sentences == ["Ada/B-PER left/O", "Tom/B-PER"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\tAda\tB-PER\n1\tleft\tO\n2\tTom\tB-PER\n", "contains only integers where words were expected"),
        ("Sentence #\tWord\tTag\n1\tAda\tB-PER\n2\tTom\tB-PER\n", "the column 'Sentence #' identifies them"),
        ("Ada B-PER left O\nTom B-PER saw O\n", "words and labels alternate in each line"),
        ("Ada;NNP;B-PER\nleft;VBD;O\n", "Set the separator"),
        ("Ada,B-PER\nleft,O\n", "Set the separator"),
    ],
)
def test_columns_that_are_none_lose_no_words_and_no_labels(tmp_path: Path, text: str, said: str):
    result = converted(tmp_path, "a.conll", text)
    assert (result.exit_code, result.sentences) == (2, [])
    assert said in result.messages


def test_a_sentence_column_that_holds_the_words(tmp_path: Path):
    assert converted(tmp_path, "a.tsv", "sentence\ttag\nAda\tB-PER\nleft\tO\n").sentences == ["Ada/B-PER left/O"]


def test_blanks_behind_a_label_are_no_part_of_it(tmp_path: Path):
    result = converted(tmp_path, "a.conll", "Ada\tB-PER \nLovelace\tI-PER\nleft\tO \n")
    assert result.sentences == ["Ada/B-PER Lovelace/I-PER left/O"]


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_other_line_ends(tmp_path: Path, end: str):
    text = "Ada\tB-PER\nleft\tO\n\nTom\tB-PER\n".replace("\n", end)
    assert converted(tmp_path, "a.conll", text).sentences == ["Ada/B-PER left/O", "Tom/B-PER"]


def test_utf_16_without_a_mark_is_named(tmp_path: Path):
    content = "Ada\tB-PER\nleft\tO\n".encode("utf-16-le")
    assert "seems to be UTF-16 without a byte-order mark" in converted(tmp_path, "a.conll", content).messages
    assert converted(tmp_path, "a.conll", content, "--encoding", "utf-16-le").sentences == ["Ada/B-PER left/O"]


def test_a_word_that_begins_like_a_border_of_documents_stays(tmp_path: Path):
    text = "-DOCSTART- O\n\n-DOCSTART-s O\nAda B-PER\n"
    assert converted(tmp_path, "a.conll", text).sentences == ["-DOCSTART-s/O Ada/B-PER"]


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


def test_what_was_found_out_is_said():
    reader = open_reader(SAMPLES / "header_and_metadata.tsv", DataConfig(), Task.NER)
    assert reader.notes == ("5 columns, words in 'TOKEN', labels in 'NE-COARSE-LIT'",)


def test_a_header_may_stand_below_comments(tmp_path):
    (tmp_path / "a.tsv").write_text("%% about\ntoken\tner\nAda\tB-PER\n", encoding="utf-8")
    assert labelled(list(read_sentences(tmp_path / "a.tsv", DataConfig(comment_prefix="%%")))) == [[("Ada", "B-PER")]]


def test_an_id_beyond_the_label_names_is_told_with_its_line(tmp_path):
    path = tmp_path / "ids.conll"
    path.write_text("in\t0\nOslo\t7\n")
    with pytest.raises(UserError, match=r"ids\.conll, line 2: there is no label with id 7"):
        list(read_sentences(path, DataConfig(label_names=("O", "B-LOC"))))
