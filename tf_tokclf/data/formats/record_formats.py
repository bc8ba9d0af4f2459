"""The table of formats of JSON records, the likeliest first.

The table of all formats, `registry.py`, includes them. They have a table of their own because the readers of JSON, CSV
and Parquet, which that table names, choose among them.
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
    # Other formats have most of the fields of these, so they come last.
    spacy.FORMAT,
    prodigy.FORMAT,
    doccano.FORMAT,
    dataturks.FORMAT,
)
RECORD_FORMATS: Mapping[str, JsonFormat] = {format.name: format for format in _IN_ORDER}
