"""WebAnno TSV 3: layers, features and annotations of parts of words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.converting import converted

ENTITY = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value"


POS = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue|coarseValue"


def webanno(*lines: str, layers: tuple[str, ...] = (ENTITY,)) -> str:
    return "\n".join(["#FORMAT=WebAnno TSV 3.3", *layers, "", "", *lines, ""])


def test_spans_by_number_and_of_single_words(tmp_path: Path):
    text = webanno(
        "#Text=New York, Oslo",
        "1-1\t0-3\tNew\t*[1]\tLOC[1]\t",
        "1-2\t4-8\tYork\t*[1]\tLOC[1]\t",
        "1-3\t8-9\t,\t_\t_\t",
        "1-4\t10-14\tOslo\t*\tLOC\t",
        "",
        "#Text=Bye",
        "2-1\t15-18\tBye\t_\t_\t",
    )
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["New/B-LOC York/I-LOC ,/O Oslo/B-LOC", "Bye/O"]
    assert "webanno: labels in NamedEntity.value" in result.messages


def test_neighbouring_spans_of_one_type_stay_two(tmp_path: Path):
    text = webanno("1-1\t0-3\tAda\t*[1]\tPER[1]\t", "1-2\t4-7\tBob\t*[2]\tPER[2]\t")
    assert converted(tmp_path, "a.tsv", text).sentences == ["Ada/B-PER Bob/B-PER"]


def test_stacked_spans_are_layers(tmp_path: Path):
    text = webanno("1-1\t0-3\tNew\t*[1]|*[2]\tORG[1]|LOC[2]\t", "1-2\t4-8\tYork\t*[1]\tORG[1]\t")
    assert converted(tmp_path, "a.tsv", text).exit_code == 2
    assert converted(tmp_path, "a.tsv", text, "--layer", "0").sentences == ["New/B-ORG York/I-ORG"]
    assert converted(tmp_path, "a.tsv", text, "--layer", "1").sentences == ["New/B-LOC York/O"]


def test_parts_of_words_are_taken_to_whole_words_and_counted(tmp_path: Path):
    text = webanno("1-1\t0-9\tOslo-trip\t_\t_\t", "1-1.1\t0-4\tOslo\t*\tLOC\t", "1-2\t10-13\tend\t_\t_\t")
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["Oslo-trip/B-LOC end/O"]
    assert "1 span of parts of words extended to whole words" in result.messages


def test_escaped_signs_and_spans_without_a_value(tmp_path: Path):
    text = webanno("1-1\t0-3\ta\\_b\t*[1]\t*[1]\t", "1-2\t4-5\t\\|\t*\tA\\|B\t")
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["a_b/B-NamedEntity |/B-A|B"]
    assert "1 span without a value labelled with the name of their layer" in result.messages


def test_parts_of_speech_and_other_layers(tmp_path: Path):
    layers = (POS, ENTITY, "#T_SP=webanno.custom.Drug|dose")
    text = webanno("1-1\t0-3\tAda\tNNP\tPROPN\t*\tPER\t5mg\t", layers=layers)
    assert converted(tmp_path, "a.tsv", text).sentences == ["Ada/B-PER"]
    assert converted(tmp_path, "a.tsv", text, "--task", "pos").sentences == ["Ada/NNP"]
    for name in ("Drug", "dose", "Drug.dose", "7"):
        assert converted(tmp_path, "a.tsv", text, "--label-column-name", name).sentences == ["Ada/B-5mg"]
    assert converted(tmp_path, "a.tsv", text, "--label-column-name", "").sentences == ["Ada"]


@pytest.mark.parametrize(
    ("layers", "options", "said"),
    [
        (("#T_SP=webanno.custom.A|x", "#T_SP=webanno.custom.B|y"), (), "several features may contain the labels."),
        ((POS,), (), "no layer contains labels for this task"),
        ((ENTITY,), ("--label-column-name", "Drug"), "there is no layer or feature 'Drug'"),
        ((ENTITY,), (), "line 5: '1-1\\t0-3\\tAda' is not a token with 5 columns"),
    ],
)
def test_what_is_not_clear_is_an_error(tmp_path: Path, layers: tuple[str, ...], options: tuple[str, ...], said: str):
    result = converted(tmp_path, "a.tsv", webanno("1-1\t0-3\tAda", layers=layers), *options)
    assert result.exit_code == 2
    assert said in result.messages
