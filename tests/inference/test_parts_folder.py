"""The folder of a job in parts: its identity, resuming, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tf_tokclf.errors import UserError
from tf_tokclf.inference.parts_folder import Part, PartsFolder, left_to_do
from tf_tokclf.inference.prediction_job import predict_to_file
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger


@pytest.fixture(scope="module")
def spec(tiny_classifier: Path) -> PredictionSpec:
    return PredictionSpec(
        str(tiny_classifier),
        loading={"revision": None, "batch_size": 4},
        reading={"format": "auto"},
        details={"top_k": 0},
        word_splitting=None,
        output_format=None,
        threshold=None,
        look_ahead=20,
        keep_errors=False,
    )


@pytest.fixture(scope="module")
def tagger(spec: PredictionSpec) -> Tagger:
    return spec.tagger()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("ada visited london x and grace .\n" * 30)
    return tmp_path / "in.txt"


def label(spec: PredictionSpec, tagger: Tagger, parts: list[Part]) -> None:
    for part in parts:
        stream = spec.open(tagger, part.source)
        predict_to_file(spec.job(tagger, stream, part.output_format, shard=part.shard), part.output)
        stream.close()


def begin(
    spec: PredictionSpec, tagger: Tagger, source: Path, *, resume: bool = False, n: int | None = None
) -> list[Part]:
    return PartsFolder(source.parent / "out").begin(spec, tagger, str(source), n, default=3, resume=resume)


def test_a_job_goes_on_with_the_parts_it_had(spec: PredictionSpec, tagger: Tagger, source: Path):
    parts = begin(spec, tagger, source, n=4)
    assert [part.output.name for part in parts] == [f"part-0000{i}-of-00004.jsonl" for i in (1, 2, 3, 4)]
    label(spec, tagger, parts[:2])
    again = begin(spec, tagger, source, resume=True)
    assert again == parts
    assert left_to_do(again) == parts[2:]
    label(spec, tagger, left_to_do(again))
    assert sum(len(part.output.read_text().splitlines()) for part in parts) == 30


def test_another_job_does_not_go_on(spec: PredictionSpec, tagger: Tagger, source: Path):
    begin(spec, tagger, source, n=4)
    with pytest.raises(UserError, match="another number of parts: 4, not 5"):
        begin(spec, tagger, source, n=5, resume=True)
    with pytest.raises(UserError, match="another top_k: 0, not 2"):
        begin(replace(spec, details={"top_k": 2}), tagger, source, resume=True)
    source.write_text("other\n")
    with pytest.raises(
        UserError, match=r"another input\. Use the same settings and input, or start again with --force"
    ):
        begin(spec, tagger, source, resume=True)


def test_a_job_that_begins_anew_removes_the_parts_of_the_one_before_and_nothing_else(
    spec: PredictionSpec, tagger: Tagger, source: Path
):
    out = source.parent / "out"
    label(spec, tagger, begin(spec, tagger, source, n=4))
    PartsFolder(out).finish()
    (out / "mine.txt").write_text("kept")
    noted = json.loads((out / "_job.json").read_text())
    noted["outputs"].append("../in.txt")
    (out / "_job.json").write_text(json.dumps(noted))
    begin(spec, tagger, source, n=2)
    assert sorted(path.name for path in out.iterdir()) == ["_job.json", "mine.txt"]
    assert source.exists()


def test_a_folder_is_not_written_into_unasked(spec: PredictionSpec, tagger: Tagger, source: Path):
    folder = PartsFolder(source.parent / "out")
    folder.check(resume=False, force=False)
    begin(spec, tagger, source)
    with pytest.raises(UserError, match="Continue with --resume, start again with --force"):
        folder.check(resume=False, force=False)
    folder.check(resume=True, force=False)
    folder.check(resume=False, force=True)
    with pytest.raises(UserError, match="contains files that are not from such a job"):
        PartsFolder(source.parent).check(resume=False, force=True)


def test_files_of_a_folder_are_its_parts(spec: PredictionSpec, tagger: Tagger, tmp_path: Path):
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    for name in ("b.csv", "a.txt", ".hidden", "_SUCCESS"):
        (folder / name).write_text("text\nada visited\n")
    parts = begin(spec, tagger, folder)
    assert [(Path(part.source).name, part.output.name) for part in parts] == [("a.txt", "a.jsonl"), ("b.csv", "b.csv")]
    with pytest.raises(UserError, match="--parts divides a file"):
        begin(spec, tagger, folder, n=2)
    (folder / "a.text").write_text("ada\n")
    with pytest.raises(UserError, match=r"a\.text and a\.txt would both become a\.jsonl"):
        begin(spec, tagger, folder)


def test_an_empty_folder_is_refused(spec: PredictionSpec, tagger: Tagger, tmp_path: Path):
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="there is no file in this folder"):
        begin(spec, tagger, tmp_path / "in")


def test_a_folder_that_is_one_data_set_is_cut(spec: PredictionSpec, tagger: Tagger, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text("ada visited london .\n")
        (folder / f"{name}.ann").write_text("T1\tPER 0 3\tada\n")
    assert [part.output.name for part in begin(spec, tagger, folder, n=2)] == [
        "part-00001-of-00002.jsonl",
        "part-00002-of-00002.jsonl",
    ]
