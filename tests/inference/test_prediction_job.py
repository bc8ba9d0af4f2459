"""PredictionJob as a stream: one output record per input record, and resuming without a difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.inference.sources import sample_texts, write_source
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError
from tf_tokclf.inference.partial_output import Progress, identity_of
from tf_tokclf.inference.prediction_job import PredictionJob, Shard, predict_to_file
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import tf
from tf_tokclf.records.base import Details
from tf_tokclf.records.output import choose_output_format, open_output_format
from tf_tokclf.records.stream import open_records


@pytest.fixture(scope="module")
def tagger(tiny_classifier: Path) -> Tagger:
    return Tagger.load(tiny_classifier, batch_size=4)


class Killed(Exception):
    """Represents the end of the process."""


class KillAfter:
    """Ends a job after a number of blocks."""

    def __init__(self, n_runs: int) -> None:
        self.left = n_runs

    def show(self, progress: Progress, bytes_read: int | None, bytes_in_all: int | None) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


def job_for(
    tagger: Tagger,
    source: Path,
    output: Path,
    *,
    format: str | None = None,
    kill_after: int | None = None,
    threshold: float | None = None,
    keep: bool = False,
    **details: object,
) -> PredictionJob:
    stream = open_records(str(source), DataConfig(), keep_errors=keep)
    chosen = choose_output_format(format, output, stream.format)
    file_format = open_output_format(chosen, stream.format, tagger.labels.scheme, Details(**details))
    watcher = None if kill_after is None else KillAfter(kill_after)
    return PredictionJob(tagger, stream, file_format, threshold=threshold, look_ahead_words=20, watcher=watcher)


def predicted(tagger: Tagger, source: Path, output: Path, **options: object) -> bytes:
    predict_to_file(job_for(tagger, source, output, **options), output)
    return output.read_bytes()


def test_a_record_comes_out_for_each_that_goes_in(tagger: Tagger, tmp_path: Path):
    texts = ["", "ada visited london\r", " ", "\ufeffx \u200b 👩‍🚀", "ada " * 500, "\x00 a\x1b[2J", "."]
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n", encoding="utf-8", newline="")
    lines = predicted(tagger, tmp_path / "in.txt", tmp_path / "out.jsonl").decode().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["text"] for record in records] == [text.removesuffix("\r") for text in texts]
    assert len(records[4]["words"]) == len(records[4]["labels"]) == 500
    for record in records:
        assert len(record["words"]) == len(record["labels"]) == len(record["scores"])
        for span in record["spans"]:
            assert record["text"][span["start"] : span["end"]] == span["text"]
    assert any(record["spans"] for record in records)


def test_columns_come_back_with_one_more(tagger: Tagger, tmp_path: Path):
    text = "-DOCSTART- O\r\n\r\nada NNP\r\n# x = 1\r\nlondon NNP\r\n\r\n\r\nx SYM"
    (tmp_path / "in.conll").write_text(text, newline="")
    rows = predicted(tagger, tmp_path / "in.conll", tmp_path / "out.conll").decode().split("\n")
    assert len(rows) == len(text.split("\n")) + 1
    before = text.split("\n")
    for old, new in zip(before, rows):
        assert new.startswith(old.rstrip("\r"))
    added = [new.rstrip("\r").split(" ")[-1] for old, new in zip(before, rows) if old.strip() and old[0] in "alx"]
    assert len(added) == 3
    assert set(added) <= set(tagger.labels.names)


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("scores", [False, True])
def test_columns_keep_their_separator_and_their_header(tagger: Tagger, tmp_path: Path, separator: str, scores: bool):
    rows = [["word", "pos"], ["ada", "NNP"], ["left", "VBD"]]
    (tmp_path / "in.tsv").write_text("".join(separator.join(row) + "\n" for row in rows))
    out = predicted(tagger, tmp_path / "in.tsv", tmp_path / "out.tsv", scores=scores).decode()
    header, *lines = [line.split(separator) for line in out.splitlines()]
    assert header == ["word", "pos", *(["predicted_score"] if scores else []), "predicted_label"]
    assert [line[:2] for line in lines] == rows[1:]
    assert {line[-1] for line in lines} <= set(tagger.labels.names)


def test_a_list_of_words_gets_its_labels_behind_a_tab(tagger: Tagger, tmp_path: Path):
    (tmp_path / "in.conll").write_text("ada\nleft\n")
    out = predicted(tagger, tmp_path / "in.conll", tmp_path / "out.conll").decode()
    assert [line.split("\t")[0] for line in out.splitlines()] == ["ada", "left"]
    assert out.count("\t") == 2


def test_columns_that_are_there_stay_as_they_are(tagger: Tagger, tmp_path: Path):
    record = {"tokens": ["ada", "x"], "predicted_labels": ["B-LOC", "O"]}
    added = {"predicted_labels_2", "predicted_scores_2", "predicted_spans_2"}
    (tmp_path / "in.jsonl").write_text(json.dumps(record) + "\n")
    out = json.loads(predicted(tagger, tmp_path / "in.jsonl", tmp_path / "out.jsonl"))
    assert {name: out[name] for name in record} == record
    assert out.keys() - record.keys() == added
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "in.parquet")
    predicted(tagger, tmp_path / "in.parquet", tmp_path / "out.parquet")
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert {name: row[name] for name in record} == record
    assert row.keys() - record.keys() == {*added, "predicted_words_2"}
    (tmp_path / "in.csv").write_text("word,predicted_label\nada,B-LOC\n")
    header, line, *_ = predicted(tagger, tmp_path / "in.csv", tmp_path / "out.csv").decode().splitlines()
    assert header == "word,predicted_label,predicted_label_2,predicted_score_2"
    assert line.startswith("ada,B-LOC,")


def test_a_field_that_only_later_records_have_is_not_overwritten(tagger: Tagger, tmp_path: Path):
    lines = ['{"tokens": ["ada"]}\n'] * 4001 + ['{"tokens": ["ada"], "predicted_labels": ["O"]}\n']
    (tmp_path / "in.jsonl").write_text("".join(lines))
    with pytest.raises(UserError, match=r"in.jsonl, line 4002: the record already has a field 'predicted_labels'"):
        predicted(tagger, tmp_path / "in.jsonl", tmp_path / "out.jsonl")


def test_names_of_label_ids_stay_in_parquet(tagger: Tagger, tmp_path: Path):
    import datasets

    names = ["O", "B-PER", "I-PER"]
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names)),
        }
    )
    rows = {"tokens": [["ada", "x"]], "ner_tags": [[1, 0]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "in.parquet"))
    predicted(tagger, tmp_path / "in.parquet", tmp_path / "out.parquet", top_k=2)
    out = datasets.Dataset.from_parquet(str(tmp_path / "out.parquet"), cache_dir=str(tmp_path / "cache"))
    assert out.features["ner_tags"].feature.names == names
    assert len(out[0]["predicted_labels"]) == 2


def test_json_records_keep_their_fields(tagger: Tagger, tmp_path: Path):
    records = [{"id": 7, "tokens": ["ada", "", "\ud800"], "ner_tags": ["?"]}, {"id": 8, "tokens": []}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records) + "{broken\n")
    out = predicted(tagger, tmp_path / "in.jsonl", tmp_path / "out.jsonl", keep=True).decode().splitlines()
    first, second, broken = map(json.loads, out)
    assert (first["id"], first["ner_tags"], second["id"]) == (7, ["?"], 8)
    assert len(first["predicted_labels"]) == 3
    assert second["predicted_labels"] == []
    assert broken["line"] == "{broken"
    assert "is not valid JSON" in broken["error"]


def test_lists_of_words_have_no_text(tagger: Tagger, tmp_path: Path):
    (tmp_path / "in.jsonl").write_text('{"tokens": ["ada", "x"]}\n{broken\n')
    lines = predicted(tagger, tmp_path / "in.jsonl", tmp_path / "out", format="jsonl", keep=True).splitlines()
    words, broken = map(json.loads, lines)
    assert list(words) == ["words", "labels", "scores", "spans"]
    assert broken["text"] == "{broken\n"


def test_csv_and_parquet_keep_their_columns(tagger: Tagger, tmp_path: Path):
    (tmp_path / "in.csv").write_text('id;text\n1;"ada; x"\n2;\n')
    rows = predicted(tagger, tmp_path / "in.csv", tmp_path / "out.csv").decode().splitlines()
    assert rows[0] == "id;text;predicted_words;predicted_labels;predicted_scores;predicted_spans"
    assert len(rows) == 3
    table = pa.table({"id": [1, 2], "tokens": [["ada", "x"], []], "extra": [{"a": 1}, None]})
    pq.write_table(table, tmp_path / "in.parquet")
    predicted(tagger, tmp_path / "in.parquet", tmp_path / "out.parquet")
    result = pq.read_table(tmp_path / "out.parquet")
    assert result.select(["id", "tokens", "extra"]).equals(table)
    assert [len(labels) for labels in result["predicted_labels"].to_pylist()] == [2, 0]


@pytest.mark.parametrize("format", ["jsonl", "conll", "spacy", "doccano", "prodigy", "label-studio"])
def test_every_format_has_a_record_for_each(tagger: Tagger, tmp_path: Path, format: str):
    (tmp_path / "in.txt").write_text("ada visited london\n\nx 😀 ada\n")
    text = predicted(tagger, tmp_path / "in.txt", tmp_path / "out", format=format).decode()
    if format == "label-studio":
        assert [task["data"]["text"] for task in json.loads(text)] == ["ada visited london", "", "x 😀 ada"]
    elif format == "conll":
        assert text.count("\n\n") + text.count("\n\n\n") == 3
    else:
        assert [json.loads(line)["text"] for line in text.splitlines()] == ["ada visited london", "", "x 😀 ada"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.json.zst", "out.label-studio", "out.parquet"])
def test_a_broken_off_job_goes_on_to_the_same_bytes(tagger: Tagger, tmp_path: Path, name: str):
    texts = sample_texts()
    source = tmp_path / "in.txt"
    source.write_text("\n".join(texts))
    if name.endswith("parquet"):
        source = tmp_path / "in.parquet"
        pq.write_table(pa.table({"text": texts}), source)
    format = "label-studio" if "studio" in name else None
    whole = predicted(tagger, source, tmp_path / f"whole-{name}", format=format)
    output = tmp_path / name
    for _ in range(3):
        with pytest.raises(Killed):
            predict_to_file(job_for(tagger, source, output, format=format, kill_after=3), output, resume=True)
        # Data that was written after the last journal entry is discarded.
        with (tmp_path / f"{name}.partial").open("ab") as file:
            file.write(b"half a rec")
        assert not output.exists()
    predict_to_file(job_for(tagger, source, output, format=format), output, resume=True)
    assert output.read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "in.txt", name, f"whole-{name}"}


def test_a_job_with_context_goes_on_to_the_same_bytes(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):

    reading = replace(tagger.info.reading, context_sentences=2)
    wide = Tagger(tagger.forward_pass, tagger.tokenizer, replace(tagger.info, reading=reading), batch_size=4)
    (tmp_path / "in.txt").write_text("\n".join(sample_texts()))
    whole = predicted(wide, tmp_path / "in.txt", tmp_path / "whole.jsonl")
    output = tmp_path / "out.jsonl"
    with pytest.raises(Killed):
        predict_to_file(job_for(wide, tmp_path / "in.txt", output, kill_after=4), output)
    predict_to_file(job_for(wide, tmp_path / "in.txt", output), output, resume=True)
    assert output.read_bytes() == whole


def test_only_the_same_job_goes_on(tagger: Tagger, tiny_classifier: Path, tmp_path: Path):
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(sample_texts()))
    identity = identity_of(tiny_classifier, str(source), {"top_k": 0})
    with pytest.raises(Killed):
        predict_to_file(job_for(tagger, source, output, kill_after=2), output, identity=identity)
    with pytest.raises(UserError, match="--resume, or start again with --force"):
        predict_to_file(job_for(tagger, source, output), output)
    for changed in ({**identity, "top_k": 2}, {**identity, "input": "other"}):
        with pytest.raises(UserError, match="had another"):
            predict_to_file(job_for(tagger, source, output), output, resume=True, identity=changed)
    predict_to_file(job_for(tagger, source, output), output, force=True)
    assert len(output.read_text().splitlines()) == 40


def test_a_job_that_fails_at_once_leaves_nothing(tagger: Tagger, tmp_path: Path):
    (tmp_path / "in.jsonl").write_text('{"text": "a b"}\n{broken\n')
    with pytest.raises(UserError, match="line 2"):
        predicted(tagger, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_threshold_leaves_out_spans_and_their_labels(tagger: Tagger, tmp_path: Path):
    (tmp_path / "in.txt").write_text("\n".join(sample_texts()))
    every = [json.loads(x) for x in predicted(tagger, tmp_path / "in.txt", tmp_path / "a.jsonl").splitlines()]
    scores = sorted(span["score"] for record in every for span in record["spans"])
    # Scores are written with six digits. The threshold is half a digit lower, so rounding moves no span across it.
    limit = scores[len(scores) // 2] - 0.5e-6
    some = predicted(tagger, tmp_path / "in.txt", tmp_path / "b.jsonl", threshold=limit, top_k=5).splitlines()
    for before, after in zip(every, map(json.loads, some)):
        assert after["spans"] == [span for span in before["spans"] if span["score"] >= limit]
        for label, score, top in zip(after["labels"], after["scores"], after["top"]):
            assert {"label": label, "score": score} in top
            assert sum(one["score"] for one in top) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("aggregation", ["first", "average", "max"])
def test_aggregation_equals_a_plain_computation(tagger: Tagger, aggregation: str):
    words = ("ada", "qwxz", "london", "a-b", "visited")
    encoded = tagger.tokenizer(list(words), is_split_into_words=True, return_tensors="tf")
    logits = tagger.model(**encoded).logits[0]
    pieces = tf.nn.softmax(logits).numpy()
    of_word = encoded.word_ids()
    (tagged,) = next(tagger.tag_blocks([Sentence(words)], aggregation=aggregation))
    for word in range(len(words)):
        own = pieces[[i for i, w in enumerate(of_word) if w == word]]
        plain = {"first": own[0], "average": own.mean(axis=0), "max": own[own.max(axis=1).argmax()]}[aggregation]
        np.testing.assert_allclose(np.exp(tagged.log_probabilities[word]), plain, atol=1e-5)
    assert max(of_word.count(word) for word in range(len(words))) > 2


def shard_outputs(tagger: Tagger, source: Path, n_shards: int, suffix: str, **options: object) -> list[Path]:
    """The output of each of `n_shards` jobs."""
    paths = []
    for number in range(1, n_shards + 1):
        output = source.with_name(f"{number}-of-{n_shards}{suffix}")
        job = job_for(tagger, source, output, **options)
        sentences = (record.sentence for record in open_records(str(source), DataConfig()).records())
        shard = Shard.all(sentences, n_shards, look_ahead_words=job.look_ahead_words)[number - 1]
        predict_to_file(replace(job, shard=shard), output)
        paths.append(output)
    return paths


@pytest.mark.parametrize(
    ("name", "suffix", "format"),
    [
        ("in.txt", ".jsonl", None),
        ("in.txt.gz", ".jsonl.gz", None),
        ("in.txt", ".json", "label-studio"),
        ("in.txt", ".conll.zst", "conll"),
        ("in.conll", ".conll", None),
        ("in.jsonl", ".jsonl", None),
        ("in.csv", ".csv", None),
        ("words.csv", ".csv", None),
    ],
)
def test_shards_behind_each_other_are_the_whole(
    tagger: Tagger, tmp_path: Path, name: str, suffix: str, format: str | None
):
    source = write_source(name, tmp_path)
    whole = predicted(tagger, source, tmp_path / f"whole{suffix}", format=format)
    for n_shards in (1, 2, 3, 7, 50):
        outputs = [path.read_bytes() for path in shard_outputs(tagger, source, n_shards, suffix, format=format)]
        assert b"".join(outputs) == whole
        assert sum(map(bool, outputs)) > min(n_shards - 1, 7)


def test_shards_of_parquet_are_the_row_groups_of_the_whole(tagger: Tagger, tmp_path: Path):
    source = write_source("in.parquet", tmp_path)
    predicted(tagger, source, tmp_path / "whole.parquet")
    for n_shards in (1, 3, 50):
        tables = [pq.read_table(path) for path in shard_outputs(tagger, source, n_shards, ".parquet")]
        assert pa.concat_tables(tables).equals(pq.read_table(tmp_path / "whole.parquet"))


def test_shards_of_nothing_are_nothing(tagger: Tagger, tmp_path: Path):
    (tmp_path / "in.txt").write_text("")
    assert [path.read_bytes() for path in shard_outputs(tagger, tmp_path / "in.txt", 2, ".jsonl")] == [b"", b""]


def test_a_shard_sees_its_neighbours(tagger: Tagger, tmp_path: Path):
    reading = replace(tagger.info.reading, context_sentences=2)
    wide = Tagger(tagger.forward_pass, tagger.tokenizer, replace(tagger.info, reading=reading), batch_size=4)
    source = write_source("in.txt", tmp_path)
    whole = predicted(wide, source, tmp_path / "whole.jsonl")
    assert whole != predicted(tagger, source, tmp_path / "narrow.jsonl")
    outputs = shard_outputs(wide, source, 5, ".jsonl")
    assert b"".join(path.read_bytes() for path in outputs) == whole


def test_a_broken_off_shard_goes_on_to_the_same_bytes(tagger: Tagger, tmp_path: Path):
    source, output = write_source("in.txt", tmp_path), tmp_path / "out.json"
    (expected,) = (path.read_bytes() for path in shard_outputs(tagger, source, 3, ".json", format="label-studio")[1:2])
    sentences = [record.sentence for record in open_records(str(source), DataConfig()).records()]
    shard = Shard.all(sentences, 3, look_ahead_words=20)[1]
    killed, job = (
        replace(job_for(tagger, source, output, format="label-studio", kill_after=n), shard=shard) for n in (2, None)
    )
    with pytest.raises(Killed):
        predict_to_file(killed, output)
    predict_to_file(job, output, resume=True)
    assert output.read_bytes() == expected
