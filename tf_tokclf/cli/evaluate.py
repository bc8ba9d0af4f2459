"""tf-tokclf evaluate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from tf_tokclf.cli.options import (
    UnderscoreCommand,
    arguments_without,
    data_set_option,
    given_data,
    logging_options,
    model_options,
)
from tf_tokclf.cli.requirements import Gate, requirement_options
from tf_tokclf.cli.setting_options import SettingOption, data_options, setting_parameter
from tf_tokclf.cli.types import NameOrNumber
from tf_tokclf.control_characters import echo

if TYPE_CHECKING:
    from tf_tokclf.config.schema import DataConfig, Task
    from tf_tokclf.scoring.evaluation import Evaluation


# The options that can be combined with --predictions.
_WITH_PREDICTIONS = {
    "predictions",
    "gold",
    "predicted_column_name",
    "assignments",
    "mode",
    "errors",
    "by",
    "output_format",
    "output",
    "required",
    "junit",
    "force",
    "quiet",
    "verbose",
}


@click.command("evaluate", cls=UnderscoreCommand)
@click.argument("model", required=False)
@click.option("--split", help="Split of the run's data to score: train, validation or test.  [default: test]")
@click.option(
    "--file", "file", help="Labelled file to score on, instead of a split of the run, in any format that fit reads."
)
@click.option(
    "--predictions",
    type=click.Path(exists=True, path_type=Path),
    help="Score this file of predictions instead of a MODEL: JSON lines, or columns with the predicted labels last.",
)
@click.option(
    "--gold",
    type=click.Path(exists=True, path_type=Path),
    help="Labelled file of the same sentences, if --predictions has no gold labels.",
)
@data_options(
    "data.format",
    "data.text_column_name",
    "data.label_column_name",
    click.option(
        "--predicted-column-name",
        type=NameOrNumber(),
        help="Column of predicted labels in --predictions, by name or number from 0.  [default: detected]",
    ),
    "data.encoding",
    "data.scheme",
    spellings={"data.format": "--input-format"},
    texts={
        "data.format": "Format of --file, --predictions and --gold.",
        "data.label_column_name": "Column of gold labels, by name or number from 0.",
    },
    defaults={"data.format": "detected from name and content", "data.word_splitting": "as in training"},
    default_prefix="as in the run, else ",
)
@data_set_option
@setting_parameter("evaluation.mode", "--mode", default="conlleval")
@click.option(
    "--errors",
    is_flag=True,
    help="Also show an error analysis: kinds of errors, confused types, scores by length, and gold labels to check.",
)
@click.option(
    "--by",
    metavar="length|seen|domain|COLUMN",
    multiple=True,
    help="Also score slices: by length of sentence, by whether spans occur in the training data, by domain, or by a "
    "column of the labelled file. Slices that are significantly worse are named. Can be repeated.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="First fit a temperature on the run's validation split, and store it with the model.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "conlleval", "json", "markdown", "latex", "csv"]),
    default="table",
    show_default=True,
    help="Format of the printed scores. conlleval: the layout of the official script. latex: a table for the package "
    "booktabs. Scores are percentages, except in json, where they are fractions.",
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the scores to this file as JSON."
)
@click.option(
    "--output-predictions",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write words, gold and predicted labels to this file as JSON lines.",
)
@click.option(
    "--thresholds",
    is_flag=True,
    help="Choose spans by the thresholds that are stored with the model, as predict does. By default, the model is "
    "scored without them, so that its scores can be compared with those of other models.",
)
@requirement_options("PER.recall.low>=0.9")
@click.option("--force", is_flag=True, help="Replace existing output files.")
@model_options
@logging_options
@click.pass_context
def evaluate_command(
    ctx: click.Context,
    model: str | None,
    split: str | None,
    file: str | None,
    predictions: Path | None,
    gold: Path | None,
    predicted_column_name: str | int | None,
    assignments: tuple[str, ...],
    mode: Literal["conlleval", "strict"],
    errors: bool,
    by: tuple[str, ...],
    calibrate: bool,
    output_format: str,
    output: Path | None,
    output_predictions: Path | None,
    thresholds: bool,
    required: tuple[str, ...],
    junit: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Score MODEL (a run, a model folder, a Hub id or package:NAME/PATH) on labelled data, or score predictions.

    \b
    tf-tokclf evaluate runs/mine
    tf-tokclf evaluate dslim/bert-base-NER --file test.conll --output scores.json
    tf-tokclf evaluate --predictions theirs.conll --gold test.conll --format conlleval
    """
    from tf_tokclf.files import check_outputs

    _check_usage(model, predictions, gold)
    gate = Gate.of(required, junit)
    data, task = given_data(ctx, assignments)
    if file:
        data = data.model_copy(update={"test_file": file})
    check_outputs([output, output_predictions, junit], _inputs(model, data, predictions, gold), force=force)
    scoring: dict[str, Any] = {"data": data, "task": task, "mode": mode, "errors": errors, "by": by}
    if predictions:
        result = _score_file(predictions, gold, predicted_column=predicted_column_name, **scoring)
    else:
        assert model is not None  # checked above
        if calibrate:
            # Options such as --scheme describe --file, and calibration reads the run's own data.
            own, _ = given_data(ctx, assignments, with_options=False)
            _calibrate(model, own, task, **options)
        options |= {"split": split or "test", "predictions": output_predictions, "thresholds": thresholds}
        result = _score_model(model, **scoring, **options)
    _show(result, gate, output_format, output, about=_about(ctx.params))
    _show_next(ctx)


def _show(result: Evaluation, gate: Gate, output_format: str, output: Path | None, *, about: dict[str, str]) -> None:
    """Print and write the scores, and check the requirements. about: what was scored."""
    from tf_tokclf.scoring.requirements import evaluation_values

    as_json = result.to_json()
    outcome = gate.check({"": evaluation_values(as_json)})
    as_json |= outcome.to_json()
    if output:
        from tf_tokclf.files import write_json_output

        write_json_output(output, as_json)
    _print(result, as_json, output_format, about)
    outcome.finish(suite="tf-tokclf evaluate", about=", ".join(about.values()))


def _about(given: Mapping[str, Any]) -> dict[str, str]:
    """What was scored, for tables."""
    if given["predictions"]:
        gold = {"gold labels": str(given["gold"])} if given["gold"] else {}
        return {"predictions": str(given["predictions"]), **gold}
    return {"model": given["model"], "data": given["file"] or f"{given['split'] or 'test'} split"}


def _show_next(ctx: click.Context) -> None:
    from tf_tokclf.report.next_steps import after_evaluate, show_next

    given = ctx.params
    arguments = arguments_without(
        ctx, "output", "output_predictions", "force", "calibrate", "output_format", "required", "junit"
    )
    split = None if given["file"] else given["split"] or "test"
    show_next(after_evaluate(arguments, model=given["model"], split=split, has_errors=given["errors"]))


def _score_file(predictions: Path, gold: Path | None, **options: Any) -> Evaluation:
    from tf_tokclf.report.terminal import status
    from tf_tokclf.scoring.evaluation import evaluate_file

    with status("scoring"):
        return evaluate_file(predictions, gold, **options)


def _score_model(model: str, **options: Any) -> Evaluation:
    from tf_tokclf.inference.evaluate import evaluate
    from tf_tokclf.report.terminal import status

    with status("scoring"):
        return evaluate(model, **options)


def _calibrate(model: str, data: DataConfig, task: Task | None, **options: Any) -> None:
    """Fit the model's temperature on the validation set, and store it."""
    from tf_tokclf.inference.calibrate import calibrate
    from tf_tokclf.report.terminal import status

    with status("calibrating"):
        calibrate(model, data=data, task=task, **options)


def _check_usage(model: str | None, predictions: Path | None, gold: Path | None) -> None:
    if (model is None) == (predictions is None):
        raise click.UsageError("Give either a MODEL or --predictions FILE.")
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        is_needed = parameter.name in _WITH_PREDICTIONS or isinstance(parameter, SettingOption)
        if predictions and given and not is_needed:
            raise click.UsageError(f"{parameter.opts[0]} needs a MODEL, not --predictions.")
    if context.params["predicted_column_name"] is not None and not predictions:
        raise click.UsageError("--predicted-column-name needs --predictions.")
    if context.params["split"] and context.params["file"]:
        raise click.UsageError("--split names a split of the run's own data. Omit it if you pass --file.")
    if gold and not predictions:
        raise click.UsageError("--gold needs --predictions. With a MODEL, name the labelled data with --file.")


def _inputs(model: str | None, data: DataConfig, predictions: Path | None, gold: Path | None) -> Iterator[Path]:
    """All files that are read, including the data of the run if MODEL is a run."""
    from tf_tokclf.data.inputs import data_files, data_files_of_run, model_files, source_files

    for path in (predictions, gold):
        if path:
            yield from source_files(str(path), data)
    yield from data_files(data)
    yield from model_files(model)
    if model is not None:
        yield from data_files_of_run(model)


def _print(result: Evaluation, as_json: Mapping[str, Any], output_format: str, about: dict[str, str]) -> None:
    """Print the scores. as_json: the result for the format json. about: what was scored."""
    import json

    from tf_tokclf.report.conlleval import conlleval_text
    from tf_tokclf.report.result_tables import evaluation_table
    from tf_tokclf.report.score_tables import evaluation_tables
    from tf_tokclf.report.table_formats import TABLE_FORMATS, formatted
    from tf_tokclf.report.terminal import stdout_console

    if output_format == "json":
        echo(json.dumps(as_json, ensure_ascii=False))
    elif output_format == "conlleval":
        echo(conlleval_text(result.scores), nl=False)
    elif output_format in TABLE_FORMATS:
        echo(formatted(evaluation_table({"": result}, about), output_format), nl=False)
    else:
        stdout_console().print(evaluation_tables(result))
