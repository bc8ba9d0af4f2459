"""tf-tokclf cache: what it shows and what it removes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.data.cached import load, set_last_use, tables, write_conll
from tf_tokclf.cli.main import cli
from tf_tokclf.data.cache import cache_folder, entries_in


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_show_says_where_how_much_and_of_what(
    tmp_path: Path, tiny_bert: Path, conll_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", "300 MB")
    files = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    run(
        "fit",
        *files,
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        f"--output-dir={tmp_path / 'run'}",
        "--dry-run",
    )
    shown = run("cache", "show")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["folder", str(cache_folder())] in lines or str(cache_folder()) in "".join(shown.stdout.split())
    assert ["limit", "300.0", "MB"] in lines
    assert ["kind", "entries", "in", "use", "size", "last", "used"] in lines
    assert {line[0]: line[1] for line in lines if line and line[0] in ("sentences", "windows")} == {
        "sentences": "3",
        "windows": "1",
    }
    each = run("cache", "show", "--entries").stdout
    assert "train.conll" in "".join(each.split())
    as_json = json.loads(run("cache", "show", "--json").stdout)
    assert as_json["limit_bytes"] == 300_000_000
    sizes = sum(path.stat().st_size for path in cache_folder().rglob("*") if path.suffix in (".arrow", ".json"))
    assert as_json["size_bytes"] == sizes == sum(one["size_bytes"] for one in as_json["entries"])


def test_an_empty_cache_and_none_at_all_are_shown_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in (cache_folder(), tmp_path / "nothing"):
        monkeypatch.setenv("TF_TOKCLF_CACHE", str(folder))
        assert "0 bytes in 0 entries" in run("cache", "show").stdout
        assert run("cache", "clear").stderr == "Removed 0 entries (0 bytes).\n"
    assert not (tmp_path / "nothing").exists()


def test_clear_takes_what_was_not_used_for_so_many_days(tmp_path: Path):
    for name, days in (("a", 40), ("b", 20)):
        load(write_conll(tmp_path / f"{name}.conll"))
        for entry in entries_in(cache_folder()):
            if Path(entry.source).stem == name:
                set_last_use(entry.files[0], days)
    tried = run("cache", "clear", "--older-than", "30", "--dry-run")
    assert tried.stderr.startswith("Would remove 1 entry (")
    assert len(tables()) == 2
    done = run("cache", "clear", "--older_than", "30")
    assert done.stderr == tried.stderr.replace("Would remove", "Removed")
    assert [Path(entry.source).stem for entry in entries_in(cache_folder())] == ["b"]


def test_clear_removes_nothing_that_is_not_of_the_cache(tmp_path: Path):
    load(write_conll(tmp_path / "a.conll"))
    theirs = [cache_folder() / name for name in ("mine.txt", "splits/mine.arrow", "windows/x.json")]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("years of work")
    assert run("cache", "clear").exit_code == 0
    assert tables() == [theirs[1]]
    assert all(path.read_text() == "years of work" for path in theirs)


@pytest.mark.parametrize("suffix", [".arrow", ".json"])
def test_a_folder_in_the_place_of_a_file_is_cleared(suffix: str, tmp_path: Path):
    path = write_conll(tmp_path / "a.conll")
    load(path)
    (table,) = tables()
    table.with_suffix(suffix).unlink()
    table.with_suffix(suffix).mkdir()
    assert run("cache", "clear").exit_code == 0
    assert tables() == []
    load(path)


def test_a_folder_that_is_a_file_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / "cache"
    place.write_text("", encoding="utf-8")
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(place))
    path = write_conll(tmp_path / "a.conll")
    for args in (("cache", "show"), ("cache", "clear"), ("convert", path, tmp_path / "out.jsonl")):
        result = run(*args)
        assert result.exit_code == 2
        message = " ".join(result.stderr.split())
        assert "cache: is a file, but the cache needs a folder. Set TF_TOKCLF_CACHE to a folder." in message
