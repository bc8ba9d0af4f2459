"""tf-tokclf predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.options import TwinCommand, logging_options, model_options


@click.command("predict", cls=TwinCommand)
@click.argument("model")
@click.argument("source", default="-")
@click.option(
    "--format",
    "input_format",
    default="text",
    show_default=True,
    help="Of SOURCE: text (a sentence a line), conll, jsonl, or any other that fit reads; auto: found out.",
)
@click.option("--text-column-name", help="Column of words, in formats that have columns.")
@click.option("--encoding", default="utf-8", show_default=True, help="Character encoding of SOURCE.")
@click.option(
    "--output-format", type=click.Choice(["jsonl", "conll"]), default="jsonl", show_default=True, help="Of the result."
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write here, not to stdout.")
@click.option("--force", is_flag=True, help="Replace the file named by --output.")
@model_options
@logging_options
def predict_command(
    model: str,
    source: str,
    input_format: str,
    text_column_name: str | None,
    encoding: str,
    output_format: str,
    output: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Label SOURCE (a file, or stdin) with MODEL, a run, a model folder, a Hub id or package:NAME/PATH.

    \b
    echo "play some jazz by Nina Simone" | tf-tokclf predict runs/quickstart
    tf-tokclf predict runs/mine raw.conll --format conll --output-format conll -o labelled.conll
    """
    from tf_tokclf.cli.outputs import check_output

    check_output(output, force=force)

    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.inference.predicting import predict, write_predictions
    from tf_tokclf.inference.tagger import Tagger

    data = DataConfig(format=input_format, text_column_name=text_column_name, encoding=encoding)
    write_predictions(predict(Tagger.load(model, **options), source, data), output, output_format=output_format)
