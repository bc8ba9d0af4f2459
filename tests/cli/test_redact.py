"""tf-tokclf redact with a model: streams, the map, kills, and what it refuses."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.inference.sources import sample_texts, write_source
from tests.killing import UNTRACED, Ending, KillServer
from tf_tokclf.cli.main import cli

KEY = "0123456789abcdef"
pytestmark = pytest.mark.usefixtures("untraced")


def run(*args: object, text: str | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["redact", *map(str, args)], input=text)
    assert result.exit_code == code, result.stderr
    return result


def refused(args: Sequence[object]) -> str:
    return " ".join(run(*args, code=2).stderr.split())


def test_a_file_and_standard_input_give_the_same(tiny_classifier: Path, tmp_path: Path):
    source, output, report = write_source("in.txt", tmp_path), tmp_path / "out.txt", tmp_path / "report.json"
    told = run(tiny_classifier, source, "-o", output, "--map", tmp_path / "map", "--report", report).stderr
    text = source.read_text()
    assert output.read_text() != text
    assert run(tiny_classifier, text=text).stdout == output.read_text()
    one_by_one = run(tiny_classifier, "--look-ahead", 1, "--per-device-eval-batch-size", 1, text=text).stdout
    assert one_by_one == output.read_text()
    counts = json.loads(report.read_text())
    n_spans = counts["spans"]
    assert n_spans == sum(n for by_source in counts["spans_by_type"].values() for n in by_source.values()) > 9
    assert counts["records"] == 40
    assert f"redacted {n_spans} spans in 40 records" in told
    assert stat.S_IMODE((tmp_path / "map").stat().st_mode) == 0o600
    run("--restore", tmp_path / "map", output, "-o", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_text() == text
    assert run("--restore", tmp_path / "map", output).stdout == text
    again = run(tiny_classifier, source, "-o", output, "--resume").stderr
    assert "is already complete" in again


def test_the_same_spans_as_predict(tiny_classifier: Path, tmp_path: Path):
    text = "".join(line + "\n" for line in sample_texts(12))
    found = CliRunner().invoke(cli, ["predict", str(tiny_classifier), "--threshold", "0.4"], input=text)
    expected = ""
    for line in map(json.loads, found.stdout.splitlines()):
        rest = line["text"]
        for span in reversed(line["spans"]):
            rest = f"{rest[: span['start']]}[{span['type']}]{rest[span['end'] :]}"
        expected += rest + "\n"
    assert "[" in expected
    assert run(tiny_classifier, "--with", "mask", "--threshold", 0.4, text=text).stdout == expected


@pytest.mark.parametrize(
    "ending",
    [
        Ending(change=3),
        Ending(change=11),
        Ending(change=2, place="map.partial "),  # before the map gets its name
        Ending(change=3, place="out.txt.partial "),  # after that, before the output gets its own
    ],
    ids=["first", "middle", "map", "output"],
)
def test_a_killed_job_continues(kill_server: KillServer, tiny_classifier: Path, tmp_path: Path, ending: Ending):
    check_killed(kill_server, tiny_classifier, tmp_path, "in.txt", ending)


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.parquet"])
def test_a_killed_job_continues_in_each_format(
    kill_server: KillServer, tiny_classifier: Path, tmp_path: Path, name: str
):
    check_killed(kill_server, tiny_classifier, tmp_path, name, Ending(change=11), "--keep-column", "tokens")


def check_killed(kill_server: KillServer, model: Path, folder: Path, name: str, ending: Ending, *options: str) -> None:
    """Kill a job, and resume it. Output and map have the same bytes as those of a whole job."""
    source = write_source(name, folder)
    args, out = ["redact", str(model), str(source), "--look-ahead", "40", *options], f"out{source.suffix}"
    outputs = folder / "a", folder / "b"
    for output in outputs:
        output.mkdir()
    files = [["-o", str(output / out), "--map", str(output / "map")] for output in outputs]
    assert kill_server.run([*args, *files[0]], outputs[0], before=UNTRACED).code == 0
    assert kill_server.run([*args, *files[1]], outputs[1], ending, before=UNTRACED).code == -9
    for path in outputs[1].iterdir():
        assert path.suffix != ".partial" or "out" in path.name or stat.S_IMODE(path.stat().st_mode) == 0o600
    if (outputs[1] / f"{out}.journal").exists():
        message = refused([*args[1:], *files[1], "--resume", "--with", "mask"])
        assert "the interrupted job had another" in message
    done = kill_server.run([*args, *files[1], "--resume"], outputs[1], before=UNTRACED)
    assert done.code == 0, done.stderr
    contents = [{path.name: path.read_bytes() for path in output.iterdir()} for output in outputs]
    assert contents[0] == contents[1]
    assert set(contents[0]) == {out, "map"}


def test_hashes_need_a_key(tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("REDACTION_KEY", KEY)
    text = "ada visited london\n" * 2
    by_file = run(tiny_classifier, "--with", "hash", "--key-file", tmp_path / "key", text=text)
    by_variable = run(tiny_classifier, "--with", "hash", "--key-variable", "REDACTION_KEY", text=text)
    assert by_file.stdout == by_variable.stdout
    assert len(set(by_file.stdout.splitlines())) == 1
    monkeypatch.setenv("REDACTION_KEY", KEY + "x")
    other = run(tiny_classifier, "--with", "hash", "--key-variable", "REDACTION_KEY", text=text)
    assert other.stdout != by_file.stdout
    assert KEY not in by_file.stderr + by_variable.stderr + by_file.stdout
    assert "needs a key" in refused([tiny_classifier, "--with", "hash"])
    assert "contains no key" in refused([tiny_classifier, "--with", "hash", "--key-variable", "NO_SUCH_KEY"])
    (tmp_path / "key").write_text("short")
    assert "contains no key of at least 16 bytes" in refused(
        [tiny_classifier, "--with", "hash", "--key-file", tmp_path / "key"]
    )


def test_what_is_refused(tiny_classifier: Path, tmp_path: Path):
    source = write_source("in.txt", tmp_path)
    open_map = tmp_path / "open.map"
    open_map.write_text("")
    open_map.chmod(0o644)
    run(tiny_classifier, source, "-o", tmp_path / "done.txt", "--map", tmp_path / "map")
    cases = {
        "there is no such file": [tiny_classifier, tmp_path / "none.txt"],
        "Name the file with --output": [tiny_classifier, source, "--resume"],
        "Faker has no locale 'xx_XX'": [tiny_classifier, source, "--with", "faker", "--locale", "xx_XX"],
        "--locale can only be used with --with faker": [tiny_classifier, source, "--locale", "de_DE"],
        "--key-file can only be used with --with hash": [tiny_classifier, source, "--key-file", "k"],
        "the file exists": [tiny_classifier, source, "-o", tmp_path / "new.txt", "--map", open_map],
        "chmod 600": [tiny_classifier, source, "-o", tmp_path / "new.txt", "--map", open_map, "--force"],
        "two outputs cannot be the same": [tiny_classifier, source, "-o", tmp_path / "x", "--map", tmp_path / "x"],
        "would destroy the input": [tiny_classifier, source, "-o", tmp_path / "x", "--map", source, "--force"],
        "means the format jsonl, but the input is text": [tiny_classifier, source, "-o", tmp_path / "x.jsonl"],
        "cannot be read": [tiny_classifier, source, "--patterns", tmp_path / "none.yaml"],
        "--restore takes one file": ["--restore", tmp_path / "map", tmp_path / "done.txt", source],
        "--seed cannot be used with --restore": ["--restore", tmp_path / "map", tmp_path / "done.txt", "--seed", 1],
        "does not belong to the map": ["--restore", tmp_path / "map", source, "-o", tmp_path / "back.txt"],
        "not a map": ["--restore", source, tmp_path / "done.txt", "-o", tmp_path / "back.txt"],
    }
    for told, args in cases.items():
        message = refused(args)
        assert told in message, (told, message)
        assert "ada" not in message.replace(str(tmp_path), "")
    assert not (tmp_path / "new.txt").exists()
    assert not (tmp_path / "back.txt").exists()
    missing = CliRunner().invoke(cli, ["redact", str(tmp_path / "no-model"), str(source)])
    assert missing.exit_code == 2
