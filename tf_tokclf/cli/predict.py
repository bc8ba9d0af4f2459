"""tf-tokclf predict."""

from __future__ import annotations

import logging
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.options import FiniteRange, NameOrNumber, TwinCommand, logging_options, model_options

log = logging.getLogger(__name__)

# Options by the names of their settings: how SOURCE is read, and what is written of each record.
_READING = (
    "format",
    "text_column_name",
    "sentence_column_name",
    "encoding",
    "separator",
    "header",
    "comment_prefix",
)
_DETAILS = ("top_k", "scores", "offset_unit")
_OUTPUTS = ("same", "jsonl", "conll", "spacy", "doccano", "prodigy", "label-studio", "csv", "parquet")


@click.command("predict", cls=TwinCommand)
@click.argument("model")
@click.argument("source", default="-")
@click.option(
    "--format",
    "format",
    default="auto",
    show_default=True,
    help="Of SOURCE: text (a sentence a line), conll, jsonl, csv, parquet, or any other that fit reads; "
    "auto: by its name, else text.",
)
@click.option("--text-column-name", type=NameOrNumber(), help="Column of words or texts, by name or number from 0.")
@click.option(
    "--sentence-column-name",
    type=NameOrNumber(),
    help="Column that says which sentence a row's word belongs to.",
)
@click.option("--encoding", default="utf-8", show_default=True, help="Character encoding of SOURCE.")
@click.option("--separator", help="Between the columns of SOURCE: tab, blank or a sign.")
@click.option("--header/--no-header", default=None, help="The first line of SOURCE names the columns, or not.")
@click.option("--comment-prefix", help="Lines of SOURCE that begin with it are comments.")
@click.option(
    "--word-splitting",
    type=click.Choice(["words", "whitespace", "characters"]),
    help="How texts fall into words.  [default: as in training]",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "keep"]),
    default="stop",
    show_default=True,
    help="At a record that cannot be read; keep writes it with the error and without labels.",
)
@click.option(
    "--output-format",
    type=click.Choice(_OUTPUTS),
    help="same: the records of SOURCE with predictions added; jsonl: words, labels, scores, spans.  "
    "[default: what --output is called after, else same; of text, jsonl]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here, not to stdout; a name in .gz or .zst is compressed.",
)
@click.option("--force", is_flag=True, help="Replace the file named by --output, finished or not.")
@click.option("--resume", is_flag=True, help="Go on with an output that was broken off.")
@click.option(
    "--shard",
    metavar="I/N",
    callback=lambda ctx, parameter, text: shard_of(text),
    help="Only the I-th (from 1) of N parts of SOURCE, for schedulers; cat of their outputs is the whole one.",
)
@click.option("--top-k", type=click.IntRange(min=0), default=0, help="Also the K likeliest labels of each word.")
@click.option("--threshold", type=FiniteRange(0, 1), help="Leave out spans whose score is below.")
@click.option("--scores", is_flag=True, help="In CoNLL, a column with each word's score too.")
@click.option(
    "--offset-unit",
    type=click.Choice(["codepoint", "utf16", "byte"]),
    default="codepoint",
    show_default=True,
    help="What places in texts count.",
)
@click.option(
    "--look-ahead",
    type=click.IntRange(min=1),
    default=32_768,
    show_default=True,
    help="Words that are read ahead and sorted by length; 1 answers each sentence at once.",
)
@model_options
@logging_options
def predict_command(
    model: str,
    source: str,
    word_splitting: str | None,
    on_error: str,
    output_format: str | None,
    output: Path | None,
    force: bool,
    resume: bool,
    threshold: float | None,
    look_ahead: int,
    shard: tuple[int, int] | None,
    **options: Any,
) -> None:
    """Label SOURCE (a file, or stdin) with MODEL, a run, a model folder, a Hub id or package:NAME/PATH.

    A record comes out for each that goes in, in order, whatever is in it. Compressed input (gzip, zstd) is
    read as it is. A span's score is the smallest probability among its words' labels.

    \b
    echo "play some jazz by Nina Simone" | tf-tokclf predict runs/quickstart
    tf-tokclf predict runs/mine raw.conll -o labelled.conll
    tf-tokclf predict runs/mine tweets.jsonl.gz -o tweets.ner.jsonl.gz --resume
    """
    from tf_tokclf.cli.outputs import check_output
    from tf_tokclf.data.record_streams import check_rereadable, check_source
    from tf_tokclf.report.progress import RecordProgress

    check_source(source)
    if shard:
        check_rereadable(source)
    if resume and output is None:
        raise click.UsageError("--resume goes on with a file: name it with --output.")
    check_output(output, force=force or resume)

    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.data.model_folders import local_model_folder
    from tf_tokclf.data.record_streams import open_records
    from tf_tokclf.inference.predicting import Prediction, Shard, identity_of, predict_to_file, predict_to_stdout
    from tf_tokclf.inference.prediction_formats import Details, choose_output_format, open_output_format
    from tf_tokclf.inference.tagger import Tagger

    reading = {name: options.pop(name) for name in _READING}
    written = {name: options.pop(name) for name in _DETAILS}
    tagger = Tagger.load(model, **options)
    if threshold is not None and tagger.labels.outside is None:
        raise click.UsageError("--threshold leaves out spans, and the model's labels spell none.")
    data = DataConfig(**reading, word_splitting=word_splitting or tagger.info.word_splitting)
    keep_errors = on_error == "keep"
    stream = open_records(source, data, keep_errors=keep_errors)
    log.info("%s", stream)
    part = None
    if shard:
        with closing(open_records(source, data, keep_errors=keep_errors)) as every:
            sentences = (record.sentence for record in every.records())
            part = Shard.of(sentences, *shard, look_ahead_words=look_ahead)
        log.info("shard %d of %d: %s", *shard, _records_text(part.records))
    chosen = choose_output_format(output_format, output, stream.format)
    details = Details(**written, model_name=Path(model).name)
    file_format = open_output_format(chosen, stream.format, tagger.labels.scheme, details)
    with closing(stream), RecordProgress() as progress:
        job = Prediction(
            tagger,
            stream,
            file_format,
            threshold=threshold,
            look_ahead_words=look_ahead,
            shard=part,
            watchers=(progress,),
        )
        if output is None:
            done = predict_to_stdout(job)
        else:
            settings = {**reading, **written, **options, "format": chosen, "input format": stream.format.name}
            settings |= {"threshold": threshold, "look ahead": look_ahead, "words": data.word_splitting}
            settings |= {"shard": shard and list(shard)}
            folder = local_model_folder(model, revision=options["revision"])
            identity = identity_of(folder, source, settings)
            done = predict_to_file(job, output, resume=resume, force=force, identity=identity)
    progress.summarise(done.n_problems)


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
