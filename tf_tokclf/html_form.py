"""The base class of results that notebooks show as HTML.

Results are defined below the code that renders them (see the layers in setup.cfg). So the renderer is imported by name,
and only when a notebook asks for the form.
"""

from __future__ import annotations

from importlib import import_module


class HtmlForm:
    """A result that notebooks show as HTML. `tf_tokclf.report.html_forms` renders it."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The HTML, in which all text is escaped. Jupyter and other notebooks call this method."""
        html: str = import_module("tf_tokclf.report.html_forms").html_form(self)
        return html
