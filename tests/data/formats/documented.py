"""The entries of formats in docs/data.md and their examples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from tf_tokclf.cli.main import cli
from tf_tokclf.data.formats.registry import BUILT_IN

DOCS = Path(__file__).parents[3] / "docs" / "data.md"


def entries() -> dict[str, str]:
    """The entries of formats in docs/data.md."""
    page = re.sub(r"^## The cache.*", "", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    sections = re.split(r"^(?:#### `([\w-]+)`|#{2,3} .*)$", page, flags=re.MULTILINE)[1:]
    return {name: text for name, text in zip(sections[::2], sections[1::2]) if name}


ENTRIES = entries()


FORMATS = {format.name: format for format in BUILT_IN}


# A block is an example file, one of several files, or a command that converts the example of `conll`.
_BLOCK = re.compile(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def example(format: str, folder: Path) -> Path:
    """Write the example of a format into a folder, as shown in its entry."""
    found = _BLOCK.findall(ENTRIES[format])
    for name, language, content in found:
        if language != "bash":
            (folder / (name or f"example.{language}")).write_text(content.replace("<TAB>", "\t"), encoding="utf-8")
            continue
        source = example("conll", folder)
        *command, out = shlex.split(content)
        words = [str(source) if word == source.name else word for word in command[1:]]
        result = CliRunner().invoke(cli, [*words, str(folder / "out" / out)])
        assert result.exit_code == 0, result.stderr
        return folder / "out" / out
    if format == "comprehend":
        return folder / "annotations.csv"
    return folder if len(found) > 1 else folder / f"example.{found[0][1]}"
