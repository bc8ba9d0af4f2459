"""tf-tokclf select."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import (
    UnderscoreCommand,
    arguments_without,
    check_is_file,
    data_set_option,
    given_data,
    logging_options,
    look_ahead_option,
    model_options,
    no_thresholds_option,
    records_output_option,
)
from tf_tokclf.cli.setting_options import setting_parameter, source_options
from tf_tokclf.counted import counted

if TYPE_CHECKING:
    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.inference.selection import Selected, Wanted

log = logging.getLogger(__name__)

_DEFAULT_NUMBER = 100
# The options that are not arguments of `Tagger.load`.
_OWN = (
    *("number", "budget_words", "strategy", "types", "diversity", "seed", "excluded", "exclude_format"),
    *("keep_run_data", "word_splitting", "on_error", "offset_unit", "look_ahead"),
)


def _types_in(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """The types in "PER,LOC"."""
    if text is None:
        return None
    types = tuple(dict.fromkeys(type_.strip() for type_ in text.split(",")))
    if "" in types:
        raise click.BadParameter(f"{text!r} is not a list of types such as PER,LOC.")
    return types


@click.command("select", cls=UnderscoreCommand)
@click.argument("model")
@click.argument("source", default="-")
@click.option(
    "--number", "-n", type=click.IntRange(min=1), help=f"Number of sentences to select.  [default: {_DEFAULT_NUMBER}]"
)
@click.option(
    "--budget-words",
    type=click.IntRange(min=1),
    help="Number of words to select at most, instead of a number of sentences.",
)
@click.option(
    "--strategy",
    type=click.Choice(["margin", "entropy", "least-confidence", "disagreement", "random"]),
    default="margin",
    show_default=True,
    help="How uncertain the model is about its least certain word. margin: how close the two most probable labels are; "
    "entropy: of all labels; least-confidence: 1 minus the highest probability; disagreement: between the runs of "
    "several seeds (fit: --seeds). random: draw sentences at random.",
)
@click.option(
    "--types",
    metavar="TYPE,TYPE",
    callback=_types_in,
    help="Only uncertainty about these types counts, such as PER,LOC.  [default: all types]",
)
@click.option(
    "--diversity",
    type=click.Choice(["embeddings", "words", "none"]),
    help="Choose sentences that differ among the most uncertain ones. embeddings: by the encoder; words: by the "
    "characters of their words; none: take the most uncertain ones.  [default: embeddings; words for engine onnx; none "
    "for random]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed of the selection.")
@click.option(
    "--exclude",
    "excluded",
    metavar="FILE",
    multiple=True,
    help="Labelled file, in any format that fit reads, whose sentences are not selected. Can be repeated.",
)
@click.option(
    "--exclude-format",
    metavar="FORMAT",
    help="Format of the --exclude files.  [default: detected from name and content]",
)
@click.option("--keep-run-data", is_flag=True, help="Also select sentences that are in the run's own data.")
@source_options("drop", "leave it out")
@click.option(
    "--output-format",
    type=click.Choice(["jsonl", "label-studio", "prodigy", "doccano", "conll"]),
    help="Format of the selected sentences with their predicted labels.  [default: inferred from the name of --output, "
    "else jsonl]",
)
@records_output_option
@click.option("--force", is_flag=True, help="Replace the file named by --output.")
@no_thresholds_option
@setting_parameter("data.offset_unit", default_text="as in the run, else codepoint")
@look_ahead_option
@data_set_option
@model_options
@logging_options
@click.pass_context
def select_command(
    ctx: click.Context,
    model: str,
    source: str,
    output_format: str | None,
    output: Path | None,
    force: bool,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Select the sentences of SOURCE to label next, for MODEL (a run, a model folder or a Hub id).

    SOURCE is a file of raw text, words or records, or stdin. The selected sentences are those about which the model is
    least certain, and differ from each other. They are written with the predicted labels, for people who correct them.
    Sentences of the run's own data are left out.

    \b
    tf-tokclf select runs/mine raw.txt -n 200 -o next.jsonl
    tf-tokclf select runs/mine raw.jsonl --budget-words 5000 --types PER,LOC --output-format label-studio -o tasks.json
    tf-tokclf select runs/seeds raw.txt --strategy disagreement --exclude labelled.conll -o next.jsonl
    """
    from tf_tokclf.optional_packages import check_full_install

    check_full_install("select")  # data sets and clusters
    from tf_tokclf.inference.prediction_spec import PredictionSpec
    from tf_tokclf.inference.selected_output import open_selected_format, selected_format, write_selected
    from tf_tokclf.inference.selection import select
    from tf_tokclf.report.progress import RecordProgress
    from tf_tokclf.report.terminal import status

    wanted = _wanted(options)
    data = _checked_files(ctx, model, source, output, assignments, options["excluded"], force=force)
    format = selected_format(output_format, output)
    spec = PredictionSpec(
        model,
        reading=data.model_dump(mode="json", exclude_unset=True),
        details={"offset_unit": options["offset_unit"]} if options["offset_unit"] else {},
        loading={name: value for name, value in options.items() if name not in _OWN},
        word_splitting=options["word_splitting"],
        output_format=None,
        threshold=None,
        look_ahead=options["look_ahead"],
        keep_errors=options["on_error"] == "drop",
    )
    spec.check_output(source, None)
    with status("loading the model"):
        tagger = spec.tagger()
        stream = spec.open(tagger, source)
    with closing(stream):
        writer = open_selected_format(format, stream.format, tagger.labels.scheme, spec.output_details())
        log.info("%s", stream)
        with status("reading what is labelled already"):
            labelled = spec.labelled_already(
                tagger, options["excluded"], format=options["exclude_format"], with_run=not options["keep_run_data"]
            )
        with RecordProgress() as progress:
            done = select(spec, wanted, tagger, stream, labelled=labelled, watcher=progress)
    write_selected(done.records, writer, output)
    _summarise(done, wanted)
    _show_next(ctx, format)


def _wanted(options: dict[str, Any]) -> Wanted:
    from tf_tokclf.inference.selection import Wanted

    number, budget = options["number"], options["budget_words"]
    if number is not None and budget is not None:
        raise click.UsageError("Give either --number or --budget-words.")
    return Wanted(
        number=None if budget is not None else number or _DEFAULT_NUMBER,
        budget_words=budget,
        strategy=options["strategy"],
        types=options["types"],
        diversity=options["diversity"],
        seed=options["seed"],
    )


def _checked_files(
    ctx: click.Context,
    model: str,
    source: str,
    output: Path | None,
    assignments: tuple[str, ...],
    excluded: Sequence[str],
    *,
    force: bool,
) -> DataConfig:
    """How to read SOURCE. Raises UserError if a file does not exist, or if the output cannot be written."""
    from tf_tokclf.data.inputs import data_files_of_run, model_files, source_files
    from tf_tokclf.files import check_output
    from tf_tokclf.records.stream import check_source

    check_source(source)
    for file in excluded:
        if file == "-":
            raise click.UsageError("--exclude reads files, and not standard input.")
        check_source(file)
    data, _ = given_data(ctx, assignments)
    check_is_file(output, resume=False)
    if output:
        others = chain.from_iterable(map(source_files, excluded))
        read = chain(source_files(source, data), others, model_files(model), data_files_of_run(model))
        check_output(output, inputs=read, force=force)
    return data


def _summarise(done: Selected, wanted: Wanted) -> None:
    left_out = [
        *([f"{done.n_labelled:,} labelled already"] if done.n_labelled else []),
        *([f"{done.n_too_long:,} longer than the budget"] if done.n_too_long else []),
    ]
    chosen = f"{counted(len(done.records), 'sentence')} with {counted(done.n_words, 'word')}"
    shown = f" (left out: {', '.join(left_out)})" if left_out else ""
    log.info("selected %s from %s%s", chosen, counted(done.n_read, "sentence"), shown)
    if done.n_problems:
        log.warning("%s could not be read and were left out", counted(done.n_problems, "record"))
    if done.is_all:
        asked = f"--number {wanted.number}" if wanted.number is not None else f"--budget-words {wanted.budget_words}"
        log.warning("fewer sentences are left than %s asks for, so all of them were selected", asked)


def _show_next(ctx: click.Context, format: str) -> None:
    from tf_tokclf.report.next_steps import after_select, show_next

    given = ctx.params
    arguments = arguments_without(ctx, "output", "output_format", "force")
    show_next(after_select(given["source"], arguments, given["output"], format))
