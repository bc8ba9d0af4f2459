"""report.html: complete, safe and readable, from whatever files a run has."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.prediction_files import write_predictions
from tests.report.runs import NASTY, make_run
from tf_tokclf.files import write_json
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.report.figures import ticks
from tf_tokclf.report.run_page import report_html, write_report
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.error_analysis import training_of
from tf_tokclf.scoring.evaluation import evaluate_file
from tf_tokclf.scoring.predictions import Prediction

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """The elements and texts of a page. Fails if tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Outline:
    training = training_of([Sentence(("Rome",), ("B-LOC",)), Sentence(("Oslo",), ("B-ORG",))], Scheme.IOB2)
    return Outline(report_html(make_run(tmp_path_factory.mktemp("runs") / "example"), training=training))


def test_is_one_file_that_fetches_nothing_and_runs_nothing(page):
    assert {tag for tag, _ in page.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "form",
        "a",
    } == set()
    for _, attributes in page.elements:
        assert not {"src", "href", "srcset"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_tokens_settings_and_notes_are_text_whatever_they_say(page):
    assert NASTY in page.text
    assert "<b>Rome</b>" in page.text
    assert page.text.count(NASTY) >= 3


def test_every_part_of_a_finished_run_is_there(page):
    headings = (
        "Training",
        "Scores on test",
        "Scores on validation",
        "Errors on test",
        "Confusion of types",
    )
    more = ("Confidence", "Examples", "To review", "About this run", "0123456789abcdef", "python version")
    divisions = ("By sentence length", "By span length", "By surface form in training", "test: 3 words beyond")
    for expected in (*headings, *more, *divisions):
        assert expected in page.text, expected
    assert len([a for a in page.named("svg") if a.get("class") == "chart"]) == 3


def test_covered_spans_and_those_that_are_not_are_listed(tmp_path):
    run = make_run(tmp_path)
    predictions = [
        Prediction(("Ada", NASTY), ("B-X", "O"), gold=("B-X", "I-X")),
        Prediction(("Oslo",), ("B-Y",), gold=("B-X",)),
    ]
    write_predictions(run.predictions_for("test"), predictions)
    scored = evaluate_file(run.predictions_for("test")).to_json()
    write_json(run.results, {"splits": {"test": scored}})
    page = Outline(report_html(run))
    whole = 3 + len(NASTY) + 4
    assert f"{100 * 7 / whole:.2f}" in page.text
    assert "touched interval fully covered interval" in page.text
    assert f"X {len(NASTY)} of {len(NASTY) + 3}" in page.text


def test_drawings_have_a_text_or_are_decoration(page):
    for attributes in page.named("svg"):
        assert attributes.get("aria-hidden") == "true" or (
            attributes["role"] == "img" and len(attributes["aria-label"]) > 20
        )


def test_examples_show_both_sides_with_what_is_wrong_marked(page):
    classes = [attributes["class"].split() for attributes in page.named("mark")]
    assert any("wrong" in names for names in classes)
    assert any("wrong" not in names for names in classes)


def test_is_written_whole(tmp_path):
    run = make_run(tmp_path / "run", n_sentences=5)
    assert write_report(run) == run.report
    assert [p.name for p in run.root.glob("report*")] == ["report.html"]


@pytest.mark.parametrize("kept", [[], ["history.jsonl"], ["predictions"], ["results.json"], ["config.yaml"]])
def test_copes_with_missing_parts(tmp_path, kept):
    run = make_run(tmp_path / "run", n_sentences=5)
    for path in (run.config, run.history, run.results, *run.predictions.glob("*")):
        if path.name not in kept and path.parent.name not in kept:
            path.unlink()
    page = Outline(report_html(run))
    assert ("Training" in page.text) == (kept == ["history.jsonl"])
    assert ("Scores on test" in page.text) == (kept in (["predictions"], ["results.json"]))


def test_predictions_without_gold_labels_are_not_scored(tmp_path):
    run = RunDir(tmp_path)
    write_predictions(run.predictions_for("test"), [Prediction(("a",), ("O",))])
    assert "no scores yet" in Outline(report_html(run)).text


def test_examples_are_read_in_the_mode_of_the_scores(tmp_path):
    run = RunDir(tmp_path)
    row = Prediction(("a", "b", "c"), ("I-X", "O", "B-Y"), ("B-X", "O", "O"))
    write_predictions(run.predictions_for("test"), [row])
    for mode, is_right in (("conlleval", True), ("strict", False)):
        write_json(run.results, {"splits": {"test": evaluate_file(run.predictions_for("test"), mode=mode).to_json()}})
        marks = [attributes["class"].split() for attributes in Outline(report_html(run)).named("mark")]
        assert any("wrong" not in classes for classes in marks) is is_right
        assert any("wrong" in classes for classes in marks)


def test_labels_without_a_scheme(tmp_path):
    run = RunDir(tmp_path)
    write_predictions(run.predictions_for("test"), [Prediction(("a", "b"), ("DET", "NOUN"), ("DET", "VERB"))] * 3)
    page = Outline(report_html(run))
    assert "the labels of words are scored" in page.text
    assert "test accuracy" in page.text


def test_characters_that_reorder_or_break_text_are_shown_as_such(tmp_path):
    run = RunDir(tmp_path)
    words = ("\u202eevil", "\x1b[2J", "nul\x00", "שלום", "x" * 500)
    write_predictions(run.predictions_for("test"), [Prediction(words, ("B-X",) * 5, ("O",) * 5)])
    text = report_html(run)
    assert not set("\u202e\x1b\x00") & set(text)
    assert "שלום" in text
    assert "x" * 41 not in text


def test_stays_small_whatever_the_data(tmp_path):
    run = RunDir(tmp_path)
    words = tuple("longword" * 40 for _ in range(3000))
    gold = tuple(f"B-type-{i % 150}" for i in range(3000))
    predicted = tuple(f"B-type-{i % 149}" for i in range(3000))
    write_predictions(run.predictions_for("test"), [Prediction(words, predicted, gold, (0.95,) * 3000)] * 10)
    assert len(report_html(run).encode()) < 2_000_000


def test_empty_sentences_and_sets(tmp_path):
    run = RunDir(tmp_path)
    write_predictions(run.predictions_for("test"), [Prediction((), (), ())])
    Outline(report_html(run))
    write_predictions(run.predictions_for("test"), [])
    Outline(report_html(run))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.03, 0.28), (5, 5), (1, 40), (-0.5, 1e6), (0, 1e-7)])
def test_ticks_are_few_and_span_the_values(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 8


def test_template_and_style_are_part_of_the_package():
    folder = Path(__file__).parent.parent.parent / "tf_tokclf" / "report" / "templates"
    assert {path.name for path in folder.iterdir()} >= {"report.html.jinja", "report.css"}
