"""tf-tokclf export."""

from __future__ import annotations

from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, data_set_option, given_data, logging_options
from tf_tokclf.cli.setting_options import data_options, setting_parameter


@click.command("export", cls=UnderscoreCommand)
@click.argument("model")
@click.option(
    "--format",
    "format",
    type=click.Choice(["savedmodel", "tflite", "onnx"]),
    required=True,
    help="savedmodel: for TensorFlow Serving; tflite: for phones and small devices; onnx: for onnxruntime and others.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="Folder to write the export to.")
@click.option(
    "--quantize",
    type=click.Choice(["float16", "int8", "int4", "auto"]),
    help="Make the weights smaller (tflite, onnx). float16: half the size. int8: a quarter, and faster. int4 (onnx): "
    "about a sixth. auto (onnx): int8 with as little in float32 as the limits allow.",
)
@click.option(
    "--keep-float32",
    "keep_float32",
    metavar="LAYER",
    multiple=True,
    help="Leave this layer, or all layers whose names begin with LAYER/, in float32 (onnx with int8 or int4). Can be "
    "repeated.",
)
@click.option(
    "--trim-vocabulary",
    "trim_vocabulary",
    metavar="FILE|scripts:NAME,...",
    help="Remove tokens that occur neither in the run's training data nor in FILE (one sentence per line), or that are "
    "in other scripts than those named (scripts:latin,cyrillic), from the embeddings and the tokenizer. Single "
    "characters stay, so that any text can be read.",
)
@click.option(
    "--split",
    default="validation",
    show_default=True,
    help="Split of the run's data on which the export is compared with the model.",
)
@click.option("--file", "file", help="File to compare on, instead of a split of the run, in any format that fit reads.")
@data_options(
    "data.format",
    "data.text_column_name",
    "data.label_column_name",
    spellings={"data.format": "--file-format"},
    texts={"data.format": "Format of --file; text: one sentence per line."},
    defaults={"data.format": "detected from name and content", "data.word_splitting": "as in training"},
    default_prefix="as in the run, else ",
)
@data_set_option
@click.option(
    "--max-sentences",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="Compare on the first N sentences only.",
)
@setting_parameter("model.revision", "--model-revision", "revision")
@setting_parameter(
    "evaluation.per_device_eval_batch_size",
    "--per-device-eval-batch-size",
    "batch_size",
    type=click.IntRange(min=1),
    default_text="small on CPUs, 32 on GPUs",
)
@click.option("--force", is_flag=True, help="Replace the export in the folder.")
@logging_options
@click.pass_context
def export_command(
    ctx: click.Context,
    model: str,
    format: str,
    output: Path,
    quantize: str | None,
    keep_float32: tuple[str, ...],
    trim_vocabulary: str | None,
    split: str,
    file: str | None,
    assignments: tuple[str, ...],
    max_sentences: int,
    revision: str | None,
    batch_size: int | None,
    force: bool,
) -> None:
    """Convert MODEL (a run, a model folder, a Hub id or package:NAME/PATH) for another runtime.

    The export is run in that runtime and compared with the model on labelled sentences. If they disagree, the export is
    removed and the exit code is 1.

    \b
    tf-tokclf export runs/mine --format onnx --output exports/onnx
    tf-tokclf export runs/mine --format tflite --quantize int8 --output exports/phone
    tf-tokclf export dslim/bert-base-NER --format savedmodel --file dev.conll --output exports/serving
    """
    from tf_tokclf.errors import JobError
    from tf_tokclf.publishing.export.folder import check_format, check_free, model_file

    check_format(format, quantize, keep_float32)
    given, task = given_data(ctx, assignments)
    data = given.model_copy(update={"test_file": file}) if file else given
    check_free(output, model, data, texts=trim_vocabulary, force=force)

    from tf_tokclf.report.next_steps import after_export, show_next
    from tf_tokclf.report.terminal import key_value_table, status, stdout_console

    with status("loading TensorFlow"):
        from tf_tokclf.publishing.export.export import export_model

    with status("exporting"):
        agreement = export_model(
            model,
            output,
            format=format,
            quantize=quantize,
            keep_float32=keep_float32,
            trim_vocabulary=trim_vocabulary,
            data=data,
            task=task,
            split=split,
            max_sentences=max_sentences,
            force=force,
            revision=revision,
            batch_size=batch_size,
        )
    stdout_console().print(key_value_table(agreement.rows()))
    if agreement.problems:
        raise JobError(agreement.failure)
    show_next(after_export(output, format, output / model_file(format, quantize)))
