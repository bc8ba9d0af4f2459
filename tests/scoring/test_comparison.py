"""Comparisons of systems."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

import pytest

from tests.prediction_files import write_predictions
from tests.values import check_values
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError
from tf_tokclf.files import write_json
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.bootstrap import N_SAMPLES, compare
from tf_tokclf.scoring.comparison import Comparison, PairsOfRuns, System, compare_systems
from tf_tokclf.scoring.predictions import Prediction

SAMPLES = Path(__file__).parent.parent / "data" / "scoring"
ARCADA, SPINNINGBYTES = (str(SAMPLES / f"wnut17_{name}.tsv") for name in ("arcada", "spinningbytes"))

GOLD = [("B-X", "O"), ("O", "B-Y"), ("O", "O")] * 20


def run(folder: Path, every: int) -> str:
    """A run whose predictions are wrong in every n-th sentence."""
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
    with pytest.raises(UserError, match="40 sentences have different gold labels"):
        compare_systems([ours, str(tmp_path / "b.jsonl")])


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing to compare"):
        compare_systems([ARCADA])
    with pytest.raises(UserError, match="neither a run nor a file"):
        compare_systems([ARCADA, str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="contains no predictions for test"):
        compare_systems([ARCADA, str(tmp_path)])
    validation = RunDir(tmp_path).predictions_for("validation")
    validation.parent.mkdir()
    write_predictions(validation, [Prediction(("a",), ("O",), ("O",))])
    with pytest.raises(UserError, match=r"for test\. Choose --split validation, or write them with"):
        compare_systems([ARCADA, str(tmp_path)])


def test_values():
    check_values(Comparison, PairsOfRuns)
    check_values(System, by_identity=True)


def test_json_by_hand(tmp_path):
    names = [run(tmp_path / "a", 4), run(tmp_path / "b", 6)]
    comparison = compare_systems(names, n_samples=200, seed=3)
    result = comparison.to_json()
    # 20 of 60 sentences contain an X and 20 a Y. A wrong prediction misses them and has a spurious X and Y.
    tables = [[scores.table for scores in system.scores] for system in comparison.systems]
    differences = compare(tables[0], tables[1], n_samples=200, seed=3)

    def numbers(one):
        return {"f1": [one.a, one.b], "difference": one.difference, "interval": one.interval, "p": one.p_value}

    assert result["differences"] == [
        {
            "systems": ["a", "b"],
            "overall": numbers(differences[""]),
            "by_type": {"X": numbers(differences["X"]), "Y": numbers(differences["Y"])},
            "pairs_of_runs": {"n": 1, "first_better": 0, "other_better": 1},
            "right_in_first_only": [i + 1 for i in range(60) if i % 6 == 0 and i % 4],
            "right_in_other_only": [i + 1 for i in range(60) if i % 4 == 0 and i % 6],
        }
    ]
    for system, name, path, every in zip(result["systems"], "ab", names, (4, 6)):
        right = sum(1 for i, gold in enumerate(GOLD) if i % every and "B-X" in gold)
        wrong = len(range(0, 60, every))
        f1 = 2 * right / (right + wrong + 20)
        assert system["name"] == name
        assert system["runs"] == [str(RunDir(Path(path)).predictions_for("test"))]
        assert system["by_type"]["X"] == {"mean": f1, "standard_deviation": None, "runs": [f1]}
        assert set(system["by_type"]) == {"X", "Y"}
        overall = system["scores"][0]["overall"]["f1"]
        assert system["f1"] == {"mean": overall, "standard_deviation": None, "runs": [overall]}
        assert set(system) == {"name", "runs", "f1", "by_type", "scores"}
    assert set(result) == {"systems", "differences"}


def test_the_spread_is_that_of_the_runs(tmp_path):
    named = ",".join(run(tmp_path / str(every), every) for every in (3, 4, 7))
    comparison = compare_systems([named, f"other={named}"], n_samples=10)
    f1 = comparison.systems[0].f1()
    assert len(set(f1)) == 3
    assert comparison.to_json()["systems"][1]["f1"] == {
        "mean": pytest.approx(sum(f1) / 3),
        "standard_deviation": pytest.approx(statistics.stdev(f1)),
        "runs": f1,
    }
    assert comparison.systems[0].f1("X") == [s.by_type["X"].f1 for s in comparison.systems[0].scores]
    assert comparison.systems[0].f1("none of these") == [0.0] * 3


def test_a_sentence_is_won_where_every_run_of_a_side_is_right_and_every_other_wrong(tmp_path):
    ours = ",".join(run(tmp_path / f"a{every}", every) for every in (4, 5))
    theirs = ",".join(run(tmp_path / f"b{every}", every) for every in (2, 3))
    first, other = compare_systems([ours, theirs], n_samples=10).split_sentences(1)
    assert first.tolist() == [i for i in range(60) if i % 4 and i % 5 and i % 2 == 0 and i % 3 == 0]
    assert other.tolist() == [i for i in range(60) if i % 2 and i % 3 and i % 4 == 0 and i % 5 == 0]


def test_examples_are_the_sentences_as_both_labelled_them(tmp_path):
    comparison = compare_systems([run(tmp_path / "a", 4), run(tmp_path / "b", 6), run(tmp_path / "c", 5)], n_samples=10)
    for other, every in ((1, 6), (2, 5)):
        pairs = comparison.examples(other, [12, 5, 4])
        wrong = ("B-Y", "B-X")
        assert [(a.predicted, b.predicted) for a, b in pairs] == [
            tuple(wrong if i % n == 0 else GOLD[i] for n in (4, every)) for i in (4, 5, 12)
        ]


def test_systems_are_compared_by_default_as_evaluate_scores(tmp_path):
    names = [run(tmp_path / "a", 4), run(tmp_path / "b", 6)]
    comparison = compare_systems(names)
    assert comparison.systems[0].scores[0].mode == "conlleval"
    tables = [[scores.table for scores in system.scores] for system in comparison.systems]
    assert comparison.differences[0] == compare(*tables, n_samples=N_SAMPLES, seed=0)
    strict = compare_systems(names, mode="strict", data=DataConfig(scheme="IOB1"), n_samples=10)
    assert {s.mode for system in strict.systems for s in system.scores} == {"strict"}
    assert {str(s.scheme) for system in strict.systems for s in system.scores} == {"IOB1"}


def test_other_splits_and_gold_files(tmp_path):
    for name, every in (("a", 4), ("b", 6)):
        run(tmp_path / name, every)
        path = RunDir(tmp_path / name).predictions_for("test")
        path.rename(RunDir(tmp_path / name).predictions_for("validation"))
    names = [str(tmp_path / name) for name in "ab"]
    comparison = compare_systems(names, split="validation", n_samples=10)
    assert [system.name for system in comparison.systems] == ["a", "b"]
    gold = tmp_path / "gold.conll"
    gold.write_text("a B-X\nb O\n", encoding="utf-8")
    for name, label in (("one", "B-X"), ("two", "O")):
        (tmp_path / name).write_text(f"a {label}\nb O\n", encoding="utf-8")
    result = compare_systems([str(tmp_path / "one"), str(tmp_path / "two")], gold=gold, n_samples=10)
    assert [system.f1() for system in result.systems] == [[1.0], [0.0]]


def test_files_are_read_as_the_data_options_say(tmp_path):
    gold = tmp_path / "gold.conll"
    gold.write_bytes("é\tB-X\nb\tI-X\n".encode("latin-1"))
    for name, label in (("one", "I-X"), ("two", "B-X")):
        (tmp_path / name).write_bytes(f"é\tB-X\nb\t{label}\n".encode("latin-1"))
    data = DataConfig(encoding="latin-1", scheme="BIOES")
    names = [str(tmp_path / name) for name in ("one", "two")]
    result = compare_systems(names, gold=gold, data=data, n_samples=10)
    assert {scores.scheme for system in result.systems for scores in system.scores} == {Scheme.BIOES}
    assert [system.f1() for system in result.systems] == [[1.0], [0.0]]


def test_the_scheme_is_that_of_the_first_system(tmp_path):
    gold = tmp_path / "gold.conll"
    gold.write_text("a B-X\nb E-X\n", encoding="utf-8")
    for name, labels in (("one", ("B-X", "E-X")), ("two", ("O", "O"))):
        (tmp_path / name).write_text("".join(f"{w} {label}\n" for w, label in zip("ab", labels)), encoding="utf-8")
    result = compare_systems([str(tmp_path / name) for name in ("one", "two")], gold=gold, n_samples=10)
    assert {scores.scheme for system in result.systems for scores in system.scores} == {Scheme.BIOES}


def test_systems_of_one_name_go_by_their_paths(tmp_path):
    names = [run(tmp_path / "x" / "model", 4), run(tmp_path / "y" / "model", 6), run(tmp_path / "other", 5)]
    assert [system.name for system in compare_systems(names, n_samples=10).systems] == [*names[:2], "other"]


def test_names_of_systems(tmp_path, monkeypatch):
    ours, theirs = run(tmp_path / "a=b", 4), run(tmp_path / "c,d", 6)
    comparison = compare_systems([ours, theirs, f"e={theirs}", f"f={ours}"], n_samples=10)
    assert [system.name for system in comparison.systems] == ["a=b", "c,d", "e", "f"]
    assert [len(system.sources) for system in comparison.systems] == [1, 1, 1, 1]
    monkeypatch.chdir(ours)
    assert compare_systems([".", theirs], n_samples=10).systems[0].name == "a=b"


def test_a_run_with_runs_below_it_is_itself(tmp_path):
    run(tmp_path / "a", 4)
    for seed in ("2", "1"):
        run(tmp_path / "a" / f"seed-{seed}", 5)
    (tmp_path / "a" / "nothing").mkdir()
    comparison = compare_systems([str(tmp_path / "a"), run(tmp_path / "b", 6)], n_samples=10)
    paths = [source.path for source in comparison.systems[0].sources]
    assert paths == [RunDir(tmp_path / "a").predictions_for("test")]
    paths[0].unlink()
    comparison = compare_systems([str(tmp_path / "a"), str(tmp_path / "b")], n_samples=10)
    expected = [RunDir(tmp_path / "a" / f"seed-{seed}").predictions_for("test") for seed in (1, 2)]
    assert [source.path for source in comparison.systems[0].sources] == expected


def seeds_run(folder: Path, every: dict[str, int], median: str) -> str:
    """A folder of `fit --seeds`: a run for each seed, the predictions of the median run, and the list of seeds."""
    for seed, n in every.items():
        run(folder / f"seed-{seed}", n)
    run(folder, every[median])
    write_json(RunDir(folder).seeds, {"seeds": {seed: {"f1": {"test": 0.5}} for seed in every}, "median": int(median)})
    return str(folder)


def test_the_folder_of_several_seeds_is_all_their_runs(tmp_path):
    """The predictions in the folder itself, which are those of the median run, were read as a single run."""
    ours = seeds_run(tmp_path / "ours", {"10": 2, "9": 3, "1": 4}, "9")
    (tmp_path / "ours" / "other").mkdir()
    run(tmp_path / "ours" / "other", 60)
    comparison = compare_systems([ours, f"theirs={seeds_run(tmp_path / 'b', {'1': 5, '2': 6}, '1')}"], n_samples=10)
    runs = [[source.path for source in system.sources] for system in comparison.systems]
    assert runs[0] == [RunDir(tmp_path / f"ours/seed-{seed}").predictions_for("test") for seed in (10, 9, 1)]
    assert runs[1] == [RunDir(tmp_path / f"b/seed-{seed}").predictions_for("test") for seed in (1, 2)]
    assert [system.name for system in comparison.systems] == ["ours", "theirs"]


def test_pairs_of_runs_say_whether_the_seeds_could_make_the_difference(tmp_path):
    ours = seeds_run(tmp_path / "ours", {"1": 2, "2": 4, "3": 6}, "2")
    theirs = seeds_run(tmp_path / "theirs", {"1": 3, "2": 6}, "1")
    comparison = compare_systems([ours, theirs], n_samples=10)
    # The numbers of wrong sentences in each run: 30, 15 and 10 against 20 and 10.
    assert comparison.pairs_of_runs(1) == PairsOfRuns(n=6, first_better=2, other_better=3)
    said = comparison.to_json()["differences"][0]["pairs_of_runs"]
    assert said == {"n": 6, "first_better": 2, "other_better": 3}


def test_the_median_run_alone_is_compared_where_the_others_are_gone(tmp_path, caplog):
    ours = seeds_run(tmp_path / "ours", {"1": 2, "2": 4}, "1")
    for seed in (1, 2):
        shutil.rmtree(tmp_path / f"ours/seed-{seed}")
    comparison = compare_systems([ours, run(tmp_path / "b", 6)], n_samples=10)
    assert [source.path for source in comparison.systems[0].sources] == [RunDir(Path(ours)).predictions_for("test")]
    assert "the runs of the seeds are missing, so only the median run is compared" in caplog.text


def test_a_seed_without_predictions_is_named(tmp_path):
    ours = seeds_run(tmp_path / "ours", {"1": 2, "2": 4}, "1")
    RunDir(tmp_path / "ours/seed-2").predictions_for("test").unlink()
    with pytest.raises(UserError, match="seed-2: contains no predictions for test"):
        compare_systems([ours, ours])


@pytest.mark.parametrize("text", ["[]", "{}", '{"seeds": 3}', '{"seeds": {"x": 1}}', "not JSON", "[" * 100_000])
def test_a_list_of_seeds_that_cannot_be_read_is_one_message(tmp_path, text):
    ours = seeds_run(tmp_path / "ours", {"1": 2, "2": 4}, "1")
    RunDir(Path(ours)).seeds.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"seeds\.json: .*Delete it to use the median run alone"):
        compare_systems([ours, ours])


def test_what_cannot_be_compared_says_why(tmp_path):
    ours = run(tmp_path / "a", 3)
    path = RunDir(Path(ours)).predictions_for("test")
    short, other = tmp_path / "short.jsonl", tmp_path / "other.jsonl"
    rows = [Prediction(("a", "b"), gold, gold) for gold in GOLD]
    write_predictions(short, rows[:59])
    write_predictions(other, [*rows[:7], *(Prediction(("a", "b"), gold, ("B-X", "B-X")) for gold in GOLD[7:])])
    same = "Compare systems on the same sentences."
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "none.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"none\.jsonl"):
        compare_systems([ours, str(tmp_path / "none.jsonl")])
    for names, message in (
        ([ours], "There is nothing to compare with. Give at least two runs or files of predictions."),
        ([ours, str(short)], f"{short}: has 59 sentences, {path} has 60. {same}"),
        (
            [ours, ours, str(other)],
            f"{other}: 53 sentences have different gold labels than {path}; the first one is number 8. {same}",
        ),
        ([ours, "nowhere"], "nowhere: is neither a run nor a file of predictions. Check the path."),
        (
            [ours, str(empty)],
            f"{empty}: contains no predictions for test. Write them with `tf-tokclf evaluate`.",
        ),
    ):
        with pytest.raises(UserError) as error:
            compare_systems(names)
        assert str(error.value) == message
