"""An output of a notebook that is updated in place. It needs no widgets and no scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, such as Jupyter's. It imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class UpdatedOutput:
    """One output below a cell. The first call of `show` creates it, and each later call replaces its content."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, *, text: str) -> None:
        """Show `html`, or `text` where a notebook is read as plain text."""
        display: Callable[..., Any] = import_module("IPython.display").display
        content = {"text/html": str(html), "text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
