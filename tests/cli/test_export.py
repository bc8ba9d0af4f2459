"""tf-tokclf export: the message about an export that disagrees, and about missing packages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.requirements import need_modules
from tf_tokclf.cli.main import cli
from tf_tokclf.publishing.export import export as exporting
from tf_tokclf.publishing.export.agreement import LIMITS, Agreement
from tf_tokclf.publishing.export.formats import write_export

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.filterwarnings("ignore")  # Raised by the converters.
def test_an_export_that_disagrees_is_not_kept(
    tiny_classifier: Path, conll_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    need_modules("ai_edge_litert", extra="export")

    def write_another(model, *args):
        bias = model.classifier.bias.numpy()
        model.classifier.bias.assign(bias[::-1] + np.array([0, 0, 9, 0, 0], dtype=np.float32))
        try:
            return write_export(model, *args)
        finally:
            model.classifier.bias.assign(bias)

    monkeypatch.setattr(exporting, "write_export", write_another)
    args = ["export", str(tiny_classifier), "--format", "tflite", "--file", conll_files["validation_file"]]
    result = CliRunner().invoke(cli, [*args, "--output", str(tmp_path / "export")])
    assert result.exit_code == 1
    assert "words have a different label" in result.stdout
    assert "disagrees with the model and was not kept" in result.stderr
    assert "can be exported with --format savedmodel" in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_an_agreement_on_few_words_asks_for_more():
    agreement = Agreement(
        "tflite", "int8", "runtime 1", "x.txt", 15, 134, 6, 1.6, 0.6, 0.5, 9, 3, 1.0, 2.0, LIMITS["int8"]
    )
    few = "Only 134 words were compared: pass a file of more sentences with --file. "
    other = "Export with --quantize float16, or without --quantize."
    assert agreement.advice == few + other
    assert replace(agreement, n_words=1000).advice == other
    assert replace(agreement, n_words=1000, format="onnx").advice == other


@pytest.mark.parametrize(
    ("format", "missing"),
    [("tflite", "ai_edge_litert"), ("onnx", "tf2onnx"), ("onnx", "onnxruntime"), ("onnx", "onnx")],
)
def test_a_missing_package_is_named_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conll_files: dict[str, str], format: str, missing: str
):
    monkeypatch.setattr("tf_tokclf.optional_packages.find_spec", lambda name: None if name == missing else object())
    monkeypatch.setattr(exporting.Tagger, "load", None)
    (tmp_path / "model").mkdir()
    args = ["export", tmp_path / "model", "--format", format, "--file", conll_files["test_file"], "-o", tmp_path / "x"]
    result = CliRunner().invoke(cli, list(map(str, args)))
    assert result.exit_code == 2
    assert f"export --format {format} needs {missing}, which is not installed." in result.stderr
    assert "Install it: python -m pip install 'tf-tokclf[export]'" in result.stderr
    assert not (tmp_path / "x").exists()


def test_a_file_of_texts_that_is_missing_or_in_the_output_is_refused(
    tiny_classifier: Path, conll_files: dict[str, str], tmp_path: Path
):
    output = tmp_path / "out"
    output.mkdir()
    (output / "agreement.json").touch()
    (output / "texts.txt").write_text("ada\n")
    args = ["export", tiny_classifier, "--format", "savedmodel", "--file", conll_files["test_file"], "-o", output]
    for texts, problem in (
        (output / "texts.txt", "would destroy the input"),
        (tmp_path / "no.txt", "no such file"),
        ("scripts:latin,klingon", "there is no script 'klingon'"),
    ):
        result = CliRunner().invoke(cli, [*map(str, args), "--force", "--trim-vocabulary", str(texts)])
        assert result.exit_code == 2
        assert problem in " ".join(result.stderr.split())
    assert (output / "texts.txt").read_text() == "ada\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
