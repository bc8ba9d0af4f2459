"""All formats of JSON records that have a name, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping

from tf_tokclf.data.readers.annotated import JsonFormat
from tf_tokclf.data.readers.dialects import TOOLS

JSON_FORMATS: Mapping[str, JsonFormat] = {format.name: format for format in TOOLS}
