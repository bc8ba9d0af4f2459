"""The documentation as a site: it builds, and its pages need no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import need_modules
from tf_tokclf.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
# What a browser loads by itself, unlike the target of a link that is clicked.
LOADED = re.compile(
    r"""<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=["']?(https?:[^"'\s>]+)"""
    r"""|url\(["']?(https?:[^"')]+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in strict mode. Without --quiet, which hides the warnings that strict mode counts."""
    need_modules("mkdocs", "material", "mkdocstrings_handlers.python", extra="docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_each_command_has_a_page(site: Path):
    pages = [site / "reference" / "commands" / name / "index.html" for name in COMMANDS]
    assert [page for page in pages if not page.is_file()] == []


def test_pages_load_nothing_from_other_hosts(site: Path):
    files = [path for suffix in ("html", "css") for path in site.rglob(f"*.{suffix}")]
    loaded = {(path.name, *found) for path in files for found in LOADED.findall(path.read_text(encoding="utf-8"))}
    assert loaded == set()


def test_pictures_have_a_text_in_their_place(site: Path):
    images = [
        (page.parent.name, image)
        for page in site.rglob("*.html")
        for image in re.findall(r"<img\b[^>]*>", page.read_text(encoding="utf-8"))
    ]
    assert images
    assert [image for image in images if not re.search(r'alt="[^"]', image[1])] == []
