"""Predict as a stream: records in, records out, in order, in memory that does not grow; broken off, it
goes on.

Reading and tokenising, the forward pass, and decoding and writing each have a thread; TensorFlow and the
tokenizer work outside of Python's lock.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

from tf_tokclf.compressed import compress_file, compressing, compressor, name_without_compression
from tf_tokclf.control_characters import PlainOutput
from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_output
from tf_tokclf.inference.look_ahead import block_starts
from tf_tokclf.inference.partial_output import Progress, UnfinishedOutput, flush
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.records.base import OutputFormat, PredictedRecord, Record
from tf_tokclf.records.stream import RecordStream

log = logging.getLogger(__name__)

_LISTED_PROBLEMS = 5


class Watcher(Protocol):
    """Whom progress is shown to."""

    def show(self, progress: Progress, bytes_read: int | None, bytes_in_all: int | None) -> None:
        """Called at the start and after each block of records."""
        ...


@dataclass(frozen=True)
class Block:
    """Records that went through the model together, and how many bytes of the input were read for them."""

    records: list[PredictedRecord]
    bytes_read: int | None


@dataclass(frozen=True)
class Shard:
    """One of `n_shards` parts of a source: neighbouring records by number (from 0), none or all of them perhaps.

    number: which shard, from 1. What all of them write, in order, is what one job writes.
    """

    number: int
    n_shards: int
    records: range

    @property
    def is_first(self) -> bool:
        """Whether it writes what stands before all records."""
        return self.number == 1

    @property
    def is_last(self) -> bool:
        """Whether it writes what stands behind all records."""
        return self.number == self.n_shards

    @classmethod
    def all(cls, sentences: Iterable[Sentence], n_shards: int, *, look_ahead_words: int) -> list[Shard]:
        """The `n_shards` shards of all the `sentences` of a source.

        Each begins where a block begins, so that its records go through the model in the same batches as in a job that
        labels all, and get the same scores to the last bit.
        """
        starts = block_starts(sentences, look_ahead_words)
        n_runs = len(starts) - 1
        borders = [starts[n_runs * number // n_shards] for number in range(n_shards + 1)]
        return [cls(i + 1, n_shards, range(borders[i], borders[i + 1])) for i in range(n_shards)]


@dataclass(frozen=True)
class PredictionJob:
    """A job: a classifier over a stream of records into a format.

    threshold: spans whose score is below are left out. look_ahead_words: so many words are sorted by length
    and kept in memory at once. shard: the records to label; None: all.
    """

    tagger: Tagger
    stream: RecordStream
    format: OutputFormat
    threshold: float | None = None
    look_ahead_words: int | None = None
    shard: Shard | None = None
    watcher: Watcher | None = None

    def blocks(self, *, skip: int = 0) -> Iterator[Block]:
        """The records from number `skip` on with their predictions, in lists as they went through the model.

        Where lists end depends on the records from `skip` on alone: a job that goes on from the end of a list
        makes the same lists, hence the same batches and the same scores to the last bit, as one that was
        never broken off.
        """
        context = self.tagger.info.reading.context_sentences
        n_left = None if self.shard is None else len(self.shard.records) - skip
        if n_left == 0:
            return
        skip += self.shard.records.start if self.shard else 0
        n_before = min(skip, context)
        waiting: deque[tuple[Record, int | None]] = deque()

        def sentences() -> Iterator[Sentence]:
            counter = self.stream.counter
            records = self.stream.records(skip=skip, before=n_before)
            # Behind a shard's end come the neighbours that its last sentences see.
            for i, record in enumerate(islice(records, None if n_left is None else n_before + n_left + context)):
                if i >= n_before:
                    waiting.append((record, counter.n_read if counter else None))
                yield record.sentence

        tagged_blocks = self.tagger.tag_blocks(
            sentences(), n_before=n_before, look_ahead_words=self.look_ahead_words, overlap=True
        )
        for block in tagged_blocks:
            if self.threshold is not None:
                block = [tagged.without_spans_below(self.threshold) for tagged in block]
            records, positions = zip(*(waiting.popleft() for _ in block))
            labelled = list(zip(records, block))[:n_left]
            n_left = None if n_left is None else n_left - len(labelled)
            if labelled:
                yield Block(labelled, positions[-1])

    @property
    def head(self) -> bytes:
        """What stands before all records."""
        return self.format.head if self.shard is None or self.shard.is_first else b""

    @property
    def tail(self) -> bytes:
        """What stands behind all records."""
        return self.format.tail if self.shard is None or self.shard.is_last else b""

    def encoded(self, block: Block, before: Progress) -> bytes:
        """The bytes of a block of records, behind what is written already."""
        is_first = before.n_records == 0 and (self.shard is None or self.shard.records.start == 0)
        return self.format.block(block.records, is_first=is_first)

    def advance(self, progress: Progress, block: Block, n_bytes: int) -> Progress:
        """The progress after a block of records was written, shown to the watcher and its problems to the log."""
        problems = [record for record, _ in block.records if record.problem]
        for record in problems[: max(_LISTED_PROBLEMS - progress.n_problems, 0)]:
            log.warning("%s: %s", record.origin, record.problem)
        after = Progress(
            progress.n_records + len(block.records),
            progress.n_words + sum(len(tagged.sentence) for _, tagged in block.records),
            progress.n_bytes + n_bytes,
            progress.n_problems + len(problems),
        )
        self.show(after, block.bytes_read)
        return after

    def show(self, progress: Progress, bytes_read: int | None = None) -> None:
        """Tell the watcher."""
        if self.watcher:
            self.watcher.show(progress, bytes_read, self.stream.n_bytes)


def predict_to_stdout(job: PredictionJob) -> Progress:
    """Write the predictions to standard output as they come."""
    _check_streamable(job)
    if sys.stdout is None:
        raise UserError("standard output is closed.", hint="Name a file to write to with --output.")
    out = sys.stdout.buffer
    return _write(job, PlainOutput(out) if sys.stdout.isatty() else out)


def predict_to_stream(job: PredictionJob, output: Path) -> Progress:
    """Write the predictions into a device or a pipe as they come."""
    _check_streamable(job)
    with open_output(output, "wb") as file, compressing(file, output) as stream:
        return _write(job, stream)


def _check_streamable(job: PredictionJob) -> None:
    """Raise UserError where the format is complete in a file only."""
    if not job.format.is_final:
        raise UserError("Parquet is no stream.", hint="Name a file to write to with --output.")


def _write(job: PredictionJob, out: PlainOutput | IO[bytes]) -> Progress:
    out.write(job.head)
    progress = Progress()
    job.show(progress)
    for block in job.blocks():
        encoded = job.encoded(block, progress)
        out.write(encoded)
        out.flush()
        progress = job.advance(progress, block, len(encoded))
    out.write(job.tail)
    out.flush()
    return progress


def predict_to_file(
    job: PredictionJob,
    output: Path,
    *,
    resume: bool = False,
    force: bool = False,
    identity: dict[str, Any] | None = None,
) -> Progress:
    """Write the predictions to a file that appears when it is whole.

    Until then they are in OUTPUT.partial, whole blocks of records, and OUTPUT.journal says how far that is.
    resume: go on from there; the file is then the same, byte for byte, as if nothing had happened. identity:
    what must be the same for that (model, input, options); it is compared.
    """
    unfinished = UnfinishedOutput(output)
    compress = compressor(output if job.format.is_final else None)
    if resume and output.exists() and not unfinished.exists():
        log.info("%s is whole already", output)
        return Progress()
    if resume:
        progress = unfinished.progress(identity or {})
    elif unfinished.exists() and not force:
        raise UserError(
            "an output that was broken off lies beside it.",
            path=output,
            hint="Go on from there with --resume, or begin anew with --force.",
        )
    else:
        progress = Progress()
    if progress.n_records:
        log.info("going on after %s", counted(progress.n_records, "record"))
    job.show(progress)
    with unfinished.open(progress.n_bytes) as file:
        try:
            if not progress.n_bytes:
                head = compress(job.head)
                file.write(head)
                progress = Progress(n_bytes=len(head))
            for block in job.blocks(skip=progress.n_records):
                encoded = compress(job.encoded(block, progress))
                file.write(encoded)
                progress = job.advance(progress, block, len(encoded))
                unfinished.note(file, progress, identity or {})
            file.write(compress(job.tail))
            flush(file)
        except BaseException:
            if not progress.n_records:
                unfinished.remove()
            raise
    _finish(job, unfinished.partial, output)
    unfinished.remove()
    return progress


def _finish(job: PredictionJob, partial: Path, output: Path) -> None:
    """Make the output of what was written, where that is not the output yet."""
    if job.format.is_final and output.suffix.lower() == ".zip":
        compress_file(partial, output)
    elif not job.format.is_final and name_without_compression(output) != output:
        with tempfile.TemporaryDirectory(dir=output.parent, ignore_cleanup_errors=True) as folder:
            plain = Path(folder) / "plain"
            job.format.finish(partial, plain)
            compress_file(plain, output)
    else:
        job.format.finish(partial, output)
