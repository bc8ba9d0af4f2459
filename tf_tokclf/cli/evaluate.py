"""tf-tokclf evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.options import TwinCommand, logging_options, model_options


@click.command("evaluate", cls=TwinCommand)
@click.argument("model")
@click.option("--split", help="Split of the run's data to score on: train, validation or test (the default).")
@click.option("--file", "file", help="Labelled file to score on instead, in any format that fit reads.")
@click.option("--format", "input_format", default="auto", show_default=True, help="Of --file.")
@click.option("--text-column-name", help="Column of words of --file.")
@click.option("--label-column-name", help="Column of labels of --file.")
@click.option("--encoding", default="utf-8", show_default=True, help="Character encoding of --file.")
@click.option(
    "--mode",
    type=click.Choice(["conlleval", "strict"]),
    default="conlleval",
    show_default=True,
    help="Reading of invalid label sequences.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the scores here as JSON.")
@click.option(
    "--output-predictions", type=click.Path(dir_okay=False, path_type=Path), help="Write words and labels here (JSONL)."
)
@click.option("--force", is_flag=True, help="Replace the files to be written.")
@model_options
@logging_options
def evaluate_command(
    model: str,
    split: str | None,
    file: str | None,
    input_format: str,
    text_column_name: str | None,
    label_column_name: str | None,
    encoding: str,
    mode: str,
    output: Path | None,
    output_predictions: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Score MODEL, a run, a model folder, a Hub id or package:NAME/PATH, on labelled data.

    \b
    tf-tokclf evaluate runs/mine
    tf-tokclf evaluate dslim/bert-base-NER --file test.conll --output scores.json
    """
    from tf_tokclf.cli.outputs import check_output

    for path in (output, output_predictions):
        check_output(path, force=force)

    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.inference.api import evaluate
    from tf_tokclf.report.tables import scores_table
    from tf_tokclf.report.terminal import stdout_console
    from tf_tokclf.run_dir import write_json

    data = None
    if file:
        data = DataConfig(
            test_file=file,
            format=input_format,
            text_column_name=text_column_name,
            label_column_name=label_column_name,
            encoding=encoding,
        )
    result = evaluate(model, split=split or "test", data=data, mode=mode, predictions=output_predictions, **options)
    if output:
        write_json(output, result.to_json())
    stdout_console().print(scores_table(result.scores))
