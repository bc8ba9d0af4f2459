"""What is made from the code is current."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_reference_pages_and_the_json_schema_are_current():
    references = runpy.run_path(str(ROOT / "scripts" / "make_reference"))["references"]()
    stale = [
        str(path.relative_to(ROOT)) for path, text in references.items() if path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run scripts/make_reference"
