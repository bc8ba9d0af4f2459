"""Small files of many tools are recognised by their content and read correctly."""

from __future__ import annotations

import pytest

from tests.data.converting import case

CASES = {
    "argilla.jsonl": ["Marie/B-PER lives/O"],
    "cluener.json": [
        "王/B-name 芳/I-name 在/O 北/B-organization 京/I-organization 图/I-organization 书/I-organization"
        " 馆/I-organization 工/O 作/O",
        "今/O 天/O 没/O 有/O 新/O 闻/O",
    ],
    "gliner.json": ["Marie/B-person Curie/I-person lives/O in/O Paris/B-location", "Tom/O left/O"],
    "spert.json": ["Marie/B-PER Curie/I-PER lives/O", "Tom/O left/O"],
    "rasa.json": ["show/O me/O chinese/B-cuisine restaurants/O", "hello/O"],
    "spacy_v2.json": ["Marie/U-PER lives/O in/O Paris/None"],
    "spacy_traindata_flat.json": ["Marie/B-PER lives/O in/O Paris/B-LOC", "Tom/O left/O"],
    "ner_annotator.json": ["Marie/B-PER lives/O in/O Paris/B-LOC", "Tom/B-PER left/O"],
    "ontonotes.conll": ["John/B-PERSON Smith/I-PERSON visited/O Paris/B-GPE", "Nobody/O cares/O"],
    "inline_slash_equal.txt": ["The/DT cat/NN sat/VBD ./.", "A/DT dog/NN ran/VBD ./."],
    "spacy_iob.iob": ["Marie/B-PER lives/O in/O Paris/B-LOC", "Tom/B-PER left/O"],
}


@pytest.mark.parametrize("name", CASES)
def test_small_files_of_many_tools(name: str):
    result = case(name)
    assert (result.exit_code, result.sentences) == (0, CASES[name])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("argilla.jsonl", "1 record left out: not annotated"),
        ("ner_annotator.json", "1 record left out: not annotated"),
        ("spacy_v2.json", "1 word without a label, ignored in training and scores"),
        ("gliner.json", "words with spans (gliner), ends inclusive"),
        ("spert.json", "words with spans (spert), ends exclusive"),
        ("rasa.json", "(rasa; would also fit spacy, doccano)"),
    ],
)
def test_what_is_particular_is_said(name: str, said: str):
    assert said in case(name).messages
