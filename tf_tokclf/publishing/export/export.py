"""Export a classifier, compare the export with the model, and keep it only if they agree."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.encoding.model_info import ModelInfo, write_model_info
from tf_tokclf.encoding.onnx_record import weights_sha256
from tf_tokclf.encoding.tokenizers import save_tokenizer
from tf_tokclf.files import explained_full_disk, whole_folder, write_json
from tf_tokclf.inference.evaluate import check_data, labelled_splits, with_word_rule
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.saving import WEIGHTS, save_config
from tf_tokclf.publishing.export.agreement import Agreement, Original, compare, size_of
from tf_tokclf.publishing.export.folder import AGREEMENT, AUTO, check_format, check_free, model_file
from tf_tokclf.publishing.export.formats import write_export
from tf_tokclf.publishing.export.onnx_files import write_record_of

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
    data: DataConfig | None = None,
    task: Task | None = None,
    split: str = "validation",
    max_sentences: int = 5000,
    force: bool = False,
    revision: str | None = None,
    batch_size: int | None = None,
) -> Agreement:
    """Write the classifier `reference` to the folder `output` as SavedModel, TFLite or ONNX.

    The folder also contains the tokenizer, config.json, labels.json, tf_tokclf.json and agreement.json. It is kept only
    if the export agrees with the model on up to `max_sentences` sentences. These are from `data.test_file` if it is
    given, which is read with the settings of the run unless `data` and `task` override them, and otherwise from `split`
    of the run `reference`. The caller must check `problems` of the result.

    keep_float32: layers that an ONNX export in int8 or int4 leaves in float32.
    """
    check_format(format, quantize, keep_float32)
    check_free(output, reference, data or DataConfig(), force=force)
    split = "test" if data is not None and data.test_file else split
    check_data(reference, split, data)  # before the model is loaded
    folder = local_model_folder(str(reference), revision=revision)
    tagger = Tagger.load(reference, engine="tensorflow", revision=revision, batch_size=batch_size)
    sentences, scheme, place = _sentences(reference, split, data, tagger.info, max_sentences, task)
    with suppress(_Disagreement), explained_full_disk(output), whole_folder(output) as partial:
        log.info("writing %s%s", format, f" ({quantize})" if quantize else "")
        path = write_export(tagger.model, partial, format, quantize)
        save_tokenizer(cast("PreTrainedTokenizerFast", tagger.tokenizer), partial)
        save_config(tagger.model, partial)
        write_model_info(partial, tagger.info)
        write_json(partial / LABELS, list(tagger.labels.names))
        log.info("comparing on %s of %s", counted(len(sentences), "sentence"), place)
        original = Original(tagger, sentences, scheme, place)
        model_bytes = size_of(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else size_of(folder)
        if format == "onnx" and quantize is not None:
            agreement = _quantized(path, quantize, original, keep_float32, model_bytes)
        else:
            agreement = compare(original, format=format, quantize=quantize, path=path, model_bytes=model_bytes)
        if format == "onnx":
            precision = cast("OnnxPrecision", agreement.quantize or "float32")
            file = partial / model_file(format, quantize)
            write_record_of(file, partial, precision=precision, weights=weights_sha256(folder))
        write_json(partial / AGREEMENT, agreement.to_json())
        if agreement.problems:
            raise _Disagreement
    return agreement


def _quantized(path: Path, quantize: str, original: Original, keep: Sequence[str], model_bytes: int) -> Agreement:
    """Replace the ONNX model `path` by one with smaller weights, and compare that with the original."""
    import onnx

    from tf_tokclf.publishing.export.float32_layers import Quantizer
    from tf_tokclf.publishing.export.quantization import with_float16_weights

    model = onnx.load(path)
    kind = "int8" if quantize == AUTO else quantize
    smaller = path.parents[1] / model_file("onnx", kind)
    path.unlink()
    if kind == "float16":
        onnx.save(with_float16_weights(model), smaller)
        return compare(original, format="onnx", quantize=kind, path=smaller, model_bytes=model_bytes)
    quantizer = Quantizer(model, kind, original, keep)
    kept = quantizer.sufficient() if quantize == AUTO else quantizer.keep
    onnx.save(quantizer.quantized(kept), smaller)
    agreement = compare(original, format="onnx", quantize=kind, path=smaller, model_bytes=model_bytes)
    agreement = replace(agreement, in_float32=quantizer.in_order(kept))
    if agreement.problems:
        return replace(agreement, enough_in_float32=quantizer.in_order(quantizer.sufficient()))
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
