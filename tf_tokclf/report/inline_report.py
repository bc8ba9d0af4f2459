"""The report of a run within a notebook."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tf_tokclf.errors import UserError
from tf_tokclf.report.page_environment import page_environment


@dataclass(frozen=True)
class InlineReport(os.PathLike[str]):
    """The `report.html` of a run. Notebooks show it inline.

    Attributes:
        path: The file.
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        """The page in a frame that runs no scripts and cannot reach the notebook."""
        try:
            page = self.path.read_text(encoding="utf-8")
        except OSError as error:
            hint = "Write it with `tf-tokclf report RUN --output FILE`."
            raise UserError(f"cannot be read: {error.strerror}.", path=self.path, hint=hint) from error
        return Markup(page_environment().get_template("inline_report.html.jinja").render(path=self.path, page=page))
