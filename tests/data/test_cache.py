"""The cache: damaged entries are rebuilt, entries over the limit are removed, and entries in use are kept."""

from __future__ import annotations

import json
import logging
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.data.cached import DAY_S, load, set_last_use, tables, write_conll
from tf_tokclf import Config
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data import cache as cache_module
from tf_tokclf.data.cache import Cache, cache_folder, entries_in, size_limit
from tf_tokclf.data.splits import Split
from tf_tokclf.errors import UserError


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(params=["in memory", "mapped"])
def way_of_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with all tables read into memory, and again with all tables mapped."""
    if request.param == "mapped":
        monkeypatch.setattr(cache_module, "MAPPED_FROM_BYTES", 1)
    return str(request.param)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a byte of the table": lambda table, about: flip(table, len(table.read_bytes()) // 2),
    "the last byte": lambda table, about: flip(table, -1),
    "cut": lambda table, about: os.truncate(table, 700),
    "empty": lambda table, about: os.truncate(table, 0),
    "longer": lambda table, about: table.write_bytes(table.read_bytes() + b"\0"),
    "a byte of what is known": lambda table, about: about.write_text(about.read_text().replace("80", "81", 1)),
    "no JSON": lambda table, about: about.write_text('{"content"'),
    "other JSON": lambda table, about: about.write_text("[1]"),
    "deep JSON": lambda table, about: about.write_text("[" * 100_000),
    "not UTF-8": lambda table, about: about.write_bytes(b"\xff\xfe"),
}


@pytest.mark.usefixtures("way_of_reading")
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_in_one_line_and_the_data_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
):
    path = write_conll(tmp_path / "a.conll")
    expected = list(load(path))
    (table,) = tables()
    whole = {file: file.read_bytes() for file in (table, table.with_suffix(".json"))}
    DAMAGE[damage](table, table.with_suffix(".json"))
    assert {file: file.read_bytes() for file in whole} != whole
    with caplog.at_level(logging.WARNING, logger="tf_tokclf"):
        again = load(path)
    assert list(again) == expected
    assert again.n_words == 80
    assert {file: file.read_bytes() for file in whole} == whole
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{table} is damaged (")
    assert line.endswith("). It will be rebuilt.")


@pytest.mark.parametrize("suffix", [".arrow", ".json"])
def test_what_was_removed_is_made_again_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str):
    path = write_conll(tmp_path / "a.conll")
    expected = list(load(path))
    tables()[0].with_suffix(suffix).unlink()
    with caplog.at_level(logging.WARNING, logger="tf_tokclf"):
        assert list(load(path)) == expected
    assert caplog.records == []


@pytest.mark.usefixtures("way_of_reading")
def test_a_split_outlives_its_file(tmp_path: Path):
    split = load(write_conll(tmp_path / "a.conll"))
    for table in tables():
        table.unlink()
        table.with_suffix(".json").unlink()
    assert len(list(split)) == 40
    assert split.dataset[0]["words"] == ["word0", "ada"]
    assert sum(split.label_counts().values()) == 80


def test_a_small_table_outlives_what_happens_to_its_file(tmp_path: Path):
    split = load(write_conll(tmp_path / "a.conll"))
    expected = list(load(tmp_path / "a.conll"))
    os.truncate(tables()[0], 0)
    assert list(split) == expected


def test_an_encoded_split_with_a_changed_byte_is_encoded_anew(
    tiny_bert: Path, conll_files: dict[str, str], tmp_path: Path
):
    files = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    args = [
        "fit",
        *files,
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        f"--output-dir={tmp_path / 'run'}",
        "--dry-run",
    ]
    assert run(*args).exit_code == 0
    (windows,) = (cache_folder() / "windows").glob("*.arrow")
    whole = windows.read_bytes()
    flip(windows, len(whole) // 2)
    result = run(*args)
    assert result.exit_code == 0
    message = " ".join(result.stderr.split())
    assert f"Warning: {windows} is damaged (its checksum is wrong). It will be rebuilt." in message
    assert windows.read_bytes() == whole


def test_a_table_changed_while_a_command_reads_it_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache_module, "MAPPED_FROM_BYTES", 1)
    path = write_conll(tmp_path / "a.conll")
    load(path)
    sentences = Split.__iter__

    def damaged(split: Split) -> Iterator[object]:
        with split.path.open("r+b") as file:
            file.write(b"\xff" * split.path.stat().st_size)
        return sentences(split)

    monkeypatch.setattr(Split, "__iter__", damaged)
    result = run("convert", path, tmp_path / "out.jsonl")
    assert result.exit_code == 1
    message = " ".join(result.stderr.split())
    assert f"{tables()[0]} was changed while it was in use, so the results may be wrong." in message
    assert "It will be rebuilt when you run the command again." in message
    monkeypatch.setattr(Split, "__iter__", sentences)
    assert run("convert", path, tmp_path / "out.jsonl", "--force").exit_code == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 40


@pytest.mark.parametrize("suffix", [".arrow", ".json"])
def test_a_pipe_in_the_place_of_a_file_is_replaced(suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Opening it would block forever and keep the cache locked."""
    path = write_conll(tmp_path / "a.conll")
    load(path)
    (table,) = tables()
    table.with_suffix(suffix).unlink()
    os.mkfifo(table.with_suffix(suffix))
    assert run("cache", "show", "--entries").exit_code == 0
    load(path)
    assert "it is not a regular file" in caplog.text
    assert table.with_suffix(suffix).is_file()


def test_a_file_written_to_the_cache_that_does_not_read_back_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Cache, "_opened", lambda *arguments, **options: None)
    with pytest.raises(UserError, match="the file read back differs from what was written"):
        load(write_conll(tmp_path / "a.conll"))


# The size limit


@pytest.mark.parametrize(
    ("setting", "variable", "expected"),
    [
        ({}, None, 5 * 10**9),
        ({}, "", 5 * 10**9),
        ({}, "2", 2 * 10**9),
        ({}, "500MB", 500 * 10**6),
        ({}, " 1.5 gb ", 1_500_000_000),
        ({}, "0", 0),
        ({}, "none", None),
        ({"cache_size_gb": 1}, "2", 10**9),
        ({"cache_size_gb": 0}, "2", 0),
        ({"cache_size_gb": None}, "2", None),
        ({"use_cache": False}, "2", 2 * 10**9),
    ],
)
def test_the_limit_is_the_setting_s_else_the_variable_s(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, object], variable: str | None, expected: int | None
):
    monkeypatch.delenv("TF_TOKCLF_CACHE_SIZE", raising=False)
    if variable is not None:
        monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", variable)
    assert size_limit(DataConfig(**setting)) == expected
    if not setting:
        assert size_limit() == expected


@pytest.mark.parametrize("text", ["much", "-1", "5 PB", "1e9", "nan", "5 GB of it", "9" * 5000])
def test_a_variable_that_is_no_size_is_a_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str):
    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", text)
    for args in (("cache", "show"), ("convert", write_conll(tmp_path / "a.conll"), tmp_path / "out.jsonl")):
        result = run(*args)
        assert result.exit_code == 2
        message = " ".join(result.stderr.split())
        assert f"TF_TOKCLF_CACHE_SIZE is {text[:30]!r}, which is not a size. Give gigabytes (5)" in message


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "5 GB"])
def test_a_setting_that_is_no_size_is_refused(value: object):
    with pytest.raises(ValueError, match="cache_size_gb"):
        Config(data={"cache_size_gb": value})


def limited_to(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", f"{n_bytes / 1000} kB")


def test_the_least_recently_used_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [write_conll(tmp_path / f"{name}.conll") for name in "abcd"]
    for path in paths[:3]:
        load(path)
    by_source = {entry.source: entry for entry in entries_in(cache_folder())}
    for days, name in enumerate("cab"):
        set_last_use(by_source[str(tmp_path / f"{name}.conll")].files[0], days_ago=10 - days)
    assert load(paths[2]).n_words  # c is used again, so a is the least recently used
    one = max(entry.n_bytes for entry in by_source.values())
    limited_to(monkeypatch, 3 * one + 10)
    load(paths[3])
    left = {Path(entry.source).stem for entry in entries_in(cache_folder())}
    assert left == {"b", "c", "d"}


def test_a_new_limit_counts_from_the_next_use_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in "abc":
        load(write_conll(tmp_path / f"{name}.conll"))
    assert len(entries_in(cache_folder())) == 3
    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", "0")
    load(tmp_path / "a.conll")
    assert [Path(entry.source).stem for entry in entries_in(cache_folder())] == ["a"]


def test_without_a_limit_nothing_goes(tmp_path: Path):
    for name in "abc":
        load(write_conll(tmp_path / f"{name}.conll"), cache_size_gb=None)
    assert len(entries_in(cache_folder())) == 3


def test_the_limit_does_not_change_what_is_in_the_cache(tmp_path: Path):
    path = write_conll(tmp_path / "a.conll")
    assert load(path, cache_size_gb=1).fingerprint == load(path).fingerprint
    assert len(tables()) == 1


def test_what_this_process_uses_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", "0")
    used = load(write_conll(tmp_path / "a.conll"))
    derived = used.dataset.select([0])
    table = used.table.slice(3)
    load(write_conll(tmp_path / "b.conll"))
    load(write_conll(tmp_path / "c.conll"))
    assert [Path(entry.source).stem for entry in entries_in(cache_folder())] == ["a", "c"] or [
        Path(entry.source).stem for entry in entries_in(cache_folder())
    ] == ["c", "a"]
    del used, derived
    load(tmp_path / "c.conll")
    assert {Path(entry.source).stem for entry in entries_in(cache_folder())} == {"a", "c"}
    del table
    load(tmp_path / "c.conll")
    assert [Path(entry.source).stem for entry in entries_in(cache_folder())] == ["c"]


@contextmanager
def process_that_uses(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has loaded the split at `path` and keeps it in use."""
    code = (
        "import sys; from tf_tokclf.config.schema import DataConfig, Task;"
        "from tf_tokclf.data.splits import load_split;"
        f"split = load_split({str(path)!r}, DataConfig(), task=Task.NER); print('loaded', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "loaded\n"
        yield one
        one.kill()


def test_what_another_process_uses_stays_until_it_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", "0")
    with process_that_uses(write_conll(tmp_path / "a.conll")) as other:
        load(write_conll(tmp_path / "b.conll"))
        load(write_conll(tmp_path / "c.conll"))
        names = {Path(entry.source).stem for entry in entries_in(cache_folder())}
        assert names == {"a", "c"}
        shown = json.loads(run("cache", "show", "--json").stdout)
        assert {Path(one["made_from"]).stem: one["in_use"] for one in shown["entries"]} == {"a": True, "c": False}
        assert "in use and was kept" in run("cache", "clear").stderr
        assert {Path(entry.source).stem for entry in entries_in(cache_folder())} == {"a"}
        # SIGKILL leaves the mark behind, which must not count as a process.
        other.kill()
        other.wait()
    assert list(cache_folder().rglob("*.in-use"))
    assert run("cache", "clear").exit_code == 0
    assert [path.name for path in cache_folder().rglob("*") if path.is_file()] == ["lock"]


@pytest.mark.parametrize("years", [-20, 20])
def test_what_a_killed_process_left_goes_whatever_the_clock_says(tmp_path: Path, years: int):
    left = cache_folder() / "splits" / f"{'0' * 32}.arrow.{'1' * 32}.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    second = time.time() + years * 365 * DAY_S
    os.utime(left, (second, second))
    load(write_conll(tmp_path / "a.conll"))
    assert not left.exists()


@pytest.mark.parametrize("years", [-20, 20])
def test_what_is_being_written_stays_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
):
    from tf_tokclf.data.formats.conll import ColumnsReader

    monkeypatch.setenv("TF_TOKCLF_CACHE_SIZE", "0")
    path, other = write_conll(tmp_path / "a.conll"), write_conll(tmp_path / "b.conll", 5)
    read = ColumnsReader.sentences

    def meanwhile(self: ColumnsReader, problems: object) -> Iterator[object]:
        if self.path == path:
            (partial,) = cache_folder().rglob("*.partial")
            second = time.time() + years * 365 * DAY_S
            os.utime(partial, (second, second))
            load(other)
            assert run("cache", "clear").exit_code == 0
            assert partial.exists()
        return read(self, problems)

    monkeypatch.setattr(ColumnsReader, "sentences", meanwhile)
    assert len(load(path)) == 40


def test_without_a_home_folder_a_temporary_one_is_used_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    path = write_conll(tmp_path / "a.conll")
    for name in ("TF_TOKCLF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")
    cache_module._warn_of_no_home.cache_clear()
    with caplog.at_level(logging.WARNING, logger="tf_tokclf"):
        first, again = load(path), load(path)
    assert list(first) == list(again)
    assert caplog.text.count("There is no home folder (HOME), so data is cached in a temporary folder") == 1
    assert "set TF_TOKCLF_CACHE to a folder" in caplog.text
    folder = cache_folder()
    assert any(folder.rglob("*.arrow"))
    assert folder != Path("/.cache/tf-tokclf")


def test_a_user_whom_the_system_does_not_know_has_no_home_folder(monkeypatch: pytest.MonkeyPatch):
    for name in ("TF_TOKCLF_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert cache_folder().is_dir()
    monkeypatch.setenv("TF_TOKCLF_CACHE", "~/cache")
    with pytest.raises(UserError, match="this home folder does not exist"):
        cache_folder()
