"""tf-tokclf select: scores, what is left out, formats, and what it refuses."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.inference.sources import sample_texts, write_source
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.encoding.model_info import ModelInfo, read_model_info
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.model.backend import keras
from tf_tokclf.model.loading import load_classifier, new_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.saving import save_model_folder

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]
NAMES = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
# Short sentences, because all of their label sequences are listed.
POOL = tuple(
    " ".join(words) for words in product(("ada", "x", "london"), ("visited", "and"), ("grace", "oslo"), (".", ""))
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "pool.txt"
    # Each sentence twice, with different white space, and empty lines between them.
    path.write_text("".join(f"{text}\n\n" for text in POOL) + "".join(f"  {text}\n" for text in POOL))
    return path


@pytest.fixture(scope="module")
def seeds(tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three seeds, of which the second is the median, with classifiers that differ in their heads."""
    root = tmp_path_factory.mktemp("seeds") / "run"
    tokenizer = load_tokenizer(tiny_classifier)
    info = read_model_info(tiny_classifier, NAMES, tokenizer)
    for seed in (1, 2, 3):
        model = load_classifier(tiny_classifier, precision=Precision("float32", "test"))
        keras.utils.set_random_seed(seed)
        kernel = model.classifier.kernel
        kernel.assign(kernel + keras.backend.random_normal(kernel.shape, stddev=0.6))
        save_model_folder(model, tokenizer, info, root / f"seed-{seed}" / "model")
    shutil.copytree(root / "seed-2" / "model", root / "model")
    f1 = {"f1": {"validation": 0.5}}
    (root / "seeds.json").write_text(json.dumps({"seeds": dict.fromkeys("123", f1), "median": 2}))
    return root


@pytest.fixture(scope="module")
def six(tiny_classifier: Path, pool: Path) -> list[dict[str, Any]]:
    """The records of six selected sentences."""
    return selected(tiny_classifier, pool, "-n", 6)


@pytest.fixture
def trained(tiny_classifier: Path, tmp_path: Path) -> Path:
    """A run whose data consists of the first six sentences of the pool."""
    root = tmp_path / "run"
    shutil.copytree(tiny_classifier, root / "model")
    texts = [text.split() for text in POOL[:6]]
    for name, part in (("train", texts[:4]), ("dev", texts[4:])):
        (tmp_path / f"{name}.conll").write_text("\n".join("".join(f"{word} O\n" for word in one) for one in part))
    (root / "config.yaml").write_text(
        f"data:\n  train_file: {tmp_path}/train.conll\n  validation_file: {tmp_path}/dev.conll\n"
    )
    return root


def run(*args: object, text: str | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["select", *map(str, args)], input=text)
    assert result.exit_code == code, result.stderr or result.exception
    return result


def selected(*args: object, text: str | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*args, text=text).stdout.splitlines()]


def texts_of(*args: object, text: str | None = None) -> list[str]:
    return [" ".join(record["words"]) for record in selected(*args, text=text)]


def refused(*args: object, text: str | None = None) -> str:
    return " ".join(run(*args, text=text, code=2).stderr.split())


def marginals(tagger: Tagger, types: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Each sentence of the pool with (words, labels) probabilities over all legal label sequences; labels of other
    types, and O beside them, are added up.
    """
    common = {name: name if types == () or name[2:] in types else "other" for name in NAMES}
    columns = sorted(set(common.values()))
    for text in POOL:
        (tagged,) = tagger.tag([Sentence(tuple(text.split()))])
        weights, found = np.exp(tagged.log_probabilities.astype(float)), np.zeros((len(tagged.labels), len(columns)))
        for labels in product(NAMES, repeat=len(weights)):
            if all(b[0] != "I" or a[2:] == b[2:] for a, b in zip(("O", *labels), labels)):
                weight = math.prod(weights[word, NAMES.index(label)] for word, label in enumerate(labels))
                for word, label in enumerate(labels):
                    found[word, columns.index(common[label])] += weight
        yield " ".join(text.split()), found / found.sum(axis=1, keepdims=True)


def by_hand(row: np.ndarray, strategy: str) -> float:
    first, second = sorted(row, reverse=True)[:2]
    if strategy == "margin":
        return float(1 - (first - second))
    if strategy == "least-confidence":
        return float(1 - first)
    return -sum(p * math.log(p) for p in row if p > 0) / math.log(len(row))


@pytest.mark.parametrize(
    ("strategy", "types"),
    [("margin", ()), ("entropy", ()), ("least-confidence", ()), ("margin", ("LOC",)), ("entropy", ("PER",))],
)
def test_the_sentences_with_the_least_certain_words_come_first(
    tiny_classifier: Path, pool: Path, strategy: str, types: tuple[str, ...]
):
    tagger = Tagger.load(tiny_classifier)
    expected = {text: max(by_hand(row, strategy) for row in rows) for text, rows in marginals(tagger, types)}
    options = ["--types", ",".join(types)] if types else []
    records = selected(tiny_classifier, pool, "-n", 9, "--diversity", "none", "--strategy", strategy, *options)
    scores = [record["selection"]["uncertainty"] for record in records]
    assert scores == pytest.approx(sorted(expected.values(), reverse=True)[:9], abs=1e-5)
    for rank, record in enumerate(records, 1):
        assert record["selection"]["uncertainty"] == pytest.approx(expected[" ".join(record["words"])], abs=1e-5)
        assert record["selection"]["rank"] == rank
        assert record["selection"]["strategy"] == strategy


def test_labels_are_those_of_predict(tiny_classifier: Path, pool: Path, six: list[dict[str, Any]]):
    done = CliRunner().invoke(cli, ["predict", str(tiny_classifier), str(pool)])
    predicted = {tuple(one["words"]): one for one in map(json.loads, done.stdout.splitlines())}
    for record in six:
        known = predicted[tuple(record["words"])]
        assert record["labels"] == known["labels"]
        assert record["scores"] == pytest.approx(known["scores"], abs=1e-5)


def test_diverse_sentences_are_among_the_most_uncertain_ones(tiny_classifier: Path, pool: Path):
    ranked = texts_of(tiny_classifier, pool, "-n", len(POOL), "--diversity", "none")
    for diversity in ("embeddings", "words"):
        chosen = texts_of(tiny_classifier, pool, "-n", 3, "--diversity", diversity)
        assert len(chosen) == 3
        assert set(chosen) <= set(ranked[:15])
        assert sorted(chosen, key=ranked.index) == chosen
    assert texts_of(tiny_classifier, pool, "-n", 3) == texts_of(
        tiny_classifier, pool, "-n", 3, "--diversity", "embeddings"
    )


def test_votes_of_seeds_are_compared(seeds: Path, pool: Path):
    taggers = [Tagger.load(seeds / f"seed-{seed}") for seed in (1, 2, 3)]
    votes = [{text: rows.argmax(axis=1) for text, rows in marginals(tagger, ())} for tagger in taggers]
    expected = {}
    for text in votes[0]:
        shares = [Counter(column).values() for column in np.stack([one[text] for one in votes]).T.tolist()]
        expected[text] = max(-sum(n / 3 * math.log(n / 3) for n in one) / math.log(3) for one in shares)
    assert len(set(expected.values())) > 1
    records = selected(seeds, pool, "-n", len(POOL), "--strategy", "disagreement")
    scores = [record["selection"]["uncertainty"] for record in records]
    assert scores == sorted(scores, reverse=True)
    found = {" ".join(record["words"]): record["selection"]["uncertainty"] for record in records}
    assert found == pytest.approx(expected, abs=1e-5)
    assert "by 1 run" in records[0]["selection"]["reason"]


def test_random_sentences_depend_on_the_seed_and_not_on_the_order(tiny_classifier: Path, pool: Path):
    options = [tiny_classifier, "-n", 8, "--strategy", "random"]
    first = texts_of(*options, text=pool.read_text())
    backwards = "\n".join(reversed(pool.read_text().splitlines()))
    assert texts_of(*options, text=backwards) == first
    assert texts_of(*options, "--seed", 1, text=backwards) != first
    assert len(set(first)) == 8


def test_the_same_command_selects_the_same(tiny_classifier: Path, pool: Path, six: list[dict[str, Any]]):
    assert selected(tiny_classifier, pool, "-n", 6) == six


def test_each_sentence_is_selected_once_and_all_if_more_are_wanted(tiny_classifier: Path, pool: Path):
    for option in (["-n", 500], ["--budget-words", 5000]):
        done = run(tiny_classifier, pool, *option)
        texts = [" ".join(json.loads(line)["words"]) for line in done.stdout.splitlines()]
        assert sorted(texts) == sorted(" ".join(text.split()) for text in POOL)
        assert "fewer sentences are left than" in done.stderr
        assert " ".join(map(str, option)).replace("-n", "--number") in done.stderr
    assert "fewer sentences" not in run(tiny_classifier, pool, "-n", len(POOL)).stderr


@pytest.mark.parametrize("diversity", ["none", "words"])
def test_a_budget_of_words_is_used_and_not_exceeded(tiny_classifier: Path, pool: Path, diversity: str):
    for budget in (4, 17, 30):
        records = selected(tiny_classifier, pool, "--budget-words", budget, "--diversity", diversity)
        n_words = sum(len(record["words"]) for record in records)
        # Each sentence has three or four words.
        assert budget - 3 < n_words <= budget


def test_the_data_of_the_run_is_left_out(trained: Path, pool: Path, tmp_path: Path):
    known = {" ".join(text.split()) for text in POOL[:6]}
    everything = {" ".join(text.split()) for text in POOL}
    done = run(trained, pool, "-n", 100)
    assert {" ".join(json.loads(line)["words"]) for line in done.stdout.splitlines()} == everything - known
    assert "12 labelled already" in done.stderr
    assert set(texts_of(trained / "model", pool, "-n", 100)) == everything - known
    assert set(texts_of(trained, pool, "-n", 100, "--keep-run-data")) == everything
    # An earlier selection, in one of its formats, and a text.
    earlier = tmp_path / "earlier.jsonl"
    run(trained, pool, "-n", 5, "--output-format", "doccano", "-o", earlier)
    left = texts_of(trained, pool, "-n", 100, "--exclude", earlier)
    assert len(left) == len(POOL) - 6 - 5
    (tmp_path / "rest.txt").write_text("".join(f"{text}\n" for text in left[1:]))
    only = texts_of(trained, pool, "--exclude", tmp_path / "rest.txt", "--exclude-format", "text", "-n", 100)
    assert set(only) == everything - known - set(left[1:])


@pytest.mark.parametrize("format", ["jsonl", "prodigy", "doccano", "conll", "label-studio"])
def test_each_format_is_read_again(
    tiny_classifier: Path, pool: Path, six: list[dict[str, Any]], tmp_path: Path, format: str
):
    records = six
    output = tmp_path / (
        "tasks.json" if format == "label-studio" else f"out.{'conll' if format == 'conll' else 'jsonl'}"
    )
    run(tiny_classifier, pool, "-n", 6, "--output-format", format, "-o", output)
    words_only = DataConfig(label_column_name="", word_splitting="words")
    data = words_only if format == "label-studio" else DataConfig(word_splitting="words")
    sentences = list(read_sentences(str(output), data))
    assert [list(sentence.words) for sentence in sentences] == [record["words"] for record in records]
    if format != "label-studio":
        # Spans keep their types and places; this decoding does not follow the scheme.
        found = [spans_of(sentence.labels or (), Scheme.IOB2) for sentence in sentences]
        assert found == [spans_of(record["labels"], Scheme.IOB2) for record in records]
    content = output.read_text()
    if format in ("prodigy", "doccano"):
        metas = [json.loads(line)["meta"] for line in content.splitlines()]
        assert metas == [record["selection"] for record in records]
    if format == "label-studio":
        tasks = json.loads(content)
        assert [task["meta"] for task in tasks] == [record["selection"] for record in records]
        # Label Studio shows the tasks with the lowest scores first.
        scores = [task["predictions"][0]["score"] for task in tasks]
        assert scores == pytest.approx([1 - task["meta"]["uncertainty"] for task in tasks])
        assert scores == sorted(scores)
        spans = [[one["value"]["labels"] for one in task["predictions"][0]["result"]] for task in tasks]
        assert spans == [[[span["type"]] for span in record["spans"]] for record in records]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "words.csv", "a.parquet", "a.conll", "a.txt.gz"])
def test_every_input_of_predict_can_be_read(tiny_classifier: Path, tmp_path: Path, name: str):
    texts = {" ".join(text.split()) for text in sample_texts() if text}
    expected = texts_of(tiny_classifier, "-n", 7, text="".join(f"{text}\n" for text in sample_texts()))
    source = write_source(name, tmp_path)
    records = selected(tiny_classifier, source, "-n", 7, "--look-ahead", 50)
    key = "predicted_words" if "predicted_words" in records[0] else "tokens" if "tokens" in records[0] else "words"
    assert [" ".join(record[key]) for record in records] == expected
    assert set(expected) <= texts
    if name == "a.jsonl":
        # The records keep their fields.
        assert all(sample_texts()[record["id"]] == " ".join(record["tokens"]) for record in records)
        assert [record["predicted_selection"]["rank"] for record in records] == list(range(1, 8))


def test_an_output_is_complete_or_unchanged(tiny_classifier: Path, tmp_path: Path):
    lines = [json.dumps({"text": "ada left"}), json.dumps({"text": 3}), json.dumps({"text": "oslo left"})]
    (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    output = tmp_path / "out.jsonl"
    output.write_text("before")
    assert "the file exists" in refused(tiny_classifier, tmp_path / "in.jsonl", "-o", output)
    assert "in.jsonl, line 2" in refused(tiny_classifier, tmp_path / "in.jsonl", "-o", output, "--force")
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
    done = run(tiny_classifier, tmp_path / "in.jsonl", "-o", output, "--force", "--on-error", "drop")
    assert len(output.read_text().splitlines()) == 2
    assert "1 record could not be read" in done.stderr


def test_compressed_output(tiny_classifier: Path, pool: Path, tmp_path: Path):
    run(tiny_classifier, pool, "-n", 4, "-o", tmp_path / "out.jsonl.gz")
    assert len(list(read_sentences(str(tmp_path / "out.jsonl.gz"), DataConfig()))) == 4


def test_what_is_refused(tiny_classifier: Path, trained: Path, seeds: Path, pool: Path, tmp_path: Path):
    cases: dict[str, list[object]] = {
        "there is no such file": [tiny_classifier, tmp_path / "none.txt"],
        "gone.conll: there is no such file": [tiny_classifier, pool, "--exclude", tmp_path / "gone.conll"],
        "Give either --number or --budget-words": [tiny_classifier, pool, "-n", 3, "--budget-words", 9],
        "the model does not have the type ORG. Its types are LOC, PER.": [tiny_classifier, pool, "--types", "PER,ORG"],
        "is not a list of types": [tiny_classifier, pool, "--types", "PER,,"],
        "no sentence is left to select": [tiny_classifier, pool, "--exclude", pool, "--exclude-format", "text"],
        "has 2 words or fewer. Pass a larger --budget-words": [tiny_classifier, pool, "--budget-words", 2],
        "this is a single run or model": [tiny_classifier, pool, "--strategy", "disagreement"],
        "the format cannot be inferred": [tiny_classifier, pool, "-o", tmp_path / "out.json"],
        "would destroy the input": [tiny_classifier, pool, "-o", pool, "--force"],
        "--exclude reads files": [tiny_classifier, pool, "--exclude", "-"],
        "train.conll: writing it would destroy": [trained, pool, "-o", tmp_path / "train.conll", "--force"],
        "range x>=0": [tiny_classifier, pool, "--seed", -1],
    }
    for told, args in cases.items():
        message = refused(*args)
        assert told in message, (told, message)
    assert "standard input contains no sentences" in refused(tiny_classifier, text="\n \n")
    assert not (tmp_path / "out.json").exists()


def test_an_export_has_no_embeddings(tiny_classifier: Path, pool: Path, monkeypatch: pytest.MonkeyPatch):
    chosen = texts_of(tiny_classifier, pool, "-n", 3, "--diversity", "words")
    # ONNX Runtime returns logits only.
    monkeypatch.setattr(Tagger, "has_hidden_states", property(lambda tagger: False))
    assert texts_of(tiny_classifier, pool, "-n", 3) == chosen
    message = refused(tiny_classifier, pool, "--diversity", "embeddings")
    assert "returns no embeddings of sentences. Pass --diversity words" in message


def test_labels_that_form_no_spans(tiny_bert: Path, pool: Path, tmp_path: Path):
    labels = LabelSet(("NOUN", "VERB", "X"), Scheme.NONE)
    keras.utils.set_random_seed(5)
    model = new_classifier(tiny_bert, labels.names, precision=Precision("float32", "test"))
    model.classifier.kernel.assign(model.classifier.kernel * 40)
    info = ModelInfo(WindowSettings("first", max_length=64, overlap=8), labels)
    save_model_folder(model, load_tokenizer(tiny_bert), info, tmp_path / "pos")
    tagger = Tagger.load(tmp_path / "pos")
    expected = {}
    for text in POOL:
        (tagged,) = tagger.tag([Sentence(tuple(text.split()))])
        verb = np.exp(tagged.log_probabilities.astype(float))[:, 1]
        expected[" ".join(text.split())] = float((1 - abs(2 * verb - 1)).max())
    records = selected(tmp_path / "pos", pool, "-n", 4, "--types", "VERB", "--diversity", "none")
    scores = [record["selection"]["uncertainty"] for record in records]
    assert scores == pytest.approx(sorted(expected.values(), reverse=True)[:4], abs=1e-5)
    assert records[0]["selection"]["reason"].startswith("word ")
    message = refused(tmp_path / "pos", pool, "--output-format", "prodigy")
    assert "prodigy contains only spans, but the model's labels form no spans" in message
