"""Other spellings of span labels are rewritten to B-PER and O, and always reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.data.converting import CASES, case, converted
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.label_spellings import likely_slips, standard_labels
from tf_tokclf.data.splits import load_splits
from tf_tokclf.labels.schemes import Scheme


@pytest.mark.parametrize(
    ("name", "rewritten"),
    [
        ("suffix.conll", "PER-B to B-PER (2 words)"),
        ("underscore.conll", "B_PER to B-PER (1 word)"),
        ("lower.conll", "b-per to B-PER (1 word)"),
    ],
)
def test_a_spelling_is_read_as_iob2_and_reported(name, rewritten):
    result = case(name)
    assert result.sentences[0] == "Marie/B-PER Curie/I-PER in/O Paris/B-LOC"
    assert "labels changed to the standard spelling:" in result.messages
    assert rewritten in result.messages
    assert "spans (IOB2)" in result.messages


def test_another_name_of_o_is_read_as_o_and_reported():
    result = case("other_major.conll")
    assert result.sentences == ["Marie/B-PER lives/O in/O the/O city/O Paris/B-LOC ./O"]
    assert "OTHER to O (5 words)" in result.messages


@pytest.mark.parametrize(
    ("labels", "standard"),
    [
        ("B:PER I:PER O", "B-PER I-PER O"),
        ("BPER IPER O BLOC", "B-PER I-PER O B-LOC"),
        ("PER_B PER_I O", "B-PER I-PER O"),
        ("per-b per-i o", "B-PER I-PER O"),
        ("b i o", "B I O"),
        ("B|PER I|PER 0", "B-PER I-PER O"),
        ("B\u2013PER I\u2013PER O", "B-PER I-PER O"),
        ("E-MAIL-B E-MAIL-I URL-B O", "B-E-MAIL I-E-MAIL B-URL O"),
        ("B-PER Other _ [SEP] X", "B-PER O O O O"),
        ("B-PER I-PER b-per O", "B-PER I-PER B-PER O"),
        # Only if the other labels form a label scheme.
        ("NOUN X _ VERB", "NOUN X _ VERB"),
        ("PER LOC X O", "PER LOC X O"),
        ("BRAND IN EVENT SIGN O", "BRAND IN EVENT SIGN O"),
        ("BRAND BIRD O", "BRAND BIRD O"),
        ("e-mail i-phone o", "e-mail i-phone o"),
        ("0 1 2", "0 1 2"),
    ],
)
def test_spellings(labels, standard):
    mapping = standard_labels(dict.fromkeys(labels.split(), 1))
    assert [mapping.get(label, label) for label in labels.split()] == standard.split()
    assert standard_labels(dict.fromkeys(labels.split(), 1), Task.POS) == {}


def test_slots_keep_the_case_of_their_types():
    assert standard_labels({"b-city_name": 2, "i-city_name": 1, "o": 3}, Task.SLOTS)["b-city_name"] == "B-city_name"


def test_labels_stay_as_they_are_for_parts_of_speech_and_where_the_user_says_so():
    assert case("suffix.conll", "--task", "pos").sentences[1] == "Tom/PER-B"
    result = case("suffix.conll", "--label-spelling", "keep")
    assert result.sentences[1] == "Tom/PER-B"
    assert "standard spelling" not in result.messages


def test_pieces_of_words_go_on_with_the_label_of_their_word(tmp_path: Path):
    text = "[CLS]\t[CLS]\nWash\tB-LOC\n##ing\tX\n##ton\tX\nis\tO\n##n\tX\n[SEP]\t[SEP]\n"
    result = converted(tmp_path, "a.conll", text)
    assert result.sentences == ["[CLS]/O Wash/B-LOC ##ing/I-LOC ##ton/I-LOC is/O ##n/O [SEP]/O"]
    assert "X to O (3 words)" in result.messages


def test_all_splits_are_read_in_one_spelling(tmp_path: Path):
    (tmp_path / "train.conll").write_text("Ada\tb-per\nleft\to\n\nOslo\ti-loc\n")
    (tmp_path / "test.conll").write_text("Bob\tb-per\n")
    data = DataConfig(train_file=str(tmp_path / "train.conll"), test_file=str(tmp_path / "test.conll"))
    splits = load_splits(data, task=Task.NER, draw=False)
    assert splits.scheme is Scheme.IOB2
    assert list(splits.test.label_counts()) == ["B-PER"]
    assert splits.labels.names == ("O", "I-LOC", "B-PER")


def test_names_that_come_with_the_data_are_rewritten_too(tmp_path: Path):
    import datasets

    labels = datasets.Sequence(datasets.ClassLabel(names=["OTHER", "PER-B", "PER-I"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": labels})
    rows = {"tokens": [["Ada", "left"]], "ner_tags": [[1, 0]]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "set"))
    splits = load_splits(DataConfig(train_file=str(tmp_path / "set")), task=Task.NER, draw=False)
    assert splits.train.metadata.label_names == ("O", "B-PER", "I-PER")
    assert next(iter(splits.train)).labels == ("B-PER", "O")


def test_a_scheme_that_yields_no_spans_is_an_error(tmp_path: Path):
    result = converted(tmp_path, "a.conll", "Ada\tNNP\nleft\tVBD\n", "--scheme", "IOB2")
    assert result.exit_code == 2
    assert "labels such as NNP, VBD form no spans in IOB2" in result.messages
    assert converted(tmp_path, "b.conll", "it\tO\nrains\tO\n", "--scheme", "IOB2").exit_code == 0


def test_scores_of_other_spellings_are_those_of_spans(tmp_path: Path):
    (tmp_path / "p.conll").write_text("Marie\tPER-B\nCurie\tPER-I\nin\tO\nParis\tO\n\nTom\tPER-B\n")
    files = ["--predictions", str(tmp_path / "p.conll"), "--gold", str(CASES / "suffix.conll")]
    result = CliRunner().invoke(cli, ["evaluate", *files, "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["overall"]["f1"] == pytest.approx(0.8)


def test_a_scheme_that_yields_no_spans_is_an_error_in_scoring_too(tmp_path: Path):
    (tmp_path / "a.conll").write_text("Ada\tNNP\nleft\tVBD\n")
    path = str(tmp_path / "a.conll")
    result = CliRunner().invoke(cli, ["evaluate", "--predictions", path, "--gold", path, "--scheme", "IOB2"])
    assert result.exit_code == 2
    assert "labels such as NNP, VBD form no spans in IOB2" in result.stderr


SLIPS = "Ada\tB-PER\nleft\tO\n\n" * 150 + "Bob\tB-PRE\n\nEve\tPERSON\n\nAnn\tB-PRE\n"


def test_a_label_near_a_frequent_one_is_reported_with_all_its_lines(tmp_path: Path):
    messages = converted(tmp_path, "a.conll", SLIPS).messages
    path = tmp_path / "a.conll"
    lines = f"{path}, line 451, word 1; {path}, line 455, word 1"
    assert f"B-PRE (2 words) is probably a typing error for B-PER (150 words): {lines}" in messages
    assert f"PERSON (1 word) is not a label of IOB2 and is read as O: {path}, line 453, word 1" in messages
    result = CliRunner().invoke(cli, ["inspect", str(path), "--json"])
    problems = {problem["kind"]: problem for problem in json.loads(result.stdout)["problems"]}
    places = [example["place"] for example in problems["likely-slip"]["examples"]]
    assert places == [f"{path}, line 451, word 1", f"{path}, line 455, word 1"]
    assert problems["unknown-label"]["count"] == 1


@pytest.mark.parametrize(
    ("counts", "slips"),
    [
        ({"B-PER": 1266, "B-PRE": 2}, ["B-PRE"]),
        ({"B-PER": 1266, "PER": 3}, ["PER"]),
        ({"B-PER": 1266, "I-PER": 2}, []),
        ({"B-PER": 1266, "G-PER": 2}, ["G-PER"]),
        ({"B-PER": 1266, "B-Per": 2}, ["B-Per"]),
        ({"B-PER": 60, "B-PRE": 2}, []),
        ({"B-LOC": 500, "B-LOCs": 1, "B-ORG": 3}, ["B-LOCs"]),
    ],
)
def test_slips(counts, slips):
    assert [slip.label for slip in likely_slips(counts, Scheme.IOB2)] == slips


def test_names_that_begin_like_prefixes_by_chance_stay():
    assert standard_labels({"O": 9, "E_coli": 2, "S_aureus": 1, "B_subtilis": 1}) == {}
