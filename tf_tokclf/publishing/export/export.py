"""Export a classifier, compare the export with the model, and keep it only if they agree."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.encoding.model_info import ModelInfo, write_model_info
from tf_tokclf.encoding.onnx_record import weights_sha256
from tf_tokclf.encoding.thresholds_file import Thresholds, read_thresholds, write_thresholds
from tf_tokclf.encoding.tokenizers import save_tokenizer
from tf_tokclf.files import explained_full_disk, whole_folder, write_json
from tf_tokclf.inference.evaluate import check_data, labelled_splits, run_of, with_word_rule
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.saving import WEIGHTS, save_config
from tf_tokclf.publishing.export.agreement import Agreement, Original, compare, size_of
from tf_tokclf.publishing.export.card import write_card
from tf_tokclf.publishing.export.folder import AGREEMENT, AUTO, check_format, check_free, model_file
from tf_tokclf.publishing.export.formats import write_export
from tf_tokclf.publishing.export.onnx_files import write_record_of
from tf_tokclf.publishing.export.scripts import scripts_in
from tf_tokclf.publishing.export.trimmed_model import vocabulary_change, write_trimmed_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from tf_tokclf.encoding.onnx_record import OnnxPrecision

log = logging.getLogger(__name__)

LABELS = "labels.json"


def export_model(
    reference: str | Path,
    output: Path,
    *,
    format: str,
    quantize: str | None = None,
    keep_float32: Sequence[str] = (),
    trim_vocabulary: str | None = None,
    data: DataConfig | None = None,
    task: Task | None = None,
    split: str = "validation",
    max_sentences: int = 5000,
    force: bool = False,
    revision: str | None = None,
    batch_size: int | None = None,
) -> Agreement:
    """Write the classifier `reference` to the folder `output` as SavedModel, TFLite or ONNX.

    The folder also contains the tokenizer, config.json, labels.json, tf_tokclf.json, agreement.json and any
    thresholds. It is kept only if the export agrees with the model on up to `max_sentences` sentences. These are from
    `data.test_file` if it is given, which is read with the settings of the run unless `data` and `task` override them,
    and otherwise from `split` of the run `reference`. The caller must check `problems` of the result.

    keep_float32: layers that an ONNX export in int8 or int4 leaves in float32. trim_vocabulary: a file of texts, or
    `scripts:` and names of scripts; tokens that neither these nor the training sentences of a run need are left out.
    """
    check_format(format, quantize, keep_float32)
    scripts = scripts_in(trim_vocabulary) if trim_vocabulary else None
    check_free(output, reference, data or DataConfig(), texts=trim_vocabulary, force=force)
    split = "test" if data is not None and data.test_file else split
    check_data(reference, split, data)  # before the model is loaded
    folder = local_model_folder(str(reference), revision=revision)
    tagger = Tagger.load(reference, engine="tensorflow", revision=revision, batch_size=batch_size, thresholds=False)
    thresholds = read_thresholds(folder, tagger.info)
    sentences, scheme, place = _sentences(reference, split, data, tagger.info, max_sentences, task)
    texts = _texts(reference, None if scripts else trim_vocabulary, tagger.info) if trim_vocabulary else None
    with suppress(_Disagreement), explained_full_disk(output), whole_folder(output) as partial:
        _announce(format, quantize, tagger.info)
        smaller = None if texts is None else _trimmed(tagger, texts, scripts or (), partial, batch_size)
        exported = smaller or tagger
        path = write_export(exported.model, partial, format, quantize)
        _write_settings(exported, partial, thresholds=thresholds)
        log.info("comparing on %s of %s", counted(len(sentences), "sentence"), place)
        original = Original(tagger, sentences, scheme, place, export_tagger=smaller)
        model_bytes = size_of(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else size_of(folder)
        if format == "onnx" and quantize is not None:
            agreement = _quantized(path, quantize, original, keep_float32, model_bytes)
        else:
            agreement = compare(original, format=format, quantize=quantize, path=path, model_bytes=model_bytes)
        if smaller is not None:
            agreement = replace(agreement, vocabulary=vocabulary_change(tagger, smaller, sentences))
        if format == "onnx":
            # With another vocabulary, the file must not be used beside the original weights and their tokenizer.
            weights = weights_sha256(folder) if smaller is None else {}
            _write_record(partial, quantize, agreement, weights)
        write_json(partial / AGREEMENT, agreement.to_json())
        if agreement.problems:
            raise _Disagreement
    return agreement


def _write_record(folder: Path, quantize: str | None, agreement: Agreement, weights: dict[str, str]) -> None:
    """Write the card and the record of an ONNX export. weights: the SHA-256 of the weight files that it fits."""
    name = model_file("onnx", quantize)
    write_card(folder, name)
    precision = cast("OnnxPrecision", agreement.quantize or "float32")
    write_record_of(folder / name, folder, precision=precision, weights=weights)


def _announce(format: str, quantize: str | None, info: ModelInfo) -> None:
    log.info("writing %s%s", format, f" ({quantize})" if quantize else "")
    # tf-tokclf applies the CRF to the logits of an ONNX model, but does not load the other formats.
    if info.crf is not None and format != "onnx":
        message = "the CRF is not part of a %s model: its logits do not include the transitions, which are in crf.json"
        log.warning(message, format)


def _write_settings(tagger: Tagger, folder: Path, *, thresholds: Thresholds | None) -> None:
    """Write all that an export contains besides the model."""
    if thresholds:
        write_thresholds(folder, thresholds)
    save_tokenizer(cast("PreTrainedTokenizerFast", tagger.tokenizer), folder)
    save_config(tagger.model, folder)
    write_model_info(folder, tagger.info)
    write_json(folder / LABELS, list(tagger.labels.names))


def _texts(reference: str | Path, file: str | None, info: ModelInfo) -> Iterator[Sentence]:
    """The sentences whose tokens are kept: those of `file`, and the training sentences if `reference` is a run."""
    run = run_of(reference)
    training = labelled_splits(reference, "train", None, info)["train"] if run else ()
    if file is None:
        return iter(training)
    return chain(training, read_sentences(file, with_word_rule(DataConfig(test_file=file, format="text"), info)))


def _trimmed(
    tagger: Tagger, texts: Iterable[Sentence], scripts: Sequence[str], folder: Path, batch_size: int | None
) -> Tagger:
    """The classifier with only the tokens of `scripts`, and those that `texts` need.

    folder: where there is space for temporary files.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        write_trimmed_model(tagger, texts, Path(scratch) / "model", scripts=scripts)
        return Tagger.load(Path(scratch) / "model", engine="tensorflow", batch_size=batch_size)


def _quantized(path: Path, quantize: str, original: Original, keep: Sequence[str], model_bytes: int) -> Agreement:
    """Replace the ONNX model `path` by one with smaller weights, and compare that with the original."""
    import onnx

    from tf_tokclf.publishing.export.float32_layers import InFloat32, Quantizer
    from tf_tokclf.publishing.export.quantization import with_float16_weights

    model = onnx.load(path)
    kind = "int8" if quantize == AUTO else quantize
    smaller = path.parents[1] / model_file("onnx", kind)
    path.unlink()
    if kind == "float16":
        onnx.save(with_float16_weights(model), smaller)
        return compare(original, format="onnx", quantize=kind, path=smaller, model_bytes=model_bytes)
    quantizer = Quantizer(model, kind, original, keep)
    kept = quantizer.sufficient() if quantize == AUTO else InFloat32(quantizer.keep)
    onnx.save(quantizer.quantized(kept), smaller)
    agreement = compare(original, format="onnx", quantize=kind, path=smaller, model_bytes=model_bytes)
    agreement = replace(agreement, in_float32=quantizer.in_order(kept.layers), columns_in_float32=kept.n_columns)
    if agreement.problems:
        enough = quantizer.sufficient()
        layers = quantizer.in_order(enough.layers)
        return replace(agreement, enough_in_float32=layers, enough_columns_in_float32=enough.n_columns)
    return agreement


class _Disagreement(Exception):
    """Raised to discard an export."""


def _sentences(
    reference: str | Path, split: str, data: DataConfig | None, info: ModelInfo, limit: int, task: Task | None
) -> tuple[Sequence[Sentence], Scheme, str]:
    """The sentences to compare on, the scheme of their labels, and the file or split that they are from."""
    if data is not None and data.format == "text":
        found = list(islice(read_sentences(str(data.test_file), with_word_rule(data, info)), limit))
        return found, Scheme.NONE, str(data.test_file)
    splits = labelled_splits(reference, split, data, info, task=task)
    return list(islice(splits[split], limit)), splits.scheme, splits[split].place
