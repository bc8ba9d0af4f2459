"""tf-tokclf convert."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, data_set_option, given_data, logging_options
from tf_tokclf.cli.setting_options import as_arguments, data_options, setting_parameter

log = logging.getLogger(__name__)

_SCHEMES = click.Choice(["IO", "IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEOW"], case_sensitive=False)


@click.command("convert", cls=UnderscoreCommand)
@click.argument("source", metavar="IN")
@click.argument("out", metavar="[OUT]", required=False, type=click.Path(path_type=Path, allow_dash=True))
@data_options(
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path, allow_dash=True),
        help="Write to this file or folder. The same as OUT.",
    ),
    click.option(
        "--corrections",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Apply the accepted corrections of label-issues. OUT then has the format of IN, unless --to is given.",
    ),
    "data.format",
    click.option(
        "--to", "to_format", help="Format of OUT. Give an unknown name to list all.  [default: inferred from its name]"
    ),
    click.option("--split", "part", help="Split to read, if IN is a data set (Hub id or folder)."),
    "data.dataset_config_name",
    "data.scheme",
    click.option("--to-scheme", type=_SCHEMES, help="Label scheme of OUT.  [default: the scheme of IN]"),
    "data.repair",
    "task",
    "data.text_column_name",
    "data.label_column_name",
    "data.sentence_column_name",
    "data.layer",
    "data.separator",
    click.option("--to-separator", help="Column separator of OUT.  [default: tab; with --corrections, that of IN]"),
    "data.encoding",
    "data.comment_prefix",
    "data.header",
    "data.span_policy",
    "data.offset_unit",
    "data.offset_end",
    setting_parameter(
        "data.offset_unit",
        "--to-offset-unit",
        default_text="codepoint; with --corrections, that of IN",
        help="Unit of the character offsets of OUT.",
    ),
    "data.word_splitting",
    "data.on_error",
    spellings={"data.format": "--from"},
    texts={"data.format": "Format of IN. Give an unknown name to list all."},
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@data_set_option
@logging_options
@click.pass_context
def convert_command(
    ctx: click.Context,
    source: str,
    out: Path | None,
    output: Path | None,
    corrections: Path | None,
    to_format: str | None,
    part: str | None,
    to_scheme: str | None,
    to_separator: str | None,
    to_offset_unit: str | None,
    force: bool,
    assignments: tuple[str, ...],
) -> None:
    """Convert labelled data from IN (a file, folder or data set) to OUT.

    OUT can be `-` for standard output. Text is written in UTF-8.

    \b
    tf-tokclf convert train.conll train.jsonl
    tf-tokclf convert --to-scheme BIOES train.conll train.bioes.conll
    tf-tokclf convert --to brat --repair conlleval train.conll brat/
    tf-tokclf convert train.conll --corrections corrections.jsonl -o corrected.conll
    """
    if (out is None) == (output is None):
        raise click.UsageError("Give either OUT or --output.")
    from tf_tokclf.config.schema import Task
    from tf_tokclf.data.convert import convert
    from tf_tokclf.data.formats.conll import separator_named
    from tf_tokclf.labels.schemes import Scheme
    from tf_tokclf.report.terminal import status

    out = out or output
    assert out is not None, "checked above"
    data, task = given_data(ctx, assignments)
    # A status line would be mixed with the output on a terminal.
    with nullcontext() if str(out) == "-" else status("converting"):
        done = convert(
            source,
            out,
            data,
            task=task or Task.NER,
            part=part,
            to_format=to_format,
            to_scheme=Scheme(to_scheme) if to_scheme else None,
            separator=separator_named(to_separator) if to_separator else None,
            offset_unit=to_offset_unit,
            force=force,
            corrections=corrections,
        )
    for line in [*done.notes, *done.summary()]:
        log.info(line)
    if str(out) != "-":
        from tf_tokclf.report.next_steps import after_convert, show_next

        chosen = as_arguments({"task": task.value}) if task else []
        show_next(after_convert(out, has_labels=done.source is not None, task=chosen))
