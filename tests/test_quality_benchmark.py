"""scripts/benchmark quality: the order of its cells, its results, the tests of differences, tables and the page."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import t as student
from seqeval.metrics import f1_score

from tests.documentation import check_options
from tests.encoders import make_bert
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "scripts" / "benchmarks"
RATES = (1e-4, 2e-4)
HOW_TO_WRITE = "run scripts/benchmark quality --results docs/assets/quality.jsonl --page docs/quality.md"
SENTENCE = "ada B-PER\nsaw O\nnew B-LOC\nyork I-LOC\n\n"


@pytest.fixture(autouse=True)
def _modules_of_the_benchmarks(monkeypatch):
    for folder in (BENCHMARKS, BENCHMARKS / "baselines"):
        monkeypatch.syspath_prepend(str(folder))


def part(name: str):
    return import_module(f"quality_grid.{name}")


def cell(setting="ours-auto", seed=1, rate=None, data="wnut17", encoder="tiny"):
    return part("cells").Cell(data, encoder, setting, seed, rate)


def grid(**changes):
    wanted = {"data": ["wnut17", "ncbi"], "encoders": ["tiny"], "seeds": (1, 2), "rates": RATES}
    return part("cells").Grid(**wanted | changes)


def result(one, *, f1=0.5, dev_f1=0.5, counts=((1, 2, 2), (1, 2, 2)), **changes) -> dict:
    own = {name: getattr(one, name) for name in ("data", "encoder", "setting", "seed", "rate")}
    numbers = {"train_seconds": 60.0, "score_seconds": 1.0, "process_seconds": 70.0, "peak_gb": 1.5, "n_lost_words": 0}
    facts = {"machine": "a machine", "versions": "torch 2", "date": "2026-01-01", "arithmetic": "bfloat16"}
    used = {"epochs": 4, "batch_size": 16, "learning_rate": one.rate or 5e-5, "rates": list(RATES if one.rate else ())}
    scores = {"f1": f1, "dev_f1": dev_f1, "counts": part("scores").packed(np.array(counts)), "fingerprint": "0"}
    return {**own, **numbers, **facts, **used, **scores, "task": "ner", **changes}


def results_of(*rows: dict) -> dict:
    return {part("cells").Cell.of(row): row for row in rows}


def test_the_first_seed_of_everything_comes_first():
    ready, waiting = grid().missing({})

    assert [(one.seed, one.data, one.setting) for one in ready] == [
        (seed, data, setting)
        for seed in (1, 2)
        for data in ("wnut17", "ncbi")
        for setting in ("ours-auto", "ours-none", "trainer")
    ]
    assert {one.setting for one in waiting} == {"trainer-tuned"}


def test_the_tuned_trainer_waits_for_the_epochs_of_ours_and_then_comes_with_its_data():
    done = results_of(result(cell("ours-auto")))

    ready, waiting = grid().missing(done)

    tuned = [cell("trainer-tuned", rate=rate) for rate in RATES]
    assert ready[:4] == [cell("ours-none"), cell("trainer"), *tuned]
    assert cell("trainer-tuned", seed=2) in waiting
    assert cell("trainer-tuned", rate=RATES[0], data="ncbi") in waiting


def test_other_seeds_use_the_rate_with_the_best_validation_f1():
    tried = [
        result(cell("trainer-tuned", rate=rate), f1=f1, dev_f1=dev)
        for rate, f1, dev in ((1e-4, 0.9, 0.2), (2e-4, 0.1, 0.3))
    ]
    done = results_of(result(cell("ours-auto")), *tried)

    assert cell("trainer-tuned", seed=2, rate=2e-4) in grid().missing(done)[0]
    assert cell("trainer-tuned", seed=2) in grid().missing(results_of(result(cell("ours-auto")), tried[0]))[1]


def test_only_the_chosen_rate_is_reported_and_only_when_all_rates_are_there():
    tuned = [result(cell("trainer-tuned", rate=rate), f1=rate, dev_f1=rate) for rate in RATES]
    later = result(cell("trainer-tuned", seed=2, rate=2e-4), f1=0.7)
    chosen = part("cells").chosen

    reported = chosen(results_of(*tuned, later))
    assert {seed: row["f1"] for seed, row in reported["wnut17", "tiny", "trainer-tuned"].items()} == {1: 2e-4, 2: 0.7}
    assert ("wnut17", "tiny", "trainer-tuned") not in chosen(results_of(tuned[0]))


def test_cells_with_a_result_are_not_repeated():
    every = grid(settings=("ours-auto", "trainer"))
    ready, _ = every.missing({})

    left, _ = every.missing(results_of(*map(result, ready[:3])))

    assert left == ready[3:]


def test_a_selection_is_one_of_the_values_of_each_field():
    only = part("cells").selection(["setting=trainer", "seed=2", "setting=ours-none", "data=ncbi"])

    ready, _ = grid(only=only).missing({})

    assert ready == [cell("ours-none", 2, data="ncbi"), cell("trainer", 2, data="ncbi")]


@pytest.mark.parametrize("text", ["color=red", "seed", "setting=best"])
def test_an_unknown_selection_is_refused(text):
    with pytest.raises(ValueError, match=f"--only {text}"):
        part("cells").selection([text])


def test_the_tuned_trainer_takes_over_epochs_and_batch_size():
    options = argparse.Namespace(trainer_python="python-with-torch", trainer_float32=False)

    command = import_module("quality").command_of(
        cell("trainer-tuned", rate=2e-4), {"epochs": 7, "batch_size": 8}, options
    )

    assert command[0] == "python-with-torch"
    given = dict(itertools.pairwise(command))
    assert (given["--epochs"], given["--batch-size"], given["--learning-rate"]) == ("7", "8", "0.0002")
    assert {"--best-epoch", "--bf16", "--grouped"} <= set(command)


def test_a_line_that_a_killed_process_left_is_removed(tmp_path):
    results = part("results")
    path = tmp_path / "grid.jsonl"
    results.append_result(path, result(cell()))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"data": "wnut17", "f1": 0.4')

    assert list(results.read_results(path)) == [cell()]
    with results.locked(path):
        assert path.read_bytes() == whole
        results.append_result(path, result(cell(seed=2)))
    assert list(results.read_results(path)) == [cell(), cell(seed=2)]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "grid.jsonl"
    path.write_text(json.dumps(result(cell())) + "\n{\n", encoding="utf-8")

    with pytest.raises(UserError, match=r"line 2|:2:"):
        part("results").read_results(path)


def test_a_second_process_on_the_same_results_is_refused(tmp_path):
    results = part("results")
    path = tmp_path / "grid.jsonl"

    with results.locked(path), pytest.raises(UserError, match="another process"), results.locked(path):
        pass
    with results.locked(path):
        pass


@pytest.fixture
def published(tmp_path) -> Path:
    """WNUT-17 with few sentences, in the files of its authors."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, n in (("wnut17train.conll", 8), ("emerging.dev.conll", 3), ("emerging.test.annotated", 4)):
        (folder / name).write_text(SENTENCE.replace(" ", "\t") * n, encoding="utf-8")
    return folder


def test_published_files_become_three_splits_in_one_form(tmp_path, published):
    data = part("datasets").prepared("wnut17", published, tmp_path / "prepared", None)

    assert [len(list(data.gold(split))) for split in ("train", "validation", "test")] == [8, 3, 4]
    assert next(data.gold()) == ["B-PER", "O", "B-LOC", "I-LOC"]
    assert json.loads((data.folder / "labels.json").read_text()) == ["O", "B-LOC", "B-PER", "I-LOC"]
    # The second call finds the folder.
    (published / "wnut17train.conll").unlink()
    assert part("datasets").prepared("wnut17", published, tmp_path / "prepared", None).fingerprint == data.fingerprint


def test_the_commands_that_prepare_a_data_set_parse():
    datasets = part("datasets")

    for name in datasets.SOURCES:
        for arguments in datasets.commands_of(name, "SOURCE", name):
            check_options(("tf-tokclf", *arguments))


def test_a_limit_gives_a_data_set_of_another_name(tmp_path, published):
    data = part("datasets").prepared("wnut17", published, tmp_path / "prepared", 2)

    assert data.name == "wnut17-2"
    assert [len(list(data.gold(split))) for split in ("train", "validation", "test")] == [2, 2, 2]


def test_a_data_set_without_splits_is_divided_by_document(tmp_path):
    folder = tmp_path / "wikigold"
    folder.mkdir()
    documents = [
        f"-DOCSTART- O\n\n{f'ada{n} I-PER' + chr(10) + 'saw O' + chr(10)}\nnew{n} I-LOC\n\n" for n in range(20)
    ]
    (folder / "wikigold.conll.txt").write_text("".join(documents), encoding="utf-8")

    data = part("datasets").prepared("wikigold", folder, tmp_path / "prepared", None)

    splits = ("train", "validation", "test")
    words = [
        [json.loads(line)["tokens"][0] for line in (data.folder / f"{split}.jsonl").read_text().splitlines()]
        for split in splits
    ]
    numbers = [{word.strip("adnew") for word in split} for split in words]
    assert [len(split) for split in words] == [28, 6, 6]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(numbers, 2))
    assert {label for labels in data.gold("train") for label in labels} == {"O", "B-PER", "B-LOC"}


def test_results_of_other_sentences_are_refused(tmp_path):
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"tokens": [split], "ner_tags": ["O"]}), encoding="utf-8")
    data = part("datasets").DataSet("wnut17", tmp_path, "ner")
    check = import_module("quality").check_same_data

    check(results_of(result(cell(), fingerprint=data.fingerprint)), {"wnut17": data})
    with pytest.raises(UserError, match="other sentences"):
        check(results_of(result(cell(), fingerprint="another")), {"wnut17": data})


GOLD = [["B-PER", "I-PER", "O"], ["B-LOC", "O"], ["O", "B-LOC", "I-LOC"]]
# A span that is right, one that continues with a word that the model did not see, and one of another type.
PREDICTED = [["B-PER", "I-PER", "O"], ["B-PER", "O"], ["O", "B-LOC", "O"]]


def test_both_sides_are_scored_by_seqeval_with_counts_of_each_sentence():
    scores = part("scores")

    found = scores.scored(GOLD, PREDICTED, "ner")

    assert found["f1"] == f1_score(GOLD, PREDICTED) == pytest.approx(1 / 3)
    assert found["accuracy"] == 6 / 8
    assert scores.unpacked(found["counts"]).tolist() == [[1, 1, 1], [0, 1, 1], [0, 1, 1]]
    assert scores.count_table(found["counts"]).overall.f1 == found["f1"]


def test_parts_of_speech_are_scored_by_the_share_of_right_words():
    found = part("scores").scored([["NOUN", "VERB"], ["NOUN"]], [["NOUN", "O"], ["NOUN"]], "pos")

    assert found["f1"] == found["accuracy"] == pytest.approx(2 / 3)


def test_predictions_of_other_words_are_refused():
    with pytest.raises(UserError, match="words of the test split"):
        part("scores").scored(GOLD, [*PREDICTED[:2], ["O"]], "ner")


def test_the_first_subword_token_labels_its_word_and_words_behind_the_limit_have_no_label(tmp_path):
    tokenizer = load_tokenizer(make_bert(tmp_path / "tiny", words=["ada"]))
    words = ["ada", "xyz", *["ada"] * 600]
    # [CLS], "ada", three letters, and 507 words up to [SEP].
    ids = [0, 1, 2, 0, 0, *[1] * 506, 0]

    found = import_module("tokenized_splits").labels_of_words([ids], [words], tokenizer, ["O", "B-PER", "B-LOC"])

    assert found == [["B-PER", "B-LOC", *["B-PER"] * 506, *[None] * 94]]


def test_the_test_over_seeds_is_the_paired_t_test():
    a, b = [0.50, 0.52, 0.49], [0.53, 0.60, 0.50]
    gaps = [y - x for x, y in zip(a, b)]
    statistic = statistics.mean(gaps) / (statistics.stdev(gaps) / 3**0.5)

    assert part("differences").seed_p_value(a, b) == pytest.approx(2 * student.sf(statistic, 2))


@pytest.mark.parametrize("scores", [([0.5], [0.6]), ([0.5, 0.6], [0.6, 0.7]), ([0.5, 0.6], [0.5, 0.6])])
def test_no_p_value_over_seeds_without_different_gaps(scores):
    assert part("differences").seed_p_value(*scores) is None


def test_the_test_over_data_sets_counts_all_signs():
    gaps = [0.03, -0.01, 0.02, 0.05]
    sums = [abs(sum(sign * gap for sign, gap in zip(signs, gaps))) for signs in itertools.product((1, -1), repeat=4)]
    expected = sum(one >= 0.09 - 1e-12 for one in sums) / 16

    assert part("differences").sign_p_value(gaps) == expected == 2 * 2 / 16
    assert part("differences").sign_p_value([]) is None


def test_many_gaps_are_tested_with_random_signs():
    assert part("differences").sign_p_value([0.01] * 20) < 0.001
    assert part("differences").sign_p_value([0.01, -0.01] * 10) > 0.9


def test_a_gap_is_over_the_seeds_that_both_have():
    counts = [[(2, 2, 2), (1, 2, 2)] * 20, [(1, 2, 2), (1, 2, 2)] * 20]
    f1 = [0.75, 0.5]
    better, worse = (
        {seed: result(cell(seed=seed), f1=score, counts=rows) for seed in seeds}
        for score, rows, seeds in zip(f1, counts, ((1, 2), (2, 3)))
    )

    gap = part("differences").gap_between(better, worse)

    assert (gap.n_seeds, gap.mean, gap.p_seeds) == (1, 0.25, None)
    assert 0.15 < gap.interval[0] < 0.25 < gap.interval[1] < 0.35
    assert gap.p_sentences < 0.001
    assert part("differences").gap_between({1: better[1]}, {3: worse[3]}) is None


@pytest.fixture
def some_results():
    tuned = [result(cell("trainer-tuned", rate=rate), f1=0.4, dev_f1=rate, n_lost_words=9) for rate in RATES]
    ours = [result(cell(seed=seed), f1=f1) for seed, f1 in ((1, 0.50), (2, 0.54))]
    return results_of(*ours, *tuned, result(cell("trainer", data="ncbi"), f1=0.3))


def rows_in(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]


def test_the_table_has_means_and_spreads_and_dashes(some_results):
    tables, reported = part("tables"), part("cells").chosen(some_results)

    table = rows_in(tables.score_table(reported, tables.rows_of(some_results)))

    assert table[1:] == [
        ["WNUT-17", "tiny", "52.0 ± 2.8 (2 seeds)", "-", "-", "40.0 (1 seed)"],
        ["NCBI disease", "tiny", "-", "-", "30.0 (1 seed)", "-"],
    ]


def test_the_costs_include_all_trainings_of_the_search(some_results):
    tables, reported = part("tables"), part("cells").chosen(some_results)

    table = rows_in(tables.cost_table(reported, tables.rows_of(some_results), some_results))

    by_setting = {row[2]: dict(zip(table[0], row)) for row in table[1:]}
    tuned = by_setting["Trainer, tuned"]
    assert (tuned["rate"], tuned["training, min"], tuned["tuning, min"], tuned["lost words"]) == (
        "0.0002",
        "1.0",
        "2.0",
        "9",
    )
    assert by_setting["tf-tokclf, default"]["tuning, min"] == "-"


def test_the_page_names_what_is_missing_and_how_to_repeat_it(some_results):
    files = part("page").page_files(Path("docs/quality.md"), some_results, seeds=(1, 2), data=(), encoders=())

    text = files[Path("docs/quality.md")]
    assert "- WNUT-17, tiny, Trainer, tuned: seed 2\n" in text
    assert "- NCBI disease, tiny, tf-tokclf, default: seeds 1, 2\n" in text
    assert "- LitBank: not measured\n" in text
    assert "tf-tokclf convert --to-scheme IOB2 WNUT17/wnut17train.conll wnut17/train.jsonl\n" in text
    assert "--data wnut17=WNUT17 --data ncbi=NCBI" in text
    assert "Measured on a machine; 2026-01-01; torch 2." in text


def test_nothing_is_missing_from_a_whole_grid():
    sources = part("datasets").SOURCES
    every = grid(data=list(sources), seeds=(1,), rates=(1e-4,))
    cells = list(every.cells({}))
    done = results_of(*(result(one, rates=[1e-4]) for one in cells))

    text = part("page").page_files(Path("quality.md"), done, seeds=(1,), data=(), encoders=())[Path("quality.md")]

    assert "\nNothing is missing.\n" in text
    assert "not measured" not in text


def test_the_pictures_have_a_mark_for_each_setting_that_is_there(some_results):
    files = part("page").page_files(Path("quality.md"), some_results, seeds=(1, 2), data=(), encoders=())

    pictures = {path.name: ElementTree.fromstring(text) for path, text in files.items() if path.suffix == ".svg"}
    assert set(pictures) == {"quality-f1.svg", "quality-time.svg"}
    for picture in pictures.values():
        marks = [one for one in picture.iter() if one.tag.endswith("circle") or one.get("width") == "10"]
        # Four in the legend, and one for each of the three pairs of data set and setting.
        assert len(marks) == 4 + 3
    texts = [one.text for one in pictures["quality-f1.svg"].iter() if one.tag.endswith("text")]
    assert {"52.0", "40.0", "30.0", "WNUT-17, tiny"} <= set(texts)


def test_pictures_without_results_are_still_whole():
    files = part("page").page_files(Path("quality.md"), {}, seeds=(1,), data=(), encoders=())

    for path, text in files.items():
        if path.suffix == ".svg":
            assert ElementTree.fromstring(text) is not None


def test_the_page_of_the_documentation_is_that_of_its_results():
    stored, page = ROOT / "docs" / "assets" / "quality.jsonl", ROOT / "docs" / "quality.md"
    if not stored.exists():
        assert not page.exists(), "the page needs its results"
        return
    results = part("results").read_results(stored)

    # Without the tests of differences, which take a minute for a whole grid.
    tables, reported = part("tables"), part("cells").chosen(results)
    rows = tables.rows_of(results)
    text = page.read_text(encoding="utf-8")
    assert tables.score_table(reported, rows) in text, HOW_TO_WRITE
    assert tables.cost_table(reported, rows, results) in text, HOW_TO_WRITE
    for name, picture in part("page").picture_files(page, reported, rows).items():
        assert name.read_text(encoding="utf-8") == picture, HOW_TO_WRITE


def run_quality(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(BENCHMARKS / "quality.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_cell_is_trained_scored_and_not_repeated(tmp_path, published):
    encoder = make_bert(tmp_path / "tiny", words=["ada", "saw", "new", "york"])
    results = tmp_path / "grid.jsonl"
    grid_options = ["--results", results, "--data", f"wnut17={published}", "--encoder", f"small={encoder}", "--seed", 1]
    only = ["--only", "setting=ours-none", "--only", "setting=trainer"]

    first = run_quality(*grid_options, *only)

    # The Trainer has no interpreter here, so its cell fails, and the others are kept.
    assert first.returncode == 1
    assert "--trainer-python" in first.stderr
    assert "1 failed: wnut17, small, trainer, seed 1" in first.stderr
    (line,) = results.read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert (found["setting"], found["epochs"], found["batch_size"], found["learning_rate"]) == ("ours-none", 3, 8, 5e-5)
    assert part("scores").unpacked(found["counts"])[:, 2].tolist() == [2] * 4
    again = run_quality(*grid_options, *only[:2])
    assert again.returncode == 0
    assert results.read_text(encoding="utf-8").splitlines() == [line]
    table = run_quality("--results", results, "--table")
    assert f"| WNUT-17 | small | - | {100 * found['f1']:.1f} (1 seed) | - | - |" in table.stdout


def test_mistakes_are_one_message(tmp_path, published):
    unknown = run_quality("--results", tmp_path / "a.jsonl", "--data", f"conll={published}", "--encoder", "x=y")

    assert unknown.returncode == 2
    assert unknown.stderr.startswith("Error: there is no data set conll.")
    assert len(unknown.stderr.splitlines()) == 1
