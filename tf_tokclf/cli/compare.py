"""tf-tokclf compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import UnderscoreCommand, arguments_without, data_set_option, given_data, logging_options
from tf_tokclf.cli.requirements import Gate, requirement_options
from tf_tokclf.cli.setting_options import data_options, given_settings, setting_parameter
from tf_tokclf.cli.types import NameOrNumber
from tf_tokclf.control_characters import echo

if TYPE_CHECKING:
    from tf_tokclf.scoring.comparison import Comparison


@click.command("compare", cls=UnderscoreCommand)
@click.argument("systems", nargs=-1, required=True)
@click.option("--split", default="test", show_default=True, help="Split whose predictions are read from runs.")
@click.option(
    "--gold",
    type=click.Path(exists=True, path_type=Path),
    help="Labelled file for predictions that have no gold labels.",
)
@data_options(
    "data.format",
    "data.text_column_name",
    "data.label_column_name",
    click.option(
        "--predicted-column-name",
        "predicted_columns",
        type=NameOrNumber(),
        multiple=True,
        help="Column of predicted labels in all SYSTEMS that are files. Repeat the option to name one for each file.",
    ),
    "data.scheme",
    spellings={"data.format": "--input-format"},
    texts={
        "data.format": "Format of files of predictions and of --gold.",
        "data.label_column_name": "Column of gold labels, by name or number from 0.",
    },
    defaults={"data.format": "detected from name and content"},
    default_prefix="as in the first run, else ",
)
@data_set_option
@setting_parameter("evaluation.mode", "--mode", default="conlleval")
@click.option(
    "--samples", type=click.IntRange(min=1), default=10_000, show_default=True, help="Number of bootstrap samples."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed of the resampling.")
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Number of example sentences to show for each outcome: only the first system is right, or only the other one.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "markdown", "latex", "csv"]),
    default="table",
    show_default=True,
    help="Format of the printed comparison. latex: a table for the package booktabs. Scores are percentages, except in "
    "json, where they are fractions.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the comparison to this file as JSON.",
)
@requirement_options("f1.difference>=-0.005")
@click.option("--force", is_flag=True, help="Replace existing output files.")
@logging_options
@click.pass_context
def compare_command(
    ctx: click.Context,
    systems: tuple[str, ...],
    split: str,
    gold: Path | None,
    predicted_columns: tuple[str | int, ...],
    assignments: tuple[str, ...],
    mode: str,
    samples: int,
    seed: int,
    examples: int,
    output_format: str,
    output: Path | None,
    required: tuple[str, ...],
    junit: Path | None,
    force: bool,
) -> None:
    """Compare each of SYSTEMS with the first one on the same sentences.

    A system is a run, a folder of runs, a file of predictions (JSON lines, or columns of words, gold and predicted
    labels), or NAME=PATH,PATH,... for several of them. Several runs, and the runs of `fit --seeds`, count as the seeds
    of one system.

    \b
    tf-tokclf compare runs/small runs/large
    tf-tokclf compare small=runs/s1,runs/s2 large=runs/l1,runs/l2 --output comparison.json
    """
    from tf_tokclf.files import check_outputs
    from tf_tokclf.report.next_steps import after_compare, show_next
    from tf_tokclf.report.terminal import status
    from tf_tokclf.scoring.comparison import compare_systems, files_of_systems

    gate = Gate.of(required, junit)
    check_outputs([output, junit], [path for path in (gold, *files_of_systems(systems, split)) if path], force=force)
    data, task = given_data(ctx, assignments)
    with status("comparing"):
        comparison = compare_systems(
            systems,
            split=split,
            gold=gold,
            data=data,
            task=task,
            predicted_columns=predicted_columns,
            mode="strict" if mode == "strict" else "conlleval",
            n_samples=samples,
            seed=seed,
        )
    _show(comparison, gate, output_format, output, n_examples=examples)
    # The page has no options for reading files of other programs.
    if not (gold or predicted_columns or assignments or given_settings(ctx)):
        show_next(
            after_compare(arguments_without(ctx, "examples", "output_format", "output", "required", "junit", "force"))
        )


def _show(comparison: Comparison, gate: Gate, output_format: str, output: Path | None, *, n_examples: int) -> None:
    """Print and write the comparison, and check the requirements."""
    from tf_tokclf.files import write_json_output
    from tf_tokclf.scoring.requirements import difference_values

    as_json = comparison.to_json()
    differences = as_json["differences"]
    subjects = [one["systems"][1] for one in differences] if len(differences) > 1 else [""]
    outcome = gate.check(dict(zip(subjects, map(difference_values, differences))))
    as_json |= outcome.to_json()
    if output:
        write_json_output(output, as_json)
    _print(comparison, as_json, output_format, n_examples=n_examples)
    outcome.finish(suite="tf-tokclf compare", about=" and ".join(system.name for system in comparison.systems))


def _print(comparison: Comparison, as_json: Mapping[str, Any], output_format: str, *, n_examples: int) -> None:
    import json

    from tf_tokclf.report.result_tables import comparison_table
    from tf_tokclf.report.score_tables import comparison_tables
    from tf_tokclf.report.table_formats import TABLE_FORMATS, formatted
    from tf_tokclf.report.terminal import stdout_console

    if output_format == "json":
        echo(json.dumps(as_json, ensure_ascii=False))
    elif output_format in TABLE_FORMATS:
        echo(formatted(comparison_table(comparison), output_format), nl=False)
    else:
        stdout_console().print(comparison_tables(comparison, n_examples=n_examples))
