"""tf-tokclf convert: output, exit codes and files."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli

IOB2 = "Ada\tB-PER\nLovelace\tI-PER\nBob\tB-PER\nsaw\tO\nParis\tB-LOC\n\nBye\tO\n\n"
BIOES = "Ada\tB-PER\nLovelace\tE-PER\nBob\tS-PER\nsaw\tO\nParis\tS-LOC\n\nBye\tO\n\n"
BROKEN = "it\tO\nParis\tI-LOC\nis\tO\nbig\tB-LOC\n\n"


def run(*args: str | Path, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["convert", *map(str, args)], input=input)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.conll"
    path.write_text(IOB2, encoding="utf-8")
    return path


def test_a_pattern_of_files_gets_a_hint_to_their_folder(source: Path):
    result = run(source.parent / "*.conll", source.parent / "out.jsonl")
    assert result.exit_code == 2
    hint = f"Patterns are not expanded. To read all files of a folder, name the folder: {source.parent}"
    assert " ".join(result.stderr.split()).endswith(f"*.conll: there is no such file. {hint}")
    assert run(source.parent, source.parent / "out.jsonl").exit_code == 0


@pytest.mark.parametrize("second", ["She wrote a program there .", "Oslo was an O for her"])
def test_plain_text_gets_a_hint_to_its_format_unless_a_line_has_labels(tmp_path: Path, second: str):
    (tmp_path / "a.txt").write_text(f"Ada Lovelace lived in London\n{second}\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["convert", str(tmp_path / "a.txt"), str(tmp_path / "a.jsonl")])
    assert result.exit_code == 2
    hint = "If the file is plain text, read it as such: --set data.format=text."
    assert (hint in " ".join(result.stderr.split())) == (" O " not in second)
    again = CliRunner().invoke(
        cli, ["convert", "--set=data.format=text", str(tmp_path / "a.txt"), str(tmp_path / "a.jsonl")]
    )
    assert again.exit_code == 0


def test_between_schemes_on_standard_output(source):
    result = run("--to-scheme", "BIOES", source, "-")
    assert (result.exit_code, result.stdout) == (0, BIOES)
    assert "2 sentences, 6 words, 3 spans (IOB2 to BIOES)" in result.stderr


def test_from_standard_input():
    result = subprocess.run(
        [sys.executable, "-m", "tf_tokclf", "convert", "--to", "jsonl", "-", "-"],
        input=IOB2.encode(),
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith(b'{"tokens": ["Ada", "Lovelace", "Bob", "saw", "Paris"], "ner_tags": ["B-PER",')


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEOW"])
def test_there_and_back_between_schemes(source, tmp_path, scheme):
    assert run("--to-scheme", scheme, source, tmp_path / "out.conll").exit_code == 0
    assert run("--scheme", scheme, "--to-scheme", "IOB2", tmp_path / "out.conll", "-").stdout == IOB2


def test_what_a_scheme_cannot_tell_apart_is_refused_or_left_out_with_a_count(source):
    result = run("--to-scheme", "IO", source, "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "in.conll, line 1: IO cannot separate the two adjacent PER spans at word 3" in result.stderr
    result = run("--to-scheme", "IO", "--on-error", "skip", source, "-")
    assert result.stdout == "Bye\tO\n\n"
    assert "1 sentence left out (labels cannot be converted)" in result.stderr


@pytest.mark.parametrize(
    ("one", "two"), list(itertools.permutations(["a.conll", "a.conllu", "a.jsonl", "a.csv", "a.parquet"], 2))
)
def test_between_formats_by_the_names_of_files(source, tmp_path, one, two):
    for start, end in ((source, one), (tmp_path / one, two), (tmp_path / two, "back.conll")):
        result = run("--force", start, tmp_path / end)
        assert result.exit_code == 0, result.stderr
    assert (tmp_path / "back.conll").read_text(encoding="utf-8") == IOB2


def test_nothing_is_overwritten_unless_asked_for(source, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine", encoding="utf-8")
    result = run(source, out)
    assert (result.exit_code, out.read_text(encoding="utf-8")) == (2, "mine")
    assert result.stderr.startswith(f"Error: {out}: already exists. Pass --force")
    assert run("--force", source, out).exit_code == 0
    assert out.read_text(encoding="utf-8").startswith('{"tokens"')


@pytest.mark.parametrize("out", ["out.jsonl", "out.parquet", "out.brat"])
def test_nothing_is_written_half(source, tmp_path, out):
    source.write_text(IOB2 * 3 + BROKEN, encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    to = ["--to", "brat"] if out.endswith("brat") else []
    result = run("--scheme", "IOB2", "--to-scheme", "BIOES", *to, source, tmp_path / out)
    assert result.exit_code == 2
    assert "in.conll, line 25: word 2 ('Paris')" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("repair", "labels"), [("conlleval", "O S-LOC O S-LOC"), ("discard", "O O O S-LOC")])
def test_repair_is_asked_for_and_counted(tmp_path, repair, labels):
    (tmp_path / "in.conll").write_text(BROKEN, encoding="utf-8")
    result = run("--scheme", "IOB2", "--to-scheme", "BIOES", "--repair", repair, tmp_path / "in.conll", "-")
    assert [line.split("\t")[1] for line in result.stdout.split("\n") if line] == labels.split()
    assert f"1 sentence with labels invalid in IOB2: repaired ({repair})\n" in result.stderr


def test_a_broken_sequence_passes_where_nothing_has_to_understand_it_and_is_counted(tmp_path):
    (tmp_path / "in.conll").write_text(BROKEN, encoding="utf-8")
    result = run("--scheme", "IOB2", tmp_path / "in.conll", "-")
    assert (result.exit_code, result.stdout) == (0, BROKEN)
    assert "1 sentence with labels invalid in IOB2" in result.stderr


def test_skipped_sentences_are_counted_and_listed(source):
    source.write_text(IOB2 + "a\tO\tO\n\n" + IOB2, encoding="utf-8")
    result = run("--on-error", "skip", source, "-")
    assert result.stdout == IOB2 * 2
    assert "1 sentence left out (unreadable):" in result.stderr
    assert "in.conll, line 9: the line has 3 columns instead of 2" in result.stderr


def test_an_output_whose_name_tells_no_format(source, tmp_path):
    result = run(source, tmp_path / "out")
    assert result.exit_code == 2
    assert "the format cannot be inferred from the name " in result.stderr


def test_force_replaces_a_folder_of_the_same_format_and_no_other(source, tmp_path):
    out = tmp_path / "out"
    assert run("--to", "brat", source, out).exit_code == 0
    assert run("--to", "brat", "--force", source, out).exit_code == 0
    (out / "thesis.tex").write_text("", encoding="utf-8")
    for arguments in (["--to", "brat"], ["--to", "parallel"], ["--to", "conll"]):
        assert run("--force", *arguments, source, out).exit_code == 2
    assert sorted(p.name for p in out.iterdir()) == ["text.ann", "text.txt", "thesis.tex"]


def test_an_output_that_cannot_be_written(source, tmp_path):
    result = run(source, source / "below-a-file.jsonl")
    assert result.exit_code == 2
    assert "cannot be written: " in result.stderr


def test_a_binary_format_is_no_stream(source):
    result = run("--to", "parquet", source, "-")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_split_of_a_data_set(tmp_path, source):
    for name in ("train", "dev"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / f"set/{name}.conll").write_text(IOB2, encoding="utf-8")
    assert run("--split", "dev", tmp_path / "set", "-").stdout == IOB2
    assert "Available splits: dev, train." in run("--split", "test", tmp_path / "set", "-").stderr


def test_converting_loads_nothing_heavy(source):
    code = (
        "import sys; from tf_tokclf.cli.main import cli;"
        f"cli(['convert', {str(source)!r}, '-'], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'tf_keras', 'transformers', 'seqeval', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_the_words_whose_labels_a_repair_changed_are_counted(tmp_path):
    """Only the numbers of labels were compared, and a repair that left them equal read as if nothing was repaired."""
    # O I-LOC I-LOC becomes O B-LOC I-LOC, and the last line is a sentence of its own.
    (tmp_path / "a.conll").write_text(BROKEN + "Oslo\tI-LOC\n")
    changed = "labels changed by repair: I-LOC to B-LOC (2 words)\n"
    result = run("--scheme", "IOB2", "--repair", "conlleval", tmp_path / "a.conll", "-")
    assert "2 sentences with labels invalid in IOB2: repaired (conlleval)\n" in result.stderr
    assert changed in result.stderr
    options = ["--scheme", "IOB2", "--set", "data.repair=conlleval"]
    inspected = CliRunner().invoke(cli, ["inspect", str(tmp_path / "a.conll"), *options])
    assert f"train: {changed}" in inspected.stderr


def test_a_repair_that_leaves_the_numbers_of_labels_equal_is_counted(tmp_path):
    (tmp_path / "a.conll").write_text("a\tB-LOC\nb\tE-LOC\nc\tI-LOC\nd\tE-LOC\n\ne\tB-LOC\nf\tI-LOC\n")
    result = run("--scheme", "BIOES", "--repair", "conlleval", tmp_path / "a.conll", "-")
    labels = [line.split("\t")[1] for line in result.stdout.split("\n") if line]
    before = ["B-LOC", "E-LOC", "I-LOC", "E-LOC", "B-LOC", "I-LOC"]
    n_changed = sum(old != new for old, new in zip(before, labels, strict=True))
    assert n_changed > 0
    counted = re.findall(r"\((\d+) words?\)", result.stderr.partition("labels changed by repair: ")[2])
    assert sum(map(int, counted)) == n_changed
    assert "no count" not in result.stderr


@pytest.mark.parametrize(
    ("label", "to"),
    [
        *(("B-x\ny", to) for to in ("conll", "conllu", "inline-tags", "parallel")),
        ("B-x\ty", "conll"),
        ("B-x|y", "conllu"),
        ("B-x|y", "inline-tags"),
        ("B-x y", "parallel"),
    ],
)
def test_a_label_that_the_format_cannot_hold_is_named(tmp_path: Path, label: str, to: str):
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"tokens": ["ada"], "ner_tags": [label]}), encoding="utf-8")
    result = run("--to", to, source, tmp_path / "out")
    assert result.exit_code == 2, result.stdout
    assert f"the label {label!r} of the word 'ada' cannot be written" in result.stderr


def test_a_word_that_the_format_cannot_hold_is_named(tmp_path: Path):
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"tokens": ["a\tb"], "ner_tags": ["B-X"]}), encoding="utf-8")
    for to in ("conll", "conllu", "inline-tags", "parallel"):
        assert "the word 'a\\tb' cannot be written" in run("--to", to, source, tmp_path / "out").stderr


def test_convert_takes_settings_and_options_override_them(tmp_path: Path):
    file = tmp_path / "x.conll"
    file.write_text("# a note\nada;B-PER\n", encoding="utf-8")
    settings = ("--set", "data.comment_prefix='# '", "--set", "data.separator=;")
    assert "ada" in run(file, "-", *settings, "--to", "jsonl").stdout
    text = run(file, "-", *settings, "--separator", "tab", "--to", "jsonl").stdout
    assert "ada;B-PER" in text
