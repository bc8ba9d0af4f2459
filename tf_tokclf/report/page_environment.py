"""The Jinja environment of the HTML pages. All values in them are escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tf_tokclf.counted import counted
from tf_tokclf.report.marking import visible
from tf_tokclf.report.table_formats import percent

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment() -> Environment:
    """An environment with the templates and filters of the pages."""
    # Prediction imports this module, and needs no pages.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tf_tokclf.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, count=lambda n: f"{n:,}", counted=counted, plain=visible)
    return environment


def _percent(share: float | None) -> str:
    return "" if share is None else percent(share)
