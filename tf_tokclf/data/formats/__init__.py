"""Formats of labelled data. Each module defines how a format is recognised and read, and in some cases written.

Plug-ins with additional formats import what they need from here.
"""

from tf_tokclf.data.formats.format import Confidence, Format, Kind, Match, Numbered, Seen, certain, likely, possible
from tf_tokclf.data.reading.base import FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.sentence import Origin, Sentence

__all__ = [
    "Confidence",
    "FileReader",
    "Format",
    "Kind",
    "Match",
    "Numbered",
    "Origin",
    "Problems",
    "Seen",
    "Sentence",
    "Writing",
    "certain",
    "likely",
    "possible",
    "read_lines",
    "undecoded",
]
