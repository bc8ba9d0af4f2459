"""tf-tokclf thresholds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import UnderscoreCommand, data_set_option, given_data, logging_options, model_options
from tf_tokclf.cli.setting_options import data_options
from tf_tokclf.cli.types import FiniteRange
from tf_tokclf.control_characters import echo

if TYPE_CHECKING:
    from tf_tokclf.inference.thresholds import OperatingPoints

log = logging.getLogger(__name__)


@click.command("thresholds", cls=UnderscoreCommand)
@click.argument("model")
@click.option(
    "--target",
    "targets",
    metavar="TYPE.MEASURE>=NUMBER",
    multiple=True,
    help="Keep this, such as 'PER.recall>=0.98' or 'default.precision>=0.9', where default means every type without a "
    "target of its own. The measure is recall or precision, a fraction. Can be repeated.",
)
@click.option(
    "--confidence",
    type=FiniteRange(0.5, 1, min_open=False, max_open=True),
    default=0.95,
    show_default=True,
    help="Probability of keeping each target on new sentences of the same kind.",
)
@click.option(
    "--split",
    help="Split of the run's data on which thresholds are chosen: validation or test.  [default: validation]",
)
@click.option("--file", "file", help="Labelled file, instead of a split of the run, in any format that fit reads.")
@data_options(
    "data.format",
    "data.text_column_name",
    "data.label_column_name",
    "data.encoding",
    "data.scheme",
    spellings={"data.format": "--input-format"},
    texts={
        "data.format": "Format of --file.",
        "data.label_column_name": "Column of gold labels, by name or number from 0.",
    },
    defaults={"data.format": "detected from name and content", "data.word_splitting": "as in training"},
    default_prefix="as in the run, else ",
)
@data_set_option
@click.option("--remove", is_flag=True, help="Remove the stored thresholds, and do nothing else.")
@click.option("--dry-run", is_flag=True, help="Print the thresholds without storing them.")
@click.option(
    "--curve", is_flag=True, help="Print precision, recall and F1 by threshold instead. json contains both tables."
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "markdown", "latex", "csv"]),
    default="table",
    show_default=True,
    help="Format of the printed table. latex: a table for the package booktabs. Scores are percentages, except in "
    "json, where they are fractions.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write everything as JSON.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the curves of precision, recall and F1 by threshold to this file, as an SVG picture.",
)
@click.option("--force", is_flag=True, help="Replace existing output files.")
@model_options
@logging_options
@click.pass_context
def thresholds_command(
    ctx: click.Context,
    model: str,
    targets: tuple[str, ...],
    confidence: float,
    split: str | None,
    file: str | None,
    assignments: tuple[str, ...],
    remove: bool,
    dry_run: bool,
    curve: bool,
    output_format: str,
    output: Path | None,
    plot: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Choose score thresholds for MODEL (a run or a model folder) that keep targets, and store them with it.

    For each type, the threshold is the one that costs least among those that keep the target on new sentences of the
    same kind, with the given confidence. predict, serve and load then use the thresholds.

    \b
    tf-tokclf thresholds runs/mine --target 'PER.recall>=0.98' --target 'default.precision>=0.9'
    tf-tokclf thresholds runs/mine --target 'default.recall>=0.95' --dry-run --plot curves.svg
    """
    from tf_tokclf.data.inputs import data_files, data_files_of_run, model_files
    from tf_tokclf.files import check_outputs
    from tf_tokclf.inference.thresholds import choose_thresholds
    from tf_tokclf.report.terminal import status
    from tf_tokclf.scoring.operating_points import parse_targets

    _check_usage(targets, split, file, remove=remove)
    if remove:
        _remove(model)
        return
    wanted = parse_targets(targets)
    data, task = given_data(ctx, assignments)
    if file:
        data = data.model_copy(update={"test_file": file})
    read = [*data_files(data), *model_files(model), *data_files_of_run(model)]
    check_outputs([output, plot], read, force=force)
    with status("choosing thresholds"):
        found = choose_thresholds(
            model,
            wanted,
            confidence=confidence,
            split="test" if file else split or "validation",
            data=data,
            task=task,
            store=not dry_run,
            **options,
        )
    _write(found, output, plot)
    _print(found, output_format, model, curve=curve)
    _show_next(model, dry_run=dry_run)


def _check_usage(targets: tuple[str, ...], split: str | None, file: str | None, *, remove: bool) -> None:
    if bool(targets) == remove:
        raise click.UsageError("Give either --target or --remove.")
    if split and file:
        raise click.UsageError("--split names a split of the run's own data. Omit it if you pass --file.")
    if split == "train":
        raise click.UsageError("The model has learned the training data, so its scores there promise nothing.")


def _remove(model: str) -> None:
    from tf_tokclf.inference.thresholds import remove_thresholds

    log.info("removed %s", remove_thresholds(model))


def _write(found: OperatingPoints, output: Path | None, plot: Path | None) -> None:
    from tf_tokclf.files import open_output, write_json_output
    from tf_tokclf.report.threshold_tables import curve_picture

    if output:
        write_json_output(output, found.to_json())
    if plot:
        with open_output(plot) as file:
            file.write(curve_picture(found.curves, found.points))


def _facts(found: OperatingPoints, model: str) -> Mapping[str, str]:
    stored = found.stored
    return {
        "model": model,
        "data": stored.data.name,
        "sentences": str(stored.data.n_sentences),
        "confidence": f"{stored.confidence:g} for each type by itself",
        "before": "plain decoding",
    }


def _print(found: OperatingPoints, output_format: str, model: str, *, curve: bool) -> None:
    import json

    from tf_tokclf.report.table_formats import TABLE_FORMATS, formatted, terminal_table
    from tf_tokclf.report.terminal import stdout_console
    from tf_tokclf.report.threshold_tables import curve_table, points_for_terminal, points_table

    facts = _facts(found, model)
    table = curve_table(found.curves, facts) if curve else points_table(found.points, facts)
    if output_format == "json":
        echo(json.dumps(found.to_json(), ensure_ascii=False))
    elif output_format in TABLE_FORMATS:
        echo(formatted(table, output_format), nl=False)
    else:
        stdout_console().print(terminal_table(table) if curve else points_for_terminal(found.points))


def _show_next(model: str, *, dry_run: bool) -> None:
    from tf_tokclf.report.next_steps import after_thresholds, show_next

    if not dry_run:
        show_next(after_thresholds(model))
