"""Systems side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.comparison import compare_systems
from tf_tokclf.scoring.predictions import Prediction, write_predictions

SAMPLES = Path(__file__).parent.parent / "data" / "scoring"
ARCADA, SPINNINGBYTES = (str(SAMPLES / f"wnut17_{name}.tsv") for name in ("arcada", "spinningbytes"))

GOLD = [("B-X", "O"), ("O", "B-Y"), ("O", "O")] * 20


def run(folder: Path, every: int) -> str:
    """A run whose predictions are wrong in each so-manieth sentence."""
    predictions = (
        Prediction(("a", "b"), ("B-Y", "B-X") if i % every == 0 else gold, gold) for i, gold in enumerate(GOLD)
    )
    write_predictions(RunDir(folder).predictions_for("test"), predictions)
    return str(folder)


def test_a_system_and_itself_do_not_differ():
    differences = compare_systems([ARCADA, ARCADA]).differences[0]
    assert {one.p_value for one in differences.values()} == {1.0}


def test_runs_of_clearly_different_systems_are_told_apart(tmp_path):
    comparison = compare_systems([run(tmp_path / "bad", 2), run(tmp_path / "good", 10)])
    overall = comparison.differences[0][""]
    assert overall.p_value < 0.01
    assert overall.interval[0] > 0
    assert [system.name for system in comparison.systems] == ["bad", "good"]


def test_sentences_that_only_one_side_gets_right(tmp_path):
    comparison = compare_systems([run(tmp_path / "a", 4), run(tmp_path / "b", 6)])
    a_alone, b_alone = comparison.split_sentences(1)
    assert a_alone.tolist() == [i for i in range(60) if i % 6 == 0 and i % 4]
    assert b_alone.tolist() == [i for i in range(60) if i % 4 == 0 and i % 6]
    first, other = comparison.examples(1, a_alone[:1])[0]
    assert (first.predicted, other.predicted) == (GOLD[6], ("B-Y", "B-X"))


def test_several_seeds_are_one_system_with_a_mean_and_a_spread(tmp_path):
    for i, every in enumerate((3, 5), 1):
        run(tmp_path / "seeds" / f"seed-{i}", every)
    named = f"other={run(tmp_path / 'x', 4)},{run(tmp_path / 'y', 4)}"
    comparison = compare_systems([str(tmp_path / "seeds"), named])
    seeds, other = comparison.to_json()["systems"]
    assert len(seeds["runs"]) == len(other["runs"]) == 2
    assert seeds["f1"]["mean"] == pytest.approx(sum(seeds["f1"]["runs"]) / 2)
    assert seeds["f1"]["standard_deviation"] > 0
    assert (other["name"], other["f1"]["standard_deviation"]) == ("other", 0)


def test_three_systems_are_held_against_the_first(tmp_path):
    names = [run(tmp_path / name, every) for name, every in (("a", 3), ("b", 4), ("c", 5))]
    result = json.loads(json.dumps(compare_systems(names, n_samples=100).to_json()))
    assert [one["systems"] for one in result["differences"]] == [["a", "b"], ["a", "c"]]
    assert set(result["differences"][0]["by_type"]) == {"X", "Y"}


def test_other_gold_labels_are_refused(tmp_path):
    ours = run(tmp_path / "a", 3)
    with pytest.raises(UserError, match="sentences"):
        compare_systems([ours, ARCADA])
    write_predictions(tmp_path / "b.jsonl", [Prediction(("a", "b"), ("O", "O"), ("O", "O"))] * 60)
    with pytest.raises(UserError, match="40 sentences have other gold labels"):
        compare_systems([ours, str(tmp_path / "b.jsonl")])


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing to compare"):
        compare_systems([ARCADA])
    with pytest.raises(UserError, match="neither a run nor a file"):
        compare_systems([ARCADA, str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="holds no predictions for test"):
        compare_systems([ARCADA, str(tmp_path)])
