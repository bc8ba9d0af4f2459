"""Predictions in the import format of Label Studio."""

from __future__ import annotations

from collections.abc import Sequence

from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import Details, Lines, PredictedRecord, Record, encoded
from tf_tokclf.records.prediction_fields import span_records


class LabelStudio(Lines):
    """One JSON list of tasks with predictions, to import into Label Studio and correct there."""

    head = b"[\n"
    tail = b"\n]\n"

    def __init__(self, details: Details) -> None:
        self._details = details
        super().__init__(self._task)

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """The tasks, separated by commas."""
        tasks = ",\n".join(self._task(record, tagged) for record, tagged in records)
        return encoded(tasks if is_first or not records else f",\n{tasks}")

    def _task(self, record: Record, tagged: TaggedSentence) -> str:
        text, _ = text_of(tagged.sentence)
        spans = span_records(tagged, self._details)
        result = [
            {
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
                "score": span["score"],
                "value": {"start": span["start"], "end": span["end"], "text": span["text"], "labels": [span["type"]]},
                # Label Studio shows this note beside the region.
                **({"meta": {"text": ["review"]}} if span.get("review") else {}),
            }
            for span in spans
        ]
        prediction = {"model_version": self._details.model_name, "result": result}
        if record.selection is not None and "uncertainty" in record.selection:
            # Its uncertainty sampling shows the tasks with the lowest scores first.
            prediction["score"] = round(1 - record.selection["uncertainty"], 6)
        unit = self._details.offset_unit
        meta = {**({} if unit == "codepoint" else {"offset_unit": unit}), **(record.selection or {})}
        task = {"data": {"text": text}, "predictions": [prediction], **({"meta": meta} if meta else {})}
        return json_line(task).rstrip("\n")
