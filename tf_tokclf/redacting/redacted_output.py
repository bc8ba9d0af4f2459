"""Write records without the spans that were found in them, and note how to restore them."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import Details, PredictedRecord
from tf_tokclf.records.parquet import EnrichedParquet
from tf_tokclf.redacting.cells import Edit
from tf_tokclf.redacting.found_spans import FoundSpan, merged
from tf_tokclf.redacting.kept_records import KeptParquet, KeptRecord, KeptRecords
from tf_tokclf.redacting.restoration_map import ByteEdit, PrivateFile, block_lines, end_line, head_line
from tf_tokclf.redacting.rules import Rules
from tf_tokclf.redacting.surrogates import Surrogates


def found_in(tagged: TaggedSentence, rules: Rules) -> list[FoundSpan]:
    """The spans of the model and of the rules in the text of a sentence, without those that are allowed."""
    text, offsets = text_of(tagged.sentence)
    spans = [FoundSpan(offsets[span.start][0], offsets[span.end - 1][1], span.type, "model") for span in tagged.spans]
    spans += rules.matches(text)
    return merged(span for span in spans if not rules.is_allowed(text[span.start : span.end]))


class Redactor:
    """Replaces spans in records. counts: the number of spans by type and source."""

    def __init__(self, rules: Rules, surrogates: Surrogates, encoding: str) -> None:
        self.surrogates = surrogates
        self.counts = Counter[tuple[str, str]]()
        self._rules = rules
        self._encoding = encoding

    def edits(self, record: KeptRecord, tagged: TaggedSentence) -> list[Edit]:
        """The edits of the raw text of a record, in order."""
        self.surrogates.enter(record.document)
        text, _ = text_of(tagged.sentence)
        spans = found_in(tagged, self._rules)
        replaced = []
        for span in spans:
            surrogate = self.surrogates.of(span.type, text[span.start : span.end])
            # A name of a type, or a fake value, may have characters that the encoding of the file lacks.
            surrogate = surrogate.encode(self._encoding, "replace").decode(self._encoding)
            replaced.append((span, surrogate))
            self.counts[span.type, span.source] += 1
        found = []
        for cell in record.cells:
            end = cell.begin + len(cell.value)
            changes = [
                Edit(max(span.start, cell.begin) - cell.begin, min(span.end, end) - cell.begin, surrogate)
                for span, surrogate in replaced
                if span.start < end and span.end > cell.begin
            ]
            found += cell.edits(changes)
        return found


class Notes:
    """The files beside a redacted output: the map, if there is one, and the surrogates of an unfinished job."""

    def __init__(self, redactor: Redactor, map_path: Path | None, names: Path | None, head: Mapping[str, Any]) -> None:
        self._redactor = redactor
        self._map = PrivateFile(map_path) if map_path else None
        self._names = PrivateFile(names, is_kept=False) if names else None
        self._head = head
        self._n_bytes = 0
        self._kept: KeptRecords | None = None

    def begin(self, noted: Mapping[str, Any] | None) -> None:
        """Start new files, or continue those of an interrupted job."""
        try:
            if self._map:
                self._map.begin(noted["map bytes"] if noted is not None else None)
            if self._names:
                self._names.begin(noted["names bytes"] if noted is not None else None)
            if noted is not None:
                self._n_bytes = noted["bytes"]
                self._redactor.counts.update({(type_, source): n for type_, source, n in noted["counts"]})
                self._redactor.surrogates.salt = bytes.fromhex(noted["salt"])
                if self._names:
                    self._redactor.surrogates.restore(self._names.lines())
        except (KeyError, TypeError, ValueError) as error:
            problem = "the state of the interrupted job cannot be read."
            raise UserError(problem, hint="Start again with --force.") from error
        if self._map and noted is None:
            self._map.write([self._head])

    def add(self, edits: Sequence[ByteEdit], redacted: bytes, original: bytes) -> None:
        """Note a block."""
        self._n_bytes += len(redacted)
        if self._map:
            self._map.write(block_lines(edits, redacted, original, self._head["encoding"]))
        entries = self._redactor.surrogates.taken_entries()
        if self._names:
            self._names.write(entries)

    def note(self) -> dict[str, Any]:
        """Make the files safe on the disk, and return their sizes and the counts."""
        return {
            "map bytes": self._map.safe_size() if self._map else 0,
            "names bytes": self._names.safe_size() if self._names else 0,
            "bytes": self._n_bytes,
            "salt": self._redactor.surrogates.salt.hex(),
            "counts": [[type_, source, n] for (type_, source), n in self._redactor.counts.items()],
        }

    def finish(self) -> None:
        """Complete the map."""
        if self._map:
            self._map.write([end_line(self._n_bytes)])
            self._map.finish()

    def close(self) -> None:
        """Close the files."""
        for file in (self._map, self._names):
            if file:
                file.close()

    def remove(self) -> None:
        """Remove the unfinished files."""
        for file in (self._map, self._names):
            if file:
                file.remove()


class _Block:
    """The raw text of records while they are edited."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._original: list[bytes] = []
        self._redacted: list[bytes] = []
        self.edits: list[ByteEdit] = []
        self._gap = 0

    def add(self, raw: str, edits: Sequence[Edit]) -> None:
        """Append a raw text with its edits."""
        at = 0
        for edit in edits:
            self._keep(raw[at : edit.start])
            before, new = self._bytes(raw[edit.start : edit.end]), self._bytes(edit.new)
            self.edits.append(ByteEdit(self._gap, len(new), before))
            self._original.append(before)
            self._redacted.append(new)
            self._gap, at = 0, edit.end
        self._keep(raw[at:])

    def _keep(self, text: str) -> None:
        data = self._bytes(text)
        self._original.append(data)
        self._redacted.append(data)
        self._gap += len(data)

    def _bytes(self, text: str) -> bytes:
        return text.encode(self._encoding, "surrogateescape")

    @property
    def original(self) -> bytes:
        return b"".join(self._original)

    @property
    def redacted(self) -> bytes:
        return b"".join(self._redacted)


class RedactedLines:
    """Records of lines without their spans. A record that could not be read is left out."""

    is_final = True

    def __init__(self, kept: KeptRecords, redactor: Redactor, notes: Notes, encoding: str, mark: bytes) -> None:
        self.head = mark
        self._kept = kept
        self._redactor = redactor
        self._notes = notes
        self._encoding = encoding

    @property
    def tail(self) -> bytes:
        """What follows the last record, such as blank lines."""
        data = self._kept.rest.encode(self._encoding, "surrogateescape")
        if data:
            self._notes.add([], data, data)
        return data

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """The bytes of the records."""
        block = _Block(self._encoding)
        for record, tagged in records:
            kept: KeptRecord = record.source
            if record.problem:
                block.add(kept.raw, [Edit(kept.before, len(kept.raw), "")])
            else:
                block.add(kept.raw, self._redactor.edits(kept, tagged))
        redacted = block.redacted
        self._notes.add(block.edits, redacted, block.original)
        return redacted

    def finish(self, source: Path, target: Path) -> None:
        """Rename the file that was written."""
        source.replace(target)


class RedactedParquet(EnrichedParquet):
    """Rows of Parquet without their spans. The map refers to the lines of JSON that stand for the rows."""

    def __init__(self, kept: KeptParquet, redactor: Redactor, notes: Notes) -> None:
        super().__init__(kept.inner, Details())
        self.schema = kept.inner.schema
        self._redactor = redactor
        self._notes = notes

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """An Arrow stream of the rows."""
        import pyarrow as pa

        block, rows = _Block("utf-8"), []
        for record, tagged in records:
            if record.problem:
                problem = "a row that cannot be read cannot be left out of Parquet."
                raise UserError(problem, path=record.origin.path, row=record.origin.number, hint="Remove it.")
            kept: KeptRecord = record.source
            one = _Block("utf-8")
            edits = self._redactor.edits(kept, tagged)
            one.add(kept.raw, edits)
            block.add(kept.raw, edits)
            rows.append({**kept.source, **json.loads(one.redacted)})
        self._notes.add(block.edits, block.redacted, block.original)
        buffer = io.BytesIO()
        with pa.ipc.new_stream(buffer, self.schema) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=self.schema))
        return buffer.getvalue()


def map_head(kept: KeptRecords, encoding: str, mark: bytes) -> dict[str, Any]:
    """The first line of the map."""
    columns = kept.columns if isinstance(kept, KeptParquet) else ()
    return head_line(kept.name, encoding, mark, columns)
