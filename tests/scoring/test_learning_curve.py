"""Learning curves: their sentences about more data, and their file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.learning_curve import LearningCurve, ShareRun, read_curve
from tf_tokclf.scoring.power_law import Extrapolation


def curve_of(f1: dict[float, tuple[float, ...]], *, splits: tuple[str, ...] = ("validation", "test")) -> LearningCurve:
    """A curve of these test scores by share, with seeds from 1. Scores on validation are 0.01 higher."""
    added = {"validation": 0.01, "test": 0.0}
    runs = [
        ShareRun(
            share,
            seed,
            n_sentences=round(1000 * share) + seed,
            n_words=round(9000 * share),
            n_spans=round(2000 * share),
            f1={split: score + added[split] for split in splits},
            half_width=dict.fromkeys(splits, 0.01),
        )
        for share, scores in f1.items()
        for seed, score in enumerate(scores, 1)
    ]
    return LearningCurve(tuple(runs), chosen=1)


LAW = {share: (1 - 2 * (1000 * share) ** -0.4, 1 - 2.02 * (1000 * share) ** -0.4) for share in (0.1, 0.25, 0.5, 1.0)}


def test_the_points_are_means_over_the_seeds():
    curve = curve_of({0.1: (0.5, 0.6), 1.0: (0.8, 0.9)})
    first, last = curve.points
    assert (first.share, first.n_sentences, first.n_words, first.n_spans) == (0.1, 101.5, 900, 200)
    assert first.mean("test") == pytest.approx(0.55)
    assert last.deviation("test") == pytest.approx(0.1 / 2**0.5)
    assert (curve.shares, curve.seeds, curve.splits) == ((0.1, 1.0), (1, 2), ("validation", "test"))
    assert curve_of({1.0: (0.5,)}).points[0].deviation("test") is None


def test_the_sentence_names_the_size_the_interval_and_the_condition():
    curve = curve_of(LAW)
    found = curve.outlook
    assert isinstance(found, Extrapolation)
    assert found.f1 == pytest.approx(1 - 2.01 * 2003**-0.4, abs=0.005)
    low, high = (f"{100 * end:.1f}" for end in found.interval)
    assert curve.outlook_text == (
        f"With twice as many sentences (2,003), test F1 could be about {100 * found.f1:.1f} ({low} to {high}) "
        f"instead of {100 * curve.points[-1].mean('test'):.1f}, if the curve goes on as before. "
        "This is an extrapolation from 4 sizes of training data."
    )


def test_without_a_test_set_the_validation_set_is_extrapolated():
    assert "validation F1 could be about" in curve_of(LAW, splits=("validation",)).outlook_text


def test_a_curve_that_cannot_be_extrapolated_says_why_and_names_no_number():
    curve = curve_of({0.5: (0.7, 0.8), 1.0: (0.8, 0.9)})
    assert curve.outlook_text == (
        "What more labelled sentences would bring cannot be said, because this needs at least 3 sizes of training data."
    )
    told = curve.to_json()["extrapolation"]
    assert set(told) == {"split", "reason", "text"}


def test_the_file_gives_the_same_curve(tmp_path: Path):
    run, curve = RunDir(tmp_path), curve_of(LAW)
    assert read_curve(run) is None
    run.learning_curve.write_text(json.dumps(curve.to_json()), encoding="utf-8")
    assert read_curve(run) == curve
    law = json.loads(run.learning_curve.read_text(encoding="utf-8"))["extrapolation"]["law"]
    assert law["a"] * 1000 ** -law["b"] + law["c"] == pytest.approx(1 - curve.points[-1].mean("test"), abs=0.005)


def test_a_curve_that_is_not_finished_is_none(tmp_path: Path):
    run, values = RunDir(tmp_path), curve_of(LAW).to_json()
    del values["model"]
    run.learning_curve.write_text(json.dumps(values), encoding="utf-8")
    assert read_curve(run) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(runs=5),
        lambda values: values.update(runs=[]),
        lambda values: values["runs"].pop(),
        lambda values: values["runs"][0].update(share="half"),
        lambda values: values["runs"][0].update(share=2),
        lambda values: values["runs"][0].update(f1={"test": 5}),
        lambda values: values["runs"][0].pop("n_words"),
        lambda values: values.update(model=[]),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change):
    run, values = RunDir(tmp_path), curve_of(LAW).to_json()
    change(values)
    run.learning_curve.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=r"learning_curve\.json: does not list the runs of a learning curve\. Write it"):
        read_curve(run)
