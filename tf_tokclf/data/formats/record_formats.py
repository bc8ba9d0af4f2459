"""All formats of JSON records, in the order in which they are tried.

They are also part of the list in `registry.py`. This separate list avoids an import cycle: the readers of JSON, CSV and
Parquet choose among the formats of records.
"""

from __future__ import annotations

from collections.abc import Mapping

from tf_tokclf.data.formats import (
    argilla,
    bigbio,
    bioc,
    cluener,
    dataturks,
    dialogflow,
    doccano,
    dygie,
    gliner,
    ground_truth,
    label_studio,
    luis,
    massive,
    prodigy,
    rasa,
    snips,
    spacy,
    spacy_v2,
    spert,
    w2ner,
)
from tf_tokclf.data.reading.annotated import JsonFormat

_IN_ORDER = (
    label_studio.FORMAT,
    argilla.FORMAT,
    rasa.FORMAT,
    luis.FORMAT,
    cluener.FORMAT,
    bioc.FORMAT,
    bigbio.FORMAT,
    massive.FORMAT,
    gliner.FORMAT,
    spert.FORMAT,
    dygie.FORMAT,
    w2ner.FORMAT,
    spacy_v2.FORMAT,
    ground_truth.FORMAT,
    dialogflow.FORMAT,
    snips.FORMAT,
    # Other formats include most fields of these, so they come last.
    spacy.FORMAT,
    prodigy.FORMAT,
    doccano.FORMAT,
    dataturks.FORMAT,
)
RECORD_FORMATS: Mapping[str, JsonFormat] = {format.name: format for format in _IN_ORDER}
