"""tf-tokclf predict."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
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
from tf_tokclf.cli.types import FiniteRange
from tf_tokclf.counted import counted

if TYPE_CHECKING:
    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.inference.prediction_spec import PredictionSpec

log = logging.getLogger(__name__)

# Options that determine what is written for each record.
_DETAILS = ("top_k", "scores", "offset_unit")
_OUTPUTS = ("same", "jsonl", "conll", "spacy", "doccano", "prodigy", "label-studio", "csv", "parquet")


@click.command("predict", cls=UnderscoreCommand)
@click.argument("model")
@click.argument("source", default="-")
@source_options("keep", "write it with the error and without labels")
@click.option(
    "--output-format",
    type=click.Choice(_OUTPUTS),
    help="same: the records of SOURCE with predictions added; jsonl: words, labels, scores, spans.  "
    "[default: inferred from the name of --output, else same; for text, jsonl if --output has no suffix]",
)
@records_output_option
@click.option("--force", is_flag=True, help="Replace the file named by --output, whether or not it is complete.")
@click.option("--resume", is_flag=True, help="Continue an output that was interrupted.")
@click.option(
    "--shard",
    metavar="I/N",
    callback=lambda ctx, parameter, text: shard_of(text),
    help="Label only part I (from 1) of N parts of SOURCE, for schedulers. Join the outputs with cat.",
)
@click.option(
    "--workers",
    "n_workers",
    type=click.IntRange(min=1),
    help="Number of processes that label SOURCE (a file or a folder of files) with Ray. --output is then a folder.",
)
@click.option(
    "--parts",
    "n_parts",
    type=click.IntRange(min=1),
    help="Number of parts into which --workers divides a file. In a folder, each file is a part.  "
    "[default: 4 per worker]",
)
@click.option(
    "--ray-address", help="HOST:PORT of a Ray cluster for --workers.  [default: RAY_ADDRESS, else this machine only]"
)
@click.option("--top-k", type=click.IntRange(min=0), default=0, help="Also write the K most probable labels per word.")
@click.option(
    "--threshold",
    type=FiniteRange(0, 1),
    help="Leave out spans with a lower score. Thresholds that are stored with the model are then not used.",
)
@click.option(
    "--review",
    metavar="LOW",
    type=FiniteRange(0, 1),
    help="Also write the spans with a score from LOW up to their threshold, marked for review. JSON lines, Parquet, "
    "Label Studio, and CSV with a sentence per row.",
)
@no_thresholds_option
@click.option("--scores", is_flag=True, help="In CoNLL, also write a column with the score of each word.")
@setting_parameter("data.offset_unit", default_text="as in the run, else codepoint")
@look_ahead_option
@data_set_option
@model_options
@logging_options
@click.pass_context
def predict_command(
    ctx: click.Context,
    model: str,
    source: str,
    word_splitting: str | None,
    on_error: str,
    output_format: str | None,
    output: Path | None,
    force: bool,
    resume: bool,
    threshold: float | None,
    review: float | None,
    look_ahead: int,
    shard: tuple[int, int] | None,
    n_workers: int | None,
    n_parts: int | None,
    ray_address: str | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Label SOURCE (a file, or stdin) with MODEL (a run, a model folder, a Hub id or package:NAME/PATH).

    There is one output record per input record, in the same order. Input may be compressed (gzip, zstd, xz, bzip2,
    zip). The score of a span is the lowest probability of the labels of its words. If the model has thresholds
    (tf-tokclf thresholds), the score is the probability of the whole span, and only spans that reach their threshold
    are written.

    \b
    echo "play some jazz by Nina Simone" | tf-tokclf predict runs/quickstart
    tf-tokclf predict runs/mine raw.conll -o labelled.conll
    tf-tokclf predict runs/mine tweets.jsonl.gz -o tweets.ner.jsonl.gz --resume
    """
    _check_arguments(ctx.params)
    data, read = _files_read(ctx, model, source, assignments)
    if n_workers is None:
        _check_file(source, output, read, shard, resume=resume, force=force)
    else:
        _check_parts(source, output, read, shard)
    from tf_tokclf.inference.prediction_spec import PredictionSpec

    spec = PredictionSpec(
        model,
        reading=data.model_dump(mode="json", exclude_unset=True),
        details={name: value for name in _DETAILS if (value := options.pop(name)) is not None},
        loading=options,
        word_splitting=word_splitting,
        output_format=output_format,
        threshold=threshold,
        review=review,
        look_ahead=look_ahead,
        keep_errors=on_error == "keep",
    )
    if n_workers is None:
        predict_here(spec, source, output, shard, resume=resume, force=force)
    elif output is not None:  # it was checked
        sharing = Sharing(n_workers, n_parts, ray_address or os.environ.get("RAY_ADDRESS"))
        predict_by_workers(spec, source, output, sharing, resume=resume, force=force)
    _show_next(ctx)


def _show_next(ctx: click.Context) -> None:
    from tf_tokclf.report.next_steps import after_predict, show_next

    given = ctx.params
    own = ("output", "output_format", "force", "resume", "shard", "n_workers", "n_parts", "ray_address")
    show_next(
        after_predict(
            given["model"],
            given["source"],
            arguments_without(ctx, *own),
            has_output=given["output"] is not None,
            format=given["output_format"],
        )
    )


def _check_arguments(given: Mapping[str, Any]) -> None:
    """Raise UsageError for arguments that are wrong whatever the files contain."""
    model, source = given["model"], given["source"]
    if Path(model).is_file() and Path(source).is_dir():
        order = shlex.join(["tf-tokclf", "predict", source, model])
        raise click.UsageError(f"{model} is a file and {source} is a folder. The model comes first: {order}")
    if given["resume"] and given["output"] is None:
        raise click.UsageError("--resume continues a file. Name the file with --output.")
    if given["n_workers"] is None and (given["n_parts"] or given["ray_address"]):
        raise click.UsageError("--parts and --ray-address can only be used with --workers.")


def _files_read(
    ctx: click.Context, model: str, source: str, assignments: tuple[str, ...]
) -> tuple[DataConfig, Iterable[Path]]:
    """How to read SOURCE, and all files that are read. Raises UserError if SOURCE does not exist."""
    from tf_tokclf.data.inputs import model_files, source_files
    from tf_tokclf.records.stream import check_source

    check_source(source)
    data, _ = given_data(ctx, assignments)
    return data, chain(source_files(source, data), model_files(model))


def _check_file(
    source: str,
    output: Path | None,
    read: Iterable[Path],
    shard: tuple[int, int] | None,
    *,
    resume: bool,
    force: bool,
) -> None:
    """Raise UserError if one process cannot write `output`. read: the files that are read, which must not be
    overwritten.
    """
    from tf_tokclf.files import check_output
    from tf_tokclf.records.stream import check_rereadable

    check_is_file(output, resume=resume)
    if shard:
        check_rereadable(source, "--shard")
    if output:
        check_output(output, inputs=read, force=force or resume)


def _check_parts(source: str, output: Path | None, read: Iterable[Path], shard: tuple[int, int] | None) -> None:
    """Raise UserError if several processes cannot write the folder `output`."""
    from tf_tokclf.files import check_output
    from tf_tokclf.optional_packages import check_installed
    from tf_tokclf.records.stream import check_rereadable

    if shard:
        raise click.UsageError("--workers divides the input itself. Omit --shard.")
    if output is None:
        raise click.UsageError("--workers writes a folder of parts. Name the folder with --output.")
    check_rereadable(source, "--workers")
    check_output(output, inputs=read, force=True)
    check_installed("--workers", "ray", extra="ray")


def predict_here(
    spec: PredictionSpec,
    source: str,
    output: Path | None,
    shard: tuple[int, int] | None,
    *,
    resume: bool,
    force: bool,
) -> None:
    """Label SOURCE in this process."""
    from tf_tokclf.files import is_stream
    from tf_tokclf.inference.prediction_job import predict_to_file, predict_to_stdout, predict_to_stream
    from tf_tokclf.report.progress import RecordProgress
    from tf_tokclf.report.terminal import status

    spec.check_output(source, output)
    with status("loading the model"):
        tagger = spec.tagger()
    stream = spec.open(tagger, source)
    log.info("%s", stream)
    part = None
    if shard:
        number, n_shards = shard
        part = spec.shards(tagger, source, n_shards)[number - 1]
        log.info("shard %d of %d: %s", number, n_shards, _records_text(part.records))
    chosen = spec.format_for(stream, output)
    with closing(stream), RecordProgress() as progress:
        job = spec.job(tagger, stream, chosen, shard=part, watcher=progress)
        if output is None:
            done = predict_to_stdout(job)
        elif is_stream(output):
            done = predict_to_stream(job, output)
        else:
            identity = spec.identity(tagger, stream, chosen, part)
            done = predict_to_file(job, output, resume=resume, force=force, identity=identity)
    progress.summarise(done.n_problems)


@dataclass(frozen=True)
class Sharing:
    """How SOURCE is divided: number of workers, number of parts (None: a few per worker), address of the Ray cluster
    (None: this machine).
    """

    n_workers: int
    n_parts: int | None
    address: str | None


def predict_by_workers(
    spec: PredictionSpec,
    source: str,
    output: Path,
    sharing: Sharing,
    *,
    resume: bool,
    force: bool,
) -> None:
    """Label SOURCE part by part in separate worker processes."""
    from tf_tokclf.inference.parts_folder import PARTS_A_WORKER, PartsFolder, left_to_do
    from tf_tokclf.inference.ray_workers import check_ray, predict_with_ray
    from tf_tokclf.report.progress import RecordProgress
    from tf_tokclf.report.terminal import status

    folder = PartsFolder(output)
    folder.check(resume=resume, force=force)
    if Path(source).is_file():
        spec.check_output(source, None)
    check_ray(sharing.address)
    spec = spec.from_anywhere()
    default = sharing.n_workers * PARTS_A_WORKER
    with status("loading the model"):
        tagger = spec.tagger()
    parts = folder.begin(spec, tagger, source, sharing.n_parts, default=default, resume=resume)
    left = left_to_do(parts)
    n_complete = len(parts) - len(left)
    log.info(
        "%s%s, %s",
        counted(len(parts), "part"),
        f" ({n_complete:,} already complete)" if n_complete else "",
        counted(sharing.n_workers, "worker"),
    )
    with RecordProgress() as progress:
        n_problems = 0
        if left:
            done = predict_with_ray(spec, left, n_workers=sharing.n_workers, address=sharing.address, watcher=progress)
            n_problems = done.n_problems
    folder.finish()
    progress.summarise(n_problems)


def _records_text(records: range) -> str:
    return f"records {records.start + 1:,} to {records.stop:,}" if records else "no records"


def shard_of(text: str | None) -> tuple[int, int] | None:
    """The two numbers in "2/8"."""
    if text is None:
        return None
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    number, n_parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= n_parts:
        raise click.BadParameter(f"{text[:99]!r} is not I/N with I from 1 to N, such as 2/8.")
    return number, n_parts
