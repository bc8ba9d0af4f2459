"""Predict a stream of records: one output record per input record, in order, in constant memory, resumable.

There are three threads: one reads and tokenises, one runs the forward pass, and one decodes and writes. TensorFlow and
the tokenizer release Python's global lock.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
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
    """Receives the progress of a job."""

    def show(self, progress: Progress, bytes_read: int | None, bytes_in_all: int | None) -> None:
        """Show the progress. Called at the start and after each block of records."""
        ...


class Beside(Protocol):
    """Files that a job writes beside its output, such as those that its format needs to continue."""

    def begin(self, noted: Mapping[str, Any] | None) -> None:
        """Start new files, or continue those of an interrupted job at the state that `note` returned."""
        ...

    def note(self) -> dict[str, Any]:
        """Make everything safe on the disk, and return the state as values of JSON."""
        ...

    def finish(self) -> None:
        """Give the files their final names. Called before the output gets its own."""
        ...

    def close(self) -> None:
        """Close the files, which stay as they are."""
        ...

    def remove(self) -> None:
        """Remove what only an unfinished output needs. Called at last, and if nothing was written."""
        ...


@dataclass(frozen=True)
class Block:
    """Records that were labelled together, and the number of bytes of the input that were read for them."""

    records: list[PredictedRecord]
    bytes_read: int | None


@dataclass(frozen=True)
class Shard:
    """One of `n_shards` parts of a source: a range of consecutive records (numbered from 0), which can be empty.

    number: the number of the shard, from 1. The concatenated outputs of all shards equal the output of a single job.
    """

    number: int
    n_shards: int
    records: range

    @property
    def is_first(self) -> bool:
        """Whether the shard writes the head of the format."""
        return self.number == 1

    @property
    def is_last(self) -> bool:
        """Whether the shard writes the tail of the format."""
        return self.number == self.n_shards

    @classmethod
    def all(cls, sentences: Iterable[Sentence], n_shards: int, *, look_ahead_words: int) -> list[Shard]:
        """Divide the `sentences` of a source into `n_shards` shards.

        Each shard starts at the start of a block. Its records are therefore in the same batches as in a job that labels
        the whole source, and get exactly the same scores.
        """
        starts = block_starts(sentences, look_ahead_words)
        n_runs = len(starts) - 1
        borders = [starts[n_runs * number // n_shards] for number in range(n_shards + 1)]
        return [cls(i + 1, n_shards, range(borders[i], borders[i + 1])) for i in range(n_shards)]


@dataclass(frozen=True)
class PredictionJob:
    """A job that labels a stream of records and writes them in a format.

    threshold: leave out spans with a lower score. review_from: mark those from this score on for review.
    look_ahead_words: number of words that are sorted by length and kept in memory at once. shard: the records to label;
    None for all. beside: other files that the job writes.
    """

    tagger: Tagger
    stream: RecordStream
    format: OutputFormat
    threshold: float | None = None
    review_from: float | None = None
    look_ahead_words: int | None = None
    shard: Shard | None = None
    watcher: Watcher | None = None
    beside: Beside | None = None

    def blocks(self, *, skip: int = 0) -> Iterator[Block]:
        """The records from number `skip` on with their predictions, in blocks that were labelled together.

        The borders of the blocks depend only on the records from `skip` on. A job that is resumed at the end of a block
        therefore has the same blocks, the same batches and exactly the same scores as an uninterrupted job.
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
            # The records after the end of a shard are the context of its last sentences.
            for i, record in enumerate(islice(records, None if n_left is None else n_before + n_left + context)):
                if i >= n_before:
                    waiting.append((record, counter.n_read if counter else None))
                yield record.sentence

        tagged_blocks = self.tagger.tag_blocks(
            sentences(), n_before=n_before, look_ahead_words=self.look_ahead_words, overlap=True
        )
        for block in tagged_blocks:
            if self.threshold is not None:
                block = [tagged.without_spans_below(self.threshold, review_from=self.review_from) for tagged in block]
            records, positions = zip(*(waiting.popleft() for _ in block))
            labelled = list(zip(records, block))[:n_left]
            n_left = None if n_left is None else n_left - len(labelled)
            if labelled:
                yield Block(labelled, positions[-1])

    @property
    def head(self) -> bytes:
        """The bytes before all records."""
        return self.format.head if self.shard is None or self.shard.is_first else b""

    @property
    def tail(self) -> bytes:
        """The bytes after all records."""
        return self.format.tail if self.shard is None or self.shard.is_last else b""

    def encoded(self, block: Block, before: Progress) -> bytes:
        """The bytes of a block of records, given the progress before it."""
        is_first = before.n_records == 0 and (self.shard is None or self.shard.records.start == 0)
        return self.format.block(block.records, is_first=is_first)

    def advance(self, progress: Progress, block: Block, n_bytes: int) -> Progress:
        """The progress after writing a block. It is passed to the watcher, and problems are logged."""
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
        """Pass the progress to the watcher."""
        if self.watcher:
            self.watcher.show(progress, bytes_read, self.stream.n_bytes)


def predict_to_stdout(job: PredictionJob) -> Progress:
    """Write the predictions to standard output, block by block."""
    _check_streamable(job)
    if sys.stdout is None:
        raise UserError("standard output is closed.", hint="Name a file to write to with --output.")
    out = sys.stdout.buffer
    return _write(job, PlainOutput(out) if sys.stdout.isatty() else out)


def predict_to_stream(job: PredictionJob, output: Path) -> Progress:
    """Write the predictions to a device or a pipe, block by block."""
    _check_streamable(job)
    with open_output(output, "wb") as file, compressing(file, output) as stream:
        return _write(job, stream)


def _check_streamable(job: PredictionJob) -> None:
    """Raise UserError if the format can be written only to a file."""
    if not job.format.is_final:
        raise UserError("Parquet can be written only to a file.", hint="Name a file with --output.")


def _write(job: PredictionJob, out: PlainOutput | IO[bytes]) -> Progress:
    if job.beside is None:
        return _write_all(job, out)
    try:
        job.beside.begin(None)
        progress = _write_all(job, out)
        job.beside.finish()
    finally:
        job.beside.remove()
    return progress


def _write_all(job: PredictionJob, out: PlainOutput | IO[bytes]) -> Progress:
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
    """Write the predictions to a file that appears when it is complete.

    Until then, OUTPUT.partial contains complete blocks of records, and OUTPUT.journal contains the progress.
    resume: continue from there; the file is then identical, byte for byte, to that of an uninterrupted job.
    identity: what must be equal to resume a job (model, input, options).
    """
    unfinished = UnfinishedOutput(output)
    compress = compressor(output if job.format.is_final else None)
    if resume and output.exists() and not unfinished.exists():
        log.info("%s is already complete", output)
        return Progress()
    if resume:
        progress = unfinished.progress(identity or {})
    elif unfinished.exists() and not force:
        raise UserError(
            "there is an unfinished output of an interrupted job.",
            path=output,
            hint="Continue the job with --resume, or start again with --force.",
        )
    else:
        progress = Progress()
    if progress.n_records:
        log.info("continuing after %s", counted(progress.n_records, "record"))
    job.show(progress)
    with unfinished.open(progress.n_bytes) as file:
        try:
            if job.beside:
                job.beside.begin(unfinished.noted_beside() if progress.n_records else None)
            if not progress.n_bytes:
                head = compress(job.head)
                file.write(head)
                progress = Progress(n_bytes=len(head))
            for block in job.blocks(skip=progress.n_records):
                encoded = compress(job.encoded(block, progress))
                file.write(encoded)
                progress = job.advance(progress, block, len(encoded))
                unfinished.note(file, progress, identity or {}, job.beside.note() if job.beside else {})
            file.write(compress(job.tail))
            flush(file)
        except BaseException:
            if job.beside:
                job.beside.close()
            if not progress.n_records:
                _remove(job, unfinished)
            raise
    if job.beside:
        job.beside.finish()
    _finish(job, unfinished.partial, output)
    _remove(job, unfinished)
    return progress


def _remove(job: PredictionJob, unfinished: UnfinishedOutput) -> None:
    """Remove what only an unfinished output needs."""
    unfinished.remove()
    if job.beside:
        job.beside.remove()


def _finish(job: PredictionJob, partial: Path, output: Path) -> None:
    """Rename or convert the file that was written to the final output."""
    if job.format.is_final and output.suffix.lower() == ".zip":
        compress_file(partial, output)
    elif not job.format.is_final and name_without_compression(output) != output:
        with tempfile.TemporaryDirectory(dir=output.parent, ignore_cleanup_errors=True) as folder:
            plain = Path(folder) / "plain"
            job.format.finish(partial, plain)
            compress_file(plain, output)
    else:
        job.format.finish(partial, output)
