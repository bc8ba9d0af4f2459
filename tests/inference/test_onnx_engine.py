"""ONNX Runtime writes the records that TensorFlow writes, and needs neither TensorFlow nor transformers.

What is compared: everything but the digits of scores is equal, byte for byte. Scores are written with six digits, and
float32 has seven: where the sixth is about to change, two libraries may round it to neighbouring digits.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import tf_tokclf
from tests.encoders import SIZES, make_bert, make_distilbert, make_roberta, save_encoder
from tests.inference.sources import sample_texts, write_source
from tests.requirements import need_modules
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.encoding.model_info import ModelInfo, write_model_info
from tf_tokclf.encoding.onnx_record import RECORD, weights_sha256
from tf_tokclf.encoding.thresholds_file import Thresholds, write_thresholds
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.errors import UserError
from tf_tokclf.files import sha256_of
from tf_tokclf.inference.engines import choose_file
from tf_tokclf.inference.parts_folder import Part
from tf_tokclf.inference.prediction_job import predict_to_file
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.ray_workers import Worker
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import DECODINGS
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import keras, transformers
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.saving import save_model_folder
from tf_tokclf.publishing.export.formats import write_export
from tf_tokclf.publishing.export.onnx_files import write_record_of
from tf_tokclf.redacting.redact import Redaction, redact
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.service import Service

need_modules("onnx", "onnxruntime", "tf2onnx", extra="export")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("untraced")]

WORDS = ("ada", "london", "visited", "grace", "and", ".")
LABELS = LabelSet(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), Scheme.IOB2)
HEAVY = {"tensorflow", "keras", "tf_keras", "transformers", "datasets", "torch"}
NUMBER = re.compile(rb"\d\.\d+(?:e-\d+)?")


def make_deberta(folder: Path) -> Path:
    """A DeBERTa v2 encoder with the vocabulary of a BERT."""
    bert = make_bert(folder / "bert", WORDS)
    tokenizer = transformers.BertTokenizerFast(str(bert / "vocab.txt"), model_max_length=64)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer), **SIZES, relative_attention=True, pos_att_type=["c2p", "p2c"]
    )
    return save_encoder(folder / "encoder", transformers.TFDebertaV2Model, config, tokenizer)


ENCODERS: dict[str, Callable[[Path], Path]] = {
    "bert": lambda folder: make_bert(folder, WORDS),
    "distilbert": make_distilbert,
    "roberta": lambda folder: make_roberta(folder, WORDS),
    "deberta-v2": make_deberta,
}


@pytest.fixture(scope="module")
def classifier_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a classifier of a type: its weights, and their export in ONNX format."""

    @cache
    def classifier(kind: str) -> Path:
        place = tmp_path_factory.mktemp(kind)
        encoder = ENCODERS[kind](place / "encoder")
        keras.utils.set_random_seed(11)
        model = new_classifier(encoder, LABELS.names, precision=Precision("float32", "test"))
        # An untrained head gives all labels similar scores.
        model.classifier.kernel.assign(model.classifier.kernel * 60)
        info = ModelInfo(WindowSettings("first", max_length=24, overlap=4), LABELS, temperature=1.3)
        folder = place / "model"
        save_model_folder(model, load_tokenizer(encoder), info, folder)
        path = write_export(model, folder, "onnx", None)
        write_record_of(path, folder, precision="float32", weights=weights_sha256(folder))
        return folder

    return classifier


@pytest.fixture(scope="module")
def folder(classifier_of: Callable[[str], Path]) -> Path:
    return classifier_of("bert")


@pytest.fixture
def export(folder: Path, tmp_path: Path) -> Path:
    """The export alone, without weights."""
    return Path(shutil.copytree(folder, tmp_path / "export", ignore=shutil.ignore_patterns("*.safetensors")))


def spec_of(model: Path, engine: str, **options: Any) -> PredictionSpec:
    loading = {name: options.pop(name) for name in ("decoding", "aggregation", "precision") if name in options}
    details = {name: options.pop(name) for name in ("top_k", "scores") if name in options}
    given = {"word_splitting": None, "output_format": None, "threshold": None, "look_ahead": 60, "keep_errors": False}
    return PredictionSpec(
        str(model), loading={"engine": engine, **loading}, reading={}, details=details, **{**given, **options}
    )


def predicted(spec: PredictionSpec, source: Path, output: Path, *, resume: bool = False, stop_after: int = 0) -> bytes:
    """The bytes that the command writes. stop_after: stop after this number of blocks."""
    tagger = spec.tagger()
    stream = spec.open(tagger, str(source))
    chosen = spec.format_for(stream, output)
    job = spec.job(tagger, stream, chosen, watcher=Stopping(stop_after) if stop_after else None)
    predict_to_file(job, output, resume=resume, identity=spec.identity(tagger, stream, chosen))
    return output.read_bytes()


def test_workers_of_ray_load_the_export_once_and_write_the_same_records(export: Path, tmp_path: Path):
    given, spec = write_source("a.txt", tmp_path), spec_of(export, "onnx")
    whole = predicted(spec, given, tmp_path / "whole.jsonl")
    shards = spec.shards(spec.tagger(), str(given), 3)
    parts = {i: Part(str(given), tmp_path / f"{i}.jsonl", "jsonl", shard) for i, shard in enumerate(shards)}
    worker = Worker(spec, parts)
    rows = worker({"part": np.array(list(parts))})
    assert rows["problem"] == [""] * 3
    assert b"".join(part.output.read_bytes() for part in parts.values()) == whole


class Stopping:
    """Ends a job after a number of blocks, as if it was killed."""

    def __init__(self, n_blocks: int) -> None:
        self._left = n_blocks + 1

    def show(self, *progress: object) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def check_same(one: bytes, other: bytes) -> None:
    """Equal except for the last of six digits of scores, which may differ by 2."""
    assert NUMBER.sub(b"N", one) == NUMBER.sub(b"N", other)
    numbers = [np.array([float(x) for x in NUMBER.findall(text)]) for text in (one, other)]
    assert len(numbers[0]) > 20
    np.testing.assert_allclose(*numbers, rtol=0, atol=2.5e-6)


@pytest.mark.parametrize(
    ("kind", "source", "output", "options"),
    [
        ("bert", "a.txt", "o.jsonl", {"top_k": 3}),
        ("bert", "a.txt", "o.jsonl", {"decoding": "viterbi", "aggregation": "average"}),
        ("bert", "a.txt", "o.jsonl", {"aggregation": "max", "threshold": 0.4}),
        ("bert", "a.jsonl", "o.jsonl", {"output_format": "same"}),
        ("bert", "a.txt", "o.json", {"output_format": "label-studio"}),
        ("bert", "a.csv", "o.csv", {}),
        ("bert", "a.conll", "o.conll", {"scores": True}),
        ("distilbert", "a.txt", "o.jsonl", {"top_k": 2, "aggregation": "average"}),
        ("roberta", "a.txt", "o.jsonl", {"top_k": 2, "decoding": "viterbi"}),
        ("deberta-v2", "a.conll", "o.jsonl", {"output_format": "jsonl", "aggregation": "max"}),
    ],
)
def test_both_engines_write_the_same_records(
    classifier_of: Callable[[str], Path], tmp_path: Path, kind: str, source: str, output: str, options: dict[str, Any]
):
    folder = classifier_of(kind)
    given = write_source(source, tmp_path)
    if source == "a.txt":  # texts of several windows, and words without subword tokens or a vocabulary
        given.write_text("\n".join([*sample_texts(), " ".join(sample_texts()), "\u200b x \u4e2d Zz's", ""]) + "\n")
    texts = [
        predicted(spec_of(folder, engine, **options), given, tmp_path / f"{engine}.{output}")
        for engine in ("tensorflow", "onnx")
    ]
    check_same(*texts)


def test_both_engines_write_the_same_tables(folder: Path, tmp_path: Path):
    given = write_source("a.parquet", tmp_path)
    texts = []
    for engine in ("tensorflow", "onnx"):
        predicted(spec_of(folder, engine, top_k=2), given, tmp_path / f"{engine}.parquet")
        texts.append(json.dumps(pq.read_table(tmp_path / f"{engine}.parquet").to_pylist()).encode())
    check_same(*texts)


def test_the_other_engine_can_resume_a_job(folder: Path, tmp_path: Path):
    given = write_source("a.txt", tmp_path)
    whole = {engine: predicted(spec_of(folder, engine), given, tmp_path / engine) for engine in ("tensorflow", "onnx")}
    for first, second in (("tensorflow", "onnx"), ("onnx", "tensorflow"), ("onnx", "onnx")):
        output = tmp_path / f"{first}-{second}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            predicted(spec_of(folder, first), given, output, stop_after=2)
        resumed = predicted(spec_of(folder, second), given, output, resume=True)
        check_same(resumed, whole["tensorflow"])
        assert first != second or resumed == whole[first]


def test_a_job_cannot_be_resumed_in_another_precision(folder: Path, export: Path, tmp_path: Path):
    path = export / RECORD
    path.write_text(
        path.read_text()
        .replace('"precision": "float32"', '"precision": "int8"')
        .replace('"default": "float32"', '"default": "int8"')
    )
    shutil.copy(folder / "model.safetensors", export)
    given, output = write_source("a.txt", tmp_path), tmp_path / "o.jsonl"
    with pytest.raises(KeyboardInterrupt):
        predicted(spec_of(export, "onnx"), given, output, stop_after=2)
    with pytest.raises(UserError, match="the interrupted job had another precision: int8"):
        predicted(spec_of(export, "tensorflow"), given, output, resume=True)


def test_a_prediction_imports_no_tensorflow(export: Path, tmp_path: Path):
    (tmp_path / "in.txt").write_text("ada visited london .\n")
    code = (
        "import sys\n"
        "from tf_tokclf.cli.main import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        f"assert not {HEAVY!r} & set(sys.modules), {HEAVY!r} & set(sys.modules)\n"
        "assert 'onnxruntime' in sys.modules\n"
    )
    for command in (
        ["predict", str(export), str(tmp_path / "in.txt"), "--engine", "onnx"],
        ["predict", str(export), str(tmp_path / "in.txt")],
    ):
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["words"] == ["ada", "visited", "london", "."]


def test_redaction_imports_no_tensorflow(folder: Path, export: Path, tmp_path: Path):
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in sample_texts(12)))
    code = (
        "import sys\n"
        "from tf_tokclf.cli.main import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        f"assert not {HEAVY!r} & set(sys.modules), {HEAVY!r} & set(sys.modules)\n"
    )
    command = ["redact", str(export), str(tmp_path / "in.txt"), "--map", str(tmp_path / "map")]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    redacted(spec_of(folder, "tensorflow"), tmp_path / "in.txt", tmp_path / "out.txt")
    assert done.stdout == (tmp_path / "out.txt").read_text()
    assert "[PER_1]" in done.stdout or "[LOC_1]" in done.stdout


def redacted(spec: PredictionSpec, source: Path, output: Path) -> None:
    redact(spec, Redaction(), spec.tagger(), str(source), output)


def test_an_evaluation_states_its_engine(folder: Path, conll_files: dict[str, str]):
    results = [
        tf_tokclf.evaluate(folder, data=DataConfig(test_file=conll_files["test_file"]), engine=engine).to_json()
        for engine in ("tensorflow", "onnx")
    ]
    engines = [result.pop("engine") for result in results]
    assert re.fullmatch(r"tensorflow [\d.]+, float32", engines[0])
    assert re.fullmatch(r"onnxruntime [\d.]+, float32", engines[1])
    assert results[0].pop("loss") == pytest.approx(results[1].pop("loss"), abs=1e-5)
    assert results[0] == results[1]


def test_requests_share_a_session(export: Path):
    service = Service(tf_tokclf.load(export), "tests/tiny", Limits())
    service.start()
    try:
        texts = sample_texts(8)

        async def answers() -> list[Any]:
            return await asyncio.gather(*(service.tag(text) for text in texts))

        found = [one for (one,) in filter(None, asyncio.run(answers()))]
    finally:
        service.close()
    expected = list(tf_tokclf.load(export).tag(sentences_of(texts)))
    assert [tagged.labels for tagged in found] == [tagged.labels for tagged in expected]


def engine_of(folder: Path, **options: Any) -> str:
    file = choose_file(folder, **{"engine": "auto", "precision": None, **options})
    return "tensorflow" if file is None else f"onnx {file.precision}"


def test_auto_uses_an_export_of_the_same_weights(folder: Path, export: Path, caplog: pytest.LogCaptureFixture):
    assert engine_of(folder) == engine_of(folder, precision="float32") == engine_of(export) == "onnx float32"
    assert engine_of(folder, precision="mixed_bfloat16") == engine_of(folder, precision="auto") == "tensorflow"
    assert engine_of(folder, engine="tensorflow") == "tensorflow"
    assert tf_tokclf.load(export).forward_pass.facts.engine.startswith("onnxruntime ")
    weights = (folder / "model.safetensors").read_bytes()
    (export / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert engine_of(export) == "tensorflow"
    assert "the ONNX files were exported from other weights, so TensorFlow is used" in caplog.text
    with pytest.raises(UserError, match=r"exported from other weights. Export the model again, or pass --engine"):
        choose_file(export, engine="onnx", precision=None)
    shutil.rmtree(export / "onnx")
    assert engine_of(export) == "tensorflow"


def test_one_of_several_files_is_chosen_by_its_precision(folder: Path, export: Path):
    record = json.loads((export / RECORD).read_text())
    record["files"].append(record["files"][0] | {"precision": "int8", "file": "model_quantized.onnx"})
    (export / RECORD).write_text(json.dumps(record | {"default": "int8"}))
    assert engine_of(export) == engine_of(export, engine="onnx", precision="auto") == "onnx int8"
    assert engine_of(export, precision="float32") == "onnx float32"
    # Beside weights, a file in another precision is used only if it is asked for.
    shutil.copy(folder / "model.safetensors", export)
    assert engine_of(export) == "onnx float32"
    assert engine_of(export, precision="int8") == "onnx int8"
    (export / RECORD).write_text(json.dumps(record | {"default": "int8", "files": record["files"][1:]}))
    assert engine_of(export) == "tensorflow"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorflow"}, "is an export in ONNX format"),
        ({"precision": "int8"}, "has no ONNX file in int8, only in float32. Choose one of these."),
        ({"precision": "mixed_bfloat16"}, "precision mixed_bfloat16 needs weights"),
        ({"engine": "onnx", "precision": "mixed_bfloat16"}, "is not possible with engine onnx"),
        ({"engine": "tensorflow", "precision": "int8"}, "is not possible with engine tensorflow"),
        ({"engine": "pytorch"}, "engine 'pytorch' does not exist. Choose one of auto, tensorflow, onnx."),
        ({"precision": "float8"}, "precision 'float8' does not exist"),
    ],
)
def test_an_engine_or_precision_that_does_not_exist_is_refused(export: Path, options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=re.escape(message)):
        tf_tokclf.load(export, **options)


def test_only_tensorflow_has_a_keras_model(export: Path, folder: Path):
    tagger = tf_tokclf.load(export)
    with pytest.raises(AttributeError, match='Load it with engine="tensorflow"'):
        tagger.model  # noqa: B018
    assert isinstance(tf_tokclf.load(folder, engine="tensorflow").model, keras.Model)


def changed_record(folder: Path, **changes: Any) -> None:
    """Change the entry of the only file in the record."""
    record = json.loads((folder / RECORD).read_text())
    record["files"][0] |= changes
    (folder / RECORD).write_text(json.dumps(record))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "onnx/model.onnx").unlink(), "model.onnx: is missing, but onnx/record.json lists it"),
        (lambda folder: cut(folder / "onnx/model.onnx"), "model.onnx: does not match onnx/record.json"),
        (lambda folder: changed_record(folder, sha256="0" * 64), "model.onnx: does not match onnx/record.json"),
        (lambda folder: changed_record(folder, sha256="abc"), "record.json: files.0.sha256: String should match"),
        (lambda folder: changed_record(folder, file="../model.onnx"), "record.json: files.0.file: String should match"),
        (lambda folder: (folder / RECORD).write_text("{"), "record.json: not valid JSON"),
        (lambda folder: (folder / RECORD).write_text('{"format_version": 2}'), "was written by a newer version"),
        (lambda folder: (folder / RECORD).write_text('{"format_version": 1}'), "record.json: weights: Field required"),
        (lambda folder: (folder / RECORD).unlink(), "is an export in ONNX format"),
    ],
)
def test_an_export_that_does_not_match_its_record_is_refused(
    export: Path, damage: Callable[[Path], object], message: str
):
    damage(export)
    with pytest.raises(UserError, match=re.escape(message)):
        tf_tokclf.load(export)


def test_an_opset_that_the_runtime_does_not_know(export: Path):
    import onnx

    path = export / "onnx" / "model.onnx"
    model = onnx.load(str(path))
    model.opset_import[0].version = 999
    onnx.save(model, str(path))
    write_record_of(path, export, precision="float32", weights={})
    with pytest.raises(UserError, match=r"onnxruntime [\d.]+ cannot load it \(opset 999\): .*Upgrade with"):
        tf_tokclf.load(export)


def test_an_export_with_other_labels_is_refused(export: Path):
    config = json.loads((export / "config.json").read_text())
    config["id2label"]["5"], config["label2id"]["B-X"] = "B-X", 5
    (export / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"returns 5 logits for 6 labels"):
        tf_tokclf.load(export)


def test_scores_of_the_engines_differ_by_rounding_only(folder: Path):
    texts = sample_texts()
    sentences = [
        [one.log_probabilities for one in tagger_of(folder, engine).tag(sentences_of(texts))]
        for engine in ("tensorflow", "onnx")
    ]
    for one, other in zip(*sentences, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def tagger_of(folder: Path, engine: Any) -> Tagger:
    return tf_tokclf.load(folder, engine=engine)


def sentences_of(texts: list[str]) -> list[Any]:
    from tf_tokclf.labels.sentence import Sentence

    return [Sentence(tuple(text.split())) for text in texts]


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_both_engines_use_thresholds(folder: Path, tmp_path: Path, head: str):
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    if head == "crf":
        give_crf(own, Tagger.load(own, engine="onnx").info)
    thresholds = Thresholds.model_validate(
        {
            "format_version": 1,
            "labels": LABELS.names,
            "scheme": "IOB2",
            "temperature": 1.3,
            "aggregation": "first",
            "weights": weights_sha256(own),
            "confidence": 0.95,
            "data": {"name": "validation", "sha256": "0" * 16, "n_sentences": 3},
            "versions": {},
            "types": {"LOC": {"threshold": 0.02}, "PER": {"threshold": 0.3}},
        }
    )
    write_thresholds(own, thresholds)
    source = write_source("a.jsonl", tmp_path)
    engines = ("tensorflow", "onnx")
    by_engine = {engine: predicted(spec_of(own, engine), source, tmp_path / f"{engine}.jsonl") for engine in engines}
    check_same(*by_engine.values())
    export = shutil.copytree(own, tmp_path / "export", ignore=shutil.ignore_patterns("*.safetensors"))
    alone = predicted(spec_of(Path(export), "onnx"), source, tmp_path / "alone.jsonl")
    assert alone == by_engine["onnx"]
    (own / "thresholds.json").unlink()
    plain = predicted(spec_of(own, "onnx"), source, tmp_path / "plain.jsonl")
    labels = [[json.loads(line)["predicted_labels"] for line in one.splitlines()] for one in (alone, plain)]
    assert labels[0] != labels[1]


def give_crf(folder: Path, info: ModelInfo) -> None:
    """Give the model and its export transitions as a CRF learns them."""
    rng = np.random.default_rng(5)
    rules = Chain.of_rules(LABELS.names, LABELS.scheme)
    crf = Chain(*(part + 3 * rng.normal(size=part.shape) for part in rules.parts))
    write_model_info(folder, replace(info, crf=crf))
    values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    record = {**values, "crf": sha256_of(folder / "crf.json")}
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("decoding", DECODINGS)
def test_both_engines_use_the_same_crf(folder: Path, tmp_path: Path, decoding: str):
    copied = Path(shutil.copytree(folder, tmp_path / "with-crf"))
    without = Tagger.load(copied, engine="tensorflow", decoding=decoding)
    values = json.loads((copied / RECORD).read_text(encoding="utf-8"))
    give_crf(copied, without.info)
    sentences = [Sentence(WORDS), Sentence(WORDS[3:4]), Sentence(WORDS[1:5])]
    taggers = [Tagger.load(copied, engine=engine, decoding=decoding) for engine in ("tensorflow", "onnx")]
    for one, other, plain in zip(*(tagger.tag(sentences) for tagger in (*taggers, without)), strict=True):
        assert one.labels == other.labels
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-4)
        assert not np.allclose(one.log_probabilities, plain.log_probabilities, atol=0.01)
    (copied / RECORD).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=r"crf\.json: does not match onnx/record\.json"):
        Tagger.load(copied, engine="onnx")
