"""tf-tokclf runs."""

from __future__ import annotations

from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, logging_options
from tf_tokclf.cli.types import NameList
from tf_tokclf.control_characters import echo

# The columns that shells complete. run_table.py, which defines them, is imported when the command runs.
_COLUMNS = ("name", "state", "data", "encoder", "seed", "f1", "validation-f1", "test-f1", "training-time", "date")


@click.command("runs", cls=UnderscoreCommand)
@click.argument("folder", default="runs", type=click.Path(path_type=Path))
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Sort by this column: F1 and date from high to low, everything else from low to high.  [default: name]",
)
@click.option(
    "--columns",
    metavar="COLUMN,COLUMN,...",
    type=NameList(*_COLUMNS),
    default=(),
    help="Show only these columns, in this order. f1 stands for validation F1 and test F1. Any setting can be a "
    "column.  [default: all, and the settings that differ]",
)
@click.option(
    "--all",
    "with_parts",
    is_flag=True,
    help="Also list the run of each seed, of each trial of a sweep and of each share of a learning curve.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "markdown", "latex", "csv", "json"]),
    default="table",
    show_default=True,
    help="Format of the printed table.",
)
@logging_options
def runs_command(
    folder: Path, sort: str | None, columns: tuple[str, ...], with_parts: bool, output_format: str
) -> None:
    """List all runs in FOLDER (default: runs) and its subfolders.

    The table shows the name, state, data, encoder and seed of each run, the settings that differ between runs, F1 on
    the validation and test sets, training time and date. A folder of several seeds has one row, with the mean of the
    scores. A sweep has one row, with the scores of its best trial. A learning curve has one row, with the mean of the
    scores on the largest share. Damaged and unfinished runs are listed with their state.

    \b
    tf-tokclf runs
    tf-tokclf runs experiments --sort "test F1"
    tf-tokclf runs runs/sweep --format latex --columns data,encoder,learning_rate,f1
    """
    import json

    from tf_tokclf.report.find_runs import find_runs
    from tf_tokclf.report.next_steps import after_runs, show_next
    from tf_tokclf.report.run_table import run_table
    from tf_tokclf.report.table_formats import formatted, terminal_table
    from tf_tokclf.report.terminal import print_wide

    runs = find_runs(folder, with_parts=with_parts)
    chosen = run_table(runs, folder, columns=columns, sort=sort)
    if output_format == "json":
        echo(json.dumps(chosen.to_json(), ensure_ascii=False, indent=2))
    elif output_format != "table":
        echo(formatted(chosen.table(), output_format, with_empty=bool(columns)), nl=False)
    elif runs:
        print_wide(terminal_table(chosen.table()))
    else:
        echo(f"There are no runs in {folder}.", err=True)
    show_next(after_runs(runs, folder))
