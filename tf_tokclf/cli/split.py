"""tf-tokclf split."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, data_set_option, given_data, logging_options
from tf_tokclf.cli.setting_options import as_arguments, data_options
from tf_tokclf.cli.types import FiniteRange
from tf_tokclf.control_characters import echo

log = logging.getLogger(__name__)

_SHARE = FiniteRange(min=0, max=1, max_open=True)


@click.command("split", cls=UnderscoreCommand)
@click.argument("source", metavar="IN")
@data_options(
    click.option(
        "--output",
        "-o",
        "folder",
        required=True,
        metavar="FOLDER",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for the files. It must be new or empty, except with --force.",
    ),
    click.option(
        "--validation-fraction",
        "validation",
        type=_SHARE,
        default=0.1,
        show_default=True,
        help="Share of the sentences for validation. 0: no validation file.",
    ),
    click.option(
        "--test-fraction",
        "test",
        type=_SHARE,
        default=0.1,
        show_default=True,
        help="Share of the sentences for testing. 0: no test file.",
    ),
    "data.split_seed",
    "data.split_by",
    click.option(
        "--output-format",
        "to_format",
        help="Format of the files. Give an unknown name to list all.  [default: the format of IN]",
    ),
    click.option("--output-separator", default="tab", show_default=True, help="Column separator of the files."),
    "data.format",
    click.option("--split", "part", help="Split to read, if IN is a data set (Hub id or folder)."),
    "data.dataset_config_name",
    "task",
    spellings={"data.split_seed": "--seed", "data.split_by": "--by", "data.format": "--format"},
    texts={
        "data.format": "Format of IN. Give an unknown name to list all.",
        "data.split_seed": "Random seed for drawing the sentences.",
    },
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--force", is_flag=True, help="Replace files that an earlier call of split wrote.")
@data_set_option
@logging_options
@click.pass_context
def split_command(
    ctx: click.Context,
    source: str,
    folder: Path,
    validation: float,
    test: float,
    to_format: str | None,
    output_separator: str,
    part: str | None,
    as_json: bool,
    force: bool,
    assignments: tuple[str, ...],
) -> None:
    """Divide labelled data into files for training, validation and test.

    Documents stay whole, equal sentences stay together, and each file gets its share of the spans of each type. `fit
    --test-fraction` draws the same sentences with the same seed, without writing files.

    \b
    tf-tokclf split all.conll -o data
    tf-tokclf split all.conll --test-fraction 0.2 --seed 1 -o data --output-format jsonl
    """
    from tf_tokclf.config.schema import Task
    from tf_tokclf.data.formats.conll import separator_named
    from tf_tokclf.data.split_files import divide
    from tf_tokclf.report.terminal import status

    data, task = given_data(ctx, assignments)
    with status("dividing the data"):
        done = divide(
            source,
            folder,
            data,
            {"validation": validation, "test": test},
            task=task or Task.NER,
            part=part,
            to_format=to_format,
            separator=separator_named(output_separator) or "\t",
            force=force,
        )
    for note in done.notes:
        log.info(note)
    if as_json:
        import json

        echo(json.dumps(done.to_json(), indent=2, ensure_ascii=False))
        return
    from tf_tokclf.report.division import division_table
    from tf_tokclf.report.terminal import stdout_console

    console = stdout_console()
    console.print(division_table(done), crop=False)
    from tf_tokclf.report.next_steps import after_split, show_next

    files = {name: part.file for name, part in done.parts.items()}
    chosen = as_arguments({"task": task.value}) if task else []
    show_next(after_split(folder, files, task=chosen))
