"""`tf-tokclf convert`: between file formats and label schemes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tf_tokclf.cli.options import TwinCommand, data_setting_option, given_data, logging_options
from tf_tokclf.cli.types import NameOrNumber

log = logging.getLogger(__name__)

_SCHEMES = click.Choice(["IO", "IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEOW"], case_sensitive=False)


@click.command("convert", cls=TwinCommand)
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--from",
    "format",
    default="auto",
    show_default=True,
    help="Format of IN. auto: detect it. An unknown name lists all.",
)
@click.option("--to", "to_format", help="Format of OUT; an unknown name lists all.  [default: inferred from its name]")
@click.option("--split", "part", help="Split to read, if IN is a data set (Hub id or folder).")
@click.option("--dataset-config-name", help="Configuration of that data set.")
@click.option("--scheme", default="auto", show_default=True, help="Label scheme of IN, or none.")
@click.option("--to-scheme", type=_SCHEMES, help="Label scheme of OUT.  [default: the scheme of IN]")
@click.option(
    "--repair",
    type=click.Choice(["none", "conlleval", "discard"]),
    default="none",
    show_default=True,
    help="What to do with label sequences that the scheme forbids.",
)
@click.option(
    "--task",
    type=click.Choice(["ner", "pos", "chunk", "slots"]),
    default="ner",
    show_default=True,
    help="Task; the label column is {task}_tags.",
)
@click.option("--text-column-name", type=NameOrNumber(), help="Column of words, by name or number from 0.")
@click.option("--label-column-name", type=NameOrNumber(), help="Column of labels, by name or number from 0.")
@click.option(
    "--sentence-column-name",
    type=NameOrNumber(),
    help="Column with the sentence of each word, in tables with one word per row.",
)
@click.option("--layer", type=NameOrNumber(), help="Layer of nested labels, by name or number from 0 (the outermost).")
@click.option("--separator", help="Column separator of IN: tab, blank or a character.  [default: detected]")
@click.option("--to-separator", default="tab", show_default=True, help="Column separator of OUT.")
@click.option("--encoding", default="utf-8", show_default=True, help="Character encoding of IN. OUT is UTF-8.")
@click.option("--comment-prefix", help="Read lines of IN that begin with this text as comments.")
@click.option(
    "--header/--no-header", default=None, help="Whether the first line of IN contains the names of the columns."
)
@click.option(
    "--span-policy",
    type=click.Choice(["fail", "expand", "contract", "drop"]),
    default="fail",
    show_default=True,
    help="What to do with character spans that cut words or overlap.",
)
@click.option(
    "--offset-unit",
    type=click.Choice(["codepoint", "utf16", "byte"]),
    default="codepoint",
    show_default=True,
    help="Unit of the character offsets of IN.",
)
@click.option(
    "--offset-end",
    type=click.Choice(["exclusive", "inclusive"]),
    help="Whether the end of a span of IN is its last character or the one after it.  [default: as the format defines]",
)
@click.option(
    "--to-offset-unit",
    type=click.Choice(["codepoint", "utf16", "byte"]),
    default="codepoint",
    show_default=True,
    help="Unit of the character offsets of OUT.",
)
@click.option(
    "--word-splitting",
    type=click.Choice(["words", "whitespace", "characters"]),
    default="words",
    show_default=True,
    help="How raw text is split into words.",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do with a sentence that cannot be read; skip: leave it out.",
)
@click.option(
    "--label-spelling",
    type=click.Choice(["standard", "keep"]),
    default="standard",
    show_default=True,
    help="standard: read labels such as PER-B or OTHER as B-PER and O; keep: leave labels as they are.",
)
@click.option(
    "--unannotated",
    type=click.Choice(["skip", "outside"]),
    default="skip",
    show_default=True,
    help="What to do with records that nobody has annotated. skip: leave them out; outside: read each word as O.",
)
@click.option(
    "--annotations",
    default="first",
    show_default=True,
    help="Which of several annotations of a record to use: first, latest, agreed (only records on which all annotators "
    "agree) or an annotator's id.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@data_setting_option
@logging_options
@click.pass_context
def convert_command(
    ctx: click.Context,
    source: str,
    out: Path,
    to_format: str | None,
    part: str | None,
    to_scheme: str | None,
    task: str,
    to_separator: str,
    to_offset_unit: str,
    force: bool,
    assignments: tuple[str, ...],
    **reading: Any,
) -> None:
    """Convert labelled data from IN (a file, folder or data set) to OUT. `-` is standard output.

    \b
    tf-tokclf convert train.conll train.jsonl
    tf-tokclf convert --to-scheme BIOES train.conll train.bioes.conll
    tf-tokclf convert --to brat --repair conlleval train.conll brat/
    """
    from tf_tokclf.config.schema import Task
    from tf_tokclf.data.convert import convert
    from tf_tokclf.data.formats.conll import separator_named
    from tf_tokclf.labels.schemes import Scheme

    data, given_task = given_data(ctx, assignments, {name: name for name in reading})
    is_task_given = ctx.get_parameter_source("task") is not ParameterSource.DEFAULT
    done = convert(
        source,
        out,
        data,
        task=given_task if given_task and not is_task_given else Task(task),
        part=part,
        to_format=to_format,
        to_scheme=Scheme(to_scheme) if to_scheme else None,
        separator=separator_named(to_separator) or "\t",
        offset_unit=to_offset_unit,
        force=force,
    )
    for line in [*done.notes, *done.summary()]:
        log.info(line)
