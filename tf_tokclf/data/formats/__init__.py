"""Formats of labelled data, one module each: how it is recognised, its reader, and its writer where there is one.

Packages with formats of their own import what they need from here.
"""

from tf_tokclf.data.formats.format import Confidence, Format, Kind, Match, Seen, certain, likely, possible
from tf_tokclf.data.reading.base import FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.sentence import Origin, Sentence

__all__ = [
    "Confidence",
    "FileReader",
    "Format",
    "Kind",
    "Match",
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
