"""Redact a stream of records: predict, and write the records without the spans that were found."""

from __future__ import annotations

import codecs
import hashlib
import hmac
import logging
import secrets
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import name_without_compression
from tf_tokclf.data.formats.registry import format_of_suffix
from tf_tokclf.errors import UserError
from tf_tokclf.files import is_stream
from tf_tokclf.inference.prediction_job import (
    PredictionJob,
    Watcher,
    predict_to_file,
    predict_to_stdout,
    predict_to_stream,
)
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.records.base import OutputFormat
from tf_tokclf.records.stream import RecordStream
from tf_tokclf.redacting.kept_records import KeptParquet, KeptRecords, OtherColumns, keep_records
from tf_tokclf.redacting.redacted_output import Notes, RedactedLines, RedactedParquet, Redactor, map_head
from tf_tokclf.redacting.rules import Rules
from tf_tokclf.redacting.surrogates import FakeNames, KeyedHash, Maker, Surrogates, mask, nothing, numbered

log = logging.getLogger(__name__)

_HIDDEN = "it cannot be read. The line is not shown, because it may contain what has to be redacted."


@dataclass(frozen=True)
class Redaction:
    """What is redacted, and how.

    way, scope: one of `WAYS` and of `SCOPES`. locale, seed: for fake values. key: for hashes. map_path: where the map
    is written, if at all.
    """

    way: str = "number"
    scope: str = "document"
    locale: str = "en_US"
    seed: int = 0
    key: bytes | None = None
    rules: Rules = field(default_factory=Rules)
    others: OtherColumns = field(default_factory=OtherColumns)
    map_path: Path | None = None

    @property
    def has_numbers(self) -> bool:
        """Whether surrogates depend on those before them."""
        return self.way in ("number", "faker")

    def maker(self) -> Maker:
        """What makes surrogates. Raises UserError if it cannot."""
        if self.way == "faker":
            return FakeNames(self.locale, self.seed)
        if self.way == "hash":
            assert self.key is not None  # the command checked it
            return KeyedHash(self.key)
        return {"mask": mask, "delete": nothing, "number": numbered}[self.way]

    def identity(self) -> dict[str, Any]:
        """What must be equal to resume a job. The key is not in it, only a hash that depends on it."""
        key = self.key and hmac.new(self.key, b"identity", hashlib.sha256).hexdigest()[:16]
        return {
            "--with": self.way,
            "--consistent": self.scope,
            "--locale and --seed": [self.locale, self.seed] if self.way == "faker" else None,
            "key": key,
            "--patterns": self.rules.sha256,
            "other columns": [self.others.policy, *sorted(self.others.kept)],
            "--map": self.map_path is not None,
        }


@dataclass(frozen=True)
class Redacted:
    """What was redacted. counts: type and source -> number of spans. without_fakes: types without fake values."""

    n_records: int
    n_left_out: int
    counts: dict[tuple[str, str], int]
    without_fakes: tuple[str, ...]
    way: str

    def as_json(self) -> dict[str, Any]:
        """The content of the report."""
        by_type: dict[str, dict[str, int]] = {}
        for (type_, source), n in sorted(self.counts.items()):
            by_type.setdefault(type_, {})[source] = n
        return {
            "records": self.n_records,
            "records_left_out": self.n_left_out,
            "with": self.way,
            "spans": sum(self.counts.values()),
            "spans_by_type": by_type,
            "types_without_fake_values": list(self.without_fakes),
        }


def open_source(spec: PredictionSpec, tagger: Tagger, source: str) -> RecordStream:
    """The records of `source`. Messages do not show their content."""
    try:
        return spec.open(tagger, source)
    except UserError as error:
        if error.line is None and error.row is None:
            raise
        hint = "Check the format and its columns (--format, --text-column-name, --encoding)."
        raise UserError(_HIDDEN, path=error.path, line=error.line, row=error.row, hint=hint) from None


def check_suffix(output: Path, format: str) -> None:
    """Raise UserError if the name of the output tells another format than that of the input."""
    told = format_of_suffix(name_without_compression(output).suffix.lower())
    if told and told != format:
        problem = f"the suffix of {output.name!r} means the format {told}, but the input is {format}."
        raise UserError(problem, hint="Redacted files have the format of their input.")


def redact(
    spec: PredictionSpec,
    redaction: Redaction,
    tagger: Tagger,
    source: str,
    output: Path | None,
    *,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
) -> Redacted:
    """Write `source` without the spans that the model and the rules find. output: None for standard output."""
    if tagger.labels.scheme is Scheme.NONE or tagger.labels.outside is None:
        raise UserError("the model's labels form no spans, so there is nothing to redact.", hint="Use another model.")
    make = redaction.maker()
    stream = open_source(spec, tagger, source)
    with closing(stream):
        is_column_named = spec.reading.get("text_column_name") is not None
        kept = keep_records(stream, redaction.others, is_column_named=is_column_named)
        if output and not is_stream(output):
            check_suffix(output, kept.name)
        log.info("%s", stream)
        encoding = "utf-8" if isinstance(kept, KeptParquet) else _encoding(kept.inner.data.encoding, source)
        surrogates = Surrogates(make, scope=redaction.scope, salt=secrets.token_bytes(16))
        redactor = Redactor(redaction.rules, surrogates, encoding)
        head = map_head(kept, encoding, stream.mark)
        notes = Notes(redactor, redaction.map_path, _names_file(output) if redaction.has_numbers else None, head)
        job = PredictionJob(
            tagger,
            stream,
            _format(kept, redactor, notes, encoding, stream.mark),
            threshold=spec.threshold,
            look_ahead_words=spec.look_ahead,
            watcher=watcher,
            beside=notes,
        )
        if output is None:
            done = predict_to_stdout(job)
        elif is_stream(output):
            done = predict_to_stream(job, output)
        else:
            identity = {**spec.identity(tagger, stream, "redacted"), **redaction.identity()}
            done = predict_to_file(job, output, resume=resume, force=force, identity=identity)
    without = tuple(sorted(make.without)) if isinstance(make, FakeNames) else ()
    return Redacted(done.n_records, done.n_problems, dict(redactor.counts), without, redaction.way)


def _names_file(output: Path | None) -> Path | None:
    """The file with the surrogates of an unfinished job, if it can be continued."""
    return output.with_name(f"{output.name}.names") if output and not is_stream(output) else None


def _format(kept: KeptRecords, redactor: Redactor, notes: Notes, encoding: str, mark: bytes) -> OutputFormat:
    if isinstance(kept, KeptParquet):
        return RedactedParquet(kept, redactor, notes)
    return RedactedLines(kept, redactor, notes, encoding, mark)


def _encoding(name: str, source: str) -> str:
    """The encoding of the output, in which all bytes of the input are written again as they were."""
    codec = codecs.lookup(name).name
    if codec in ("utf-8", "utf-8-sig", "ascii"):
        return "utf-8"
    if not _is_one_byte(codec):
        problem = f"files in {name} cannot be redacted."
        raise UserError(problem, path=source, hint="Convert the file to UTF-8 first, for example with iconv.")
    return codec


def _is_one_byte(codec: str) -> bool:
    """Whether each byte is a character of its own, and is written as the same byte again."""
    for number in range(256):
        byte = bytes([number])
        try:
            text = byte.decode(codec, "surrogateescape")
            if len(text) != 1 or text.encode(codec, "surrogateescape") != byte:
                return False
        except UnicodeError:
            return False
    return True
