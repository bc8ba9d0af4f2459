"""Formats of installed packages: registered by entry points, used by every command, rejected if invalid."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.data.formats.documented import DOCS
from tf_tokclf.cli.main import cli
from tf_tokclf.data.formats.registry import all_formats, formats_by_name

Install = Callable[..., Path]


def example_package() -> str:
    """The package in docs/data.md."""
    section = DOCS.read_text(encoding="utf-8").partition("## Formats of your own")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install packages as pip does: a module, and a folder with its entry points."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: list[str] = []

    def _install(module: str, code: str, *, point: str = "arrows", version: str = "1.0") -> Path:
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[tf_tokclf.formats]\n{point} = {module}:FORMAT\n")
        modules.append(module)
        invalidate_caches()
        all_formats.cache_clear()
        return info

    all_formats.cache_clear()
    yield _install
    for module in modules:
        sys.modules.pop(module, None)
    all_formats.cache_clear()


def run(*words: object) -> Result:
    result = CliRunner().invoke(cli, list(map(str, words)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def arrows(install: Install, tmp_path: Path) -> Path:
    install("tokclf_arrows", example_package())
    path = tmp_path / "a.arrows"
    path.write_text("Ada>PER left\n\nOslo>LOC\n")
    return path


def test_the_example_of_the_documentation_is_read(arrows: Path):
    result = run("convert", arrows, "--to", "jsonl", "-")
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"]},
        {"tokens": ["Oslo"], "ner_tags": ["B-LOC"]},
    ]
    assert "arrows: types after >" in result.stderr


def test_it_is_written_by_the_suffix_of_its_name_too(arrows: Path, tmp_path: Path):
    for out, options in ((tmp_path / "b.arrows", ()), (tmp_path / "b", ("--to", "arrows"))):
        result = run("convert", *options, arrows, out)
        assert result.exit_code == 0, result.stderr
        assert out.read_text() == "Ada>PER left\nOslo>LOC\n"


def test_it_is_recognised_by_its_content(arrows: Path, tmp_path: Path):
    path = arrows.rename(tmp_path / "a.txt")
    (found,) = json.loads(run("inspect", path, "--json").stdout)["formats"]
    assert (found["format"], found["confidence"], found["reason"]) == (
        "arrows",
        "likely",
        "a word is followed by > and a type",
    )
    assert [one["format"] for one in found["others"]] == ["text"]


def test_a_folder_of_its_files_is_read(arrows: Path, tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    arrows.rename(folder / "a.arrows")
    (folder / "b.arrows").write_text("Bonn>LOC\n")
    (found,) = json.loads(run("inspect", folder, "--json").stdout)["splits"]
    assert found["n_sentences"] == 3


def test_its_errors_name_their_line_and_can_be_skipped(arrows: Path):
    arrows.write_text("Ada>PER\n>LOC\n")
    result = run("convert", arrows, "--to", "jsonl", "-")
    assert result.exit_code == 2
    assert "a.arrows, line 2: a word is empty. Write WORD>TYPE." in result.stderr
    result = run("convert", "--on-error", "skip", arrows, "--to", "jsonl", "-")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


def test_an_unknown_name_lists_the_formats_of_plug_ins(arrows: Path):
    result = run("inspect", arrows, "--format", "arrow")
    assert result.exit_code == 2
    assert "there is no format 'arrow'. Did you mean arrows?" in result.stderr
    assert "Plug-ins: arrows (tokclf_arrows 1.0)." in result.stderr


def test_another_version_reads_anew(install: Install, arrows: Path):
    assert json.loads(run("inspect", arrows, "--json").stdout)["splits"][0]["n_spans"] == 2
    (arrows.parent / "site" / "tokclf_arrows-1.0.dist-info").rename(arrows.parent / "old")
    sys.modules.pop("tokclf_arrows")
    install("tokclf_arrows", example_package().replace('f"B-{type}" if type else "O"', '"O"'), version="1.1")
    assert json.loads(run("inspect", arrows, "--json", "--scheme", "IOB2").stdout)["splits"][0]["n_spans"] == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import not_installed", "cannot be imported: ModuleNotFoundError: No module named 'not_installed'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("OTHER = 1", "cannot be imported: AttributeError"),
        ("FORMAT = 'arrows'", "is an object of type str, not a tf_tokclf.data.formats.Format"),
        ("{import_}FORMAT = Format('arrows', 'x')", "has neither a reader nor a writer"),
        ("{import_}FORMAT = Format('Two words', 'x')", "cannot be imported: ValueError: format names consist of"),
        ("{import_}FORMAT = Format('conll', 'x', open=print)", "defines the format 'conll', which is a built-in"),
        (
            "{import_}FORMAT = Format('x', 'x', open=print, suffixes=('.csv',))",
            "uses the suffix .csv, which belongs to",
        ),
        (
            "{import_}FORMAT = Format('x', 'x', open=print, usual_suffixes=('.txt',))",
            "uses the suffix .txt, which belongs",
        ),
    ],
)
def test_a_plug_in_that_is_wrong_is_named(install: Install, tmp_path: Path, code: str, said: str):
    install("broken_format", code.replace("{import_}", "from tf_tokclf.data.formats import Format\n"))
    path = tmp_path / "a.conll"
    path.write_text("Ada\tB-PER\n")
    result = run("inspect", path)
    assert result.exit_code == 2
    assert f"The plug-in 'arrows' (broken_format:FORMAT) of the package broken_format 1.0 {said}" in result.stderr
    assert "Correct, update or uninstall that package." in result.stderr


RECORDS = """
from tf_tokclf.data.formats import FileReader, Format, Kind, Origin, Sentence, certain

class Reader(FileReader):
    def sentences(self, problems):
        yield Sentence(("Ada",), ("B-PER",), Origin(str(self.path), 1))

def recognise(seen):
    return certain("its records have a field 'mine'", any("mine" in record for record in seen.records))

FORMAT = Format("mine", "my records", recognise, lambda path, data, task: Reader(path, data, ("mine",)), Kind.RECORDS)
"""


def test_a_format_of_json_records_is_recognised_before_the_suffix(install: Install, tmp_path: Path):
    install("my_records", RECORDS)
    path = tmp_path / "a.json"
    path.write_text('{"mine": 1}\n')
    (found,) = json.loads(run("inspect", path, "--json").stdout)["formats"]
    assert (found["format"], found["confidence"]) == ("mine", "certain")
    path.write_text('{"tokens": ["Ada"], "tags": ["B-PER"]}\n')
    (found,) = json.loads(run("inspect", path, "--json").stdout)["formats"]
    assert (found["format"], found["others"]) == ("jsonl", [])


def test_two_plug_ins_cannot_have_one_name(install: Install, arrows: Path):
    install("other_arrows", example_package(), point="other")
    result = run("inspect", arrows)
    assert result.exit_code == 2
    assert "defines the format 'arrows', which the package tokclf_arrows 1.0 also defines" in result.stderr


def test_without_plug_ins_there_are_the_built_in_formats_only():
    assert not [format.name for format in formats_by_name().values() if format.plug_in]
