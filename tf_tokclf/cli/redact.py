"""tf-tokclf redact."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Mapping
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
from tf_tokclf.cli.setting_options import source_options
from tf_tokclf.cli.types import FiniteRange
from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.redacting.redact import Redacted, Redaction

log = logging.getLogger(__name__)

_SHORTEST_KEY = 16
# The options that are not arguments of `Tagger.load`.
_OWN = (
    *("way", "scope", "locale", "seed", "key_file", "key_variable", "patterns", "map_path", "other_columns", "kept"),
    *("report", "word_splitting", "on_error", "threshold", "look_ahead"),
)
_ONLY_FOR = {"locale": "faker", "seed": "faker", "key_file": "hash", "key_variable": "hash"}


@click.command("redact", cls=UnderscoreCommand)
@click.argument("model")
@click.argument("source", default="-")
@click.option(
    "--with",
    "way",
    type=click.Choice(["number", "mask", "faker", "hash", "delete"]),
    default="number",
    show_default=True,
    help="What takes the place of a span. number: [PER_1], the same for the same text; mask: [PER]; faker: a fake "
    "value of the package Faker; hash: [PER_0f3a...], a hash with a secret key; delete: nothing.",
)
@click.option(
    "--consistent",
    "scope",
    type=click.Choice(["document", "corpus"]),
    default="document",
    show_default=True,
    help="Where the same text of the same type gets the same number or fake value. A document is a whole text file, or "
    "a record, together with its neighbours if they have the same field document.",
)
@click.option("--locale", default="en_US", show_default=True, help="Language and country of fake values.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of fake values.")
@click.option(
    "--key-file", type=click.Path(path_type=Path), help="File with the key of hashes, at least 16 bytes of text."
)
@click.option("--key-variable", metavar="NAME", help="Environment variable with the key of hashes.")
@click.option(
    "--patterns",
    type=click.Path(path_type=Path),
    help="YAML file with regular expressions (patterns), texts to redact (deny) and texts to keep (allow).",
)
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Write what --restore needs to this file, which only you can read. It contains what was redacted.",
)
@click.option(
    "--restore",
    "restore_map",
    metavar="MAP",
    type=click.Path(path_type=Path),
    help="Restore the original from a redacted file, which is named in place of MODEL, and its map.",
)
@click.option(
    "--other-columns",
    type=click.Choice(["refuse", "keep", "redact"]),
    default="refuse",
    show_default=True,
    help="What to do with text in other columns of a record. redact: label all texts of a record together.",
)
@click.option("--keep-column", "kept", multiple=True, help="Column that stays as it is. Can be repeated.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the number of spans by type and source as JSON.")
@source_options(
    "drop",
    "leave it out",
    formats="text (one sentence per line), jsonl, csv or parquet",
    without=("data.sentence_column_name", "data.comment_prefix"),
)
@records_output_option
@click.option("--force", is_flag=True, help="Replace the output and the map, whether or not they are complete.")
@click.option("--resume", is_flag=True, help="Continue an output that was interrupted.")
@click.option(
    "--threshold",
    type=FiniteRange(0, 1),
    help="Do not redact spans of the model with a lower score. Thresholds that are stored with the model are then not "
    "used.",
)
@no_thresholds_option
@look_ahead_option
@data_set_option
@model_options
@logging_options
@click.pass_context
def redact_command(
    ctx: click.Context,
    model: str,
    source: str,
    output: Path | None,
    restore_map: Path | None,
    force: bool,
    resume: bool,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Replace the spans that MODEL finds in SOURCE (text, JSON lines, CSV or Parquet, or stdin).

    Everything else stays the same, byte for byte. A model misses spans: measure how many with tf-tokclf evaluate, and
    add patterns and texts that are always redacted with --patterns.

    \b
    tf-tokclf redact runs/mine letters.txt -o redacted.txt --map letters.map
    tf-tokclf redact --restore letters.map redacted.txt -o letters.txt
    cat letters.txt | tf-tokclf redact runs/mine --with mask
    """
    if restore_map is not None:
        _restore(ctx, model, source, restore_map, output, force=force)
        return
    _check_arguments(ctx, output, resume=resume)
    data = _checked_files(ctx, model, source, output, assignments, force=force or resume)
    redaction = _redaction(ctx.params)
    if output is not None and resume and _is_complete(output):
        log.info("%s is already complete", output)
        return
    from tf_tokclf.inference.prediction_spec import PredictionSpec
    from tf_tokclf.redacting.redact import redact
    from tf_tokclf.report.progress import RecordProgress
    from tf_tokclf.report.terminal import status

    spec = PredictionSpec(
        model,
        reading=data.model_dump(mode="json", exclude_unset=True),
        details={},
        loading={name: value for name, value in options.items() if name not in _OWN},
        word_splitting=options["word_splitting"],
        output_format=None,
        threshold=options["threshold"],
        look_ahead=options["look_ahead"],
        keep_errors=options["on_error"] == "drop",
    )
    spec.check_output(source, None)
    with status("loading the model"):
        tagger = spec.tagger()
    with RecordProgress() as progress:
        done = redact(spec, redaction, tagger, source, output, resume=resume, force=force, watcher=progress)
    _summarise(done, options["report"])
    _show_next(ctx)


def _show_next(ctx: click.Context) -> None:
    from tf_tokclf.report.next_steps import after_redact, show_next

    given = ctx.params
    arguments = arguments_without(ctx, "output", "map_path", "report", "force", "resume")
    show_next(after_redact(given["source"], arguments, given["output"], given["map_path"]))


def _is_complete(output: Path) -> bool:
    from tf_tokclf.inference.partial_output import is_whole

    return is_whole(output)


def _check_arguments(ctx: click.Context, output: Path | None, *, resume: bool) -> None:
    """Raise UsageError for arguments that do not fit each other."""
    given = ctx.params
    if resume and output is None:
        raise click.UsageError("--resume continues a file. Name the file with --output.")
    for name, way in _ONLY_FOR.items():
        is_default = ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT
        if given["way"] != way and not is_default:
            raise click.UsageError(f"--{name.replace('_', '-')} can only be used with --with {way}.")
    if given["way"] == "hash" and (given["key_file"] is None) == (given["key_variable"] is None):
        raise click.UsageError("--with hash needs a key: name its file (--key-file) or its variable (--key-variable).")
    if given["way"] in ("mask", "delete", "hash") and given["scope"] == "corpus":
        raise click.UsageError("--consistent can only be used with --with number and --with faker.")


def _checked_files(
    ctx: click.Context, model: str, source: str, output: Path | None, assignments: tuple[str, ...], *, force: bool
) -> DataConfig:
    """How to read SOURCE. Raises UserError if it does not exist, or if an output cannot be written."""
    from tf_tokclf.data.inputs import model_files, source_files
    from tf_tokclf.files import check_outputs
    from tf_tokclf.records.stream import check_source
    from tf_tokclf.redacting.restoration_map import PrivateFile

    check_source(source)
    data, _ = given_data(ctx, assignments)
    given = ctx.params
    settings = (path for path in (given["patterns"], given["key_file"]) if path is not None)
    check_is_file(output, resume=given["resume"])
    read = chain(source_files(source, data), model_files(model), settings)
    check_outputs([output, given["map_path"], given["report"]], read, force=force)
    if given["map_path"] is not None:
        PrivateFile(given["map_path"]).check()
    return data


def _redaction(given: Mapping[str, Any]) -> Redaction:
    from tf_tokclf.redacting.kept_records import OtherColumns
    from tf_tokclf.redacting.redact import Redaction
    from tf_tokclf.redacting.rules import Rules, read_rules

    patterns: Path | None = given["patterns"]
    redaction = Redaction(
        way=given["way"],
        scope=given["scope"],
        locale=given["locale"],
        seed=given["seed"],
        key=_key(given["key_file"], given["key_variable"]) if given["way"] == "hash" else None,
        rules=read_rules(patterns) if patterns else Rules(),
        others=OtherColumns(given["other_columns"], frozenset(given["kept"])),
        map_path=given["map_path"],
    )
    redaction.maker()  # before the model is loaded
    return redaction


def _key(file: Path | None, variable: str | None) -> bytes:
    if file is None:
        text = os.fsencode(os.environ.get(variable or "", ""))
        place = f"the environment variable {variable}"
    else:
        try:
            text, mode = file.read_bytes(), file.stat().st_mode
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}.", path=file, hint="Check the path.") from error
        if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
            log.warning("others can read the key in %s. Run chmod 600 on it", file)
        place = f"the file {file}"
    key = text.strip()
    if len(key) < _SHORTEST_KEY:
        hint = "Make one with: python -c 'import secrets; print(secrets.token_hex())'"
        raise UserError(f"{place} contains no key of at least {_SHORTEST_KEY} bytes.", hint=hint)
    return key


def _summarise(done: Redacted, report: Path | None) -> None:
    from tf_tokclf.files import write_json_output

    if report is not None:
        write_json_output(report, done.as_json())
    if done.without_fakes:
        log.warning("there are no fake values for %s, which got numbers", ", ".join(done.without_fakes))
    if done.n_left_out:
        log.warning("%s could not be read and were left out", counted(done.n_left_out, "record"))
    by_type: dict[str, int] = {}
    for (type_, _), n in sorted(done.counts.items()):
        by_type[type_] = by_type.get(type_, 0) + n
    shown = ", ".join(f"{n:,} {type_}" for type_, n in by_type.items())
    total = counted(sum(by_type.values()), "span")
    log.info("redacted %s in %s%s", total, counted(done.n_records, "record"), f" ({shown})" if shown else "")


def _restore(
    ctx: click.Context, redacted: str, source: str, map_path: Path, output: Path | None, *, force: bool
) -> None:
    """Write the original of the file `redacted`, which stands in the place of MODEL."""
    from tf_tokclf.files import check_output
    from tf_tokclf.redacting.restoration_map import restore

    if source != "-":
        raise click.UsageError("--restore takes one file: tf-tokclf redact --restore MAP REDACTED -o ORIGINAL")
    allowed = {"model", "output", "restore_map", "force"}
    for parameter in ctx.command.params:
        is_given = ctx.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if is_given and parameter.expose_value and parameter.name not in allowed:
            raise click.UsageError(f"{parameter.opts[-1]} cannot be used with --restore.")
    if not Path(redacted).is_file():
        raise UserError("there is no such file.", path=redacted, hint="Name the redacted file.")
    if output is not None:
        check_output(output, inputs=[Path(redacted), map_path], force=force)
    elif sys.stdout is None:
        raise UserError("standard output is closed.", hint="Name a file to write to with --output.")
    n_spans = restore(map_path, Path(redacted), output, sys.stdout.buffer if output is None else None)
    log.info("restored %s", counted(n_spans, "span"))
