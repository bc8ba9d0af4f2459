"""evaluate and compare score the output of predict correctly in every format, and never score the gold labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import seqeval.metrics
from click.testing import CliRunner

from tests.data.converting import CASES
from tf_tokclf.cli.main import cli
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import RULES, Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import convert_labels
from tf_tokclf.model.backend import keras
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.saving import save_model_folder
from tf_tokclf.scoring.entities import MODES
from tf_tokclf.scoring.predictions import Prediction, score_predictions

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

SCORES = ("overall", "by_type", "macro", "weighted", "modes", "token_accuracy")
load_tagger = Tagger.load  # replaced by a fixture

# The classifier was never trained, so most of its labels are wrong.
SENTENCES = [
    (("ada", "lovelace", "visited", "london", "."), ("B-PER", "I-PER", "O", "B-LOC", "O")),
    (("paris", "saw", "grace"), ("B-LOC", "O", "B-PER")),
    (("alan", "likes", "oslo"), ("B-PER", "O", "B-LOC")),
    (("x", "and", "é", "😀", "rome", "."), ("O", "O", "O", "O", "B-LOC", "O")),
    (("edsger", "left"), ("B-PER", "O")),
]


def columns(separator: str, *, header: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        rows = [[f"{word}{separator}{label}\n" for word, label in zip(*sentence)] for sentence in SENTENCES]
        path.write_text(header + "\n".join("".join(block) for block in rows), encoding="utf-8")

    return write


def records(make: Callable[[Sequence[str], Sequence[str]], dict[str, Any]], *, whole: bool = False) -> Any:
    def write(path: Path) -> None:
        found = [make(words, labels) for words, labels in SENTENCES]
        text = json.dumps(found) if whole else "".join(json.dumps(one) + "\n" for one in found)
        path.write_text(text, encoding="utf-8")

    return write


def spans_of(words: Sequence[str], labels: Sequence[str]) -> list[tuple[int, int, str]]:
    found, at = [], 0
    for word, label in zip(words, labels):
        if label[:2] == "B-":
            found.append([at, at + len(word), label[2:]])
        elif label[:2] == "I-":
            found[-1][1] = at + len(word)
        at += len(word) + 1
    return [(start, end, type_) for start, end, type_ in found]


def label_studio_task(words: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    values = [{"start": s, "end": e, "labels": [t]} for s, e, t in spans_of(words, labels)]
    result = [{"from_name": "l", "to_name": "t", "type": "labels", "value": value} for value in values]
    return {"id": len(words), "data": {"text": " ".join(words)}, "annotations": [{"result": result}]}


def csv_words(path: Path) -> None:
    lines = ["Sentence #,Word,POS,Tag\n"]
    for number, sentence in enumerate(SENTENCES, 1):
        lines += [f"Sentence: {number},{word},NN,{label}\n" for word, label in zip(*sentence)]
    path.write_text("".join(lines), encoding="utf-8")


def csv_lists(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "tokens", "ner_tags"])
        writer.writerows([i, *map(json.dumps, sentence)] for i, sentence in enumerate(SENTENCES))


NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def parquet_ids(path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "id": datasets.Value("int64"),
            "tokens": datasets.Sequence(datasets.Value("string")),
            "pos_tags": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=NAMES)),
        }
    )
    rows = {
        "id": list(range(len(SENTENCES))),
        "tokens": [list(words) for words, _ in SENTENCES],
        "pos_tags": [["NN"] * len(words) for words, _ in SENTENCES],
        "ner_tags": [list(labels) for _, labels in SENTENCES],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))


def parquet_texts(path: Path) -> None:
    span = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())]))
    texts = [" ".join(words) for words, _ in SENTENCES]
    spans = [[{"start": s, "end": e, "label": t} for s, e, t in spans_of(*sentence)] for sentence in SENTENCES]
    pq.write_table(pa.table({"text": texts, "entities": pa.array(spans, span)}), path)


INPUTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "tab": ("in.conll", columns("\t")),
    "blank": ("in.conll", columns(" ")),
    "header": ("in.tsv", columns("\t", header="word\tlabel\n")),
    "lists": ("in.jsonl", records(lambda words, labels: {"id": 1, "tokens": words, "ner_tags": labels})),
    "other_names": ("in.jsonl", records(lambda words, labels: {"words": words, "labels": labels, "lang": "en"})),
    "ids": ("in.parquet", parquet_ids),
    "json_list": ("in.json", records(lambda words, labels: {"tokens": words, "ner_tags": labels}, whole=True)),
    "texts": (
        "in.jsonl",
        records(lambda words, labels: {"text": " ".join(words), "entities": spans_of(words, labels), "user": 3}),
    ),
    "doccano": (
        "in.jsonl",
        records(lambda words, labels: {"text": " ".join(words), "label": spans_of(words, labels)}),
    ),
    "prodigy": (
        "in.jsonl",
        records(
            lambda words, labels: {
                "text": " ".join(words),
                "spans": [{"start": s, "end": e, "label": t} for s, e, t in spans_of(words, labels)],
                "answer": "accept",
            }
        ),
    ),
    "label_studio": ("in.json", records(label_studio_task, whole=True)),
    "csv_words": ("in.csv", csv_words),
    "csv_lists": ("in.csv", csv_lists),
    "parquet_texts": ("in.parquet", parquet_texts),
}
ADDED = [
    [],
    ["--scores"],
    ["--top-k", "2"],
    ["--scores", "--top-k", "3", "--threshold", "0.6"],
    ["--word-splitting", "whitespace"],
]
ENDINGS = {"jsonl": ".jsonl", "conll": ".conll", "label-studio": ".json"} | dict.fromkeys(
    ("spacy", "doccano", "prodigy"), ".jsonl"
)
FORMATS = ["same", "jsonl", "conll", "spacy", "doccano", "prodigy", "label-studio"]


def run(*args: object, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


@dataclass
class Reference:
    """The expected scores of files of predictions, from the model's labels in memory."""

    tagger: Tagger

    def f1(self, threshold: float | None = None) -> float:
        tagged = list(self.tagger.tag(Sentence(words) for words, _ in SENTENCES))
        if threshold is not None:
            tagged = [one.without_spans_below(threshold) for one in tagged]
        gold = [list(labels) for _, labels in SENTENCES]
        return float(seqeval.metrics.f1_score(gold, [list(one.labels) for one in tagged], zero_division=0))


@pytest.fixture(scope="module")
def reference(tiny_classifier: Path) -> Reference:
    return Reference(Tagger.load(tiny_classifier))


@pytest.fixture(scope="module", autouse=True)
def _loaded_once(reference: Reference) -> Iterator[None]:
    """All commands here share a model, which is loaded once."""
    assert 0 < reference.f1(0.6) < reference.f1() < 0.7, "the model has to err"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tagger, "load", lambda *args, **options: reference.tagger)
        yield


def predicted(folder: Path, model: Path, source: Path, *options: str, output_format: str = "same") -> Path:
    """The output of predict. It has the suffix of the input if it has the same format."""
    name = source.name if output_format == "same" else f"{output_format}{ENDINGS[output_format]}"
    output = folder / f"out-{name}"
    run("predict", model, source, "-o", output, "--output-format", output_format, "-q", *options)
    return output


def f1_of(*args: object) -> float:
    return float(json.loads(run("evaluate", *args, "--format", "json", "-q").stdout)["overall"]["f1"])


def compared_f1(*args: object) -> list[float]:
    comparison = json.loads(run("compare", *args, "--format", "json", "--samples", 9, "-q").stdout)
    return [system["f1"]["mean"] for system in comparison["systems"]]


@pytest.mark.parametrize("options", ADDED, ids=lambda options: " ".join(options) or "plain")
@pytest.mark.parametrize("source", INPUTS)
def test_enriched_files_are_scored_with_and_without_gold(
    tiny_classifier: Path, reference: Reference, tmp_path: Path, source: str, options: list[str]
):
    name, write = INPUTS[source]
    write(tmp_path / name)
    output = predicted(tmp_path, tiny_classifier, tmp_path / name, *options)
    expected = pytest.approx(reference.f1(0.6 if "--threshold" in options else None))
    assert f1_of("--predictions", output) == expected
    assert f1_of("--predictions", output, "--gold", tmp_path / name) == expected
    assert compared_f1(output, output) == [expected, expected]
    assert compared_f1(output, output, "--gold", tmp_path / name) == [expected, expected]


@pytest.mark.parametrize("output_format", [name for name in FORMATS if name != "same"])
@pytest.mark.parametrize("source", INPUTS)
def test_every_output_format_is_scored_beside_gold(
    tiny_classifier: Path, reference: Reference, tmp_path: Path, source: str, output_format: str
):
    name, write = INPUTS[source]
    write(tmp_path / name)
    expected = pytest.approx(reference.f1())
    for options in ([], ["--scores", "--top-k", "2"], ["--offset-unit", "utf16"], ["--word-splitting", "whitespace"]):
        output = predicted(tmp_path, tiny_classifier, tmp_path / name, *options, "--force", output_format=output_format)
        assert f1_of("--predictions", output, "--gold", tmp_path / name) == expected, options
        assert compared_f1(output, output, "--gold", tmp_path / name) == [expected, expected]
        assert "--gold" in run("evaluate", "--predictions", output, code=2).output


@pytest.mark.parametrize("output_format", FORMATS)
def test_records_with_gold_labels_are_scored_by_what_was_predicted(
    tiny_classifier: Path, reference: Reference, tmp_path: Path, output_format: str
):
    source = CASES / "gold_rn.jsonl"
    records = [json.loads(line) for line in source.read_text().splitlines()]
    labels = [list(tagged.labels) for tagged in reference.tagger.tag(Sentence(tuple(r["tokens"])) for r in records)]
    expected = seqeval.metrics.f1_score([record["ner_tags"] for record in records], labels, zero_division=0)
    assert expected < 1, "the model has to err"
    output = predicted(tmp_path, tiny_classifier, source, output_format=output_format)
    assert f1_of("--predictions", output, "--gold", source) == pytest.approx(expected)
    assert compared_f1(output, output, "--gold", source) == pytest.approx([expected] * 2)
    if output_format == "same":
        assert f1_of("--predictions", output) == pytest.approx(expected)
        assert compared_f1(output, output) == pytest.approx([expected] * 2)
    else:
        assert "--gold" in run("evaluate", "--predictions", output, code=2).output


def test_our_own_tasks_of_label_studio_are_predictions_and_no_annotations(tiny_classifier: Path, tmp_path: Path):
    columns("\t")(tmp_path / "in.conll")
    output = predicted(tmp_path, tiny_classifier, tmp_path / "in.conll", output_format="label-studio")
    for command in (["convert", output, "-"], ["inspect", output]):
        message = run(*command, code=2).output
        assert f"{len(SENTENCES)} records left out: not annotated" in message
    again = tmp_path / "again.jsonl"
    run("predict", tiny_classifier, output, "-o", again, "--output-format", "jsonl", "-q")
    texts = [json.loads(line)["text"] for line in again.read_text().splitlines()]
    assert texts == [" ".join(words) for words, _ in SENTENCES]


@pytest.mark.parametrize("unit", ["utf16", "byte"])
@pytest.mark.parametrize("output_format", ["spacy", "doccano", "prodigy"])
def test_offsets_that_predict_wrote_are_read_by_other_commands(
    tiny_classifier: Path, reference: Reference, tmp_path: Path, output_format: str, unit: str
):
    words = ("😀", "ada", "lovelace", "visited", "london")
    (tmp_path / "in.txt").write_text(" ".join(words) + "\n")
    spans = next(iter(reference.tagger.tag([Sentence(words)]))).spans
    assert spans
    options = ("--offset-unit", unit, "--word-splitting", "whitespace")
    output = predicted(tmp_path, tiny_classifier, tmp_path / "in.txt", *options, output_format=output_format)
    run("convert", output, tmp_path / "out.jsonl", "--word-splitting", "whitespace")
    record = json.loads((tmp_path / "out.jsonl").read_text())
    assert record["tokens"] == list(words)
    starts = {i: label[2:] for i, label in enumerate(record["ner_tags"]) if label[0] == "B"}
    assert starts == {span.start: span.type for span in spans}


@pytest.mark.parametrize("output_format", FORMATS)
def test_gold_spans_fall_into_the_words_that_were_predicted(
    tiny_classifier: Path, reference: Reference, tmp_path: Path, output_format: str
):
    words, gold = ("ada-grace", "saw", "oslo."), ["B-PER", "O", "B-LOC"]
    labels = next(iter(reference.tagger.tag([Sentence(words)]))).labels
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"text": " ".join(words), "entities": [[0, 9, "PER"], [14, 19, "LOC"]]}) + "\n")
    output = predicted(tmp_path, tiny_classifier, source, "--word-splitting", "whitespace", output_format=output_format)
    expected = seqeval.metrics.f1_score([gold], [list(labels)], zero_division=0)
    assert f1_of("--predictions", output, "--gold", source) == pytest.approx(expected)
    if output_format == "same":
        assert f1_of("--predictions", output) == pytest.approx(expected)


@pytest.mark.parametrize("head", ["id\tword\tgold\tpredicted", "n\ttoken\ty_true\ty_pred"])
def test_columns_are_told_apart_by_their_head_line(tmp_path: Path, head: str):
    path = tmp_path / "a.tsv"
    path.write_text(f"{head}\n1\tAda\tB-PER\tO\n2\tleft\tO\tB-PER\n\n1\tTom\tB-PER\tB-PER\n", encoding="utf-8")
    swapped = "\t".join([*head.split("\t")[:2], *reversed(head.split("\t")[2:])])
    scores = json.loads(run("evaluate", "--predictions", path, "--format", "json").stdout)
    assert scores["overall"]["support"] == 2
    path.write_text(path.read_text().replace(head, swapped), encoding="utf-8")
    assert f1_of("--predictions", path) == 0.5


def in_scheme(classifier: Path, scheme: Scheme, folder: Path) -> Tagger:
    """A model with labels of a scheme, which predicts only sequences that the scheme allows."""
    names = ("O", *(f"{letter}-{type_}" for type_ in ("LOC", "PER") for letter in RULES[scheme].letters.values()))
    keras.utils.set_random_seed(11)
    model = new_classifier(classifier, names, precision=Precision("float32", "test"))
    model.classifier.kernel.assign(model.classifier.kernel * 60)
    info = ModelInfo(WindowSettings("first", max_length=64, overlap=8), LabelSet(names, scheme), decoding="viterbi")
    save_model_folder(model, load_tokenizer(classifier), info, folder)
    return load_tagger(folder)


def gold_columns(path: Path, labels: Sequence[Sequence[str]]) -> Path:
    """A CoNLL file with these gold labels."""
    blocks = ["".join(f"{w}\t{x}\n" for w, x in zip(words, own)) for (words, _), own in zip(SENTENCES, labels)]
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", RULES)
def test_every_output_format_has_the_same_scores_in_every_scheme(
    monkeypatch: pytest.MonkeyPatch, tiny_bert: Path, tmp_path: Path, scheme: Scheme
):
    tagger = in_scheme(tiny_bert, scheme, tmp_path / "model")
    monkeypatch.setattr(Tagger, "load", lambda *args, **options: tagger)
    own = [list(one.labels) for one in tagger.tag(Sentence(words) for words, _ in SENTENCES)]
    assert sum(label != "O" for labels in own for label in labels) > 3, "the model has to find spans"
    # In every second sentence, the predicted labels are correct.
    gold_labels = [
        labels if number % 2 else convert_labels(labels_in_iob2, Scheme.IOB2, scheme)
        for number, (labels, (_, labels_in_iob2)) in enumerate(zip(own, SENTENCES))
    ]
    gold = gold_columns(tmp_path / "gold.conll", gold_labels)
    predictions = [Prediction(words, tuple(p), tuple(g)) for (words, _), p, g in zip(SENTENCES, own, gold_labels)]
    expected = {mode: score_predictions(lambda: predictions, scheme, mode=mode).to_json() for mode in MODES}
    assert 0 < expected["strict"]["overall"]["f1"] < 1
    for output_format in FORMATS:
        output = predicted(tmp_path, tmp_path / "model", gold, output_format=output_format)
        ways = [["--gold", gold], ["--gold", gold, "--scheme", scheme.value]]
        for way in [*ways, []] if output_format == "same" else ways:
            for mode in MODES:
                options = [*way, "--mode", mode, "--format", "json", "-q"]
                said = json.loads(run("evaluate", "--predictions", output, *options).stdout)
                assert {name: said[name] for name in SCORES} == {name: expected[mode][name] for name in SCORES}, (
                    output_format,
                    way,
                )
        assert compared_f1(output, output, "--gold", gold, "--mode", "strict") == pytest.approx(
            [expected["strict"]["overall"]["f1"]] * 2
        )


def test_touching_predicted_spans_are_one_in_scheme_io(tmp_path: Path):
    """IO cannot separate them, whether the scheme is set or detected."""
    (tmp_path / "gold.conll").write_text("ada\tI-PER\ntom\tI-PER\nleft\tO\n")
    spans = [{"start": 0, "end": 3, "label": "PER"}, {"start": 4, "end": 7, "label": "PER"}]
    (tmp_path / "p.jsonl").write_text(json.dumps({"text": "ada tom left", "spans": spans}) + "\n")
    for options in ([], ["--scheme", "IO"]):
        assert f1_of("--predictions", tmp_path / "p.jsonl", "--gold", tmp_path / "gold.conll", *options) == 1


@pytest.mark.parametrize("scheme", ["IO", "IOB1", "BIOES"])
@pytest.mark.parametrize("target", ["a.spacy", "a_brat"])
def test_spans_of_other_tools_are_written_in_golds_scheme(tmp_path: Path, scheme: str, target: str):
    columns("\t")(tmp_path / "in.conll")
    run("convert", tmp_path / "in.conll", tmp_path / "gold.conll", "--scheme", scheme)
    to = ["--to", "brat"] if target == "a_brat" else []
    run("convert", tmp_path / "in.conll", tmp_path / target, *to)
    said = run("evaluate", "--predictions", tmp_path / target, "--gold", tmp_path / "gold.conll", "--format", "json")
    scores = json.loads(said.stdout)
    assert (scores["token_accuracy"], scores["modes"]["strict"]["f1"]) == (1, 1)
