"""Exports run in their own runtimes. An export that disagrees with the model is not kept."""

from __future__ import annotations

import ast
import json
import logging
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.documentation import ROOT, blocks
from tests.reference_models import ReferenceModel
from tests.requirements import need_modules
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.inference.engines import choose_file
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.publishing.export import export as exporting
from tf_tokclf.publishing.export.agreement import LIMITS, Agreement, Limits, RuntimeProcess
from tf_tokclf.publishing.export.export import export_model
from tf_tokclf.publishing.export.formats import write_export
from tf_tokclf.publishing.export.runtimes import OPENERS

FILES = {
    "agreement.json",
    "config.json",
    "labels.json",
    "special_tokens_map.json",
    "tf_tokclf.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
NEEDED = {"tflite": ["ai_edge_litert"], "onnx": ["onnxruntime", "tf2onnx"], "savedmodel": []}
MODELS = {"tflite": "model.tflite", "onnx": "onnx", "savedmodel": "1"}
EXAMPLE = "add Blue in Green by Miles Davis to my evening jazz playlist"
REFERENCE_MODELS = Path(__file__).parents[2] / "data" / "reference_models"


def data_of(conll_files: dict[str, str]) -> DataConfig:
    return DataConfig(test_file=conll_files["validation_file"])


Exported = Callable[[str], tuple[Path, Agreement]]


@pytest.fixture(scope="module")
def exported(tiny_classifier: Path, conll_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Gives the folder of a float32 export in a format, and how it agrees with the model. Each is written once."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def exported(format: str) -> tuple[Path, Agreement]:
        need_modules(*NEEDED[format], extra="export")
        output = folder / "exports" / ("mine" if format == "onnx" else format)
        output.parent.mkdir(exist_ok=True)
        return output, export_model(tiny_classifier, output, format=format, data=data_of(conll_files))

    return exported


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize("format", ["tflite", "onnx", "savedmodel"])
def test_a_float_export_gives_the_same_labels(exported: Exported, format: str):
    output, agreement = exported(format)
    assert agreement.problems == []
    assert (agreement.n_different_labels, agreement.label_agreement) == (0, 1.0)
    assert agreement.largest_logit_difference < 1e-4
    assert agreement.model_f1 == agreement.export_f1
    card = {"README.md"} if format == "onnx" else set()
    assert {path.name for path in output.iterdir()} == {*FILES, MODELS[format], *card}
    assert format != "onnx" or (output / "onnx" / "model.onnx").is_file()
    stored = json.loads((output / "agreement.json").read_text())
    assert stored["passed"] is True
    assert stored["n_words"] == agreement.n_words > 20
    assert json.loads((output / "labels.json").read_text())[0] == "O"


@pytest.mark.filterwarnings("ignore")  # of the converters
def test_the_code_in_the_documentation_labels_words_with_an_onnx_export(
    exported: Exported, tiny_classifier: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    output, _ = exported("onnx")
    (code,) = [block for block in blocks(ROOT / "docs" / "predict.md", "python") if "InferenceSession" in block.text]
    monkeypatch.chdir(output.parents[1])
    names: dict[str, Any] = {}
    exec(compile(code.text, str(code), "exec"), names)
    assert len(ast.literal_eval(capsys.readouterr().out)) == len(EXAMPLE.split())
    assert EXAMPLE in code.text
    sentences = [
        ["ada", "visited", "london", "with", "grace"],
        ["london"],
        ["x", "\u200b", "", "oslo"],
        ["Zzyzx's", "a-b"],
    ]
    tagger = Tagger.load(tiny_classifier, decoding="argmax")
    expected = [list(tagged.labels) for tagged in tagger.tag(Sentence(tuple(words)) for words in sentences)]
    assert [names["label"](words) for words in sentences] == expected
    assert len({label for labels in expected for label in labels}) > 2


@pytest.mark.filterwarnings("ignore")  # of the converters
def test_the_code_in_the_card_runs_in_the_folder(
    exported: Exported, tiny_classifier: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    output, _ = exported("onnx")
    (code,) = blocks(output / "README.md", "python")
    assert code.text.count("\n") == 5
    monkeypatch.chdir(output)
    exec(compile(code.text, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    tagger = Tagger.load(tiny_classifier, decoding="argmax")
    (tagged,) = tagger.tag([Sentence(("Ada", "lived", "in", "London"))])
    assert f"('ada', '{tagged.labels[0]}')" in printed
    assert f"('london', '{tagged.labels[3]}')" in printed


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize("format", ["tflite", "onnx", "savedmodel"])
@pytest.mark.parametrize("name", ["deberta-v2", "deberta-v2-convolution"])
def test_an_export_of_deberta_takes_rows_of_any_shape(tmp_path: Path, name: str, format: str):
    need_modules(*NEEDED[format], extra="export")
    model = load_classifier(REFERENCE_MODELS / name, precision=Precision("float32", "test"))
    run, _ = OPENERS[format](str(write_export(model, tmp_path, format, None)))
    random = np.random.default_rng(1)
    for n_rows, width in ((1, 5), (3, 12), (2, 1), (1, 70)):
        input_ids = random.integers(5, 48, (n_rows, width)).astype(np.int32)
        mask = (np.arange(width) < width - np.arange(n_rows)[:, None]).astype(np.int32)
        mask[:, 0] = 1
        expected = model(input_ids=input_ids, attention_mask=mask).logits.numpy()
        difference = np.abs(run(input_ids, mask) - expected)[mask == 1]
        assert difference.max() < 1e-5
        assert expected.std() > 0.5


def test_a_savedmodel_holds_weights_and_no_functions_of_keras_layers(tiny_classifier: Path, tmp_path: Path):
    """Functions of layers made the export three times as large, and took most of the time."""
    model = load_classifier(tiny_classifier, precision=Precision("float32", "test"))
    loaded = tf.saved_model.load(str(write_export(model, tmp_path, "savedmodel", None)))
    assert list(loaded.signatures) == ["serving_default"]
    assert not hasattr(loaded, "model")
    stored = {weight.name: weight.numpy() for weight in loaded.weights}
    assert stored.keys() == {weight.name for weight in model.weights}
    assert all(np.array_equal(stored[weight.name], weight.numpy()) for weight in model.weights)


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize(
    ("format", "quantize"),
    [
        ("tflite", "float16"),
        ("onnx", "float16"),
        pytest.param("tflite", "int8", marks=pytest.mark.slow),
        ("onnx", "int4"),
    ],
)
def test_quantised_exports_have_limits_of_their_own(
    tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, quantize: str
):
    need_modules(*NEEDED[format], extra="export")
    if format == "onnx":
        # The matrices of this model have fewer numbers than those that are quantised.
        monkeypatch.setattr("tf_tokclf.publishing.export.quantization.SMALLEST", 1)
    (tmp_path / "in.txt").write_text("ada visited london\nx\n")
    data = DataConfig(test_file=str(tmp_path / "in.txt"), format="text")
    agreement = export_model(tiny_classifier, tmp_path / "export", format=format, quantize=quantize, data=data)
    assert agreement.limits == LIMITS[quantize]
    assert agreement.model_f1 is None
    assert 0 < agreement.largest_logit_difference < 5
    if format == "onnx":
        names = {"float16": "model_fp16.onnx", "int4": "model_q4.onnx"}
        assert {path.name for path in (tmp_path / "export" / "onnx").iterdir()} == {names[quantize], "record.json"}


@pytest.mark.filterwarnings("ignore")  # of the converters
def test_an_int8_export_that_disagrees_names_layers_with_which_it_agrees(
    tiny_classifier: Path, conll_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    need_modules(*NEEDED["onnx"], extra="export")
    monkeypatch.setattr("tf_tokclf.publishing.export.quantization.SMALLEST", 1)
    monkeypatch.setitem(LIMITS, "int8", Limits(label_agreement=1.0, logit_difference=0.02, f1_difference=0.0))
    # Converting takes most of the time of an export.
    once = cache(lambda: write_export(Tagger.load(tiny_classifier).model, tmp_path, "onnx", None).read_bytes())

    def write(model: keras.Model, folder: Path, *args: object) -> Path:
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(once())
        return folder / "onnx" / "model.onnx"

    monkeypatch.setattr(exporting, "write_export", write)
    export = partial(export_model, tiny_classifier, format="onnx", data=data_of(conll_files))
    failed = export(tmp_path / "failed", quantize="int8")
    layers = failed.enough_in_float32
    assert failed.problems
    assert len(layers) >= 1
    assert f"--quantize auto, which leaves these layers in float32: {', '.join(layers)}. Or export" in failed.advice
    assert not (tmp_path / "failed").exists()

    kept = export(tmp_path / "kept", quantize="int8", keep_float32=layers)
    assert (kept.problems, kept.in_float32) == ([], layers)
    automatic = export(tmp_path / "auto", quantize="auto")
    assert (automatic.problems, automatic.in_float32, automatic.quantize) == ([], layers, "int8")
    name = "onnx/model_quantized.onnx"
    assert (tmp_path / "auto" / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()
    assert ("layers in float32", ", ".join(layers)) in automatic.rows()
    assert export(tmp_path / "less", quantize="int8", keep_float32=layers[1:]).problems


@pytest.mark.filterwarnings("ignore")  # of the converters
def test_an_export_with_a_smaller_vocabulary_is_a_complete_folder(
    tiny_classifier: Path, conll_files: dict[str, str], tmp_path: Path
):
    need_modules(*NEEDED["onnx"], extra="export")
    words = [line.split("\t")[0] for line in Path(conll_files["validation_file"]).read_text().splitlines() if line]
    (tmp_path / "texts.txt").write_text(" ".join(words) + "\n")
    output = tmp_path / "small"
    agreement = export_model(
        tiny_classifier, output, format="onnx", data=data_of(conll_files), trim_vocabulary=str(tmp_path / "texts.txt")
    )
    assert (agreement.problems, agreement.n_different_labels, agreement.largest_logit_difference) == ([], 0, None)
    change = agreement.vocabulary
    assert change is not None
    assert (change.n_split_differently, change.unknown_after) == (0, change.unknown_before)
    assert change.n_tokens_after < change.n_tokens_before
    assert json.loads((output / "config.json").read_text())["vocab_size"] == change.n_tokens_after
    assert json.loads((output / "agreement.json").read_text())["vocabulary"]["n_tokens_after"] == change.n_tokens_after
    assert {path.name for path in output.iterdir()} == {*FILES, "onnx", "README.md"}
    before, after = (Tagger.load(folder) for folder in (tiny_classifier, output))
    sentence = [Sentence(tuple(words[:5]))]
    for one, two in zip(before.tag(sentence), after.tag(sentence)):
        np.testing.assert_allclose(one.log_probabilities, two.log_probabilities, atol=1e-4)

    # Its ids are not those of the tokenizer beside the original weights.
    beside = tmp_path / "beside"
    shutil.copytree(tiny_classifier, beside)
    shutil.copytree(output / "onnx", beside / "onnx")
    assert choose_file(beside, engine="auto", precision=None) is None
    with pytest.raises(UserError, match="exported from other weights"):
        choose_file(beside, engine="onnx", precision=None)


@pytest.mark.parametrize(("format", "quantize"), [("tflite", "int8"), ("onnx", "float16"), ("onnx", None)])
def test_layers_can_only_be_kept_by_onnx_in_int8_or_int4(tmp_path: Path, format: str, quantize: str | None):
    with pytest.raises(UserError, match="--keep-float32 is for ONNX exports in int8 or int4"):
        export_model("any", tmp_path / "x", format=format, quantize=quantize, keep_float32=["a"])


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize(("name", "format"), [("esm", "onnx"), ("mpnet", "tflite")])
def test_indexing_and_reshapes_that_converters_get_wrong(name: str, format: str, tmp_path: Path):
    need_modules(*NEEDED[format], extra="export")
    reference = ReferenceModel.of(name)
    run, _ = OPENERS[format](str(write_export(reference.load(), tmp_path, format, None)))
    batch = reference.values("whole")
    found = run(*(batch[name].astype(np.int32) for name in ("input_ids", "attention_mask")))
    np.testing.assert_allclose(found, batch["logits"], rtol=1e-4, atol=2e-5)


class Unknown(keras.Model):
    """A model with an operation that TFLite does not have."""

    config = SimpleNamespace(model_type="unknown")

    def call(self, input_ids: tf.Tensor, attention_mask: tf.Tensor, training: bool = False) -> SimpleNamespace:
        return SimpleNamespace(logits=tf.math.bessel_i0e(tf.cast(input_ids * attention_mask, tf.float32))[:, :, None])


@pytest.mark.filterwarnings("ignore")  # of the converters
def test_an_operation_that_the_converter_does_not_support_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO), pytest.raises(JobError) as failed:
        write_export(Unknown(), tmp_path, "tflite", None)
    assert str(failed.value) == (
        "a model of type unknown cannot be converted to TFLite: the converter does not support BesselI0e. "
        "Every type of model can be exported with --format savedmodel. docs/encoders.md lists the other formats. "
        "--verbose shows the output of the converter."
    )
    assert capfd.readouterr() == ("", "")
    assert "tf.BesselI0e" not in caplog.text


def test_an_export_that_does_not_run_is_said(tmp_path: Path):
    need_modules(*NEEDED["tflite"], extra="export")
    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    with pytest.raises(JobError, match=r"the export cannot be run: .*\. Every type of model can be exported with"):
        RuntimeProcess("tflite", tmp_path / "broken.tflite")


@pytest.mark.parametrize(("format", "quantize"), [("savedmodel", "int8"), ("savedmodel", "float16")])
def test_a_quantisation_that_is_not_offered(
    tiny_classifier: Path, conll_files: dict[str, str], tmp_path: Path, format: str, quantize: str
):
    with pytest.raises(UserError, match=f"{format} does not support quantisation to {quantize}"):
        export_model(tiny_classifier, tmp_path / "x", format=format, quantize=quantize, data=data_of(conll_files))
    assert list(tmp_path.iterdir()) == []


def agreement_with(**changes: object) -> Agreement:
    values = {
        "format": "onnx",
        "quantize": None,
        "runtime": "r",
        "sentences_from": "f",
        "n_sentences": 10,
        "n_words": 1000,
        "n_different_labels": 0,
        "largest_logit_difference": 1e-5,
        "model_f1": 0.9,
        "export_f1": 0.9,
        "model_bytes": 1,
        "export_bytes": 1,
        "model_words_per_second": 1.0,
        "export_words_per_second": 1.0,
    }
    values |= changes
    return Agreement(**values, limits=LIMITS[values["quantize"]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n_different_labels": 1}, "1 of 1,000 words have a different label"),
        ({"largest_logit_difference": 0.01}, "Logits differ"),
        ({"largest_logit_difference": float("nan")}, "NaN"),
        ({"export_f1": 0.8, "quantize": "int8"}, "F1 is lower by 10.00 points; the limit is 0.3."),
        ({"n_different_labels": 20, "quantize": "float16"}, "a different label"),
    ],
)
def test_what_counts_as_disagreement(changes: dict[str, object], problem: str):
    assert agreement_with().problems == []
    assert any(problem in found for found in agreement_with(**changes).problems)


def test_force_replaces_exports_only(tiny_classifier: Path, conll_files: dict[str, str], tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and is not an export"):
        export_model(tiny_classifier, tmp_path, format="savedmodel", data=data_of(conll_files), force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
